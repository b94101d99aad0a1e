//! The manifest (MPD, ISO/IEC 23009-1) of one version as text: what there is of each track, named by when it begins. Pure.

use std::fmt::Write;

use crate::hls::clock;
use crate::media::fmp4::{Track, TrackKind};
use crate::serve::hls::index::Index;
use crate::serve::hls::tracks::{Era, Line, Span};
use crate::serve::in_step::micros;
use crate::serve::name::Place;

use super::names::{INIT, NOW, SEGMENT, UPDATE};

/// How often a player asks again, in seconds: about as often as there is a new segment.
const AGAIN: u32 = 2;

/// What a manifest begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// No segment is longer, in seconds, nor does it take longer for the next to come.
    pub(super) target: u64,
    pub(super) over: bool,
    /// How long there is something of it, in microseconds.
    pub(super) lasts: u64,
    /// When what is at the beginning was there, in microseconds since 1970.
    pub(super) begun: i64,
    /// Where whoever plays this goes on, so that he stays with it when another of the same key begins.
    pub(super) update: &'a str,
    /// Where the time of day is.
    pub(super) clock: &'a str,
}

impl Head<'_> {
    pub(super) fn begin(&self, out: &mut String) {
        let Self { target, lasts, begun, update, .. } = self;
        // A string takes whatever is written into it: the results are of no interest.
        let _ = write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" minBufferTime=\"PT2S\" maxSegmentDuration=\"PT{target}S\""
        );
        if self.over {
            let _ = writeln!(out, " type=\"static\" mediaPresentationDuration=\"{}\">", Seconds(*lasts));
            return;
        }
        let newest = begun.saturating_add_unsigned(*lasts);
        let _ = writeln!(
            out,
            " type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"PT{AGAIN}S\" \
             suggestedPresentationDelay=\"PT{}S\">",
            clock::show(*begun),
            clock::show(newest),
            target.saturating_mul(3)
        );
        let _ = writeln!(out, "<Location>{update}</Location>");
    }

    pub(super) fn end(&self, out: &mut String) {
        if !self.over {
            let scheme = "urn:mpeg:dash:utc:http-iso:2014";
            let _ = writeln!(out, "<UTCTiming schemeIdUri=\"{scheme}\" value=\"{}\"/>", self.clock);
        }
        out.push_str("</MPD>\n");
    }
}

/// The manifest. `target`: no segment is longer, in seconds, nor does it take longer for the next to come; `begun`: when what is
/// at the beginning was there, in microseconds since 1970.
#[must_use]
pub(crate) fn text(index: &Index, target: u64, begun: i64, place: &Place<'_>) -> String {
    let Place { version, suffix } = place;
    let eras: Vec<_> = index.tracks.eras.iter().map(Told::of).collect();
    let lasts = eras.iter().map(|era| era.micros).fold(0, u64::saturating_add);
    let spans: usize = eras.iter().flat_map(|era| &era.lines).map(|(_, line)| line.spans.len()).sum();
    let mut text = String::with_capacity(2_048 + spans * 24);
    let out = &mut text;
    let (update, clock) = (format!("{version}{UPDATE}{suffix}"), format!("{version}/{NOW}{suffix}"));
    let head = Head { target, over: index.is_over(), lasts, begun, update: &update, clock: &clock };
    head.begin(out);
    let mut start = 0u64;
    for (number, era) in eras.iter().enumerate() {
        begin_period(out, &number.to_string(), start);
        for set in era.sets() {
            let Some((first, _)) = set.first() else { continue };
            let starts_with_key = first.kind == TrackKind::Audio || index.keyless.is_empty();
            begin_set(out, first.id, first.kind, starts_with_key);
            for (track, line) in set {
                let offset = u128::from(era.begins) * u128::from(track.timescale) / 1_000_000;
                let folder = format!("{version}/{number}-$RepresentationID$");
                let told =
                    Representation { id: &track.id.to_string(), track, rate: line.rate(track.timescale), offset };
                put_representation(out, &told, &folder, suffix, &line.spans);
            }
            out.push_str("</AdaptationSet>\n");
        }
        out.push_str("</Period>\n");
        start = start.saturating_add(era.micros);
    }
    head.end(out);
    text
}

pub(super) fn begin_period(out: &mut String, id: &str, start: u64) {
    let _ = writeln!(out, "<Period id=\"{id}\" start=\"{}\">", Seconds(start));
}

/// An era, as far as players are told of it.
struct Told<'a> {
    lines: Vec<(&'a Track, &'a Line)>,
    /// When the first of all samples is shown, in microseconds.
    begins: u64,
    /// How long it lasts from there on, in microseconds.
    micros: u64,
}

impl<'a> Told<'a> {
    fn of(era: &'a Era) -> Self {
        let told = |line: &'a Line| {
            let track = era.movie.track(line.id).filter(|track| track.kind != TrackKind::Other)?;
            (!line.spans.is_empty()).then_some((track, line))
        };
        let lines: Vec<_> = era.lines.iter().filter_map(told).collect();
        let first = |(track, line): &(&Track, &Line)| line.spans.first().map(|span| micros(span.at, track.timescale));
        let last = |(track, line): &(&Track, &Line)| line.spans.last().map(|span| micros(span.end(), track.timescale));
        let begins = lines.iter().filter_map(first).min().unwrap_or(0);
        let ends = lines.iter().filter_map(last).max().unwrap_or(0);
        Self { lines, begins, micros: ends.saturating_sub(begins) }
    }

    /// Tracks of one kind and codec whose segments have the same times are together.
    fn sets(&self) -> Vec<Vec<(&'a Track, &'a Line)>> {
        let mut sets: Vec<Vec<(&Track, &Line)>> = Vec::new();
        for (track, line) in &self.lines {
            match sets.iter_mut().find(|set| set.first().is_some_and(|first| are_one((track, line), *first))) {
                Some(set) => set.push((track, line)),
                None => sets.push(vec![(track, line)]),
            }
        }
        sets
    }
}

/// Whether a player can go from one track to the other at each segment. Sounds are several languages rather than several rates.
fn are_one((track, line): (&Track, &Line), (other, its): (&Track, &Line)) -> bool {
    let times = |line: &Line| line.spans.iter().map(|span| (span.at, span.segment)).collect::<Vec<_>>();
    track.kind == TrackKind::Video
        && other.kind == track.kind
        && family(&track.codec) == family(&other.codec)
        && track.timescale == other.timescale
        && times(line) == times(its)
}

/// What a decoder has to know: the same for all profiles.
pub(super) fn family(codec: &str) -> &str {
    codec.split('.').next().unwrap_or(codec)
}

/// What a player may go from one to the other of, segment by segment.
pub(super) fn begin_set(out: &mut String, id: u32, kind: TrackKind, starts_with_key: bool) {
    let kind = if kind == TrackKind::Audio { "audio" } else { "video" };
    let _ = write!(
        out,
        "<AdaptationSet id=\"{id}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\" segmentAlignment=\"true\""
    );
    out.push_str(if starts_with_key { " startWithSAP=\"1\">\n" } else { ">\n" });
}

/// A track as a player is told of it.
pub(super) struct Representation<'a> {
    pub(super) id: &'a str,
    pub(super) track: &'a Track,
    /// Bits a second.
    pub(super) rate: u64,
    /// What is shown when the period begins, in ticks.
    pub(super) offset: u128,
}

/// With these segments, which are in this folder.
pub(super) fn put_representation(
    out: &mut String,
    told: &Representation<'_>,
    folder: &str,
    suffix: &str,
    spans: &[Span],
) {
    let Representation { id, track, rate, offset } = told;
    let codec = escaped(&track.codec);
    let _ = write!(out, "<Representation id=\"{id}\" codecs=\"{codec}\" bandwidth=\"{rate}\"");
    if track.kind == TrackKind::Audio {
        let _ = writeln!(
            out,
            " audioSamplingRate=\"{}\">\n<AudioChannelConfiguration \
             schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"{}\"/>",
            track.sample_rate, track.channels
        );
    } else {
        let _ = writeln!(out, " width=\"{}\" height=\"{}\">", track.width, track.height);
    }
    let _ = writeln!(
        out,
        "<SegmentTemplate timescale=\"{}\" presentationTimeOffset=\"{offset}\" \
         initialization=\"{folder}/{INIT}{suffix}\" media=\"{folder}/$Time${SEGMENT}{suffix}\">\n<SegmentTimeline>",
        track.timescale
    );
    put_spans(out, spans);
    out.push_str("</SegmentTimeline>\n</SegmentTemplate>\n</Representation>\n");
}

/// When segments begin and how long they last; equal ones that follow each other at once are told of together.
fn put_spans(out: &mut String, spans: &[Span]) {
    let mut due = None;
    let follow = |before: &Span, after: &Span| before.end() == after.at && before.lasts == after.lasts;
    for run in spans.chunk_by(follow) {
        let Some((first, last)) = run.first().zip(run.last()) else { continue };
        out.push_str("<S");
        if due != Some(first.at) {
            let _ = write!(out, " t=\"{}\"", first.at);
        }
        let _ = write!(out, " d=\"{}\"", first.lasts);
        if run.len() > 1 {
            let _ = write!(out, " r=\"{}\"", run.len() - 1);
        }
        out.push_str("/>\n");
        due = Some(last.end());
    }
}

/// Microseconds as a duration (ISO 8601).
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PT{}.{:06}S", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What may stand in an attribute: what a stream says of its codec may be anything.
fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::hls::index::tests::{index, stream};

    const HERE: Place<'_> = Place { version: "v1", suffix: "?bucket=b" };

    #[test]
    fn what_grows_is_told_of_with_when_to_ask_again_and_what_is_over_without() {
        let bytes = stream(40, 9);
        let mut growing = index([&bytes[..]]);
        let live = text(&growing, 4, 1_000_000, &HERE);
        for part in [
            " type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:01.000Z\" publishTime=\"1970-01-01T00:00:05.320Z\" ",
            " minimumUpdatePeriod=\"PT2S\" suggestedPresentationDelay=\"PT12S\">",
            "<Location>v1.mpd?bucket=b</Location>\n",
            "value=\"v1/now?bucket=b\"/>\n",
            "initialization=\"v1/0-$RepresentationID$/init.mp4?bucket=b\" \
             media=\"v1/0-$RepresentationID$/$Time$.m4s?bucket=b\">\n",
            "<Representation id=\"1\" codecs=\"avc1.64001f\" bandwidth=\"2200\" width=\"1280\" height=\"720\">",
            "<Representation id=\"2\" codecs=\"opus\" ",
            "<S t=\"0\" d=\"216\" r=\"1\"/>\n</SegmentTimeline>",
        ] {
            assert!(live.contains(part), "{part}\n{live}");
        }
        growing.finish();
        let over = text(&growing, 4, 1_000_000, &HERE);
        for part in
            [" type=\"static\" mediaPresentationDuration=\"PT", "<S t=\"0\" d=\"216\" r=\"1\"/>\n<S d=\"48\"/>\n"]
        {
            assert!(over.contains(part), "{part}\n{over}");
        }
        for gone in ["dynamic", "Location", "UTCTiming", "minimumUpdatePeriod"] {
            assert!(!over.contains(gone), "{gone}\n{over}");
        }
    }

    #[test]
    fn each_header_begins_a_period_where_the_one_before_ended() {
        let one = stream(40, 9);
        let mut two = index([&one[..], &one[..]]);
        two.finish();
        let text = text(&two, 4, 0, &Place { version: "v", suffix: "" });
        assert_eq!(text.matches("<Period ").count(), 2);
        assert!(text.contains("<Period id=\"1\" start=\"PT4.800000S\">\n") && text.contains("media=\"v/1-$"), "{text}");
        assert!(text.contains("mediaPresentationDuration=\"PT9.600000S\""), "{text}");
    }

    #[test]
    fn times_that_leap_are_told_and_names_of_codecs_break_nothing() {
        let span = |at, lasts| Span { at, lasts, segment: 0 };
        let mut out = String::new();
        put_spans(&mut out, &[span(5, 10), span(15, 10), span(25, 9), span(40, 9), span(49, 9), span(50, 1)]);
        let want =
            "<S t=\"5\" d=\"10\" r=\"1\"/>\n<S d=\"9\"/>\n<S t=\"40\" d=\"9\" r=\"1\"/>\n<S t=\"50\" d=\"1\"/>\n";
        assert_eq!(out, want);
        assert_eq!(escaped("a\"<&>.4\u{e9}"), "a____.4_");
    }
}
