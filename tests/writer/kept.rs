//! What was taken and could not be stored is kept, and the command in the last message makes the whole object of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::lab::Lab;
use crate::support::run::{Launch, Outcome, Run, assert_same, await_some, await_that};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";

/// Parts fail from this number to that one, as while Backblaze's vault is away.
fn fail_parts(lab: &Lab, first: u32, last: u32) {
    lab.faults(
        &json!([{ "operation": "UploadPart", "parts": [first, last], "status": 503, "code": "ServiceUnavailable" }]),
    );
}

/// The one command with `--kept` in the last message.
fn command(outcome: &Outcome) -> String {
    let last = outcome.err.lines().last().unwrap_or_default();
    let commands: Vec<&str> = last.split('`').skip(1).step_by(2).filter(|command| command.contains("--kept")).collect();
    assert_eq!(commands.len(), 1, "{}", outcome.state());
    commands[0].to_owned()
}

/// The files that were kept, in the directory that the environment names.
fn kept_files(lab: &Lab) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(lab.dir().join("live-read")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Types a command.
fn type_in(lab: &Lab, command: &str) -> String {
    let tools = Path::new(env!("CARGO_BIN_EXE_writer")).parent().expect("a directory");
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .env_clear()
        .envs(lab.env())
        .env("PATH", tools)
        .current_dir(lab.dir())
        .stdin(Stdio::null())
        .output()
        .expect("sh");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {words}");
    words
}

/// Ends a writer by two signals.
fn end_at_once(writer: Run) -> Outcome {
    // What is still in the pipe has not been taken.
    await_that("the input to be taken", || writer.has_taken_all());
    writer.signal("INT");
    writer.wait_for("Once more ends at once");
    writer.signal("INT");
    writer.wait().code(130)
}

#[test]
fn no_part_gives_up_while_there_is_room_for_the_input() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let data = bytes(1, 8 * PART + 9);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "2", "--retry-timeout", "300ms"]);
    writer.write(&data);
    writer.wait_for("Going on to try");
    lab.clear_faults();
    let outcome = writer.end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
    assert_eq!(kept_files(&lab), Vec::<PathBuf>::new());
}

#[test]
fn a_writer_that_gives_up_keeps_all_that_it_took() {
    let lab = Lab::new();
    // The second part never arrives, later ones do; the end fails as well.
    let data = bytes(2, 9 * PART + 123_456);
    lab.faults(&json!([
        { "operation": "UploadPart", "parts": [2, 2], "status": 503 },
        { "operation": "UploadPart", "parts": [6, 10_000], "status": 503 },
    ]));
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "2", "--retry-timeout", "300ms"]);
    writer.write(&data);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 4);
    let outcome = writer.end().failed_with_one_message(KEY).says(&id);
    let missing = data.len() - 4 * PART;
    let outcome = outcome.says(&format!("{missing} bytes (")).says("The 5000000 bytes that");
    let files = kept_files(&lab);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::metadata(&files[0]).expect("the file").permissions().mode() & 0o777, 0o600);
    lab.clear_faults();
    let words = type_in(&lab, &command(&outcome));
    assert_same(&lab.object(KEY).expect("the object"), &data, &words);
    assert_eq!((kept_files(&lab), lab.all_open()), (vec![], vec![]), "{words}");
    assert!(!words.contains("WARN"), "{words}");
}

#[test]
fn a_second_signal_keeps_what_was_taken_and_the_rest_of_the_input_can_follow() {
    for (stored, taken) in [(0, 700), (1, PART + 1), (2, 6 * PART), (0, 12 * PART + 77)] {
        let lab = Lab::new();
        fail_parts(&lab, stored + 1, 10_000);
        let data = bytes(3, 14 * PART);
        let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "2"]);
        writer.write(&data[..taken]);
        let id = lab.wait_open(KEY);
        lab.wait_parts(KEY, &id, stored as usize);
        let outcome = end_at_once(writer).says(&id);
        let command = command(&outcome);
        lab.clear_faults();
        fs::write(lab.dir().join("rest"), &data[taken..]).expect("the rest");
        let words = type_in(&lab, &command.replace("/dev/null", "rest"));
        assert_same(&lab.object(KEY).expect("the object"), &data, &format!("{}\n{words}", outcome.state()));
        assert_eq!((kept_files(&lab), lab.all_open()), (vec![], vec![]), "{words}");
    }
}

#[test]
fn a_part_that_arrived_after_all_is_not_sent_again() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "parts": [2, 2], "delay_ms": 60_000 }]));
    let data = bytes(4, 2 * PART + 5);
    let mut writer = lab.writer(&[KEY, "-s", "5MB"]);
    writer.write(&data);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let outcome = end_at_once(writer);
    lab.clear_faults();
    lab.part(KEY, &id, 2, &data[PART..2 * PART]);
    let before = lab.count(false, "UploadPart", "200");
    type_in(&lab, &command(&outcome));
    assert_eq!(lab.count(false, "UploadPart", "200") - before, 1);
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn a_run_that_fails_again_keeps_everything_again() {
    let lab = Lab::new();
    fail_parts(&lab, 2, 10_000);
    let data = bytes(5, 5 * PART + 1);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "1"]);
    writer.write(&data[..4 * PART]);
    let first = end_at_once(writer);
    let kept = kept_files(&lab).pop().expect("a kept file").display().to_string();
    let mut again = lab.writer(&[KEY, "--resume", "--kept", &kept, "-c", "1"]);
    again.write(&data[4 * PART..]);
    again.wait_for("Trying again");
    let second = end_at_once(again);
    assert_eq!(kept_files(&lab).len(), 1, "{}", second.state());
    lab.clear_faults();
    let words = type_in(&lab, &command(&second));
    assert_same(&lab.object(KEY).expect("the object"), &data, &format!("{}\n{words}", first.state()));
    assert_eq!(kept_files(&lab), Vec::<PathBuf>::new());
}

#[test]
fn what_was_kept_of_an_upload_that_is_gone_makes_an_object_of_its_own() {
    let lab = Lab::new();
    fail_parts(&lab, 2, 10_000);
    let data = bytes(6, 3 * PART + 5);
    let mut writer = lab.writer(&[KEY, "-s", "5MB"]);
    writer.write(&data);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let outcome = end_at_once(writer);
    lab.clear_faults();
    lab.abort(KEY, &id);
    let kept = kept_files(&lab).pop().expect("a kept file").display().to_string();
    let refused = lab.writer(&[KEY, "--resume", "--kept", &kept]).end().failed_with_one_message(&id);
    let words = type_in(&lab, &command(&refused).replace("ANOTHER-KEY", "saved.mp4"));
    assert_same(&lab.object("saved.mp4").expect("the object"), &data[PART..], &outcome.state());
    assert!(words.contains("it is left where it is"), "{words}");
    assert_eq!(kept_files(&lab).len(), 1);
}

#[test]
fn a_kept_file_of_another_upload_or_with_a_gap_is_refused() {
    let lab = Lab::new();
    fail_parts(&lab, 2, 2);
    let data = bytes(7, 4 * PART + 5);
    let mut writer = lab.writer(&[KEY, "-s", "5MB"]);
    writer.write(&data);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 3);
    end_at_once(writer);
    lab.clear_faults();
    let kept = kept_files(&lab).pop().expect("a kept file").display().to_string();
    let other = lab.begin(KEY);
    let elsewhere = lab.begin("live/other.mp4");
    for (key, id) in [(KEY, &other), ("live/other.mp4", &elsewhere)] {
        let args = [key, "--resume", "--upload-id", id, "--kept", &kept];
        lab.writer(&args).end().failed_with_one_message("does not go with").says("Nothing has been changed");
    }
    lab.writer(&[KEY, "--resume", "--kept", "rest"]).end().failed_with_one_message("cannot read rest");
    fs::write(lab.dir().join("rest"), b"nothing that was kept").expect("a file");
    lab.writer(&[KEY, "--resume", "--kept", "rest"]).end().failed_with_one_message("no file that `writer` has kept");
    lab.writer(&[KEY, "rest", "--resume", "--kept", &kept]).end().code(2).says("standard input");
    // Somebody else wrote into it.
    lab.part(KEY, &id, 2, &bytes(8, PART));
    lab.writer(&[KEY, "--resume", "--kept", &kept]).end().failed_with_one_message("part 2 has other bytes");
    assert_eq!(kept_files(&lab).len(), 1);
}

#[test]
fn a_refusal_for_good_keeps_what_was_taken() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "status": 400, "code": "InvalidArgument" }]));
    let data = bytes(9, PART + 5);
    let outcome = lab.writer(&[KEY, "-s", "5MB"]).end_with(&data).failed_with_one_message("InvalidArgument");
    lab.clear_faults();
    type_in(&lab, &command(&outcome));
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn what_was_taken_for_an_upload_that_somebody_cancels_is_kept() {
    let lab = Lab::new();
    let data = bytes(12, 2 * PART + 5);
    let mut writer = lab.writer(&[KEY, "-s", "5MB"]);
    let id = lab.wait_open(KEY);
    lab.abort(KEY, &id);
    writer.write(&data[..PART]);
    writer.feed(data[PART..].to_vec());
    let outcome = writer.wait().code(1).says("is gone: `writer ANOTHER-KEY --kept");
    let saved = type_in(&lab, &command(&outcome).replace("ANOTHER-KEY", "saved.mp4"));
    let object = lab.object("saved.mp4").expect("the object");
    // As much as had been taken when the store said so.
    assert!(object.len() >= PART, "{saved}");
    assert_same(&object, &data[..object.len()], &outcome.state());
    assert_eq!(kept_files(&lab), Vec::<PathBuf>::new());
}

#[test]
fn a_stream_that_goes_on_without_what_was_kept_is_warned() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let mut writer = lab.writer(&[KEY]);
    writer.write(b"some bytes");
    lab.wait_open(KEY);
    end_at_once(writer);
    lab.clear_faults();
    lab.writer(&[KEY, "--resume"]).end_with(b"other bytes").code(0).says("goes on without it").says("--kept ");
    assert_eq!((lab.object(KEY).as_deref(), kept_files(&lab).len()), (Some(&b"other bytes"[..]), 1));
}

#[test]
fn what_cannot_be_kept_is_said_to_be_lost() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let mut writer = lab.writer(&[KEY, "--spool-dir", "/nonexistent"]);
    writer.write(b"some bytes");
    lab.wait_open(KEY);
    end_at_once(writer).says("10 bytes that had been taken are lost").says("--spool-dir").does_not_say("--kept");
}

#[test]
fn with_rollover_each_object_keeps_its_own() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let data = bytes(10, 5 * PART + 9);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "2", "--rollover", "10000000"]);
    // All of it is taken: the parts of objects that are being completed do not hold up the input.
    writer.write(&data);
    writer.wait_for("live/stream-0003.mp4");
    let outcome = end_at_once(writer);
    let last = outcome.err.lines().last().unwrap_or_default().to_owned();
    let commands: Vec<&str> = last.split('`').filter(|command| command.contains("--kept")).collect();
    assert_eq!(commands.len(), 3, "{}", outcome.state());
    lab.clear_faults();
    for command in commands {
        type_in(&lab, command);
    }
    let objects = ["live/stream.mp4", "live/stream-0002.mp4", "live/stream-0003.mp4"].map(|key| lab.object(key));
    let all: Vec<u8> = objects.into_iter().map(|object| object.expect("an object")).collect::<Vec<_>>().concat();
    assert_same(&all, &data, &outcome.state());
    assert_eq!(kept_files(&lab), Vec::<PathBuf>::new());
}

#[test]
fn parts_that_fail_across_a_cut_do_not_stop_the_input() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let data = bytes(11, 20 * PART + 1);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "1", "--rollover", "25MB"]);
    writer.write(&data);
    assert!(writer.peak_memory() <= 3 * PART as u64 + 30_000_000, "{} bytes of memory", writer.peak_memory());
    lab.clear_faults();
    let outcome = writer.end().code(0).says("5 objects");
    let keys = (1..=5).map(|number| if number == 1 { KEY.to_owned() } else { format!("live/stream-{number:04}.mp4") });
    let all: Vec<u8> = keys.flat_map(|key| lab.object(&key).expect("an object")).collect();
    assert_same(&all, &data, &outcome.state());
}

#[test]
fn a_directory_in_memory_is_warned_of() {
    let lab = Lab::new();
    let in_memory = Path::new("/dev/shm").is_dir();
    let outcome = Launch::writer(&lab, &[KEY, "--spool-dir", "/dev/shm"]).start().end_with(b"some bytes").code(0);
    assert_eq!(outcome.err.contains("is in memory"), in_memory, "{}", outcome.state());
    let outcome = lab.writer(&[KEY]).end_with(b"some bytes").code(0);
    assert_eq!(outcome.count("WARN"), 0, "{}", outcome.state());
}

#[test]
fn kept_files_can_be_read_by_their_owner_alone_and_stay_until_they_are_used() {
    let lab = Lab::new();
    fail_parts(&lab, 1, 10_000);
    let spool = lab.dir().join("spool");
    fs::create_dir(&spool).expect("a directory");
    fs::set_permissions(&spool, Permissions::from_mode(0o700)).expect("its rights");
    let mut writer = lab.writer(&[KEY, "--spool-dir", "spool"]);
    writer.write(b"some bytes");
    lab.wait_open(KEY);
    end_at_once(writer).says("--kept spool/live-stream.mp4.");
    await_that("the file", || fs::read_dir(&spool).is_ok_and(|files| files.count() == 1));
    let file = await_some("the file", || fs::read_dir(&spool).ok()?.next()?.ok());
    assert_eq!(file.metadata().expect("its rights").permissions().mode() & 0o777, 0o600);
}
