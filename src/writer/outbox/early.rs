//! The part that is being filled, sent before it is full: one version at a time, and the next, the full one included, only
//! when the store has answered to the one before.

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Outbox, Stored};
use crate::protocol::part::PartNumber;
use crate::store::retry::About;
use crate::store::{Kind, StoreError};

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
pub(super) struct Early {
    pub(super) number: PartNumber,
    /// The size of the longest one that the store has.
    pub(super) stored: u64,
    /// Whether the answer to one was lost, so that it may still land.
    pub(super) uncertain: bool,
}

/// The tail part on its way.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) number: PartNumber,
    pub(super) task: JoinHandle<Result<Stored, StoreError>>,
}

impl Outbox {
    /// Sends the first bytes of the part that is being filled, in a buffer of their own if one is free.
    pub fn send_tail(&mut self, number: PartNumber, filled: &[u8]) -> Taken {
        if self.tail_refused {
            return Taken::Never;
        }
        // A part that waits for its turn must find what is known of its own early versions.
        let busy = self.tail.is_some() || self.early.is_some_and(|early| early.number != number || early.uncertain);
        // Nor in place of a longer one that an earlier run has left.
        let shorter = self.ledger.size_of(number).is_some_and(|held| held >= filled.len() as u64);
        if busy || shorter || !self.waiting.is_empty() || self.in_flight.len() >= self.shared.concurrency {
            return Taken::NotNow;
        }
        let Some(mut buffer) = self.shared.pool.try_acquire() else { return Taken::NotNow };
        let Some(room) = buffer.room().get_mut(..filled.len()) else { return Taken::NotNow };
        room.copy_from_slice(filled);
        buffer.advance(filled.len());
        let (upload, body, began) = (self.upload.clone(), buffer.freeze(), Instant::now());
        let sent = async move {
            let size = body.len() as u64;
            let etag = upload.put_tail(number, body).await?;
            Ok(Stored { number, etag, size, took: began.elapsed(), tries: 1 })
        };
        let task = tokio::spawn(sent.instrument(self.upload.span().clone()));
        let About { part, offset, bytes } = self.upload.about(number, filled.len() as u64);
        let _within = self.upload.span().enter();
        tracing::debug!(event = "sending_tail", part, offset, bytes, "sending the tail so far");
        self.early.get_or_insert(Early { number, stored: 0, uncertain: false });
        self.tail = Some(Tail { number, task });
        Taken::Yes
    }

    /// Notes what became of a tail part. None is worth an error: the longer version is still to come.
    pub(super) fn note_tail(&mut self, answer: Result<Result<Stored, StoreError>, JoinError>) {
        // Behind a higher part, a short one is refused as it should be.
        let outrun = self.early.is_some_and(|early| self.highest > Some(early.number));
        let span = self.upload.span().clone();
        let _within = span.enter();
        let error = match answer {
            Ok(Ok(stored)) => {
                let About { part, offset, bytes } = self.upload.about(stored.number, stored.size);
                tracing::debug!(event = "stored_tail", part, offset, bytes, "stored as the tail so far");
                if let Some(early) = &mut self.early {
                    early.stored = early.stored.max(stored.size);
                }
                return self.enter(stored);
            }
            Ok(Err(error)) => error,
            Err(error) => {
                StoreError::local("uploading the tail part", self.upload.object(), Kind::Passing, error.to_string())
            }
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
}

/// Waits for the answer to the tail part on its way; for ever if there is none. Dropping the future loses nothing.
pub(super) async fn answered(tail: &mut Option<Tail>) -> Result<Result<Stored, StoreError>, JoinError> {
    let Some(Tail { task, .. }) = tail else { return std::future::pending().await };
    let answer = task.await;
    *tail = None;
    answer
}
