//! What is counted of a stream while it comes, and what its encoder should do otherwise, told once.
//!
//! Times are the encoder's, held against when they came. What comes late is late by the network; so a clock that goes wrong is seen
//! by what came least late in each while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::media::flv::{Kind, TrackId};

/// Key frames further apart make long segments, and long waits for whoever joins, in milliseconds.
const APART: i64 = 5_000;
/// What was announced and has not come by then will not.
const MISSING: i64 = 5_000;
/// A step of the encoder's time that is none.
const JUMP: i64 = 10_000;
/// Clocks are compared over whiles of so long, the first of which is left out ...
const WHILE: Duration = Duration::from_secs(10);
/// ... and one that goes wrong by more than a hundredth, and by more than this, in so many of them in a row, is told of.
const LEAST: i64 = 2_000;
const WHILES: u32 = 3;

/// Of one recording.
#[derive(Debug, Default)]
pub struct Figures {
    /// Frames of pictures, and of sound, that encoders sent one by one.
    pub video: AtomicU64,
    /// See there.
    pub audio: AtomicU64,
    /// Fragments that they made themselves.
    pub fragments: AtomicU64,
    /// How far the last two key frames were apart, in milliseconds.
    pub key_interval: AtomicU64,
    /// How far the encoder's time is ahead of when it came, in milliseconds since it began.
    pub drift: AtomicI64,
    /// Frames that nothing could be made of.
    pub unusable: AtomicU64,
    /// Messages that could not be read.
    pub broken: AtomicU64,
    /// How often the encoder's time jumped.
    pub jumps: AtomicU64,
    /// How often an encoder came back.
    pub reconnects: AtomicU64,
    /// How often one took over from another.
    pub takeovers: AtomicU64,
    /// How often the program that makes the ladder was started again.
    pub ladder_restarts: Arc<AtomicU64>,
}

/// Watches one encoder after the other.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) figures: Arc<Figures>,
    line: Option<Line>,
    announced: bool,
    told: Told,
}

/// What people should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Key frames are far apart.
    Apart,
    /// Sound was announced and does not come.
    NoSound,
    /// The clock goes wrong, by so many hundredths of a percent.
    Clock(i64),
}

#[derive(Debug, Default)]
struct Told {
    apart: bool,
    no_sound: bool,
    clock: bool,
}

/// Where one encoder is.
#[derive(Debug)]
struct Line {
    began: Duration,
    last: u32,
    /// Milliseconds of its time since it began.
    at: i64,
    key: Option<i64>,
    has_sound: bool,
    /// When this while began, and the least late in it.
    since: Duration,
    best: i64,
    /// When the first one that counts ended, with its least late.
    first: Option<(Duration, i64)>,
    /// So many in a row were wrong.
    wrong: u32,
}

impl Watch {
    /// The encoder says whether it will send sound.
    pub(super) fn announced(&mut self, sound: Option<bool>) {
        self.announced = sound.unwrap_or(self.announced);
    }

    /// Another encoder begins, or nobody does.
    pub(super) fn anew(&mut self) {
        (self.line, self.announced) = (None, false);
        self.figures.drift.store(0, Relaxed);
    }

    /// A frame came; what is odd about the stream, if that has not been told.
    pub(super) fn frame(&mut self, track: TrackId, key: bool, time: u32, came: Duration) -> Option<Oddity> {
        let figures = &self.figures;
        let TrackId { kind, number } = track;
        (if kind == Kind::Video { &figures.video } else { &figures.audio }).fetch_add(1, Relaxed);
        let step = |line: &Line| i64::from(time.wrapping_sub(line.last).cast_signed());
        if self.line.as_ref().is_some_and(|line| step(line).abs() > JUMP) {
            self.line = None;
        }
        let line = self.line.get_or_insert_with(|| Line::new(time, came));
        line.at += step(line);
        line.last = time;
        line.has_sound |= kind == Kind::Audio;
        let drift = line.at - millis(came.saturating_sub(line.began));
        figures.drift.store(drift, Relaxed);
        let mut apart = 0;
        // Of several pictures the first stands for all.
        if kind == Kind::Video && number == 0 {
            apart = line.key.map_or(0, |last| line.at - last);
            if key {
                figures.key_interval.store(u64::try_from(apart).unwrap_or(0), Relaxed);
                line.key = Some(line.at);
            }
        }
        if apart > APART && !std::mem::replace(&mut self.told.apart, true) {
            return Some(Oddity::Apart);
        }
        let mute = self.announced && !line.has_sound && line.at > MISSING;
        if mute && !std::mem::replace(&mut self.told.no_sound, true) {
            return Some(Oddity::NoSound);
        }
        let wrong = line.clock(drift, came)?;
        (!std::mem::replace(&mut self.told.clock, true)).then_some(Oddity::Clock(wrong))
    }
}

impl Line {
    fn new(time: u32, came: Duration) -> Self {
        let (key, first) = (None, None);
        Self { began: came, last: time, at: 0, key, has_sound: false, since: came, best: i64::MIN, first, wrong: 0 }
    }

    /// By how many hundredths of a percent its clock goes wrong, where that is too much.
    fn clock(&mut self, drift: i64, came: Duration) -> Option<i64> {
        if came.saturating_sub(self.since) < WHILE {
            self.best = self.best.max(drift);
            return None;
        }
        let best = std::mem::replace(&mut self.best, drift).max(drift);
        self.since = came;
        // It may send at the beginning what it has gathered before.
        if came.saturating_sub(self.began) < 2 * WHILE {
            return None;
        }
        let (then, at_first) = *self.first.get_or_insert((came, best));
        let (off, lasted) = (best - at_first, millis(came.saturating_sub(then)));
        self.wrong = if off.abs() > LEAST.max(lasted / 100) { self.wrong + 1 } else { 0 };
        (self.wrong >= WHILES).then(|| off * 10_000 / lasted.max(1))
    }
}

impl Oddity {
    /// Tells people.
    pub(super) fn tell(self) {
        match self {
            Self::Apart => tracing::warn!(
                event = "key_frames_apart",
                "key frames are more than {} s apart: segments of playlists become as long, and whoever joins waits for the next one. \
                 Let the encoder send one every 2 s (OBS: Keyframe Interval; ffmpeg: -g)",
                APART / 1000
            ),
            Self::NoSound => tracing::warn!(
                event = "no_sound",
                "the encoder has announced sound, and has sent none in {} s",
                MISSING / 1000
            ),
            Self::Clock(wrong) => {
                let (how, by) = (if wrong > 0 { "fast" } else { "slow" }, wrong.unsigned_abs());
                tracing::warn!(
                    event = "clock_drift",
                    "the encoder's time goes {}.{} % too {how}: in the recording it is what the encoder says it is",
                    by / 100,
                    by % 100 / 10
                );
            }
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURES: TrackId = TrackId { kind: Kind::Video, number: 0 };

    /// What is told of so many seconds of pictures, ten a second, whose key frames are so far apart, and which come as `came` says
    /// for their time.
    fn told(seconds: u32, apart: u32, came: impl Fn(u64) -> u64) -> (Vec<Oddity>, Arc<Figures>) {
        let mut watch = Watch::default();
        let odd = (0..seconds * 10).filter_map(|number| {
            let time = number * 100;
            let came = Duration::from_millis(came(u64::from(time)));
            // It begins just before its time wraps.
            watch.frame(PICTURES, time % apart == 0, time.wrapping_sub(5_000), came)
        });
        (odd.collect(), watch.figures.clone())
    }

    #[test]
    fn what_is_well_is_counted_and_nothing_is_told() {
        // As the network has it: up to 400 ms late, and once a whole while is.
        let late = |time: u64| time + time * 7 % 400 + if (60_000..72_000).contains(&time) { 72_000 - time } else { 0 };
        let (odd, figures) = told(600, 2_000, late);
        assert_eq!(odd, []);
        let counts = [&figures.video, &figures.audio, &figures.key_interval].map(|count| count.load(Relaxed));
        assert_eq!(counts, [6000, 0, 2000]);
        assert!(figures.drift.load(Relaxed).abs() < 400);
    }

    #[test]
    fn what_is_odd_is_told_once() {
        assert_eq!(told(60, 10_000, |time| time).0, [Oddity::Apart]);
        assert_eq!(told(60, u32::MAX, |time| time).0, [Oddity::Apart], "one that never comes");
        let mut watch = Watch::default();
        watch.announced(Some(true));
        let frames = |watch: &mut Watch| {
            let frame =
                |number: u32| watch.frame(PICTURES, true, number * 100, Duration::from_millis(u64::from(number) * 100));
            (0..100).filter_map(frame).collect::<Vec<_>>()
        };
        assert_eq!(frames(&mut watch), [Oddity::NoSound]);
        // The next one announces none.
        watch.anew();
        assert_eq!(frames(&mut watch), []);
    }

    #[test]
    fn a_clock_that_goes_wrong_is_told_of_and_half_a_percent_is_not() {
        for (came, wanted) in [(1_020, -196), (980, 204)] {
            let (odd, figures) = told(900, 2_000, |time| time * came / 1_000);
            let [Oddity::Clock(wrong)] = odd[..] else { panic!("{came}: {odd:?}") };
            assert!((wrong - wanted).abs() < 30, "{came}: {wrong}");
            assert_eq!(figures.drift.load(Relaxed).signum(), wanted.signum());
        }
        assert_eq!(told(900, 2_000, |time| time * 1_005 / 1_000).0, []);
        // What was gathered before it began comes at once.
        assert_eq!(told(900, 2_000, |time| time.saturating_sub(8_000)).0, []);
    }
}
