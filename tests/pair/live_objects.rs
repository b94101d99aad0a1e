//! The pair by live objects: `writer --live objects` and readers of it, on a store without Live Read.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same, await_that};
use crate::support::{PART, bytes};

const KEY: &str = "live/stream.mp4";
const WRITES: [&str; 5] = [KEY, "-s", "5000000", "--live", "objects"];
const SOON: [&str; 2] = ["--max-latency", "100ms"];

fn lab() -> Lab {
    Lab::with_args(&["--no-live-read"])
}

fn writer(lab: &Lab, more: &[&str]) -> Run {
    let writer = lab.writer(&[&WRITES, more].concat());
    writer.wait_for("uploading to");
    writer
}

fn keys(lab: &Lab) -> Vec<String> {
    lab.keys()
}

/// The object is what was written, and nothing is left beside it, not even as a version or an upload.
fn is_whole_and_alone(lab: &Lab, data: &[u8]) {
    assert_same(&lab.object(KEY).expect("the object"), data, "the object");
    assert_eq!((keys(lab), lab.all_open()), (vec![KEY.to_owned()], vec![]));
}

fn file(lab: &Lab, data: &[u8]) -> PathBuf {
    let path = lab.dir().join("input.mp4");
    std::fs::write(&path, data).expect("the input");
    path
}

/// Readers are given what was taken before more comes, and all of it at the end.
fn copies(quirks: &[&str], latency: &[&str]) {
    let lab = lab();
    lab.quirks(quirks);
    let data = bytes(1, 2 * PART + 77_777);
    let auto = lab.reader(&[KEY]);
    let named = lab.reader(&[KEY, "--live", "objects"]);
    auto.wait_for("waiting for an upload");
    named.wait_for("waiting for a recording");
    let mut writer = writer(&lab, latency);
    writer.wait_for("by live objects below _live/");
    let readers = [auto, named];
    let mut written = 0;
    // Without a limit to the delay whole parts come; with one, what there is.
    let step = if latency.is_empty() { PART } else { PART / 2 };
    while written + step <= 2 * PART {
        writer.write(&data[written..written + step]);
        written += step;
        for reader in &readers {
            reader.wait_output(written);
        }
    }
    assert!(lab.object(KEY).is_none(), "it is complete");
    let writer = writer.end_with(&data[written..]).code(0);
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (0, 0), "{quirks:?} {}", writer.state());
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
    if quirks.contains(&"no-list") {
        lab.quirks(&["unversioned"]);
    }
    is_whole_and_alone(&lab, &data);
}

#[test]
fn what_is_written_is_read_before_the_upload_is_complete_on_stores_of_all_kinds() {
    let rows: [&[&str]; 5] = [
        &[],
        &["unversioned", "no-conditions"],
        &["unversioned", "no-part-copy", "torn-put", "torn-complete"],
        &["same-key-429", "copy-etag-unquoted"],
        &["unversioned", "no-list", "denied-missing"],
    ];
    std::thread::scope(|scope| {
        for quirks in rows {
            scope.spawn(move || {
                copies(quirks, &[]);
                copies(quirks, &SOON);
            });
        }
    });
}

#[test]
fn whole_parts_are_sent_once() {
    let lab = lab();
    let data = bytes(2, 3 * PART);
    writer(&lab, &[]).end_with(&data).code(0).says("each byte is sent once");
    assert_eq!((lab.count(false, "UploadPartCopy", "200"), lab.count(false, "UploadPart", "200")), (3, 0));
    is_whole_and_alone(&lab, &data);
}

#[test]
fn where_there_is_live_read_live_objects_are_made_when_they_are_asked_for() {
    let lab = Lab::new();
    let data = bytes(3, PART + 5);
    let mut writer = writer(&lab, &SOON);
    writer.write(&data[..1_000]);
    let readers = [lab.reader(&[KEY, "--live", "objects"]), lab.reader(&[KEY])];
    for reader in &readers {
        reader.wait_output(1_000);
    }
    writer.end_with(&data[1_000..]).code(0);
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
    is_whole_and_alone(&lab, &data);
}

#[test]
fn a_store_that_deletes_nothing_gets_a_whole_object_and_a_warning() {
    let lab = lab();
    lab.quirks(&["no-delete"]);
    let data = bytes(4, PART + 5);
    let writer = writer(&lab, &[]).end_with(&data).code(0).says("for the store did not delete");
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (1, 0), "{}", writer.state());
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    // Once it deletes again, what was left can be taken away.
    lab.quirks(&[]);
    assert!(keys(&lab).len() > 1);
    lab.writer(&[KEY, "--abort", "--yes"]).wait().code(0).says("took away the live objects");
    is_whole_and_alone(&lab, &data);
}

#[test]
fn deletions_that_fail_inside_of_a_success_are_made_again() {
    let lab = lab();
    lab.quirks(&["unversioned", "delete-errors-in-200"]);
    let data = bytes(4, 1_000);
    let writer = writer(&lab, &[]).end_with(&data).code(0);
    assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
    is_whole_and_alone(&lab, &data);
}

#[test]
fn the_first_interrupt_completes_what_there_is_and_leaves_nothing() {
    let lab = lab();
    let data = bytes(5, 1_000_000);
    let mut writer = writer(&lab, &SOON);
    let reader = lab.reader(&[KEY]);
    writer.write(&data);
    reader.wait_output(data.len());
    writer.signal("INT");
    writer.wait().code(0).says("uploading what there is");
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn an_input_without_a_byte_leaves_nothing() {
    let lab = lab();
    writer(&lab, &[]).end().code(0).says("no input at all");
    assert_eq!((keys(&lab), lab.all_open()), (vec![], vec![]));
}

/// A writer of a stream that is killed when readers have seen `data`.
fn killed(lab: &Lab, data: &[u8]) -> Run {
    let mut writer = writer(lab, &SOON);
    let reader = lab.reader(&[KEY, "--live", "objects"]);
    writer.write(data);
    reader.wait_output(data.len());
    writer.signal("KILL");
    writer.wait();
    assert!(keys(lab).iter().any(|key| key.starts_with("_live/")));
    reader
}

#[test]
fn a_killed_writer_of_a_file_goes_on_and_its_reader_has_all_of_it() {
    for latency in [&[][..], &SOON] {
        let lab = lab();
        let data = bytes(6, 3 * PART + 777);
        let input = file(&lab, &data[..PART + PART / 2]);
        let path = input.display().to_string();
        let follow = [&WRITES[..1], &[path.as_str()], &WRITES[1..], latency].concat();
        let first = lab.writer(&follow);
        let reader = lab.reader(&[KEY]);
        reader.wait_output(if latency.is_empty() { PART } else { PART + PART / 2 });
        first.signal("KILL");
        first.wait();
        file(&lab, &data);
        let again = lab.writer(&[&follow[..], &["--resume", "--no-follow"]].concat());
        let again = again.wait().code(0).says("going on with the upload");
        again.does_not_say("cannot be read");
        reader.wait().code(0).gave(&data);
        is_whole_and_alone(&lab, &data);
    }
}

#[test]
fn a_reader_with_a_file_goes_on_after_it_while_the_upload_is_open() {
    for quirks in [&["unversioned"][..], &[]] {
        let lab = lab();
        lab.quirks(quirks);
        let data = bytes(15, 700_000);
        let mut writer = writer(&lab, &SOON);
        let first = lab.reader(&[KEY, "--live", "objects"]);
        writer.write(&data[..300_000]);
        first.wait_output(300_000);
        let copy = lab.dir().join("copy");
        std::fs::write(&copy, &data[..200_000]).expect("what an earlier reader has written");
        let reader = lab.reader(&[KEY, &copy.display().to_string(), "--resume"]);
        reader.wait_for("going on from there");
        writer.end_with(&data[300_000..]).code(0);
        reader.wait().code(0);
        assert_same(&std::fs::read(&copy).expect("the copy"), &data, "the copy");
    }
}

#[test]
fn what_a_killed_writer_left_is_cancelled_together() {
    let lab = lab();
    let reader = killed(&lab, &bytes(8, 500_000));
    let id = lab.open(KEY).pop().expect("an open upload");
    // Another recording of the key stays as it is.
    let other = writer(&lab, &[]);
    await_that("the live objects of both", || keys(&lab).iter().filter(|key| key.ends_with("/head")).count() == 2);
    lab.writer(&[KEY, "--abort", "--yes", "--upload-id", &id]).wait().code(0).says("took away the live objects");
    reader.wait().code(1);
    assert_eq!(keys(&lab).iter().filter(|key| key.ends_with("/head")).count(), 1);
    let data = bytes(9, 1_000);
    other.end_with(&data).code(0);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn the_next_start_takes_away_what_a_killed_writer_left_of_an_upload_that_is_over() {
    let lab = lab();
    lab.ago(Duration::from_secs(3600), || drop(killed(&lab, &bytes(10, 500_000))));
    let id = lab.open(KEY).pop().expect("an open upload");
    lab.abort(KEY, &id);
    let data = bytes(11, 1_000);
    writer(&lab, &[]).end_with(&data).code(0).says("had left");
    is_whole_and_alone(&lab, &data);
}

#[test]
fn the_objects_of_a_rollover_are_read_as_one_and_each_leaves_nothing() {
    let lab = lab();
    let data = bytes(12, 4 * PART);
    let (one, all) = (lab.reader(&[KEY]), lab.reader(&[KEY, "--live", "objects", "--follow-rollover"]));
    writer(&lab, &["--rollover", "10000000"]).end_with(&data).code(0);
    one.wait().code(0).gave(&data[..2 * PART]);
    all.wait().code(0).gave(&data);
    assert_eq!((keys(&lab), lab.all_open()), (vec!["live/stream-0002.mp4".to_owned(), KEY.to_owned()], vec![]));
}

#[test]
fn an_object_of_a_rollover_is_complete_only_when_the_next_can_be_found() {
    let lab = lab();
    let data = bytes(15, 3 * PART + 5);
    let all = lab.reader(&[KEY, "--live", "objects", "--follow-rollover"]);
    all.wait_for("waiting for a recording");
    let mut writer = writer(&lab, &["--rollover", "10000000"]);
    writer.write(&data[..2 * PART]);
    all.wait_output(2 * PART);
    let pointer = "_live/live/stream-0002.mp4/now";
    lab.faults(&json!([{"operation": "PutObject", "key": pointer, "status": 503, "for_ms": 4_000}]));
    writer.write(&data[2 * PART..3 * PART]);
    lab.wait_acted(0, 1);
    // Who has read the first to its end looks for the second, and has read all if there is none.
    all.wait_output(3 * PART);
    writer.end_with(&data[3 * PART..]).code(0);
    all.wait().code(0).gave(&data);
}

#[test]
fn the_names_of_live_objects_begin_as_they_are_asked_to() {
    let lab = lab();
    let data = bytes(13, 1_000);
    let prefix = ["--live-prefix", "tmp/now/"];
    let reader = lab.reader(&[&[KEY, "--live", "objects"][..], &prefix].concat());
    let mut writer = writer(&lab, &[&SOON[..], &prefix].concat());
    writer.write(&data);
    reader.wait_output(data.len());
    assert!(keys(&lab).iter().all(|key| key.starts_with("tmp/now/live/stream.mp4/")));
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn an_upload_that_is_not_to_be_read_live_is_not() {
    let lab = Lab::new();
    let data = bytes(14, PART + 9);
    let mut writer = lab.writer(&[KEY, "-s", "5000000", "--live", "off"]);
    writer.write(&data[..PART]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let reader = lab.reader(&[KEY]);
    reader.wait_for("started without Live Read");
    assert_eq!(reader.output().len(), 0);
    let writer = writer.end_with(&data[PART..]).code(0);
    assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn where_live_objects_would_do_harm_there_are_none_and_why_is_said() {
    // Wasabi's name with nobody behind it: nothing leaves this machine.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let lab = lab();
    let wasabi = ["--endpoint-url", "http://s3.wasabisys.com", "--retry-timeout", "0", "--path-style"];
    let writer = Launch::writer(&lab, &[&WRITES[..], &wasabi].concat()).env("HTTP_PROXY", format!("http://{nobody}"));
    writer.start().end().code(1).says("no live objects on this store: Wasabi bills each deleted object for 90 days");
}

#[test]
fn a_check_says_which_way_uploads_are_live() {
    let lab = lab();
    let check = |more: &[&str]| lab.writer(&[&["--check"][..], more].concat()).wait();
    check(&["--live", "b2"]).code(1).says("BAD  Live Read    off").says("readable live without --live b2");
    check(&[]).code(0).says("where there is no Live Read").says("$0.009 on Amazon S3");
    let objects = check(&["--live", "objects", "--max-latency", "1s"]).code(0);
    objects.says("by live objects").says("$0.024 on Amazon S3").says("each byte is sent twice");
    check(&["--live", "off"]).code(0).says("off, as --live off asks for");
    assert_eq!((keys(&lab), lab.all_open()), (vec![], vec![]));
}
