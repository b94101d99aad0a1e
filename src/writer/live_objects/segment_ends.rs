//! Where segments of a playlist end in the input, so that each becomes one live object. Pure.
//!
//! It cuts as a playlist does ([`Segmenter`]): at a key frame, once a segment is about as long as wanted. How long one may
//! become where no key frame comes is decided by the first, with the room that the target duration has.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::hls::segmenter::{Begin, Cut, Segmenter};
use crate::hls::target::room_for;
use crate::media::fmp4::{Found, Movie, Scanner};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct SegmentEnds {
    /// How long a segment is to be, in microseconds.
    aim: u64,
    /// Of the newest header.
    cutting: Option<Cutting>,
    /// Looks for fragments where nobody else does: in an upload that is gone on with.
    scanner: Option<Scanner>,
}

#[derive(Debug)]
struct Cutting {
    /// The track by which segments are cut.
    main: u32,
    segmenter: Segmenter,
    limited: bool,
}

/// What was found out about the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A fragment ends here.
    Fragment(u64),
    /// A segment ends here.
    Segment(u64),
    /// There are no segments.
    Nowhere,
}

impl SegmentEnds {
    /// Of an object from its beginning on, in which somebody else looks for fragments; segments of about this length.
    pub(super) fn new(aim: Duration) -> Self {
        let aim = u64::try_from(aim.as_micros()).unwrap_or(u64::MAX);
        Self { aim, cutting: None, scanner: None }
    }

    /// Of an object that is gone on with at byte `at`, where a fragment of `movie` begins. None where that has no pictures and
    /// no sound.
    pub(super) fn going_on(aim: Duration, movie: Arc<Movie>, at: u64) -> Option<Self> {
        let main = movie.main()?;
        let mut ends = Self::new(aim);
        ends.cutting =
            Some(Cutting { main: main.id, segmenter: Segmenter::new(main.timescale, ends.aim), limited: false });
        ends.scanner = Some(Scanner::starting_at(movie, at));
        Some(ends)
    }

    /// The same from its first byte on.
    pub(super) fn beginning(aim: Duration) -> Self {
        Self { scanner: Some(Scanner::new()), ..Self::new(aim) }
    }

    /// What is found in the next bytes, where nobody else looks.
    pub(super) fn look(&mut self, offset: u64, bytes: &[u8]) -> Vec<Found> {
        let Some(scanner) = &mut self.scanner else { return Vec::new() };
        // What an earlier writer has stored may be told of again.
        let known = usize::try_from(scanner.offset().saturating_sub(offset)).unwrap_or(usize::MAX);
        scanner.feed(bytes.get(known..).unwrap_or_default())
    }

    /// What follows from something that was found.
    pub(super) fn see(&mut self, found: &Found) -> Vec<Place> {
        match found {
            Found::Header(header) => {
                let Range { start, end } = header.end.saturating_sub(header.bytes.len() as u64)..header.end;
                let cutting = header.movie.main().map(|main| {
                    let segmenter = Segmenter::new(main.timescale, self.aim);
                    Cutting { main: main.id, segmenter, limited: false }
                });
                self.cutting = cutting;
                vec![Place::Segment(start), Place::Segment(end)]
            }
            Found::Begun(fragment) => {
                let Some(cutting) = &mut self.cutting else { return Vec::new() };
                let ticks = fragment.run(cutting.main).map_or(0, |run| run.duration);
                let begin = Begin { first: fragment.first, ticks, key: fragment.key, anew: fragment.anew };
                let cut = cutting.segmenter.begin(begin);
                self.cut(cut)
            }
            Found::Ended(fragment) => {
                let (Some(cutting), Some(end)) = (&mut self.cutting, fragment.end) else { return Vec::new() };
                let cut = cutting.segmenter.end(end);
                [vec![Place::Fragment(end)], self.cut(cut)].concat()
            }
            Found::Bare => Vec::new(),
            Found::Off(_) => vec![Place::Nowhere],
        }
    }

    fn cut(&mut self, cut: Option<Cut>) -> Vec<Place> {
        let (Some(cut), Some(cutting)) = (cut, &mut self.cutting) else { return Vec::new() };
        if !cutting.limited {
            cutting.limited = true;
            cutting.segmenter.limit(room_for(cut.micros, self.aim));
        }
        vec![Place::Segment(cut.end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture};

    /// A header and fragments of 120 ms, each with this key frame or none, and where each ends.
    fn stream(keys: &[bool]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut ends) = (header(), Vec::new());
        for (number, key) in (0u32..).zip(keys) {
            bytes.extend([moof(&[picture(number * 12, *key)]), mdat(200)].concat());
            ends.push(bytes.len() as u64);
        }
        (bytes, ends)
    }

    fn segments(places: impl IntoIterator<Item = Place>) -> Vec<u64> {
        let end = |place| if let Place::Segment(end) = place { Some(end) } else { None };
        places.into_iter().filter_map(end).collect()
    }

    #[test]
    fn segments_end_before_key_frames_and_the_header_by_itself() {
        let keys: Vec<bool> = (0..12).map(|number| number % 3 == 0).collect();
        let (bytes, ends) = stream(&keys);
        let mut segment_ends = SegmentEnds::beginning(Duration::from_millis(300));
        let found = segment_ends.look(0, &bytes);
        let places = found.iter().flat_map(|found| segment_ends.see(found)).collect::<Vec<_>>();
        let header = header().len() as u64;
        assert_eq!(segments(places.clone()), [0, header, ends[2], ends[5], ends[8]]);
        assert_eq!(places.iter().filter(|place| matches!(place, Place::Fragment(_))).count(), 12);
        // Where one ended, another looks on, and is told some of it again.
        let movie = found.iter().find_map(|found| match found {
            Found::Header(header) => Some(header.movie.clone()),
            _ => None,
        });
        let mut on =
            SegmentEnds::going_on(Duration::from_millis(300), movie.expect("a header"), ends[2]).expect("tracks");
        let from = usize::try_from(ends[1]).expect("small");
        let found = on.look(ends[1], &bytes[from..]);
        assert_eq!(segments(found.iter().flat_map(|found| on.see(found))), [ends[5], ends[8]]);
    }

    #[test]
    fn what_is_no_fragmented_mp4_has_none() {
        let mut ends = SegmentEnds::beginning(Duration::from_secs(2));
        let found = ends.look(0, &[0x47; 400]);
        assert_eq!(found.iter().flat_map(|found| ends.see(found)).collect::<Vec<_>>(), [Place::Nowhere]);
    }
}
