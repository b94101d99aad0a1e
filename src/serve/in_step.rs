//! Which segments of several renditions are the same stretch of time, so that a player can go from one to the other there. Pure.
//!
//! The first rendition gives the segments; of each other one those count that begin and end with one of them, or lie where there is
//! none yet.

use super::hls::tracks::{Line, Span, Tracks};
use crate::media::fmp4::{Track, TrackKind};

/// So many microseconds apart two times are the same: some are kept in milliseconds.
pub(crate) const NEAR: u64 = 5_000;

/// By so much two of them may differ in where they end.
const LAST: u64 = 500_000;

/// So far behind the others, in microseconds, what grows may be before it is taken for gone.
pub(crate) const BEHIND: u64 = 10_000_000;

/// A segment of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// In microseconds.
    pub(crate) at: u64,
    pub(crate) end: u64,
    /// After which header.
    pub(crate) era: usize,
    /// Which span of its track.
    pub(crate) place: usize,
}

/// The segments of a rendition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spots {
    pub(crate) all: Vec<Spot>,
    /// Nothing more comes.
    pub(crate) over: bool,
}

/// A stretch of time, and what each rendition has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) at: u64,
    pub(crate) end: u64,
    pub(crate) has: Vec<Option<Spot>>,
}

/// The first track of a kind after a header, and its line.
pub(crate) fn track_of(tracks: &Tracks, era: usize, kind: TrackKind) -> Option<(&Track, &Line)> {
    let era = tracks.eras.get(era)?;
    let is_it = |track: &&Track| track.kind == kind;
    era.movie.tracks.iter().filter(is_it).find_map(|track| {
        let line = era.lines.iter().find(|line| line.id == track.id && !line.spans.is_empty())?;
        Some((track, line))
    })
}

impl Spots {
    /// Of the first track of a kind, over all headers as long as times go on.
    pub(crate) fn of(tracks: &Tracks, kind: TrackKind, over: bool) -> Self {
        let mut all: Vec<Spot> = Vec::new();
        for era in 0..tracks.eras.len() {
            let Some((track, line)) = track_of(tracks, era, kind) else { continue };
            let goes_back = |first: u64| all.last().is_some_and(|last| first.saturating_add(NEAR) < last.end);
            if line.spans.first().is_some_and(|first| goes_back(micros(first.at, track.timescale))) {
                return Self { all, over: true };
            }
            all.extend(spots(track, line, era));
        }
        Self { all, over }
    }

    /// Of a track after the first header.
    pub(crate) fn of_line(track: &Track, line: &Line, over: bool) -> Self {
        Self { all: spots(track, line, 0).collect(), over }
    }

    /// That which begins then.
    pub(crate) fn at(&self, micros: u64) -> Option<&Spot> {
        let place = self.all.partition_point(|spot| spot.at.saturating_add(NEAR) < micros);
        self.all.get(place).filter(|spot| spot.at.abs_diff(micros) <= NEAR)
    }

    /// One of them by itself.
    pub(crate) fn alone(&self, spot: &Spot) -> Self {
        Self { all: vec![*spot], over: self.is_last(spot) }
    }

    fn is_last(&self, spot: &Spot) -> bool {
        self.over && self.all.last() == Some(spot)
    }
}

fn spots(track: &Track, line: &Line, era: usize) -> impl Iterator<Item = Spot> {
    let timescale = track.timescale;
    let of = move |(place, span): (usize, &Span)| Spot {
        at: micros(span.at, timescale),
        end: micros(span.end(), timescale),
        era,
        place,
    };
    line.spans.iter().enumerate().map(of)
}

/// Ticks as microseconds.
pub(crate) fn micros(ticks: u64, timescale: u32) -> u64 {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// What all of them have, one stretch after the other.
pub(crate) fn rows(all: &[Spots]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, spots) in all.iter().enumerate() {
        rows = with(rows, spots, (number, all));
    }
    rows
}

/// The same with one more.
fn with(before: Vec<Row>, spots: &Spots, (number, others): (usize, &[Spots])) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(before.len().max(spots.all.len()));
    let mut rest = spots.all.iter().peekable();
    let alone = |spot: &Spot| {
        let mut has = vec![None; others.len()];
        if let Some(own) = has.get_mut(number) {
            *own = Some(*spot);
        }
        Row { at: spot.at, end: spot.end, has }
    };
    let is_free = |rows: &[Row], spot: &Spot| rows.last().is_none_or(|last| spot.at.saturating_add(NEAR) >= last.end);
    for mut row in before {
        while let Some(spot) = rest.next_if(|spot| spot.at.saturating_add(NEAR) < row.at) {
            if is_free(&rows, spot) && spot.end <= row.at.saturating_add(NEAR) {
                rows.push(alone(spot));
            }
        }
        if let Some(spot) = rest.next_if(|spot| spot.at.abs_diff(row.at) <= NEAR) {
            let row_is_last = row.has.iter().zip(others).any(|(has, of)| has.is_some_and(|has| of.is_last(&has)));
            let apart = if row_is_last || spots.is_last(spot) { LAST } else { NEAR };
            if spot.end.abs_diff(row.end) <= apart
                && let Some(own) = row.has.get_mut(number)
            {
                *own = Some(*spot);
            }
        }
        rows.push(row);
    }
    for spot in rest {
        if is_free(&rows, spot) {
            rows.push(alone(spot));
        }
    }
    rows
}

/// Which rendition has what follows which header, for each row: where that changes, another time begins for a player. What grows and
/// is a little behind counts as there.
pub(crate) fn shapes(rows: &[Row], all: &[Spots]) -> Vec<Vec<Option<usize>>> {
    let end = rows.last().map_or(0, |row| row.end);
    let mut shapes: Vec<Vec<Option<usize>>> = Vec::with_capacity(rows.len());
    for row in rows {
        let before = shapes.last();
        let of = |(number, (has, spots)): (usize, (&Option<Spot>, &Spots))| {
            let known = has.map(|spot| spot.era);
            let may_come = || {
                let reached = spots.all.last().map(|last| last.end).filter(|_| !spots.over)?;
                let is_behind = reached <= row.at.saturating_add(NEAR) && end.saturating_sub(reached) <= BEHIND;
                before.filter(|_| is_behind).and_then(|before| before.get(number).copied().flatten())
            };
            known.or_else(may_come)
        };
        let shape = row.has.iter().zip(all).enumerate().map(of).collect();
        shapes.push(shape);
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which segments begin, the last of which is the end; more than one list after each other have gaps.
    fn spots(times: &[&[u64]], over: bool) -> Spots {
        let mut all = Vec::new();
        for times in times {
            for pair in times.windows(2) {
                all.push(Spot { at: pair[0] * 1_000_000, end: pair[1] * 1_000_000, era: 0, place: all.len() });
            }
        }
        Spots { all, over }
    }

    fn told(all: &[Spots]) -> Vec<String> {
        let rows = rows(all);
        let letters = |shape: &Vec<Option<usize>>| {
            shape.iter().map(|has| if has.is_some() { '+' } else { '-' }).collect::<String>()
        };
        let shapes = shapes(&rows, all);
        let line = |(row, shape): (&Row, _)| format!("{} {}", row.at / 1_000_000, letters(shape));
        rows.iter().zip(&shapes).map(line).collect()
    }

    #[test]
    fn segments_with_the_same_times_are_one_row_and_what_differs_is_left_out() {
        let source = || spots(&[&[0, 2, 4, 6, 8]], true);
        for (other, want) in [
            (spots(&[&[0, 2, 4, 6, 8]], true), ["0 ++", "2 ++", "4 ++", "6 ++"]),
            // It begins later, has a gap, ends earlier, is cut elsewhere.
            (spots(&[&[4, 6, 8]], true), ["0 +-", "2 +-", "4 ++", "6 ++"]),
            (spots(&[&[0, 2], &[4, 6, 8]], true), ["0 ++", "2 +-", "4 ++", "6 ++"]),
            (spots(&[&[0, 2, 4]], true), ["0 ++", "2 ++", "4 +-", "6 +-"]),
            (spots(&[&[1, 3, 5, 7]], true), ["0 +-", "2 +-", "4 +-", "6 +-"]),
            (spots(&[&[0, 4, 6, 8]], true), ["0 +-", "2 +-", "4 ++", "6 ++"]),
            // It grows, and is a little behind.
            (spots(&[&[0, 2, 4]], false), ["0 ++", "2 ++", "4 ++", "6 ++"]),
            (spots(&[], false), ["0 +-", "2 +-", "4 +-", "6 +-"]),
        ] {
            assert_eq!(told(&[source(), other]), want);
        }
    }

    #[test]
    fn what_only_a_later_one_has_is_there_too() {
        let early = spots(&[&[0, 2, 4, 6, 8, 10]], true);
        let middle = spots(&[&[2, 4], &[6, 8]], true);
        assert_eq!(told(&[middle, early]), ["0 -+", "2 ++", "4 -+", "6 ++", "8 -+"]);
    }

    #[test]
    fn what_does_not_come_for_long_is_gone() {
        let long: Vec<u64> = (0..=10).map(|number| number * 2).collect();
        let lines = told(&[spots(&[&long], false), spots(&[&[0, 2, 4]], false)]);
        assert_eq!((&lines[1][..], &lines[2][..], lines.len()), ("2 ++", "4 +-", 10));
    }

    #[test]
    fn times_may_differ_by_a_little_and_the_end_by_more() {
        let near = |mut spots: Spots, by: u64| {
            spots.all.iter_mut().for_each(|spot| (spot.at, spot.end) = (spot.at + by, spot.end + by));
            spots
        };
        let source = || spots(&[&[0, 2, 4]], true);
        assert_eq!(told(&[source(), near(source(), NEAR)]), ["0 ++", "2 ++"]);
        assert_eq!(told(&[source(), near(source(), NEAR + 1)]), ["0 +-", "2 +-"]);
        let mut short = source();
        short.all[1].end -= 400_000;
        assert_eq!(told(&[source(), short.clone()]), ["0 ++", "2 ++"]);
        assert_eq!(source().at(2_004_000).map(|spot| spot.place), Some(1));
        assert_eq!((source().at(2_006_000), source().at(9_000_000)), (None, None));
        short.over = false;
        let growing = Spots { over: false, ..source() };
        assert_eq!(told(&[growing, short]), ["0 ++", "2 +-"]);
    }
}
