//! One of the objects: while it is being written, and how it is completed or left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::object::live::Upload;
use crate::object::tap::End;
use crate::protocol::part::PartNumber;
use crate::tool::progress::Progress;
use crate::writer::at_once::{settle, unless_at_once, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::completion::{self, Fate, complete};
use crate::writer::kept::{Kept, Rest};
use crate::writer::ledger::Ledger;
use crate::writer::live_objects::LiveObjects;
use crate::writer::outbox::Outbox;
use crate::writer::plan::Plan;

/// The object that is being written.
#[derive(Debug)]
pub(crate) struct OpenObject {
    pub(crate) number: u32,
    pub(crate) outbox: Outbox,
    pub(crate) due: Option<PartNumber>,
    /// Bytes of it, those in the buffer included.
    pub(crate) size: u64,
    /// When its first byte came.
    pub(crate) began: Option<Instant>,
    /// Whether it has a fragment already, so that it may be cut before the next.
    pub(crate) begun: bool,
    /// Offset in the whole stream minus offset in this object, for the bytes being written.
    pub(crate) shift: i64,
}

impl OpenObject {
    pub(crate) fn new(number: u32, outbox: Outbox) -> Self {
        Self { number, outbox, due: Some(PartNumber::FIRST), size: 0, began: None, begun: false, shift: 0 }
    }

    pub(crate) fn age(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Waits for its parts and completes it. Whoever has read it to its end looks for what it goes on in, and has read all if
    /// there is nothing: so that its live objects have to be found by then.
    pub(crate) async fn close(
        self,
        plan: Plan,
        progress: Arc<Progress>,
        next: Option<LiveObjects>,
    ) -> Result<Complete, Unfinished> {
        let Self { number, mut outbox, due, .. } = self;
        let upload = outbox.upload().clone();
        let completed = Box::pin(async {
            if let Some(next) = next {
                let found = async {
                    next.can_be_found().await;
                    Ok(())
                };
                // What waits in the outbox is sent meanwhile.
                tokio::try_join!(found, outbox.drain())?;
            }
            complete(&plan, &mut outbox).await
        });
        match until_the_end(completed, &plan.at_once).await {
            Ok((bytes, parts)) => {
                progress.closed(upload.id());
                let (name, plural) = (upload.object(), if parts == 1 { "part" } else { "parts" });
                tracing::info!("{name} is complete: {bytes} bytes in {parts} {plural}");
                Ok(Complete { number, key: upload.key().to_owned(), bytes, parts })
            }
            Err(cause) => {
                tracing::debug!(event = "left_open", bytes = outbox.ledger.bytes(), "the upload is not complete");
                settle(&mut outbox, &plan.at_once).await;
                if !matches!(cause, Cause::AtOnce) {
                    tracing::error!("{} could not be completed: {cause}", upload.object());
                }
                let kept = plan.keep(&outbox, Rest { due, ..Rest::default() }, plan.part_size).await;
                let left = left(&plan, &progress, &upload, &outbox.ledger, Some(&cause)).await;
                Err(Unfinished { cause: Some(cause), kept, ..left })
            }
        }
    }
}

/// An object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    pub(crate) number: u32,
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its parts.
    pub parts: usize,
}

/// An object that could not be completed; its upload is left open, unless it is over.
#[derive(Debug)]
pub struct Unfinished {
    /// Its name in messages.
    pub object: String,
    /// Its key.
    pub key: String,
    /// Its upload id.
    pub upload_id: String,
    /// The bytes that the store holds of it.
    pub bytes: u64,
    /// Why, unless that is the cause of all [`RollError`](crate::writer::rollover::RollError).
    pub cause: Option<Cause>,
    /// What became of the bytes of it that were taken and not stored, where there are any.
    pub kept: Option<Kept>,
    /// What became of it, where somebody else has ended it.
    pub over: Option<Fate>,
}

/// What is left of an object that is not complete because of `cause`.
pub(crate) async fn left(
    plan: &Plan,
    progress: &Progress,
    upload: &Upload,
    ledger: &Ledger,
    cause: Option<&Cause>,
) -> Unfinished {
    plan.taps.ended(upload.id(), End::Unfinished);
    let over = match cause {
        Some(cause) if cause.says_over() => {
            progress.closed(upload.id());
            unless_at_once(completion::fate(upload, ledger), &plan.at_once).await
        }
        _ => None,
    };
    let (object, bytes) = (upload.object(), ledger.bytes());
    let (key, upload_id) = (upload.key().to_owned(), upload.id().to_owned());
    Unfinished { object, key, upload_id, bytes, cause: None, kept: None, over }
}
