//! `reader KEY FILE --resume`: goes on after what FILE holds, or leaves FILE as it is.

use std::fs;
use std::path::PathBuf;

use crate::support::proxy::Weather;
use crate::support::run::{Launch, Run, assert_same};
use crate::support::scene::{KEY, MODES, Scene, wait_length};
use crate::support::{PART, bytes};

/// A finished object of these bytes; gives its upload id.
fn finished(scene: &Scene, data: &[u8]) -> String {
    let id = scene.begin();
    scene.complete(&id, &scene.parts(&id, data));
    id
}

/// Puts these bytes in the reader's file.
fn holds(scene: &Scene, bytes: &[u8]) -> PathBuf {
    let file = scene.copy();
    fs::write(&file, bytes).expect("write the file");
    file
}

/// The reader's messages, after it went on to the end of these bytes.
#[track_caller]
fn goes_on(scene: &Scene, options: &[&str], data: &[u8]) -> String {
    let (reader, file) = scene.reader(&[&["--resume"], options].concat());
    let log = reader.end().code(0).err;
    assert_same(&fs::read(file).expect("the file"), data, &log);
    log
}

/// The reader's messages, after it left the file as it was.
#[track_caller]
fn refuses(scene: &Scene, options: &[&str]) -> String {
    let before = fs::read(scene.copy()).expect("the file");
    let (reader, file) = scene.reader(&[&["--resume"], options].concat());
    let log = reader.end().code(1).err;
    assert_same(&fs::read(file).expect("the file"), &before, &log);
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert!(log.contains("s3://bucket/live/stream.mp4") && log.contains("leave --resume out"), "{log}");
    log
}

fn kill(tool: Run) {
    tool.signal("KILL");
    let ended = tool.wait();
    assert_eq!(ended.code, None, "it should have been killed: {}", ended.state());
}

#[test]
fn a_reader_that_is_killed_at_any_moment_goes_on_where_it_was() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let scene = Scene::new();
        let data = bytes(seed, 3 * PART + random.usize(1..PART));
        let open = random.bool();
        let id = scene.begin();
        let etags = scene.parts(&id, &data);
        if !open {
            scene.complete(&id, &etags);
        }
        scene.network.set(Weather::Throttle(15_000_000));
        let mode = MODES[usize::from(random.bool())];
        let chunk = random.u32(1_000_000..7_000_000).to_string();
        let options = ["--resume", "--no-wait", "--by", mode, "--chunk-size", &chunk];
        let mut least = 0;
        for _ in 0..2 {
            least = random.usize(least..data.len() * 3 / 4).max(1);
            let (reader, file) = scene.reader(&options);
            wait_length(&file, least);
            kill(reader);
            least = usize::try_from(fs::metadata(&file).expect("the file").len()).expect("a small file");
            let have = fs::read(&file).expect("the file");
            assert_same(&have, &data[..have.len()], &format!("seed {seed}"));
            if least >= data.len() * 3 / 4 {
                break;
            }
        }
        scene.network.set(Weather::Fine);
        let (reader, file) = scene.reader(&options);
        if open {
            wait_length(&file, data.len());
            scene.complete(&id, &etags);
        }
        let log = reader.end().code(0).err;
        assert!(log.contains("going on from there"), "seed {seed}\n{log}");
        assert_same(&fs::read(&file).expect("the file"), &data, &format!("seed {seed}\n{log}"));
    }
}

#[test]
fn without_a_file_or_with_an_empty_one_it_reads_from_the_first_byte_and_says_so() {
    let scene = Scene::new();
    let data = bytes(1, PART + 5);
    finished(&scene, &data);
    assert!(goes_on(&scene, &["--no-wait"], &data).contains("copy did not exist; reading from the first byte"));
    holds(&scene, b"");
    assert!(goes_on(&scene, &["--no-wait"], &data).contains("copy is empty; reading from the first byte"));
}

#[test]
fn only_what_is_missing_is_read() {
    let scene = Scene::new();
    let data = bytes(3, 3 * PART);
    finished(&scene, &data);
    for mode in MODES {
        holds(&scene, &data[..3 * PART - 1000]);
        scene.clear_requests();
        goes_on(&scene, &["--by", mode], &data);
        let sent = scene.requests()["bytes_out"].as_u64().expect("a number");
        assert!(sent < 200_000, "{sent} bytes were sent for 1000 that were missing");
    }
}

#[test]
fn an_open_upload_is_gone_on_with_inside_its_growing_last_part() {
    for mode in MODES {
        let scene = Scene::new();
        let data = bytes(4, 3 * PART + 9);
        let id = scene.begin();
        scene.part(&id, 1, &data[..PART]);
        scene.part(&id, 2, &data[PART..PART + 3000]);
        let file = holds(&scene, &data[..PART + 2000]);
        let (reader, _) = scene.reader(&["--resume", "--by", mode]);
        wait_length(&file, PART + 3000);
        let etags = scene.parts(&id, &data);
        scene.complete(&id, &etags);
        let log = reader.end().code(0).err;
        assert_same(&fs::read(&file).expect("the file"), &data, &log);
    }
}

#[test]
fn a_file_of_another_upload_is_left_as_it_is() {
    let scene = Scene::new();
    let data = bytes(5, 2 * PART);
    finished(&scene, &data);
    let open = scene.begin();
    let other = bytes(6, 2 * PART);
    scene.parts(&open, &other);
    let mut early = data.clone();
    early[100] ^= 1;
    let mut late = data.clone();
    late[PART] ^= 1;
    // Which places are compared is in the tests of `reader::held`.
    for (held, modes) in [(&early[..PART + 1], &MODES[..1]), (&late[..PART + 1], &MODES[1..])] {
        holds(&scene, held);
        for mode in modes {
            let log = refuses(&scene, &["--by", mode]);
            assert!(log.contains("is another") && log.contains(&open) && log.contains("--upload-id"), "{log}");
        }
    }
}

#[test]
fn a_file_without_anything_to_read_is_left_as_it_is() {
    let scene = Scene::new();
    holds(&scene, b"something");
    assert!(refuses(&scene, &[]).contains("no open upload and no finished object"));
}

#[test]
fn the_upload_that_is_named_is_gone_on_with() {
    let scene = Scene::new();
    let (data, other) = (bytes(12, 2 * PART), bytes(13, PART));
    let id = scene.begin();
    let etags = scene.parts(&id, &data);
    let newer = scene.begin();
    scene.parts(&newer, &other);
    let file = holds(&scene, &data[..PART + 1]);
    refuses(&scene, &[]);
    let (reader, _) = scene.reader(&["--resume", "--upload-id", &id]);
    wait_length(&file, 2 * PART);
    scene.complete(&id, &etags);
    let log = reader.end().code(0).err;
    assert_same(&fs::read(&file).expect("the file"), &data, &log);
}

#[test]
fn without_resume_a_file_is_written_anew() {
    let scene = Scene::new();
    let data = bytes(15, 1000);
    finished(&scene, &data);
    let file = holds(&scene, &bytes(16, 5000));
    let (reader, _) = scene.reader(&["--no-wait"]);
    let log = reader.end().code(0).err;
    assert_same(&fs::read(&file).expect("the file"), &data, &log);
}

#[test]
fn standard_output_cannot_be_gone_on_after() {
    let scene = Scene::new();
    for args in [&[KEY, "--resume"][..], &[KEY, "-", "--resume"]] {
        Launch::reader(&scene, args).start().end().code(2).gave(b"").says("--resume");
    }
}

#[test]
fn what_is_no_file_cannot_be_gone_on_after() {
    let scene = Scene::new();
    fs::create_dir(scene.copy()).expect("a directory");
    let (reader, _) = scene.reader(&["--resume"]);
    let log = reader.end().code(1).err;
    assert!(log.contains("copy: it is not a regular file"), "{log}");
}

#[test]
fn a_copy_stays_as_it_is_until_there_is_something_to_read() {
    let scene = Scene::new();
    let copy = holds(&scene, b"a copy of yesterday");
    let run = || scene.reader(&["--no-wait"]).0.end();
    run().code(1);
    assert_eq!(fs::read(&copy).expect("the copy"), b"a copy of yesterday");
    let (waiting, _) = scene.reader(&[]);
    waiting.wait_for("waiting for an upload");
    kill(waiting);
    assert_eq!(fs::read(&copy).expect("the copy"), b"a copy of yesterday");
    // An upload without a byte, aborted.
    let id = scene.begin();
    let (reader, _) = scene.reader(&[]);
    reader.wait_for("while it is written");
    scene.abort(KEY, &id);
    reader.end().code(1);
    assert_eq!(fs::read(&copy).expect("the copy"), b"a copy of yesterday");
    // What is there, and shorter, takes its place.
    finished(&scene, b"new");
    run().code(0);
    assert_eq!(fs::read(&copy).expect("the copy"), b"new");
    // Nothing, which is there, too.
    scene.put(KEY, b"");
    run().code(0);
    assert_eq!(fs::read(&copy).expect("the copy"), b"");
    // No file is made for nothing.
    fs::remove_file(&copy).expect("remove the copy");
    Launch::reader(&scene, &["live/nothing", "copy", "--no-wait"]).start().end().code(1);
    assert!(!copy.exists());
}
