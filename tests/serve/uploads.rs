//! Objects that are uploaded by `reader --serve`: as they come, or not at all.

use std::io::Write;

use super::scene::{Gateway, KEY};
use crate::support::lab::Lab;
use crate::support::run::{assert_same, await_that};
use crate::support::{BUCKET, PART, bytes};

const WRITER: &str = "Bearer write-token-0123456789";
const OTHER: &str = "Bearer other-token-0123456789";

fn gateway(lab: &Lab, more: &[&str]) -> Gateway {
    let file = lab.dir().join("tokens");
    let lines = "write write-token-0123456789\nwrite other-token-0123456789\nwatch,list watch-token-0123456789\n";
    std::fs::write(&file, lines).expect("a file");
    Gateway::start(lab, &[&["--auth", file.to_str().expect("a path")], more].concat())
}

fn path(key: &str) -> String {
    format!("/buckets/{BUCKET}/objects/{key}")
}

/// `body` in chunks of HTTP, without the last one.
fn chunked(body: &[u8]) -> Vec<u8> {
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    body.chunks(100_000).map(chunk).collect::<Vec<_>>().concat()
}

/// Nothing is left of any upload.
fn nothing_is_left(lab: &Lab, keys: &[&str]) {
    await_that("all uploads are over", || lab.all_open().is_empty());
    assert_eq!(lab.keys(), keys);
}

#[test]
fn what_is_uploaded_is_the_object_of_any_size_and_in_any_way() {
    let lab = Lab::new();
    let gateway = gateway(&lab, &[]);
    let token = [("authorization", WRITER)];
    for (key, size) in [("empty.bin", 0), ("one.mp4", 1), ("part.mp4", 8 << 20), ("a%20b/big.mp4", (20 << 20) + 7)] {
        let data = bytes(3, size);
        let answer = gateway.put(&path(key), &token, &data);
        assert_eq!(answer.status, 201, "{key}: {}", String::from_utf8_lossy(&answer.body));
        let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let key = key.replace("%20", " ");
        assert_eq!((&told["key"], &told["size"]), (&key.as_str().into(), &size.into()));
        assert_same(&lab.object(&key).expect("the object"), &data, &key);
    }
    let data = bytes(4, 9 << 20);
    let mut viewer = gateway.begin("PUT", &path("chunked.mp4"), &[token[0], ("transfer-encoding", "chunked")]);
    viewer.stream.write_all(&[chunked(&data), b"0\r\n\r\n".to_vec()].concat()).expect("send");
    viewer.read_to_end();
    assert_eq!(viewer.answer("PUT").status, 201);
    assert_same(&lab.object("chunked.mp4").expect("the object"), &data, "in chunks");
    let watch = [("authorization", "Bearer watch-token-0123456789")];
    let answer = gateway.get("/watch?v=chunked.mp4", &watch);
    assert_eq!(answer.header("content-type").as_deref(), Some("video/mp4"));
    assert_same(&answer.body, &data, "watched");
    nothing_is_left(&lab, &["a b/big.mp4", "chunked.mp4", "empty.bin", "one.mp4", "part.mp4"]);
    // What was sent goes through, and is not kept.
    let large = bytes(5, 100 << 20);
    assert_eq!(gateway.put(&path("large.mp4"), &token, &large).status, 201);
    assert_same(&lab.object("large.mp4").expect("the object"), &large, "a large one");
    assert!(gateway.run.peak_memory() < 80 << 20, "{}", gateway.run.peak_memory());
}

#[test]
fn what_may_not_be_uploaded_leaves_nothing() {
    let lab = Lab::new();
    let gateway = gateway(&lab, &["--max-upload", "9MiB"]);
    lab.begin("recording.mp4");
    let token = ("authorization", WRITER);
    let watch = ("authorization", "Bearer watch-token-0123456789");
    for (key, headers, status) in [
        ("k", &[][..], 401),
        ("k", &[watch], 403),
        ("k", &[token, ("origin", "https://evil.example")], 403),
        ("k", &[token, ("sec-fetch-site", "cross-site")], 403),
        ("", &[token], 400),
        ("a/../b", &[token], 400),
        ("a%00b", &[token], 400),
        ("_live/x", &[token], 404),
        ("a.m3u8.renditions/x", &[token], 404),
        ("recording.mp4", &[token], 409),
    ] {
        assert_eq!(gateway.put(&path(key), headers, b"hello").status, status, "{key} {headers:?}");
    }
    assert_eq!(gateway.put("/buckets/other/objects/k", &[token], b"hello").status, 403);
    assert_eq!(gateway.put("/buckets/bucket/objects", &[token], b"hello").status, 400);
    let mut ask = gateway.begin("PUT", &path("k"), &[token, ("content-length", "9437185")]);
    ask.read_to_end();
    assert_eq!(ask.answer("PUT").status, 413);
    // What does not say how much it is, is not believed either.
    let mut endless = gateway.begin("PUT", &path("k"), &[token, ("transfer-encoding", "chunked")]);
    let _ = endless.stream.write_all(&chunked(&bytes(6, (9 << 20) + 1)));
    endless.read_to_end();
    await_that("it is given up", || lab.all_open().len() == 1);
    assert!(matches!(endless.answer("PUT").status, 413 | 0), "{}", endless.answer("PUT").head);
    lab.abort("recording.mp4", &lab.open("recording.mp4")[0]);
    nothing_is_left(&lab, &[]);
}

#[test]
fn what_is_broken_off_leaves_nothing() {
    let lab = Lab::new();
    let gateway = gateway(&lab, &[]);
    let token = ("authorization", WRITER);
    let data = bytes(7, 9 << 20);
    for fields in [("content-length", "20000000"), ("transfer-encoding", "chunked")] {
        let mut viewer = gateway.begin("PUT", &path(KEY), &[token, fields]);
        let sent = if fields.1 == "chunked" { chunked(&data) } else { data.clone() };
        viewer.stream.write_all(&sent).expect("send");
        lab.wait_open(KEY);
        drop(viewer);
        nothing_is_left(&lab, &[]);
    }
    // One at a time of a key, and of a token.
    let mut first = gateway.begin("PUT", &path(KEY), &[token, ("content-length", "20000000")]);
    first.stream.write_all(&data).expect("send");
    lab.wait_open(KEY);
    assert_eq!(gateway.put(&path("another.mp4"), &[token], b"hello").status, 429);
    assert_eq!(gateway.put(&path(KEY), &[("authorization", OTHER)], b"hello").status, 409);
    assert_eq!(gateway.put(&path("other.mp4"), &[("authorization", OTHER)], b"hello").status, 201);
    // The program ends in the middle of it.
    gateway.end("TERM").code(143);
    nothing_is_left(&lab, &["other.mp4"]);
    first.read_to_end();
    assert_ne!(first.answer("PUT").status, 201);
}

#[test]
fn a_store_in_trouble_delays_an_upload_and_never_changes_a_byte() {
    let lab = Lab::new();
    let gateway = gateway(&lab, &[]);
    let data = bytes(8, 3 * PART);
    lab.faults(&serde_json::json!([
        { "operation": "CreateMultipartUpload", "times": 1, "status": 503 },
        { "operation": "UploadPart", "times": 2, "status": 500 },
        { "operation": "CompleteMultipartUpload", "times": 1, "status": 503 },
    ]));
    let answer = gateway.put(&path(KEY), &[("authorization", WRITER)], &data);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert_same(&lab.object(KEY).expect("the object"), &data, "through trouble");
    for (key, id) in lab.all_open() {
        assert!(lab.parts(&key, &id).is_empty(), "a start whose answer was lost leaves an empty upload at most");
    }
}
