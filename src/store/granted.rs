//! Remembers what the store has allowed these credentials already, so that a refusal that may pass is told from a key that
//! never had the right.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// To start, fill, complete and abort uploads, and to put objects.
    Write,
    /// To read an object.
    Read,
    /// To delete. Keys that may write need not have it.
    Delete,
    /// To list. A key may have it for one bucket, or for one sort of list: none allows another.
    List,
}

/// What was allowed; shared by all clones and buckets of one store.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// The buckets that were written to: a key may be for one of them alone.
    writes: Mutex<BTreeSet<String>>,
    /// The object that was read last. A key that may read one need not be allowed to learn that another does not exist.
    read: Mutex<String>,
}

impl Granted {
    /// The store did what was asked for.
    pub(super) fn note(&self, right: Right, bucket: &str, object: &str) {
        match right {
            Right::Write => {
                let mut writes = lock(&self.writes);
                if !writes.contains(bucket) {
                    writes.insert(bucket.to_owned());
                }
            }
            Right::Read => {
                let mut last = lock(&self.read);
                if *last != object {
                    object.clone_into(&mut last);
                }
            }
            Right::Delete | Right::List => {}
        }
    }

    /// Whether the store has done the like before.
    pub(super) fn before(&self, right: Right, bucket: &str, object: &str) -> bool {
        match right {
            Right::Write => lock(&self.writes).contains(bucket),
            Right::Read => *lock(&self.read) == object,
            Right::Delete | Right::List => false,
        }
    }

    /// The credentials are asked for again: what the old ones were allowed says nothing of the new ones.
    pub(super) fn forget(&self) {
        lock(&self.writes).clear();
        lock(&self.read).clear();
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_right_says_nothing_of_another() {
        let granted = Granted::default();
        let before = |right, object| granted.before(right, "b", object);
        assert!(!before(Right::Write, "s3://b/k") && !before(Right::Read, "s3://b/k"));
        granted.note(Right::Write, "b", "s3://b/k");
        assert!(before(Right::Write, "s3://b/other") && !before(Right::Read, "s3://b/k"));
        assert!(!granted.before(Right::Write, "c", "s3://c/k"), "a key may be for one bucket alone");
        granted.note(Right::Read, "b", "s3://b/k");
        assert!(before(Right::Read, "s3://b/k") && !before(Right::Read, "s3://b/other"));
        granted.note(Right::List, "b", "s3://b/k");
        assert!(!before(Right::List, "s3://b/k"));
        granted.forget();
        assert!(!before(Right::Write, "s3://b/k") && !before(Right::Read, "s3://b/k"));
    }
}
