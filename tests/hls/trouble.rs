//! What becomes of playlists while the store, another recording or a crash is in the way.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::*;
use crate::support::lab::Lab;
use crate::support::media::video;
use crate::support::run::{Run, await_that};
use crate::support::{PART, PUBLIC_BUCKET};

#[test]
fn a_playlist_that_cannot_be_written_delays_nothing_and_is_made_good() {
    let lab = Lab::new();
    lab.faults(&json!([
        { "operation": "PutObject", "key": LIST, "hold": true, "times": 1 },
        { "operation": "PutObject", "key": LIST, "status": 503 },
    ]));
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.feed(STREAM.clone());
    run.wait_for("is complete");
    // The upload has waited for no version of the playlist: there is none yet.
    assert!(list(&lab, LIST).is_none());
    lab.clear_faults();
    run.end().code(0).does_not_say("--hls-rebuild");
    all_valid(&lab, LIST);
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
}

#[test]
fn two_recordings_do_not_write_over_each_others_playlist() {
    let lab = Lab::new();
    let mut first = writer(&lab, &["--hls-time", "1"]);
    let (begin, rest) = STREAM.split_at(STREAM.len() / 3);
    first.write(begin);
    await_that("a playlist", || list(&lab, LIST).is_some());
    let mut second = launch(&lab, &["live/match.m4a", "--hls", "--hls-time", "1", "--part-size", "5000000"]);
    second.write(begin);
    // That another is alive shows when it goes on: so it does, until both have been told.
    let (mut rebuild, says) = (None::<Run>, "writes its own");
    let told = |run: &Option<Run>| run.as_ref().is_some_and(|run| run.messages().contains(says));
    for piece in rest.chunks(STREAM.len() / 60) {
        first.write(piece);
        let deadline = Instant::now() + Duration::from_millis(250);
        while !told(&rebuild) && Instant::now() < deadline {
            if rebuild.is_none() && second.messages().contains(says) {
                rebuild = Some(launch(&lab, &["live/match.m4a", "--hls-rebuild", "--hls-time", "1"]));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    rebuild.expect("a rebuild").end().code(1).says("another recording, of match.mp4, writes its own playlist to");
    second.wait_for("another recording, of match.mp4, writes its own to");
    first.end().code(0);
    second.end().code(0);
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
    // What has ended makes way.
    launch(&lab, &["live/match.m4a", "--hls"]).end_with(&sound()).code(0).says("takes the place of that of match.mp4");
    assert!(list(&lab, LIST).expect("a playlist").segments[0].uri.starts_with("match.m4a"));
}

#[test]
fn what_is_read_of_playlists_and_renditions_is_whole_or_left_alone() {
    let lab = Lab::new();
    let put = |key: &str, body: Vec<u8>| {
        let request = lab.client().put_object().bucket(PUBLIC_BUCKET).key(key).body(body.into()).send();
        lab.run(request).expect("put");
    };
    let absurd = json!({
        "name": "absurd", "uri": "absurd.m3u8", "bandwidth": u64::MAX, "average": u64::MAX, "codecs": "", "width": u32::MAX,
        "height": u32::MAX, "frame_rate": 1e300, "sound": true, "channels": u64::MAX, "began": 0, "ended": null,
    });
    put("live/master.m3u8.renditions/absurd", absurd.to_string().into_bytes());
    put("live/master.m3u8.renditions/endless", vec![b' '; 1 << 20]);
    let stream = video(2, GOOD);
    let run = writer(&lab, &["--hls-time", "1", "--hls-master", "live/master.m3u8", "--hls-name", "360p"]);
    let done = run.end_with(&stream).code(0);
    let done =
        done.says("live/master.m3u8.renditions/absurd tells of").says("live/master.m3u8.renditions/endless tells of");
    let master = String::from_utf8(get(&lab, "live/master.m3u8").expect("a multivariant playlist")).expect("UTF-8");
    assert!(master.contains("\nmatch.m3u8\n") && !master.contains("absurd"), "{master} {}", done.state());

    // Of a list that is cut off on its way, or stops in the middle, nothing is taken for the whole.
    let before = list(&lab, LIST).expect("a playlist");
    for (fault, says) in
        [(json!({ "cut_after": 200 }), "reading the object"), (json!({ "stall_after": 200 }), "nothing came for")]
    {
        // Whose it is, and what it lists.
        let mut rule = json!({ "operation": "GetObject", "key": LIST, "times": 2 });
        rule.as_object_mut().expect("a rule").extend(fault.as_object().expect("an effect").clone());
        lab.faults(&json!([rule]));
        let rebuild = launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1", "--stall-timeout", "0.5"]);
        rebuild.end().code(0).says(says);
        lab.clear_faults();
        let (now, want) = (list(&lab, LIST).expect("a playlist"), &before);
        assert_eq!((now.segments.len(), &now.kind, now.target), (want.segments.len(), &want.kind, want.target));
    }
}

#[test]
fn after_a_crash_and_resume_the_playlist_goes_on_without_a_gap() {
    for from_file in [false, true] {
        let lab = Lab::new();
        let file = lab.dir().join("recording.mp4");
        std::fs::write(&file, &STREAM[..4 * PART + 1_000]).expect("write the recording");
        let file_args: &[&str] = if from_file { &["recording.mp4"] } else { &[] };
        let args = |more: &[&'static str]| -> Vec<&str> {
            [&[KEY][..], file_args, &["--hls", "--hls-time", "1"], &PART_SIZE, more].concat()
        };
        let mut run = launch(&lab, &args(&[]));
        if !from_file {
            run.write(&STREAM[..4 * PART + 1_000]);
        }
        await_that("segments of four parts", || {
            list(&lab, LIST)
                .is_some_and(|list| list.segments.last().is_some_and(|last| last.first + last.len > 3 * PART as u64))
        });
        run.signal("KILL");
        drop(run.wait());
        let before = list(&lab, LIST).expect("a playlist");
        assert!(!before.ended);
        std::fs::write(&file, &*STREAM).expect("write the rest");
        let mut run = launch(&lab, &args(&["--resume", "--no-follow"]));
        if !from_file {
            run.feed(STREAM[4 * PART..].to_vec());
        }
        run.end().code(0).says("goes on after its");
        let versions = all_valid(&lab, LIST);
        let last = versions.last().expect("a version");
        assert!(last.segments.len() > before.segments.len());
        assert!(last.segments.iter().all(|segment| !segment.discontinuity));
        shows_all(&lab, last);
    }
}
