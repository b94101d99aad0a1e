//! What Backblaze B2 refuses, so that nothing passes here and breaks there.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::support::s3::{Ask, code, get, put, start};
use crate::support::{ACCESS_KEY, BUCKET, SECRET_KEY, Store, http, http_full};

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[test]
fn integrity_headers_of_new_clients_are_refused_by_name() {
    let store = Store::start();
    for (method, path, header) in [
        ("GET", "/bucket/k", "x-amz-checksum-mode"),
        ("PUT", "/bucket/k", "x-amz-sdk-checksum-algorithm"),
        ("PUT", "/bucket?cors", "x-amz-checksum-crc32"),
        ("PUT", "/bucket?lifecycle", "x-amz-checksum-crc64nvme"),
        ("POST", "/bucket?delete", "x-amz-sdk-checksum-algorithm"),
    ] {
        let (status, answer) = http(store.endpoint(), method, path, &[(header, "CRC32")], &[]);
        let answer = text(&answer);
        let wanted = format!("Unsupported header &apos;{header}&apos; received for this API call.");
        assert!(status == 400 && answer.contains("InvalidArgument") && answer.contains(&wanted), "{status} {answer}");
    }
    for (method, path) in [("PUT", "/bucket?cors"), ("PUT", "/bucket?lifecycle"), ("POST", "/bucket?delete")] {
        let (status, answer) = http(store.endpoint(), method, path, &[], b"<x/>");
        assert!(status == 400 && text(&answer).contains("Content-MD5"), "{status} {}", text(&answer));
    }
}

#[tokio::test]
async fn an_sdk_that_checksums_deletions_is_refused() {
    let store = Store::start();
    let object = ObjectIdentifier::builder().key("k").build().expect("an object");
    let delete = Delete::builder().objects(object).build().expect("a list");
    let refused = store.client().delete_objects().bucket(BUCKET).delete(delete).send().await;
    assert_eq!(code(refused), (400, "InvalidArgument".to_owned()));
}

#[tokio::test]
async fn a_range_that_is_none_is_refused_and_not_answered_with_everything() {
    let store = Store::start();
    let client = store.client();
    put(&client, "k", b"0123456789").await;
    for range in ["bytes=", "bytes=x-y", "bytes=5-2", "5-7", "items=0-1", "bytes=0-1,3-4"] {
        let refused = client.get_object().bucket(BUCKET).key("k").range(range).send().await;
        assert_eq!(code(refused), (400, "InvalidArgument".to_owned()), "{range}");
    }
    for (range, body) in [("2-3", &b"23"[..]), ("8-", b"89"), ("-1", b"9"), ("8-99", b"89")] {
        assert_eq!(get(&client, "k", None, Ask::Range(range), false).await.expect(range).body, body);
    }
}

#[tokio::test]
async fn a_signature_for_another_region_is_told_the_right_one() {
    let store = Store::with_args(&["--region", "eu-central-003"]);
    let refused =
        store.client_in("us-west-004", ACCESS_KEY, SECRET_KEY).get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(code(refused), (400, "AuthorizationHeaderMalformed".to_owned()));
    let right = store.client_in("eu-central-003", ACCESS_KEY, SECRET_KEY);
    put(&right, "k", b"data").await;
    start(&right, "k2").await;
    let credential = format!("{ACCESS_KEY}/20260101/us-west-004/s3/aws4_request");
    for (method, path, headers) in [
        ("GET", format!("/bucket/k?X-Amz-Credential={}", credential.replace('/', "%2F")), vec![]),
        (
            "HEAD",
            "/bucket/k".to_owned(),
            vec![("authorization", format!("AWS4-HMAC-SHA256 Credential={credential}, S=x"))],
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, head, body) = http_full(store.endpoint(), method, &path, &headers, &[]);
        assert_eq!(status, 400, "{head}");
        assert!(head.contains("x-amz-bucket-region: eu-central-003"), "{head}");
        let told = text(&body);
        assert!(method == "HEAD" || told.contains("<Region>eu-central-003</Region>"), "{told}");
    }
}

#[test]
fn a_link_for_longer_than_a_week_is_refused() {
    let store = Store::start();
    let ask = |seconds: &str| {
        let path = format!(
            "/bucket/k?X-Amz-Credential=local%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Expires={seconds}"
        );
        text(&http(store.endpoint(), "GET", &path, &[], &[]).1)
    };
    assert!(ask("604801").contains("AuthorizationQueryParametersError"));
    assert!(!ask("604800").contains("less than a week"));
}

#[tokio::test]
async fn conditions_of_a_copy_are_held_to() {
    let store = Store::start();
    let client = store.client();
    put(&client, "k", b"data").await;
    let etag =
        client.head_object().bucket(BUCKET).key("k").send().await.expect("head").e_tag().expect("ETag").to_owned();
    let copy = || client.copy_object().bucket(BUCKET).key("copy").copy_source("bucket/k");
    let failed = (412, "PreconditionFailed".to_owned());
    assert_eq!(code(copy().copy_source_if_match("\"other\"").send().await), failed);
    assert_eq!(code(copy().copy_source_if_none_match(&etag).send().await), failed);
    let past = aws_sdk_s3::primitives::DateTime::from_secs(1_000_000_000);
    assert_eq!(code(copy().copy_source_if_unmodified_since(past).send().await), failed);
    assert_eq!(get(&client, "copy", None, Ask::All, false).await, Err((404, "NoSuchKey".to_owned())));
    let id = start(&client, "parts").await;
    let part =
        client.upload_part_copy().bucket(BUCKET).key("parts").upload_id(id).part_number(1).copy_source("bucket/k");
    assert_eq!(code(part.clone().copy_source_if_match("\"other\"").send().await), failed);
    part.copy_source_if_match(&etag).send().await.expect("a part");
    copy().copy_source_if_match(&etag).copy_source_if_modified_since(past).send().await.expect("a copy");
}

#[tokio::test]
async fn how_a_body_was_sent_is_no_encoding_of_the_object() {
    let store = Store::start();
    let client = store.client();
    for (sent, kept) in [("aws-chunked", None), ("aws-chunked, gzip", Some("gzip")), ("gzip", Some("gzip"))] {
        let put = client.put_object().bucket(BUCKET).key("k").content_encoding(sent).body(b"data".to_vec().into());
        put.send().await.expect("put");
        let head = client.head_object().bucket(BUCKET).key("k").send().await.expect("head");
        assert_eq!(head.content_encoding(), kept, "{sent}");
    }
}
