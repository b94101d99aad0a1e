//! One of the objects: while it is being written, and how it is completed or left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::{Complete, Unfinished};
use crate::object::tap::End;
use crate::protocol::part::PartNumber;
use crate::store::Patient;
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
    pub(super) key: String,
    pub(super) id: String,
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
    pub(super) fn new(number: u32, key: String, id: String, outbox: Outbox) -> Self {
        Self { number, key, id, outbox, due: Some(PartNumber::FIRST), size: 0, began: None, begun: false, shift: 0 }
    }

    pub(super) fn age(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Waits for its parts and completes it.
    pub(super) async fn close(
        self,
        store: Patient,
        plan: Plan,
        progress: Arc<Progress>,
    ) -> Result<Complete, Unfinished> {
        let Self { number, key, id, mut outbox, due, .. } = self;
        let completed = Box::pin(complete(&store, &plan, &key, &id, &mut outbox));
        match until_the_end(completed, &plan.at_once).await {
            Ok((bytes, parts)) => {
                progress.closed(&id);
                let (name, plural) = (store.object(&key), if parts == 1 { "part" } else { "parts" });
                tracing::info!("{name} is complete: {bytes} bytes in {parts} {plural}");
                Ok(Complete { number, key, bytes, parts })
            }
            Err(cause) => {
                settle(&mut outbox, &plan.at_once).await;
                if !matches!(cause, Cause::AtOnce) {
                    tracing::error!("{} could not be completed: {cause}", store.object(&key));
                }
                let kept = plan.keep(&outbox, Rest { due, ..Rest::default() }, plan.part_size).await;
                let left = left(&store, &plan, &progress, (key, id), &outbox.ledger, Some(&cause)).await;
                Err(Unfinished { cause: Some(cause), kept, ..left })
            }
        }
    }
}

/// What is left of an object that is not complete because of `cause`.
pub(super) async fn left(
    store: &Patient,
    plan: &Plan,
    progress: &Progress,
    (key, upload_id): (String, String),
    ledger: &Ledger,
    cause: Option<&Cause>,
) -> Unfinished {
    plan.taps.ended(&upload_id, End::Unfinished);
    let over = match cause {
        Some(cause) if cause.says_over() => {
            progress.closed(&upload_id);
            unless_at_once(completion::fate(store, &key, &upload_id, ledger), &plan.at_once).await
        }
        _ => None,
    };
    let (object, bytes) = (store.object(&key), ledger.bytes());
    Unfinished { object, key, upload_id, bytes, cause: None, kept: None, over }
}
