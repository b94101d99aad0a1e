//! What is found in a fragmented MP4: its header, its fragments, or why there are none.

use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{OffReason, WHOLE_MAX};
use super::moof::{Base, Run};
use super::movie::Movie;

/// What an event box (`emsg`) says where another encoder goes on in the same track, with the zero at its end.
pub const ANEW: &[u8] = b"urn:live-read:event:anew\0";

/// The longest header that is kept, in bytes.
pub const HEADER_MAX: usize = 4 << 20;

/// What the stream begins with, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The bytes from `ftyp` to the end of `moov`.
    pub bytes: Bytes,
    /// What they say.
    pub movie: Arc<Movie>,
    /// Where the header ends, in bytes from the start of the stream.
    pub end: u64,
}

/// The time of day at a place in the stream (`prft`, 8.16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// The track whose time is meant.
    pub track: u32,
    /// Seconds since 1900-01-01T00:00:00Z, times 2^32.
    pub ntp: u64,
    /// Decode time in ticks of the track.
    pub media_time: u64,
}

impl WallClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_nanos(&self) -> i64 {
        const UNIX_IN_NTP: i64 = 2_208_988_800;
        let seconds = i64::try_from(self.ntp >> 32).unwrap_or(0) - UNIX_IN_NTP;
        let fraction = (u128::from(self.ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(fraction).unwrap_or(0))
    }
}

/// One fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Where it begins, in bytes from the start of the stream: at its first `styp`, `sidx`, `prft` or `emsg`, else its
    /// `moof`.
    pub first: u64,
    /// Where its `moof` begins.
    pub moof: u64,
    /// Where its `moof` ends.
    pub moof_end: u64,
    /// Where it ends, once that is known.
    pub end: Option<u64>,
    /// Where the data of its samples end as its `moof` tells it, if that makes sense; known before `end` is.
    pub data_end: Option<u64>,
    /// The `mfhd` sequence number.
    pub sequence: u32,
    /// What there is of each track, in the order of the `moof`.
    pub runs: Vec<Run>,
    /// Whether it has samples of the [main track](Movie::main), the first of which is a sync sample.
    pub key: bool,
    /// What the places of its samples are counted from.
    pub base: Base,
    /// Whether it tells its decode times (`tfdt`); else they go on from the fragment before, if that is known.
    pub timed: bool,
    /// The time of day, where a `prft` tells it.
    pub wall: Option<WallClock>,
    /// Another encoder goes on with it, or the same one anew, as an `emsg` [tells](ANEW).
    pub anew: bool,
    /// Where it tells places in the whole stream (base-data-offset), each in eight bytes.
    pub fields: Vec<u64>,
}

impl Fragment {
    /// What there is of one track.
    #[must_use]
    pub fn run(&self, track: u32) -> Option<&Run> {
        self.runs.iter().find(|run| run.track == track)
    }
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The header, as soon as it is whole. A later one takes the place of the one before.
    Header(Arc<Header>),
    /// A fragment whose `moof` is whole; its `end` is not known yet.
    Begun(Fragment),
    /// The fragment begun last is whole, and its `end` known.
    Ended(Fragment),
    /// Media data after a header and before its first fragment: samples of the `moov`, or nobody's.
    Bare,
    /// Nothing follows.
    Off(NotFragments),
}

impl Found {
    /// The same in a piece of the stream, whose places are those in the stream less `by`.
    #[must_use]
    pub fn shifted(&self, by: i64) -> Self {
        let place = |at: u64| at.wrapping_sub(by.cast_unsigned());
        let fragment = |fragment: &Fragment| Fragment {
            first: place(fragment.first),
            moof: place(fragment.moof),
            moof_end: place(fragment.moof_end),
            end: fragment.end.map(place),
            data_end: fragment.data_end.map(place),
            fields: fragment.fields.iter().copied().map(place).collect(),
            ..fragment.clone()
        };
        match self {
            Self::Header(header) => Self::Header(Arc::new(Header { end: place(header.end), ..Header::clone(header) })),
            Self::Begun(begun) => Self::Begun(fragment(begun)),
            Self::Ended(ended) => Self::Ended(fragment(ended)),
            Self::Bare | Self::Off(_) => self.clone(),
        }
    }
}

/// Why no fragments are found in a stream, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFragments {
    /// It is something else, or broken.
    #[error("{0}")]
    Boxes(OffReason),
    /// Media data or fragments come before the header, or the header does not announce fragments.
    #[error("it is an MP4, but not a fragmented one")]
    NotFragmented,
    /// The header describes no track that can be understood.
    #[error("its header has no track")]
    NoTrack,
    /// The first samples are in the `moov`.
    #[error(
        "its moov has samples of its own, so that no part of it plays without them; with ffmpeg, add empty_moov to -movflags"
    )]
    SamplesInMoov,
    /// The header is too long to be kept.
    #[error("its header is longer than {HEADER_MAX} bytes")]
    HeaderTooLong,
    /// A `moof` is too long to be kept.
    #[error("one of its fragments has an index longer than {WHOLE_MAX} bytes")]
    MoofTooLong,
    /// A `moof` is broken.
    #[error("the index of one of its fragments (moof) is broken")]
    BadMoof,
}
