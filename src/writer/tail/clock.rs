//! When the tail part is due, and what sending it early costs. Pure: it is told the times and never asks for one.
//!
//! Tails keep to a beat of one interval, so that a reader can learn when to look: a part that is full in between does not
//! move it.

use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::part::PartSize;

/// A rate that was measured for at least this long is worth a warning.
const OBSERVED: Duration = Duration::from_secs(10);

/// Uploading each byte more often than this is worth a warning.
const DEAR: f64 = 10.0;

/// What tails cost is told for no longer than this: at a trickle, a part would take months to fill.
const HORIZON: Duration = Duration::from_secs(3600);

/// The rate of the input is measured over stretches of at least this length ...
const STRETCH: Duration = Duration::from_secs(1);

/// ... and an old stretch counts half after this time.
const HALF_LIFE: f64 = 8.0;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSettings {
    /// How long a byte may wait before it is sent.
    pub max_latency: Duration,
    /// The most bytes to upload for a byte of input, more than 1.
    pub max_amplification: Option<f64>,
}

/// Keeps the time of one input.
#[derive(Debug)]
pub struct TailClock {
    settings: TailSettings,
    part_size: PartSize,
    /// Bytes in the current part, and how many of them have been sent.
    filled: u64,
    sent: u64,
    /// When the oldest byte came that has not been sent.
    waiting_since: Option<Instant>,
    /// The next beat.
    beat: Option<Instant>,
    /// Not before this.
    held_until: Option<Instant>,
    /// Whether this part was left to fill up once already.
    left_to_fill: bool,
    /// Bytes of input and bytes sent so far.
    input: u64,
    uploaded: u64,
    began: Option<Instant>,
    /// When the first bytes, which often come all at once, were over, and how many they were.
    settled: Option<(Instant, u64)>,
    /// How often bytes came while none waited: no more tails than that were due.
    waits: u64,
    rate: Rate,
    warned: bool,
}

impl TailClock {
    /// Before the first byte.
    #[must_use]
    pub fn new(settings: TailSettings, part_size: PartSize) -> Self {
        Self {
            settings,
            part_size,
            filled: 0,
            sent: 0,
            waiting_since: None,
            beat: None,
            held_until: None,
            left_to_fill: false,
            input: 0,
            uploaded: 0,
            began: None,
            settled: None,
            waits: 0,
            rate: Rate::default(),
            warned: false,
        }
    }

    /// A new part is begun, of which the store holds the first `kept` bytes already.
    pub fn begin_part(&mut self, kept: u64) {
        (self.filled, self.sent) = (kept, kept);
        (self.waiting_since, self.held_until, self.left_to_fill) = (None, None, false);
    }

    /// `count` bytes of input came into the part.
    pub fn took(&mut self, now: Instant, count: u64) {
        self.filled += count;
        self.input += count;
        self.waits += u64::from(self.waiting_since.is_none());
        self.waiting_since.get_or_insert(now);
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= OBSERVED / 2 {
            self.settled.get_or_insert((now, self.input));
        }
        self.rate.note(now, count);
    }

    /// When the tail is due; `None` while nothing waits to be sent.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        let latest = since + self.interval();
        let due = self.beat.filter(|beat| *beat > since && *beat < latest).unwrap_or(latest);
        Some(self.held_until.map_or(due, |held| held.max(due)))
    }

    /// Whether to send the tail now that it is due; if not, it will be due later.
    pub fn is_time(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        if !self.left_to_fill && self.is_about_to_be_full() {
            self.left_to_fill = true;
            self.held_until = Some(now + self.interval() / 10);
            return false;
        }
        if !self.affords(self.filled) {
            self.held_until = Some(now + self.interval());
            return false;
        }
        true
    }

    /// The tail is on its way.
    pub fn sent(&mut self, now: Instant) {
        let interval = self.interval();
        // From the time that was meant, not from the time that it became.
        let meant = self.due().filter(|due| now.saturating_duration_since(*due) < interval).unwrap_or(now);
        self.beat = Some(meant + interval);
        self.sent = self.filled;
        self.uploaded += self.filled;
        (self.waiting_since, self.held_until) = (None, None);
    }

    /// The tail could not be sent just now.
    pub fn hold(&mut self, now: Instant) {
        let pause = (self.interval() / 20).clamp(Duration::from_millis(10), Duration::from_millis(250));
        self.held_until = Some(now + pause);
    }

    /// The part is sent whole, or as the last one.
    pub fn handed_over(&mut self) {
        if self.filled > self.sent {
            self.uploaded += self.filled;
        }
        self.begin_part(0);
    }

    /// Bytes uploaded over bytes of input so far.
    #[must_use]
    pub fn amplification(&self) -> Option<f64> {
        (self.input > 0).then(|| ratio(self.uploaded, self.input))
    }

    /// What to say, once, about a rate at which tails are dear.
    pub fn warning(&mut self, now: Instant) -> Option<String> {
        let (began, (since, before)) = (self.began?, self.settled?);
        let (elapsed, measured) = (now.saturating_duration_since(began), now.saturating_duration_since(since));
        if self.warned || elapsed < OBSERVED || measured < OBSERVED / 4 || self.input <= before {
            return None;
        }
        self.warned = true;
        let rate = ratio(self.input - before, 1) / measured.as_secs_f64();
        // Where bytes come less often than tails may be sent, there are as many tails as arrivals.
        let arrivals = ratio(self.waits.saturating_sub(1), 1).max(1.0);
        let between = self.interval().as_secs_f64().max(elapsed.as_secs_f64() / arrivals);
        let (fills_in, horizon) = (ratio(self.part_size.get(), 1) / rate, HORIZON.as_secs_f64());
        let (times, uplink, within) = if fills_in <= horizon {
            // A part that fills in n intervals is sent n - 1 times before it is full, half of it on average.
            let times = 1.0 + (fills_in / between - 1.0).max(0.0) / 2.0;
            (times, rate * times, "")
        } else {
            let (filled, comes) = (ratio(self.filled, 1), rate * horizon);
            let usual = filled + comes / 2.0;
            (horizon / between * usual / (filled + comes), usual / between, " within an hour")
        };
        if times <= DEAR {
            return None;
        }
        let (seconds, input, uplink) = (self.interval().as_secs_f64(), bits(rate), bits(uplink));
        Some(format!(
            "at the rate so far ({input}), sending the tail part every {seconds:.1} s uploads each byte about {times:.0} \
             times{within} and needs {uplink} of uplink; a longer --max-latency, a smaller --part-size or \
             --max-amplification would lower that"
        ))
    }

    /// Between two tails: as asked for, or longer to keep within what may be uploaded.
    ///
    /// A part that fills in n intervals is sent n - 1 times before it is full, half of it on average: (n - 1) / 2 + 1 in all.
    fn interval(&self) -> Duration {
        let asked = self.settings.max_latency;
        let (Some(most), Some(rate)) = (self.settings.max_amplification, self.rate.per_second) else { return asked };
        let times = 2.0 * (most - 1.0) + 1.0;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = self.part_size.get() as f64 / (rate * times);
        Duration::try_from_secs_f64(seconds).map_or(asked, |stretched| asked.max(stretched).min(asked.max(LONGEST)))
    }

    fn is_about_to_be_full(&self) -> bool {
        let Some(rate) = self.rate.per_second else { return false };
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let left = self.part_size.get().saturating_sub(self.filled) as f64;
        left <= rate * self.interval().as_secs_f64() / 10.0
    }

    /// Whether a tail of `size` bytes, and the same bytes once more in the longer part, stay within what may be uploaded.
    fn affords(&self, size: u64) -> bool {
        let cost = self.uploaded.saturating_add(size.saturating_mul(2));
        self.settings.max_amplification.is_none_or(|most| ratio(cost, self.input.max(1)) <= most)
    }
}

/// No interval is stretched further than this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Bytes a second, the newest counting most.
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    fn note(&mut self, now: Instant, count: u64) {
        let since = *self.since.get_or_insert(now);
        self.bytes += count;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < STRETCH {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let newest = self.bytes as f64 / seconds;
        let old = self.per_second.unwrap_or(newest);
        self.per_second = Some(newest + (old - newest) * 0.5_f64.powf(seconds / HALF_LIFE));
        (self.since, self.bytes) = (Some(now), 0);
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
    use proptest::prelude::*;

    use super::*;

    const PART: u64 = 5 << 20;
    const TICK: Duration = Duration::from_millis(10);

    fn clock(latency: f64, most: Option<f64>) -> TailClock {
        let settings = TailSettings { max_latency: Duration::from_secs_f64(latency), max_amplification: most };
        TailClock::new(settings, PartSize::new(PART).expect("in range"))
    }

    struct Played {
        /// When tails were sent, after the start.
        tails: Vec<Duration>,
        /// The longest that a byte waited.
        longest: Duration,
        amplification: f64,
        warning: Option<String>,
    }

    /// Plays `seconds` of input at `rate` bytes a second, in pieces of 10 ms.
    fn play(mut clock: TailClock, rate: impl Fn(f64) -> f64, seconds: f64) -> Played {
        let start = Instant::now();
        let (mut now, mut tails, mut longest, mut part) = (start, Vec::new(), Duration::ZERO, 0);
        let (mut since, mut warning) = (None, None);
        while (now - start).as_secs_f64() < seconds {
            now += TICK;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let mut bytes = (rate((now - start).as_secs_f64()) * TICK.as_secs_f64()) as u64;
            while bytes > 0 {
                let count = bytes.min(PART - part);
                clock.took(now, count);
                since.get_or_insert(now);
                part += count;
                bytes -= count;
                if part == PART {
                    clock.handed_over();
                    longest = longest.max(now - since.take().expect("bytes came"));
                    part = 0;
                }
            }
            warning = warning.or_else(|| clock.warning(now));
            if clock.due().is_some_and(|due| due <= now) && clock.is_time(now) {
                clock.sent(now);
                tails.push(now - start);
                longest = longest.max(now - since.take().expect("something waits"));
            }
        }
        clock.handed_over();
        let amplification = clock.amplification().expect("there was input");
        Played { tails, longest, amplification, warning }
    }

    #[test]
    fn six_megabits_and_a_second_cost_about_four_times_the_input() {
        let played = play(clock(1.0, None), |_| 750_000.0, 120.0);
        assert!((3.5..4.6).contains(&played.amplification), "{}", played.amplification);
        assert!(played.longest <= Duration::from_millis(1150), "{:?}", played.longest);
        assert_eq!(played.warning, None);
    }

    #[test]
    fn sound_alone_is_dear_and_says_so() {
        let played = play(clock(1.0, None), |_| 16_000.0, 700.0);
        assert!(played.amplification > 100.0, "{}", played.amplification);
        assert!(played.longest <= Duration::from_millis(1150), "{:?}", played.longest);
        let warning = played.warning.expect("far more than 10 times");
        assert!(warning.contains("0.13 Mbit/s") && warning.contains("Mbit/s of uplink"), "{warning}");
    }

    #[test]
    fn what_is_told_of_a_trickle_is_what_it_costs() {
        // 16 kB at once, then a few bytes now and then; what was measured is what is told, within an hour.
        for (latency, every, bytes) in [(0.1, 1000, 1), (0.1, 8000, 1), (0.1, 200, 10), (1.0, 3000, 100)] {
            let (start, mut now) = (Instant::now(), Instant::now());
            let mut clock = clock(latency, None);
            clock.took(now, 16_000);
            let (mut warning, mut next) = (None, now);
            while now - start < HORIZON {
                if now >= next {
                    next += Duration::from_millis(every);
                    clock.took(now, bytes);
                }
                warning = warning.or_else(|| clock.warning(now));
                if clock.due().is_some_and(|due| due <= now) && clock.is_time(now) {
                    clock.sent(now);
                }
                now += Duration::from_millis(100);
            }
            let warning = warning.expect("it is dear");
            let times = warning.split("about ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
            let (times, real): (f64, f64) = (times.parse().expect("a number"), clock.amplification().expect("input"));
            assert!((real / 1.5..real * 1.5).contains(&times), "{times} told of {real} every {every} ms: {warning}");
            assert!(!warning.contains(" 0.00 Mbit/s") && warning.contains("within an hour"), "{warning}");
        }
    }

    #[test]
    fn tails_keep_to_a_beat_that_full_parts_do_not_move() {
        let played = play(clock(1.0, None), |_| 750_000.0, 60.0);
        for pair in played.tails.windows(2) {
            let off = (pair[1].as_secs_f64() - pair[0].as_secs_f64()) % 1.0;
            assert!(off <= 0.13 || off >= 0.98, "{pair:?}");
        }
    }

    #[test]
    fn a_fast_input_fills_parts_before_a_tail_is_due() {
        let played = play(clock(1.0, None), |_| 10e6, 20.0);
        assert!(played.tails.is_empty(), "{:?}", played.tails);
        assert!((played.amplification - 1.0).abs() < 0.01, "{}", played.amplification);
    }

    #[test]
    fn nothing_is_due_while_nothing_waits() {
        let mut clock = clock(1.0, None);
        let now = Instant::now();
        clock.begin_part(100);
        assert_eq!(clock.due(), None);
        clock.took(now, 1);
        let due = clock.due().expect("a byte waits");
        assert_eq!(due, now + Duration::from_secs(1));
        assert!(clock.is_time(due));
        clock.sent(due);
        assert_eq!(clock.due(), None);
    }

    proptest! {
        #[test]
        fn the_amplification_stays_below_what_was_asked_for(
            most in 1.5..20.0f64, rate in 10_000.0..3e6f64, sway in 0.0..0.9f64, seconds in 5.0..300.0f64,
        ) {
            let played = play(clock(1.0, Some(most)), |at| rate * (1.0 + sway * (at / 7.0).sin()), seconds);
            prop_assert!(played.amplification <= most * 1.001, "{} of {most}", played.amplification);
        }

        #[test]
        fn without_a_limit_no_byte_waits_much_longer_than_asked(
            latency in 0.2..5.0f64, rate in 10_000.0..3e6f64, sway in 0.0..0.9f64,
        ) {
            let played = play(clock(latency, None), |at| rate * (1.0 + sway * (at / 7.0).sin()), 60.0);
            prop_assert!(played.longest.as_secs_f64() <= latency * 1.1 + 0.03, "{:?} of {latency}", played.longest);
        }
    }
}
