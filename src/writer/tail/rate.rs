//! How fast input comes in, the newest counting most. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The rate of the input is measured over stretches of at least this length ...
const STRETCH: Duration = Duration::from_secs(1);

/// ... and an old stretch counts half after this time, in seconds.
const HALF_LIFE: f64 = 8.0;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Rate {
    since: Option<Instant>,
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    /// Bytes a second; none before the first stretch is over.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.per_second
    }

    /// So many bytes came.
    pub(super) fn note(&mut self, now: Instant, count: u64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_was_is_forgotten_after_the_half_life() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        // When something came, how much, and the rate from then on.
        for (second, bytes, want) in
            [(0, 0, None), (1, 1_000, Some(1_000.0)), (9, 0, Some(500.0)), (17, 8_000, Some(750.0))]
        {
            rate.note(start + Duration::from_secs(second), bytes);
            assert_eq!(rate.per_second(), want, "after {second} s");
        }
    }
}
