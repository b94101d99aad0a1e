//! A gateway in front of a local store, and bare requests to it whose answers are read to their ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::support::PART;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, tone, video};
use crate::support::run::{Launch, Outcome, PATIENCE, Run, await_some};

pub const KEY: &str = "shows/match.mp4";

/// Fragments that can be read from any of them on.
pub const GOOD: &str = "empty_moov+frag_keyframe+default_base_moof";

/// ffmpeg, which plays the picture of what is at a URL.
pub fn player(url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-i", url]);
    command.args("-map 0:v -f framehash -hash murmur3 -".split(' '));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// A hash of each picture that it has shown at its end.
pub fn shown(player: Child) -> Vec<String> {
    let output = player.wait_with_output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg: {complaints}");
    let text = String::from_utf8(output.stdout).expect("text");
    let hash = |line: &str| line.rsplit(',').next().unwrap_or_default().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

/// ffmpeg, which reads what is there as it lies there, times and all.
pub fn ffmpeg(input: &str, more: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-copyts", "-i", input]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lines of what ffmpeg writes, without those of its head.
pub fn lines(player: Child) -> Vec<String> {
    let output = player.wait_with_output().expect("ffmpeg");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Each packet of a stream as it lies in a file: its times, its length, its hash.
pub fn packets(bytes: &[u8], stream: &str) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("write the file");
    let path = file.path().display().to_string();
    lines(ffmpeg(&path, &["-map", stream, "-c", "copy", "-f", "framemd5", "-"]).spawn().expect("ffmpeg"))
}

/// Where the fragments of a recording end.
pub fn ends(data: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (0, Vec::new());
    while at < data.len() {
        let length = u32::from_be_bytes(data[at..at + 4].try_into().expect("four bytes")) as usize;
        if &data[at + 4..at + 8] == b"mdat" {
            ends.push(at + length);
        }
        at += length;
    }
    ends
}

/// Two recordings, of which whoever has `viewer-token-0123456789` may watch; with the file that says so.
pub fn guarded(lab: &Lab, more: &[&str]) -> (Gateway, String) {
    let data = make(&[picture(5, 10), tone(5)], &format!("{H264} {AAC} {FRAGMENTS}"));
    for key in [KEY, "secret.mp4"] {
        lab.put(key, &data);
    }
    let file = tokens(lab, "tokens", "watch viewer-token-0123456789\nlist other-token-0123456789\n");
    (Gateway::start(lab, &[&["--auth", &file][..], more].concat()), file)
}

/// A file of tokens.
pub fn tokens(lab: &Lab, name: &str, text: &str) -> String {
    let path = lab.dir().join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path").to_owned()
}

/// What `--link` prints.
pub fn link(lab: &Lab, file: &str, wanted: &str, more: &[&str]) -> String {
    let args = [&["--serve", "--auth", file, "--link", wanted], more].concat();
    let ended = Launch::reader(lab, &args).start().wait().code(0);
    let text = String::from_utf8(ended.out).expect("text");
    text.strip_suffix('\n').expect("a line").to_owned()
}

/// Twelve seconds of video on their way into [`KEY`], of which five parts are there.
#[derive(Debug)]
pub struct Growing<'a> {
    pub data: Vec<u8>,
    lab: &'a Lab,
    id: String,
    etags: Vec<String>,
}

impl<'a> Growing<'a> {
    pub fn begin(lab: &'a Lab) -> Self {
        let data = video(12, GOOD);
        assert!(data.len() > 6 * PART, "{} bytes", data.len());
        let id = lab.begin(KEY);
        let parts = (1..).zip(data.chunks(PART)).take(5);
        let etags = parts.map(|(number, part)| lab.part(KEY, &id, number, part)).collect();
        Self { data, lab, id, etags }
    }

    /// The rest comes, and it is complete.
    pub fn complete(&mut self) {
        for (number, part) in (1..).zip(self.data.chunks(PART)).skip(5) {
            self.etags.push(self.lab.part(KEY, &self.id, number, part));
        }
        self.lab.complete(KEY, &self.id, &self.etags);
    }
}

/// `reader --serve` on a free port.
#[derive(Debug)]
pub struct Gateway {
    pub run: Run,
    address: String,
}

impl Gateway {
    /// In front of `lab`, with more arguments.
    pub fn start(lab: &Lab, more: &[&str]) -> Self {
        Self::of(Launch::reader(lab, &[&["--serve", "127.0.0.1:0"], more].concat()))
    }

    /// In front of what is between it and the store.
    pub fn through(lab: &Lab, endpoint: &str, more: &[&str]) -> Self {
        let launch = Launch::reader(lab, &[&["--serve", "127.0.0.1:0"], more].concat());
        Self::of(launch.env("AWS_ENDPOINT_URL", endpoint))
    }

    pub fn of(launch: Launch) -> Self {
        let mut run = launch.start();
        let line = await_some("the address of the gateway", || {
            let text = String::from_utf8(run.output()).expect("text");
            assert!(run.is_running() || text.ends_with('\n'), "{}", run.messages());
            text.ends_with('\n').then_some(text)
        });
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        Self { address: address.expect("http://HOST:PORT/").to_owned(), run }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks, and reads the answer to its end.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut viewer = self.begin(method, path, headers);
        viewer.read_to_end();
        viewer.answer(method)
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// The same of [`KEY`], and of a range.
    pub fn range(&self, range: &str) -> Answer {
        self.get(&format!("/watch?v={KEY}"), &[("range", range)])
    }

    /// Asks in the background.
    pub fn view(&self, path: &str, headers: &[(&str, &str)]) -> JoinHandle<Answer> {
        let mut viewer = self.begin("GET", path, headers);
        std::thread::spawn(move || {
            viewer.read_to_end();
            viewer.answer("GET")
        })
    }

    /// Asks, and leaves the reading to the test.
    pub fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Viewer {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {}\r\n", self.address));
        }
        self.send(&format!("{head}connection: close\r\n\r\n"))
    }

    /// Sends `body` to a place.
    pub fn put(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut viewer = self.begin("PUT", path, &[headers, &[("content-length", &length)]].concat());
        // It may be refused before all of it is sent.
        let _ = viewer.stream.write_all(body);
        viewer.read_to_end();
        viewer.answer("PUT")
    }

    /// Asks, and takes the answer for JSON.
    #[track_caller]
    pub fn json(&self, path: &str, headers: &[(&str, &str)]) -> serde_json::Value {
        let answer = self.get(path, headers);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Sends these bytes on a connection of their own.
    pub fn send(&self, bytes: &str) -> Viewer {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.write_all(bytes.as_bytes()).expect("send");
        Viewer { stream, got: Vec::new(), reset: false }
    }

    /// Ends it by a signal.
    pub fn end(self, signal: &str) -> Outcome {
        self.run.signal(signal);
        self.run.wait()
    }
}

/// A connection, and what has come over it.
#[derive(Debug)]
pub struct Viewer {
    pub stream: TcpStream,
    pub got: Vec<u8>,
    /// It did not end, but was reset.
    pub reset: bool,
}

impl Viewer {
    /// Reads until the other end closes.
    #[track_caller]
    pub fn read_to_end(&mut self) {
        if let Err(error) = self.stream.read_to_end(&mut self.got) {
            assert!(!matches!(error.kind(), std::io::ErrorKind::WouldBlock), "no end: {} bytes", self.got.len());
            self.reset = true;
        }
    }

    /// Reads until there is at least so much after the head.
    #[track_caller]
    pub fn read_body(&mut self, least: usize) {
        let mut buffer = vec![0; 1 << 16];
        while self.answer("GET").body.len() < least {
            let count = self.stream.read(&mut buffer).expect("bytes in time");
            assert!(count > 0, "it ended after {} bytes", self.got.len());
            self.got.extend_from_slice(&buffer[..count]);
        }
    }

    /// What has come so far, as an answer.
    pub fn answer(&self, method: &str) -> Answer {
        let end = self.got.windows(4).position(|window| window == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&self.got[..end.unwrap_or(self.got.len())]).into_owned();
        let rest = &self.got[end.map_or(self.got.len(), |end| end + 4)..];
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = Answer { status, head, body: rest.to_vec(), whole: !self.reset && end.is_some() };
        if answer.header("transfer-encoding").as_deref() == Some("chunked") {
            (answer.body, answer.whole) = unchunked(rest);
        } else if let Some(length) = answer.header("content-length").filter(|_| method != "HEAD") {
            answer.whole &= length.parse() == Ok(rest.len());
        }
        answer
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// It came to its own end.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// What is in chunks, and whether the last one came.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("the size of a chunk");
        if size == 0 {
            return (body, true);
        }
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}
