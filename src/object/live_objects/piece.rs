//! One live object on its way.

use bytes::Bytes;
use tokio::time::Instant;

use crate::object::live_objects::ask::Objects;
use crate::object::prefetch::{End, Event, Fetch, Stretch, Target};
use crate::object::stretch::Hold;
use crate::protocol::live_objects::{Entry, Met, Names, RecordingId};
use crate::store::StoreError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The run that its name has.
    pub(crate) run: u32,
    /// The offset that its name has.
    pub(crate) offset: u64,
    /// Whether the index says that it is there.
    pub(crate) known: bool,
    /// When it was answered with bytes.
    pub(crate) answered: Option<Instant>,
    /// Its length, once that is known.
    length: Option<u64>,
    /// The first byte that is wanted, and the next that comes.
    wanted: u64,
    at: u64,
    fetch: Fetch,
}

/// What comes of it next.
#[derive(Debug)]
pub(crate) enum Came {
    /// Its next bytes.
    Bytes(Bytes),
    /// It was read to its end.
    Whole,
    /// It is the end mark.
    End,
    /// It is not there, or not whole yet.
    NotYet,
    /// The store refused, or could not be reached for too long.
    Failed(StoreError),
}

impl Piece {
    /// Begins to read the one that the index names, from byte `wanted` of the recording on.
    pub(crate) fn known(
        store: &Objects,
        names: &Names,
        id: &RecordingId,
        entry: Entry,
        wanted: u64,
        ahead: u64,
    ) -> Self {
        let at = wanted.clamp(entry.offset, entry.end().saturating_sub(1));
        let stretch = Stretch::Range { first: at - entry.offset, last: entry.length.saturating_sub(1) };
        let fetch = Fetch::start(store, &target(names.object(id, entry.run, entry.offset)), stretch, ahead);
        let (run, offset, length) = (entry.run, entry.offset, Some(entry.length));
        Self { run, offset, known: true, answered: None, length, wanted: at, at, fetch }
    }

    /// Looks whether there is one under this name, which has `most` bytes at most.
    pub(crate) fn look(
        store: &Objects,
        names: &Names,
        id: &RecordingId,
        (run, offset): (u32, u64),
        wanted: u64,
        most: u64,
        ahead: u64,
    ) -> Self {
        let stretch = Stretch::Range { first: 0, last: most.saturating_sub(1) };
        let fetch = Fetch::start(store, &target(names.object(id, run, offset)), stretch, ahead);
        Self { run, offset, known: false, answered: None, length: None, wanted, at: offset, fetch }
    }

    /// The offset behind it, once its length is known.
    pub(crate) fn end(&self) -> Option<u64> {
        self.length.map(|length| self.offset.saturating_add(length))
    }

    /// When it was asked for.
    pub(crate) fn sent(&self) -> Instant {
        self.fetch.sent
    }

    /// What comes next; nothing more after anything but bytes.
    pub(crate) async fn next(&mut self) -> Came {
        loop {
            match self.fetch.next().await {
                Event::Facts(facts) => match facts.marks.met(self.offset, facts.total.unwrap_or(0)) {
                    Met::Bytes(length) if self.length.is_none_or(|known| known == length) => {
                        self.length = Some(length);
                        self.answered.get_or_insert_with(Instant::now);
                    }
                    Met::End if self.at == self.offset && !self.known => return Came::End,
                    Met::Bytes(_) | Met::End | Met::NotYet => return Came::NotYet,
                },
                Event::Bytes(mut bytes) => {
                    let skipped = self.wanted.saturating_sub(self.at).min(bytes.len() as u64);
                    self.at = self.at.saturating_add(bytes.len() as u64);
                    drop(bytes.split_to(usize::try_from(skipped).unwrap_or(bytes.len())));
                    if !bytes.is_empty() {
                        return Came::Bytes(bytes);
                    }
                }
                Event::End(End::Failed(error)) => return Came::Failed(error),
                Event::End(End::Whole | End::Edge { .. }) if self.end() == Some(self.at) => return Came::Whole,
                Event::End(_) => return Came::NotYet,
            }
        }
    }
}

/// A live object: its name never stands for other bytes, so nothing has to be pinned.
pub(crate) fn target(key: String) -> Target {
    Target { key, version: None, etag: None, live: false, hold: Hold::Name }
}
