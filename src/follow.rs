//! The reader: fetches ahead while it is behind, looks again at the live edge, and ends when the upload does.
//!
//! ```text
//! locate -> window of fetches -> (in order) -> sink
//!               ^                    |
//!               |   live edge: 416   v
//!               +--- wait <--- is the upload over? ---> last look ---> done
//! ```
//!
//! The race that loses a tail: 416, then the writer stores its last part and completes, then the upload is found to be
//! over. So the end is believed only on a 416 that came after that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::chain::Stitch;
use crate::fmp4::Mover;
use crate::held::{self, Found, Held, HeldError};
use crate::locate::{LocateError, Located, Wanted, locate, may_not_list};
use crate::part::{PartNumber, PartSize};
use crate::prefetch::{End, Event, Facts, Fetch, Stretch, Target};
use crate::progress::Progress;
use crate::rhythm::Rhythm;
use crate::seek::SeekError;
use crate::sink::{Sink, SinkError};
use crate::store::{OpenUpload, Store, StoreError};

/// Silence after which a list of the open uploads is worth its price.
const LONG_SILENCE: Duration = Duration::from_secs(30);

/// The same for an upload that has not shown a byte: it may have been left behind at its very start.
const EMPTY_SILENCE: Duration = Duration::from_secs(5);

/// A finished upload that does not show its last bytes is asked for them this often.
const LAST_LOOKS: u32 = 20;

/// Bytes asked for at a time where the end of what is wanted may come any moment: the least, and the most.
const LEAST: u64 = 128 << 10;
const LITTLE: u64 = 1 << 20;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What to look for.
    pub wanted: Wanted,
    /// What the output holds already.
    pub held: Option<Held>,
    /// Ask by part numbers instead of byte ranges.
    pub by_part: bool,
    /// Bytes per range request, at least one.
    pub chunk_size: u64,
    /// Chunks fetched ahead, at least one.
    pub queue_size: usize,
    /// Never wait longer than the poll interval, even where the next part is known to be due later.
    pub strict_poll: bool,
    /// Give up when nothing new has come for this long.
    pub timeout: Option<Duration>,
}

/// Why reading ended before the end of the object.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There was nothing to read.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The file to go on after is not the beginning of what there is to read.
    #[error(transparent)]
    Held(#[from] HeldError),
    /// The place to begin at cannot be found.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The store refused, or could not be reached for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The upload was aborted, or the object deleted.
    #[error(
        "{object}: the upload {upload} was aborted (or its version deleted) after {bytes} bytes; they have been written"
    )]
    Aborted {
        /// The object.
        object: String,
        /// The upload id.
        upload: String,
        /// Bytes written.
        bytes: u64,
    },
    /// Nothing new came for too long.
    #[error("{object}: nothing new has come for {} s; the upload {upload} is still open after {bytes} bytes, so its writer has stopped or lost its connection", after.as_secs_f64())]
    TimedOut {
        /// The object.
        object: String,
        /// The upload id.
        upload: String,
        /// Bytes written.
        bytes: u64,
        /// The limit.
        after: Duration,
    },
    /// The store says that the object has more bytes, or fewer, than can be read.
    #[error("{object}: it is complete with {size} bytes, but {bytes} could be read")]
    Size {
        /// The object.
        object: String,
        /// Its size as the store states it.
        size: u64,
        /// Bytes written.
        bytes: u64,
    },
}

/// Copies the object to `sink` while it grows, from where the output ends; returns the size of the object.
///
/// # Errors
/// [`ReadError`]; what was written before is a clean prefix of the object.
pub async fn read(store: &Store, plan: &Plan, sink: &mut Sink, progress: &Arc<Progress>) -> Result<u64, ReadError> {
    progress.news();
    let found = tokio::select! {
        found = find(store, plan) => found?,
        () = sink.closed() => return Err(SinkError::Closed.into()),
    };
    let Found { located, part_size, etag } = found;
    announce(store, plan, &located, progress);
    if let Some(held) = &plan.held {
        tracing::info!("{} holds the first {} bytes of it; going on from there", held.path.display(), held.bytes);
    }
    let mut follower = Follower::new(store, plan, located, progress);
    follower.target.etag = etag;
    if let Some(held) = &plan.held {
        follower.go_on_at(held.bytes, part_size);
    }
    let result = follower.run(sink).await;
    // Whatever ended the reading, what was fetched in order belongs to the output.
    let written = sink.finish().await;
    result?;
    written?;
    Ok(follower.cursor)
}

/// Copies one object out of several, which has been found already, and leaves `sink` open; returns its version.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn copy(
    store: &Store,
    plan: &Plan,
    located: Located,
    stitch: &mut Stitch,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<Option<String>, ReadError> {
    announce(store, plan, &located, progress);
    let mut follower = Follower::new(store, plan, located, progress);
    follower.stitch = Some(stitch);
    follower.run(sink).await?;
    Ok(follower.target.version)
}

/// Where to begin in the middle of an object.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    /// The first byte.
    pub(crate) at: u64,
    /// The part size, where the store named it.
    pub(crate) part_size: Option<u64>,
    /// The `ETag` of what was looked into, where the store names no version.
    pub(crate) etag: Option<String>,
    /// Up to where all will be wanted; what comes after that is read a little at a time.
    pub(crate) sure: Option<u64>,
    /// Fits what is read to its new place, and knows when there is enough.
    pub(crate) mover: Option<Mover>,
}

/// Copies from the middle of an object, which has been found already, and leaves `sink` open.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn copy_from(
    store: &Store,
    plan: &Plan,
    located: Located,
    begin: Begin,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<(), ReadError> {
    announce(store, plan, &located, progress);
    let mut follower = Follower::new(store, plan, located, progress);
    follower.target.etag = begin.etag;
    if begin.at > 0 {
        follower.go_on_at(begin.at, begin.part_size);
    }
    // By part more would be read than is wanted.
    follower.by_part &= begin.sure.is_none();
    follower.sure = begin.sure;
    follower.mover = begin.mover;
    follower.run(sink).await
}

/// Says what is going to be read.
fn announce(store: &Store, plan: &Plan, located: &Located, progress: &Progress) {
    let object = store.object(&plan.wanted.key);
    match (&located.version, located.is_open()) {
        (Some(id), true) => tracing::info!("reading {object} while it is written, upload id {id}"),
        (None, true) => tracing::info!("reading {object} while it is written"),
        (_, false) => tracing::info!("reading {object}, which is complete"),
    }
    if let Some(id) = &located.version {
        // The cell is empty for the first object, and stays as it is after that.
        drop(progress.upload.set(id.clone()));
    }
}

/// Finds what to read, and makes sure that it begins with what the output holds.
async fn find(store: &Store, plan: &Plan) -> Result<Found, ReadError> {
    match &plan.held {
        Some(held) => Ok(held::find(store, &plan.wanted, held).await??),
        None => Ok(Found { located: locate(store, &plan.wanted).await?, part_size: None, etag: None }),
    }
}

/// What is known about the end of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// It may still grow.
    No,
    /// It is complete with this many bytes.
    Complete(u64),
    /// It is no longer open, and was not completed.
    Aborted,
}

struct Follower<'a> {
    store: &'a Store,
    plan: &'a Plan,
    progress: &'a Arc<Progress>,
    target: Target,
    located: Located,
    /// Ask by part numbers instead of byte ranges.
    by_part: bool,
    /// The next byte that the sink is owed.
    cursor: u64,
    /// The part that the cursor is in, and where that part begins; kept for reading by part.
    part: (Option<PartNumber>, u64),
    part_size: Option<PartSize>,
    /// Fetches under way, by rising offset and without a gap; the first one feeds the sink.
    window: VecDeque<Fetch>,
    /// How many fetches may be under way: one at the live edge, more while catching up.
    width: usize,
    rhythm: Rhythm,
    /// Whether all that there is has been read, so that the next look may find nothing.
    at_edge: bool,
    /// Whether the fetch under way followed a wait.
    waited: bool,
    /// When the newest answer with data came.
    answered: Instant,
    over: Over,
    /// Looks in vain since the end was known.
    last_looks: u32,
    /// Whether it has been said that Live Read seems to be off.
    said_off: bool,
    listed: Instant,
    /// Makes one stream of several objects.
    stitch: Option<&'a mut Stitch>,
    /// Whether a list has been asked for a newer upload in place of one without a byte.
    looked_for_newer: bool,
    /// Up to where all will be wanted, where that is less than everything.
    sure: Option<u64>,
    /// Fits what is read to its new place.
    mover: Option<Mover>,
}

impl<'a> Follower<'a> {
    fn new(store: &'a Store, plan: &'a Plan, located: Located, progress: &'a Arc<Progress>) -> Self {
        let wanted = &plan.wanted;
        let target = Target {
            key: wanted.key.clone(),
            version: located.version.clone(),
            etag: None,
            // Of a finished object too: only an answer to this header names the part size.
            live: located.is_open() || plan.by_part,
            retry: wanted.retry,
        };
        let over = located.finished.map_or(Over::No, Over::Complete);
        Self {
            store,
            plan,
            progress,
            target,
            located,
            by_part: plan.by_part,
            cursor: 0,
            part: (Some(PartNumber::FIRST), 0),
            part_size: None,
            window: VecDeque::new(),
            width: 1,
            rhythm: Rhythm::new(wanted.poll_interval, plan.strict_poll),
            at_edge: false,
            waited: false,
            answered: Instant::now(),
            over,
            last_looks: 0,
            said_off: false,
            listed: Instant::now(),
            stitch: None,
            looked_for_newer: false,
            sure: None,
            mover: None,
        }
    }

    /// Begins at a byte instead of the first.
    fn go_on_at(&mut self, cursor: u64, part_size: Option<u64>) {
        self.cursor = cursor;
        self.learn(None, part_size);
        match self.part_size {
            Some(size) => {
                let whole = cursor / size.get();
                let number = u32::try_from(whole + 1).ok().and_then(PartNumber::new);
                self.part = (number, whole * size.get());
            }
            // Which part that byte is in is not known.
            None => self.by_part = false,
        }
    }

    async fn run(&mut self, sink: &mut Sink) -> Result<(), ReadError> {
        loop {
            if self.located.finished == Some(self.cursor) {
                return Ok(());
            }
            self.widen();
            let Some(front) = self.window.front_mut() else {
                // No stretch is left to ask for: ten thousand parts have been read.
                return Ok(());
            };
            let event = tokio::select! {
                biased;
                event = front.next() => event,
                () = sink.closed() => return Err(SinkError::Closed.into()),
                () = until_silent(self.progress, self.plan.timeout) => return Err(self.timed_out()),
            };
            let sent = front.sent;
            match event {
                Event::Facts(Facts { version, .. }) if self.is_the_one_before(version.as_deref()) => {
                    self.back_to_edge();
                    self.at_absence(sink).await?;
                }
                Event::Facts(Facts { version, part_size, etag, .. }) => {
                    self.answered = Instant::now();
                    self.target.etag = self.target.etag.take().or(etag);
                    self.learn(version, part_size);
                }
                Event::Bytes(bytes) => {
                    self.cursor += bytes.len() as u64;
                    if self.mover.is_none() {
                        self.progress.bytes_in.fetch_add(bytes.len() as u64, Relaxed);
                    }
                    match (&mut self.stitch, &mut self.mover) {
                        (None, None) => sink.write(bytes).await?,
                        (None, Some(mover)) => {
                            for piece in mover.pass(&bytes) {
                                self.progress.bytes_in.fetch_add(piece.len() as u64, Relaxed);
                                sink.write(piece).await?;
                            }
                            if mover.is_done() {
                                return Ok(());
                            }
                        }
                        (Some(stitch), _) => {
                            for piece in stitch.pass(bytes).into_iter().filter(|piece| !piece.is_empty()) {
                                sink.write(piece).await?;
                            }
                        }
                    }
                    self.progress.news();
                    if self.over == Over::Aborted {
                        // The 404 that looked like an abort was none.
                        self.over = Over::No;
                    }
                }
                Event::End(End::Whole) if self.by_part && self.is_in_part() => {
                    // A part that is short is the tail part: it may be the last, or be replaced by its longer self.
                    self.back_to_edge();
                    self.at_edge(true, sent, sink).await?;
                }
                Event::End(End::Whole) => self.advance(sent),
                Event::End(End::Edge { length }) => {
                    self.back_to_edge();
                    if self.at_edge(length > 0, sent, sink).await? {
                        return Ok(());
                    }
                }
                Event::End(End::Absent) => {
                    self.back_to_edge();
                    self.at_absence(sink).await?;
                }
                Event::End(End::Failed(error)) => return Err(error.into()),
            }
        }
    }

    /// Whether an answer to an unpinned look comes from the object that was there before the upload: the upload is gone,
    /// and its key stands for the older object again.
    fn is_the_one_before(&self, version: Option<&str>) -> bool {
        let before = self.located.before.as_ref().and_then(|head| head.version.as_deref());
        self.target.version.is_none() && before.is_some() && before == version
    }

    /// Notes what an answer tells beside its bytes.
    fn learn(&mut self, version: Option<String>, part_size: Option<u64>) {
        if self.target.version.is_none() && version.is_some() {
            tracing::debug!("pinned to version {}", version.as_deref().unwrap_or_default());
            self.target.version = version;
        }
        if self.part_size.is_none() {
            self.part_size = part_size.and_then(|size| PartSize::new(size).ok());
        }
    }

    /// Keeps as many fetches under way as the window is wide.
    fn widen(&mut self) {
        // Until the first answer has named the version there is nothing to pin the others to.
        let pinned = self.target.version.is_some() || self.target.etag.is_some();
        let width = if pinned { self.width } else { 1 };
        while self.window.len() < width {
            let Some(stretch) = self.stretch(self.window.len()) else { return };
            self.window.push_back(Fetch::start(self.store, &self.target, stretch, self.plan.chunk_size));
        }
    }

    /// The stretch that is `ahead` places after the cursor.
    fn stretch(&self, ahead: usize) -> Option<Stretch> {
        let ahead = ahead as u64;
        if !self.by_part {
            let chunk = self.plan.chunk_size;
            let first = self.window.front().map_or(self.cursor, |front| front.first) + ahead * chunk;
            // At the edge one more chunk is asked for than is due: an answer that falls short of it shows that there is no
            // more, without another request.
            let chunk = if self.at_edge && ahead == 0 { chunk.saturating_mul(2) } else { chunk };
            let chunk = match self.sure.map(|sure| sure.saturating_sub(first)) {
                None => chunk,
                Some(0) if ahead > 0 => return None,
                // The further it goes, the more is asked for at a time.
                Some(0) => chunk.min(first.saturating_sub(self.sure.unwrap_or(first)).clamp(LEAST, LITTLE)),
                Some(left) => chunk.min(left),
            };
            return (ahead == 0 || !self.ends_before(first))
                .then_some(Stretch::Range { first, last: first + chunk - 1 });
        }
        let (number, first) = (self.part.0?, self.part.1);
        let number = PartNumber::new(number.get() + u32::try_from(ahead).ok()?)?;
        match self.part_size {
            // The rest of a part whose beginning was read while it was shorter.
            Some(size) if ahead == 0 && self.cursor > first => {
                Some(Stretch::Range { first: self.cursor, last: first + size.get() - 1 })
            }
            Some(size) => {
                let first = first.checked_add(ahead.checked_mul(size.get())?)?;
                (ahead == 0 || !self.ends_before(first)).then_some(Stretch::Part { number, first })
            }
            None if ahead == 0 => Some(Stretch::Part { number, first: self.cursor }),
            None => None,
        }
    }

    /// Whether it is known to be over before byte `offset`.
    fn ends_before(&self, offset: u64) -> bool {
        self.located.finished.is_some_and(|size| offset >= size)
    }

    /// The first fetch was read to its end: the next one takes its place, and there may be one more.
    fn advance(&mut self, sent: Instant) {
        self.window.pop_front();
        self.progress.parts.fetch_add(1, Relaxed);
        if self.by_part {
            self.part = (self.part.0.and_then(PartNumber::next), self.cursor);
            if std::mem::take(&mut self.waited) {
                // One part came when it was due. Whether the next is there already is seen by asking for it.
                self.rhythm.arrived(sent, self.answered, false);
                return;
            }
        }
        // More came than was due: the reader is behind, and fetches ahead until it is not.
        self.at_edge = false;
        self.progress.at_edge.store(false, Relaxed);
        self.rhythm.lost_track();
        self.width = (self.width * 2).min(self.plan.queue_size);
    }

    /// Whether the cursor is inside a part, as far as that is known.
    fn is_in_part(&self) -> bool {
        self.part_size.is_some_and(|size| !self.cursor.is_multiple_of(size.get()))
    }

    /// Gives up what was asked for ahead; from here it goes on one look at a time.
    fn back_to_edge(&mut self) {
        self.window.clear();
        self.width = 1;
        self.progress.at_edge.store(true, Relaxed);
        if !std::mem::replace(&mut self.at_edge, true) {
            self.rhythm.lost_track();
        }
    }

    /// At the live edge, after a look (sent at `sent`) that brought all there was, or nothing. True when the object is
    /// read to its end.
    async fn at_edge(&mut self, news: bool, sent: Instant, sink: &Sink) -> Result<bool, ReadError> {
        if news {
            self.rhythm.arrived(sent, self.answered, self.is_in_part());
            if self.over == Over::No {
                self.wait(sink).await?;
            }
            return Ok(false);
        }
        self.rhythm.missed(sent);
        match self.over {
            Over::Complete(size) if size == self.cursor => return Ok(true),
            Over::Complete(size) => {
                self.last_looks += 1;
                if size < self.cursor || self.last_looks > LAST_LOOKS {
                    return Err(ReadError::Size { object: self.object(), size, bytes: self.cursor });
                }
                // A finished object needs no Live Read header any more.
                self.target.live = false;
            }
            Over::Aborted => return Err(self.aborted()),
            Over::No => {
                if self.rhythm.suspects_end(Instant::now()) {
                    self.ask_whether_over().await?;
                }
                if self.over != Over::No {
                    // The last look follows at once.
                    return Ok(false);
                }
            }
        }
        self.wait(sink).await?;
        Ok(false)
    }

    /// Finds out whether the object is complete, or the upload gone.
    async fn ask_whether_over(&mut self) -> Result<(), ReadError> {
        if let Some(size) = self.finished_size().await? {
            self.over = Over::Complete(size);
            return Ok(());
        }
        let long = self.rhythm.usual_gap().map_or(LONG_SILENCE, |gap| LONG_SILENCE.max(gap * 3));
        let empty = self.cursor == 0 && self.plan.wanted.upload_id.is_none();
        let long = if empty && !self.looked_for_newer { EMPTY_SILENCE } else { long };
        let silent = self.progress.silence() >= long && self.listed.elapsed() >= long;
        if !silent {
            return Ok(());
        }
        self.looked_for_newer = true;
        let Some(open) = self.open_uploads().await? else { return Ok(()) };
        match open.last() {
            Some(newest) if empty && self.target.version.as_ref() != Some(&newest.id) => {
                self.move_to(newest.id.clone());
                return Ok(());
            }
            _ => {}
        }
        if !open.iter().any(|upload| self.target.version.as_ref() == Some(&upload.id)) {
            // It may have been completed between the two questions.
            self.over = match self.finished_size().await? {
                Some(size) => Over::Complete(size),
                None => Over::Aborted,
            };
        }
        Ok(())
    }

    /// The size of the finished object, if it is finished.
    async fn finished_size(&mut self) -> Result<Option<u64>, ReadError> {
        let (key, version) = (&self.target.key, self.target.version.as_deref());
        let head = self.target.retry.run(|_| self.store.head(key, version)).await?;
        // Unpinned, the answer may come from an older object of the same key.
        let head = head.filter(|head| version.is_some() || self.located.before.as_ref() != Some(head));
        Ok(head.map(|head| head.size))
    }

    /// Goes over to a newer upload, before a byte was read: the start of an upload is repeated when its answer is lost, and
    /// only the last one of them is written to.
    fn move_to(&mut self, newer: String) {
        let object = self.object();
        tracing::info!("nothing has come of upload {}; reading {object} from the newer upload {newer}", self.upload());
        self.target.version = Some(newer);
        self.target.etag = None;
        self.part_size = None;
        self.back_to_edge();
    }

    /// Whether the pinned upload is in the list of open uploads, where that may be known.
    async fn still_open(&mut self) -> Result<Option<bool>, ReadError> {
        let open = self.open_uploads().await?;
        let pinned = |upload: &OpenUpload| self.target.version.as_ref() == Some(&upload.id);
        Ok(open.map(|uploads| uploads.iter().any(pinned)))
    }

    /// The open uploads of the key, where an upload is pinned and they may be listed.
    async fn open_uploads(&mut self) -> Result<Option<Vec<OpenUpload>>, ReadError> {
        if self.target.version.is_none() || !self.located.may_list {
            return Ok(None);
        }
        self.listed = Instant::now();
        match self.target.retry.run(|_| self.store.open_uploads(&self.target.key)).await {
            Ok(uploads) => Ok(Some(uploads)),
            Err(error) if may_not_list(&error) => {
                self.located.may_list = false;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// 404 where there was, or should be, an upload: it was aborted, or it cannot be read live.
    async fn at_absence(&mut self, sink: &Sink) -> Result<(), ReadError> {
        if let Some(size) = self.finished_size().await? {
            if self.over == Over::Complete(size) && !self.target.live {
                self.last_looks += 1;
                if self.last_looks > LAST_LOOKS {
                    return Err(ReadError::Size { object: self.object(), size, bytes: self.cursor });
                }
                self.wait(sink).await?;
            }
            // Complete, but not to be read with the Live Read header.
            self.over = Over::Complete(size);
            self.target.live = false;
            return Ok(());
        }
        if matches!(self.over, Over::Complete(_)) {
            return Err(self.aborted());
        }
        let due = !self.said_off || self.listed.elapsed() >= LONG_SILENCE;
        let open = if due { self.still_open().await? } else { Some(true) };
        match open {
            Some(true) => self.say_off(),
            Some(false) => return self.gone().await,
            None => {
                // Who may not list sees an abort as two 404s with no finished object between them.
                if self.over == Over::Aborted {
                    return Err(self.aborted());
                }
                self.over = Over::Aborted;
            }
        }
        self.wait(sink).await
    }

    /// The upload is in no list and its version not to be had: complete under another version id, or aborted.
    async fn gone(&mut self) -> Result<(), ReadError> {
        if let Some(size) = self.finished_size().await? {
            self.over = Over::Complete(size);
            self.target.live = false;
            return Ok(());
        }
        // On stores whose upload ids are not version ids, the finished object is to be had by its key alone.
        let newest = self.target.retry.run(|_| self.store.head(&self.target.key, None)).await?;
        match newest {
            Some(head) if self.cursor == 0 && self.said_off && self.located.before.as_ref() != Some(&head) => {
                self.over = Over::Complete(head.size);
                self.target.version = head.version;
                self.target.etag = None;
                self.target.live = false;
                Ok(())
            }
            _ => Err(self.aborted()),
        }
    }

    /// Says once, in plain words, why nothing can be seen of an upload that is there.
    fn say_off(&mut self) {
        if !std::mem::replace(&mut self.said_off, true) {
            tracing::warn!(
                "the upload of {} is open, but the store answers 404 to every live read of it: it was started without Live \
                 Read, or Live Read is not enabled for this account or bucket. Nothing can be read before the upload is \
                 complete; waiting for that",
                self.object()
            );
        }
    }

    /// Waits until the next look is due.
    async fn wait(&mut self, sink: &Sink) -> Result<(), ReadError> {
        self.waited = true;
        let wait = self.rhythm.wait(Instant::now());
        tracing::debug!(at = self.cursor, "nothing new yet; looking again in {} ms", wait.as_millis());
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = sink.closed() => Err(SinkError::Closed.into()),
            () = until_silent(self.progress, self.plan.timeout) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> ReadError {
        let after = self.plan.timeout.unwrap_or_default();
        ReadError::TimedOut { object: self.object(), upload: self.upload(), bytes: self.cursor, after }
    }

    fn aborted(&self) -> ReadError {
        ReadError::Aborted { object: self.object(), upload: self.upload(), bytes: self.cursor }
    }

    fn object(&self) -> String {
        self.store.object(&self.target.key)
    }

    fn upload(&self) -> String {
        self.target.version.clone().unwrap_or_else(|| "(id unknown)".to_owned())
    }
}

/// Waits until nothing new has come for `limit`; for ever without one.
pub(crate) async fn until_silent(progress: &Progress, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let silence = progress.silence();
        if silence >= limit {
            return;
        }
        sleep(limit.saturating_sub(silence)).await;
    }
}
