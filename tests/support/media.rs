//! Real streams by ffmpeg, and ffmpeg's word on what became of them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Arguments of a picture of so many seconds that hardly compresses, in ten or so thousand pixels.
pub fn picture(seconds: u32, noise: u32) -> Vec<String> {
    let source = format!("testsrc2=size=320x180:rate=25:duration={seconds},noise=alls={noise}:allf=t");
    ["-f", "lavfi", "-i", &source].map(str::to_owned).to_vec()
}

/// Arguments of a sound of so many seconds that is never the same.
pub fn sound(seconds: u32) -> Vec<String> {
    let source = format!("anoisesrc=duration={seconds}:seed=7:sample_rate=48000");
    ["-f", "lavfi", "-i", &source].map(str::to_owned).to_vec()
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

/// One frame or packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Seconds.
    pub time: f64,
    /// MD5 of its contents.
    pub hash: String,
}

fn hashes(bytes: &[u8], state: &str, after: &[&str]) -> Vec<Frame> {
    let output = run("ffmpeg", &["-copyts", "-i"], bytes, after);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffmpeg on {state}: {complaints}");
    let text = String::from_utf8(output.stdout).expect("text");
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/1");
    let (over, under) = base.split_once('/').expect("a time base");
    let base: f64 = over.parse::<f64>().expect("a number") / under.parse::<f64>().expect("a number");
    let frame = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        Frame { time: fields[2].parse::<f64>().expect("a time") * base, hash: fields[5].to_owned() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(frame).collect()
}

/// Decodes the picture; nothing may be complained of.
pub fn frames(bytes: &[u8], state: &str) -> Vec<Frame> {
    let after = ["-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-"];
    hashes(bytes, state, &after)
}

/// The packets of the sound, which are decoded as well; nothing may be complained of.
pub fn packets(bytes: &[u8], state: &str) -> Vec<Frame> {
    hashes(bytes, state, &["-map", "0:a", "-f", "null", "-"]);
    hashes(bytes, state, &["-map", "0:a", "-c", "copy", "-f", "framemd5", "-"])
}

/// When it begins and how long it is, in seconds.
pub fn extent(bytes: &[u8]) -> (f64, f64) {
    let ask = ["-show_entries", "format=start_time,duration", "-of", "csv=p=0"];
    let output = run("ffprobe", &ask, bytes, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (start, duration) = text.trim().split_once(',').unwrap_or_else(|| panic!("'{text}' is no extent"));
    (start.parse().expect("a time"), duration.parse().expect("a duration"))
}
