//! `writer --abort`, and the word about an upload that is open already when another begins.

use std::process::{Command, Stdio};

use crate::support::lab::Lab;
use crate::support::run::{Launch, await_that};
use crate::support::{bytes, present};
use serde_json::json;

const KEY: &str = "live/stream.mp4";

#[test]
fn every_open_upload_of_exactly_this_key_is_cancelled() {
    let lab = Lab::new();
    let neighbours = ["live/stream.mp4.old", "live/stream.mp", "live/stream", "live/stream.mp4/1"];
    let kept: Vec<String> = neighbours.iter().map(|key| lab.begin(key)).collect();
    let ids = [lab.begin(KEY), lab.begin_plain(KEY), lab.begin(KEY)];
    lab.part(KEY, &ids[0], 1, &bytes(1, 5_000_000));
    lab.part(KEY, &ids[0], 2, b"end");
    let outcome = lab.writer(&[KEY, "--abort", "--yes"]).end().code(0).says("2 parts, 5.0 MB").gave(b"");
    let outcome = ids.iter().fold(outcome, |outcome, id| outcome.says(&format!("cancelled the upload {id}")));
    assert_eq!(lab.open(KEY), Vec::<String>::new(), "{}", outcome.state());
    for (key, id) in neighbours.iter().zip(&kept) {
        assert_eq!(lab.open(key), std::slice::from_ref(id), "{key}");
    }
}

#[test]
fn without_a_terminal_it_needs_to_be_told_yes() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.writer(&[KEY, "--abort"]).end_with(b"y\n").code(2).says(&id).says("--yes");
    assert_eq!(lab.open(KEY), [id]);
}

#[test]
fn one_of_several_can_be_named() {
    let lab = Lab::new();
    let ids = [lab.begin(KEY), lab.begin(KEY), lab.begin(KEY)];
    lab.writer(&[KEY, "--abort", "-y", "--upload-id", &ids[1]]).end().code(0).says(&ids[1]).does_not_say(&ids[0]);
    assert_eq!(lab.open(KEY), [ids[0].clone(), ids[2].clone()]);
    // Again: it is not open any more.
    lab.writer(&[KEY, "--abort", "--upload-id", &ids[1]]).end().code(0).says("nothing to cancel").says(&ids[1]);
    assert_eq!(lab.open(KEY).len(), 2);
}

#[test]
fn nothing_open_is_no_failure() {
    let lab = Lab::new();
    lab.put(KEY, b"finished");
    lab.begin("live/stream.mp4.old");
    lab.writer(&[KEY, "--abort"]).end().code(0).says("no open upload").says("s3://bucket/live/stream.mp4");
    assert_eq!(lab.object(KEY).expect("the object"), b"finished");
}

#[test]
fn an_upload_that_cannot_be_cancelled_is_a_failure_and_the_others_are_cancelled() {
    let lab = Lab::new();
    let ids = [lab.begin(KEY), lab.begin(KEY)];
    lab.faults(&json!([
        { "operation": "AbortMultipartUpload", "status": 403, "code": "AccessDenied", "times": 1 },
    ]));
    lab.writer(&[KEY, "--abort", "--yes"]).end().code(1).says(&format!("the upload {} is still open", ids[0]));
    assert_eq!(lab.open(KEY), [ids[0].clone()]);
}

#[test]
fn a_key_that_may_not_list_can_name_an_upload() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.faults(&json!([
        { "operation": "ListMultipartUploads", "status": 403, "code": "AccessDenied" },
        { "operation": "ListParts", "status": 403, "code": "AccessDenied" },
    ]));
    lab.writer(&[KEY, "--abort", "--yes"]).end().failed_with_one_message("s3://bucket/live/stream.mp4");
    lab.writer(&[KEY, "--abort", "--yes", "--upload-id", &id]).end().code(0).says(&id);
    lab.clear_faults();
    assert_eq!(lab.open(KEY), Vec::<String>::new());
}

#[test]
fn more_parts_than_one_page_are_all_seen() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    for number in 1..=1_003 {
        // Each is the highest so far and may be short.
        lab.part(KEY, &id, number, b"x");
    }
    lab.writer(&[KEY, "--abort"]).end().code(2).says("1003 parts");
    std::fs::write(lab.dir().join("file"), b"xxx").expect("a file");
    let writer = lab.writer(&[KEY, "file", "--no-follow", "--resume"]);
    writer.end().failed_with_one_message(&id).says("part 1003");
    assert_eq!(lab.open(KEY), [id]);
}

/// A terminal of its own for `writer`, by `script`.
fn on_a_terminal(lab: &Lab, answer: &str) -> (Option<i32>, String) {
    let command = format!("{} '{KEY}' --abort", env!("CARGO_BIN_EXE_writer"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).envs(lab.env()).current_dir(lab.dir());
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("start script");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), answer.as_bytes()).expect("answer");
    let output = child.wait_with_output().expect("its end");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn on_a_terminal_it_asks() {
    if !present("script", &["--version"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.begin(KEY);
    for no in ["n\n", "\n", "maybe\n"] {
        let (code, text) = on_a_terminal(&lab, no);
        assert!(text.contains("Cancel this upload?") && text.contains(&id), "{text}");
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(lab.open(KEY), std::slice::from_ref(&id));
    }
    let (code, text) = on_a_terminal(&lab, "y\n");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(lab.open(KEY), Vec::<String>::new());
}

#[test]
fn an_upload_that_is_open_already_is_named_with_both_ways_on_without_delay() {
    let lab = Lab::new();
    let (old, other) = (lab.begin(KEY), lab.begin("live/stream.mp4.old"));
    lab.faults(&json!([{ "operation": "ListMultipartUploads", "delay_ms": 400, "times": 1 }]));
    let mut writer = lab.writer(&[KEY]);
    writer.write(b"some bytes");
    let outcome = writer.end().code(0).says(&old).says("--resume").says("--abort").does_not_say(&other);
    let began = outcome.err.find("uploading to").expect("the start");
    assert!(began < outcome.err.find(&old).expect("the warning"), "{}", outcome.state());
    assert_eq!(lab.open(KEY), [old]);
    assert_eq!(lab.object(KEY).expect("the object"), b"some bytes");
}

#[test]
fn a_lone_upload_is_no_reason_to_warn_and_neither_is_a_key_that_may_not_list() {
    let lab = Lab::new();
    assert_eq!(lab.writer(&[KEY]).end_with(b"some bytes").code(0).count("WARN"), 0);
    lab.begin(KEY);
    lab.faults(&json!([{ "operation": "ListMultipartUploads", "status": 403, "code": "AccessDenied" }]));
    let writer = lab.writer(&[KEY]);
    await_that("the refusal", || lab.count(false, "ListMultipartUploads", "403") > 0);
    assert_eq!(writer.end_with(b"some bytes").code(0).count("WARN"), 0);
}

#[test]
fn options_that_do_not_go_together_are_wrong_usage() {
    let lab = Lab::new();
    for args in [
        &["--resume", "--abort"][..],
        &["--resume", "--check"],
        &["--abort", "--check"],
        &["--yes"],
        &["--resume", "--yes"],
        &["--upload-id", "x"],
    ] {
        Launch::writer(&lab, &[&[KEY], args].concat()).start().end().code(2);
    }
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn an_upload_left_behind_by_a_lost_answer_is_named() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "CreateMultipartUpload", "lose_answer": true, "times": 1 }]));
    let mut writer = lab.writer(&[KEY]);
    await_that("a second upload", || lab.open(KEY).len() == 2);
    let left_behind = lab.open(KEY).first().cloned().expect("the first upload");
    writer.write(b"data");
    writer.wait_for(&left_behind);
    writer.end().code(0).says("--abort");
    assert_eq!(lab.open(KEY), [left_behind]);
}
