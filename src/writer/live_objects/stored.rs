//! Which live objects are stored, and up to where without a gap: what the head may tell. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

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

    /// Whether all bytes of `range` are stored, behind a gap or not.
    pub(super) fn covers(&self, range: &Range<u64>) -> bool {
        let mut end = self.head.edge().max(range.start);
        // One that begins before the range may reach into it.
        let first = self.beyond.range(..=end).next_back().map_or(end, |(offset, _)| *offset);
        for (offset, length) in self.beyond.range(first..) {
            if end >= range.end || *offset > end {
                break;
            }
            end = end.max(offset + length);
        }
        end >= range.end && (range.start <= self.head.edge() || self.has(range.start))
    }

    fn has(&self, at: u64) -> bool {
        self.beyond.range(..=at).next_back().is_some_and(|(offset, length)| offset + length > at)
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
    fn a_range_is_covered_when_each_byte_of_it_is_stored() {
        let mut stored = Stored::new(Head::new(RecordingId::new(0, 0), "u".to_owned(), PartSize::DEFAULT));
        for (offset, length) in [(0, 10), (20, 10), (30, 5), (50, 5)] {
            stored.note(offset, length);
        }
        for (range, covered) in
            [(0..10, true), (3..9, true), (5..11, false), (10..20, false), (20..35, true), (22..33, true)]
        {
            assert_eq!(stored.covers(&range), covered, "{range:?}");
        }
        for range in [15..25, 20..36, 35..36, 50..56, 60..61] {
            assert!(!stored.covers(&range), "{range:?}");
        }
        assert!(stored.covers(&(50..55)) && stored.covers(&(54..55)));
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
