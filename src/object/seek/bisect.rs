//! The last fragment by a time: guessed, and from close by reached from fragment to fragment.

use super::{INDEX, JUMP, NEAR, SeekError, Seeker, after, span};
use crate::media::fmp4::{Fragment, Track};

impl Seeker<'_> {
    /// The last fragment of the main track that is decoded no later than `target` nanoseconds.
    ///
    /// # Errors
    /// What the store said.
    pub async fn last_by(&mut self, target: i64) -> Result<Fragment, SeekError> {
        let (mut low, mut high) = self.around(target);
        // No fragment of the main track begins between `low` and there.
        let mut floor = 0;
        // How much was left before the last step, and how many steps in a row left more than half.
        let (mut before, mut lazy) = ((u64::MAX, u64::MAX), 0);
        loop {
            let begin = after(&low).max(floor);
            let gap = high.0.saturating_sub(begin);
            let is_newest = high.1.is_none() && self.end_seen;
            if gap == 0 || is_newest || lasts_beyond(&self.main, &low, target) {
                return Ok(low);
            }
            let ahead = self.guess(&low, high, target);
            if high.1.is_none() && ahead.is_none_or(|ahead| ahead >= gap) {
                self.look_at_end().await?;
                (low, high) = self.around(target);
                continue;
            }
            let ahead = ahead.unwrap_or(gap / 2).min(gap);
            lazy = if gap > before.0 / 2 && ahead > before.1 / 2 { lazy + 1 } else { 0 };
            before = (gap, ahead);
            let near = span(&low).saturating_mul(3).max(NEAR);
            if gap <= NEAR || (ahead <= near && lazy < 2) {
                let reach = high.0.min(begin.saturating_add(near));
                let (last, over) = self.walk(begin, reach, target, low).await?;
                if over {
                    return Ok(last);
                }
                (low, floor) = (last, reach);
                continue;
            }
            let place = if lazy >= 2 {
                lazy = 0;
                gap / 2
            } else {
                // A little before it, because from there on it is reached from fragment to fragment.
                ahead.saturating_sub((ahead / 32).saturating_add(span(&low)))
            };
            let middle = begin.saturating_add(place.min(gap.saturating_sub(1)));
            match self.first_in(middle, high.0).await?.map(|found| (order(&self.main, &found), found)) {
                Some((Some(time), found)) if time <= target => low = found,
                Some((Some(time), _)) => high = (middle, Some(time)),
                _ => high.0 = middle,
            }
        }
    }

    /// What is known around a time: the last fragment by then, and where the next one begins and when. Without a next one,
    /// the live edge.
    fn around(&self, target: i64) -> (Fragment, (u64, Option<i64>)) {
        let mut low = &self.lead;
        for fragment in self.seen.values() {
            match order(&self.main, fragment) {
                Some(time) if time <= target => low = fragment,
                Some(time) => return (low.clone(), (fragment.moof, Some(time))),
                None => {}
            }
        }
        (low.clone(), (self.edge, None))
    }

    /// How many bytes after `low` the target is likely to be: by the times at either side, or else by the rate so far.
    fn guess(&self, low: &Fragment, high: (u64, Option<i64>), target: i64) -> Option<u64> {
        let time = order(&self.main, low)?;
        let (bytes, whole) = match high {
            (high, Some(end)) => (high.saturating_sub(low.first), end.abs_diff(time)),
            _ if low.moof == self.lead.moof => {
                let run = self.main_run(low)?;
                let whole = run.nanos(i64::try_from(run.duration).unwrap_or(i64::MAX));
                (span(low), whole.unsigned_abs())
            }
            _ => (low.first.saturating_sub(self.lead.first), time.abs_diff(order(&self.main, &self.lead)?)),
        };
        let share = u128::from(target.abs_diff(time));
        let at = u128::from(bytes) * share / u128::from(whole).max(1);
        Some(u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(span(low)))
    }

    /// The last fragment by `target` of those that begin between two places; true if a later one was seen there, or it lasts
    /// beyond.
    async fn walk(
        &mut self,
        begin: u64,
        reach: u64,
        target: i64,
        low: Fragment,
    ) -> Result<(Fragment, bool), SeekError> {
        let main = self.main.clone();
        let (mut last, mut over) = (low, false);
        // Where media data are so short that they are read along, more is read at once.
        let window = if span(&last) > JUMP { INDEX } else { JUMP };
        self.scan(begin, false, window, reach, |fragment| {
            match order(&main, fragment) {
                _ if fragment.moof >= reach => return false,
                Some(time) if time <= target => {
                    last = fragment.clone();
                    over = lasts_beyond(&main, fragment, target);
                }
                Some(_) => over = true,
                None => {}
            }
            !over
        })
        .await?;
        Ok((last, over))
    }
}

/// A time that never falls from fragment to fragment, and is no later than the first frame's presentation.
fn order(main: &Track, fragment: &Fragment) -> Option<i64> {
    let run = fragment.run(main.id)?;
    let decode = i64::try_from(run.decode).ok()?.saturating_add(main.edit_offset);
    Some(run.nanos(decode.min(run.first)))
}

/// Whether the main track's samples in a fragment reach beyond `target`, so that the next ones come after it.
fn lasts_beyond(main: &Track, fragment: &Fragment, target: i64) -> bool {
    let (Some(run), Some(time)) = (fragment.run(main.id), order(main, fragment)) else { return false };
    let duration = run.nanos(i64::try_from(run.duration).unwrap_or(i64::MAX));
    time.saturating_add(duration) > target
}
