//! Many streams in one process: each in its own object by its own key, and none of them minds what befalls another.

use std::net::TcpStream;

use serde_json::Value;

use crate::support::encoder::{Words, camera, ended};
use crate::support::keys::{add_key, id_of, listening, objects_of, place};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::redis::Redis;
use crate::support::run::{Launch, await_that};

/// One that publishes with this key.
#[track_caller]
fn publishing(url: &str, key: &str) -> Words {
    let mut words = Words::publishing(url, "live", key);
    words.hear("NetStream.Publish.Start");
    words
}

/// The only object of a stream.
#[track_caller]
fn only(lab: &Lab, name: &str) -> Vec<u8> {
    let keys = objects_of(lab, name);
    assert_eq!(keys.len(), 1, "{keys:?}");
    lab.object(&keys[0]).expect("the object")
}

#[test]
fn each_stream_goes_into_its_own_object_with_all_that_a_writer_does() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "left"), add_key(&place, "right")];
    let more = ["--hls", "--hls-time", "1", "--stats", "figures.jsonl", "--max-latency", "500ms"];
    let (writer, url) = listening(&lab, &place, &more);
    let encoders = [camera(4, &format!("{url}/{}", keys[0])), camera(30, &format!("{url}/right?key={}", keys[1]))];
    let [left, mut right] = encoders;
    ended(left);
    // What one has ended is complete while the other goes on.
    await_that("the object of the first", || objects_of(&lab, "left").len() == 1);
    writer.wait_for("right: an encoder publishes");
    writer.signal("TERM");
    let outcome = writer.wait().code(0).says("all is stored: 2 recordings");
    drop(right.kill());
    drop(right.wait());
    for name in ["left", "right"] {
        plays(&only(&lab, name));
        let list =
            lab.keys().into_iter().find(|key| key.starts_with(&format!("live/{name}/")) && key.ends_with("m3u8"));
        let list = String::from_utf8(lab.object(&list.expect("a playlist")).expect("its text")).expect("text");
        assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
    }
    let figures = std::fs::read_to_string(lab.dir().join("figures.jsonl")).expect("figures");
    for name in ["left", "right"] {
        let of =
            |line: &Value| line["stream"] == name && line["last"] == true && line["bytes_stored"].as_u64() > Some(0);
        assert!(figures.lines().any(|line| of(&serde_json::from_str(line).expect("JSON"))), "{name}: {figures}");
    }
    outcome.does_not_say(&keys[0]).does_not_say(&keys[1]);
}

#[test]
fn an_encoder_that_comes_back_goes_on_and_one_that_ended_begins_the_next() {
    let lab = Lab::new();
    let place = place(&lab);
    let key = add_key(&place, "cam");
    let (writer, url) = listening(&lab, &place, &[]);
    let mut first = publishing(&url, &key);
    first.stream(2);
    drop(first);
    writer.wait_for("cam: the encoder is gone");
    let mut again = publishing(&url, &key);
    again.stream(2);
    again.end();
    await_that("the first object", || objects_of(&lab, "cam").len() == 1);
    // The next one may begin in the same second.
    let mut next = publishing(&url, &key);
    next.stream(1);
    next.end();
    await_that("the second object", || objects_of(&lab, "cam").len() == 2);
    writer.signal("TERM");
    writer.wait().code(0).says("cam: an encoder is back").says("2 recordings");
    let keys = objects_of(&lab, "cam");
    let headers = |key: &String| lab.object(key).expect("it").windows(4).filter(|window| window == b"moov").count();
    assert_eq!(keys.iter().map(headers).collect::<Vec<_>>(), [1, 1], "{keys:?}");
    assert!(keys[0].starts_with("live/cam/1-") && keys[1].starts_with("live/cam/2-"), "{keys:?}");
}

#[test]
fn keys_are_added_and_revoked_while_it_runs() {
    let lab = Lab::new();
    let place = place(&lab);
    let (writer, url) = listening(&lab, &place, &[]);
    writer.wait_for("--add-key NAME");
    let (gone, stays) = (add_key(&place, "gone"), add_key(&place, "stays"));
    let mut one = publishing(&url, &gone);
    one.stream(1);
    let mut other = publishing(&url, &stays);
    other.stream(1);
    Launch::bare_writer(&["--keys", &place, "--revoke-key", &id_of(&place, "gone")]).start().wait().code(0);
    writer.wait_for("gone: its stream key was revoked");
    await_that("the object", || objects_of(&lab, "gone").len() == 1);
    Words::publishing(&url, "live", &gone).hear("NetStream.Publish.BadName");
    other.stream(1);
    other.end();
    await_that("the other's object", || objects_of(&lab, "stays").len() == 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&gone).does_not_say(&stays);
}

#[test]
fn one_that_fails_leaves_the_others_unharmed() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "bad"), add_key(&place, "good")];
    let (writer, url) = listening(&lab, &place, &["--live", "off"]);
    let mut bad = publishing(&url, &keys[0]);
    let mut good = publishing(&url, &keys[1]);
    good.stream(1);
    bad.stream(1);
    let mut open = Vec::new();
    await_that("both uploads", || {
        open = lab.all_open();
        open.len() == 2
    });
    let (key, id) = open.iter().find(|(key, _)| key.starts_with("live/bad/")).expect("the upload");
    lab.abort(key, id);
    bad.end();
    writer.wait_for("bad: ");
    await_that("the failure", || writer.messages().contains("Somebody else, or a rule of the bucket, has aborted"));
    good.stream(1);
    good.end();
    await_that("the object", || objects_of(&lab, "good").len() == 1);
    writer.signal("TERM");
    writer.wait().code(1).says("1 recording of this run could not be completed").says("1 recording could");
    assert!(objects_of(&lab, "bad").is_empty());
}

#[test]
fn strangers_learn_nothing_and_are_not_heard_when_they_guess() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "one"), add_key(&place, "two")];
    let (writer, url) = listening(&lab, &place, &["--max-streams", "1"]);
    let mut one = publishing(&url, &keys[0]);
    one.stream(1);
    let mut full = Words::publishing(&url, "live", &keys[1]);
    full.hear("--max-streams");
    full.is_closed_within(5);
    // Another stream's name, another application, no key: the same words for all.
    let two = format!("one?key={}", keys[1]);
    for (app, key) in [("live", two.as_str()), ("other", &keys[0]), ("live", ""), ("live", "one"), ("live", "lr_x")] {
        Words::publishing(&url, app, key).hear("check the URL's application and the stream key");
    }
    for _ in 0..5 {
        Words::publishing(&url, "live", "lr_1111111111111111111111").hear("NetStream.Publish.BadName");
    }
    // Now the right one is not heard either, from this address.
    Words::publishing(&url, "live", &keys[0]).hear("NetStream.Publish.BadName");
    one.stream(1);
    one.end();
    await_that("the object", || objects_of(&lab, "one").len() == 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&keys[0]).does_not_say(&keys[1]);
    assert!(TcpStream::connect(url.split('/').nth(2).expect("an address")).is_err());
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let lab = Lab::new();
    let (url, place) = ("rtmp://127.0.0.1:0/live", place(&lab));
    for (args, says) in [
        (["live.mp4", url, "--keys", &place].as_slice(), "{start}"),
        (&["live/{stream}/{start:%H}.mp4", url, "--keys", &place], "to the second"),
        (&["{session}.mp4", "--keys", &place], "URL"),
        (&["{session}.mp4", url], "--keys"),
        (&["{session}.mp4", url, "--keys", &place, "--resume"], "--resume"),
    ] {
        lab.writer(args).wait().code(2).says(says);
    }
    lab.writer(&["{session}.mp4", url, "--keys", "/nonexistent/keys.db"]).wait().code(1).says("/nonexistent/keys.db");
}

#[test]
fn a_redis_tells_who_may_publish() {
    let Some(redis) = Redis::start() else { return };
    let lab = Lab::new();
    let place = redis.url();
    let key = add_key(&place, "cam");
    let (writer, url) = listening(&lab, &place, &[]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    Launch::bare_writer(&["--keys", &place, "--revoke-key", &id_of(&place, "cam")]).start().wait().code(0);
    writer.wait_for("cam: its stream key was revoked");
    drop(redis);
    Words::publishing(&url, "live", &key).hear("cannot be read here at the moment");
    writer.signal("TERM");
    writer.wait().code(0).does_not_say("s3cret").does_not_say(&key);
    assert_eq!(objects_of(&lab, "cam").len(), 1);
}
