//! Parts on their way to the store: some in flight, some waiting for their turn in memory, and, while the store is away,
//! on disk.
//!
//! Memory holds at most as many parts as the pool has buffers: those in flight, one that waits and one that is being
//! filled. When all are taken the input waits, unless the store is away and there is a spool.
//!
//! The part that is being filled can be sent early, as the tail part ([`Outbox::send_tail`]): one version at a time, and
//! the next version, the full one included, only when the store has answered to the one before, so that none can land in
//! the wrong order. Where an answer was lost, the longer version is looked at after it was stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::cli::units::show_bytes;
use crate::ledger::Ledger;
use crate::part::{PartNumber, PartSize};
use crate::pool::{NoMemory, PartBuffer, PartPool};
use crate::progress::Progress;
use crate::retry::Retry;
use crate::spool::{Spool, SpoolSettings, Spooled};
use crate::store::{ETag, Kind, Store, StoreError};

/// The store counts as away when no part has been stored for this long, even if no request has failed yet ...
const AWAY: Duration = Duration::from_secs(5);

/// ... and for this many times as long as parts take: a slow store is not away, it slows the input down.
const AWAY_TIMES: u32 = 3;

/// How long parts take before any has been stored.
const UNKNOWN: Duration = Duration::from_secs(10);

/// How soon a failing part is noticed while the input waits.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Between two warnings about the spool.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// Where the parts go.
#[derive(Debug, Clone)]
pub struct Address {
    /// The store.
    pub store: Store,
    /// The object's key.
    pub key: String,
    /// The upload.
    pub upload_id: String,
    /// How long one part may keep failing.
    pub retry: Retry,
}

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

/// A part that waits for its turn.
#[derive(Debug)]
enum Waiting {
    Memory(Bytes),
    Disk(Spooled),
}

/// What became of a tail part that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is on its way.
    Yes,
    /// Not now: the version before it is still on its way, or all buffers and slots are in use.
    NotNow,
    /// Not in this upload: the store has refused one.
    Never,
}

/// What is known of the early versions of a part.
#[derive(Debug, Clone, Copy)]
struct Early {
    number: PartNumber,
    /// The size of the longest one that the store has.
    stored: u64,
    /// Whether the answer to one was lost, so that it may still land.
    uncertain: bool,
}

/// The tail part on its way.
#[derive(Debug)]
struct Tail {
    number: PartNumber,
    task: JoinHandle<Result<Stored, StoreError>>,
}

/// A part that has been stored.
#[derive(Debug)]
struct Stored {
    number: PartNumber,
    etag: ETag,
    size: u64,
    took: Duration,
}

/// The parts of one upload on their way.
#[derive(Debug)]
pub struct Outbox {
    address: Arc<Address>,
    concurrency: usize,
    pool: PartPool,
    waiting: VecDeque<(PartNumber, Waiting)>,
    in_flight: JoinSet<Result<Stored, OutboxError>>,
    tail: Option<Tail>,
    early: Option<Early>,
    /// The highest part that was sent.
    highest: Option<PartNumber>,
    /// Whether the store has refused a tail.
    tail_refused: bool,
    /// Parts in flight whose last attempt failed.
    failing: Arc<AtomicUsize>,
    spool: Option<Spool>,
    /// When a part was last stored, or the first of a new burst sent.
    moved: Instant,
    /// How long parts take, the slow ones.
    usual: Option<Duration>,
    /// When it was last said that parts wait on disk, and that no more can.
    warned: Option<Instant>,
    warned_full: Option<Instant>,
    /// Whether parts wait on disk.
    spooling: bool,
    progress: Arc<Progress>,
    /// Bytes on disk as the progress knows them.
    told_on_disk: u64,
    part_size: PartSize,
    readable: watch::Sender<u64>,
    /// What the store holds.
    pub ledger: Ledger,
}

impl Outbox {
    /// An outbox with at most `concurrency` parts in flight; `spool` only for an input that cannot wait.
    #[must_use]
    pub fn new(
        address: Address,
        part_size: PartSize,
        concurrency: usize,
        spool: Option<SpoolSettings>,
        progress: Arc<Progress>,
    ) -> Self {
        let spool = spool.filter(|spool| spool.limit > 0).map(|settings| Spool::new(settings, part_size.get()));
        Self {
            address: Arc::new(address),
            concurrency,
            pool: PartPool::new(concurrency + 2, part_size.as_len()),
            waiting: VecDeque::new(),
            in_flight: JoinSet::new(),
            tail: None,
            early: None,
            highest: None,
            tail_refused: false,
            failing: Arc::default(),
            spool,
            moved: Instant::now(),
            usual: None,
            warned: None,
            warned_full: None,
            spooling: false,
            progress,
            told_on_disk: 0,
            part_size,
            readable: watch::channel(0).0,
            ledger: Ledger::default(),
        }
    }

    /// Takes its buffers from a pool that another outbox uses too, so that both together stay within it.
    #[must_use]
    pub fn sharing(mut self, pool: PartPool) -> Self {
        self.pool = pool;
        self
    }

    /// The pool that the buffers come from.
    #[must_use]
    pub fn pool(&self) -> PartPool {
        self.pool.clone()
    }

    /// How many bytes the store holds without a gap, and each change of that.
    #[must_use]
    pub fn readable(&self) -> watch::Receiver<u64> {
        self.readable.subscribe()
    }

    /// Tells what the [`ledger`](Self::ledger) says now to those who watch [`readable`](Self::readable).
    pub fn tell_readable(&self) {
        if self.readable.receiver_count() > 0 {
            self.readable.send_replace(self.ledger.readable(self.part_size));
        }
    }

    /// Waits for a buffer to fill, and makes room on disk if the store is away.
    ///
    /// # Errors
    /// [`OutboxError`] when a part that is on its way has failed for good.
    pub async fn buffer(&mut self) -> Result<PartBuffer, OutboxError> {
        loop {
            self.launch();
            // One part may wait in memory beside the one to be filled; the other buffers belong to the parts in flight,
            // those that come back from disk included.
            let in_memory = self.waiting.iter().filter(|(_, part)| matches!(part, Waiting::Memory(_))).count();
            if in_memory > 1 {
                let away_at = self.moved + AWAY.max(self.usual.unwrap_or(UNKNOWN) * AWAY_TIMES);
                let away = self.failing.load(Relaxed) > 0 || Instant::now() >= away_at;
                if away && self.spill() {
                    continue;
                }
                let look_again = Instant::now() + LOOK_AGAIN;
                let spools = self.spool.is_some();
                tokio::select! {
                    stored = self.stored() => stored?,
                    () = sleep_until(look_again), if spools => {}
                }
                continue;
            }
            let pool = self.pool.clone();
            tokio::select! {
                buffer = pool.acquire() => return Ok(buffer?),
                stored = self.stored() => stored?,
            }
        }
    }

    /// Takes a part that is full, or the last one.
    pub fn send(&mut self, number: PartNumber, part: Bytes) {
        self.waiting.push_back((number, Waiting::Memory(part)));
        self.launch();
    }

    /// Sends the first bytes of the part that is being filled, in a buffer of their own if one is free.
    pub fn send_tail(&mut self, number: PartNumber, filled: &[u8]) -> Taken {
        if self.tail_refused {
            return Taken::Never;
        }
        // A part that waits for its turn must find what is known of its own early versions.
        let busy = self.tail.is_some() || self.early.is_some_and(|early| early.number != number || early.uncertain);
        // Nor in place of a longer one that an earlier run has left.
        let shorter = self.ledger.size_of(number).is_some_and(|held| held >= filled.len() as u64);
        if busy || shorter || !self.waiting.is_empty() || self.in_flight.len() >= self.concurrency {
            return Taken::NotNow;
        }
        let Some(mut buffer) = self.pool.try_acquire() else { return Taken::NotNow };
        let Some(room) = buffer.room().get_mut(..filled.len()) else { return Taken::NotNow };
        room.copy_from_slice(filled);
        buffer.advance(filled.len());
        let (address, body, began) = (self.address.clone(), buffer.freeze(), Instant::now());
        let task = tokio::spawn(async move {
            let size = body.len() as u64;
            // One attempt: the next version comes soon.
            let patience = address.store.patience().part(size, 0);
            let etag = address.store.put_part(&address.key, &address.upload_id, number, body, patience).await?;
            Ok(Stored { number, etag, size, took: began.elapsed() })
        });
        tracing::debug!(part = number.get(), bytes = filled.len(), "sending the tail so far");
        self.early.get_or_insert(Early { number, stored: 0, uncertain: false });
        self.tail = Some(Tail { number, task });
        Taken::Yes
    }

    /// Waits until a part on its way is stored; for ever if none is. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`OutboxError`] when it has failed for good.
    pub async fn stored(&mut self) -> Result<(), OutboxError> {
        tokio::select! {
            Some(joined) = self.in_flight.join_next() => self.note(joined)?,
            answer = answered(&mut self.tail) => self.note_tail(answer),
        }
        self.launch();
        Ok(())
    }

    /// Waits until all parts are stored.
    ///
    /// # Errors
    /// [`OutboxError`] when one has failed for good.
    pub async fn drain(&mut self) -> Result<(), OutboxError> {
        loop {
            self.launch();
            if self.in_flight.is_empty() && self.tail.is_none() {
                return Ok(());
            }
            self.stored().await?;
        }
    }

    /// After a failure: lets what is in flight end by itself, whatever the results.
    pub async fn settle(&mut self) {
        if self.tail.is_some() {
            let answer = answered(&mut self.tail).await;
            self.note_tail(answer);
        }
        while let Some(joined) = self.in_flight.join_next().await {
            if let Err(error) = self.note(joined) {
                tracing::debug!("{error}");
            }
        }
    }

    /// Starts to send waiting parts, the oldest first.
    fn launch(&mut self) {
        if self.in_flight.is_empty() {
            self.moved = Instant::now();
        }
        while self.in_flight.len() + usize::from(self.tail.is_some()) < self.concurrency
            && let Some((number, part)) = self.next_waiting()
        {
            let early = self.early.take_if(|early| early.number == number);
            let uncertain = early.is_some_and(|early| early.uncertain);
            if !uncertain && early.is_some_and(|early| early.stored == part.len()) {
                // The store has it as it is.
                continue;
            }
            self.highest = self.highest.max(Some(number));
            let (address, failing, pool) = (self.address.clone(), Failing::new(&self.failing), self.pool.clone());
            self.in_flight.spawn(async move {
                let body = match part {
                    Waiting::Memory(body) => body,
                    Waiting::Disk(spooled) => {
                        let mut buffer = pool.acquire().await?;
                        spooled.read_into(&mut buffer).map_err(|cause| OutboxError::Spool { number, cause })?;
                        buffer.freeze()
                    }
                };
                put(&address, number, body, uncertain, failing).await
            });
        }
        let on_disk: usize = self.waiting.iter().map(|(_, part)| part.disk_len()).sum();
        // There can be another outbox beside this one.
        let before = std::mem::replace(&mut self.told_on_disk, on_disk as u64);
        self.progress.spooled.fetch_add(self.told_on_disk.saturating_sub(before), Relaxed);
        self.progress.spooled.fetch_sub(before.saturating_sub(self.told_on_disk), Relaxed);
        if self.spooling && on_disk == 0 {
            self.spooling = false;
            tracing::info!("all parts have left the disk");
        }
    }

    /// The oldest part that waits and is not kept by an early version of itself that is still on its way.
    fn next_waiting(&mut self) -> Option<(PartNumber, Waiting)> {
        let held = self.tail.as_ref().map(|tail| tail.number);
        let at = self.waiting.iter().position(|(number, _)| Some(*number) != held)?;
        self.waiting.remove(at)
    }

    /// Moves the newest part that waits in memory to disk; false when that is not possible.
    fn spill(&mut self) -> bool {
        let newest = self.waiting.iter_mut().rev().find(|(_, part)| matches!(part, Waiting::Memory(_)));
        let (Some(spool), Some((number, part))) = (self.spool.as_mut(), newest) else { return false };
        let Waiting::Memory(bytes) = part else { return false };
        let due = |warned: Option<Instant>| warned.is_none_or(|at| at.elapsed() >= WARN_AGAIN);
        match spool.put(bytes) {
            Ok(spooled) => {
                tracing::debug!(part = number.get(), "moved to disk");
                *part = Waiting::Disk(spooled);
                self.spooling = true;
                if due(self.warned) {
                    self.warned = Some(Instant::now());
                    let bytes: usize = self.waiting.iter().map(|(_, part)| part.disk_len()).sum();
                    let shown = show_bytes(bytes as u64);
                    tracing::warn!(
                        "the store does not keep up; input goes on to be read and waits on disk ({shown} so far)"
                    );
                }
                true
            }
            Err(error) => {
                if due(self.warned_full) {
                    self.warned_full = Some(Instant::now());
                    tracing::warn!(
                        "the store does not keep up, and no more input can wait on disk: {error}. The input waits; nothing is lost as long as it can"
                    );
                }
                false
            }
        }
    }

    fn note(&mut self, joined: Result<Result<Stored, OutboxError>, JoinError>) -> Result<(), OutboxError> {
        let stored = joined??;
        tracing::debug!(part = stored.number.get(), bytes = stored.size, "stored");
        self.usual = Some(self.usual.map_or(stored.took, |usual| stored.took.max(usual * 7 / 8)));
        self.enter(stored);
        Ok(())
    }

    /// Notes what became of a tail part. None is worth an error: the longer version is still to come.
    fn note_tail(&mut self, answer: Result<Result<Stored, StoreError>, JoinError>) {
        // Behind a higher part, a short one is refused as it should be.
        let outrun = self.early.is_some_and(|early| self.highest > Some(early.number));
        let error = match answer {
            Ok(Ok(stored)) => {
                tracing::debug!(part = stored.number.get(), bytes = stored.size, "stored as the tail so far");
                if let Some(early) = &mut self.early {
                    early.stored = early.stored.max(stored.size);
                }
                return self.enter(stored);
            }
            Ok(Err(error)) => error,
            Err(error) => StoreError::local(
                "uploading the tail part",
                self.address.store.object(&self.address.key),
                Kind::Passing,
                error.to_string(),
            ),
        };
        match error.kind {
            // Without a clear no, it may have been taken, or still be taken later.
            Kind::Passing if !matches!(error.status, Some(429 | 503)) => {
                if let Some(early) = &mut self.early {
                    early.uncertain = true;
                }
                tracing::debug!("{error}");
            }
            Kind::Refused if !outrun => {
                self.tail_refused = true;
                tracing::warn!("{error} Only full parts are sent from here on; nothing is lost.");
            }
            _ => tracing::debug!("{error}"),
        }
    }

    /// Notes what the store holds.
    fn enter(&mut self, Stored { number, etag, size, .. }: Stored) {
        self.moved = Instant::now();
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

/// Waits for the answer to the tail part on its way; for ever if there is none. Dropping the future loses nothing.
async fn answered(tail: &mut Option<Tail>) -> Result<Result<Stored, StoreError>, JoinError> {
    let Some(Tail { task, .. }) = tail else { return std::future::pending().await };
    let answer = task.await;
    *tail = None;
    answer
}

impl Waiting {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(body) => body.len() as u64,
            Self::Disk(spooled) => spooled.len() as u64,
        }
    }

    fn disk_len(&self) -> usize {
        match self {
            Self::Memory(_) => 0,
            Self::Disk(spooled) => spooled.len(),
        }
    }
}

/// Counts one part among the failing ones from its first failed attempt until it is stored or given up.
#[derive(Debug)]
struct Failing {
    count: Arc<AtomicUsize>,
    counted: bool,
}

impl Failing {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        Self { count: count.clone(), counted: false }
    }

    fn failed(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.count.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if self.counted {
            self.count.fetch_sub(1, Relaxed);
        }
    }
}

/// Sends one part until the store has it; if an earlier version of it may still land, until the store is seen to have it.
async fn put(
    address: &Address,
    number: PartNumber,
    body: Bytes,
    uncertain: bool,
    mut failing: Failing,
) -> Result<Stored, OutboxError> {
    let (size, began) = (body.len() as u64, Instant::now());
    loop {
        let etag = send(address, number, &body, &mut failing).await?;
        if !uncertain || holds(address, number, &etag).await? {
            return Ok(Stored { etag, took: began.elapsed(), number, size });
        }
        tracing::debug!(part = number.get(), "an earlier version landed late; sending it again");
    }
}

/// Sends one part until the store says that it has it.
async fn send(address: &Address, number: PartNumber, body: &Bytes, failing: &mut Failing) -> Result<ETag, StoreError> {
    // Only silence shows that more patience is needed: a part that was refused five times is not a slow one.
    let silences = AtomicU32::new(0);
    let (silences, size) = (&silences, body.len() as u64);
    let etag = address.retry.run(|failed| {
        if failed > 0 {
            failing.failed();
        }
        let patience = address.store.patience().part(size, silences.load(Relaxed));
        let sent = address.store.put_part(&address.key, &address.upload_id, number, body.clone(), patience);
        async move {
            let began = Instant::now();
            let result = sent.await;
            if began.elapsed() >= patience {
                silences.fetch_add(1, Relaxed);
            }
            result
        }
    });
    etag.await
}

/// Whether the store holds this version of a part.
async fn holds(address: &Address, number: PartNumber, etag: &ETag) -> Result<bool, StoreError> {
    let parts = address.retry.run(|_| address.store.parts(&address.key, &address.upload_id)).await?;
    let held = parts.iter().find(|part| part.number == number);
    Ok(held.is_some_and(|part| part.etag == etag.0.trim_matches('"')))
}
