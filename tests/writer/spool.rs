//! Piped input while the store is away: it goes on to be read, waits on disk, and arrives whole.

use std::fs;

use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same, await_some};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";

/// Every part upload fails as it does while Backblaze's vault is away.
fn away(lab: &Lab) {
    lab.faults(&json!([{ "operation": "UploadPart", "status": 503, "code": "ServiceUnavailable" }]));
}

#[test]
fn input_past_what_memory_holds_waits_on_disk_and_arrives_whole() {
    let lab = Lab::new();
    away(&lab);
    let data = bytes(1, 40 * PART + 12_345);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "2"]);
    // All of it is taken although nothing can be stored.
    writer.write(&data);
    writer.wait_for("waits on disk");
    assert!(writer.peak_memory() <= 4 * PART as u64 + 12_000_000, "{} bytes of memory", writer.peak_memory());
    lab.clear_faults();
    let outcome = writer.end().code(0).says("all parts have left the disk").says("is complete");
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn a_full_spool_makes_the_input_wait_and_loses_nothing() {
    let lab = Lab::new();
    away(&lab);
    let data = bytes(2, 30 * PART);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "1", "--spool-limit", "20MB"]);
    writer.feed(data.clone());
    writer.wait_for("the limit of 20000000 bytes is reached");
    lab.clear_faults();
    let outcome = writer.wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn without_a_spool_the_input_waits() {
    let lab = Lab::new();
    away(&lab);
    let data = bytes(3, 10 * PART);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "1", "--spool-limit", "0"]);
    writer.feed(data.clone());
    writer.wait_for("Trying again");
    lab.clear_faults();
    let outcome = writer.wait().code(0).does_not_say("on disk");
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn a_spool_directory_that_cannot_be_written_makes_the_input_wait() {
    let lab = Lab::new();
    away(&lab);
    let data = bytes(4, 8 * PART);
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "-c", "1", "--spool-dir", "/nonexistent"]);
    writer.feed(data.clone());
    writer.wait_for("no more input can wait on disk");
    lab.clear_faults();
    let outcome = writer.wait().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn a_followed_file_needs_no_spool() {
    let lab = Lab::new();
    away(&lab);
    let data = bytes(5, 12 * PART);
    let path = lab.dir().join("recording.mp4");
    fs::write(&path, &data).expect("the recording");
    let file = path.display().to_string();
    let writer = lab.writer(&[KEY, &file, "--no-follow", "-s", "5MB", "-c", "1"]);
    writer.wait_for("Trying again");
    lab.clear_faults();
    let outcome = writer.wait().code(0).does_not_say("on disk");
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
}

#[test]
fn a_store_that_dies_and_comes_back_gets_every_byte() {
    let mut lab = Lab::new();
    let data = bytes(6, 30 * PART + 1);
    let mut writer = Launch::writer(&lab, &[KEY, "-s", "5MB"]).start();
    writer.write(&data[..3 * PART]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 2);
    lab.kill();
    writer.write(&data[3 * PART..]);
    writer.wait_for("waits on disk");
    lab.restart();
    let outcome = writer.end().code(0);
    // The first connection to the store that was killed is dead.
    let object = await_some("the object", || lab.object(KEY));
    assert_same(&object, &data, &outcome.state());
}
