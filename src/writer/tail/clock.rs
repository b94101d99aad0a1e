//! When the tail part is due. Pure: it is told the times and never asks for one.
//!
//! Tails keep to a beat of one interval, so that a reader can learn when to look: a part that is full in between does not
//! move it. Input that comes in bursts, as fragments come from an encoder, has a beat of its own: a tail goes right after as
//! many of them as come in an interval, since the oldest would be late if it waited for one more, and a beat between two of
//! them would leave the newest waiting for nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::bursts::Bursts;
use super::cost::Cost;
use super::rate::Rate;
use crate::protocol::part::PartSize;

/// No interval is stretched further than this.
const LONGEST: Duration = Duration::from_secs(3600);

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
    part: CurrentPart,
    /// The next beat.
    beat: Option<Instant>,
    bursts: Bursts,
    rate: Rate,
    cost: Cost,
}

/// The part that input comes into.
#[derive(Debug, Default)]
struct CurrentPart {
    /// Bytes in it, and how many of them have been sent.
    filled: u64,
    sent: u64,
    /// When the oldest byte came that has not been sent.
    waiting_since: Option<Instant>,
    /// Bursts of input that have not been sent.
    bursts: u32,
    /// Its tail is not due before this.
    held_until: Option<Instant>,
    /// Whether it was left to fill up once already.
    left_to_fill: bool,
}

impl CurrentPart {
    /// The store holds its first `kept` bytes already.
    fn begin(kept: u64) -> Self {
        Self { filled: kept, sent: kept, ..Self::default() }
    }

    /// `count` bytes came, with which another burst begins or not; whether none waited before.
    fn took(&mut self, now: Instant, count: u64, begins: bool) -> bool {
        self.filled += count;
        let first = self.waiting_since.is_none();
        self.waiting_since.get_or_insert(now);
        self.bursts = if first { 1 } else { self.bursts.saturating_add(begins.into()) };
        first
    }

    /// All of it so far is on its way.
    fn send(&mut self) {
        self.sent = self.filled;
        (self.waiting_since, self.held_until, self.bursts) = (None, None, 0);
    }
}

impl TailClock {
    /// Before the first byte.
    #[must_use]
    pub fn new(settings: TailSettings, part_size: PartSize) -> Self {
        let (part, bursts, rate, cost) = (CurrentPart::default(), Bursts::default(), Rate::default(), Cost::default());
        Self { settings, part_size, part, beat: None, bursts, rate, cost }
    }

    /// A new part is begun, of which the store holds the first `kept` bytes already.
    pub fn begin_part(&mut self, kept: u64) {
        self.part = CurrentPart::begin(kept);
    }

    /// `count` bytes of input came into the part.
    pub fn took(&mut self, now: Instant, count: u64) {
        let begins = self.bursts.came(now, self.interval() / 10);
        let first = self.part.took(now, count, begins);
        self.cost.took(now, count, first);
        self.rate.note(now, count);
    }

    /// When the tail is due; `None` while nothing waits to be sent.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let since = self.part.waiting_since?;
        let latest = since + self.interval();
        let due = match self.bursts_each() {
            Some(each) if self.part.bursts < each => latest,
            Some(_) => self.after_burst().map_or(latest, |due| latest.min(due)),
            None => self.beat.filter(|beat| *beat > since && *beat < latest).unwrap_or(latest),
        };
        Some(self.part.held_until.map_or(due, |held| held.max(due)))
    }

    /// Whether to send the tail now that it is due; if not, it will be due later.
    pub fn is_time(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        if !self.part.left_to_fill && self.is_about_to_be_full() {
            self.part.left_to_fill = true;
            self.part.held_until = Some(now + self.interval() / 10);
            return false;
        }
        if !self.settings.max_amplification.is_none_or(|most| self.cost.affords(self.part.filled, most)) {
            self.part.held_until = Some(now + self.interval());
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
        self.cost.sent(self.part.filled);
        self.part.send();
    }

    /// The tail could not be sent just now.
    pub fn hold(&mut self, now: Instant) {
        let pause = (self.interval() / 20).clamp(Duration::from_millis(10), Duration::from_millis(250));
        self.part.held_until = Some(now + pause);
    }

    /// The part is sent whole, or as the last one.
    pub fn handed_over(&mut self) {
        if self.part.filled > self.part.sent {
            self.cost.sent(self.part.filled);
        }
        self.begin_part(0);
    }

    /// Bytes uploaded over bytes of input so far.
    #[must_use]
    pub fn amplification(&self) -> Option<f64> {
        self.cost.amplification()
    }

    /// What to say, once, about a rate at which tails are dear.
    pub fn warning(&mut self, now: Instant) -> Option<String> {
        let interval = self.interval();
        self.cost.warning(now, interval, self.part_size.get(), self.part.filled)
    }

    /// Between two tails: as asked for, or longer to keep within what may be uploaded.
    ///
    /// A part that fills in n intervals is sent n - 1 times before it is full, half of it on average: (n - 1) / 2 + 1 in all.
    fn interval(&self) -> Duration {
        let asked = self.settings.max_latency;
        let (Some(most), Some(rate)) = (self.settings.max_amplification, self.rate.per_second()) else { return asked };
        let times = 2.0 * (most - 1.0) + 1.0;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = self.part_size.get() as f64 / (rate * times);
        Duration::try_from_secs_f64(seconds).map_or(asked, |stretched| asked.max(stretched).min(asked.max(LONGEST)))
    }

    /// How many bursts go in one tail, where the input comes in bursts: as many as make an interval, give or take a quarter of one.
    fn bursts_each(&self) -> Option<u32> {
        let gap = self.bursts.gap()?;
        let count = (self.interval().as_secs_f64() / gap.as_secs_f64().max(0.001) - 0.25).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let count = count.max(1.0) as u32;
        Some(count)
    }

    /// When the burst that came last will be over, if nothing more of it comes; not much sooner after the tail before than an
    /// interval, for one that comes in dribs and drabs would be sent with each of them.
    fn after_burst(&self) -> Option<Instant> {
        let over = self.bursts.last()? + self.quiet();
        let soonest = self.beat.and_then(|beat| beat.checked_sub(self.interval() / 4));
        Some(soonest.map_or(over, |soonest| over.max(soonest)))
    }

    /// When nothing has come for so long, a burst is over.
    fn quiet(&self) -> Duration {
        (self.interval() / 50).clamp(Duration::from_millis(5), Duration::from_millis(50))
    }

    fn is_about_to_be_full(&self) -> bool {
        let Some(rate) = self.rate.per_second() else { return false };
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let left = self.part_size.get().saturating_sub(self.part.filled) as f64;
        left <= rate * self.interval().as_secs_f64() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cost::HORIZON;
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

    /// Plays bursts so many milliseconds apart, give or take 20: when they came, and when tails were sent after the first ten.
    fn play_bursts(latency: f64, gap: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut clock, start) = (clock(latency, None), Instant::now());
        let (mut came, mut sent) = (Vec::new(), Vec::new());
        for at in 0..60_000 {
            let now = start + Duration::from_millis(at);
            let number = at / gap;
            let begins = number * gap + 20 + (number * 7) % 40 - 20;
            if at >= begins && at < begins + 6 {
                // In several pieces.
                clock.took(now, 500);
                if at == begins {
                    came.push(at);
                }
            }
            if clock.due().is_some_and(|due| due <= now) && clock.is_time(now) {
                clock.sent(now);
                sent.push(at);
            }
        }
        sent.retain(|at| *at > gap * 10);
        (came, sent)
    }

    #[test]
    fn a_tail_goes_right_after_as_many_fragments_as_come_in_an_interval() {
        for (latency, gap, each) in
            [(1.0, 500, 2), (1.0, 1_000, 1), (1.0, 2_000, 1), (1.0, 300, 4), (0.5, 500, 1), (2.0, 500, 4)]
        {
            let (came, sent) = play_bursts(latency, gap);
            assert!(sent.len() as u64 >= 40_000 / gap / each, "{latency} {gap}: {sent:?}");
            for at in &sent {
                let newest = came.iter().rev().find(|came| *came <= at).expect("something came");
                assert!(at - newest <= 60, "{latency} {gap}: {at} is long after {newest}");
            }
            let wanted = (gap * each).saturating_sub(40)..=gap * each + 40;
            assert!(sent.windows(2).all(|pair| wanted.contains(&(pair[1] - pair[0]))), "{latency} {gap}: {sent:?}");
            for pair in sent.windows(2) {
                let oldest = came.iter().find(|came| **came > pair[0]).expect("something came");
                assert!(
                    u128::from(pair[1] - oldest) <= Duration::from_secs_f64(latency).as_millis(),
                    "{gap}: {pair:?}"
                );
            }
        }
    }

    #[test]
    fn bursts_that_come_piece_by_piece_cost_no_more_than_a_beat() {
        let (mut clock, start) = (clock(1.0, None), Instant::now());
        let (mut sent, mut since) = (Vec::new(), None);
        for at in 0..60_000u64 {
            let now = start + Duration::from_millis(at);
            // Ten pieces in each two seconds, further apart than a burst takes to be over.
            if at % 2_000 < 300 && at % 30 == 0 {
                clock.took(now, 500);
                since.get_or_insert(at);
            }
            if clock.due().is_some_and(|due| due <= now) && clock.is_time(now) {
                clock.sent(now);
                sent.push(at);
                assert!(since.take().is_some_and(|since| at - since <= 1_000), "{at}");
            }
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 750), "{sent:?}");
        assert!((50..=65).contains(&sent.len()), "{sent:?}");
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
