//! Accounts without Live Read, and `writer --check`, which tells them from others.

use crate::support::lab::Lab;
use crate::support::run::{Launch, Outcome, assert_same, await_that};
use crate::support::wire::answering;
use crate::support::{PART, bytes};

const KEY: &str = "live/stream.mp4";

fn without_live_read() -> Lab {
    Lab::with_args(&["--no-live-read", "--user", "reads:reads-secret:read"])
}

#[test]
fn the_writer_warns_in_plain_words_and_goes_on() {
    let lab = without_live_read();
    let data = bytes(1, PART + 1);
    let mut writer = lab.writer(&[KEY, "-s", "5000000", "--live", "b2"]);
    writer.wait_for("readers will see nothing before the upload is complete");
    writer.write(&data);
    let writer = writer.end().code(0).says("no Live Read on this account or bucket");
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (1, 0), "{}", writer.state());
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn the_writer_does_not_warn_where_live_read_is_on() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "--debug"]);
    writer.wait_for("Live Read is on");
    let writer = writer.end_with(b"data").code(0);
    assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
}

#[test]
fn an_upload_that_is_aborted_for_want_of_input_is_not_taken_for_one_without_live_read() {
    let lab = Lab::new();
    // The look at Live Read comes to the store after the abort, whose answer is lost so that the writer waits on.
    lab.faults(&serde_json::json!([
        { "operation": "GetObject", "delay_ms": 30 },
        { "operation": "AbortMultipartUpload", "lose_answer": true, "times": 1 },
    ]));
    let writer = lab.writer(&[KEY]).end().code(0).says("no input at all");
    writer.does_not_say("readers will see nothing");
}

#[test]
fn the_reader_warns_once_and_gives_everything_after_the_end() {
    for mode in ["range", "part"] {
        let lab = without_live_read();
        let data = bytes(2, 2 * PART + 7);
        let mut writer = lab.writer(&[KEY, "-s", "5000000", "--live", "b2"]);
        let id = lab.wait_open(KEY);
        writer.write(&data);
        lab.wait_parts(KEY, &id, 2);
        let reader = lab.reader(&[KEY, "--by", mode]);
        reader.wait_for("Nothing can be read before the upload is complete");
        // It asks by HEAD, and hardly ever by a live read.
        let heads = || lab.count(false, "HeadObject", "404");
        let (before, lives) = (heads(), lab.count(true, "GetObject", "404"));
        await_that("a few questions after the end", || heads() >= before + 10);
        assert!(lab.count(true, "GetObject", "404") <= lives + 1, "it goes on with live reads");
        assert_eq!(reader.output().len(), 0);
        writer.end().code(0);
        let reader = reader.wait().code(0).gave(&data).says("Live Read is not enabled for this account or bucket");
        assert_eq!((reader.count("WARN"), reader.count("ERROR")), (1, 0), "{}", reader.state());
    }
}

#[test]
fn a_reader_on_an_upload_that_was_started_without_live_read_warns_and_gives_everything_after_the_end() {
    let lab = Lab::new();
    let data = bytes(3, 1000);
    let id = lab.begin_plain(KEY);
    let reader = lab.reader(&[KEY]);
    reader.wait_for("it was started without Live Read");
    let etag = lab.part(KEY, &id, 1, &data);
    lab.complete(KEY, &id, &[etag]);
    reader.wait().code(0).gave(&data);
}

#[test]
fn a_finished_object_is_read_without_live_read() {
    let lab = without_live_read();
    let data = bytes(4, 1000);
    lab.writer(&[KEY]).end_with(&data).code(0);
    lab.reader(&[KEY, "--no-wait"]).wait().code(0).gave(&data);
    let reader = Launch::reader(&lab, &[KEY, "--no-wait"]).key("reads", "reads-secret").start();
    reader.wait().code(0).gave(&data);
}

/// A check of this lab with a look at what it leaves.
fn check(lab: &Lab, launch: Launch) -> Outcome {
    let run = launch.start().end().gave(b"");
    assert_eq!(lab.all_open(), vec![], "an upload was left behind by {}", run.state());
    run
}

fn checks(lab: &Lab, args: &[&str]) -> Outcome {
    check(lab, Launch::writer(lab, &[&["--check"], args].concat()))
}

#[test]
fn a_check_finds_everything_in_order() {
    let lab = Lab::new();
    for args in [&[][..], &[KEY]] {
        let run = checks(&lab, args).code(0);
        assert_eq!((run.count("WARN"), run.count("ERROR")), (0, 0), "{}", run.state());
        for what in ["endpoint", "clock", "credentials", "region", "bucket", "list", "write", "Live Read    on"] {
            assert!(run.err.contains(what), "nothing about {what} from {}", run.state());
        }
        assert_eq!(lab.count(false, "UploadPart", "200"), 0);
    }
}

#[test]
fn a_check_finds_live_read_off() {
    let lab = without_live_read();
    let run = checks(&lab, &["--live", "b2"]).code(1).says("off: readers see nothing before an upload is complete");
    assert_eq!(run.count("ERROR"), 1, "{}", run.state());
}

#[test]
fn a_check_finds_that_readers_can_follow_where_live_read_is_off() {
    let lab = without_live_read();
    let run = checks(&lab, &[KEY]).code(0).says("by live objects below s3://bucket/_live/live/stream.mp4/");
    assert_eq!((run.count("WARN"), run.count("ERROR")), (0, 0), "{}", run.state());
    run.says("where there is no Live Read").says("$0.009 on Amazon S3");
    assert_eq!(lab.keys(), Vec::<String>::new());
}

#[test]
fn a_check_finds_what_may_not_be_done_below_live() {
    let lab = without_live_read();
    for (operation, named, code) in [
        ("PutObject", "BAD  live         nothing can be written", 1),
        ("GetObject", "note live         nothing can be read", 0),
        ("DeleteObject", "BAD  live         nothing can be deleted", 1),
    ] {
        lab.faults(&serde_json::json!([{ "operation": operation, "live": false, "status": 403 }]));
        checks(&lab, &[]).code(code).says(named).says("--live-prefix").says("--live off");
    }
}

#[test]
fn a_check_of_a_key_without_room_for_the_names_of_live_objects_says_so() {
    let lab = without_live_read();
    checks(&lab, &[&"k".repeat(1_000)]).code(1).says("BAD  live         not at all").says("1024");
}

#[test]
fn a_check_finds_a_wrong_secret() {
    let lab = Lab::new();
    let run = check(&lab, Launch::writer(&lab, &["--check"]).key("local", "not-the-secret")).code(1);
    run.says("BAD  credentials").says("Check AWS_SECRET_ACCESS_KEY").does_not_say("not-the-secret");
}

#[test]
fn a_check_finds_an_unknown_key() {
    let lab = Lab::new();
    let run = check(&lab, Launch::writer(&lab, &["--check"]).key("nobody", "local-secret")).code(1);
    run.says("BAD  credentials").says("Check AWS_ACCESS_KEY_ID");
}

#[test]
fn a_check_finds_a_missing_bucket() {
    let lab = Lab::new();
    checks(&lab, &["-b", "no-such-bucket"]).code(1).says("BAD  bucket").says("no-such-bucket").says("--bucket");
}

#[test]
fn a_check_finds_a_key_that_may_not_list() {
    let lab = Lab::with_args(&["--user", "some:some-secret:read,write"]);
    let run = check(&lab, Launch::writer(&lab, &["--check"]).key("some", "some-secret")).code(0);
    run.says("may not list").says("Live Read    on");
}

#[test]
fn a_check_finds_a_key_that_may_not_write() {
    let lab = Lab::with_args(&["--user", "some:some-secret:read,list"]);
    let run = check(&lab, Launch::writer(&lab, &["--check"]).key("some", "some-secret")).code(1);
    run.says("BAD  write").says("403");
}

#[test]
fn a_check_finds_a_key_that_may_not_read() {
    let lab = Lab::with_args(&["--user", "some:some-secret:write,list"]);
    let run = check(&lab, Launch::writer(&lab, &["--check"]).key("some", "some-secret")).code(0);
    run.says("cannot tell").says("403");
}

#[test]
fn a_check_finds_an_open_upload_of_the_key_and_leaves_it_alone() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.writer(&["--check", KEY]).wait().code(0).says(&id);
    assert_eq!(lab.all_open(), [(KEY.to_owned(), id)]);
}

#[test]
fn a_check_of_a_store_that_is_not_there_is_quick() {
    let lab = Lab::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let check = checks(&lab, &["--endpoint-url", &format!("http://{nobody}")]).code(1).says("AWS_ENDPOINT_URL");
    check.does_not_say("Trying again");
}

#[test]
fn a_check_finds_a_clock_that_is_off() {
    let lab = Lab::new();
    let xml = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ndate: Sat, 01 Jan 2022 00:00:00 GMT\r\ncontent-type: application/xml\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{xml}",
        xml.len()
    );
    let past = answering(answer);
    let run = checks(&lab, &["--endpoint-url", &past]).code(1);
    run.says("BAD  clock").says("set this machine's clock");
    let writer = lab.writer(&[KEY, "--endpoint-url", &past]).wait();
    writer.failed_with_one_message("s3://bucket/live/stream.mp4").says("Set this machine's clock");
}
