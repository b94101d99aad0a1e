//! Ladders of standard input and of a file that grows: the source is what came, byte for byte, whatever befalls the ladder and
//! whatever it is made of.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::support::bytes;
use crate::support::encoder::ended;
use crate::support::lab::Lab;
use crate::support::ladder::{
    CODED, HLS, KEY, LADDER, are_in_step, ffmpeg_of, file, key, keys, objects_are_in_step, paced, pictures,
    playlists_are_in_step, segments, signal,
};
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, tone};
use crate::support::run::{Run, assert_same, await_some, await_that};

/// Fragments that begin with key frames.
const KEYED: &str = "frag_keyframe+empty_moov+default_base_moof";

fn camera(seconds: u32, flags: &str, output: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(paced("320x180", seconds)).args(CODED.split_whitespace());
    command.args(["-f", "mp4", "-movflags", flags, output]);
    let piped = if output == "pipe:1" { Stdio::piped() } else { Stdio::null() };
    command.stdin(Stdio::null()).stdout(piped).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// A writer that makes a ladder of its standard input.
fn writer(lab: &Lab, more: &[&str]) -> Run {
    lab.writer(&[&[KEY][..], &HLS, &LADDER, more].concat())
}

/// Hands all that a camera makes to a writer, as long as that takes any; gives what it was.
fn hand_on(camera: &mut Child, writer: &mut Run) -> JoinHandle<Vec<u8>> {
    let mut from = camera.stdout.take().expect("its output");
    let mut to = writer.stdin.take().expect("its input");
    thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 10_007]);
        loop {
            let count = from.read(&mut buffer).expect("a pipe");
            all.extend_from_slice(&buffer[..count]);
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                return all;
            }
        }
    })
}

#[track_caller]
fn source_is(lab: &Lab, wanted: &[u8], writer: &str) {
    let object = lab.object(&key("source")).unwrap_or_else(|| panic!("no source: {writer}"));
    assert_same(&object, wanted, writer);
}

#[test]
fn renditions_of_a_pipe_are_in_step_with_the_source_which_is_what_came() {
    // With edit lists, each track in a fragment of its own, with places from the start of the stream, and the time of day.
    for flags in
        [KEYED, "frag_keyframe+delay_moov+separate_moof", "frag_keyframe+empty_moov+dash -write_prft wallclock"]
    {
        let lab = Lab::new();
        let mut writer = writer(&lab, &["--max-latency", "300ms"]);
        let (flags, more) = flags.split_once(' ').unwrap_or((flags, ""));
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-v", "error"]).args(paced("320x180", 6)).args(CODED.split_whitespace());
        command.args(["-f", "mp4", "-movflags", flags]).args(more.split_whitespace()).arg("pipe:1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut camera = command.spawn().expect("ffmpeg");
        let came = hand_on(&mut camera, &mut writer);
        ended(camera);
        let came = came.join().expect("all of it");
        let outcome = writer.wait().code(0);
        let outcome = outcome
            .says("of 320x180 there is no 720p")
            .says("source: ")
            .says("90p: ")
            .does_not_say("has no ladder")
            .does_not_say("started again");
        source_is(&lab, &came, &outcome.state());
        objects_are_in_step(&lab, flags);
        // No browser plays others.
        if flags.contains("default_base_moof") {
            playlists_are_in_step(&lab, flags);
        }
    }
}

#[test]
fn what_befalls_the_ffmpeg_of_a_ladder_is_nothing_to_the_source() {
    let lab = Lab::new();
    let mut writer = writer(&lab, &["--max-latency", "300ms"]);
    let mut camera = camera(120, KEYED, "pipe:1");
    let came = hand_on(&mut camera, &mut writer);
    await_that("a segment of the ladder", || segments(&lab, "90p") > 0);
    signal(ffmpeg_of(&writer).expect("an ffmpeg"), "KILL");
    writer.wait_for("it is started again in 1 s");
    let second = await_some("another", || ffmpeg_of(&writer));
    let before = segments(&lab, "90p");
    await_that("more of the ladder", || segments(&lab, "90p") > before + 1);
    signal(second, "STOP");
    let before = segments(&lab, "source");
    await_that("more of the source", || segments(&lab, "source") > before + 1);
    drop((camera.kill(), camera.wait()));
    let came = came.join().expect("all of it");
    // It is complete, while the ladder is still waited for.
    await_that("the source", || lab.object(&key("source")).is_some());
    signal(second, "KILL");
    let outcome = writer.wait().code(0).does_not_say("has no ladder");
    source_is(&lab, &came, &outcome.state());
    let here = pictures(&lab, "90p");
    assert!(here.windows(2).any(|two| two[1].0 - two[0].0 > 0.2), "there is no gap");
}

#[test]
fn input_that_is_no_fragmented_mp4_is_all_in_the_source() {
    let coded = |format: &str| make(&[picture(2, 60), tone(2)], &format!("{H264} {AAC} {format}"));
    let fragments = coded(FRAGMENTS);
    for (name, input, says) in [
        (
            "a transport stream",
            coded("-f mpegts"),
            "this input has no ladder, only its source, which is all there: it is no",
        ),
        (
            "random bytes",
            bytes(3, 6_000_000),
            "this input has no ladder, only its source, which is all there: it is no",
        ),
        ("a few bytes", b"abc".to_vec(), "this input has no ladder"),
        ("Matroska", coded("-f matroska"), "this input has no ladder"),
        ("pictures in the header", coded("-f mp4 -movflags frag_keyframe"), "has no ladder"),
        ("fragments without their times", coded("-f ismv"), "this input has no ladder"),
        ("sound alone", make(&[tone(2)], &format!("{AAC} {FRAGMENTS} -frag_duration 500000")), "not one picture alone"),
        (
            "something else behind it",
            [&fragments[..], &bytes(4, 1_000_000)].concat(),
            "from here on this input has no ladder",
        ),
        ("another stream behind it", [&fragments[..], &fragments].concat(), "its times go back"),
    ] {
        let lab = Lab::new();
        let outcome = lab.writer(&[&[KEY][..], &LADDER, &["-s", "5000000"]].concat()).end_with(&input).code(0);
        let outcome = outcome.says(says).does_not_say("started again");
        assert!(outcome.err.matches("has no ladder").count() <= 1, "{name}: {}", outcome.err);
        source_is(&lab, &input, &outcome.state());
        assert_eq!(lab.all_open(), vec![], "{name}");
        if !name.ends_with("behind it") {
            assert_eq!(lab.keys(), [key("source")], "{name}");
        }
    }
}

#[test]
fn no_input_is_nothing_at_all() {
    let lab = Lab::new();
    lab.writer(&[&[KEY][..], &LADDER].concat()).end().code(0).says("no input at all").does_not_say("has no ladder");
    assert_eq!((lab.keys(), lab.all_open()), (vec![], vec![]));
}

#[test]
fn a_file_that_grows_has_a_ladder_to_the_end_that_a_signal_makes() {
    let lab = Lab::new();
    let path = lab.dir().join("recording.mp4");
    File::create(&path).expect("a file");
    let writer = writer(&lab, &["recording.mp4", "--max-latency", "300ms"]);
    writer.wait_for("following recording.mp4");
    let recording = path.display().to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error", "-y"]).args(paced("320x180", 6)).args(CODED.split_whitespace());
    // Into the file that is there, as recorders do.
    command.args(["-f", "mp4", "-movflags", KEYED, &recording]);
    ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg"));
    await_that("a segment of the ladder", || segments(&lab, "90p") > 0);
    writer.signal("TERM");
    let outcome = writer.wait().code(0).says("a ladder is made of 320x180: 180p, 90p");
    source_is(&lab, &fs::read(path).expect("the file"), &outcome.state());
    are_in_step(&lab, "a file");
}

#[test]
fn of_a_short_file_that_is_there_already_all_is_made() {
    // With key frames where fragments begin, and in the middle of them.
    for format in [FRAGMENTS, "-f mp4 -movflags empty_moov+default_base_moof -frag_duration 700000"] {
        let lab = Lab::new();
        let recording = make(&[picture(6, 10), tone(6)], &format!("{CODED} {format}"));
        fs::write(lab.dir().join("recording.mp4"), &recording).expect("a file");
        let outcome = writer(&lab, &["recording.mp4", "--no-follow"]).wait().code(0);
        let outcome = outcome.does_not_say("has no ladder").does_not_say("too slow").does_not_say("started again");
        source_is(&lab, &recording, &outcome.state());
        objects_are_in_step(&lab, format);
    }
}

#[test]
fn a_file_that_is_cut_is_no_end_of_the_source_and_one_of_the_ladder() {
    let lab = Lab::new();
    let path = lab.dir().join("recording.mp4");
    let recording = make(&[picture(4, 20), tone(4)], &format!("{H264} {AAC} {FRAGMENTS}"));
    fs::write(&path, &recording).expect("a file");
    let writer = writer(&lab, &["recording.mp4", "--max-latency", "300ms"]);
    await_that("a segment of the ladder", || segments(&lab, "90p") > 0);
    OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(1000)).expect("it is cut");
    let outcome = writer.wait().code(1).says("source: ").says("was cut to 1000 bytes");
    let open: Vec<_> = lab.all_open().into_iter().map(|(key, _)| key).collect();
    assert_eq!(open, [key("source")], "{}", outcome.state());
    file(&lab, "90p");
}

#[test]
fn a_signal_completes_what_came_of_all_renditions() {
    let lab = Lab::new();
    let mut writer = writer(&lab, &["--max-latency", "300ms"]);
    let mut camera = camera(120, KEYED, "pipe:1");
    let came = hand_on(&mut camera, &mut writer);
    await_that("segments of the ladder", || segments(&lab, "90p") > 2);
    writer.signal("TERM");
    writer.wait_for("no longer waiting for input");
    writer.wait().code(0);
    drop((camera.kill(), camera.wait()));
    let came = came.join().expect("all of it");
    let source = lab.object(&key("source")).expect("the source");
    assert!(came.starts_with(&source), "{} bytes are not the first of {}", source.len(), came.len());
    assert_eq!(lab.all_open(), vec![]);
    let path: PathBuf = lab.dir().join("source.mp4");
    fs::write(&path, &source).expect("a file");
    for name in ["180p", "90p"] {
        assert!(keys(&pictures(&lab, name)).len() > 2, "{name}");
    }
}

#[test]
fn two_signals_leave_uploads_that_can_be_gone_on_with() {
    let lab = Lab::new();
    let mut writer = writer(&lab, &["--max-latency", "300ms"]);
    let mut camera = camera(120, KEYED, "pipe:1");
    let came = hand_on(&mut camera, &mut writer);
    await_that("a segment of the ladder", || segments(&lab, "90p") > 0);
    writer.signal("TERM");
    writer.wait_for("no longer waiting for input");
    writer.signal("TERM");
    writer.wait().code(128 + 15).says("writer live/camera-source.mp4 --resume");
    drop((camera.kill(), camera.wait()));
    drop(came.join());
}
