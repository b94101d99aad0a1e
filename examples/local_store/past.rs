//! What the store held before each change, for answers that lag behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::catalog::Buckets;

/// Nobody asks for what is older.
const KEPT: Duration = Duration::from_secs(300);

/// The states before each change, oldest first, each with when it ended.
#[derive(Debug, Default)]
pub struct Past {
    kept: AtomicBool,
    states: Mutex<VecDeque<(Instant, Arc<Buckets>)>>,
}

impl Past {
    /// From now on states are kept, or no longer. It costs a copy at each change.
    pub fn keep(&self, kept: bool) {
        self.kept.store(kept, Ordering::Relaxed);
        if !kept {
            self.states.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// This is about to change.
    pub fn remember(&self, buckets: &Buckets) {
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        states.push_back((now, Arc::new(buckets.clone())));
        while states.front().is_some_and(|(ended, _)| now.duration_since(*ended) > KEPT) {
            states.pop_front();
        }
    }

    /// What was held so long ago; `None`: what is held now.
    pub fn before(&self, age: Duration) -> Option<Arc<Buckets>> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let then = Instant::now().checked_sub(age)?;
        states.iter().find(|(ended, _)| *ended > then).map(|(_, buckets)| Arc::clone(buckets))
    }
}
