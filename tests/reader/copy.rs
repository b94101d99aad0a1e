//! `reader` alone: what it finds, what it waits for, and how it ends.

use std::time::{Duration, Instant};

use crate::support::lab::Lab;
use crate::support::run::{Launch, await_that};
use crate::support::{PART, PUBLIC_BUCKET, bytes};

const KEY: &str = "live/stream.mp4";
const OBJECT: &str = "s3://bucket/live/stream.mp4";

#[test]
fn started_before_the_upload_it_waits_and_then_reads_it() {
    let lab = Lab::new();
    let data = bytes(1, PART + 5);
    let reader = lab.reader(&[KEY]);
    reader.wait_for("waiting for an upload of s3://bucket/live/stream.mp4 to begin");
    lab.wait_for_count_of_looks();
    let id = lab.begin(KEY);
    reader.wait_for(&id);
    let etags = [lab.part(KEY, &id, 1, &data[..PART]), lab.part(KEY, &id, 2, &data[PART..])];
    lab.complete(KEY, &id, &etags);
    reader.wait().code(0).gave(&data).says(&format!("{OBJECT} ended: {} bytes", data.len()));
}

#[test]
fn waiting_it_does_not_take_an_object_that_was_finished_before() {
    let lab = Lab::new();
    let (old, new) = (bytes(2, 1000), bytes(3, 1001));
    let id = lab.begin(KEY);
    let etag = lab.part(KEY, &id, 1, &old);
    lab.complete(KEY, &id, &[etag]);
    let reader = lab.reader(&[KEY]);
    reader.wait_for("waiting for an upload");
    let before = lab.count_all();
    await_that("a few looks", || lab.count_all() > before + 6);
    assert_eq!(reader.output().len(), 0, "{}", reader.messages());
    let id = lab.begin(KEY);
    reader.wait_for(&id);
    let etag = lab.part(KEY, &id, 1, &new);
    lab.complete(KEY, &id, &[etag]);
    reader.wait().code(0).gave(&new);
}

#[test]
fn an_upload_that_was_left_behind_hides_no_later_recording() {
    let lab = Lab::new();
    let dead = lab.ago(Duration::from_secs(3600), || lab.begin(KEY));
    lab.part(KEY, &dead, 1, &bytes(21, 1000));
    let data = bytes(22, 2000);
    lab.writer(&[KEY]).end_with(&data).code(0);
    lab.reader(&[KEY, "--no-wait"]).wait().code(0).gave(&data);
    let reader = lab.reader(&[KEY]);
    reader.wait_for(&format!("upload {dead} of {OBJECT} is open, but older than the finished object"));
    reader.wait_for("waiting for an upload");
    lab.writer(&[KEY]).end_with(b"new").code(0);
    reader.wait().code(0).gave(b"new");
}

#[test]
fn an_aborted_upload_is_a_failure_after_all_that_could_be_read() {
    for mode in ["range", "part"] {
        let lab = Lab::new();
        let data = bytes(4, PART + 500);
        let id = lab.begin(KEY);
        lab.part(KEY, &id, 1, &data[..PART]);
        lab.part(KEY, &id, 2, &data[PART..]);
        let reader = lab.reader(&[KEY, "--by", mode]);
        reader.wait_output(data.len());
        lab.abort(KEY, &id);
        reader.wait().failed_with_one_message(OBJECT).says("aborted").says(&id).gave(&data);
    }
}

#[test]
fn a_named_upload_is_read_although_there_is_a_newer_one() {
    let lab = Lab::new();
    let (old, new) = (bytes(5, 2000), bytes(6, 2001));
    let first = lab.begin(KEY);
    let second = lab.begin(KEY);
    let etag = lab.part(KEY, &first, 1, &old);
    lab.part(KEY, &second, 1, &new);
    let reader = lab.reader(&[KEY, "--upload-id", &first]);
    reader.wait_output(old.len());
    lab.complete(KEY, &first, &[etag]);
    reader.wait().code(0).gave(&old);
    // It is to be had by its name after its end as well.
    lab.reader(&[KEY, "--upload-id", &first]).wait().code(0).gave(&old);
}

#[test]
fn a_named_upload_that_is_not_there_is_a_failure_at_once() {
    let lab = Lab::new();
    lab.begin(KEY);
    lab.reader(&[KEY, "--upload-id", "no-such-upload"])
        .wait()
        .failed_with_one_message(OBJECT)
        .says("no upload no-such-upload")
        .gave(b"");
}

#[test]
fn without_waiting_an_open_upload_is_followed_to_its_end() {
    let lab = Lab::new();
    let data = bytes(7, 3000);
    lab.put(KEY, b"older");
    let id = lab.begin(KEY);
    let reader = lab.reader(&[KEY, "--no-wait"]);
    reader.wait_for(&id);
    let etag = lab.part(KEY, &id, 1, &data);
    reader.wait_output(data.len());
    lab.complete(KEY, &id, &[etag]);
    reader.wait().code(0).gave(&data);
}

#[test]
fn without_waiting_a_finished_live_upload_is_read() {
    let lab = Lab::new();
    let data = bytes(8, 2 * PART + 1);
    let id = lab.begin(KEY);
    let etags: Vec<String> =
        data.chunks(PART).zip(1..).map(|(part, number)| lab.part(KEY, &id, number, part)).collect();
    lab.complete(KEY, &id, &etags);
    for mode in ["range", "part"] {
        lab.reader(&[KEY, "--no-wait", "--by", mode]).wait().code(0).gave(&data);
    }
}

#[test]
fn without_waiting_an_object_that_was_put_at_once_is_read() {
    let lab = Lab::new();
    for size in [1, 999, 2 * PART + 17] {
        let data = bytes(9, size);
        lab.put(KEY, &data);
        for mode in ["range", "part"] {
            lab.reader(&[KEY, "--no-wait", "--by", mode]).wait().code(0).gave(&data);
        }
        lab.reader(&[KEY, "--no-wait", "--chunk-size", "1000000", "--queue-size", "2"]).wait().code(0).gave(&data);
    }
}

#[test]
fn without_waiting_an_empty_object_is_read() {
    let lab = Lab::new();
    lab.put(KEY, b"");
    for mode in ["range", "part"] {
        lab.reader(&[KEY, "--no-wait", "--by", mode]).wait().code(0).gave(b"").says("ended: 0 bytes");
    }
}

#[test]
fn without_waiting_nothing_at_all_is_a_failure() {
    let lab = Lab::new();
    lab.put("live/stream.mp4.bak", b"a neighbour");
    lab.begin("live/stream.mp4.new");
    lab.reader(&[KEY, "--no-wait"]).wait().failed_with_one_message(OBJECT).says("no open upload").gave(b"");
}

#[test]
fn a_time_limit_ends_the_wait_for_an_upload() {
    let lab = Lab::new();
    let began = Instant::now();
    lab.reader(&[KEY, "--timeout", "300ms"]).wait().failed_with_one_message(OBJECT).says("within 0.3 s").gave(b"");
    assert!(began.elapsed() >= Duration::from_millis(300), "it gave up too early, after {:?}", began.elapsed());
}

#[test]
fn a_time_limit_ends_the_wait_for_more_and_keeps_what_came() {
    let lab = Lab::new();
    let data = bytes(10, 1234);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    let reader = lab.reader(&[KEY, "copy", "--timeout", "400ms"]);
    reader.wait().failed_with_one_message(OBJECT).says("nothing new has come for 0.4 s").says(&id).gave(b"");
    assert_eq!(std::fs::read(lab.dir().join("copy")).expect("the copy"), data);
}

#[test]
fn anyone_reads_a_public_bucket_live_and_to_the_end() {
    for mode in ["range", "part"] {
        let lab = Lab::new();
        let data = bytes(12, 2 * PART + 3);
        let early = lab.reader(&[KEY, "--anon", "-b", PUBLIC_BUCKET, "--by", mode]);
        early.wait_for("waiting for an upload");
        let mut writer = lab.writer(&[KEY, "-b", PUBLIC_BUCKET, "-s", "5MB"]);
        writer.write(&data[..PART + 1]);
        early.wait_output(PART);
        let late = Launch::reader(&lab, &[KEY, "--anon", "-b", PUBLIC_BUCKET, "--by", mode, "--no-wait"])
            .no_env("AWS_ACCESS_KEY_ID")
            .no_env("AWS_SECRET_ACCESS_KEY")
            .start();
        late.wait_output(PART);
        writer.write(&data[PART + 1..]);
        writer.end().code(0);
        early.wait().code(0).gave(&data);
        late.wait().code(0).gave(&data);
    }
}

#[test]
fn a_public_bucket_with_a_finished_object_of_the_key_still_gives_the_new_upload() {
    let lab = Lab::new();
    let (old, new) = (bytes(13, 1000), bytes(14, 2000));
    lab.writer(&[KEY, "-b", PUBLIC_BUCKET]).end_with(&old).code(0);
    let reader = lab.reader(&[KEY, "--anon", "-b", PUBLIC_BUCKET]);
    reader.wait_for("waiting for an upload");
    let mut writer = lab.writer(&[KEY, "-b", PUBLIC_BUCKET]);
    writer.wait_for("uploading to");
    reader.wait_for("while it is written");
    writer.write(&new);
    writer.end().code(0);
    reader.wait().code(0).gave(&new);
}

#[test]
fn an_abort_in_a_public_bucket_is_told_without_a_list() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "-b", PUBLIC_BUCKET]);
    writer.wait_for("uploading to");
    let reader = lab.reader(&[KEY, "--anon", "-b", PUBLIC_BUCKET]);
    reader.wait_for("while it is written");
    writer.end().code(0).says("no input at all");
    reader.wait().failed_with_one_message("s3://public-bucket/live/stream.mp4").says("aborted").gave(b"");
}

#[test]
fn a_key_that_may_read_but_not_list_reads_to_the_end() {
    for mode in ["range", "part"] {
        let lab = Lab::with_args(&["--user", "reads:reads-secret:read"]);
        let data = bytes(15, PART + 3);
        let waiting = Launch::reader(&lab, &[KEY, "--by", mode]).key("reads", "reads-secret").start();
        waiting.wait_for("waiting for an upload");
        let id = lab.begin(KEY);
        waiting.wait_for("while it is written");
        let first = lab.part(KEY, &id, 1, &data[..PART]);
        let late = Launch::reader(&lab, &[KEY, "--by", mode]).key("reads", "reads-secret").start();
        for reader in [&waiting, &late] {
            reader.wait_output(PART);
        }
        let second = lab.part(KEY, &id, 2, &data[PART..]);
        lab.complete(KEY, &id, &[first, second]);
        waiting.wait().code(0).gave(&data);
        late.wait().code(0).gave(&data);
    }
}

#[test]
fn a_key_that_may_not_read_is_refused_at_once() {
    let lab = Lab::with_args(&["--user", "writes:writes-secret:write,list"]);
    Launch::reader(&lab, &[KEY])
        .key("writes", "writes-secret")
        .start()
        .wait()
        .failed_with_one_message(OBJECT)
        .says("403")
        .says("may do this in this bucket")
        .gave(b"");
}

#[test]
fn a_private_bucket_is_refused_to_anyone_at_once() {
    let lab = Lab::new();
    let run = lab.reader(&[KEY, "--anon"]).wait().failed_with_one_message(OBJECT).says("403").gave(b"");
    run.says("leave --anon out").does_not_say("AWS_ACCESS_KEY_ID");
}

#[test]
fn a_missing_bucket_is_a_failure_at_once() {
    let lab = Lab::new();
    let reader = lab.reader(&[KEY, "-b", "no-such-bucket"]).wait();
    reader
        .failed_with_one_message("s3://no-such-bucket/live/stream.mp4")
        .says("NoSuchBucket")
        .says("--bucket")
        .gave(b"");
}

#[test]
fn a_wrong_secret_is_a_failure_at_once() {
    let lab = Lab::new();
    let reader = Launch::reader(&lab, &[KEY]).key("local", "not-the-secret").start().wait();
    reader
        .failed_with_one_message(OBJECT)
        .says("SignatureDoesNotMatch")
        .says("Check AWS_SECRET_ACCESS_KEY")
        .does_not_say("not-the-secret");
}

#[test]
fn an_unknown_access_key_is_a_failure_at_once() {
    let lab = Lab::new();
    let reader = Launch::reader(&lab, &[KEY]).key("nobody", "local-secret").start().wait();
    reader.failed_with_one_message(OBJECT).says("InvalidAccessKeyId").says("Check AWS_ACCESS_KEY_ID");
}

#[test]
fn a_file_that_cannot_be_created_is_a_failure_before_any_request() {
    let lab = Lab::new();
    lab.reader(&[KEY, "no/such/directory/copy"]).wait().failed_with_one_message("no/such/directory/copy");
    lab.reader(&[KEY, "."]).wait().failed_with_one_message("irectory");
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn a_full_disk_is_a_failure_that_names_the_output() {
    let lab = Lab::new();
    lab.put(KEY, &bytes(16, 100_000));
    lab.reader(&[KEY, "/dev/full", "--no-wait"]).wait().failed_with_one_message("/dev/full").says("No space left");
}

#[test]
fn an_abort_after_some_bytes_is_told_without_a_list() {
    let lab = Lab::with_args(&["--user", "reads:reads-secret:read"]);
    let data = bytes(17, 1000);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    let reader = Launch::reader(&lab, &[KEY]).key("reads", "reads-secret").start();
    reader.wait_output(data.len());
    lab.abort(KEY, &id);
    reader.wait().failed_with_one_message(OBJECT).says("aborted").gave(&data);
}

#[test]
fn an_abort_before_the_first_byte_does_not_bring_up_an_older_object() {
    let lab = Lab::with_args(&["--user", "reads:reads-secret:read"]);
    for (access, secret) in [("reads", "reads-secret"), ("local", "local-secret")] {
        let key = format!("of-{access}");
        lab.put(&key, b"older");
        let reader = Launch::reader(&lab, &[&key]).key(access, secret).start();
        reader.wait_for("waiting for an upload");
        let id = lab.begin(&key);
        reader.wait_for("while it is written");
        lab.abort(&key, &id);
        reader.wait().failed_with_one_message(&key).says("aborted").gave(b"");
    }
}

#[test]
fn without_waiting_and_without_a_list_the_open_upload_wins_over_the_finished_object() {
    let lab = Lab::with_args(&["--user", "reads:reads-secret:read"]);
    for begun in [false, true] {
        let key = format!("begun-{begun}");
        let data = bytes(18, 1000);
        lab.put(&key, b"older");
        let id = lab.begin(&key);
        let mut etag = if begun { lab.part(&key, &id, 1, &data) } else { String::new() };
        let reader = Launch::reader(&lab, &[&key, "--no-wait"]).key("reads", "reads-secret").start();
        reader.wait_for("while it is written");
        if !begun {
            etag = lab.part(&key, &id, 1, &data);
        }
        reader.wait_output(data.len());
        lab.complete(&key, &id, &[etag]);
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn a_key_with_odd_letters_is_read_as_it_is() {
    let lab = Lab::new();
    for key in ["a b+c%20d&e=f?g#h", "ünï/日本 語.mp4", "//double//slash/", "quote'\"<>&amp;", "./../x", " x "] {
        let data = bytes(19, 100);
        let mut writer = lab.writer(&[key]);
        writer.wait_for("uploading to");
        let reader = lab.reader(&[key]);
        reader.wait_for("while it is written");
        writer.write(&data);
        writer.end().code(0);
        reader.wait().code(0).gave(&data);
        assert_eq!(lab.object(key).as_deref(), Some(&data[..]), "{key}");
    }
}

#[test]
fn anyone_reads_a_named_upload_of_a_public_bucket() {
    let lab = Lab::new();
    let data = bytes(20, 1000);
    let mut first = lab.writer(&[KEY, "-b", PUBLIC_BUCKET]);
    first.wait_for("upload id ");
    let messages = first.messages();
    let (_, id) = messages.lines().next().expect("a line").rsplit_once(' ').expect("an id");
    let reader = lab.reader(&[KEY, "-b", PUBLIC_BUCKET, "--anon", "--upload-id", id]);
    reader.wait_for("while it is written");
    lab.writer(&[KEY, "-b", PUBLIC_BUCKET]).end_with(b"newer").code(0);
    first.write(&data);
    first.end().code(0);
    reader.wait().code(0).gave(&data);
}

#[test]
fn temporary_credentials_that_ran_out_are_a_failure_that_says_so() {
    let lab = Lab::new();
    let rule = r#"[{"status": 400, "code": "ExpiredToken", "message": "The provided token has expired."}]"#;
    lab.faults(&serde_json::from_str(rule).expect("rules"));
    lab.reader(&[KEY, "--retry-timeout", "100ms"]).wait().failed_with_one_message(OBJECT).says("Renew the temporary");
}

#[test]
fn a_closed_standard_output_is_warned_of() {
    let lab = Lab::new();
    lab.put(KEY, b"data");
    let run = |output: &str| {
        let line = format!("exec '{}' {KEY} --no-wait {output}", env!("CARGO_BIN_EXE_reader"));
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &line]).envs(lab.env()).current_dir(lab.dir()).output().expect("a shell");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run(">&-").contains("standard output is closed"), "{}", run(">&-"));
    assert!(!run(">/dev/null").contains("standard output is closed"), "{}", run(">/dev/null"));
}
