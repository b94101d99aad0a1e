//! A writer of many streams that is administered over HTTP.

use serde_json::{Value, json};

use crate::support::admin::{address_of, ask, request};
use crate::support::encoder::Words;
use crate::support::keys::{listening, objects_of, place};
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
        sessions[0]["bytes_taken"].as_u64().is_some_and(|bytes| bytes > 0)
    });
    assert!(
        sessions[0]["stream"] == "cam"
            && sessions[0]["object"].as_str().is_some_and(|key| key.starts_with("live/cam/1-"))
    );
    let (_, _, figures) = request(&address, "GET /metrics", "", "");
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
