//! One track of the recording: where its frames are in time, and those that the next fragment will have.

use super::fragment::{Part, Sample};
use super::setup::Setup;
use crate::media::flv::{Kind, TrackId};

/// How far sound that is counted by its samples may be from the encoder's clock, in milliseconds.
const TOLERANCE: i64 = 40;
/// How long a frame is where nothing tells, in milliseconds.
const USUAL: u32 = 40;

/// Where one track is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackState {
    pub(super) id: TrackId,
    pub(super) setup: Setup,
    /// Where its newest frame is, how long that is, and to where all are shown, in units of its timescale.
    pub(super) newest: Option<i64>,
    pub(super) usual: u32,
    pub(super) shown: i64,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) setup: Setup,
    /// Its number in the header.
    pub(super) number: u32,
    pub(super) samples: Vec<Sample>,
    /// Where its newest frame is, in milliseconds.
    pub(super) last: Option<i64>,
    /// Where the newest frame is, and how long the one before it was, in units of the timescale.
    newest: Option<i64>,
    usual: u32,
    /// Where the next frame is expected, of sound.
    expected: Option<i64>,
    /// Where the last of its frames ends that is shown, in units of the timescale.
    shown: i64,
    /// Frames are of no use before one that decoding can begin with.
    pub(super) waits_for_key: bool,
}

impl Track {
    pub(super) fn new(id: TrackId, setup: Setup, number: u32) -> Self {
        let usual = USUAL * (setup.timescale / 1000).max(1);
        Self {
            id,
            setup,
            number,
            samples: Vec::new(),
            last: None,
            newest: None,
            usual,
            expected: None,
            shown: 0,
            waits_for_key: id.kind == Kind::Video,
        }
    }

    /// As it was left.
    pub(super) fn going_on(state: TrackState, number: u32) -> Self {
        let TrackState { id, setup, newest, usual, shown } = state;
        Self { newest, usual, shown, ..Self::new(id, setup, number) }
    }

    /// Where it is.
    pub(super) fn state(&self) -> TrackState {
        let Self { id, newest, usual, shown, .. } = *self;
        TrackState { id, setup: self.setup.clone(), newest, usual, shown }
    }

    pub(super) fn is_video(&self) -> bool {
        self.id.kind == Kind::Video
    }

    /// Milliseconds in units of the timescale.
    fn units(&self, milliseconds: i64) -> i64 {
        milliseconds.saturating_mul(i64::from(self.setup.timescale)) / 1000
    }

    /// Where a frame is that the clock says is `at` milliseconds: sound goes by its samples as long as the clock agrees, and
    /// nothing goes back.
    pub(super) fn place(&self, at: i64) -> i64 {
        let by_clock = self.units(at);
        let place = match self.expected {
            Some(expected) if (expected - by_clock).abs() <= self.units(TOLERANCE) => expected,
            _ => by_clock,
        };
        place.max(self.newest.map_or(0, |newest| newest + 1))
    }

    /// Adds a frame, which the clock says is `at` milliseconds.
    pub(super) fn add(&mut self, at: i64, sample: Sample) {
        let own = self.setup.frame(&sample.data);
        if let Some(before) = self.newest
            && let Ok(duration) = u32::try_from(sample.at - before)
        {
            self.usual = duration;
            if let Some(newest) = self.samples.last_mut() {
                newest.duration = duration;
            }
        }
        self.usual = own.unwrap_or(self.usual);
        self.newest = Some(sample.at);
        self.expected = own.map(|own| sample.at + i64::from(own));
        self.last = Some(at);
        self.shown = self.shown.max(sample.at + i64::from(sample.shown_after) + i64::from(self.usual));
        self.samples.push(Sample { duration: self.usual, ..sample });
    }

    /// Where the next frame of pictures will be: so long is the one before it.
    pub(super) fn next_is(&mut self, place: i64) {
        if let Some(newest) = self.samples.last_mut()
            && let Ok(duration) = u32::try_from(place - newest.at)
            && duration > 0
        {
            newest.duration = duration;
        }
    }

    /// What the next fragment has of it.
    pub(super) fn part(&self) -> Part<'_> {
        Part { track: self.number, pictures: self.is_video(), timescale: self.setup.timescale, samples: &self.samples }
    }

    /// Where it ends, in milliseconds.
    pub(super) fn end(&self) -> i64 {
        self.rounded_up(self.newest.map_or(0, |newest| newest + i64::from(self.usual)))
    }

    /// Where its frames have been shown, in milliseconds.
    pub(super) fn shown_to(&self) -> i64 {
        self.rounded_up(self.shown)
    }

    fn rounded_up(&self, units: i64) -> i64 {
        let (scale, units) = (i64::from(self.setup.timescale), units.saturating_mul(1000));
        units / scale + i64::from(units % scale > 0)
    }

    /// Another encoder goes on with it.
    pub(super) fn begin_anew(&mut self) {
        self.waits_for_key = self.is_video();
        self.expected = None;
        self.last = None;
    }
}
