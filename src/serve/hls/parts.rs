//! The parts of a segment (`EXT-X-PART`): fragments, or several together where they are short. Pure.
//!
//! How long a part may be is decided by the fragments of the first segment, and by nothing else, so that every gateway decides
//! the same and it never changes. A part ends as soon as it has 85 hundredths of that, which is what RFC 8216bis (4.4.4.9)
//! asks of all but the last of a segment. An object that goes on another one of the same stream takes over what was decided there.

use std::collections::VecDeque;

/// Fragments longer than this, in microseconds, bring nobody nearer to live than segments do.
const LONGEST: u64 = 1_000_000;

/// About how long a part is, in microseconds, where fragments are shorter.
const AIM: u64 = 550_000;

/// Segments whose parts are kept: more than are ever listed.
const KEPT: usize = 8;

/// Fragments of the first segment that are looked at.
const LOOKED_AT: usize = 1_024;

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) end: u64,
    /// How long it plays, in microseconds.
    pub(crate) micros: u64,
    /// Whether it begins with a key frame.
    pub(crate) key: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    rule: Rule,
    /// Of the segment that is not whole yet.
    open: Vec<Part>,
    /// What is too short yet.
    gathering: Option<Part>,
    /// How long the fragment plays that has begun.
    begun: u64,
    /// Of the newest whole segments, by their numbers.
    closed: VecDeque<(usize, Vec<Part>)>,
}

#[derive(Debug)]
enum Rule {
    /// How long the fragments of the first segment are, in microseconds.
    Open(Vec<u64>),
    /// There are none.
    Without,
    /// None is longer than this, in microseconds.
    Target(u64),
}

impl Default for Rule {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

/// How long a part of fragments of these lengths may be at most, in microseconds; none where parts bring nothing.
fn target(fragments: &[u64]) -> Option<u64> {
    let longest = fragments.iter().copied().max().filter(|_| fragments.len() > 1)?;
    if longest == 0 || longest > LONGEST {
        return None;
    }
    let together = (AIM / longest).max(1);
    // A tenth of room for fragments that are not all alike; in whole milliseconds.
    Some((together * longest * 11 / 10).div_ceil(1_000) * 1_000)
}

impl Parts {
    /// What comes goes on a stream whose parts have this target; unless something has come before that was known.
    pub(crate) fn go_on(&mut self, target: Option<u64>) {
        if let (Rule::Open(fragments), Some(target)) = (&self.rule, target)
            && fragments.is_empty()
        {
            self.rule = Rule::Target(target);
        }
    }

    /// A fragment begins that plays so long.
    pub(crate) fn begin(&mut self, first: u64, micros: u64, key: bool) {
        if let Rule::Open(fragments) = &mut self.rule
            && micros > 0
            && fragments.len() < LOOKED_AT
        {
            fragments.push(micros);
        }
        self.begun = micros;
        let part = self.gathering.get_or_insert(Part { first, end: first, micros: 0, key: false });
        // Fragments of other tracks before it play no part.
        part.key |= part.micros == 0 && key;
    }

    /// It is whole.
    pub(crate) fn end(&mut self, end: u64) {
        let Some(part) = &mut self.gathering else { return };
        (part.end, part.micros) = (end, part.micros.saturating_add(self.begun));
        if let Rule::Target(target) = self.rule
            && part.micros >= target / 100 * 85
        {
            self.open.extend(self.gathering.take());
        }
    }

    /// The segment with this number is whole.
    pub(crate) fn close(&mut self, number: usize) {
        if let Rule::Open(fragments) = &self.rule {
            self.rule = target(fragments).map_or(Rule::Without, Rule::Target);
            (self.gathering, self.open) = (None, Vec::new());
            return;
        }
        if matches!(self.rule, Rule::Without) {
            self.gathering = None;
            return;
        }
        self.open.extend(self.gathering.take().filter(|part| part.end > part.first));
        self.closed.push_back((number, std::mem::take(&mut self.open)));
        if self.closed.len() > KEPT {
            self.closed.pop_front();
        }
    }

    /// Nothing more comes. What was listed last stays known: another object may go on this one.
    pub(crate) fn finish(&mut self) {
        (self.gathering, self.open) = (None, Vec::new());
    }

    /// `PART-TARGET` in microseconds, where there are parts.
    pub(crate) fn target(&self) -> Option<u64> {
        if let Rule::Target(target) = self.rule { Some(target) } else { None }
    }

    /// Those of the segment with this number, which is whole.
    pub(crate) fn of(&self, number: usize) -> &[Part] {
        self.closed.iter().find(|(of, _)| *of == number).map_or(&[], |(_, parts)| parts)
    }

    /// Those of the segment that is not whole yet.
    pub(crate) fn open(&self) -> &[Part] {
        &self.open
    }

    /// Where the next one begins, once that is known.
    pub(crate) fn next(&self, end: u64) -> u64 {
        self.gathering.map_or(end, |part| part.first)
    }

    /// The one that begins at this offset.
    pub(crate) fn at(&self, first: u64) -> Option<Part> {
        let closed = self.closed.iter().flat_map(|(_, parts)| parts);
        closed.chain(&self.open).find(|part| part.first == first).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn how_long_a_part_is_follows_from_the_first_segment() {
        for (fragments, want) in [
            // Half a second each, the last one shorter.
            (vec![500_000, 500_000, 500_000, 480_000], Some(550_000)),
            // A frame each.
            (vec![40_000; 50], Some(572_000)),
            (vec![400_000; 5], Some(440_000)),
            (vec![1_000_000; 2], Some(1_100_000)),
            // One for each segment; too long; nothing to see.
            (vec![2_000_000], None),
            (vec![1_500_000; 2], None),
            (vec![], None),
        ] {
            assert_eq!(target(&fragments), want, "{fragments:?}");
        }
    }

    /// Segments of fragments of these lengths, in a hundred bytes each.
    fn feed(parts: &mut Parts, segments: &[Vec<u64>]) {
        let mut at = 0;
        for (number, fragments) in segments.iter().enumerate() {
            for (index, micros) in fragments.iter().enumerate() {
                parts.begin(at, *micros, index == 0);
                at += 100;
                parts.end(at);
            }
            parts.close(number);
        }
    }

    #[test]
    fn an_object_that_goes_on_another_one_has_parts_from_its_first_segment_on() {
        let mut parts = Parts::default();
        parts.go_on(None);
        parts.go_on(Some(550_000));
        feed(&mut parts, &[vec![500_000; 4], vec![500_000; 2]]);
        assert_eq!((parts.of(0).len(), parts.of(1).len(), parts.target()), (4, 2, Some(550_000)));
        parts.finish();
        assert_eq!((parts.of(1).len(), parts.at(500).map(|part| part.end)), (2, Some(600)));
        // Once something has come it is too late.
        let mut own = Parts::default();
        own.begin(0, 40_000, true);
        own.go_on(Some(550_000));
        assert_eq!(own.target(), None);
    }

    proptest! {
        #[test]
        fn parts_are_the_segment_without_a_gap_and_keep_their_measure(
            unit in prop_oneof![Just(40_000u64), Just(250_000), Just(333_333), Just(500_000), Just(1_000_000)],
            counts in prop::collection::vec(1usize..60, 1..6),
        ) {
            let mut parts = Parts::default();
            let segments: Vec<_> = [vec![unit; 4]].into_iter().chain(counts.iter().map(|count| vec![unit; *count])).collect();
            feed(&mut parts, &segments);
            let target = parts.target().expect("there are parts");
            let mut at = 400;
            for (number, count) in (1..).zip(&counts) {
                let of = parts.of(number);
                prop_assert_eq!(of[0].first, at);
                prop_assert!(of[0].key && of[1..].iter().all(|part| !part.key));
                prop_assert!(of.windows(2).all(|pair| pair[0].end == pair[1].first));
                at += *count as u64 * 100;
                prop_assert_eq!(of.last().map(|part| part.end), Some(at));
                prop_assert!(of.iter().all(|part| part.micros <= target));
                prop_assert!(of[..of.len() - 1].iter().all(|part| part.micros * 100 >= target * 85));
                prop_assert_eq!(of.iter().map(|part| part.micros).sum::<u64>(), unit * *count as u64);
            }
        }
    }
}
