//! What a stream key may be used for: from where, how, how fast and for how long; and that it can be changed meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::admin::{address_of, ask};
use crate::support::encoder::{KEY, STREAM_KEY, Words};
use crate::support::keys::{TEMPLATE, add_key, add_key_of, id_of, listening, objects_of, place};
use crate::support::lab::Lab;
use crate::support::pusher::{self, Client, application};
use crate::support::run::{Launch, Run, await_that};

#[track_caller]
fn publishing(url: &str, key: &str) -> Words {
    let mut words = Words::publishing(url, "live", key);
    words.hear("NetStream.Publish.Start");
    words
}

/// A writer of many streams that are pushed by HTTP, and its address.
fn pushed_to(lab: &Lab, place: &str, more: &[&str]) -> (Run, String) {
    let writer = lab.writer(&[&[TEMPLATE, "http://127.0.0.1:0/live", "--keys", place][..], more].concat());
    let url = application(&writer);
    (writer, url)
}

/// Pictures of so many bytes each, ten a second.
fn pictures(words: &mut Words, from: u32, to: u32, size: usize) {
    let picture = vec![0x65; size];
    let length = u32::try_from(size).expect("small").to_be_bytes();
    for time in (from..to).step_by(100) {
        let first = if time % 1000 == 0 { 0x17 } else { 0x27 };
        words.message(9, time, &[&[first, 1, 0, 0, 0][..], &length, &picture].concat());
    }
}

#[test]
fn a_key_is_good_only_from_where_and_how_it_may_come() {
    let lab = Lab::new();
    let place = place(&lab);
    let elsewhere = add_key_of(&place, "elsewhere", &["--allow-ip", "192.0.2.0/24,2001:db8::/32"]);
    let here =
        add_key_of(&place, "here", &["--allow-ip", "192.0.2.0/24", "--allow-ip", "127.0.0.0/8", "--protocols", "rtmp"]);
    let (writer, url) = listening(&lab, &place, &[]);
    Words::publishing(&url, "live", &elsewhere).hear("not taken from this address");
    // It is no guess: as often as one likes.
    for _ in 0..10 {
        Words::publishing(&url, "live", &elsewhere).hear("NetStream.Publish.Denied");
    }
    let mut words = publishing(&url, &here);
    words.stream(1);
    words.end();
    await_that("the object", || objects_of(&lab, "here").len() == 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&elsewhere);
    let (writer, url) = pushed_to(&lab, &place, &[]);
    let (status, answer) = Client::new(&url).ask("POST", &format!("/live/{here}"), "", b"");
    assert!(status == 403 && answer.contains("not taken by this protocol"), "{answer}");
    writer.signal("TERM");
    writer.wait().code(0);
    let list = Launch::bare_writer(&["--keys", &place, "--list-keys"]).start().wait().code(0).out;
    let list = String::from_utf8(list).expect("text");
    let line = list.lines().find(|line| line.contains("  here  ")).expect("a line");
    assert!(line.ends_with("  from 192.0.2.0/24 127.0.0.0/8, by rtmp"), "{line}");
}

#[test]
fn whoever_sends_more_than_he_may_waits_and_nothing_is_lost() {
    let lab = Lab::new();
    let place = place(&lab);
    // 25 kB a second, of which two seconds may come at once.
    let key = add_key_of(&place, "cam", &["--max-bitrate", "200k"]);
    let (writer, url) = listening(&lab, &place, &["--max-bitrate", "8M"]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    let began = Instant::now();
    pictures(&mut cam, 1000, 3500, 10_000);
    cam.end();
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    let took = began.elapsed();
    // What is in a socket is read at once.
    assert!(took > Duration::from_secs(5), "250 kB in {took:?}");
    let object = lab.object(&objects_of(&lab, "cam")[0]).expect("the object");
    assert!(object.len() > 250_000, "{} bytes", object.len());
    // Those without a limit of their own have that of all, which is no limit to these.
    let free = add_key(&place, "free");
    let mut free = publishing(&url, &free);
    free.stream(1);
    let began = Instant::now();
    pictures(&mut free, 1000, 3000, 10_000);
    free.end();
    await_that("the object", || objects_of(&lab, "free").len() == 1);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    writer.signal("TERM");
    writer.wait().code(0).says("cam: the encoder sends more than the 200 kbit/s");
}

#[test]
fn what_is_pushed_waits_too() {
    let lab = Lab::new();
    let (writer, url) = pusher::listening(&lab, &["--max-bitrate", "64k"]);
    let own = lab.dir().join("own.mp4");
    let ((header, fragments), _) = pusher::tracks(&lab, 2, &own);
    let body = [header, fragments.concat()].concat();
    // Eight kilobytes a second, and two seconds at once.
    let least = Duration::from_secs_f64(f64::from(u32::try_from(body.len()).expect("small")) / 8000.0 - 2.5);
    assert!(least > Duration::from_secs(1), "{} bytes", body.len());
    let began = Instant::now();
    let (status, answer) = Client::new(&url).ask("POST", &format!("/live/{STREAM_KEY}"), "", &body);
    assert_eq!(status, 200, "{answer}");
    assert!(began.elapsed() > least, "{} bytes in {:?}", body.len(), began.elapsed());
    writer.wait().code(0);
    assert!(lab.object(KEY).is_some());
}

#[test]
fn a_recording_ends_when_it_has_lasted_as_long_as_it_may() {
    let lab = Lab::new();
    let place = place(&lab);
    let key = add_key_of(&place, "cam", &["--max-duration", "2s"]);
    let (writer, url) = listening(&lab, &place, &[]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    cam.is_closed_within(5);
    // Its encoder tries again at once, and is not to succeed.
    Words::publishing(&url, "live", &key).hear("this stream has been ended");
    writer.signal("TERM");
    writer.wait().code(0).says("cam: the recording has lasted 2 s").says("1 recording of this run");
}

#[test]
fn an_encoder_is_waited_for_as_long_as_its_stream_says() {
    let lab = Lab::new();
    let place = place(&lab);
    let key = add_key_of(&place, "cam", &["--reconnect", "1s"]);
    let (writer, url) = listening(&lab, &place, &["--reconnect", "1h"]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    drop(cam);
    writer.wait_for("cam: no encoder came back in 1 s");
    writer.signal("TERM");
    writer.wait().code(0);
}

#[test]
fn a_stream_is_changed_while_it_is_published() {
    let lab = Lab::new();
    let place = place(&lab);
    let key = add_key(&place, "cam");
    let (writer, url) = listening(&lab, &place, &["--admin", "127.0.0.1:0"]);
    let (address, id) = (address_of(&writer), id_of(&place, "cam"));
    let patch = |change: &Value| ask(&address, &format!("PATCH /v1/streams/{id}"), change);
    let (status, changed) = patch(&json!({ "object": "own/{stream}-{start}.mp4", "max_bitrate": 8_000_000 }));
    assert_eq!((status, &changed["max_bitrate"], &changed["enabled"]), (200, &json!(8_000_000), &json!(true)));
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    cam.end();
    await_that("the object", || lab.keys().iter().any(|key| key.starts_with("own/cam-")));
    // Back to what is usual; and while it is published, disabled.
    assert_eq!(patch(&json!({ "object": null, "max_bitrate": null })).1["object"], Value::Null);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    assert_eq!(patch(&json!({ "enabled": false })).0, 200);
    cam.is_closed_within(10);
    writer.wait_for("cam: it was disabled: the recording ends");
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    Words::publishing(&url, "live", &key).hear("this stream is disabled");
    let now = ask(&address, &format!("GET /v1/streams/{id}"), &Value::Null).1;
    assert_eq!(
        (&now["enabled"], &now["max_bitrate"], now["keys"].as_array().map(Vec::len)),
        (&json!(false), &Value::Null, Some(1))
    );
    let (status, changed) = patch(&json!({ "enabled": true, "max_duration": 1, "ladder": "none", "reconnect": 5 }));
    assert_eq!((status, &changed["ladder"], &changed["reconnect"]), (200, &json!("none"), &json!(5)));
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    await_that("the next object", || objects_of(&lab, "cam").len() == 2);
    for bad in [
        json!({ "object": "x.mp4" }),
        json!({ "max_bitrate": 5 }),
        json!({ "allow_ip": ["here"] }),
        json!({ "ladder": "720" }),
        json!({ "name": "x" }),
    ] {
        assert_eq!(patch(&bad).0, 400, "{bad}");
    }
    assert_eq!(ask(&address, "PATCH /v1/streams/nobody", &json!({})).0, 404);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&key);
}

#[test]
fn a_key_that_is_exchanged_can_be_revoked_while_the_next_one_publishes() {
    let lab = Lab::new();
    let place = place(&lab);
    let first = add_key(&place, "cam");
    let (writer, url) = listening(&lab, &place, &["--admin", "127.0.0.1:0"]);
    let (address, id) = (address_of(&writer), id_of(&place, "cam"));
    let mut cam = publishing(&url, &first);
    cam.stream(1);
    let (_, made) = ask(&address, &format!("POST /v1/streams/{id}/keys"), &json!({}));
    let second = made["key"].as_str().expect("a key").to_owned();
    let mut cam = publishing(&url, &second);
    cam.stream(1);
    let old = made["keys"].as_array().and_then(|keys| {
        keys.iter().find(|key| key["prefix"].as_str().is_some_and(|prefix| first.starts_with(prefix)))
    });
    let old = old.and_then(|key| key["id"].as_str()).expect("the first key");
    assert_eq!(ask(&address, &format!("DELETE /v1/streams/{id}/keys/{old}"), &Value::Null).0, 204);
    // What is published with a key that is revoked ends, and so will this one; but not before.
    let other = add_key(&place, "other");
    let mut words = publishing(&url, &other);
    words.stream(1);
    Launch::bare_writer(&["--keys", &place, "--revoke-key", &id_of(&place, "other")]).start().wait().code(0);
    writer.wait_for("other: its stream key was revoked");
    cam.frames(1000, 2000);
    cam.end();
    writer.wait_for("cam: the encoder has ended the stream");
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say("cam: its stream key was revoked");
}

#[test]
fn who_may_come_again_is_told_when() {
    let lab = Lab::new();
    let place = place(&lab);
    let (one, two) = (add_key(&place, "one"), add_key(&place, "two"));
    let (writer, url) = pushed_to(&lab, &place, &["--max-streams", "1"]);
    let own = lab.dir().join("own.mp4");
    let ((header, fragments), _) = pusher::tracks(&lab, 1, &own);
    let body = [header, fragments.concat()].concat();
    let mut first = Client::new(&url);
    first.begin(&format!("/live/{one}"));
    first.chunk(&body);
    writer.wait_for("one: an encoder publishes");
    let (status, answer) = Client::new(&url).ask("POST", &format!("/live/{two}"), "", &body);
    assert!(
        status == 503 && answer.contains("--max-streams") && answer.to_lowercase().contains("retry-after: "),
        "{answer}"
    );
    // A file that cannot be read says nothing about the key.
    std::fs::rename(&place, format!("{place}.away")).expect("a file");
    let (status, answer) = Client::new(&url).ask("POST", &format!("/live/{two}"), "", &body);
    assert!(
        status == 503 && answer.contains("at the moment") && answer.to_lowercase().contains("retry-after: "),
        "{answer}"
    );
    std::fs::rename(format!("{place}.away"), &place).expect("a file");
    first.chunk(b"");
    assert_eq!(first.answer().0, 200);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&two);
}
