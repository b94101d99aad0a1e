//! The index of one version as all who ask for its playlists share it: what has been found so far, news of it, and the texts
//! that were made of it last.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::index::Index;
use super::reload::There;
use super::render::Promise;
use crate::media::fmp4::{Found, Scanner};
use crate::serve::gzip::gzip;

/// So long the live edge is watched, to see how what comes is spread, before anything is promised.
const WATCHED: Duration = Duration::from_millis(3_500);

/// What is made of a rate and a part size is believed up to here: beyond, no player would be helped by the target duration.
const GUESSED: Duration = Duration::from_secs(10);

/// Parts are listed where what comes is no further apart than this share of the target duration, in tenths: hls.js gives up a
/// request that is held for more than eight tenths.
const STEADY: u32 = 6;

/// So many texts of one version are kept at most.
const TEXTS: usize = 16;

/// How hard playlists are compressed: they are made anew all the time.
const LEVEL: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Indexed {
    state: Mutex<State>,
    /// Counts what has changed.
    news: watch::Sender<u64>,
    asked: Mutex<Instant>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Index,
    /// None while a task reads on.
    pub(crate) scanner: Option<Box<Scanner>>,
    arrivals: Arrivals,
    /// Since when all that there is has been seen.
    edge: Option<Instant>,
    promise: Option<Promise>,
    /// The target duration of the objects before it, where it goes on other ones.
    least: u64,
    /// What goes on it, by the key under which it was looked for.
    next: Vec<(String, Next)>,
    /// See [`State::begun`].
    begun: Option<i64>,
    /// It cannot be read any more.
    pub(crate) broken: bool,
    /// Counts what has changed.
    revision: u64,
    texts: Vec<Made>,
}

/// What goes on an object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Version(String),
    Nothing,
}

/// A text, and what it was made of.
#[derive(Debug)]
struct Made {
    shape: Shape,
    revision: u64,
    promise: Promise,
    text: Text,
}

/// Which text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) suffix: String,
    /// Of which objects before it it tells as well: since which one, and whether this is the last.
    pub(crate) since: Option<([u8; 16], bool)>,
    /// What it says of other renditions, which changes all the time.
    pub(crate) reports: String,
}

impl Shape {
    /// Whether one takes the place of the other.
    fn is_like(&self, other: &Self) -> bool {
        (self.kind, &self.suffix, self.since) == (other.kind, &other.suffix, other.since)
    }
}

/// Which playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    All,
    /// Without what a client has.
    Update,
    KeyFrames,
    /// What a player of DASH goes by.
    Dash,
    /// What one of Smooth Streaming does: of the newest so many seconds, or of all.
    Smooth {
        window: u64,
    },
}

/// A playlist, plain and compressed.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) plain: Bytes,
    pub(crate) gzip: Bytes,
    /// The same for the same text everywhere.
    pub(crate) tag: String,
}

/// Whether a playlist can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    Yes,
    /// Its first segment is not whole, or it is still looked through.
    NotYet,
    /// There is nothing to be played in it: why.
    Never(String),
    /// It cannot be read any more.
    Broken,
}

impl Indexed {
    pub(crate) fn new(began: Option<i64>) -> Self {
        let state = State {
            index: Index::new(began),
            scanner: Some(Box::default()),
            arrivals: Arrivals::default(),
            edge: None,
            promise: None,
            least: 0,
            next: Vec::new(),
            begun: None,
            broken: false,
            revision: 0,
            texts: Vec::new(),
        };
        Self { state: Mutex::new(state), news: watch::channel(0).0, asked: Mutex::new(Instant::now()) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News of what has been found.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn changed(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Somebody asks.
    pub(crate) fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody has asked.
    pub(crate) fn idle(&self) -> Duration {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Takes what was found next; `live`: it has just come.
    pub(crate) fn take(&self, found: &[Found], live: bool) {
        if found.is_empty() {
            return;
        }
        {
            let mut state = self.state();
            for found in found {
                state.index.take(found);
            }
            state.revision = state.revision.wrapping_add(1);
            if live && found.iter().any(|found| matches!(found, Found::Ended(_))) {
                state.arrivals.came(Instant::now());
            }
        }
        self.changed();
    }

    /// All that there is has been seen.
    pub(crate) fn at_edge(&self) {
        self.state().edge.get_or_insert_with(Instant::now);
        self.changed();
    }

    /// All of it has been seen.
    pub(crate) fn finish(&self) {
        {
            let mut state = self.state();
            state.index.finish();
            state.revision = state.revision.wrapping_add(1);
        }
        self.changed();
    }

    /// It cannot be read any more.
    pub(crate) fn fail(&self) {
        self.state().broken = true;
        self.changed();
    }

    /// Nobody reads on, for now.
    pub(crate) fn rest(&self, scanner: Box<Scanner>) {
        let mut state = self.state();
        (state.scanner, state.edge) = (Some(scanner), None);
        state.arrivals.pause();
    }

    /// Lets go of what can be made again.
    pub(crate) fn forget_texts(&self) {
        self.state().texts = Vec::new();
    }

    /// What it takes at most, in bytes.
    pub(crate) fn weight(&self) -> u64 {
        let state = self.state();
        let texts: usize = state.texts.iter().map(|made| made.text.plain.len() + made.text.gzip.len()).sum();
        (texts + state.index.timeline.segments.len() * 32 + state.index.tracks.weight() + 4_096) as u64
    }
}

impl State {
    /// Whether all that there is has been seen.
    pub(crate) fn is_at_edge(&self) -> bool {
        self.edge.is_some()
    }

    /// Whether a playlist can be made; `part_size`: bytes that come at once, as far as that is known. `goes_on`: there are
    /// segments of other objects before it.
    pub(crate) fn ready(&mut self, part_size: Option<u64>, goes_on: bool) -> Ready {
        if self.broken {
            return Ready::Broken;
        }
        let over = self.index.is_over();
        if !goes_on {
            if let Some(unfit) = self.index.unfit() {
                return Ready::Never(unfit.to_string());
            }
            if self.index.timeline.segments.is_empty() {
                return if over { Ready::Never("there is no fragment in it".to_owned()) } else { Ready::NotYet };
            }
        }
        let seen = self.arrivals.burst();
        let was_watched = self.edge.is_some_and(|edge| edge.elapsed() >= WATCHED);
        if !over && (self.edge.is_none() || (self.promise.is_none() && seen.is_none() && !was_watched)) {
            return Ready::NotYet;
        }
        let by_rate = || part_size.map_or(Duration::ZERO, |size| self.index.time_of(size).min(GUESSED));
        let burst = if over { Duration::ZERO } else { seen.unwrap_or_else(by_rate) };
        let before = self.promise;
        let longest = self.index.target(Duration::ZERO).unwrap_or(1);
        // It is kept, but for a segment that leaves no choice.
        let target = match before {
            Some(before) => before.target.max(longest),
            None => self.index.target(burst).unwrap_or(longest),
        };
        let target = target.max(self.least);
        let limit = Duration::from_secs(target).saturating_mul(STEADY) / 10;
        let steady = seen.is_some_and(|burst| burst <= limit);
        let parts = before.is_some_and(|before| before.parts) || (steady && self.index.parts.target().is_some());
        let blocks = before.is_some_and(|before| before.blocks) || steady;
        self.promise = Some(Promise { target, burst, parts, blocks });
        Ready::Yes
    }

    /// What is promised of the playlists; once one can be made.
    pub(crate) fn promise(&self) -> Option<&Promise> {
        self.promise.as_ref()
    }

    /// What a request can wait for.
    pub(crate) fn there(&self) -> There {
        self.index.there(self.promise.is_some_and(|promise| promise.parts))
    }

    /// It goes on the object that `before` is of, which is complete: what is promised there holds here.
    pub(crate) fn go_on(&mut self, before: &Self) {
        self.index.parts.go_on(before.index.parts.target());
        let Some(promise) = before.promise else { return };
        self.least = self.least.max(promise.target);
        if self.promise.is_none() && before.arrivals.burst().is_some() {
            (self.promise, self.arrivals) = (Some(promise), before.arrivals.clone());
            self.arrivals.pause();
        }
    }

    /// Whether it goes on another object, as far as anybody has asked for that.
    pub(crate) fn goes_on(&self) -> bool {
        self.least > 0
    }

    /// What goes on it under this key, once that is known.
    pub(crate) fn next(&self, key: &str) -> Option<Next> {
        self.next.iter().find(|(known, _)| known == key).map(|(_, next)| next.clone())
    }

    /// See [`Self::next`]; none: it is not known any more.
    pub(crate) fn set_next(&mut self, key: &str, next: Option<Next>) {
        self.next.retain(|(known, _)| known != key);
        self.next.extend(next.map(|next| (key.to_owned(), next)));
    }

    /// A text about all of it as it is now, which is made anew where something has changed; none where nothing is promised yet.
    pub(crate) fn text_by(&mut self, shape: &Shape, make: impl FnOnce(&Index, &Promise) -> String) -> Option<Text> {
        let promise = self.promise?;
        let is_it = |made: &&Made| made.shape == *shape && made.revision == self.revision && made.promise == promise;
        if let Some(made) = self.texts.iter().find(is_it) {
            return Some(made.text.clone());
        }
        let text = Text::of(make(&self.index, &promise));
        self.texts.retain(|made| !made.shape.is_like(shape));
        if self.texts.len() >= TEXTS {
            self.texts.remove(0);
        }
        self.texts.push(Made { shape: shape.clone(), revision: self.revision, promise, text: text.clone() });
        Some(text)
    }

    /// When what is at the beginning was there, in microseconds since 1970, as far as segments have come in time: what there
    /// is lasts until now, or did when it came.
    pub(crate) fn begun(&mut self, now: i64) -> i64 {
        let lasts = i64::try_from(self.index.timeline.micros()).unwrap_or(i64::MAX);
        let seen = now.saturating_sub(lasts);
        let begun = self.begun.map_or(seen, |before| before.min(seen));
        *self.begun.insert(begun)
    }
}

impl Text {
    pub(crate) fn of(plain: String) -> Self {
        let digest = Sha256::digest(plain.as_bytes());
        let tag = hex::encode(digest.get(..12).unwrap_or_default());
        Self { gzip: gzip(plain.as_bytes(), LEVEL), plain: Bytes::from(plain), tag }
    }
}
