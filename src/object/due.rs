//! When the next arrival is due: the likelihood over time, and the looks that are worth their price in it.
//!
//! All times are seconds after the newest arrival's bracket began. Pure.

use std::collections::VecDeque;

/// What a gap counts beside the one after it.
const FADING: f64 = 0.99;

/// The delay in seconds that a look is worth: this share of the time in which an arrival is due, within limits.
const SHARE: f64 = 0.06;
const LEAST_PRICE: f64 = 0.003;
const PRICE: f64 = 0.019;

/// With so few gaps to go by, an arrival is found by more looks: each narrows all brackets to come.
const FEW: usize = 2;
const PRICE_OF_FEW: f64 = 0.0075;

/// The share of a gap's bracket to either side of its middle that holds nearly all arrivals. Both ends being off to the same
/// side is rare; with few gaps it is not rare enough.
const OFF: f64 = 1.0 / 6.0;
const OFF_OF_FEW: f64 = 1.0 / 3.4;

/// The shares of arrivals before which, and by which, the next one is thought to come.
const FIRST: f64 = 0.04;
const LAST: f64 = 0.95;

/// A bracket with at least this share of the likelihood in it is where the arrival was expected.
const TELLING: f64 = 0.1;

/// A stretch in seconds without any likelihood that parts one group of gaps from another.
const FAR: f64 = 0.3;

/// Scheduling and the network move arrivals by about this much, in seconds.
pub(crate) const SLACK: f64 = 0.006;

/// A stretch of time in seconds after the newest arrival's bracket began, or between two arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) early: f64,
    pub(crate) late: f64,
}

impl Span {
    pub(crate) fn width(self) -> f64 {
        self.late - self.early
    }

    pub(crate) fn middle(self) -> f64 {
        f64::midpoint(self.early, self.late)
    }
}

/// When an arrival is due: in one of the spans, as likely as they weigh, and equally likely everywhere in it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    spans: Vec<(Span, f64)>,
    /// Whether few gaps tell it.
    few: bool,
}

impl Due {
    /// On a beat, at one time.
    pub(crate) fn on_beat(beat: Span) -> Self {
        Self { spans: vec![(beat, 1.0)], few: false }
    }

    /// As the gaps say, the oldest first, where the newest arrival is known to `blur` seconds; `None` without any.
    pub(crate) fn by_gaps(gaps: &VecDeque<Span>, blur: f64) -> Option<Self> {
        if gaps.is_empty() {
            return None;
        }
        let few = gaps.len() <= FEW;
        let share = if few { OFF_OF_FEW } else { OFF };
        // A wide bracket around a narrow one adds no knowledge.
        let around = |gap: &Span, other: &Span| {
            other.width() * 1.5 < gap.width() && gap.early <= other.middle() && other.middle() <= gap.late
        };
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * FADING));
        let telling = gaps.iter().rev().zip(weights);
        let telling = telling.filter(|(gap, _)| !gaps.iter().any(|other| around(gap, other)));
        let spans = telling.map(|(gap, weight)| {
            let (middle, off) = (gap.middle() + blur / 2.0, gap.width() * share + blur / 2.0 + SLACK);
            (Span { early: (middle - off).max(0.0), late: middle + off }, weight)
        });
        Some(Self { spans: spans.collect(), few })
    }

    /// How likely it is that it has come by `at`.
    pub(crate) fn share(&self, at: f64) -> f64 {
        let part = |span: &Span| ((at - span.early) / span.width().max(1e-6)).clamp(0.0, 1.0);
        let (sum, all) =
            self.spans.iter().fold((0.0, 0.0), |(sum, all), (span, weight)| (sum + weight * part(span), all + weight));
        sum / f64::max(all, 1e-9)
    }

    /// The time by which it has come with likelihood `share`.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
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
    pub(crate) fn price(&self) -> f64 {
        let most = if self.few { PRICE_OF_FEW } else { PRICE };
        ((self.last() - self.first()) * SHARE).clamp(LEAST_PRICE, most)
    }

    /// Hardly ever before this.
    pub(crate) fn first(&self) -> f64 {
        self.quantile(FIRST)
    }

    pub(crate) fn middle(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Hardly ever after this; one gap out of line does not count.
    pub(crate) fn last(&self) -> f64 {
        self.quantile(LAST)
    }

    /// Where in a bracket an arrival can be thought to begin: behind a stretch of it in which none is likely.
    pub(crate) fn begins_within(&self, early: f64, late: f64) -> f64 {
        let (before, within) = (self.share(early), self.share(late) - self.share(early));
        if within < TELLING { early } else { self.quantile(before + within * FIRST).clamp(early, late) }
    }

    /// The time to look again after nothing had come by `from`: when the delay to be expected reaches the price of a look.
    pub(crate) fn next_look(&self, from: f64) -> f64 {
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

/// When the next arrival is due that keeps to the beat of those before it; `None` if they keep to none.
pub(crate) fn fit(arrivals: &[Span]) -> Option<Span> {
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
