//! A writer of many streams that is administered over HTTP, and somebody whom it asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::run::Run;

/// Where it says that it is administered.
pub fn address_of(writer: &Run) -> String {
    let said = writer.wait_for("administered at http://");
    let address = said.split("administered at http://").nth(1).and_then(|rest| rest.split('/').next());
    address.expect("an address").to_owned()
}

/// A request, with what else it has in its head, and the answer to it: status, head and body.
pub fn request(address: &str, line: &str, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let text = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

/// The same without a token, and JSON back.
pub fn ask(address: &str, line: &str, body: &Value) -> (u16, Value) {
    let (status, _, answer) = request(address, line, "", &body.to_string());
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// Somebody who is asked and told by HTTP, until it is dropped.
pub struct Hook {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<(String, String)>>>,
    is_over: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

impl Hook {
    /// Answers as it is told to, by the body of what came and how often that was asked before; with nothing where that is empty.
    pub fn new(answer: impl Fn(&str, usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (heard, is_over) = (Arc::<Mutex<Vec<(String, String)>>>::default(), Arc::<AtomicBool>::default());
        let (hears, stops) = (heard.clone(), is_over.clone());
        let answering = std::thread::spawn(move || {
            // Whoever is not answered keeps his connection.
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                if stops.load(Relaxed) {
                    return;
                }
                let mut stream = stream.expect("somebody asks");
                let asked = question(&mut stream);
                let before = hears.lock().unwrap().iter().filter(|(_, body)| *body == asked.1).count();
                let said = answer(&asked.1, before);
                hears.lock().unwrap().push(asked);
                if said.is_empty() {
                    silent.push(stream);
                } else {
                    stream.write_all(said.as_bytes()).expect("an answer");
                }
            }
        });
        Self { address, heard, is_over, answering: Some(answering) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/may?x=y", self.address)
    }

    /// Heads and bodies of all that came.
    pub fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap().clone()
    }

    /// What came as JSON of these events, in order.
    pub fn events(&self, names: &[&str]) -> Vec<Value> {
        let heard = self.heard().into_iter().map(|(_, body)| serde_json::from_str(&body).expect("JSON"));
        heard.filter(|event: &Value| names.iter().any(|name| event["event"] == *name)).collect()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        drop(TcpStream::connect(self.address));
        drop(self.answering.take().map(JoinHandle::join));
    }
}

/// An answer with this status and body.
pub fn answer_of(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Head and body of a request.
fn question(stream: &mut TcpStream) -> (String, String) {
    let (mut asked, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).expect("a question");
        assert!(count > 0, "{asked}");
        asked.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
        if let Some((head, body)) = asked.split_once("\r\n\r\n") {
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let length: usize = field("content-length: ").and_then(|length| length.parse().ok()).expect("a length");
            if body.len() == length {
                return (head.to_owned(), body.to_owned());
            }
        }
    }
}
