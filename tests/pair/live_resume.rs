//! A stream whose writer was killed goes on, and so do its readers: on stores without Live Read.

use crate::support::lab::Lab;
use crate::support::run::{Run, assert_same};
use crate::support::{BUCKET, PART, bytes};

const KEY: &str = "live/stream.mp4";
const WRITES: [&str; 3] = [KEY, "-s", "5000000"];
const SOON: [&str; 2] = ["--max-latency", "100ms"];

fn without_live_read() -> Lab {
    Lab::with_args(&["--no-live-read"])
}

fn is_whole_and_alone(lab: &Lab, data: &[u8]) {
    assert_same(&lab.object(KEY).expect("the object"), data, "the object");
    assert_eq!((lab.keys(), lab.all_open()), (vec![KEY.to_owned()], vec![]));
}

/// A writer that is killed once a reader has seen `data`; the reader.
fn killed(lab: &Lab, more: &[&str], data: &[u8]) -> Run {
    let mut writer = lab.writer(&[&WRITES, more].concat());
    writer.wait_for("no Live Read here");
    let reader = lab.reader(&[KEY]);
    // Not faster than live objects are made; without a limit to the delay those are whole parts.
    let step = if more.is_empty() { PART } else { 1_000_000 };
    let mut written = 0;
    for some in data.chunks(step) {
        writer.write(some);
        written += some.len();
        reader.wait_output(written);
    }
    writer.signal("KILL");
    writer.wait();
    reader
}

fn gone_on(lab: &Lab, more: &[&str]) -> Run {
    // The part size is not given again: the recording's head has it.
    let again = lab.writer(&[&[KEY, "--resume"], more].concat());
    again.wait_for("going on with the upload");
    again
}

#[test]
fn a_stream_goes_on_behind_what_readers_have_and_they_go_on_with_it() {
    // In no part yet, some in parts, parts alone.
    for (before, more) in [(1_000, &SOON[..]), (PART + PART / 2, &SOON), (3 * PART + 77, &SOON), (2 * PART, &[])] {
        let lab = without_live_read();
        let data = bytes(1, before + 2 * PART + 99);
        let first = killed(&lab, more, &data[..before]);
        let mut again = gone_on(&lab, more);
        again.wait_for(&format!(" parts, {before} bytes, what is in no part"));
        let second = lab.reader(&[KEY]);
        again.write(&data[before..before + 2 * PART]);
        let seen = if more.is_empty() { before + 2 * PART - PART } else { before + 2 * PART };
        for reader in [&first, &second] {
            reader.wait_output(seen);
        }
        assert!(lab.object(KEY).is_none(), "it is complete");
        let again = again.end_with(&data[before + 2 * PART..]).code(0);
        assert_eq!((again.count("WARN"), again.count("ERROR")), (0, 0), "{}", again.state());
        for reader in [first, second] {
            reader.wait().code(0).gave(&data);
        }
        is_whole_and_alone(&lab, &data);
    }
}

#[test]
fn a_stream_is_killed_and_gone_on_with_again_and_again() {
    let lab = without_live_read();
    let data = bytes(2, 4 * PART + 5);
    let steps = [700_000, PART + 1, 2 * PART, 2 * PART + 9, 4 * PART];
    let reader = killed(&lab, &SOON, &data[..steps[0]]);
    for two in steps.windows(2) {
        let mut again = gone_on(&lab, &SOON);
        again.write(&data[two[0]..two[1]]);
        reader.wait_output(two[1]);
        again.signal("KILL");
        again.wait();
    }
    gone_on(&lab, &SOON).end_with(&data[4 * PART..]).code(0);
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn an_empty_stream_completes_what_readers_have() {
    let lab = without_live_read();
    let data = bytes(3, PART + 777);
    let reader = killed(&lab, &SOON, &data);
    gone_on(&lab, &SOON).end().code(0);
    reader.wait().code(0).gave(&data);
    is_whole_and_alone(&lab, &data);
}

#[test]
fn a_reader_that_has_more_than_the_stream_goes_on_from_is_told_so() {
    let lab = without_live_read();
    let data = bytes(4, 1_500_000);
    let reader = killed(&lab, &SOON, &data);
    // The newest live object was seen by the reader, and then not by the store any more.
    let objects: Vec<String> = lab.keys().into_iter().filter(|key| key.ends_with(".mp4") && key != KEY).collect();
    assert!(objects.len() > 1, "{objects:?}");
    let newest = objects.last().expect("one");
    lab.run(lab.client().delete_object().bucket(BUCKET).key(newest).send()).expect("deleted");
    let kept: usize =
        newest.rsplit_once('/').and_then(|(_, name)| name.split('.').next()?.parse().ok()).expect("an offset");
    let again = gone_on(&lab, &SOON);
    again.wait_for(&format!(" parts, {kept} bytes, what is in no part"));
    let ended = reader.wait().code(1);
    ended.says(&format!("byte {kept}")).says("another reader");
    let other = bytes(5, 2_000);
    let fresh = lab.reader(&[KEY]);
    again.end_with(&other).code(0);
    let whole = [&data[..kept], &other].concat();
    fresh.wait().code(0).gave(&whole);
    is_whole_and_alone(&lab, &whole);
}
