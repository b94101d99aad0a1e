//! The segments of a recording in little room, since they are kept as long as it goes on: 16 bytes each. Pure.
//!
//! What follows from the segment before is not kept again: which object it is in, and when it was recorded.

use std::collections::BTreeMap;

/// A stretch of an object that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which object, counted from 0.
    pub object: usize,
    /// Offset of the first byte.
    pub first: u64,
    /// Length in bytes.
    pub len: u64,
    /// How long it plays, in microseconds.
    pub micros: u64,
    /// When it was recorded: microseconds since 1970-01-01T00:00:00Z.
    pub date: Option<i64>,
}

impl Segment {
    /// Where it ends in its object.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.len)
    }

    /// When the next one begins, if it follows at once.
    fn due(&self) -> Option<i64> {
        self.date?.checked_add_unsigned(self.micros)
    }
}

/// Dates that differ by no more than this from what follows from those before are the same: ticks are rounded, in microseconds.
const ROUNDING: u64 = 2;

/// See the [module](self).
#[derive(Clone, Default)]
pub struct Segments {
    packed: Vec<Packed>,
    /// Where another object begins, and which.
    turns: Vec<(usize, usize)>,
    /// Dates that do not follow from the one before.
    dates: Vec<(usize, Option<i64>)>,
    /// Lengths in bytes and microseconds of what is too long to be packed.
    long: BTreeMap<usize, (u64, u64)>,
    /// When the next segment was recorded, if it follows at once.
    due: Option<i64>,
}

#[derive(Clone, Copy)]
struct Packed {
    first: u64,
    len: u32,
    micros: u32,
}

impl Segments {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Adds one at the end.
    pub fn push(&mut self, mut segment: Segment) {
        let index = self.packed.len();
        if self.turns.last().is_none_or(|(_, object)| *object != segment.object) {
            self.turns.push((index, segment.object));
        }
        let follows = match (segment.date, self.due) {
            (Some(date), Some(due)) => date.abs_diff(due) <= ROUNDING,
            (date, due) => date == due,
        };
        if follows {
            segment.date = self.due;
        } else {
            self.dates.push((index, segment.date));
        }
        self.due = segment.due();
        let packed = u32::try_from(segment.len).ok().zip(u32::try_from(segment.micros).ok());
        if packed.is_none() {
            self.long.insert(index, (segment.len, segment.micros));
        }
        let (len, micros) = packed.unwrap_or((u32::MAX, u32::MAX));
        self.packed.push(Packed { first: segment.first, len, micros });
    }

    /// All of them, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { of: self, at: 0, turn: 0, dated: 0, due: None, object: 0 }
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<Segment> {
        self.iter().last()
    }

    /// Where the one with this number begins and ends in its object.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<(u64, u64)> {
        let first = self.packed.get(index)?.first;
        Some((first, first.saturating_add(self.size(index).0)))
    }

    /// How long each plays, in microseconds.
    #[must_use]
    pub fn micros(&self) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator {
        (0..self.len()).map(|index| self.size(index).1)
    }

    /// How often the object changes up to segment `index`.
    #[must_use]
    pub fn turns_to(&self, index: usize) -> usize {
        self.turns.iter().filter(|(at, _)| (1..=index).contains(at)).count()
    }

    /// Lengths in bytes and microseconds.
    fn size(&self, index: usize) -> (u64, u64) {
        let packed = self.packed.get(index).map_or((0, 0), |packed| (packed.len.into(), packed.micros.into()));
        if packed.0 < u32::MAX.into() { packed } else { self.long.get(&index).copied().unwrap_or(packed) }
    }
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl Eq for Segments {}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl FromIterator<Segment> for Segments {
    fn from_iter<T: IntoIterator<Item = Segment>>(segments: T) -> Self {
        let mut all = Self::default();
        segments.into_iter().for_each(|segment| all.push(segment));
        all
    }
}

impl<'a> IntoIterator for &'a Segments {
    type Item = Segment;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Goes through [`Segments`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    of: &'a Segments,
    at: usize,
    /// The next turn and the next date.
    turn: usize,
    dated: usize,
    due: Option<i64>,
    object: usize,
}

impl Iterator for Iter<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let index = self.at;
        let first = self.of.packed.get(index)?.first;
        if let Some((_, object)) = self.of.turns.get(self.turn).filter(|(at, _)| *at == index) {
            (self.object, self.turn) = (*object, self.turn + 1);
        }
        let mut date = self.due;
        if let Some((_, stated)) = self.of.dates.get(self.dated).filter(|(at, _)| *at == index) {
            (date, self.dated) = (*stated, self.dated + 1);
        }
        let (len, micros) = self.of.size(index);
        let segment = Segment { object: self.object, first, len, micros, date };
        (self.at, self.due) = (index + 1, segment.due());
        Some(segment)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.of.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_takes_sixteen_bytes() {
        assert_eq!(size_of::<Packed>(), 16);
        // Ticks of a third of a second, whose places are rounded.
        let place = |index: u64| index * 1_000_000 / 3;
        let all: Segments = (0..10_000)
            .map(|index| Segment {
                object: usize::from(index >= 5_000),
                first: index * 7,
                len: 7,
                micros: place(index + 1) - place(index),
                date: Some(1_795_258_800_123_000 + (index.cast_signed() * 1_000_000 + 2) / 3),
            })
            .collect();
        assert_eq!((all.turns.len(), all.dates.len(), all.long.len()), (2, 1, 0));
        assert_eq!((all.turns_to(4_999), all.turns_to(5_000)), (0, 1));
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            segments in prop::collection::vec(
                (0usize..3, any::<u64>(), prop_oneof![0u64..1000, Just(u64::from(u32::MAX)), any::<u64>()],
                    prop_oneof![0u64..5_000_000, any::<u64>()], prop::option::of(prop_oneof![Just(5i64), any::<i64>()])),
                0..40,
            ),
        ) {
            let mut due = None;
            let segments: Vec<Segment> = segments
                .into_iter()
                .map(|(object, first, len, micros, date)| {
                    // Most follow at once; none is near enough to that to be taken for it.
                    let near = |date: i64| due.is_some_and(|due: i64| date.abs_diff(due) <= ROUNDING);
                    let date = if date == Some(5) { due } else { date.filter(|date| !near(*date)) };
                    let segment = Segment { object, first, len, micros, date };
                    due = segment.due();
                    segment
                })
                .collect();
            let all: Segments = segments.iter().copied().collect();
            prop_assert_eq!(all.len(), segments.len());
            prop_assert_eq!(all.iter().collect::<Vec<_>>(), segments.clone());
            prop_assert_eq!(all.last(), segments.last().copied());
            prop_assert!(all.micros().eq(segments.iter().map(|segment| segment.micros)));
        }
    }
}
