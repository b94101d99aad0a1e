//! When to look next at the live edge.
//!
//! Parts arrive in a rhythm: the time that one takes to fill. A reader that has seen a few of them knows when the next is
//! due, looks just around that time, and leaves the store alone in between. Each look that finds nothing and the look that
//! finds something bracket an arrival, so the brackets get narrower with every part; a stream whose gaps fall into groups
//! (a part that fills after three fragments or after four) is looked at around each group.
//!
//! Pure: it is told the times and never asks for one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Gaps that are remembered: enough to show the groups, few enough to follow a change of bitrate.
const REMEMBERED: usize = 16;

/// The shortest wait between two looks for a part that is due.
const CLOSEST: Duration = Duration::from_millis(20);

/// Looks spread over the time in which a part is due.
const LOOKS: u32 = 7;

/// Scheduling and the network add about this much to the times that are measured.
const SLACK: Duration = Duration::from_millis(5);

/// The first wait after a short tail part, which is how an upload ends.
const AFTER_TAIL: Duration = Duration::from_millis(100);

/// A stretch of time, given by its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bracket<T> {
    early: T,
    late: T,
}

/// What has been learned of the times at which something new arrives.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// The longest wait between two looks where nothing is known.
    longest: Duration,
    /// Whether it is the longest wait even where the next part is known to be due later.
    strict: bool,
    /// When the newest data arrived: after one look and before the next.
    newest: Option<Bracket<Instant>>,
    /// The last look that found nothing.
    missed: Option<Instant>,
    /// Looks in vain since the last arrival.
    misses: u32,
    gaps: VecDeque<Bracket<Duration>>,
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
            newest: None,
            missed: None,
            misses: 0,
            gaps: VecDeque::new(),
            in_part: false,
            in_part_before: false,
        }
    }

    /// A look that was sent at `sent` found nothing.
    pub fn missed(&mut self, sent: Instant) {
        self.missed = Some(sent);
        self.misses = self.misses.saturating_add(1);
    }

    /// A look whose answer came at `answered` found something new, and all that there was; `in_part` says that it ends
    /// inside a part.
    pub fn arrived(&mut self, answered: Instant, in_part: bool) {
        // Without a look in vain before it, it may have been there for long: nothing is learned of its time.
        let arrival = self.missed.map(|missed| Bracket { early: missed.min(answered), late: answered });
        if let (Some(before), Some(now)) = (self.newest, arrival) {
            let gap = Bracket {
                early: now.early.saturating_duration_since(before.late),
                late: now.late.saturating_duration_since(before.early),
            };
            // A bracket as wide as the gap itself says nothing.
            if gap.early > Duration::ZERO && width(gap) <= gap.early {
                self.gaps.push_back(gap);
                if self.gaps.len() > REMEMBERED {
                    self.gaps.pop_front();
                }
            }
        }
        self.newest = arrival;
        self.missed = None;
        self.misses = 0;
        self.in_part_before = std::mem::replace(&mut self.in_part, in_part);
    }

    /// The reader has been behind, so that the newest arrival's time is not known.
    pub fn lost_track(&mut self) {
        self.newest = None;
        self.missed = None;
        self.misses = 0;
    }

    /// The usual time between two arrivals, once there is a rhythm.
    #[must_use]
    pub fn usual_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<Duration> = self.gaps.iter().map(|gap| middle(*gap)).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// Whether it is time to ask whether the upload is over: nothing came when something was due, or what came looks like
    /// an end.
    #[must_use]
    pub fn suspects_end(&self, now: Instant) -> bool {
        match (self.newest, self.due().last()) {
            _ if self.looks_like_end() => true,
            // A part that is only a little late is no reason to ask.
            (Some(newest), Some(last)) => now >= newest.early + last.late + (self.longest / 2).min(last.late / 8),
            _ => true,
        }
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
        let due = self.due();
        let (Some(newest), Some(first), Some(last)) = (self.newest, due.first(), due.last()) else {
            return self.longest;
        };
        let since = now.saturating_duration_since(newest.early);
        // The looks are spread over all brackets, as close as that allows.
        let total: Duration = due.iter().map(|bracket| width(*bracket)).sum();
        let step = (total / LOOKS).max(CLOSEST).min(self.longest);
        if let Some(overdue) = since.checked_sub(last.late) {
            // Ever longer waits, so that a writer that has died costs no more than one that was never there.
            return step.max(overdue / 4).min(self.longest);
        }
        let until_due = first.early.saturating_sub(since);
        if until_due > Duration::ZERO {
            // A look half-way costs one request and finds an end before the next part is due.
            let half = middle(*first) / 2;
            let until_half = half.saturating_sub(since);
            return match () {
                () if half <= self.longest * 3 / 2 => until_due.min(self.longest),
                () if until_half > self.longest => until_half,
                () => until_due,
            };
        }
        // Inside a bracket it goes on step by step, between two on to the next.
        let next = due.iter().find(|bracket| since < bracket.late);
        let wait = next.map_or(step, |bracket| bracket.early.saturating_sub(since).max(step));
        if middle(*first) <= self.longest { wait.min(self.longest) } else { wait }
    }

    /// The short tail of an upload whose arrivals do not usually end inside a part.
    fn looks_like_end(&self) -> bool {
        self.in_part && !self.in_part_before
    }

    /// The times after the newest arrival at which the next one is due, in order, apart from one another.
    fn due(&self) -> Vec<Bracket<Duration>> {
        let Some(newest) = self.newest else { return Vec::new() };
        if self.gaps.len() < 2 {
            return Vec::new();
        }
        let blur = newest.late.saturating_duration_since(newest.early);
        // A wide bracket around a narrow one adds no knowledge.
        let telling = self.gaps.iter().filter(|gap| {
            !self
                .gaps
                .iter()
                .any(|other| width(*other) < width(**gap) && gap.early <= middle(*other) && middle(*other) <= gap.late)
        });
        let mut due: Vec<Bracket<Duration>> = telling
            .map(|gap| {
                // Both ends of a gap being off to the same side is rare: two thirds of the brackets hold nearly all arrivals,
                // and one that comes a little later is met by the next look.
                let off = width(*gap) / 3 + blur / 3 + SLACK;
                let expected = middle(*gap) + blur / 2;
                Bracket { early: expected.saturating_sub(off), late: expected + off }
            })
            .collect();
        due.sort_unstable_by_key(|bracket| bracket.early);
        let mut apart: Vec<Bracket<Duration>> = Vec::with_capacity(due.len());
        for bracket in due {
            match apart.last_mut() {
                // Small holes between many brackets are chance; groups are further apart.
                Some(last) if bracket.early <= last.late + last.late / 12 => last.late = last.late.max(bracket.late),
                _ => apart.push(bracket),
            }
        }
        apart
    }
}

fn width(bracket: Bracket<Duration>) -> Duration {
    bracket.late.saturating_sub(bracket.early)
}

fn middle(bracket: Bracket<Duration>) -> Duration {
    (bracket.early + bracket.late) / 2
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
                    rhythm.arrived(now, false);
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

    #[test]
    fn a_steady_source_is_met_at_once_and_by_few_looks() {
        let mut random = fastrand::Rng::with_seed(1);
        let gaps: Vec<f64> = (0..200).map(|_| 6.99 + random.f64() * 0.006).collect();
        let (delay, looks) = summary(&play(&gaps), 6);
        assert!(delay <= Duration::from_millis(40), "{delay:?}");
        assert!(looks <= 4.5, "{looks}");
    }

    #[test]
    fn gaps_in_two_groups_are_met_at_both() {
        let gaps: Vec<f64> = (0..200).map(|i| if i % 3 == 0 { 8.0 } else { 6.0 }).collect();
        let (delay, looks) = summary(&play(&gaps), 10);
        assert!(delay <= Duration::from_millis(60), "{delay:?}");
        assert!(looks <= 6.0, "{looks}");
    }

    #[test]
    fn gaps_that_vary_by_a_fifth_are_met_sooner_than_by_polling() {
        for seed in 0..5 {
            let mut random = fastrand::Rng::with_seed(seed);
            let gaps: Vec<f64> = (0..300).map(|_| 7.0 * (0.9 + 0.2 * random.f64())).collect();
            let (delay, looks) = summary(&play(&gaps), 20);
            assert!(delay <= Duration::from_millis(600), "{delay:?}");
            assert!(looks <= 6.5, "{looks}");
        }
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
                rhythm.arrived(now, false);
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
            rhythm.arrived(now, false);
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
        rhythm.arrived(now, false);
        rhythm.arrived(now, true);
        assert!(rhythm.suspects_end(now));
        assert_eq!(rhythm.wait(now), AFTER_TAIL);
        rhythm.missed(now);
        assert_eq!(rhythm.wait(now), 4 * AFTER_TAIL);
        rhythm.arrived(now, true);
        assert_eq!(rhythm.wait(now), POLL);
    }
}
