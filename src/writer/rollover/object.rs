//! One of the objects: while it is being written, and how it is completed or left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::{Complete, Unfinished};
use crate::object::live::Upload;
use crate::object::tap::End;
use crate::protocol::part::PartNumber;
use crate::tool::progress::Progress;
use crate::writer::at_once::{settle, unless_at_once, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::completion::{self, complete};
use crate::writer::kept::Rest;
use crate::writer::ledger::Ledger;
use crate::writer::outbox::Outbox;
use crate::writer::plan::Plan;

/// The object that is being written.
pub(super) struct OpenObject {
    pub(super) number: u32,
    pub(super) outbox: Outbox,
    pub(super) due: Option<PartNumber>,
    /// Bytes of it, those in the buffer included.
    pub(super) size: u64,
    /// When its first byte came.
    pub(super) began: Option<Instant>,
    /// Whether it has a fragment already, so that it may be cut before the next.
    pub(super) begun: bool,
    /// Offset in the whole stream minus offset in this object, for the bytes being written.
    pub(super) shift: i64,
}

impl OpenObject {
    pub(super) fn new(number: u32, outbox: Outbox) -> Self {
        Self { number, outbox, due: Some(PartNumber::FIRST), size: 0, began: None, begun: false, shift: 0 }
    }

    pub(super) fn age(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Waits for its parts and completes it.
    pub(super) async fn close(self, plan: Plan, progress: Arc<Progress>) -> Result<Complete, Unfinished> {
        let Self { number, mut outbox, due, .. } = self;
        let upload = outbox.upload().clone();
        let completed = Box::pin(complete(&plan, &mut outbox));
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

/// What is left of an object that is not complete because of `cause`.
pub(super) async fn left(
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
