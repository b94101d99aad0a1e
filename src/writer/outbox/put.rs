//! One part on its way: sent until the store has it. Between two attempts it makes room for input, if that waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::shared::Shared;
use super::{OutboxError, Stored};
use crate::message::fields::millis;
use crate::object::live::Upload;
use crate::protocol::part::PartNumber;
use crate::store::retry::About;
use crate::store::{ETag, Kind, StoreError};
use crate::writer::kept::Content;
use crate::writer::live_objects::LiveObjects;
use crate::writer::pool::PartBuffer;
use crate::writer::spool::{Spool, SpoolError};

/// Between two rounds of attempts of a part that does not give up.
const NEXT_ROUND: Duration = Duration::from_secs(5);

/// How long a part on disk waits for a buffer of the pool.
const SPARE_AFTER: Duration = Duration::from_secs(1);

/// A part, wherever its bytes are at the moment.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) number: PartNumber,
    content: Arc<Mutex<Content>>,
}

impl Parcel {
    pub(super) fn new(number: PartNumber, content: Content) -> Self {
        Self { number, content: Arc::new(Mutex::new(content)) }
    }

    pub(super) fn content(&self) -> Content {
        self.lock().clone()
    }

    /// Its bytes in memory, for one attempt.
    async fn body(&self, shared: &Shared, buffer: Option<PartBuffer>) -> Result<Bytes, OutboxError> {
        let spooled = match self.content() {
            Content::Memory(body) => return Ok(body),
            Content::Disk(spooled) => spooled,
        };
        let mut buffer = if let Some(buffer) = buffer {
            buffer
        } else {
            // Parts that wait for their turn behind this one may have all buffers, and have to keep them if the disk is full.
            tokio::select! {
                buffer = shared.pool.acquire_at_need() => buffer?,
                buffer = async { sleep(SPARE_AFTER).await; shared.spare.acquire().await } => buffer?,
            }
        };
        let read = tokio::task::block_in_place(|| spooled.read_into(&mut buffer));
        read.map_err(|cause| OutboxError::Spool { number: self.number, cause })?;
        Ok(buffer.freeze())
    }

    pub(super) fn len(&self) -> u64 {
        self.lock().len()
    }

    pub(super) fn is_on_disk(&self) -> bool {
        matches!(*self.lock(), Content::Disk(_))
    }

    /// Moves it to disk.
    pub(super) fn spill(&self, spool: &Spool) -> Result<(), SpoolError> {
        let Content::Memory(body) = self.content() else { return Ok(()) };
        let spooled = tokio::task::block_in_place(|| spool.put(&body))?;
        tracing::debug!(event = "on_disk", part = self.number.get(), bytes = body.len(), "moved to disk");
        *self.lock() = Content::Disk(Arc::new(spooled));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a part needs to be sent.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) upload: Upload,
    pub(super) shared: Shared,
    pub(super) spool: Option<Spool>,
    pub(super) live: Option<LiveObjects>,
    /// Turns true when no part is to be tried again.
    pub(super) over: watch::Receiver<bool>,
}

/// Sends one part until the store has it; if an earlier version of it may still land, until the store is seen to have it.
/// `buffer` is for a part that comes from disk.
pub(super) async fn put(
    way: Way,
    parcel: Parcel,
    uncertain: bool,
    turn: OwnedSemaphorePermit,
    buffer: Option<PartBuffer>,
) -> Result<Stored, OutboxError> {
    let Way { upload, shared, spool, live, over } = way;
    let (number, began, size) = (parcel.number, Instant::now(), parcel.len());
    let (mut failures, mut failing) = (upload.store().retry().start(), shared.failing());
    failures.about = upload.about(number, size);
    let About { part, offset, bytes } = failures.about;
    let mut tries = 0_u32;
    // Only silence shows that more patience is needed: a part that was refused five times is not a slow one.
    let mut silences = 0;
    let (mut turn, mut buffer) = (Some(turn), buffer);
    loop {
        // First the memory, then the turn: who has a turn must not wait for anything but the store.
        let body = parcel.body(&shared, buffer.take()).await?;
        if turn.is_none() {
            // The semaphore is never closed.
            turn = shared.turns.clone().acquire_owned().await.ok();
        }
        let patience = upload.store().patience().part(size, silences);
        let asked = Instant::now();
        tries = tries.saturating_add(1);
        tracing::debug!(event = "sending", part, offset, bytes, "try" = tries, "sending");
        let sent = match &live {
            Some(live) => live.put_part(&upload, number, body, patience).await,
            None => upload.put(number, body, patience).await,
        };
        let error = match sent {
            Ok(etag) => {
                failures.passed();
                if !uncertain || holds(&upload, number, &etag).await? {
                    return Ok(Stored { etag, took: began.elapsed(), number, size, tries });
                }
                tracing::debug!(
                    event = "again",
                    part,
                    offset,
                    bytes,
                    "try" = tries,
                    "an earlier version landed late; sending it again"
                );
                continue;
            }
            Err(error) => error,
        };
        failing.failed();
        silences += u32::from(asked.elapsed() >= patience);
        let again = matches!(error.kind, Kind::Passing | Kind::Capped);
        let wait = match failures.next_wait(error.clone()) {
            Ok(wait) => wait,
            Err(error) if again && !shared.may_give_up(upload.store().retry().give_up_after) => {
                let wait_ms = millis(NEXT_ROUND);
                tracing::warn!(
                    event = "again",
                    part,
                    offset,
                    bytes,
                    "try" = tries,
                    wait_ms,
                    "{error} Going on to try: nothing is lost as long as there is room for the input."
                );
                failures.start_over();
                NEXT_ROUND
            }
            Err(error) => {
                tracing::debug!(event = "failed", part, offset, bytes, "try" = tries, "{error}");
                return Err(error.into());
            }
        };
        drop(turn.take());
        pause(wait, &parcel, &shared, spool.as_ref(), &over).await;
        if *over.borrow() {
            return Err(error.into());
        }
    }
}

/// Waits until the next attempt; meanwhile the memory is given to who waits for it.
async fn pause(wait: Duration, parcel: &Parcel, shared: &Shared, spool: Option<&Spool>, over: &watch::Receiver<bool>) {
    let until = Instant::now() + wait;
    let (mut over, mut spool) = (over.clone(), spool);
    loop {
        tokio::select! {
            () = sleep_until(until) => return,
            _ = over.wait_for(|over| *over) => return,
            () = shared.pool.wanted(), if spool.is_some() => {
                if let Some(Err(error)) = spool.take().map(|spool| parcel.spill(spool)) {
                    tracing::debug!(part = parcel.number.get(), "stays in memory: {error}");
                }
            }
        }
    }
}

/// Whether the store holds this version of a part.
async fn holds(upload: &Upload, number: PartNumber, etag: &ETag) -> Result<bool, StoreError> {
    let parts = upload.parts().await?;
    let held = parts.iter().find(|part| part.number == number);
    Ok(held.is_some_and(|part| part.etag == etag.0.trim_matches('"')))
}
