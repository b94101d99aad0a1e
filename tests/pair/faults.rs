//! A network and a store that misbehave: the bytes come out right all the same, or one message says why not.

use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same, await_that};
use crate::support::{PART, bytes};
use serde_json::{Value, json};

const KEY: &str = "live/stream.mp4";
const OBJECT: &str = "s3://bucket/live/stream.mp4";

/// Reads a live upload of three parts and a bit under these faults, in both modes.
fn reads_under(faults: &Value, strikes: impl Fn(&Lab) -> bool) {
    for mode in ["range", "part"] {
        let lab = Lab::new();
        let data = bytes(1, 3 * PART + 4321);
        let id = lab.begin(KEY);
        let mut etags: Vec<String> =
            data[..2 * PART].chunks(PART).zip(1..).map(|(part, number)| lab.part(KEY, &id, number, part)).collect();
        lab.faults(faults);
        let reader = lab.reader(&[KEY, "--by", mode, "--chunk-size", "2000000"]);
        reader.wait_output(2 * PART);
        etags.push(lab.part(KEY, &id, 3, &data[2 * PART..3 * PART]));
        reader.wait_output(3 * PART);
        etags.push(lab.part(KEY, &id, 4, &data[3 * PART..]));
        lab.complete(KEY, &id, &etags);
        let reader = reader.wait().code(0).gave(&data);
        assert!(strikes(&lab), "the fault did not strike {}", reader.state());
    }
}

/// Writes three parts and a bit under these faults.
fn writes_under(faults: &Value) -> Lab {
    let lab = Lab::new();
    let data = bytes(2, 3 * PART + 1234);
    lab.faults(faults);
    lab.writer(&[KEY, "-s", "5000000"]).end_with(&data).code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
    assert_eq!(lab.all_open(), vec![]);
    lab
}

#[test]
fn a_connection_cut_in_the_middle_of_a_body_goes_on_from_the_last_byte() {
    let lab = Lab::new();
    let data = bytes(3, PART);
    let id = lab.begin(KEY);
    let etag = lab.part(KEY, &id, 1, &data);
    lab.complete(KEY, &id, &[etag]);
    for mode in ["range", "part"] {
        lab.clear_requests();
        lab.faults(&json!([{ "operation": "GetObject", "cut_after": 1_234_567, "skip": 1, "times": 3 }]));
        lab.reader(&[KEY, "--no-wait", "--by", mode]).wait().code(0).gave(&data);
        // Nothing is asked for twice: the store has sent the object once, and what was on its way when it was cut.
        let sent = lab.requests()["bytes_out"].as_u64().expect("a number");
        assert!(sent < 2 * PART as u64, "{sent} bytes were sent for {PART}");
    }
}

#[test]
fn connections_that_keep_being_cut_still_bring_everything() {
    let rule = json!([{ "operation": "GetObject", "cut_after": 700_001, "probability": 0.7, "seed": 3 }]);
    reads_under(&rule, |lab| lab.request_log().iter().filter(|line| line["bytes_out"] == 700_001).count() > 3);
}

#[test]
fn reads_that_fail_at_random_still_bring_everything() {
    let rule = |status: u16, seed: u32| json!({ "operation": "GetObject", "status": status, "probability": 0.15, "times": 8, "seed": seed });
    reads_under(&json!([rule(500, 1), rule(502, 2), rule(504, 3)]), |lab| lab.count(true, "GetObject", "500") > 0);
}

#[test]
fn a_store_that_is_busy_is_asked_again() {
    let rules =
        json!([{ "operation": "GetObject", "live": true, "status": 503, "code": "SlowDown", "skip": 3, "times": 2 }]);
    reads_under(&rules, |lab| lab.count(true, "GetObject", "503") == 2);
}

#[test]
fn answers_that_are_lost_still_bring_everything() {
    let rules = json!([
        { "operation": "GetObject", "lose_answer": true, "probability": 0.2, "times": 5, "seed": 4 },
        { "operation": "HeadObject", "lose_answer": true, "times": 2 },
        { "operation": "ListMultipartUploads", "refuse": true, "times": 2 },
    ]);
    reads_under(&rules, |lab| lab.count(true, "GetObject", "lost") > 0);
}

#[test]
fn answers_that_come_late_still_bring_everything() {
    let rules = json!([{ "operation": "GetObject", "delay_ms": 120, "probability": 0.5, "seed": 5 }]);
    reads_under(&rules, |_| true);
}

#[test]
fn parts_that_fail_are_sent_again() {
    let lab = writes_under(&json!([
        { "operation": "UploadPart", "parts": [1, 1], "status": 500, "times": 2 },
        { "operation": "UploadPart", "parts": [2, 2], "refuse": true, "times": 2 },
        { "operation": "UploadPart", "parts": [4, 4], "status": 503, "times": 1 },
    ]));
    let failed = ["500", "lost", "503"].map(|status| lab.count(false, "UploadPart", status));
    assert_eq!(failed, [2, 2, 1]);
}

#[test]
fn parts_whose_answers_are_lost_are_in_the_object_once() {
    let lab = writes_under(&json!([{ "operation": "UploadPart", "lose_answer": true, "times": 3 }]));
    assert_eq!(lab.count(false, "UploadPart", "lost"), 3);
}

#[test]
fn a_completion_whose_answer_is_lost_is_a_completion() {
    let lab = writes_under(&json!([{ "operation": "CompleteMultipartUpload", "lose_answer": true, "times": 1 }]));
    assert_eq!(lab.count(false, "CompleteMultipartUpload", "lost"), 1);
}

#[test]
fn a_completion_with_an_unclear_answer_is_looked_up_before_it_is_tried_again() {
    let failed = json!({ "status": 200, "code": "InternalError" });
    // What comes back, and how many completions it takes: only one that was not done is sent again.
    for (fault, completions) in [
        (failed.clone(), 2),
        (json!({ "status": 200, "code": "InternalError", "after_work": true }), 1),
        (json!({ "status": 409, "code": "OperationAborted" }), 2),
        (json!({ "truncate": 100 }), 1),
        (json!({ "cut_after": 100 }), 1),
    ] {
        let mut rule = json!({ "operation": "CompleteMultipartUpload", "times": 1 });
        rule.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        let lab = writes_under(&json!([rule]));
        let log = lab.request_log();
        let sent = log.iter().filter(|line| line["operation"] == "CompleteMultipartUpload").count();
        assert_eq!(sent, completions, "{fault}");
    }
}

#[test]
fn a_start_and_an_end_that_fail_at_first_are_tried_again() {
    let lab = writes_under(&json!([
        { "operation": "CreateMultipartUpload", "status": 500, "times": 1 },
        { "operation": "CompleteMultipartUpload", "status": 500, "times": 1 },
        { "operation": "GetObject", "live": true, "status": 500, "times": 1 },
    ]));
    // The start carries the Live Read header.
    let (start, end) = ((true, "CreateMultipartUpload"), (false, "CompleteMultipartUpload"));
    assert_eq!([start, end].map(|(live, name)| lab.count(live, name, "500")), [1, 1]);
}

#[test]
fn trouble_is_mentioned_once_and_so_is_its_end() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "status": 500, "times": 3 }]));
    let writer = lab.writer(&[KEY]).end_with(b"data").code(0).says("uploading part 1").says("answers again");
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (1, 0), "{}", writer.state());
}

#[test]
fn trouble_that_does_not_end_is_a_failure_after_the_time_that_is_given() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "status": 500 }]));
    let writer = lab.writer(&[KEY, "--retry-timeout", "400ms"]);
    let id = lab.wait_open(KEY);
    writer.end_with(b"data").failed_with_one_message(OBJECT).says("uploading part 1").says("500").says(&id);
    assert_eq!(lab.open(KEY), std::slice::from_ref(&id));
    lab.faults(&json!([{ "operation": "GetObject", "status": 500 }]));
    let reader = lab.reader(&[KEY, "--upload-id", &id, "--retry-timeout", "400ms"]).wait();
    reader.failed_with_one_message(OBJECT).says("500").gave(b"");
}

#[test]
fn a_daily_cap_is_waited_for_and_not_taken_for_a_wrong_key() {
    let lab = Lab::new();
    let cap = "Transaction cap exceeded.";
    lab.faults(&json!([{ "operation": "UploadPart", "status": 403, "code": "AccessDenied", "message": cap }]));
    let mut writer = lab.writer(&[KEY]);
    writer.feed(b"data".to_vec());
    writer.wait_for(cap);
    writer.wait_for("daily cap");
    assert!(writer.is_running(), "{}", writer.messages());
}

#[test]
fn a_refusal_in_mid_upload_is_tried_again_because_the_key_was_allowed_before() {
    let lab = writes_under(&json!([
        { "operation": "UploadPart", "parts": [2, 3], "status": 403, "code": "AccessDenied", "times": 2 },
    ]));
    assert_eq!(lab.count(false, "UploadPart", "403"), 2);
}

#[test]
fn a_store_that_restarts_is_written_to_and_read_from_as_if_nothing_had_been() {
    let mut store = crate::support::Store::start();
    let data = bytes(4, 3 * PART + 5);
    let mut writer = Launch::writer(&store, &[KEY, "-s", "5000000"]).start();
    writer.wait_for("uploading to");
    let reader = Launch::reader(&store, &[KEY]).start();
    writer.write(&data[..2 * PART]);
    reader.wait_output(2 * PART);
    store.kill();
    writer.write(&data[2 * PART..]);
    writer.wait_for("Trying again");
    reader.wait_for("Trying again");
    store.restart();
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
}

#[test]
fn no_secret_is_told_at_any_level() {
    let lab = Lab::with_args(&["--user", "tells:Zu9+secret/with=signs:read,write,list"]);
    let secret = "Zu9+secret/with=signs";
    lab.faults(&json!([{ "operation": "UploadPart", "status": 500, "times": 1 }]));
    let data = bytes(5, 1000);
    for level in ["text", "json"] {
        let talk = ["--debug", "--debug-sdk", "--log-format", level];
        for filter in [None, Some("trace")] {
            let make = |tool: fn(&crate::support::Store, &[&str]) -> Launch, args: &[&str]| {
                let launch = tool(&lab, &[args, &talk].concat()).key("tells", secret);
                let launch = launch.env("AWS_SESSION_TOKEN", "token-that-nobody-may-see");
                match filter {
                    Some(filter) => launch.env("RUST_LOG", filter),
                    None => launch,
                }
            };
            let writer = make(Launch::writer, &[KEY]).start().end_with(&data).code(0);
            let reader = make(Launch::reader, &[KEY, "--no-wait"]).start().wait().code(0).gave(&data);
            for run in [&writer, &reader] {
                assert!(run.err.len() > 1000, "there is nothing to search: {}", run.state());
                assert!(!run.err.contains(secret), "the secret is told by {}", run.words());
                assert!(!run.err.contains("token-that"), "the token is told by {}", run.words());
                let escaped = secret.replace('/', "\\/");
                assert!(!run.err.contains(&escaped), "the secret is told by {}", run.words());
            }
        }
    }
}

#[test]
fn a_reader_that_was_waiting_when_the_store_went_away_goes_on() {
    let mut store = crate::support::Store::start();
    let reader = Launch::reader(&store, &[KEY]).start();
    reader.wait_for("waiting for an upload");
    store.kill();
    reader.wait_for("Trying again");
    store.restart();
    reader.wait_for("answers again");
    let writer = Launch::writer(&store, &[KEY]).start();
    writer.wait_for("uploading to");
    reader.wait_for("while it is written");
    writer.end_with(b"data").code(0);
    reader.wait().code(0).gave(b"data");
}

#[test]
fn an_upload_that_is_aborted_under_the_writer_is_a_failure() {
    let lab = Lab::new();
    let mut writer = lab.writer(&[KEY, "-s", "5000000"]);
    let id = lab.wait_open(KEY);
    writer.write(&bytes(6, PART));
    lab.wait_parts(KEY, &id, 1);
    lab.abort(KEY, &id);
    writer.feed(bytes(7, PART));
    await_that("the refusal", || lab.count(false, "UploadPart", "404") > 0);
    let writer = writer.wait().failed_with_one_message(OBJECT).says("NoSuchUpload").says(&id);
    let writer = writer.says("has aborted the upload").says("nothing of it is left");
    writer.does_not_say("readable").does_not_say("left open").does_not_say("--resume");
}

#[test]
fn an_upload_that_is_completed_under_the_writer_is_a_failure_that_tells_the_object() {
    let lab = Lab::new();
    let mut writer = lab.writer(&[KEY, "-s", "5000000"]);
    let id = lab.wait_open(KEY);
    let data = bytes(6, PART);
    writer.write(&data);
    lab.wait_parts(KEY, &id, 1);
    let etag = lab.part(KEY, &id, 1, &data);
    lab.complete(KEY, &id, &[etag]);
    writer.feed(bytes(7, PART));
    let writer = writer.wait().failed_with_one_message(OBJECT).says("NoSuchUpload").says(&id);
    let writer = writer.says("has completed the upload").says("an object of 5000000 bytes");
    writer.does_not_say("left open").does_not_say("--resume");
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}
