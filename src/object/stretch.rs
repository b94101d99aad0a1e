//! Reads one stretch of an object: the one place that holds an answer to what was asked for.
//!
//! A stretch comes from one upload or object alone: the version that answered first, or its `ETag` where the store names no
//! version, has to answer to the end. A connection that breaks or falls silent is gone on with at the next byte, so that
//! whoever takes the bytes never sees one twice, and bytes that were not asked for are never passed on.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use crate::protocol::live_objects::RecordingId;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::retry::{Failures, Retry};
use crate::store::{Body, Fetched, Kind, Marks, Patient, Piece, StoreError};

/// How long to wait for the end of an answer whose last byte has come.
const END: Duration = Duration::from_secs(1);

/// What is being read: all stretches of one reader share it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The object's key.
    pub key: String,
    /// The pinned upload or version.
    pub version: Option<String>,
    /// The `ETag` of the object where nothing else tells it from another of its key: the store names no version.
    pub etag: Option<String>,
    /// Whether to ask with the Live Read header.
    pub live: bool,
    /// What else an answer is held to.
    pub hold: Hold,
}

/// What the answers for one key are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hold {
    /// That all come from one object: its version, else its `ETag`.
    #[default]
    Object,
    /// That all come from one object, and it is the one that this recording became.
    Recording(RecordingId),
    /// Nothing: the name never stands for other bytes.
    Name,
}

impl Target {
    /// Holds an answer to the object that answered before, and remembers what was not known of it.
    ///
    /// # Errors
    /// What is wrong, when it comes from another upload or object.
    fn hold(&mut self, body: &Body) -> Result<(), String> {
        match &self.hold {
            Hold::Object => {}
            Hold::Name => return Ok(()),
            Hold::Recording(mine) if body.marks.objects.as_ref() == Some(mine) => {}
            Hold::Recording(mine) => {
                return Err(format!(
                    "the answer is not of the recording {mine}: another object took its place, so that the rest of it is gone"
                ));
            }
        }
        if let (Some(mine), Some(theirs)) = (&self.version, &body.version)
            && mine != theirs
        {
            return Err(format!("the answer comes from version {theirs}, where version {mine} was asked for"));
        }
        // Data of an upload that is open may come with another ETag each time, but it always has a version.
        if body.version.is_none() && body.part_size.is_none() {
            if let (Some(mine), Some(theirs)) = (&self.etag, &body.etag)
                && mine != theirs
            {
                return Err(format!(
                    "the object was replaced while it was being read (its ETag was {mine} and is {theirs} now), so that the \
                     rest of it is gone"
                ));
            }
            self.etag = self.etag.take().or_else(|| body.etag.clone());
        }
        self.version = self.version.take().or_else(|| body.version.clone());
        Ok(())
    }
}

/// A stretch of the object to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// From one byte to another, both inclusive.
    Range {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, inclusive.
        last: u64,
    },
    /// A whole part, which begins at `first`.
    Part {
        /// The part's number.
        number: PartNumber,
        /// Offset of its first byte.
        first: u64,
    },
}

impl Stretch {
    /// Offset of the first byte.
    #[must_use]
    pub fn first(self) -> u64 {
        match self {
            Self::Range { first, .. } | Self::Part { first, .. } => first,
        }
    }
}

/// What an answer says beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version that answered.
    pub version: Option<String>,
    /// The `ETag` that the whole stretch is held to, where no version is known.
    pub etag: Option<String>,
    /// The part size of the upload, if it is one that an upload can have.
    pub part_size: Option<u64>,
    /// `Last-Modified`, in seconds since 1970.
    pub modified: Option<i64>,
    /// The size of the whole object, where the answer states it.
    pub total: Option<u64>,
    /// What it says of itself as a live object, or of its live objects.
    pub marks: Marks,
}

/// What comes out of a stretch, in order: at most one `Facts` for each answer, then bytes, and one end.
#[derive(Debug)]
pub enum Event {
    /// What an answer says beside its bytes.
    Facts(Facts),
    /// The next bytes.
    Bytes(Bytes),
    /// The end of the stretch.
    End(End),
}

/// How a stretch ended.
#[derive(Debug)]
pub enum End {
    /// All of it was read.
    Whole,
    /// There is no more of it yet, after `length` bytes of it.
    Edge {
        /// Bytes of the stretch that were there.
        length: u64,
    },
    /// 404; bytes may have come before it.
    Absent,
    /// The store refused, could not be reached for too long, or gave another object than before.
    Failed(StoreError),
}

/// Who answers requests: the store, or a script of a test.
pub trait Door: Clone + Send + Sync + 'static {
    /// Sends one request, in one attempt.
    fn fetch(&self, target: &Target, piece: Piece) -> impl Future<Output = Result<Fetched, StoreError>> + Send;

    /// How messages name the object.
    fn object(&self, key: &str) -> String;

    /// How long what is read may keep failing.
    fn retry(&self) -> Retry;

    /// How long the middle of an answer may bring no byte.
    fn stall(&self) -> Duration;
}

impl Door for Patient {
    async fn fetch(&self, target: &Target, piece: Piece) -> Result<Fetched, StoreError> {
        self.once().fetch(&target.key, target.version.as_deref(), piece, target.live).await
    }

    fn object(&self, key: &str) -> String {
        Patient::object(self, key)
    }

    fn retry(&self) -> Retry {
        Patient::retry(self)
    }

    fn stall(&self) -> Duration {
        self.patience().body
    }
}

/// A stretch that is being read; see the [module](self).
#[derive(Debug)]
pub struct Reading<D = Patient> {
    door: D,
    /// What is read: pinned by the first answer.
    pub target: Target,
    /// Requests sent so far.
    pub requests: u32,
    stretch: Stretch,
    /// The next byte.
    at: u64,
    /// The last byte. For a part it is known from its first answer on; from then on it is a range.
    last: Option<u64>,
    failures: Failures,
    /// The answer that is being read, and the last byte that it promised.
    answer: Option<(Box<Body>, u64)>,
}

impl<D: Door> Reading<D> {
    /// About to read `stretch`.
    #[must_use]
    pub fn new(door: &D, target: &Target, stretch: Stretch) -> Self {
        let last = match stretch {
            Stretch::Range { last, .. } => Some(last),
            Stretch::Part { .. } => None,
        };
        let failures = door.retry().start();
        let (door, target, at) = (door.clone(), target.clone(), stretch.first());
        Self { door, target, requests: 0, stretch, at, last, failures, answer: None }
    }

    /// The next event. Nothing may be asked for after the end.
    pub async fn next(&mut self) -> Event {
        loop {
            let broken = match self.answer.take() {
                None => match self.ask().await {
                    Ok(event) => return event,
                    Err(error) => error,
                },
                Some((mut body, last)) => match self.more(&mut body, last).await {
                    Ok(Some(bytes)) => {
                        self.answer = Some((body, last));
                        return Event::Bytes(bytes);
                    }
                    // A range that is cut short by the live edge ends before its last byte, a part with its own.
                    Ok(None) if self.last.is_none_or(|wanted| self.at > wanted) => return Event::End(End::Whole),
                    Ok(None) => return Event::End(End::Edge { length: self.read() }),
                    Err(cause) => self.trouble(Kind::Passing, cause),
                },
            };
            self.failures.about.offset = Some(self.at);
            match self.failures.next_wait(broken) {
                Ok(wait) => sleep(wait).await,
                Err(error) => return Event::End(End::Failed(error)),
            }
        }
    }

    /// The last byte that the answer under way promised.
    #[must_use]
    pub fn promised(&self) -> Option<u64> {
        self.answer.as_ref().map(|(_, last)| *last)
    }

    /// Bytes read so far.
    fn read(&self) -> u64 {
        self.at.saturating_sub(self.stretch.first())
    }

    fn trouble(&self, kind: Kind, cause: String) -> StoreError {
        let doing = match (self.stretch, self.last) {
            (Stretch::Part { number, .. }, None) => format!("reading part {number}"),
            (_, Some(last)) => format!("reading bytes {} to {last}", self.at),
            (_, None) => "reading".to_owned(),
        };
        StoreError::local(doing, self.door.object(&self.target.key), kind, cause)
    }

    /// Sends a request for what is missing.
    async fn ask(&mut self) -> Result<Event, StoreError> {
        let piece = match (self.stretch, self.last) {
            (Stretch::Part { number, .. }, None) => Piece::Part(number),
            (Stretch::Range { last, .. }, _) | (Stretch::Part { .. }, Some(last)) => {
                Piece::Range { first: self.at, last }
            }
        };
        self.requests = self.requests.saturating_add(1);
        let body = match self.door.fetch(&self.target, piece).await? {
            Fetched::NotYet => return Ok(Event::End(End::Edge { length: self.read() })),
            Fetched::Absent => return Ok(Event::End(End::Absent)),
            Fetched::Data(body) => body,
        };
        let (_, last) = promised(&body, piece, self.at).map_err(|cause| self.trouble(Kind::Passing, cause))?;
        if let Err(cause) = self.target.hold(&body) {
            return Ok(Event::End(End::Failed(self.trouble(Kind::Refused, cause))));
        }
        self.last.get_or_insert(last);
        let facts = Facts {
            version: body.version.clone(),
            etag: self.target.etag.clone(),
            part_size: body.part_size.filter(|size| PartSize::new(*size).is_ok()),
            modified: body.modified,
            total: body.range.map_or(body.length, |range| range.total),
            marks: body.marks.clone(),
        };
        self.answer = Some((body, last));
        Ok(Event::Facts(facts))
    }

    /// The next bytes of an answer that goes to `last`; `None` at its end. The error says what broke.
    async fn more(&mut self, body: &mut Body, last: u64) -> Result<Option<Bytes>, String> {
        // A body that brings no byte for this long is cut and asked for again from where it stopped.
        let stall = self.door.stall();
        loop {
            if self.at > last {
                // All is there. Whoever waits for the end of the answer as well can use the connection again.
                drop(timeout(stall.min(END), body.next()).await);
                return Ok(None);
            }
            let bytes = match timeout(stall, body.next()).await {
                Ok(Ok(Some(bytes))) if bytes.is_empty() => continue,
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => return Err("the answer ended before its last byte".to_owned()),
                Ok(Err(cause)) => return Err(format!("the connection broke: {cause}")),
                Err(_) => return Err(format!("nothing came for {} s", stall.as_secs_f64())),
            };
            let after = self.at.checked_add(bytes.len() as u64).filter(|after| *after <= last.saturating_add(1));
            let Some(after) = after else { return Err("the answer has more bytes than it promised".to_owned()) };
            self.failures.passed();
            self.at = after;
            return Ok(Some(bytes));
        }
    }
}

/// A stretch in memory.
#[derive(Debug)]
pub struct Collected {
    /// What there is of it.
    pub bytes: Vec<u8>,
    /// Pinned by the answers.
    pub target: Target,
    /// What the answers said; each of the facts is the first that was told.
    pub facts: Facts,
    /// Whether there is no such object.
    pub absent: bool,
    /// Requests sent.
    pub requests: u32,
}

/// Reads `range`, or what there is of it, into memory, which is bounded by the range.
///
/// Where nothing is to be had with the Live Read header it asks once more without: a finished object that was never a
/// Live Read upload, on a store that minds the header. [`Collected::target`] remembers that.
///
/// # Errors
/// [`StoreError`] when the store refuses, is away for too long, or gives another object in the middle.
pub async fn collect<D: Door>(door: &D, target: &Target, range: Range<u64>) -> Result<Collected, StoreError> {
    let mut collected =
        Collected { bytes: Vec::new(), target: target.clone(), facts: Facts::default(), absent: false, requests: 0 };
    let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else { return Ok(collected) };
    loop {
        let stretch = Stretch::Range { first: range.start, last };
        let mut reading = Reading::new(door, &collected.target, stretch);
        let end = loop {
            match reading.next().await {
                Event::Facts(facts) => {
                    let known = &mut collected.facts;
                    known.version = known.version.take().or(facts.version);
                    known.etag = facts.etag;
                    known.part_size = known.part_size.or(facts.part_size);
                    known.modified = known.modified.or(facts.modified);
                    known.total = facts.total.or(known.total);
                    known.marks = facts.marks;
                }
                Event::Bytes(bytes) => collected.bytes.extend_from_slice(&bytes),
                Event::End(end) => break end,
            }
        };
        collected.requests = collected.requests.saturating_add(reading.requests);
        collected.target = reading.target;
        match end {
            End::Failed(error) => return Err(error),
            End::Absent if collected.target.live && collected.bytes.is_empty() => collected.target.live = false,
            End::Absent => {
                collected.absent = collected.bytes.is_empty();
                collected.target.live |= collected.absent && target.live;
                return Ok(collected);
            }
            End::Whole | End::Edge { .. } => return Ok(collected),
        }
    }
}

/// The first and last byte that an answer promises, checked against what was asked for.
fn promised(body: &Body, asked: Piece, at: u64) -> Result<(u64, u64), String> {
    let by_length = body.length.filter(|length| *length > 0);
    let (first, last) = match (body.range, by_length) {
        (Some(range), Some(length)) if range.len() != length => {
            return Err(format!("the answer's range has {} bytes and its length is {length}", range.len()));
        }
        (Some(range), _) => (range.first, range.last),
        // Without a range the whole object came, which is right only where its beginning was asked for, or a part.
        (None, Some(length)) if at == 0 || matches!(asked, Piece::Part(_)) => {
            let last = at.checked_add(length - 1).filter(|last| *last < u64::MAX);
            (at, last.ok_or_else(|| format!("the answer claims to have {length} bytes"))?)
        }
        (None, _) => return Err("the answer does not say which bytes it carries".to_owned()),
    };
    match asked {
        _ if first != at => Err(format!("the answer begins at byte {first} where byte {at} was asked for")),
        Piece::Range { last: asked, .. } if last > asked => {
            Err(format!("the answer ends at byte {last} where at most {asked} was asked for"))
        }
        _ => Ok((first, last)),
    }
}

#[cfg(test)]
#[path = "stretch_tests.rs"]
mod tests;
