//! Where a recording is: all that a muxer has to know to go on with it after its program was killed. As text and back.

use bytes::Bytes;
use serde_json::{Value, json};

use super::setup::Setup;
use super::track::{Track, TrackState};
use crate::media::flv::{Codec, Kind, TrackId};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The number of the last fragment.
    pub(super) sequence: u32,
    pub(super) tracks: Vec<TrackState>,
    /// What was pushed as fragments, in place of tracks.
    pub(super) pushed: Option<Pushed>,
}

/// Where a recording of fragments is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pushed {
    /// The hash of its header.
    pub(super) header: String,
    /// The number of each track, its ticks in a second, and where it ends in those.
    pub(super) ends: Vec<(u32, u32, i64)>,
}

const CODECS: [Codec; 6] = [Codec::Avc, Codec::Hevc, Codec::Av1, Codec::Vp9, Codec::Aac, Codec::Opus];

impl State {
    /// Of tracks as they are now.
    pub(super) fn of(sequence: u32, tracks: &[Track]) -> Self {
        Self { sequence, tracks: tracks.iter().map(Track::state).collect(), pushed: None }
    }

    /// Whether there is anything to go on with.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.tracks.is_empty() || self.pushed.is_some()
    }

    /// Whether fragments were pushed, and not made out of frames.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        self.pushed.is_some()
    }

    /// As text.
    #[must_use]
    pub fn write(&self) -> String {
        let tracks: Vec<Value> = self
            .tracks
            .iter()
            .map(|track| {
                json!({
                    "video": track.id.kind == Kind::Video, "number": track.id.number, "codec": track.setup.codec.name(),
                    "config": hex::encode(&track.setup.config), "newest": track.newest, "usual": track.usual,
                    "shown": track.shown,
                })
            })
            .collect();
        let pushed = self.pushed.as_ref().map(|pushed| json!({"header": pushed.header, "ends": pushed.ends}));
        json!({"sequence": self.sequence, "tracks": tracks, "pushed": pushed}).to_string()
    }

    /// Reads it back; `None` for anything else.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let sequence = u32::try_from(value.get("sequence")?.as_u64()?).ok()?;
        let tracks: Option<Vec<_>> = value.get("tracks")?.as_array()?.iter().map(track).collect();
        let pushed = value.get("pushed").and_then(pushed);
        Some(Self { sequence, tracks: tracks?, pushed })
    }
}

fn pushed(value: &Value) -> Option<Pushed> {
    let end = |end: &Value| {
        let number = |at| u32::try_from(end.get(at)?.as_u64()?).ok();
        Some((number(0)?, number(1)?, end.get(2)?.as_i64()?))
    };
    let ends: Option<Vec<_>> = value.get("ends")?.as_array()?.iter().map(end).collect();
    Some(Pushed { header: value.get("header")?.as_str()?.to_owned(), ends: ends? })
}

fn track(value: &Value) -> Option<TrackState> {
    let kind = if value.get("video")?.as_bool()? { Kind::Video } else { Kind::Audio };
    let number = u8::try_from(value.get("number")?.as_u64()?).ok()?;
    let name = value.get("codec")?.as_str()?;
    let codec = CODECS.into_iter().find(|codec| codec.name() == name)?;
    let config = Bytes::from(hex::decode(value.get("config")?.as_str()?).ok()?);
    Some(TrackState {
        id: TrackId { kind, number },
        setup: Setup::of(codec, &config).ok()?,
        newest: value.get("newest")?.as_i64(),
        usual: u32::try_from(value.get("usual")?.as_u64()?).ok()?,
        shown: value.get("shown")?.as_i64()?,
    })
}
