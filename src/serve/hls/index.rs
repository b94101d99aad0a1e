//! What the playlists of one version tell of it, out of its fragments one after another: segments, and the parts of the newest.
//! Pure.
//!
//! All of it follows from the bytes alone, so that every gateway finds the same, whenever it began to look.

use std::collections::BTreeSet;
use std::time::Duration;

use super::parts::Parts;
use super::reload::There;
use super::tracks::Tracks;
use crate::hls::pending::{Pending, Queued};
use crate::hls::playlist::{Object, Timeline};
use crate::hls::segmenter::{micros, rounded};
use crate::hls::segments::Segment;
use crate::hls::stream_info::StreamInfo;
use crate::hls::target::room_for;
use crate::hls::unfit::Unfit;
use crate::media::fmp4::{Found, Fragment};

/// About how long a segment is, in microseconds: as those of `writer --hls` are, unless it is told otherwise.
const AIM: u64 = 2_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pending: Pending,
    /// The segments, and the headers that they need.
    pub(crate) timeline: Timeline,
    /// Segments that do not begin with a key frame.
    pub(crate) keyless: BTreeSet<usize>,
    pub(crate) parts: Parts,
    /// For whoever wants each track alone.
    pub(crate) tracks: Tracks,
    /// For the multivariant playlist.
    pub(crate) info: StreamInfo,
    /// No segment is longer than so many seconds, if a fragment's end allows it; follows from the first one.
    limit: Option<u64>,
    /// Ticks since the newest header.
    passed: u64,
    /// Where the newest whole fragment ends.
    end: u64,
    /// Whether the segment that is being put together begins with a key frame.
    key: Option<bool>,
    /// All of it has been seen.
    over: bool,
    /// It cannot be played, or not from here on.
    unfit: Option<Unfit>,
}

impl Index {
    /// Of what was begun at this time, in microseconds since 1970, where that is known.
    pub(crate) fn new(began: Option<i64>) -> Self {
        let mut index = Self::default();
        index.pending.set_clock(began);
        index
    }

    /// Something was found next.
    pub(crate) fn take(&mut self, found: &Found) {
        if self.unfit.is_some() || self.over {
            return;
        }
        if let Found::Header(header) = found {
            (self.info.movie, self.passed) = (Some(header.movie.clone()), 0);
        }
        if let Err(unfit) = self.pending.take(found, None, AIM, self.limit) {
            self.unfit = Some(unfit);
            self.pending.cut_rest();
        }
        if let Found::Ended(fragment) = found {
            self.end = fragment.end.unwrap_or(self.end);
            self.parts.end(self.end);
        }
        self.list();
        match (found, &self.unfit) {
            // After what was before it has been listed.
            (Found::Header(header), _) => self.tracks.header(&header.movie),
            (Found::Begun(fragment), None) => self.begin(fragment),
            _ => {}
        }
    }

    /// A fragment begins, after the segment before it has been listed, if it is the first of another.
    fn begin(&mut self, fragment: &Fragment) {
        self.tracks.begin(fragment);
        let Some(run) = self.pending.main_run(fragment) else { return self.parts.begin(fragment.first, 0, false) };
        self.key.get_or_insert(fragment.key);
        self.info.sampled(run);
        let timescale = run.timescale.into();
        let began = micros(self.passed, timescale);
        self.passed = self.passed.saturating_add(run.duration);
        // Out of the places in the whole stream, so that rounding never adds up.
        let lasts = micros(self.passed, timescale).saturating_sub(began);
        self.parts.begin(fragment.first, lasts, fragment.key);
    }

    /// Lists the segments that are whole.
    fn list(&mut self) {
        while let Some(Queued { cut, date, header: (header, header_len), anew, .. }) = self.pending.next(u64::MAX) {
            let is_same = |object: &Object| (object.header, object.header_len) == (header, header_len);
            let number = self.timeline.segments.len();
            if !self.timeline.objects.last().is_some_and(is_same) {
                self.timeline.objects.push(Object { uri: String::new(), header, header_len, live: None });
            } else if anew {
                self.timeline.breaks.insert(number);
            }
            let object = self.timeline.objects.len() - 1;
            let (first, len, micros) = (cut.first, cut.end.saturating_sub(cut.first), cut.micros);
            let segment = Segment { object, first, len, micros, date };
            self.timeline.segments.push(segment);
            self.info.listed(&segment);
            self.parts.close(number);
            self.tracks.close(number, object);
            if self.key.take() == Some(false) {
                self.keyless.insert(number);
            }
            if self.limit.is_none() {
                let limit = room_for(micros, AIM);
                self.limit = Some(limit);
                self.pending.limit(limit);
            }
        }
    }

    /// All of it has been seen.
    pub(crate) fn finish(&mut self) {
        if !self.over {
            self.pending.cut_rest();
            self.list();
            self.parts.finish();
            self.over = true;
        }
    }

    /// Whether all of it has been seen.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Why nothing of it can be played, where that is so.
    pub(crate) fn unfit(&self) -> Option<&Unfit> {
        self.unfit.as_ref().filter(|_| self.timeline.segments.is_empty())
    }

    /// The target duration in seconds for what comes in bursts so far apart; none without a segment.
    pub(crate) fn target(&self, burst: Duration) -> Option<u64> {
        let longest = self.timeline.segments.micros().map(rounded).max()?;
        let burst = u64::try_from(burst.as_micros()).unwrap_or(u64::MAX).saturating_mul(6) / 5;
        Some(longest.max(self.limit?).max(burst.div_ceil(1_000_000)))
    }

    /// How long the input takes for so many bytes, by the rate so far.
    pub(crate) fn time_of(&self, bytes: u64) -> Duration {
        let micros = u128::from(self.timeline.micros()) * u128::from(bytes) / u128::from(self.timeline.bytes().max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Where the next part begins.
    pub(crate) fn next_part(&self) -> u64 {
        let header = self.header().map_or(0, |(header, length)| header.saturating_add(length));
        self.parts.next(self.end.max(header))
    }

    /// Offset and length of the header that what comes next needs, once it has come.
    pub(crate) fn header(&self) -> Option<(u64, u64)> {
        self.pending.header()
    }

    /// What a request can wait for; `parts`: where they are listed.
    pub(crate) fn there(&self, parts: bool) -> There {
        let segments = self.timeline.segments.len();
        let newest = segments.checked_sub(1).map_or(0, |newest| self.parts.of(newest).len());
        let parts = (parts && !self.over).then_some((newest as u64, self.parts.open().len() as u64));
        There { segments: segments as u64, parts, over: self.over }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::tracks::{Line, Span};
    use super::*;
    use crate::media::fmp4::Scanner;
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture, sound};

    /// Fragments of three pictures, 0.12 s each, with a key frame in front of each `gop`th.
    pub(crate) fn stream(count: u32, gop: u32) -> Vec<u8> {
        stream_of(count, |number| number % gop == 0)
    }

    pub(crate) fn stream_of(count: u32, is_key: impl Fn(u32) -> bool) -> Vec<u8> {
        let fragment = |number: u32| {
            let trafs = [picture(number * 12, is_key(number)), sound(u64::from(number) * 5_760, 5)];
            [moof(&trafs), mdat(50 + number as usize % 7)].concat()
        };
        [header()].into_iter().chain((0..count).map(fragment)).collect::<Vec<_>>().concat()
    }

    pub(crate) fn index<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> Index {
        let (mut index, mut scanner) = (Index::new(Some(0)), Scanner::new());
        for slice in slices {
            scanner.feed(slice).iter().for_each(|found| index.take(found));
        }
        index
    }

    #[test]
    fn segments_are_the_object_after_its_header() {
        let bytes = stream(100, 9);
        let mut index = index([&bytes[..]]);
        let count = index.timeline.segments.len();
        assert_eq!(count, 5);
        assert!(!index.is_over() && index.parts.target().is_some());
        assert_eq!(index.there(true), There { segments: 5, parts: Some((5, 2)), over: false });
        index.finish();
        assert!(index.is_over() && index.parts.open().is_empty());
        let segments: Vec<_> = index.timeline.segments.iter().collect();
        assert_eq!(segments[0].first, header().len() as u64);
        assert!(segments.windows(2).all(|pair| pair[0].end() == pair[1].first));
        assert_eq!(segments.last().map(Segment::end), Some(bytes.len() as u64));
        assert!(index.keyless.is_empty());
        assert_eq!(index.target(Duration::ZERO), Some(4));
        assert_eq!(index.target(Duration::from_secs(5)), Some(6));
    }

    #[test]
    fn another_header_is_a_discontinuity_and_rubbish_ends_the_list() {
        let one = stream(40, 9);
        let mut two = index([&one[..], &one[..]]);
        two.finish();
        assert_eq!(two.timeline.objects.len(), 2);
        assert_eq!(two.timeline.objects[1].header, one.len() as u64);
        let rubbish = [0xff; 64];
        let broken = index([&one[..], &rubbish[..], &one[..]]);
        assert!(broken.unfit().is_none() && broken.timeline.objects.len() == 1);
        let nothing = index([&mdat(10)[..]]);
        assert!(matches!(nothing.unfit(), Some(Unfit::NoFragments(_))));
    }

    #[test]
    fn each_track_of_a_segment_is_told_of_alone_and_each_header_begins_anew() {
        let one = stream(40, 9);
        let mut index = index([&one[..], &one[..]]);
        index.finish();
        let eras = &index.tracks.eras;
        assert_eq!((eras.len(), eras[0].lines.len()), (2, 2));
        let shifted = |line: &Line| {
            let shift = |span: &Span| Span { segment: span.segment - 3, ..*span };
            line.spans.iter().map(shift).collect::<Vec<_>>()
        };
        assert!(eras[0].lines.iter().zip(&eras[1].lines).all(|(one, two)| one.spans == shifted(two)));
        let [pictures, sound] = &eras[0].lines[..] else { panic!("{eras:?}") };
        // Of fragments of 12 ticks and of 5 samples of 1,024: eighteen, eighteen, and four.
        let want = |apart: u32, ticks: u32| {
            let span = |(segment, lasts): (u32, u32)| Span {
                at: (segment * 18 * apart).into(),
                lasts: lasts * ticks,
                segment,
            };
            [(0, 18), (1, 18), (2, 4)].map(span)
        };
        assert_eq!((&pictures.spans[..], &sound.spans[..]), (&want(12, 12)[..], &want(5_760, 5_120)[..]));
        assert_eq!((pictures.at(216), pictures.at(215)), (Some(pictures.spans[1]), None));
        assert_eq!(pictures.rate(100), 33 * 40 * 8 * 100 / 480);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn however_the_bytes_come_the_list_is_the_same(gop in 1u32..12, cuts in prop::collection::vec(1usize..700, 1..60)) {
            let bytes = stream(60, gop);
            let mut slices = Vec::new();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (slice, after) = rest.split_at((*cuts.next().expect("a cut")).min(rest.len()));
                slices.push(slice);
                rest = after;
            }
            let (whole, sliced) = (index([&bytes[..]]), index(slices));
            prop_assert_eq!(&whole.timeline, &sliced.timeline);
            prop_assert_eq!(whole.there(true), sliced.there(true));
            prop_assert_eq!(whole.parts.open(), sliced.parts.open());
        }
    }
}
