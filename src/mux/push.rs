//! Fragments that an encoder has made itself: written again in our own form, on the recording's time line, behind the
//! header that they came with. They come from one source, or from several, each with tracks of its own: all in one recording.
//!
//! Times are moved by the same for all tracks, so that sound and picture stay together: the first fragment is at zero, and
//! that of an encoder which comes back follows on the last. What came already, and comes again, is known by its bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::called;
use super::clock::Arrival;
use super::fragment::{Lead, Part, Sample, TimeOfDay, fragment};
use super::known::Known;
use super::muxer::{Piece, SEVERAL};
use super::source::{Source, SourceError};
use super::state::{Pushed, State};
use crate::media::fmp4::TrackKind;
use crate::media::fmp4::joined;
use crate::media::fmp4::moof::{nanos, ticks};
use crate::media::fmp4::samples::{Raw, Samples};

/// So many fragments, and bytes of them, are waited for until one of each track has come.
const WAITING: usize = 16;
const WAITING_BYTES: usize = 16 << 20;
/// How long sound is waited for where only pictures are announced, and the other way round, of sources that have names.
const OTHERS: Duration = Duration::from_secs(2);
/// The most sources.
const SOURCES: usize = 16;
/// What an object begins with, in place of what the encoder calls it.
const FTYP: &[u8] = b"\0\0\0\x1cftypiso6\0\0\x02\0iso6iso5mp41";
/// A source that goes back further than this, in nanoseconds, has begun anew; and so has one that is so far ahead.
const BACK: i64 = 1_000_000_000;
const AHEAD: i64 = 10_000_000_000;
/// What is so near to the end follows on it.
const NEAR: i64 = 250_000_000;

/// Why fragments cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The header is none of fragments.
    #[error("its header (moov) announces no fragments: with ffmpeg, -movflags +frag_keyframe+empty_moov makes some")]
    NotFragmented,
    /// The header cannot be read.
    #[error("its header (moov) has no track that can be understood")]
    NoTrack,
    /// There has been no header.
    #[error("a fragment came before any header (moov)")]
    NoHeader,
    /// The fragment cannot be read.
    #[error("a fragment (moof) is broken, or encrypted")]
    Broken,
    /// There are too many sources.
    #[error("there are {SOURCES} sources already, and no more are taken for one recording")]
    TooMany,
    /// There are several pictures, where all goes into one object.
    #[error("{SEVERAL}")]
    Several,
}

impl From<SourceError> for PushError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFragmented => Self::NotFragmented,
            SourceError::NoTrack => Self::NoTrack,
        }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Push {
    sources: Vec<Source>,
    /// The hash of their header, once it is written.
    header: Option<String>,
    /// What was written of them by a writer that was killed.
    left: Option<Pushed>,
    sequence: u32,
    /// Where each track ends in the recording, and in the encoder's time, in its ticks.
    ends: BTreeMap<u32, End>,
    /// What is added to the encoder's times, in nanoseconds; none until it is known where it begins.
    shift: Option<i64>,
    waiting: Vec<(Vec<Samples>, Arrival)>,
    known: Known,
    /// The next fragment goes on behind that of another encoder.
    anew: bool,
    ready: VecDeque<Piece>,
    several: Several,
    /// Sources that the encoder itself has given their names.
    called: BTreeSet<String>,
}

/// What several pictures are to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Several {
    /// Tracks like others.
    #[default]
    Taken,
    /// Too many.
    Refused,
    /// What is waited for.
    Expected,
}

#[derive(Debug)]
struct End {
    timescale: u32,
    here: i64,
    /// None until something has come of it on the clock of now.
    there: Option<i64>,
    /// It is decoded so much earlier than the encoder says, and shown so much later after that: some (ISMV) tell of pictures
    /// that are shown before they are decoded, and not all players put that right.
    earlier: i64,
}

impl End {
    /// How far behind it that is in nanoseconds, in the encoder's time.
    fn ahead(&self, decode: i64) -> Option<i64> {
        Some(nanos(decode.saturating_sub(self.there?), self.timescale))
    }
}

impl Push {
    /// One that goes on behind what a writer that was killed has written.
    #[must_use]
    pub fn going_on(state: State) -> Self {
        Self { left: state.pushed, sequence: state.sequence, ..Self::default() }
    }

    /// The same for a recording that has room for one picture alone.
    #[must_use]
    pub fn of_one_picture(self) -> Self {
        Self { several: Several::Refused, ..self }
    }

    /// The same where each of several pictures becomes something of its own: those that come a little later belong to it.
    #[must_use]
    pub fn of_renditions(self) -> Self {
        Self { several: Several::Expected, ..self }
    }

    /// Whether a header has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.sources.is_empty() || self.left.is_some()
    }

    /// Whether the header of this source has come.
    #[must_use]
    pub fn knows(&self, source: &str) -> bool {
        self.sources.iter().any(|known| known.name == source)
    }

    /// The one source that there is.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        if let [source] = &self.sources[..] { Some(&source.name) } else { None }
    }

    /// Takes a header, the whole `moov` box, of a source, which may have a name to be told from others by. The same again goes
    /// on with what there is; another begins another object, and then it is true.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn header(&mut self, source: &str, moov: &Bytes) -> Result<bool, PushError> {
        let place = self.sources.iter().position(|known| known.name == source);
        if let Some(known) = place.and_then(|place| self.sources.get_mut(place)).filter(|known| known.is_same(moov)) {
            (known.is_back, known.is_gone) = (true, false);
            return Ok(false);
        }
        if place.is_none() && self.sources.len() >= SOURCES {
            return Err(PushError::TooMany);
        }
        let others = self.sources.iter().filter(|known| known.name != source);
        let taken: Vec<u32> = others.flat_map(|known| known.numbers.iter()).map(|(_, number)| *number).collect();
        let new = Source::new(source, moov.clone(), &taken)?;
        if self.several == Several::Refused && self.pictures_with(&new) > 1 {
            return Err(PushError::Several);
        }
        let is_change = self.header.is_some();
        if is_change {
            // One header an object.
            self.anchor();
            (self.header, self.shift) = (None, None);
            (self.known, self.anew) = (Known::default(), false);
            self.ends.clear();
            self.sources.retain(|known| !known.is_gone);
        }
        let place = self.sources.iter().position(|known| known.name == source);
        match place.and_then(|place| self.sources.get_mut(place)) {
            Some(known) => *known = new,
            None => self.sources.push(new),
        }
        Ok(is_change)
    }

    /// The encoder has given this source its name: what becomes of its picture is called so.
    pub fn called(&mut self, source: &str) {
        if self.called.len() < SOURCES {
            self.called.insert(source.to_owned());
        }
    }

    /// What tracks are called that are to become something of their own: those of a source with one picture, or none.
    fn names(&self) -> BTreeMap<u32, String> {
        let pictures = |source: &Source| source.media().filter(|(_, kind)| *kind == TrackKind::Video).count();
        let named = self.sources.iter().filter(|source| self.called.contains(&source.name) && pictures(source) < 2);
        let name = |source: &Source| called::plain(&source.name);
        let tracks = named.filter_map(|source| Some((source, name(source)?)));
        tracks.flat_map(|(source, name)| source.media().map(move |(number, _)| (number, name.clone()))).collect()
    }

    /// How many pictures there are with those of this source.
    fn pictures_with(&self, new: &Source) -> usize {
        let others = self.sources.iter().filter(|known| known.name != new.name && !known.is_gone);
        others.chain([new]).flat_map(Source::media).filter(|(_, kind)| *kind == TrackKind::Video).count()
    }

    /// Whether something of the source is missing in front of this fragment.
    #[must_use]
    pub fn is_early(&self, source: &str, raw: &Raw) -> bool {
        let known = self.sources.iter().find(|known| known.name == source && !known.is_back);
        let (Some(known), Some(_)) = (known, self.shift) else { return false };
        known.samples(raw).unwrap_or_default().iter().any(|track| {
            let (Some(end), Some(decode)) = (self.ends.get(&track.track), track.decode) else { return false };
            let lasts = nanos(lasts(track), track.timescale);
            end.ahead(decode).is_some_and(|ahead| (lasts / 2 + 1..AHEAD).contains(&ahead))
        })
    }

    /// Takes a fragment of a source.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn fragment(&mut self, source: &str, raw: &Raw, arrival: Arrival) -> Result<(), PushError> {
        let known = self.sources.iter().position(|known| known.name == source).ok_or(PushError::NoHeader)?;
        let known = self.sources.get_mut(known).ok_or(PushError::NoHeader)?;
        let mut tracks = known.samples(raw).ok_or(PushError::Broken)?;
        if tracks.is_empty() || self.known.has(&tracks, &raw.mdat) {
            return Ok(());
        }
        let is_back = std::mem::take(&mut known.is_back);
        known.is_gone = false;
        let range = if is_back { -NEAR..NEAR } else { -BACK..AHEAD };
        let follows = |track: &Samples| match (self.ends.get(&track.track), track.decode) {
            (Some(end), Some(decode)) => end.ahead(decode).is_none_or(|ahead| range.contains(&ahead)),
            _ => true,
        };
        if self.shift.is_some() && !tracks.iter().all(follows) {
            self.anew();
        }
        for track in &mut tracks {
            let lasts = lasts(track);
            let end = self.end_of(track);
            let from = track.decode.or(end.there).unwrap_or(0);
            (track.decode, end.there) = (Some(from), Some(from.saturating_add(lasts)));
        }
        if self.shift.is_some() {
            self.write(&tracks, arrival);
        } else {
            self.waiting.push((tracks, arrival));
            if self.is_enough(arrival) {
                self.anchor();
            }
        }
        Ok(())
    }

    /// The encoder is gone: hands on what waits. Whoever comes next may begin anew.
    pub fn leave(&mut self) {
        self.anchor();
        for source in &mut self.sources {
            source.is_back = true;
        }
    }

    /// Nothing more comes of this source.
    pub fn close(&mut self, source: &str) {
        for known in self.sources.iter_mut().filter(|known| known.name == source) {
            known.is_gone = true;
        }
        if self.shift.is_none() && self.has_all() {
            self.anchor();
        }
    }

    /// The next piece that is ready. It stays until it is [handed on](Self::handed_on).
    #[must_use]
    pub fn ready(&self) -> Option<Piece> {
        self.ready.front().cloned()
    }

    /// That piece is where it belongs.
    pub fn handed_on(&mut self) {
        self.ready.pop_front();
    }

    fn end_of(&mut self, of: &Samples) -> &mut End {
        self.ends.entry(of.track).or_insert(End { timescale: of.timescale, here: 0, there: None, earlier: 0 })
    }

    /// The encoder's time is another one from here on.
    fn anew(&mut self) {
        (self.shift, self.anew) = (None, true);
        for end in self.ends.values_mut() {
            end.there = None;
        }
    }

    /// Whether a fragment of each track has come that is announced.
    fn has_all(&self) -> bool {
        let has = |id: u32| self.waiting.iter().any(|(tracks, _)| tracks.iter().any(|track| track.track == id));
        let here = self.sources.iter().filter(|source| !source.is_gone);
        here.flat_map(Source::media).all(|(number, _)| has(number))
    }

    /// Whether enough has come to begin with.
    fn is_enough(&self, arrival: Arrival) -> bool {
        let bytes: usize = self
            .waiting
            .iter()
            .flat_map(|(tracks, _)| tracks)
            .flat_map(|track| &track.samples)
            .map(|sample| sample.data.len())
            .sum();
        if self.waiting.len() >= WAITING || bytes >= WAITING_BYTES {
            return true;
        }
        let since =
            self.waiting.first().map_or(Duration::ZERO, |(_, first)| arrival.elapsed.saturating_sub(first.elapsed));
        let is_kind = |wanted| self.sources.iter().flat_map(Source::media).any(|(_, kind)| kind == wanted);
        let alone = self.header.is_some() || self.sources.iter().any(|source| source.name.is_empty());
        let both = || is_kind(TrackKind::Video) && is_kind(TrackKind::Audio);
        let others = alone || since >= OTHERS || (self.several != Several::Expected && both());
        others && self.has_all()
    }

    /// It is known where the encoder begins: what waits goes on behind all that there is.
    fn anchor(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        if self.header.is_none() {
            self.begin();
        }
        // Of several sources one may be ahead of the others.
        let begins =
            |tracks: &[Samples]| tracks.iter().map(|track| nanos(track.decode.unwrap_or(0), track.timescale)).min();
        waiting.sort_by_key(|(tracks, _)| begins(tracks));
        for (id, end) in &mut self.ends {
            let samples = waiting.iter().flat_map(|(tracks, _)| tracks).filter(|track| track.track == *id);
            let shown_after = samples.flat_map(|track| &track.samples).map(|sample| i64::from(sample.shown_after));
            end.earlier = shown_after.min().map_or(0, |least| (-least).max(0));
        }
        let first = waiting.iter().flat_map(|(tracks, _)| tracks).map(|track| {
            let earlier = self.ends.get(&track.track).map_or(0, |end| end.earlier);
            nanos(track.decode.unwrap_or(0).saturating_sub(earlier), track.timescale)
        });
        let first = first.min().unwrap_or(0);
        let end = self.ends.values().map(|end| nanos(end.here, end.timescale)).max().unwrap_or(0);
        self.shift = Some(end.saturating_sub(first));
        for (tracks, arrival) in waiting {
            self.write(&tracks, arrival);
        }
    }

    /// Writes the header, or goes on behind the one that is there.
    fn begin(&mut self) {
        let moov = match &self.sources[..] {
            [one] => one.moov.clone(),
            all => {
                let numbered: Vec<_> = all.iter().map(|one| (&one.moov[..], &one.numbers[..])).collect();
                joined::header(&numbered).unwrap_or_default()
            }
        };
        let counts: Vec<u8> = self.sources.iter().flat_map(Source::counts).collect();
        let hash = hex::encode(Sha256::digest(counts));
        self.header = Some(hash.clone());
        if let Some(left) = self.left.take().filter(|left| left.header == hash) {
            for (number, timescale, here) in left.ends {
                self.ends.entry(number).or_insert(End { timescale, here: 0, there: None, earlier: 0 }).here = here;
            }
            self.anew = true;
            return;
        }
        self.sequence = 0;
        let mut bytes = BytesMut::from(FTYP);
        if self.several == Several::Expected {
            bytes.extend_from_slice(&called::written(&self.names()));
        }
        bytes.extend_from_slice(&moov);
        let after = self.state();
        self.ready.push_back(Piece { bytes: bytes.freeze(), begins: true, after });
    }

    /// Where it is.
    fn state(&self) -> State {
        let ends = self.ends.iter().map(|(number, end)| (*number, end.timescale, end.here)).collect();
        let pushed = self.header.clone().map(|header| Pushed { header, ends });
        State { sequence: self.sequence, tracks: Vec::new(), pushed }
    }

    /// Writes a fragment.
    fn write(&mut self, tracks: &[Samples], arrival: Arrival) {
        let shift = self.shift.unwrap_or(0);
        let main = self.main();
        let (mut all, mut time) = (Vec::new(), None);
        for track in tracks {
            let moved = track.decode.unwrap_or(0).saturating_add(ticks(shift, track.timescale));
            let end = self.end_of(track);
            let (moved, earlier) = (moved.saturating_sub(end.earlier), i32::try_from(end.earlier).unwrap_or(0));
            // Nothing is decoded twice.
            let mut at = moved.max(end.here);
            if Some(track.track) == main && track.samples.first().is_some_and(|sample| sample.sync) {
                time = Some(TimeOfDay { track: track.track, ntp: arrival.ntp(), at: at.unsigned_abs() });
            }
            let samples: Vec<_> = track
                .samples
                .iter()
                .map(|sample| {
                    let (duration, shown_after) = (sample.duration, sample.shown_after.saturating_add(earlier));
                    let sample = Sample { at, duration, shown_after, key: sample.sync, data: sample.data.clone() };
                    at = at.saturating_add(i64::from(duration));
                    sample
                })
                .collect();
            end.here = at;
            all.push((track, samples));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let parts: Vec<_> = all
            .iter()
            .map(|(track, samples)| Part { track: track.track, timescale: track.timescale, pictures: true, samples })
            .collect();
        let lead = Lead { anew: std::mem::take(&mut self.anew), time };
        let bytes = fragment(self.sequence, &parts, &lead);
        let after = self.state();
        self.ready.push_back(Piece { bytes, begins: false, after });
    }

    /// The track that the rest goes by.
    fn main(&self) -> Option<u32> {
        let all = || self.sources.iter().flat_map(Source::media);
        let first = |wanted| all().find(|(_, kind)| *kind == wanted);
        first(TrackKind::Video).or_else(|| first(TrackKind::Audio)).map(|(number, _)| number)
    }
}

/// How long the samples of a track last, in its ticks.
fn lasts(track: &Samples) -> i64 {
    track.samples.iter().map(|sample| i64::from(sample.duration)).sum()
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
