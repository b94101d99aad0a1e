//! `writer` and `reader` together: what goes into the one comes out of the other, while it is being written.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::lab::Lab;
use crate::support::media::camera;
use crate::support::run::{Launch, Run, assert_same, await_that};
use crate::support::{PART, bytes};

const KEY: &str = "live/stream.mp4";
const PART_SIZE: [&str; 2] = ["--part-size", "5000000"];

fn writer(lab: &Lab, key: &str) -> Run {
    lab.writer(&[&[key][..], &PART_SIZE].concat())
}

#[test]
fn a_real_time_ffmpeg_stream_is_read_while_it_is_written_and_arrives_byte_for_byte() {
    let lab = Lab::new();
    let mut writer = writer(&lab, KEY);
    let by_range = lab.reader(&[KEY]);
    let by_part = lab.reader(&[KEY, "--by", "part"]);

    let mut ffmpeg = camera(600);
    let (mut from, mut to) =
        (ffmpeg.stdout.take().expect("its output"), writer.stdin.take().expect("the writer's input"));
    let sent = Arc::<Mutex<Vec<u8>>>::default();
    let copy = Arc::clone(&sent);
    let pump = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = from.read(&mut buffer).expect("read from ffmpeg");
            if count == 0 {
                return;
            }
            copy.lock().expect("the copy").extend_from_slice(&buffer[..count]);
            to.write_all(&buffer[..count]).expect("write to the writer");
        }
    });

    by_range.wait_output(PART);
    by_part.wait_output(PART);
    let late = lab.reader(&[KEY]);
    late.wait_output(PART);
    assert_eq!(lab.open(KEY).len(), 1, "the upload was complete before the readers had anything");

    // The camera goes on until all of them are there.
    await_that("more than two parts", || sent.lock().expect("the copy").len() > 2 * PART);
    ffmpeg.kill().and_then(|()| ffmpeg.wait()).expect("ffmpeg");
    pump.join().expect("the pump");
    writer.end().code(0).says("is complete");
    let sent = sent.lock().expect("the copy").clone();
    for reader in [by_range, by_part, late] {
        let read = reader.wait().code(0).gave(&sent);
        assert_eq!((read.count("WARN"), read.count("ERROR")), (0, 0), "{}", read.state());
    }
    assert_same(&lab.object(KEY).expect("the object"), &sent, "the object");
}

/// Writes and reads `size` bytes in both modes, with readers that were there before and one that comes after.
fn round_trip(size: usize) {
    let lab = Lab::new();
    let data = bytes(size as u64, size);
    let early = [lab.reader(&[KEY]), lab.reader(&[KEY, "--by", "part"])];
    for reader in &early {
        reader.wait_for("waiting for an upload");
    }
    let mut writer = writer(&lab, KEY);
    writer.write(&data);
    for reader in &early {
        // The readers are on the upload before it ends, or they would wait for the next one.
        reader.wait_for("while it is written");
    }
    writer.end().code(0).gave(b"");
    for reader in early {
        reader.wait().code(0).gave(&data);
    }
    for mode in ["range", "part"] {
        lab.reader(&[KEY, "--no-wait", "--by", mode]).wait().code(0).gave(&data);
    }
}

#[test]
fn one_byte_makes_the_trip() {
    round_trip(1);
}

#[test]
fn a_byte_less_than_a_part_makes_the_trip() {
    round_trip(PART - 1);
}

#[test]
fn exactly_a_part_makes_the_trip() {
    round_trip(PART);
}

#[test]
fn a_byte_more_than_a_part_makes_the_trip() {
    round_trip(PART + 1);
}

#[test]
fn several_whole_parts_make_the_trip() {
    round_trip(4 * PART);
}

#[test]
fn several_parts_and_a_tail_make_the_trip() {
    round_trip(5 * PART + 123_456);
}

#[test]
fn no_byte_at_all_makes_no_object_and_no_upload_stays_open() {
    let lab = Lab::new();
    let writer = writer(&lab, KEY).end().code(0).gave(b"").says("no input at all");
    assert_eq!(writer.count("WARN"), 1, "{}", writer.state());
    assert_eq!(lab.all_open(), vec![]);
    assert_eq!(lab.object(KEY), None);
    lab.reader(&[KEY, "--no-wait"]).wait().failed_with_one_message("s3://bucket/live/stream.mp4").gave(b"");
}

#[test]
fn a_reader_on_an_upload_that_turns_out_empty_says_that_it_was_aborted() {
    let lab = Lab::new();
    let writer = writer(&lab, KEY);
    lab.wait_open(KEY);
    let reader = lab.reader(&[KEY]);
    lab.wait_for_edge();
    reader.wait_for("while it is written");
    writer.end().code(0);
    reader.wait().failed_with_one_message("s3://bucket/live/stream.mp4").says("aborted").gave(b"");
}

#[test]
fn chunks_of_any_size_and_queues_of_any_length_give_the_same_bytes() {
    let lab = Lab::new();
    let data = bytes(3, 3 * PART + 77);
    let mut writer = writer(&lab, KEY);
    let id = lab.wait_open(KEY);
    writer.write(&data[..2 * PART + 5]);
    lab.wait_parts(KEY, &id, 2);
    let options = [
        ["--chunk-size", "3000001", "--queue-size", "4"],
        ["--chunk-size", "5000000", "--queue-size", "1"],
        ["--chunk-size", "5000001", "--queue-size", "2"],
        ["--chunk-size", "7MB", "--queue-size", "8"],
        ["--chunk-size", "5GiB", "--queue-size", "1"],
        ["--chunk-size", "100kB", "--queue-size", "256"],
    ];
    let readers: Vec<Run> = options.iter().map(|options| lab.reader(&[&[KEY][..], options].concat())).collect();
    for reader in &readers {
        reader.wait_output(2 * PART);
    }
    writer.write(&data[2 * PART + 5..]);
    writer.end().code(0);
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn chunks_of_a_few_bytes_give_the_same_bytes() {
    let lab = Lab::new();
    let data = bytes(4, 300);
    let id = lab.begin(KEY);
    let readers: Vec<Run> =
        ["1", "7", "299", "300", "301"].iter().map(|size| lab.reader(&[KEY, "--chunk-size", size])).collect();
    for reader in &readers {
        reader.wait_for("while it is written");
    }
    let first = lab.part(KEY, &id, 1, &data);
    for reader in &readers {
        reader.wait_output(data.len());
    }
    lab.complete(KEY, &id, &[first]);
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn a_reader_stays_on_its_upload_when_a_newer_one_of_the_same_key_begins() {
    let lab = Lab::new();
    let (old, new) = (bytes(5, 2 * PART + 10), bytes(6, PART + 20));
    let mut first = writer(&lab, KEY);
    first.write(&old[..PART + 1]);
    let readers = [lab.reader(&[KEY]), lab.reader(&[KEY, "--by", "part"])];
    for reader in &readers {
        reader.wait_output(PART);
    }
    let mut second = writer(&lab, KEY);
    await_that("two open uploads", || lab.open(KEY).len() == 2);
    second.write(&new);
    let newest = lab.reader(&[KEY]);
    newest.wait_output(PART);
    second.end().code(0);
    first.write(&old[PART + 1..]);
    first.end().code(0);
    for reader in readers {
        reader.wait().code(0).gave(&old);
    }
    newest.wait().code(0).gave(&new);
}

#[test]
fn neighbours_whose_keys_begin_alike_are_other_objects() {
    let lab = Lab::new();
    let (mine, other) = (bytes(8, PART + 9), bytes(9, PART + 8));
    let spread = |key: &str| {
        let id = lab.begin(key);
        lab.part(key, &id, 1, &other[..PART]);
    };
    spread("my.mp4.bak");
    spread("my.mp");
    let reader = lab.reader(&["my.mp4"]);
    reader.wait_for("waiting for an upload");
    lab.wait_for_count_of_looks();
    assert_eq!(reader.output().len(), 0, "{}", reader.messages());
    let id = lab.begin("my.mp4");
    spread("my.mp4.bak");
    spread("my.mp4/part");
    let first = lab.part("my.mp4", &id, 1, &mine[..PART]);
    reader.wait_output(PART);
    let late = lab.reader(&["my.mp4"]);
    late.wait_output(PART);
    let second = lab.part("my.mp4", &id, 2, &mine[PART..]);
    lab.complete("my.mp4", &id, &[first, second]);
    reader.wait().code(0).gave(&mine);
    late.wait().code(0).gave(&mine);
}

#[test]
fn an_end_at_any_moment_loses_nothing() {
    let lab = Lab::new();
    // Answers that come late by a little, at random, so that the ends fall everywhere between two looks.
    let late = |operation: &str, seed: u32| serde_json::json!({ "operation": operation, "delay_ms": 7, "probability": 0.5, "seed": seed });
    lab.faults(&serde_json::json!([late("HeadObject", 1), late("GetObject", 2)]));
    for round in 0..16_usize {
        let key = format!("end-{round}");
        let data = bytes(round as u64, 1 + round * 1000);
        let id = lab.begin(&key);
        let mode = if round % 2 == 0 { "range" } else { "part" };
        let reader = lab.reader(&[&key, "--by", mode, "--poll-interval", "2ms"]);
        reader.wait_for("while it is written");
        std::thread::sleep(Duration::from_millis(round as u64));
        let etag = lab.part(&key, &id, 1, &data);
        lab.complete(&key, &id, &[etag]);
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn parts_that_arrive_out_of_order_are_read_in_order() {
    let lab = Lab::new();
    let data = bytes(12, 3 * PART);
    let id = lab.begin(KEY);
    let third = lab.part(KEY, &id, 3, &data[2 * PART..]);
    let second = lab.part(KEY, &id, 2, &data[PART..2 * PART]);
    let readers = [lab.reader(&[KEY]), lab.reader(&[KEY, "--by", "part"])];
    lab.wait_for_edge();
    for reader in &readers {
        reader.wait_for("while it is written");
        assert_eq!(reader.output().len(), 0, "{}", reader.messages());
    }
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    lab.complete(KEY, &id, &[first, second, third]);
    for reader in readers {
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn the_output_can_be_a_file() {
    let lab = Lab::new();
    let data = bytes(13, 2 * PART + 1);
    let path = lab.dir().join("copy.mp4");
    std::fs::write(&path, bytes(14, 3 * PART)).expect("an older file");
    let mut writer = writer(&lab, KEY);
    writer.write(&data);
    let reader = Launch::reader(&lab, &[KEY, "copy.mp4"]).start();
    reader.wait_for("while it is written");
    writer.end().code(0);
    reader.wait().code(0).gave(b"");
    assert_same(&std::fs::read(path).expect("the copy"), &data, "the copy");
}
