//! Faults to order, the counts and the request log: what other tests stand on.

use std::time::{Duration, Instant};

use crate::support::run::await_that;
use crate::support::s3::{Ask, complete, get, live, not_yet, part, put, start};
use crate::support::{BUCKET, Store, bytes, http, http_full};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_fails_inside_a_200_before_or_after_its_work() {
    let store = Store::start();
    let client = store.client();
    for (after_work, white_space) in [(false, 0), (true, 0), (false, 60), (true, 60)] {
        let id = start(&client, "k").await;
        let etag = part(&client, "k", &id, 1, b"data").await.expect("a part");
        let mut rule = json!({"operation": "CompleteMultipartUpload", "status": 200, "after_work": after_work});
        if white_space > 0 {
            rule["white_space_ms"] = json!(white_space);
        }
        store.faults(&json!([rule]));
        let refused = complete(&client, "k", &id, &[(1, &etag)]).await.expect_err("an error");
        assert_eq!((refused.0, refused.1.as_str()), (200, "InternalError"), "{rule}");
        store.clear_faults();
        let object = get(&client, "k", Some(&id), Ask::All, false).await;
        assert_eq!(object.is_ok(), after_work, "{rule}: {object:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_is_slow_and_live_reads_are_answered() {
    let store = Store::start();
    let client = store.client();
    for wait in [json!({"delay_ms": 60_000}), json!({"white_space_ms": 60_000}), json!({"hold": true})] {
        let id = start(&client, "k").await;
        let etag = part(&client, "k", &id, 1, b"data").await.expect("a part");
        let mut rule = wait.clone();
        rule["operation"] = json!("CompleteMultipartUpload");
        store.faults(&json!([rule]));
        let completion = {
            let (client, id, etag) = (client.clone(), id.clone(), etag.clone());
            tokio::spawn(async move { complete(&client, "k", &id, &[(1, &etag)]).await })
        };
        store.wait_acted(0, 1);
        assert_eq!(live(&client, "k", &id, Ask::Part(1)).await.expect("it goes on").body, b"data");
        assert_eq!(live(&client, "k", &id, Ask::Part(2)).await, not_yet());
        assert!(!completion.is_finished());
        store.clear_faults();
        if wait["hold"] == true {
            completion.await.expect("the task").expect("released by the end of the rule");
        }
    }
    // White space ends in what was waited for.
    let id = start(&client, "w").await;
    let etag = part(&client, "w", &id, 1, b"data").await.expect("a part");
    store.faults(&json!([{"operation": "CompleteMultipartUpload", "white_space_ms": 50}]));
    assert!(complete(&client, "w", &id, &[(1, &etag)]).await.expect("completed").contains("-1"));
}

#[tokio::test]
async fn lists_and_head_lag_behind_or_hide_what_reads_find() {
    let store = Store::start();
    let client = store.client();
    let listed = async || {
        let list = client.list_multipart_uploads().bucket(BUCKET).prefix("k").send().await.expect("a list");
        list.uploads().iter().filter_map(|upload| upload.upload_id()).map(str::to_owned).collect::<Vec<_>>()
    };
    let head = async || client.head_object().bucket(BUCKET).key("k").send().await.is_ok();
    let id = start(&client, "k").await;
    let etag = part(&client, "k", &id, 1, b"data").await.expect("a part");
    store.faults(&json!([{"operation": "List*", "key": "k", "hide": true}]));
    assert_eq!(listed().await, [""; 0]);
    assert!(live(&client, "k", &id, Ask::Part(1)).await.is_ok(), "only the list hides it");
    store.faults(&json!([
        {"operation": "List*", "lag_ms": 60_000},
        {"operation": "HeadObject", "lag_ms": 60_000},
    ]));
    complete(&client, "k", &id, &[(1, &etag)]).await.expect("completed");
    assert_eq!(listed().await, [id.as_str()], "as it was");
    assert!(!head().await, "as it was");
    assert_eq!(get(&client, "k", None, Ask::All, false).await.expect("as it is").body, b"data");
    store.add_faults(&json!([{"operation": "GetObject", "lag_ms": 1}]));
    std::thread::sleep(Duration::from_millis(5));
    assert!(get(&client, "k", None, Ask::All, false).await.is_ok(), "that is long past");
    store.clear_faults();
    assert!(listed().await.is_empty() && head().await);
    // A deletion lags behind as well.
    store.faults(&json!([{"operation": "HeadObject", "lag_ms": 60_000}]));
    client.delete_object().bucket(BUCKET).key("k").version_id(&id).send().await.expect("deleted");
    assert!(head().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_was_given_up_lands_after_its_successor() {
    let store = Store::start();
    let client = store.client();
    put(&client, "k", b"first").await;
    store.faults(&json!([{"operation": "PutObject", "times": 1, "land_ms": 100}]));
    let late = {
        let client = client.clone();
        tokio::spawn(async move { put(&client, "k", b"late").await })
    };
    store.wait_taken(0, 1);
    late.abort();
    put(&client, "k", b"successor").await;
    let read = async || get(&client, "k", None, Ask::All, false).await.expect("an object").body;
    assert_eq!(read().await, b"successor");
    store.wait_done(0, 1);
    assert_eq!(read().await, b"late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_put_to_end_counts_whichever_began_first() {
    let store = Store::start();
    let client = store.client();
    store.faults(&json!([{"operation": "PutObject", "times": 1, "throttle_upload": 200_000}]));
    let slow = {
        let client = client.clone();
        tokio::spawn(async move { put(&client, "k", &bytes(1, 40_000)).await })
    };
    store.wait_acted(0, 1);
    let quick = put(&client, "k", b"quick").await;
    let slow = slow.await.expect("the slow one");
    assert!(slow > quick, "{slow} {quick}");
    assert_eq!(get(&client, "k", None, Ask::All, false).await.expect("an object").body, bytes(1, 40_000));
}

#[tokio::test]
async fn answers_of_xml_are_cut_truncated_and_replaced() {
    let store = Store::start();
    let client = store.client();
    start(&client, "k").await;
    let list = async || client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert!(list().await.is_ok());
    for rule in
        [json!({"cut_after": 150}), json!({"truncate": 150}), json!({"status": 200, "body": "<html>Log in</html>"})]
    {
        let mut rule = rule.clone();
        rule["operation"] = json!("List*");
        store.faults(&json!([rule]));
        list().await.expect_err(&rule.to_string());
    }
    let answer = |rule| {
        store.faults(&json!([rule]));
        http_full(store.endpoint(), "GET", "/bucket/k", &[], &[])
    };
    let (status, head, body) =
        answer(json!({"status": 502, "body": "<html>Bad gateway</html>", "headers": {"Retry-After": "7"}}));
    assert_eq!((status, body.as_slice()), (502, &b"<html>Bad gateway</html>"[..]));
    assert!(head.contains("retry-after: 7"), "{head}");
    for status in [301, 409, 425, 501, 507, 509, 520, 530, 599] {
        assert_eq!(answer(json!({ "status": status })).0, status);
    }
}

#[test]
fn a_rule_may_be_for_a_time_only() {
    let store = Store::start();
    let ask = || http(store.endpoint(), "GET", "/bucket/k", &[], &[]).0;
    for (rule, status) in [
        (json!({"for_ms": 0}), 403),
        (json!({"for_ms": 3_600_000}), 503),
        (json!({"from_ms": 3_600_000}), 403),
        (json!({"from_ms": 0}), 503),
    ] {
        let mut full = rule.clone();
        full["status"] = json!(503);
        store.faults(&json!([full]));
        assert_eq!(ask(), status, "{rule}");
    }
    store.faults(&json!([{"status": 503, "from_ms": 50}]));
    await_that("the beginning of a fault", || ask() == 503);
    store.faults(&json!([{"status": 503, "for_ms": 50}]));
    await_that("the end of a fault", || ask() == 403);
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
