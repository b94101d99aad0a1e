//! An HTTP proxy as companies have them: it takes whole addresses and CONNECT, and leads all of them to one place.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The proxy. Its threads end with the test's process.
pub struct Forward {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Forward {
    /// Whatever is asked for, it comes from `endpoint` (`http://HOST:PORT`).
    pub fn to(endpoint: &str) -> Self {
        let target = endpoint.split_once("://").map_or(endpoint, |(_, target)| target).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&heads);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, target, told) = (client.expect("a connection"), target.clone(), Arc::clone(&told));
                // A client that goes away is none of the proxy's business.
                std::thread::spawn(move || drop(serve(client, &target, &told)));
            }
        });
        Self { address, heads }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The first head of each connection, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, target: &str, told: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        asked.extend(byte);
    }
    let head = String::from_utf8_lossy(&asked).to_lowercase();
    let tunnel = head.starts_with("connect ");
    told.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let mut server = TcpStream::connect(target)?;
    if tunnel {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        server.write_all(&asked)?;
    }
    let (mut up_from, mut up_to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up_from, &mut up_to);
        let _ = up_to.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
