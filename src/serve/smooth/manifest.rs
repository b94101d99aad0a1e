//! The manifest of Smooth Streaming ([MS-SSTR] 2.2.2) as text: the streams, and when each fragment begins. Pure.

use std::fmt::Write;
use std::ops::Range;

use super::streams::{AHEAD, Stream, Streams, TIMESCALE, name_of};
use crate::media::fmp4::TrackKind;
use crate::serve::name::Place;

/// The manifest; of what grows no more than the newest `window` seconds, where that is not 0. None where nothing can be told of
/// yet.
#[must_use]
pub(crate) fn text(streams: &Streams<'_>, window: u64, place: &Place<'_>) -> Option<String> {
    let is_told = |stream: &&Stream<'_>| stream.listed(streams.over) > 0;
    let ends = Some(streams.ends()).filter(|ends| *ends > 0)?;
    let count: usize = streams.all.iter().map(|stream| stream.listed(streams.over)).sum();
    let mut text = String::with_capacity(1_024 + count * 36);
    let out = &mut text;
    // A string takes whatever is written into it: the results are of no interest.
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"2\" \
         TimeScale=\"{TIMESCALE}\""
    );
    if streams.over {
        let _ = writeln!(out, " Duration=\"{ends}\">");
    } else {
        let length = window.saturating_mul(TIMESCALE);
        let _ = writeln!(
            out,
            " Duration=\"0\" IsLive=\"TRUE\" LookAheadFragmentCount=\"{AHEAD}\" DVRWindowLength=\"{length}\">"
        );
    }
    let since = streams.since(window);
    for (number, stream) in streams.all.iter().enumerate().filter(|(_, stream)| is_told(stream)) {
        let is_first = !streams.all.iter().take(number).any(|before| before.name == stream.name);
        if is_first {
            let levels: Vec<_> = streams.all.iter().filter(|other| other.name == stream.name).collect();
            put(out, &levels, stream.told(since, streams.over), place);
        }
    }
    out.push_str("</SmoothStreamingMedia>\n");
    Some(text)
}

/// A stream, at several rates; when its fragments begin is said by the first of them.
fn put(out: &mut String, levels: &[&Stream<'_>], told: Range<usize>, place: &Place<'_>) {
    let Place { version, suffix } = place;
    let Some(first) = levels.first() else { return };
    let (name, is_video) = (&first.name, first.track.kind == TrackKind::Video);
    let size = |width: u32, height: u32| format!(" MaxWidth=\"{width}\" MaxHeight=\"{height}\"");
    let most = |of: fn(&Stream<'_>) -> u32| levels.iter().map(|level| of(level)).max().unwrap_or(0);
    let largest = size(most(|level| level.track.width), most(|level| level.track.height));
    let _ = writeln!(
        out,
        "<StreamIndex Type=\"{}\" Name=\"{name}\" TimeScale=\"{}\" QualityLevels=\"{}\" Chunks=\"{}\"{} \
         Url=\"{version}/QualityLevels({{bitrate}})/Fragments({name}={{start time}}){suffix}\">",
        name_of(first.track.kind),
        first.track.timescale,
        levels.len(),
        told.len(),
        if is_video { &largest } else { "" },
    );
    for (number, stream) in levels.iter().enumerate() {
        let (track, level) = (stream.track, &stream.level);
        let _ =
            write!(out, "<QualityLevel Index=\"{number}\" Bitrate=\"{}\" FourCC=\"{}\"", stream.rate, level.four_cc);
        if is_video {
            out.push_str(&size(track.width, track.height));
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
    }
    for place in told {
        let (begins, lasts) = first.time(place);
        let _ = writeln!(out, "<c t=\"{begins}\" d=\"{lasts}\" />");
    }
    out.push_str("</StreamIndex>\n");
}

#[cfg(test)]
mod tests {
    use super::super::streams::tests::of_known_codecs;
    use super::*;
    use crate::serve::hls::index::Index;
    use crate::serve::hls::index::tests::stream;

    fn of(index: &Index) -> Streams<'_> {
        Streams::of(&index.tracks, index.is_over())
    }

    const HERE: Place<'_> = Place { version: "v%2F1", suffix: "?bucket=b" };

    #[test]
    fn what_grows_is_told_of_but_for_its_newest_and_what_is_over_to_its_end() {
        let mut index = of_known_codecs(&stream(80, 9));
        let live = text(&of(&index), 0, &HERE).expect("a manifest");
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
        let short = text(&of(&index), 2, &HERE).expect("a manifest");
        assert!(short.contains("DVRWindowLength=\"20000000\">") && short.contains("Chunks=\"1\""), "{short}");
        assert!(short.contains("<c t=\"432\" d=\"216\" />") && !short.contains("<c t=\"216\""), "{short}");
        assert!(text(&of(&index), u64::MAX, &HERE).expect("a manifest").contains(begin));
        index.finish();
        let over = text(&of(&index), 2, &HERE).expect("a manifest");
        for part in [begin, "<c t=\"864\" d=\"96\" />\n</StreamIndex>", " Duration=\"96000000\">\n"] {
            assert!(over.contains(part), "{part}\n{over}");
        }
        assert!(!over.contains("IsLive") && !over.contains("DVR"), "{over}");
        assert_eq!(text(&of(&of_known_codecs(&stream(9, 9))), 0, &HERE), None);
    }

    #[test]
    fn another_header_is_the_end() {
        let one = stream(40, 9);
        let index = of_known_codecs(&[&one[..], &one[..]].concat());
        let streams = of(&index);
        assert!(streams.over && index.tracks.eras.len() == 2);
        assert!(text(&streams, 0, &HERE).expect("a manifest").contains(" Duration=\"48000000\">"));
    }
}
