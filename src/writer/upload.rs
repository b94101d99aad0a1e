//! One input into one object, which may have been begun by an earlier writer: all of it is taken
//! (`intake`), and the upload is completed.
//!
//! ```text
//! source -> buffer of the pool -> (full) -> outbox -> up to N uploads at once -> ledger -> complete
//!                                             | ^
//!                                             v |  while the store is away
//!                                            spool
//! ```
//!
//! A buffer is acquired before it is filled and comes back when the store has its part, so memory is bounded by
//! part size × (N + 2): N in flight, one that waits for its turn, one that is being filled. When all are taken, the
//! input is not read, and whoever feeds it waits.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::timeout;
use tracing::Instrument;

use crate::object::tap::End;
use crate::store::Patient;
use crate::tool::progress::Progress;
use crate::writer::abort;
use crate::writer::at_once::{settle, unless_at_once, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::completion::{self, Fate};
use crate::writer::intake::{Context, Intake, Policy};
use crate::writer::kept::Kept;
use crate::writer::plan::Plan;
use crate::writer::resume::Ongoing;
use crate::writer::source::Source;

/// How long the end may wait for the word about other open uploads.
const LIST_PATIENCE: Duration = Duration::from_secs(1);

/// How an upload ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The object is complete.
    Completed {
        /// Its size.
        bytes: u64,
        /// Its parts.
        parts: usize,
    },
    /// There was no input, and an upload cannot be empty: it was aborted.
    Empty,
}

/// Why an upload could not be finished, and what is left of it.
#[derive(Debug)]
pub struct WriteError {
    /// The reason.
    pub cause: Cause,
    /// The upload that was left open, with the bytes that the store holds of it.
    pub left_open: Option<(String, u64)>,
    /// The upload that somebody else has ended, and what became of it.
    pub over: Option<(String, Fate)>,
    /// The object was completed with this many bytes in spite of the error.
    pub completed: Option<u64>,
    /// What became of the bytes that were taken and not stored, where there are any.
    pub kept: Option<Kept>,
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.cause)
    }
}

impl std::error::Error for WriteError {}

/// Copies all of `source` into a new upload, or into one that was left open (`held`), and completes it.
///
/// # Errors
/// [`WriteError`]; what the store holds by then stays there, in an upload that is left open.
pub async fn write(
    store: &Patient,
    plan: &Plan,
    held: Option<Ongoing>,
    source: &mut Source,
    progress: &Arc<Progress>,
) -> Result<Ended, WriteError> {
    let fresh = |cause: Cause| WriteError { cause, left_open: None, over: None, completed: None, kept: None };
    let (object, part_size) = (store.object(&plan.key), plan.part_size);
    let mut others = None;
    let upload = if let Some(held) = &held {
        say_resumed(held);
        held.upload.clone()
    } else {
        let upload = plan.begin(store, &plan.key, None).await.map_err(|error| fresh(error.into()))?;
        let (_within, part_size) = (upload.span().clone().entered(), part_size.get());
        tracing::info!(
            event = "begun",
            part_size,
            "uploading to {object} in parts of {part_size} bytes, upload id {}",
            upload.id()
        );
        others = Some(tokio::spawn(abort::warn_of_others(upload.clone())));
        upload
    };
    // So that a second request to stop can name the upload. Nobody else sets the cell, so this cannot fail.
    drop(progress.upload.set(upload.id().to_owned()));
    let look = plan.look(&upload);

    let context = Context { store, plan, spool: plan.spool_for(source), progress, recording: None };
    let mut intake = Intake::new(context, Policy::never(plan.part_size), 1, &upload, held, look);
    progress.taking.store(true, Relaxed);
    let run = intake.run(source).instrument(upload.span().clone());
    let taken = until_the_end(Box::pin(run), &plan.at_once).await;
    plan.taps.input_ended();
    let result = match taken {
        Ok(()) => until_the_end(Box::pin(end(&mut intake)), &plan.at_once).await,
        Err(cause) => Err(cause),
    };
    if let Some(others) = others.filter(|_| !matches!(result, Err(Cause::AtOnce))) {
        // A short input may be through before the list of other open uploads has come.
        unless_at_once(timeout(LIST_PATIENCE, others), &plan.at_once).await;
    }
    if let Some(warning) = source.closing_warning() {
        tracing::warn!("{warning}");
    }
    let result = match result {
        Ok(ended) => Ok(ended),
        Err(cause @ Cause::Full(_)) => {
            // All parts are used and stored. Complete them: an upload that is left open may be cleaned away.
            match until_the_end(Box::pin(intake.complete()), &plan.at_once).await {
                Ok((bytes, _)) => {
                    Err(WriteError { cause, left_open: None, over: None, completed: Some(bytes), kept: None })
                }
                Err(_) => Err(leave_open(intake, plan, cause, true).await),
            }
        }
        Err(cause) => {
            let again = source.can_be_read_again() && !cause.is_changed_input();
            Err(leave_open(intake, plan, cause, !again).await)
        }
    };
    plan.tidied().await;
    result
}

/// Says what is gone on with.
pub(crate) fn say_resumed(held: &Ongoing) {
    let (object, id, part_size) = (held.upload.object(), held.upload.id(), held.upload.part_size());
    let parts = held.ledger.len();
    let bytes = held.readable.unwrap_or_else(|| held.ledger.bytes());
    let more = if held.readable.is_some() { ", what is in no part of them in live objects" } else { "" };
    let _within = held.upload.span().enter();
    tracing::info!(
        event = "resumed",
        part_size = part_size.get(),
        parts,
        bytes,
        "going on with the upload {id} of {object} in parts of {part_size} bytes: it keeps {parts} parts, {bytes} bytes{more}"
    );
}

/// All has been taken: completes the object, or aborts the upload if there was nothing.
async fn end(intake: &mut Intake<'_>) -> Result<Ended, Cause> {
    if intake.is_empty() {
        intake.abort().await?;
        return Ok(Ended::Empty);
    }
    let (bytes, parts) = intake.complete().await?;
    Ok(Ended::Completed { bytes, parts })
}

/// After a failure: waits for what is under way, since it was accepted, and keeps the rest where that is asked for.
async fn leave_open(mut intake: Intake<'_>, plan: &Plan, cause: Cause, keep: bool) -> WriteError {
    settle(&mut intake.object.outbox, &plan.at_once).await;
    let rest = intake.rest();
    let outbox = &intake.object.outbox;
    plan.taps.ended(outbox.upload().id(), End::Unfinished);
    let kept = if keep { plan.keep(outbox, rest, plan.part_size).await } else { None };
    let (id, ledger) = (outbox.upload().id().to_owned(), &outbox.ledger);
    if cause.says_over() {
        let fate = completion::fate(outbox.upload(), ledger);
        if let Some(fate) = unless_at_once(fate, &plan.at_once).await {
            return WriteError { cause, left_open: None, over: Some((id, fate)), completed: None, kept };
        }
    }
    let bytes = ledger.readable(plan.part_size);
    outbox.upload().span().in_scope(|| tracing::debug!(event = "left_open", bytes, "the upload is left open"));
    let left_open = Some((id, bytes));
    WriteError { cause, left_open, over: None, completed: None, kept }
}
