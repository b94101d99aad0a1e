//! When to look next at the live edge.
//!
//! Parts arrive in a rhythm: the time that one takes to fill. A reader that has seen a few of them knows when the next is
//! due, looks just around that time, and leaves the store alone in between. Each look brings all that there is or nothing,
//! so two looks bracket an arrival, and brackets get narrower with every part.
//!
//! Where the arrivals keep to a beat, all brackets together say to some milliseconds when the next is due. Elsewhere the
//! gaps seen so far say how likely it is at each moment, and the next look is made when the delay to be expected without
//! it reaches the price of a look: often while an arrival is likely, hardly ever while it is not.
//!
//! Pure: it is told the times and never asks for one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Arrivals that are remembered: enough to show how gaps vary, few enough to follow a change of bitrate.
const REMEMBERED: usize = 24;

/// Gaps that are forgotten with each that tells nothing.
const FORGOTTEN: usize = 6;

/// What a gap counts beside the one after it.
const FADING: f64 = 0.99;

/// The delay in seconds that a look is worth: this share of the time in which an arrival is due, within limits.
const SHARE: f64 = 0.06;
const LEAST_PRICE: f64 = 0.003;
const PRICE: f64 = 0.019;

/// The shortest wait between two looks, in seconds.
const CLOSEST: f64 = 0.012;

/// Scheduling and the network move arrivals by about this much, in seconds.
const SLACK: f64 = 0.006;

/// A beat is made of at least this many arrivals.
const BEAT: usize = 6;

/// The shares of arrivals before which, and by which, the next one is thought to come.
const FIRST: f64 = 0.04;
const LAST: f64 = 0.95;

/// A bracket with at least this share of the likelihood in it is where the arrival was expected.
const TELLING: f64 = 0.1;

/// A stretch in seconds without any likelihood that parts one group of gaps from another.
const FAR: f64 = 0.3;

/// The first wait after a short tail part, which is how an upload ends.
const AFTER_TAIL: Duration = Duration::from_millis(100);

/// A stretch of time in seconds after the newest arrival's bracket began, or between two arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    early: f64,
    late: f64,
}

impl Span {
    fn width(self) -> f64 {
        self.late - self.early
    }

    fn middle(self) -> f64 {
        f64::midpoint(self.early, self.late)
    }
}

/// After one look and before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    /// The look before.
    looked: Instant,
    /// Hardly before this, by all that is known.
    early: Instant,
    late: Instant,
}

impl Arrival {
    /// Seconds from where the bracket begins to `at`.
    fn since(&self, at: Instant) -> f64 {
        seconds(self.early, at)
    }
}

/// What has been learned of the times at which something new arrives.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// The longest wait between two looks where nothing is known.
    longest: Duration,
    /// Whether it is the longest wait even where the next part is known to be due later.
    strict: bool,
    /// The newest arrivals without a break; the last is the newest.
    arrivals: VecDeque<Arrival>,
    /// The gaps between arrivals, as far as they tell anything.
    gaps: VecDeque<Span>,
    /// When the last look was sent that found nothing, or all that there was.
    looked: Option<Instant>,
    /// Looks in vain since the last arrival.
    misses: u32,
    /// The wait between two looks while nothing is known.
    pace: Duration,
    /// Arrivals in a row that were there before they were looked for.
    early_hits: u32,
    /// Whether the newest data ended inside a part, and whether the arrival before it did.
    in_part: bool,
    in_part_before: bool,
}

impl Rhythm {
    /// Without any knowledge; `longest` is the wait between two looks then, and always if `strict`.
    #[must_use]
    pub fn new(longest: Duration, strict: bool) -> Self {
        Self {
            longest,
            strict,
            arrivals: VecDeque::new(),
            gaps: VecDeque::new(),
            looked: None,
            misses: 0,
            pace: longest,
            early_hits: 0,
            in_part: false,
            in_part_before: false,
        }
    }

    /// A look that was sent at `sent` found nothing.
    pub fn missed(&mut self, sent: Instant) {
        self.looked = Some(sent);
        self.misses = self.misses.saturating_add(1);
    }

    /// A look, sent at `sent` and answered at `answered`, found something new and all that there was; `in_part` says that it
    /// ends inside a part.
    pub fn arrived(&mut self, sent: Instant, answered: Instant, in_part: bool) {
        if let Some(looked) = self.looked {
            self.note(looked.min(answered), answered);
        }
        // Some looks in vain between two arrivals show when they come.
        self.pace = match self.misses {
            _ if self.looked.is_none() || self.due().is_some() => self.longest,
            0..=3 => (self.pace / 2).max(duration(CLOSEST)),
            4..=8 => self.pace,
            _ => (self.pace * 2).min(self.longest),
        };
        self.looked = Some(sent);
        self.misses = 0;
        self.in_part_before = std::mem::replace(&mut self.in_part, in_part);
    }

    fn note(&mut self, looked: Instant, late: Instant) {
        let mut early = looked;
        if let (Some(newest), Some(due)) = (self.arrivals.back(), self.due()) {
            let expected = newest.early + duration(due.first() - self.lead(&due));
            if looked < expected && late > newest.early {
                // It was there before it was looked for, hardly long before.
                self.early_hits = self.early_hits.saturating_add(1);
                early = looked.max(expected.min(late).checked_sub(duration(self.lead(&due))).unwrap_or(looked));
            } else {
                self.early_hits = 0;
                early =
                    looked.max(newest.early + duration(due.begins_within(newest.since(looked), newest.since(late))));
            }
        }
        let now = Arrival { looked, early, late };
        if let Some(before) = self.arrivals.back() {
            let gap = Span { early: seconds(before.late, now.early), late: seconds(before.early, now.late) };
            // A bracket as wide as the gap itself says nothing.
            if gap.early > 0.0 && gap.width() <= gap.early {
                self.gaps.push_back(gap);
            } else {
                // What was known does not help to see when they come any more.
                let kept = self.gaps.len().saturating_sub(FORGOTTEN);
                self.gaps.drain(..self.gaps.len() - kept);
            }
        }
        self.arrivals.push_back(now);
        if self.arrivals.len() > REMEMBERED {
            self.arrivals.pop_front();
        }
        if self.gaps.len() > REMEMBERED {
            self.gaps.pop_front();
        }
    }

    /// How much sooner to look than seems right, in seconds, because arrivals were there before.
    fn lead(&self, due: &Due) -> f64 {
        let (first, width) = (due.first(), due.last() - due.first());
        match self.early_hits {
            0 => 0.0,
            hits => (width.max(first / 50.0) * f64::from(1 << (hits - 1).min(10))).min(first / 2.0),
        }
    }

    /// The reader has been behind, so that the newest arrival's time is not known.
    pub fn lost_track(&mut self) {
        self.arrivals.clear();
        self.looked = None;
        self.misses = 0;
        self.early_hits = 0;
    }

    /// The usual time between two arrivals, once there is a rhythm.
    #[must_use]
    pub fn usual_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<f64> = self.gaps.iter().map(|gap| gap.middle()).collect();
        gaps.sort_by(f64::total_cmp);
        gaps.get(gaps.len() / 2).and_then(|gap| Duration::try_from_secs_f64(*gap).ok())
    }

    /// Whether it is time to ask whether the upload is over: nothing came when something was due, or what came looks like
    /// an end.
    #[must_use]
    pub fn suspects_end(&self, now: Instant) -> bool {
        if self.looks_like_end() {
            return true;
        }
        let (Some(newest), Some(due)) = (self.arrivals.back(), self.due()) else { return true };
        let last = due.last();
        // A part that is only a little late is no reason to ask.
        seconds(newest.early, now) >= last + (self.longest.as_secs_f64() / 2.0).min(last / 8.0)
    }

    /// How long to wait at `now` before the next look.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let wait = self.wait_by_rhythm(now);
        if self.strict { wait.min(self.longest) } else { wait }
    }

    fn wait_by_rhythm(&self, now: Instant) -> Duration {
        if self.looks_like_end() {
            return AFTER_TAIL.saturating_mul(1 << (2 * self.misses).min(20)).min(self.longest);
        }
        let (Some(newest), Some(due)) = (self.arrivals.back(), self.due()) else {
            // While nothing comes there is nothing to be learned either.
            return self.pace.saturating_mul(1 << (self.misses / 8).min(16)).min(self.longest);
        };
        let longest = self.longest.as_secs_f64();
        let (since, first, last) = (seconds(newest.early, now), due.first() - self.lead(&due), due.last());
        let looked = self.looked.map_or(0.0, |looked| seconds(newest.early, looked));
        let wait = if since >= last {
            // Ever longer waits, so that a writer that has died costs no more than one that was never there.
            ((since - last) / 4.0).max(due.price() + CLOSEST).min(longest)
        } else if since < first {
            // A look half-way costs one request and finds an end before the next part is due.
            let half = due.middle() / 2.0;
            let worth_it = half > longest * 1.5 && half - since > longest.min(half / 2.0);
            if worth_it { half - since } else { first - since }
        } else {
            let from = looked.max(since.min(first));
            (due.next_look(from) - since).max(CLOSEST)
        };
        duration(wait)
    }

    /// The short tail of an upload whose arrivals do not usually end inside a part.
    fn looks_like_end(&self) -> bool {
        self.in_part && !self.in_part_before
    }

    /// When the next arrival is due, in seconds after the newest bracket began; `None` without a rhythm.
    fn due(&self) -> Option<Due> {
        if let Some(beat) = self.beat() {
            return Some(Due { spans: vec![(beat, 1.0)] });
        }
        let newest = self.arrivals.back()?;
        if self.gaps.len() < 2 {
            return None;
        }
        let blur = seconds(newest.early, newest.late);
        // A wide bracket around a narrow one adds no knowledge.
        let around = |gap: &Span, other: &Span| {
            other.width() * 1.5 < gap.width() && gap.early <= other.middle() && other.middle() <= gap.late
        };
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * FADING));
        let telling = self.gaps.iter().rev().zip(weights);
        let telling = telling.filter(|(gap, _)| !self.gaps.iter().any(|other| around(gap, other)));
        let spans = telling.map(|(gap, weight)| {
            // Both ends being off to the same side is rare: the middle of the brackets holds nearly all arrivals.
            let (middle, off) = (gap.middle() + blur / 2.0, gap.width() / 6.0 + blur / 2.0 + SLACK);
            (Span { early: (middle - off).max(0.0), late: middle + off }, weight)
        });
        Some(Due { spans: spans.collect() })
    }

    /// The time at which the next arrival is due, where the last ones kept to a beat.
    fn beat(&self) -> Option<Span> {
        let newest = self.arrivals.back()?;
        let since = |at: Instant| seconds(newest.early, at) - seconds(at, newest.early);
        let span = |at: &Arrival| Span { early: since(at.looked) - SLACK, late: since(at.late) + SLACK };
        let arrivals: Vec<Span> = self.arrivals.iter().map(span).collect();
        (BEAT..=arrivals.len()).rev().find_map(|count| fit(arrivals.get(arrivals.len() - count..)?))
    }
}

/// When the next arrival is due that keeps to the beat of those before it; `None` if they keep to none.
fn fit(arrivals: &[Span]) -> Option<Span> {
    let places = || arrivals.iter().rev().zip(1_u32..).map(|(at, steps)| (*at, f64::from(steps)));
    let mut period = Span { early: 0.0, late: f64::INFINITY };
    for (late, to_late) in places() {
        for (early, to_early) in places().filter(|(_, to_early)| *to_early > to_late) {
            let steps = to_early - to_late;
            period.early = period.early.max((late.early - early.late) / steps);
            period.late = period.late.min((late.late - early.early) / steps);
        }
    }
    let due = places().fold(Span { early: 0.0, late: f64::INFINITY }, |due, (at, steps)| Span {
        early: due.early.max(at.early + steps * period.early),
        late: due.late.min(at.late + steps * period.late),
    });
    // A beat that is known only roughly is worth less than the gaps.
    let sharp = due.width() <= period.middle() / 40.0
        && arrivals.iter().all(|at| at.width() <= period.middle() / 20.0 + 2.0 * SLACK);
    (period.width() >= 0.0 && due.width() >= 0.0 && sharp).then_some(due)
}

/// When an arrival is due: in one of the spans, as likely as they weigh, and equally likely everywhere in it.
#[derive(Debug)]
struct Due {
    spans: Vec<(Span, f64)>,
}

impl Due {
    /// How likely it is that it has come by `at`.
    fn share(&self, at: f64) -> f64 {
        let part = |span: &Span| ((at - span.early) / span.width().max(1e-6)).clamp(0.0, 1.0);
        let (sum, all) =
            self.spans.iter().fold((0.0, 0.0), |(sum, all), (span, weight)| (sum + weight * part(span), all + weight));
        sum / f64::max(all, 1e-9)
    }

    /// The time by which it has come with likelihood `share`.
    fn quantile(&self, share: f64) -> f64 {
        let ends = |pick: fn(&Span) -> f64| self.spans.iter().map(move |(span, _)| pick(span));
        let mut low = ends(|span| span.early).fold(f64::INFINITY, f64::min).max(0.0);
        let mut high = ends(|span| span.late).fold(low, f64::max);
        for _ in 0..24 {
            let at = f64::midpoint(low, high);
            if self.share(at) < share { low = at } else { high = at }
        }
        high
    }

    /// The delay in seconds that a look is worth: little where few looks are enough.
    fn price(&self) -> f64 {
        ((self.last() - self.first()) * SHARE).clamp(LEAST_PRICE, PRICE)
    }

    /// Hardly ever before this.
    fn first(&self) -> f64 {
        self.quantile(FIRST)
    }

    fn middle(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Hardly ever after this; one gap out of line does not count.
    fn last(&self) -> f64 {
        self.quantile(LAST)
    }

    /// Where in a bracket an arrival can be thought to begin: behind a stretch of it in which none is likely.
    fn begins_within(&self, early: f64, late: f64) -> f64 {
        let (before, within) = (self.share(early), self.share(late) - self.share(early));
        if within < TELLING { early } else { self.quantile(before + within * FIRST).clamp(early, late) }
    }

    /// The time to look again after nothing had come by `from`: when the delay to be expected reaches the price of a look.
    fn next_look(&self, from: f64) -> f64 {
        let before = self.share(from);
        let left = (1.0 - before).max(1e-3);
        let next = self.quantile(before + left * FIRST);
        if next > from + FAR {
            // None is likely for a while; a look in vain then says where the bracket begins.
            return next;
        }
        let step = ((self.last() - from) / 400.0).clamp(0.001, 0.05);
        let price = self.price();
        let (mut at, mut delay) = (from, 0.0);
        while delay < price && at < from + 60.0 {
            at += step;
            delay += step * (self.share(at) - before) / left;
        }
        at
    }
}

/// From one time to a later one.
fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(1);
    const ROUND_TRIP: Duration = Duration::from_millis(2);

    /// Plays a reader against arrivals at the ends of `gaps`; returns the delay of each and the looks made for it.
    fn play(gaps: &[f64]) -> Vec<(Duration, u32)> {
        let mut rhythm = Rhythm::new(POLL, false);
        let start = Instant::now();
        let (mut now, mut arrival, mut sent) = (start, start, start);
        let mut results = Vec::new();
        for gap in gaps {
            arrival += Duration::from_secs_f64(*gap);
            if arrival < sent {
                // The last answer held this one too.
                results.push((now - arrival, 0));
                continue;
            }
            let mut looks = 0;
            loop {
                now += rhythm.wait(now);
                looks += 1;
                sent = now;
                now += ROUND_TRIP;
                if sent >= arrival {
                    rhythm.arrived(sent, now, false);
                    results.push((now - arrival, looks));
                    break;
                }
                rhythm.missed(sent);
                if rhythm.suspects_end(now) {
                    looks += 1;
                    now += ROUND_TRIP;
                }
            }
        }
        results
    }

    /// The 95th percentile of the delays, and the mean number of looks, after the first `warm_up` arrivals.
    fn summary(results: &[(Duration, u32)], warm_up: usize) -> (Duration, f64) {
        let settled = &results[warm_up..];
        let mut delays: Vec<Duration> = settled.iter().map(|(delay, _)| *delay).collect();
        delays.sort_unstable();
        let looks: u32 = settled.iter().map(|(_, looks)| looks).sum();
        (delays[delays.len() * 95 / 100], f64::from(looks) / f64::from(u32::try_from(settled.len()).expect("few")))
    }

    /// Gaps of `mean` seconds that differ by up to `spread` of it, evenly.
    fn varied(seed: u64, mean: f64, spread: f64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..400).map(|_| mean * (1.0 - spread / 2.0 + spread * random.f64())).collect()
    }

    #[test]
    fn a_steady_source_is_met_at_once_and_by_few_looks() {
        for (mean, looks_at_most) in [(7.0, 4.0), (1.0, 3.0), (42.0, 5.0)] {
            // Each arrival is up to 20 ms late, whatever the one before was.
            let mut random = fastrand::Rng::with_seed(1);
            let mut late = 0.0;
            let gaps: Vec<f64> = (0..400)
                .map(|_| {
                    let before = std::mem::replace(&mut late, random.f64() * 0.02);
                    mean + late - before
                })
                .collect();
            let (delay, looks) = summary(&play(&gaps), 20);
            assert!(delay <= Duration::from_millis(45), "{mean}: {delay:?}");
            assert!(looks <= looks_at_most, "{mean}: {looks}");
        }
    }

    #[test]
    fn gaps_in_two_groups_are_met_at_both() {
        let gaps: Vec<f64> = (0..200).map(|i| if i % 3 == 0 { 8.0 } else { 6.0 }).collect();
        let (delay, looks) = summary(&play(&gaps), 20);
        assert!(delay <= Duration::from_millis(150), "{delay:?}");
        assert!(looks <= 5.2, "{looks}");
    }

    #[test]
    fn gaps_that_vary_by_a_fifth_are_met_sooner_than_by_polling() {
        let of_each: Vec<_> = (0..9).map(|seed| summary(&play(&varied(seed, 7.0, 0.2)), 20)).collect();
        let mut delays: Vec<_> = of_each.iter().map(|(delay, _)| *delay).collect();
        delays.sort_unstable();
        let looks: f64 = of_each.iter().map(|(_, looks)| looks).sum::<f64>() / 9.0;
        assert!(delays[4] <= Duration::from_millis(290), "{delays:?}");
        assert!(delays[8] <= Duration::from_millis(400), "{delays:?}");
        assert!(looks <= 6.4, "{looks}");
    }

    #[test]
    fn a_change_of_bitrate_is_followed() {
        for (before, after) in [(7.0, 5.0), (5.0, 7.0)] {
            let gaps: Vec<f64> = (0..120).map(|i| if i < 60 { before } else { after }).collect();
            let results = play(&gaps);
            let settled = results[100..].iter().map(|(delay, _)| *delay).max().expect("some");
            assert!(settled <= Duration::from_millis(400), "{before} to {after}: {settled:?}");
        }
    }

    #[test]
    fn a_source_faster_than_the_poll_interval_is_met_in_time() {
        let (delay, looks) = summary(&play(&varied(3, 0.84, 0.005)), 20);
        assert!(delay <= Duration::from_millis(60), "{delay:?}");
        assert!(looks <= 3.0, "{looks}");
    }

    #[test]
    fn without_a_rhythm_no_wait_is_longer_than_the_poll_interval() {
        let mut random = fastrand::Rng::with_seed(7);
        let gaps: Vec<f64> = (0..100).map(|_| random.f64() * 0.9).collect();
        for (delay, _) in play(&gaps) {
            // An arrival just after a look waits for the next one, and for the question after the end before it.
            assert!(delay <= POLL + 3 * ROUND_TRIP, "{delay:?}");
        }
    }

    #[test]
    fn a_poll_interval_that_was_asked_for_holds_in_any_rhythm() {
        for longest in [Duration::from_millis(1), Duration::from_millis(100), POLL] {
            let mut rhythm = Rhythm::new(longest, true);
            let mut now = Instant::now();
            for _ in 0..5 {
                now += Duration::from_secs(7);
                rhythm.missed(now - Duration::from_millis(50));
                rhythm.arrived(now, now, false);
                for millis in (0..10_000).step_by(10) {
                    let wait = rhythm.wait(now + Duration::from_millis(millis));
                    assert!(wait <= longest, "{wait:?} after {millis} ms");
                }
            }
        }
    }

    #[test]
    fn a_writer_that_stopped_is_asked_after_at_the_poll_interval() {
        let mut rhythm = Rhythm::new(POLL, false);
        let mut now = Instant::now();
        for _ in 0..5 {
            now += Duration::from_secs(3);
            rhythm.missed(now - Duration::from_millis(50));
            rhythm.arrived(now, now, false);
        }
        now += Duration::from_secs(60);
        rhythm.missed(now);
        assert_eq!(rhythm.wait(now), POLL);
        assert!(rhythm.suspects_end(now));
    }

    #[test]
    fn a_short_tail_makes_it_look_sooner_unless_tails_are_usual() {
        let mut rhythm = Rhythm::new(POLL, false);
        let now = Instant::now();
        rhythm.arrived(now, now, false);
        rhythm.arrived(now, now, true);
        assert!(rhythm.suspects_end(now));
        assert_eq!(rhythm.wait(now), AFTER_TAIL);
        rhythm.missed(now);
        assert_eq!(rhythm.wait(now), 4 * AFTER_TAIL);
        rhythm.arrived(now, now, true);
        assert!(rhythm.wait(now) > AFTER_TAIL);
    }
}
