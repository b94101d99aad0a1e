//! `writer --max-latency`: the tail part, sent before it is full and replaced by its longer self.

use std::time::Duration;

use crate::support::lab::Lab;
use crate::support::run::{Run, assert_same, await_that};
use crate::support::{PART, bytes};
use serde_json::{Value, json};

const KEY: &str = "live/stream.mp4";

fn writer(lab: &Lab, more: &[&str]) -> Run {
    lab.writer(&[&[KEY, "-s", "5000000", "--max-latency", "100ms"], more].concat())
}

/// The uploads of parts of KEY that the store took, in the order in which they came: number and size.
fn taken(lab: &Lab) -> Vec<(u64, u64)> {
    puts(lab)
        .iter()
        .map(|line| (line["part_number"].as_u64().unwrap_or(0), line["bytes_in"].as_u64().unwrap_or(0)))
        .collect()
}

fn puts(lab: &Lab) -> Vec<Value> {
    let ours = |line: &Value| line["operation"] == "UploadPart" && line["key"] == KEY && line["status"] == 200;
    lab.request_log().into_iter().filter(ours).collect()
}

/// No version of a part was sent before the one before it was answered, and none is shorter.
fn assert_in_order(lab: &Lab) {
    let puts = puts(lab);
    for number in 1..=3 {
        let of_part: Vec<_> = puts.iter().filter(|put| put["part_number"] == number).collect();
        for pair in of_part.windows(2) {
            let ended =
                pair[0]["time_ms"].as_f64().expect("a time") + pair[0]["duration_ms"].as_f64().expect("a duration");
            assert!(pair[1]["time_ms"].as_f64().expect("a time") >= ended.floor() - 1.0, "{pair:?}");
            assert!(pair[1]["bytes_in"].as_u64() >= pair[0]["bytes_in"].as_u64(), "{pair:?}");
        }
    }
}

#[test]
fn bytes_can_be_read_long_before_their_part_is_full() {
    for mode in ["range", "part"] {
        let lab = Lab::new();
        let data = bytes(1, 2 * PART + 700_000);
        let mut writer = writer(&lab, &[]);
        let reader = lab.reader(&[KEY, "--by", mode]);
        let mut fed = 0;
        // Ends inside parts, on their edge and just behind it.
        for end in [1, 100_000, 3 * PART / 2, 2 * PART - 1, 2 * PART, 2 * PART + 1, data.len()] {
            writer.write(&data[fed..end]);
            reader.wait_output(end);
            fed = end;
        }
        let writer = writer.end().code(0).says("times as much");
        assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
        reader.wait().code(0).gave(&data);
        assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
        assert_in_order(&lab);
        // All that there was had been sent before the end: nothing is sent twice.
        let sizes = taken(&lab);
        assert_eq!(sizes.last(), Some(&(3, 700_000)), "{sizes:?}");
        assert_eq!(sizes.iter().filter(|part| **part == (3, 700_000)).count(), 1, "{sizes:?}");
        // The throw-away upload is gone.
        assert_eq!(lab.all_open(), vec![]);
    }
}

#[test]
fn a_full_part_waits_for_the_answer_to_its_shorter_version() {
    let lab = Lab::new();
    let data = bytes(2, 2 * PART + 99);
    let slow =
        json!([{ "operation": "UploadPart", "key": KEY, "parts": [1, 1], "throttle_upload": 200_000, "times": 1 }]);
    lab.faults(&slow);
    let mut writer = writer(&lab, &["--debug"]);
    writer.write(&data[..150_000]);
    writer.wait_for("sending the tail so far");
    let writer = writer.end_with(&data[150_000..]).code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    // The short one was taken, or refused because a higher part was there before it: either way it is answered first.
    let tried: Vec<_> = lab
        .request_log()
        .into_iter()
        .filter(|line| line["operation"] == "UploadPart" && line["key"] == KEY && line["part_number"] == 1)
        .map(|line| line["bytes_in"].as_u64())
        .collect();
    assert_eq!((tried.len(), tried.last()), (2, Some(&Some(PART as u64))), "{tried:?}");
    assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
}

#[test]
fn a_store_that_refuses_to_replace_the_tail_gets_full_parts_only() {
    let lab = Lab::with_args(&["--no-tail-replace"]);
    let data = bytes(3, PART + 5);
    let mut writer = writer(&lab, &[]);
    writer.write(&data[..1000]);
    writer.wait_for("only full parts are sent");
    let writer = writer.end_with(&data[1000..]).code(0);
    assert_eq!(writer.count("WARN"), 1, "{}", writer.state());
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    let mut sizes = taken(&lab);
    sizes.sort_unstable();
    assert_eq!(sizes, vec![(1, PART as u64), (2, 5)]);
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn without_live_read_no_tail_is_sent() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let mut writer = writer(&lab, &[]);
    writer.write(b"something");
    writer.wait_for("no Live Read");
    await_that("the end of the probe", || {
        lab.count(false, "AbortMultipartUpload", "204") + lab.count(true, "AbortMultipartUpload", "204") == 1
    });
    writer.write(b", and more");
    writer.end().code(0);
    assert_eq!(taken(&lab), vec![(1, 19)]);
}

#[test]
fn the_throw_away_uploads_are_aborted_whenever_the_writer_is_stopped() {
    for (args, held) in [(&[KEY, "--check"][..], "GetObject"), (&[KEY, "--max-latency", "1s"], "UploadPart")] {
        let lab = Lab::new();
        lab.faults(&json!([
            { "operation": held, "hold": true },
            { "operation": "AbortMultipartUpload", "status": 503, "times": 1 },
        ]));
        let mut writer = lab.writer(args);
        writer.feed(b"something".to_vec());
        lab.wait_acted(0, 1);
        // With --max-latency the part that is held may be one of the input, which goes beside the trial.
        await_that("a throw-away upload", || lab.all_open().iter().any(|(key, _)| key.contains("check-")));
        writer.signal("TERM");
        if args.len() > 2 {
            writer.wait_for("Once more ends at once");
            writer.signal("TERM");
        }
        let writer = writer.wait().code(143);
        let left: Vec<_> = lab.all_open().into_iter().filter(|(key, _)| key != KEY).collect();
        assert_eq!(left, vec![], "{}", writer.state());
    }
}

#[test]
fn a_tail_whose_answer_was_lost_is_looked_at_after_its_longer_version() {
    let lab = Lab::new();
    let data = bytes(4, PART + 5);
    lab.faults(&json!([{ "operation": "UploadPart", "key": KEY, "lose_answer": true, "times": 1 }]));
    let mut writer = writer(&lab, &[]);
    let reader = lab.reader(&[KEY]);
    writer.write(&data[..1000]);
    reader.wait_output(1000);
    writer.end_with(&data[1000..]).code(0);
    reader.wait().code(0).gave(&data);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    assert!(lab.count(false, "ListParts", "200") > 0, "{}", lab.requests());
}

#[test]
fn tails_that_fail_cost_nothing_but_time() {
    for fault in [json!({ "status": 503, "code": "SlowDown" }), json!({ "status": 500 }), json!({ "refuse": true })] {
        let lab = Lab::new();
        let data = bytes(5, 2 * PART + 5);
        let mut rule = json!({ "operation": "UploadPart", "key": KEY, "probability": 0.5, "seed": 5, "times": 6 });
        rule.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        lab.faults(&json!([rule]));
        let mut writer = writer(&lab, &[]);
        let reader = lab.reader(&[KEY]);
        for piece in data.chunks(800_000) {
            writer.write(piece);
            std::thread::sleep(Duration::from_millis(120));
        }
        writer.end().code(0);
        reader.wait().code(0).gave(&data);
        assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
        assert_in_order(&lab);
    }
}

#[test]
fn the_amplification_is_kept_and_told() {
    let lab = Lab::new();
    let mut writer = writer(&lab, &["--max-amplification", "2.5"]);
    for piece in bytes(6, 600_000).chunks(20_000) {
        writer.write(piece);
        std::thread::sleep(Duration::from_millis(50));
    }
    let writer = writer.end().code(0).says("as came in");
    let sent: u64 = taken(&lab).iter().map(|(_, size)| size).sum();
    assert!(sent > 600_000 && sent <= 1_500_000, "{sent} {}", writer.state());
}

#[test]
fn a_killed_writer_goes_on_behind_its_tail() {
    let lab = Lab::new();
    let data = bytes(7, PART + 3_000_000);
    let mut killed = writer(&lab, &[]);
    let reader = lab.reader(&[KEY]);
    killed.write(&data[..PART + 1_000_000]);
    reader.wait_output(PART + 1_000_000);
    killed.signal("KILL");
    killed.wait();
    let mut resumed = writer(&lab, &["--resume"]);
    resumed.write(&data[PART + 1_000_000..PART + 2_000_000]);
    reader.wait_output(PART + 2_000_000);
    resumed.end_with(&data[PART + 2_000_000..]).code(0);
    reader.wait().code(0).gave(&data);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn objects_of_a_rollover_have_tails_too() {
    let lab = Lab::new();
    let data = bytes(8, 3 * PART + 1_000_000);
    let mut writer = writer(&lab, &["--rollover", "10MB"]);
    let reader = lab.reader(&[KEY, "--follow-rollover"]);
    let mut fed = 0;
    for end in [500_000, PART + 500_000, 2 * PART + 500_000, data.len()] {
        writer.write(&data[fed..end]);
        reader.wait_output(end);
        fed = end;
    }
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
}

#[test]
fn what_cannot_be_is_wrong_usage() {
    for args in [
        &["--max-latency", "10ms"][..],
        &["--max-amplification", "4"],
        &["--max-latency", "1s", "--max-amplification", "1"],
        &["--max-latency", "1s", "--max-amplification", "much"],
    ] {
        let lab = Lab::new();
        lab.writer(&[&[KEY], args].concat()).end().code(2);
    }
}
