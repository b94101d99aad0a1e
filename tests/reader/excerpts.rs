//! Cutting clips out of a recording: `reader --from` and `--to`.

use serde_json::Value;

use super::show::*;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, extent, frames_and_packets, make, picture, sound};
use crate::support::proxy::Proxy;

/// A clip in a file.
fn clip(lab: &Lab, args: &[&str]) -> (Vec<u8>, String) {
    let outcome = lab.reader(&[&[KEY, "clip.mp4", "--debug"], args].concat()).wait().code(0).gave(b"");
    assert_eq!(outcome.count("WARN"), 0, "{}", outcome.state());
    (std::fs::read(lab.dir().join("clip.mp4")).expect("the clip"), outcome.err)
}

/// A stream by ffmpeg and what it has.
struct Case {
    name: &'static str,
    output: String,
    video: bool,
    audio: bool,
}

fn case(name: &'static str, tracks: &[&str], more: &str) -> Case {
    let output = [tracks.join(" ").as_str(), more].join(" ");
    let video = tracks.iter().any(|track| track.starts_with("-c:v"));
    Case { name, output, video, audio: tracks.iter().any(|track| track.starts_with("-c:a")) }
}

fn check_clips(cases: &[Case]) {
    let lab = Lab::new();
    for Case { name, output, video, audio } in cases {
        let inputs = [video.then(|| picture(6, 10)), audio.then(|| sound(6))];
        let source = make(&inputs.into_iter().flatten().collect::<Vec<_>>(), output);
        store(&lab, &source);
        let (clip, messages) = clip(&lab, &["--from", "2.5", "--to", "3.7"]);
        assert!(requests(&messages) <= 8, "{name}: {messages}");
        assert!(clip.len() < source.len(), "{name}");
        let (start, duration) = extent(&clip);
        assert!(start.abs() < 0.15 && duration > 1.1 && duration < 3.9, "{name}: {start} {duration}");
        let (all, all_sound) = frames_and_packets(&source, name, *video, *audio);
        let (frames, sound) = frames_and_packets(&clip, name, *video, *audio);
        if *video {
            covers(&all, &frames, 2.5, 3.7, (0.0, 2.1), name);
        }
        if *audio {
            // One packet of sound may have begun before the first picture.
            covers(&all_sound, &sound, 2.5, 3.65, (0.05, 2.3), name);
        }
    }
}

#[test]
fn clips_of_h264_in_fragments_of_all_kinds_have_every_frame_asked_for() {
    let both = |more: &'static str| case(more, &[H264, AAC], more);
    check_clips(&[
        both(FRAGMENTS),
        both("-bf 2 -f mp4 -movflags empty_moov+frag_keyframe+default_base_moof"),
        both("-f mp4 -movflags empty_moov+frag_every_frame+default_base_moof"),
        both("-bf 2 -f mp4 -movflags frag_every_frame+empty_moov"),
        both("-f mp4 -movflags empty_moov+frag_keyframe"),
        both("-f mp4 -movflags empty_moov+frag_keyframe+omit_tfhd_offset"),
        both("-bf 2 -f mp4 -movflags frag_keyframe+delay_moov+default_base_moof"),
        both("-bf 2 -f mp4 -movflags frag_keyframe+delay_moov+negative_cts_offsets"),
        both("-f mp4 -movflags dash+delay_moov+frag_keyframe"),
        both("-f mp4 -movflags cmaf+delay_moov+frag_keyframe+skip_trailer"),
        both("-f mp4 -movflags empty_moov+default_base_moof+separate_moof+frag_keyframe"),
        both("-f mp4 -movflags empty_moov+default_base_moof+frag_keyframe -frag_duration 300000"),
    ]);
}

#[test]
fn so_have_clips_of_other_codecs_and_of_one_track() {
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:min-keyint=25 -tag:v hvc1";
    let av1 = "-c:v libsvtav1 -preset 12 -crf 50 -g 25 -svtav1-params enable-overlays=0";
    let vfr = "-c:v libx264 -preset ultrafast -qp 30 -g 99 -force_key_frames expr:gte(t,n_forced) \
               -vf select='not(mod(n\\,3))+lt(n\\,40)' -fps_mode vfr";
    check_clips(&[
        case("HEVC", &[hevc, AAC], FRAGMENTS),
        case("AV1 and Opus", &[av1, "-c:a libopus"], FRAGMENTS),
        case("variable frame rate", &[vfr, AAC], FRAGMENTS),
        case("video only", &[H264], FRAGMENTS),
        case("audio only", &[AAC], "-f mp4 -movflags empty_moov+default_base_moof -frag_duration 400000"),
        case(
            "FLAC only",
            &["-c:a flac -strict -2"],
            "-f mp4 -movflags empty_moov+default_base_moof -frag_duration 400000",
        ),
    ]);
}

/// Looks read what they need and to the end of it, so that they cost little, and a single connection where nothing is
/// fetched ahead.
#[test]
fn finding_a_clip_costs_no_more_than_the_clip_and_a_megabyte_on_one_connection() {
    let lab = Lab::new();
    let source = long();
    store(&lab, &source);
    let mut counts = Vec::new();
    for (from, to) in [("2", "2.5"), ("11", "12.5"), ("23.3", "25"), ("30", "36"), ("38", "39.5")] {
        let proxy = Proxy::before(lab.endpoint());
        let args = [KEY, "--from", from, "--to", to, "--debug", "--endpoint-url", proxy.endpoint()];
        let outcome = lab.reader(&args).wait().code(0);
        let (connections, bytes) = proxy.traffic();
        counts.push((outcome.out.len(), bytes, connections, requests(&outcome.err)));
    }
    println!("clip, bytes, connections, looks: {counts:?}");
    for (clip, bytes, connections, _) in &counts {
        assert!(*bytes <= 2 * *clip as u64 + 1_000_000, "{counts:?}");
        // A request that follows at once may find the connection not back yet, on a busy machine more often.
        assert!(*connections <= 3, "{counts:?}");
    }
    assert!(counts.iter().filter(|(_, _, connections, _)| *connections == 1).count() >= 3, "{counts:?}");
}

#[test]
fn times_are_kept_for_a_pipe_and_begin_at_zero_in_a_file() {
    let lab = Lab::new();
    store(&lab, &make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} {FRAGMENTS}")));
    let (file, _) = clip(&lab, &["--from", "3.1", "--to", "4"]);
    assert!(extent(&file).0.abs() < 0.1);
    let (kept, _) = clip(&lab, &["--from", "3.1", "--to", "4", "--no-rebase"]);
    assert!((extent(&kept).0 - 3.0).abs() < 0.1);
    let piped = lab.reader(&[KEY, "--from", "3.1", "--to", "4"]).wait().code(0);
    assert_eq!(piped.out, kept);
    let moved = lab.reader(&[KEY, "--from", "3.1", "--to", "4", "--rebase"]).wait().code(0);
    assert_eq!(moved.out, file);
    let start = lab.reader(&[KEY, "--to", "2"]).wait().code(0);
    assert!((extent(&start.out).1 - 2.0).abs() < 0.2);
}

#[test]
fn times_of_day_go_by_the_stream_or_else_by_the_start_of_its_upload() {
    let lab = Lab::new();
    store(&lab, &make(&[picture(6, 10)], &format!("{H264} {FRAGMENTS} -write_prft wallclock")));
    let report = lab.reader(&[KEY, "--probe", "--json"]).wait().code(0);
    let report: Value = serde_json::from_slice(&report.out).expect("JSON");
    assert_eq!(report["first_frame_at_is_exact"], true, "{report:#}");
    let began = report["first_frame_at"].as_str().expect("a time").to_owned();
    let year = lab.reader(&[KEY, "--from", "2001-01-01T00:00:00Z"]).wait().code(0).says("beginning at 00:00:00.000");
    assert_eq!(year.count("WARN"), 0, "{}", year.state());
    assert!(began.starts_with("20"), "{began}");
    store(&lab, &make(&[picture(6, 10)], &format!("{H264} {FRAGMENTS}")));
    lab.reader(&[KEY, "--from", "2001-01-01T00:00:00Z"]).wait().code(0).says("to a few seconds at best");
    lab.reader(&[KEY, "--from", "2201-01-01T00:00:00Z"]).wait().code(1).says("long so far");
}

#[test]
fn what_is_no_fragmented_mp4_is_refused_in_words() {
    let lab = Lab::new();
    for (data, why) in [
        (b"any text at all".repeat(1000), "does not begin with an MP4 box"),
        (make(&[sound(1)], "-c:a aac -f adts"), "does not begin with an MP4 box"),
        (make(&[picture(1, 10)], &format!("{H264} -f matroska")), "does not begin with an MP4 box"),
        (make(&[picture(2, 10)], &format!("{H264} -f mp4 -movflags frag_keyframe")), "add empty_moov"),
    ] {
        store(&lab, &data);
        for args in [&["--from", "live"][..], &["--from", "1", "--to", "2"], &["--probe"]] {
            let refused = lab.reader(&[&[KEY], args].concat()).wait();
            refused.failed_with_one_message(OBJECT).says(why).gave(b"");
        }
    }
    lab.reader(&["live/nothing", "--from", "live"]).wait().code(1).says("no open upload and no finished object");
    for args in [&["--from", "2", "--to", "1"][..], &["--rebase"], &["--json"], &["--from", "live", "--resume"]] {
        lab.reader(&[&[KEY], args].concat()).wait().code(2);
    }
}

#[test]
fn an_excerpt_with_nothing_in_it_is_refused_in_words() {
    let lab = Lab::new();
    let source = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} {FRAGMENTS}"));
    store(&lab, &source);
    let refused = lab.reader(&[KEY, "--from", "live", "--to", "1"]).wait();
    refused.failed_with_one_message(OBJECT).says("nothing is in it").gave(b"");
    // A header alone, complete.
    let moof = source.windows(4).position(|window| window == b"moof").expect("a fragment") - 4;
    lab.put(KEY, &source[..moof]);
    for args in [&["--from", "live"][..], &["--to", "1"], &["--probe"]] {
        let refused = lab.reader(&[&[KEY], args].concat()).wait();
        refused.failed_with_one_message(OBJECT).says("there is no fragment in it").gave(b"");
    }
}
