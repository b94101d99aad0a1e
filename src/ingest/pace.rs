//! How fast what an encoder sends is read, where it may send so many bits a second and no more. Nothing is dropped: whoever
//! sends faster waits until his bytes are taken, as he would on a slow line.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What was not sent in so long may be sent at once: key frames are larger than others.
const AT_ONCE: Duration = Duration::from_secs(2);
/// After so long another limit is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// People are told when it has had to wait for so long in all.
const TOLD: Duration = Duration::from_secs(5);

/// Of one recording, whoever sends it, over however many connections.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Bits a second.
    most: Option<u64>,
    /// Until when what came is as fast as it may be.
    until: Instant,
    waited: Duration,
    told: bool,
}

impl Pace {
    pub(super) fn new(most: Option<u64>) -> Self {
        let now = Instant::now();
        let until = now.checked_sub(AT_ONCE).unwrap_or(now);
        Self(Mutex::new(State { most, until, waited: Duration::ZERO, told: false }))
    }

    /// From here on it is this.
    pub(super) fn set(&self, most: Option<u64>) {
        self.state().most = most;
    }

    /// Waits until more may be read. Dropping the future loses nothing.
    pub(super) async fn is_due(&self) {
        while let Some(early) = self.early() {
            let some = early.min(LOOK);
            sleep(some).await;
            self.waited(some);
        }
    }

    /// So many bytes came.
    pub(super) fn came(&self, bytes: usize) {
        let mut state = self.state();
        let Some(most) = state.most.filter(|most| *most > 0) else { return };
        let nanos = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(8_000_000_000) / u128::from(most);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        let from = state.until.max(now.checked_sub(AT_ONCE).unwrap_or(now));
        state.until = from.checked_add(takes).unwrap_or(from);
    }

    fn early(&self) -> Option<Duration> {
        let state = self.state();
        state.most?;
        Some(state.until.saturating_duration_since(Instant::now())).filter(|early| !early.is_zero())
    }

    fn waited(&self, time: Duration) {
        let mut state = self.state();
        state.waited = state.waited.saturating_add(time);
        if state.waited >= TOLD && !std::mem::replace(&mut state.told, true) {
            let most = state.most.unwrap_or_default() / 1000;
            tracing::warn!(
                event = "slowed",
                "the encoder sends more than the {most} kbit/s that it may (--max-bitrate): it is made to wait"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to read so many bytes, in pieces of this size.
    async fn takes(pace: &Pace, pieces: usize, size: usize) -> Duration {
        let began = Instant::now();
        for _ in 0..pieces {
            pace.is_due().await;
            pace.came(size);
        }
        pace.is_due().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_more_waits_and_who_sends_less_does_not() {
        let pace = Pace::new(None);
        assert_eq!(takes(&pace, 1000, 1_000_000).await, Duration::ZERO);
        // 8 Mbit/s are a megabyte a second; two seconds may come at once.
        pace.set(Some(8_000_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        let ten = takes(&pace, 100, 100_000).await.as_secs_f64();
        assert!((7.9..8.2).contains(&ten), "{ten}");
        let ten = takes(&pace, 100, 100_000).await.as_secs_f64();
        assert!((9.9..10.2).contains(&ten), "{ten}");
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(takes(&pace, 10, 99_000).await, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_limit_goes_for_those_who_wait_already() {
        let pace = Pace::new(Some(10_000));
        pace.came(1 << 20);
        pace.set(None);
        assert_eq!(takes(&pace, 1, 1_000_000).await, Duration::ZERO);
        pace.set(Some(10_000));
        pace.came(1 << 20);
        let waits = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = pace.is_due() => panic!("it is not due"),
                () = sleep(Duration::from_secs(5)) => pace.set(None),
            }
            takes(&pace, 1, 1).await
        });
        assert_eq!(waits.await.expect("no panic"), Duration::ZERO);
    }
}
