//! Playlists of several objects: those of a rollover, one after the other, and renditions, side by side.

use std::process::Command;

use serde_json::json;

use super::scene::*;
use crate::support::lab::Lab;
use crate::support::media::video;
use crate::support::run::{Run, await_that};

#[test]
fn objects_of_a_rollover_are_one_playlist_with_discontinuities() {
    let lab = Lab::new();
    let mut run = writer(&lab, &["--hls-time", "1", "--rollover", "12MB"]);
    feed_live(&lab, &mut run, &STREAM, 6.0);
    run.end().code(0).says("objects");
    let versions = all_valid(&lab, LIST);
    let last = versions.last().expect("a version");
    let objects: Vec<&str> = last.segments.iter().map(|segment| segment.uri.as_str()).collect();
    let mut uris = objects.clone();
    uris.dedup();
    assert!(uris.len() > 2, "{uris:?}");
    assert!(uris[1].starts_with("match-0002.mp4?versionId="), "{uris:?}");
    assert_eq!(last.segments.iter().filter(|segment| segment.discontinuity).count(), uris.len() - 1);
    assert_eq!(last.segments.len() as u32, SECONDS);
    let played = played(&lab);
    let pictures =
        |frames: &str| frames.lines().filter(|line| line.starts_with("0 ")).map(str::to_owned).collect::<Vec<_>>();
    assert!(pictures(&played) == pictures(&FRAMES), "other pictures");
    launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1"]).end().code(0);
    assert_eq!(list(&lab, LIST).expect("a playlist").text, last.text);
}

#[test]
fn the_playlist_goes_on_in_the_next_object_while_the_one_before_cannot_be_completed() {
    for fault in [json!({ "delay_ms": 120_000 }), json!({ "status": 403, "code": "AccessDenied" })] {
        let refused = fault.get("status").is_some();
        let lab = Lab::new();
        let mut rule = json!({ "operation": "CompleteMultipartUpload", "key": KEY });
        rule.as_object_mut().expect("a rule").extend(fault.as_object().expect("an effect").clone());
        lab.faults(&json!([rule]));
        // A key that was allowed the same before is tried again for half a minute.
        let patience = if refused { "1s" } else { "1h" };
        let mut run = writer(&lab, &["--hls-time", "1", "--rollover", "12MB", "--retry-timeout", patience]);
        run.write(&STREAM[..STREAM.len() / 4 * 3]);
        // All of this can be read, that of the object that cannot be completed too.
        await_that("segments of later objects", || {
            let last = list(&lab, LIST).and_then(|list| list.segments.last().cloned());
            last.is_some_and(|last| !last.uri.starts_with("match.mp4?"))
        });
        look(&lab, 0);
        let now = list(&lab, LIST).expect("a playlist");
        assert!(now.segments[0].uri.starts_with("match.mp4?"), "{}", now.text);
        assert!(get(&lab, KEY).is_none(), "it is complete");
        if refused {
            run.write(&STREAM[STREAM.len() / 4 * 3..]);
            run.end().code(1).says("could not be completed");
            let last = all_valid(&lab, LIST).pop().expect("a playlist");
            assert_eq!((last.segments.len() as u32, last.ended), (SECONDS, false));
        }
    }
}

#[test]
fn writers_of_several_renditions_share_a_multivariant_playlist() {
    let lab = Lab::new();
    let pictures = video(2, GOOD);
    let renditions = ["720p", "480p", "360p"];
    let master = ["--hls-master", "live/master.m3u8", "--hls-name"];
    let keys = renditions.iter().map(|name| (format!("live/{name}.mp4"), *name, pictures.clone()));
    let mut runs: Vec<(Run, Vec<u8>)> = keys
        .chain([("live/sound.m4a".to_owned(), "english", sound())])
        .map(|(key, name, stream)| (launch(&lab, &[&[key.as_str(), "--hls"][..], &master, &[name]].concat()), stream))
        .collect();
    // What had ended before another began would not belong to it.
    for (run, _) in &runs {
        run.wait_for("uploading to");
    }
    for (run, stream) in &mut runs {
        run.feed(std::mem::take(stream));
    }
    for (run, _) in runs {
        let run = run.end().code(0);
        // The fragments of this test are longer than a part, which is one warning.
        let warnings = run.err.lines().filter(|line| line.contains("WARN"));
        let others = warnings.filter(|line| !line.contains("a fragment of this MP4"));
        assert_eq!(others.count(), 0, "{}", run.state());
    }
    let alone = list(&lab, "live/sound.m3u8").expect("a playlist of sound");
    assert!(alone.segments.len() >= 2 && (alone.seconds() - 4.0).abs() < 0.2, "{}", alone.text);
    let text = String::from_utf8(get(&lab, "live/master.m3u8").expect("a multivariant playlist")).expect("UTF-8");
    assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:7\n"), "{text}");
    for name in renditions {
        assert!(text.contains(&format!("\n{name}.m3u8\n")), "no {name} in\n{text}");
    }
    assert!(text.contains("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"english\","), "{text}");
    let streams: Vec<&str> = text.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF:")).collect();
    assert_eq!(streams.len(), 3, "{text}");
    for stream in streams {
        for part in ["CODECS=\"avc1.", ",mp4a.40.2\"", "RESOLUTION=640x360", "FRAME-RATE=25.000", "AVERAGE-BANDWIDTH="]
        {
            assert!(stream.contains(part), "no {part} in {stream}");
        }
        let bandwidth = stream.split("BANDWIDTH=").nth(1).and_then(|rest| rest.split(',').next());
        let bandwidth: f64 = bandwidth.and_then(|text| text.parse().ok()).expect("a bandwidth");
        let measured = pictures.len() as f64 * 8.0 / 2.0;
        assert!((measured * 0.9..measured * 1.5).contains(&bandwidth), "{bandwidth} for {measured}");
    }
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "program=program_id", "-of", "csv=p=0"])
        .arg(format!("{}{}", lab.endpoint(), path("live/master.m3u8")))
        .output()
        .expect("ffprobe");
    let programs = String::from_utf8_lossy(&probed.stdout).split_whitespace().count();
    assert_eq!(programs, 3, "{}", String::from_utf8_lossy(&probed.stderr));
}
