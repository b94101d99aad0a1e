//! What is being recorded, and what has been.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ingest::figures::Figures;
use crate::tool::progress::Progress;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Register {
    /// By their names.
    recordings: Mutex<BTreeMap<String, Recording>>,
    complete: AtomicU64,
    failed: AtomicU64,
}

/// Something that is being recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The stream's name.
    pub stream: String,
    /// The key of the object; of the first, where there are several.
    pub object: String,
    /// Seconds since 1970.
    pub started: i64,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// What is counted of what its encoders send; none of what is made here.
    pub figures: Option<Arc<Figures>>,
}

/// Takes a recording out again when it is dropped.
#[derive(Debug)]
pub struct Entry {
    register: Arc<Register>,
    session: String,
}

impl Register {
    /// A recording has begun.
    #[must_use]
    pub fn enter(self: &Arc<Self>, session: &str, recording: Recording) -> Entry {
        self.recordings().insert(session.to_owned(), recording);
        Entry { register: self.clone(), session: session.to_owned() }
    }

    /// One is over.
    pub fn ended(&self, well: bool) {
        (if well { &self.complete } else { &self.failed }).fetch_add(1, Relaxed);
    }

    /// How many could be completed, and how many could not.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.complete.load(Relaxed), self.failed.load(Relaxed))
    }

    /// All that is being recorded, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Recording)> {
        self.recordings().iter().map(|(session, recording)| (session.clone(), recording.clone())).collect()
    }

    fn recordings(&self) -> MutexGuard<'_, BTreeMap<String, Recording>> {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.register.recordings().remove(&self.session);
    }
}
