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
    free: AtomicU64,
    sent: AtomicU64,
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
    /// Those of the others that no store bills: abort and delete.
    pub free: u64,
    /// Bytes of parts and objects that were sent, those sent again included.
    pub sent: u64,
}

impl Totals {
    /// Those that Amazon S3 and most others bill as PUT, COPY, POST or LIST.
    #[must_use]
    pub fn billed_as_writes(&self) -> u64 {
        (self.uploads + self.lists + self.others).saturating_sub(self.free)
    }

    /// The same by what they are billed as.
    #[must_use]
    pub fn by_class(&self) -> String {
        let count = |count: u64, kind: &str| format!("{count} {kind}{}", if count == 1 { "" } else { "s" });
        format!("billed as {} and {}", count(self.billed_as_writes(), "write"), count(self.reads, "read"))
    }
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
        self.free.fetch_add(1, Relaxed);
        Right::Delete
    }

    pub(super) fn abort(&self) -> Right {
        self.free.fetch_add(1, Relaxed);
        self.other()
    }

    /// A body of so many bytes is sent.
    pub(super) fn sends(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            uploads: self.uploads.load(Relaxed),
            reads: self.reads.load(Relaxed),
            lists: self.lists.load(Relaxed),
            others: self.others.load(Relaxed),
            free: self.free.load(Relaxed),
            sent: self.sent.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_of_one_class() {
        let tally = Tally::default();
        for count in [Tally::upload, Tally::read, Tally::read, Tally::list, Tally::other, Tally::deletion, Tally::abort]
        {
            count(&tally);
        }
        tally.sends(70);
        let totals = tally.totals();
        assert_eq!((totals.billed_as_writes(), totals.reads, totals.free, totals.sent), (3, 2, 2, 70));
        assert_eq!(totals.to_string(), "1 upload, 2 reads, 1 list, 3 other");
        assert_eq!(totals.by_class(), "billed as 3 writes and 2 reads");
    }
}
