//! For as long as one likes (`make hostile`): a server of many streams under all that hostile encoders and strangers send at once, with live
//! streams beside it, of which not a picture may be lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use live_read::rtmp::amf0::{self, Value};
use live_read::rtmp::chunk::{self, LARGEST, Message, Reader};

use super::crowd::{Crowd, SEATS, SEATS_EACH};
use super::hostile::{attacks, has_pictures, noise};
use crate::support::encoder::Words;
use crate::support::keys::{TEMPLATE, add_key, objects_of, place};
use crate::support::lab::Lab;
use crate::support::run::Run;

/// Bytes of a handshake.
const HANDSHAKE: usize = 3073;
/// A command in AMF0.
const COMMAND: u8 = 20;
/// The most that the server may grow by.
pub(super) const MOST: u64 = 64 << 20;
/// Streams that are attacked with their own keys, each of which may begin sixty times in a minute, and streams that are not.
const ATTACKED: usize = 16;
const BESIDE: usize = 3;

const PUBLISHED: [&[u8]; 4] = [
    include_bytes!("../../src/ingest/captures/ffmpeg5.rtmp"),
    include_bytes!("../../src/ingest/captures/ffmpeg9.rtmp"),
    include_bytes!("../../src/ingest/captures/tracks9.rtmp"),
    include_bytes!("../../src/ingest/captures/gst.rtmp"),
];
const PUSHED: [&[u8]; 2] =
    [include_bytes!("../../src/ingest/captures/pushed.mp4"), include_bytes!("../../src/ingest/captures/pushed.ismv")];

/// What goes on, what has been taken of what was sent, and what of it was refused at the door.
#[derive(Default)]
struct Attack {
    over: AtomicBool,
    published: AtomicU64,
    pushed: AtomicU64,
    refused: AtomicU64,
    strangers: AtomicU64,
    connections: AtomicU64,
    /// How often all seats were taken.
    full: AtomicU64,
}

#[test]
#[ignore = "takes as long as HOSTILE_SECONDS says: make hostile"]
fn streams_are_unharmed_beside_all_that_is_hostile() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (seconds, seed) = (number("HOSTILE_SECONDS", 20), number("HOSTILE_SEED", 1));
    let lab = Lab::new();
    let place = place(&lab);
    // What is listed is a page: objects of those beside come first in it.
    let victims = (0..ATTACKED).map(|at| add_key(&place, &format!("hostile-{at}"))).collect::<Vec<_>>();
    let beside = (0..BESIDE).map(|at| add_key(&place, &format!("beside-{at}"))).collect::<Vec<_>>();
    let addresses = ["rtmp://127.0.0.1:0/live", "http://127.0.0.1:0/live"];
    let more = ["--keys", &place, "--reconnect", "1s"];
    let writer = lab.writer(&[&[TEMPLATE][..], &addresses, &more].concat());
    let (rtmp, http) = (said_url(&writer, "rtmp"), said_url(&writer, "http"));
    let mut live: Vec<_> = beside.iter().map(|key| publishing(&rtmp, key)).collect();
    live.iter_mut().for_each(|words| words.stream(1));
    // What the attacked take by themselves, all at a time, is none of the harm.
    let whole = |(at, key): (usize, &String)| {
        let mut words = Words::silent(&rtmp);
        // Those of one picture.
        let (bytes, publishes) = with_key([PUBLISHED[0], PUBLISHED[1], PUBLISHED[3]][at % 3], key);
        words.raw(&bytes[..publishes]);
        words.hear("NetStream.Publish.Start");
        words.raw(&bytes[publishes..]);
        words
    };
    for mut words in victims.iter().enumerate().map(whole).collect::<Vec<_>>() {
        words.hear("NetStream.Unpublish.Success");
    }
    let before = writer.peak_memory();
    let attack = Attack::default();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| damaged_publishes(&attack, &rtmp, &victims, seed));
        scope.spawn(|| damaged_pushes(&attack, &http, &victims, seed));
        scope.spawn(|| strangers(&attack, &rtmp));
        scope.spawn(|| connections(&attack, &rtmp, &http));
        let until = live.into_iter().map(|words| scope.spawn(move || paced(words, seconds))).collect::<Vec<_>>();
        let ended: Vec<u32> = until.into_iter().map(|thread| thread.join().expect("an encoder")).collect();
        attack.over.store(true, Relaxed);
        ended
    });
    let grown = writer.peak_memory().saturating_sub(before);
    let count = |number: &AtomicU64| number.load(Relaxed);
    let Attack { published, pushed, refused, strangers, connections, full, .. } = &attack;
    println!(
        "{} damaged captures were taken by RTMP and {} by HTTP, and {} refused; {} strangers; {} connections, with which all \
         seats were taken {} times; {} MiB more",
        count(published),
        count(pushed),
        count(refused),
        count(strangers),
        count(connections),
        count(full),
        grown >> 20
    );
    assert!(count(published) > seconds && count(pushed) > seconds / 2 && count(strangers) > seconds);
    assert!(count(connections) >= 10_000.min(60 * seconds) && count(full) > seconds / 60);
    assert!(grown < MOST, "{grown} bytes more");
    writer.signal("TERM");
    writer.wait().code(0).does_not_say("panic");
    for (at, end) in ended.into_iter().enumerate() {
        let name = format!("beside-{at}");
        let objects = objects_of(&lab, &name);
        assert_eq!(objects.len(), 1, "{name}: {objects:?}");
        has_pictures(&lab.object(&objects[0]).expect("the object"), (0..end).step_by(100), &name);
    }
}

/// Where it listens for this.
pub(super) fn said_url(writer: &Run, scheme: &str) -> String {
    let wanted = format!("listening at {scheme}://");
    let said = writer.wait_for(&wanted);
    let rest = said.split(&wanted).nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a URL");
    format!("{scheme}://{rest}")
}

pub(super) fn publishing(url: &str, key: &str) -> Words {
    let mut words = Words::publishing(url, "live", key);
    words.hear("NetStream.Publish.Start");
    words
}

/// Goes on for so many seconds at the pace of the clock, behind the first; gives where it ends.
pub(super) fn paced(mut words: Words, seconds: u64) -> u32 {
    let (began, mut time) = (Instant::now(), 1000);
    while began.elapsed() < Duration::from_secs(seconds) {
        words.frames(time, time + 100);
        time += 100;
        let due = Duration::from_millis(u64::from(time) - 1000);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    words.end();
    words.hear("NetStream.Unpublish.Success");
    time
}

/// Numbers that look like chance, and are the same for the same seed.
struct Chance(Vec<u8>, usize);

impl Chance {
    fn of(seed: u64) -> Self {
        Self(noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 400), 0)
    }

    fn below(&mut self, bound: usize) -> usize {
        let four = self.0.iter().cycle().skip(self.1).take(4).fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        self.1 += 4;
        four % bound.max(1)
    }

    /// Damages what is behind this place, and cuts it anywhere.
    fn damage(&mut self, mut bytes: Vec<u8>, behind: usize) -> Vec<u8> {
        for _ in 0..=self.below(5) {
            let at = behind + self.below(bytes.len() - behind);
            let length = self.below(300).min(bytes.len() - at);
            match self.below(5) {
                0 => bytes.truncate(at.max(behind + 1)),
                1 if bytes.len() - length > behind => drop(bytes.drain(at..at + length)),
                2 => {
                    let again = bytes[at..at + length].to_vec();
                    bytes.splice(at..at, again);
                }
                3 => bytes[at..at + length.min(4)].fill([0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
        bytes
    }
}

/// What an encoder sent, as one with this key would; and where it has said that it publishes.
fn with_key(capture: &[u8], key: &str) -> (Vec<u8>, usize) {
    let (handshake, rest) = capture.split_at(HANDSHAKE);
    let (mut reader, mut input, mut publishes) = (Reader::new(LARGEST), BytesMut::from(rest), 0);
    let mut out = BytesMut::from(handshake);
    while let Ok(Some(message)) = reader.next(&mut input) {
        // Of control messages only the chunk size matters, and that is the usual one here.
        if message.kind < 8 {
            continue;
        }
        let mut body = message.body.clone();
        let values = if message.kind == COMMAND { amf0::read(&body).unwrap_or_default() } else { Vec::new() };
        let named = |value: Value| if value.text() == Some("key") { Value::String(key.to_owned()) } else { value };
        let says = values.first().and_then(Value::text).map(str::to_owned);
        if says.is_some() {
            let values = values.into_iter().map(named).collect::<Vec<_>>();
            let mut written = BytesMut::new();
            amf0::write(&mut written, &values);
            body = Bytes::from(written);
        }
        chunk::write(&mut out, 4, &Message { body, ..message }, 128);
        if says.as_deref() == Some("publish") {
            publishes = out.len();
        }
    }
    assert!(publishes > 0 && out.len() > publishes, "a capture without a stream");
    (out.to_vec(), publishes)
}

/// Sends this in pieces of some length, and hears what is said until the other side closes, or for a moment.
fn send(url: &str, bytes: &[u8], size: usize) -> String {
    let authority = url.split('/').nth(2).expect("an authority");
    let Ok(mut stream) = TcpStream::connect(authority) else { return String::new() };
    drop(stream.set_read_timeout(Some(Duration::from_millis(200))));
    drop(stream.set_write_timeout(Some(Duration::from_secs(5))));
    // It may be closed before all is sent.
    let _ = bytes.chunks(size).try_for_each(|piece| stream.write_all(piece));
    let mut heard = Vec::new();
    drop(stream.read_to_end(&mut heard));
    String::from_utf8_lossy(&heard).into_owned()
}

fn damaged_publishes(attack: &Attack, url: &str, victims: &[String], seed: u64) {
    for round in seed.. {
        if attack.over.load(Relaxed) {
            return;
        }
        let mut chance = Chance::of(round);
        let (capture, key) = (PUBLISHED[chance.below(PUBLISHED.len())], &victims[chance.below(victims.len())]);
        let (bytes, publishes) = with_key(capture, key);
        let bytes = chance.damage(bytes, publishes);
        let heard = send(url, &bytes, 1 + chance.below(3000));
        let taken = heard.contains("NetStream.Publish.Start");
        if taken { &attack.published } else { &attack.refused }.fetch_add(1, Relaxed);
    }
}

fn damaged_pushes(attack: &Attack, url: &str, victims: &[String], seed: u64) {
    let host = url.split('/').nth(2).expect("an authority");
    for round in seed.. {
        if attack.over.load(Relaxed) {
            return;
        }
        let mut chance = Chance::of(!round);
        let (capture, key) = (PUSHED[chance.below(PUSHED.len())], &victims[chance.below(victims.len())]);
        let body = chance.damage(capture.to_vec(), 24);
        let path = ["", "/video/1.m4s", "/audio/init.mp4", "?stream_id=video"][chance.below(4)];
        let length = if chance.below(3) == 0 { 2 * body.len() } else { body.len() };
        let head = format!(
            "POST /live/{key}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let heard = send(url, &[head.as_bytes(), &body].concat(), 1 + chance.below(3000));
        // Whatever is said of the body: it has been looked at.
        let taken =
            ["200", "201", "400", "412", "415"].iter().any(|status| heard.starts_with(&format!("HTTP/1.1 {status}")));
        if taken { &attack.pushed } else { &attack.refused }.fetch_add(1, Relaxed);
    }
}

/// Floods, noise, and bytes so slow that nothing comes of them.
fn strangers(attack: &Attack, url: &str) {
    let attacks = attacks();
    let mut slow = Vec::new();
    while !attack.over.load(Relaxed) {
        for stranger in &attacks {
            drop(stranger.sent(url));
            attack.strangers.fetch_add(1, Relaxed);
        }
        // Not all the seats of this address.
        if slow.len() == 20 {
            slow.clear();
        }
        slow.push(Words::silent(url));
        slow.iter_mut().for_each(|words| words.raw(&[3]));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As many connections as are let in, and more, from many addresses and to both ports: in bursts that take all seats for a moment, since
/// those who attack with a key need one, too.
fn connections(attack: &Attack, rtmp: &str, http: &str) {
    let mut crowd = Crowd::new(rtmp, http);
    while !attack.over.load(Relaxed) {
        crowd.come(1_500, 100);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            // The others come from one address.
            if (SEATS - SEATS_EACH..=SEATS).contains(&crowd.look()) {
                attack.full.fetch_add(1, Relaxed);
                break;
            }
        }
        crowd.go();
        attack.connections.store(crowd.made as u64, Relaxed);
        std::thread::sleep(Duration::from_secs(3));
    }
}
