//! Both tools through a network that misbehaves: every byte arrives once and in its place, or what arrived is a clean
//! beginning and one message says what happened.

use std::io::Read;

use crate::support::proxy::Weather;
use crate::support::run::{Launch, Run, assert_same, await_that};
use crate::support::scene::{KEY, MODES, Scene, wait_length};
use crate::support::{BUCKET, PART, bytes};
use serde_json::json;

const OBJECT: &str = "s3://bucket/live/stream.mp4";

/// Writes three parts and a bit; the weather comes when the upload has begun, and ends when `until` says so.
fn writes_through(weather: Weather, options: &[&str], until: impl Fn(&Scene, &Run)) -> String {
    let scene = Scene::new();
    let data = bytes(1, 3 * PART + 4321);

    let (writer, feeder) = scene.writer(options, &data);
    writer.wait_for("uploading to");
    scene.network.set(weather);
    until(&scene, &writer);
    scene.network.set(Weather::Fine);
    drop(feeder.join().expect("the feeding thread"));
    let log = writer.end().code(0).err;
    assert_same(&scene.object(), &data, &log);
    assert_eq!(scene.open_uploads(), 0);
    log
}

#[test]
fn a_writer_whose_connections_are_refused_tries_again() {
    let log = writes_through(Weather::Refuse, &[], |_, writer| {
        writer.wait_for("Trying again");
    });
    assert!(log.contains("Check the network and AWS_ENDPOINT_URL"), "{log}");
    assert!(log.contains("the store answers again"), "{log}");
}

#[test]
fn a_writer_whose_connections_are_reset_sends_the_part_again() {
    let log = writes_through(Weather::Reset(1_234_567), &[], |scene, _| scene.network.wait_struck(6));
    assert!(log.contains("Trying again"), "{log}");
}

#[test]
fn a_writer_whose_connections_are_cut_sends_the_part_again() {
    let log = writes_through(Weather::Cut(1_234_567), &[], |scene, _| scene.network.wait_struck(6));
    assert!(log.contains("Trying again"), "{log}");
}

#[test]
fn a_writer_whose_connections_fall_silent_cuts_them_and_sends_the_part_again() {
    let log = writes_through(Weather::Stall, &["--stall-timeout", "200ms"], |_, writer| {
        writer.wait_for("no answer within");
    });
    assert!(log.contains("the store answers again"), "{log}");
}

#[test]
fn an_uplink_that_is_slower_than_expected_is_not_cut_for_ever() {
    // Four parts at once at 2 MB/s each take two and a half seconds, where half a second is allowed at first.
    let weather = Weather::Throttle(2_000_000);
    writes_through(weather, &["--stall-timeout", "200ms"], |scene, writer| {
        writer.wait_for("no answer within");
        await_that("a part in the store", || scene.count(false, "UploadPart", "200") > 0);
    });
}

#[test]
fn a_writer_that_gives_up_leaves_what_it_stored_and_says_so() {
    let scene = Scene::new();
    let data = bytes(2, PART);
    let (writer, feeder) = scene.writer(&["--retry-timeout", "1s"], &data);
    writer.wait_for("uploading to");
    drop(feeder.join().expect("the feeding thread"));
    scene.network.set(Weather::Refuse);
    let log = writer.end().code(1).err;
    assert!(log.contains(OBJECT) && log.contains("The upload is left open"), "{log}");
    assert_eq!(scene.open_uploads(), 1);
}

/// Reads a part in fine weather and three more in this one, which ends when `until` says so.
fn reads_through(weather: Weather, options: &[&str], until: impl Fn(&Scene, &Run)) {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(3, 4 * PART + 99);
        let id = scene.begin();
        let mut etags = vec![scene.part(&id, 1, &data[..PART])];
        let (reader, file) = scene.reader(&[options, &["--by", mode]].concat());
        wait_length(&file, PART);
        scene.network.set(weather);
        for (number, part) in (2..).zip(data[PART..4 * PART].chunks(PART)) {
            etags.push(scene.part(&id, number, part));
        }
        until(&scene, &reader);
        scene.network.set(Weather::Fine);
        etags.push(scene.part(&id, 5, &data[4 * PART..]));
        scene.complete(&id, &etags);
        let log = reader.end().code(0).err;
        assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
    }
}

#[test]
fn a_reader_whose_connections_are_refused_goes_on_when_they_are_not() {
    reads_through(Weather::Refuse, &[], |_, reader| {
        reader.wait_for("Trying again");
    });
}

#[test]
fn a_reader_whose_connections_are_reset_goes_on_from_the_last_byte() {
    reads_through(Weather::Reset(800_000), &[], |scene, _| scene.network.wait_struck(8));
}

#[test]
fn a_reader_whose_connections_are_cut_in_mid_body_goes_on_from_the_last_byte() {
    // To the end of what is there, in this weather.
    reads_through(Weather::Cut(800_000), &[], |scene, _| wait_length(&scene.copy(), 4 * PART));
}

#[test]
fn a_reader_whose_connections_fall_silent_cuts_them_and_goes_on() {
    reads_through(Weather::Stall, &["--stall-timeout", "300ms"], |_, reader| {
        reader.wait_for("Trying again");
    });
}

#[test]
fn a_body_that_falls_silent_in_the_middle_is_cut_and_gone_on_with() {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(4, 3 * PART);
        let id = scene.begin();
        let etags = scene.parts(&id, &data);
        scene.complete(&id, &etags);
        scene.network.set(Weather::Throttle(6_000_000));
        let options = ["--no-wait", "--by", mode, "--stall-timeout", "400ms"];
        let (reader, file) = scene.reader(&options);
        wait_length(&file, PART / 2);
        scene.network.set(Weather::Stall);
        reader.wait_for("nothing came for 0.4 s");
        scene.network.set(Weather::Fine);
        let log = reader.end().code(0).err;
        assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
    }
}

#[test]
fn a_reader_on_a_slow_line_reads_everything() {
    let line = Weather::Throttle(4_000_000);
    reads_through(line, &["--stall-timeout", "2s"], |scene, _| {
        wait_length(&scene.copy(), 2 * PART);
    });
}

#[test]
fn a_reader_that_gives_up_keeps_a_clean_beginning() {
    let scene = Scene::new();
    let data = bytes(5, PART);
    let id = scene.begin();
    scene.part(&id, 1, &data);
    let (reader, file) = scene.reader(&["--retry-timeout", "1s"]);
    wait_length(&file, PART);
    scene.network.set(Weather::Refuse);
    let log = reader.end().code(1).err;
    assert!(log.contains(OBJECT) && log.contains("Check the network"), "{log}");
    assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
}

#[test]
fn a_time_limit_holds_while_nothing_can_be_asked_in_every_mode() {
    let scene = Scene::new();
    scene.part(&scene.begin(), 1, &bytes(11, 1000));
    let copy = scene.copy();
    std::fs::write(&copy, bytes(11, 500)).expect("a beginning of it");
    // A port at which nobody listens might be given to another test.
    scene.network.set(Weather::Stall);
    let copy = copy.to_str().expect("a plain path");
    for options in
        [&[][..], &["--no-wait"], &["--from", "live"], &["--probe"], &[copy, "--resume"], &["--follow-rollover"]]
    {
        let fixed = [KEY, "--endpoint-url", scene.network.endpoint(), "--timeout", "600ms"];
        let ended = Launch::reader(&scene, &[&fixed[..], options].concat()).start().end();
        ended.code(1).gave(b"").says(OBJECT).says("within 0.6 s");
    }
    assert_eq!(std::fs::read(copy).expect("the file"), bytes(11, 500));
}

#[test]
fn a_closed_output_ends_a_reader_whose_questions_fail() {
    let scene = Scene::new();
    scene.part(&scene.begin(), 1, &bytes(13, 1000));
    let mut reader = Launch::reader(&scene, &[KEY]).leave_stdout().start();
    let mut stdout = reader.stdout.take().expect("its output");
    stdout.read_exact(&mut [0; 1000]).expect("all that there is");
    scene.faults(&json!([{ "operation": "HeadObject", "status": 503 }]));
    reader.wait_for("Trying again");
    drop(stdout);
    reader.end().code(0);
    scene.clear_faults();
}

#[test]
fn heads_and_lists_that_fail_keep_no_data_back() {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(12, 3 * PART);
        let id = scene.begin();
        let mut etags = vec![scene.part(&id, 1, &data[..PART])];
        let (reader, file) = scene.reader(&["--by", mode]);
        wait_length(&file, PART);
        let fails = |operation: &str| json!({ "operation": operation, "status": 503 });
        scene.faults(&json!([fails("HeadObject"), fails("ListMultipartUploads")]));
        for (number, part) in (2..).zip(data[PART..].chunks(PART)) {
            etags.push(scene.part(&id, number, part));
            wait_length(&file, PART * usize::try_from(number).expect("a small number"));
        }
        scene.clear_faults();
        scene.complete(&id, &etags);
        let log = reader.end().code(0).err;
        assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
    }
}

#[test]
fn a_writer_that_died_is_told_by_the_reader_that_waits_for_it() {
    let scene = Scene::new();
    let data = bytes(6, PART + 77);
    let (writer, feeder) = scene.writer(&[], &data);
    let id = scene.wait_open(KEY);
    let _open_input = feeder.join().expect("the feeding thread");
    let (reader, file) = scene.reader(&["--timeout", "1s"]);
    wait_length(&file, PART);
    writer.signal("KILL");
    let log = reader.end().code(1).err;
    assert!(log.contains("nothing new has come for 1 s") && log.contains("still open"), "{log}");
    assert!(log.contains(&id), "no {id} in {log}");
    assert_same(&std::fs::read(&file).expect("the copy"), &data[..PART], &log);
}

/// Reads on a slow line; something happens to the upload in the middle of a body.
fn in_the_middle(completed: bool, what: impl Fn(&Scene, &str)) {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(7, 3 * PART);
        let id = scene.begin();
        let etags = scene.parts(&id, &data);
        if completed {
            scene.complete(&id, &etags);
        }
        scene.network.set(Weather::Throttle(4_000_000));
        let (reader, file) = scene.reader(&["--no-wait", "--by", mode, "--chunk-size", "1000000", "--queue-size", "1"]);
        wait_length(&file, PART / 3);
        what(&scene, &id);
        let log = reader.end().code(1).err;
        assert!(log.contains(&id), "no {id} in {log}");
        let have = std::fs::read(&file).expect("the copy");
        assert!(have.len() < data.len(), "it was read to its end: the test came too late\n{log}");
        assert!(log.contains(&format!("after {} bytes", have.len())), "{} bytes\n{log}", have.len());
        assert_same(&have, &data[..have.len()], &log);
    }
}

#[test]
fn an_abort_in_the_middle_of_a_body_leaves_a_clean_beginning_and_is_told() {
    in_the_middle(false, |scene, id| {
        scene.abort(KEY, id);
    });
}

#[test]
fn a_version_that_is_deleted_in_the_middle_of_a_body_leaves_a_clean_beginning_and_is_told() {
    in_the_middle(true, |scene, id| {
        let client = scene.client();
        let delete = client.delete_object().bucket(BUCKET).key(KEY).version_id(id);
        scene.run(delete.send()).expect("delete");
    });
}

#[test]
fn neither_completion_nor_a_newer_upload_in_the_middle_of_a_body_changes_what_is_read() {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(8, 2 * PART + 5);
        let id = scene.begin();
        let etags = scene.parts(&id, &data);
        scene.network.set(Weather::Throttle(4_000_000));
        let (reader, file) = scene.reader(&["--by", mode, "--chunk-size", "1000000"]);
        wait_length(&file, PART / 3);
        scene.complete(&id, &etags);
        let newer = scene.begin();
        scene.part(&newer, 1, &bytes(9, PART));
        let log = reader.end().code(0).err;
        assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
    }
}

#[test]
fn a_start_whose_answer_is_lost_is_repeated_and_a_reader_does_not_wait_for_the_one_that_is_left_behind() {
    let scene = Scene::new();
    let data = bytes(10, PART + 5);
    scene.faults(&json!([
        { "operation": "CreateMultipartUpload", "lose_answer": true, "times": 1 },
        { "operation": "CreateMultipartUpload", "status": 503 },
    ]));
    let (writer, feeder) = scene.writer(&[], &data);
    // It finds the one whose answer was lost, while the other has not been started.
    let (reader, file) = scene.reader(&[]);
    reader.wait_for("while it is written");
    assert_eq!(scene.open_uploads(), 1);
    scene.clear_faults();
    writer.wait_for("uploading to");
    let open_input = feeder.join().expect("the feeding thread");
    reader.wait_for("from the newer upload");
    drop(open_input);
    let log = writer.end().code(0).err;
    assert_same(&scene.object(), &data, &log);
    let log = reader.end().code(0).err;
    assert_same(&std::fs::read(&file).expect("the copy"), &data, &log);
    assert_eq!(scene.open_uploads(), 1, "the one that was left behind");
}
