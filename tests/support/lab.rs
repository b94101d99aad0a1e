//! A store with somebody at its controls: what an S3 tool would do beside `writer` and `reader`, in blocking calls.

use std::ops::{Deref, DerefMut};

use aws_sdk_s3::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::run::{Launch, Run, await_some, await_that};
use super::{BUCKET, Store, s3};

/// A [`Store`], a client of it, and something to run the client on.
#[derive(Debug)]
pub struct Lab {
    store: Store,
    client: Client,
    runtime: Runtime,
}

impl Deref for Lab {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}

impl Lab {
    /// A store with nothing in it.
    pub fn new() -> Self {
        Self::with_args(&[])
    }

    /// The same with more arguments.
    pub fn with_args(args: &[&str]) -> Self {
        Self::with(Store::with_args(args))
    }

    /// The same with TLS.
    pub fn with_tls() -> Self {
        Self::with(Store::with_tls(&[]))
    }

    fn with(store: Store) -> Self {
        let client = store.client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { store, client, runtime }
    }

    /// Runs a request, or several.
    pub fn run<T>(&self, requests: impl Future<Output = T>) -> T {
        self.runtime.block_on(requests)
    }

    /// Starts a `writer`.
    pub fn writer(&self, args: &[&str]) -> Run {
        Launch::writer(self, args).start()
    }

    /// Starts a `reader`.
    pub fn reader(&self, args: &[&str]) -> Run {
        Launch::reader(self, args).start()
    }

    /// Starts a Live Read upload with the smallest part size.
    pub fn begin(&self, key: &str) -> String {
        self.runtime.block_on(s3::start(&self.client, key))
    }

    /// The same of one of the objects of a recording (`--rollover`).
    pub fn begin_piece(&self, key: &str, recording: &str) -> String {
        self.runtime.block_on(s3::start_piece(&self.client, key, recording))
    }

    /// Starts an upload that is not for Live Read.
    pub fn begin_plain(&self, key: &str) -> String {
        self.runtime.block_on(s3::start_with(&self.client, key, &[])).expect("an upload")
    }

    /// Stores a part; gives its ETag.
    pub fn part(&self, key: &str, id: &str, number: i32, body: &[u8]) -> String {
        self.runtime.block_on(s3::part(&self.client, key, id, number, body)).expect("a part")
    }

    /// Completes an upload out of these parts, from number 1 on.
    pub fn complete(&self, key: &str, id: &str, etags: &[String]) {
        let parts: Vec<(i32, &str)> = (1..).zip(etags.iter().map(String::as_str)).collect();
        self.runtime.block_on(s3::complete(&self.client, key, id, &parts)).expect("complete");
    }

    /// Aborts an upload.
    pub fn abort(&self, key: &str, id: &str) {
        self.runtime.block_on(s3::abort(&self.client, key, id));
    }

    /// Puts an object.
    pub fn put(&self, key: &str, body: &[u8]) -> String {
        self.runtime.block_on(s3::put(&self.client, key, body))
    }

    /// The finished object, if there is one.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        let got = self.runtime.block_on(s3::get(&self.client, key, None, s3::Ask::All, false));
        got.ok().map(|got| got.body)
    }

    /// Ids of the open uploads of exactly `key`.
    pub fn open(&self, key: &str) -> Vec<String> {
        let uploads = self.all_open().into_iter();
        uploads.filter(|(found, _)| found == key).map(|(_, id)| id).collect()
    }

    /// All keys of the private bucket, those of older versions among them.
    pub fn keys(&self) -> Vec<String> {
        let listed = self.run(self.client.list_object_versions().bucket(BUCKET).send()).expect("a list");
        let (versions, marks) = (listed.versions().iter(), listed.delete_markers().iter());
        let mut keys: Vec<String> = versions.filter_map(|version| version.key().map(str::to_owned)).collect();
        keys.extend(marks.filter_map(|mark| mark.key().map(str::to_owned)));
        keys.sort();
        keys.dedup();
        keys
    }

    /// Keys and ids of all open uploads of the private bucket.
    pub fn all_open(&self) -> Vec<(String, String)> {
        let request = self.client.list_multipart_uploads().bucket(BUCKET).send();
        let answer = self.runtime.block_on(request).expect("the open uploads");
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        answer.uploads().iter().map(|upload| (text(upload.key()), text(upload.upload_id()))).collect()
    }

    /// Waits until an upload of `key` is open.
    pub fn wait_open(&self, key: &str) -> String {
        await_some("an open upload", || self.open(key).pop())
    }

    /// Sizes of the parts of an upload, by rising number.
    pub fn parts(&self, key: &str, id: &str) -> Vec<i64> {
        let request = self.client.list_parts().bucket(BUCKET).key(key).upload_id(id).send();
        let answer = self.runtime.block_on(request).expect("the parts");
        answer.parts().iter().map(|part| part.size().unwrap_or_default()).collect()
    }

    /// Waits until so many parts are stored.
    pub fn wait_parts(&self, key: &str, id: &str, count: usize) {
        await_that("parts in the store", || self.parts(key, id).len() >= count);
    }

    /// How many answers of this status there were to requests of this operation.
    pub fn count(&self, live: bool, operation: &str, status: &str) -> u64 {
        let table = if live { "live" } else { "operations" };
        self.requests()[table][operation][status].as_u64().unwrap_or(0)
    }

    /// How many answers there were in all.
    pub fn count_all(&self) -> u64 {
        let requests = self.requests();
        let tables = ["live", "operations"].into_iter().filter_map(|table| requests[table].as_object());
        let numbers = tables.flat_map(|table| table.values()).filter_map(Value::as_object);
        numbers.flat_map(|statuses| statuses.values()).filter_map(Value::as_u64).sum()
    }

    /// Waits until a reader is at the live edge: it asks, and there is nothing.
    pub fn wait_for_edge(&self) {
        let before = self.count(true, "GetObject", "416");
        await_that("a live read that finds nothing new", || self.count(true, "GetObject", "416") > before);
    }

    /// Waits until a reader that waits for an upload has looked a few times more.
    pub fn wait_for_count_of_looks(&self) {
        let looks = || self.count(true, "GetObject", "404");
        let before = looks();
        await_that("a few looks of a reader that waits", || looks() >= before + 3);
    }
}
