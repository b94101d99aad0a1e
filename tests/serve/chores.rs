//! The bucket's chores by `reader --serve`: lists, which tell what grows from what is finished, and new buckets.

use serde_json::{Value, json};

use super::scene::{Gateway, KEY};
use crate::support::lab::Lab;
use crate::support::run::await_that;
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, bytes};

const OBJECTS: &str = "/buckets/bucket/objects";

/// Keys and states of a list.
fn states(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list["objects"].as_array().expect("objects").iter().map(|one| (text(&one["key"]), text(&one["state"]))).collect()
}

fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, state)| ((*key).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn a_list_tells_what_grows_from_what_is_finished_and_hides_what_the_tools_keep_for_themselves() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(1, PART));
    lab.begin_plain("coming.mp4");
    for key in ["done.mp4", "a b&c.mp4", "_live/x", "_lively.mp4", "a.m3u8.renditions/x"] {
        lab.put(key, b"hello");
    }
    let gateway = Gateway::start(&lab, &[]);
    let list = gateway.json(OBJECTS, &[]);
    let all = [
        ("_lively.mp4", "recorded"),
        ("a b&c.mp4", "recorded"),
        ("coming.mp4", "uploading"),
        ("done.mp4", "recorded"),
        (KEY, "live"),
    ];
    assert_eq!(states(&list), of(&all), "{list}");
    assert_eq!((&list["bucket"], &list["next"]), (&json!("bucket"), &Value::Null));
    let live = list["objects"].as_array().expect("objects").last().expect("the live one");
    assert_eq!(live["size"], PART);
    let is_now = |entry: &Value| entry["age"].as_i64().is_some_and(|age| (0..600).contains(&age));
    assert!(is_now(live) && is_now(&list["objects"][3]), "{list}");
    assert_eq!(list["objects"][3]["size"], 5);
    assert_eq!(states(&gateway.json(&format!("{OBJECTS}?prefix=shows%2F"), &[])), of(&[(KEY, "live")]));
    // In pages of any size all come, and each once.
    for limit in 1..=4 {
        let (mut found, mut page) = (Vec::new(), String::new());
        loop {
            let list = gateway.json(&format!("{OBJECTS}?limit={limit}&page={page}"), &[]);
            found.extend(states(&list));
            let Some(next) = list["next"].as_str() else { break };
            page = next.replace(' ', "%20").replace('&', "%26");
        }
        assert_eq!(found, of(&all), "{limit} at a time");
    }
    for (path, status) in [
        ("/buckets/public-bucket/objects", 403),
        ("/buckets/no-such-bucket/objects", 403),
        ("/buckets/bucket/objects?limit=0", 400),
        ("/buckets/bucket/objects?prefix=a&prefix=b", 400),
        ("/buckets/bucket/objects/done.mp4", 405),
        ("/buckets/bucket/other", 404),
    ] {
        assert_eq!(gateway.get(path, &[]).status, status, "{path}");
    }
    assert_eq!(gateway.ask("HEAD", OBJECTS, &[]).status, 200);
    assert_eq!(gateway.ask("DELETE", "/buckets/bucket/objects/done.mp4", &[]).status, 405);
    // A finished upload is a recording.
    lab.abort("coming.mp4", &lab.open("coming.mp4")[0]);
    let etags = [lab.part(KEY, &id, 1, &bytes(1, PART))];
    lab.complete(KEY, &id, &etags);
    await_that("it is told as finished", || {
        let list = gateway.json(&format!("{OBJECTS}?prefix=shows/"), &[]);
        states(&list) == of(&[(KEY, "recorded")]) && list["objects"][0]["size"] == PART
    });
}

#[test]
fn what_a_writer_records_without_live_read_is_live_in_the_list() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let gateway = Gateway::start(&lab, &[]);
    let mut writer = lab.writer(&[KEY, "--live", "objects", "--max-latency", "100ms"]);
    writer.write(&bytes(2, 1 << 20));
    await_that("it is live", || states(&gateway.json(OBJECTS, &[])) == of(&[(KEY, "live")]));
    writer.end().code(0);
    await_that("it is recorded", || states(&gateway.json(OBJECTS, &[])) == of(&[(KEY, "recorded")]));
}

#[test]
fn many_who_ask_for_one_list_cost_one() {
    let lab = Lab::new();
    lab.put("done.mp4", b"hello");
    let gateway = Gateway::start(&lab, &[]);
    let begun = std::time::Instant::now();
    let viewers: Vec<_> = (0..40).map(|_| gateway.view(OBJECTS, &[])).collect();
    for viewer in viewers {
        assert_eq!(viewer.join().expect("a viewer").status, 200);
    }
    let seconds = begun.elapsed().as_secs() + 1;
    let lists = lab.count(false, "ListObjectsV2", "200");
    assert!(lists <= seconds, "{lists} lists in {seconds} seconds");
}

#[test]
fn a_bucket_is_made_where_it_was_named_and_by_who_may() {
    let lab = Lab::new();
    let file = lab.dir().join("tokens");
    std::fs::write(&file, "list list-token-0123456789\nwrite write-token-0123456789\n").expect("a file");
    let file = file.to_str().expect("a path");
    let gateway = Gateway::start(&lab, &["--auth", file, "-b", BUCKET, "-b", "new-bucket"]);
    let (list, write) = ("Bearer list-token-0123456789", "Bearer write-token-0123456789");
    let exists = |name: &str| {
        let listed = gateway.json("/buckets", &[("authorization", list)]);
        let buckets = listed["buckets"].as_array().expect("buckets").clone();
        buckets.iter().find(|bucket| bucket["name"] == name).expect("it is named")["exists"] == true
    };
    assert!(exists(BUCKET) && !exists("new-bucket"));
    let put =
        |name: &str, token: &str| gateway.put(&format!("/buckets/{name}"), &[("authorization", token)], b"").status;
    assert_eq!(put("new-bucket", list), 403);
    for other in ["other-bucket", PUBLIC_BUCKET, "..", "NEW-BUCKET"] {
        assert_eq!(put(other, write), 403, "{other}");
    }
    assert_eq!(put("new-bucket", write), 201);
    assert_eq!(put("new-bucket", write), 409);
    await_that("it is told", || exists("new-bucket"));
    assert_eq!(gateway.get("/buckets/new-bucket", &[("authorization", list)]).status, 200);
    // Without tokens nobody makes one.
    let open = Gateway::start(&lab, &["-b", BUCKET, "-b", "another"]);
    assert_eq!(open.put("/buckets/another", &[], b"").status, 403);
}
