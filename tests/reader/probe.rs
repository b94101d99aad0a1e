//! `reader --probe`: what is told of a recording by a handful of looks.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use super::show::*;
use crate::support::PART;
use crate::support::lab::Lab;
use crate::support::liar::Liar;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, sound};
use crate::support::recording::Recording;
use crate::support::run::Launch;

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
