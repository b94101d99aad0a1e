//! How often something may happen in a while, counted for each of many: beginnings of a stream, wrong keys.
//! Pure: the time is told.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// At most so many in a while; see the [module](self).
#[derive(Debug)]
pub(super) struct Rate<K> {
    most: u32,
    each: Duration,
    /// So many are kept in mind; then those of long ago are forgotten.
    kept: usize,
    seen: HashMap<K, (Instant, u32)>,
}

impl<K: Hash + Eq> Rate<K> {
    pub(super) fn new(most: u32, each: Duration, kept: usize) -> Self {
        Self { most, each, kept, seen: HashMap::new() }
    }

    /// Whether there have been too many.
    pub(super) fn is_over(&self, of: &K, now: Instant) -> bool {
        self.seen.get(of).is_some_and(|(since, count)| *count >= self.most && now < *since + self.each)
    }

    /// Whether one can be counted without forgetting another that still matters.
    pub(super) fn has_room_for(&mut self, of: &K, now: Instant) -> bool {
        let each = self.each;
        if self.seen.len() >= self.kept {
            self.seen.retain(|_, (since, _)| now < *since + each);
        }
        self.seen.len() < self.kept || self.seen.contains_key(of)
    }

    /// Counts one. The last one that may be begins the while anew.
    pub(super) fn count(&mut self, of: K, now: Instant) {
        if !self.has_room_for(&of, now) {
            // As many at once are no accident; nobody else is to pay for it.
            self.seen.clear();
        }
        let each = self.each;
        let (since, count) = self.seen.entry(of).or_insert((now, 0));
        if now >= *since + each {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count == self.most {
            *since = now;
        }
    }
}

#[cfg(test)]
impl<K> Rate<K> {
    /// How many are kept in mind.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: usize = 10_000;

    #[test]
    fn too_many_are_refused_for_a_while() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut rate = Rate::new(3, 60 * second, KEPT);
        for at in [0, 10, 50] {
            assert!(!rate.is_over(&1, start + at * second), "{at}");
            rate.count(1, start + at * second);
        }
        for (at, over) in [(50, true), (109, true), (110, false)] {
            assert_eq!(rate.is_over(&1, start + at * second), over, "{at}");
        }
        assert!(!rate.is_over(&2, start + 50 * second));
        // Two in each while are fine for ever.
        for at in (200..2000).step_by(30) {
            assert!(!rate.is_over(&3, start + at * second));
            rate.count(3, start + at * second);
        }
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let mut rate = Rate::new(3, Duration::from_secs(60), KEPT);
        let now = Instant::now();
        for of in 0..3 * KEPT {
            rate.count(of, now);
        }
        assert!(rate.seen.len() <= KEPT);
    }
}
