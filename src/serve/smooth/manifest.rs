//! The manifest of Smooth Streaming ([MS-SSTR] 2.2.2) as text: the streams, and when each fragment begins. Pure.

use std::fmt::Write;

use super::streams::{AHEAD, Stream, Streams, name_of};
use crate::media::fmp4::TrackKind;
use crate::serve::name::Place;

/// Ticks a second of what is said of the whole.
const TIMESCALE: u64 = 10_000_000;

/// The manifest; of what grows no more than the newest `window` seconds, where that is not 0. None where nothing can be told of
/// yet.
#[must_use]
pub(crate) fn text(streams: &Streams<'_>, window: u64, place: &Place<'_>) -> Option<String> {
    let told: Vec<_> = streams.all.iter().filter(|stream| stream.listed(streams.over) > 0).collect();
    let ends = told.iter().map(|stream| end(stream, stream.listed(streams.over))).max()?;
    let count: usize = told.iter().map(|stream| stream.listed(streams.over)).sum();
    let mut text = String::with_capacity(1_024 + count * 36);
    let out = &mut text;
    // A string takes whatever is written into it: the results are of no interest.
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"2\" \
         TimeScale=\"{TIMESCALE}\""
    );
    let since = if streams.over {
        let _ = writeln!(out, " Duration=\"{ends}\">");
        0
    } else {
        let length = window.saturating_mul(TIMESCALE);
        let _ = writeln!(
            out,
            " Duration=\"0\" IsLive=\"TRUE\" LookAheadFragmentCount=\"{AHEAD}\" DVRWindowLength=\"{length}\">"
        );
        if window == 0 { 0 } else { ends.saturating_sub(length) }
    };
    for stream in told {
        put(out, stream, streams.over, since, place);
    }
    out.push_str("</SmoothStreamingMedia>\n");
    Some(text)
}

/// When the fragment before this place ends.
fn end(stream: &Stream<'_>, place: usize) -> u64 {
    let (begins, lasts) = stream.time(place.saturating_sub(1));
    let ticks = u128::from(begins.saturating_add(lasts)) * u128::from(TIMESCALE);
    u64::try_from(ticks / u128::from(stream.track.timescale.max(1))).unwrap_or(u64::MAX)
}

fn put(out: &mut String, stream: &Stream<'_>, over: bool, since: u64, place: &Place<'_>) {
    let Place { version, suffix } = place;
    let (track, level, name) = (stream.track, &stream.level, &stream.name);
    let listed = stream.listed(over);
    // At least the newest one.
    let first =
        (1..listed).find(|place| end(stream, *place) > since).map_or(listed.saturating_sub(1), |place| place - 1);
    let size = |names: [&str; 2]| format!(" {}=\"{}\" {}=\"{}\"", names[0], track.width, names[1], track.height);
    let is_video = track.kind == TrackKind::Video;
    let _ = writeln!(
        out,
        "<StreamIndex Type=\"{}\" Name=\"{name}\" TimeScale=\"{}\" QualityLevels=\"1\" Chunks=\"{}\"{} \
         Url=\"{version}/QualityLevels({{bitrate}})/Fragments({name}={{start time}}){suffix}\">",
        name_of(track.kind),
        track.timescale,
        listed - first,
        if is_video { size(["MaxWidth", "MaxHeight"]) } else { String::new() },
    );
    let _ = write!(out, "<QualityLevel Index=\"0\" Bitrate=\"{}\" FourCC=\"{}\"", stream.rate, level.four_cc);
    if is_video {
        out.push_str(&size(["MaxWidth", "MaxHeight"]));
    } else {
        let _ = write!(
            out,
            " SamplingRate=\"{}\" Channels=\"{}\" BitsPerSample=\"16\" PacketSize=\"4\" AudioTag=\"255\"",
            track.sample_rate, track.channels
        );
    }
    if let Some(lengths) = level.lengths {
        let _ = write!(out, " NALUnitLengthField=\"{lengths}\"");
    }
    let _ = writeln!(out, " CodecPrivateData=\"{}\" />", level.private);
    for place in first..listed {
        let (begins, lasts) = stream.time(place);
        let _ = writeln!(out, "<c t=\"{begins}\" d=\"{lasts}\" />");
    }
    out.push_str("</StreamIndex>\n");
}

#[cfg(test)]
mod tests {
    use super::super::streams::tests::of_known_codecs;
    use super::*;
    use crate::serve::hls::index::tests::stream;

    const HERE: Place<'_> = Place { version: "v%2F1", suffix: "?bucket=b" };

    #[test]
    fn what_grows_is_told_of_but_for_its_newest_and_what_is_over_to_its_end() {
        let mut index = of_known_codecs(&stream(80, 9));
        let live = text(&Streams::of(&index), 0, &HERE).expect("a manifest");
        let begin = "<c t=\"0\" d=\"216\" />\n<c t=\"216\" d=\"216\" />\n<c t=\"432\" d=\"216\" />\n";
        for part in [
            "<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"2\" TimeScale=\"10000000\" Duration=\"0\" IsLive=\"TRUE\" \
             LookAheadFragmentCount=\"1\" DVRWindowLength=\"0\">\n",
            "<StreamIndex Type=\"video\" Name=\"video\" TimeScale=\"100\" QualityLevels=\"1\" Chunks=\"3\" MaxWidth=\"1280\" \
             MaxHeight=\"720\" Url=\"v%2F1/QualityLevels({bitrate})/Fragments(video={start time})?bucket=b\">\n",
            "FourCC=\"H264\" MaxWidth=\"1280\" MaxHeight=\"720\" NALUnitLengthField=\"4\" CodecPrivateData=\"0000000167",
            &format!("{begin}</StreamIndex>\n"),
            "FourCC=\"AACL\" SamplingRate=\"48000\" Channels=\"2\" BitsPerSample=\"16\" PacketSize=\"4\" AudioTag=\"255\" \
             CodecPrivateData=\"1190\" />\n",
        ] {
            assert!(live.contains(part), "{part}\n{live}");
        }
        // Of the newest two seconds, and of more than there is.
        let short = text(&Streams::of(&index), 2, &HERE).expect("a manifest");
        assert!(short.contains("DVRWindowLength=\"20000000\">") && short.contains("Chunks=\"1\""), "{short}");
        assert!(short.contains("<c t=\"432\" d=\"216\" />") && !short.contains("<c t=\"216\""), "{short}");
        assert!(text(&Streams::of(&index), u64::MAX, &HERE).expect("a manifest").contains(begin));
        index.finish();
        let over = text(&Streams::of(&index), 2, &HERE).expect("a manifest");
        for part in [begin, "<c t=\"864\" d=\"96\" />\n</StreamIndex>", " Duration=\"96000000\">\n"] {
            assert!(over.contains(part), "{part}\n{over}");
        }
        assert!(!over.contains("IsLive") && !over.contains("DVR"), "{over}");
        assert_eq!(text(&Streams::of(&of_known_codecs(&stream(9, 9))), 0, &HERE), None);
    }

    #[test]
    fn another_header_is_the_end() {
        let one = stream(40, 9);
        let index = of_known_codecs(&[&one[..], &one[..]].concat());
        let streams = Streams::of(&index);
        assert!(streams.over && index.tracks.eras.len() == 2);
        assert!(text(&streams, 0, &HERE).expect("a manifest").contains(" Duration=\"48000000\">"));
    }
}
