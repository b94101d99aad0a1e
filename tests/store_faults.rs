//! Faults to order, the counts and the request log: what other tests stand on.

use std::time::{Duration, Instant};

use crate::support::s3::{Ask, get, live, part, put, start};
use crate::support::{BUCKET, Store, bytes, http};
use serde_json::json;

#[tokio::test]
async fn a_rule_picks_its_requests_and_answers_for_the_store() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, "k").await;
    store.faults(&json!([
        {"operation": "UploadPart", "parts": [2, 3], "skip": 1, "times": 1,
         "status": 503, "code": "SlowDown", "message": "slow down"},
        {"operation": "UploadPart", "key": "k", "parts": [9, 9], "status": 500},
    ]));
    let upload =
        async |number| part(&client, "k", &id, number, b"data").await.map_err(|refused| (refused.0, refused.1));
    assert!(upload(1).await.is_ok(), "another part");
    assert!(upload(2).await.is_ok(), "skipped");
    assert_eq!(upload(3).await, Err((503, "SlowDown".to_owned())));
    assert!(upload(3).await.is_ok(), "only once");
    assert_eq!(upload(9).await, Err((500, "InternalError".to_owned())));
    store.clear_faults();
    assert!(upload(9).await.is_ok());
}

#[tokio::test]
async fn an_answer_can_be_lost_after_the_work_and_a_body_cut() {
    let store = Store::start();
    let client = store.client();
    let body = bytes(1, 1_000_000);
    let id = start(&client, "k").await;
    store.faults(&json!([
        {"operation": "UploadPart", "lose_answer": true, "times": 1},
        {"operation": "PutObject", "refuse": true, "times": 1},
    ]));
    part(&client, "k", &id, 1, b"data").await.expect_err("no answer");
    assert_eq!(live(&client, "k", &id, Ask::Part(1)).await.expect("it was stored").body, b"data");
    client.put_object().bucket(BUCKET).key("o").body(body.clone().into()).send().await.expect_err("refused");
    assert_eq!(get(&client, "o", None, Ask::All, false).await, Err((404, "NoSuchKey".to_owned())));
    put(&client, "o", &body).await;
    store.faults(&json!([{"operation": "GetObject", "cut_after": 300_000}]));
    let mut output = client.get_object().bucket(BUCKET).key("o").send().await.expect("the head comes");
    let mut got = Vec::new();
    let error = loop {
        match output.body.next().await.expect("more, or an error") {
            Ok(chunk) => got.extend(chunk),
            Err(error) => break error,
        }
    };
    assert!(got == body[..300_000], "{} bytes, then {error}", got.len());
}

#[tokio::test]
async fn time_can_be_lost() {
    let store = Store::start();
    let client = store.client();
    put(&client, "o", &bytes(1, 200_000)).await;
    for rule in
        [json!({"operation": "GetObject", "delay_ms": 200}), json!({"operation": "GetObject", "throttle": 1_000_000})]
    {
        store.faults(&json!([rule]));
        let started = Instant::now();
        assert_eq!(get(&client, "o", None, Ask::All, false).await.expect("all").body.len(), 200_000);
        assert!(started.elapsed() >= Duration::from_millis(180), "{:?}", started.elapsed());
    }
    store.faults(&json!([{"operation": "PutObject", "throttle_upload": 1_000_000}]));
    let started = Instant::now();
    put(&client, "o", &bytes(1, 200_000)).await;
    assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
}

#[tokio::test]
async fn chance_is_reproducible() {
    let store = Store::start();
    let mut runs = Vec::new();
    for _ in 0..2 {
        store.faults(&json!([{"probability": 0.5, "seed": 7, "status": 503}]));
        let answers: Vec<_> = (0..32).map(|_| http(store.endpoint(), "GET", "/bucket/k", &[], &[]).0).collect();
        assert!(answers.contains(&503) && answers.contains(&403), "{answers:?}");
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_rule_that_cannot_be_understood_is_refused() {
    let store = Store::start();
    for rules in ["{", "[{\"operatoin\": \"GetObject\"}]", "[{\"parts\": 3}]"] {
        assert_eq!(http(store.control(), "PUT", "/faults", &[], rules.as_bytes()).0, 400, "{rules}");
    }
    assert_eq!(http(store.control(), "GET", "/nothing", &[], &[]).0, 404);
}

#[tokio::test]
async fn requests_are_counted_and_logged() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, "k").await;
    part(&client, "k", &id, 7, b"data").await.expect("part");
    store.clear_requests();
    live(&client, "k", &id, Ask::Range("0-9")).await.expect_err("not yet");
    live(&client, "k", &id, Ask::Part(7)).await.expect("there");
    get(&client, "k", None, Ask::All, false).await.expect_err("not complete");
    let counts = store.requests();
    assert_eq!(counts["live"], json!({"GetObject": {"206": 1, "416": 1}}));
    assert_eq!(counts["operations"], json!({"GetObject": {"404": 1}}));
    let log = store.request_log();
    let line = log.iter().find(|line| line["status"] == 416).expect("the line of the first");
    for (field, value) in [
        ("operation", json!("GetObject")),
        ("method", json!("GET")),
        ("bucket", json!(BUCKET)),
        ("key", json!("k")),
        ("version_id", json!(id)),
        ("range", json!("bytes=0-9")),
        ("live", json!(true)),
        ("error", json!("InvalidRange")),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    let line = log.iter().find(|line| line["operation"] == "UploadPart").expect("the line of the part");
    assert_eq!((&line["part_number"], &line["bytes_in"], &line["upload_id"]), (&json!(7), &json!(4), &json!(id)));
}
