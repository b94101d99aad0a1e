//! How what comes is spread: in bursts one beat apart, as an encoder gives its fragments away, or in no such way. Pure: it is
//! told the times and never asks for one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Gaps that are remembered, all of which have to be there before anything is believed.
const REMEMBERED: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    /// When the newest burst began, and when something came last.
    newest: Option<(Instant, Instant)>,
    /// Between the beginnings of the newest bursts.
    gaps: VecDeque<Duration>,
}

impl Bursts {
    /// Something came; gives whether a burst begins with it: nothing has come for as long as `apart`.
    pub(super) fn came(&mut self, now: Instant, apart: Duration) -> bool {
        let Some((began, last)) = self.newest else {
            self.newest = Some((now, now));
            return true;
        };
        let since = now.saturating_duration_since(began);
        if now.saturating_duration_since(last) < apart {
            self.newest = Some((began, now));
            // It goes on and on.
            if self.gaps.iter().any(|gap| since >= *gap) {
                self.gaps.clear();
            }
            return false;
        }
        self.newest = Some((now, now));
        self.gaps.push_back(since);
        if self.gaps.len() > REMEMBERED {
            self.gaps.pop_front();
        }
        true
    }

    /// How far apart they come, where that is regular.
    pub(super) fn gap(&self) -> Option<Duration> {
        let (shortest, longest) = (self.gaps.iter().min()?, self.gaps.iter().max()?);
        let is_regular = self.gaps.len() == REMEMBERED && *longest <= *shortest * 3 / 2;
        let count = u32::try_from(self.gaps.len()).ok()?;
        self.gaps.iter().sum::<Duration>().checked_div(count).filter(|_| is_regular)
    }

    /// When something came last.
    pub(super) fn last(&self) -> Option<Instant> {
        self.newest.map(|(_, last)| last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_millis(100);

    /// What becomes of input that comes at these milliseconds.
    fn gap(times: impl IntoIterator<Item = u64>) -> Option<u128> {
        let (mut bursts, start) = (Bursts::default(), Instant::now());
        for at in times {
            bursts.came(start + Duration::from_millis(at), APART);
        }
        bursts.gap().map(|gap| gap.as_millis())
    }

    #[test]
    fn fragments_are_bursts_and_what_trickles_or_stutters_is_none() {
        // Each fragment in several pieces.
        let fragments = |count: u64| (0..count).flat_map(|number| (0..8).map(move |piece| number * 500 + piece * 3));
        assert_eq!(gap(fragments(4)), None);
        assert_eq!(gap(fragments(5)), Some(500));
        assert_eq!(gap([0, 520, 1_040, 1_560, 2_000]), Some(500));
        assert_eq!(gap((0..500).map(|number| number * 10)), None);
        assert_eq!(gap([0, 500, 1_500, 1_700, 2_500]), None);
        // Bursts, and then without a pause.
        assert_eq!(gap(fragments(9).chain((0..60).map(|number| 4_500 + number * 10))), None);
    }
}
