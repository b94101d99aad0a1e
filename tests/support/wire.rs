//! What goes over the wire: a listener in between that hands everything on and remembers what the client sent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A listener in front of a store.
#[derive(Debug)]
pub struct Wire {
    endpoint: String,
    /// What each connection carried.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    first: Arc<Mutex<Option<Instant>>>,
}

impl Wire {
    /// Hands everything on to `endpoint`.
    pub fn before(endpoint: &str) -> Self {
        let target = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (sent, first) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::<Mutex<Option<Instant>>>::default());
        let (told, began) = (Arc::clone(&sent), Arc::clone(&first));
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(&target) else { return };
                let (from_client, to_server) =
                    (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (told, began) = (Arc::clone(&told), Arc::clone(&began));
                std::thread::spawn(move || {
                    pass(from_client, to_server, |bytes| {
                        began.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        let length = told.len().max(number + 1);
                        told.resize_with(length, Vec::new);
                        told[number].extend_from_slice(bytes);
                    });
                });
                std::thread::spawn(move || pass(server, client, |_| {}));
            }
        });
        Self { endpoint, sent, first }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Heads of the requests so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = sent.iter().map(|bytes| String::from_utf8_lossy(bytes).to_lowercase());
        let head = |piece: &str| {
            let line = piece.find(" http/1.1\r\n")?;
            // The body of the request before may stand in front of it.
            let methods = ["get /", "head /", "put /", "post /", "delete /"];
            let start = methods.iter().filter_map(|method| piece[..line].rfind(method)).max()?;
            Some(piece[start..].to_owned())
        };
        texts.flat_map(|text| text.split("\r\n\r\n").filter_map(head).collect::<Vec<_>>()).collect()
    }

    /// When the first byte came.
    pub fn first(&self) -> Option<Instant> {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        look(&buffer[..count]);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}

/// A server that gives this answer to every request without a body; gives its address.
pub fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
                match client.read(&mut buffer) {
                    Ok(count) if count > 0 => asked.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            // A client that has gone away wants no answer.
            let answer =
                if asked.starts_with(b"HEAD") { answer.split_inclusive("\r\n\r\n").next() } else { Some(&*answer) };
            let _ = client.write_all(answer.unwrap_or_default().as_bytes());
        }
    });
    endpoint
}
