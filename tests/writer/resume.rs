//! `writer --resume`: nothing lost, nothing twice, nothing changed that does not fit.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::support::lab::Lab;
use crate::support::run::{Run, assert_same, await_that};
use crate::support::{PART, bytes, s3};
use serde_json::json;
use sha2::{Digest, Sha256};

const KEY: &str = "live/stream.mp4";

/// `writer KEY --resume` with more arguments.
fn resume(lab: &Lab, args: &[&str]) -> Run {
    lab.writer(&[&[KEY, "--resume"], args].concat())
}

/// `writer KEY file --no-follow --resume` of a file with these bytes.
fn resume_file(lab: &Lab, data: &[u8]) -> Run {
    file(lab, data);
    resume(lab, &["file", "--no-follow"])
}

fn file(lab: &Lab, data: &[u8]) -> PathBuf {
    let path = lab.dir().join("file");
    fs::write(&path, data).expect("a file");
    path
}

/// An open upload that holds these parts of `data`, cut after so many bytes.
fn begin(lab: &Lab, data: &[u8], parts: &[(usize, usize)]) -> String {
    let id = lab.begin(KEY);
    for &(number, size) in parts {
        let start = (number - 1) * PART;
        lab.part(KEY, &id, i32::try_from(number).expect("small"), &data[start..start + size]);
    }
    id
}

/// Uploads that the store has confirmed so far.
fn uploads(lab: &Lab) -> u64 {
    lab.count(false, "UploadPart", "200")
}

#[track_caller]
fn assert_object(lab: &Lab, want: &[u8]) {
    let have = lab.object(KEY).expect("the object");
    assert_eq!(Sha256::digest(&have), Sha256::digest(want), "{} of {} bytes", have.len(), want.len());
    assert_eq!(lab.all_open(), vec![]);
}

#[track_caller]
fn assert_unchanged(lab: &Lab, id: &str, sizes: &[i64]) {
    assert_eq!(lab.open(KEY), [id]);
    assert_eq!(lab.parts(KEY, id), sizes);
    assert_eq!(lab.object(KEY), None);
}

#[test]
fn a_writer_killed_at_any_moment_goes_on_to_the_same_bytes() {
    let seed = std::env::var("RESUME_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let runs = std::env::var("RESUME_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(10);
    let mut random = fastrand::Rng::with_seed(seed);
    for run in 0..runs {
        let lab = Lab::new();
        let data = bytes(seed + run, 4 * PART + random.usize(0..2 * PART));
        let (mut written, path) = (0, file(&lab, b""));
        let mut growing = OpenOptions::new().append(true).open(&path).expect("the file");
        // Some parts come late, so that later ones are there before them.
        let slow = random.u32(1..5);
        lab.faults(&json!([{ "operation": "UploadPart", "parts": [slow, slow], "delay_ms": random.u64(0..300) }]));
        // Killed up to three times: after some bytes of the file, and some parts in the store.
        for again in 0..random.u32(1..=3) {
            let writer = lab.writer(&[&[KEY, "file", "-s", "5MB"], &["--resume"][..usize::from(again > 0)]].concat());
            let more = random.usize(0..=data.len() - written);
            growing.write_all(&data[written..written + more]).expect("write");
            written += more;
            let before = uploads(&lab);
            let goal = random.u64(0..=(more / PART) as u64);
            await_that("an upload", || !lab.all_open().is_empty());
            await_that("parts", || uploads(&lab) >= before + goal.min(1));
            if random.bool() {
                std::thread::sleep(std::time::Duration::from_millis(random.u64(0..30)));
            }
            drop(writer);
        }
        growing.write_all(&data[written..]).expect("write");
        let writer = resume(&lab, &["file", "-s", "5MB"]);
        // Following goes on: the request to stop takes all that the file holds.
        writer.wait_for("going on with the upload");
        writer.signal("INT");
        let outcome = writer.wait().code(0);
        let have = lab.object(KEY).expect("the object");
        assert!(have == data, "seed {seed}, run {run}: {} of {} bytes, {}", have.len(), data.len(), outcome.state());
        assert_eq!(lab.all_open(), vec![], "seed {seed}, run {run}");
    }
}

#[test]
fn only_what_is_missing_or_short_is_sent_again_and_the_part_size_is_the_uploads() {
    let lab = Lab::new();
    let data = bytes(1, 5 * PART + 1_000);
    begin(&lab, &data, &[(1, PART), (2, 700), (3, PART), (5, PART)]);
    let before = uploads(&lab);
    resume_file(&lab, &data).end().code(0).says("5000000 bytes").says("15000000 bytes");
    // Parts 2, 4 and 6.
    assert_eq!(uploads(&lab) - before, 3);
    assert_object(&lab, &data);
}

#[test]
fn a_followed_file_goes_on_to_be_followed() {
    let lab = Lab::new();
    let data = bytes(2, 3 * PART + 500);
    let id = begin(&lab, &data, &[(1, PART), (2, PART)]);
    let path = file(&lab, &data[..2 * PART + 100]);
    let writer = resume(&lab, &["file"]);
    writer.wait_for("going on with the upload");
    let mut growing = OpenOptions::new().append(true).open(&path).expect("the file");
    growing.write_all(&data[2 * PART + 100..]).expect("write");
    lab.wait_parts(KEY, &id, 3);
    writer.signal("INT");
    writer.wait().code(0);
    assert_object(&lab, &data);
}

#[test]
fn parts_behind_a_gap_that_the_file_does_not_reach_yet_are_replaced_when_it_does() {
    let lab = Lab::new();
    let data = bytes(3, 4 * PART);
    // As after a power cut that took the end of the file.
    let id = begin(&lab, &data, &[(1, PART), (4, PART)]);
    let path = file(&lab, &data[..PART + 100]);
    let cut = resume(&lab, &["file", "--no-follow"]).end().failed_with_one_message(&id).says("part 4");
    assert_eq!(lab.parts(KEY, &id).len(), 2, "{}", cut.state());
    let writer = resume(&lab, &["file"]);
    writer.wait_for("going on with the upload");
    let new = [&data[..PART + 100], &bytes(4, 3 * PART)].concat();
    let mut growing = OpenOptions::new().append(true).open(&path).expect("the file");
    growing.write_all(&new[PART + 100..]).expect("write");
    writer.signal("INT");
    writer.wait().code(0);
    assert_object(&lab, &new);
}

#[test]
fn a_full_part_with_other_bytes_is_refused_by_its_number() {
    let lab = Lab::new();
    let data = bytes(5, 3 * PART);
    let id = begin(&lab, &data, &[(1, PART), (2, PART), (3, 100)]);
    let mut other = data.clone();
    other[2 * PART - 1] ^= 1;
    let before = uploads(&lab);
    resume_file(&lab, &other).end().failed_with_one_message("s3://bucket/live/stream.mp4").says("part 2").says(&id);
    assert_eq!(uploads(&lab), before);
    assert_unchanged(&lab, &id, &[5_000_000, 5_000_000, 100]);
}

#[test]
fn a_file_shorter_than_the_upload_is_refused_by_the_part() {
    let data = bytes(6, 3 * PART);
    for (length, part) in [(2 * PART - 1, "part 2"), (2 * PART + 99, "part 3"), (0, "part 1")] {
        let lab = Lab::new();
        let id = begin(&lab, &data, &[(1, PART), (2, PART), (3, 100)]);
        resume_file(&lab, &data[..length])
            .end()
            .failed_with_one_message(&id)
            .says(part)
            .says("Nothing has been changed");
        assert_unchanged(&lab, &id, &[5_000_000, 5_000_000, 100]);
    }
}

#[test]
fn a_short_part_with_other_bytes_is_replaced_and_that_is_said() {
    let lab = Lab::new();
    let data = bytes(7, PART + 1_000);
    let id = begin(&lab, &data, &[(1, PART)]);
    lab.part(KEY, &id, 2, &bytes(8, 500));
    let outcome = resume_file(&lab, &data).end().code(0).says("part 2");
    assert_eq!(outcome.count("WARN"), 1, "{}", outcome.state());
    assert_object(&lab, &data);
}

#[test]
fn another_part_size_than_the_uploads_is_refused_by_both() {
    let lab = Lab::new();
    let data = bytes(9, 2 * PART);
    let id = begin(&lab, &data, &[(1, PART)]);
    file(&lab, &data);
    let refused = resume(&lab, &["file", "-s", "6MB"]).end().failed_with_one_message(&id);
    refused.says("5000000").says("6000000");
    assert_unchanged(&lab, &id, &[5_000_000]);
    resume(&lab, &["file", "--no-follow", "-s", "5MB"]).end().code(0);
    assert_object(&lab, &data);
}

#[test]
fn the_part_size_of_an_upload_without_live_read_is_that_of_its_parts() {
    let lab = Lab::new();
    let data = bytes(10, 3 * PART);
    let id = lab.begin_plain(KEY);
    lab.part(KEY, &id, 1, &data[..PART]);
    lab.part(KEY, &id, 2, &data[PART..PART + 100]);
    resume_file(&lab, &data).end().code(0).says("in parts of 5000000 bytes");
    assert_object(&lab, &data);
}

#[test]
fn a_part_size_that_nothing_tells_is_the_one_asked_for_and_that_is_said() {
    let data = bytes(11, 2 * PART);
    for (args, size) in [(&[][..], "5242880"), (&["-s", "6MB"], "6000000")] {
        let lab = Lab::new();
        let id = lab.begin_plain(KEY);
        lab.part(KEY, &id, 1, &data[..100]);
        file(&lab, &data);
        let outcome = resume(&lab, &[&["file", "--no-follow"], args].concat()).end().code(0).says(size);
        assert_eq!(outcome.count("WARN"), 2, "{}", outcome.state());
        assert_object(&lab, &data);
    }
}

#[test]
fn a_part_larger_than_the_part_size_asked_for_is_refused() {
    let lab = Lab::new();
    let data = bytes(12, 7_000_000);
    let id = lab.begin_plain(KEY);
    lab.part(KEY, &id, 1, &data);
    resume_file(&lab, &data).end().failed_with_one_message(&id).says("part 1").says("7000000").says("--part-size");
    assert_eq!(lab.open(KEY), [id]);
}

#[test]
fn with_no_upload_open_one_is_begun_and_that_is_said() {
    let lab = Lab::new();
    lab.begin("live/stream.mp4.old");
    resume(&lab, &[]).end_with(b"some bytes").code(0).says("no upload of s3://bucket/live/stream.mp4 is open");
    assert_same(&lab.object(KEY).expect("the object"), b"some bytes", "the object");
}

#[test]
fn the_newest_is_taken_unless_one_is_named() {
    let lab = Lab::new();
    let (old, new) = (begin(&lab, b"old", &[(1, 3)]), begin(&lab, b"new", &[(1, 3)]));
    resume(&lab, &[]).end_with(b" one").code(0).says(&new).says(&old);
    assert_same(&lab.object(KEY).expect("the object"), b"new one", "the object");
    resume(&lab, &["--upload-id", &old]).end_with(b" one").code(0);
    assert_eq!(lab.all_open(), vec![]);
    // It is over now; nothing is begun in its place.
    resume(&lab, &["--upload-id", &old]).end_with(b" one").failed_with_one_message(&old).says("is open");
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn a_key_that_may_not_list_is_told_to_name_the_upload() {
    let lab = Lab::new();
    let id = begin(&lab, b"held", &[(1, 4)]);
    lab.faults(&json!([{ "operation": "ListMultipartUploads", "status": 403, "code": "AccessDenied" }]));
    resume(&lab, &[]).end_with(b" more").failed_with_one_message(KEY).says("--upload-id");
    resume(&lab, &["--upload-id", &id]).end_with(b" more").code(0);
    assert_same(&lab.object(KEY).expect("the object"), b"held more", "the object");
}

#[test]
fn a_stream_goes_on_behind_a_short_part() {
    let lab = Lab::new();
    let data = bytes(13, 4 * PART + 10);
    begin(&lab, &data, &[(1, PART), (2, 2_000_000)]);
    // The part is read back in spite of an answer that breaks off and one that is refused.
    lab.faults(&json!([
        { "operation": "GetObject", "live": true, "skip": 1, "times": 1, "status": 503, "code": "SlowDown" },
        { "operation": "GetObject", "live": true, "skip": 2, "times": 1, "cut_after": 700_000 },
    ]));
    resume(&lab, &[]).end_with(&data[PART + 2_000_000..]).code(0);
    assert_object(&lab, &data);
}

#[test]
fn a_redirected_file_is_a_stream() {
    let lab = Lab::new();
    let data = bytes(14, 2 * PART);
    begin(&lab, &data, &[(1, PART)]);
    let rest = File::open(file(&lab, &data[PART..])).expect("the file");
    let writer = crate::support::run::Launch::writer(&lab, &[KEY, "--resume"]).stdin(rest).start();
    writer.wait().code(0);
    assert_object(&lab, &data);
}

#[test]
fn an_empty_stream_completes_what_is_held() {
    let data = bytes(15, 2 * PART);
    for parts in [&[(1, PART)][..], &[(1, PART), (2, 100)], &[(1, 100)]] {
        let lab = Lab::new();
        begin(&lab, &data, parts);
        let before = uploads(&lab);
        resume(&lab, &[]).end().code(0).says("is complete");
        assert_eq!(uploads(&lab), before);
        let (number, size) = parts[parts.len() - 1];
        assert_object(&lab, &data[..(number - 1) * PART + size]);
    }
}

#[test]
fn an_empty_stream_for_an_upload_that_holds_nothing_leaves_nothing() {
    let lab = Lab::new();
    lab.begin(KEY);
    resume(&lab, &["-s", "5MB"]).end().code(0).says("no input at all");
    assert_eq!((lab.object(KEY), lab.all_open()), (None, vec![]));
}

#[test]
fn a_stream_overwrites_what_was_behind_a_gap() {
    let lab = Lab::new();
    let data = bytes(16, 4 * PART + 5);
    let id = begin(&lab, &data, &[(1, PART)]);
    lab.part(KEY, &id, 3, &bytes(17, PART));
    lab.part(KEY, &id, 4, &bytes(18, 77));
    resume(&lab, &[]).end_with(&data[PART..]).code(0);
    assert_object(&lab, &data);
}

#[test]
fn what_was_behind_a_gap_is_not_readable_before_it_is_overwritten() {
    let lab = Lab::new();
    let data = bytes(24, 5 * PART + 5);
    let id = begin(&lab, &data, &[(1, PART)]);
    lab.part(KEY, &id, 4, &bytes(25, PART));
    let reader = lab.reader(&[KEY]);
    let mut writer = resume(&lab, &[]);
    writer.write(&data[PART..3 * PART]);
    await_that("part 3", || uploads(&lab) == 3);
    assert_eq!(lab.parts(KEY, &id).len(), 3, "part 2 waits");
    writer.write(&data[3 * PART..4 * PART]);
    lab.wait_parts(KEY, &id, 4);
    reader.wait_output(4 * PART);
    writer.end_with(&data[4 * PART..]).code(0);
    reader.wait().code(0).gave(&data);
    assert_object(&lab, &data);
}

#[test]
fn a_stream_may_end_within_the_last_part_that_it_overwrites() {
    let lab = Lab::new();
    let data = bytes(19, 2 * PART + 5);
    let id = begin(&lab, &data, &[(1, PART)]);
    lab.part(KEY, &id, 3, &bytes(20, PART));
    resume(&lab, &[]).end_with(&data[PART..]).code(0);
    assert_object(&lab, &data);
}

#[test]
fn a_stream_that_ends_before_what_was_behind_a_gap_fails_by_the_part_and_can_go_on() {
    let data = bytes(21, 5 * PART);
    for more in [0, 1_000, PART, 2 * PART] {
        let lab = Lab::new();
        let id = begin(&lab, &data, &[(1, PART), (4, PART)]);
        let outcome = resume(&lab, &[]).end_with(&data[PART..PART + more]).failed_with_one_message(&id);
        outcome.says("part 4").says("ends at byte 5000000").says("--resume").says("--abort");
        assert_eq!(lab.open(KEY), [id], "{more}");
        resume(&lab, &[]).end_with(&data[PART..]).code(0);
        assert_object(&lab, &data);
    }
}

#[test]
fn a_stream_cannot_go_on_behind_a_short_part_that_cannot_be_read() {
    let lab = Lab::new();
    let id = lab.begin_plain(KEY);
    lab.part(KEY, &id, 1, b"short");
    let outcome = resume(&lab, &[]).end_with(b"more").failed_with_one_message(&id);
    outcome.says("reading back part 1").says("FILE").says("--abort");
    assert_unchanged(&lab, &id, &[5]);
}

#[test]
fn resuming_waits_for_a_store_that_is_away() {
    let lab = Lab::new();
    let data = bytes(22, 2 * PART);
    begin(&lab, &data, &[(1, PART)]);
    lab.faults(&json!([
        { "operation": "ListMultipartUploads", "times": 2, "refuse": true },
        { "operation": "ListParts", "times": 2, "status": 500 },
        { "operation": "GetObject", "times": 1, "refuse": true },
    ]));
    resume_file(&lab, &data).end().code(0);
    assert_object(&lab, &data);
}

#[tokio::test]
async fn two_writers_in_a_row_make_one_object_that_readers_pinned() {
    let store = crate::support::Store::start();
    let client = store.client();
    let data = bytes(23, 2 * PART + 9);
    let id = s3::start(&client, KEY).await;
    s3::part(&client, KEY, &id, 1, &data[..PART]).await.expect("a part");
    let reader = crate::support::run::Launch::reader(&store, &[KEY]).start();
    reader.wait_output(PART);
    let mut writer = crate::support::run::Launch::writer(&store, &[KEY, "--resume"]).start();
    writer.write(&data[PART..]);
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
}
