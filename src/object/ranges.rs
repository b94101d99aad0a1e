//! A few ranges of an object that may still be growing, for whoever looks for a place in it.
//!
//! One request at a time, and each counts: this is for looks, not for copying. A range is asked for no longer than it is
//! wanted and read to its end, so that the next look finds the connection open.

use std::pin::Pin;
use std::sync::Arc;

use crate::object::live_objects::Recording;
use crate::object::live_objects::ranges::Looks;
use crate::object::stretch::{Collected, End, Event, Hold, Reading, Stretch, Target, collect};
use crate::protocol::live_read::{MAX_PART_SIZE, MAX_PARTS};
use crate::protocol::part::PartSize;
use crate::store::{Patient, Peeked, StoreError};

/// The last byte that any upload can have. A live read up to there is answered with what there is.
const LAST: u64 = MAX_PART_SIZE * MAX_PARTS as u64 - 1;

/// Looks in a search for the live edge: enough to double and halve the parts of the longest upload. One that grows all the
/// time is known well enough by then.
const EDGE_LOOKS: u32 = 32;

/// Looks into one object.
#[derive(Debug)]
pub struct Ranges<'a> {
    store: &'a Patient,
    /// What is looked into; pinned by the first answer.
    pub target: Target,
    /// The part size of the upload, once an answer named it.
    pub part_size: Option<u64>,
    /// When the upload was started, in seconds since 1970, once an answer told it.
    pub started: Option<i64>,
    /// Requests sent so far.
    pub requests: u32,
    /// Bytes of answers read so far.
    pub bytes: u64,
    /// Whether the store may tell by HEAD what can be read; and whether it has.
    peeks: bool,
    has_peeked: bool,
    /// The live objects that it is read by, on a store without Live Read.
    looks: Option<Box<Looks>>,
    /// Who has its bytes in place of the store.
    kept: Option<Arc<dyn Kept>>,
}

/// Somebody who has the bytes of an object, or reads them for others as well.
pub(crate) trait Kept: std::fmt::Debug + Send + Sync {
    /// As [`Ranges::read`].
    fn read(&self, first: u64, end: u64) -> Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + '_>>;

    /// As [`Ranges::edge`].
    fn edge(&self) -> Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send + '_>>;
}

/// What came of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What of it is there, at least a byte.
    Data(Vec<u8>),
    /// Nothing is there yet.
    Nothing,
    /// There is no such object, or it cannot be read live.
    Absent,
}

impl<'a> Ranges<'a> {
    /// Begins to look into an object.
    #[must_use]
    pub fn new(store: &'a Patient, target: Target) -> Self {
        let (part_size, started, looks, kept) = (None, None, None, None);
        Self { store, target, part_size, started, requests: 0, bytes: 0, peeks: true, has_peeked: false, looks, kept }
    }

    /// Begins to look into an object that somebody has.
    pub(crate) fn through(store: &'a Patient, target: Target, kept: Arc<dyn Kept>) -> Self {
        Self { kept: Some(kept), ..Self::new(store, target) }
    }

    /// Begins to look into a recording by its live objects.
    #[must_use]
    pub fn of_objects(store: &'a Patient, key: &str, recording: Recording) -> Self {
        let (version, etag) = (None, None);
        let target = Target { key: key.to_owned(), version, etag, live: false, hold: Hold::Object };
        let looks = Looks::new(store, key, recording);
        let (part_size, started) = (Some(looks.part_size()), Some(looks.started()));
        Self { part_size, started, looks: Some(Box::new(looks)), ..Self::new(store, target) }
    }

    /// The object's name for messages.
    #[must_use]
    pub fn object(&self) -> String {
        self.store.object(&self.target.key)
    }

    /// Reads bytes `first` to `end`, exclusive, as far as they are there.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached for too long, or gives another object than before.
    pub async fn read(&mut self, first: u64, end: u64) -> Result<Answer, StoreError> {
        let end = end.min(LAST).max(first.saturating_add(1));
        tracing::debug!(offset = first, bytes = end - first, "looking");
        if let Some(kept) = &self.kept {
            return kept.read(first, end).await;
        }
        if let Some(looks) = &mut self.looks {
            let bytes = looks.read(first, end).await?;
            self.requests = looks.requests;
            self.bytes = self.bytes.saturating_add(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
            return Ok(match bytes {
                Some(bytes) if bytes.is_empty() => Answer::Nothing,
                Some(bytes) => Answer::Data(bytes),
                None => Answer::Absent,
            });
        }
        let Collected { bytes, target, facts, absent, requests } =
            collect(self.store, &self.target, first..end).await?;
        self.target = target;
        self.part_size = self.part_size.or(facts.part_size);
        self.started = self.started.or(facts.modified);
        self.requests = self.requests.saturating_add(requests);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(match (bytes.is_empty(), absent) {
            (false, _) => Answer::Data(bytes),
            (true, false) => Answer::Nothing,
            (true, true) => Answer::Absent,
        })
    }

    /// The live edge: the offset after the newest byte, given that all before `known` can be read.
    ///
    /// As a rule that is one request without a body. A store that gives less at a time than it has is asked by doubling
    /// steps and then by halves; of an upload that grows meanwhile the edge is where it was at one of the looks.
    ///
    /// # Errors
    /// When the store refuses, or cannot be reached for too long.
    pub async fn edge(&mut self, known: u64) -> Result<u64, StoreError> {
        if let Some(kept) = &self.kept {
            return Ok(kept.edge().await?.max(known));
        }
        if let Some(looks) = &mut self.looks {
            let edge = looks.edge(known).await?;
            self.requests = looks.requests;
            return Ok(edge.max(known));
        }
        let mut search = EdgeSearch::new(known, self.part_size);
        for _ in 0..EDGE_LOOKS {
            let Some(at) = search.next() else { break };
            let end = self.reach(at).await?;
            search.seen(at, end);
        }
        Ok(search.low)
    }

    /// How far one answer from byte `at` on would go: the offset after its last byte. `None` where nothing is there.
    async fn reach(&mut self, at: u64) -> Result<Option<u64>, StoreError> {
        let stretch = Stretch::Range { first: at, last: LAST };
        if self.peeks && self.target.live {
            self.requests = self.requests.saturating_add(1);
            let Target { key, version, .. } = &self.target;
            let peeked = self.store.peek(key, version.as_deref(), at, LAST).await?;
            match peeked {
                Peeked::Range(range) if range.first == at && range.last <= LAST => {
                    self.has_peeked = true;
                    return Ok(Some(range.last + 1));
                }
                Peeked::Nothing if self.has_peeked => return Ok(None),
                // Nobody promises that a HEAD is answered like a read: a read tells.
                Peeked::Nothing => {}
                Peeked::Range(_) | Peeked::Mute => self.peeks = false,
            }
        }
        // Only what the answer promises is wanted of it.
        let mut reading = Reading::new(self.store, &self.target, stretch);
        let end = match reading.next().await {
            Event::End(End::Failed(error)) => return Err(error),
            Event::End(_) => None,
            Event::Facts(_) | Event::Bytes(_) => reading.promised().map(|last| last.saturating_add(1)),
        };
        self.requests = self.requests.saturating_add(reading.requests);
        Ok(end)
    }
}

/// Where to look for the live edge.
#[derive(Debug)]
struct EdgeSearch {
    part: u64,
    /// All before this can be read.
    low: u64,
    /// Nothing could be read here.
    high: Option<u64>,
    stride: u64,
    over: bool,
}

impl EdgeSearch {
    fn new(known: u64, part_size: Option<u64>) -> Self {
        let part = part_size.unwrap_or_else(|| PartSize::DEFAULT.get()).max(1);
        Self { part, low: known, high: None, stride: 0, over: false }
    }

    /// Where to look next; `None` when the edge is known to a part.
    fn next(&self) -> Option<u64> {
        let at = match self.high {
            None => self.low.saturating_add(self.stride),
            Some(high) => self.low.saturating_add(high.saturating_sub(self.low) / self.part / 2 * self.part),
        };
        (!self.over && at < LAST).then_some(at)
    }

    /// A look at `at` reached to `end`, if anything was there.
    fn seen(&mut self, at: u64, end: Option<u64>) {
        match end {
            Some(end) => {
                self.low = self.low.max(end);
                self.stride = self.stride.saturating_mul(2).max(self.part);
                // Past a place where nothing was: it grows, and this is where its edge was just now.
                self.over |= self.high.is_some_and(|high| high < self.low);
            }
            None => self.high = Some(self.high.map_or(at, |high| high.min(at))),
        }
        self.over |= self.high.is_some_and(|high| high.saturating_sub(self.low) <= self.part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PART: u64 = 5_000_000;

    /// The edge that is found, and how many looks that takes; `look` is told the place and the number of the look.
    fn search(known: u64, look: impl Fn(u64, u64) -> Option<u64>) -> (u64, u64) {
        let mut search = EdgeSearch::new(known, Some(PART));
        for count in 0..u64::from(EDGE_LOOKS) {
            let Some(at) = search.next() else { return (search.low, count) };
            search.seen(at, look(at, count));
        }
        (search.low, u64::from(EDGE_LOOKS))
    }

    #[test]
    fn an_upload_that_grows_at_each_look_is_looked_at_a_few_times() {
        for growth in [1, 1000, PART, 7 * PART] {
            let edge = |look: u64| 3 * PART + 17 + look * growth;
            let (found, looks) = search(4096, |at, look| (at < edge(look)).then_some(edge(look)));
            assert!(found >= edge(0) && found <= edge(looks), "{found} after {looks} looks");
            assert!(looks <= 12, "{looks} looks");
        }
        // Whatever a store claims, there is an end.
        let (found, looks) = search(0, |at, _| Some(at.saturating_add(u64::MAX / 4).min(LAST)));
        assert!(found <= LAST && looks <= u64::from(EDGE_LOOKS));
        assert_eq!(search(u64::MAX - 1, |_, _| None).0, u64::MAX - 1);
    }

    proptest! {
        #[test]
        fn the_edge_is_found_where_answers_are_short(parts in 0..10_000u64, rest in 0..PART, most in 1u64..40, known in 0..2 * PART) {
            let edge = parts * PART + rest;
            let known = known.min(edge);
            let (found, looks) = search(known, |at, _| (at < edge).then(|| edge.min(at + most * PART)));
            prop_assert!(found <= edge && edge - found < PART, "{} instead of {}", found, edge);
            prop_assert!(looks <= 30, "{} looks", looks);
            prop_assert_eq!(search(known, |at, _| (at < edge).then_some(edge)).0, edge);
        }
    }
}
