//! Somebody else, who is asked whether a stream may be published, and told what becomes of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use live_read::human::times::show_of_day;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::admin::{Hook, answer_of};
use crate::support::encoder::Words;
use crate::support::keys::{TEMPLATE, add_key, listening, objects_of, place};
use crate::support::lab::Lab;
use crate::support::pusher::application;
use crate::support::run::{Run, await_that};

const SECRET: &str = "0123456789abcdef-s3cret";
const EVENTS: [&str; 5] = ["live", "broken", "back", "complete", "failed"];

/// A writer of many streams that asks this one.
fn asking(lab: &Lab, hook: &Hook, more: &[&str]) -> (Run, String) {
    let secret = lab.dir().join("secret").display().to_string();
    std::fs::write(&secret, SECRET).expect("a file");
    let url = hook.url();
    listening(lab, &place(lab), &[&["--on-publish", &url, "--hook-secret-file", &secret][..], more].concat())
}

#[track_caller]
fn publishing(url: &str, key: &str) -> Words {
    let mut words = Words::publishing(url, "live", key);
    words.hear("NetStream.Publish.Start");
    words
}

fn is_publish(body: &str) -> bool {
    body.contains("\"event\":\"publish\"")
}

#[test]
fn somebody_else_has_to_agree() {
    let lab = Lab::new();
    let key = add_key(&place(&lab), "cam");
    let answers = std::sync::Mutex::new(vec![
        "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        answer_of("500 Oh", ""),
        answer_of("200 OK", r#"{"object": "one.mp4"}"#),
        answer_of("204 No Content", ""),
        answer_of("403 Forbidden", "not on Sundays"),
    ]);
    let hook = Hook::new(move |body, _| {
        let next = if is_publish(body) { answers.lock().unwrap().pop() } else { None };
        next.unwrap_or_else(|| answer_of("204 No Content", ""))
    });
    let (writer, url) = asking(&lab, &hook, &[]);
    // Whoever has no key is not asked about.
    Words::publishing(&url, "live", "lr_x").hear("NetStream.Publish.BadName");
    Words::publishing(&url, "live", &format!("cam?a=b&key={key}&c=d")).hear("not on Sundays");
    let (head, body) = hook.heard().remove(0);
    assert!(head.starts_with("POST /may?x=y HTTP/1.1\r\n"), "{head}");
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{}.{body}", field("x-live-read-timestamp: ")).as_bytes());
    assert_eq!(field("x-live-read-signature: "), hex::encode(mac.finalize().into_bytes()));
    let question: Value = serde_json::from_str(&body).expect("JSON");
    for (name, value) in
        [("event", "publish"), ("stream", "cam"), ("ip", "127.0.0.1"), ("query", "a=b&c=d"), ("encoder", "words")]
    {
        assert_eq!(question[name], value, "{question}");
    }
    assert!(
        question["session"].as_str().is_some_and(|session| session.len() == 10) && !body.contains(&key),
        "{question}"
    );
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    cam.end();
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    // Who agrees to what cannot be, breaks off, answers with something else, or is not there, has not agreed.
    for _ in 0..4 {
        Words::publishing(&url, "live", &key).hear("cannot be asked at the moment");
    }
    await_that("the last word", || !hook.events(&["complete"]).is_empty());
    drop(hook);
    Words::publishing(&url, "live", &key).hear("cannot be asked at the moment");
    writer.signal("TERM");
    writer
        .wait()
        .code(0)
        .says("--on-publish could not be asked")
        .says("is no template")
        .does_not_say(SECRET)
        .does_not_say(&key);
}

#[test]
fn what_becomes_of_a_stream_is_told_and_nothing_follows_from_the_answer() {
    let lab = Lab::new();
    let key = add_key(&place(&lab), "cam");
    let hook = Hook::new(|body, before| match body {
        body if is_publish(body) => answer_of("204 No Content", ""),
        // Once it has not heard; else it has something against it.
        body if body.contains("\"broken\"") && before == 0 => answer_of("500 Oh", ""),
        _ => answer_of("403 Forbidden", "no"),
    });
    let (writer, url) = asking(&lab, &hook, &[]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    drop(cam);
    writer.wait_for("cam: the encoder is gone");
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    cam.end();
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say("could not be told");
    let told = hook.events(&EVENTS);
    let names: Vec<_> = told.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["live", "broken", "broken", "back", "complete"], "{told:?}");
    let asked = hook.events(&["publish"]);
    assert!(asked.len() == 2 && asked[0]["session"] == asked[1]["session"], "{asked:?}");
    for event in &told {
        assert!(
            event["stream"] == "cam" && event["session"] == asked[0]["session"] && event["app"] == "live",
            "{event}"
        );
        assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
    }
    let object = objects_of(&lab, "cam").remove(0);
    let bytes = lab.object(&object).expect("the object").len();
    let complete = &told[4];
    assert_eq!(
        (&complete["object"], &complete["bytes"], &complete["rendition"]),
        (&json!(object), &json!(bytes), &json!("source"))
    );
    assert!(complete["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{complete}");
}

#[test]
fn whoever_does_not_listen_delays_no_stream() {
    let lab = Lab::new();
    let key = add_key(&place(&lab), "cam");
    let hook = Hook::new(|body, _| if is_publish(body) { answer_of("204 No Content", "") } else { String::new() });
    let (writer, url) = asking(&lab, &hook, &[]);
    let began = std::time::Instant::now();
    for round in 1..=2 {
        let mut cam = publishing(&url, &key);
        cam.stream(1);
        cam.end();
        await_that("the object", || objects_of(&lab, "cam").len() == round);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    writer.signal("TERM");
    writer.wait().code(0).says("could not be told").says("2 recordings");
}

#[test]
fn an_answer_may_name_the_object_and_the_end() {
    let lab = Lab::new();
    let key = add_key(&place(&lab), "cam");
    let hook = Hook::new(|_, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let until = show_of_day(i64::try_from(now).expect("small") + 3);
        answer_of("200 OK", &json!({ "object": "own/{stream}-{session}.mp4", "expires": until, "more": 5 }).to_string())
    });
    let (writer, url) = asking(&lab, &hook, &[]);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    writer.wait_for("cam: the time is up");
    cam.is_closed_within(10);
    let session = hook.events(&["publish"])[0]["session"].as_str().expect("a name").to_owned();
    await_that("the object", || lab.keys().contains(&format!("own/cam-{session}.mp4")));
    Words::publishing(&url, "live", &key).hear("this stream has been ended");
    writer.signal("TERM");
    writer.wait().code(0).says("1 recording of this run");
}

#[test]
fn what_answers_nginx_rtmp_answers_here_too() {
    let lab = Lab::new();
    let hook = Hook::new(|body, _| match body {
        body if body.contains("&name=s3cretname&") => {
            "HTTP/1.1 302 Found\r\nLocation: cam-1\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        body if body.contains("&name=plain&") && body.ends_with("&token=abc") => answer_of("200 OK", "OK"),
        _ => answer_of("403 Forbidden", "unknown"),
    });
    let form = ["--on-publish", &hook.url(), "--hook-form"].map(str::to_owned);
    let [on, to, form] = &form;
    let writer = lab.writer(&[TEMPLATE, "rtmp://127.0.0.1:0/live", on, to, form]);
    let url = application(&writer);
    Words::publishing(&url, "live", "plain").hear("unknown");
    for (name, stream) in [("s3cretname", "cam-1"), ("plain?token=abc", "plain")] {
        let mut words = publishing(&url, name);
        words.stream(1);
        words.end();
        await_that("the object", || objects_of(&lab, stream).len() == 1);
    }
    let (head, body) = hook.heard().remove(1);
    assert!(head.contains("content-type: application/x-www-form-urlencoded") && !head.contains("signature"), "{head}");
    let fields: Vec<_> = body.split('&').collect();
    for field in
        ["call=publish", "app=live", "name=s3cretname", "addr=127.0.0.1", "flashver=words", "type=live", "tcurl="]
    {
        assert!(fields.contains(&field), "{field}: {body}");
    }
    assert!(fields.iter().any(|field| field.starts_with("clientid=")), "{body}");
    // Nothing but the question is sent there; and whoever guesses is not heard for a minute.
    assert_eq!(hook.heard().len(), 3);
    for _ in 0..9 {
        Words::publishing(&url, "live", "guessed").hear("unknown");
    }
    Words::publishing(&url, "live", "s3cretname").hear("After ten wrong ones");
    writer.signal("TERM");
    writer.wait().code(0).says("cam-1: an encoder publishes").does_not_say("s3cretname").does_not_say("guessed");
}

#[test]
fn what_cannot_be_asked_so_is_said_at_the_start() {
    let lab = Lab::new();
    let place = place(&lab);
    let line = [TEMPLATE, "rtmp://127.0.0.1:0/live"];
    for (args, says) in [
        (&["--on-publish", "http://h/"][..], "--keys"),
        (&["--keys", &place, "--on-publish", "http://h/"], "--hook-secret-file"),
        (&["--keys", &place, "--hook-form"], "--on-publish"),
        (&["--on-publish", "ftp://h/", "--hook-form"], "https://HOST/PATH"),
    ] {
        lab.writer(&[&line[..], args].concat()).wait().code(2).says(says);
    }
    lab.writer(&["x.mp4", "--on-publish", "http://h/", "--hook-form"]).wait().code(2).says("--hook-form");
}
