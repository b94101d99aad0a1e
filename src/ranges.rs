//! A few ranges of an object that may still be growing, for whoever looks for a place in it.
//!
//! One request at a time, and each counts: this is for looks, not for copying. The reader of a range may stop it at any
//! byte; what has not come by then is not transferred.

use tokio::time::{sleep, timeout};

use crate::live_read::{MAX_PART_SIZE, MAX_PARTS};
use crate::part::PartSize;
use crate::prefetch::{Target, promised};
use crate::store::{Fetched, Kind, Piece, Store, StoreError};

/// The last byte that any upload can have. A live read up to there is answered with what there is.
const LAST: u64 = MAX_PART_SIZE * MAX_PARTS as u64 - 1;

/// Steps of a search for the live edge: more than enough for any number of parts.
const EDGE_STEPS: usize = 64;

/// Looks into one object.
#[derive(Debug)]
pub struct Ranges<'a> {
    store: &'a Store,
    /// What is looked into; pinned by the first answer that names a version.
    pub target: Target,
    /// The part size of the upload, once an answer named it.
    pub part_size: Option<u64>,
    /// When the upload was started, in seconds since 1970, once an answer told it.
    pub started: Option<i64>,
    /// Requests sent so far.
    pub requests: u32,
    /// Bytes of answers read so far.
    pub bytes: u64,
}

/// What came of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Bytes: all that is there ends before `end`, which is at most the end of the range.
    Data {
        /// Offset after the last byte of the range that is there.
        end: u64,
    },
    /// Nothing is there yet.
    Nothing,
    /// There is no such object, or it cannot be read live.
    Absent,
}

impl<'a> Ranges<'a> {
    /// Begins to look into an object.
    #[must_use]
    pub fn new(store: &'a Store, target: Target) -> Self {
        Self { store, target, part_size: None, started: None, requests: 0, bytes: 0 }
    }

    /// The object's name for messages.
    #[must_use]
    pub fn object(&self) -> String {
        self.store.object(&self.target.key)
    }

    /// Reads from byte `first` on, to byte `end` exclusive if one is given and else as far as there is anything, until
    /// `take` returns false. A connection that breaks is picked up where it broke.
    ///
    /// # Errors
    /// When the store refuses, or cannot be reached for too long.
    pub async fn read(
        &mut self,
        first: u64,
        end: Option<u64>,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<Answer, StoreError> {
        let mut last = end.map_or(LAST, |end| end.saturating_sub(1)).max(first);
        let mut at = first;
        let mut failures = self.target.retry.start();
        let patience = self.store.patience().body;
        loop {
            let piece = Piece::Range { first: at, last };
            self.requests = self.requests.saturating_add(1);
            tracing::debug!(first = at, last, "looking");
            let target = &self.target;
            let answer = self.store.fetch(&target.key, target.version.as_deref(), piece, target.live).await;
            let mut body = match answer {
                Ok(Fetched::Data(body)) => body,
                Ok(Fetched::NotYet) if at == first => return Ok(Answer::Nothing),
                Ok(Fetched::NotYet) => return Ok(Answer::Data { end: at }),
                Ok(Fetched::Absent) if self.target.live => {
                    // A finished object that was never a Live Read upload, on a store that minds.
                    self.target.live = false;
                    continue;
                }
                Ok(Fetched::Absent) => return Ok(Answer::Absent),
                Err(error) => {
                    sleep(failures.next_wait(error)?).await;
                    continue;
                }
            };
            self.part_size = self.part_size.or(body.part_size);
            self.started = self.started.or(body.modified);
            if self.target.version.is_none() {
                self.target.version = body.version.take();
            }
            let broken = match promised(&body, piece, at) {
                Err(cause) => cause,
                Ok((_, there)) => {
                    last = there;
                    loop {
                        let bytes = match timeout(patience, body.next()).await {
                            Ok(Ok(Some(bytes))) => bytes,
                            Ok(Ok(None)) if at > there => return Ok(Answer::Data { end: there.saturating_add(1) }),
                            Ok(Ok(None)) => break "the answer ended before its last byte".to_owned(),
                            Ok(Err(cause)) => break format!("the connection broke: {cause}"),
                            Err(_) => break format!("nothing came for {} s", patience.as_secs_f64()),
                        };
                        failures.passed();
                        at = at.saturating_add(bytes.len() as u64);
                        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                        if !take(&bytes) {
                            return Ok(Answer::Data { end: there.saturating_add(1) });
                        }
                    }
                }
            };
            let error = StoreError::local("reading", self.object(), Kind::Passing, broken);
            sleep(failures.next_wait(error)?).await;
        }
    }

    /// The live edge: the offset after the newest byte, given that all before `known` can be read.
    ///
    /// As a rule that is one request, for what comes after `known`, with the answer that nothing does. A store that gives
    /// less at a time than it has is asked by doubling steps and then by halves.
    ///
    /// # Errors
    /// When the store refuses, or cannot be reached for too long.
    pub async fn edge(&mut self, known: u64) -> Result<u64, StoreError> {
        let part = self.part_size.unwrap_or_else(|| PartSize::DEFAULT.get()).max(1);
        let (mut low, mut high, mut stride) = (known, None, 0);
        for _ in 0..EDGE_STEPS {
            let at = match high {
                None => low + stride,
                Some(high) => low + (high - low) / part / 2 * part,
            };
            match self.read(at, None, |_| false).await? {
                Answer::Data { end } => {
                    low = end.max(low);
                    stride = (stride * 2).max(part);
                    high = high.filter(|high| *high > low);
                }
                Answer::Nothing | Answer::Absent if at <= low => return Ok(low),
                Answer::Nothing | Answer::Absent => high = Some(at),
            }
        }
        Ok(low)
    }
}
