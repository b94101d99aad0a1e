//! Playlists as text (RFC 8216bis), of one version or of those that go on each other: of all of it, of what a client lacks,
//! and of its key frames. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::index::Index;
use super::names::PICTURES;
use super::parts::Part;
use crate::hls::clock;
use crate::hls::playlist::Object;
use crate::hls::segments::Segment;

/// A date is written at the beginning, after each discontinuity, and at each of so many segments.
const DATE_EVERY: usize = 30;

/// What is promised of a playlist while it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub(crate) target: u64,
    /// How far apart what comes is.
    pub(crate) burst: Duration,
    /// Whether parts are listed.
    pub(crate) parts: bool,
    /// Whether whoever waits for the next segment is answered as it comes.
    pub(crate) blocks: bool,
}

impl Promise {
    /// Older than this, in seconds, a client need not be told again (`CAN-SKIP-UNTIL`).
    fn skip_until(&self) -> u64 {
        self.target.saturating_mul(6)
    }

    /// How far behind the end a client has to stay that plays parts, in microseconds: three of them, and with bursts two of
    /// them after what comes at once.
    fn hold_back(&self, part: u64) -> u64 {
        let burst = u64::try_from(self.burst.as_micros()).unwrap_or(u64::MAX);
        part.saturating_mul(3).max(part.saturating_mul(2).saturating_add(burst))
    }
}

/// One of the objects that a playlist tells of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) index: &'a Index,
    /// Where its stretches are, as seen from the playlist.
    pub(crate) folder: &'a str,
}

/// What a playlist tells of: objects of which each goes on the one before. Only the last may grow.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) pieces: Vec<Piece<'a>>,
    /// Nothing more comes.
    pub(crate) over: bool,
}

impl Row<'_> {
    fn count(&self) -> usize {
        self.pieces.iter().map(|piece| piece.index.timeline.segments.len()).sum()
    }

    /// How long segments are, in microseconds, from the newest on.
    fn micros_from_end(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().rev().flat_map(|piece| piece.index.timeline.segments.micros().rev())
    }

    /// How long a part is at most, in microseconds, where parts are listed.
    pub(super) fn part(&self, promise: &Promise) -> Option<u64> {
        let newest = self.pieces.last()?.index.parts.target().filter(|_| !self.over && promise.parts)?;
        self.pieces.iter().filter_map(|piece| piece.index.parts.target()).max().map(|longest| longest.max(newest))
    }
}

/// How many segments a client need not be told of again.
#[must_use]
pub(crate) fn skipped(row: &Row<'_>, promise: &Promise) -> usize {
    let until = promise.skip_until().saturating_mul(1_000_000);
    let mut sum = 0u64;
    // Those from the end on that do not lie all beyond the boundary.
    let kept = row.micros_from_end().take_while(|micros| {
        let is_beyond = sum >= until;
        sum = sum.saturating_add(*micros);
        !is_beyond
    });
    row.count() - kept.count()
}

/// The media playlist; all of it, or with `skip` of its first segments left out. `suffix` ends each URL.
#[must_use]
pub(crate) fn media(row: &Row<'_>, promise: &Promise, skip: usize, suffix: &str) -> String {
    let (grows, part) = (!row.over, row.part(promise));
    let length: usize = row.pieces.iter().map(|p| p.index.timeline.segments.len() * (48 + p.folder.len())).sum();
    let mut text = String::with_capacity(512 + length);
    // A string takes whatever is written into it: the results are of no interest.
    let out = &mut text;
    let version = if skip > 0 || part.is_some() { 9 } else { 7 };
    let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}", promise.target);
    if grows {
        let _ = write!(out, "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={}.0", promise.skip_until());
        if promise.blocks {
            out.push_str(",CAN-BLOCK-RELOAD=YES");
        }
        if let Some(part) = part {
            let _ = write!(out, ",PART-HOLD-BACK={}", Seconds(promise.hold_back(part)));
        }
        out.push('\n');
    }
    if let Some(part) = part {
        let _ = writeln!(out, "#EXT-X-PART-INF:PART-TARGET={}", Seconds(part));
    }
    // Also when it has ended: what a playlist promises stays.
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT");
    if skip > 0 {
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skip}");
    }
    let with_parts = part.map_or(usize::MAX, |_| with_parts(row, promise));
    let mut listed = 0;
    for Piece { index, folder } in &row.pieces {
        let mut current = None;
        for (number, segment) in index.timeline.segments.iter().enumerate() {
            let lead = Lead::of(index, number, &segment, current, listed > 0);
            if listed >= skip {
                put_lead(out, &lead, &segment, folder, suffix);
                if listed >= with_parts {
                    put_parts(out, index.parts.of(number), folder, suffix);
                }
                put_segment(out, &segment, folder, suffix);
            }
            (current, listed) = (Some(segment.object), listed + 1);
        }
    }
    if let Some(newest) = row.pieces.last().filter(|_| part.is_some()) {
        put_newest(out, newest, listed > 0, suffix);
    }
    if !grows {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// What there is of the segment that is not whole yet, and what comes next.
fn put_newest(out: &mut String, newest: &Piece<'_>, goes_on: bool, suffix: &str) {
    let Piece { index, folder } = newest;
    if index.timeline.segments.is_empty() {
        // Of an object that goes on another one.
        let Some((first, length)) = index.header() else { return };
        if goes_on {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{folder}{first}-{length}.mp4{suffix}\"");
    }
    put_parts(out, index.parts.open(), folder, suffix);
    let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{folder}{}-.m4s{suffix}\"", index.next_part());
}

/// The first segment whose parts are listed: those of older ones are of no use any more.
fn with_parts(row: &Row<'_>, promise: &Promise) -> usize {
    let enough = promise.target.saturating_mul(3_000_000);
    let mut sum = 0u64;
    let with_parts = row.micros_from_end().take_while(|micros| {
        let has_enough = sum >= enough;
        sum = sum.saturating_add(*micros);
        !has_enough
    });
    row.count() - with_parts.count()
}

/// The playlist of key frames: each a picture by itself, for looking through a recording.
#[must_use]
pub(crate) fn key_frames(row: &Row<'_>, promise: &Promise, suffix: &str) -> String {
    let mut text = String::with_capacity(256 + row.count() * (56 + suffix.len()));
    let out = &mut text;
    // One that leads a segment without a key frame is shown until the next.
    let shown = row.pieces.iter().flat_map(|piece| key_segments(piece.index));
    let longest = shown.map(|(_, _, micros)| micros.div_ceil(1_000_000)).max().unwrap_or(1);
    let target = longest.max(promise.target);
    let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0");
    let _ = writeln!(out, "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-I-FRAMES-ONLY");
    let mut goes_on = false;
    for Piece { index, folder } in &row.pieces {
        let mut current = None;
        for (number, segment, micros) in key_segments(index) {
            put_lead(out, &Lead::of(index, number, &segment, current, goes_on), &segment, folder, suffix);
            let (first, len) = (segment.first, segment.len);
            let _ = writeln!(out, "#EXTINF:{},\n{folder}{PICTURES}/{first}-{len}.m4s{suffix}", Seconds(micros));
            (current, goes_on) = (Some(segment.object), true);
        }
    }
    if row.over {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// The segments that begin with a key frame, and how long it is to the next of them, in microseconds.
fn key_segments(index: &Index) -> impl Iterator<Item = (usize, Segment, u64)> {
    let mut segments = index.timeline.segments.iter().enumerate().peekable();
    std::iter::from_fn(move || {
        let (number, segment) = segments.find(|(number, _)| !index.keyless.contains(number))?;
        let mut micros = segment.micros;
        while let Some((_, more)) = segments.next_if(|(next, _)| index.keyless.contains(next)) {
            micros = micros.saturating_add(more.micros);
        }
        Some((number, segment, micros))
    })
}

/// What comes before a segment.
struct Lead<'a> {
    discontinuity: bool,
    /// Another header than before.
    header: Option<&'a Object>,
    date: bool,
}

impl<'a> Lead<'a> {
    /// After a segment that needs the header `before`; `goes_on`: others are listed before it.
    fn of(index: &'a Index, number: usize, segment: &Segment, before: Option<usize>, goes_on: bool) -> Self {
        let is_other = before != Some(segment.object);
        let is_break = is_other || index.timeline.breaks.contains(&number);
        let header = index.timeline.objects.get(segment.object).filter(|_| is_other);
        Self { discontinuity: is_break && goes_on, header, date: is_break || number.is_multiple_of(DATE_EVERY) }
    }
}

fn put_lead(out: &mut String, lead: &Lead<'_>, segment: &Segment, folder: &str, suffix: &str) {
    if lead.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if let Some(object) = lead.header {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{folder}{}-{}.mp4{suffix}\"", object.header, object.header_len);
    }
    if let Some(date) = segment.date.filter(|_| lead.date) {
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", clock::show(date));
    }
}

fn put_segment(out: &mut String, segment: &Segment, folder: &str, suffix: &str) {
    let Segment { first, len, micros, .. } = segment;
    let _ = writeln!(out, "#EXTINF:{},\n{folder}{first}-{len}.m4s{suffix}", Seconds(*micros));
}

fn put_parts(out: &mut String, parts: &[Part], folder: &str, suffix: &str) {
    for Part { first, end, micros, key } in parts {
        let independent = if *key { ",INDEPENDENT=YES" } else { "" };
        let (seconds, len) = (Seconds(*micros), end.saturating_sub(*first));
        let _ = writeln!(out, "#EXT-X-PART:DURATION={seconds},URI=\"{folder}{first}-{len}.m4s{suffix}\"{independent}");
    }
}

/// Microseconds, shown as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::index::tests::{index, stream, stream_of};
    use super::*;

    const LOW: Promise = Promise { target: 3, burst: Duration::from_millis(1_000), parts: true, blocks: true };

    fn one(index: &Index) -> Row<'_> {
        Row { pieces: vec![Piece { index, folder: "" }], over: index.is_over() }
    }

    #[test]
    fn a_playlist_with_parts_as_text() {
        let bytes = stream(44, 9);
        let index = index([&bytes[..]]);
        let text = media(&one(&index), &LOW, 0, "");
        let lines: Vec<_> = text.lines().collect();
        let head = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            "#EXT-X-TARGETDURATION:3",
            "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=18.0,CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=2.056000",
            "#EXT-X-PART-INF:PART-TARGET=0.528000",
            "#EXT-X-MEDIA-SEQUENCE:0",
            "#EXT-X-PLAYLIST-TYPE:EVENT",
        ];
        assert_eq!(lines[..7], head, "{text}");
        let length = crate::media::fmp4::fragments::tests::header().len();
        assert_eq!(lines[7], format!("#EXT-X-MAP:URI=\"0-{length}.mp4\""));
        assert_eq!(lines[8], "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z");
        assert_eq!(lines[9], "#EXTINF:2.160000,");
        // The parts of the second segment: four of four fragments and one of two; then those of the third.
        let parts: Vec<_> = lines.iter().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        assert_eq!(parts.len(), 5 + 2, "{text}");
        assert!(parts[0].starts_with("#EXT-X-PART:DURATION=0.480000,URI=") && parts[0].ends_with(",INDEPENDENT=YES"));
        assert!(parts[4].starts_with("#EXT-X-PART:DURATION=0.240000,"), "{text}");
        assert_eq!(lines.last(), Some(&&*format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}-.m4s\"", bytes.len())));
        let mut over = index;
        over.finish();
        let text = media(&one(&over), &LOW, 0, "?bucket=b");
        assert!(!text.contains("PART") && !text.contains("SERVER-CONTROL"), "{text}");
        assert!(text.ends_with(".m4s?bucket=b\n#EXT-X-ENDLIST\n"), "{text}");
    }

    #[test]
    fn key_frames_are_listed_as_long_as_they_are_shown() {
        // After two soon ones a key frame every 7 s: segments without one are cut before they are longer than the first allows.
        let index = index([&stream_of(150, |number| matches!(number, 0 | 9) || number % 60 == 18)[..]]);
        assert!(!index.keyless.is_empty());
        let text = key_frames(&one(&index), &LOW, "");
        let shown: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:")).collect();
        assert_eq!(shown.len() + index.keyless.len(), index.timeline.segments.len());
        assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n") && text.contains("\niframe/"), "{text}");
        assert!(!text.contains("ENDLIST"));
    }

    fn two(pieces: [&Index; 2], over: bool) -> Row<'_> {
        let [first, second] = pieces;
        Row { pieces: vec![Piece { index: first, folder: "" }, Piece { index: second, folder: "2@v/" }], over }
    }

    #[test]
    fn objects_that_go_on_each_other_are_one_playlist() {
        let (bytes, header) = (stream(44, 9), crate::media::fmp4::fragments::tests::header().len());
        let row = |pieces: [&Index; 2], over| media(&two(pieces, over), &LOW, 0, "");
        let mut first = index([&bytes[..]]);
        first.finish();
        let alone = media(&one(&first), &LOW, 0, "");
        let segments = |text: &str| text.matches("#EXTINF").count();
        let parts = |text: &str| text.lines().filter(|line| line.starts_with("#EXT-X-PART:")).count();
        // Nothing has come of the next one but its header: what is promised goes on, and those of the newest segments stay.
        let mut begun = Index::new(None);
        begun.parts.go_on(first.parts.target());
        let mut scanner = crate::media::fmp4::Scanner::new();
        scanner.feed(&bytes[..header]).iter().for_each(|found| begun.take(found));
        let text = row([&first, &begun], false);
        assert_eq!((segments(&text), segments(&alone)), (3, 3));
        assert!(text.contains("PART-TARGET=0.528000\n") && parts(&text) > 4 && !text.contains("ENDLIST"), "{text}");
        let end = format!("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"2@v/0-{header}.mp4\"\n");
        let hint = format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"2@v/{header}-.m4s\"\n");
        assert!(text.ends_with(&format!("{end}{hint}")), "{text}");
        // Parts of its first segment come as those of the first object did.
        let few = header + (bytes.len() - header) / 5;
        scanner.feed(&bytes[header..few]).iter().for_each(|found| begun.take(found));
        let text = row([&first, &begun], false);
        let newest = text.split_once(&end).expect("the header").1;
        assert!(begun.timeline.segments.is_empty() && parts(newest) == 2, "{text}");
        assert!(newest.starts_with("#EXT-X-PART:DURATION=0.480000,URI=\"2@v/"), "{text}");
        scanner.feed(&bytes[few..]).iter().for_each(|found| begun.take(found));
        begun.finish();
        let text = row([&first, &begun], true);
        let whole = alone.strip_suffix("#EXT-X-ENDLIST\n").expect("an end");
        let rest = text.strip_prefix(whole).expect("all there was before");
        assert!(rest.starts_with(&end) && rest.ends_with(".m4s\n#EXT-X-ENDLIST\n") && segments(rest) == 3, "{text}");
        assert_eq!(rest.matches("\n2@v/").count(), 3, "{text}");
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:0\n") && !text.contains("DISCONTINUITY-SEQUENCE"), "{text}");
        let update = media(&two([&first, &begun], true), &LOW, 3, "");
        assert_eq!(update.split_once(&end).expect("the header").1, rest.split_once(&end).expect("the header").1);
        let pictures = key_frames(&two([&first, &begun], true), &LOW, "");
        assert_eq!((segments(&pictures), pictures.matches("\n2@v/iframe/").count()), (6, 3), "{pictures}");
        assert_eq!(pictures.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    }

    /// A playlist without what is in an update, and what is.
    fn merged(old: &str, update: &str) -> String {
        let skip = update.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
        let skip: usize = skip.expect("an update").parse().expect("a number");
        // All that a client keeps of the old one: the segments that were skipped, with the tags before them.
        let body = old.split_inclusive('\n').skip_while(|line| !line.starts_with("#EXT-X-PLAYLIST-TYPE")).skip(1);
        let mut kept = String::new();
        let mut segments = 0;
        for line in body {
            if !line.starts_with("#EXT-X-PART:") {
                kept.push_str(line);
            }
            segments += usize::from(!line.starts_with('#'));
            if segments == skip {
                break;
            }
        }
        let (head, rest) = update.split_once("#EXT-X-SKIP:").expect("an update");
        let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{head}{kept}{rest}")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn an_update_and_what_there_was_are_the_whole(gop in 5u32..20, before in 300u32..450, more in 0u32..60, over: bool) {
            let mut newer = index([&stream(before + more, gop)[..]]);
            let older = index([&stream(before, gop)[..]]);
            if over {
                newer.finish();
            }
            let skip = skipped(&one(&newer), &LOW);
            prop_assume!(skip > 0 && skip <= older.timeline.segments.len());
            let update = media(&one(&newer), &LOW, skip, "");
            prop_assert!(update.contains("#EXT-X-VERSION:9\n"));
            // No more than the boundary, and all that is younger.
            let rest: u64 = newer.timeline.segments.micros().skip(skip).sum();
            prop_assert!((18_000_000..18_000_000 + 4_400_000).contains(&rest), "{}", rest);
            let whole = media(&one(&newer), &LOW, 0, "").replace("VERSION:7", "VERSION:9");
            prop_assert_eq!(merged(&media(&one(&older), &LOW, 0, ""), &update), whole);
        }
    }
}
