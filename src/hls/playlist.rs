//! Media playlists (RFC 8216) that point into growing objects by byte range: the model, as text and back. Pure.
//!
//! What is written follows RFC 8216, section 4.3: `EXT-X-MAP` outside of I-frame playlists asks for version 6, and
//! Apple's players take fragmented MP4 from version 7 on. A segment's duration is written in microseconds, so that the
//! places of 43,000 segments stay within a frame of the truth.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::clock;
use super::live_names::LiveNames;
use super::segments::{Segment, Segments};
use crate::protocol::escape;

/// The version of the protocol that the tags ask for.
const VERSION: u32 = 7;

/// A date is written at the beginning, after each discontinuity, and at each of so many segments.
const DATE_EVERY: usize = 30;

/// An object that segments are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it is, relative to the playlist.
    pub uri: String,
    /// Offset of the header that every segment needs.
    pub header: u64,
    /// Length of the header in bytes.
    pub header_len: u64,
    /// While it cannot be read: where its live objects are, one for the header and one for each segment.
    pub live: Option<LiveNames>,
}

impl Object {
    /// Whether it is the same, as far as it does not change when it can be read.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.uri, self.header, self.header_len) == (&other.uri, other.header, other.header_len)
    }
}

/// All that has been recorded so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The objects in order.
    pub objects: Vec<Object>,
    /// The segments in order. A change of the object is a discontinuity.
    pub segments: Segments,
    /// Segments that no live object holds by itself, so that nobody can play them before their object can be read.
    pub gaps: BTreeSet<usize>,
    /// Segments with which another encoder goes on inside an object: a discontinuity, too.
    pub breaks: BTreeSet<usize>,
}

/// What a playlist promises about its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistKind {
    /// It only grows.
    Event,
    /// It slides: segments leave it at its beginning.
    Sliding,
    /// It never changes.
    Vod,
}

/// Which part of a timeline a playlist shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target: u64,
    /// Its kind.
    pub kind: PlaylistKind,
    /// The first segment shown.
    pub from: usize,
    /// Whether nothing will be added.
    pub ended: bool,
}

impl Timeline {
    /// How long all of it plays, in microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.segments.micros().fold(0, u64::saturating_add)
    }

    /// Bytes of all of it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.len))
    }

    /// Bits a second over all of it.
    #[must_use]
    pub fn average_rate(&self) -> u64 {
        let bytes = self.bytes();
        u64::try_from(u128::from(bytes) * 8_000_000 / u128::from(self.micros().max(1))).unwrap_or(u64::MAX)
    }

    /// The first segment of a window of `micros`: the segments from there on last at least as long, if there are as many.
    #[must_use]
    pub fn window(&self, micros: u64) -> usize {
        let mut sum = 0u64;
        let enough = self.segments.micros().rposition(|length| {
            sum = sum.saturating_add(length);
            sum >= micros
        });
        enough.unwrap_or(0)
    }

    /// How many discontinuities there are up to a segment.
    fn discontinuities_to(&self, segment: usize) -> usize {
        self.segments.turns_to(segment) + self.breaks.range(..=segment).count()
    }

    /// The text of a playlist.
    #[must_use]
    pub fn text(&self, view: &View) -> String {
        let shown = self.segments.iter().skip(view.from);
        let uris: usize =
            shown.clone().filter_map(|segment| self.objects.get(segment.object)).map(|o| o.uri.len()).sum();
        let mut text = String::with_capacity(256 + uris + shown.len() * 60);
        // A string takes whatever is written into it: the results are of no interest.
        let out = &mut text;
        let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{}", view.target);
        let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", view.from);
        let removed = if shown.len() > 0 { self.discontinuities_to(view.from) } else { 0 };
        if removed > 0 {
            let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{removed}");
        }
        match view.kind {
            PlaylistKind::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            PlaylistKind::Vod => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
            PlaylistKind::Sliding => {}
        }
        let mut current = None;
        for (number, segment) in (view.from..).zip(shown) {
            let Some(object) = self.objects.get(segment.object) else { continue };
            let other = current != Some(segment.object);
            if other {
                if current.is_some() {
                    out.push_str("#EXT-X-DISCONTINUITY\n");
                }
                put_header(out, object);
                current = Some(segment.object);
            }
            let anew = !other && self.breaks.contains(&number);
            if anew {
                // The header stays the same.
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if let Some(date) = segment.date.filter(|_| other || anew || number % DATE_EVERY == 0) {
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", clock::show(date));
            }
            if object.live.is_some() {
                let _ = writeln!(out, "{OWN_RANGE}:{}@{}", segment.len, segment.first);
                if self.gaps.contains(&number) {
                    out.push_str("#EXT-X-GAP\n");
                }
            }
            let _ = writeln!(out, "#EXTINF:{}.{:06},", segment.micros / 1_000_000, segment.micros % 1_000_000);
            if let Some(live) = &object.live {
                if self.gaps.contains(&number) {
                    live.put_gap(out, segment.first);
                } else {
                    live.put(out, segment.first);
                }
                out.push('\n');
            } else {
                let _ = writeln!(out, "#EXT-X-BYTERANGE:{}@{}\n{}", segment.len, segment.first, object.uri);
            }
        }
        if view.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

/// Comments that say where in the object a live object lies: players pass over them, and whoever goes on with a playlist
/// needs them.
const OWN_OBJECT: &str = "#LIVE-READ-OBJECT";
const OWN_RANGE: &str = "#LIVE-READ-RANGE";

/// Where the header of an object is, which the segments after it need.
fn put_header(out: &mut String, object: &Object) {
    let Object { uri, header, header_len, live } = object;
    // A string takes whatever is written into it: the results are of no interest.
    let Some(live) = live else {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"{header_len}@{header}\"");
        return;
    };
    let _ = writeln!(out, "{OWN_OBJECT}:{header_len}@{header} {uri}");
    out.push_str("#EXT-X-MAP:URI=\"");
    live.put(out, *header);
    out.push_str("\"\n");
}

/// `LENGTH@OFFSET`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (len, first) = text.split_once('@')?;
    Some((first.parse().ok()?, len.parse().ok()?))
}

/// A playlist that was written by this module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it shows, without what has left it.
    pub timeline: Timeline,
    /// How.
    pub view: View,
}

impl Written {
    /// Reads a playlist back. `None` for one that this module has not written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "#EXTM3U" {
            return None;
        }
        let mut timeline = Timeline::default();
        let mut view = View { target: 0, kind: PlaylistKind::Sliding, from: 0, ended: false };
        let (mut micros, mut place, mut dated, mut own) = (None, None, None, None);
        // Where the next segment is in time, as far as that is known.
        let mut due = None;
        let mut anew = false;
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-TARGETDURATION" => view.target = value.parse().ok()?,
                "#EXT-X-MEDIA-SEQUENCE" => view.from = value.parse().ok()?,
                "#EXT-X-PLAYLIST-TYPE" if value == "EVENT" => view.kind = PlaylistKind::Event,
                "#EXT-X-PLAYLIST-TYPE" => view.kind = PlaylistKind::Vod,
                "#EXT-X-ENDLIST" => view.ended = true,
                OWN_OBJECT => {
                    let (place, uri) = value.split_once(' ')?;
                    own = Some((range(place)?, uri.to_owned()));
                }
                "#EXT-X-MAP" if own.is_some() => {
                    let ((header, header_len), object) = own.take()?;
                    let (live, offset) = LiveNames::read(value.strip_prefix("URI=\"")?.strip_suffix('"')?)?;
                    let live = Some(live).filter(|_| offset == header);
                    timeline.objects.push(Object { uri: object, header, header_len, live: Some(live?) });
                    due = None;
                }
                "#EXT-X-MAP" => {
                    let (uri, place) = value.strip_prefix("URI=\"")?.split_once("\",BYTERANGE=\"")?;
                    let (header, header_len) = range(place.strip_suffix('"')?)?;
                    timeline.objects.push(Object { uri: uri.to_owned(), header, header_len, live: None });
                    due = None;
                }
                "#EXT-X-DISCONTINUITY" => (anew, due) = (true, None),
                "#EXT-X-GAP" => drop(timeline.gaps.insert(timeline.segments.len())),
                "#EXT-X-PROGRAM-DATE-TIME" => dated = Some(clock::read(value)?),
                "#EXTINF" => {
                    let (seconds, fraction) = value.strip_suffix(',')?.split_once('.')?;
                    let (seconds, fraction): (u64, u64) =
                        (seconds.parse().ok()?, Some(fraction).filter(|text| text.len() == 6)?.parse().ok()?);
                    micros = Some(seconds.checked_mul(1_000_000)?.checked_add(fraction)?);
                }
                "#EXT-X-BYTERANGE" | OWN_RANGE => place = Some(range(value)?),
                _ if line.is_empty() || line.starts_with('#') => {}
                _ => {
                    let ((first, len), micros): ((u64, u64), u64) = (place.take()?, micros.take()?);
                    first.checked_add(len)?;
                    let object = timeline.objects.len().checked_sub(1)?;
                    if std::mem::take(&mut anew) && timeline.segments.last().is_some_and(|last| last.object == object) {
                        timeline.breaks.insert(timeline.segments.len());
                    }
                    match timeline.objects.last_mut()? {
                        Object { live: Some(live), .. } if live.is_gap(line, first) => {}
                        Object { live: Some(live), .. } => {
                            let (names, offset) = LiveNames::read(line)?;
                            if offset != first || !live.is_same(&names) {
                                return None;
                            }
                            live.learn(&names);
                        }
                        Object { uri, .. } if uri != line => return None,
                        Object { .. } => {}
                    }
                    let date = dated.take().or(due);
                    due = date.and_then(|date: i64| date.checked_add_unsigned(micros));
                    timeline.segments.push(Segment { object, first, len, micros, date });
                }
            }
        }
        (view.target > 0 && !timeline.segments.is_empty()).then_some(Self { timeline, view })
    }
}

/// Where `object` is as seen from `playlist`, two keys of one bucket, as a relative reference (RFC 3986, 4.2); with the
/// version where it is to be pinned.
#[must_use]
pub fn reference(playlist: &str, object: &str, version: Option<&str>) -> String {
    let folders = playlist.rsplit_once('/').map_or("", |(folders, _)| folders);
    let from: Vec<&str> = if folders.is_empty() { Vec::new() } else { folders.split('/').collect() };
    let to: Vec<&str> = object.split('/').collect();
    let (last, above) = to.split_last().map_or(("", &to[..0]), |(last, above)| (*last, above));
    let common = from.iter().zip(above).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| "..".to_owned());
    let down = above.iter().skip(common).chain([&last]).map(|segment| escape::segment(segment));
    let path = up.chain(down).collect::<Vec<_>>().join("/");
    match version {
        Some(version) => format!("{path}?versionId={}", escape::segment(version)),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: i64 = 1_795_258_800_123_000;

    fn timeline(objects: &[usize]) -> Timeline {
        let mut timeline = Timeline::default();
        let mut date = DATE;
        for (object, count) in objects.iter().enumerate() {
            timeline.objects.push(Object {
                uri: format!("live-{object}.mp4?versionId=4_z1"),
                header: 0,
                header_len: 1_000,
                live: None,
            });
            for number in 0..*count as u64 {
                let (first, micros) = (1_000 + number * 50, 2_002_000);
                timeline.segments.push(Segment { object, first, len: 50, micros, date: Some(date) });
                date += 2_002_000;
            }
        }
        timeline
    }

    #[test]
    fn another_encoder_in_the_same_object_is_a_discontinuity() {
        let mut timeline = timeline(&[4, 1]);
        timeline.breaks.insert(2);
        let view = |from| View { target: 3, kind: PlaylistKind::Sliding, from, ended: false };
        let text = timeline.text(&view(0));
        let at = "#EXT-X-BYTERANGE:50@1050\nlive-0.mp4?versionId=4_z1\n#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T11:00:04.127Z\n\
            #EXTINF:2.002000,\n#EXT-X-BYTERANGE:50@1100\n";
        assert!(text.contains(at) && text.matches("#EXT-X-DISCONTINUITY\n").count() == 2, "{text}");
        let read = Written::read(&text).expect("it is ours");
        assert_eq!(read.timeline, timeline);
        // What has left a window counts, and what it begins with is not told.
        for (from, left, tags) in [(1, 0, 2), (2, 1, 1), (3, 1, 1), (4, 2, 0)] {
            let text = timeline.text(&view(from));
            let sequence = text.contains(&format!("#EXT-X-DISCONTINUITY-SEQUENCE:{left}\n"));
            assert!(sequence == (left > 0) && text.matches("#EXT-X-DISCONTINUITY\n").count() == tags, "{from}: {text}");
        }
    }

    #[test]
    fn a_small_playlist_as_text() {
        let view = View { target: 3, kind: PlaylistKind::Event, from: 0, ended: true };
        let want = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n\
            #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MAP:URI=\"live-0.mp4?versionId=4_z1\",BYTERANGE=\"1000@0\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T11:00:00.123Z\n#EXTINF:2.002000,\n#EXT-X-BYTERANGE:50@1000\n\
            live-0.mp4?versionId=4_z1\n#EXT-X-DISCONTINUITY\n\
            #EXT-X-MAP:URI=\"live-1.mp4?versionId=4_z1\",BYTERANGE=\"1000@0\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T11:00:02.125Z\n#EXTINF:2.002000,\n#EXT-X-BYTERANGE:50@1000\n\
            live-1.mp4?versionId=4_z1\n#EXT-X-ENDLIST\n";
        assert_eq!(timeline(&[1, 1]).text(&view), want);
    }

    /// The same while the last of its objects is open.
    fn open(mut timeline: Timeline) -> Timeline {
        let count = timeline.segments.len();
        let last = timeline.objects.last_mut().expect("an object");
        let folder = "../_live/live.mp4/20261121T143349Z-9f3c2a7b/".to_owned();
        let runs = if count == 3 { vec![(0, 0), (1_050, 1)] } else { vec![(0, 0)] };
        last.live = Some(LiveNames::new(folder, "0000000000000000.mp4", runs));
        last.uri = "live.mp4".to_owned();
        timeline
    }

    #[test]
    fn a_small_playlist_of_live_objects_as_text() {
        let view = View { target: 3, kind: PlaylistKind::Event, from: 0, ended: false };
        let folder = "../_live/live.mp4/20261121T143349Z-9f3c2a7b";
        let want = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
            #LIVE-READ-OBJECT:1000@0 live.mp4\n#EXT-X-MAP:URI=\"{folder}/0/0000000000000000.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T11:00:00.123Z\n#LIVE-READ-RANGE:50@1000\n#EXTINF:2.002000,\n\
            {folder}/0/0000000000001000.mp4\n#LIVE-READ-RANGE:50@1050\n#EXTINF:2.002000,\n\
            {folder}/1/0000000000001050.mp4\n#LIVE-READ-RANGE:50@1100\n#EXT-X-GAP\n#EXTINF:2.002000,\n\
            {folder}/gap/0000000000001100.mp4\n"
        );
        let mut timeline = open(timeline(&[3]));
        timeline.gaps.insert(2);
        assert_eq!(timeline.text(&view), want);
        assert!(Written::read(&want).is_some_and(|read| read.timeline == timeline && read.view == view));
        // One that names another object than it says.
        for other in ["1000@1 live.mp4", "50@1051"] {
            let (tag, right) = if other.contains(' ') { ("OBJECT", "1000@0 live.mp4") } else { ("RANGE", "50@1050") };
            let text = want.replace(&format!("{tag}:{right}"), &format!("{tag}:{other}"));
            assert_eq!(Written::read(&text), None, "{other}");
        }
    }

    #[test]
    fn what_has_left_a_window_is_counted() {
        let timeline = timeline(&[3, 2, 4]);
        let text = |from| timeline.text(&View { target: 2, kind: PlaylistKind::Sliding, from, ended: false });
        assert!(!text(2).contains("DISCONTINUITY-SEQUENCE"));
        assert!(text(3).contains("\n#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
        assert!(text(6).contains("\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n"));
        assert_eq!(text(2).matches("#EXT-X-DISCONTINUITY\n").count(), 2);
        assert_eq!((timeline.window(1), timeline.window(4_004_000), timeline.window(u64::MAX)), (8, 7, 0));
    }

    /// The numbers in docs/hls.md.
    #[test]
    fn a_day_of_two_seconds_each() {
        let version =
            "4_z27c88f1d182b150646ff0b16_f2004b1a1d7d2e5b0_d20150809_m012853_c100_v0009990_t0000_u01439083733000";
        let mut timeline = Timeline::default();
        timeline.objects.push(Object {
            uri: format!("live.mp4?versionId={version}"),
            header: 0,
            header_len: 1_272,
            live: None,
        });
        for number in 0..43_200u64 {
            let (first, date) = (1_272 + number * 1_500_123, Some(DATE + number.cast_signed() * 2_000_000));
            timeline.segments.push(Segment { object: 0, first, len: 1_500_123, micros: 2_000_000, date });
        }
        let text = |from| timeline.text(&View { target: 9, kind: PlaylistKind::Sliding, from, ended: false });
        let began = std::time::Instant::now();
        let (day, three_hours) = (text(0).len(), text(43_200 - 5_400).len());
        println!("a day: {day} bytes, three hours: {three_hours} bytes, made in {:?}", began.elapsed());
        assert!((7_000_000..8_000_000).contains(&day), "{day}");
        assert!((800_000..1_000_000).contains(&three_hours), "{three_hours}");
        assert!(Written::read(&text(0)).is_some_and(|read| read.timeline == timeline));
    }

    #[test]
    fn references_are_relative() {
        for (playlist, object, want) in [
            ("live.m3u8", "live.mp4", "live.mp4"),
            ("a/b/live.m3u8", "a/b/live.mp4", "live.mp4"),
            ("a/x/live.m3u8", "a/b/c/live.mp4", "../b/c/live.mp4"),
            ("lists/live.m3u8", "live.mp4", "../live.mp4"),
            ("live.m3u8", "a/live show: 1+1?.mp4", "a/live%20show%3A%201%2B1%3F.mp4"),
            ("live.m3u8", "a\"é.mp4", "a%22%C3%A9.mp4"),
        ] {
            assert_eq!(reference(playlist, object, None), want);
        }
        assert_eq!(reference("live.m3u8", "live.mp4", Some("4_z/&")), "live.mp4?versionId=4_z%2F%26");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_back(objects in prop::collection::vec(1usize..70, 1..4), ended: bool, event: bool, live: bool) {
            let timeline = timeline(&objects);
            let timeline = if live && timeline.segments.len() != 3 { open(timeline) } else { timeline };
            let view = View { target: 7, kind: if event { PlaylistKind::Event } else { PlaylistKind::Sliding }, from: 0, ended };
            let read = Written::read(&timeline.text(&view)).expect("it was written here");
            prop_assert_eq!(read.view, view);
            prop_assert_eq!(read.timeline, timeline);
        }

        #[test]
        fn other_texts_do_no_harm(text in "(#EXTM3U\n)?(#EXT-X-MAP:URI=\"a\",BYTERANGE=\"[0-9]{1,20}@0\"\n|#EXTINF:[0-9]{1,20}.[0-9]{6},\n|#EXT-X-BYTERANGE:[0-9]{1,20}@[0-9]{1,20}\n|#EXT-X-TARGETDURATION:2\n|#EXT-X-PROGRAM-DATE-TIME:[-0-9TZ:.]{0,24}\n|a\n|b\n){0,12}") {
            if let Some(read) = Written::read(&text) {
                prop_assert!(!read.timeline.segments.is_empty());
            }
        }
    }
}
