//! What may come between a writer of live objects and its readers: answers that are lost, lines that are too narrow, keys with
//! few rights, somebody who takes a tenth of what comes, a second writer; and the pair on stores by others.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::independent::Independent;
use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same, await_that};
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, bytes};

const KEY: &str = "live/stream.mp4";
const WRITES: [&str; 5] = [KEY, "-s", "5000000", "--live", "objects"];
const READS: [&str; 3] = [KEY, "--live", "objects"];
const SOON: [&str; 2] = ["--max-latency", "100ms"];

fn lab(args: &[&str]) -> Lab {
    let lab = Lab::with_args(&[&["--no-live-read"], args].concat());
    lab.quirks(&["unversioned"]);
    lab
}

fn writer(lab: &Lab) -> Run {
    let writer = lab.writer(&[&WRITES[..], &SOON].concat());
    writer.wait_for("uploading to");
    writer
}

/// What lies in a bucket.
fn keys(lab: &Lab, bucket: &str) -> Vec<String> {
    let listed = lab.run(lab.client().list_objects_v2().bucket(bucket).send()).expect("a list");
    listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
}

fn is_whole_and_alone(lab: &Lab, data: &[u8]) {
    assert_same(&lab.object(KEY).expect("the object"), data, "the object");
    assert_eq!((keys(lab, BUCKET), lab.all_open()), (vec![KEY.to_owned()], vec![]));
}

#[test]
fn who_takes_a_tenth_of_what_comes_goes_over_the_end_and_misses_nothing() {
    let lab = lab(&[]);
    let data = bytes(1, 3 * PART);
    let mut slow = Launch::reader(&lab, &READS).leave_stdout().start();
    slow.wait_for("waiting for a recording");
    let mut stdout = slow.stdout.take().expect("its output");
    let mut writer = writer(&lab);
    let mut taken = vec![0; data.len() / 10];
    for part in data.chunks(data.len() / 10) {
        writer.write(part);
        let at = taken.len() / 10;
        stdout.read_exact(&mut taken[..at]).expect("a tenth");
    }
    // It is over, and all live objects are gone, before nine tenths of it were taken.
    writer.end().code(0);
    is_whole_and_alone(&lab, &data);
    let mut copy = Vec::new();
    stdout.read_to_end(&mut copy).expect("the rest");
    let before = data.len() - copy.len();
    assert!(before <= data.len() / 10 && copy == data[before..], "{before} bytes were taken before the end");
    slow.wait().code(0);
}

#[test]
fn live_objects_whose_answers_are_lost_or_that_land_late_are_read_once() {
    for effect in
        [json!({"lose_answer": true}), json!({"land_ms": 1_500}), json!({"status": 503}), json!({"refuse": true})]
    {
        let lab = lab(&[]);
        let mut rule = effect.clone();
        for (name, value) in [("operation", json!("PutObject")), ("skip", json!(3)), ("times", json!(4))] {
            rule[name] = value;
        }
        lab.faults(&json!([rule]));
        let data = bytes(2, 900_000);
        let reader = lab.reader(&READS);
        reader.wait_for("waiting for a recording");
        let stall = ["--stall-timeout", "300ms"];
        let mut writer = lab.writer(&[&WRITES[..], &SOON, &stall].concat());
        writer.wait_for("uploading to");
        for (number, some) in (1..).zip(data.chunks(100_000)) {
            writer.write(some);
            reader.wait_output(number * 100_000);
        }
        lab.wait_acted(0, 4);
        writer.end().code(0);
        reader.wait().code(0).gave(&data);
        is_whole_and_alone(&lab, &data);
    }
}

#[test]
fn a_line_that_is_too_narrow_for_twice_the_input_makes_it_later_and_no_larger() {
    let lab = lab(&[]);
    // Eight requests at once at the most: 3.2 MB/s for what needs 6.
    lab.faults(&json!([{"operation": "PutObject", "throttle_upload": 400_000}, {"operation": "UploadPart", "throttle_upload": 400_000}]));
    let data = bytes(3, 12_000_000);
    let reader = lab.reader(&READS);
    reader.wait_for("waiting for a recording");
    let mut writer = writer(&lab);
    let began = Instant::now();
    for (number, some) in (0..).zip(data.chunks(300_000)) {
        writer.write(some);
        let due = began + Duration::from_millis(100 * number);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert!(lab.object(KEY).is_none() && reader.output().len() < data.len(), "the line is not too narrow");
    let peak = writer.peak_memory();
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
    // Part buffers, and as many live objects as two of them.
    assert!(peak < 64 << 20, "{peak} bytes of memory");
}

#[test]
fn keys_that_may_not_list_are_enough() {
    let lab = lab(&["--user", "writes:w-secret:read,write", "--user", "reads:r-secret:read"]);
    lab.quirks(&["unversioned", "denied-missing"]);
    let data = bytes(4, 2 * PART + 5);
    let reader = Launch::reader(&lab, &READS).key("reads", "r-secret").start();
    reader.wait_for("waiting for a recording");
    let mut writer = Launch::writer(&lab, &[&WRITES[..], &SOON].concat()).key("writes", "w-secret").start();
    for end in [PART / 2, PART, data.len()] {
        let begin = reader.output().len();
        writer.write(&data[begin..end]);
        reader.wait_output(end);
    }
    let late = Launch::reader(&lab, &[KEY, "--no-wait"]).key("reads", "r-secret").start();
    late.wait_output(data.len());
    writer.end().code(0);
    for reader in [reader, late] {
        reader.wait().code(0).gave(&data);
    }
    is_whole_and_alone(&lab, &data);
}

#[test]
fn anybody_may_read_a_public_bucket_live() {
    let lab = lab(&[]);
    let data = bytes(5, 700_000);
    let public = ["-b", PUBLIC_BUCKET];
    let readers = [&[][..], &READS[1..]].map(|mode| lab.reader(&[&[KEY, "--anon"], &public, mode].concat()));
    readers[1].wait_for("waiting for a recording");
    let mut writer = lab.writer(&[&WRITES[..], &SOON, &public].concat());
    writer.write(&data[..400_000]);
    readers[1].wait_output(400_000);
    let late = lab.reader(&[&[KEY, "--anon", "--no-wait"], &public[..]].concat());
    late.wait_output(400_000);
    writer.end_with(&data[400_000..]).code(0);
    for reader in readers.into_iter().chain([late]) {
        reader.wait().code(0).gave(&data);
    }
    assert_eq!(keys(&lab, PUBLIC_BUCKET), [KEY]);
}

#[test]
fn two_writers_of_one_key_are_read_each_by_its_own_readers() {
    let lab = lab(&[]);
    let data = [bytes(6, 600_000), bytes(7, 800_000)];
    let mut pairs = Vec::new();
    let pointer = || lab.object(&format!("_live/{KEY}/now"));
    for data in &data {
        let before = pointer();
        let mut writer = writer(&lab);
        writer.write(&data[..200_000]);
        // The pointer leads to the one that began last.
        await_that("the pointer to it", || pointer().is_some_and(|now| Some(&now) != before.as_ref()));
        let reader = lab.reader(&[&READS[..], &["--no-wait"]].concat());
        reader.wait_output(200_000);
        pairs.push((writer, reader));
    }
    let (second, second_reader) = pairs.pop().expect("two");
    let (first, first_reader) = pairs.pop().expect("two");
    first.end_with(&data[0][200_000..]).code(0);
    first_reader.wait().code(0).gave(&data[0]);
    assert_same(&lab.object(KEY).expect("the object"), &data[0], "the object of the first");
    second.end_with(&data[1][200_000..]).code(0);
    second_reader.wait().code(0).gave(&data[1]);
    is_whole_and_alone(&lab, &data[1]);
}

/// The pair by live objects on a store of another make: live, to the end, and nothing is left.
fn is_live_on(store: &Independent) {
    // Other tests share the store.
    const KEY: &str = "races/stream.mp4";
    const READS: [&str; 3] = [KEY, "--live", "objects"];
    for latency in [&SOON[..], &[]] {
        let data = bytes(8, (5 << 20) + 777_777);
        let reader = store.reader(&READS).start();
        reader.wait_for("waiting for a recording");
        let mut writer = store.writer(&[&READS[..], latency].concat()).start();
        let first = if latency.is_empty() { 5 << 20 } else { 300_000 };
        writer.write(&data[..first]);
        reader.wait_output(first);
        writer.end_with(&data[first..]).code(0);
        reader.wait().code(0).gave(&data);
        let listed = store.client().list_objects_v2().bucket(BUCKET).prefix(format!("_live/{KEY}/"));
        let listed = store.runtime().block_on(async { listed.send().await.expect("a list") });
        let left: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(left, [""; 0]);
        let object = store.client().delete_object().bucket(BUCKET).key(KEY);
        store.runtime().block_on(async { object.send().await.expect("deleted") });
    }
}

#[test]
fn on_moto() {
    Independent::moto().iter().for_each(is_live_on);
}

#[test]
fn on_s3rver() {
    Independent::s3rver().iter().for_each(is_live_on);
}

#[test]
fn on_ceph() {
    Independent::ceph().iter().for_each(is_live_on);
}
