//! One input into several objects: the next is opened before the one before it is completed, so that a reader finds it.
//!
//! ```text
//! source -> staging -> cutter -> buffer -> outbox of the newest object -> ...
//!                         |                outbox of the one before    -> complete, in the background
//!                         +-- a place for a cut: is it time?
//! ```
//!
//! Plain bytes are cut between two parts. Fragmented MP4 is cut where a fragment begins with a key frame, and each object
//! after the first begins with the stream's header; fields that hold an offset in the whole stream are corrected by as much.
//! All outboxes share one pool of buffers, so that memory is the same as with one object.

mod object;
mod outcome;
mod policy;
mod roller;
mod staging;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tracing::Instrument;

pub use self::outcome::{Complete, RollError, Rolled, Unfinished};
pub use self::policy::Rollover;
use self::roller::{Context, Roller};
use self::staging::Staging;
use crate::message::fields;
use crate::store::Patient;
use crate::tool::progress::Progress;
use crate::writer::abort;
use crate::writer::at_once::until_the_end;
use crate::writer::cause::Cause;
use crate::writer::plan::Plan;
use crate::writer::source::Source;
use crate::writer::upload::warn_without_live_read;

/// Copies all of `source` into as many objects as it takes, and completes them.
///
/// # Errors
/// [`RollError`]; what the store holds by then stays there, in uploads that are left open.
pub async fn write(
    store: &Patient,
    plan: &Plan,
    rollover: Rollover,
    source: &mut Source,
    progress: &Arc<Progress>,
) -> Result<Rolled, RollError> {
    let spool = plan.spool_for(source);
    let fresh = |cause: Cause| RollError { cause: Some(cause), unfinished: Vec::new(), complete: 0 };
    let recording = format!("{:032x}", fastrand::u128(..));
    let span = fields::recording(&plan.key, Some(&recording));
    let begun = plan.begin(store, &plan.key, Some(&recording)).instrument(span.clone()).await;
    let upload = begun.map_err(|error| fresh(error.into()))?;
    let (object, id) = (upload.object(), upload.id());
    upload.span().in_scope(|| {
        let part_size = plan.part_size.get();
        tracing::info!(
            event = "begun",
            part_size,
            "uploading to {object} in parts of {part_size} bytes, upload id {id}"
        );
    });
    // The cell is empty: this is the only place that sets it.
    drop(progress.upload.set(id.to_owned()));
    let look = tokio::spawn(warn_without_live_read(upload.clone()).instrument(upload.span().clone()));
    tokio::spawn(abort::warn_of_others(upload.clone()));

    let context = Context { store, plan, spool, progress, recording };
    let mut roller = Roller::new(context, rollover, &upload, look);
    progress.taking.store(true, Relaxed);
    let mut staging = Staging::default();
    let run = roller.run(source, &mut staging).instrument(span.clone());
    let result = until_the_end(Box::pin(run), &plan.at_once).await;
    if let Some(warning) = source.closing_warning() {
        tracing::warn!("{warning}");
    }
    Box::pin(roller.end(result, staging).instrument(span)).await
}
