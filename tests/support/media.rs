//! Real streams by ffmpeg, and ffmpeg's word on what became of them.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

/// Fragments that each begin with a key frame, as docs/hls.md asks for them.
pub const FRAGMENTS: &str = "-f mp4 -movflags empty_moov+frag_keyframe+default_base_moof";
/// H.264 with a key frame each second, small.
pub const H264: &str = "-c:v libx264 -preset ultrafast -qp 30 -g 25";
pub const AAC: &str = "-c:a aac";

fn lavfi(source: &str) -> Vec<String> {
    ["-f", "lavfi", "-i", source].map(str::to_owned).to_vec()
}

/// Arguments of a picture of so many seconds that hardly compresses, in ten or so thousand pixels.
pub fn picture(seconds: u32, noise: u32) -> Vec<String> {
    lavfi(&format!("testsrc2=size=320x180:rate=25:duration={seconds},noise=alls={noise}:allf=t"))
}

/// Arguments of a sound of so many seconds that is never the same.
pub fn sound(seconds: u32) -> Vec<String> {
    lavfi(&format!("anoisesrc=duration={seconds}:seed=7:sample_rate=48000"))
}

/// Arguments of a sound of so many seconds that compresses well.
pub fn tone(seconds: u32) -> Vec<String> {
    lavfi(&format!("sine=frequency=440:duration={seconds}"))
}

/// Arguments of so many seconds of ten small pictures each.
pub fn thumbnails(seconds: u32) -> Vec<String> {
    lavfi(&format!("testsrc=size=64x36:rate=10:duration={seconds}"))
}

const LARGE: &str = "testsrc2=size=640x360:rate=25,noise=alls=60:allf=t";

/// An MP4 of so many seconds with a key frame each second, of about two parts in three seconds, fragmented as `flags` say.
pub fn video(seconds: u32, flags: &str) -> Vec<u8> {
    let coded = format!("-t {seconds} -c:v libx264 -preset ultrafast -qp 20 -g 25");
    make(&[lavfi(LARGE), tone(seconds)], &format!("{coded} {AAC} -f mp4 -movflags {flags}"))
}

/// A stream as from a camera, at the pace of the clock, whose picture does not compress well.
pub fn camera(seconds: u32) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error", "-re"]).args(lavfi(LARGE)).arg("-re").args(tone(seconds));
    command.args(["-t", &seconds.to_string(), "-c:v", "libx264", "-preset", "ultrafast", "-qp", "16", "-g", "15"]);
    command.args(["-pix_fmt", "yuv420p"]).args(AAC.split(' ')).args(FRAGMENTS.split(' ')).arg("pipe:1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("ffmpeg")
}

/// What ffmpeg writes to a pipe.
pub fn make(inputs: &[Vec<String>], output: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.iter().flatten());
    command.args(["-pix_fmt", "yuv420p"]).args(output.split_whitespace()).arg("pipe:1");
    let made = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("ffmpeg");
    assert!(made.status.success(), "{output}: {}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

fn run(program: &str, before: &[&str], bytes: &[u8], after: &[&str]) -> Output {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("write the file");
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-v", "warning"]).args(before).arg(file.path()).args(after);
    command.stdin(Stdio::null()).output().expect(program)
}

/// The frames of a picture, one letter each, `I` for a key frame; nothing may be complained of.
pub fn key_frames(bytes: &[u8]) -> String {
    let ask = ["-select_streams", "v", "-show_entries", "frame=key_frame", "-of", "csv=p=0"];
    let output = run("ffprobe", &ask, bytes, &[]);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffprobe: {complaints}");
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.split_whitespace().map(|line| if line.starts_with('1') { 'I' } else { 'p' }).collect()
}

/// It plays from its first byte to its last; nothing may be complained of.
#[track_caller]
pub fn plays(bytes: &[u8]) {
    let output = run("ffmpeg", &["-xerror", "-i"], bytes, &["-f", "null", "-"]);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffmpeg: {complaints}");
}

/// Stream and hash of each frame of the picture and the sound of a file or an address, decoded, the picture first: a player
/// may count from another moment, and sound and pictures may take turns in another way.
pub fn shown(input: &str) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror", "-protocol_whitelist", "file,http,tcp", "-i", input]);
    command.args(["-map", "0:v", "-map", "0:a", "-f", "framehash", "-hash", "murmur3", "-"]);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        format!("{} {}\n", fields[0], fields.get(5).unwrap_or(&""))
    };
    let mut frames: Vec<String> = lines.lines().filter(|line| !line.starts_with('#')).map(fields).collect();
    frames.sort_by(|a, b| a[..1].cmp(&b[..1]));
    frames.concat()
}

/// One frame or packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Seconds.
    pub time: f64,
    /// Hash of its contents.
    pub hash: String,
}

fn hashes(bytes: &[u8], state: &str, after: &[&str]) -> Vec<Frame> {
    let output = run("ffmpeg", &["-copyts", "-i"], bytes, after);
    complained(&output, state);
    listed(&String::from_utf8(output.stdout).expect("text"))
}

#[track_caller]
fn complained(output: &Output, state: &str) {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffmpeg on {state}: {complaints}");
}

/// What ffmpeg's list of hashes tells.
fn listed(text: &str) -> Vec<Frame> {
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/1");
    let (over, under) = base.split_once('/').expect("a time base");
    let base: f64 = over.parse::<f64>().expect("a number") / under.parse::<f64>().expect("a number");
    let frame = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        Frame { time: fields[2].parse::<f64>().expect("a time") * base, hash: fields[5].to_owned() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(frame).collect()
}

/// Hashes of all pictures. MD5 would take as long as decoding them.
const PICTURE: &str = "-map 0:v -fps_mode passthrough -enc_time_base 1:90000 -f framehash -hash murmur3";

/// Decodes the picture; nothing may be complained of.
pub fn frames(bytes: &[u8], state: &str) -> Vec<Frame> {
    let after: Vec<_> = PICTURE.split(' ').chain(["-"]).collect();
    hashes(bytes, state, &after)
}

/// Frames of the picture and packets of the sound, both decoded, by one ffmpeg; nothing may be complained of.
pub fn frames_and_packets(bytes: &[u8], state: &str, video: bool, audio: bool) -> (Vec<Frame>, Vec<Frame>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (pictures, sounds) = (path("pictures"), path("sounds"));
    let picture: Vec<_> = PICTURE.split(' ').chain([pictures.as_str()]).collect();
    let sound = ["-map", "0:a", "-f", "null", "-", "-map", "0:a", "-c", "copy", "-f", "framemd5", &sounds];
    let after = [if video { &picture[..] } else { &[] }, if audio { &sound[..] } else { &[] }].concat();
    complained(&run("ffmpeg", &["-copyts", "-i"], bytes, &after), state);
    let read = |path: &str| std::fs::read_to_string(path).map(|text| listed(&text)).unwrap_or_default();
    (read(&pictures), read(&sounds))
}

/// The packets of the sound, which are decoded as well; nothing may be complained of.
pub fn packets(bytes: &[u8], state: &str) -> Vec<Frame> {
    hashes(bytes, state, &["-map", "0:a", "-f", "null", "-"]);
    hashes(bytes, state, &["-map", "0:a", "-c", "copy", "-f", "framemd5", "-"])
}

/// How wide its pictures are.
#[track_caller]
pub fn width_of(bytes: &[u8]) -> u32 {
    let ask = ["-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0"];
    let text = String::from_utf8_lossy(&run("ffprobe", &ask, bytes, &[]).stdout).into_owned();
    text.trim().parse().unwrap_or_else(|_| panic!("'{text}' is no width"))
}

/// When it begins and how long it is, in seconds.
pub fn extent(bytes: &[u8]) -> (f64, f64) {
    let ask = ["-show_entries", "format=start_time,duration", "-of", "csv=p=0"];
    let output = run("ffprobe", &ask, bytes, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (start, duration) = text.trim().split_once(',').unwrap_or_else(|| panic!("'{text}' is no extent"));
    (start.parse().expect("a time"), duration.parse().expect("a duration"))
}
