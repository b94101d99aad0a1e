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
struct Early {
    number: PartNumber,
    /// The size of the longest one that the store has.
    stored: u64,
    /// Whether the answer to one was lost, so that it may still land.
    uncertain: bool,
}

type Sent = Result<Result<Stored, StoreError>, JoinError>;

/// The tail part of an upload: the version on its way, and what the store has of those before.
#[derive(Debug, Default)]
pub(super) struct EarlyTail {
    under_way: Option<(PartNumber, JoinHandle<Result<Stored, StoreError>>)>,
    early: Option<Early>,
    /// Whether the store has refused a tail.
    refused: bool,
}

impl EarlyTail {
    /// The part of which a version is on its way.
    pub(super) fn under_way(&self) -> Option<PartNumber> {
        self.under_way.as_ref().map(|(number, _)| *number)
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the answer to the version on its way; for ever if there is none. Dropping the future loses nothing.
    pub(super) async fn answered(&mut self) -> Sent {
        let Some((_, task)) = &mut self.under_way else { return std::future::pending().await };
        let answer = task.await;
        self.under_way = None;
        answer
    }

    /// Ends what is on its way.
    pub(super) fn stop(&mut self) {
        if let Some((_, task)) = self.under_way.take() {
            task.abort();
        }
    }

    /// Whether the store has this part of this size already, for certain.
    pub(super) fn is_all_of(&self, number: PartNumber, size: u64) -> bool {
        self.early.is_some_and(|early| !early.uncertain && early.number == number && early.stored == size)
    }

    /// The full part has been stored, or is.
    pub(super) fn forget(&mut self) {
        self.early = None;
    }

    /// The full part is sent: whether an early version of it may still land.
    pub(super) fn leaves_uncertain(&mut self, number: PartNumber) -> bool {
        self.early.take_if(|early| early.number == number).is_some_and(|early| early.uncertain)
    }
}

impl Outbox {
    /// Sends the first bytes of the part that is being filled, in a buffer of their own if one is free.
    pub fn send_tail(&mut self, number: PartNumber, filled: &[u8]) -> Taken {
        if self.early.refused {
            return Taken::Never;
        }
        // A part that waits for its turn must find what is known of its own early versions.
        let before = self.early.early;
        let busy = self.early.is_under_way() || before.is_some_and(|early| early.number != number || early.uncertain);
        // Nor in place of a longer one that an earlier run has left.
        let shorter = self.ledger.size_of(number).is_some_and(|held| held >= filled.len() as u64);
        if busy || shorter || !self.waiting.is_empty() || self.flight.len() >= self.shared.concurrency {
            return Taken::NotNow;
        }
        let Some(mut buffer) = self.shared.pool.try_acquire() else { return Taken::NotNow };
        if filled.len() > buffer.lacks() {
            return Taken::NotNow;
        }
        buffer.room(filled.len()).copy_from_slice(filled);
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
        self.early.early.get_or_insert(Early { number, stored: 0, uncertain: false });
        self.early.under_way = Some((number, task));
        Taken::Yes
    }

    /// Notes what became of a tail part. None is worth an error: the longer version is still to come.
    pub(super) fn note_tail(&mut self, answer: Sent) {
        // Behind a higher part, a short one is refused as it should be.
        let outrun = self.early.early.is_some_and(|early| self.flight.highest() > Some(early.number));
        let span = self.upload.span().clone();
        let _within = span.enter();
        let error = match answer {
            Ok(Ok(stored)) => {
                let About { part, offset, bytes } = self.upload.about(stored.number, stored.size);
                tracing::debug!(event = "stored_tail", part, offset, bytes, "stored as the tail so far");
                if let Some(early) = &mut self.early.early {
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
                if let Some(early) = &mut self.early.early {
                    early.uncertain = true;
                }
                tracing::debug!("{error}");
            }
            Kind::Refused if !outrun => {
                self.early.refused = true;
                tracing::warn!("{error} Only full parts are sent from here on; nothing is lost.");
            }
            _ => tracing::debug!("{error}"),
        }
    }
}
