//! The input on its way through one object after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use super::object::{OpenObject, left};
use super::outcome::{Complete, RollError, Rolled, Unfinished};
use super::policy::{Policy, Rollover};
use super::staging::{READ, Staging};
use crate::media::fmp4::cut::{Cutter, StreamKind, shift};
use crate::object::live::Upload;
use crate::object::tap::{End, Opening, Tapped};
use crate::protocol::key::numbered;
use crate::protocol::live_read::MAX_PARTS;
use crate::store::Patient;
use crate::tool::progress::Progress;
use crate::writer::at_once::{settle, until_the_end};
use crate::writer::cause::Cause;
use crate::writer::format::Format;
use crate::writer::kept::Rest;
use crate::writer::outbox::{Outbox, Shared};
use crate::writer::plan::Plan;
use crate::writer::pool::PartBuffer;
use crate::writer::source::Source;
use crate::writer::spool::Spool;
use crate::writer::tail::{self, TailSender};

/// What all objects share.
pub(super) struct Context<'a> {
    pub(super) store: &'a Patient,
    pub(super) plan: &'a Plan,
    pub(super) spool: Option<Spool>,
    pub(super) progress: &'a Arc<Progress>,
    /// The name that all objects have in common.
    pub(super) recording: String,
}

impl Context<'_> {
    fn outbox(&self, upload: &Upload) -> Outbox {
        self.plan.outbox(upload.clone(), self.spool.as_ref().map(Spool::another), self.progress)
    }

    fn tapped(&self, outbox: &Outbox) -> Tapped {
        let (key, upload_id) = (outbox.upload().key(), outbox.upload().id());
        self.plan.taps.begin(&Opening { key, upload_id, readable: outbox.readable(), fresh: true })
    }
}

/// The input on its way through one object after the other.
pub(super) struct Roller<'a> {
    context: Context<'a>,
    policy: Policy,
    object: OpenObject,
    tapped: Tapped,
    shared: Shared,
    /// Bytes of the stream that are in a part by now.
    pushed: u64,
    /// The part that is being filled.
    buffer: Option<PartBuffer>,
    tail: Option<TailSender>,
    cutter: Cutter,
    /// Bytes of the current group of pictures.
    group: Option<u64>,
    /// About how large a group of pictures can be, from the largest so far.
    usual_group: u64,
    /// Objects that are on their way to being complete.
    closing: JoinSet<Result<Complete, Unfinished>>,
    /// Finds out whether Live Read is on.
    look: JoinHandle<()>,
}

impl<'a> Roller<'a> {
    /// Begins with the upload of the first object.
    pub(super) fn new(context: Context<'a>, rollover: Rollover, upload: &Upload, look: JoinHandle<()>) -> Self {
        let plan = context.plan;
        let outbox = context.outbox(upload);
        context.progress.opened(upload.key(), upload.id());
        let tapped = context.tapped(&outbox);
        Self {
            policy: Policy::new(rollover, plan.part_size, MAX_PARTS),
            shared: outbox.shared(),
            object: OpenObject::new(1, outbox),
            tapped,
            pushed: 0,
            buffer: None,
            tail: plan.tail_sender(context.store, context.progress),
            cutter: Cutter::default(),
            group: None,
            usual_group: 0,
            closing: JoinSet::new(),
            look,
            context,
        }
    }

    /// Reads the input to its end and hands everything to an outbox.
    pub(super) async fn run(&mut self, source: &mut Source, staging: &mut Staging) -> Result<(), Cause> {
        let mut format = Format::new(self.context.plan.part_size);
        loop {
            let (bytes, held) = (&mut staging.bytes, staging.held);
            let end = bytes.len().min(held + READ);
            let count = self.read(source, bytes.get_mut(held..end).unwrap_or_default()).await?;
            staging.held += count;
            if count == 0 {
                return self.push(bytes.get(..held).unwrap_or_default()).await;
            }
            let news = bytes.get(held..held + count).unwrap_or_default();
            format.see(news);
            let boundaries = self.cutter.feed(news);
            if let Some(reason) = self.cutter.reason() {
                tracing::warn!(
                    "this fragmented MP4 is cut between two parts from here on, so that its objects do not play by \
                     themselves: {reason}"
                );
            }
            let base = staging.base;
            let place = |offset: u64| usize::try_from(offset - base).unwrap_or(usize::MAX);
            let (decided, mut from) = (place(self.cutter.decided()), 0);
            let fields: Vec<usize> = self.cutter.fields().into_iter().map(place).collect();
            let cuts: Vec<_> =
                boundaries.into_iter().map(|found| (place(found.at), Some((found.at, found.header)))).collect();
            for (to, boundary) in cuts.into_iter().chain([(decided, None)]) {
                for at in fields.iter().filter(|at| (from..to).contains(*at)) {
                    shift(bytes.get_mut(*at..).unwrap_or_default(), self.object.shift);
                }
                self.push(bytes.get(from..to).unwrap_or_default()).await?;
                from = to;
                if let Some((at, header)) = boundary {
                    self.at_fragment(at, header).await?;
                }
            }
            bytes.copy_within(decided..staging.held, 0);
            staging.held -= decided;
            staging.base += decided as u64;
        }
    }

    /// Reads, and notices meanwhile when an upload fails.
    async fn read(&mut self, source: &mut Source, room: &mut [u8]) -> Result<usize, Cause> {
        loop {
            let count = tokio::select! {
                count = source.read(room) => count?,
                stored = self.object.outbox.stored() => {
                    stored?;
                    continue;
                }
                () = tail::due(self.tail.as_ref()) => {
                    if let (Some(tail), Some(buffer)) = (&mut self.tail, &self.buffer) {
                        tail.send(self.object.due, buffer.filled(), &mut self.object.outbox).await;
                    }
                    continue;
                }
            };
            self.context.progress.bytes_in.fetch_add(count as u64, Relaxed);
            if count > 0 {
                self.context.progress.news();
            }
            return Ok(count);
        }
    }

    /// Takes bytes of the stream up to the next place for a cut.
    async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        if let Some(group) = &mut self.group {
            *group += bytes.len() as u64;
        }
        while !bytes.is_empty() {
            let plain = self.cutter.kind() == StreamKind::Plain;
            let full = self.object.size >= self.policy.limit;
            let between = plain && self.buffer.is_none() && self.object.size > 0;
            if full || (between && self.policy.at_part(self.object.size, self.object.age())) {
                if self.cutter.kind() == StreamKind::Fragmented {
                    tracing::warn!(
                        "{} is full before the next key frame, so the next object does not play by itself from its start; \
                         a larger --rollover, or key frames more often, would help",
                        self.object.outbox.upload().object()
                    );
                }
                self.roll(None).await?;
            }
            let left = usize::try_from(self.policy.limit.saturating_sub(self.object.size)).unwrap_or(usize::MAX);
            let taken = self.append(bytes.get(..left).unwrap_or(bytes)).await?;
            self.pushed += taken as u64;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Puts bytes into the current part, as many as fit, and sends it when it is full.
    async fn append(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => self.object.outbox.buffer().await?,
        };
        self.object.began.get_or_insert_with(Instant::now);
        let room = buffer.room();
        let count = room.len().min(bytes.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
            self.tapped.took(from);
        }
        buffer.advance(count);
        self.object.size += count as u64;
        if let Some(tail) = &mut self.tail {
            tail.took(count as u64);
        }
        let full = buffer.is_full();
        self.buffer = Some(buffer);
        if full {
            self.send()?;
        }
        Ok(count)
    }

    /// Hands the current part to the outbox.
    fn send(&mut self) -> Result<(), Cause> {
        if let Some(buffer) = self.buffer.take().filter(|buffer| !buffer.is_empty()) {
            let number = self.object.due.ok_or(Cause::Full(self.context.plan.part_size))?;
            self.object.outbox.send(number, buffer.freeze());
            self.object.due = number.next();
            if let Some(tail) = &mut self.tail {
                tail.handed_over();
            }
        }
        Ok(())
    }

    /// At a fragment that starts with a key frame.
    async fn at_fragment(&mut self, at: u64, header: Bytes) -> Result<(), Cause> {
        if let Some(group) = self.group.replace(0).filter(|group| *group <= self.policy.limit) {
            // Falls slowly after a large group, so that one such group does not make all later objects small.
            self.usual_group = group.max(self.usual_group / 8 * 7);
        }
        let cut = self.object.begun && self.policy.at_fragment(self.object.size, self.usual_group, self.object.age());
        if cut {
            let by = at.cast_signed() - (header.len() as u64).cast_signed();
            self.roll(Some(header)).await?;
            self.object.shift = by;
        }
        self.object.begun = true;
        Ok(())
    }

    /// Goes on in the next object, which begins with `header` if the cut is at a fragment.
    async fn roll(&mut self, header: Option<Bytes>) -> Result<(), Cause> {
        // Bytes that were sent early as a tail part are in the old object, so the buffer is sent there, too.
        if header.is_some() || self.tail.is_some() {
            self.send()?;
        }
        let number = self.object.number + 1;
        let key = numbered(&self.context.plan.key, number);
        let (store, plan) = (self.context.store, self.context.plan);
        let upload = {
            let created = plan.begin(store, &key, Some(&self.context.recording));
            tokio::pin!(created);
            loop {
                tokio::select! {
                    upload = &mut created => break upload?,
                    // Takes note of stored parts meanwhile, so that those that wait are sent.
                    stored = self.object.outbox.stored() => stored?,
                }
            }
        };
        upload.span().in_scope(|| {
            let (object, id, part_size) = (upload.object(), upload.id(), plan.part_size.get());
            tracing::info!(event = "begun", part_size, "going on in {object}, upload id {id}");
        });
        self.context.progress.opened(upload.key(), upload.id());
        let outbox = self.context.outbox(&upload).sharing(self.shared.clone());
        self.tapped = self.context.tapped(&outbox);
        let old = std::mem::replace(&mut self.object, OpenObject::new(number, outbox));
        self.close(old);
        if let Some(buffer) = &self.buffer {
            self.object.size = buffer.filled().len() as u64;
            self.object.began = Some(Instant::now());
        }
        // Cut in the middle, it may be cut again at the very next fragment.
        self.object.begun = header.is_none();
        let mut header = header.as_deref().unwrap_or_default();
        while !header.is_empty() {
            let taken = self.append(header).await?;
            header = header.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Completes an object in the background.
    fn close(&mut self, object: OpenObject) {
        let plan = self.context.plan.clone();
        let span = object.outbox.upload().span().clone();
        self.closing.spawn(object.close(plan, self.context.progress.clone()).instrument(span));
    }

    /// Sends these bytes, and waits until all is stored.
    async fn send_all(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.push(bytes).await?;
        self.send()?;
        Ok(self.object.outbox.drain().await?)
    }

    /// Completes what there is, or says what is left open.
    pub(super) async fn end(mut self, result: Result<(), Cause>, staging: Staging) -> Result<Rolled, RollError> {
        self.shared.input_ended();
        let mut result = result.and_then(|()| self.send());
        let at_once = self.context.plan.at_once.clone();
        if let Err(Cause::Source(_)) = result {
            // The bytes read before the failure are sent as a short last part, so that the store has all that was read.
            let sent = until_the_end(self.send_all(staging.from(self.pushed)), &at_once).await;
            result = sent.and(result);
        }
        self.context.plan.taps.input_ended();
        let mut unfinished = Vec::new();
        let mut cause = result.err();
        if cause.is_some() {
            // The parts in flight may still arrive.
            settle(&mut self.object.outbox, &at_once).await;
            let filling = self.buffer.take().map(PartBuffer::freeze).unwrap_or_default();
            let filling = [&filling, staging.from(self.pushed)].concat().into();
            let (plan, object) = (self.context.plan, &self.object);
            let kept =
                plan.keep(&object.outbox, Rest { due: object.due, filling, held_back: None }, plan.part_size).await;
            let (progress, upload, ledger) = (self.context.progress, object.outbox.upload(), &object.outbox.ledger);
            let left = Box::pin(left(plan, progress, upload, ledger, cause.as_ref())).await;
            unfinished.push(Unfinished { kept, ..left });
        } else if self.object.size == 0 && self.object.number == 1 {
            let (plan, object) = (self.context.plan, &self.object);
            // Stop the check for Live Read first: an aborted upload answers 404, which it would take for Live Read being off.
            self.look.abort();
            drop((&mut self.look).await);
            let abort = object.outbox.upload().abort();
            plan.taps.ended(object.outbox.upload().id(), End::Unfinished);
            cause = until_the_end(Box::pin(async { Ok(abort.await?) }), &at_once).await.err();
        } else {
            let placeholder = OpenObject::new(0, self.context.outbox(self.object.outbox.upload()));
            let last = std::mem::replace(&mut self.object, placeholder);
            self.close(last);
        }
        let mut objects = Vec::new();
        while let Some(joined) = self.closing.join_next().await {
            match joined {
                Ok(Ok(complete)) => objects.push(complete),
                Ok(Err(left)) => unfinished.push(left),
                Err(error) => cause = cause.or(Some(Cause::Outbox(error.into()))),
            }
        }
        objects.sort_by_key(|complete| complete.number);
        if cause.is_none() && unfinished.is_empty() {
            Ok(Rolled { objects })
        } else {
            Err(RollError { cause, unfinished, complete: objects.len() })
        }
    }
}
