//! The local store against the notes on Live Read: each statement of the protocol, and the readings taken where the
//! documentation is silent.

use crate::support::s3::{
    Answer, Ask, LIVE, PART_SIZE, abort, complete, get, got, live, no_such_key, not_yet, part, put, refusal, start,
    start_with,
};
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, Store, bytes, http, http_full};

const KEY: &str = "live/stream.mp4";

#[tokio::test]
async fn an_open_upload_is_read_by_range_and_by_part_up_to_the_live_edge() {
    let store = Store::start();
    let client = store.client();
    let (first, tail) = (bytes(1, PART), bytes(2, 1234));
    let id = start(&client, KEY).await;
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-9")).await, not_yet());
    assert_eq!(live(&client, KEY, &id, Ask::Part(1)).await, not_yet());

    part(&client, KEY, &id, 1, &first).await.expect("part 1");
    assert_eq!(live(&client, KEY, &id, Ask::Range("10-19")).await, got(&first[10..20], "bytes 10-19/*"));
    assert_eq!(
        live(&client, KEY, &id, Ask::Range("4999990-5000009")).await,
        got(&first[PART - 10..], "bytes 4999990-4999999/*"),
        "a range that ends beyond the data gives what is there"
    );
    assert_eq!(live(&client, KEY, &id, Ask::Range("5000000-5000009")).await, not_yet());

    part(&client, KEY, &id, 2, &tail).await.expect("part 2");
    let across = [&first[PART - 10..], &tail[..]].concat();
    assert_eq!(live(&client, KEY, &id, Ask::Range("4999990-9999999")).await, got(&across, "bytes 4999990-5001233/*"));
    assert_eq!(live(&client, KEY, &id, Ask::Part(2)).await, got(&tail, "bytes 5000000-5001233/*"));
    assert_eq!(live(&client, KEY, &id, Ask::Part(3)).await, not_yet());
}

#[tokio::test]
async fn an_open_upload_is_only_there_for_live_requests() {
    let store = Store::start();
    let client = store.client();
    assert_eq!(live(&client, KEY, "nothing", Ask::Range("0-9")).await, no_such_key());
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, b"tail").await.expect("part 1");
    assert_eq!(get(&client, KEY, None, Ask::All, false).await, no_such_key());
    assert_eq!(get(&client, KEY, Some(&id), Ask::All, false).await, no_such_key());
    assert_eq!(get(&client, KEY, None, Ask::Range("0-3"), true).await, got(b"tail", "bytes 0-3/*"));

    let plain = start_with(&client, "plain", &[(LIVE, "yes")]).await.expect("any other value means off");
    part(&client, "plain", &plain, 1, b"data").await.expect("part 1");
    assert_eq!(live(&client, "plain", &plain, Ask::Range("0-3")).await, no_such_key());
}

#[tokio::test]
async fn a_live_request_names_a_part_or_a_range_with_both_ends() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, b"tail").await.expect("part 1");
    let bad: Answer = Err((400, "InvalidRequest".to_owned()));
    assert_eq!(live(&client, KEY, &id, Ask::All).await, bad);
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-")).await, bad);
    assert_eq!(live(&client, KEY, &id, Ask::Range("-4")).await, bad);
    let zero = live(&client, KEY, &id, Ask::Part(0)).await;
    assert_eq!(zero, Err((400, "InvalidArgument".to_owned())));
}

#[tokio::test]
async fn head_tells_what_get_would_and_live_headers_are_on_success_only() {
    let store = Store::with_args(&[]);
    let client = store.client();
    let key = "head";
    let upload = client.create_multipart_upload().bucket(PUBLIC_BUCKET).key(key).customize();
    let upload = upload
        .mutate_request(|request| {
            request.headers_mut().insert(LIVE, "TRUE");
        })
        .send()
        .await
        .expect("create");
    let id = upload.upload_id().expect("id");
    let path = format!("/{PUBLIC_BUCKET}/{key}");
    let ask = |method: &str, range: &str| {
        http_full(store.endpoint(), method, &path, &[(LIVE, "true"), ("range", range)], &[])
    };
    let (status, head, _) = ask("HEAD", "bytes=0-9");
    assert_eq!(status, 416);
    assert!(!head.contains(&format!("\n{LIVE}:")), "{head}");
    let request = client.upload_part().bucket(PUBLIC_BUCKET).key(key).upload_id(id).part_number(1);
    request.body(bytes(1, PART).into()).send().await.expect("part");
    for method in ["HEAD", "GET"] {
        let (status, head, body) = ask(method, "bytes=0-9");
        assert_eq!(status, 206, "{head}");
        assert_eq!(body.len(), if method == "GET" { 10 } else { 0 });
        for line in [
            format!("\r\n{LIVE}: true"),
            format!("\r\n{PART_SIZE}: 5000000"),
            "\r\ncontent-range: bytes 0-9/*".to_owned(),
            "\r\ncontent-length: 10".to_owned(),
            format!("\r\nx-amz-version-id: {id}"),
        ] {
            assert!(head.contains(&line), "{method}: no {line:?} in {head}");
        }
    }
}

#[tokio::test]
async fn the_declared_part_size_has_limits() {
    let store = Store::start();
    let client = store.client();
    for (size, words) in [
        ("abc", "Invalid Live Read part size provided in header"),
        ("", "Invalid Live Read part size provided in header"),
        ("-5000000", "Invalid Live Read part size provided in header"),
        ("4999999", "is smaller than the minimum allowed size of 5000000 bytes."),
        ("5368709121", "is larger than the maximum allowed size of 5368709120 bytes."),
        ("99999999999999999999999", "is larger than the maximum allowed size of 5368709120 bytes."),
    ] {
        let refused = start_with(&client, KEY, &[(LIVE, "true"), (PART_SIZE, size)]).await;
        let (status, code, message) = refused.expect_err(size);
        assert_eq!((status, code.as_str()), (400, "InvalidArgument"), "{size}");
        assert!(message.contains(words), "{size}: {message}");
    }
    for size in ["5000000", "5368709120"] {
        start_with(&client, KEY, &[(LIVE, "true"), (PART_SIZE, size)]).await.expect(size);
    }
}

#[tokio::test]
async fn all_parts_but_the_highest_have_the_part_size() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, KEY).await;
    let full = bytes(1, PART);
    let rule = "This Live Read upload requires parts of size 5000000 for all but the last part.";
    let refused = Err((400, "InvalidArgument".to_owned(), rule.to_owned()));
    assert_eq!(part(&client, KEY, &id, 1, &bytes(2, PART + 1)).await, refused, "never longer");
    part(&client, KEY, &id, 3, &full).await.expect("parts may come out of order");
    assert_eq!(part(&client, KEY, &id, 2, b"short").await, refused);
    part(&client, KEY, &id, 3, b"short").await.expect("the highest part may be short");
    part(&client, KEY, &id, 3, b"short, and longer").await.expect("and be replaced by a longer one");
    let etag = part(&client, KEY, &id, 3, &full).await.expect("until it is full");
    assert_eq!(etag, "\"".to_owned() + &md5(&full) + "\"");
    part(&client, KEY, &id, 5, b"end").await.expect("part 5");
    assert_eq!(part(&client, KEY, &id, 4, b"short").await, refused);
    part(&client, KEY, &id, 4, &full).await.expect("part 4");
}

#[tokio::test]
async fn without_a_declared_size_the_first_part_sets_it() {
    let mut store = Store::start();
    let client = store.client();
    let id = start_with(&client, KEY, &[(LIVE, "true")]).await.expect("an upload");
    part(&client, KEY, &id, 1, &bytes(1, PART + 7)).await.expect("part 1");
    store.restart();
    let client = store.client();
    let (status, _, message) = part(&client, KEY, &id, 2, &bytes(1, PART + 8)).await.expect_err("too long");
    assert_eq!(status, 400);
    assert!(message.contains("requires parts of size 5000007"), "{message}");
    part(&client, KEY, &id, 2, b"tail").await.expect("part 2");
    assert_eq!(live(&client, KEY, &id, Ask::Range("5000007-9999999")).await, got(b"tail", "bytes 5000007-5000010/*"));
}

#[tokio::test]
async fn a_gap_or_a_short_part_ends_what_a_range_gives() {
    let store = Store::start();
    let client = store.client();
    let full = bytes(1, PART);
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, &full).await.expect("part 1");
    part(&client, KEY, &id, 3, &full).await.expect("part 3");
    let range = "4999998-14999999";
    assert_eq!(live(&client, KEY, &id, Ask::Range(range)).await, got(&full[PART - 2..], "bytes 4999998-4999999/*"));
    assert_eq!(live(&client, KEY, &id, Ask::Range("10000000-10000009")).await, not_yet());
    assert_eq!(live(&client, KEY, &id, Ask::Part(2)).await, not_yet());
    assert_eq!(live(&client, KEY, &id, Ask::Part(3)).await, got(&full, "bytes 10000000-14999999/*"));
    part(&client, KEY, &id, 2, &full).await.expect("part 2");
    let all = live(&client, KEY, &id, Ask::Range(range)).await.expect("all three");
    assert_eq!(all.body.len(), 2 * PART + 2);

    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, b"short").await.expect("part 1");
    part(&client, KEY, &id, 2, &full).await.expect("part 2");
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-9999999")).await, got(b"short", "bytes 0-4/*"));
    part(&client, KEY, &id, 1, &full).await.expect("part 1 grows");
    let all = live(&client, KEY, &id, Ask::Range("0-9999999")).await.expect("both");
    assert_eq!(all.body.len(), 2 * PART);
}

#[tokio::test]
async fn a_download_goes_on_with_the_part_that_it_began_with() {
    let store = Store::start();
    let client = store.client();
    let (short, long) = (bytes(1, PART - 1), bytes(2, PART));
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, &short).await.expect("part 1");
    let request = client.get_object().bucket(BUCKET).key(KEY).version_id(&id).part_number(1).customize();
    let mut request = request.mutate_request(|request| {
        request.headers_mut().insert(LIVE, "true");
    });
    let throttle = serde_json::json!([{"operation": "GetObject", "throttle": 20_000_000}]);
    store.faults(&throttle);
    let mut output = request.send().await.expect("get");
    let mut body = output.body.next().await.expect("a chunk").expect("bytes").to_vec();
    store.clear_faults();
    part(&client, KEY, &id, 1, &long).await.expect("part 1 again");
    assert_eq!(live(&client, KEY, &id, Ask::Part(1)).await, got(&long, "bytes 0-4999999/*"));
    abort(&client, KEY, &id).await;
    body.extend(output.body.collect().await.expect("the rest").to_vec());
    assert!(body == short);
    request = client.get_object().bucket(BUCKET).key(KEY).version_id(&id).part_number(1).customize();
    assert_eq!(refusal(request.send().await).0, 404);
}

#[tokio::test]
async fn after_completion_the_same_requests_go_on() {
    let store = Store::start();
    let client = store.client();
    let (first, tail) = (bytes(1, PART), bytes(2, 10));
    let id = start(&client, KEY).await;
    let a = part(&client, KEY, &id, 1, &first).await.expect("part 1");
    let b = part(&client, KEY, &id, 2, &tail).await.expect("part 2");
    let etag = complete(&client, KEY, &id, &[(1, &a), (2, &b)]).await.expect("complete");
    assert!(etag.ends_with("-2\""), "{etag}");
    let range = live(&client, KEY, &id, Ask::Range("4999999-9999999")).await;
    let across = [&first[PART - 1..], &tail[..]].concat();
    assert_eq!(range, got(&across, "bytes 4999999-5000009/5000010"));
    assert_eq!(live(&client, KEY, &id, Ask::Part(2)).await, got(&tail, "bytes 5000000-5000009/5000010"));
    assert_eq!(live(&client, KEY, &id, Ask::Range("5000010-5000019")).await, not_yet());
    assert_eq!(live(&client, KEY, &id, Ask::Part(3)).await, not_yet());
    let whole = get(&client, KEY, None, Ask::All, false).await.expect("a plain GET");
    assert!(whole.body == [first, tail].concat());
    let again = complete(&client, KEY, &id, &[(1, &a), (2, &b)]).await.expect_err("only once");
    assert_eq!((again.0, again.1.as_str()), (404, "NoSuchUpload"));
}

#[tokio::test]
async fn complete_refuses_a_list_that_breaks_the_rules() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, KEY).await;
    let a = part(&client, KEY, &id, 1, b"short").await.expect("part 1");
    let b = part(&client, KEY, &id, 2, b"tail").await.expect("part 2");
    for (list, status, code) in [
        (vec![(1, a.as_str()), (2, b.as_str())], 400, "InvalidArgument"),
        (vec![(2, b.as_str()), (1, a.as_str())], 400, "InvalidPartOrder"),
        (vec![(1, b.as_str())], 400, "InvalidPart"),
        (vec![(3, a.as_str())], 400, "InvalidPart"),
        (vec![], 400, "MalformedXML"),
    ] {
        let refused = complete(&client, KEY, &id, &list).await.expect_err(code);
        assert_eq!((refused.0, refused.1.as_str()), (status, code));
    }
    complete(&client, KEY, &id, &[(1, &a)]).await.expect("one short part is fine");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let store = Store::start();
    let client = store.client();
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, b"data").await.expect("part 1");
    abort(&client, KEY, &id).await;
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-3")).await, no_such_key());
    assert_eq!(get(&client, KEY, Some(&id), Ask::All, false).await, Err((404, "NoSuchVersion".to_owned())));
    let refused = part(&client, KEY, &id, 2, b"data").await.expect_err("no more parts");
    assert_eq!((refused.0, refused.1.as_str()), (404, "NoSuchUpload"));
    let versions = store.dir().join("data").join(BUCKET);
    let left: Vec<_> = std::fs::read_dir(versions).expect("the bucket").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["bucket.json"], "nothing stays on the disk");
}

#[tokio::test]
async fn without_a_version_the_newest_upload_counts_and_a_pin_holds() {
    let store = Store::start();
    let client = store.client();
    let object = put(&client, KEY, b"object").await;
    assert_eq!(get(&client, KEY, None, Ask::All, true).await.expect("a plain GET").body, b"object");
    let old = start(&client, KEY).await;
    part(&client, KEY, &old, 1, b"old").await.expect("part");
    let new = start(&client, KEY).await;
    part(&client, KEY, &new, 1, b"new").await.expect("part");
    assert_eq!(get(&client, KEY, None, Ask::Range("0-2"), true).await, got(b"new", "bytes 0-2/*"));
    assert_eq!(live(&client, KEY, &old, Ask::Range("0-2")).await, got(b"old", "bytes 0-2/*"));
    assert_eq!(live(&client, KEY, &object, Ask::Range("0-2")).await, got(b"obj", "bytes 0-2/6"));
    assert_eq!(get(&client, KEY, None, Ask::All, false).await.expect("the object").body, b"object");
    assert_eq!(live(&client, "another", &new, Ask::Range("0-2")).await, no_such_key());
}

#[tokio::test]
async fn an_account_without_live_read_can_upload_but_not_read_along() {
    let store = Store::with_args(&["--no-live-read"]);
    let client = store.client();
    let id = start(&client, KEY).await;
    let etag = part(&client, KEY, &id, 1, b"data").await.expect("part");
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-3")).await, no_such_key());
    assert_eq!(live(&client, KEY, &id, Ask::Range("9-10")).await, no_such_key());
    complete(&client, KEY, &id, &[(1, &etag)]).await.expect("complete");
    assert_eq!(live(&client, KEY, &id, Ask::Range("0-3")).await, got(b"data", "bytes 0-3/4"));
}

#[tokio::test]
async fn a_store_may_refuse_to_replace_the_tail() {
    let store = Store::with_args(&["--no-tail-replace"]);
    let client = store.client();
    let id = start(&client, KEY).await;
    part(&client, KEY, &id, 1, b"tail").await.expect("part 1");
    part(&client, KEY, &id, 1, b"same").await.expect("the same length is a retry");
    for longer in [bytes(1, 5), bytes(1, PART)] {
        let refused = part(&client, KEY, &id, 1, &longer).await.expect_err("longer");
        assert_eq!((refused.0, refused.1.as_str()), (400, "InvalidArgument"));
    }
}

#[tokio::test]
async fn anyone_reads_along_in_a_public_bucket_and_nobody_lists_it() {
    let store = Store::start();
    let client = store.client();
    let upload = client.create_multipart_upload().bucket(PUBLIC_BUCKET).key("k").customize();
    let upload = upload.mutate_request(|request| {
        request.headers_mut().insert(LIVE, "true");
    });
    let upload = upload.send().await.expect("create");
    let id = upload.upload_id().expect("id");
    let request = client.upload_part().bucket(PUBLIC_BUCKET).key("k").upload_id(id).part_number(1);
    request.body(b"data".to_vec().into()).send().await.expect("part");
    let ask = |path: &str, headers: &[(&str, &str)]| http(store.endpoint(), "GET", path, headers, &[]);
    let path = format!("/{PUBLIC_BUCKET}/k?versionId={id}");
    assert_eq!(ask(&path, &[(LIVE, "true"), ("range", "bytes=0-9")]), (206, b"data".to_vec()));
    assert_eq!(ask(&path, &[]).0, 404);
    for path in [format!("/{PUBLIC_BUCKET}?uploads"), format!("/{PUBLIC_BUCKET}"), format!("/{BUCKET}/k")] {
        assert_eq!(ask(&path, &[]).0, 403, "{path}");
    }
    assert_eq!(ask("/no-such-bucket/k", &[]).0, 404);
}

#[tokio::test]
async fn uploads_are_listed_by_key_then_start_with_inclusive_markers() {
    let store = Store::start();
    let client = store.client();
    let mut all = Vec::new();
    for key in ["a", "b", "b", "b.bak", "c"] {
        all.push((key.to_owned(), start(&client, key).await));
    }
    let mut seen = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let page = client.list_multipart_uploads().bucket(BUCKET).max_uploads(2);
        let page = page.set_key_marker(key).set_upload_id_marker(id).send().await.expect("a page");
        seen.extend(page.uploads().iter().map(|upload| {
            (upload.key().unwrap_or_default().to_owned(), upload.upload_id().unwrap_or_default().to_owned())
        }));
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker().map(str::to_owned), page.next_upload_id_marker().map(str::to_owned));
        let next = all.get(seen.len()).expect("another entry");
        assert_eq!((key.as_ref(), id.as_ref()), (Some(&next.0), Some(&next.1)), "the first that is not returned");
    }
    assert_eq!(seen, all);
    let from = client.list_multipart_uploads().bucket(BUCKET).key_marker("b").upload_id_marker(&all[2].1);
    let from = from.prefix("b").send().await.expect("from the second b on");
    let ids: Vec<_> = from.uploads().iter().filter_map(|upload| upload.upload_id()).collect();
    assert_eq!(ids, [&all[2].1, &all[3].1]);
}

fn md5(bytes: &[u8]) -> String {
    use md5::{Digest, Md5};
    hex::encode(Md5::digest(bytes))
}
