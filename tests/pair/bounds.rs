//! What the tools may cost: memory, requests while nothing happens, processor time, and the time to the first request.

use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same, await_some, await_that};
use crate::support::{PART, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";
/// What a tool may hold beside the bytes of its stream.
const BASE: u64 = 12_000_000;
/// What a pipe may hold.
const PIPE: u64 = 1 << 20;

/// Waits until `count` has not changed for half a second; gives what it was then.
fn settled(what: &str, mut count: impl FnMut() -> u64) -> u64 {
    let mut last = (count(), Instant::now());
    await_some(what, || {
        let now = count();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(500)).then_some(now)
    })
}

/// Feeds a writer faster than the store takes it.
fn fed_too_fast(part_size: u64, concurrency: u64) {
    let lab = Lab::new();
    lab.faults(&json!([{ "operation": "UploadPart", "throttle_upload": 100_000 }]));
    let (size, count) = (part_size.to_string(), concurrency.to_string());
    let mut writer = lab.writer(&[KEY, "-s", &size, "-c", &count]);
    lab.wait_open(KEY);
    let taken = writer.feed_forever();
    let held = part_size * (concurrency + 2);
    await_that("input to be taken", || taken.load(Relaxed) >= part_size);
    let taken = settled("the input to be slowed", || taken.load(Relaxed));
    assert!(taken <= held + PIPE, "{taken} bytes were taken where {held} may be held");
    assert!(taken >= part_size * concurrency, "{taken} bytes only were taken: the input waits too early");
    let peak = writer.peak_memory();
    println!("writer, part size {part_size}, {concurrency} in flight: took {taken} bytes, peak {peak} bytes");
    assert!(peak <= held + BASE, "{peak} bytes of memory where {held} may be held");
    assert!(writer.is_running());
}

#[test]
fn a_slow_store_slows_the_input_down_and_the_writer_does_not_grow() {
    fed_too_fast(5_000_000, 4);
}

#[test]
fn a_writer_with_one_part_in_flight_holds_three() {
    fed_too_fast(5_000_000, 1);
}

#[test]
fn a_writer_of_larger_parts_keeps_to_its_bound() {
    fed_too_fast(12_000_000, 2);
}

#[test]
fn a_long_stream_takes_no_more_memory_than_a_short_one() {
    let lab = Lab::new();
    let mut writer = lab.writer(&[KEY, "-s", "5000000"]);
    lab.wait_open(KEY);
    let taken = writer.feed_forever();
    await_that("many parts", || taken.load(Relaxed) > 60 * PART as u64);
    let peak = writer.peak_memory();
    println!("writer, {} parts: peak {peak} bytes", taken.load(Relaxed) / PART as u64);
    assert!(peak <= 6 * PART as u64 + BASE, "{peak} bytes of memory");
}

/// A reader of a long object whose consumer takes nothing.
fn stopped(options: &[&str], held: u64) {
    let lab = Lab::new();
    let data = bytes(1, 16 * PART);
    let id = lab.begin(KEY);
    for (part, number) in data.chunks(PART).zip(1..) {
        lab.part(KEY, &id, number, part);
    }
    let mut reader = Launch::reader(&lab, &[&[KEY], options].concat()).leave_stdout().start();
    let mut stdout = reader.stdout.take().expect("its output");
    // A consumer that was quick at first has the reader fetch ahead.
    let mut first = vec![0; 8 * PART];
    stdout.read_exact(&mut first).expect("the first half");
    assert_same(&first, &data[..first.len()], &reader.messages());
    let peak = settled("the reader to hold no more", || reader.peak_memory());
    println!("reader {options:?}: peak {peak} bytes");
    assert!(peak <= held + BASE, "{peak} bytes of memory where {held} may be held");
    let mut rest = vec![0; data.len() - first.len()];
    stdout.read_exact(&mut rest).expect("the second half");
    assert_same(&rest, &data[first.len()..], &reader.messages());
}

#[test]
fn a_consumer_that_stops_does_not_make_a_reader_grow() {
    stopped(&[], 5 * 5_242_880);
}

#[test]
fn a_consumer_that_stops_does_not_make_a_reader_by_part_grow() {
    stopped(&["--by", "part"], 5 * PART as u64);
}

/// Parts that are larger than what may be held of them.
#[test]
fn a_reader_by_part_holds_no_more_than_its_chunks_and_fetches_ahead_of_a_finished_object() {
    let (lab, size) = (Lab::new(), 20_000_000);
    let data = bytes(1, 6 * size);
    lab.writer(&[KEY, "-s", "20MB"]).end_with(&data).code(0);
    lab.clear_requests();
    let options = [KEY, "--no-wait", "--by", "part", "--chunk-size", "2MB", "--queue-size", "4"];
    let mut reader = Launch::reader(&lab, &options).leave_stdout().start();
    let mut stdout = reader.stdout.take().expect("its output");
    let mut first = vec![0; 2 * size + 100];
    stdout.read_exact(&mut first).expect("the beginning");
    assert_same(&first, &data[..first.len()], &reader.messages());
    await_that("parts to be fetched ahead", || lab.count(true, "GetObject", "206") >= 5);
    let peak = settled("the reader to hold no more", || reader.peak_memory());
    println!("reader by part: peak {peak} bytes");
    assert!(peak <= 5 * 2_000_000 + BASE, "{peak} bytes of memory");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    assert_same(&rest, &data[first.len()..], &reader.messages());
}

#[test]
fn a_reader_with_a_short_queue_of_small_chunks_holds_little() {
    stopped(&["--chunk-size", "1MB", "--queue-size", "2"], 3_000_000);
}

#[test]
fn a_reader_of_a_chunk_that_is_larger_than_the_object_may_be_held_up_too() {
    stopped(&["--chunk-size", "20MB", "--queue-size", "1"], 2 * 20_000_000);
}

/// Requests in three seconds, with one that falls on the edge.
const TWICE_A_SECOND: u64 = 7;

/// How often a tool may be woken up for one request; it is some ten times, in whatever pace the machine works.
const WAKES: u64 = 100;

/// Requests of a reader, and how often it is woken up, for three seconds.
fn idle(lab: &Lab, reader: &Run, allowed: u64) {
    let (requests, wakes, busy) = (lab.count_all(), reader.wakes(), reader.processor_ticks());
    // Time itself is what is measured here.
    std::thread::sleep(Duration::from_secs(3));
    let (requests, wakes, busy) = (lab.count_all() - requests, reader.wakes() - wakes, reader.processor_ticks() - busy);
    println!("reader, idle for 3 s: {requests} requests, woken up {wakes} times");
    assert!(requests <= allowed, "{requests} requests in three seconds");
    assert!(requests >= 1, "it does not look at all");
    assert!(wakes <= (requests + 1) * WAKES, "woken up {wakes} times for {requests} requests");
    assert!(busy < 100, "it was busy for {busy} hundredths of a second of three seconds");
}

#[test]
fn a_reader_at_the_live_edge_asks_twice_a_second_at_most() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(2, PART));
    for mode in ["range", "part"] {
        let reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1", "--by", mode]).start();
        reader.wait_output(PART);
        lab.wait_for_edge();
        idle(&lab, &reader, TWICE_A_SECOND);
    }
}

#[test]
fn a_reader_after_a_short_part_asks_a_few_times_more_at_first() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, b"data");
    let reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1"]).start();
    reader.wait_output(4);
    lab.wait_for_edge();
    // A short part is how an upload ends, so that it is worth to look closely for a second.
    idle(&lab, &reader, TWICE_A_SECOND + 8);
    idle(&lab, &reader, TWICE_A_SECOND);
}

#[test]
fn a_reader_that_waits_for_an_upload_asks_twice_a_second_at_most() {
    let lab = Lab::new();
    let reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1"]).start();
    reader.wait_for("waiting for an upload");
    idle(&lab, &reader, TWICE_A_SECOND);
}

#[test]
fn a_reader_without_live_read_asks_twice_a_second_at_most() {
    let lab = Lab::with_args(&["--no-live-read"]);
    lab.begin(KEY);
    let reader = Launch::reader(&lab, &[KEY, "--poll-interval", "1"]).start();
    reader.wait_for("Nothing can be read before");
    idle(&lab, &reader, TWICE_A_SECOND);
}

#[test]
fn a_writer_that_waits_for_input_asks_nothing() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "--debug"]);
    writer.wait_for("Live Read is on");
    await_that("the list of other uploads", || lab.count(false, "ListMultipartUploads", "200") > 0);
    let (requests, wakes) = (lab.count_all(), writer.wakes());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(lab.count_all(), requests);
    let wakes = writer.wakes() - wakes;
    assert!(wakes <= WAKES, "an idle writer is woken up {wakes} times in a second");
}

#[test]
fn the_first_request_comes_soon_after_the_start() {
    let lab = Lab::new();
    for (name, launch) in [("writer", Launch::writer as fn(&_, &[&str]) -> Launch), ("reader", Launch::reader)] {
        // How long it takes at this moment to start a tool and see it end.
        let starts = (0..5).map(|_| {
            let began = Instant::now();
            launch(&lab, &["--version"]).start().wait();
            began.elapsed()
        });
        let start = starts.min().unwrap_or_default();
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                // One of its own each time: nothing of the run before waits at it.
                let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
                listener.set_nonblocking(true).expect("look without waiting");
                let url = format!("http://{}", listener.local_addr().expect("an address"));
                let launch = launch(&lab, &[KEY, "--endpoint-url", &url]);
                let began = Instant::now();
                let _run = launch.start();
                let (mut connection, _) = await_some("a connection", || listener.accept().ok());
                connection.set_nonblocking(false).expect("wait for its bytes");
                connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
                connection.read_exact(&mut [0; 4]).expect("a request");
                began.elapsed()
            })
            .collect();
        times.sort();
        println!("{name}: first request after {:?} (median), where a start takes {start:?}", times[times.len() / 2]);
        // It is some three starts; a wait of any kind would be more than ten.
        assert!(times[0] < 10 * start, "{times:?}, where a start takes {start:?}");
    }
}
