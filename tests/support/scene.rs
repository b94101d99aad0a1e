//! A store with a network in front of it, the tools beyond that, and a hand on both.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::proxy::Proxy;
use super::s3::{self, Ask};
use super::{BUCKET, Store, Tool};

/// The object.
pub const KEY: &str = "live/stream.mp4";
/// What a reader may ask by.
pub const MODES: [&str; 2] = ["range", "part"];

/// For the calls of an S3 client, outside of which the tests wait in blocking calls.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// A store, and the network to it.
pub struct Scene {
    pub store: Store,
    pub network: Proxy,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(Store::start())
    }

    /// The same with TLS all the way.
    pub fn with_tls() -> Self {
        Self::with(Store::with_tls(&[]))
    }

    fn with(store: Store) -> Self {
        let network = Proxy::before(store.endpoint());
        Self { store, network }
    }

    /// A writer beyond the network, and the thread that feeds it and gives its input back.
    pub fn writer(&self, more: &[&str], data: &[u8]) -> (Tool, JoinHandle<ChildStdin>) {
        let args = [&[KEY, "-s", "5000000", "--endpoint-url", self.network.endpoint()], more].concat();
        let mut writer = Tool::writer(&self.store, &args);
        let (mut stdin, data) = (writer.stdin.take().expect("its input"), data.to_vec());
        let feeder = std::thread::spawn(move || {
            // A writer that has failed takes no more.
            drop(stdin.write_all(&data));
            stdin
        });
        (writer, feeder)
    }

    /// A reader beyond the network that writes to a file.
    pub fn reader(&self, more: &[&str]) -> (Tool, PathBuf) {
        let file = self.store.dir().join("copy");
        let fixed = [KEY, "copy", "--poll-interval", "20ms", "--endpoint-url", self.network.endpoint()];
        (Tool::reader(&self.store, &[&fixed, more].concat()), file)
    }

    pub fn object(&self) -> Vec<u8> {
        RUNTIME.block_on(s3::get(&self.store.client(), KEY, None, Ask::All, false)).expect("the object").body
    }

    /// Starts an upload beside the network.
    pub fn begin(&self) -> String {
        RUNTIME.block_on(s3::start(&self.store.client(), KEY))
    }

    pub fn part(&self, id: &str, number: i32, data: &[u8]) -> String {
        RUNTIME.block_on(s3::part(&self.store.client(), KEY, id, number, data)).expect("a part")
    }

    pub fn complete(&self, id: &str, etags: &[String]) {
        let parts: Vec<_> = (1..).zip(etags.iter().map(String::as_str)).collect();
        RUNTIME.block_on(s3::complete(&self.store.client(), KEY, id, &parts)).expect("complete");
    }

    pub fn open_uploads(&self) -> usize {
        let client = self.store.client();
        let list = RUNTIME.block_on(client.list_multipart_uploads().bucket(BUCKET).send()).expect("a list");
        list.uploads().len()
    }
}

pub fn length(file: &Path) -> usize {
    std::fs::metadata(file).map_or(0, |found| usize::try_from(found.len()).expect("a small file"))
}

/// Waits until the file has this many bytes.
#[track_caller]
pub fn wait_length(file: &Path, least: usize) {
    let began = Instant::now();
    while length(file) < least {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {least} bytes in the file", length(file));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says where they differ instead of printing them.
#[track_caller]
pub fn assert_same(have: &[u8], want: &[u8], log: &str) {
    let same = have.iter().zip(want).take_while(|(a, b)| a == b).count();
    assert!(have == want, "{} bytes instead of {}, different from {same} on\n{log}", have.len(), want.len());
}
