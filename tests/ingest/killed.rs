//! Writers that are killed under a stream, and started again: the same object goes on, and it decodes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::encoder::{KEY, STREAM_KEY, Words, camera, camera_of, ended, ffmpeg, packets, url_of};
use crate::support::keys::{TEMPLATE, add_key, objects_of, place};
use crate::support::lab::Lab;
use crate::support::media::{extent, plays};
use crate::support::run::{Run, await_that};

/// A writer that is started with the same command each time.
struct Again {
    address: String,
    spool: String,
    more: &'static [&'static str],
}

impl Again {
    fn new(lab: &Lab, more: &'static [&'static str]) -> Self {
        let address = format!("{}/{STREAM_KEY}", application());
        Self { address, spool: lab.dir().join("spool").display().to_string(), more }
    }

    fn start(&self, lab: &Lab) -> (Run, String) {
        std::fs::create_dir_all(&self.spool).expect("a directory");
        let words = [&[KEY, &self.address, "--spool-dir", &self.spool, "--debug"], self.more].concat();
        let writer = lab.writer(&words);
        let url = url_of(&writer);
        (writer, url)
    }

    /// Nothing is left of it on disk.
    fn left_nothing(&self) {
        let left: Vec<_> =
            std::fs::read_dir(&self.spool).expect("a directory").map(|entry| entry.expect("one").path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Where the next writer can listen, too.
pub(super) fn application() -> String {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    format!("rtmp://127.0.0.1:{port}/live")
}

/// The one playlist of a stream, as far as it is there.
fn playlist_of(lab: &Lab, name: &str) -> String {
    let lists: Vec<_> = lab
        .keys()
        .into_iter()
        .filter(|key| key.starts_with(&format!("live/{name}/")) && key.ends_with("m3u8"))
        .collect();
    assert!(lists.len() <= 1, "{lists:?}");
    let list = lists.first().and_then(|key| lab.object(key));
    list.map(|list| String::from_utf8(list).expect("text")).unwrap_or_default()
}

/// The playlist of the one stream, as far as it is there.
fn list_of(lab: &Lab) -> String {
    String::from_utf8(lab.object("live/camera.m3u8").unwrap_or_default()).expect("text")
}

/// How long all segments of a playlist are together.
fn lasts(list: &str) -> f64 {
    list.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok()).sum()
}

/// One header.
#[track_caller]
fn has_one_header(object: &[u8]) {
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1);
}

#[test]
fn a_writer_that_is_killed_under_a_stream_goes_on_in_the_same_object() {
    killed_twice(&["--fragment", "200ms", "--max-latency", "300ms", "--hls", "--hls-time", "1"]);
}

#[test]
fn with_live_objects_it_goes_on_too() {
    killed_twice(&["--fragment", "200ms", "--max-latency", "300ms", "--hls", "--hls-time", "1", "--live", "objects"]);
}

fn killed_twice(more: &'static [&'static str]) {
    let lab = Lab::new();
    let again = Again::new(&lab, more);
    for time in 0..3 {
        let (writer, url) = again.start(&lab);
        if time > 0 {
            writer.wait_for("was killed: going on behind the");
        }
        let mut encoder = camera(if time == 2 { 2 } else { 30 }, &url);
        if time == 2 {
            ended(encoder);
            writer.wait().code(0).does_not_say(STREAM_KEY);
            break;
        }
        writer.wait_for(["an encoder publishes", "an encoder is back"][time]);
        // Something more can be read, and a fragment is under way.
        let segments = || list_of(&lab).matches("#EXTINF").count();
        let before = segments();
        await_that("more in the playlist", || segments() > before + 1);
        writer.signal("KILL");
        writer.wait();
        // It cannot go on without somebody who listens.
        encoder.wait().expect("its end");
    }
    assert!(lab.all_open().is_empty());
    let object = lab.object(KEY).expect("the object");
    has_one_header(&object);
    plays(&object);
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        assert!(times.len() > 75, "{} packets of {stream}", times.len());
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{stream}: {times:?}");
    }
    let list = list_of(&lab);
    let (lasts, (_, whole)) = (lasts(&list), extent(&object));
    assert!(list.contains("#EXT-X-ENDLIST") && (lasts - whole).abs() < 0.5, "{lasts} s of {whole}: {list}");
    again.left_nothing();
}

#[test]
fn what_was_handed_on_before_the_kill_is_in_the_object_although_nothing_of_it_was_stored() {
    let lab = Lab::new();
    let again = Again::new(&lab, &[]);
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(5);
    // By then all before it has been taken.
    drop(words);
    writer.wait_for("the encoder is gone");
    upload_is_noted(Path::new(&again.spool));
    writer.signal("KILL");
    writer.wait();
    let (writer, url) = again.start(&lab);
    writer.wait_for("was killed: going on behind the");
    // Other settings are another object, as ever.
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    writer.wait().code(0);
    let object = lab.object(KEY).expect("the object");
    has_one_header(&object);
    for time in (0..5000u32).step_by(100) {
        let frame = [&[0x65][..], &time.to_be_bytes()[1..]].concat();
        assert!(object.windows(4).any(|window| window == frame), "the picture at {time} ms");
    }
    again.left_nothing();
}

#[test]
fn an_upload_that_is_gone_by_then_is_not_gone_on_with() {
    let lab = Lab::new();
    let again = Again::new(&lab, &[]);
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(2);
    drop(words);
    writer.wait_for("the encoder is gone");
    upload_is_noted(Path::new(&again.spool));
    writer.signal("KILL");
    writer.wait();
    lab.abort(KEY, &lab.wait_open(KEY));
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    writer.wait().code(0).says("its upload is over by now");
    has_one_header(&lab.object(KEY).expect("the object"));
    again.left_nothing();
}

#[test]
fn five_streams_go_on_in_their_objects_after_the_writer_was_killed() {
    let lab = Lab::new();
    let (address, place, spool) = (application(), place(&lab), lab.dir().join("spool"));
    std::fs::create_dir_all(&spool).expect("a directory");
    let names = ["one", "two", "three", "four", "five"];
    let urls = names.map(|name| format!("{address}/{}", add_key(&place, name)));
    let start = || {
        let words = [TEMPLATE, &address, "--keys", &place, "--spool-dir", &spool.display().to_string()];
        let how = ["--fragment", "200ms", "--max-latency", "300ms", "--hls", "--hls-time", "1"];
        let writer = lab.writer(&[&words[..], &how].concat());
        writer.wait_for("listening at ");
        writer
    };
    let writer = start();
    let encoders = urls.each_ref().map(|url| camera_of("160x90", 120, url));
    for name in names {
        await_that("a playlist with a segment", || playlist_of(&lab, name).contains("#EXTINF"));
    }
    writer.signal("KILL");
    writer.wait();
    for mut encoder in encoders {
        // It cannot go on without somebody who listens.
        encoder.wait().expect("its end");
    }
    let mut begun = lab.all_open();
    assert_eq!(begun.len(), names.len(), "{begun:?}");

    let writer = start();
    for encoder in urls.each_ref().map(|url| camera_of("160x90", 2, url)) {
        ended(encoder);
    }
    for name in names {
        await_that("the object", || objects_of(&lab, name).len() == 1);
    }
    writer.signal("TERM");
    let mut outcome = writer.wait().code(0).says("all is stored: 5 recordings");
    for name in names {
        outcome = outcome.says(&format!("{name}: a writer of")).says(&format!("{name}: an encoder is back"));
        let key = objects_of(&lab, name).remove(0);
        let of_it = begun.iter().position(|(begun, _)| *begun == key).expect("the same object");
        begun.remove(of_it);
        let object = lab.object(&key).expect("the object");
        has_one_header(&object);
        plays(&object);
        let (list, (_, whole)) = (playlist_of(&lab, name), extent(&object));
        assert!(list.contains("#EXT-X-ENDLIST") && (lasts(&list) - whole).abs() < 0.5, "{name}: {whole} s of {list}");
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{name}: {list}");
    }
    assert!(lab.all_open().is_empty());
    assert_eq!(journals(&spool), 0);
}

#[test]
fn of_many_streams_one_that_was_left_long_ago_is_completed_and_the_next_is_another() {
    let lab = Lab::new();
    let (address, place, spool) = (application(), place(&lab), lab.dir().join("spool"));
    std::fs::create_dir_all(&spool).expect("a directory");
    let key = add_key(&place, "cam");
    let words = [TEMPLATE, &address, "--keys", &place, "--spool-dir", &spool.display().to_string()];
    let publishing = || {
        let mut words = Words::publishing(&address, "live", &key);
        words.hear("NetStream.Publish.Start");
        words
    };
    let writer = lab.writer(&words);
    writer.wait_for("listening at ");
    let mut cam = publishing();
    cam.stream(2);
    drop(cam);
    // By then all before it has been taken.
    writer.wait_for("cam: the encoder is gone");
    upload_is_noted(&spool);
    writer.signal("KILL");
    writer.wait();
    assert_eq!(journals(&spool), 1);
    for file in files_below(&spool) {
        let file = std::fs::File::options().write(true).open(file).expect("a file");
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).expect("a time");
    }
    let writer = lab.writer(&words);
    // Nobody is waited for.
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    let mut cam = publishing();
    cam.stream(1);
    cam.end();
    await_that("another object", || objects_of(&lab, "cam").len() == 2);
    writer.signal("TERM");
    writer.wait().code(0).says("cam: a writer of").says("2 recordings");
    for key in objects_of(&lab, "cam") {
        has_one_header(&lab.object(&key).expect("the object"));
    }
    assert_eq!(journals(&spool), 0);
}

/// Waits until it is on disk which upload it is that pieces go into.
pub(super) fn upload_is_noted(spool: &Path) {
    let is_of_it =
        |file: &PathBuf| std::fs::read(file).is_ok_and(|bytes| bytes.windows(9).any(|part| part == b"upload_id"));
    await_that("the upload in the journal", || files_below(spool).iter().any(is_of_it));
}

pub(super) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("one").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// How many recordings are noted.
fn journals(spool: &Path) -> usize {
    files_below(spool).iter().filter(|file| file.ends_with("title")).count()
}
