//! Each point in which the local store can be made to differ from Backblaze B2.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, MetadataDirective};
use serde_json::json;

use crate::support::run::await_that;
use crate::support::s3::{Ask, Got, code, complete, delete_all, get, part, put, start_with};
use crate::support::{BUCKET, PUBLIC_BUCKET, Store, address_of, bytes};

fn store_with(quirk: &str) -> (Store, Client) {
    let store = Store::with_args(&["--quirk", quirk]);
    let client = store.client();
    (store, client)
}

async fn body(client: &Client, key: &str) -> Option<Vec<u8>> {
    get(client, key, None, Ask::All, false).await.ok().map(|got| got.body)
}

async fn plain(client: &Client, key: &str) -> String {
    start_with(client, key, &[]).await.expect("an upload")
}

/// Copies this range of an object to part 1 of an upload; gives its ETag as it stands in the answer.
async fn copy_part(client: &Client, source: &str, key: &str, id: &str, range: &str) -> Result<String, (u16, String)> {
    let request = client.upload_part_copy().bucket(BUCKET).key(key).upload_id(id).part_number(1);
    let request = request.copy_source(format!("{BUCKET}/{source}")).copy_source_range(format!("bytes={range}"));
    match request.send().await {
        Ok(output) => Ok(output.copy_part_result().and_then(|result| result.e_tag()).expect("an ETag").to_owned()),
        Err(error) => Err(code::<(), _>(Err(error))),
    }
}

#[tokio::test]
async fn conditions_are_held_to_ignored_or_not_implemented() {
    let (store, client) = store_with("no-conditions");
    let only_new = async |body: &'static [u8]| {
        let request = client.put_object().bucket(BUCKET).key("k").if_none_match("*").body(body.to_vec().into());
        request.send().await.map(drop).map_err(|error| code::<(), _>(Err(error)))
    };
    put(&client, "k", b"old").await;
    only_new(b"new").await.expect("as if nothing had been asked");
    assert_eq!(body(&client, "k").await.expect("the object"), b"new");
    for (quirks, refusal) in
        [(&[][..], (412, "PreconditionFailed".to_owned())), (&["conditions-501"], (501, "NotImplemented".to_owned()))]
    {
        store.quirks(quirks);
        assert_eq!(only_new(b"newest").await, Err(refusal));
        assert_eq!(body(&client, "k").await.expect("the object"), b"new");
    }
    let read = client.get_object().bucket(BUCKET).key("k").if_match("\"other\"").send().await;
    assert_eq!(code(read).0, 412, "conditions of what reads are another thing");
}

#[tokio::test]
async fn nothing_is_listed() {
    let (_store, client) = store_with("no-list");
    let id = plain(&client, "k").await;
    let etag = part(&client, "k", &id, 1, b"data").await.expect("a part");
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert_eq!(code(uploads), (501, "NotImplemented".to_owned()));
    let parts = client.list_parts().bucket(BUCKET).key("k").upload_id(&id).send().await;
    assert_eq!(code(parts), (405, "MethodNotAllowed".to_owned()));
    assert_eq!(code(client.list_objects_v2().bucket(BUCKET).send().await).0, 403);
    assert_eq!(code(client.list_object_versions().bucket(BUCKET).send().await).0, 403);
    complete(&client, "k", &id, &[(1, &etag)]).await.expect("all else works");
}

#[tokio::test]
async fn part_copies_take_a_range_or_are_not_implemented() {
    let store = Store::start();
    let client = store.client();
    put(&client, "source", b"0123456789").await;
    let id = plain(&client, "k").await;
    let etag = copy_part(&client, "source", "k", &id, "2-6").await.expect("a part");
    assert!(etag.starts_with('"'), "{etag}");
    assert_eq!(copy_part(&client, "source", "k", &id, "2-10").await.map_err(|error| error.0), Err(400));
    store.quirks(&["no-part-copy"]);
    let refused = copy_part(&client, "source", "k", &id, "2-6").await;
    assert_eq!(refused, Err((501, "NotImplemented".to_owned())));
    complete(&client, "k", &id, &[(1, &etag)]).await.expect("what was copied before");
    assert_eq!(body(&client, "k").await.expect("the object"), b"23456");
}

#[tokio::test]
async fn an_etag_of_a_copy_has_no_quotation_marks() {
    let (_store, client) = store_with("copy-etag-unquoted");
    put(&client, "source", b"0123456789").await;
    let id = plain(&client, "k").await;
    let etag = copy_part(&client, "source", "k", &id, "0-9").await.expect("a part");
    assert_eq!(etag, "781e5e245d69b566979b86e28d23f2c7");
    complete(&client, "k", &id, &[(1, &etag)]).await.expect("it is as good as with them");
    let copy = client.copy_object().bucket(BUCKET).key("c").copy_source(format!("{BUCKET}/source"));
    let copy = copy.send().await.expect("a copy");
    assert_eq!(copy.copy_object_result().and_then(|result| result.e_tag()), Some(etag.as_str()));
}

#[tokio::test]
async fn a_second_write_of_a_key_within_a_second_is_answered_429() {
    let (_store, client) = store_with("same-key-429");
    let write = async |key: &str| {
        let request = client.put_object().bucket(BUCKET).key(key).body(key.as_bytes().to_vec().into());
        request.send().await.map(drop).map_err(|error| code::<(), _>(Err(error)))
    };
    let too_soon = Err((429, "TooManyRequests".to_owned()));
    await_that_async("two writes within a second", async || write("k").await.is_ok() && write("k").await == too_soon)
        .await;
    write("other").await.expect("another key");
    await_that_async("a write a second later", async || write("k").await.is_ok()).await;
    // Uploads count when they are completed, and parts do not.
    let id = plain(&client, "u").await;
    let mut etag = String::new();
    for _ in 0..3 {
        etag = part(&client, "u", &id, 1, b"data").await.expect("a part");
    }
    await_that_async("a write and a completion within a second", async || {
        let written = write("u").await.is_ok();
        written && complete(&client, "u", &id, &[(1, &etag)]).await.expect_err("too soon or twice").0 == 429
    })
    .await;
}

async fn await_that_async(what: &str, mut ready: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if ready().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test]
async fn what_was_just_put_is_seen_short_and_then_without_its_metadata() {
    let store = Store::start();
    let client = store.client();
    let looks = async |key: &str| {
        let mut looks = Vec::new();
        for _ in 0..3 {
            let output = client.get_object().bucket(BUCKET).key(key).send().await.expect("an object");
            let told = (output.metadata().and_then(|metadata| metadata.get("of").cloned()), output.e_tag().is_some());
            looks.push((output.body.collect().await.expect("its body").to_vec().len(), told.0, told.1));
        }
        looks
    };
    let torn = [(5, None, false), (10, None, false), (10, Some("me".to_owned()), true)];
    let whole = [torn[2].clone(), torn[2].clone(), torn[2].clone()];
    let put = async || {
        let put = client.put_object().bucket(BUCKET).key("k").metadata("of", "me");
        put.body(b"0123456789".to_vec().into()).send().await.expect("put");
    };
    let upload = async || {
        let request = client.create_multipart_upload().bucket(BUCKET).key("u").metadata("of", "me");
        let id = request.send().await.expect("an upload").upload_id().expect("its id").to_owned();
        let etag = part(&client, "u", &id, 1, b"0123456789").await.expect("a part");
        complete(&client, "u", &id, &[(1, &etag)]).await.expect("completed");
    };
    for (quirk, of_put, of_upload) in [("torn-put", &torn, &whole), ("torn-complete", &whole, &torn)] {
        store.quirks(&[quirk]);
        put().await;
        upload().await;
        assert_eq!(looks("k").await, of_put, "{quirk}");
        assert_eq!(looks("u").await, of_upload, "{quirk}");
    }
    // A range that lies beyond what is seen is not there, and a HEAD is a look as well.
    store.quirks(&["torn-put"]);
    put().await;
    let beyond = get(&client, "k", None, Ask::Range("7-9"), false).await;
    assert_eq!(beyond, Err((416, "InvalidRange".to_owned())));
    let head = client.head_object().bucket(BUCKET).key("k").send().await.expect("head");
    assert!(head.metadata().is_some_and(HashMap::is_empty), "{head:?}");
    let range = get(&client, "k", None, Ask::Range("7-9"), false).await;
    assert_eq!(range, Ok(Got { body: b"789".to_vec(), content_range: Some("bytes 7-9/10".to_owned()) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_lands_after_its_sender_has_gone() {
    let (store, client) = store_with("late-put");
    // Cut off in the middle.
    let mut cut = TcpStream::connect(address_of(store.endpoint())).expect("connect");
    let head =
        "PUT /bucket/cut HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\ncontent-type: a/b\r\nx-amz-meta-of: me\r\n\r\n";
    cut.write_all(format!("{head}0123").as_bytes()).expect("a part of a request");
    // Given up, with all of it sent.
    store.faults(&json!([{"operation": "PutObject", "key": "late", "times": 1, "hold": true}]));
    let given_up = {
        let client = client.clone();
        tokio::spawn(async move { put(&client, "late", b"all of it").await })
    };
    store.wait_acted(0, 1);
    given_up.abort();
    drop(cut);
    assert!(given_up.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!((body(&client, "cut").await, body(&client, "late").await), (None, None));
    put(&client, "late", b"what was put in its place").await;
    store.clear_faults();
    await_that_async("what was cut off", async || body(&client, "cut").await.is_some_and(|body| body == b"0123")).await;
    let head = client.head_object().bucket(BUCKET).key("cut").send().await.expect("head");
    assert_eq!(head.content_type(), Some("a/b"));
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("of")).map(String::as_str), Some("me"));
    let landed = async || body(&client, "late").await.is_some_and(|body| body == b"all of it");
    await_that_async("what was given up", landed).await;
    put(&client, "late", b"newest").await;
    assert_eq!(body(&client, "late").await.expect("whoever stays is answered"), b"newest");
}

#[tokio::test]
async fn a_put_ends_the_open_uploads_of_its_key() {
    let (_store, client) = store_with("put-kills-upload");
    let (id, other) = (plain(&client, "k").await, plain(&client, "k2").await);
    put(&client, "k", b"data").await;
    let refused = part(&client, "k", &id, 1, b"data").await.expect_err("no upload");
    assert_eq!((refused.0, refused.1.as_str()), (404, "NoSuchUpload"));
    part(&client, "k2", &other, 1, b"data").await.expect("that of another key");
}

#[tokio::test]
async fn what_is_missing_is_denied_to_those_who_may_not_list() {
    let args =
        ["--quirk", "denied-missing", "--user", "some:some-secret:read,write", "--user", "all:all-secret:read,list"];
    let store = Store::with_args(&args);
    put(&store.client(), "k", b"data").await;
    let (some, all) = (store.client_as("some", "some-secret"), store.client_as("all", "all-secret"));
    assert_eq!(get(&some, "missing", None, Ask::All, false).await, Err((403, "AccessDenied".to_owned())));
    assert_eq!(code(some.head_object().bucket(BUCKET).key("missing").send().await).0, 403);
    assert_eq!(get(&all, "missing", None, Ask::All, false).await, Err((404, "NoSuchKey".to_owned())));
    assert!(get(&some, "k", None, Ask::All, false).await.is_ok());
    let anyone =
        |key: &str| crate::support::http(store.endpoint(), "GET", &format!("/{PUBLIC_BUCKET}/{key}"), &[], &[]).0;
    assert_eq!(anyone("missing"), 403);
    store.quirks(&[]);
    assert_eq!(anyone("missing"), 404);
}

#[tokio::test]
async fn deletions_are_denied_or_fail_one_by_one() {
    let (store, client) = store_with("no-delete");
    for key in ["a", "b", "c"] {
        put(&client, key, b"data").await;
    }
    assert_eq!(code(client.delete_object().bucket(BUCKET).key("a").send().await), (403, "AccessDenied".to_owned()));
    assert_eq!(delete_all(&client, &["a", "b"]).await, Err((403, "AccessDenied".to_owned())));
    store.quirks(&["delete-errors-in-200"]);
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let failed = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "InternalError".to_owned())).collect();
    assert_eq!(delete_all(&client, &["a", "b", "c"]).await, Ok((keys(&["b"]), failed(&["a", "c"]))));
    assert_eq!(delete_all(&client, &["a"]).await, Ok((vec![], failed(&["a"]))));
    assert!(body(&client, "a").await.is_some() && body(&client, "b").await.is_none());
    store.quirks(&[]);
    assert_eq!(delete_all(&client, &["a", "c", "not there"]).await, Ok((keys(&["a", "c", "not there"]), vec![])));
}

#[tokio::test]
async fn an_append_is_not_implemented_or_replaces_the_object() {
    let (store, client) = store_with("append-ignored");
    put(&client, "k", b"0123456789").await;
    let append = async || {
        let request = client.put_object().bucket(BUCKET).key("k").write_offset_bytes(10).body(b"ab".to_vec().into());
        request.send().await.map(drop).map_err(|error| code::<(), _>(Err(error)))
    };
    append().await.expect("it looks well");
    assert_eq!(body(&client, "k").await.expect("the object"), b"ab");
    store.quirks(&[]);
    assert_eq!(append().await, Err((501, "NotImplemented".to_owned())));
}

#[tokio::test]
async fn a_bucket_without_versions_keeps_none_and_tells_of_none() {
    let (store, client) = store_with("unversioned");
    let write = async |body: &'static [u8]| {
        let output = client.put_object().bucket(BUCKET).key("k").body(body.to_vec().into()).send().await.expect("put");
        assert_eq!(output.version_id(), None);
    };
    write(b"old").await;
    write(b"new").await;
    let head = client.head_object().bucket(BUCKET).key("k").send().await.expect("head");
    assert_eq!(head.version_id(), None);
    let id = plain(&client, "k").await;
    let asked = client.head_object().bucket(BUCKET).key("k").version_id(&id).send().await;
    assert_eq!(code(asked).0, 400, "an upload id is no version id");
    let etag = part(&client, "k", &id, 1, b"uploaded").await.expect("a part");
    complete(&client, "k", &id, &[(1, &etag)]).await.expect("completed");
    let versions = client.list_object_versions().bucket(BUCKET).send().await.expect("the versions");
    let ids: Vec<_> = versions.versions().iter().map(|version| version.version_id()).collect();
    assert_eq!(ids, [Some("null")]);
    assert_eq!(body(&client, "k").await.expect("the object"), b"uploaded");
    client.delete_object().bucket(BUCKET).key("k").send().await.expect("deleted");
    store.quirks(&[]);
    let versions = client.list_object_versions().bucket(BUCKET).send().await.expect("the versions");
    assert!(versions.versions().is_empty() && versions.delete_markers().is_empty(), "{versions:?}");
    let versioning = client.get_bucket_versioning().bucket(BUCKET).send().await.expect("versioning");
    assert_eq!(versioning.status(), Some(&BucketVersioningStatus::Enabled));
}

#[tokio::test]
async fn parts_shorter_than_5_mib_are_refused_at_the_end() {
    let (store, client) = store_with("parts-of-5-mib");
    let id = plain(&client, "k").await;
    let first = part(&client, "k", &id, 1, &bytes(1, 5_000_000)).await.expect("a part");
    let last = part(&client, "k", &id, 2, b"x").await.expect("a part");
    let parts = [(1, first.as_str()), (2, last.as_str())];
    let refused = complete(&client, "k", &id, &parts).await.expect_err("too short");
    assert_eq!((refused.0, refused.1.as_str()), (400, "EntityTooSmall"));
    store.quirks(&[]);
    complete(&client, "k", &id, &parts).await.expect("as on B2");
}

#[tokio::test]
async fn an_unknown_quirk_is_refused() {
    let store = Store::start();
    let (status, answer) = crate::support::http(store.control(), "PUT", "/quirks", &[], b"[\"no-such-thing\"]");
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    store.quirks(&["torn-put", "conditions-501", "same-key-429", "delete-errors-in-200"]);
    let (_, told) = crate::support::http(store.control(), "GET", "/quirks", &[], &[]);
    let told: Vec<String> = serde_json::from_slice(&told).expect("a list");
    assert_eq!(told, ["conditions-501", "same-key-429", "torn-put", "delete-errors-in-200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_with_metadata_are_listed_in_pages_of_a_thousand() {
    let store = Store::start();
    let client = store.client();
    let key = |at: usize| format!("_live/a.mp4/rec/0/{:016}", at * 1000);
    let told = HashMap::from([("live-read-length".to_owned(), "4".to_owned())]);
    for at in 0..2100 {
        let request = client.put_object().bucket(BUCKET).key(key(at)).set_metadata(Some(told.clone()));
        request.body(bytes(1, 4).into()).send().await.expect("put");
    }
    put(&client, "_live/a.mp4/now", b"{}").await;
    let pages = async |after: Option<String>| {
        let (mut pages, mut token) = (Vec::new(), None);
        loop {
            let page =
                client.list_objects_v2().bucket(BUCKET).prefix("_live/a.mp4/rec/").set_start_after(after.clone());
            let page = page.set_continuation_token(token).send().await.expect("a page");
            pages.push(page.contents().iter().filter_map(|object| object.key()).map(str::to_owned).collect::<Vec<_>>());
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return pages;
            }
        }
    };
    let all = pages(None).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 100]);
    assert_eq!(all.concat(), (0..2100).map(key).collect::<Vec<_>>());
    assert_eq!(pages(Some(key(2090))).await.concat(), (2091..2100).map(key).collect::<Vec<_>>());
    let top = client.list_objects_v2().bucket(BUCKET).prefix("_live/a.mp4/").delimiter("/").send().await.expect("list");
    assert_eq!(top.common_prefixes()[0].prefix(), Some("_live/a.mp4/rec/"));
    assert_eq!((top.common_prefixes().len(), top.contents()[0].key()), (1, Some("_live/a.mp4/now")));
    // Metadata comes with GET, HEAD and what was copied, and not where it was to be replaced.
    let (first, copy) = (key(0), client.copy_object().bucket(BUCKET).copy_source(format!("{BUCKET}/{}", key(0))));
    copy.clone().key("same").send().await.expect("a copy");
    copy.key("bare").metadata_directive(MetadataDirective::Replace).send().await.expect("a copy");
    let none = HashMap::new();
    for (key, expected) in [(first.as_str(), &told), ("same", &told), ("bare", &none)] {
        let head = client.head_object().bucket(BUCKET).key(key).send().await.expect("head");
        let got = client.get_object().bucket(BUCKET).key(key).send().await.expect("get");
        assert_eq!((head.metadata(), got.metadata()), (Some(expected), Some(expected)), "{key}");
    }
    let names: Vec<String> = (0..1000).map(key).collect();
    let (deleted, failed) =
        delete_all(&client, &names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("deleted");
    assert_eq!((deleted.len(), failed.len()), (1000, 0));
    await_that("the log", || store.requests()["operations"]["DeleteObjects"]["200"] == 1);
}
