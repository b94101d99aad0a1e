//! Answers of one HTTP/2 connection that nobody takes: a client may keep a stream's window shut while the connection lives on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use super::wire::STALLED;

/// All answers of a connection, and since when those wait of which something was handed over.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    waiting: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Stall {
    all: Arc<Stalls>,
    number: u64,
}

impl Stalls {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another answer.
    pub(crate) fn begin(self: &Arc<Self>) -> Stall {
        Stall { all: Arc::clone(self), number: self.next.fetch_add(1, Relaxed) }
    }

    /// Waits until nothing of an answer has been taken for too long.
    pub(crate) async fn too_long(&self) {
        while !self.waiting().values().any(|since| since.elapsed() >= STALLED) {
            sleep(STALLED / 6).await;
        }
    }
}

impl Stall {
    /// More is asked for: what was handed over has been taken.
    pub(crate) fn asked(&self) {
        self.all.waiting().remove(&self.number);
    }

    /// Something was handed over.
    pub(crate) fn handed(&self) {
        self.all.waiting().insert(self.number, Instant::now());
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.asked();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_was_handed_over_and_not_taken_is_a_stall() {
        let stalls = Arc::<Stalls>::default();
        let (one, other) = (stalls.begin(), stalls.begin());
        let soon = || timeout(STALLED * 3, stalls.too_long());
        // At the live edge nothing has been handed over.
        one.handed();
        one.asked();
        assert!(soon().await.is_err());
        other.handed();
        let begun = Instant::now();
        assert!(soon().await.is_ok());
        assert!(begun.elapsed() >= STALLED && begun.elapsed() < STALLED + Duration::from_secs(11));
        drop(other);
        assert!(soon().await.is_err());
    }
}
