//! Very many connections of strangers, from many addresses and to both ports: as many are held as are let in, and the streams
//! beside them go on.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};

use super::hostile::{has_pictures, most_of_a_command};
use super::hostile_for_long::{MOST, paced, publishing, said_url};
use crate::support::keys::{TEMPLATE, add_key, objects_of, place};
use crate::support::lab::Lab;
use crate::support::run::{Launch, await_that};

/// Strangers that are let in: over all, and from one address.
pub(super) const SEATS: usize = 1024;
pub(super) const SEATS_EACH: usize = 64;
/// Addresses that they come from, other than those of the encoders.
const ADDRESSES: usize = 100;
/// Connections that are made before it is looked which of them are closed.
const AT_ONCE: usize = 500;

/// Strangers, and where they go.
pub(super) struct Crowd {
    runtime: Runtime,
    ports: [SocketAddr; 2],
    held: Vec<TcpStream>,
    pub(super) made: usize,
}

impl Crowd {
    /// That comes to the ports of these URLs: RTMP, and HTTP.
    pub(super) fn new(rtmp: &str, http: &str) -> Self {
        let port = |url: &str| url.split('/').nth(2).expect("an authority").parse().expect("an address");
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        Self { runtime, ports: [port(rtmp), port(http)], held: Vec::new(), made: 0 }
    }

    /// So many more come, from this many addresses, and stay as long as they are let. Some say nothing, and some as much as they may.
    pub(super) fn come(&mut self, count: usize, addresses: usize) {
        let (talk, head) = (most_of_a_command(), [&b"POST /live/x HTTP/1.1\r\nx: "[..], &[b'x'; 16_000]].concat());
        for at in 0..count {
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, u8::try_from(1 + at % addresses).expect("small")));
            // Each address comes to both.
            let which = at / addresses % 2;
            self.made += 1;
            let Some(mut stream) = self.connect(from, self.ports[which]) else { continue };
            if at % 3 > 0 {
                // It may be closed already.
                drop(stream.write_all([&talk, &head][which]));
            }
            stream.set_nonblocking(true).expect("a socket");
            self.held.push(stream);
            if at % AT_ONCE == 0 {
                self.look();
            }
        }
    }

    fn connect(&self, from: IpAddr, to: SocketAddr) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of this machine");
        let stream = self.runtime.block_on(socket.connect(to)).ok()?.into_std().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a deadline");
        Some(stream)
    }

    /// How many of them are not closed; the others are let go of.
    pub(super) fn look(&mut self) -> usize {
        let is_open = |mut stream: &TcpStream| match stream.read(&mut [0; 8192]) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        self.held.retain(is_open);
        self.held.len()
    }

    /// All of them go.
    pub(super) fn go(&mut self) {
        self.held.clear();
    }
}

#[test]
fn ten_thousand_strangers_take_the_seats_of_strangers_and_nothing_else() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = ["a", "b", "late"].map(|name| add_key(&place, name));
    let addresses = ["rtmp://127.0.0.1:0/live", "http://127.0.0.1:0/live"];
    // As many files as a shell allows as a rule: what it needs besides, above all for the store, is not theirs to take.
    let args = [&[TEMPLATE][..], &addresses, &["--keys", &place]].concat();
    let writer = Launch::writer(&lab, &args).with_files(1024).start();
    let (rtmp, http) = (said_url(&writer, "rtmp"), said_url(&writer, "http"));
    let mut live = [&keys[0], &keys[1]].map(|key| publishing(&rtmp, key));
    live.iter_mut().for_each(|words| words.stream(1));
    let before = writer.peak_memory();
    let mut crowd = Crowd::new(&rtmp, &http);
    let beside = live.map(|words| std::thread::spawn(move || paced(words, 12)));
    let began = Instant::now();
    // Of one address, and then of all.
    crowd.come(500, 1);
    await_that("the seats of one address are taken", || crowd.look() == SEATS_EACH);
    crowd.come(2_000, ADDRESSES);
    await_that("all seats are taken", || crowd.look() == SEATS);
    while crowd.made < 10_000 {
        crowd.come(AT_ONCE, ADDRESSES);
    }
    await_that("nobody else is let in", || crowd.look() <= SEATS);
    println!("{} connections in {:.1} s", crowd.made, began.elapsed().as_secs_f32());
    crowd.go();
    // There is room again.
    let mut late = publishing(&rtmp, &keys[2]);
    late.stream(1);
    late.end();
    late.hear("NetStream.Unpublish.Success");
    let ended = beside.map(|thread| thread.join().expect("an encoder"));
    let grown = writer.peak_memory().saturating_sub(before);
    println!("{} MiB more", grown >> 20);
    writer.signal("TERM");
    writer.wait().code(0);
    assert!(grown < MOST, "{grown} bytes more");
    for (name, end) in [("a", ended[0]), ("b", ended[1]), ("late", 1000)] {
        let objects = objects_of(&lab, name);
        assert_eq!(objects.len(), 1, "{name}: {objects:?}");
        has_pictures(&lab.object(&objects[0]).expect("the object"), (0..end).step_by(100), name);
    }
}
