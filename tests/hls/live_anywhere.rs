//! `--live auto` with `--hls`: the store decides how a playlist is live; and several of live objects side by side.

use std::thread;

use super::live_objects::{beside, is_whole, key_of, plain};
use super::scene::*;
use crate::support::lab::Lab;
use crate::support::media::shown;
use crate::support::run::{Run, await_some, await_that};

const AUTO: [&str; 4] = ["--live", "auto", "--hls-time", "1"];
const MASTER: &str = "live/master.m3u8";

#[test]
fn without_live_read_the_playlist_is_one_of_live_objects_by_itself() {
    let lab = Lab::with_args(&["--no-live-read"]);
    // Room for all of it, so that nothing of a burst is left to its part alone.
    let mut run = launch(&lab, &[&[KEY, "--hls", "--part-size", "40MB"][..], &AUTO].concat());
    run.wait_for("no Live Read here");
    let half = STREAM.len() / 2;
    run.write(&STREAM[..half]);
    let open = await_some("segments", || list(&lab, LIST).filter(|list| list.segments.len() > 3));
    for segment in &open.segments {
        assert!(segment.whole && !segment.gap, "{}", open.text);
        is_whole(&lab, LIST, segment, &STREAM);
    }
    run.end_with(&STREAM[half..]).code(0).does_not_say("WARN");
    let last = all_valid(&lab, LIST).pop().expect("a playlist");
    assert!(last.segments.iter().all(|segment| !segment.whole), "{}", last.text);
    shows_all(&lab, &last);
    assert_eq!(beside(&lab), Vec::<String>::new());
}

#[test]
fn with_live_read_it_is_one_of_byte_ranges_and_there_never_is_a_live_object() {
    let lab = Lab::new();
    let mut run = launch(&lab, &[&[KEY, "--hls", "--part-size", "8000000"][..], &AUTO].concat());
    run.wait_for("Live Read is on");
    let half = STREAM.len() / 2;
    run.write(&STREAM[..half]);
    let open = await_some("segments", || list(&lab, LIST).filter(|list| list.segments.len() > 3));
    assert!(!open.ended);
    run.end_with(&STREAM[half..]).code(0).does_not_say("WARN");
    let versions = all_valid(&lab, LIST);
    assert!(versions.iter().all(|list| list.segments.iter().all(|segment| !segment.whole)));
    assert!(versions.iter().all(|list| list.segments[0].uri.starts_with("match.mp4?versionId=")));
    shows_all(&lab, versions.last().expect("a playlist"));
    let written = lab.request_log();
    let beside = |one: &&serde_json::Value| one["key"].as_str().is_some_and(|key| key.starts_with("_live/"));
    let put = written.iter().filter(beside).find(|one| one["operation"] == "PutObject");
    assert!(put.is_none(), "{put:?}");
}

/// The playlists that a multivariant playlist names.
fn variants(lab: &Lab) -> Vec<String> {
    let Some(text) = get(lab, MASTER) else { return Vec::new() };
    let text = String::from_utf8(text).expect("UTF-8");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|uri| key_of(MASTER, uri)).collect()
}

#[test]
fn renditions_of_live_objects_share_a_multivariant_playlist_that_plays_live_and_afterwards() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let names = ["high", "low"];
    let mut runs: Vec<Run> = names
        .iter()
        .map(|name| {
            let key = format!("live/{name}.mp4");
            let more = ["--part-size", "40MB", "--hls-master", MASTER, "--hls-name", name];
            launch(&lab, &[&[key.as_str(), "--hls"][..], &AUTO, &more].concat())
        })
        .collect();
    for run in &runs {
        run.wait_for("uploading to");
    }
    let steps = SECONDS as usize;
    let feed = |runs: &mut Vec<Run>, from: usize, to: usize| {
        for run in runs.iter_mut() {
            run.write(&STREAM[STREAM.len() * from / steps..STREAM.len() * to / steps]);
        }
    };
    // Enough for both to be listed, and no more than the three segments at the end with which players begin.
    feed(&mut runs, 0, 3);
    await_that("both renditions", || variants(&lab).len() == names.len());
    let player = {
        let url = format!("{}{}", lab.endpoint(), path(MASTER));
        thread::spawn(move || shown(&url))
    };
    let asked = |one: &serde_json::Value| {
        one["operation"] == "GetObject"
            && one["key"].as_str().is_some_and(|key| key.starts_with("_live/") && key.ends_with(".mp4"))
    };
    await_that("the player", || lab.request_log().iter().any(asked));
    for step in 3..steps {
        feed(&mut runs, step, step + 1);
        for key in &variants(&lab) {
            let now = await_some("the next segment", || list(&lab, key).filter(|list| list.segments.len() + 1 >= step));
            let last = now.segments.last().expect("a segment");
            assert!(last.whole, "{}", now.text);
            is_whole(&lab, key, last, &STREAM);
        }
    }
    for run in runs {
        run.end().code(0).does_not_say("WARN");
    }
    let pictures = |frames: &str| frames.lines().filter(|line| line.starts_with("0 ")).count();
    assert_eq!(pictures(&player.join().expect("it plays")), pictures(&FRAMES), "live");
    let now = variants(&lab);
    assert_eq!(now.len(), names.len());
    for key in &now {
        let last = all_valid(&lab, key).pop().expect("a playlist");
        assert!(last.ended && last.segments.iter().all(|segment| !segment.whole), "{}", last.text);
        assert!(last.segments.iter().all(|segment| plain(&lab, key, &segment.uri).0 == 200));
    }
    let url = format!("{}{}", lab.endpoint(), path(MASTER));
    assert_eq!(pictures(&shown(&url)), pictures(&FRAMES));
    assert_eq!(beside(&lab), Vec::<String>::new());
}
