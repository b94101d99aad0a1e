//! A writer of many streams that is administered over HTTP.

use serde_json::{Value, json};

use crate::support::admin::{address_of, ask, request};
use crate::support::encoder::Words;
use crate::support::keys::{add_key, listening, objects_of, place};
use crate::support::lab::Lab;
use crate::support::run::await_that;

const TOKEN: &str = "0123456789abcdef-s3cret";

#[track_caller]
fn publishing(url: &str, key: &str) -> Words {
    let mut words = Words::publishing(url, "live", key);
    words.hear("NetStream.Publish.Start");
    words
}

#[test]
fn streams_are_made_watched_and_ended_over_http() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &place(&lab), &["--admin", "127.0.0.1:0"]);
    let address = address_of(&writer);
    let (status, made) = ask(&address, "POST /v1/streams", &json!({ "stream": "cam" }));
    let (id, key) = (made["id"].as_str().expect("an id").to_owned(), made["key"].as_str().expect("a key").to_owned());
    assert_eq!((status, made["stream"].as_str(), made["keys"][0]["prefix"].as_str()), (201, Some("cam"), key.get(..6)));
    let (status, again) = ask(&address, "POST /v1/streams", &json!({ "stream": "cam" }));
    assert!(status == 409 && again["error"].as_str().is_some_and(|why| why.contains(&id)), "{again}");
    assert_eq!(ask(&address, "POST /v1/streams", &json!({ "stream": "../cam" })).0, 400);
    assert_eq!(ask(&address, "POST /v1/streams", &json!({ "stream": "x", "object": "x.mp4" })).0, 400);
    // It has a key more; no list shows one.
    let (status, more) =
        ask(&address, &format!("POST /v1/streams/{id}/keys"), &json!({ "expires": "2099-01-01T00:00:00Z" }));
    assert_eq!((status, more["keys"].as_array().map(Vec::len)), (201, Some(2)));
    let list = ask(&address, "GET /v1/streams", &Value::Null).1;
    assert!(list[0]["keys"][1]["expires"] == "2099-01-01T00:00:00Z" && !list.to_string().contains(&key), "{list}");

    let mut cam = publishing(&url, &key);
    cam.stream(2);
    let mut sessions = Value::Null;
    await_that("the session", || {
        sessions = ask(&address, "GET /v1/sessions", &Value::Null).1;
        sessions[0]["bytes_taken"].as_u64().is_some_and(|bytes| bytes > 0) && sessions[0]["video_frames"] == 20
    });
    assert!(
        sessions[0]["stream"] == "cam"
            && sessions[0]["object"].as_str().is_some_and(|key| key.starts_with("live/cam/1-"))
    );
    await_that("all of the sound", || {
        sessions = ask(&address, "GET /v1/sessions", &Value::Null).1;
        sessions[0]["audio_frames"] == 96
    });
    for (name, value) in [("key_frame_interval", json!(1.0)), ("reconnects", json!(0)), ("messages_broken", json!(0))] {
        assert_eq!(sessions[0][name], value, "{sessions}");
    }
    let (_, _, figures) = request(&address, "GET /metrics", "", "");
    assert!(figures.contains(",kind=\"video\"} 20\n") && figures.contains("live_read_drift_seconds{"), "{figures}");
    assert!(
        figures.contains("\nlive_read_recordings 1\n")
            && figures.contains("live_read_bytes_taken_total{stream=\"cam\"")
    );
    let session = sessions[0]["id"].as_str().expect("a name");
    assert_eq!(ask(&address, &format!("POST /v1/sessions/{session}/end"), &Value::Null).0, 202);
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    // Its encoder tries again at once, and is not to succeed.
    Words::publishing(&url, "live", &key).hear("this stream has been ended");
    assert_eq!(ask(&address, "POST /v1/sessions/nothing/end", &Value::Null).0, 404);

    let kid = list[0]["keys"][0]["id"].as_str().expect("an id");
    assert_eq!(ask(&address, &format!("DELETE /v1/streams/{id}/keys/{kid}"), &Value::Null).0, 204);
    Words::publishing(&url, "live", &key).hear("NetStream.Publish.BadName");
    assert_eq!(ask(&address, &format!("DELETE /v1/streams/{id}"), &Value::Null).0, 204);
    assert_eq!(ask(&address, &format!("GET /v1/streams/{id}"), &Value::Null).0, 404);
    let (status, head, _) = request(&address, "PUT /v1/streams", "", "");
    assert!(status == 405 && head.to_lowercase().contains("allow: get, post"), "{head}");
    assert_eq!(request(&address, "GET /v1/streams", "Origin: https://evil.example\r\n", "").0, 403);
    assert_eq!(request(&address, "POST /v1/streams", "", &format!("\"{}\"", "x".repeat(100_000))).0, 413);
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(&key);
}

#[test]
fn others_need_the_token() {
    let lab = Lab::new();
    let token = lab.dir().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).expect("a file");
    let token = token.display().to_string();
    let (writer, _) = listening(&lab, &place(&lab), &["--admin", "127.0.0.1:0", "--admin-token-file", &token]);
    let address = address_of(&writer);
    for (line, head, status) in [
        ("GET /v1/streams", String::new(), 401),
        ("GET /v1/streams", "Authorization: Bearer 0123456789abcdef-s3cre\r\n".to_owned(), 401),
        ("GET /v1/streams", format!("Authorization: Bearer {TOKEN}\r\n"), 200),
        ("GET /metrics", String::new(), 401),
        ("GET /nothing", String::new(), 401),
        ("GET /healthz", String::new(), 200),
        ("GET /openapi.json", String::new(), 200),
        ("GET /docs", String::new(), 200),
    ] {
        assert_eq!(request(&address, line, &head, "").0, status, "{line}");
    }
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(TOKEN);
    let place = place(&lab);
    let line = ["{session}.mp4", "rtmp://127.0.0.1:0/live", "--keys", &place, "--admin"];
    lab.writer(&[&line[..], &["0.0.0.0:0"]].concat()).wait().code(2).says("--admin-token-file");
    lab.writer(&[&line[..], &["0.0.0.0:0", "--admin-token-file", "/nonexistent/token"]].concat())
        .wait()
        .code(2)
        .says("/nonexistent");
}

#[test]
fn what_is_odd_about_a_stream_is_counted_and_told() {
    let lab = Lab::new();
    let place = place(&lab);
    let key = add_key(&place, "cam");
    let (writer, url) = listening(&lab, &place, &["--admin", "127.0.0.1:0"]);
    let address = address_of(&writer);
    let mut cam = publishing(&url, &key);
    cam.stream(1);
    // A key frame that comes late, and a message of which nothing can be made.
    for time in (1000..8000).step_by(100) {
        cam.message(9, time, &[&[0x27, 1, 0, 0, 0, 0, 0, 0, 4, 0x65][..], &time.to_be_bytes()[1..]].concat());
    }
    cam.message(9, 8000, &[0x17]);
    let figures = || ask(&address, "GET /v1/sessions", &Value::Null).1;
    await_that("the message", || figures()[0]["messages_broken"] == 1);
    let mut other = publishing(&url, &key);
    other.stream(1);
    await_that("the other", || figures()[0]["takeovers"] == 1);
    drop(other);
    writer.wait_for("cam: the encoder is gone");
    let mut back = publishing(&url, &key);
    back.stream(1);
    await_that("the first", || figures()[0]["reconnects"] == 1);
    back.end();
    await_that("the object", || objects_of(&lab, "cam").len() == 1);
    writer.signal("TERM");
    let said = writer
        .wait()
        .code(0)
        .says("cam: key frames are more than 5 s apart")
        .says("1 messages of it could not be read");
    said.does_not_say("announced sound");
}
