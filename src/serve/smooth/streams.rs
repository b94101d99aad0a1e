//! The tracks of a version as Smooth Streaming has them: what each is called, and when what of it begins. Pure.
//!
//! There is no edit list here: times are those at which something is shown, and count from when the first sample of all is.

use std::ops::Range;

use super::boxes::Time;
use super::level::{Level, level};
use crate::media::fmp4::{Track, TrackKind};
use crate::serve::hls::tracks::{Line, Span, Tracks};
use crate::serve::single::SOON;

/// A fragment names so many of those that follow it, and is not told of before they are there.
pub(crate) const AHEAD: usize = 1;

/// Ticks a second of what is said of the whole.
pub(crate) const TIMESCALE: u64 = 10_000_000;

/// See the module: of what follows the first header, as players know one header and no other.
#[derive(Debug)]
pub(crate) struct Streams<'a> {
    /// Those with one name are one and the same at several rates.
    pub(crate) all: Vec<Stream<'a>>,
    /// Nothing more comes.
    pub(crate) over: bool,
    /// What is shown then is at the beginning, in nanoseconds.
    pub(crate) zero: i128,
}

/// A track.
#[derive(Debug, Clone)]
pub(crate) struct Stream<'a> {
    pub(crate) name: String,
    pub(crate) track: &'a Track,
    pub(crate) level: Level,
    /// What a player names it by, beside its name: bits a second, of its first span.
    pub(crate) rate: u64,
    pub(crate) line: &'a Line,
    /// What is shown then is at the beginning, in ticks.
    zero: i64,
    /// What comes before this place is before the beginning, and not told of.
    from: usize,
}

/// What is known of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    Here(usize),
    /// It is there, or may come soon, but not what it names.
    NotYet,
    /// It is too far in the future.
    Beyond,
    Nowhere,
}

impl<'a> Streams<'a> {
    pub(crate) fn of(tracks: &'a Tracks, over: bool) -> Self {
        let over = over || tracks.eras.len() > 1;
        let Some(era) = tracks.eras.first() else { return Self { all: Vec::new(), over, zero: 0 } };
        let mut all: Vec<Stream<'a>> = Vec::new();
        for track in &era.movie.tracks {
            let Some(level) = level(track) else { continue };
            let Some(line) = era.lines.iter().find(|line| line.id == track.id && !line.spans.is_empty()) else {
                continue;
            };
            let mut rate = line.first_rate(track.timescale).min(u32::MAX.into());
            let kind = name_of(track.kind);
            let mut same: Vec<&Stream<'_>> = all.iter().filter(|other| other.track.kind == track.kind).collect();
            same.dedup_by(|a, b| a.name == b.name);
            let one = same.iter().find(|other| are_one((track, line), (other.track, other.line)));
            let name = match (one, same.len()) {
                (Some(one), _) => one.name.clone(),
                (None, 0) => kind.to_owned(),
                (None, others) => format!("{kind}{}", others + 1),
            };
            // What a player names it by.
            while all.iter().any(|other| other.name == name && other.rate == rate) {
                rate += 1;
            }
            all.push(Stream { name, track, level, rate, line, zero: 0, from: 0 });
        }
        // Those of the first segment, so that it stays the same whatever comes later.
        let segment = |stream: &Stream<'_>| stream.line.spans.first().map_or(u32::MAX, |span| span.segment);
        let first = all.iter().map(segment).min();
        let nanos = |ticks: i64, track: &Track| i128::from(ticks) * 1_000_000_000 / i128::from(track.timescale);
        let begins = |stream: &Stream<'_>| nanos(stream.line.first(), stream.track);
        let zero = all.iter().filter(|stream| Some(segment(stream)) == first).map(begins).min().unwrap_or(0);
        for stream in &mut all {
            stream.zero = stream.ticks(zero).min(stream.line.first());
        }
        Self { all, over, zero }
    }

    /// The first of a kind.
    pub(crate) fn of_kind(&self, kind: TrackKind) -> Option<&Stream<'a>> {
        self.all.iter().find(|stream| stream.track.kind == kind)
    }

    /// What is told of begins then, where of what grows it is no more than the newest `window` seconds, unless that is 0; in ticks of
    /// [`TIMESCALE`].
    pub(crate) fn since(&self, window: u64) -> u64 {
        if self.over || window == 0 {
            return 0;
        }
        self.ends().saturating_sub(window.saturating_mul(TIMESCALE))
    }

    /// When the last that is told of ends, in ticks of [`TIMESCALE`].
    pub(crate) fn ends(&self) -> u64 {
        self.all.iter().map(|stream| stream.ends(stream.listed(self.over))).max().unwrap_or(0)
    }

    /// The one with this name and rate.
    pub(crate) fn find(&self, name: &str, rate: u64) -> Option<&Stream<'a>> {
        self.all.iter().find(|stream| stream.name == name && stream.rate == rate)
    }
}

/// What streams of a kind are called.
pub(crate) fn name_of(kind: TrackKind) -> &'static str {
    if kind == TrackKind::Audio { "audio" } else { "video" }
}

/// Whether a player can go from one track to the other at each segment.
fn are_one((track, line): (&Track, &Line), (other, its): (&Track, &Line)) -> bool {
    let times = |line: &Line| line.spans.iter().map(|span| (span.at, span.segment)).collect::<Vec<_>>();
    let (same, first) = (track.timescale == other.timescale, line.first() == its.first());
    track.kind == TrackKind::Video && other.kind == track.kind && same && first && times(line) == times(its)
}

impl Stream<'_> {
    /// A time in its own ticks, rounded down.
    fn ticks(&self, nanos: i128) -> i64 {
        let ticks = (nanos * i128::from(self.track.timescale)).div_euclid(1_000_000_000);
        i64::try_from(ticks).unwrap_or(0)
    }

    /// The same with another name and rate.
    pub(crate) fn called(&self, name: &str, rate: u64) -> Self {
        Self { name: name.to_owned(), rate, ..self.clone() }
    }

    /// The same of what begins with something else: what comes before that is left out.
    pub(crate) fn beginning_at(mut self, zero: i128) -> Self {
        self.zero = self.ticks(zero);
        self.from = (0..self.line.spans.len()).find(|place| self.shown(*place) >= self.zero).unwrap_or(0);
        self
    }

    /// When the fragment before this place ends, in ticks of [`TIMESCALE`].
    pub(crate) fn ends(&self, place: usize) -> u64 {
        if place <= self.from {
            return 0;
        }
        let (begins, lasts) = self.time(place - 1);
        let ticks = u128::from(begins.saturating_add(lasts)) * u128::from(TIMESCALE);
        u64::try_from(ticks / u128::from(self.track.timescale.max(1))).unwrap_or(u64::MAX)
    }

    /// Which are told of since then; at least the newest one.
    pub(crate) fn told(&self, since: u64, over: bool) -> Range<usize> {
        let listed = self.listed(over);
        let newest = listed.saturating_sub(1).max(self.from);
        let first = (self.from + 1..listed).find(|place| self.ends(*place) > since).map_or(newest, |place| place - 1);
        first..listed.max(first)
    }

    /// When a span is shown, by the clock of the track.
    pub(crate) fn shown(&self, place: usize) -> i64 {
        let at = self.line.spans.get(place).map_or(0, |span| span.at);
        if place == 0 { self.line.first() } else { i64::try_from(at).unwrap_or(i64::MAX) }
    }

    pub(crate) fn time(&self, place: usize) -> Time {
        let lasts = self.line.spans.get(place).map_or(0, |span| span.lasts);
        (u64::try_from(self.shown(place).saturating_sub(self.zero)).unwrap_or(0), lasts.into())
    }

    pub(crate) fn span(&self, place: usize) -> Option<&Span> {
        self.line.spans.get(place)
    }

    /// How many fragments players are told of.
    pub(crate) fn listed(&self, over: bool) -> usize {
        let all = self.line.spans.len();
        if over { all } else { all.saturating_sub(AHEAD) }
    }

    /// Those that follow a fragment, as far as it names them.
    pub(crate) fn next(&self, place: usize) -> Vec<Time> {
        let all = self.line.spans.len();
        (place.saturating_add(1)..all).take(AHEAD).map(|place| self.time(place)).collect()
    }

    /// What is known of the fragment that begins at `time`.
    pub(crate) fn at(&self, time: u64, over: bool) -> There {
        let spans = &self.line.spans;
        // They are in order of their times, each before the next; the first is looked at by itself.
        let later = spans.get(1..).unwrap_or_default();
        let by_clock = i64::try_from(time).ok().and_then(|time| time.checked_add(self.zero));
        let by_clock = by_clock.and_then(|time| u64::try_from(time).ok());
        let found = if spans.is_empty() {
            None
        } else if self.from == 0 && self.time(0).0 == time {
            Some(0)
        } else {
            by_clock.and_then(|at| later.binary_search_by_key(&at, |span| span.at).ok()).map(|place| place + 1)
        };
        match found {
            Some(place) if place < self.from => There::Nowhere,
            Some(place) if place < self.listed(over) => There::Here(place),
            Some(_) => There::NotYet,
            None if over => There::Nowhere,
            None => {
                let (newest, lasts) = spans.len().checked_sub(1).map_or((0, 0), |place| self.time(place));
                let end = newest.saturating_add(lasts);
                let soon = end.saturating_add(SOON * u64::from(self.track.timescale));
                match time {
                    time if time < end => There::Nowhere,
                    time if time <= soon => There::NotYet,
                    _ => There::Beyond,
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::super::level::tests::{ASC, AVCC, track};
    use super::*;
    use crate::media::fmp4::{Fragment, Movie};
    use crate::serve::hls::index::Index;
    use crate::serve::hls::index::tests::{index, stream};

    /// An index whose pictures are H.264, and whose sound is AAC, as far as its header tells.
    pub(crate) fn of_known_codecs(bytes: &[u8]) -> Index {
        let mut index = index([bytes]);
        for era in &mut index.tracks.eras {
            let tracks = vec![track(TrackKind::Video, "avc1.64001f", AVCC), track(TrackKind::Audio, "mp4a.40.2", ASC)];
            era.movie = Arc::new(Movie { tracks, fragmented: true, has_samples: false });
        }
        index
    }

    #[test]
    fn what_is_told_of_is_there_with_what_it_names_and_stays_the_same() {
        let bytes = stream(80, 9);
        let mut seen: Option<Vec<Time>> = None;
        for end in [bytes.len() / 2, bytes.len() * 3 / 4, bytes.len()] {
            let index = of_known_codecs(&bytes[..end]);
            let streams = Streams::of(&index.tracks, index.is_over());
            assert_eq!(streams.all.iter().map(|stream| &stream.name[..]).collect::<Vec<_>>(), ["video", "audio"]);
            let video = streams.find("video", streams.all[0].rate).expect("pictures");
            assert_eq!(streams.find("video", video.rate + 1).map(|stream| &stream.name), None);
            let times: Vec<_> = (0..video.listed(false)).map(|place| video.time(place)).collect();
            assert_eq!(times[0].0, 0);
            for (place, (begins, lasts)) in times.iter().enumerate() {
                assert_eq!(video.at(*begins, false), There::Here(place));
                assert_eq!(video.at(begins + 1, false), There::Nowhere);
                assert_eq!(video.next(place), [video.time(place + 1)]);
                assert_eq!(video.time(place + 1).0, begins + lasts);
            }
            let newest = video.time(times.len());
            assert_eq!(video.at(newest.0, false), There::NotYet);
            assert_eq!((video.at(newest.0, true), video.next(times.len())), (There::Here(times.len()), Vec::new()));
            let end = newest.0 + newest.1;
            assert_eq!((video.at(end, false), video.at(end, true)), (There::NotYet, There::Nowhere));
            assert_eq!((video.at(end + 1_000, false), video.at(end + 1_001, false)), (There::NotYet, There::Beyond));
            for far in [1 << 62, u64::MAX - 1, u64::MAX] {
                assert_eq!((video.at(far, false), video.at(far, true)), (There::Beyond, There::Nowhere));
            }
            if let Some(before) = seen.replace(times.clone()) {
                assert!(times.starts_with(&before) && times.len() > before.len(), "{before:?} {times:?}");
            }
        }
    }

    #[test]
    fn times_count_from_the_first_sample_that_is_shown_also_before_zero() {
        let mut index = of_known_codecs(&stream(40, 9));
        let movie = Arc::clone(&index.tracks.eras[0].movie);
        index.tracks = crate::serve::hls::tracks::Tracks::default();
        index.tracks.header(&movie);
        // Pictures from 0 on, sound from 1,024 ticks of 48,000 before; then both on.
        let run = |track: u32, timescale: u32, earliest: i64, duration: u64| crate::media::fmp4::Run {
            track,
            timescale,
            decode: 0,
            first: earliest,
            earliest,
            latest: 0,
            duration,
            samples: 1,
            syncs: 1,
            sync: true,
            bytes: 1_000,
            lead: crate::media::fmp4::Sample::default(),
        };
        for (number, (video, audio)) in [(0, -1_024), (200, 95_232), (400, 191_232)].into_iter().enumerate() {
            let runs = vec![run(1, 100, video, 200), run(2, 48_000, audio, 96_000)];
            let fragment = Fragment {
                first: 0,
                moof: 0,
                moof_end: 0,
                end: None,
                data_end: None,
                sequence: 0,
                runs,
                key: true,
                base: crate::media::fmp4::Base::Moof,
                timed: true,
                wall: None,
                anew: false,
                fields: Vec::new(),
            };
            index.tracks.begin(&fragment);
            index.tracks.close(number, 0);
        }
        let streams = Streams::of(&index.tracks, index.is_over());
        let [video, audio] = &streams.all[..] else { panic!("{streams:?}") };
        let times = |stream: &Stream<'_>| (0..3).map(|place| stream.time(place).0).collect::<Vec<_>>();
        assert_eq!(times(audio), [0, 96_256, 192_256]);
        // 21 ms and a third are two ticks, and the beginning is rounded down, so that nothing is before it.
        assert_eq!(times(video), [3, 203, 403]);
        assert_eq!((audio.shown(0), audio.shown(1)), (-1_024, 95_232));
        assert_eq!(
            (0..3).map(|place| audio.at(times(audio)[place], true)).collect::<Vec<_>>(),
            (0..3).map(There::Here).collect::<Vec<_>>()
        );
        assert_eq!((video.rate, audio.rate), (4_000, 4_000));
    }
}
