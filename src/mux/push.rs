//! Fragments that an encoder has made itself: written again in our own form, on the recording's time line, behind the
//! header that they came with.
//!
//! Times are moved by the same for all tracks, so that sound and picture stay together: the first fragment is at zero, and
//! that of an encoder which comes back follows on the last. What came already, and comes again, is known by its bytes.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::{Bytes, BytesMut};

use super::clock::Arrival;
use super::fragment::{Lead, Part, Sample, TimeOfDay, fragment};
use super::muxer::Piece;
use super::state::State;
use crate::media::fmp4::moof::{nanos, ticks};
use crate::media::fmp4::samples::{Raw, Samples};
use crate::media::fmp4::{Movie, TrackKind};

/// So many fragments are waited for until one of each track has come.
const WAITING: usize = 16;
/// So many fragments are known again.
const KNOWN: usize = 64;
/// What an object begins with, in place of what the encoder calls it.
const FTYP: &[u8] = b"\0\0\0\x1cftypiso6\0\0\x02\0iso6iso5mp41";

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
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Push {
    moov: Bytes,
    movie: Movie,
    sequence: u32,
    /// Where each track ends in the recording, and in the encoder's time, in its ticks.
    ends: BTreeMap<u32, End>,
    /// What is added to the encoder's times, in nanoseconds; none until it is known where it begins.
    shift: Option<i64>,
    waiting: Vec<(Vec<Samples>, Arrival)>,
    known: VecDeque<u64>,
    /// The next fragment goes on behind that of another encoder.
    anew: bool,
    ready: VecDeque<Piece>,
}

#[derive(Debug)]
struct End {
    timescale: u32,
    here: i64,
    there: i64,
    /// It is decoded so much earlier than the encoder says, and shown so much later after that: some (ISMV) tell of pictures
    /// that are shown before they are decoded, and not all players put that right.
    earlier: i64,
}

impl Push {
    /// Whether a header has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.moov.is_empty()
    }

    /// Takes a header, the whole `moov` box. The same again goes on with what there is; another begins another object.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn header(&mut self, moov: &Bytes) -> Result<(), PushError> {
        self.leave();
        if *moov == self.moov {
            self.anew = !self.ends.is_empty();
            return Ok(());
        }
        let movie = Movie::parse(moov).ok_or(PushError::NoTrack)?;
        if !movie.fragmented || movie.has_samples {
            return Err(PushError::NotFragmented);
        }
        let mut bytes = BytesMut::from(FTYP);
        bytes.extend_from_slice(moov);
        let ready = std::mem::take(&mut self.ready);
        *self = Self { moov: moov.clone(), movie, ready, ..Self::default() };
        self.ready.push_back(Piece { bytes: bytes.freeze(), begins: true, after: State::default() });
        Ok(())
    }

    /// Takes a fragment.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn fragment(&mut self, raw: &Raw, arrival: Arrival) -> Result<(), PushError> {
        if !self.has_begun() {
            return Err(PushError::NoHeader);
        }
        let mut tracks = raw.samples(&self.movie).ok_or(PushError::Broken)?;
        if tracks.is_empty() || self.is_known(&tracks, raw) {
            return Ok(());
        }
        for track in &mut tracks {
            let lasts: i64 = track.samples.iter().map(|sample| i64::from(sample.duration)).sum();
            let end = self.end_of(track);
            let from = track.decode.unwrap_or(end.there);
            (track.decode, end.there) = (Some(from), from.saturating_add(lasts));
        }
        if self.shift.is_some() {
            self.write(&tracks, arrival);
        } else {
            self.waiting.push((tracks, arrival));
            let has = |id| self.waiting.iter().any(|(tracks, _)| tracks.iter().any(|track| track.track == id));
            let media = self.movie.tracks.iter().filter(|track| track.kind != TrackKind::Other);
            if self.waiting.len() >= WAITING || media.into_iter().all(|track| has(track.id)) {
                self.anchor();
            }
        }
        Ok(())
    }

    /// The encoder is gone, or begins anew: hands on what waits.
    pub fn leave(&mut self) {
        self.anchor();
        self.shift = None;
        for end in self.ends.values_mut() {
            end.there = 0;
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

    /// Whether it has come before: the same bytes at the same time.
    fn is_known(&mut self, tracks: &[Samples], raw: &Raw) -> bool {
        let mut hasher = DefaultHasher::new();
        for track in tracks {
            (track.track, track.decode, track.samples.len()).hash(&mut hasher);
        }
        raw.mdat.hash(&mut hasher);
        let hash = hasher.finish();
        // Without a time, the same bytes are the same silence again.
        if tracks.iter().any(|track| track.decode.is_none()) {
            return false;
        }
        if self.known.contains(&hash) {
            return true;
        }
        if self.known.len() >= KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(hash);
        false
    }

    fn end_of(&mut self, of: &Samples) -> &mut End {
        self.ends.entry(of.track).or_insert(End { timescale: of.timescale, here: 0, there: 0, earlier: 0 })
    }

    /// It is known where the encoder begins: what waits goes on behind all that there is.
    fn anchor(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (id, end) in &mut self.ends {
            let samples = waiting.iter().flat_map(|(tracks, _)| tracks).filter(|track| track.track == *id);
            let shown_after = samples.flat_map(|track| &track.samples).map(|sample| i64::from(sample.shown_after));
            end.earlier = shown_after.min().map_or(0, |least| (-least).max(0));
        }
        let first = waiting.iter().flat_map(|(tracks, _)| tracks).map(|track| {
            let earlier = self.ends.get(&track.track).map_or(0, |end| end.earlier);
            nanos(track.decode.unwrap_or(0).saturating_sub(earlier), track.timescale)
        });
        let Some(first) = first.min() else { return };
        let end = self.ends.values().map(|end| nanos(end.here, end.timescale)).max().unwrap_or(0);
        self.shift = Some(end.saturating_sub(first));
        for (tracks, arrival) in waiting {
            self.write(&tracks, arrival);
        }
    }

    /// Writes a fragment.
    fn write(&mut self, tracks: &[Samples], arrival: Arrival) {
        let shift = self.shift.unwrap_or(0);
        let main = self.movie.main().map(|track| track.id);
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
                    at += i64::from(duration);
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
        self.ready.push_back(Piece { bytes, begins: false, after: State::default() });
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
