//! An encoder's milliseconds, which wrap round after 49 days and begin anew whenever it likes, on the recording's own time
//! line, which only goes forward.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// On a clock that is never put right, from any moment on.
    pub elapsed: Duration,
    /// The time of day.
    pub at: SystemTime,
}

impl Arrival {
    /// As `prft` wants it: seconds since 1900, and fractions of 2^-32.
    #[must_use]
    pub fn ntp(&self) -> u64 {
        const FROM_1900_TO_1970: u64 = 2_208_988_800;
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        since.as_secs().wrapping_add(FROM_1900_TO_1970) << 32 | fraction
    }
}

/// A track that goes back further than this has begun anew.
const BACK: i64 = 1000;
/// A time further ahead than this means nothing: what counts is when it came.
const AHEAD: i64 = 10_000;

/// See the [module](self). Times are in milliseconds.
#[derive(Debug, Default)]
pub struct Clock {
    /// The newest time of the encoder, with its wraps counted, and when it came.
    newest: Option<(i64, Arrival)>,
    /// What is added to the encoder's times.
    shift: i64,
    jumps: u64,
}

impl Clock {
    /// The time of the encoder with its wraps counted, when it comes after `newest`.
    fn unwrapped(&self, time: u32) -> i64 {
        match self.newest {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the encoder's times are modulo 2^32"
            )]
            Some((newest, _)) => newest + i64::from(time.wrapping_sub(newest as u32).cast_signed()),
            None => i64::from(time),
        }
    }

    /// Another encoder begins, or the same one anew: its first time, `first`, is `at` in the recording.
    pub fn anchor(&mut self, first: u32, at: i64, arrival: Arrival) {
        self.newest = Some((i64::from(first), arrival));
        self.shift = at - i64::from(first);
    }

    /// Where `time` is in the recording. `last` is where the same track was last.
    pub fn place(&mut self, time: u32, arrival: Arrival, last: Option<i64>) -> i64 {
        let unwrapped = self.unwrapped(time);
        let place = unwrapped + self.shift;
        let Some((newest, came)) = self.newest else {
            self.anchor(time, 0, arrival);
            return 0;
        };
        let jumped = unwrapped - newest > AHEAD || last.is_some_and(|last| place < last - BACK);
        if jumped {
            let since = i64::try_from(arrival.elapsed.saturating_sub(came.elapsed).as_millis()).unwrap_or(0);
            let here = (newest + self.shift).max(last.unwrap_or(i64::MIN)) + since.max(1);
            self.jumps += 1;
            self.newest = Some((i64::from(time), arrival));
            self.shift = here - i64::from(time);
            return here;
        }
        if unwrapped >= newest {
            self.newest = Some((unwrapped, arrival));
        }
        place
    }

    /// How often the encoder's time jumped.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Arrival {
        Arrival { elapsed: Duration::from_millis(milliseconds), at: UNIX_EPOCH }
    }

    /// Where times are that come in a row, each so long after the start.
    fn places(times: &[(u32, u64)]) -> Vec<i64> {
        let (mut clock, mut last) = (Clock::default(), None);
        let place = |(time, came): &(u32, u64)| {
            let place = clock.place(*time, at(*came), last);
            last = Some(place);
            place
        };
        times.iter().map(place).collect()
    }

    #[test]
    fn times_go_on_over_the_wrap_and_over_jumps() {
        let near = u32::MAX - 19;
        assert_eq!(places(&[(near, 0), (u32::MAX, 20), (20, 40)]), [0, 19, 40]);
        // A little back and forth is how sound and pictures take turns.
        assert_eq!(places(&[(500, 0), (540, 40), (520, 40), (560, 60)]), [0, 40, 20, 60]);
        // Anew from zero, after 33 ms; a jump ahead that was none; a pause that was one.
        assert_eq!(places(&[(50_000, 0), (50_040, 40), (0, 73), (40, 113)]), [0, 40, 73, 113]);
        assert_eq!(places(&[(0, 0), (40, 40), (90_000_000, 80), (90_000_040, 120)]), [0, 40, 80, 120]);
        assert_eq!(places(&[(0, 0), (30_000, 30_000)]), [0, 30_000]);
    }

    #[test]
    fn another_encoder_goes_on_where_the_recording_is() {
        let mut clock = Clock::default();
        assert_eq!(clock.place(7_000, at(0), None), 0);
        assert_eq!(clock.place(9_000, at(2_000), Some(0)), 2_000);
        clock.anchor(123, 2_040, at(9_000));
        assert_eq!(clock.place(123, at(9_000), Some(2_000)), 2_040);
        assert_eq!(clock.place(163, at(9_040), Some(2_040)), 2_080);
        // One that is joined just before its wrap.
        clock.anchor(u32::MAX, 5_000, at(10_000));
        assert_eq!(clock.place(39, at(10_040), Some(5_000)), 5_040);
        assert_eq!(clock.jumps(), 0);
    }

    #[test]
    fn the_time_of_day_as_prft_has_it() {
        let arrival = Arrival { elapsed: Duration::ZERO, at: UNIX_EPOCH + Duration::from_millis(1500) };
        assert_eq!(arrival.ntp(), (2_208_988_801 << 32) + (1 << 31));
    }
}
