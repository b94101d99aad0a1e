//! Sits in a pipe: passes the bytes on, and counts, hashes and times them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::lag::Mark;

const READ_SIZE: usize = 64 * 1024;

pub(crate) struct Tap {
    epoch: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marks: Vec<Mark>,
    hash: Sha256,
}

impl Tap {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes, recorded; empty at the end.
    pub(crate) async fn read(&self, from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(READ_SIZE);
        from.read_buf(&mut bytes).await?;
        if !bytes.is_empty() {
            let at = self.epoch.elapsed();
            let mut state = self.state();
            let end = state.marks.last().map_or(0, |m| m.end) + bytes.len() as u64;
            state.marks.push(Mark { end, at });
            state.hash.update(&bytes);
        }
        Ok(bytes)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state().marks.last().map_or(0, |m| m.end)
    }

    /// Bytes that had passed by then.
    pub(crate) fn bytes_at(&self, at: Duration) -> u64 {
        let state = self.state();
        let passed = state.marks.partition_point(|m| m.at <= at);
        passed.checked_sub(1).and_then(|last| state.marks.get(last)).map_or(0, |m| m.end)
    }

    pub(crate) fn first(&self) -> Option<Duration> {
        self.state().marks.first().map(|m| m.at)
    }

    pub(crate) fn last(&self) -> Option<Duration> {
        self.state().marks.last().map(|m| m.at)
    }

    pub(crate) fn with_marks<T>(&self, use_them: impl FnOnce(&[Mark]) -> T) -> T {
        use_them(&self.state().marks)
    }

    pub(crate) fn sha256(&self) -> String {
        hex::encode(self.state().hash.clone().finalize())
    }
}
