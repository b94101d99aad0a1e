//! A publishing point: it has the recording of a stream while somebody pushes, in one request or in many, and takes what they
//! bring one after the other.
//!
//! ```text
//! request --enter--> point --entry--> request --found: header, fragment--> point --> recording
//!                                     request --left: whole, broken------> point --> given back: all is whole, or nobody is there
//! ```

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::room::{Room, Share};
use super::target::Way;
use crate::ingest::door::Lease;
use crate::ingest::pace::Pace;
use crate::ingest::words::{Left, Why};
use crate::media::fmp4::gather::Gathered;
use crate::mux::Arrival;
use crate::mux::push::PushError;

/// Requests for one stream at once.
const MOST: usize = 32;
/// Where nobody is there between two segments, somebody is to come again in so long.
const PAUSE: Duration = Duration::from_secs(30);
/// How long something is waited for that is missing in front of what came.
const MISSING: Duration = Duration::from_secs(2);
/// Once the lists of what is pushed have ended, something may still be on its way for so long.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// A line about what is not taken at most this often; the others are for `--debug`.
const OFTEN: Duration = Duration::from_secs(10);
/// The most names of files that another header goes for.
const ALIASES: usize = 16;
/// Two that push the same take each other's place at most this often.
const BETWEEN_TAKEOVERS: Duration = Duration::from_secs(2);

/// What requests say.
#[derive(Debug)]
pub(super) enum Word {
    /// One begins.
    Enter(Enter),
    /// It has brought something.
    Found { number: u64, found: Gathered, taken: oneshot::Sender<Result<(), PushError>> },
    /// All is to be ended: at once, or when nothing more is on its way.
    Close { at_once: bool },
}

/// A request that begins.
#[derive(Debug)]
pub(super) struct Enter {
    pub(super) source: String,
    pub(super) way: Way,
    /// Nobody is to be sent away for it.
    pub(super) yields: bool,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What it is told.
#[derive(Debug)]
pub(super) enum Answer {
    Welcome(Entry),
    /// Somebody pushes the same, and is to be left alone.
    Taken,
    /// It is to ask again after this time.
    Later(Duration),
    /// There are too many.
    Full,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum How {
    /// All of it came; the source may be at its end with it.
    Whole {
        is_end: bool,
    },
    Broken(Why),
    Unfit(String),
}

/// A request that may bring something.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    words: mpsc::Sender<Word>,
    /// Room for what is not whole yet.
    pub(super) share: Share,
    /// How fast all of it may come.
    pub(super) pace: Arc<Pace>,
    /// When it is to end, and as what.
    pub(super) called: oneshot::Receiver<Left>,
    left: oneshot::Sender<(How, oneshot::Sender<bool>)>,
}

/// Why something was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    Unfit(PushError),
    Over(Left),
}

impl Entry {
    /// Brings something, and waits until it is taken.
    pub(super) async fn bring(&mut self, found: Gathered) -> Result<(), NotTaken> {
        let (taken, answer) = oneshot::channel();
        let word = Word::Found { number: self.number, found, taken };
        let taken = async {
            self.words.send(word).await.ok()?;
            answer.await.ok()
        };
        tokio::select! {
            biased;
            called = &mut self.called => Err(NotTaken::Over(called.unwrap_or(Left::Stopped))),
            taken = taken => match taken {
                Some(taken) => taken.map_err(NotTaken::Unfit),
                // It is about to say why.
                None => Err(NotTaken::Over((&mut self.called).await.unwrap_or(Left::Stopped))),
            },
        }
    }

    /// Says how it ended, and waits until all that it brought is in good hands; false when that cannot be.
    pub(super) async fn leave(self, how: How) -> bool {
        let (done, answer) = oneshot::channel();
        self.left.send((how, done)).is_ok() && answer.await.unwrap_or(false)
    }
}

/// A request that is under way.
#[derive(Debug)]
struct Open {
    source: String,
    way: Way,
    call: oneshot::Sender<Left>,
}

/// Something that came before what it follows on.
#[derive(Debug)]
struct Held {
    number: u64,
    found: Gathered,
    taken: oneshot::Sender<Result<(), PushError>>,
    until: Instant,
}

type Departure = (u64, Option<(How, oneshot::Sender<bool>)>);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Point {
    lease: Lease,
    words: mpsc::Receiver<Word>,
    to_me: mpsc::WeakSender<Word>,
    next: u64,
    room: Room,
    open: HashMap<u64, Open>,
    departures: JoinSet<Departure>,
    held: Vec<Held>,
    /// Sources that have brought fragments, and whether they are at their end.
    sources: HashMap<String, bool>,
    /// Which header goes for those that have none of their own.
    aliases: HashMap<String, String>,
    /// Since when nobody is there; until when somebody may come.
    alone: Option<Instant>,
    closes: Option<Instant>,
    last_takeover: Option<Instant>,
    /// When people were last told of something that was not taken.
    told: Option<Instant>,
}

impl Point {
    /// With this recording; and how it is spoken to.
    pub(super) fn new(lease: Lease) -> (Self, mpsc::Sender<Word>) {
        let (to_me, words) = mpsc::channel(MOST);
        let point = Self {
            lease,
            words,
            to_me: to_me.downgrade(),
            next: 0,
            room: Room::default(),
            open: HashMap::new(),
            departures: JoinSet::new(),
            held: Vec::new(),
            sources: HashMap::new(),
            aliases: HashMap::new(),
            alone: Some(Instant::now()),
            closes: None,
            last_takeover: None,
            told: None,
        };
        (point, to_me)
    }

    /// Takes what is pushed, until all of it is there, or nobody comes any more.
    pub(super) async fn run(mut self) {
        let left = AssertUnwindSafe(self.until_it_ends()).catch_unwind().await.unwrap_or_else(|_| {
            // It has been told of; others are to go on with the recording.
            self.lease.recording.start_over();
            Left::Broken(Why::Failed)
        });
        for (_, open) in self.open.drain() {
            // Who is gone need not know.
            drop(open.call.send(left.clone()));
        }
        self.lease.give_back(left);
    }

    async fn until_it_ends(&mut self) -> Left {
        loop {
            let until = self.until();
            let over = tokio::select! {
                biased;
                called = &mut self.lease.called_back => Some(called.unwrap_or(Left::Stopped)),
                Some(departed) = self.departures.join_next() => match departed {
                    Ok((number, how)) => self.departed(number, how).await,
                    Err(_) => None,
                },
                word = self.words.recv() => match word {
                    Some(word) => self.hear(word).await,
                    None => Some(Left::Stopped),
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => self.late().await,
            };
            if let Some(left) = over {
                return left;
            }
        }
    }

    /// When something is to be done without a word of anybody.
    fn until(&self) -> Option<Instant> {
        let alone = self.alone.map(|since| since + PAUSE);
        let closes = self.closes.filter(|_| self.open.is_empty());
        self.held.iter().map(|held| held.until).chain(alone).chain(closes).min()
    }

    async fn late(&mut self) -> Option<Left> {
        let now = Instant::now();
        if self.closes.is_some_and(|closes| self.open.is_empty() && closes <= now) {
            return Some(Left::Ended);
        }
        if self.alone.is_some_and(|since| since + PAUSE <= now) {
            return Some(Left::Broken(Why::Silence(PAUSE)));
        }
        self.take_held().await
    }

    async fn hear(&mut self, word: Word) -> Option<Left> {
        match word {
            Word::Enter(enter) => {
                self.enter(enter);
                None
            }
            Word::Close { at_once: true } => Some(Left::Ended),
            Word::Close { at_once: false } => {
                self.closes = Some(Instant::now() + STRAGGLERS);
                None
            }
            Word::Found { number, found, taken } => {
                self.held.push(Held { number, found, taken, until: Instant::now() + MISSING });
                self.take_held().await
            }
        }
    }

    fn enter(&mut self, enter: Enter) {
        let Enter { source, way, yields, answer } = enter;
        let now = Instant::now();
        let same = |number: &&u64| {
            self.open
                .get(*number)
                .is_some_and(|open| (open.way, way) == (Way::Long, Way::Long) && open.source == source)
        };
        let before = self.open.keys().find(same).copied();
        let said = match before {
            Some(_) if yields => Answer::Taken,
            Some(_) if self.last_takeover.is_some_and(|last| now < last + BETWEEN_TAKEOVERS) => {
                Answer::Later(self.last_takeover.map_or(Duration::ZERO, |last| last + BETWEEN_TAKEOVERS - now))
            }
            None if self.open.len() >= MOST => Answer::Full,
            _ => {
                if let Some(before) = before.and_then(|before| self.open.remove(&before)) {
                    self.last_takeover = Some(now);
                    self.lease.recording.figures().takeovers.fetch_add(1, Relaxed);
                    tracing::warn!(event = "taken_over", "an encoder takes over from the one before it");
                    drop(before.call.send(Left::TakenOver));
                }
                match self.welcome(source, way) {
                    Some(entry) => Answer::Welcome(entry),
                    None => return,
                }
            }
        };
        // Whoever is gone is found to have left.
        drop(answer.send(said));
    }

    fn welcome(&mut self, source: String, way: Way) -> Option<Entry> {
        self.next += 1;
        let number = self.next;
        let ((call, called), (left, gone)) = (oneshot::channel(), oneshot::channel());
        self.departures.spawn(async move { (number, gone.await.ok()) });
        self.open.insert(number, Open { source, way, call });
        self.alone = None;
        let (words, share, pace) = (self.to_me.upgrade()?, self.room.share(), self.lease.recording.pace.clone());
        Some(Entry { number, words, share, pace, called, left })
    }

    /// Takes what is held and can be taken, in whatever order that is.
    async fn take_held(&mut self) -> Option<Left> {
        let mut at = 0;
        while let Some(held) = self.held.get(at) {
            let Some(open) = self.open.get(&held.number) else {
                // He has been sent away.
                self.held.remove(at);
                continue;
            };
            let source = self.aliases.get(&open.source).unwrap_or(&open.source);
            let push = self.lease.recording.push();
            let missing = match &held.found {
                Gathered::Header(_) => false,
                Gathered::Fragment(_) if !push.knows(source) => open.way == Way::Files,
                Gathered::Fragment(raw) => open.way == Way::Files && push.is_early(source, raw),
            };
            let is_late = held.until <= Instant::now();
            if missing && !is_late {
                at += 1;
                continue;
            }
            // Names of files are what tools call them.
            let called = open.way == Way::Long && !open.source.is_empty();
            let mut source = source.clone();
            if missing && !push.knows(&source) {
                // Names of files need not tell what belongs together, where the header's tells nothing.
                if push.only().is_some_and(str::is_empty) && self.aliases.len() < ALIASES {
                    self.aliases.insert(std::mem::take(&mut source), String::new());
                }
            }
            let held = self.held.remove(at);
            if let Some(left) = self.take((&source, called), held).await {
                return Some(left);
            }
            // What followed on it may follow now.
            at = 0;
        }
        None
    }

    async fn take(&mut self, (source, called): (&str, bool), held: Held) -> Option<Left> {
        let Held { found, taken, .. } = held;
        let recording = &mut self.lease.recording;
        let arrival = Arrival { elapsed: recording.began.elapsed(), at: SystemTime::now() };
        let said = recording.take_fragments((source, called), &found, arrival);
        if said.is_ok() {
            if matches!(found, Gathered::Fragment(_)) {
                self.sources.insert(source.to_owned(), false);
            }
            tokio::select! {
                biased;
                read = recording.hand_on() => if !read { return Some(Left::Unread) },
                called = &mut self.lease.called_back => return Some(called.unwrap_or(Left::Stopped)),
            }
        }
        if taken.send(said).is_err() {
            tracing::debug!("whoever brought it is gone");
        }
        None
    }

    /// A request is over.
    async fn departed(&mut self, number: u64, how: Option<(How, oneshot::Sender<bool>)>) -> Option<Left> {
        // Whoever was sent away has been told so.
        let open = self.open.remove(&number)?;
        self.held.retain(|held| held.number != number);
        let (how, done) = how.map_or((How::Broken(Why::Closed), None), |(how, done)| (how, Some(done)));
        let source = self.aliases.get(&open.source).unwrap_or(&open.source).clone();
        let mut left = None;
        match how {
            How::Whole { is_end } => {
                if let Some(at_end) = self.sources.get_mut(&source).filter(|_| is_end) {
                    *at_end = true;
                    self.lease.recording.source_ended(&source);
                }
                let all = !self.sources.is_empty() && self.sources.values().all(|at_end| *at_end);
                if all && self.open.is_empty() {
                    left = Some(Left::Ended);
                }
            }
            How::Broken(why) if self.open.is_empty() => left = Some(Left::Broken(why)),
            How::Unfit(why) if self.open.is_empty() && open.way == Way::Long => left = Some(Left::Unfit(why)),
            How::Broken(why) => tracing::info!("a connection of the encoder is gone: {why}; the others go on"),
            How::Unfit(why) if self.told.is_some_and(|told| told.elapsed() < OFTEN) => {
                tracing::debug!("something that was pushed was not taken: {why}");
            }
            How::Unfit(why) => {
                self.told = Some(Instant::now());
                tracing::warn!("something that was pushed was not taken: {why}");
            }
        }
        if self.open.is_empty() {
            self.alone = Some(Instant::now());
        }
        // What it has still waited with is to be in good hands, too.
        let stored = match &left {
            Some(Left::Ended) => self.lease.recording.end_of(&Left::Ended).await,
            _ => self.lease.recording.hand_on().await,
        };
        if done.is_some_and(|done| done.send(stored).is_err()) {
            tracing::debug!("whoever brought it is gone");
        }
        if stored { left } else { Some(Left::Unread) }
    }
}
