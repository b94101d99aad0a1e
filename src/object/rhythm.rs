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
//! An example: 5 MB parts at 6 Mbit/s, so one in 6.7 s; looks before anything is known are 1 s apart.
//!
//! ```text
//! part 1   found by the look at  3.0 s, the one before was at  2.0: it came in 2.0 .. 3.0
//! part 2   found by the look at 10.0 s, the one before was at  9.0: it came in 9.0 .. 10.0
//!          so the gap is 6.0 .. 8.0, most likely 7.0; the next is due 7.0 after 9.5, give or take a second
//! part 3   one look half-way (is the upload over?), then from 15.4 s on one each 0.1 to 0.2 s: it came in 16.0 .. 16.1
//!          so the second gap is 6.0 .. 7.1
//! part 4   due in 22.0 .. 23.2, of which what the first gap excludes is left out; some five looks in there
//! part 9   the brackets of six arrivals fit one beat only, of 6.66 .. 6.67 s: three or four looks, 10 to 20 ms late
//! ```
//!
//! Pure: it is told the times and never asks for one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::object::due::{Due, SLACK, Span, fit};

/// Arrivals that are remembered: enough to show how gaps vary, few enough to follow a change of bitrate.
const REMEMBERED: usize = 24;

/// Gaps that are forgotten with each that tells nothing.
const FORGOTTEN: usize = 6;

/// The shortest wait between two looks, in seconds.
const CLOSEST: f64 = 0.012;

/// Looks for each arrival while nothing is known but how far they are to be apart.
const EXPECTED: u32 = 8;

/// A beat is made of at least this many arrivals.
const BEAT: usize = 6;

/// The first wait after a short tail part, which is how an upload ends.
const AFTER_TAIL: Duration = Duration::from_millis(100);

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
    /// When the next arrival is due by all of these; `None` without a rhythm.
    due: Option<Due>,
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
            due: None,
            looked: None,
            misses: 0,
            pace: longest,
            early_hits: 0,
            in_part: false,
            in_part_before: false,
        }
    }

    /// Something is to come about each `gap`: as long as that has not been seen, looks are closer together than that.
    #[must_use]
    pub fn expecting(mut self, gap: Duration) -> Self {
        self.pace = (gap / EXPECTED).clamp(duration(CLOSEST), self.longest);
        self
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
            _ if self.looked.is_none() || self.due.is_some() => self.longest,
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
        if let (Some(newest), Some(due)) = (self.arrivals.back(), &self.due) {
            let expected = newest.early + duration(due.first() - self.lead(due));
            if looked < expected && late > newest.early {
                // It was there before it was looked for, hardly long before.
                self.early_hits = self.early_hits.saturating_add(1);
                early = looked.max(expected.min(late).checked_sub(duration(self.lead(due))).unwrap_or(looked));
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
        self.due = self.next_due();
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
        self.due = None;
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
        let (Some(newest), Some(due)) = (self.arrivals.back(), &self.due) else { return true };
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
        let (Some(newest), Some(due)) = (self.arrivals.back(), &self.due) else {
            // While nothing comes there is nothing to be learned either.
            return self.pace.saturating_mul(1 << (self.misses / 8).min(16)).min(self.longest);
        };
        let longest = self.longest.as_secs_f64();
        let (since, first, last) = (seconds(newest.early, now), due.first() - self.lead(due), due.last());
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
    fn next_due(&self) -> Option<Due> {
        if let Some(beat) = self.beat() {
            return Some(Due::on_beat(beat));
        }
        let newest = self.arrivals.back()?;
        Due::by_gaps(&self.gaps, seconds(newest.early, newest.late))
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

/// From one time to a later one.
fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

#[cfg(test)]
#[path = "rhythm_tests.rs"]
mod tests;
