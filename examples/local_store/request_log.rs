//! What was asked and answered: a line of JSON for each request, and counts that tests can ask for.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::disk::now_ms;
use crate::operation::Operation;

/// Numbers of answers by operation and status; a request that got no answer counts as `lost`.
type Table = BTreeMap<&'static str, BTreeMap<String, u64>>;

#[derive(Debug, Default)]
struct Counts {
    plain: Table,
    live: Table,
}

/// The log and the counts.
#[derive(Debug, Default)]
pub struct RequestLog {
    file: Option<Mutex<File>>,
    counts: Mutex<Counts>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl RequestLog {
    /// Appends to the file at `path`, if any.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path).map(Mutex::new);
        Ok(Self { file: path.map(open).transpose()?, ..Self::default() })
    }

    /// All counts since the start or the last reset.
    pub fn counts(&self) -> Value {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "operations": counts.plain,
            "live": counts.live,
            "bytes_in": self.bytes_in.load(Ordering::Relaxed),
            "bytes_out": self.bytes_out.load(Ordering::Relaxed),
        })
    }

    /// Sets all counts to zero.
    pub fn reset(&self) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
        self.bytes_in.store(0, Ordering::Relaxed);
        self.bytes_out.store(0, Ordering::Relaxed);
    }
}

/// One request on its way to the log, which it reaches when this is dropped.
#[derive(Debug)]
pub struct Record {
    log: Arc<RequestLog>,
    operation: Operation,
    started: Instant,
    started_ms: u64,
    /// `None`: the connection was closed instead of an answer.
    status: Option<u16>,
    code: Option<String>,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
}

impl Record {
    /// A request has come. `bytes_in` counts its body.
    pub fn new(log: Arc<RequestLog>, operation: Operation, bytes_in: Arc<AtomicU64>) -> Self {
        let (started, started_ms) = (Instant::now(), now_ms());
        Self { log, operation, started, started_ms, status: None, code: None, bytes_in, bytes_out: 0 }
    }

    /// What was asked.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// What will be answered. Counts at once, so that a client that has its answer finds it counted.
    pub fn answered(&mut self, status: Option<u16>, code: Option<String>) {
        self.status = status;
        self.code = code;
        let mut counts = self.log.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let table = if self.operation.live { &mut counts.live } else { &mut counts.plain };
        let status = status.map_or_else(|| "lost".to_owned(), |status| status.to_string());
        *table.entry(self.operation.name).or_default().entry(status).or_default() += 1;
    }

    /// Bytes of the answer's body have been handed to the connection.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let bytes_in = self.bytes_in.load(Ordering::Relaxed);
        self.log.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.log.bytes_out.fetch_add(self.bytes_out, Ordering::Relaxed);
        let operation = &self.operation;
        tracing::debug!(
            "{} {:?} {:?} part {:?} range {:?} live {}: {:?} {:?}",
            operation.name,
            operation.bucket,
            operation.key,
            operation.part_number,
            operation.range,
            operation.live,
            self.status,
            self.code,
        );
        let Some(file) = &self.log.file else { return };
        let line = json!({
            "time_ms": self.started_ms,
            "method": operation.method,
            "operation": operation.name,
            "bucket": operation.bucket,
            "key": operation.key,
            "part_number": operation.part_number,
            "upload_id": operation.upload_id,
            "version_id": operation.version_id,
            "range": operation.range,
            "live": operation.live,
            "content_md5": operation.content_md5,
            "status": self.status,
            "error": self.code,
            "bytes_in": bytes_in,
            "bytes_out": self.bytes_out,
            "duration_ms": self.started.elapsed().as_secs_f64() * 1000.0,
        });
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!("cannot write to the request log: {error}");
        }
    }
}
