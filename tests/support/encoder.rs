//! Encoders that publish: real ones (ffmpeg of Debian, a newer one, GStreamer), and one whose every word the test chooses.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use live_read::rtmp::amf0::{self, Value};
use live_read::rtmp::chunk::{self, Message};

use super::lab::Lab;
use super::present;
use super::run::{PATIENCE, Run};

/// The object that is recorded.
pub const KEY: &str = "live/camera.mp4";
/// The stream key, which must be seen nowhere.
pub const STREAM_KEY: &str = "s3cretkey";

/// A writer that listens, with the URL that encoders are to be given.
pub fn listening(lab: &Lab, more: &[&str]) -> (Run, String) {
    let address = format!("rtmp://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&[KEY, &address][..], more].concat());
    let url = url_of(&writer);
    (writer, url)
}

/// The URL at which it says to listen, with the key.
pub fn url_of(writer: &Run) -> String {
    let said = writer.wait_for("listening at ");
    let url = said.split("listening at ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a URL");
    format!("{url}/{STREAM_KEY}")
}

/// Debian's ffmpeg.
pub fn ffmpeg() -> PathBuf {
    "ffmpeg".into()
}

/// A newer ffmpeg, which speaks enhanced RTMP; `None`, said, where `scripts/install-deps.sh test` has not installed it. Under CI it
/// has to be there.
pub fn new_ffmpeg() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/encoders");
    let files =
        |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let binaries = files(venv.join("lib")).map(|python| python.join("site-packages/imageio_ffmpeg/binaries"));
    let mut found = binaries
        .flat_map(files)
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-")));
    let path = found.next().unwrap_or_else(|| venv.join("ffmpeg"));
    present(path.to_str().expect("a path"), &["-version"]).then_some(path)
}

/// Begins to publish, and to record the same into a file of its own: all that is coded goes both ways.
pub fn publish(ffmpeg: &Path, inputs: &str, coded: &str, url: &str, own: &Path) -> Child {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    // Not fragmented it has edit lists, which keep sound and picture in step.
    let own = format!("[f=mp4]{}", own.display());
    command.args(["-flags", "+global_header", "-f", "tee"]).arg(format!("[f=flv]{url}|{own}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// Begins to publish, at the pace of the clock, for so many seconds.
pub fn camera(seconds: u32, url: &str) -> Child {
    camera_of("320x180", seconds, url)
}

/// The same in another size.
pub fn camera_of(size: &str, seconds: u32, url: &str) -> Child {
    let inputs = format!(
        "-re -f lavfi -i testsrc2=size={size}:rate=25:duration={seconds} -re -f lavfi -i sine=duration={seconds}"
    );
    let coded = "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac -f flv";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// Waits until it has ended well.
#[track_caller]
pub fn ended(child: Child) {
    let output = child.wait_with_output().expect("an encoder");
    assert!(output.status.success(), "the encoder: {}", String::from_utf8_lossy(&output.stderr));
}

/// A packet: when it is shown, in seconds, and the hash of its bytes.
pub type Packet = (f64, String);

/// The packets of a stream of a file, as `ffmpeg` reads them, and nothing may be complained of.
#[track_caller]
pub fn packets(ffmpeg: &Path, file: &Path, stream: &str) -> Vec<Packet> {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-v", "warning", "-copyts", "-i"]).arg(file).args(["-map", stream, "-c", "copy"]);
    let Output { status, stdout, stderr } = command.args(["-f", "framemd5", "-"]).output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&stderr);
    assert!(status.success() && complaints.is_empty(), "{}: {complaints}", file.display());
    let text = String::from_utf8(stdout).expect("text");
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/1");
    let (over, under) = base.split_once('/').expect("a time base");
    let base: f64 = over.parse::<f64>().expect("a number") / under.parse::<f64>().expect("a number");
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().expect("a time") * base, fields[5].to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(packet).collect()
}

/// The object, of which the bytes of each packet are as in the encoder's `own` recording, and its time, of which one is as far
/// from the encoder's as all others.
#[track_caller]
pub fn in_step(lab: &Lab, ffmpeg: &Path, own: &Path, streams: &[&str]) -> Vec<u8> {
    let object = lab.dir().join("object.mp4");
    let bytes = lab.object(KEY).expect("the object");
    std::fs::write(&object, &bytes).expect("a file");
    let mut shift = None;
    for stream in streams {
        let (here, there) = (packets(ffmpeg, &object, stream), packets(ffmpeg, own, stream));
        assert!(here.len() > 20, "{} packets of {stream}", here.len());
        let hashes = |packets: &[Packet]| packets.iter().map(|packet| packet.1.clone()).collect::<Vec<_>>();
        assert_eq!(hashes(&here), hashes(&there), "{stream}");
        for ((here, _), (there, _)) in here.iter().zip(&there) {
            let shift = *shift.get_or_insert(here - there);
            // RTMP knows milliseconds.
            assert!((here - there - shift).abs() < 0.003, "{stream}: {here} for {there}, and {shift} before");
        }
    }
    bytes
}

/// An encoder out of the test's own words.
#[derive(Debug)]
pub struct Words {
    pub stream: TcpStream,
}

impl Words {
    /// A connection with nothing said.
    pub fn silent(url: &str) -> Self {
        let authority = url.split('/').nth(2).expect("an authority");
        let stream = TcpStream::connect(authority).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        Self { stream }
    }

    /// A connection with its handshake done.
    pub fn new(url: &str) -> Self {
        Self::new_behind(url, "")
    }

    /// The same, with this before it.
    fn new_behind(url: &str, before: &str) -> Self {
        let mut words = Self::silent(url);
        words.raw(&[before.as_bytes(), &[3], &[0; 3072]].concat());
        words
    }

    /// One that has asked to publish with this application and key.
    pub fn publishing(url: &str, app: &str, key: &str) -> Self {
        Self::publishing_behind(url, "", app, key)
    }

    /// The same, with this before all of it.
    pub fn publishing_behind(url: &str, before: &str, app: &str, key: &str) -> Self {
        let mut words = Self::new_behind(url, before);
        words.connect(app);
        let text = |text: &str| Value::String(text.to_owned());
        words.command(&[text("publish"), Value::Number(0.0), Value::Null, text(key), text("live")]);
        words
    }

    /// One that publishes.
    pub fn accepted(url: &str) -> Self {
        let mut words = Self::publishing(url, "live", STREAM_KEY);
        words.hear("NetStream.Publish.Start");
        words
    }

    pub fn connect(&mut self, app: &str) {
        let text = |text: &str| Value::String(text.to_owned());
        let about = Value::Object(vec![("app".into(), text(app)), ("flashVer".into(), text("words"))]);
        self.command(&[text("connect"), Value::Number(1.0), about]);
    }

    /// Sends bytes; whoever has closed the connection does not hear them.
    pub fn raw(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    pub fn message(&mut self, kind: u8, time: u32, body: &[u8]) {
        let (mut out, body) = (BytesMut::new(), Bytes::copy_from_slice(body));
        chunk::write(&mut out, 4, &Message { kind, stream: 1, time, body }, 128);
        self.raw(&out);
    }

    pub fn command(&mut self, values: &[Value]) {
        let mut body = BytesMut::new();
        amf0::write(&mut body, values);
        self.message(20, 0, &body);
    }

    /// The configurations of H.264 and AAC, and so many seconds of ten pictures and forty-seven sounds, the first of each
    /// second a key frame.
    pub fn stream(&mut self, seconds: u32) {
        self.stream_as(seconds, [0x11, 0x90]);
    }

    /// The same with another configuration of AAC.
    pub fn stream_as(&mut self, seconds: u32, aac: [u8; 2]) {
        let avc = "0164000cffe1001b6764000cacd941519e226c044000000300400000030283c50a658001000468ef8fcbfdf8f800";
        self.message(9, 0, &[&[0x17, 0, 0, 0, 0][..], &hex::decode(avc).expect("hex")].concat());
        self.message(8, 0, &[&[0xaf, 0][..], &aac].concat());
        self.frames(0, seconds * 1000);
    }

    /// Pictures and sound between two times, without configurations.
    pub fn frames(&mut self, from: u32, to: u32) {
        for time in from..to {
            if time % 100 == 0 {
                let first = if time % 1000 == 0 { 0x17 } else { 0x27 };
                self.message(9, time, &[&[first, 1, 0, 0, 0, 0, 0, 0, 4, 0x65][..], &time.to_be_bytes()[1..]].concat());
            }
            if time % 21 == 0 {
                self.message(8, time, &[&[0xaf, 1][..], &time.to_be_bytes()].concat());
            }
        }
    }

    /// Ends it as encoders do.
    pub fn end(&mut self) {
        let text = |text: &str| Value::String(text.to_owned());
        self.command(&[text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(1.0)]);
    }

    /// Waits until it is told this.
    #[track_caller]
    pub fn hear(&mut self, wanted: &str) -> String {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&heard).into_owned();
            if text.contains(wanted) {
                return text;
            }
            let count = self.stream.read(&mut buffer).unwrap_or(0);
            assert!(count > 0, "nothing of {wanted} in {}", heard.escape_ascii());
            heard.extend_from_slice(&buffer[..count]);
        }
    }

    /// Waits until the other side closes the connection.
    #[track_caller]
    pub fn is_closed_within(&mut self, seconds: u64) {
        self.stream.set_read_timeout(Some(Duration::from_secs(seconds))).expect("a deadline");
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it is still open"),
                Err(_) => return,
            }
        }
    }
}
