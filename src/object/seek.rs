//! Finds a time in a fragmented MP4 that is far away and may still be growing, by a few ranges of it.
//!
//! One small range from the start gives the header and the first fragment. Then the place is guessed by what is known of
//! the times at either side: a range from there is read until a `moof` in it tells its time. From a fragment close by it is
//! reached from `moof` to `moof`, past the media data. So a steady stream takes a handful of looks of a few fragments'
//! bytes, and one step in three at least halves the rest, so that no stream takes more than three times the logarithm of
//! its length.

mod bisect;
mod error;
mod look;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::media::fmp4::{Found, Fragment, Header, Run, Scanner, Track, TrackKind};
use crate::media::mpeg_ts;
use crate::object::ranges::{Answer, Ranges};
use crate::object::stretch::Target;
use crate::store::Patient;
pub use error::SeekError;
use look::Look;

/// The most that is read for the header and the first fragment, and how much of it at first.
const OPENING_MAX: u64 = 16 << 20;
const OPENING: u64 = 64 << 10;
/// What is read at once where a `moof` is known to begin: it, and the header of the media data after it.
const INDEX: u64 = 16 << 10;
/// The least and the most that is read at once in search of a `moof`.
const LOOK_MIN: u64 = 64 << 10;
const LOOK_MAX: u64 = 1 << 20;
/// So near that it is worth to go there from fragment to fragment.
const NEAR: u64 = 256 << 10;
/// Media data longer than this are not read through.
const JUMP: u64 = 128 << 10;
/// The most that is read backwards in search of a key frame.
const BACKWARDS_MAX: u64 = 512 << 20;
/// Fragments remembered.
const SEEN_MAX: usize = 50_000;

/// What an object turned out to be.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
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
    /// Whether the newest fragment has been looked for.
    end_seen: bool,
}

/// Looks at the beginning of an object and at how far it reaches.
///
/// # Errors
/// [`SeekError`]; above all when it is neither a fragmented MP4 nor a transport stream.
pub async fn open(store: &Patient, target: Target, finished: Option<u64>) -> Result<Opened<'_>, SeekError> {
    open_in(Ranges::new(store, target), finished).await
}

/// The same, by looks that have been begun.
///
/// # Errors
/// As for [`open`].
pub async fn open_in(mut ranges: Ranges<'_>, finished: Option<u64>) -> Result<Opened<'_>, SeekError> {
    let mut scanner = Scanner::new();
    let mut beginning = Vec::new();
    let mut header: Option<Arc<Header>> = None;
    let mut off = None;
    let mut seen = BTreeMap::new();
    let mut lead = None;
    let (mut known, mut window) = (0, OPENING);
    let object = ranges.object();
    while lead.is_none() && known < OPENING_MAX && (off.is_none() || beginning.len() < mpeg_ts::SNIFF) {
        let bytes = match ranges.read(known, known.saturating_add(window)).await? {
            Answer::Data(bytes) => bytes,
            Answer::Nothing => break,
            Answer::Absent => return Err(SeekError::Absent(object)),
        };
        known = known.saturating_add(bytes.len() as u64);
        window = window.saturating_mul(2).min(LOOK_MAX);
        if beginning.len() < mpeg_ts::SNIFF {
            beginning.extend_from_slice(&bytes);
        }
        for found in scanner.feed(&bytes) {
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
                Found::Bare => {}
                Found::Off(why) => off = off.or(Some(why)),
            }
        }
    }
    if mpeg_ts::is_transport_stream(&beginning) {
        let edge = edge_of(&mut ranges, finished, known).await?;
        return Ok(Opened::TransportStream { ranges, edge, beginning });
    }
    let (header, lead) = match (header, lead, off) {
        (Some(header), Some(lead), _) => (header, lead),
        (_, _, Some(why)) => return Err(SeekError::NotFragments { object, why }),
        _ if finished.is_some() => return Err(SeekError::NoFragment(object)),
        _ => return Err(SeekError::TooEarly(object)),
    };
    let Some(main) = header.movie.main().cloned() else { return Err(SeekError::TooEarly(object)) };
    let edge = edge_of(&mut ranges, finished, known).await?;
    let (broken, between_keys, end_seen) = (false, 0, false);
    let seeker = Seeker { ranges, header, main, lead, edge, seen, broken, between_keys, end_seen };
    Ok(Opened::Fragments(Box::new(seeker)))
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

    /// Bytes of a fragment, as far as the first one tells.
    fn span(&self) -> u64 {
        span(&self.lead)
    }

    /// Reads bytes `from` to `to`, from the first fragment that begins there on, and gives each fragment to `each` until
    /// that returns false. Long media data are passed over. `exact`: a box begins at `from`.
    /// `window` bytes are read at first.
    async fn scan(
        &mut self,
        from: u64,
        exact: bool,
        mut window: u64,
        to: u64,
        mut each: impl FnMut(&Fragment) -> bool,
    ) -> Result<(), SeekError> {
        let mut look = Look::new(self.header.movie.clone(), from, exact);
        let mut at = from;
        let mut more = true;
        // A moof may begin before `to` and end after it; but media data may look like the beginning of one, too.
        let most = to.saturating_add(LOOK_MAX);
        while more && at < self.edge && (at < to || (at < most && look.is_undecided())) {
            let end = at.saturating_add(window).min(to.max(at.saturating_add(INDEX))).min(self.edge);
            let bytes = match self.ranges.read(at, end).await? {
                Answer::Data(bytes) => bytes,
                Answer::Nothing => break,
                Answer::Absent => return Err(SeekError::Absent(self.ranges.object())),
            };
            at = at.saturating_add(bytes.len() as u64);
            window = window.saturating_mul(2).min(LOOK_MAX);
            for found in look.feed(&bytes) {
                match found {
                    Found::Begun(fragment) => {
                        more = more && each(&fragment);
                        if self.seen.len() < SEEN_MAX {
                            self.seen.entry(fragment.moof).or_insert(fragment);
                        }
                    }
                    Found::Ended(fragment) => {
                        if let Some(known) = self.seen.get_mut(&fragment.moof) {
                            known.end = fragment.end;
                        }
                    }
                    Found::Header(_) | Found::Bare | Found::Off(_) => {}
                }
            }
            self.broken |= look.broken;
            if let Some(next) = look.nothing_before().filter(|next| *next >= to || next.saturating_sub(at) > JUMP) {
                look = Look::new(self.header.movie.clone(), next, true);
                (at, window) = (next, INDEX);
            }
        }
        Ok(())
    }

    /// The first fragment of the main track that begins at or after `from` and before `to`.
    async fn first_in(&mut self, from: u64, to: u64) -> Result<Option<Fragment>, SeekError> {
        let main = self.main.id;
        let mut found = None;
        self.scan(from, from == self.header.end, LOOK_MIN, to, |fragment| {
            let here = fragment.moof < to;
            if here && fragment.run(main).is_some() {
                found = Some(fragment.clone());
            }
            here && found.is_none()
        })
        .await?;
        Ok(found)
    }

    /// The newest fragment of the main track that begins before `limit` and is to the liking of `likes`; searched backwards,
    /// a step of `step` bytes at first.
    async fn back(
        &mut self,
        limit: u64,
        mut step: u64,
        likes: impl Fn(&Fragment, &Run) -> bool,
    ) -> Result<Option<Fragment>, SeekError> {
        let (main, start) = (self.main.id, self.header.end);
        let mut high = limit;
        while high > start {
            let low = high.saturating_sub(step).max(start);
            let mut newest: Option<Fragment> = None;
            // Whatever begins before `high` has shown its name by then.
            self.scan(low, low == start, LOOK_MAX, high.saturating_add(8), |fragment| {
                let here = fragment.moof < high;
                if here && fragment.run(main).is_some_and(|run| likes(fragment, run)) {
                    newest = Some(fragment.clone());
                }
                here
            })
            .await?;
            if newest.is_some() {
                return Ok(newest);
            }
            high = low;
            step = step.saturating_mul(2);
            if limit.saturating_sub(high) > BACKWARDS_MAX {
                return Err(SeekError::NoKeyFrame(self.ranges.object()));
            }
        }
        Ok(None)
    }

    /// The newest fragment that begins before `limit`, begins with a key frame, and shows that no later than `at_most`
    /// nanoseconds; the first fragment of the stream if there is none.
    ///
    /// # Errors
    /// [`SeekError::NoKeyFrame`] after a long way backwards, or what the store said.
    pub async fn key_before(&mut self, limit: u64, at_most: i64) -> Result<Fragment, SeekError> {
        // Where a group of pictures is in many fragments, nobody knows at first how long it is.
        let usual = if self.lead_is_whole_group() { self.span() / 2 } else { NEAR };
        let step = usual.max(self.between_keys).clamp(LOOK_MIN, LOOK_MAX);
        let newest = self.back(limit, step, |fragment, run| fragment.key && run.nanos(run.first) <= at_most).await?;
        let Some(newest) = newest else { return Ok(self.lead.clone()) };
        self.between_keys = self.between_keys.max(limit.saturating_sub(newest.moof));
        Ok(newest)
    }

    /// Has searches backwards read more at once, where a request less is worth more than its bytes.
    pub fn look_wide(&mut self) {
        self.between_keys = self.between_keys.max(self.span().saturating_mul(5) / 2);
    }

    /// Looks for the newest fragment of the main track, so that [`reaches`](Self::reaches) is right.
    ///
    /// # Errors
    /// What the store said.
    pub async fn look_at_end(&mut self) -> Result<(), SeekError> {
        if !std::mem::replace(&mut self.end_seen, true) {
            let step = (self.span() / 2).clamp(LOOK_MIN, LOOK_MAX);
            self.back(self.edge, step, |_, _| true).await?;
        }
        Ok(())
    }

    /// The newest fragment of the main track that has been seen.
    #[must_use]
    pub fn newest(&self) -> &Fragment {
        self.seen.values().rev().find(|fragment| self.main_run(fragment).is_some()).unwrap_or(&self.lead)
    }

    /// Whether something is shown at `time` nanoseconds or later.
    ///
    /// # Errors
    /// What the store said.
    pub async fn has_beyond(&mut self, time: i64) -> Result<bool, SeekError> {
        let main = self.main.id;
        let reaches = |fragment: &Fragment| fragment.run(main).is_some_and(|run| run.nanos(run.latest) > time);
        if self.seen.values().rev().any(reaches) || reaches(&self.lead) {
            return Ok(true);
        }
        self.look_at_end().await?;
        Ok(self.reaches() > time)
    }

    /// The presentation time in nanoseconds up to which the newest fragment seen reaches.
    #[must_use]
    pub fn reaches(&self) -> i64 {
        self.main_run(self.newest()).map_or(0, |run| run.nanos(run.latest))
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
    /// is not lost.
    ///
    /// # Errors
    /// What the store said.
    pub async fn with_company(&mut self, fragment: &Fragment) -> Result<u64, SeekError> {
        let Some(shown) = self.main_run(fragment).map(|run| run.nanos(run.first)) else { return Ok(fragment.first) };
        let in_all = |track: &Track| track.kind == TrackKind::Other || fragment.run(track.id).is_some();
        let preceded = self.seen.values().any(|before| before.end.or(before.data_end) == Some(fragment.first));
        if !self.header.movie.tracks.iter().all(in_all) && !preceded {
            let low = fragment.first.saturating_sub(NEAR).max(self.header.end);
            self.scan(low, low == self.header.end, NEAR, fragment.first, |_| true).await?;
        }
        let mut first = fragment.first;
        for before in self.seen.range(..fragment.moof).rev().map(|(_, before)| before) {
            let adjoins = before.end.or(before.data_end) == Some(first);
            // More than a packet that began just before the picture.
            let shown_with_it = before.runs.iter().any(|run| {
                let packets = i64::try_from(run.duration / run.samples.max(1)).unwrap_or(0).saturating_mul(2);
                run.nanos(run.latest.saturating_sub(packets)) > shown
            });
            if !adjoins || !shown_with_it || self.main_run(before).is_some() {
                break;
            }
            first = before.first;
        }
        Ok(first)
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
            self.scan(at, true, INDEX, reach, &mut note).await?;
        }
        Ok(begins.iter().map(|(_, time)| *time).min().unwrap_or(0))
    }
}

/// Bytes of a fragment.
fn span(fragment: &Fragment) -> u64 {
    after(fragment).saturating_sub(fragment.first)
}

/// Where a fragment ends, as far as it tells.
fn after(fragment: &Fragment) -> u64 {
    fragment.data_end.unwrap_or(0).max(fragment.moof_end)
}

#[cfg(test)]
#[path = "seek_tests.rs"]
mod tests;
