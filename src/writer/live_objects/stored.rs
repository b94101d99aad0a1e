//! Which live objects are stored, and up to where without a gap: what the head may tell. Pure.

use std::collections::BTreeMap;

use crate::protocol::live_objects::{Head, Page};

/// Puts what is stored in any order into the order of the index.
#[derive(Debug)]
pub(super) struct Stored {
    head: Head,
    /// Behind a gap: offsets and lengths.
    beyond: BTreeMap<u64, u64>,
    /// Pages that are full and not stored yet, and their numbers.
    full: Vec<(u32, Page)>,
}

impl Stored {
    /// What `head` tells of is stored.
    #[must_use]
    pub(super) fn new(head: Head) -> Self {
        Self { head, beyond: BTreeMap::new(), full: Vec::new() }
    }

    /// A live object is stored.
    pub(super) fn note(&mut self, offset: u64, length: u64) {
        if length == 0 || offset < self.head.edge() {
            return;
        }
        self.beyond.insert(offset, length);
        while let Some(length) = self.beyond.remove(&self.head.edge()) {
            self.full.extend(self.head.push(length));
        }
    }

    /// Up to where they lie without a gap.
    #[must_use]
    pub(super) fn edge(&self) -> u64 {
        self.head.edge()
    }

    /// The head as it is now. It counts pages that may not be stored yet: see [`Self::unstored_pages`].
    #[must_use]
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The same, to be changed.
    pub(super) fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    /// The full pages that have to be stored before the head that counts them.
    #[must_use]
    pub(super) fn unstored_pages(&self) -> &[(u32, Page)] {
        &self.full
    }

    /// This page is stored.
    pub(super) fn page_is_stored(&mut self, number: u32) {
        self.full.retain(|(full, _)| *full != number);
    }

    /// Offsets of those that lie behind a gap: no index has them.
    pub(super) fn beyond(&self) -> impl Iterator<Item = u64> {
        self.beyond.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::live_objects::RecordingId;
    use crate::protocol::part::PartSize;

    #[test]
    fn the_edge_waits_for_what_is_missing() {
        let mut stored = Stored::new(Head::new(RecordingId::new(0, 0), "u".to_owned(), PartSize::DEFAULT));
        for (offset, length, edge) in [(0, 10, 10), (25, 5, 10), (20, 5, 10), (10, 10, 30), (10, 10, 30), (30, 0, 30)] {
            stored.note(offset, length);
            assert_eq!(stored.edge(), edge, "{offset}");
        }
        stored.note(50, 1);
        assert_eq!(stored.beyond().collect::<Vec<_>>(), [50]);
        assert_eq!(stored.head().page.len(), 4);
    }

    #[test]
    fn full_pages_are_kept_until_they_are_stored() {
        let mut stored = Stored::new(Head::new(RecordingId::new(0, 0), "u".to_owned(), PartSize::DEFAULT));
        for offset in (0..600).rev() {
            stored.note(offset, 1);
        }
        let numbers = |stored: &Stored| stored.unstored_pages().iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!((stored.edge(), numbers(&stored)), (600, vec![0, 1]));
        stored.page_is_stored(0);
        assert_eq!(numbers(&stored), [1]);
    }
}
