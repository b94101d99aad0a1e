//! What sending tails early costs: what was uploaded for the input so far, what may be, and what to say where it is dear.
//! Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A rate that was measured for at least this long is worth a warning.
const OBSERVED: Duration = Duration::from_secs(10);

/// Uploading each byte more often than this is worth a warning.
const DEAR: f64 = 10.0;

/// What tails cost is told for no longer than this: at a trickle, a part would take months to fill.
pub(super) const HORIZON: Duration = Duration::from_secs(3600);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Bytes of input and bytes sent so far.
    input: u64,
    uploaded: u64,
    began: Option<Instant>,
    /// When the first bytes, which often come all at once, were over, and how many they were.
    settled: Option<(Instant, u64)>,
    /// How often bytes came while none waited: no more tails than that were due.
    waits: u64,
    warned: bool,
}

impl Cost {
    /// `count` bytes of input came; `first` if none waited to be sent before.
    pub(super) fn took(&mut self, now: Instant, count: u64, first: bool) {
        self.input += count;
        self.waits += u64::from(first);
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= OBSERVED / 2 {
            self.settled.get_or_insert((now, self.input));
        }
    }

    /// So many bytes are on their way to the store.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.uploaded += bytes;
    }

    /// Bytes uploaded over bytes of input so far.
    pub(super) fn amplification(&self) -> Option<f64> {
        (self.input > 0).then(|| ratio(self.uploaded, self.input))
    }

    /// Whether a tail of `size` bytes, and the same bytes once more in the longer part, stay within `most` bytes uploaded for
    /// a byte of input.
    pub(super) fn affords(&self, size: u64, most: f64) -> bool {
        let cost = self.uploaded.saturating_add(size.saturating_mul(2));
        ratio(cost, self.input.max(1)) <= most
    }

    /// What to say, once, about a rate at which tails are dear: with `interval` between two of them, in parts of `part_size`
    /// bytes, of which the current one holds `filled`.
    pub(super) fn warning(&mut self, now: Instant, interval: Duration, part_size: u64, filled: u64) -> Option<String> {
        let (began, (since, before)) = (self.began?, self.settled?);
        let (elapsed, measured) = (now.saturating_duration_since(began), now.saturating_duration_since(since));
        if self.warned || elapsed < OBSERVED || measured < OBSERVED / 4 || self.input <= before {
            return None;
        }
        self.warned = true;
        let rate = ratio(self.input - before, 1) / measured.as_secs_f64();
        // Where bytes come less often than tails may be sent, there are as many tails as arrivals.
        let arrivals = ratio(self.waits.saturating_sub(1), 1).max(1.0);
        let between = interval.as_secs_f64().max(elapsed.as_secs_f64() / arrivals);
        let Forecast { times, uplink, within } = Forecast::of(rate, between, part_size, filled);
        if times <= DEAR {
            return None;
        }
        let (seconds, input, uplink) = (interval.as_secs_f64(), bits(rate), bits(uplink));
        Some(format!(
            "at the rate so far ({input}), sending the tail part every {seconds:.1} s uploads each byte about {times:.0} \
             times{within} and needs {uplink} of uplink; a longer --max-latency, a smaller --part-size or \
             --max-amplification would lower that"
        ))
    }
}

/// What tails will cost if the input goes on as it did.
#[derive(Debug)]
struct Forecast {
    /// How often each byte is uploaded.
    times: f64,
    /// Bytes a second.
    uplink: f64,
    /// Where it does not hold for ever, how long it does.
    within: &'static str,
}

impl Forecast {
    /// At `rate` bytes a second, with `between` seconds from a tail to the next.
    fn of(rate: f64, between: f64, part_size: u64, filled: u64) -> Self {
        let (fills_in, horizon) = (ratio(part_size, 1) / rate, HORIZON.as_secs_f64());
        if fills_in <= horizon {
            // A part that fills in n intervals is sent n - 1 times before it is full, half of it on average.
            let times = 1.0 + (fills_in / between - 1.0).max(0.0) / 2.0;
            Self { times, uplink: rate * times, within: "" }
        } else {
            let (filled, comes) = (ratio(filled, 1), rate * horizon);
            let usual = filled + comes / 2.0;
            let times = horizon / between * usual / (filled + comes);
            Self { times, uplink: usual / between, within: " within an hour" }
        }
    }
}

/// A rate as people read it.
fn bits(bytes_per_second: f64) -> String {
    match bytes_per_second * 8.0 {
        bits if bits >= 1e5 => format!("{:.2} Mbit/s", bits / 1e6),
        bits if bits >= 1e3 => format!("{:.1} kbit/s", bits / 1e3),
        bits => format!("{bits:.0} bit/s"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown and compared with two digits")]
fn ratio(bytes: u64, over: u64) -> f64 {
    bytes as f64 / over as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tails_will_cost_follows_from_how_long_a_part_takes_to_fill() {
        // Bytes a second, seconds between tails, bytes in a part and in the current one; times, bytes a second of uplink.
        for (rate, between, part_size, filled, times, uplink, within) in [
            (1_000.0, 1.0, 9_000, 0, 5.0, 5_000.0, ""),
            (1_000.0, 3.0, 9_000, 0, 2.0, 2_000.0, ""),
            // Full before a tail is due.
            (1_000.0, 10.0, 9_000, 0, 1.0, 1_000.0, ""),
            // Not full within the hour: 360 tails of 5,400 bytes on average, for 7,200 bytes.
            (1.0, 10.0, 9_000, 3_600, 270.0, 540.0, " within an hour"),
        ] {
            let told = Forecast::of(rate, between, part_size, filled);
            assert!((told.times - times).abs() < 1e-9 && (told.uplink - uplink).abs() < 1e-9, "{told:?}");
            assert_eq!(told.within, within, "{told:?}");
        }
    }

    #[test]
    fn a_tail_is_afforded_together_with_its_bytes_in_the_longer_part() {
        let mut cost = Cost::default();
        cost.took(Instant::now(), 1_000, true);
        cost.sent(500);
        assert_eq!(cost.amplification(), Some(0.5));
        for (size, most, affords) in [(250, 1.0, true), (251, 1.0, false), (750, 2.0, true), (751, 2.0, false)] {
            assert_eq!(cost.affords(size, most), affords, "{size} bytes within {most}");
        }
    }
}
