//! One input into several objects, and several objects into one output.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::lab::Lab;
use support::run::{Launch, assert_same, await_that};
use support::{PART, bytes};

const KEY: &str = "live/match.mp4";
const PART_SIZE: [&str; 2] = ["--part-size", "5000000"];

/// The key of the `number`th object.
fn key(number: usize) -> String {
    if number == 1 { KEY.to_owned() } else { format!("live/match-{number:04}.mp4") }
}

/// All objects, in order.
fn objects(lab: &Lab) -> Vec<Vec<u8>> {
    (1..).map_while(|number| lab.object(&key(number))).collect()
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[KEY][..], &PART_SIZE, more].concat()
}

#[test]
fn plain_bytes_are_cut_at_a_part_before_the_size_would_be_passed() {
    let lab = Lab::new();
    let data = bytes(1, 4 * PART + 7);
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    live.wait_for("waiting for an upload");
    let mut writer = lab.writer(&args(&["--rollover", "12MB"]));
    writer.write(&data[..PART]);
    live.wait_output(PART);
    writer.write(&data[PART..]);
    writer.end().code(0).gave(b"").says("going on in s3://bucket/live/match-0002.mp4").says("3 objects");
    let sizes: Vec<usize> = objects(&lab).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2 * PART, 2 * PART, 7]);
    assert_same(&objects(&lab).concat(), &data, "the objects");
    assert!(lab.all_open().is_empty());
    live.wait().code(0).says("in 3 objects").gave(&data);
    for mode in ["range", "part"] {
        let finished = lab.reader(&[KEY, "--follow-rollover", "--no-wait", "--by", mode]);
        finished.wait().code(0).gave(&data);
    }
    // Without being asked to, a reader stays with its object.
    lab.reader(&[KEY, "--no-wait"]).wait().code(0).gave(&data[..2 * PART]);
}

#[test]
fn an_input_that_ends_where_an_object_is_full_leaves_no_empty_one() {
    let lab = Lab::new();
    let data = bytes(2, 4 * PART);
    lab.writer(&args(&["--rollover", "10000000"])).end_with(&data).code(0).says("2 objects");
    assert_same(&objects(&lab).concat(), &data, "the objects");
    assert!(lab.all_open().is_empty());
}

#[test]
fn plain_bytes_are_cut_at_the_first_part_after_the_duration() {
    let lab = Lab::new();
    let data = bytes(3, 3 * PART);
    let mut writer = lab.writer(&args(&["--rollover", "1s"]));
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    writer.write(&data[..PART / 2]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    writer.write(&data[PART / 2..]);
    writer.end().code(0);
    let objects = objects(&lab);
    assert_eq!(objects[0].len(), PART, "{} objects", objects.len());
    assert_same(&objects.concat(), &data, "the objects");
    live.wait().code(0).gave(&data);
}

#[test]
fn no_input_and_little_input_are_as_without_rollover() {
    let lab = Lab::new();
    lab.writer(&args(&["--rollover", "auto"])).end().code(0).says("no input at all");
    assert!(lab.all_open().is_empty() && lab.object(KEY).is_none());
    lab.writer(&args(&["--rollover", "auto"])).end_with(b"little").code(0).says("is complete: 6 bytes in 1 part");
    assert_eq!(objects(&lab), [b"little"]);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).gave(b"little");
}

#[test]
fn a_size_below_a_part_is_wrong_usage() {
    let lab = Lab::new();
    lab.writer(&args(&["--rollover", "4999999"])).end().code(2).says("less than one part");
    lab.writer(&args(&["--rollover", "sometimes"])).end().code(2).says("neither a size nor a duration");
}

#[test]
fn what_another_day_left_under_the_next_name_is_no_continuation() {
    let lab = Lab::new();
    lab.put(&key(2), b"of another day");
    let stale = lab.begin(&key(2));
    lab.part(&key(2), &stale, 1, b"also of another day");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let data = bytes(4, PART + 1);
    lab.writer(&args(&["--rollover", "auto"])).end_with(&data).code(0);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).says("older").gave(&data);
    let mut writer = lab.writer(&args(&["--rollover", "auto"]));
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    live.wait_for("while it is written");
    writer.write(&data);
    writer.end().code(0);
    live.wait().code(0).gave(&data);
    // A continuation takes their place.
    let data = bytes(5, 2 * PART + 1);
    lab.writer(&args(&["--rollover", "5000000"])).end_with(&data).code(0);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).says("in 3 objects").gave(&data);
}

#[test]
fn an_abort_of_a_later_object_is_an_error_with_all_that_came_before() {
    let lab = Lab::new();
    let data = bytes(6, PART + 10);
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    live.wait_for("while it is written");
    writer.write(&data);
    writer.wait_for("match.mp4 is complete");
    live.wait_for("match-0002.mp4 while it is written");
    let id = lab.wait_open(&key(2));
    lab.abort(&key(2), &id);
    live.wait().code(1).says("aborted").gave(&data[..PART]);
}

#[test]
fn a_first_signal_completes_and_a_second_names_what_is_open() {
    let lab = Lab::new();
    let data = bytes(7, 2 * PART + 10);
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    writer.write(&data);
    writer.wait_for("match-0003.mp4");
    writer.signal("INT");
    writer.wait().code(0);
    assert_same(&objects(&lab).concat(), &data, "the objects");
}
