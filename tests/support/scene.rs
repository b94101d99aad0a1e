//! A store with a network in front of it, and the tools beyond that, on one object.

use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::thread::JoinHandle;

use super::lab::Lab;
use super::proxy::Proxy;
use super::run::{Run, await_that};

/// The object.
pub const KEY: &str = "live/stream.mp4";
/// What a reader may ask by.
pub const MODES: [&str; 2] = ["range", "part"];

/// A store, and the network to it.
pub struct Scene {
    lab: Lab,
    pub network: Proxy,
}

impl Deref for Scene {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Scene {
    pub fn new() -> Self {
        Self::with(Lab::new())
    }

    /// The same with TLS all the way.
    pub fn with_tls() -> Self {
        Self::with(Lab::with_tls())
    }

    fn with(lab: Lab) -> Self {
        let network = Proxy::before(lab.endpoint());
        Self { lab, network }
    }

    /// A writer beyond the network, and the thread that feeds it and gives its input back.
    pub fn writer(&self, more: &[&str], data: &[u8]) -> (Run, JoinHandle<ChildStdin>) {
        let args = [&[KEY, "-s", "5000000", "--endpoint-url", self.network.endpoint()], more].concat();
        let mut writer = self.lab.writer(&args);
        let (mut stdin, data) = (writer.stdin.take().expect("its input"), data.to_vec());
        let feeder = std::thread::spawn(move || {
            // A writer that has failed takes no more.
            drop(stdin.write_all(&data));
            stdin
        });
        (writer, feeder)
    }

    /// A reader beyond the network that writes to a file.
    pub fn reader(&self, more: &[&str]) -> (Run, PathBuf) {
        let fixed = [KEY, "copy", "--endpoint-url", self.network.endpoint()];
        (self.lab.reader(&[&fixed, more].concat()), self.copy())
    }

    /// The reader's file.
    pub fn copy(&self) -> PathBuf {
        self.dir().join("copy")
    }

    pub fn object(&self) -> Vec<u8> {
        self.lab.object(KEY).expect("the object")
    }

    /// Starts an upload beside the network.
    pub fn begin(&self) -> String {
        self.lab.begin(KEY)
    }

    pub fn part(&self, id: &str, number: i32, data: &[u8]) -> String {
        self.lab.part(KEY, id, number, data)
    }

    /// Stores these bytes in parts, from number 1 on; gives the ETags.
    pub fn parts(&self, id: &str, data: &[u8]) -> Vec<String> {
        (1..).zip(data.chunks(super::PART)).map(|(number, part)| self.part(id, number, part)).collect()
    }

    pub fn complete(&self, id: &str, etags: &[String]) {
        self.lab.complete(KEY, id, etags);
    }

    pub fn open_uploads(&self) -> usize {
        self.all_open().len()
    }
}

/// Waits until the file has this many bytes.
#[track_caller]
pub fn wait_length(file: &Path, least: usize) {
    await_that(&format!("{least} bytes in {}", file.display()), || {
        std::fs::metadata(file).is_ok_and(|found| found.len() >= least as u64)
    });
}
