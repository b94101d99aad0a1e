//! The bytes that viewers of `reader --serve` get, and what they cost the store.

use std::process::Command;

use serde_json::json;

use super::scene::{Gateway, KEY};
use crate::support::lab::Lab;
use crate::support::proxy::{Proxy, Weather};
use crate::support::run::{assert_same, await_that};
use crate::support::{PART, bytes, present};

const WATCH: &str = "/watch?v=shows/match.mp4";

#[test]
fn fifty_viewers_get_the_object_and_the_store_is_read_once() {
    let lab = Lab::new();
    let proxy = Proxy::before(lab.endpoint());
    let gateway = Gateway::through(&lab, proxy.endpoint(), &[]);
    let data = bytes(7, 3 * PART + 1_000_000);
    let id = lab.begin(KEY);
    let mut etags = Vec::new();
    let mut viewers = Vec::new();
    let mut random = fastrand::Rng::with_seed(7);
    for (number, part) in (1..).zip(data.chunks(PART)) {
        etags.push(lab.part(KEY, &id, number, part));
        let readable = etags.iter().len() * PART;
        for _ in 0..12 {
            let first = random.usize(0..readable.min(data.len()));
            viewers.push((0, gateway.view(WATCH, &[])));
            let range = format!("bytes={}-", first.max(1));
            viewers.push((first.max(1), gateway.view(WATCH, &[("range", &range)])));
        }
        // Any range of what is there by then is that of the object.
        let readable = readable.min(data.len());
        for _ in 0..25 {
            let first = random.usize(0..readable);
            let last = random.usize(first..readable).min(first + 2_000_000);
            let answer = gateway.range(&format!("bytes={first}-{last}"));
            assert_eq!(answer.status, 206, "{}", answer.head);
            assert_eq!(answer.header("content-range"), Some(format!("bytes {first}-{last}/*")));
            assert!(answer.whole);
            assert_same(&answer.body, &data[first..=last], "a range");
        }
    }
    lab.complete(KEY, &id, &etags);
    assert!(viewers.len() >= 50);
    for (first, viewer) in viewers {
        let answer = viewer.join().expect("a viewer");
        assert!(answer.whole, "{}", answer.head);
        assert_same(&answer.body, &data[first..], "a viewer");
    }
    let (_, from_store) = proxy.traffic();
    assert!(from_store < data.len() as u64 * 102 / 100, "{from_store} bytes of {}", data.len());
    assert!(gateway.run.peak_memory() < 256 << 20);
}

#[test]
fn what_grows_is_told_from_what_is_finished_and_has_one_tag() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let data = bytes(8, PART + 1_000);
    let id = lab.begin(KEY);
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    let viewer = gateway.view(WATCH, &[("range", "bytes=0-")]);
    let mut growing = gateway.begin("GET", WATCH, &[]);
    growing.read_body(PART);
    let growing = growing.answer("GET");
    assert_eq!(growing.status, 200);
    for (name, value) in [
        ("transfer-encoding", Some("chunked")),
        ("accept-ranges", None),
        ("content-length", None),
        ("cache-control", Some("no-store")),
        ("x-accel-buffering", Some("no")),
        ("content-type", Some("video/mp4")),
        ("x-content-type-options", Some("nosniff")),
    ] {
        assert_eq!(growing.header(name).as_deref(), value, "{}", growing.head);
    }
    let (tag, date) = (growing.header("etag").expect("a tag"), growing.header("last-modified").expect("a date"));
    let edge = format!("bytes 0-{}/*", PART - 1);
    for (method, headers, status, range) in [
        ("HEAD", &[][..], 200, None),
        ("HEAD", &[("range", "bytes=0-")], 206, Some(edge.as_str())),
        ("GET", &[("range", "bytes=5-9")], 206, Some("bytes 5-9/*")),
        ("GET", &[("range", "bytes=4999998-5000005")], 206, Some("bytes 4999998-4999999/*")),
        ("GET", &[("range", "bytes=-3")], 206, Some("bytes 4999997-4999999/*")),
        ("GET", &[("range", "bytes=5000000-")], 416, None),
        ("GET", &[("range", "bytes=0-1,3-4")], 416, None),
        ("GET", &[("if-none-match", &tag)], 304, None),
        ("GET", &[("if-match", "\"other\"")], 412, None),
        ("GET", &[("if-match", &tag), ("range", "bytes=1-2")], 206, Some("bytes 1-2/*")),
    ] {
        let answer = gateway.ask(method, WATCH, headers);
        assert_eq!((answer.status, answer.header("content-range").as_deref()), (status, range), "{method} {headers:?}");
        assert!(answer.whole && (method != "HEAD" || answer.body.is_empty()), "{method} {headers:?}");
        if method == "HEAD" && status == 200 {
            assert_eq!(answer.header("content-length"), None, "{}", answer.head);
        }
        if status == 416 {
            let has_retry = answer.header("retry-after").is_some();
            assert!(has_retry && answer.header("cache-control").as_deref() == Some("no-store"), "{}", answer.head);
        }
        if matches!(status, 200 | 206 | 304) {
            assert_eq!(
                (answer.header("etag"), answer.header("last-modified")),
                (Some(tag.clone()), Some(date.clone()))
            );
        }
    }
    // What is waited for comes.
    let waits = gateway.view(WATCH, &[("range", "bytes=4999990-5000009"), ("prefer", "wait=10")]);
    let far = gateway.view(WATCH, &[("range", "bytes=4999990-9007199254740991")]);
    await_that("a look at the edge", || lab.count(true, "GetObject", "416") > 0);
    let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
    let waited = waits.join().expect("a viewer");
    assert_eq!(waited.header("content-range").as_deref(), Some("bytes 4999990-5000009/*"));
    assert_same(&waited.body, &data[4_999_990..5_000_010], "what was waited for");
    lab.complete(KEY, &id, &etags);
    let viewer = viewer.join().expect("a viewer");
    assert_eq!((viewer.status, viewer.whole), (200, true));
    assert_same(&viewer.body, &data, "a viewer");
    let far = far.join().expect("a viewer");
    assert_eq!(far.header("content-range").as_deref(), Some("bytes 4999990-9007199254740991/*"));
    assert_same(&far.body, &data[4_999_990..], "to the end");
    await_that("the end is known", || gateway.ask("HEAD", WATCH, &[]).header("content-length").is_some());
    let all = format!("bytes 0-{}/{}", data.len() - 1, data.len());
    let finished = gateway.range("bytes=0-");
    assert_eq!((finished.status, finished.header("content-range")), (206, Some(all.clone())));
    assert_eq!((finished.header("etag"), finished.header("last-modified")), (Some(tag.clone()), Some(date.clone())));
    assert_eq!(finished.header("accept-ranges").as_deref(), Some("bytes"));
    assert_same(&finished.body, &data, "finished");
    // Another gateway says the same of it.
    let other = Gateway::start(&lab, &[]);
    let whole = other.get(WATCH, &[]);
    assert_eq!((whole.status, whole.header("etag")), (200, Some(tag.clone())));
    assert_eq!(whole.header("content-length"), Some(data.len().to_string()));
    assert_same(&whole.body, &data, "whole");
    for (headers, status, range) in [
        (&[("range", "bytes=-1000")][..], 206, Some("bytes 5000000-5000999/5001000")),
        (&[("range", "bytes=5001000-")], 416, Some("bytes */5001000")),
        (&[("range", "bytes=0-1,3-4")], 416, Some("bytes */5001000")),
        (&[("range", "bytes=9-2")], 200, None),
        (&[("if-range", "\"other\""), ("range", "bytes=1-2")], 200, None),
        (&[("if-range", &tag), ("range", "bytes=1-2")], 206, Some("bytes 1-2/5001000")),
        (&[("if-range", &date), ("range", "bytes=1-2")], 206, Some("bytes 1-2/5001000")),
    ] {
        let answer = other.get(WATCH, headers);
        assert_eq!((answer.status, answer.header("content-range").as_deref()), (status, range), "{headers:?}");
    }
    let pinned = other.get(&format!("{WATCH}&version={id}"), &[("range", "bytes=7-8")]);
    assert_eq!((pinned.status, pinned.body), (206, data[7..9].to_vec()));
    assert!(pinned.head.contains("immutable"), "{}", pinned.head);
}

#[test]
fn an_abort_breaks_the_connection_and_never_ends_it() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let data = bytes(9, PART);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    let viewer = gateway.view(WATCH, &[]);
    let from = gateway.view(WATCH, &[("range", "bytes=100-")]);
    // A client without chunks takes the end of the connection for that of the answer.
    let mut old = gateway.send(&format!("GET {WATCH} HTTP/1.0\r\nhost: localhost\r\n\r\n"));
    old.read_body(PART);
    lab.wait_for_edge();
    lab.abort(KEY, &id);
    for (viewer, first) in [(viewer, 0), (from, 100)] {
        let answer = viewer.join().expect("a viewer");
        assert!(!answer.whole, "{}", answer.head);
        assert_same(&answer.body, &data[first..], "until then");
    }
    old.read_to_end();
    assert!(old.reset, "it was closed as if that were all");
    await_that("it is gone", || gateway.get(WATCH, &[]).status == 404);
    assert_eq!(gateway.get("/healthz", &[]).status, 200);
}

#[test]
fn a_store_in_trouble_delays_and_never_changes_a_byte() {
    let lab = Lab::new();
    let proxy = Proxy::before(lab.endpoint());
    let gateway = Gateway::through(&lab, proxy.endpoint(), &[]);
    let data = bytes(10, 2 * PART);
    let id = lab.begin(KEY);
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    proxy.set(Weather::Cut(800_000));
    lab.faults(&json!([{ "operation": "GetObject", "times": 2, "status": 503 }]));
    let viewers: Vec<_> = [0, 1, 777_777, 4_999_999]
        .map(|first: usize| (first, gateway.view(WATCH, &[("range", &format!("bytes={first}-"))])))
        .into();
    let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
    lab.complete(KEY, &id, &etags);
    for (first, viewer) in viewers {
        let answer = viewer.join().expect("a viewer");
        assert!(answer.whole, "{}", answer.head);
        assert_same(&answer.body, &data[first..], "through trouble");
    }
}

#[test]
fn what_curl_and_wget_have_begun_they_go_on_with() {
    if !present("curl", &["--version"]) || !present("wget", &["--version"]) {
        return;
    }
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let data = bytes(11, 2 * PART);
    let id = lab.begin(KEY);
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    for name in ["curl", "wget"] {
        std::fs::write(file(name), &data[..1_234_567]).expect("a beginning");
    }
    let url = gateway.url(WATCH);
    let mut curl = Command::new("curl");
    let curl = curl.args(["-sS", "-C", "-", "-o"]).arg(file("curl")).arg(&url).spawn().expect("curl");
    let mut wget = Command::new("wget");
    let wget = wget.args(["-q", "--no-proxy", "-c", "-O"]).arg(file("wget")).arg(&url).spawn().expect("wget");
    await_that("they have begun", || lab.count(true, "GetObject", "416") > 1);
    let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
    lab.complete(KEY, &id, &etags);
    for (name, mut program) in [("curl", curl), ("wget", wget)] {
        assert!(program.wait().expect(name).success(), "{name}");
        assert_same(&std::fs::read(file(name)).expect(name), &data, name);
    }
}

#[test]
fn over_http_2_what_grows_comes_to_its_end_and_what_is_aborted_is_no_end() {
    let can = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).contains("HTTP2");
    if !present("curl", &["--version"]) || !Command::new("curl").arg("--version").output().is_ok_and(can) {
        return;
    }
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let data = bytes(13, 2 * PART);
    for aborts in [true, false] {
        let id = lab.begin(KEY);
        let first = lab.part(KEY, &id, 1, &data[..PART]);
        let looks = || lab.count(true, "GetObject", "416");
        let before = looks();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut curl = Command::new("curl");
        let curl = curl.args(["-sS", "--http2-prior-knowledge", "-o"]).arg(file.path()).arg(gateway.url(WATCH)).spawn();
        await_that("it has begun", || looks() > before + 1);
        if aborts {
            lab.abort(KEY, &id);
        } else {
            let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
            lab.complete(KEY, &id, &etags);
        }
        let ended = curl.expect("curl").wait().expect("curl");
        assert_eq!(ended.success(), !aborts, "{ended}");
        let end = if aborts { PART } else { data.len() };
        assert_same(&std::fs::read(file.path()).expect("a file"), &data[..end], "over HTTP/2");
    }
}

#[test]
fn a_writer_on_a_store_without_live_read_is_watched_by_its_live_objects() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let gateway = Gateway::start(&lab, &[]);
    let data = bytes(12, 6 << 20);
    let mut writer = lab.writer(&[KEY, "--live", "objects", "--max-latency", "100ms"]);
    writer.write(&data[..2 << 20]);
    await_that("there is something to watch", || gateway.range("bytes=0-9").status == 206);
    let tag = gateway.range("bytes=0-9").header("etag");
    let viewers =
        [0, 1_500_000].map(|first: usize| (first, gateway.view(WATCH, &[("range", &format!("bytes={first}-"))])));
    writer.write(&data[2 << 20..]);
    writer.end().code(0);
    for (first, viewer) in viewers {
        let answer = viewer.join().expect("a viewer");
        assert!(answer.whole, "{}", answer.head);
        assert_eq!(answer.header("etag"), tag);
        assert_same(&answer.body, &data[first..], "by live objects");
    }
    await_that("the end is known", || gateway.ask("HEAD", WATCH, &[]).header("content-length").is_some());
    let finished = gateway.get(WATCH, &[]);
    assert_eq!(finished.header("etag"), tag);
    assert_same(&finished.body, &data, "finished");
}
