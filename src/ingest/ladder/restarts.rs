//! How long to wait before a program that has ended too early is started again: 1 s, then twice as long each time, 30 s at
//! most. A while without an end makes it 1 s again; too many in a short time, and it is given up. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// So many ends in this time are too many.
const MOST: usize = 10;
const WITHIN: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(30);
/// What has run for so long has run well.
const WELL: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Restarts {
    ends: Vec<Instant>,
    /// How often in a row.
    row: u32,
}

impl Restarts {
    /// It has ended now, after it ran for so long; how long to wait, none to give it up.
    pub(super) fn next(&mut self, now: Instant, ran: Duration) -> Option<Duration> {
        self.ends.retain(|end| now.duration_since(*end) < WITHIN);
        self.ends.push(now);
        if self.ends.len() > MOST {
            return None;
        }
        self.row = if ran >= WELL { 0 } else { self.row };
        let wait = Duration::from_secs(1 << self.row.min(5)).min(LONGEST);
        self.row += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_and_too_many_in_a_row_are_the_end() {
        let (mut restarts, mut waits) = (Restarts::default(), Vec::new());
        let mut now = Instant::now();
        while let Some(wait) = restarts.next(now, Duration::ZERO) {
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ran_well_begins_anew() {
        let mut restarts = Restarts::default();
        let mut now = Instant::now();
        for (ran, wait) in [(5, 1), (5, 2), (60, 1), (5, 2), (3600, 1)] {
            now += Duration::from_secs(ran + 30);
            assert_eq!(restarts.next(now, Duration::from_secs(ran)), Some(Duration::from_secs(wait)));
        }
        for _ in 0..100 {
            now += WITHIN / 9;
            assert!(restarts.next(now, Duration::ZERO).is_some());
        }
    }
}
