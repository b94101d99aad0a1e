//! A stream that somebody else has made, piece by piece as if it had been made here, for whoever makes something of it: its
//! header, and its fragments at their own times. Pure; the stream itself stays as it is.
//!
//! Boxes around fragments (`styp`, `sidx`, `mfra`) are left out, and so are tracks of neither pictures nor sound. Places count
//! from the `moof`, a key frame begins a piece, and has the time of day. What cannot be told rightly is refused, not guessed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::clock::Arrival;
use super::fragment::{Lead, TimeOfDay};
use super::rung::FTYP;
use super::split::{since, written};
use crate::media::fmp4::found::WallClock;
use crate::media::fmp4::gather::{Gather, Gathered, Said};
use crate::media::fmp4::moof::nanos;
use crate::media::fmp4::samples::{OneSample, Raw, Samples};
use crate::media::fmp4::setup::setup;
use crate::media::fmp4::{Movie, TrackKind};

/// The longest piece: there is room for it and the header where pieces wait.
const LONGEST: usize = 15 << 20;
/// Times that go back further than this, in nanoseconds, are those of another stream.
const BACK: i64 = 1_000_000_000;

/// Why nothing is made of it, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// It is something else.
    #[error(
        "it is no fragmented MP4 (with ffmpeg, -f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof makes one)"
    )]
    NotFragmented,
    /// Pictures are in the header.
    #[error("its header (moov) has pictures or sound of its own (with ffmpeg, -movflags +empty_moov leaves them out)")]
    InHeader,
    /// There is no header in front.
    #[error("it does not begin with a header (moov): begin to copy it at its first byte")]
    NoHeader,
    /// It is longer than what is held of it.
    #[error(
        "a fragment of it is longer than {most} MiB (key frames more often, with ffmpeg -movflags +frag_keyframe and -g 50, make \
         shorter ones)",
        most = LONGEST >> 20
    )]
    TooLong,
    /// Boxes lie.
    #[error("a fragment of it is broken, or encrypted")]
    Broken,
    /// Decode times are missing, or before the beginning.
    #[error(
        "its fragments do not tell their times (tfdt), or some before its beginning (ffmpeg -i - -c copy -f mp4 -movflags \
         +frag_keyframe+empty_moov+default_base_moof - in front of it adds them)"
    )]
    NoTimes,
    /// It begins anew.
    #[error("its times go back: another stream seems to begin there (a writer for each of them keeps them apart)")]
    GoesBack,
    /// Other settings.
    #[error("another header, with other settings, comes in the middle (a writer for each stream keeps them apart)")]
    AnotherHeader,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Foreign {
    gather: Gather,
    movie: Movie,
    /// What counts of the header, once it is there.
    setup: Option<Vec<u8>>,
    /// Where each track ends, in its ticks.
    ends: BTreeMap<u32, i64>,
    /// The time of day at zero.
    zero: Option<u64>,
    sequence: u32,
    ready: VecDeque<Bytes>,
}

impl Foreign {
    /// Takes what came, cut anywhere. All [pieces](Self::piece) are to be taken before there is more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.gather.feed(bytes);
    }

    /// The next piece that is whole: the header first, then fragments.
    ///
    /// # Errors
    /// [`ForeignError`]; nothing more comes out then.
    pub fn piece(&mut self, now: Arrival) -> Result<Option<Bytes>, ForeignError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let begun = self.setup.is_some();
            match self.gather.whole() {
                Ok(None) => return Ok(None),
                Ok(Some(Gathered::Header(moov))) => self.header(&moov)?,
                Ok(Some(Gathered::Fragment(_))) if !begun => return Err(ForeignError::NoHeader),
                Ok(Some(Gathered::Fragment(raw))) => self.fragment(&raw, now)?,
                Err(_) if begun => return Err(ForeignError::TooLong),
                Err(_) => return Err(ForeignError::NotFragmented),
            }
        }
    }

    /// Whether a header has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.setup.is_some()
    }

    fn header(&mut self, moov: &Bytes) -> Result<(), ForeignError> {
        let (Some(movie), Some(new)) = (Movie::parse(moov), setup(moov)) else {
            return Err(ForeignError::NotFragmented);
        };
        match &self.setup {
            // Some say it again now and then.
            Some(known) if *known == new => return Ok(()),
            Some(_) => return Err(ForeignError::AnotherHeader),
            None if !movie.fragmented => return Err(ForeignError::NotFragmented),
            None if movie.has_samples => return Err(ForeignError::InHeader),
            None => {}
        }
        (self.movie, self.setup) = (movie, Some(new));
        self.ready.push_back([FTYP, moov].concat().into());
        Ok(())
    }

    fn fragment(&mut self, raw: &Raw, now: Arrival) -> Result<(), ForeignError> {
        let Said { anew, wall } = self.gather.said();
        let mut tracks = raw.samples(&self.movie).ok_or(ForeignError::Broken)?;
        tracks.retain(|track| self.kind(track).is_some_and(|kind| kind != TrackKind::Other));
        if !raw.is_timed() {
            return Err(ForeignError::NoTimes);
        }
        for track in &tracks {
            let decode = track.decode.filter(|decode| *decode >= 0).ok_or(ForeignError::NoTimes)?;
            let end = self.ends.entry(track.track).or_insert(decode);
            if nanos(end.saturating_sub(decode), track.timescale) > BACK {
                return Err(ForeignError::GoesBack);
            }
            *end = decode.saturating_add(lasts(&track.samples));
        }
        let picture = tracks.iter().find(|track| self.kind(track) == Some(TrackKind::Video));
        if let Some(WallClock { track, ntp, media_time }) = wall
            && let Some(track) = self.movie.track(track)
        {
            self.zero = Some(ntp.wrapping_sub(since(media_time, track.timescale)));
        } else if let (None, Some(picture)) = (self.zero, picture) {
            // It came when the last of it was there.
            let end = self.ends.get(&picture.track).copied().unwrap_or(0);
            self.zero = Some(now.ntp().wrapping_sub(since(end.unsigned_abs(), picture.timescale)));
        }
        let late = picture.and_then(late_key);
        let (early, rest) = match late {
            Some(cut) => tracks.into_iter().map(|track| parted(track, cut)).unzip(),
            None => (Vec::new(), tracks),
        };
        let mut anew = anew;
        for mut tracks in [early, rest] {
            tracks.retain(|track| !track.samples.is_empty());
            if tracks.is_empty() {
                continue;
            }
            self.sequence = self.sequence.wrapping_add(1);
            let lead = Lead { anew: std::mem::take(&mut anew), time: self.time_of(&tracks) };
            let piece = written(self.sequence, &tracks.iter().collect::<Vec<_>>(), &lead);
            if piece.len() > LONGEST {
                return Err(ForeignError::TooLong);
            }
            self.ready.push_back(piece);
        }
        Ok(())
    }

    fn kind(&self, track: &Samples) -> Option<TrackKind> {
        self.movie.track(track.track).map(|track| track.kind)
    }

    /// The time of day of the key frame that these begin with, if they do.
    fn time_of(&self, tracks: &[Samples]) -> Option<TimeOfDay> {
        let picture = tracks.iter().find(|track| self.kind(track) == Some(TrackKind::Video))?;
        let zero = self.zero.filter(|_| picture.samples.first().is_some_and(|first| first.sync))?;
        let at = picture.decode.unwrap_or(0).unsigned_abs();
        Some(TimeOfDay { track: picture.track, ntp: zero.wrapping_add(since(at, picture.timescale)), at })
    }
}

/// When the first key frame is decoded, in nanoseconds, if other pictures come before it.
fn late_key(pictures: &Samples) -> Option<i64> {
    let key = pictures.samples.iter().position(|sample| sample.sync).filter(|key| *key > 0)?;
    let before = lasts(pictures.samples.get(..key)?);
    Some(nanos(pictures.decode.unwrap_or(0).saturating_add(before), pictures.timescale))
}

/// What of a track is decoded before, and from then on.
fn parted(mut track: Samples, cut: i64) -> (Samples, Samples) {
    let mut at = track.decode.unwrap_or(0);
    let mut early = 0;
    while let Some(sample) = track.samples.get(early).filter(|_| nanos(at, track.timescale) < cut) {
        at = at.saturating_add(i64::from(sample.duration));
        early += 1;
    }
    let samples = track.samples.split_off(early);
    let rest = Samples { decode: Some(at), samples, ..track };
    (track, rest)
}

fn lasts(samples: &[OneSample]) -> i64 {
    samples.iter().map(|sample| i64::from(sample.duration)).sum()
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
