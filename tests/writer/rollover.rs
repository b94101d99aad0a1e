//! One input into several objects, and several objects into one output.

use std::time::Duration;

use crate::support::lab::Lab;
use crate::support::media::{key_frames, plays, video};
use crate::support::run::{Launch, assert_same};
use crate::support::{PART, bytes};
use serde_json::json;

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
    // Time itself is what the object ends by.
    std::thread::sleep(Duration::from_millis(1100));
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
    lab.ago(Duration::from_secs(86_400), || {
        lab.put(&key(2), b"of another day");
        let stale = lab.begin(&key(2));
        lab.part(&key(2), &stale, 1, b"also of another day");
    });
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
fn a_first_signal_completes_the_last_object_too() {
    let lab = Lab::new();
    let data = bytes(7, 2 * PART + 10);
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    writer.write(&data);
    writer.wait_for("match-0003.mp4");
    writer.signal("INT");
    writer.wait().code(0);
    assert_same(&objects(&lab).concat(), &data, "the objects");
}

#[test]
fn each_object_of_a_fragmented_mp4_plays_by_itself_and_together_they_are_the_stream() {
    each_object_plays("empty_moov+frag_keyframe+default_base_moof");
}

/// OBS writes such streams too.
#[test]
fn so_does_each_object_of_one_that_tells_places_in_the_whole_stream() {
    each_object_plays("empty_moov+frag_keyframe");
}

fn each_object_plays(flags: &str) {
    let lab = Lab::new();
    let data = video(8, flags);
    assert!(data.len() > 4 * PART, "{} bytes are too few to show anything", data.len());
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    live.wait_for("waiting for an upload");
    let mut writer = lab.writer(&args(&["--rollover", "8MB"]));
    writer.write(&data[..PART]);
    live.wait_for("while it is written");
    writer.write(&data[PART..]);
    let written = writer.end().code(0);
    // At this bit rate a fragment is longer than a part, which is one warning.
    let warnings = 1 + usize::from(!flags.contains("default_base_moof"));
    assert_eq!((written.count("WARN"), written.count("ERROR")), (warnings, 0), "{}", written.state());
    live.wait().code(0).gave(&data);
    for mode in ["range", "part"] {
        let args = [KEY, "--follow-rollover", "--no-wait", "--by", mode, "--chunk-size", "333333"];
        lab.reader(&args).wait().code(0).gave(&data);
    }
    let objects = objects(&lab);
    assert!(objects.len() > 2, "{} objects", objects.len());
    let mut all = String::new();
    for object in &objects {
        assert!(object.len() <= 8_000_000);
        plays(object);
        let frames = key_frames(object);
        assert!(frames.starts_with('I'), "{frames}");
        all.push_str(&frames);
    }
    assert_eq!(all.len(), 200);
    assert_eq!(all, key_frames(&data));
}

#[test]
fn a_fragmented_mp4_is_cut_after_a_duration_at_a_key_frame() {
    let lab = Lab::new();
    // A fragment for each frame: most of them begin with no key frame.
    let data = video(8, "empty_moov+frag_every_frame+default_base_moof");
    let mut writer = lab.writer(&args(&["--rollover", "1s"]));
    let live = lab.reader(&[KEY, "--follow-rollover"]);
    writer.write(&data[..PART]);
    live.wait_for("while it is written");
    std::thread::sleep(Duration::from_millis(1100));
    writer.write(&data[PART..]);
    writer.end().code(0);
    live.wait().code(0).gave(&data);
    let objects = objects(&lab);
    assert!(objects.len() > 1);
    for object in &objects {
        assert!(key_frames(object).starts_with('I'));
    }
    assert_eq!(objects.iter().map(|object| key_frames(object).len()).sum::<usize>(), 200);
}

#[test]
fn a_group_of_pictures_too_large_for_an_object_is_cut_all_the_same_with_a_warning() {
    let lab = Lab::new();
    let data = video(8, "empty_moov+frag_keyframe+default_base_moof");
    // One fragment of everything.
    let header = data.windows(4).position(|window| window == b"moof").expect("a fragment") - 4;
    let mdat = [&u32::try_from(3 * PART + 8).expect("small").to_be_bytes()[..], b"mdat", &bytes(8, 3 * PART)].concat();
    let moof_len = u32::from_be_bytes(data[header..header + 4].try_into().expect("four bytes")) as usize;
    let input = [&data[..header + moof_len], &mdat].concat();
    lab.writer(&args(&["--rollover", "5000000"])).end_with(&input).code(0).says("before the next key frame");
    assert_same(&objects(&lab).concat(), &input, "the objects");
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).gave(&input);
}

#[test]
fn a_reader_that_may_not_list_goes_by_live_reads() {
    let lab = Lab::with_args(&["--user", "reads:reads-secret:read"]);
    let stale = lab.ago(Duration::from_secs(86_400), || lab.begin(&key(4)));
    lab.part(&key(4), &stale, 1, b"of another day");
    let data = bytes(9, 2 * PART + 10);
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    let live = Launch::reader(&lab, &[KEY, "--follow-rollover"]).key("reads", "reads-secret").start();
    live.wait_for("while it is written");
    writer.write(&data);
    writer.end().code(0);
    live.wait().code(0).gave(&data);
}

#[test]
fn an_object_that_cannot_be_completed_is_an_error_in_the_end_that_names_it() {
    let lab = Lab::new();
    lab.faults(
        &json!([{ "operation": "CompleteMultipartUpload", "key": KEY, "status": 400, "code": "InvalidRequest" }]),
    );
    let data = bytes(10, 2 * PART + 10);
    let written = lab.writer(&args(&["--rollover", "5000000"])).end_with(&data).code(1);
    let last = written.err.lines().last().expect("a message").to_owned();
    let id = lab.open(KEY).pop().expect("an open upload");
    assert!(last.contains("s3://bucket/live/match.mp4 is not complete") && last.contains(&id), "{last}");
    assert_eq!(lab.object(&key(2)).expect("the second object"), &data[PART..2 * PART]);
    assert_eq!(lab.object(&key(3)).expect("the third object"), &data[2 * PART..]);
}

#[test]
fn a_second_signal_names_each_upload_that_is_open() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "CompleteMultipartUpload", "delay_ms": 20_000 }]));
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    writer.write(&bytes(11, PART + 10));
    writer.wait_for("match-0002.mp4");
    writer.signal("INT");
    writer.wait_for("no longer waiting");
    writer.signal("INT");
    let ended = writer.wait().code(130);
    for (_, id) in lab.all_open() {
        assert!(ended.err.lines().last().is_some_and(|line| line.contains(&id)), "{}", ended.state());
    }
    assert_eq!(lab.all_open().len(), 2);
}

#[test]
fn a_start_whose_answer_is_cut_or_late_in_mid_event_is_tried_again() {
    for fault in
        [json!({ "truncate": 60 }), json!({ "cut_after": 60 }), json!({ "status": 200, "code": "InternalError" })]
    {
        let lab = Lab::new();
        let mut rule = json!({ "operation": "CreateMultipartUpload", "key": key(2), "times": 2 });
        rule.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        lab.faults(&json!([rule]));
        let data = bytes(17, 2 * PART + 10);
        lab.writer(&args(&["--rollover", "5000000"])).end_with(&data).code(0).says("3 objects");
        assert_same(&objects(&lab).concat(), &data, "the objects");
    }
}

#[test]
fn an_object_whose_upload_is_aborted_is_told_as_gone_and_the_others_as_they_are() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "CompleteMultipartUpload", "key": KEY, "hold": true }]));
    let mut writer = lab.writer(&args(&["--rollover", "5000000"]));
    let id = lab.wait_open(KEY);
    writer.write(&bytes(18, PART + 10));
    writer.wait_for("match-0002.mp4");
    lab.wait_acted(0, 1);
    lab.abort(KEY, &id);
    lab.clear_faults();
    let ended = writer.end().code(1);
    let last = ended.err.lines().last().expect("a message").to_owned();
    assert!(last.contains("aborted the upload") && last.contains("1 object is complete"), "{last}");
    assert!(!last.contains("readable") && !last.contains("--resume"), "{last}");
}

#[test]
fn one_part_in_flight_and_a_slow_store_are_enough_for_many_objects() {
    let lab = Lab::new();
    lab.faults(&json!([
        { "operation": "CompleteMultipartUpload", "delay_ms": 300 },
        { "operation": "UploadPart", "delay_ms": 50 },
    ]));
    let data = bytes(12, 30 * PART + 1);
    let mut writer = lab.writer(&args(&["--rollover", "5000000", "--concurrency", "1"]));
    writer.write(&data);
    let peak = writer.peak_memory();
    writer.end().code(0).says("31 objects");
    assert_same(&objects(&lab).concat(), &data, "the objects");
    assert!(peak < 60_000_000, "{peak} bytes of memory for three parts");
}

#[test]
fn parts_that_waited_on_disk_end_up_in_their_objects() {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "status": 503, "times": 4 }]));
    let data = bytes(13, 12 * PART + 1);
    let mut writer = lab.writer(&args(&["--rollover", "25MB", "--concurrency", "1"]));
    writer.write(&data);
    writer.end().code(0).says("waits on disk").says("3 objects");
    assert_same(&objects(&lab).concat(), &data, "the objects");
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).gave(&data);
}

#[test]
fn what_is_of_another_recording_is_no_continuation_however_young() {
    let lab = Lab::new();
    let data = bytes(14, PART + 10);
    lab.writer(&args(&["--rollover", "auto"])).end_with(&data).code(0);
    lab.put(&key(2), b"of another writer");
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).says("another recording").gave(&data);
    let mut other = lab.writer(&[&key(2), "--rollover", "auto", "-s", "5000000"]);
    let id = lab.wait_open(&key(2));
    other.write(&bytes(15, PART));
    lab.wait_parts(&key(2), &id, 1);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).says("another recording").gave(&data);
    other.end().code(0);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait"]).wait().code(0).says("another recording").gave(&data);
}

#[test]
fn an_upload_that_a_lost_answer_left_behind_is_no_continuation() {
    let lab = Lab::new();
    let lost = json!({ "operation": "CreateMultipartUpload", "key": key(2), "lose_answer": true, "times": 1 });
    lab.faults(&json!([lost]));
    let data = bytes(16, 2 * PART + 10);
    lab.writer(&args(&["--rollover", "5000000"])).end_with(&data).code(0).says("3 objects");
    assert_eq!(lab.open(&key(2)).len(), 1);
    lab.reader(&[KEY, "--follow-rollover", "--no-wait", "--timeout", "10s"]).wait().code(0).gave(&data);
}
