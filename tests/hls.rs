//! Playlists that point into the growing object: each version of them, what they point to, and what becomes of faults.

use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::lab::Lab;
use crate::support::playlist::Playlist;
use crate::support::run::{Launch, Outcome, Run, assert_same, await_that};
use crate::support::s3::LIVE;
use crate::support::{PART, PUBLIC_BUCKET, http, http_full};

const KEY: &str = "live/match.mp4";
const LIST: &str = "live/match.m3u8";
const DVR: &str = "live/match.dvr.m3u8";
const PART_SIZE: [&str; 2] = ["--part-size", "5000000"];
const GOOD: &str = "empty_moov+frag_keyframe+default_base_moof";
/// Of [`STREAM`].
const SECONDS: u64 = 12;

/// A fragmented MP4 with a key frame each second, of about two parts in three seconds.
static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| video(SECONDS, GOOD));

fn video(seconds: u64, flags: &str) -> Vec<u8> {
    let picture = format!("testsrc2=size=640x360:rate=25:duration={seconds},noise=alls=60:allf=t");
    let sound = format!("sine=frequency=440:duration={seconds}");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "20", "-g", "25", "-pix_fmt", "yuv420p"]);
    command.args(["-c:a", "aac", "-f", "mp4", "-movflags", flags, "pipe:1"]);
    let made = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("ffmpeg");
    assert!(made.status.success());
    made.stdout
}

/// Four seconds of sound alone, a fragment each second.
fn sound() -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=4", "-c:a", "aac", "-f", "mp4"]);
    command.args(["-frag_duration", "1000000", "-movflags", "empty_moov+default_base_moof", "pipe:1"]);
    let made = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("ffmpeg");
    assert!(made.status.success());
    made.stdout
}

/// MD5s of all frames, decoded.
fn frames(input: &str) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror", "-protocol_whitelist", "file,http,tcp", "-i", input]);
    command.args(["-map", "0:v", "-map", "0:a", "-f", "framemd5", "-"]);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
    // Stream, duration, size and MD5: a player may count from another moment.
    let lines = String::from_utf8(output.stdout).expect("text");
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        format!("{} {}\n", fields[0], fields.get(5).unwrap_or(&""))
    };
    let mut frames: Vec<String> = lines.lines().filter(|line| !line.starts_with('#')).map(fields).collect();
    // Sound and pictures may take turns in another way.
    frames.sort_by(|a, b| a[..1].cmp(&b[..1]));
    frames.concat()
}

static FRAMES: LazyLock<String> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &*STREAM).expect("write the stream");
    frames(file.path().to_str().expect("a path"))
});

fn writer(lab: &Lab, more: &[&str]) -> Run {
    launch(lab, &[&[KEY, "--hls"][..], &PART_SIZE, more].concat())
}

fn launch(lab: &Lab, args: &[&str]) -> Run {
    Launch::writer(lab, args).env("BUCKET_NAME", PUBLIC_BUCKET).start()
}

fn path(key: &str) -> String {
    format!("/{PUBLIC_BUCKET}/{key}")
}

/// An object of the public bucket, if it is there.
fn get(lab: &Lab, key: &str) -> Option<Vec<u8>> {
    let (status, body) = http(lab.endpoint(), "GET", &path(key), &[], &[]);
    (status == 200).then_some(body)
}

fn list(lab: &Lab, key: &str) -> Option<Playlist> {
    get(lab, key).map(|body| Playlist::read(std::str::from_utf8(&body).expect("UTF-8")))
}

/// Reads a stretch of what a playlist refers to; the object may be open.
fn range(lab: &Lab, uri: &str, first: u64, len: u64) -> (u16, Vec<u8>) {
    let range = format!("bytes={first}-{}", first + len - 1);
    http(lab.endpoint(), "GET", &path(&format!("live/{uri}")), &[(LIVE, "true"), ("range", &range)], &[])
}

/// All versions of a playlist that were written, the oldest first, each with its time in seconds.
fn versions(lab: &Lab, key: &str) -> Vec<Playlist> {
    let client = lab.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listed = runtime.block_on(client.list_object_versions().bucket(PUBLIC_BUCKET).prefix(key).send());
    let listed = listed.expect("the versions");
    let ids: Vec<String> = listed
        .versions()
        .iter()
        .filter(|version| version.key() == Some(key))
        .map(|version| version.version_id().expect("an id").to_owned())
        .collect();
    let read = |id: &String| {
        let (status, body) = http(lab.endpoint(), "GET", &format!("{}?versionId={id}", path(key)), &[], &[]);
        assert_eq!(status, 200);
        Playlist::read(std::str::from_utf8(&body).expect("UTF-8"))
    };
    ids.iter().rev().map(read).collect()
}

/// No version came sooner than half a target duration after the one before, but for the last one (6.2.1).
#[track_caller]
fn all_paced(lab: &Lab, key: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = lab.client().list_object_versions().bucket(PUBLIC_BUCKET).prefix(key).send();
    let listed = runtime.block_on(request).expect("the versions");
    let times: Vec<f64> = listed
        .versions()
        .iter()
        .filter(|version| version.key() == Some(key))
        .map(|version| version.last_modified().expect("a time").as_secs_f64())
        .collect();
    let times: Vec<f64> = times.into_iter().rev().collect();
    for ((pair, version), next) in times.windows(2).zip(versions(lab, key)).zip(versions(lab, key).iter().skip(1)) {
        let least = version.target as f64 / 2.0 - 0.05;
        assert!(next.ended || pair[1] - pair[0] >= least, "{} s between two versions", pair[1] - pair[0]);
    }
}

/// Each version keeps the rules, and so does each step from one to the next; gives the versions.
#[track_caller]
fn all_valid(lab: &Lab, key: &str) -> Vec<Playlist> {
    let versions = versions(lab, key);
    for pair in versions.windows(2) {
        pair[0].may_become(&pair[1]);
    }
    versions
}

/// What the segments hold, one after the other, each object with its header in front.
fn joined(lab: &Lab, playlist: &Playlist) -> Vec<u8> {
    let mut all = Vec::new();
    let mut map = None;
    for segment in &playlist.segments {
        if map.as_ref() != Some(&segment.map) {
            let (uri, first, len) = &segment.map;
            all.extend(range(lab, uri, *first, *len).1);
            map = Some(segment.map.clone());
        }
        let (status, bytes) = range(lab, &segment.uri, segment.first, segment.len);
        assert_eq!((status, bytes.len() as u64), (206, segment.len));
        all.extend(bytes);
    }
    all
}

/// All of the stream without the `mfra` in the end, which is no media.
fn media(stream: &[u8]) -> &[u8] {
    let end = stream.windows(4).rposition(|window| window == b"mfra").map_or(stream.len(), |at| at - 4);
    &stream[..end]
}

/// Feeds the writer at the speed of the stream, and looks at each version of the playlist meanwhile.
fn feed_live(lab: &Lab, writer: &mut Run, stream: &[u8], seconds: f64) -> usize {
    let began = Instant::now();
    let (mut fed, mut listed) = (0, 0);
    while fed < stream.len() {
        let due = (stream.len() as f64 * (began.elapsed().as_secs_f64() / seconds).min(1.0)) as usize;
        writer.write(&stream[fed..due.max(fed)]);
        fed = due.max(fed);
        listed = look(lab, listed);
        std::thread::sleep(Duration::from_millis(20));
    }
    listed
}

/// All that the playlist lists beyond `listed` segments can be read at this moment; how many it lists.
fn look(lab: &Lab, listed: usize) -> usize {
    let Some(playlist) = list(lab, LIST) else { return listed };
    let count = playlist.sequence as usize + playlist.segments.len();
    for segment in playlist.segments.iter().skip(listed.saturating_sub(playlist.sequence as usize)) {
        let (uri, first, len) = &segment.map;
        assert_eq!(range(lab, uri, *first, *len).1.len() as u64, *len, "the header");
        let (status, bytes) = range(lab, &segment.uri, segment.first, segment.len);
        assert_eq!((status, bytes.len() as u64), (206, segment.len), "listed, but not there: {segment:?}");
        assert!(bytes.windows(4).take(64).any(|window| window == b"moof"), "no fragment begins here");
    }
    count.max(listed)
}

/// It has ended, shows all of the stream, and plays like it.
#[track_caller]
fn shows_all(lab: &Lab, playlist: &Playlist) {
    assert!(playlist.ended);
    assert_same(&joined(lab, playlist), media(&STREAM), "the segments");
    let played = frames(&format!("{}{}", lab.endpoint(), path(LIST)));
    assert!(played == *FRAMES, "{} frames instead of {}", played.lines().count(), FRAMES.lines().count());
}

#[test]
fn a_live_playlist_grows_with_the_object_and_is_video_on_demand_in_the_end() {
    let lab = Lab::new();
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.write(&STREAM[..PART - 1]);
    assert!(list(&lab, LIST).is_none(), "nothing can be read yet");
    let listed = feed_live(&lab, &mut run, &STREAM[PART - 1..], SECONDS as f64);
    assert!(listed > 5, "{listed} segments while it was live");
    drop(run.stdin.take());
    run.wait_for("is complete");
    let completed = Instant::now();
    run.end().code(0).says("viewers can play");
    assert!(completed.elapsed() < Duration::from_secs(3), "{:?}", completed.elapsed());
    let versions = all_valid(&lab, LIST);
    assert!(versions.len() > 3, "{} versions", versions.len());
    all_paced(&lab, LIST);
    let last = versions.last().expect("a version");
    assert_eq!((last.segments.len() as u64, last.kind.as_deref()), (SECONDS, Some("EVENT")));
    assert!((last.seconds() - SECONDS as f64).abs() < 0.1);
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

fn delete(lab: &Lab, key: &str) -> (u16, ()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(lab.client().delete_object().bucket(PUBLIC_BUCKET).key(key).send()).expect("delete");
    (204, ())
}

#[test]
fn a_window_slides_by_the_rules_and_shows_all_in_the_end() {
    let lab = Lab::new();
    let mut run = writer(&lab, &["--hls-time", "1", "--hls-window", "3s"]);
    feed_live(&lab, &mut run, &STREAM, SECONDS as f64);
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

/// Ten pictures a second, each a key frame and a fragment of its own.
fn tiny_pictures(seconds: u32) -> Vec<u8> {
    let picture = format!("testsrc=size=64x36:rate=10:duration={seconds}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &picture, "-c:v", "libx264", "-preset", "ultrafast", "-g", "1"]);
    command.args(["-qp", "40", "-pix_fmt", "yuv420p", "-f", "mp4", "-movflags", GOOD, "pipe:1"]);
    let made = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("ffmpeg");
    assert!(made.status.success());
    made.stdout
}

#[test]
fn a_long_playlist_slides_and_a_second_one_shows_all() {
    let lab = Lab::new();
    let stream = tiny_pictures(600);
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
fn a_playlist_that_cannot_be_written_delays_nothing_and_is_made_good() {
    let lab = Lab::new();
    lab.faults(&json!([
        { "operation": "PutObject", "key": LIST, "delay_ms": 60_000, "times": 1 },
        { "operation": "PutObject", "key": LIST, "status": 503, "times": 1 },
    ]));
    let began = Instant::now();
    launch(&lab, &[&["without.mp4"][..], &PART_SIZE].concat()).end_with(&STREAM).code(0);
    // As long as it takes without a playlist, and less more than one attempt at that is given.
    let usual = began.elapsed();
    let began = Instant::now();
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.feed(STREAM.clone());
    run.wait_for("is complete");
    let upload = began.elapsed();
    run.end().code(0).does_not_say("--hls-rebuild");
    assert!(
        upload < 2 * usual + Duration::from_millis(4900),
        "the upload took {upload:?}, without a playlist {usual:?}"
    );
    // An attempt without an answer may land late, which is looked for.
    assert!(began.elapsed() < upload + Duration::from_secs(16));
    all_valid(&lab, LIST);
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
}

#[test]
fn an_early_version_that_lands_after_the_last_one_is_written_over() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "PutObject", "key": LIST, "land_ms": 8_000, "times": 1 }]));
    let mut run = writer(&lab, &["--hls-time", "1"]);
    // Enough for a first version, and nearly nothing after that, so that the end is near when it is given up.
    run.write(&STREAM[..3 * PART + 1_000]);
    run.wait_for("viewers can play");
    run.end().code(0).does_not_say("--hls-rebuild");
    let versions = versions(&lab, LIST);
    let late = versions.iter().position(|version| !version.ended).expect("the late one");
    assert!(versions[..late].iter().any(|version| version.ended), "it was not late");
    assert!(list(&lab, LIST).expect("a playlist").ended);
}

#[test]
fn two_recordings_do_not_write_over_each_others_playlist() {
    let lab = Lab::new();
    let mut first = writer(&lab, &["--hls-time", "1"]);
    let mut second = None::<Run>;
    for piece in STREAM.chunks(STREAM.len() / 60) {
        first.write(piece);
        if second.is_none() && list(&lab, LIST).is_some() {
            let mut run = launch(&lab, &["live/match.m4a", "--hls", "--hls-time", "1", "--part-size", "5000000"]);
            run.write(&STREAM[..STREAM.len() / 2]);
            second = Some(run);
        }
        let told = second.as_ref().is_some_and(|run| run.messages().contains("writes its own to"));
        std::thread::sleep(Duration::from_millis(if told { 1 } else { 250 }));
    }
    let second = second.expect("a second recording");
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let request = lab.client().put_object().bucket(PUBLIC_BUCKET).key(key).body(body.into()).send();
        runtime.block_on(request).expect("put");
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
        let mut rule = json!({ "operation": "GetObject", "key": LIST, "times": 1 });
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
fn a_playlist_that_is_refused_to_the_end_is_named_with_the_remedy() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "PutObject", "key": LIST, "status": 403, "code": "AccessDenied" }]));
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.feed(STREAM.clone());
    run.wait_for("is complete");
    let began = Instant::now();
    run.end().code(0).says("`writer live/match.mp4 --hls-rebuild` writes it later");
    assert!(began.elapsed() < Duration::from_secs(17), "{:?}", began.elapsed());
    assert!(list(&lab, LIST).is_none());
    lab.clear_faults();
    launch(&lab, &[KEY, "--hls-rebuild", "--hls-time", "1"]).end().code(0);
    shows_all(&lab, &list(&lab, LIST).expect("a playlist"));
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
    assert_eq!(last.segments.len() as u64, SECONDS);
    let played = frames(&format!("{}{}", lab.endpoint(), path(LIST)));
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
        let mut run = writer(&lab, &["--hls-time", "1", "--rollover", "12MB"]);
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
            assert_eq!((last.segments.len() as u64, last.ended), (SECONDS, false));
        }
    }
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
fn without_live_read_the_playlist_comes_with_the_end() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let mut run = writer(&lab, &["--hls-time", "1"]);
    run.write(&STREAM);
    run.wait_for("before that nothing could be played");
    assert!(list(&lab, LIST).is_none());
    run.end().code(0);
    let last = list(&lab, LIST).expect("a playlist");
    assert_eq!(last.kind.as_deref(), Some("VOD"));
    let played = frames(&format!("{}{}", lab.endpoint(), path(LIST)));
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
        let others =
            run.words().lines().filter(|line| line.contains("WARN") && !line.contains("a fragment of this MP4"));
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
