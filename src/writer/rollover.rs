//! One input into several objects: the next is opened before the one before it is completed, so that a reader finds it.
//!
//! ```text
//! source -> staging -> cutter -> buffer -> outbox of the newest object -> ...
//!                         |                outbox of the one before    -> complete, in the background
//!                         +-- a place for a cut: is it time?
//! ```
//!
//! Plain bytes are cut between two parts. Fragmented MP4 is cut where a fragment begins with a key frame, and each object
//! after the first begins with the stream's header; what tells of places in the
//! stream is moved to fit. All outboxes share one pool of buffers, so that memory stays what it
//! is with one.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::human::sizes;
use crate::media::fmp4::cut::{Cutter, Kind, UNDECIDED_MAX, shift};
use crate::protocol::key::numbered;
use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::Store;
use crate::tool::progress::Progress;
use crate::writer::abort;
use crate::writer::at_once::{unless_at_once, until_the_end};
use crate::writer::completion::{self, Fate, complete};
use crate::writer::format::Format;
use crate::writer::kept::{Kept, Rest};
use crate::writer::ledger::Ledger;
use crate::writer::outbox::{Outbox, Shared};
use crate::writer::pool::PartBuffer;
use crate::writer::source::Source;
use crate::writer::spool::Spool;
use crate::writer::tail::{self, TailSender};
use crate::writer::upload::{Cause, Plan, settle, warn_without_live_read};

/// Bytes read at once.
const READ: usize = 256 << 10;

/// When to go on in another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollover {
    /// Just before the parts are used up.
    Auto,
    /// So that no object has more bytes.
    Size(u64),
    /// At the first opportunity after this time.
    Duration(Duration),
}

impl Rollover {
    /// Parses `auto`, a size or a duration. `30m` are minutes and `30M` megabytes; a bare number is bytes.
    ///
    /// # Errors
    /// In words, for anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        if matches!(unit, "ms" | "s" | "sec" | "m" | "min" | "h" | "d") {
            let duration = sizes::duration(text)?;
            let enough = duration >= Duration::from_secs(1);
            return if enough { Ok(Self::Duration(duration)) } else { Err("at least 1s".to_owned()) };
        }
        let bad = |_| format!("{text:?} is neither a size nor a duration nor `auto`; examples: 50GB, 1h, 30m, auto");
        sizes::size(text).map(Self::Size).map_err(bad)
    }

    /// Checks a size against the part size.
    ///
    /// # Errors
    /// In words, when not even one part would fit.
    pub fn check(self, part_size: PartSize) -> Result<(), String> {
        match self {
            Self::Size(size) if size < part_size.get() => {
                Err(format!("--rollover {size} is less than one part of {part_size} bytes; see --part-size"))
            }
            _ => Ok(()),
        }
    }
}

/// When an object is full, and when it is time to go on in the next.
#[derive(Debug, Clone, Copy)]
struct Policy {
    /// No object has more bytes.
    limit: u64,
    after: Option<Duration>,
    part_size: u64,
}

impl Policy {
    fn new(rollover: Rollover, part_size: PartSize, max_parts: u32) -> Self {
        let capacity = part_size.get() * u64::from(max_parts);
        let (limit, after) = match rollover {
            Rollover::Auto => (capacity, None),
            Rollover::Size(size) => (size.min(capacity), None),
            Rollover::Duration(duration) => (capacity, Some(duration)),
        };
        Self { limit, after, part_size: part_size.get() }
    }

    /// Between two parts of plain bytes, with `size` bytes in the object.
    fn at_part(&self, size: u64, age: Duration) -> bool {
        size.saturating_add(self.part_size) > self.limit || self.is_due(age)
    }

    /// At a fragment that starts with a key frame, when the group of pictures to come may have `group` bytes.
    fn at_fragment(&self, size: u64, group: u64, age: Duration) -> bool {
        size.saturating_add(group) > self.limit || self.is_due(age)
    }

    fn is_due(&self, age: Duration) -> bool {
        self.after.is_some_and(|after| age >= after)
    }
}

/// How the input ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// The objects in order: key, bytes and parts of each. None at all if there was no input.
    pub objects: Vec<Complete>,
}

/// An object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    number: u32,
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its parts.
    pub parts: usize,
}

/// What went wrong, object by object.
#[derive(Debug)]
pub struct RollError {
    /// Why the input did not get further, if it did not.
    pub cause: Option<Cause>,
    /// The objects that are not complete.
    pub unfinished: Vec<Unfinished>,
    /// How many are.
    pub complete: usize,
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
    /// Why, unless it is the cause for the whole.
    pub cause: Option<Cause>,
    /// What became of the bytes of it that were taken and not stored, where there are any.
    pub kept: Option<Kept>,
    /// What became of it, where somebody else has ended it.
    pub over: Option<Fate>,
}

/// Copies all of `source` into as many objects as it takes, and completes them.
///
/// # Errors
/// [`RollError`]; what the store holds by then stays there, in uploads that are left open.
pub async fn write(
    store: &Store,
    plan: &Plan,
    rollover: Rollover,
    source: &mut Source,
    progress: &Arc<Progress>,
) -> Result<Rolled, RollError> {
    let spool = plan.spool_for(source);
    let fresh = |cause: Cause| RollError { cause: Some(cause), unfinished: Vec::new(), complete: 0 };
    let recording = format!("{:032x}", fastrand::u128(..));
    let id = plan.create(store, &plan.key, Some(&recording)).await.map_err(|error| fresh(error.into()))?;
    let object = store.object(&plan.key);
    tracing::info!("uploading to {object} in parts of {} bytes, upload id {id}", plan.part_size);
    // The cell is empty: this is the only place that sets it.
    drop(progress.upload.set(id.clone()));
    let look = tokio::spawn(warn_without_live_read(store.clone(), plan.key.clone(), id.clone()));
    tokio::spawn(abort::warn_of_others(store.clone(), plan.key.clone(), id.clone()));

    let context = Context { store, plan, spool, progress, recording };
    let outbox = context.outbox(&plan.key, &id);
    let shared = outbox.shared();
    let tail = plan.tail_sender(store, progress);
    progress.opened(&plan.key, &id);
    if let Some(hls) = &plan.hls {
        hls.begin(&plan.key, &id, outbox.readable());
    }
    let mut roller = Roller {
        policy: Policy::new(rollover, plan.part_size, MAX_PARTS),
        object: Object::new(1, plan.key.clone(), id, outbox),
        shared,
        pushed: 0,
        buffer: None,
        tail,
        cutter: Cutter::default(),
        group: None,
        usual_group: 0,
        closing: JoinSet::new(),
        look,
        context,
    };
    progress.taking.store(true, Relaxed);
    let mut staging = Staging::default();
    let result = until_the_end(Box::pin(roller.run(source, &mut staging)), &plan.at_once).await;
    if let Some(warning) = source.closing_warning() {
        tracing::warn!("{warning}");
    }
    Box::pin(roller.end(result, staging)).await
}

struct Context<'a> {
    store: &'a Store,
    plan: &'a Plan,
    spool: Option<Spool>,
    progress: &'a Arc<Progress>,
    /// The name that all objects have in common.
    recording: String,
}

impl Context<'_> {
    fn outbox(&self, key: &str, id: &str) -> Outbox {
        self.plan.outbox(self.store, key, id, self.spool.as_ref().map(Spool::another), self.progress)
    }
}

/// Input that has been read, before it is known what it is.
struct Staging {
    bytes: Vec<u8>,
    /// How much of `bytes` is in use.
    held: usize,
    /// Offset of its first byte in the stream.
    base: u64,
}

impl Default for Staging {
    fn default() -> Self {
        Self { bytes: vec![0; READ + UNDECIDED_MAX + READ], held: 0, base: 0 }
    }
}

impl Staging {
    /// What is in here of the stream from `offset` on.
    fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.bytes.get(start..self.held).unwrap_or_default()
    }
}

/// The object that is being written.
struct Object {
    number: u32,
    key: String,
    id: String,
    outbox: Outbox,
    due: Option<PartNumber>,
    /// Bytes of it, those in the buffer included.
    size: u64,
    /// When its first byte came.
    began: Option<Instant>,
    /// Whether there is enough in it to be cut at a fragment.
    begun: bool,
    /// How far what is in it is from its place in the whole stream.
    shift: i64,
}

impl Object {
    fn new(number: u32, key: String, id: String, outbox: Outbox) -> Self {
        Self { number, key, id, outbox, due: Some(PartNumber::FIRST), size: 0, began: None, begun: false, shift: 0 }
    }

    fn age(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

/// The input on its way through one object after the other.
struct Roller<'a> {
    context: Context<'a>,
    policy: Policy,
    object: Object,
    shared: Shared,
    /// Bytes of the stream that are in a part by now.
    pushed: u64,
    /// The part that is being filled.
    buffer: Option<PartBuffer>,
    tail: Option<TailSender>,
    cutter: Cutter,
    /// Bytes of the current group of pictures.
    group: Option<u64>,
    /// Bytes that a group of pictures has, the large ones.
    usual_group: u64,
    /// Objects that are on their way to being complete.
    closing: JoinSet<Result<Complete, Unfinished>>,
    /// Finds out whether Live Read is on.
    look: JoinHandle<()>,
}

impl Roller<'_> {
    /// Reads the input to its end and hands everything to an outbox.
    async fn run(&mut self, source: &mut Source, staging: &mut Staging) -> Result<(), Cause> {
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

    /// Takes bytes that hold no place for a cut that is to be used.
    async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        if let Some(group) = &mut self.group {
            *group += bytes.len() as u64;
        }
        while !bytes.is_empty() {
            let plain = self.cutter.kind() == Kind::Plain;
            let full = self.object.size >= self.policy.limit;
            let between = plain && self.buffer.is_none() && self.object.size > 0;
            if full || (between && self.policy.at_part(self.object.size, self.object.age())) {
                if self.cutter.kind() == Kind::Fragmented {
                    tracing::warn!(
                        "{} is full before the next key frame, so the next object does not play by itself from its start; \
                         a larger --rollover, or key frames more often, would help",
                        self.context.store.object(&self.object.key)
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
            if let Some(hls) = &self.context.plan.hls {
                hls.took(from);
            }
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
            // One large group must not make all objects after it small.
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

    /// Goes on in the next object: after a header at a fragment, or without one in between of what there is.
    async fn roll(&mut self, header: Option<Bytes>) -> Result<(), Cause> {
        // A part that was sent early belongs to the object that it was sent to.
        if header.is_some() || self.tail.is_some() {
            self.send()?;
        }
        let number = self.object.number + 1;
        let key = numbered(&self.context.plan.key, number);
        let (store, plan) = (self.context.store, self.context.plan);
        let id = {
            let created = plan.create(store, &key, Some(&self.context.recording));
            tokio::pin!(created);
            loop {
                tokio::select! {
                    id = &mut created => break id?,
                    // Parts that wait are sent all the same.
                    stored = self.object.outbox.stored() => stored?,
                }
            }
        };
        tracing::info!("going on in {}, upload id {id}", store.object(&key));
        self.context.progress.opened(&key, &id);
        let outbox = self.context.outbox(&key, &id).sharing(self.shared.clone());
        if let Some(hls) = &plan.hls {
            hls.begin(&key, &id, outbox.readable());
        }
        let old = std::mem::replace(&mut self.object, Object::new(number, key, id, outbox));
        self.close(old);
        if let Some(buffer) = &self.buffer {
            self.object.size = buffer.filled().len() as u64;
            self.object.began = Some(Instant::now());
        }
        // What is cut in the middle has no fragment to wait for.
        self.object.begun = header.is_none();
        let mut header = header.as_deref().unwrap_or_default();
        while !header.is_empty() {
            let taken = self.append(header).await?;
            header = header.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Completes an object in the background.
    fn close(&mut self, object: Object) {
        let (store, plan, progress) =
            (self.context.store.clone(), self.context.plan.clone(), self.context.progress.clone());
        self.closing.spawn(async move {
            let Object { number, key, id, mut outbox, due, .. } = object;
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
        });
    }

    /// Sends these bytes, and waits until all is stored.
    async fn send_all(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.push(bytes).await?;
        self.send()?;
        Ok(self.object.outbox.drain().await?)
    }

    /// Completes what there is, or says what is left open.
    async fn end(mut self, result: Result<(), Cause>, staging: Staging) -> Result<Rolled, RollError> {
        self.shared.input_ended();
        let mut result = result.and_then(|()| self.send());
        let at_once = self.context.plan.at_once.clone();
        if let Err(Cause::Source(_)) = result {
            // What was taken before is the last part, and stays so if the input cannot be gone on with.
            let sent = until_the_end(self.send_all(staging.from(self.pushed)), &at_once).await;
            result = sent.and(result);
        }
        let mut unfinished = Vec::new();
        let mut cause = result.err();
        if cause.is_some() {
            // What is under way was accepted, and may still arrive.
            settle(&mut self.object.outbox, &at_once).await;
            let filling = self.buffer.take().map(PartBuffer::freeze).unwrap_or_default();
            let filling = [&filling, staging.from(self.pushed)].concat().into();
            let (plan, object) = (self.context.plan, &self.object);
            let kept =
                plan.keep(&object.outbox, Rest { due: object.due, filling, held_back: None }, plan.part_size).await;
            let (context, names) = (&self.context, (object.key.clone(), object.id.clone()));
            let ledger = &object.outbox.ledger;
            let left = Box::pin(left(context.store, plan, context.progress, names, ledger, cause.as_ref())).await;
            unfinished.push(Unfinished { kept, ..left });
        } else if self.object.size == 0 && self.object.number == 1 {
            let (plan, object) = (self.context.plan, &self.object);
            // An aborted upload answers 404, which the look would take for Live Read being off.
            self.look.abort();
            drop((&mut self.look).await);
            let abort = plan.retry.run(|_| self.context.store.abort_upload(&object.key, &object.id));
            cause = until_the_end(Box::pin(async { Ok(abort.await?) }), &at_once).await.err();
        } else {
            let placeholder = Object::new(0, String::new(), String::new(), self.context.outbox("", ""));
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

/// What is left of an object that is not complete because of `cause`.
async fn left(
    store: &Store,
    plan: &Plan,
    progress: &Progress,
    (key, upload_id): (String, String),
    ledger: &Ledger,
    cause: Option<&Cause>,
) -> Unfinished {
    let over = match cause {
        Some(cause) if cause.says_over() => {
            progress.closed(&upload_id);
            unless_at_once(completion::fate(store, plan.retry, &key, &upload_id, ledger), &plan.at_once).await
        }
        _ => None,
    };
    let (object, bytes) = (store.object(&key), ledger.bytes());
    Unfinished { object, key, upload_id, bytes, cause: None, kept: None, over }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let minutes = |n: u64| Ok(Rollover::Duration(Duration::from_secs(n * 60)));
        assert_eq!(Rollover::parse("auto"), Ok(Rollover::Auto));
        assert_eq!(Rollover::parse("50GB"), Ok(Rollover::Size(50_000_000_000)));
        assert_eq!(Rollover::parse("5242880"), Ok(Rollover::Size(5_242_880)));
        assert_eq!(Rollover::parse("30M"), Ok(Rollover::Size(30_000_000)));
        assert_eq!(Rollover::parse("30m"), minutes(30));
        assert_eq!(Rollover::parse("1h"), minutes(60));
        assert_eq!(Rollover::parse("1.5 h"), minutes(90));
        for bad in ["", "never", "0s", "10ms", "5XB", "-1h", "h"] {
            assert!(Rollover::parse(bad).is_err(), "{bad:?}");
        }
        let part = PartSize::new(5_000_000).expect("in range");
        assert!(Rollover::Size(4_999_999).check(part).is_err());
        assert!(Rollover::Size(5_000_000).check(part).is_ok());
    }

    #[test]
    fn no_object_is_larger_than_asked_for_nor_than_its_parts_allow() {
        let part = PartSize::new(5_000_000).expect("in range");
        let policy = |rollover| Policy::new(rollover, part, 3);
        let none = Duration::ZERO;
        let auto = policy(Rollover::Auto);
        assert!(!auto.at_part(10_000_000, none));
        assert!(auto.at_part(15_000_000, none));
        assert!(!auto.at_fragment(12_000_000, 3_000_000, none));
        assert!(auto.at_fragment(12_000_001, 3_000_000, none));
        let size = policy(Rollover::Size(12_000_000));
        assert!(!size.at_part(5_000_000, none));
        assert!(size.at_part(10_000_000, none));
        assert_eq!(policy(Rollover::Size(1 << 40)).limit, 15_000_000);
        let hour = policy(Rollover::Duration(Duration::from_secs(3600)));
        assert!(!hour.at_part(5_000_000, Duration::from_secs(3599)));
        assert!(hour.at_part(5_000_000, Duration::from_secs(3600)));
        assert!(hour.at_part(15_000_000, none));
    }
}
