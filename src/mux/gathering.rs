//! What an encoder has sent before it is known which tracks it has: configurations, and the frames that came meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Arrival;
use super::setup::{Setup, SetupError};
use crate::media::flv::{Content, Kind, TrackId, Unit};

/// How long is waited for the other kind of track, by the encoder's clock ...
const OTHER_KIND: u32 = 1000;
/// ... and by ours.
const OTHER_KIND_WAIT: Duration = Duration::from_secs(2);
/// How long is waited for a key frame.
const KEY_FRAME_WAIT: Duration = Duration::from_secs(10);
/// The most bytes of frames that wait.
const BYTES: usize = 8 << 20;
/// The most frames that wait.
const FRAMES: usize = 8192;
/// The most tracks.
pub(super) const TRACKS: usize = 8;

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) track: TrackId,
    pub(super) time: u32,
    pub(super) arrival: Arrival,
    pub(super) content: Content,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Gathering {
    pub(super) tracks: Vec<(TrackId, Setup)>,
    pub(super) frames: VecDeque<Waiting>,
    bytes: usize,
    /// What the encoder says it will send.
    pub(super) video: Option<bool>,
    pub(super) audio: Option<bool>,
    /// Frames of which nothing was known.
    pub(super) dropped: u64,
}

impl Gathering {
    /// Takes a configuration or a frame.
    pub(super) fn take(&mut self, unit: Unit, time: u32, arrival: Arrival) -> Result<(), SetupError> {
        let Unit { track, codec, content } = unit;
        let known = self.tracks.iter().position(|(id, _)| *id == track);
        match content {
            Content::Config(config) => {
                let setup = Setup::of(codec, &config)?;
                if let Some((_, before)) = known.and_then(|at| self.tracks.get_mut(at)) {
                    *before = setup;
                } else if self.tracks.len() < TRACKS {
                    self.tracks.push((track, setup));
                }
                self.tracks.sort_by_key(|(id, _)| *id);
            }
            Content::Frame { key, ref data, .. } => {
                let begun = self.frames.iter().any(|frame| frame.track == track);
                if known.is_none() || (!begun && !key) {
                    self.dropped += 1;
                    return Ok(());
                }
                self.bytes += data.len();
                self.frames.push_back(Waiting { track, time, arrival, content });
            }
        }
        Ok(())
    }

    fn has(&self, kind: Kind) -> bool {
        self.tracks.iter().any(|(id, _)| id.kind == kind)
    }

    /// Whether it is known which tracks there are, so that the recording can begin.
    pub(super) fn is_ready(&self) -> bool {
        let (Some(first), Some(last)) = (self.frames.front(), self.frames.back()) else { return false };
        let waited = last.arrival.elapsed.saturating_sub(first.arrival.elapsed);
        let lasted = last.time.wrapping_sub(first.time);
        let settled = |kind, said: Option<bool>| self.has(kind) || said == Some(false);
        let known = settled(Kind::Video, self.video) && settled(Kind::Audio, self.audio);
        // Times that go back are of no use here.
        let patient = waited >= OTHER_KIND_WAIT || (OTHER_KIND..u32::MAX / 2).contains(&lasted);
        let key = !self.has(Kind::Video) || self.frames.iter().any(|frame| frame.track.kind == Kind::Video);
        self.bytes >= BYTES || self.frames.len() >= FRAMES || ((known || patient) && (key || waited >= KEY_FRAME_WAIT))
    }
}
