//! One input into several objects: the next is opened before the one before it is completed, so that a reader finds it. The
//! `intake` goes from one to the next; here it is begun, and its end is judged.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tracing::Instrument;

use crate::message::fields;
use crate::protocol::live_read::MAX_PARTS;
use crate::store::Patient;
use crate::tool::progress::Progress;
use crate::writer::abort;
use crate::writer::at_once::{settle, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::intake::object::left;
pub use crate::writer::intake::object::{Complete, Unfinished};
pub use crate::writer::intake::policy::Rollover;
use crate::writer::intake::{Context, Intake, Policy};
use crate::writer::plan::Plan;
use crate::writer::resume::Ongoing;
use crate::writer::source::Source;
use crate::writer::upload::say_resumed;

/// How the input ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// The objects in order: key, bytes and parts of each. None at all if there was no input.
    pub objects: Vec<Complete>,
}

/// What went wrong, object by object.
#[derive(Debug)]
pub struct RollError {
    /// Why reading or uploading stopped before the end of the input, if it did.
    pub cause: Option<Cause>,
    /// The objects that are not complete.
    pub unfinished: Vec<Unfinished>,
    /// How many objects are complete.
    pub complete: usize,
}

/// How an input goes into objects.
#[derive(Debug, Default)]
pub struct Rolling {
    /// When to go on in another object; without, only where the input itself begins one.
    pub rollover: Option<Rollover>,
    /// The object to go on with.
    pub held: Option<Held>,
}

/// An object that an earlier writer has begun.
#[derive(Debug)]
pub struct Held {
    /// What there is of it.
    pub ongoing: Ongoing,
    /// Which of the recording's objects it is, counted from 1.
    pub number: u32,
    /// The name that all of them have in common.
    pub recording: Option<String>,
}

/// Copies all of `source` into as many objects as it takes, and completes them.
///
/// # Errors
/// [`RollError`]; what the store holds by then stays there, in uploads that are left open.
pub async fn write(
    store: &Patient,
    plan: &Plan,
    rolling: Rolling,
    source: &mut Source,
    progress: &Arc<Progress>,
) -> Result<Rolled, RollError> {
    let fresh = |cause: Cause| RollError { cause: Some(cause), unfinished: Vec::new(), complete: 0 };
    let Rolling { rollover, held } = rolling;
    // What goes on in the middle of something cannot be understood, and so not be cut either.
    let policy = rollover.filter(|_| held.is_none());
    let policy =
        policy.map_or(Policy::never(plan.part_size), |rollover| Policy::new(rollover, plan.part_size, MAX_PARTS));
    let recording = match &held {
        Some(held) => held.recording.clone(),
        None => Some(format!("{:032x}", fastrand::u128(..))),
    };
    let span = fields::recording(&plan.key, recording.as_deref());
    let (number, held) = held.map_or((1, None), |held| (held.number, Some(held.ongoing)));
    let upload = if let Some(held) = &held {
        say_resumed(held);
        held.upload.clone()
    } else {
        let begun = plan.begin(store, &plan.key, recording.as_deref()).instrument(span.clone()).await;
        let upload = begun.map_err(|error| fresh(error.into()))?;
        let (_within, part_size) = (upload.span().clone().entered(), plan.part_size.get());
        let (object, id) = (upload.object(), upload.id());
        tracing::info!(
            event = "begun",
            part_size,
            "uploading to {object} in parts of {part_size} bytes, upload id {id}"
        );
        tokio::spawn(abort::warn_of_others(upload.clone()));
        upload
    };
    // The cell is empty: this is the only place that sets it.
    drop(progress.upload.set(upload.id().to_owned()));
    let look = plan.look(&upload);

    let spool = plan.spool_for(source);
    let context = Context { store, plan, spool, progress, recording };
    progress.opened(upload.key(), upload.id());
    let mut intake = Intake::new(context, policy, number, &upload, held, look);
    progress.taking.store(true, Relaxed);
    let run = intake.run(source).instrument(span.clone());
    let result = until_the_end(Box::pin(run), &plan.at_once).await;
    plan.taps.input_ended();
    if let Some(warning) = source.closing_warning() {
        tracing::warn!("{warning}");
    }
    Box::pin(end(intake, plan, progress, result).instrument(span)).await
}

/// The input is over: completes what there is, or says what is left open.
async fn end(
    mut intake: Intake<'_>,
    plan: &Plan,
    progress: &Progress,
    result: Result<(), Cause>,
) -> Result<Rolled, RollError> {
    let mut unfinished = Vec::new();
    let mut cause = result.err();
    let mut closing = if matches!(cause, Some(Cause::Full(_))) {
        // All parts are used. An upload that is left open may be cleaned away.
        intake.close_last()
    } else if cause.is_some() {
        // The parts in flight may still arrive.
        settle(&mut intake.object.outbox, &plan.at_once).await;
        let rest = intake.rest();
        let outbox = &intake.object.outbox;
        let kept = plan.keep(outbox, rest, plan.part_size).await;
        let left = Box::pin(left(plan, progress, outbox.upload(), &outbox.ledger, cause.as_ref())).await;
        unfinished.push(Unfinished { kept, ..left });
        intake.closing
    } else if intake.is_empty() {
        cause = until_the_end(Box::pin(intake.abort()), &plan.at_once).await.err();
        intake.closing
    } else {
        intake.close_last()
    };
    let mut objects = Vec::new();
    while let Some(joined) = closing.join_next().await {
        match joined {
            Ok(Ok(complete)) => objects.push(complete),
            Ok(Err(left)) => unfinished.push(left),
            Err(error) => cause = cause.or(Some(Cause::Outbox(error.into()))),
        }
    }
    plan.tidied().await;
    objects.sort_by_key(|complete| complete.number);
    if cause.is_none() && unfinished.is_empty() {
        Ok(Rolled { objects })
    } else {
        Err(RollError { cause, unfinished, complete: objects.len() })
    }
}
