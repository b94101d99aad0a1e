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

/// A store on which parts have failed, and a writer that two signals have ended after it had taken its input.
struct Interrupted {
    lab: Lab,
    /// Of the upload that is open.
    id: String,
    outcome: Outcome,
}

/// The full parts of `input` but for those from `first` to `last` are stored when the signals come. After that nothing fails.
fn interrupted(first: u32, last: u32, args: &[&str], input: &[u8]) -> Interrupted {
    let lab = Lab::new();
    fail_parts(&lab, first, last);
    let mut writer = lab.writer(&[&[KEY, "-s", "5MB"], args].concat());
    writer.write(input);
    let id = lab.wait_open(KEY);
    let full = u32::try_from(input.len() / PART).expect("a few parts");
    let stored = (1..=full).filter(|number| !(first..=last).contains(number)).count();
    lab.wait_parts(KEY, &id, stored);
    let outcome = end_at_once(writer);
    lab.clear_faults();
    Interrupted { lab, id, outcome }
}

impl Interrupted {
    /// The one file that was kept.
    fn file(&self) -> String {
        let files = kept_files(&self.lab);
        assert_eq!(files.len(), 1, "{files:?} after {}", self.outcome.state());
        files[0].display().to_string()
    }

    /// The object is this, and nothing is left of the accident.
    #[track_caller]
    fn all_is_well(&self, object: &[u8], words: &str) {
        let state = format!("{}\n{words}", self.outcome.state());
        assert_same(&self.lab.object(KEY).expect("the object"), object, &state);
        assert_eq!((kept_files(&self.lab), self.lab.all_open()), (vec![], vec![]), "{state}");
    }
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
        let data = bytes(3, 14 * PART);
        let ended = interrupted(stored + 1, 10_000, &["-c", "2"], &data[..taken]);
        let command = command(&ended.outcome);
        assert!(ended.outcome.err.contains(&ended.id), "{}", ended.outcome.state());
        fs::write(ended.lab.dir().join("rest"), &data[taken..]).expect("the rest");
        let words = type_in(&ended.lab, &command.replace("/dev/null", "rest"));
        ended.all_is_well(&data, &words);
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
    let data = bytes(5, 5 * PART + 1);
    let ended = interrupted(2, 10_000, &["-c", "1"], &data[..4 * PART]);
    fail_parts(&ended.lab, 2, 10_000);
    let mut again = ended.lab.writer(&[KEY, "--resume", "--kept", &ended.file(), "-c", "1"]);
    again.write(&data[4 * PART..]);
    again.wait_for("Trying again");
    let second = end_at_once(again);
    ended.file();
    ended.lab.clear_faults();
    let words = type_in(&ended.lab, &command(&second));
    ended.all_is_well(&data, &words);
}

#[test]
fn what_was_kept_of_an_upload_that_is_gone_makes_an_object_of_its_own() {
    let data = bytes(6, 3 * PART + 5);
    let ended = interrupted(2, 10_000, &[], &data);
    ended.lab.abort(KEY, &ended.id);
    let refused = ended.lab.writer(&[KEY, "--resume", "--kept", &ended.file()]).end();
    let refused = refused.failed_with_one_message(&ended.id);
    let words = type_in(&ended.lab, &command(&refused).replace("ANOTHER-KEY", "saved.mp4"));
    assert_same(&ended.lab.object("saved.mp4").expect("the object"), &data[PART..], &ended.outcome.state());
    assert!(words.contains("it is left where it is"), "{words}");
    ended.file();
}

#[test]
fn a_kept_file_of_another_upload_or_with_a_gap_is_refused() {
    let ended = interrupted(2, 2, &[], &bytes(7, 4 * PART + 5));
    let (lab, kept) = (&ended.lab, ended.file());
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
    lab.part(KEY, &ended.id, 2, &bytes(8, PART));
    lab.writer(&[KEY, "--resume", "--kept", &kept]).end().failed_with_one_message("part 2 has other bytes");
    assert_eq!(ended.file(), kept);
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
    let ended = interrupted(1, 10_000, &[], b"some bytes");
    let next = ended.lab.writer(&[KEY, "--resume"]).end_with(b"other bytes");
    next.code(0).says("goes on without it").says("--kept ");
    assert_eq!(ended.lab.object(KEY).as_deref(), Some(&b"other bytes"[..]));
    ended.file();
}

#[test]
fn what_cannot_be_kept_is_said_to_be_lost() {
    let ended = interrupted(1, 10_000, &["--spool-dir", "/nonexistent"], b"some bytes").outcome;
    ended.says("10 bytes that had been taken are lost").says("--spool-dir").does_not_say("--kept");
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
    let all: Vec<u8> = keys.map(|key| lab.object(&key).expect("an object")).collect::<Vec<_>>().concat();
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
