//! Playlists of live objects, on a store without Live Read: while an object is open each segment is an object that plain
//! requests get, and afterwards a part of the one object.

use std::collections::BTreeSet;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::*;
use crate::support::lab::Lab;
use crate::support::media::shown;
use crate::support::playlist::{Playlist, Segment};
use crate::support::run::{Run, assert_same, await_some, await_that};
use crate::support::{PUBLIC_BUCKET, http, http_full};

/// Large enough for a segment of [`STREAM`].
const SIZE: usize = 8_000_000;
const LIVE_OBJECTS: [&str; 6] = ["--live", "objects", "--hls-time", "1", "--part-size", "8000000"];

fn lab(quirks: &[&str]) -> Lab {
    let lab = Lab::with_args(&["--no-live-read"]);
    lab.quirks(quirks);
    lab
}

/// A writer with room for nearly all of [`STREAM`], so that nothing of it becomes a gap however busy the machine is.
fn roomy(lab: &Lab, more: &[&str]) -> Run {
    let args = ["--live", "objects", "--hls-time", "1", "--part-size", "40MB"];
    launch(lab, &[&[KEY, "--hls"][..], &args, more].concat())
}

fn start(lab: &Lab, more: &[&str]) -> Run {
    launch(lab, &[&[KEY, "--hls"][..], &LIVE_OBJECTS, more].concat())
}

/// The key that a reference in `playlist` stands for.
pub fn key_of(playlist: &str, uri: &str) -> String {
    let mut path: Vec<&str> = playlist.split('/').collect();
    path.pop();
    for part in uri.split('/') {
        if part == ".." {
            path.pop().expect("a folder above");
        } else {
            path.push(part);
        }
    }
    path.join("/")
}

/// What a plain request gets, and its headers.
pub fn plain(lab: &Lab, playlist: &str, uri: &str) -> (u16, String, Vec<u8>) {
    http_full(lab.endpoint(), "GET", &path(&key_of(playlist, uri)), &[], &[])
}

/// A segment that is a live object is there whole, for ever the same, and begins with a key frame after its header.
#[track_caller]
pub fn is_whole(lab: &Lab, playlist: &str, segment: &Segment, stream: &[u8]) {
    let (first, len) = (segment.first as usize, segment.len as usize);
    for (uri, first, len) in
        [(&segment.map.0, segment.map.1 as usize, segment.map.2 as usize), (&segment.uri, first, len)]
    {
        let (status, head, body) = plain(lab, playlist, uri);
        assert_eq!(status, 200, "listed, but not there: {segment:?}");
        assert!(head.contains("max-age=31536000, immutable"), "{head}");
        assert_same(&body, &stream[first..first + len], uri);
    }
    assert!(stream[first..first + len].windows(4).take(64).any(|window| window == b"moof"), "no fragment begins here");
}

/// Feeds the writer, and looks at all that each version lists anew; how many segments that were.
fn feed(lab: &Lab, run: &mut Run, key: &str) -> usize {
    // Several tests at once: at half its speed.
    let seconds = f64::from(2 * SECONDS);
    let (began, mut fed, mut seen) = (Instant::now(), 0, 0);
    while fed < STREAM.len() {
        let due = (STREAM.len() as f64 * (began.elapsed().as_secs_f64() / seconds).min(1.0)) as usize;
        run.write(&STREAM[fed..due.max(fed)]);
        fed = due.max(fed);
        if let Some(list) = list(lab, key) {
            let count = list.sequence as usize + list.segments.len();
            for segment in list.segments.iter().skip(seen - (list.sequence as usize).min(seen)) {
                assert!(segment.whole && !segment.gap, "{segment:?}");
                is_whole(lab, key, segment, &STREAM);
            }
            seen = seen.max(count);
        }
        thread::sleep(Duration::from_millis(20));
    }
    seen
}

/// All keys below the prefix of live objects, those of older versions among them.
pub fn beside(lab: &Lab) -> Vec<String> {
    let request = lab.client().list_object_versions().bucket(PUBLIC_BUCKET).prefix("_live/").send();
    let listed = lab.run(request).expect("a list");
    let marks = listed.delete_markers().iter().filter_map(|mark| mark.key().map(str::to_owned));
    listed.versions().iter().filter_map(|version| version.key().map(str::to_owned)).chain(marks).collect()
}

/// When the first version came that ends the playlist, and when the first live object went, by the clock of the store in
/// milliseconds.
fn named_and_gone(lab: &Lab) -> (u64, u64) {
    let requests = lab.request_log();
    let written = requests.iter().filter(|one| one["operation"] == "PutObject" && one["key"] == LIST);
    // The last but one ends it, the last shows all.
    let named = written.rev().nth(1).expect("two versions");
    let gone = requests.iter().find(|one| one["operation"].as_str().is_some_and(|name| name.starts_with("Delete")));
    let time = |one: &serde_json::Value| one["time_ms"].as_u64().expect("a time");
    (time(named), time(gone.expect("a deletion")))
}

/// The end of a playlist, seen by whoever follows it.
fn ends(lab: &Lab, run: &mut Run, key: &str) -> Playlist {
    let before = list(lab, key).expect("a playlist");
    drop(run.stdin.take());
    let last = await_some("the end of the playlist", || list(lab, key).filter(|list| list.ended));
    // Whoever read the playlist a moment ago may ask for any of its segments now.
    for segment in before.segments.iter().filter(|segment| segment.whole) {
        assert_eq!(plain(lab, key, &segment.uri).0, 200, "gone too soon: {segment:?}");
    }
    await_that("the end of the live objects", || beside(lab).is_empty());
    last
}

#[test]
fn segments_are_objects_while_it_is_live_and_parts_of_the_one_object_afterwards() {
    let lab = lab(&[]);
    let mut run = roomy(&lab, &[]);
    let player = plays(&lab);
    let seen = feed(&lab, &mut run, LIST);
    assert!(seen as u32 >= SECONDS - 2, "{seen} segments while it was live");
    let last = ends(&lab, &mut run, LIST);
    let (named, gone) = named_and_gone(&lab);
    assert!(gone - named >= 3_000 * last.target, "live objects stayed {} ms", gone - named);
    let player = player.join().expect("it plays");
    run.wait().code(0).says("viewers can play").says("then its live objects are taken away").does_not_say("WARN");
    assert!(player == *FRAMES, "live: {} frames instead of {}", player.lines().count(), FRAMES.lines().count());
    let versions = all_valid(&lab, LIST);
    all_paced(&lab, LIST);
    let [before @ .., end, last] = &versions[..] else { panic!("{} versions", versions.len()) };
    assert!(before.len() as u32 > SECONDS / 2, "{} versions", before.len());
    assert!(before.iter().all(|list| list.sequence == 0 && list.segments.iter().all(|segment| segment.whole)));
    assert_eq!(before.last().map(|list| list.segments.len() as u32), Some(SECONDS), "all of it by live objects");
    let times = times(&lab, LIST);
    let waited = times[before.len()] - times[before.len() - 1];
    assert!(waited >= 1.25 * last.target as f64 - 0.05, "{waited} s between the last live version and the end");
    // Whoever follows it is told the end by a list that begins a segment later; then comes all of it.
    assert!(end.ended && end.sequence == 1 && end.segments.iter().all(|segment| !segment.whole), "{}", end.text);
    assert_eq!((end.kind.as_deref(), last.kind.as_deref()), (None, Some("VOD")));
    assert_eq!((last.segments.len() as u32, last.target), (SECONDS, 2));
    assert!(last.segments.iter().all(|segment| !segment.whole && segment.uri.starts_with("match.mp4")));
    shows_all(&lab, last);
    // The same once more, made of the object.
    launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1"]).end().code(0);
    assert_same(list(&lab, LIST).expect("a playlist").text.as_bytes(), last.text.as_bytes(), "rebuilt");
}

/// A player that begins as soon as there is a playlist, and what it has shown when that ends.
fn plays(lab: &Lab) -> JoinHandle<String> {
    let endpoint = lab.endpoint().to_owned();
    thread::spawn(move || {
        await_that("a playlist", || http(&endpoint, "GET", &path(LIST), &[], &[]).0 == 200);
        shown(&format!("{endpoint}{}", path(LIST)))
    })
}

#[test]
fn stores_of_all_kinds_have_it() {
    let rows: [&[&str]; 3] =
        [&["unversioned", "no-conditions"], &["unversioned", "no-list", "denied-missing"], &["same-key-429"]];
    thread::scope(|scope| {
        for quirks in rows {
            scope.spawn(move || {
                let lab = lab(quirks);
                let mut run = roomy(&lab, &["--max-latency", "1s"]);
                assert!(feed(&lab, &mut run, LIST) > 8);
                drop(run.stdin.take());
                let run = run.wait().code(0);
                assert_eq!(run.count("WARN"), 0, "{quirks:?} {}", run.state());
                shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
                lab.quirks(&[]);
                assert_eq!(beside(&lab), Vec::<String>::new(), "{quirks:?}");
            });
        }
    });
}

#[test]
fn a_playlist_elsewhere_and_a_name_of_all_kinds_refer_to_what_is_there() {
    let lab = lab(&[]);
    let (key, list_key) = ("a b/50% ü/match #1.mp4", "lists/of/all/live.m3u8");
    let args = [&[key, "--hls", "--hls-key", list_key][..], &LIVE_OBJECTS].concat();
    let mut run = launch(&lab, &args);
    let half = STREAM.len() / 2;
    run.write(&STREAM[..half]);
    let open = await_some("a playlist", || list(&lab, list_key));
    assert!(open.segments[0].uri.starts_with("../../../_live/a%20b/50%25%20%C3%BC/match%20%231.mp4/"), "{}", open.text);
    // A busy machine may leave a gap.
    for segment in open.segments.iter().filter(|segment| !segment.gap) {
        is_whole(&lab, list_key, segment, &STREAM);
    }
    run.end_with(&STREAM[half..]).code(0);
    let last = list(&lab, list_key).expect("a playlist");
    assert!(last.ended && last.segments[0].uri.starts_with("../../../a%20b/50%25%20%C3%BC/match%20%231.mp4"));
    assert!(shown(&format!("{}{}", lab.endpoint(), path(list_key))) == *FRAMES);
}

#[test]
fn objects_of_a_rollover_are_parts_of_themselves_when_they_are_complete() {
    let lab = lab(&[]);
    let mut run = start(&lab, &["--rollover", "20MB"]);
    let mut both = 0;
    for piece in STREAM.chunks(STREAM.len() / 60) {
        run.write(piece);
        thread::sleep(Duration::from_millis(200));
        let Some(list) = list(&lab, LIST) else { continue };
        let (whole, parts): (Vec<_>, Vec<_>) = list.segments.iter().partition(|segment| segment.whole);
        both += usize::from(!whole.is_empty() && !parts.is_empty());
        for segment in whole {
            assert_eq!(plain(&lab, LIST, &segment.uri).0, 200, "{segment:?}");
        }
        for segment in parts {
            assert_eq!(range(&lab, &segment.uri, segment.first, segment.len).0, 206, "{segment:?}");
        }
    }
    assert!(both > 5, "{both} times there were both");
    // What was complete long ago is gone while the last is still open.
    await_that("the end of the first live objects", || !beside(&lab).iter().any(|key| key.contains("/match.mp4/2")));
    assert!(!beside(&lab).is_empty());
    ends(&lab, &mut run, LIST);
    run.wait().code(0).does_not_say("WARN");
    let versions = all_valid(&lab, LIST);
    let last = versions.last().expect("a version");
    assert_eq!(last.segments.len() as u32, SECONDS);
    let pictures = |frames: &str| frames.lines().filter(|line| line.starts_with("0 ")).count();
    assert_eq!(pictures(&played(&lab)), pictures(&FRAMES));
}

#[test]
fn a_window_slides_over_live_objects_and_all_of_it_is_in_the_other_list() {
    let lab = lab(&[]);
    let mut run = roomy(&lab, &["--hls-window", "3s"]);
    feed(&lab, &mut run, LIST);
    let dvr = list(&lab, DVR).expect("the list of all");
    assert!(dvr.segments.iter().all(|segment| segment.whole && plain(&lab, DVR, &segment.uri).0 == 200));
    drop(run.stdin.take());
    // Players of the list of all look at it every half a minute.
    run.wait_for("then its live objects are taken away");
    run.signal("INT");
    // Two that nobody has seen yet are one.
    run.wait_for("Once more ends at once");
    run.signal("INT");
    run.wait().code(0).says("live objects stay");
    for key in [LIST, DVR] {
        let versions = all_valid(&lab, key);
        let last = versions.last().expect("a version");
        assert!(last.ended && last.segments.iter().all(|segment| !segment.whole), "{}", last.text);
    }
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
    assert!(!beside(&lab).is_empty());
}

/// Kills a writer of this much of a file, and gives what it had listed.
fn killed(lab: &Lab, args: &[&str], bytes: usize) -> Playlist {
    let file = lab.dir().join("recording.mp4");
    std::fs::write(&file, &STREAM[..bytes]).expect("write the recording");
    let run = launch(lab, args);
    let before = await_some("some segments", || list(lab, LIST).filter(|list| list.segments.len() >= 4));
    run.signal("KILL");
    drop(run.wait());
    std::fs::write(&file, &*STREAM).expect("write the rest");
    before
}

#[test]
fn after_a_crash_the_playlist_of_a_file_goes_on_without_a_gap() {
    for bytes in [4 * SIZE, 4 * SIZE - SIZE / 2] {
        let lab = lab(&[]);
        let args = [&[KEY, "recording.mp4", "--hls"][..], &LIVE_OBJECTS].concat();
        let before = killed(&lab, &args, bytes);
        let mut again = launch(&lab, &[&args[..], &["--resume"]].concat());
        // It goes on live, and what was listed stays.
        let on = await_some("more segments", || list(&lab, LIST).filter(|on| on.segments.len() as u32 >= SECONDS - 2));
        before.may_become(&on);
        for segment in &on.segments {
            is_whole(&lab, LIST, segment, &STREAM);
        }
        assert!(on.segments.last().is_some_and(|last| last.uri.contains("/1/")), "{}", on.text);
        again.signal("INT");
        drop(again.stdin.take());
        again.wait().code(0).says("goes on after its").does_not_say("WARN");
        let versions = all_valid(&lab, LIST);
        let last = versions.last().expect("a version");
        assert!(last.segments.iter().all(|segment| !segment.discontinuity));
        shows_all(&lab, last);
        assert_eq!(beside(&lab), Vec::<String>::new());
    }
}

#[test]
fn after_a_crash_the_playlist_of_a_stream_goes_on_behind_its_live_objects() {
    let lab = lab(&[]);
    let mut run = start(&lab, &[]);
    run.write(&STREAM[..2 * SIZE]);
    await_that("a playlist", || list(&lab, LIST).is_some_and(|list| list.segments.len() > 1));
    let uploads = lab.client().list_multipart_uploads().bucket(PUBLIC_BUCKET).send();
    let id = lab.run(uploads).expect("uploads").uploads()[0].upload_id().expect("an id").to_owned();
    await_that("a part", || {
        let parts = lab.client().list_parts().bucket(PUBLIC_BUCKET).key(KEY).upload_id(&id).send();
        lab.run(parts).expect("parts").parts().len() == 1
    });
    run.signal("KILL");
    drop(run.wait());
    let before = list(&lab, LIST).expect("a playlist");
    let mut again = start(&lab, &["--resume"]);
    let said = again.wait_for("it keeps");
    let keeps = said.rsplit_once(" bytes").and_then(|(said, _)| said.rsplit_once(' ')).expect("what it keeps").1;
    let keeps: usize = keeps.parse().expect("a number");
    again.write(&STREAM[keeps..5 * SIZE]);
    let on = await_some("more segments", || list(&lab, LIST).filter(|on| on.segments.len() > before.segments.len()));
    before.may_become(&on);
    again.end_with(&STREAM[5 * SIZE..]).code(0).says("goes on after its");
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
    assert_eq!(beside(&lab), Vec::<String>::new());
}

#[test]
fn what_a_playlist_names_that_could_not_be_ended_stays_until_the_next_writer() {
    let lab = lab(&[]);
    let mut run = start(&lab, &[]);
    run.write(&STREAM[..2 * SIZE]);
    await_that("a playlist", || list(&lab, LIST).is_some_and(|list| list.segments.len() > 1));
    lab.faults(&json!([{ "operation": "PutObject", "key": LIST, "status": 503 }]));
    run.end_with(&STREAM[2 * SIZE..3 * SIZE]).code(0).says("--hls-rebuild").says("live objects stay below");
    let stale = list(&lab, LIST).expect("a playlist");
    assert!(stale.segments.iter().all(|segment| plain(&lab, LIST, &segment.uri).0 == 200));
    lab.clear_faults();
    launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1"]).end().code(0);
    let last = list(&lab, LIST).expect("a playlist");
    assert!(last.ended && last.segments.iter().all(|segment| !segment.whole), "{}", last.text);
}

#[test]
fn a_store_that_is_away_for_long_leaves_gaps_until_the_end() {
    let lab = lab(&[]);
    let mut run = start(&lab, &[]);
    let third = STREAM.len() / 3;
    run.write(&STREAM[..third]);
    await_that("a playlist", || list(&lab, LIST).is_some_and(|list| list.segments.len() > 1));
    // More comes than is copied while nothing can be stored: what is not copied is cut where a part ends, not where a fragment does.
    lab.faults(&json!([{ "operation": "PutObject", "status": 503 }]));
    let (away, later) = (STREAM.len() / 10 * 6, STREAM.len() / 20 * 19);
    run.write(&STREAM[third..away]);
    let answered = |status: u16| -> BTreeSet<String> {
        let log = lab.request_log();
        let answers = log.iter().filter(|line| line["operation"] == "PutObject" && line["status"] == status);
        let keys = answers.filter_map(|line| line["key"].as_str());
        keys.filter(|key| key.starts_with("_live/") && key.ends_with(".mp4")).map(str::to_owned).collect()
    };
    await_that("more than is copied", || answered(503).len() > 3);
    lab.clear_faults();
    await_that("the store", || answered(503).is_subset(&answered(200)));
    // From the next part on all is copied again, and with a segment behind it the gap is known.
    let mut rest = STREAM[away..later].chunks(SIZE / 20);
    await_that("a gap", || {
        rest.next().into_iter().for_each(|bytes| run.write(bytes));
        list(&lab, LIST).is_some_and(|list| list.segments.iter().any(|segment| segment.gap))
    });
    let behind = later - rest.map(<[u8]>::len).sum::<usize>();
    let now = list(&lab, LIST).expect("a playlist");
    for segment in now.segments.iter().filter(|segment| !segment.gap) {
        is_whole(&lab, LIST, segment, &STREAM);
    }
    run.end_with(&STREAM[behind..]).code(0);
    let versions = all_valid(&lab, LIST);
    let last = versions.last().expect("a version");
    assert!(last.segments.iter().all(|segment| !segment.gap));
    shows_all(&lab, last);
}

#[test]
fn what_cannot_be_played_has_live_objects_all_the_same_and_they_are_taken_away_at_once() {
    let lab = lab(&[]);
    let reader = lab.reader(&[KEY, "--live", "objects", "--bucket", PUBLIC_BUCKET]);
    let mut run = start(&lab, &[]);
    let data = crate::support::bytes(3, 100_000);
    run.write(&data[..60_000]);
    reader.wait_output(60_000);
    let began = Instant::now();
    run.end_with(&data[60_000..]).code(0).says("HLS needs fragmented MP4");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    reader.wait().code(0).gave(&data);
    assert_eq!(beside(&lab), Vec::<String>::new());
}

#[test]
fn the_rules_for_buckets_are_what_stores_take() {
    let read = |name: &str| -> serde_json::Value {
        let path = format!("{}/docs/stores/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file")).expect("JSON")
    };
    let lifecycle = read("lifecycle");
    let rules = lifecycle["Rules"].as_array().expect("rules");
    assert_eq!((&rules[0]["Filter"]["Prefix"], &rules[0]["Expiration"]["Days"]), (&json!("_live/"), &json!(7)));
    assert!(rules.iter().all(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7));
    assert!(rules.iter().all(|rule| rule["Status"] == "Enabled" && rule["ID"].is_string()));
    assert_eq!(read("public-policy")["Statement"][0]["Action"], "s3:GetObject");
    let errors = read("cloudfront-errors");
    assert_eq!(errors["Quantity"], errors["Items"].as_array().expect("items").len());
}
