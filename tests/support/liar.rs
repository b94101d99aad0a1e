//! A server that answers each request as a script tells it, over a raw socket, so that any lie can be told; alone, or in
//! front of a real store that answers what the script passes on.
//!
//! ```ignore
//! // Every completion is answered 200 with an error inside, the first time.
//! let liar = Liar::before(store.endpoint(), |asked| match asked.op {
//!     Op::Complete if asked.nth == 0 => Play::Answer(Answer::error(200, "InternalError", "Try again.")),
//!     _ => Play::Pass,
//! });
//! let writer = Launch::writer(&store, &["k", "--endpoint-url", liar.endpoint()]).start();
//! ```

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What a request wants of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    HeadBucket,
    HeadObject,
    GetObject,
    ListUploads,
    ListParts,
    ListObjects,
    Create,
    Part,
    Complete,
    Abort,
    Put,
    Other,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it wants.
    pub op: Op,
    /// How many of the same [`Op`] came before it.
    pub nth: usize,
    /// `GET`.
    pub method: String,
    /// The key, decoded.
    pub key: String,
    /// Path and query as they came.
    pub target: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    /// All of its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A parameter of the query, decoded; empty where it has no value.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// First and last byte asked for.
    pub fn range(&self) -> Option<(u64, u64)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }

    /// Whether it asks for data of an open upload.
    pub fn is_live(&self) -> bool {
        self.header("x-backblaze-live-read-enabled").is_some()
    }
}

/// What comes after the bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The next request on this connection.
    Next,
    /// The connection is closed.
    Close,
    /// Nothing, and the connection stays open.
    Silence,
    /// These bytes again and again, for as long as anyone takes them.
    Endless(Vec<u8>),
}

/// An answer to be sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Sent as it is in place of everything else.
    raw: Option<Vec<u8>>,
    /// The status.
    pub status: u16,
    /// The headers, without the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What `Content-Length` says; `None` for no such header.
    declared: Option<u64>,
    /// How much of the body is really sent.
    sent: usize,
    then: Then,
}

impl Answer {
    /// A status without a body.
    pub fn new(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { raw: None, status, headers, body, declared: Some(0), sent: usize::MAX, then: Then::Next }
    }

    /// An answer of XML.
    pub fn xml(status: u16, text: &str) -> Self {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
        Self::new(status).header("content-type", "application/xml").body(text)
    }

    /// An error as S3 states it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::xml(status, &format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
    }

    /// The page of something that is no store.
    pub fn html(status: u16) -> Self {
        let page = "<html><body>Please log in.</body></html>";
        Self::new(status).header("content-type", "text/html").body(page)
    }

    /// These bytes, head and all, and then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), then: Then::Close, ..Self::new(200) }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Without a header, named in lower case.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self
    }

    /// With this body, and its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.declared = Some(self.body.len() as u64);
        self
    }

    /// `Content-Length` says this, whatever is sent.
    pub fn declares(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// No `Content-Length`; the end of the connection is the end of the body.
    pub fn without_length(mut self) -> Self {
        (self.declared, self.then) = (None, Then::Close);
        self.header("connection", "close")
    }

    /// Only this much of the body is sent, and then the connection is closed.
    pub fn cut(mut self, after: usize) -> Self {
        (self.sent, self.then) = (after, Then::Close);
        self
    }

    /// What comes after it.
    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    fn bytes(&self, head_only: bool) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        head.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        // These may not have a length.
        if !matches!(self.status, 100..=199 | 204 | 304) {
            head.extend(self.declared.map(|length| format!("content-length: {length}\r\n")));
        }
        head.push_str("\r\n");
        let sent = if head_only { 0 } else { self.body.len().min(self.sent) };
        [head.as_bytes(), &self.body[..sent]].concat()
    }
}

/// What is to be done with a request.
pub enum Play {
    /// The real store answers.
    Pass,
    /// This is the answer; the real store hears nothing.
    Answer(Answer),
    /// The real store does as it is asked, and its answer is changed on its way.
    Change(Box<dyn FnOnce(Answer) -> Answer>),
}

impl Play {
    /// Changes the real store's answer.
    pub fn change(change: impl FnOnce(Answer) -> Answer + 'static) -> Self {
        Self::Change(Box::new(change))
    }
}

type Script = dyn Fn(&Asked) -> Play + Send + Sync;

/// The server. Its threads end with the test's process.
pub struct Liar {
    endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    store: Option<String>,
    asked: Mutex<Vec<Asked>>,
    sent: AtomicU64,
}

impl Liar {
    /// Answers every request by `script`.
    pub fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(None, Box::new(move |asked| Play::Answer(script(asked))))
    }

    /// Stands in front of the store at `endpoint` (`http://HOST:PORT`).
    pub fn before(endpoint: &str, script: impl Fn(&Asked) -> Play + Send + Sync + 'static) -> Self {
        Self::listen(Some(endpoint.trim_start_matches("http://").to_owned()), Box::new(script))
    }

    fn listen(store: Option<String>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared { script, store, asked: Mutex::default(), sent: AtomicU64::new(0) });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (shared, client) = (Arc::clone(&serving), client.expect("a connection"));
                // A client that goes away in the middle of an answer is none of the server's business.
                std::thread::spawn(move || drop(shared.serve(&client)));
            }
        });
        Self { endpoint, shared }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked().clone()
    }

    /// How many requests of this kind have come so far.
    pub fn count(&self, op: Op) -> usize {
        self.shared.asked().iter().filter(|asked| asked.op == op).count()
    }

    /// Bytes that clients have taken so far (or their systems for them).
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Relaxed)
    }
}

impl Shared {
    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: &TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client);
        while let Some((head, asked)) = self.receive(&mut reader, client)? {
            let answer = match (self.script)(&asked) {
                Play::Answer(answer) => answer,
                Play::Pass => self.pass_on(&head, &asked)?,
                Play::Change(change) => change(self.pass_on(&head, &asked)?),
            };
            self.send(client, &answer.bytes(asked.method == "HEAD"))?;
            match &answer.then {
                Then::Next => {}
                Then::Close => return Ok(()),
                // Until the client has had enough.
                Then::Silence => return reader.read_to_end(&mut Vec::new()).map(drop),
                Then::Endless(bytes) => loop {
                    self.send(client, bytes)?;
                },
            }
        }
        Ok(())
    }

    fn send(&self, mut client: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(1 << 16) {
            client.write_all(piece)?;
            self.sent.fetch_add(piece.len() as u64, Relaxed);
        }
        Ok(())
    }

    /// The next request with its head as it came; `None` when the client is done.
    fn receive(&self, reader: &mut impl BufRead, mut client: &TcpStream) -> std::io::Result<Option<(String, Asked)>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(None);
            }
        }
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        if headers.contains_key("expect") {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: HashMap<String, String> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let key = decoded(path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
        let has = |name: &str| query.contains_key(name);
        let op = match (method, key.is_empty()) {
            ("HEAD", true) => Op::HeadBucket,
            ("HEAD", false) => Op::HeadObject,
            ("GET", true) if has("uploads") => Op::ListUploads,
            ("GET", true) => Op::ListObjects,
            ("GET", false) if has("uploadId") => Op::ListParts,
            ("GET", false) => Op::GetObject,
            ("POST", false) if has("uploads") => Op::Create,
            ("POST", false) if has("uploadId") => Op::Complete,
            ("PUT", false) if has("uploadId") => Op::Part,
            ("PUT", false) => Op::Put,
            ("DELETE", false) if has("uploadId") => Op::Abort,
            _ => Op::Other,
        };
        let mut all = self.asked();
        let nth = all.iter().filter(|asked| asked.op == op).count();
        let (method, target) = (method.to_owned(), target.to_owned());
        let asked = Asked { op, nth, method, key, target, query, headers, body };
        // Nobody looks at the bodies of parts afterwards, and they are long.
        let body = if op == Op::Part { Vec::new() } else { asked.body.clone() };
        all.push(Asked { body, ..asked.clone() });
        Ok(Some((head, asked)))
    }

    /// What the real store answers.
    fn pass_on(&self, head: &str, asked: &Asked) -> std::io::Result<Answer> {
        let store = self.store.as_ref().expect("a store to pass it on to");
        let mut server = TcpStream::connect(store)?;
        let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1).replace("expect: 100-continue\r\n", "");
        server.write_all(head.as_bytes())?;
        server.write_all(&asked.body)?;
        let mut reader = BufReader::new(server);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(502);
        let mut answer = Answer::new(status);
        let (mut length, mut chunked) = (None, false);
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { continue };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().ok(),
                "transfer-encoding" => chunked = true,
                "connection" => {}
                name => answer = answer.header(name, value),
            }
        }
        let mut body = Vec::new();
        // What the store breaks off, is broken off.
        drop(reader.read_to_end(&mut body));
        let length = if chunked { None } else { length };
        let answer = answer.body(if chunked { unchunked(&body) } else { body });
        Ok(match length {
            Some(length) if asked.method == "HEAD" || answer.body.len() as u64 == length => answer.declares(length),
            Some(length) => answer.declares(length).then(Then::Close),
            None => answer,
        })
    }
}

/// A body without the frames of `Transfer-Encoding: chunked`.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = String::from_utf8_lossy(&rest[..end]);
        let Ok(length) = usize::from_str_radix(length.split(';').next().unwrap_or_default(), 16) else { break };
        let from = end + 2;
        let Some(piece) = rest.get(from..from + length).filter(|piece| !piece.is_empty()) else { break };
        body.extend_from_slice(piece);
        rest = rest.get(from + length + 2..).unwrap_or_default();
    }
    body
}

/// Without the percent signs of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
