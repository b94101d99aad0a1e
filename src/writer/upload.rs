//! The writer: cuts its input into parts, keeps a few of them in flight, and completes the upload.
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

use bytes::Bytes;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::object::live::Upload;
use crate::object::tap::{End, Opening, Tapped};
use crate::protocol::limits;
use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::PartNumber;
use crate::store::Patient;
use crate::store::live_check::LiveRead;
use crate::tool::progress::Progress;
use crate::writer::abort;
use crate::writer::at_once::{settle, unless_at_once, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::completion::{self, Fate, complete};
use crate::writer::format::Format;
use crate::writer::kept::{Kept, Rest};
use crate::writer::outbox::Outbox;
use crate::writer::plan::Plan;
use crate::writer::pool::PartBuffer;
use crate::writer::resume::{self, Held, ShortPart};
use crate::writer::source::Source;
use crate::writer::spool::Spool;
use crate::writer::tail::{self, TailSender};

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
    held: Option<Held>,
    source: &mut Source,
    progress: &Arc<Progress>,
) -> Result<Ended, WriteError> {
    let fresh = |cause: Cause| WriteError { cause, left_open: None, over: None, completed: None, kept: None };
    let (object, part_size) = (store.object(&plan.key), plan.part_size);
    let mut others = None;
    let upload = if let Some(held) = &held {
        let (id, parts, bytes) = (held.upload.id(), held.ledger.len(), held.ledger.bytes());
        let _within = held.upload.span().enter();
        tracing::info!(
            event = "resumed",
            part_size = part_size.get(),
            parts,
            bytes,
            "going on with the upload {id} of {object} in parts of {part_size} bytes: it keeps {parts} parts, {bytes} bytes"
        );
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
    let look = tokio::spawn(warn_without_live_read(upload.clone()).instrument(upload.span().clone()));

    let spool = plan.spool_for(source);
    let fresh = held.as_ref().is_none_or(|held| held.ledger.is_empty());
    let mut uploader = Uploader::new(store, plan, &upload, fresh, spool, progress, look);
    progress.taking.store(true, Relaxed);
    let run = uploader.run(source, held).instrument(upload.span().clone());
    let result = until_the_end(Box::pin(run), &plan.at_once).await;
    plan.taps.input_ended();
    if !matches!(result, Err(Cause::AtOnce)) {
        unless_at_once(uploader.tidy_up(others), &plan.at_once).await;
    }
    if let Some(warning) = source.closing_warning() {
        tracing::warn!("{warning}");
    }
    match result {
        Ok(ended) => Ok(ended),
        Err(cause @ Cause::Full(_)) => {
            // All parts are used and stored. Complete them: an upload that is left open may be cleaned away.
            match until_the_end(Box::pin(uploader.complete()), &plan.at_once).await {
                Ok((bytes, _)) => {
                    Err(WriteError { cause, left_open: None, over: None, completed: Some(bytes), kept: None })
                }
                Err(_) => Err(uploader.leave_open(cause, true).await),
            }
        }
        Err(cause) => {
            let again = source.can_be_read_again() && !cause.is_changed_input();
            Err(uploader.leave_open(cause, !again).await)
        }
    }
}

/// Says in plain words when readers will see nothing of this upload before its end.
pub(crate) async fn warn_without_live_read(upload: Upload) {
    match upload.look().await {
        Ok(LiveRead::On) => tracing::debug!("Live Read is on"),
        Ok(LiveRead::Off) => tracing::warn!(
            "this store does not let {} be read while it is being written (no Live Read on this account or bucket): \
             readers will see nothing before the upload is complete. The upload itself goes on. On Backblaze B2, Live Read \
             has to be enabled for the account",
            upload.object()
        ),
        Err(error) => tracing::debug!("could not find out whether Live Read is on: {error}"),
    }
}

/// The input on its way through one upload.
struct Uploader<'a> {
    plan: &'a Plan,
    upload: &'a Upload,
    progress: &'a Arc<Progress>,
    outbox: Outbox,
    tapped: Tapped,
    tail: Option<TailSender>,
    /// Finds out whether Live Read is on.
    look: JoinHandle<()>,
    looked_ahead: bool,
    held_back: Option<HeldBack>,
    /// The part that is to be filled next, or is being filled; `None` past the last one.
    due: Option<PartNumber>,
    /// What is in it so far.
    filling: Option<PartBuffer>,
}

/// The part that closes the gap before stale parts of an earlier run. Once it is stored they can be read, so they are
/// overwritten first.
struct HeldBack {
    number: PartNumber,
    body: Bytes,
    /// The highest stale part.
    stale: PartNumber,
}

impl<'a> Uploader<'a> {
    fn new(
        store: &'a Patient,
        plan: &'a Plan,
        upload: &'a Upload,
        fresh: bool,
        spool: Option<Spool>,
        progress: &'a Arc<Progress>,
        look: JoinHandle<()>,
    ) -> Self {
        let outbox = plan.outbox(upload.clone(), spool, progress);
        let opening = Opening { key: upload.key(), upload_id: upload.id(), readable: outbox.readable(), fresh };
        let tapped = plan.taps.begin(&opening);
        let tail = plan.tail_sender(store, progress);
        let due = Some(PartNumber::FIRST);
        let (looked_ahead, held_back, filling) = (false, None, None);
        Self { plan, upload, progress, outbox, tapped, tail, look, looked_ahead, held_back, due, filling }
    }

    /// Gives the list of other open uploads a moment to arrive.
    async fn tidy_up(&mut self, others: Option<JoinHandle<()>>) {
        if let Some(others) = others {
            // A short input may be through before the list has come.
            drop(tokio::time::timeout(LIST_PATIENCE, others).await);
        }
    }

    /// After a failure: waits for what is under way, since it was accepted, and keeps the rest where that is asked for.
    async fn leave_open(&mut self, cause: Cause, keep: bool) -> WriteError {
        settle(&mut self.outbox, &self.plan.at_once).await;
        self.plan.taps.ended(self.upload.id(), End::Unfinished);
        let filling = self.filling.take().map(PartBuffer::freeze).unwrap_or_default();
        let held_back = self.held_back.as_ref().map(|held| (held.number, held.body.clone()));
        let rest = Rest { due: self.due, filling, held_back };
        let kept = if keep { self.plan.keep(&self.outbox, rest, self.plan.part_size).await } else { None };
        let (id, ledger) = (self.upload.id().to_owned(), &self.outbox.ledger);
        if cause.says_over() {
            let fate = completion::fate(self.upload, ledger);
            if let Some(fate) = unless_at_once(fate, &self.plan.at_once).await {
                return WriteError { cause, left_open: None, over: Some((id, fate)), completed: None, kept };
            }
        }
        let bytes = ledger.readable(self.plan.part_size);
        self.upload.span().in_scope(|| tracing::debug!(event = "left_open", bytes, "the upload is left open"));
        let left_open = Some((id, bytes));
        WriteError { cause, left_open, over: None, completed: None, kept }
    }

    /// Reads the input to its end, uploads it, and completes or aborts.
    async fn run(&mut self, source: &mut Source, held: Option<Held>) -> Result<Ended, Cause> {
        let (mut tail, mut highest, mut stale) = (None, None, None);
        if let Some(held) = held {
            (self.outbox.ledger, tail, highest, stale) = (held.ledger, held.tail, held.highest, held.stale);
            self.outbox.tell_readable();
        }
        let mut format = Format::new(self.plan.part_size);
        loop {
            let passed_over = self.pass_over(source)?;
            let tail = tail.take_if(|tail: &mut ShortPart| Some(tail.part.number) == self.due);
            if passed_over || tail.is_some() {
                // The format shows at the beginning of the stream, which this run does not see.
                format.give_up();
            }
            let mut buffer = self.outbox.buffer().await?;
            release(&mut self.outbox, &mut self.held_back);
            if let Some(tail) = tail {
                resume::read_back(self.upload, &tail, &mut buffer).await?;
            }
            let kept = buffer.filled().len();
            // Only the highest part may be short.
            let may_be_short = self.held_back.is_none() && highest.is_none_or(|highest| self.due >= Some(highest));
            let number = self.due.filter(|_| may_be_short);
            let filled = self.fill(source, number, buffer, &mut format).await;
            let (ended, failed) = match filled {
                Ok(ended) => (ended, None),
                // The bytes read before the failure are sent as a short last part, so that the store has all that was read.
                Err(Cause::Source(error)) => (true, Some(error)),
                Err(cause) => return Err(cause),
            };
            if ended {
                self.outbox.shared().input_ended();
            }
            let filled = self.filling.as_ref().map_or(0, |buffer| buffer.filled().len());
            if let Some(error) = failed {
                if filled > kept && may_be_short {
                    self.send()?;
                }
                self.outbox.drain().await?;
                return Err(error.into());
            }
            let reached = |highest| self.due.is_none_or(|due| due > highest || (due == highest && filled > 0));
            // Only the highest part may be short.
            if let Some(number) = highest.filter(|highest| ended && !reached(*highest)) {
                self.outbox.drain().await?;
                let from = self.outbox.ledger.readable(self.plan.part_size);
                return Err(Cause::TooShort { number, from });
            }
            if filled > kept {
                if let Some(stale) = stale.take().filter(|stale| self.due.is_some_and(|number| number < *stale)) {
                    self.hold_back(stale);
                } else {
                    self.send()?;
                }
                self.look_ahead();
            }
            self.filling = None;
            if ended {
                break;
            }
        }
        if self.progress.bytes_in.load(Relaxed) == 0 && self.outbox.ledger.is_empty() {
            let plan = self.plan;
            // Stop the check for Live Read first: an aborted upload answers 404, which it would take for Live Read being off.
            self.look.abort();
            drop((&mut self.look).await);
            self.upload.abort().await?;
            plan.taps.ended(self.upload.id(), End::Unfinished);
            return Ok(Ended::Empty);
        }
        let (bytes, parts) = self.complete().await?;
        Ok(Ended::Completed { bytes, parts })
    }

    /// Hands the part that has been filled to the outbox.
    fn send(&mut self) -> Result<(), Cause> {
        let number = self.due.ok_or(Cause::Full(self.plan.part_size))?;
        if let Some(buffer) = self.filling.take() {
            self.outbox.send(number, buffer.freeze());
        }
        self.due = number.next();
        if number.get() == MAX_PARTS / 10 * 9 {
            let capacity = self.plan.part_size.capacity();
            tracing::warn!("nine tenths of the {capacity} bytes that {MAX_PARTS} parts of this size can hold are used");
        }
        Ok(())
    }

    /// Keeps the part that has been filled in memory until this run has overwritten all parts up to `stale`.
    fn hold_back(&mut self, stale: PartNumber) {
        if let (Some(number), Some(buffer)) = (self.due, self.filling.take()) {
            // A copy, because the parts that this one waits for need the buffers.
            let body = Bytes::copy_from_slice(buffer.filled());
            self.held_back = Some(HeldBack { number, body, stale });
            self.due = number.next();
        }
    }

    /// Moves on over full parts that the upload holds already; true if there were any.
    fn pass_over(&mut self, source: &mut Source) -> Result<bool, Cause> {
        let (part_size, ledger) = (self.plan.part_size, &self.outbox.ledger);
        let before = self.due;
        while self.due.is_some_and(|due| ledger.size_of(due) == Some(part_size.get())) {
            self.due = self.due.and_then(PartNumber::next);
        }
        if self.due == before {
            return Ok(false);
        }
        source.go_on_at(self.due.map_or(part_size.capacity(), |due| part_size.start_of(due)))?;
        Ok(true)
    }

    /// Warns once if the input, at the rate seen so far, will not fit into one object.
    fn look_ahead(&mut self) {
        let elapsed = self.progress.elapsed();
        if !self.looked_ahead && elapsed >= limits::OBSERVED {
            self.looked_ahead = true;
            let bytes = self.progress.bytes_in.load(Relaxed);
            if let Some(advice) = limits::advice(self.plan.part_size, bytes, elapsed) {
                tracing::warn!("{advice}");
            }
        }
    }

    /// Fills `buffer`, which it leaves in `filling`, until it is full or the input ends (then true), and notices meanwhile
    /// when an upload fails. Where its part may be short, it can be sent before it is full.
    async fn fill(
        &mut self,
        source: &mut Source,
        may_be_short: Option<PartNumber>,
        buffer: PartBuffer,
        format: &mut Format,
    ) -> Result<bool, Cause> {
        let buffer = self.filling.insert(buffer);
        if let Some(due) = self.due {
            self.tapped.go_on_at(self.plan.part_size.start_of(due) + buffer.filled().len() as u64);
        }
        if let Some(tail) = &mut self.tail {
            tail.begin_part(buffer.filled().len() as u64);
        }
        while !buffer.is_full() {
            let count = tokio::select! {
                count = source.read(buffer.room()) => count?,
                stored = self.outbox.stored() => {
                    stored?;
                    release(&mut self.outbox, &mut self.held_back);
                    continue;
                }
                () = tail::due(self.tail.as_ref()) => {
                    if let Some(tail) = &mut self.tail {
                        tail.send(may_be_short, buffer.filled(), &mut self.outbox).await;
                    }
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            let before = buffer.filled().len();
            buffer.advance(count);
            self.progress.bytes_in.fetch_add(count as u64, Relaxed);
            self.progress.news();
            let news = buffer.filled().get(before..).unwrap_or_default();
            format.see(news);
            self.tapped.took(news);
            if let Some(tail) = &mut self.tail {
                tail.took(count as u64);
            }
        }
        if let Some(tail) = &mut self.tail {
            tail.handed_over();
        }
        Ok(!buffer.is_full())
    }

    /// Waits for all parts under way, then completes; the size and the number of parts of the object.
    async fn complete(&mut self) -> Result<(u64, usize), Cause> {
        self.outbox.drain().await?;
        release(&mut self.outbox, &mut self.held_back);
        complete(self.plan, &mut self.outbox).await
    }
}

/// Sends the part that was held back once this run has stored all parts that it waits for.
fn release(outbox: &mut Outbox, held_back: &mut Option<HeldBack>) {
    let ledger = &outbox.ledger;
    let whole = |held: &mut HeldBack| {
        std::iter::successors(held.number.next(), |number| number.next())
            .take_while(|number| *number <= held.stale)
            .all(|number| ledger.size_of(number).is_some())
    };
    if let Some(HeldBack { number, body, .. }) = held_back.take_if(whole) {
        outbox.send(number, body);
    }
}
