//! Very many clients of `reader --serve` that wait: what they cost, and that they are let go of.

use std::io::Read;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::scene::{Gateway, Growing, KEY, Viewer};
use crate::support::lab::Lab;
use crate::support::run::{assert_same, await_that};
use crate::support::{PART, bytes};

const MANY: usize = 5_000;
/// No playlist is held back for as long as more would take to come, where the machine is busy.
const HELD: usize = 1_000;

/// A figure of the gateway.
fn figure(gateway: &Gateway, name: &str) -> u64 {
    let text = String::from_utf8(gateway.get("/metrics", &[]).body).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
    line.trim().parse().expect("a number")
}

/// Has the system allow this program so many files; false where it does not.
fn allow_files(wanted: u64) -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.is_none_or(|current| current >= wanted)
}

#[test]
fn five_thousand_who_wait_at_the_live_edge_cost_little_and_all_get_what_comes() {
    assert!(allow_files(MANY as u64 + 1_000), "this test needs more open files: ulimit -Hn");
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--connections", "6000"]);
    let data = bytes(50, PART + 1_000);
    let id = lab.begin(KEY);
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    let range = [("range", "bytes=4999999-")];
    let path = format!("/watch?v={KEY}");
    let mut viewers = vec![gateway.begin("GET", &path, &range)];
    viewers[0].read_body(1);
    let before = gateway.run.peak_memory();
    viewers.extend((1..MANY).map(|_| gateway.begin("GET", &path, &range)));
    await_that("all wait", || figure(&gateway, "live_read_viewers ") >= MANY as u64);
    assert_eq!(gateway.get("/healthz", &[]).status, 200);
    let each = gateway.run.peak_memory().saturating_sub(before) / MANY as u64;
    assert!(each < 24 << 10, "{each} bytes each");
    let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
    lab.complete(KEY, &id, &etags);
    for mut viewer in viewers {
        viewer.read_to_end();
        let answer = viewer.answer("GET");
        assert!(answer.whole, "{}", answer.head);
        assert_same(&answer.body, &data[4_999_999..], "at the edge");
    }
    println!("{each} bytes each");
}

#[test]
fn a_thousand_playlists_that_are_held_back_cost_little_and_all_come() {
    assert!(allow_files(HELD as u64 + 1_000), "this test needs more open files: ulimit -Hn");
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--connections", "6000"]);
    let mut growing = Growing::begin(&lab);
    let index = gateway.get(&format!("/hls/{KEY}/index.m3u8"), &[]).text();
    let media = index.lines().find(|line| line.ends_with("media.m3u8")).expect("a playlist");
    let media = format!("/hls/{}/{media}", KEY);
    let listed = |text: &str| text.lines().filter(|line| line.starts_with("#EXTINF")).count();
    let next = listed(&gateway.get(&media, &[]).text());
    let path = format!("{media}?_HLS_msn={next}");
    let held = || figure(&gateway, "live_read_held_answers ");
    let mut viewers = vec![gateway.begin("GET", &path, &[])];
    await_that("one is held back", || held() == 1);
    let before = gateway.run.peak_memory();
    viewers.extend((1..HELD).map(|_| gateway.begin("GET", &path, &[])));
    await_that("all are held back", || held() == HELD as u64);
    let each = gateway.run.peak_memory().saturating_sub(before) / HELD as u64;
    println!("{each} bytes each");
    assert!(each < 24 << 10, "{each} bytes each");
    growing.complete();
    for mut viewer in viewers {
        viewer.read_to_end();
        let answer = viewer.answer("GET");
        assert!(answer.status == 200 && listed(&answer.text()) > next, "{}", answer.head);
    }
    assert_eq!(held(), 0);
}

#[test]
fn more_answers_than_may_be_held_back_are_refused() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--connections", "4"]);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(51, PART));
    // Over one connection, as HTTP/2 lets one wait for many answers.
    let answers = lab.run(async {
        let stream = TcpStream::connect(gateway.address()).await.expect("a connection");
        let spoken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        let (sender, connection) = spoken;
        let connection = tokio::spawn(connection);
        let asked = (0..12).map(|_| {
            let request = http::Request::get(gateway.url(&format!("/watch?v={KEY}")));
            let request = request.header("range", "bytes=5000000-5000009").header("prefer", "wait=2");
            sender.clone().send_request(request.body(Empty::<Bytes>::new()).expect("a request"))
        });
        let answers = join_all(asked).await;
        connection.abort();
        answers
    });
    let count = |status: u16| answers.iter().flatten().filter(|answer| answer.status() == status).count();
    assert_eq!((count(416), count(503)), (8, 4), "{answers:?}");
}

#[test]
fn who_goes_away_is_waited_for_no_more() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(51, PART));
    let waits = [("range", "bytes=5000000-5000009"), ("prefer", "wait=10")];
    let path = format!("/watch?v={KEY}");
    let begun = std::time::Instant::now();
    let held: Vec<Viewer> = (0..50).map(|_| gateway.begin("GET", &path, &waits)).collect();
    await_that("they are held", || figure(&gateway, "live_read_held_answers ") == 50);
    let gone = std::time::Instant::now();
    drop(held);
    await_that("nobody is held", || figure(&gateway, "live_read_held_answers ") == 0);
    // A second would do; the machine may be busy.
    assert!(gone.elapsed().as_secs() < 3, "{:?}", gone.elapsed());
    await_that("their connections are gone", || figure(&gateway, "live_read_connections ") <= 2);
    // Those who stay are told when their time is over.
    let mut stays = gateway.begin("GET", &path, &waits);
    stays.stream.read_to_end(&mut stays.got).expect("an answer");
    assert_eq!(stays.answer("GET").status, 416);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
