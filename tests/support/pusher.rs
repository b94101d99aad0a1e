//! Encoders that push fragments by HTTP, in the tests' own words or ffmpeg's; and what is compared with what they coded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::encoder::{KEY, STREAM_KEY, ffmpeg, in_step};
use super::lab::Lab;
use super::media::plays;
use super::run::{PATIENCE, Run};

/// A writer that is pushed to, and the URL with its key.
pub fn listening(lab: &Lab, more: &[&str]) -> (Run, String) {
    let address = format!("http://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&[KEY, &address][..], more].concat());
    let url = format!("{}/{STREAM_KEY}", application(&writer));
    (writer, url)
}

/// The URL at which it listens, without the key.
pub fn application(writer: &Run) -> String {
    let said = writer.wait_for("listening at ");
    said.split("listening at ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a URL").to_owned()
}

/// Pushes in this format, at the pace of the clock if that is asked for, and records the same in a file of its own.
pub fn push(seconds: u32, paced: bool, format: &str, url: &str, own: &Path) -> Child {
    push_of("testsrc2", seconds, paced, format, url, own)
}

/// The same with other pictures.
pub fn push_of(pictures: &str, seconds: u32, paced: bool, format: &str, url: &str, own: &Path) -> Child {
    let pace = if paced { "-re" } else { "" };
    let inputs = format!(
        "{pace} -f lavfi -i {pictures}=size=320x180:rate=25:duration={seconds} {pace} -f lavfi -i sine=duration={seconds}"
    );
    let coded =
        "-map 0:v -map 1:a -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac -flags +global_header";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    command.args(["-f", "tee"]).arg(format!("[{format}]{url}|[f=mp4]{}", own.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// A format of ffmpeg's `tee`.
pub const FRAGMENTED: &str = r"f=mp4:movflags=+frag_keyframe+empty_moov+default_base_moof+delay_moov";

/// What was pushed is in the object, as it is in the encoder's own recording.
#[track_caller]
pub fn compare(lab: &Lab, own: &Path) {
    plays(&in_step(lab, &ffmpeg(), own, &["0:v", "0:a"]));
}

/// A connection of the tests' own, for one request after the other.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    /// To the writer at this URL.
    pub fn new(url: &str) -> Self {
        let host = url.split('/').nth(2).expect("an authority").to_owned();
        let stream = TcpStream::connect(&host).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        Self { stream: BufReader::new(stream), host }
    }

    /// Sends a request with these fields and this body.
    pub fn send(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        // It may be refused before all is sent.
        drop(self.stream.get_mut().write_all(&[head.as_bytes(), body].concat()));
    }

    /// Begins a request whose body comes in chunks.
    pub fn begin(&mut self, path: &str) {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", self.host);
        self.stream.get_mut().write_all(head.as_bytes()).expect("a head");
    }

    /// Sends a chunk of it; an empty one is its end.
    pub fn chunk(&mut self, bytes: &[u8]) {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.stream.get_mut().write_all(&chunk).expect("a chunk");
    }

    /// The next answer: its status, and all of it.
    pub fn answer(&mut self) -> (u16, String) {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).expect("a line");
            assert!(count > 0, "it was closed without an answer: {all}");
            all += &line;
            if line == "\r\n" {
                break;
            }
        }
        let field = |name: &str| {
            let lines = all.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        let status = all.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, all + &String::from_utf8_lossy(&body))
    }

    /// Sends a request, and hears the answer.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> (u16, String) {
        self.send(method, path, fields, body);
        self.answer()
    }
}

/// A header, and fragments, each of which is whole.
pub type Pieces = (Vec<u8>, Vec<Vec<u8>>);

/// A recording of pictures and sound in a file of its own, and the same in fragments of a second: each track by itself.
pub fn tracks(lab: &Lab, seconds: u32, own: &Path) -> (Pieces, Pieces) {
    let made = Command::new("ffmpeg")
        .args(["-hide_banner", "-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=320x180:rate=25:duration={seconds}"))
        .args(["-f", "lavfi", "-i", &format!("sine=duration={seconds}"), "-pix_fmt", "yuv420p"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac", "-f", "mp4"])
        .arg(own)
        .status();
    assert!(made.expect("ffmpeg").success());
    let track = |map: &str, cuts: &[&str]| {
        let file = lab.dir().join(format!("{}.mp4", map.replace(':', "")));
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-v", "error", "-i"]).arg(own).args(["-map", map, "-c", "copy"]).args(cuts);
        assert!(command.args(["-f", "mp4"]).arg(&file).status().expect("ffmpeg").success());
        pieces(&std::fs::read(&file).expect("a file"))
    };
    let pictures = track("0:v", &["-movflags", "+frag_keyframe+delay_moov+default_base_moof"]);
    let sound = track("0:a", &["-frag_duration", "1000000", "-movflags", "+delay_moov+default_base_moof"]);
    (pictures, sound)
}

/// The pieces of a fragmented MP4, without its index.
fn pieces(mut bytes: &[u8]) -> Pieces {
    let (mut header, mut fragments): (Vec<u8>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    while let Some(size) = bytes.first_chunk() {
        let size = usize::try_from(u32::from_be_bytes(*size)).expect("small");
        let (whole, rest) = bytes.split_at(size);
        match &whole[4..8] {
            b"moof" => fragments.push(whole.to_vec()),
            b"mfra" => {}
            _ => fragments.last_mut().unwrap_or(&mut header).extend_from_slice(whole),
        }
        bytes = rest;
    }
    (header, fragments)
}
