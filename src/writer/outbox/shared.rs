//! What all outboxes of one writer share: memory, turns, and how the store is doing.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::writer::pool::PartPool;

/// Cheap to clone; clones share all of it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The buffers.
    pub(super) pool: PartPool,
    /// One more, for a part on disk while all others are held by parts that cannot go there because it is full.
    pub(super) spare: PartPool,
    /// Who has one may send a part.
    pub(super) turns: Arc<Semaphore>,
    /// Parts in flight at once.
    pub(super) concurrency: usize,
    /// Parts whose last attempt failed.
    pub(super) failing: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// When a part was last stored, or the first of a new burst sent.
    moved: Instant,
    /// Since when no more input can be taken; `None` while it can.
    closed: Option<Instant>,
    /// No more input comes.
    ended: bool,
}

impl Shared {
    pub(super) fn new(pool: PartPool, concurrency: usize, spools: bool) -> Self {
        let now = Instant::now();
        let state = State { moved: now, closed: (!spools).then_some(now), ended: false };
        Self {
            spare: pool.another(1),
            pool,
            turns: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            failing: Arc::default(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// A part was stored, or the first of a new burst is about to be sent.
    pub(super) fn moves(&self) {
        self.lock().moved = Instant::now();
    }

    /// How long nothing has been stored.
    pub(super) fn still_for(&self) -> Duration {
        self.lock().moved.elapsed()
    }

    /// Whether a part that keeps failing may give up after this time: not while input goes on and there is room for more of
    /// it, since nothing is lost by waiting.
    pub(super) fn may_give_up(&self, after: Duration) -> bool {
        self.lock().closed.is_some_and(|since| since.elapsed() >= after)
    }

    /// There is room for more input, or there is none.
    pub(super) fn has_room(&self, room: bool) {
        let mut state = self.lock();
        if room && !state.ended {
            state.closed = None;
        } else {
            state.closed.get_or_insert_with(Instant::now);
        }
    }

    /// No more input comes: from now on time counts for parts that fail.
    pub fn input_ended(&self) {
        self.lock().ended = true;
        self.has_room(false);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a part among the failing ones from its first failed attempt until it is stored or given up.
    pub(super) fn failing(&self) -> Failing {
        Failing { count: self.failing.clone(), counted: false }
    }
}

/// See [`Shared::failing`].
#[derive(Debug)]
pub(super) struct Failing {
    count: Arc<AtomicUsize>,
    counted: bool,
}

impl Failing {
    pub(super) fn failed(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.count.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if self.counted {
            self.count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_part_gives_up_while_input_goes_on_and_there_is_room_for_it() {
        let (after, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let shared = |spools| Shared::new(PartPool::new(1, 1), 1, spools);
        let spooling = shared(true);
        tokio::time::advance(hour).await;
        assert!(!spooling.may_give_up(after));
        spooling.has_room(false);
        tokio::time::advance(after / 2).await;
        spooling.has_room(false);
        assert!(!spooling.may_give_up(after));
        tokio::time::advance(after / 2).await;
        assert!(spooling.may_give_up(after));
        spooling.has_room(true);
        assert!(!spooling.may_give_up(after));
        spooling.input_ended();
        tokio::time::advance(after / 2).await;
        spooling.has_room(true);
        assert!(!spooling.may_give_up(after));
        tokio::time::advance(after / 2).await;
        assert!(spooling.may_give_up(after));
        let waiting = shared(false);
        tokio::time::advance(after).await;
        assert!(waiting.may_give_up(after));
    }
}
