//! How regularly what is recorded comes: the longest gap between two arrivals at the live edge of late, but for one. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Gaps that are remembered.
const REMEMBERED: usize = 12;

/// What comes so soon after the last has come with it.
const TOGETHER: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals {
    last: Option<Instant>,
    gaps: VecDeque<Duration>,
}

impl Arrivals {
    /// Something has come at the live edge.
    pub(crate) fn came(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let gap = now.duration_since(last);
        if gap < TOGETHER {
            return;
        }
        self.gaps.push_back(gap);
        if self.gaps.len() > REMEMBERED {
            self.gaps.pop_front();
        }
    }

    /// It was not watched for a while.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }

    /// The longest gap, once two have been seen; of many the longest but one, for anything may hiccup once.
    pub(crate) fn burst(&self) -> Option<Duration> {
        let mut gaps: Vec<_> = self.gaps.iter().copied().collect();
        gaps.sort_unstable();
        let most = if gaps.len() > REMEMBERED / 2 { gaps.len() - 2 } else { gaps.len().saturating_sub(1) };
        gaps.get(most).copied().filter(|_| gaps.len() > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_of_late_but_one_counts() {
        let (mut arrivals, mut now) = (Arrivals::default(), Instant::now());
        let mut after = |millis: u64| {
            now += Duration::from_millis(millis);
            arrivals.came(now);
            arrivals.burst().map(|burst| burst.as_millis())
        };
        assert_eq!((after(0), after(900), after(10)), (None, None, None));
        assert_eq!((after(1_000), after(4_000)), (Some(1_000), Some(4_000)));
        // One hiccup is none; two are.
        for want in [4_000, 4_000, 4_000, 1_000, 1_000] {
            assert_eq!(after(1_000), Some(want));
        }
        assert_eq!(after(5_000), Some(4_000));
        for _ in 0..REMEMBERED {
            after(1_000);
        }
        assert_eq!(after(1_000), Some(1_000));
    }
}
