//! Signals and closed pipes: how the tools are ended from outside.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same, await_that};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";

fn writer(lab: &Lab) -> Run {
    lab.writer(&[KEY, "-s", "5000000"])
}

#[test]
fn a_first_signal_completes_the_upload_with_all_that_came_while_the_input_stays_open() {
    for (signal, name) in [("INT", "SIGINT"), ("TERM", "SIGTERM")] {
        let lab = Lab::new();
        let data = bytes(1, PART + 100);
        let mut writer = writer(&lab);
        let id = lab.wait_open(KEY);
        writer.write(&data);
        lab.wait_parts(KEY, &id, 1);
        writer.signal(signal);
        writer.wait_for(name);
        writer.wait().code(0).says("Once more ends at once").says("is complete").gave(b"");
        assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
        assert_eq!(lab.all_open(), vec![]);
    }
}

#[test]
fn bytes_that_stand_in_the_pipe_at_the_first_signal_are_uploaded() {
    let lab = Lab::new();
    // The store takes nothing for a while, so that the writer has no room and leaves bytes in the pipe.
    lab.faults(&json!([{ "operation": "UploadPart", "delay_ms": 1500, "times": 1 }]));
    let data = bytes(2, 4 * PART);
    let mut writer = lab.writer(&[KEY, "-s", "5000000", "-c", "1"]);
    lab.wait_open(KEY);
    // Three parts are taken into memory, and the pipe holds one MiB more.
    let held = 3 * PART + 500_000;
    writer.write(&data[..held]);
    writer.signal("INT");
    writer.wait_for("SIGINT");
    writer.wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data[..held], "the object");
}

#[test]
fn what_ffmpeg_writes_after_the_first_signal_is_uploaded() {
    let lab = Lab::new();
    let data = bytes(3, 5000);
    let mut writer = writer(&lab);
    lab.wait_open(KEY);
    writer.write(&data[..3000]);
    writer.signal("INT");
    writer.wait_for("SIGINT");
    // The last fragment, as ffmpeg writes it when Ctrl-C reaches the whole pipeline.
    writer.write(&data[3000..]);
    writer.end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn an_input_that_goes_on_does_not_hold_up_the_end_for_long() {
    let lab = Lab::new();
    let mut writer = writer(&lab);
    lab.wait_open(KEY);
    writer.feed_forever();
    await_that("parts", || lab.count(false, "UploadPart", "200") > 2);
    writer.signal("TERM");
    writer.wait().code(0).says("is complete");
}

#[test]
fn a_first_signal_before_any_input_leaves_nothing() {
    let lab = Lab::new();
    let writer = writer(&lab);
    lab.wait_open(KEY);
    writer.signal("INT");
    writer.wait().code(0).says("no input at all");
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn a_first_signal_uploads_all_that_a_followed_file_holds() {
    let lab = Lab::new();
    let data = bytes(4, 2 * PART + 77);
    let path = lab.dir().join("recording");
    let mut file = File::create(&path).expect("a file");
    file.write_all(&data[..PART]).expect("write");
    let writer = lab.writer(&[KEY, "recording", "-s", "5000000"]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    file.write_all(&data[PART..]).expect("write");
    writer.signal("INT");
    writer.wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_second_signal_ends_the_writer_at_once_and_leaves_the_upload_open() {
    for (first, second, code) in [("INT", "INT", 130), ("INT", "TERM", 143), ("TERM", "TERM", 143)] {
        let lab = Lab::new();
        let data = bytes(5, PART + 100);
        let mut writer = writer(&lab);
        let id = lab.wait_open(KEY);
        writer.write(&data);
        lab.wait_parts(KEY, &id, 1);
        // The tail cannot be stored, so that the upload cannot be completed.
        lab.faults(&json!([{ "operation": "UploadPart", "delay_ms": 60_000 }]));
        writer.signal(first);
        writer.wait_for("Once more ends at once");
        writer.signal(second);
        let writer = writer
            .wait()
            .code(code)
            .says(&id)
            .says(&format!("`writer live/stream.mp4 --resume --upload-id {id} --kept "))
            .says("`writer live/stream.mp4 --abort`")
            .says("left open");
        assert_eq!(lab.open(KEY), std::slice::from_ref(&id), "{}", writer.state());
        assert_eq!(lab.parts(KEY, &id), [5_000_000]);
    }
}

#[test]
fn a_second_signal_while_the_upload_is_being_completed_ends_the_writer() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "CompleteMultipartUpload", "delay_ms": 60_000 }]));
    let mut writer = writer(&lab);
    let id = lab.wait_open(KEY);
    writer.write(b"some bytes");
    writer.signal("INT");
    writer.wait_for("Once more ends at once");
    lab.wait_parts(KEY, &id, 1);
    writer.signal("INT");
    writer.wait().code(130).says(&id);
    assert_eq!(lab.open(KEY), [id]);
}

#[test]
fn two_signals_end_a_writer_that_cannot_even_begin() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "CreateMultipartUpload", "status": 503 }]));
    let writer = writer(&lab);
    writer.wait_for("503");
    writer.signal("TERM");
    writer.wait_for("Once more ends at once");
    writer.signal("TERM");
    writer.wait().code(143);
}

#[test]
fn a_signal_ends_a_reader_at_once_and_its_file_holds_a_clean_prefix() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for mode in ["range", "part"] {
            let lab = Lab::new();
            let data = bytes(6, 3 * PART);
            let id = lab.begin(KEY);
            for (part, number) in data.chunks(PART).zip(1..) {
                lab.part(KEY, &id, number, part);
            }
            // Slow enough for the signal to come in the middle.
            lab.faults(&json!([{ "operation": "GetObject", "throttle": 3_000_000 }]));
            let reader = lab.reader(&[KEY, "copy", "--by", mode]);
            let copy = lab.dir().join("copy");
            await_that("bytes in the file", || fs::metadata(&copy).is_ok_and(|found| found.len() > 0));
            reader.signal(signal);
            let reader = reader.wait().code(code).gave(b"");
            let read = fs::read(&copy).expect("the copy");
            assert!(read.len() < data.len(), "the signal came too late: {}", reader.state());
            assert_same(&read, &data[..read.len()], &reader.state());
        }
    }
}

#[test]
fn a_signal_ends_a_reader_that_waits() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let lab = Lab::new();
        let before = lab.reader(&[KEY]);
        before.wait_for("waiting for an upload");
        before.signal(signal);
        before.wait().code(code).gave(b"");

        let id = lab.begin(KEY);
        lab.part(KEY, &id, 1, b"data");
        let at_edge = lab.reader(&[KEY, "--poll-interval", "1h"]);
        at_edge.wait_output(4);
        at_edge.signal(signal);
        at_edge.wait().code(code).gave(b"data");
    }
}

#[test]
fn a_signal_ends_a_reader_whose_consumer_takes_nothing() {
    let lab = Lab::new();
    lab.put(KEY, &bytes(7, 4 * PART));
    let reader = Launch::reader(&lab, &[KEY, "--no-wait"]).leave_stdout().start();
    reader.wait_for("which is complete");
    await_that("answers", || lab.count(false, "GetObject", "206") >= 1);
    reader.signal("INT");
    reader.wait().code(130);
}

#[test]
fn a_signal_ends_a_tool_that_waits_for_the_other_end_of_a_named_pipe() {
    let lab = Lab::new();
    assert!(Command::new("mkfifo").arg(lab.dir().join("pipe")).status().expect("mkfifo").success());
    let waits = |run: &Run| {
        await_that("the tool to wait for the other end", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", run.pid())).expect("its threads");
            tasks.flatten().any(|task| opens_a_file(&task.path()))
        });
    };
    let writer = lab.writer(&[KEY, "pipe"]);
    waits(&writer);
    writer.signal("INT");
    writer.wait().code(0).says("nobody has opened the other end of pipe");
    let reader = lab.reader(&[KEY, "pipe"]);
    waits(&reader);
    reader.signal("INT");
    reader.wait().code(130);
    assert_eq!(lab.count_all(), 0);
}

/// Whether a thread is in the system call that opens a file, which only a named pipe makes last.
fn opens_a_file(task: &Path) -> bool {
    let number = if cfg!(target_arch = "aarch64") { "56 " } else { "257 " };
    fs::read_to_string(task.join("syscall")).is_ok_and(|call| call.starts_with(number))
}

#[test]
fn a_reader_ends_quietly_when_its_output_is_closed_while_data_flow() {
    let lab = Lab::new();
    let data = bytes(8, 4 * PART);
    lab.put(KEY, &data);
    let mut reader = Launch::reader(&lab, &[KEY, "--no-wait"]).leave_stdout().start();
    let mut stdout = reader.stdout.take().expect("its output");
    let mut some = vec![0; 100_000];
    stdout.read_exact(&mut some).expect("some of the output");
    assert_same(&some, &data[..some.len()], "the output");
    drop(stdout);
    let reader = reader.wait().code(0);
    assert_eq!((reader.count("WARN"), reader.count("ERROR")), (0, 0), "{}", reader.state());
}

#[test]
fn a_reader_ends_quietly_when_its_output_is_closed_at_the_live_edge() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, b"data");
    // The next look is an hour away: it must not take one to notice.
    let mut reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1h"]).leave_stdout().start();
    let mut stdout = reader.stdout.take().expect("its output");
    stdout.read_exact(&mut [0; 4]).expect("the data");
    drop(stdout);
    let reader = reader.wait().code(0);
    assert_eq!((reader.count("WARN"), reader.count("ERROR")), (0, 0), "{}", reader.state());
}

#[test]
fn a_reader_ends_quietly_when_its_output_is_closed_while_it_waits_for_an_upload() {
    let lab = Lab::new();
    let mut reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1h"]).leave_stdout().start();
    reader.wait_for("waiting for an upload");
    drop(reader.stdout.take());
    let reader = reader.wait().code(0);
    assert_eq!((reader.count("WARN"), reader.count("ERROR")), (0, 0), "{}", reader.state());
}

#[test]
fn a_reader_into_head_gives_the_beginning_and_ends() {
    let lab = Lab::new();
    let data = bytes(9, 2 * PART);
    lab.put(KEY, &data);
    let reader = env!("CARGO_BIN_EXE_reader");
    let output = Command::new("sh")
        .args(["-c", "\"$0\" \"$1\" --no-wait 2>messages | head -c 1000; cat messages >&2", reader, KEY])
        .envs(lab.env())
        .current_dir(lab.dir())
        .output()
        .expect("sh");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_same(&output.stdout, &data[..1000], &words);
    assert!(!words.contains("panicked") && !words.contains("ERROR"), "{words}");
}

#[test]
fn messages_that_nobody_reads_do_not_stop_the_work() {
    let lab = Lab::new();
    let binary = env!("CARGO_BIN_EXE_writer");
    let status = Command::new("sh")
        .args(["-c", "printf data | \"$0\" \"$1\" 2>&-", binary, KEY])
        .envs(lab.env())
        .current_dir(lab.dir())
        .status()
        .expect("sh");
    assert_eq!(status.code(), Some(0));
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
}
