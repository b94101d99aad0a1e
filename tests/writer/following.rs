//! `writer` with a FILE: one that grows, one that is finished, one that goes wrong, and what is no file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/recording.mp4";

/// A file in the lab's directory, where the tools are started.
fn file(lab: &Lab, data: &[u8]) -> File {
    let mut file = File::create(lab.dir().join("recording")).expect("a file");
    file.write_all(data).expect("write");
    file
}

fn follow(lab: &Lab, options: &[&str]) -> (Run, String) {
    let writer = lab.writer(&[&[KEY, "recording", "-s", "5000000"], options].concat());
    let id = lab.wait_open(KEY);
    (writer, id)
}

#[test]
fn a_file_is_followed_as_it_grows_in_small_steps() {
    let lab = Lab::new();
    let data = bytes(1, 2 * PART + 300_000);
    let mut file = file(&lab, b"");
    // The poll interval is long: it is the system that tells about growth.
    let (writer, id) = follow(&lab, &["--poll-interval", "1h"]);
    let reader = lab.reader(&[KEY]);
    let mut stored = 0;
    for piece in data.chunks(100_000) {
        file.write_all(piece).expect("write");
        let written = usize::try_from(file.metadata().expect("its size").len()).expect("a size");
        if written / PART > stored {
            stored = written / PART;
            lab.wait_parts(KEY, &id, stored);
            reader.wait_output(stored * PART);
        }
    }
    writer.signal("INT");
    let writer = writer.wait().code(0);
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (0, 0), "{}", writer.state());
    reader.wait().code(0).gave(&data);
}

#[test]
fn a_file_that_stays_below_a_part_is_uploaded_on_a_signal() {
    let lab = Lab::new();
    let mut file = file(&lab, b"beginning ");
    let (writer, id) = follow(&lab, &[]);
    for piece in [&b"middle "[..], b"end"] {
        file.write_all(piece).expect("write");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(lab.parts(KEY, &id).is_empty(), "a part that is not full was uploaded: {}", writer.messages());
    writer.signal("TERM");
    writer.wait().code(0);
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"beginning middle end"[..]));
}

#[test]
fn an_empty_file_on_a_signal_leaves_nothing() {
    let lab = Lab::new();
    file(&lab, b"");
    let (writer, _) = follow(&lab, &[]);
    writer.signal("INT");
    writer.wait().code(0).says("no input at all");
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn without_following_the_end_of_the_file_is_the_end() {
    let lab = Lab::new();
    let data = bytes(2, PART + 1);
    file(&lab, &data);
    lab.writer(&[KEY, "recording", "--no-follow", "-s", "5000000"]).wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    fs::write(lab.dir().join("empty"), b"").expect("a file");
    lab.writer(&["nothing", "empty", "--no-follow"]).wait().code(0).says("no input at all");
    assert_eq!(lab.object("nothing"), None);
}

/// Follows a file of a part and a bit, does something bad to it, and expects a failure that keeps all that was taken, and
/// that the last message leads to an object of just that.
fn goes_wrong(says: &str, harm: impl FnOnce(&Lab)) {
    let lab = Lab::new();
    let data = bytes(3, PART + 1000);
    file(&lab, &data);
    let (writer, id) = follow(&lab, &["--poll-interval", "50ms"]);
    lab.wait_parts(KEY, &id, 1);
    let reader = lab.reader(&[KEY]);
    reader.wait_output(PART);
    harm(&lab);
    let writer = writer.wait().failed_with_one_message("s3://bucket/live/recording.mp4");
    let writer = writer.says("recording").says(says).says(&id).says("left open");
    // Nothing else may go into that upload.
    let writer = writer.does_not_say("recording --resume");
    assert_eq!(lab.parts(KEY, &id), [5_000_000, 1000], "{}", writer.state());
    reader.wait_output(data.len());
    assert_same(&reader.output(), &data, "the reader");
    let command = format!("--resume --upload-id {id} </dev/null` completes it with what it holds");
    lab.writer(&[KEY, "--resume", "--upload-id", &id]).end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &writer.says(&command).state());
    reader.wait().code(0).gave(&data);
}

#[test]
fn what_was_taken_of_a_file_that_is_gone_is_kept_while_the_store_is_away() {
    let lab = Lab::new();
    let data = bytes(7, 1000);
    lab.faults(&json!([{ "operation": "UploadPart", "status": 503 }]));
    file(&lab, &data);
    let (writer, id) = follow(&lab, &["--poll-interval", "50ms", "--retry-timeout", "300ms"]);
    // The first look at the file is over when it is seen to be gone.
    fs::remove_file(lab.dir().join("recording")).expect("remove");
    let writer = writer.wait().code(1).says("1000 bytes (").says(&format!("--upload-id {id} --kept "));
    lab.clear_faults();
    let kept =
        fs::read_dir(lab.dir().join("live-read")).expect("the directory").next().expect("a file").expect("a file");
    let kept = kept.path().display().to_string();
    lab.writer(&[KEY, "--resume", "--kept", &kept]).end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &writer.state());
}

#[test]
fn what_was_taken_of_a_socket_that_is_reset_is_sent() {
    let lab = Lab::new();
    let data = bytes(8, PART + 77);
    let (ours, theirs) = UnixStream::pair().expect("a socket");
    let mut input = ours.try_clone().expect("a socket");
    let writer = Launch::writer(&lab, &[KEY, "-s", "5000000"])
        .stdin(OwnedFd::from(theirs.try_clone().expect("a socket")))
        .start();
    let id = lab.wait_open(KEY);
    input.write_all(&data).expect("write");
    lab.wait_parts(KEY, &id, 1);
    // Closed with something unread, which is a reset for the other end.
    (&theirs).write_all(b"unread").expect("write");
    drop((theirs, input, ours));
    let writer = writer.wait().failed_with_one_message("cannot read standard input").says("--resume");
    assert_eq!(lab.parts(KEY, &id), [5_000_000, 77], "{}", writer.state());
    lab.writer(&[KEY, "--resume"]).end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &writer.state());
}

#[test]
fn a_file_that_is_truncated_is_a_failure_that_keeps_what_was_uploaded() {
    goes_wrong("was cut to 10 bytes", |lab| {
        let file = OpenOptions::new().write(true).open(lab.dir().join("recording")).expect("the file");
        file.set_len(10).expect("cut it");
    });
}

#[test]
fn a_file_that_is_written_anew_is_a_failure_that_keeps_what_was_uploaded() {
    goes_wrong("was", |lab| fs::write(lab.dir().join("recording"), bytes(4, 2 * PART)).expect("write anew"));
}

#[test]
fn a_file_that_is_replaced_is_a_failure_that_keeps_what_was_uploaded() {
    goes_wrong("was replaced by another file", |lab| {
        fs::write(lab.dir().join("other"), bytes(4, 2 * PART)).expect("another file");
        fs::rename(lab.dir().join("other"), lab.dir().join("recording")).expect("rename");
    });
}

#[test]
fn a_file_that_is_removed_is_a_failure_that_keeps_what_was_uploaded() {
    goes_wrong("was removed", |lab| fs::remove_file(lab.dir().join("recording")).expect("remove"));
}

#[test]
fn a_file_that_is_renamed_is_a_failure_that_keeps_what_was_uploaded() {
    goes_wrong("renamed", |lab| {
        fs::rename(lab.dir().join("recording"), lab.dir().join("finished")).expect("rename");
    });
}

#[test]
fn with_rollover_what_was_taken_of_a_file_that_is_gone_is_sent_too() {
    let lab = Lab::new();
    let data = bytes(11, 3 * PART + 1000);
    file(&lab, &data);
    let writer = lab.writer(&[KEY, "recording", "-s", "5000000", "--rollover", "10000000", "--poll-interval", "50ms"]);
    writer.wait_for("going on in");
    let id = lab.wait_open("live/recording-0002.mp4");
    lab.wait_parts("live/recording-0002.mp4", &id, 1);
    fs::remove_file(lab.dir().join("recording")).expect("remove");
    let writer = writer.wait().code(1).says("was removed").says(&id);
    assert_eq!(lab.parts("live/recording-0002.mp4", &id), [5_000_000, 1000], "{}", writer.state());
    lab.writer(&["live/recording-0002.mp4", "--resume", "--upload-id", &id]).end().code(0);
    let both = [KEY, "live/recording-0002.mp4"].map(|key| lab.object(key).expect("an object")).concat();
    assert_same(&both, &data, &writer.state());
}

#[test]
fn an_upload_that_holds_no_full_part_is_not_gone_on_with_from_another_file() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(9, 1000));
    file(&lab, &bytes(10, 2000));
    let refused = lab.writer(&[KEY, "recording", "--no-follow", "--resume"]).wait();
    refused.failed_with_one_message("part 1").says("not the file");
    assert_eq!(lab.parts(KEY, &id), [1000]);
}

#[test]
fn a_file_whose_beginning_was_patched_at_the_end_is_warned_about() {
    use std::os::unix::fs::FileExt;
    let lab = Lab::new();
    let data = bytes(5, 100_000);
    let file = file(&lab, &data);
    let (writer, _) = follow(&lab, &[]);
    // One more look at the file is over when the next part of it has come.
    file.write_all_at(b"patched", 10).expect("patch");
    file.write_all_at(&[7; PART], data.len() as u64).expect("write");
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    file.write_all_at(b"again", 10).expect("patch");
    writer.signal("INT");
    let writer = writer.wait().code(0).says("was changed at its beginning");
    assert_eq!(writer.count("WARN"), 1, "{}", writer.state());
}

#[test]
fn a_named_pipe_is_read_to_its_end() {
    let lab = Lab::new();
    let path = lab.dir().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let data = bytes(6, PART + 12);
    let writer = lab.writer(&[KEY, "pipe", "-s", "5000000"]);
    let mut pipe = OpenOptions::new().write(true).open(&path).expect("the other end");
    let id = lab.wait_open(KEY);
    pipe.write_all(&data[..PART]).expect("write");
    lab.wait_parts(KEY, &id, 1);
    pipe.write_all(&data[PART..]).expect("write");
    drop(pipe);
    writer.wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_file_that_is_not_there_is_a_failure_before_any_request() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "no-such-file"]).wait().failed_with_one_message("no-such-file");
    writer.says("nothing has been uploaded").gave(b"");
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn a_directory_is_a_failure_before_any_request() {
    let lab = Lab::new();
    lab.writer(&[KEY, "."]).wait().failed_with_one_message("is a directory");
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn an_endless_device_ends_on_a_signal() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "/dev/zero", "-s", "5000000"]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 2);
    writer.signal("INT");
    writer.wait().code(0).says("is complete");
}
