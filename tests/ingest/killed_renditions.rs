//! Writers that are killed under a stream of several objects, and started again: all of them go on, in step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::killed::{application, files_below};
use super::ladder::send;
use super::renditions::{compare, has_one_header, push};
use crate::support::encoder::{STREAM_KEY, ended};
use crate::support::keys::{add_key, place};
use crate::support::lab::Lab;
use crate::support::ladder::{HLS, KEY, keys, pictures, segments, text};
use crate::support::media::plays;
use crate::support::proxy::{Proxy, Weather};
use crate::support::pusher::{Client, FRAGMENTED};
use crate::support::run::{Run, await_that};

const LIVE: [&str; 4] = ["--fragment", "200ms", "--max-latency", "300ms"];

/// A writer that is started with the same command each time.
struct Again {
    url: String,
    spool: PathBuf,
}

impl Again {
    fn new(lab: &Lab) -> Self {
        let url = application().replace("rtmp", "http");
        let spool = lab.dir().join("spool");
        std::fs::create_dir_all(&spool).expect("a directory");
        Self { url: format!("{url}/{STREAM_KEY}"), spool }
    }

    fn start(&self, lab: &Lab, more: &[&str]) -> Run {
        let spool = self.spool.display().to_string();
        let words = [KEY, &self.url, "--spool-dir", &spool, "--debug"];
        let writer = lab.writer(&[&words[..], &HLS, more].concat());
        writer.wait_for("listening at ");
        writer
    }

    /// Sends all of this, and no end.
    fn send(&self, writer: &Run, bytes: &[u8]) {
        let mut encoder = Client::new(&self.url);
        let path = self.url.split_once("/live").map(|(_, key)| format!("/live{key}")).expect("a path");
        encoder.begin(&path);
        for piece in bytes.chunks(300_000) {
            encoder.chunk(piece);
        }
        drop(encoder);
        // By then all before it has been taken.
        writer.wait_for("the encoder is gone");
    }

    /// Waits until it is on disk which upload each of so many is that pieces go into.
    fn uploads_are_noted(&self, count: usize) {
        let is_of_one =
            |file: &PathBuf| std::fs::read(file).is_ok_and(|bytes| bytes.windows(9).any(|part| part == b"upload_id"));
        await_that("the uploads in the journal", || {
            let files = files_below(&self.spool);
            let of: BTreeSet<_> = files.iter().filter(|file| is_of_one(file)).map(|file| file.parent()).collect();
            of.len() == count
        });
    }

    /// Nothing is left of it on disk.
    fn left_nothing(&self) {
        let left = files_below(&self.spool);
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The objects, and which uploads are open.
fn objects(lab: &Lab) -> (Vec<String>, Vec<(String, String)>) {
    let mut keys: Vec<_> = lab.keys().into_iter().filter(|key| key.ends_with(".mp4")).collect();
    keys.sort();
    let mut open = lab.all_open();
    open.sort();
    (keys, open)
}

/// Pictures that do not become small, in a file as an encoder pushes it, and in the encoder's own recording.
fn noise(seconds: u32, dir: &Path, own: &Path) -> Vec<u8> {
    let file = dir.join("noise.mp4");
    let inputs = format!(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration={seconds},noise=alls=90:allf=t \
         -f lavfi -i sine=duration={seconds}"
    );
    let coded = "-filter_complex [0:v]split[a][b];[b]scale=160:90[c] -map [a] -map [c] -map 1:a -pix_fmt yuv420p \
                 -c:v libx264 -preset ultrafast -qp 8 -bf 2 -g 25 -c:a aac -flags +global_header -f tee";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    // What tells of the end is not pushed.
    command.arg(format!("[{FRAGMENTED}+skip_trailer]{}|[f=mp4]{}", file.display(), own.display()));
    assert!(command.status().expect("ffmpeg").success());
    std::fs::read(file).expect("a file")
}

#[test]
fn what_was_handed_on_before_the_kill_is_in_each_object_byte_for_byte() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let own = lab.dir().join("own.mp4");
    let bytes = noise(8, lab.dir(), &own);
    assert!(bytes.len() > 8_000_000, "{} bytes are in no part", bytes.len());
    let writer = again.start(&lab, &["--part-size", "5MB"]);
    again.send(&writer, &bytes);
    again.uploads_are_noted(2);
    let large = lab.wait_open("live/camera-180p.mp4");
    lab.wait_parts("live/camera-180p.mp4", &large, 1);
    let before = objects(&lab).1;
    writer.signal("KILL");
    writer.wait();
    assert_eq!(objects(&lab), (Vec::new(), before));
    // Nobody comes back.
    let writer = again.start(&lab, &["--reconnect", "1s"]);
    writer.wait().code(0).says("was killed: going on behind the").says("no encoder came back").does_not_say(STREAM_KEY);
    let names = ["180p", "90p"].map(|name| format!("live/camera-{name}.mp4"));
    assert_eq!(objects(&lab), (names.to_vec(), Vec::new()));
    compare(&lab, &own);
    again.left_nothing();
}

#[test]
fn what_came_before_any_upload_had_begun_is_there_too() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let own = lab.dir().join("own.mp4");
    let bytes = noise(2, lab.dir(), &own);
    let proxy = Proxy::before(lab.endpoint());
    let endpoint = ["--endpoint-url", proxy.endpoint()];
    let writer = again.start(&lab, &endpoint);
    proxy.set(Weather::Refuse);
    again.send(&writer, &bytes);
    writer.signal("KILL");
    writer.wait();
    assert_eq!(objects(&lab), (Vec::new(), Vec::new()));
    proxy.set(Weather::Fine);
    let writer = again.start(&lab, &[&endpoint[..], &["--reconnect", "1s"]].concat());
    writer.wait().code(0).says("was killed before it had begun an upload");
    compare(&lab, &own);
    again.left_nothing();
}

#[test]
fn one_whose_upload_is_gone_by_then_is_given_up_and_the_other_goes_on() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let bytes = noise(2, lab.dir(), &lab.dir().join("own.mp4"));
    let writer = again.start(&lab, &[]);
    again.send(&writer, &bytes);
    again.uploads_are_noted(2);
    writer.signal("KILL");
    writer.wait();
    let gone = "live/camera-90p.mp4";
    lab.abort(gone, &lab.wait_open(gone));
    let writer = again.start(&lab, &["--reconnect", "1s"]);
    let outcome = writer.wait().code(0).says("camera-90p.mp4 was killed, and its upload is over by now");
    outcome.says("camera-180p.mp4 was killed: going on behind the");
    assert_eq!(objects(&lab), (vec!["live/camera-180p.mp4".to_owned()], Vec::new()));
    plays(&lab.object("live/camera-180p.mp4").expect("it is there"));
    again.left_nothing();
}

#[test]
fn of_many_streams_what_was_left_long_ago_is_completed() {
    let lab = Lab::new();
    let (address, place, spool) = (application().replace("rtmp", "http"), place(&lab), lab.dir().join("spool"));
    let again = Again { url: format!("{address}/{}", add_key(&place, "cam")), spool: spool.clone() };
    std::fs::create_dir_all(&spool).expect("a directory");
    let spool = spool.display().to_string();
    let words = ["live/{stream}/{start}-{rendition}.mp4", &address, "--keys", &place, "--spool-dir", &spool];
    let bytes = noise(2, lab.dir(), &lab.dir().join("own.mp4"));
    let writer = lab.writer(&words);
    writer.wait_for("listening at ");
    again.send(&writer, &bytes);
    again.uploads_are_noted(2);
    writer.signal("KILL");
    writer.wait();
    for file in files_below(&again.spool) {
        let file = std::fs::File::options().write(true).open(file).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("a time");
    }
    let writer = lab.writer(&words);
    // Nobody is waited for.
    await_that("the objects", || objects(&lab).0.len() == 2);
    writer.signal("TERM");
    writer.wait().code(0).says("cam: a writer of").says("1 recording of this run");
    assert!(objects(&lab).1.is_empty());
    for key in objects(&lab).0 {
        plays(&lab.object(&key).expect("it is there"));
    }
    let left = files_below(&again.spool);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_encoder_comes_back_into_the_same_objects_and_the_same_playlists() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let own = lab.dir().join("own.mp4");
    for (life, seconds) in [60, 60, 3].into_iter().enumerate() {
        let writer = again.start(&lab, &LIVE);
        if life > 0 {
            writer.wait_for("was killed: going on behind the");
        }
        let before: Vec<_> = ["180p", "90p"].map(|name| segments(&lab, name)).to_vec();
        let mut encoder = push(["testsrc2", "testsrc", "testsrc2"][life], seconds, FRAGMENTED, &again.url, &own);
        if life == 2 {
            ended(encoder);
            writer.wait().code(0).says("an encoder is back").does_not_say(STREAM_KEY);
            break;
        }
        await_that("more segments", || {
            ["180p", "90p"].iter().zip(&before).all(|(name, before)| segments(&lab, name) > before + 1)
        });
        let open = objects(&lab).1;
        assert_eq!(open.len(), 2, "{open:?}");
        writer.signal("KILL");
        writer.wait();
        // It cannot go on without somebody who listens.
        drop((encoder.kill(), encoder.wait()));
    }
    let names = ["180p", "90p"].map(|name| format!("live/camera-{name}.mp4"));
    assert_eq!(objects(&lab), (names.to_vec(), Vec::new()));
    let times = ["180p", "90p"].map(|name| pictures(&lab, name));
    for (name, times) in ["180p", "90p"].iter().zip(&times) {
        has_one_header(&lab, &format!("live/camera-{name}.mp4"));
        assert!(times.windows(2).all(|two| two[1].0 - two[0].0 < 0.25), "{name}: {times:?}");
        let list = text(&lab, &format!("live/camera-{name}.m3u8"));
        assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{name}: {list}");
    }
    let [large, small] = times.each_ref().map(|times| keys(times));
    assert!(large.len() == small.len() && large.iter().zip(&small).all(|(a, b)| (a - b).abs() < 0.002));
    let master = text(&lab, "live/camera.m3u8");
    for wanted in ["RESOLUTION=320x180", "RESOLUTION=160x90", "\ncamera-180p.m3u8\n", "\ncamera-90p.m3u8\n"] {
        assert_eq!(master.matches(wanted).count(), 1, "{wanted} in {master}");
    }
    again.left_nothing();
}

#[test]
fn a_ladder_goes_on_in_its_objects_with_a_gap() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let names = ["180p", "90p", "source"];
    let args = [&LIVE[..], &["--ladder", "180p:300k,90p:100k"]].concat();
    let writer = again.start(&lab, &args);
    let mut encoder = send(120, &again.url);
    await_that("segments", || names.iter().all(|name| segments(&lab, name) > 1));
    writer.signal("KILL");
    writer.wait();
    drop((encoder.kill(), encoder.wait()));
    let before: Vec<usize> = names.iter().map(|name| segments(&lab, name)).collect();
    assert_eq!(objects(&lab).1.len(), 3);
    let writer = again.start(&lab, &args);
    writer.wait_for("was killed: going on behind the");
    ended(send(5, &again.url));
    writer.wait().code(0).says("an encoder is back");
    let keys_of = names.map(|name| format!("live/camera-{name}.mp4"));
    assert_eq!(objects(&lab), (keys_of.to_vec(), Vec::new()));
    let source = pictures(&lab, "source");
    assert!(source.windows(2).all(|two| two[1].0 - two[0].0 < 0.25), "the source has a gap");
    let begins = |times: &[(f64, bool)]| times.first().expect("pictures").0;
    for (name, before) in names.iter().zip(before) {
        let here = pictures(&lab, name);
        has_one_header(&lab, &format!("live/camera-{name}.mp4"));
        plays(&lab.object(&format!("live/camera-{name}.mp4")).expect("it is there"));
        assert!((begins(&here) - begins(&source)).abs() < 0.05, "{name}");
        let near = |time: f64| keys(&source).iter().any(|key| (key - time).abs() < 0.002);
        assert!(keys(&here).into_iter().all(near), "{name}: {:?} for {:?}", keys(&here), keys(&source));
        // All that the last encoder sent.
        let end = |times: &[(f64, bool)]| times.last().expect("pictures").0;
        assert!((end(&here) - end(&source)).abs() < 0.1, "{name} ends at {} of {}", end(&here), end(&source));
        assert!(segments(&lab, name) > before + 2, "{name}: {} behind {before}", segments(&lab, name));
        let list = text(&lab, &format!("live/camera-{name}.m3u8"));
        assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{name}: {list}");
    }
    let master = text(&lab, "live/camera.m3u8");
    for name in names {
        assert_eq!(master.matches(&format!("\ncamera-{name}.m3u8\n")).count(), 1, "{name} in {master}");
    }
    again.left_nothing();
}

#[test]
fn without_a_ladder_what_there_was_of_it_is_completed_and_the_source_goes_on() {
    let lab = Lab::new();
    let again = Again::new(&lab);
    let writer = again.start(&lab, &[&LIVE[..], &["--ladder", "90p:100k"]].concat());
    let mut encoder = send(120, &again.url);
    await_that("segments", || segments(&lab, "90p") > 1 && segments(&lab, "source") > 1);
    writer.signal("KILL");
    writer.wait();
    drop((encoder.kill(), encoder.wait()));
    let writer = again.start(&lab, &LIVE);
    await_that("the object of the ladder", || lab.keys().contains(&"live/camera-90p.mp4".to_owned()));
    ended(send(2, &again.url));
    writer.wait().code(0).says("an encoder is back");
    assert!(objects(&lab).1.is_empty());
    for name in ["90p", "source"] {
        plays(&lab.object(&format!("live/camera-{name}.mp4")).expect("it is there"));
    }
    let lasts = |name| pictures(&lab, name).last().expect("pictures").0;
    assert!(lasts("source") > lasts("90p") + 1.5);
    again.left_nothing();
}

#[test]
fn of_many_streams_each_goes_on_in_all_its_objects() {
    let lab = Lab::new();
    let (address, place, spool) = (application().replace("rtmp", "http"), place(&lab), lab.dir().join("spool"));
    std::fs::create_dir_all(&spool).expect("a directory");
    let urls = ["left", "right"].map(|name| format!("{address}/{}", add_key(&place, name)));
    let start = || {
        let words = ["live/{stream}/{start}-{rendition}.mp4", &address, "--keys", &place];
        let how = ["--spool-dir", &spool.display().to_string(), "--hls", "--hls-master", "live/{stream}/all.m3u8"];
        let ladder = ["--ladder", "90p:100k", "--ladder-max", "2", "--hls-time", "1"];
        let writer = lab.writer(&[&words[..], &how, &LIVE, &ladder].concat());
        writer.wait_for("listening at ");
        writer
    };
    let own = lab.dir().join("own.mp4");
    // One has several pictures, the other a ladder.
    let begun = |name: &str| {
        let lists =
            lab.keys().into_iter().filter(|key| key.starts_with(&format!("live/{name}/2")) && key.ends_with("m3u8"));
        lists.filter(|key| text(&lab, key).contains("#EXTINF")).count()
    };
    let writer = start();
    let mut right = send(120, &urls[1]);
    await_that("the ladder of the one", || begun("right") == 2);
    let mut left = push("testsrc2", 120, FRAGMENTED, &urls[0], &own);
    await_that("the pictures of the other", || begun("left") == 2);
    writer.signal("KILL");
    writer.wait();
    drop((left.kill(), left.wait(), right.kill(), right.wait()));
    let (none, open) = objects(&lab);
    assert!(none.is_empty() && open.len() == 4, "{open:?}");

    let writer = start();
    writer.wait_for("right: a writer of");
    writer.wait_for("left: a writer of");
    let encoders = [push("testsrc", 3, FRAGMENTED, &urls[0], &own), send(3, &urls[1])];
    encoders.into_iter().for_each(ended);
    await_that("all objects", || objects(&lab).0.len() == 4);
    writer.signal("TERM");
    let outcome = writer.wait().code(0).says("2 recordings");
    outcome.says("left: an encoder is back").says("right: an encoder is back");
    let wanted: Vec<String> = open.into_iter().map(|(key, _)| key).collect();
    assert_eq!(objects(&lab), (wanted.clone(), Vec::new()));
    for key in wanted {
        has_one_header(&lab, &key);
        plays(&lab.object(&key).expect("it is there"));
        let list = text(&lab, &key.replace(".mp4", ".m3u8"));
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{key}: {list}");
    }
    for (name, count) in [("left", 2), ("right", 2)] {
        let master = text(&lab, &format!("live/{name}/all.m3u8"));
        assert_eq!(master.lines().filter(|line| line.ends_with(".m3u8")).count(), count, "{master}");
    }
    let left = files_below(&spool);
    assert!(left.is_empty(), "{left:?}");
}
