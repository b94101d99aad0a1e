//! The one loop that takes the input: plain, resumed and rolled-over uploads run through it.
//!
//! ```text
//! source -> filling (buffer of the pool) -> (full) -> outbox of the newest object -> ...
//!              |        ^                              outbox of the one before    -> complete, in the background
//!              v        |
//!            scan: what is in it, and where may it be cut? -> taps
//! ```
//!
//! The [policy](Policy) says when to go on in the next object; for a plain upload it never does. Plain bytes are cut between
//! two parts. Fragmented MP4 is cut where a fragment begins with a key frame, and each object after the first begins with
//! the stream's header; fields that hold an offset in the whole stream are corrected by as much. All outboxes share one
//! pool of buffers, so that memory is the same as with one object.
//!
//! | module | job |
//! |---|---|
//! | [`filling`] | the part that is being filled; pure |
//! | [`scan`] | what is found in the input, and who looks |
//! | [`policy`] | when an object is full; pure |
//! | [`before`] | what an earlier writer left of the upload |
//! | [`next`] | from one object to the next |
//! | [`object`] | an object that is being written, and how it is completed or left |

mod before;
mod filling;
mod next;
pub(crate) mod object;
pub(crate) mod policy;
mod scan;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::before::Before;
use self::filling::{Filling, READ};
use self::next::close;
pub(crate) use self::object::{Complete, OpenObject, Unfinished};
use self::policy::Groups;
pub(crate) use self::policy::Policy;
use self::scan::Scan;
use crate::media::fmp4::Found;
use crate::media::fmp4::cut::{StreamKind, shift};
use crate::object::live::Upload;
use crate::object::tap::{End, Opening, Tapped};
use crate::protocol::limits;
use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::PartNumber;
use crate::store::Patient;
use crate::tool::progress::Progress;
use crate::writer::cause::Cause;
use crate::writer::completion::complete;
use crate::writer::kept::Rest;
use crate::writer::live_objects::LiveObjects;
use crate::writer::outbox::Outbox;
use crate::writer::plan::Plan;
use crate::writer::resume::{self, Ongoing};
use crate::writer::source::Source;
use crate::writer::spool::Spool;
use crate::writer::tail::{self, TailSender};

/// Objects that are on their way to being complete.
pub(crate) type Closing = JoinSet<Result<Complete, Unfinished>>;

/// What all objects share.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a Patient,
    pub(crate) plan: &'a Plan,
    pub(crate) spool: Option<Spool>,
    pub(crate) progress: &'a Arc<Progress>,
    /// The name that all objects have in common, where there may be several.
    pub(crate) recording: Option<String>,
}

impl Context<'_> {
    fn outbox(&self, upload: &Upload) -> Outbox {
        self.plan.outbox(upload.clone(), self.spool.as_ref().map(Spool::another), self.progress)
    }

    /// Tells of an object that begins, or that an earlier writer `held`.
    fn tapped(&self, outbox: &Outbox, held: Option<&Ongoing>) -> Tapped {
        let (key, upload_id) = (outbox.upload().key(), outbox.upload().id());
        let beside = outbox.live().and_then(LiveObjects::beside);
        // Live objects hold what an earlier writer has sent, also where that was less than a part.
        let fresh = held.is_none_or(|held| held.ledger.is_empty() && beside.is_none());
        self.plan.taps.begin(&Opening { key, upload_id, readable: outbox.readable(), fresh, beside })
    }
}

/// The input on its way through one object after the other; see the [module](self).
pub(crate) struct Intake<'a> {
    context: Context<'a>,
    policy: Policy,
    /// The newest object.
    pub(crate) object: OpenObject,
    tapped: Tapped,
    filling: Filling,
    before: Before,
    scan: Scan,
    groups: Groups,
    tail: Option<TailSender>,
    /// Objects that are on their way to being complete.
    pub(crate) closing: Closing,
    /// Finds out whether Live Read is on.
    look: JoinHandle<()>,
    looked_ahead: bool,
}

impl<'a> Intake<'a> {
    /// Begins with `upload`, object `number` of all, or goes on with it where an earlier writer `held` some of it.
    pub(crate) fn new(
        context: Context<'a>,
        policy: Policy,
        number: u32,
        upload: &Upload,
        held: Option<Ongoing>,
        look: JoinHandle<()>,
    ) -> Self {
        let plan = context.plan;
        let mut outbox = context.outbox(upload);
        let tapped = context.tapped(&outbox, held.as_ref());
        let before = held.map_or_else(Before::default, |mut held| {
            outbox.ledger = std::mem::take(&mut held.ledger);
            outbox.tell_readable();
            Before::of(held)
        });
        Self {
            object: OpenObject::new(number, outbox),
            tapped,
            filling: Filling::default(),
            before,
            scan: Scan::new(plan.part_size, policy.goes_on(), plan.taps.look()),
            groups: Groups::default(),
            tail: plan.tail_sender(context.store, context.progress),
            closing: JoinSet::new(),
            look,
            looked_ahead: false,
            policy,
            context,
        }
    }

    /// Reads the input to its end and hands everything to an outbox.
    pub(crate) async fn run(&mut self, source: &mut Source) -> Result<(), Cause> {
        let read = self.read_all(source).await;
        self.object.outbox.shared().input_ended();
        let failed = match read {
            Ok(()) => None,
            Err(Cause::Source(error)) => Some(error),
            Err(cause) => return Err(cause),
        };
        // What was undecided belongs to the object.
        self.take_to(u64::MAX).await?;
        let (due, news) = (self.object.due, self.filling.has_news());
        if let Some(error) = failed {
            // The bytes read before the failure are sent as a short last part, so that the store has all that was read.
            if news && self.before.may_be_short(due) {
                self.send()?;
            }
            self.object.outbox.drain().await?;
            return Err(error.into());
        }
        if let Some(number) = self.before.beyond(due, !self.filling.part().is_empty()) {
            self.object.outbox.drain().await?;
            let from = self.object.outbox.ledger.readable(self.context.plan.part_size);
            return Err(Cause::TooShort { number, from });
        }
        if news { self.send() } else { Ok(()) }
    }

    async fn read_all(&mut self, source: &mut Source) -> Result<(), Cause> {
        loop {
            if !self.filling.has_buffer() {
                self.begin_part(source).await?;
            }
            if !source.cannot_wait() {
                self.wait_for_live_objects().await?;
            }
            let count = self.read(source).await?;
            if count == 0 {
                if !source.next_object() {
                    return Ok(());
                }
                self.next_object().await?;
                continue;
            }
            let found = self.scan.feed(self.filling.advance(count));
            for found in &found {
                self.take_found(found).await?;
            }
            let decided = self.scan.decided();
            self.take_to(decided).await?;
        }
    }

    /// A file can wait until there is room for more segments of a playlist to be live objects.
    async fn wait_for_live_objects(&mut self) -> Result<(), Cause> {
        let Some(live) = self.object.outbox.live().cloned() else { return Ok(()) };
        loop {
            tokio::select! {
                () = live.room() => return Ok(()),
                stored = self.object.outbox.stored() => {
                    stored?;
                    self.before.release(&mut self.object.outbox);
                }
            }
        }
    }

    /// Begins the next part that the store does not hold in full.
    async fn begin_part(&mut self, source: &mut Source) -> Result<(), Cause> {
        let passed_over = self.pass_over(source)?;
        let tail = self.before.tail_of(self.object.due);
        if passed_over || tail.is_some() {
            // What the input is shows at its beginning, which this run does not see.
            self.scan.give_up();
        }
        let mut buffer = self.object.outbox.buffer().await?;
        self.before.release(&mut self.object.outbox);
        if let Some(tail) = tail {
            resume::read_back(self.object.outbox.upload(), &tail, &mut buffer).await?;
        }
        let kept = buffer.filled().len() as u64;
        if let Some(due) = self.object.due.filter(|_| !self.policy.goes_on()) {
            self.tapped.go_on_at(self.context.plan.part_size.start_of(due) + kept);
        }
        if let Some(tail) = &mut self.tail {
            tail.begin_part(kept);
        }
        self.filling.begin(buffer);
        Ok(())
    }

    /// Moves on over full parts that the upload holds already; true if there were any.
    fn pass_over(&mut self, source: &mut Source) -> Result<bool, Cause> {
        let part_size = self.context.plan.part_size;
        let OpenObject { outbox, due, .. } = &mut self.object;
        let before = *due;
        while due.is_some_and(|due| outbox.ledger.size_of(due) == Some(part_size.get())) {
            *due = due.and_then(PartNumber::next);
        }
        if *due == before {
            return Ok(false);
        }
        source.go_on_at(due.map_or(part_size.capacity(), |due| part_size.start_of(due)))?;
        Ok(true)
    }

    /// Reads, and notices meanwhile when an upload fails. Where the part may be short, it can be sent before it is full.
    async fn read(&mut self, source: &mut Source) -> Result<usize, Cause> {
        let most = if self.policy.goes_on() { READ } else { usize::MAX };
        let Self { object, before, filling, tail, .. } = self;
        let count = loop {
            tokio::select! {
                count = source.read(filling.room(most)) => break count?,
                stored = object.outbox.stored() => {
                    stored?;
                    before.release(&mut object.outbox);
                }
                () = tail::due(tail.as_ref()) => if let Some(tail) = tail {
                    let number = object.due.filter(|due| before.may_be_short(Some(*due)));
                    tail.send(number, filling.part(), &mut object.outbox).await;
                }
            }
        };
        let progress = self.context.progress;
        progress.bytes_in.fetch_add(count as u64, Relaxed);
        if count > 0 {
            progress.news();
        }
        Ok(count)
    }

    /// Takes all up to what was found, goes on in the next object if that begins with it, and tells the taps.
    async fn take_found(&mut self, found: &Found) -> Result<(), Cause> {
        self.scan.see(found);
        match found {
            Found::Header(header) => self.take_to(header.end).await?,
            Found::Begun(fragment) => {
                if let Some(header) = self.scan.place(fragment) {
                    self.take_to(fragment.first).await?;
                    self.at_fragment(fragment.first, &header).await?;
                }
                let (at, by) = (self.filling.at(), self.object.shift);
                let moved = by != 0 && self.scan.kind() == StreamKind::Fragmented;
                for field in fragment.fields.iter().filter(|field| moved && **field >= at) {
                    let place = usize::try_from(field - at).unwrap_or(usize::MAX);
                    shift(self.filling.pending().get_mut(place..).unwrap_or_default(), by);
                }
                self.take_to(fragment.moof_end).await?;
            }
            Found::Ended(fragment) => self.take_to(fragment.end.unwrap_or(0)).await?,
            Found::Bare | Found::Off(_) => {}
        }
        self.tapped.saw(found);
        Ok(())
    }

    /// Takes what was read into the object, up to a place in the stream; full parts are sent.
    async fn take_to(&mut self, end: u64) -> Result<(), Cause> {
        while self.filling.at() < end && self.filling.has_pending() {
            let (size, kind) = (self.object.size, self.scan.kind());
            let between = kind == StreamKind::Plain && self.filling.part().is_empty() && size > 0;
            let left = self.policy.left(size);
            if left == 0 || (between && self.policy.at_part(size, self.object.age())) {
                if kind == StreamKind::Fragmented {
                    tracing::warn!(
                        "{} is full before the next key frame, so the next object does not play by itself from its start; \
                         a larger --rollover, or key frames more often, would help",
                        self.object.outbox.upload().object()
                    );
                }
                self.roll(None).await?;
                continue;
            }
            self.need_buffer().await?;
            let count = usize::try_from((end - self.filling.at()).min(left)).unwrap_or(usize::MAX);
            let taken = self.take(count)?;
            self.groups.took(taken);
        }
        Ok(())
    }

    /// Takes at most `count` pending bytes into the part; how many found room.
    fn take(&mut self, count: usize) -> Result<u64, Cause> {
        let bytes = self.filling.take(count);
        let taken = bytes.len() as u64;
        self.tapped.took(bytes);
        self.object.size += taken;
        self.object.began.get_or_insert_with(Instant::now);
        if let Some(tail) = &mut self.tail {
            tail.took(taken);
        }
        if self.filling.is_full() {
            self.send()?;
        }
        Ok(taken)
    }

    /// A buffer for what is set aside.
    async fn need_buffer(&mut self) -> Result<(), Cause> {
        if !self.filling.has_buffer() {
            let buffer = self.object.outbox.buffer().await?;
            if let Some(tail) = &mut self.tail {
                tail.begin_part(0);
            }
            self.filling.begin(buffer);
        }
        Ok(())
    }

    /// Hands the part to the outbox.
    fn send(&mut self) -> Result<(), Cause> {
        let part_size = self.context.plan.part_size;
        let number = self.object.due.ok_or(Cause::Full(part_size))?;
        let held_back = self.before.hold_back(number, self.filling.part());
        if let Some(body) = self.filling.release().filter(|_| !held_back) {
            self.object.outbox.send(number, body);
        }
        self.object.due = number.next();
        if let Some(tail) = &mut self.tail {
            tail.handed_over();
        }
        let Some(to_last) = self.policy.lasts() else { return Ok(()) };
        if number.get() == MAX_PARTS / 10 * 9 {
            let capacity = part_size.capacity();
            tracing::warn!("nine tenths of the {capacity} bytes that {MAX_PARTS} parts of this size can hold are used");
        }
        let progress = self.context.progress;
        let elapsed = progress.elapsed();
        if !self.looked_ahead && elapsed >= limits::OBSERVED {
            self.looked_ahead = true;
            if let Some(advice) = limits::advice(part_size, progress.bytes_in.load(Relaxed), elapsed, to_last) {
                tracing::warn!("{advice}");
            }
        }
        Ok(())
    }

    /// Completes the last object in the background, as those before it; gives all that are on their way to being complete.
    pub(crate) fn close_last(self) -> Closing {
        let Self { context, object, mut closing, .. } = self;
        close(&mut closing, &context, object, None);
        closing
    }

    /// Waits for all parts under way, then completes; the size and the number of parts of the object.
    pub(crate) async fn complete(&mut self) -> Result<(u64, usize), Cause> {
        let outbox = &mut self.object.outbox;
        outbox.drain().await?;
        self.before.release(outbox);
        complete(self.context.plan, outbox).await
    }

    /// Whether there was no input: an upload cannot be empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.object.number == 1 && self.object.size == 0 && self.object.outbox.ledger.is_empty()
    }

    /// Aborts the upload, since there was no input.
    pub(crate) async fn abort(&mut self) -> Result<(), Cause> {
        // Stop the check for Live Read first: an aborted upload answers 404, which it would take for Live Read being off.
        self.look.abort();
        drop((&mut self.look).await);
        let upload = self.object.outbox.upload();
        if let Some(live) = &self.context.plan.live {
            live.stop(upload.id()).await;
        }
        upload.abort().await?;
        if let Some(live) = &self.context.plan.live {
            live.aborted(upload.id());
        }
        self.context.plan.taps.ended(upload.id(), End::Unfinished);
        Ok(())
    }

    /// What was read and not handed to the outbox.
    pub(crate) fn rest(&mut self) -> Rest {
        let filling = std::mem::take(&mut self.filling).into_rest();
        Rest { due: self.object.due, filling, held_back: self.before.held_back() }
    }
}
