//! Where a fragmented MP4 stream can be cut so that each piece plays by itself, given the stream's header again. Pure.
//!
//! A piece can begin with a fragment that starts with a sync sample of the video track (ISO/IEC 14496-12, 8.8); without
//! a video track every fragment will do. The boxes that describe a fragment from before its `moof` (`styp`, `sidx`,
//! `prft`, `emsg`) belong to it. The header is all from the `ftyp` to the end of the `moov`.
//!
//! Some streams give the places of samples as offsets in the whole stream (base-data-offset). In a piece those offsets are
//! wrong: [`Fragment::fields`] says where they are, and [`shift`] corrects them, or undoes that.
//!
//! Whether a fragment is such a one is known when its `moof` is whole, so a few bytes at the end of what was scanned can be
//! undecided: see [`Cutter::decided`].

use std::sync::Arc;

use super::boxes::WHOLE_MAX;
use super::found::{Found, Fragment, Header, NotFragments};
use super::fragments::Scanner;
use super::movie::TrackKind;

/// The most bytes of a fragment that are undecided: its `moof`, and what belongs to it from before. Where there is more of
/// that, the fragment is no place for a cut.
pub const UNDECIDED_MAX: usize = WHOLE_MAX + (256 << 10);

/// What the stream is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Its header has not ended yet.
    Unknown,
    /// A fragmented MP4.
    Fragmented,
    /// Anything else, or one that cannot be cut so that its pieces play.
    Plain,
}

/// Says where a stream can be cut, from what its [`Scanner`] finds; see the [module](self).
#[derive(Debug)]
pub struct Cutter {
    kind: StreamKind,
    /// The newest one.
    header: Option<Arc<Header>>,
    decided: u64,
}

impl Default for Cutter {
    fn default() -> Self {
        Self { kind: StreamKind::Unknown, header: None, decided: 0 }
    }
}

/// Subtracts `by` from the offset in the whole stream that `field` begins with.
pub fn shift(field: &mut [u8], by: i64) {
    if let Some(bytes) = field.first_chunk_mut::<8>() {
        *bytes = u64::from_be_bytes(*bytes).wrapping_sub(by.cast_unsigned()).to_be_bytes();
    }
}

impl Cutter {
    /// Takes note of what was found in the stream. Why a fragmented stream cannot be cut any more so that its pieces play,
    /// if this is why.
    pub fn see(&mut self, found: &Found) -> Option<&'static str> {
        let reason = match found {
            Found::Header(header) if self.kind != StreamKind::Plain => {
                (self.kind, self.header) = (StreamKind::Fragmented, Some(header.clone()));
                return None;
            }
            Found::Header(_) | Found::Begun(_) | Found::Ended(_) => return None,
            Found::Bare | Found::Off(NotFragments::SamplesInMoov) => {
                Some("its moov has samples of its own; with ffmpeg, add empty_moov and default_base_moof to -movflags")
            }
            Found::Off(NotFragments::HeaderTooLong) => Some("its header is too large to be kept"),
            Found::Off(NotFragments::Boxes(_) | NotFragments::MoofTooLong | NotFragments::BadMoof) => {
                Some("its boxes are broken").filter(|_| self.kind == StreamKind::Fragmented)
            }
            Found::Off(NotFragments::NotFragmented | NotFragments::NoTrack) => None,
        };
        let before = std::mem::replace(&mut self.kind, StreamKind::Plain);
        reason.filter(|_| before != StreamKind::Plain)
    }

    /// What a piece has to begin with that begins with this fragment; `None` if none can.
    #[must_use]
    pub fn place(&self, fragment: &Fragment) -> Option<Arc<Header>> {
        let header = self.header.as_ref().filter(|_| self.kind == StreamKind::Fragmented)?;
        let is_video = |track: u32| header.movie.track(track).is_some_and(|track| track.kind == TrackKind::Video);
        let first = fragment.runs.iter().find(|run| is_video(run.track));
        let has_video = || header.movie.tracks.iter().any(|track| track.kind == TrackKind::Video);
        let good = first.map_or_else(|| !has_video(), |run| run.sync);
        (good && fragment.first >= self.decided).then(|| header.clone())
    }

    /// Up to where all places for a cut, and all fields, have been found, once all has been [seen](Self::see) that `scanner`
    /// has found.
    pub fn decided(&mut self, scanner: &Scanner) -> u64 {
        let (fed, decided) = (scanner.offset(), scanner.decided());
        let decided = match self.kind {
            StreamKind::Unknown | StreamKind::Plain => fed,
            // What belongs to the fragment is too long for it to be waited for.
            StreamKind::Fragmented if fed - decided > UNDECIDED_MAX as u64 => scanner.settled(),
            StreamKind::Fragmented => decided,
        };
        self.decided = self.decided.max(decided);
        self.decided
    }

    /// What the stream is, as far as is known.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        self.kind
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
