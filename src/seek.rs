//! Finds a time in a fragmented MP4 that is far away and may still be growing, by a few ranges of it.
//!
//! One range from the start gives the header, the first fragment and how far the stream reaches. Then the place is found
//! by bisection: a range from somewhere in the middle is read until a `moof` in it tells its time. Places in between are
//! guessed by the times at either end, so that a steady stream takes a handful of looks, and one step in three at
//! least halves the rest, so that no stream takes more than three times the logarithm of its length.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fmp4::fragments::find_moof;
use crate::fmp4::{Found, Fragment, Header, Movie, NotFragments, Run, Scanner, Track};
use crate::mpeg_ts;
use crate::prefetch::Target;
use crate::ranges::{Answer, Ranges};
use crate::store::{Store, StoreError};

/// The most that is read for the header and the first fragment.
const OPENING_MAX: u64 = 16 << 20;
/// The least and the most that is read from one place.
const LOOK_MIN: u64 = 256 << 10;
const LOOK_MAX: u64 = 8 << 20;
/// The most that is read backwards in search of a key frame.
const BACKWARDS_MAX: u64 = 512 << 20;
/// Bytes kept where a fragment may begin that is not all there yet.
const TAIL: usize = 1 << 20;
/// Media data longer than this are not read through.
const JUMP: u64 = 2 << 20;
/// Fragments remembered.
const SEEN_MAX: usize = 50_000;

/// Why a place cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum SeekError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was there a moment ago.
    #[error("{0}: nothing of it can be read: it was aborted or deleted, or it cannot be read live")]
    Absent(String),
    /// It is something else.
    #[error(
        "{object}: --from, --to and --probe need a fragmented MP4 (or, for --from live, an MPEG transport stream), and this is \
         something else: {why}. Without these options, reader copies anything"
    )]
    NotFragments {
        /// The object.
        object: String,
        /// What is in the way.
        why: NotFragments,
    },
    /// A transport stream, where fragments are needed.
    #[error(
        "{0}: this is an MPEG transport stream, which can be joined with --from live but has no index for times: --from TIME, \
         --from live-TIME, --to and --probe need a fragmented MP4"
    )]
    TransportStream(String),
    /// No fragment yet.
    #[error("{0}: there is no fragment in what can be read so far; try again in a moment")]
    TooEarly(String),
    /// The fragments have no `tfdt`.
    #[error(
        "{0}: its fragments do not tell their times (no tfdt), so that none can be found; only --from live is possible, or all of it without --from"
    )]
    Untimed(String),
    /// No key frame for a long way.
    #[error("{0}: no fragment begins with a key frame in {mib} MiB before the place asked for", mib = BACKWARDS_MAX >> 20)]
    NoKeyFrame(String),
    /// A time that is not there yet.
    #[error(
        "{object}: it is {length} long so far, so that {asked} cannot be joined yet; ask for an earlier time, or for --from live"
    )]
    Beyond {
        /// The object.
        object: String,
        /// How long it is.
        length: String,
        /// What was asked for.
        asked: String,
    },
    /// Wall-clock times need a clock.
    #[error(
        "{0}: it tells no time of day, and the store does not say when its upload began; give times from its start"
    )]
    NoClock(String),
}

/// What an object turned out to be.
#[derive(Debug)]
pub enum Opened<'a> {
    /// A fragmented MP4.
    Fragments(Box<Seeker<'a>>),
    /// An MPEG transport stream: its beginning, and how far it reaches.
    TransportStream {
        /// For more looks.
        ranges: Ranges<'a>,
        /// Offset after the newest byte.
        edge: u64,
        /// Its first bytes.
        beginning: Vec<u8>,
    },
}

/// Finds places in a fragmented MP4; see the [module](self).
#[derive(Debug)]
pub struct Seeker<'a> {
    /// For more looks.
    pub ranges: Ranges<'a>,
    /// What the stream begins with.
    pub header: Arc<Header>,
    /// The track that times go by.
    pub main: Track,
    /// The first fragment of the main track.
    pub lead: Fragment,
    /// Offset after the newest byte.
    pub edge: u64,
    /// Fragments by where their `moof` begins.
    pub seen: BTreeMap<u64, Fragment>,
    /// Whether the stream was broken somewhere in what was looked at.
    pub broken: bool,
    /// Bytes from one key frame to the next, as far as has been seen.
    between_keys: u64,
}

/// Looks at the beginning of an object and at how far it reaches.
///
/// # Errors
/// [`SeekError`]; above all when it is neither a fragmented MP4 nor a transport stream.
pub async fn open(store: &Store, target: Target, finished: Option<u64>) -> Result<Opened<'_>, SeekError> {
    let mut ranges = Ranges::new(store, target);
    let mut scanner = Scanner::new();
    let mut beginning = Vec::new();
    let mut header: Option<Arc<Header>> = None;
    let mut off = None;
    let mut seen = BTreeMap::new();
    let mut lead = None;
    let mut read = 0;
    let answer = ranges
        .read(0, None, |bytes| {
            if beginning.len() < mpeg_ts::SNIFF {
                beginning.extend_from_slice(bytes);
            }
            read += bytes.len() as u64;
            for found in scanner.feed(bytes) {
                match found {
                    Found::Header(found) => header = Some(found),
                    Found::Begun(fragment) => {
                        let main = header.as_ref().and_then(|header| header.movie.main()).map(|track| track.id);
                        if lead.is_none() && main.is_some_and(|main| fragment.run(main).is_some()) {
                            lead = Some(fragment.clone());
                        }
                        seen.insert(fragment.moof, fragment);
                    }
                    Found::Ended(fragment) => drop(seen.insert(fragment.moof, fragment)),
                    Found::Off(why) => off = off.or(Some(why)),
                }
            }
            let told = lead.is_some() || (off.is_some() && beginning.len() >= mpeg_ts::SNIFF);
            !told && read < OPENING_MAX
        })
        .await?;
    let object = ranges.object();
    let known = match answer {
        Answer::Data { end } => end,
        Answer::Nothing => 0,
        Answer::Absent => return Err(SeekError::Absent(object)),
    };
    if mpeg_ts::is_transport_stream(&beginning) {
        let edge = edge_of(&mut ranges, finished, known).await?;
        return Ok(Opened::TransportStream { ranges, edge, beginning });
    }
    let (header, lead) = match (header, lead, off) {
        (Some(header), Some(lead), _) => (header, lead),
        (_, _, Some(why)) => return Err(SeekError::NotFragments { object, why }),
        _ => return Err(SeekError::TooEarly(object)),
    };
    let Some(main) = header.movie.main().cloned() else { return Err(SeekError::TooEarly(object)) };
    let edge = edge_of(&mut ranges, finished, known).await?;
    Ok(Opened::Fragments(Box::new(Seeker { ranges, header, main, lead, edge, seen, broken: false, between_keys: 0 })))
}

async fn edge_of(ranges: &mut Ranges<'_>, finished: Option<u64>, known: u64) -> Result<u64, SeekError> {
    match finished {
        Some(size) => Ok(size),
        None => Ok(ranges.edge(known).await?),
    }
}

impl Seeker<'_> {
    /// The main track's samples in a fragment.
    #[must_use]
    pub fn main_run<'f>(&self, fragment: &'f Fragment) -> Option<&'f Run> {
        fragment.run(self.main.id)
    }

    /// The presentation time of the first frame of the stream, in nanoseconds of its own clock.
    #[must_use]
    pub fn zero(&self) -> i64 {
        self.main_run(&self.lead).map_or(0, |run| run.nanos(run.earliest))
    }

    /// Whether times can be found in it.
    ///
    /// # Errors
    /// [`SeekError::Untimed`].
    pub fn is_timed(&self) -> Result<(), SeekError> {
        if self.lead.timed { Ok(()) } else { Err(SeekError::Untimed(self.ranges.object())) }
    }

    /// Whether the first fragment is that of a stream which has a whole group of pictures, or several, in each: it begins
    /// with a key frame and has more than one frame.
    #[must_use]
    pub fn lead_is_whole_group(&self) -> bool {
        self.lead.key && self.main_run(&self.lead).is_some_and(|run| run.samples > 1)
    }

    /// A time that never falls from fragment to fragment, and is no later than the first frame's presentation.
    fn order(&self, fragment: &Fragment) -> Option<i64> {
        let run = self.main_run(fragment)?;
        let decode = i64::try_from(run.decode).ok()?.saturating_add(self.main.edit_offset);
        Some(run.nanos(decode.min(run.first)))
    }

    /// Bytes of a fragment, as far as the first one tells.
    fn span(&self) -> u64 {
        let end = self.lead.data_end.unwrap_or(self.lead.moof_end);
        end.saturating_sub(self.lead.first)
    }

    /// Reads bytes `from` to `to`, from the first fragment that begins there on, and gives each fragment to `each` until
    /// that returns false. Long media data are jumped over. `exact`: a box begins at `from`.
    async fn scan(
        &mut self,
        from: u64,
        exact: bool,
        to: u64,
        mut each: impl FnMut(&Fragment) -> bool,
    ) -> Result<(), SeekError> {
        let (mut from, mut exact) = (from, exact);
        while from < to {
            let mut look = Look::new(self.header.movie.clone(), from, exact);
            let mut jump = None;
            let seen = &mut self.seen;
            let answer = self
                .ranges
                .read(from, Some(to), |bytes| {
                    for found in look.feed(bytes) {
                        match found {
                            Found::Begun(fragment) => {
                                let more = each(&fragment);
                                if seen.len() < SEEN_MAX {
                                    seen.entry(fragment.moof).or_insert(fragment);
                                }
                                if !more {
                                    return false;
                                }
                            }
                            Found::Ended(fragment) => {
                                if let Some(known) = seen.get_mut(&fragment.moof) {
                                    known.end = fragment.end;
                                }
                            }
                            Found::Header(_) | Found::Off(_) => {}
                        }
                    }
                    jump = look.jump();
                    jump.is_none()
                })
                .await?;
            self.broken |= look.broken;
            if answer == Answer::Absent {
                return Err(SeekError::Absent(self.ranges.object()));
            }
            let Some(next) = jump else { return Ok(()) };
            (from, exact) = (next, true);
        }
        Ok(())
    }

    /// The first fragment of the main track that begins at or after `from` and before `to`.
    async fn first_in(&mut self, from: u64, to: u64) -> Result<Option<Fragment>, SeekError> {
        let main = self.main.id;
        let mut found = None;
        // A moof may begin before `to` and end after it.
        let reach = to.saturating_add(LOOK_MIN).min(self.edge);
        self.scan(from, from == self.header.end, reach, |fragment| {
            let here = fragment.moof < to;
            if here && fragment.run(main).is_some() {
                found = Some(fragment.clone());
            }
            here && found.is_none()
        })
        .await?;
        Ok(found)
    }

    /// The newest fragment that begins before `limit`, begins with a key frame, and shows that no later than `at_most`
    /// nanoseconds; the first fragment of the stream if there is none.
    ///
    /// # Errors
    /// [`SeekError::NoKeyFrame`] after a long way backwards, or what the store said.
    pub async fn key_before(&mut self, limit: u64, at_most: i64) -> Result<Fragment, SeekError> {
        let main = self.main.id;
        let start = self.header.end;
        let mut high = limit;
        let usual = self.span().saturating_mul(2).max(self.between_keys.saturating_add(self.between_keys / 4));
        // Where a group of pictures is in many fragments, nobody knows how long it is.
        let least = if self.lead_is_whole_group() { LOOK_MIN } else { LOOK_MIN * 4 };
        let mut step = usual.clamp(least, LOOK_MAX);
        while high > start {
            let low = high.saturating_sub(step).max(start);
            let mut newest: Option<Fragment> = None;
            let reach = high.saturating_add(LOOK_MIN).min(self.edge);
            self.scan(low, low == start, reach, |fragment| {
                let here = fragment.moof < high;
                if let Some(run) = fragment.run(main).filter(|_| here && fragment.key)
                    && run.nanos(run.first) <= at_most
                {
                    newest = Some(fragment.clone());
                }
                here
            })
            .await?;
            if let Some(newest) = newest {
                self.between_keys = self.between_keys.max(limit.saturating_sub(newest.moof));
                return Ok(newest);
            }
            high = low;
            step = step.saturating_mul(2);
            if limit.saturating_sub(high) > BACKWARDS_MAX {
                return Err(SeekError::NoKeyFrame(self.ranges.object()));
            }
        }
        Ok(self.lead.clone())
    }

    /// The newest fragment of the main track that has been seen.
    #[must_use]
    pub fn newest(&self) -> &Fragment {
        self.seen.values().rev().find(|fragment| self.main_run(fragment).is_some()).unwrap_or(&self.lead)
    }

    /// The presentation time in nanoseconds up to which the newest fragment seen reaches.
    #[must_use]
    pub fn reaches(&self) -> i64 {
        self.main_run(self.newest()).map_or(0, |run| run.nanos(run.latest))
    }

    /// The last fragment of the main track that is decoded no later than `target` nanoseconds, by bisection. The newest
    /// fragment must have been looked for before.
    ///
    /// # Errors
    /// What the store said.
    pub async fn last_by(&mut self, target: i64) -> Result<Fragment, SeekError> {
        let (mut low, mut high) = (self.lead.clone(), (self.edge, i64::MAX));
        for fragment in self.seen.values() {
            match self.order(fragment) {
                Some(time) if time <= target => low = fragment.clone(),
                Some(time) => {
                    high = (fragment.moof, time);
                    break;
                }
                None => {}
            }
        }
        // Steps in a row that left more than half.
        let mut lazy = 0;
        let mut above = false;
        loop {
            let begin = low.data_end.unwrap_or(0).max(low.moof_end);
            let gap = high.0.saturating_sub(begin);
            if gap == 0 || self.lasts_beyond(&low, target) {
                return Ok(low);
            }
            if gap <= LOOK_MIN {
                return self.walk(begin, high.0, target, low).await;
            }
            let guess = if gap <= self.span().saturating_mul(2) {
                // The next fragment begins there, so that this costs its index alone.
                Some(0)
            } else if lazy >= 2 {
                lazy = 0;
                None
            } else {
                self.guess(&low, high.1, target, gap, above)
            };
            let middle = begin.saturating_add(guess.unwrap_or(gap / 2));
            let found = self.first_in(middle, high.0).await?;
            above = match found.map(|found| (self.order(&found), found)) {
                Some((Some(time), found)) if time <= target => {
                    low = found;
                    true
                }
                Some((Some(time), _)) => {
                    high = (middle, time);
                    false
                }
                _ => {
                    high.0 = middle;
                    false
                }
            };
            let left = high.0.saturating_sub(low.data_end.unwrap_or(0).max(low.moof_end));
            lazy = if left > gap / 2 { lazy + 1 } else { 0 };
        }
    }

    /// Whether the main track's samples in a fragment reach beyond `target`, so that the next ones come after it.
    fn lasts_beyond(&self, fragment: &Fragment, target: i64) -> bool {
        let (Some(run), Some(time)) = (self.main_run(fragment), self.order(fragment)) else { return false };
        let duration = run.nanos(i64::try_from(run.duration).unwrap_or(i64::MAX));
        time.saturating_add(duration) > target
    }

    /// How far into the gap the target is likely to be, and then a little to one side of it, so that the next look is
    /// likely to find a fragment close by on that side.
    fn guess(&self, low: &Fragment, high: i64, target: i64, gap: u64, above: bool) -> Option<u64> {
        let time = self.order(low)?;
        let share = u128::from(target.abs_diff(time));
        let whole = u128::from(high.abs_diff(time)).max(1);
        let at = u64::try_from(u128::from(gap) * share.min(whole) / whole).ok()?;
        let aside = gap / 64;
        let at = if above { at.saturating_add(aside) } else { at.saturating_sub(aside.saturating_add(self.span())) };
        Some(at.min(gap.saturating_sub(1)))
    }

    /// The last fragment by `target` of those that begin between two places, which are near one another.
    async fn walk(&mut self, begin: u64, end: u64, target: i64, low: Fragment) -> Result<Fragment, SeekError> {
        let main = self.main.clone();
        let mut last = low;
        let reach = end.saturating_add(LOOK_MIN).min(self.edge);
        self.scan(begin, false, reach, |fragment| {
            let Some(run) = fragment.run(main.id) else { return fragment.moof < end };
            let decode = i64::try_from(run.decode).unwrap_or(i64::MAX).saturating_add(main.edit_offset);
            let here = fragment.moof < end && run.nanos(decode.min(run.first)) <= target;
            if here {
                last = fragment.clone();
            }
            here
        })
        .await?;
        Ok(last)
    }

    /// The fragment from which on nothing is missing that is shown at `target` nanoseconds or later: it begins with a key
    /// frame shown no later.
    ///
    /// # Errors
    /// As for [`key_before`](Self::key_before).
    pub async fn start_for(&mut self, target: i64) -> Result<Fragment, SeekError> {
        let last = self.last_by(target).await?;
        let shown = |fragment: &Fragment| fragment.run(self.main.id).map(|run| run.nanos(run.first));
        if last.key && shown(&last).is_some_and(|shown| shown <= target) {
            return Ok(last);
        }
        self.key_before(last.moof_end, target).await
    }

    /// Where to begin with a fragment so that sound which is shown with it and comes in fragments of its own just before
    /// is not lost, as far as those have been seen.
    #[must_use]
    pub fn with_company(&self, fragment: &Fragment) -> u64 {
        let Some(shown) = self.main_run(fragment).map(|run| run.nanos(run.first)) else { return fragment.first };
        let mut first = fragment.first;
        for before in self.seen.range(..fragment.moof).rev().map(|(_, before)| before) {
            let adjoins = before.end.or(before.data_end) == Some(first);
            let shown_with_it = before.runs.iter().any(|run| run.nanos(run.latest) > shown);
            if !adjoins || !shown_with_it || self.main_run(before).is_some() {
                break;
            }
            first = before.first;
        }
        first
    }

    /// The earliest time in nanoseconds of what begins at byte `first`, without composition offsets but with what edit
    /// lists leave out: of all tracks, as far as they turn up soon.
    ///
    /// # Errors
    /// What the store said.
    pub async fn earliest_from(&mut self, first: u64) -> Result<i64, SeekError> {
        let movie = self.header.movie.clone();
        let mut begins: Vec<(u32, i64)> = Vec::new();
        let mut note = |fragment: &Fragment| {
            for run in &fragment.runs {
                if begins.iter().all(|(id, _)| *id != run.track) {
                    let edit = movie.track(run.track).map_or(0, |track| track.edit_offset.min(0));
                    let decode = i64::try_from(run.decode).unwrap_or(0).saturating_add(edit);
                    begins.push((run.track, run.nanos(decode)));
                }
            }
            begins.len() < movie.tracks.len()
        };
        let mut at = first;
        let mut more = true;
        for fragment in self.seen.range(first..).map(|(_, fragment)| fragment) {
            if fragment.first != at || !more {
                break;
            }
            more = note(fragment);
            at = fragment.end.or(fragment.data_end).unwrap_or(fragment.moof_end);
        }
        if more {
            let reach = at.saturating_add(self.span()).saturating_add(LOOK_MIN).min(self.edge);
            self.scan(at, true, reach, &mut note).await?;
        }
        Ok(begins.iter().map(|(_, time)| *time).min().unwrap_or(0))
    }
}

/// A look into the middle of a stream.
#[derive(Debug)]
struct Look {
    movie: Arc<Movie>,
    /// `None` while the beginning of a fragment is searched for.
    scanner: Option<Scanner>,
    /// What may hold that beginning, and where in the stream it is.
    tail: Vec<u8>,
    at: u64,
    /// How much of `tail` is known to hold none.
    clean: usize,
    broken: bool,
}

impl Look {
    fn new(movie: Arc<Movie>, from: u64, exact: bool) -> Self {
        let scanner = exact.then(|| Scanner::starting_at(movie.clone(), from));
        Self { movie, scanner, tail: Vec::new(), at: from, clean: 0, broken: false }
    }

    /// Where to go on, if there is nothing to be found for so long that another request is worth while.
    fn jump(&self) -> Option<u64> {
        let scanner = self.scanner.as_ref()?;
        scanner.nothing_before().filter(|end| end.saturating_sub(scanner.offset()) > JUMP)
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Found> {
        if let Some(scanner) = &mut self.scanner {
            let found = scanner.feed(bytes);
            if scanner.is_off() {
                // What looked like a fragment was none, or the stream is broken; there may be one further on.
                self.broken = true;
                self.at = scanner.offset();
                self.scanner = None;
            }
            return found;
        }
        self.tail.extend_from_slice(bytes);
        let fresh = self.tail.get(self.clean..).unwrap_or_default();
        let place = find_moof(fresh, self.at.saturating_add(self.clean as u64), &self.movie);
        let Some(place) = place else {
            // From the first name on it may still become one.
            let name = fresh.windows(4).position(|window| window == b"moof");
            let kept = name.unwrap_or(fresh.len()).saturating_sub(if name.is_some() { 4 } else { 7 });
            self.clean = self.clean.saturating_add(kept);
            let drop = self.clean.max(self.tail.len().saturating_sub(TAIL));
            self.tail.drain(..drop);
            self.at = self.at.saturating_add(drop as u64);
            self.clean = 0;
            return Vec::new();
        };
        let mut scanner = Scanner::starting_at(self.movie.clone(), place);
        let begin = usize::try_from(place.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let found = scanner.feed(self.tail.get(begin..).unwrap_or_default());
        self.tail = Vec::new();
        self.clean = 0;
        if scanner.is_off() {
            self.broken = true;
            self.at = scanner.offset();
        } else {
            self.scanner = Some(scanner);
        }
        found
    }
}
