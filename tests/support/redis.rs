//! A Redis of the test's own, from Debian's package.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::present;
use super::run::await_that;

/// Killed when it is dropped.
#[derive(Debug)]
pub struct Redis(Child, u16);

impl Redis {
    /// `None`, said, where no Redis is installed. Under CI it has to be.
    pub fn start() -> Option<Self> {
        if !present("redis-check-rdb", &["--version"]) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
        // One program does what it is called. Debian's redis-tools has it by this name; its redis-server would start a service.
        let mut command = Command::new("redis-check-rdb");
        command.arg0("redis-server").args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            "s3cret",
        ]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis-server");
        let server = Self(child, port);
        await_that("redis-server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(server)
    }

    /// Its address, with the password `s3cret`.
    pub fn url(&self) -> String {
        format!("redis://:s3cret@127.0.0.1:{}/0", self.1)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
