//! Counts the requests by the kinds that stores bill apart.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::granted::Right;

/// Running counts; shared by all clones of one store.
#[derive(Debug, Default)]
pub struct Tally {
    uploads: AtomicU64,
    reads: AtomicU64,
    lists: AtomicU64,
    others: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Parts and small objects sent, repeated ones included (free on Backblaze B2).
    pub uploads: u64,
    /// GET and HEAD of objects.
    pub reads: u64,
    /// Lists of uploads or parts, the dearest kind.
    pub lists: u64,
    /// Everything else: start, complete, abort, delete.
    pub others: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.uploads, "upload"), (self.reads, "read"), (self.lists, "list"), (self.others, "other")];
        let some = kinds.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some
            .map(|(count, kind)| match (count, kind) {
                (_, "other") | (1, _) => format!("{count} {kind}"),
                _ => format!("{count} {kind}s"),
            })
            .collect();
        write!(f, "{}", if words.is_empty() { "none".to_owned() } else { words.join(", ") })
    }
}

/// Each counts a request, and tells the right that it needs.
impl Tally {
    pub(super) fn upload(&self) -> Right {
        self.uploads.fetch_add(1, Relaxed);
        Right::Write
    }

    pub(super) fn read(&self) -> Right {
        self.reads.fetch_add(1, Relaxed);
        Right::Read
    }

    pub(super) fn list(&self) -> Right {
        self.lists.fetch_add(1, Relaxed);
        Right::List
    }

    pub(super) fn other(&self) -> Right {
        self.others.fetch_add(1, Relaxed);
        Right::Write
    }

    pub(super) fn deletion(&self) -> Right {
        self.others.fetch_add(1, Relaxed);
        Right::Delete
    }

    /// The counts now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            uploads: self.uploads.load(Relaxed),
            reads: self.reads.load(Relaxed),
            lists: self.lists.load(Relaxed),
            others: self.others.load(Relaxed),
        }
    }
}
