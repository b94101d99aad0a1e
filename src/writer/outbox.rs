//! Parts on their way to the store: some in flight, some waiting for their turn in memory, and, while the store is away,
//! on disk.
//!
//! Memory holds at most as many parts as the pool has buffers: those in flight, one that waits and one that is being
//! filled. When all are taken the input waits, unless the store is away and there is a spool.
//!
//! An object that is being completed while input goes on in the next one has an outbox of its own beside that of the next.
//! Both [share](Shared) buffers and turns, and parts that fail leave the memory to the input.
//!
//! The part that is being filled can be sent early, as the tail part ([`Outbox::send_tail`]): one version at a time, and
//! the next version, the full one included, only when the store has answered to the one before, so that none can land in
//! the wrong order. Where an answer was lost, the longer version is looked at after it was stored.

mod disk;
mod early;
mod flight;
mod put;
mod shared;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinError;
use tokio::time::sleep;
use tracing::Instrument;

use crate::object::live::Upload;
use crate::protocol::part::PartNumber;
use crate::store::retry::About;
use crate::store::{ETag, StoreError};
use crate::tool::progress::Progress;
use crate::writer::kept::Content;
use crate::writer::ledger::Ledger;
use crate::writer::live_objects::LiveObjects;
use crate::writer::pool::{NoMemory, PartBuffer, PartPool};
use crate::writer::spool::Spool;

use disk::Disk;
use early::EarlyTail;
use flight::Flight;
use put::{Parcel, Way, put};

pub use early::Taken;
pub use shared::Shared;

/// How soon a failing part is noticed while the input waits.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a part did not reach the store.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The store refused it, or could not be reached for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no memory for a part.
    #[error(transparent)]
    Memory(#[from] NoMemory),
    /// It could not be read back from the spool.
    #[error("part {number} cannot be read back from the spool: {cause}")]
    Spool {
        /// The part.
        number: PartNumber,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A task ended without a result.
    #[error("a part's upload ended without a result: {0}")]
    Task(#[from] JoinError),
}

/// A part that has been stored.
#[derive(Debug)]
struct Stored {
    number: PartNumber,
    etag: ETag,
    size: u64,
    took: Duration,
    /// Attempts that it took.
    tries: u32,
}

/// The parts of one upload on their way.
#[derive(Debug)]
pub struct Outbox {
    upload: Upload,
    shared: Shared,
    waiting: VecDeque<Parcel>,
    flight: Flight,
    early: EarlyTail,
    disk: Disk,
    progress: Arc<Progress>,
    readable: watch::Sender<u64>,
    /// The live objects beside the upload, where there are any.
    live: Option<LiveObjects>,
    /// What the store holds.
    pub ledger: Ledger,
}

impl Outbox {
    /// An outbox with at most `concurrency` parts in flight; `spool` only for an input that cannot wait.
    #[must_use]
    pub fn new(
        upload: Upload,
        pool: PartPool,
        concurrency: usize,
        spool: Option<Spool>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            upload,
            shared: Shared::new(pool, concurrency, spool.is_some()),
            waiting: VecDeque::new(),
            flight: Flight::new(),
            early: EarlyTail::default(),
            disk: Disk::new(spool),
            progress,
            readable: watch::channel(0).0,
            live: None,
            ledger: Ledger::default(),
        }
    }

    /// Shares buffers and turns with another outbox, so that both together stay within them.
    #[must_use]
    pub fn sharing(mut self, shared: Shared) -> Self {
        self.shared = shared;
        self
    }

    /// Has live objects made of the parts.
    #[must_use]
    pub(crate) fn with_live(mut self, live: Option<LiveObjects>) -> Self {
        if let Some(live) = &live {
            live.copy_within(&self.shared.pool);
        }
        self.live = live;
        self
    }

    /// The live objects beside its upload, where there are any.
    pub(crate) fn live(&self) -> Option<&LiveObjects> {
        self.live.as_ref()
    }

    /// What other outboxes can share.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Its upload.
    #[must_use]
    pub fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Where parts of it wait on disk.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.disk.spool()
    }

    /// How many bytes the store holds without a gap, and each change of that.
    #[must_use]
    pub fn readable(&self) -> watch::Receiver<u64> {
        self.readable.subscribe()
    }

    /// Tells what the [`ledger`](Self::ledger) says now to those who watch [`readable`](Self::readable).
    pub fn tell_readable(&self) {
        if self.readable.receiver_count() > 0 {
            self.readable.send_replace(self.ledger.readable(self.upload.part_size()));
        }
    }

    /// Waits for a buffer to fill, and makes room on disk if the store is away.
    ///
    /// # Errors
    /// [`OutboxError`] when a part that is on its way has failed for good.
    pub async fn buffer(&mut self) -> Result<PartBuffer, OutboxError> {
        loop {
            self.launch(None);
            // One part may wait in memory beside the one to be filled; the other buffers belong to the parts in flight,
            // those that come back from disk included.
            let in_memory = self.in_memory();
            if in_memory > 1 && self.is_away() && self.spill() {
                continue;
            }
            let (pool, spools) = (self.shared.pool.clone(), self.disk.spool().is_some() && in_memory > 0);
            tokio::select! {
                buffer = pool.acquire_at_need(), if in_memory <= 1 => return Ok(buffer?),
                stored = self.stored() => stored?,
                // Without a buffer for so long, the part that waits in memory has to go as well.
                () = sleep(LOOK_AGAIN), if spools => if self.is_away() { self.spill(); },
            }
        }
    }

    /// Takes a part that is full, or the last one.
    pub fn send(&mut self, number: PartNumber, part: Bytes) {
        self.waiting.push_back(Parcel::new(number, Content::Memory(part)));
        self.launch(None);
    }

    /// Waits until a part on its way is stored; for ever if none is. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`OutboxError`] when it has failed for good.
    pub async fn stored(&mut self) -> Result<(), OutboxError> {
        let next = if self.is_full() { None } else { self.next_waiting(false) };
        let from_disk = next.and_then(|at| self.waiting.get(at)).map(Parcel::is_on_disk);
        let shared = self.shared.clone();
        let ready = tokio::select! {
            Some(joined) = self.flight.next() => {
                self.note(joined)?;
                None
            }
            answer = self.early.answered() => {
                self.note_tail(answer);
                None
            }
            ready = turn(&shared, from_disk.unwrap_or(false)), if from_disk.is_some() => Some(ready?),
        };
        self.launch(ready);
        Ok(())
    }

    /// Waits until all parts are stored.
    ///
    /// # Errors
    /// [`OutboxError`] when one has failed for good.
    pub async fn drain(&mut self) -> Result<(), OutboxError> {
        loop {
            self.launch(None);
            if self.waiting.is_empty() && self.flight.is_empty() && !self.early.is_under_way() {
                return Ok(());
            }
            let spills = self.disk.spool().is_some() && self.in_memory() > 0;
            tokio::select! {
                stored = self.stored() => stored?,
                () = sleep(LOOK_AGAIN), if spills => {
                    if self.shared.pool.is_wanted() && self.is_away() {
                        self.spill();
                    }
                }
            }
        }
    }

    /// After a failure: lets what is in flight end by itself, whatever the results. What fails is not tried again.
    pub async fn settle(&mut self) {
        self.flight.end();
        if self.early.is_under_way() {
            let answer = self.early.answered().await;
            self.note_tail(answer);
        }
        while let Some(joined) = self.flight.next().await {
            if let Err(error) = self.note(joined) {
                tracing::debug!("{error}");
            }
        }
    }

    /// Ends what is in flight at once.
    pub fn stop(&mut self) {
        self.flight.stop();
        self.early.stop();
    }

    /// The parts that were sent and are not known to be stored, by rising number. After [`settle`](Self::settle) or
    /// [`stop`](Self::stop).
    #[must_use]
    pub fn remainder(&self) -> BTreeMap<PartNumber, Content> {
        self.flight.parcels().chain(&self.waiting).map(|parcel| (parcel.number, parcel.content())).collect()
    }

    /// Whether as many parts are in flight as may be.
    fn is_full(&self) -> bool {
        self.flight.len() + usize::from(self.early.is_under_way()) >= self.shared.concurrency
    }

    /// How many parts wait in memory for their turn.
    fn in_memory(&self) -> usize {
        self.waiting.iter().filter(|parcel| !parcel.is_on_disk()).count()
    }

    /// Whether the store does not answer, as far as can be told.
    fn is_away(&self) -> bool {
        self.shared.failing.load(Relaxed) > 0 || self.shared.still_for() >= self.flight.away_after()
    }

    /// Starts to send waiting parts, the oldest first; the first of them with the turn that was waited for.
    fn launch(&mut self, mut ready: Option<Ready>) {
        let turns = &self.shared.turns;
        if self.flight.is_empty() && turns.available_permits() + usize::from(ready.is_some()) == self.shared.concurrency
        {
            self.shared.moves();
        }
        while !self.is_full()
            && let Some(at) = self.next_waiting(false)
        {
            if self.has_as_it_is(at) {
                self.waiting.remove(at);
                self.early.forget();
                continue;
            }
            let Some((at, Ready { turn, buffer })) = self.way_for(at, ready.take()) else { break };
            let Some(parcel) = self.waiting.remove(at) else { break };
            let uncertain = self.early.leaves_uncertain(parcel.number);
            let way = Way {
                upload: self.upload.clone(),
                shared: self.shared.clone(),
                spool: self.disk.spool().cloned(),
                live: self.live.clone(),
                over: self.flight.over(),
            };
            let sent = put(way, parcel.clone(), uncertain, turn, buffer).instrument(self.upload.span().clone());
            self.flight.start(parcel, sent);
        }
        self.tell_on_disk();
    }

    /// A turn for the part at this place, and a buffer if it is on disk. Where there is no buffer, a part in memory goes
    /// first, which gives one back.
    fn way_for(&self, at: usize, ready: Option<Ready>) -> Option<(usize, Ready)> {
        let on_disk = self.waiting.get(at)?.is_on_disk();
        let ready = match ready {
            Some(ready) => ready,
            None => Ready { turn: self.shared.turns.clone().try_acquire_owned().ok()?, buffer: None },
        };
        if !on_disk {
            return Some((at, Ready { buffer: None, ..ready }));
        }
        match ready.buffer.or_else(|| self.shared.pool.try_acquire()) {
            Some(buffer) => Some((at, Ready { turn: ready.turn, buffer: Some(buffer) })),
            None => Some((self.next_waiting(true)?, Ready { turn: ready.turn, buffer: None })),
        }
    }

    /// The oldest part that waits and is not kept by an early version of itself that is still on its way.
    fn next_waiting(&self, in_memory: bool) -> Option<usize> {
        let held = self.early.under_way();
        self.waiting.iter().position(|parcel| Some(parcel.number) != held && !(in_memory && parcel.is_on_disk()))
    }

    /// Whether the store has the part at this place already, as an early version of the same length.
    fn has_as_it_is(&self, at: usize) -> bool {
        self.waiting.get(at).is_some_and(|parcel| self.early.is_all_of(parcel.number, parcel.len()))
    }

    /// Tells how much waits on disk.
    fn tell_on_disk(&mut self) {
        let bytes = self.on_disk();
        self.disk.tell(bytes, &self.progress);
    }

    /// Bytes that wait on disk for their turn.
    fn on_disk(&self) -> u64 {
        self.waiting.iter().filter(|parcel| parcel.is_on_disk()).map(Parcel::len).sum()
    }

    /// Moves the newest part that waits in memory to disk; false when that is not possible.
    fn spill(&mut self) -> bool {
        let beside = self.on_disk();
        let newest = self.waiting.iter().rev().find(|parcel| !parcel.is_on_disk());
        let Some(moved) = newest.and_then(|parcel| self.disk.take(parcel, beside)) else { return false };
        self.shared.has_room(moved);
        if moved {
            self.tell_on_disk();
        }
        moved
    }

    fn note(&mut self, joined: Result<Result<Stored, OutboxError>, JoinError>) -> Result<(), OutboxError> {
        let stored = joined??;
        let About { part, offset, bytes } = self.upload.about(stored.number, stored.size);
        self.upload
            .span()
            .in_scope(|| tracing::debug!(event = "stored", part, offset, bytes, "try" = stored.tries, "stored"));
        self.flight.landed(&stored);
        self.enter(stored);
        Ok(())
    }

    /// Notes what the store holds.
    fn enter(&mut self, Stored { number, etag, size, .. }: Stored) {
        self.shared.moves();
        let before = self.ledger.size_of(number);
        self.ledger.note(number, etag, size);
        self.tell_readable();
        self.progress.bytes_out.fetch_add(size.saturating_sub(before.unwrap_or(0)), Relaxed);
        self.progress.bytes_sent.fetch_add(size, Relaxed);
        if before.is_none() {
            self.progress.parts.fetch_add(1, Relaxed);
        }
    }
}

/// What a part needs to be sent: a turn, and a buffer if it comes from disk.
#[derive(Debug)]
struct Ready {
    turn: OwnedSemaphorePermit,
    buffer: Option<PartBuffer>,
}

/// Waits for what a part needs to be sent. First the memory, then the turn: who has a turn must not wait for anything but
/// the store.
async fn turn(shared: &Shared, from_disk: bool) -> Result<Ready, OutboxError> {
    let buffer = if from_disk { Some(shared.pool.acquire().await?) } else { None };
    match shared.turns.clone().acquire_owned().await {
        Ok(turn) => Ok(Ready { turn, buffer }),
        // The semaphore is never closed.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
