//! The segments of an object with live objects beside it: each is a live object that holds whole fragments. Pure.
//!
//! Whoever makes live objects cuts them where segments are to end. When the store cannot keep up, some are cut elsewhere.
//! Then no live object holds the fragments between two such places by itself: they are segments, too, since all of them will
//! be in the object, but marked as gaps until it can be read.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::segmenter::{Begin, Cut, Segmenter};

/// A fragment that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) micros: u64,
    pub(super) key: bool,
    /// Another encoder goes on with it.
    pub(super) anew: bool,
    /// When it was recorded, in microseconds since 1970.
    pub(super) date: Option<i64>,
    /// Offset and length of the header that it needs.
    pub(super) header: (u64, u64),
}

/// A segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) cut: Cut,
    pub(super) date: Option<i64>,
    pub(super) header: (u64, u64),
    /// No live object holds it.
    pub(super) gap: bool,
    /// Another encoder goes on with it.
    pub(super) anew: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Pieces {
    /// How long a segment is to be, in microseconds.
    aim: u64,
    /// Rounded to seconds none may be longer than this.
    target: Option<u64>,
    /// Fragments that are in no segment yet.
    whole: VecDeque<Whole>,
    /// Where the fragment begins that is not whole yet.
    begun: Option<u64>,
    /// Live objects behind a gap, by their beginnings.
    landed: BTreeMap<u64, u64>,
    /// Up to where they lie without a gap.
    edge: u64,
    /// Where the next segment begins.
    start: u64,
    /// No live object begins there.
    broken: bool,
    /// No more of them come: segments are cut as without them.
    rest: Option<Segmenter>,
}

impl Pieces {
    /// With segments of about this length, in microseconds.
    pub(super) fn new(aim: u64) -> Self {
        Self {
            aim,
            target: None,
            whole: VecDeque::new(),
            begun: None,
            landed: BTreeMap::new(),
            edge: 0,
            start: 0,
            broken: false,
            rest: None,
        }
    }

    /// All before this place is in segments already.
    pub(super) fn go_on_at(&mut self, place: u64) {
        (self.edge, self.start) = (place, place);
    }

    /// Up to where live objects lie without a gap.
    pub(super) fn edge(&self) -> u64 {
        self.edge
    }

    /// No segment may last longer, in seconds.
    pub(super) fn limit(&mut self, target: u64) {
        self.target = Some(target);
    }

    /// How long what is in no segment yet plays, in microseconds.
    pub(super) fn waiting(&self) -> u64 {
        self.whole.iter().map(|whole| whole.micros).sum()
    }

    /// A fragment begins here.
    pub(super) fn begin(&mut self, first: u64) {
        self.begun = Some(first);
    }

    /// It is whole.
    pub(super) fn end(&mut self, whole: Whole) -> Vec<Found> {
        self.begun = None;
        self.whole.push_back(whole);
        if self.rest.is_some() { self.group_on() } else { Vec::new() }
    }

    /// The store holds this live object; gives the segments that can be told from that.
    pub(super) fn piece(&mut self, bytes: &Range<u64>) -> Vec<Found> {
        self.landed.insert(bytes.start, bytes.end);
        let mut found = Vec::new();
        while let Some(end) = self.landed.remove(&self.edge) {
            self.edge = end;
            found.extend(self.reached(end));
        }
        found
    }

    /// The next live object ends here.
    fn reached(&mut self, end: u64) -> Vec<Found> {
        let count = self.whole.partition_point(|whole| whole.first < end);
        let within = || self.whole.iter().take(count);
        let open = self.begun.is_some_and(|first| first < end);
        let (Some(last), false) = (within().next_back(), open) else {
            // Nothing that is played, or the beginning of a fragment.
            if count == 0 && !open && !self.broken {
                self.start = end;
            } else {
                self.broken = true;
            }
            return Vec::new();
        };
        let ends = last.end == end;
        let header_end = last.header.0.saturating_add(last.header.1);
        self.broken |= !ends || self.start < header_end || within().any(|whole| whole.first < self.start);
        if !ends {
            return Vec::new();
        }
        if !std::mem::take(&mut self.broken) {
            let whole: Vec<Whole> = self.whole.drain(..count).collect();
            return self.segment(&whole, false).into_iter().collect();
        }
        self.group(count, true)
    }

    /// All of the object can be read: the segments that are left. A fragment that is not whole is in none.
    pub(super) fn finish(&mut self) -> Vec<Found> {
        self.group(self.whole.len(), false)
    }

    /// No more live objects come.
    pub(super) fn give_up(&mut self) -> Vec<Found> {
        self.rest.get_or_insert_with(|| Segmenter::new(MICROS, self.aim));
        self.group_on()
    }

    /// Segments out of the first `count` fragments, however live objects lie.
    fn group(&mut self, count: usize, gap: bool) -> Vec<Found> {
        let mut segmenter = self.rest.take().unwrap_or_else(|| Segmenter::new(MICROS, self.aim));
        if let Some(target) = self.target {
            segmenter.limit(target);
        }
        let mut cuts = Vec::new();
        for whole in self.whole.iter().take(count) {
            cuts.extend(segmenter.begin(Begin {
                first: whole.first,
                ticks: whole.micros,
                key: whole.key,
                anew: whole.anew,
            }));
            cuts.extend(segmenter.end(whole.end));
        }
        cuts.extend(segmenter.finish());
        self.cut_at(&cuts, gap)
    }

    /// The segments that can be told once no more live objects come, of which no more is remembered than has to be.
    fn group_on(&mut self) -> Vec<Found> {
        let limit = self.target.unwrap_or(u64::MAX).saturating_mul(u64::from(MICROS)).min(self.aim);
        if self.waiting() < limit {
            return Vec::new();
        }
        // The last may go on.
        let Some(key) = self.whole.iter().rposition(|whole| whole.key).filter(|at| *at > 0) else { return Vec::new() };
        let found = self.group(key, false);
        self.rest = Some(Segmenter::new(MICROS, self.aim));
        found
    }

    fn cut_at(&mut self, cuts: &[Cut], gap: bool) -> Vec<Found> {
        let mut found = Vec::new();
        for cut in cuts {
            let count = self.whole.partition_point(|whole| whole.end <= cut.end);
            let whole: Vec<Whole> = self.whole.drain(..count).collect();
            found.extend(self.segment(&whole, gap));
        }
        found
    }

    /// These fragments as a segment, which begins where the one before ends.
    fn segment(&mut self, whole: &[Whole], gap: bool) -> Option<Found> {
        let (first, last) = (whole.first()?, whole.last()?);
        // The header is none of its bytes.
        let begin = self.start.min(first.first).max(first.header.0.saturating_add(first.header.1));
        let micros = whole.iter().map(|whole| whole.micros).sum();
        self.start = last.end;
        let cut = Cut { first: begin, end: last.end, micros };
        Some(Found { cut, date: first.date, header: first.header, gap, anew: first.anew })
    }
}

/// Ticks in a second.
const MICROS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// A fragment of a second and a hundred bytes; the header has a hundred bytes, too.
    fn whole(number: u64) -> Whole {
        let first = 100 + number * 100;
        Whole {
            first,
            end: first + 100,
            micros: SECOND,
            key: number.is_multiple_of(2),
            anew: false,
            date: None,
            header: (0, 100),
        }
    }

    fn pieces(fragments: u64) -> Pieces {
        let mut pieces = Pieces::new(2 * SECOND);
        for number in 0..fragments {
            pieces.begin(whole(number).first);
            assert_eq!(pieces.end(whole(number)), []);
        }
        pieces
    }

    /// Offsets and whether they are gaps.
    fn shown(found: &[Found]) -> Vec<(u64, u64, bool)> {
        found.iter().map(|found| (found.cut.first, found.cut.end, found.gap)).collect()
    }

    #[test]
    fn each_live_object_of_whole_fragments_is_a_segment_once_all_before_it_are_there() {
        let mut pieces = pieces(6);
        assert_eq!(pieces.piece(&(300..500)), []);
        assert_eq!(pieces.piece(&(100..300)), []);
        // The header.
        assert_eq!(shown(&pieces.piece(&(0..100))), [(100, 300, false), (300, 500, false)]);
        let found = pieces.piece(&(500..700));
        assert_eq!((shown(&found), found[0].cut.micros), (vec![(500, 700, false)], 2 * SECOND));
        assert_eq!((pieces.edge(), pieces.waiting()), (700, 0));
        // What is no media at the end.
        assert_eq!((pieces.piece(&(700..750)), pieces.finish()), (vec![], vec![]));
    }

    #[test]
    fn what_no_live_object_holds_by_itself_is_a_gap_until_one_ends_with_a_fragment() {
        let mut pieces = pieces(8);
        for (piece, found) in [
            (0..100, vec![]),
            (100..250, vec![]),
            (250..550, vec![]),
            (550..700, vec![(100, 300, true), (300, 500, true), (500, 700, true)]),
            (700..900, vec![(700, 900, false)]),
        ] {
            assert_eq!(shown(&pieces.piece(&piece)), found, "{piece:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_fragment_is_nothing_that_can_be_played() {
        let mut pieces = pieces(1);
        pieces.begin(200);
        pieces.piece(&(0..100));
        assert_eq!(pieces.piece(&(100..250)), []);
        pieces.end(whole(1));
        assert_eq!(shown(&pieces.piece(&(250..300))), [(100, 300, true)]);
        // Of the next not even the beginning is known.
        assert_eq!(pieces.piece(&(300..310)), []);
        pieces.end(whole(2));
        assert_eq!(shown(&pieces.piece(&(310..400))), [(300, 400, true)]);
    }

    #[test]
    fn what_is_left_at_the_end_is_cut_as_without_live_objects() {
        let mut pieces = pieces(5);
        pieces.piece(&(0..100));
        pieces.piece(&(100..250));
        assert_eq!(shown(&pieces.finish()), [(100, 300, false), (300, 500, false), (500, 600, false)]);
    }

    #[test]
    fn without_more_live_objects_little_is_remembered() {
        let mut pieces = pieces(3);
        // Nobody can begin in the middle of a live object.
        let mut all = pieces.piece(&(0..300));
        assert_eq!(shown(&all), [(100, 300, true)]);
        all.extend(pieces.give_up());
        for number in 3..1_000 {
            all.extend(pieces.end(whole(number)));
            assert!(pieces.whole.len() < 5, "{} fragments", pieces.whole.len());
        }
        all.extend(pieces.finish());
        assert_eq!(shown(&all).len(), 500);
        assert!(all.windows(2).all(|pair| pair[0].cut.end == pair[1].cut.first));
    }

    proptest! {
        /// However live objects are cut, and in whatever order they land: each fragment is in one segment, and a segment that
        /// is no gap is a live object.
        #[test]
        fn no_fragment_is_lost(ends in proptest::collection::btree_set(101u64..2_100, 0..20), order: bool) {
            let mut pieces = pieces(20);
            let mut at = 0;
            let mut cuts: Vec<Range<u64>> = Vec::new();
            for end in std::iter::once(100).chain(ends).chain([2_100]) {
                cuts.push(at..end);
                at = end;
            }
            let all = cuts.clone();
            if order {
                cuts.reverse();
            }
            let mut found: Vec<Found> = cuts.iter().flat_map(|cut| pieces.piece(cut)).collect();
            found.extend(pieces.finish());
            prop_assert_eq!((found[0].cut.first, found.last().map(|last| last.cut.end)), (100, Some(2_100)));
            prop_assert!(found.windows(2).all(|pair| pair[0].cut.end == pair[1].cut.first));
            prop_assert!(found.iter().all(|found| found.gap || all.contains(&(found.cut.first..found.cut.end))));
            prop_assert_eq!(found.iter().map(|found| found.cut.micros).sum::<u64>(), 20 * SECOND);
        }
    }
}
