//! Remembers what the store has allowed these credentials already, so that a refusal that may pass is told from a key that
//! never had the right.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// To start, fill, complete and abort uploads, and to put objects.
    Write,
    /// To read an object.
    Read,
    /// To list. A key may have it for one bucket, or for one sort of list: none allows another.
    List,
}

/// What was allowed; shared by all clones of one store.
#[derive(Debug, Default)]
pub(super) struct Granted {
    writes: AtomicBool,
    /// The object that was read last. A key that may read one need not be allowed to learn that another does not exist.
    read: Mutex<String>,
}

impl Granted {
    /// The store did what was asked for.
    pub(super) fn note(&self, right: Right, object: &str) {
        match right {
            Right::Write => self.writes.store(true, Relaxed),
            Right::Read => {
                let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                if *last != object {
                    object.clone_into(&mut last);
                }
            }
            Right::List => {}
        }
    }

    /// Whether the store has done the like before.
    pub(super) fn before(&self, right: Right, object: &str) -> bool {
        match right {
            Right::Write => self.writes.load(Relaxed),
            Right::Read => *self.read.lock().unwrap_or_else(PoisonError::into_inner) == object,
            Right::List => false,
        }
    }

    /// The credentials are asked for again: what the old ones were allowed says nothing of the new ones.
    pub(super) fn forget(&self) {
        self.writes.store(false, Relaxed);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_right_says_nothing_of_another() {
        let granted = Granted::default();
        assert!(!granted.before(Right::Write, "s3://b/k") && !granted.before(Right::Read, "s3://b/k"));
        granted.note(Right::Write, "s3://b/k");
        assert!(granted.before(Right::Write, "s3://b/other") && !granted.before(Right::Read, "s3://b/k"));
        granted.note(Right::Read, "s3://b/k");
        assert!(granted.before(Right::Read, "s3://b/k") && !granted.before(Right::Read, "s3://b/other"));
        granted.note(Right::List, "s3://b/k");
        assert!(!granted.before(Right::List, "s3://b/k"));
        granted.forget();
        assert!(!granted.before(Right::Write, "s3://b/k") && !granted.before(Right::Read, "s3://b/k"));
    }
}
