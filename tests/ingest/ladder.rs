//! Ladders: renditions with the key frames and the times of the source, which minds nothing that befalls their ffmpeg.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::admin::{Hook, answer_of};
use crate::support::encoder::{STREAM_KEY, ended};
use crate::support::keys::{add_key, add_key_of, place};
use crate::support::lab::Lab;
use crate::support::ladder::{
    CODED, HLS, KEY, LADDER, are_in_step, ffmpeg_of, file, key, keys, paced, pictures, segments, signal,
    source_has_all, text,
};
use crate::support::media::{plays, width_of};
use crate::support::pusher::{Client, FRAGMENTED, application};
use crate::support::run::{Launch, Run, await_some, await_that};

/// A writer that makes a ladder, and where it listens, with the key.
fn listening(lab: &Lab, scheme: &str, more: &[&str]) -> (Run, String) {
    let address = format!("{scheme}://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&[KEY, &address][..], &HLS, &LADDER, more].concat());
    let url = format!("{}/{STREAM_KEY}", application(&writer));
    (writer, url)
}

/// Sends pictures with key frames at odd times, and sound, at the pace of the clock.
pub(super) fn send(seconds: u32, url: &str) -> Child {
    send_of("320x180", seconds, url)
}

/// The same in another size.
fn send_of(size: &str, seconds: u32, url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(paced(size, seconds)).args(CODED.split_whitespace());
    let format = if url.starts_with("rtmp") { "f=flv" } else { FRAGMENTED };
    command
        .args(["-map", "0:v", "-map", "1:a", "-flags", "+global_header", "-f", "tee"])
        .arg(format!("[{format}]{url}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

/// Sends for as long as one likes; there is something of the ladder.
fn sending(lab: &Lab, url: &str) -> Child {
    let encoder = send(120, url);
    await_that("a segment of the ladder", || segments(lab, "90p") > 0);
    encoder
}

/// The same, until the encoder breaks off.
fn broken_off(lab: &Lab, writer: &Run, url: &str) {
    let mut encoder = sending(lab, url);
    drop((encoder.kill(), encoder.wait()));
    writer.wait_for("the encoder is gone");
}

#[test]
fn renditions_have_the_key_frames_the_times_and_the_segments_of_the_source() {
    for scheme in ["http", "rtmp"] {
        let lab = Lab::new();
        let (writer, url) = listening(&lab, scheme, &[]);
        ended(send(6, &url));
        let outcome = writer.wait().code(0);
        outcome
            .says("of 320x180 there is no 720p")
            .says("a ladder is made of 320x180: 180p, 90p")
            .does_not_say("http://127.0.0.1:0");
        are_in_step(&lab, scheme);
    }
}

#[test]
fn an_ffmpeg_that_is_killed_is_started_again_and_the_source_has_all() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "http", &["--max-latency", "300ms"]);
    let mut encoder = sending(&lab, &url);
    signal(ffmpeg_of(&writer).expect("an ffmpeg"), "KILL");
    writer.wait_for("it is started again in 1 s");
    await_some("another", || ffmpeg_of(&writer));
    let before = segments(&lab, "90p");
    await_that("more of the ladder", || segments(&lab, "90p") > before + 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say("too slow");
    drop((encoder.kill(), encoder.wait()));
    let source = pictures(&lab, "source");
    source_has_all(&lab);
    for name in ["180p", "90p"] {
        let here = pictures(&lab, name);
        assert!(here.windows(2).any(|two| two[1].0 - two[0].0 > 0.2), "{name} has no gap");
        // Behind it, it is where the source is.
        let near = |time: f64| keys(&source).iter().any(|key| (key - time).abs() < 0.002);
        assert!(keys(&here).into_iter().all(near), "{name}: {:?} for {:?}", keys(&here), keys(&source));
    }
}

#[test]
fn an_ffmpeg_that_stands_still_harms_nobody() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "rtmp", &["--max-latency", "300ms"]);
    let mut encoder = sending(&lab, &url);
    signal(ffmpeg_of(&writer).expect("an ffmpeg"), "STOP");
    let before = segments(&lab, "source");
    await_that("more of the source", || segments(&lab, "source") > before + 2);
    writer.signal("TERM");
    // It is waited for, but not for ever.
    writer.wait().code(0);
    drop((encoder.kill(), encoder.wait()));
    source_has_all(&lab);
    file(&lab, "90p");
}

#[test]
fn a_stream_that_is_too_much_for_ffmpeg_is_all_in_the_source() {
    let lab = Lab::new();
    let file = lab.dir().join("much.mp4");
    let inputs = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=10,noise=alls=90:allf=t";
    let coded =
        "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -qp 8 -g 25 -f mp4 -movflags +frag_keyframe+empty_moov";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split(' ')).args(coded.split(' ')).arg(&file);
    assert!(command.status().expect("ffmpeg").success());
    let bytes = std::fs::read(&file).expect("a file");
    assert!(bytes.len() > 40_000_000, "{} bytes are not too much", bytes.len());
    let (writer, url) = listening(&lab, "http", &[]);
    let mut encoder = Client::new(&url);
    encoder.begin(&format!("/live/{STREAM_KEY}"));
    let (first, rest) = bytes.split_at(bytes.len() / 8);
    encoder.chunk(first);
    let slow = await_some("an ffmpeg", || ffmpeg_of(&writer));
    signal(slow, "STOP");
    encoder.chunk(rest);
    writer.wait_for("too slow for the ladder");
    signal(slow, "CONT");
    encoder.chunk(b"");
    let (status, answer) = encoder.answer();
    assert_eq!(status, 200, "{answer}");
    writer.wait().code(0);
    assert_eq!(pictures(&lab, "source").len(), 250);
    let here = pictures(&lab, "90p").len();
    assert!((25..250).contains(&here), "{here} of 250");
}

#[test]
fn an_encoder_that_comes_back_is_followed_by_its_ladder() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "rtmp", &["--max-latency", "300ms"]);
    broken_off(&lab, &writer, &url);
    ended(send(4, &url));
    writer.wait().code(0).does_not_say("it is started again");
    let source = keys(&pictures(&lab, "source"));
    for name in ["source", "180p", "90p"] {
        let list = text(&lab, &format!("live/camera-{name}.m3u8"));
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{name}: {list}");
        let here = keys(&pictures(&lab, name));
        assert_eq!(here.len(), source.len(), "{name}: {here:?} for {source:?}");
        assert!(here.iter().zip(&source).all(|(a, b)| (a - b).abs() < 0.002), "{name}: {here:?} for {source:?}");
    }
}

#[test]
fn with_other_pictures_all_renditions_go_on_in_the_next_object() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "rtmp", &["--max-latency", "300ms"]);
    broken_off(&lab, &writer, &url);
    ended(send_of("160x90", 3, &url));
    writer.wait().code(0).says("of 160x90 there is no 720p, 180p").says("a ladder is made of 160x90: 90p");
    for (object, width) in [("source", 320), ("source-0002", 160), ("180p", 320), ("90p", 160), ("90p-0002", 160)] {
        let object = lab.object(&key(object)).unwrap_or_else(|| panic!("no {object} among {:?}", lab.keys()));
        plays(&object);
        assert_eq!(width_of(&object), width);
    }
    assert!(lab.object(&key("180p-0002")).is_none());
}

#[test]
fn of_many_streams_some_have_a_ladder() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "left"), add_key(&place, "right")];
    let args = ["live/{stream}/{start}-{rendition}.mp4", "http://127.0.0.1:0/live", "--keys", &place];
    let writer = lab.writer(&[&args[..], &["--ladder", "90p", "--ladder-max", "1"]].concat());
    let url = application(&writer);
    let first = send(120, &format!("{url}/{}", keys[0]));
    writer.wait_for("a ladder is made of");
    ended(send(1, &format!("{url}/{}", keys[1])));
    writer.wait_for("right: this stream has no ladder");
    await_some("a rendition", || lab.all_open().into_iter().find(|(key, _)| key.ends_with("-90p.mp4")));
    writer.signal("TERM");
    writer.wait().code(0).says("left/90p: ").says("2 recordings");
    let mut first = first;
    drop((first.kill(), first.wait()));
    let objects = |of: &str| lab.keys().into_iter().filter(|key| key.starts_with(of) && key.ends_with(".mp4")).count();
    assert_eq!((objects("live/left/"), objects("live/right/")), (2, 1), "{:?}", lab.keys());
}

#[test]
fn a_stream_may_have_a_ladder_of_its_own() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [("own", &["--ladder", "90p"][..]), ("usual", &[]), ("asked", &["--ladder", "90p"])];
    let keys = keys.map(|(name, own)| add_key_of(&place, name, own));
    // Whoever has to agree says of one that there is to be none.
    let hook = Hook::new(|asked, _| {
        let ladder = if asked.contains("\"asked\"") { json!({ "ladder": "none" }) } else { json!({}) };
        answer_of("200 OK", &ladder.to_string())
    });
    let args = ["live/{stream}/{start}-{rendition}.mp4", "http://127.0.0.1:0/live", "--keys", &place];
    let secret = lab.dir().join("secret").display().to_string();
    std::fs::write(&secret, "0123456789abcdef-s3cret").expect("a file");
    let hooks = ["--on-publish", &hook.url(), "--hook-secret-file", &secret];
    let writer = lab.writer(&[&args[..], &hooks, &["--ladder", "none"]].concat());
    let url = application(&writer);
    for key in &keys {
        ended(send(2, &format!("{url}/{key}")));
    }
    let objects = |of: &str| lab.keys().into_iter().filter(|key| key.starts_with(of) && key.ends_with(".mp4")).count();
    let counts = || ["live/own/", "live/usual/", "live/asked/"].map(objects);
    await_that("objects of all", || counts() == [2, 1, 1]);
    writer.signal("TERM");
    writer.wait().code(0).says("3 recordings").does_not_say("is to have a ladder");
    let without = lab.writer(&args);
    ended(send(1, &format!("{}/{}", application(&without), keys[0])));
    without.wait_for("own: this stream is to have a ladder, 90p:150000, and there is only its source");
    without.signal("TERM");
    without.wait().code(0).says("1 recording of this run");
}

#[test]
fn what_a_ladder_lacks_is_said_at_the_start() {
    let lab = Lab::new();
    let url = "http://127.0.0.1:0";
    for (args, says) in [
        (&["live.mp4", url, "--ladder", "90p"][..], "put {rendition} into KEY"),
        (&["live.mp4", "--ladder", "90p"], "put {rendition} into KEY"),
        (&[KEY, url, "--ladder", "90"], "is no rung"),
        (&[KEY, url, "--ladder-args", "-x"], "--ladder"),
    ] {
        lab.writer(args).wait().code(2).says(says);
    }
    lab.writer(&[KEY, url, "--ladder", "90p", "--ladder-encoder", "libnone"]).wait().code(1).says("no encoder libnone");
    let bare = Launch::writer(&lab, &[KEY, url, "--ladder", "90p"]).env("PATH", "/nonexistent").start();
    bare.wait().code(1).says("there is none in PATH").says("nothing has been uploaded");
}
