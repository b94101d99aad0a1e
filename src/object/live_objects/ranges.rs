//! Looks into a recording by its live objects, and into the object itself once that is complete.
//!
//! What is behind the newest head is found by its names, one after the other, a few at most unless more is known to be there; what that brings is kept, as
//! whoever looks for the live edge wants the newest bytes next.

use crate::object::live_objects::Recording;
use crate::object::live_objects::ask::{self, Objects, Seen};
use crate::object::live_objects::index::{Index, Place};
use crate::object::live_objects::piece::target;
use crate::object::stretch::{Hold, Target, collect};
use crate::protocol::live_objects::{Entry, Met};
use crate::store::{Patient, StoreError};

/// The most that is looked at behind the head: what comes in the time between two heads at one object a second.
const WALK: usize = 4;

/// The most of an object that such a look brings.
const WALK_BYTES: u64 = 2 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Looks {
    store: Objects,
    key: String,
    recording: Recording,
    index: Index,
    /// The newest objects, as they were found.
    newest: Vec<(u64, Vec<u8>)>,
    /// KEY, once it is complete.
    complete: Option<Target>,
    /// Requests sent so far.
    pub(crate) requests: u32,
}

/// What a look under a name showed.
enum Shown {
    /// An object of this length, and the bytes asked for.
    Bytes(u64, Vec<u8>),
    Nothing,
}

impl Looks {
    pub(crate) fn new(store: &Patient, key: &str, recording: Recording) -> Self {
        let index = Index::new(recording.head.clone());
        let (store, key) = (Objects(store.clone()), key.to_owned());
        Self { store, key, recording, index, newest: Vec::new(), complete: None, requests: 0 }
    }

    /// The size of the upload's parts.
    pub(crate) fn part_size(&self) -> u64 {
        self.recording.head.part_size
    }

    /// When it was started, by its writer's clock.
    pub(crate) fn started(&self) -> i64 {
        self.recording.id.started()
    }

    /// What there is of bytes `first` to `end`, exclusive; none where nothing is left of the recording.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses or is away for long.
    pub(crate) async fn read(&mut self, first: u64, end: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut bytes: Vec<u8> = Vec::new();
        while self.complete.is_none() {
            let at = first.saturating_add(bytes.len() as u64);
            if at >= end {
                return Ok(Some(bytes));
            }
            if let Some(more) = self.kept(at, end) {
                bytes.extend_from_slice(&more);
                continue;
            }
            let entry = match self.index.place(at) {
                Place::In(entry) => Some(entry),
                // The first object has its name without an index.
                Place::InPage if at > 0 && self.page(at).await? => continue,
                // It may have grown since, and ended.
                Place::Beyond if at > self.index.head().edge() => {
                    if self.is_complete().await? {
                        continue;
                    }
                    return Ok(Some(bytes));
                }
                Place::InPage | Place::Beyond => None,
            };
            let (run, offset) = match entry {
                Some(entry) => (entry.run, entry.offset),
                None if at == 0 => (self.run_at_zero(), 0),
                None => (self.index.head().run().run, at),
            };
            let until = entry.map_or(end, |entry| entry.end().min(end));
            match self.look(run, offset, at, until).await? {
                Shown::Bytes(length, more) if entry.is_none_or(|entry| entry.length == length) => {
                    if entry.is_none() && at == self.index.head().edge() {
                        self.found(Entry { run, offset, length });
                    }
                    if more.is_empty() {
                        return Ok(Some(bytes));
                    }
                    bytes.extend_from_slice(&more);
                }
                // Behind the index: nothing yet, or it is over; else it is over, and KEY has it.
                _ if self.is_complete().await? => {}
                _ if entry.is_none() && at >= self.index.head().edge() => return Ok(Some(bytes)),
                _ => return Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            }
        }
        let Some(target) = &self.complete else { return Ok(Some(bytes)) };
        let collected = collect(&self.store, target, first.saturating_add(bytes.len() as u64)..end).await?;
        self.requests = self.requests.saturating_add(collected.requests);
        bytes.extend_from_slice(&collected.bytes);
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty() || !collected.absent))
    }

    /// The live edge: the offset after the newest byte, or at least one that is not before `known`, which somebody has seen.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) async fn edge(&mut self, known: u64) -> Result<u64, StoreError> {
        let mut walked = 0;
        loop {
            let (run, edge) = (self.index.head().run().run, self.index.head().edge());
            if walked >= WALK && edge >= known {
                return Ok(edge);
            }
            let Shown::Bytes(length, bytes) = self.look(run, edge, edge, edge + WALK_BYTES).await? else {
                return Ok(edge);
            };
            self.found(Entry { run, offset: edge, length });
            if self.newest.len() == WALK {
                self.newest.remove(0);
            }
            self.newest.push((edge, bytes));
            walked += 1;
        }
    }

    /// What is kept of these bytes.
    fn kept(&self, at: u64, end: u64) -> Option<Vec<u8>> {
        self.newest.iter().find_map(|(offset, bytes)| {
            let place = |at: u64| usize::try_from(at.saturating_sub(*offset)).ok();
            let (from, to) = (place(at)?, place(end)?.min(bytes.len()));
            (at >= *offset && from < to).then(|| bytes.get(from..to).map(<[u8]>::to_vec)).flatten()
        })
    }

    /// The run of the first object: the last that began at the first byte.
    fn run_at_zero(&self) -> u32 {
        let runs = &self.index.head().runs;
        runs.iter().take_while(|run| run.from == 0).last().map_or(0, |run| run.run)
    }

    /// Notes an object behind the last that was known.
    fn found(&mut self, entry: Entry) {
        let mut head = self.index.head().clone();
        if let Some((number, page)) = head.push(entry.length) {
            self.index.learn(number, page);
        }
        self.index.renew(head);
    }

    /// Turns to the page that has a byte; whether there is one.
    async fn page(&mut self, at: u64) -> Result<bool, StoreError> {
        let Recording { names, id, .. } = &self.recording;
        self.requests = self.requests.saturating_add(1);
        let found = self.index.search(at).run(&self.store.0, names, id).await?;
        let is_there = found.is_some();
        if let Some((number, page)) = found {
            self.index.learn(number, page);
        }
        Ok(is_there)
    }

    /// Reads bytes `at` to `until` of the recording out of one object, as far as it has them.
    async fn look(&mut self, run: u32, offset: u64, at: u64, until: u64) -> Result<Shown, StoreError> {
        let target = target(self.recording.names.object(&self.recording.id, run, offset));
        let collected = collect(&self.store, &target, at - offset..until.max(at + 1) - offset).await?;
        self.requests = self.requests.saturating_add(collected.requests);
        let total = collected.facts.total.unwrap_or(0);
        Ok(match collected.facts.marks.met(offset, total) {
            Met::Bytes(length) => Shown::Bytes(length, collected.bytes),
            Met::End | Met::NotYet => Shown::Nothing,
        })
    }

    /// Whether KEY is this recording.
    async fn is_complete(&mut self) -> Result<bool, StoreError> {
        self.requests = self.requests.saturating_add(1);
        let id = &self.recording.id;
        if let Seen::There(head, _) = ask::key(&self.store.0, &self.key).await?
            && head.objects.as_ref() == Some(id)
        {
            let (key, hold) = (self.key.clone(), Hold::Recording(id.clone()));
            self.complete = Some(Target { key, version: head.version, etag: head.etag, live: false, hold });
        }
        Ok(self.complete.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object::live_objects::locate::{Finder, Found};
    use crate::object::live_objects::maker::{KEY, Maker, input, reading, requests};
    use crate::store::retry::Retry;
    use crate::store::scripted;

    async fn looks(store: &Patient) -> Looks {
        let mut finder = Finder::new(&reading(None).wanted).expect("names");
        let Some(Found::Live(recording)) = finder.look(store).await.expect("a look") else { panic!("it does not run") };
        Looks::new(store, KEY, *recording)
    }

    #[tokio::test(start_paused = true)]
    async fn any_range_is_read_and_the_edge_found_with_a_few_requests_also_when_all_has_been_deleted() {
        let (once, shelf) = scripted::store();
        let store = once.patient(Retry { give_up_after: Duration::from_secs(60) });
        let mut maker = Maker::begin(&once, &shelf, 1).await;
        for number in 0..700 {
            maker.object(1_000 + number).await;
        }
        maker.beat().await;
        // The head does not tell of the newest.
        let told = maker.head.edge();
        for _ in 0..3 {
            maker.object(500).await;
        }
        let edge = maker.head.edge();
        let mut looks = looks(&store).await;
        let before = requests(&shelf);
        assert_eq!(looks.read(0, 100).await.expect("read"), Some(input(0, 100)));
        assert_eq!(looks.edge(0).await.expect("found"), edge);
        assert_eq!(looks.read(told - 100, edge + 100).await.expect("read"), Some(input(told - 100, edge)));
        let after = requests(&shelf);
        assert!(after.0 - before.0 <= 8 && after.1 - before.1 <= 1, "{before:?} {after:?}");
        for (first, end) in [(0, 3_000), (100_000, 104_000), (edge - 10, edge), (250_000, 250_001)] {
            assert_eq!(looks.read(first, end).await.expect("read"), Some(input(first, end)), "{first} to {end}");
        }
        assert_eq!(looks.read(edge, edge + 10).await.expect("read"), Some(Vec::new()));
        // Who has seen more of it than a few looks find goes on until that is found.
        for _ in 0..40 {
            maker.object(500).await;
        }
        assert!(looks.edge(0).await.expect("found") < maker.head.edge() - 500);
        assert_eq!(looks.edge(maker.head.edge()).await.expect("found"), maker.head.edge());
        let edge = maker.head.edge();
        assert_eq!(looks.read(edge - 10, edge).await.expect("read"), Some(input(edge - 10, edge)));
        maker.clone().end().await;
        for (first, end) in [(5_000, 9_000), (edge - 10, edge), (0, 10)] {
            assert_eq!(looks.read(first, end).await.expect("read"), Some(input(first, end)), "{first} to {end}");
        }
    }
}
