//! A writer of many streams that is administered over HTTP, and somebody whom it asks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

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

/// Answers one question with these words; gives its head and body.
pub fn answer_one(listener: &TcpListener, answer: &str) -> (String, String) {
    let (mut stream, _) = listener.accept().expect("somebody asks");
    let (mut asked, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).expect("a question");
        assert!(count > 0, "{asked}");
        asked.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
        if let Some((head, body)) = asked.split_once("\r\n\r\n") {
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let length: usize = field("content-length: ").and_then(|length| length.parse().ok()).expect("a length");
            if body.len() == length {
                stream.write_all(answer.as_bytes()).expect("an answer");
                return (head.to_owned(), body.to_owned());
            }
        }
    }
}
