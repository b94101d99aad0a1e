//! The pair as people start it, who say nothing of how an upload is to be read live: Live Read where it is, else live objects.

use crate::support::lab::Lab;
use crate::support::run::{Run, assert_same};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";
const WRITES: [&str; 3] = [KEY, "-s", "5000000"];
const SOON: [&str; 2] = ["--max-latency", "100ms"];

fn without_live_read() -> Lab {
    Lab::with_args(&["--no-live-read"])
}

fn writer(lab: &Lab, more: &[&str]) -> Run {
    let writer = lab.writer(&[&WRITES, more].concat());
    writer.wait_for("uploading to");
    writer
}

/// The object is what was written, and nothing is left beside it, not even as a version or an upload.
fn is_whole_and_alone(lab: &Lab, data: &[u8]) {
    assert_same(&lab.object(KEY).expect("the object"), data, "the object");
    assert_eq!((lab.keys(), lab.all_open()), (vec![KEY.to_owned()], vec![]));
}

/// How many small objects were written.
fn written(lab: &Lab) -> u64 {
    ["200", "403", "503"].iter().map(|status| lab.count(false, "PutObject", status)).sum()
}

/// Two readers are given what was taken before more comes, and all of it at the end.
fn reads_live(lab: &Lab, more: &[&str], says: &str) {
    let data = bytes(1, 2 * PART + 777);
    let before = lab.reader(&[KEY]);
    before.wait_for("waiting for an upload");
    let mut writer = writer(lab, more);
    writer.wait_for(says);
    let readers = [before, lab.reader(&[KEY])];
    writer.write(&data[..PART]);
    for reader in &readers {
        reader.wait_output(PART);
    }
    assert!(lab.object(KEY).is_none(), "it is complete");
    let writer = writer.end_with(&data[PART..]).code(0);
    assert_eq!(writer.count("ERROR"), 0, "{}", writer.state());
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
    is_whole_and_alone(lab, &data);
}

#[test]
fn where_there_is_no_live_read_an_upload_is_read_by_live_objects() {
    for more in [&[][..], &SOON] {
        let lab = without_live_read();
        reads_live(&lab, more, "no Live Read here: readers can follow by live objects below _live/live/stream.mp4/");
        assert!(written(&lab) > 3);
    }
}

#[test]
fn where_there_is_live_read_nothing_is_ever_written_beside_the_upload() {
    for more in [&[][..], &SOON, &["--rollover", "20000000"]] {
        let lab = Lab::new();
        reads_live(&lab, more, "Live Read is on");
        assert_eq!(written(&lab), 0);
    }
}

#[test]
fn a_look_that_fails_is_made_again_and_readers_miss_nothing() {
    for (lab, says) in [(Lab::new(), "Live Read is on"), (without_live_read(), "no Live Read here")] {
        lab.faults(&json!([{ "operation": "GetObject", "live": true, "status": 503, "times": 3 }]));
        let data = bytes(2, PART + 99);
        let mut writer = writer(&lab, &[]);
        // More than a part comes before it is known how it can be read.
        writer.write(&data);
        writer.wait_for(says);
        let reader = lab.reader(&[KEY]);
        reader.wait_output(PART);
        let writer = writer.end().code(0);
        assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
        reader.wait().code(0).gave(&data);
        assert_eq!(written(&lab) == 0, says == "Live Read is on");
        is_whole_and_alone(&lab, &data);
    }
}

#[test]
fn where_a_look_is_never_answered_the_upload_goes_on_and_it_is_said() {
    let lab = without_live_read();
    lab.faults(&json!([{ "operation": "GetObject", "live": true, "status": 503 }]));
    let data = bytes(3, PART + 99);
    let mut writer = writer(&lab, &[]);
    writer.write(&data);
    writer.wait_for("could not find out whether");
    // It goes on to look.
    lab.faults(&json!([]));
    writer.wait_for("that was found out too late");
    writer.end().code(0);
    assert_eq!(written(&lab), 0);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn a_key_that_may_not_read_is_taken_for_one_without_live_read() {
    let lab = without_live_read();
    lab.faults(&json!([{ "operation": "GetObject", "live": true, "status": 403, "code": "AccessDenied" }]));
    let data = bytes(4, PART + 99);
    let reader = lab.reader(&[KEY, "--live", "objects"]);
    let mut writer = writer(&lab, &SOON);
    writer.write(&data[..1_000]);
    reader.wait_output(1_000);
    writer.end_with(&data[1_000..]).code(0);
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn a_key_that_may_not_write_below_live_uploads_all_the_same_and_is_told_once() {
    let lab = without_live_read();
    lab.faults(&json!([{ "operation": "PutObject", "status": 403, "code": "AccessDenied" }]));
    let data = bytes(5, 2 * PART + 99);
    let mut writer = writer(&lab, &[]);
    writer.write(&data[..PART]);
    writer.wait_for("cannot be read before it is complete");
    let writer = writer.end_with(&data[PART..]).code(0).says("--live-prefix").says("--live off");
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (1, 0), "{}", writer.state());
    assert_eq!(written(&lab), 1);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn a_key_without_room_for_the_names_of_live_objects_is_said_where_that_matters() {
    let key = "k".repeat(1_000);
    for (lab, warnings) in [(Lab::new(), 0), (without_live_read(), 1)] {
        let writer = lab.writer(&[&key]);
        writer.wait_for(if warnings == 0 { "Live Read is on" } else { "readers will see nothing" });
        let writer = writer.end_with(b"data").code(0);
        assert_eq!((writer.count("WARN"), writer.count("ERROR")), (warnings, 0), "{}", writer.state());
        assert_eq!((lab.keys(), written(&lab)), (vec![key.clone()], 0));
    }
}

#[test]
fn an_input_without_a_byte_leaves_nothing() {
    for lab in [Lab::new(), without_live_read()] {
        writer(&lab, &[]).end().code(0).says("no input at all").does_not_say("readers will see nothing");
        assert_eq!((lab.keys(), lab.all_open()), (vec![], vec![]));
    }
}

#[test]
fn the_objects_of_a_rollover_are_looked_at_once_and_each_leaves_nothing() {
    let lab = without_live_read();
    let data = bytes(6, 4 * PART);
    let all = lab.reader(&[KEY, "--follow-rollover"]);
    all.wait_for("waiting for an upload");
    let writer = writer(&lab, &["--rollover", "10000000"]).end_with(&data).code(0);
    assert_eq!(writer.err.matches("no Live Read here").count(), 1, "{}", writer.state());
    all.wait().code(0).gave(&data);
    assert_eq!((lab.keys(), lab.all_open()), (vec!["live/stream-0002.mp4".to_owned(), KEY.to_owned()], vec![]));
}

#[test]
fn a_killed_writer_of_a_file_goes_on_and_its_reader_has_all_of_it() {
    let lab = without_live_read();
    let data = bytes(7, 3 * PART + 777);
    let path = lab.dir().join("input.mp4");
    std::fs::write(&path, &data[..PART + PART / 2]).expect("the input");
    let input = path.display().to_string();
    let follow = [&WRITES[..1], &[input.as_str()], &WRITES[1..], &SOON].concat();
    let first = lab.writer(&follow);
    let reader = lab.reader(&[KEY]);
    reader.wait_output(PART + PART / 2);
    first.signal("KILL");
    first.wait();
    std::fs::write(&path, &data).expect("the input");
    let again = lab.writer(&[&follow[..], &["--resume", "--no-follow"]].concat());
    again.wait().code(0).says("going on with the upload").does_not_say("cannot be read");
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn live_reading_is_switched_off_by_a_word() {
    let lab = without_live_read();
    let data = bytes(8, PART + 9);
    let writer = writer(&lab, &["--live", "off"]).end_with(&data).code(0);
    assert_eq!((writer.count("WARN"), written(&lab)), (0, 0), "{}", writer.state());
    is_whole_and_alone(&lab, &data);
}

#[test]
fn small_parts_are_warned_of_where_a_store_may_refuse_them_at_the_end() {
    let warning = "parts of 5000000 bytes are less than most stores take";
    for (lab, live, warned) in [
        (Lab::new(), "auto", false),
        (without_live_read(), "auto", true),
        (without_live_read(), "objects", true),
        (without_live_read(), "off", true),
    ] {
        let writer = lab.writer(&[&WRITES[..], &["--live", live]].concat());
        writer.wait_for(if warned { warning } else { "Live Read is on" });
        let writer = writer.end_with(b"data").code(0);
        assert_eq!(writer.err.contains(warning), warned, "{}", writer.state());
    }
    let usual = without_live_read();
    usual.writer(&[KEY]).end_with(b"data").code(0).does_not_say("less than most stores take");
}

#[test]
fn figures_count_live_objects_and_what_is_billed() {
    let lab = without_live_read();
    let data = bytes(9, PART + 9);
    let more = [&SOON[..], &["--stats", "figures"]].concat();
    let mut writer = writer(&lab, &more);
    writer.wait_for("no Live Read here");
    let reader = lab.reader(&[KEY, "--stats", "read"]);
    for some in data.chunks(1_000_000) {
        writer.write(some);
    }
    writer.end().code(0).says("2.0 times as much as came in").says("billed as");
    reader.wait().code(0).gave(&data);
    let last = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(lab.dir().join(name)).expect("the file");
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
    };
    let (figures, read) = (last("figures"), last("read"));
    let sent = figures["bytes_sent"].as_u64().expect("a number");
    assert!((2 * data.len() as u64..2 * data.len() as u64 + 20_000).contains(&sent), "{figures}");
    let billed = |figures: &serde_json::Value, name: &str| figures["requests"][name].as_u64().expect("a number");
    assert_eq!(billed(&figures, "billed_as_reads"), billed(&figures, "reads"));
    let all = ["uploads", "lists", "others"].map(|name| billed(&figures, name)).iter().sum::<u64>();
    assert_eq!(billed(&figures, "billed_as_writes") + billed(&figures, "free"), all);
    assert!(billed(&figures, "free") > 0 && billed(&read, "billed_as_reads") > 2, "{figures} {read}");
}
