//! Sound and pictures out of FLV tags, which are what RTMP carries: the old tags, and those of enhanced RTMP v2 with their
//! codecs and several tracks. Pure; frames are slices of what came, and counts in it cost nothing.

mod tag;

pub use tag::{audio, video};

use bytes::Bytes;

/// Sound or pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One of the tracks; number 0 where nothing is said of tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackId {
    /// What it is of.
    pub kind: Kind,
    /// Its number.
    pub number: u8,
}

/// How a track is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
    /// AAC.
    Aac,
    /// Opus.
    Opus,
}

impl Codec {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avc => "H.264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
            Self::Aac => "AAC",
            Self::Opus => "Opus",
        }
    }
}

/// What a tag holds of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The track.
    pub track: TrackId,
    /// How it is coded.
    pub codec: Codec,
    /// What it is.
    pub content: Content,
}

/// A track's configuration, or a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// How to decode what follows.
    Config(Bytes),
    /// A frame.
    Frame {
        /// Whether decoding can begin with it.
        key: bool,
        /// How much later than it is decoded it is shown, in milliseconds.
        shown_after: i32,
        /// Its bytes.
        data: Bytes,
    },
}

/// Why a tag is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// It ends before what it says.
    #[error("a tag ends in the middle")]
    Short,
    /// A codec that is not taken.
    #[error("{name} is not taken: {}", taken(*.kind))]
    Codec {
        /// Its name.
        name: String,
        /// What it codes.
        kind: Kind,
    },
}

/// What is taken instead.
fn taken(kind: Kind) -> &'static str {
    match kind {
        Kind::Video => "send H.264, HEVC, AV1 or VP9 (with ffmpeg -c:v libx264)",
        Kind::Audio => "send AAC or Opus (with ffmpeg -c:a aac)",
    }
}
