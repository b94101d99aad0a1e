//! Playlists that point into the growing object: each version of them, and what they point to.

use super::scene::*;
use crate::support::lab::Lab;
use crate::support::media::{FRAGMENTS, make, thumbnails, video};
use crate::support::playlist::Playlist;
use crate::support::run::{Launch, Outcome, await_that};
use crate::support::{PART, PUBLIC_BUCKET, http_full};

#[test]
fn a_live_playlist_grows_with_the_object_and_is_video_on_demand_in_the_end() {
    let lab = Lab::new();
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.write(&STREAM[..PART - 1]);
    assert!(list(&lab, LIST).is_none(), "nothing can be read yet");
    let listed = feed_live(&lab, &mut run, &STREAM[PART - 1..], f64::from(SECONDS));
    assert!(listed > 5, "{listed} segments while it was live");
    drop(run.stdin.take());
    run.wait_for("is complete");
    run.end().code(0).says("viewers can play");
    let versions = all_valid(&lab, LIST);
    assert!(versions.len() > 3, "{} versions", versions.len());
    all_paced(&lab, LIST);
    let last = versions.last().expect("a version");
    assert_eq!((last.segments.len() as u32, last.kind.as_deref()), (SECONDS, Some("EVENT")));
    assert!((last.seconds() - f64::from(SECONDS)).abs() < 0.1);
    assert!(versions.iter().rev().skip(1).all(|version| !version.ended));
    assert!(last.segments[0].date.is_some());
    shows_all(&lab, last);

    let (_, head, _) = http_full(lab.endpoint(), "GET", &path(LIST), &[], &[]);
    assert!(head.contains("content-type: application/vnd.apple.mpegurl"), "{head}");
    assert!(head.contains("cache-control: public, max-age=60"), "{head}");

    // The same, made of the object; and without the old one, the same segments.
    let rebuild = || launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1"]).end().code(0).says("12 segments");
    rebuild();
    assert_eq!(list(&lab, LIST).expect("a playlist").text, last.text);
    let (status, _) = delete(&lab, LIST);
    assert_eq!(status, 204);
    rebuild();
    let anew = list(&lab, LIST).expect("a playlist");
    assert_eq!(anew.kind.as_deref(), Some("VOD"));
    let places = |list: &Playlist| list.segments.iter().map(|s| (s.uri.clone(), s.first, s.len)).collect::<Vec<_>>();
    assert_eq!(places(&anew), places(last));
    shows_all(&lab, &anew);
}

#[test]
fn a_window_slides_by_the_rules_and_shows_all_in_the_end() {
    let lab = Lab::new();
    let mut run = writer(&lab, &["--hls-time", "1", "--hls-window", "3s"]);
    feed_live(&lab, &mut run, &STREAM, f64::from(SECONDS));
    run.end().code(0);
    let versions = all_valid(&lab, LIST);
    let (last, before) = versions.split_last().expect("versions");
    let ended = before.last().expect("a version");
    assert!(before.iter().all(|version| version.kind.is_none()));
    assert!(ended.ended && ended.sequence > 0, "{}", ended.text);
    assert_eq!((last.kind.as_deref(), last.sequence), (Some("VOD"), 0));
    shows_all(&lab, last);
    let dvr = all_valid(&lab, DVR);
    let dvr = dvr.last().expect("a version");
    assert_eq!((dvr.kind.as_deref(), dvr.ended, dvr.segments.len()), (Some("EVENT"), true, last.segments.len()));
}

#[test]
fn a_long_playlist_slides_and_a_second_one_shows_all() {
    let lab = Lab::new();
    // Ten pictures a second, each a key frame and a fragment of its own.
    let coded = format!("-c:v libx264 -preset ultrafast -g 1 -qp 40 {FRAGMENTS}");
    let stream = make(&[thumbnails(600)], &coded);
    assert!(stream.len() < PART, "{} bytes", stream.len());
    let mut run = launch(&lab, &[KEY, "--hls", "--hls-time", "100ms", "--max-latency", "200ms"]);
    let shown = || list(&lab, LIST).map_or(0, |list| list.sequence as usize + list.segments.len());
    run.write(&stream[..stream.len() / 2]);
    await_that("half of the segments", || shown() >= 2_900);
    assert_eq!(list(&lab, LIST).expect("a playlist").kind.as_deref(), Some("EVENT"));
    run.write(&stream[stream.len() / 2..stream.len() / 100 * 97]);
    await_that("nearly all segments", || shown() >= 5_700);
    let slid = list(&lab, LIST).expect("a playlist");
    assert_eq!((slid.kind.as_deref(), slid.segments.len()), (None, 5_400));
    await_that("the list of all", || list(&lab, DVR).is_some());
    run.write(&stream[stream.len() / 100 * 97..]);
    run.end().code(0).says("is long: from now on");
    let versions = versions(&lab, LIST);
    for pair in versions.windows(2) {
        // The one step that is allowed here and not there: it gives up its type.
        let mut before = pair[0].clone();
        if before.kind.is_some() && pair[1].kind.is_none() {
            before.kind = None;
        }
        before.may_become(&pair[1]);
    }
    let last = versions.last().expect("a version");
    assert_eq!((last.kind.as_deref(), last.sequence, last.segments.len()), (Some("VOD"), 0, 6_000));
    let dvr = all_valid(&lab, DVR);
    let dvr = dvr.last().expect("a version");
    assert_eq!((dvr.kind.as_deref(), dvr.ended, dvr.segments.len()), (Some("EVENT"), true, 6_000));
    assert!(dvr.target >= 30);
}

#[test]
fn what_browsers_cannot_play_gets_a_warning_and_no_playlist() {
    let lab = Lab::new();
    let warned = |stream: &[u8], says: &str| -> Outcome {
        let done = writer(&lab, &[]).end_with(stream).code(0).says(says);
        assert!(list(&lab, LIST).is_none(), "{}", done.state());
        done
    };
    warned(&video(1, "empty_moov+frag_keyframe"), "add default_base_moof to -movflags");
    warned(&crate::support::bytes(1, 1000), "HLS needs fragmented MP4");
    warned(b"", "there was no input at all").does_not_say("playlist");
    launch(&lab, &["nothing.mp4", "--hls-rebuild"]).end().code(1).says("neither a finished object nor an open upload");
    launch(&lab, &["live.m3u8", "--hls"]).end().code(2).says("cannot be both");
}

#[test]
fn where_nothing_can_be_read_before_the_end_the_playlist_comes_with_it() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let mut run = writer(&lab, &["--hls-time", "1", "--live", "b2"]);
    run.write(&STREAM);
    run.wait_for("before that nothing could be played");
    assert!(list(&lab, LIST).is_none());
    run.end().code(0);
    let last = list(&lab, LIST).expect("a playlist");
    assert_eq!(last.kind.as_deref(), Some("VOD"));
    let played = played(&lab);
    assert!(played == *FRAMES);
}

#[test]
fn a_key_that_may_only_write_writes_playlists_all_the_same() {
    let lab = Lab::with_args(&["--user", "writes:writes-secret:write"]);
    let args = [&[KEY, "--hls", "--hls-time", "1"][..], &PART_SIZE].concat();
    let run = Launch::writer(&lab, &args).env("BUCKET_NAME", PUBLIC_BUCKET).key("writes", "writes-secret").start();
    run.end_with(&STREAM).code(0);
    all_valid(&lab, LIST);
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
}
