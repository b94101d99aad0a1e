//! What clients of `reader --serve` may try: nothing of it reaches another bucket, another client, or the logs.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::scene::{Gateway, KEY};
use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same, await_that};
use crate::support::wire::Wire;
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, SECRET_KEY, bytes};

const WATCH: &str = "/watch?v=shows/match.mp4";
const TOKEN: &str = "viewer-token-0123456789";

fn finished(lab: &Lab) -> Vec<u8> {
    let data = bytes(20, 3_000_000);
    lab.put(KEY, &data);
    data
}

#[test]
fn only_this_machine_is_served_without_tokens_and_wrong_usage_is_told() {
    let lab = Lab::new();
    let tokens = lab.dir().join("tokens");
    std::fs::write(&tokens, "watch one two three\n").expect("a file");
    let tokens = tokens.to_str().expect("a path");
    for (args, code, says) in [
        (&["--serve", "0.0.0.0:0"][..], 2, "--auth"),
        (&["--serve", "[::]:0"], 2, "--auth"),
        (&["--serve", "not an address"], 2, "--serve"),
        (&["--serve", "127.0.0.1:0", "--auth", tokens], 2, "line 1"),
        (&["--serve", "127.0.0.1:0", "--auth", "/nonexistent/tokens"], 1, "--auth"),
        (&["--serve", "127.0.0.1:0", "--memory", "1MiB"], 2, "--memory"),
        (&["--serve", "127.0.0.1:0", "--allow-origin", "tv.example"], 2, "--allow-origin"),
        (&["--serve", "127.0.0.1:0", "--from", "live"], 2, "--from"),
        (&[KEY, "--access-log"], 2, "--serve"),
        (&[KEY, "--bucket", "one", "--bucket", "two"], 2, "--bucket"),
        (&["--connections", "0", "--serve"], 2, "--connections"),
    ] {
        let ended = Launch::reader(&lab, args).start().wait().code(code);
        assert!(ended.err.contains(says), "{args:?}: {}", ended.err);
        assert!(!ended.err.contains("three"), "{args:?}: {}", ended.err);
    }
    let taken = Gateway::start(&lab, &[]);
    let same = Launch::reader(&lab, &["--serve", taken.address()]).start().wait().code(1);
    same.says("cannot listen");
}

#[test]
fn tokens_let_in_by_their_rights_and_no_secret_is_ever_logged() {
    let lab = Lab::new();
    let data = finished(&lab);
    let file = lab.dir().join("tokens");
    std::fs::write(&file, format!("# who\nwatch {TOKEN}\nlist,write other-token-0123456789\nwatch me:hidden-word\n"))
        .expect("a file");
    let more = ["--auth", file.to_str().expect("a path"), "--access-log", "--debug", "--debug-sdk"];
    let launch = Launch::reader(&lab, &[&["--serve", "127.0.0.1:0"][..], &more].concat());
    let gateway = Gateway::of(launch.env("RUST_LOG", "trace"));
    let bearer = format!("Bearer {TOKEN}");
    for (authorization, status) in [
        (bearer.as_str(), 200),
        ("Basic bWU6aGlkZGVuLXdvcmQ=", 200),
        ("Bearer other-token-0123456789", 403),
        ("Bearer wrong-token-0123456789", 401),
        ("Basic bWU6d3Jvbmc=", 401),
    ] {
        let answer = gateway.get(WATCH, &[("authorization", authorization)]);
        assert_eq!(answer.status, status, "{authorization}");
        if status == 200 {
            assert_same(&answer.body, &data, authorization);
        }
    }
    let unknown = gateway.get(&format!("{WATCH}&token={TOKEN}"), &[]);
    assert_eq!(unknown.status, 401);
    assert!(unknown.head.to_lowercase().matches("www-authenticate").count() == 2, "{}", unknown.head);
    let part = [("authorization", bearer.as_str()), ("range", "bytes=1-2")];
    assert!(gateway.get(WATCH, &part).head.contains("private"), "shared caches keep it");
    for path in ["/", "/nothing", "//watch", "/live/x", "/WATCH?v=a", "/../watch", "/metrics"] {
        assert_eq!(gateway.get(path, &[]).status, 401, "{path}");
    }
    assert_eq!((gateway.get("/healthz", &[]).status, gateway.get("/readyz", &[]).status), (200, 200));
    await_that("a line for each answer", || gateway.run.messages().matches("\"route\":").count() >= 15);
    let log = gateway.run.messages();
    let line =
        log.lines().find(|line| line.starts_with('{') && line.contains("\"range\":\"bytes=1-2\"")).expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let told = serde_json::json!({ "status": 206, "bytes": 2, "end": "whole", "key": KEY });
    for name in ["status", "bytes", "end", "key"] {
        assert_eq!(line[name], told[name], "{line}");
    }
    for secret in [TOKEN, "other-token", "wrong-token", "hidden-word", "bWU6", SECRET_KEY] {
        let at = log.find(secret);
        assert!(at.is_none(), "{secret}: {:?}", at.map(|at| &log[at.saturating_sub(100)..at + 100]));
    }
    gateway.end("TERM").code(143);
}

#[test]
fn names_lead_to_nothing_but_the_objects_of_the_buckets_that_were_named() {
    let lab = Lab::new();
    let data = finished(&lab);
    lab.put("_live/x", b"mine");
    lab.put("a.m3u8.renditions/x", b"mine");
    let gateway = Gateway::start(&lab, &[]);
    let long = format!("/watch?v={}", "k".repeat(1_025));
    for (path, status) in [
        ("/watch", 400),
        ("/watch?v=", 400),
        ("/watch?v=a&v=b", 400),
        ("/watch?v=../bucket/shows/match.mp4", 400),
        ("/watch?v=%2e%2e/x", 400),
        ("/watch?v=a%2f..%2fb", 400),
        ("/watch?v=a%00b", 400),
        ("/watch?v=a%0d%0aset-cookie:x", 400),
        ("/watch?v=%c0%ae%c0%ae/x", 400),
        (&long, 400),
        ("/watch?v=%252e%252e/x", 404),
        ("/watch?v=_live/x", 404),
        ("/watch?v=%5flive/x", 404),
        ("/watch?v=a.m3u8.renditions/x", 404),
        ("/watch?v=nothing", 404),
        ("/watch?v=shows/match.mp4&bucket=public-bucket", 403),
        ("/watch?v=shows/match.mp4&bucket=no-such-bucket", 403),
        ("/watch?v=shows/match.mp4&bucket=", 403),
        ("/watch?v=shows/match.mp4&version=no%20such", 400),
        ("/watch?v=shows%2Fmatch.mp4&other=1", 200),
        ("/watch?bucket=bucket&v=shows/match.mp4", 200),
        ("//watch?v=shows/match.mp4", 404),
        ("/Watch?v=shows/match.mp4", 404),
    ] {
        let answer = gateway.get(path, &[]);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("set-cookie").is_none());
        if status == 200 {
            assert_same(&answer.body, &data, path);
        } else {
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
        }
    }
    let forbidden = gateway.get("/watch?v=x&bucket=public-bucket", &[]);
    assert_eq!(forbidden.body, gateway.get("/watch?v=x&bucket=none", &[]).body, "what there is, is not told");
    for (method, status) in [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405), ("TRACE", 405)] {
        assert_eq!(gateway.ask(method, WATCH, &[]).status, status, "{method}");
    }
    assert_eq!(gateway.get(WATCH, &[("host", "evil.example")]).status, 403);
    drop(gateway);
    lab.run(async {
        let body = aws_sdk_s3::primitives::ByteStream::from_static(b"public");
        let put = lab.client().put_object().bucket(PUBLIC_BUCKET).key("k").body(body).send();
        put.await.expect("it is put");
    });
    let gateway = Gateway::start(&lab, &["--bucket", BUCKET, "--bucket", PUBLIC_BUCKET]);
    assert_eq!(gateway.get("/watch?v=k&bucket=public-bucket", &[]).body, b"public");
    assert_eq!(gateway.get("/watch?v=k", &[]).status, 404);
}

#[test]
fn nothing_that_a_client_sends_goes_to_the_store_but_a_name() {
    let lab = Lab::new();
    finished(&lab);
    let wire = Wire::before(lab.endpoint());
    let gateway = Gateway::through(&lab, wire.endpoint(), &[]);
    let sent = [
        ("authorization", "Bearer mine-123456"),
        ("x-amz-acl", "public-read"),
        ("x-amz-security-token", "mine-123456"),
        ("x-backblaze-live-read-enabled", "mine"),
        ("cookie", "mine=1"),
        ("x-forwarded-for", "mine"),
        ("range", "bytes=5-9"),
    ];
    let answer = gateway.get(&format!("{WATCH}&x-id=mine&response-content-type=text/html"), &sent);
    assert_eq!(answer.status, 206);
    assert!(!answer.head.to_lowercase().contains("x-amz-"), "{}", answer.head);
    assert_eq!(answer.header("content-type").as_deref(), Some("video/mp4"));
    let heads = wire.heads();
    assert!(heads.len() > 2);
    for head in heads {
        for mine in ["mine", "public-read", "bytes=5-9", "text/html", "x-forwarded", "cookie"] {
            assert!(!head.contains(mine), "{mine} in {head}");
        }
    }
}

#[test]
fn slow_and_idle_clients_keep_nobody_from_being_served() {
    let lab = Lab::new();
    let data = finished(&lab);
    let gateway = Gateway::start(&lab, &["--connections", "60"]);
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..50).map(|_| gateway.send("GET /watch?v=shows/match.mp4 HTTP/1.1\r\nhost: lo")).collect();
    slow.push(gateway.send("PRI * HTTP/2.0\r\n"));
    let idle = gateway.send("");
    assert_same(&gateway.get(WATCH, &[]).body, &data, "beside slow ones");
    // More than there is room for are told so.
    let more: Vec<_> = (0..8).map(|_| gateway.send("")).collect();
    let full = gateway.get(WATCH, &[]);
    assert_eq!((full.status, full.header("retry-after").as_deref()), (503, Some("1")), "{}", full.head);
    drop(more);
    // Half a head has ten seconds.
    for mut viewer in slow.into_iter().chain([idle]) {
        viewer.read_to_end();
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    await_that("there is room again", || gateway.get(WATCH, &[]).status == 200);
    let fields = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for head in [fields(200), format!("x: {}\r\n", "y".repeat(140_000))] {
        let mut stream = std::net::TcpStream::connect(gateway.address()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        // It may be closed before all of it is sent.
        let _ = stream.write_all(format!("GET {WATCH} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n").as_bytes());
        let mut answer = [0; 12];
        let _ = stream.read_exact(&mut answer);
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 431");
    }
    assert!(gateway.run.peak_memory() < 100 << 20, "{}", gateway.run.peak_memory());
}

#[test]
fn one_address_takes_no_more_than_it_may() {
    let lab = Lab::new();
    finished(&lab);
    let gateway = Gateway::start(&lab, &["--connections-per-address", "3"]);
    let three: Vec<_> = (0..3).map(|_| gateway.send("")).collect();
    await_that("the fourth is turned away", || gateway.get("/healthz", &[]).status == 503);
    drop(three);
    await_that("there is room again", || gateway.get("/healthz", &[]).status == 200);
}

#[test]
fn a_request_that_can_be_read_in_two_ways_gets_one_answer_at_most() {
    let lab = Lab::new();
    finished(&lab);
    let gateway = Gateway::start(&lab, &[]);
    let hidden = format!("GET {WATCH} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    for fields in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 5 + hidden.len()),
        format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n0\r\n\r\n", 5 + hidden.len()),
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello".to_owned(),
        "content-length: 3\r\n\r\nabc".to_owned(),
        "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        // Forms that one reads as chunks, and another does not.
        "transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "x: y\r\n transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        // Lines of chunks that end in LF alone.
        "transfer-encoding: chunked\r\n\r\n3\nabc\n0\n\n".to_owned(),
        "transfer-encoding: chunked\r\n\r\n3;x=\n\r\nabc\r\n0\r\n\r\n".to_owned(),
        "transfer-encoding: chunked\r\n\r\nffffffffffffffff0\r\nabc\r\n0\r\n\r\n".to_owned(),
        // Lengths that are none.
        "content-length: +3\r\n\r\nabc".to_owned(),
        "content-length: 3, 3\r\n\r\nabc".to_owned(),
        "content-length: 0x3\r\n\r\nabc".to_owned(),
        "content-length: -1\r\n\r\n".to_owned(),
        "content-length: 18446744073709551616\r\n\r\n".to_owned(),
    ] {
        let mut viewer = gateway.send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{fields}{hidden}"));
        viewer.read_to_end();
        let text = String::from_utf8_lossy(&viewer.got);
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{fields}: {text}");
    }
    // What is no request at all.
    for head in ["GET /healthz\r\n\r\n", "\0\0\0\0\r\n\r\n", "GET /healthz HTTP/1.1\r\n\r\n"] {
        let mut viewer = gateway.send(head);
        viewer.read_to_end();
        assert!(!String::from_utf8_lossy(&viewer.got).contains(" 200 "), "{head}");
    }
}

#[test]
fn a_line_of_a_head_that_ends_in_lf_alone_is_refused() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let good = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let twice = format!("{good}\r\n{}", good.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    for (sent, answers) in [
        ("GET /healthz HTTP/1.1\nhost: localhost\n\n".to_owned(), 0),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\nx: y\r\n\r\n".to_owned(), 0),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: y\n\r\n".to_owned(), 0),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\n".to_owned(), 0),
        (format!("\n{good}"), 0),
        (format!("{good}GET /healthz HTTP/1.1\r\nhost: localhost\n\r\n"), 1),
        (twice, 2),
    ] {
        // It says 400, or nothing where the head has no end without that line, and closes the connection.
        let mut client = gateway.send(&sent);
        client.read_to_end();
        let text = String::from_utf8_lossy(&client.got);
        assert_eq!(text.matches("HTTP/1.1 200").count(), answers, "{sent:?}: {text}");
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn floods_of_http_2_frames_end_their_connection_and_keep_nobody_from_being_served() {
    let lab = Lab::new();
    finished(&lab);
    let gateway = Gateway::start(&lab, &[]);
    let (headers, reset, settings, more) = (1, 3, 4, 9);
    let request = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    let rapid = (0..10_000u32).flat_map(|number| {
        let stream = 2 * number + 1;
        [frame(headers, 5, stream, &request), frame(reset, 0, stream, &[0, 0, 0, 8])].concat()
    });
    let continued = (0..10_000).flat_map(|_| frame(more, 0, 1, &[0x10, 1, b'x', 1, b'y'].repeat(200)));
    let floods = [rapid.collect::<Vec<u8>>(), [frame(headers, 1, 1, &request), continued.collect()].concat()];
    for flood in floods {
        let mut stream = std::net::TcpStream::connect(gateway.address()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        let begun = Instant::now();
        // It may be closed before all of it is sent.
        let _ =
            stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(settings, 0, 0, &[]), &flood].concat());
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let late = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!late && begun.elapsed() < Duration::from_secs(20), "it goes on");
        assert_eq!(gateway.get(WATCH, &[]).status, 200);
    }
    assert!(gateway.run.peak_memory() < 100 << 20, "{}", gateway.run.peak_memory());
}

#[test]
fn hostile_ranges_cost_no_more_than_a_block() {
    let lab = Lab::new();
    let data = finished(&lab);
    let gateway = Gateway::start(&lab, &[]);
    for _ in 0..200 {
        assert_eq!(gateway.range("bytes=0-0").body, data[..1]);
    }
    let reads = lab.count(false, "GetObject", "206") + lab.count(true, "GetObject", "206");
    assert!(reads <= 2, "{reads} reads of the store for 200 of one byte");
    for range in ["bytes=0-99999999999999999999999999999999999999999", "bytes=0-18446744073709551615"] {
        assert_same(&gateway.range(range).body, &data, range);
    }
}

#[test]
fn a_signal_breaks_what_has_no_end_lets_come_to_its_end_what_has_one_and_answers_what_is_held() {
    let lab = Lab::new();
    let data = bytes(21, PART);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    lab.put("done.mp4", &data);
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let gateway = Gateway::start(&lab, &[]);
        let endless = gateway.view(WATCH, &[]);
        let held = gateway.view(WATCH, &[("range", "bytes=6000000-6000001"), ("prefer", "wait=10")]);
        let mut finite = gateway.begin("GET", "/watch?v=done.mp4", &[]);
        finite.read_body(1);
        lab.wait_for_edge();
        let begun = Instant::now();
        gateway.run.signal(signal);
        let broken = endless.join().expect("a viewer");
        assert!(!broken.whole && broken.status == 200, "{}", broken.head);
        assert!(data.starts_with(&broken.body), "{} other bytes", broken.body.len());
        assert_eq!(held.join().expect("a viewer").status, 416);
        finite.read_to_end();
        let finite = finite.answer("GET");
        assert!(finite.whole);
        assert_same(&finite.body, &data, "what has an end");
        gateway.run.wait().code(code);
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_second_signal_ends_the_gateway_at_once() {
    let lab = Lab::new();
    lab.put("done.mp4", &bytes(22, 6 * PART));
    let gateway = Gateway::start(&lab, &[]);
    // Whoever takes nothing more would be waited for.
    let mut slow = gateway.begin("GET", "/watch?v=done.mp4", &[]);
    slow.read_body(1);
    gateway.run.signal("TERM");
    gateway.run.wait_for("a second one ends it at once");
    let begun = Instant::now();
    gateway.run.signal("INT");
    gateway.run.wait().code(130);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
