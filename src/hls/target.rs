//! `EXT-X-TARGETDURATION`: decided once, from how long segments are and how much comes at once, and raised only where a
//! segment leaves no choice. Pure.

use std::time::Duration;

use super::playlist::Timeline;
use super::segmenter::rounded;

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct TargetDuration {
    /// About how long a segment is to be, in microseconds.
    aim: u64,
    /// In seconds, once it is decided.
    promised: Option<u64>,
    /// A segment was longer than that.
    overlong: Option<u64>,
}

impl TargetDuration {
    pub(super) fn new(aim: Duration) -> Self {
        Self { aim: u64::try_from(aim.as_micros()).unwrap_or(u64::MAX), promised: None, overlong: None }
    }

    /// About how long a segment is to be, in microseconds.
    pub(super) fn aim(&self) -> u64 {
        self.aim
    }

    /// In seconds, once it is decided.
    pub(super) fn promised(&self) -> Option<u64> {
        self.promised
    }

    pub(super) fn promise(&mut self, target: u64) {
        self.promised = Some(target);
    }

    /// What it has to be in seconds for segments of up to `longest` microseconds that come in bursts of `burst`, or within
    /// `max_latency`.
    pub(super) fn needed(&self, longest: u64, burst: u64, max_latency: Option<Duration>) -> u64 {
        let limit = max_latency.and_then(|limit| u64::try_from(limit.as_micros()).ok());
        // Segments that are longer by two fifths, and parts that take almost twice as long, still fit.
        let burst = limit.map_or(burst, |limit| burst.min(limit)).saturating_mul(6) / 5;
        room_for(longest, burst.max(self.aim))
    }

    /// A segment of so many microseconds is listed, for which it is raised if it has to be.
    pub(super) fn listed(&mut self, micros: u64) {
        if self.promised.is_some_and(|target| rounded(micros) > target) {
            (self.promised, self.overlong) = (Some(rounded(micros)), Some(micros));
        }
    }

    /// The length in microseconds of a segment for which it was raised; told once.
    pub(super) fn overlong(&mut self) -> Option<u64> {
        self.overlong.take()
    }
}

/// A target duration in seconds for segments of up to `longest` microseconds, and of `least` microseconds at least: those
/// that are longer by two fifths fit.
#[must_use]
pub fn room_for(longest: u64, least: u64) -> u64 {
    (longest.saturating_mul(7) / 5).max(least).div_ceil(SECOND).max(1)
}

/// How long the input takes to fill a part, in microseconds: by the rate so far, and by the clock, `filled`, for the first one.
pub(super) fn burst(timeline: &Timeline, part_size: u64, filled: Option<Duration>) -> u64 {
    let bytes = timeline.bytes().max(1);
    let by_rate = u128::from(timeline.micros()) * u128::from(part_size) / u128::from(bytes);
    // By the clock it takes a fragment longer, unless the encoder does not keep up.
    let by_clock = filled.map_or(0, |filled| filled.as_micros());
    let burst = if by_clock > 2 * by_rate { by_clock } else { by_rate };
    u64::try_from(burst).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_raised_only_by_a_segment_that_does_not_fit_and_says_so_once() {
        let mut target = TargetDuration::new(Duration::from_secs(2));
        // Nothing is promised yet.
        target.listed(9_000_000);
        assert_eq!((target.promised(), target.overlong()), (None, None));
        target.promise(4);
        for (micros, promised, overlong) in
            [(4_400_000, 4, None), (4_600_000, 5, Some(4_600_000)), (5_000_000, 5, None), (2_000_000, 5, None)]
        {
            target.listed(micros);
            assert_eq!((target.promised(), target.overlong()), (Some(promised), overlong), "{micros}");
        }
    }
}
