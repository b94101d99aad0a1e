//! Joining a recording late, cutting clips out of it, and looking into it: `reader --from`, `--to` and `--probe`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use crate::support::PART;
use crate::support::lab::Lab;
use crate::support::liar::Liar;
use crate::support::media::{Frame, extent, frames, make, packets, picture, sound};
use crate::support::proxy::Proxy;
use crate::support::recording::Recording;
use crate::support::run::Launch;

const KEY: &str = "live/show.mp4";
const OBJECT: &str = "s3://bucket/live/show.mp4";
const H264: &str = "-c:v libx264 -preset ultrafast -qp 30 -g 25";
const AAC: &str = "-c:a aac";
const FRAGMENTS: &str = "-f mp4 -movflags empty_moov+frag_keyframe+default_base_moof";

/// Stores an object as the writer does.
fn store(lab: &Lab, data: &[u8]) {
    lab.writer(&[KEY, "--part-size", "5000000"]).end_with(data).code(0);
}

/// A clip in a file.
fn clip(lab: &Lab, args: &[&str]) -> (Vec<u8>, String) {
    let outcome = lab.reader(&[&[KEY, "clip.mp4", "--debug"], args].concat()).wait().code(0).gave(b"");
    assert_eq!(outcome.count("WARN"), 0, "{}", outcome.state());
    (std::fs::read(lab.dir().join("clip.mp4")).expect("the clip"), outcome.err)
}

/// How many requests it took to find the place.
fn requests(messages: &str) -> u32 {
    let line = messages.lines().find(|line| line.contains("found the place")).expect("the line of the place");
    let number = line.split_whitespace().find_map(|word| word.strip_prefix("requests=")).expect("their number");
    number.parse().expect("a number")
}

/// Where in the source the excerpt is: the frames are the same and none is missing in between.
#[track_caller]
fn place(source: &[Frame], excerpt: &[Frame], state: &str) -> usize {
    let first = &excerpt.first().unwrap_or_else(|| panic!("{state}: no frames")).hash;
    let at = source.iter().position(|frame| frame.hash == *first);
    let at = at.unwrap_or_else(|| panic!("{state}: the first frame is none of the source"));
    for (index, frame) in excerpt.iter().enumerate() {
        let same = source.get(at + index).is_some_and(|source| source.hash == frame.hash);
        assert!(same, "{state}: frame {index} of {} is not frame {} of the source", excerpt.len(), at + index);
    }
    at
}

/// The excerpt has all that is shown from one time to another, and not a great deal more.
#[track_caller]
fn covers(source: &[Frame], excerpt: &[Frame], from: f64, to: f64, slack: (f64, f64), state: &str) {
    let at = place(source, excerpt, state);
    let zero = source[0].time;
    let end = source.get(at + excerpt.len()).map_or(f64::INFINITY, |frame| frame.time - zero);
    let begin = source[at].time - zero;
    assert!(begin <= from + slack.0 && begin > from - slack.1, "{state}: begins at {begin} instead of {from}");
    assert!(end >= to && (end <= to + slack.1 || end.is_infinite()), "{state}: ends at {end} instead of {to}");
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
    for Case { name, output, video, audio } in cases {
        let lab = Lab::new();
        let inputs = [video.then(|| picture(6, 10)), audio.then(|| sound(6))];
        let source = make(&inputs.into_iter().flatten().collect::<Vec<_>>(), output);
        store(&lab, &source);
        let (clip, messages) = clip(&lab, &["--from", "2.5", "--to", "3.7"]);
        assert!(requests(&messages) <= 8, "{name}: {messages}");
        assert!(clip.len() < source.len(), "{name}");
        let (start, duration) = extent(&clip);
        assert!(start.abs() < 0.15 && duration > 1.1 && duration < 3.9, "{name}: {start} {duration}");
        if *video {
            covers(&frames(&source, name), &frames(&clip, name), 2.5, 3.7, (0.0, 2.1), name);
        }
        if *audio {
            // One packet of sound may have begun before the first picture.
            covers(&packets(&source, name), &packets(&clip, name), 2.5, 3.65, (0.05, 2.3), name);
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

/// Forty seconds of more than twenty megabytes.
fn long() -> Vec<u8> {
    let output = format!("-c:v libx264 -preset ultrafast -qp 24 -g 25 -bf 2 {AAC} {FRAGMENTS}");
    make(&[picture(40, 40), sound(40)], &output)
}

#[test]
fn the_number_of_requests_grows_with_the_logarithm_of_the_length() {
    let lab = Lab::new();
    for flags in ["frag_keyframe", "frag_every_frame"] {
        let output = format!(
            "-c:v libx264 -preset ultrafast -qp 24 -g 25 {AAC} -f mp4 -movflags empty_moov+default_base_moof+{flags}"
        );
        let source = make(&[picture(40, 40), sound(40)], &output);
        assert!(source.len() > 4 * PART, "{} bytes are too few to show anything", source.len());
        store(&lab, &source);
        #[allow(clippy::cast_precision_loss)]
        let most = 6 + 2 * (source.len() as f64 / 262_144.0).log2().ceil() as u32;
        let mut counts = Vec::new();
        for from in (0..38).step_by(3) {
            let (from, to) = (from.to_string(), format!("{from}.5"));
            let args = [KEY, "clip.mp4", "--debug", "--from", &from, "--to", &to, "--chunk-size", "1MiB"];
            lab.clear_requests();
            let outcome = lab.reader(&args).wait().code(0);
            counts.push(requests(&outcome.err));
            // Beside those: what finds the upload, and the download.
            let live = lab.count(true, "GetObject", "206") + lab.count(false, "GetObject", "206");
            assert!(live <= u64::from(requests(&outcome.err)) + 8, "{}", outcome.state());
        }
        println!("{flags}, {} bytes: requests to find a clip: {counts:?}", source.len());
        assert!(counts.iter().all(|count| *count <= most), "more than {most}: {counts:?}");
        let sum: u32 = counts.iter().sum();
        assert!(sum / 13 <= 12, "{counts:?}");
    }
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
        // A request that follows at once may find the connection not back yet.
        assert!(*connections <= if *clip > 5_000_000 { 3 } else { 2 }, "{counts:?}");
    }
    assert!(counts.iter().any(|(_, _, connections, _)| *connections == 1), "{counts:?}");
}

#[test]
fn joined_live_it_begins_with_the_newest_key_frame_and_goes_on_to_the_end() {
    let source = long();
    let all = frames(&source, "the source");
    for flags in [&[][..], &["--by", "part"]] {
        let lab = Lab::new();
        let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
        let readable = 3 * PART;
        writer.write(&source[..readable + 1000]);
        let id = lab.wait_open(KEY);
        lab.wait_parts(KEY, &id, 3);
        lab.clear_requests();
        let live = lab.reader(&[&[KEY, "--from", "live", "--debug"], flags].concat());
        live.wait_for("found the place");
        assert!(requests(&live.messages()) <= 6, "{}", live.messages());
        assert_eq!(lab.count(false, "ListParts", "200"), 0);
        let early = lab.reader(&[KEY, "--from", "live-5s"]);
        early.wait_for("beginning at");
        writer.write(&source[readable + 1000..]);
        writer.end().code(0);
        // What could be read at that time.
        let prefix = &source[..readable];
        let begun = prefix.windows(4).filter(|window| window == b"moof").count();
        let live = live.wait().code(0);
        let joined = frames(&live.out, "the live join");
        let at = place(&all, &joined, "the live join");
        assert_eq!(at + joined.len(), all.len(), "it goes on to the end");
        assert_eq!(at, (begun - 1) * 25, "{} key frames could be read", begun);
        packets(&live.out, "the live join");
        let early = early.wait().code(0);
        let earlier = place(&all, &frames(&early.out, "five seconds before"), "five seconds before");
        assert!(earlier + 5 * 25 <= at + 25 && earlier + 7 * 25 > at, "{earlier} and {at}");
    }
}

#[test]
fn a_clip_that_ends_in_the_future_waits_for_it() {
    let lab = Lab::new();
    let source = long();
    let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
    writer.write(&source[..PART + 10]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let reader = lab.reader(&[KEY, "clip.mp4", "--from", "00:03", "--to", "00:00:16"]);
    reader.wait_for("beginning at 00:00:03");
    lab.wait_for_edge();
    writer.write(&source[PART + 10..source.len() - 1000]);
    // The upload is still open.
    reader.wait().code(0).says("the excerpt ended");
    let clip = std::fs::read(lab.dir().join("clip.mp4")).expect("the clip");
    covers(&frames(&source, "source"), &frames(&clip, "clip"), 3.0, 16.0, (0.0, 1.1), "the clip");
    let beyond = lab.reader(&[KEY, "--from", "20:00"]).wait();
    beyond.failed_with_one_message(OBJECT).says("long so far").gave(b"");
    writer.end().code(0);
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
fn a_probe_tells_what_is_there_without_reading_it() {
    let lab = Lab::new();
    let source = long();
    let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
    writer.write(&source[..2 * PART + 10]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 2);
    let probed = |args: &[&str]| lab.reader(&[&[KEY, "--probe"], args].concat()).wait().code(0);
    let report: Value = serde_json::from_slice(&probed(&["--json"]).out).expect("JSON");
    assert_eq!(report["growing"], true, "{report:#}");
    assert_eq!(report["bytes"], 2 * PART);
    assert_eq!((&report["parts"], &report["part_size"]), (&2.into(), &PART.into()));
    assert_eq!(report["tracks"][0]["width"], 320);
    assert_eq!(report["tracks"][0]["frame_rate"], 25.0);
    assert_eq!(report["tracks"][1]["codec"], "mp4a.40.2");
    assert_eq!((&report["key_frame_seconds"], &report["fragment_seconds"]["mean"]), (&1.0.into(), &1.0.into()));
    assert!(report["tracks"][0]["codec"].as_str().is_some_and(|codec| codec.starts_with("avc1.4d40")), "{report:#}");
    assert!(report["requests"].as_u64().is_some_and(|count| count <= 6), "{report:#}");
    let long_so_far = report["duration"].as_f64().expect("a duration");
    writer.write(&source[2 * PART + 10..]);
    writer.end().code(0);
    let report: Value = serde_json::from_slice(&probed(&["--json"]).out).expect("JSON");
    assert_eq!(report["growing"], false);
    assert!(
        report["duration"].as_f64().is_some_and(|duration| duration > long_so_far && (duration - 40.0).abs() < 0.1)
    );
    let text = String::from_utf8(probed(&[]).out).expect("text");
    assert!(text.contains("320x180, 25.00 frames/s") && text.contains("every 1.000 s"), "{text}");
}

/// Frames of the picture in the fragments that are all there, and where the last of those ends.
fn whole_fragments(data: &[u8]) -> (u64, u64) {
    use live_read::media::fmp4::{Found, Scanner};
    let (mut frames, mut bytes) = (0, 0);
    for found in Scanner::new().feed(data) {
        if let Found::Begun(fragment) = found
            && let Some(run) = fragment.run(1)
            && let Some(end) = fragment.data_end.filter(|end| *end <= data.len() as u64)
        {
            (frames, bytes) = (frames + run.samples, end);
        }
    }
    (frames, bytes)
}

/// What the last fragment says counts for nothing where it is not all there.
#[test]
fn a_probe_tells_the_truth_of_a_cut_recording_however_it_is_fragmented() {
    let thirty = "-f lavfi -i testsrc2=size=320x180:rate=30:duration=24,noise=alls=50:allf=t";
    let mono = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=24";
    let inputs = [thirty, mono].map(|input| input.split_whitespace().map(str::to_owned).collect());
    let h264 = "-c:v libx264 -preset ultrafast -g 60 -b:v 3M -maxrate 3M -bufsize 1M -c:a aac -ac 1 -f mp4 -movflags";
    for flags in [
        "empty_moov+default_base_moof+frag_keyframe",
        "empty_moov+default_base_moof+frag_every_frame",
        "empty_moov+default_base_moof+frag_keyframe+separate_moof",
    ] {
        let source = make(&inputs, &format!("{h264} {flags}"));
        assert!(source.len() > PART + 1000, "{} bytes only", source.len());
        let lab = Lab::new();
        let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
        writer.write(&source[..PART + 1000]);
        let id = lab.wait_open(KEY);
        lab.wait_parts(KEY, &id, 1);
        let outcome = lab.reader(&[KEY, "--probe", "--json"]).wait().code(0);
        let report: Value = serde_json::from_slice(&outcome.out).expect("JSON");
        let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{flags}: {name} of {report:#}"));
        let rate = report["tracks"][0]["frame_rate"].as_f64().expect("a frame rate");
        assert!((rate - 30.0).abs() < 0.1, "{flags}: {report:#}");
        assert!((number("key_frame_seconds") - 2.0).abs() < 0.01, "{flags}: {report:#}");
        assert_eq!(report["tracks"][1]["channels"], 1, "{flags}: {report:#}");
        let fragment = |name: &str| report["fragment_seconds"][name].as_f64().expect("seconds");
        assert!(fragment("least") <= fragment("mean") && fragment("mean") <= fragment("most"), "{flags}: {report:#}");
        let (frames, bytes) = whole_fragments(&source[..PART]);
        let whole = frames as f64 / 30.0;
        assert!((number("duration") - whole).abs() < 0.1, "{flags}: {whole} s, {report:#}");
        let bits = bytes as f64 * 8.0 / whole;
        assert!((number("bit_rate") / bits - 1.0).abs() < 0.02, "{flags}: {bits}, {report:#}");
        writer.end_with(&source[PART + 1000..]).code(0);
    }
}

/// Of a store that states a part size which no upload can have, and tells by no HEAD how far it can be read.
#[test]
fn a_probe_of_an_upload_that_grows_at_each_look_comes_to_an_end() {
    let lab = Lab::new();
    let source = make(&[picture(30, 10), sound(30)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let (begin, step) = (source.len() / 3, source.len() / 100);
    let looks = AtomicUsize::new(0);
    let growing = Liar::start(move |asked| {
        let readable = (begin + looks.fetch_add(1, Relaxed) * step).min(source.len());
        let answer = Recording::open(source[..readable].to_vec()).answer(asked);
        answer.header("x-backblaze-live-read-part-size", u64::MAX)
    });
    let probe = Launch::reader(&lab, &[KEY, "--probe", "--json", "--endpoint-url", growing.endpoint()]).start().wait();
    let report: Value = serde_json::from_slice(&probe.code(0).out).expect("JSON");
    assert_eq!((&report["growing"], &report["part_size"]), (&true.into(), &Value::Null), "{report:#}");
    assert_eq!(report["tracks"][0]["frame_rate"], 25.0, "{report:#}");
    assert!(report["requests"].as_u64().is_some_and(|count| count <= 20), "{report:#}");
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
fn a_transport_stream_is_joined_live() {
    let lab = Lab::new();
    let output = format!("-c:v libx264 -preset ultrafast -qp 24 -g 25 -bf 2 {AAC} -f mpegts");
    let source = make(&[picture(20, 40), sound(20)], &output);
    let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
    writer.write(&source[..PART + 10]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let live = lab.reader(&[KEY, "--from", "live", "--debug"]);
    live.wait_for("found the place");
    assert!(requests(&live.messages()) <= 4, "{}", live.messages());
    writer.write(&source[PART + 10..]);
    writer.end().code(0);
    let live = live.wait().code(0);
    let (all, joined) = (frames(&source, "the source"), frames(&live.out, "the live join"));
    let at = place(&all, &joined, "the live join");
    assert!(at > 0 && at.is_multiple_of(25) && at + joined.len() == all.len(), "{at}");
    for args in [&["--from", "1"][..], &["--to", "1"], &["--probe"], &["--from", "live-1s"]] {
        let refused = lab.reader(&[&[KEY], args].concat()).wait();
        refused.failed_with_one_message(OBJECT).says("transport stream").gave(b"");
    }
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

/// Smooth Streaming has no `tfdt`.
#[test]
fn fragments_without_times_can_be_joined_live_alone() {
    let lab = Lab::new();
    let source = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} -f ismv -movflags empty_moov+frag_keyframe"));
    store(&lab, &source);
    let live = lab.reader(&[KEY, "--from", "live"]).wait().code(0);
    let joined = frames(&live.out, "the live join");
    assert_eq!(place(&frames(&source, "the source"), &joined, "the live join"), 125);
    lab.reader(&[KEY, "--from", "1"]).wait().failed_with_one_message(OBJECT).says("no tfdt").gave(b"");
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

#[test]
fn joining_live_waits_for_the_first_fragment_and_refuses_what_has_none() {
    for data in [b"any text at all".repeat(1000), make(&[sound(1)], "-c:a aac -f adts")] {
        let lab = Lab::new();
        let id = lab.begin(KEY);
        let live = lab.reader(&[KEY, "--from", "live"]);
        live.wait_for("no fragment yet");
        lab.part(KEY, &id, 1, &data);
        live.wait().failed_with_one_message(OBJECT).says("does not begin with an MP4 box").gave(b"");
    }
    let lab = Lab::new();
    lab.begin(KEY);
    let live = lab.reader(&[KEY, "--from", "live", "--timeout", "0.3"]).wait();
    live.failed_with_one_message(OBJECT).says("--timeout").gave(b"");
}

#[test]
fn a_recording_that_has_just_begun_is_joined_at_its_start() {
    let lab = Lab::new();
    let source = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let id = lab.begin(KEY);
    let live = lab.reader(&[KEY, "--from", "live"]);
    live.wait_for("no fragment yet");
    let etag = lab.part(KEY, &id, 1, &source);
    lab.complete(KEY, &id, &[etag]);
    live.wait().code(0).gave(&source);
}

/// Real streams with damaged bytes: no panic, no endless work, and little memory.
#[test]
fn damaged_streams_do_no_harm() {
    let lab = Lab::new();
    let source = make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let moofs: Vec<usize> = source.windows(4).enumerate().filter(|(_, w)| w == b"moof").map(|(at, _)| at).collect();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..24 {
        let mut data = source.clone();
        for _ in 0..6 {
            let near = if random.bool() { 0 } else { *random.choice(&moofs).expect("fragments") };
            let at = near + random.usize(0..900);
            data[at] = if random.bool() { 0xff } else { random.u8(..) };
        }
        lab.put(KEY, &data);
        let args = match round % 3 {
            0 => &["--from", "live"][..],
            1 => &["--from", "1", "--to", "2", "--rebase"],
            _ => &["--probe"],
        };
        let outcome = Launch::reader(&lab, &[&[KEY], args].concat()).start().wait();
        assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.state());
        assert!(!outcome.err.contains("panicked") && outcome.count("ERROR") <= 1, "{}", outcome.state());
        assert!(outcome.out.len() <= data.len() + 4096, "{}", outcome.state());
    }
}

/// Every finding about a damaged stream is the same however it is sliced, and none takes long or much memory.
#[test]
fn damaged_real_streams_are_read_the_same_however_sliced() {
    use live_read::media::fmp4::{Found, Scanner};
    let scan = |data: &[u8], slice: usize| -> Vec<Found> {
        let mut scanner = Scanner::new();
        data.chunks(slice).flat_map(|slice| scanner.feed(slice)).collect()
    };
    let small = "-c:v libx264 -preset ultrafast -qp 40 -g 10 -bf 2";
    let mut random = fastrand::Rng::with_seed(11);
    for flags in ["empty_moov+frag_keyframe+default_base_moof", "dash+delay_moov+frag_every_frame", "frag_keyframe"] {
        let source = make(&[picture(2, 0), sound(2)], &format!("{small} {AAC} -b:a 32k -f mp4 -movflags {flags}"));
        let whole = scan(&source, source.len());
        assert_eq!(scan(&source, 1), whole, "{flags}");
        let boxes = [&b"moov"[..], b"moof", b"traf", b"trun", b"tfhd", b"mdat", b"stsd", b"trak"];
        let places: Vec<usize> = source
            .windows(4)
            .enumerate()
            .filter(|(_, window)| boxes.contains(window))
            .map(|(at, _)| at.saturating_sub(4))
            .collect();
        for _ in 0..400 {
            let mut data = source.clone();
            for _ in 0..random.usize(1..5) {
                let at = random.choice(&places).expect("boxes") + random.usize(0..60);
                let any = random.u8(..);
                data[at.min(source.len() - 1)] = *random.choice(&[0, 1, 0x7f, 0xff, any]).expect("a byte");
            }
            let slice = random.usize(1..5000);
            assert_eq!(scan(&data, slice), scan(&data, data.len()), "{flags} in slices of {slice}");
        }
    }
}

#[test]
fn the_writer_warns_of_fragments_that_will_disappoint() {
    let lab = Lab::new();
    let warned = |data: &[u8], count: usize, text: &str| {
        let ended = lab.writer(&[KEY, "--part-size", "5000000"]).end_with(data).code(0).says(text);
        assert_eq!(ended.count("WARN"), count, "{}", ended.state());
    };
    let good = make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {FRAGMENTS}"));
    warned(&good, 0, "is complete");
    let duration = "-f mp4 -movflags empty_moov+default_base_moof -frag_duration 300000";
    warned(&make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {duration}")), 1, "add frag_keyframe");
    warned(&make(&[sound(4)], &format!("{AAC} {duration}")), 0, "is complete");
    warned(&make(&[sound(14)], &format!("{AAC} {FRAGMENTS}")), 1, "-frag_duration 1000000");
    let large = "-c:v libx264 -preset ultrafast -qp 16 -g 250";
    warned(&make(&[picture(8, 60)], &format!("{large} {FRAGMENTS}")), 1, "more than a part of 5000000 bytes");
}
