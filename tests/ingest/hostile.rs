//! Whoever can reach the port can send anything: nothing of it costs much, and the stream beside it goes on.

use std::io::Write;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use live_read::rtmp::amf0::Value;
use live_read::rtmp::chunk::{self, Message};

use crate::support::encoder::{KEY, STREAM_KEY, Words, listening};
use crate::support::keys;
use crate::support::lab::Lab;
use crate::support::run::PATIENCE;

/// Kinds of messages.
const PICTURE: u8 = 9;
const DATA: u8 = 18;
const COMMAND: u8 = 20;

/// Bytes that differ, and are the same in each run.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A message, in chunks as they have to be.
fn message(chunk_stream: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let message = Message { kind, stream: 0, time: 0, body: Bytes::copy_from_slice(body) };
    chunk::write(&mut out, chunk_stream, &message, 128);
    out.to_vec()
}

/// A handshake, and a command as long as it may be, but for its last byte.
pub(super) fn most_of_a_command() -> Vec<u8> {
    let mut bytes = [&[3][..], &[0; 3072], &message(3, COMMAND, &[5; 16 << 10])].concat();
    bytes.pop();
    bytes
}

/// What a stranger sends, with a handshake in front or without, and for what he is turned away.
pub(super) struct Attack {
    pub(super) greets: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) why: String,
}

/// What strangers send.
pub(super) fn attacks() -> Vec<Attack> {
    let said = |greets: bool, bytes: Vec<u8>, why: &str| Attack { greets, bytes, why: why.to_owned() };
    let first = |bytes: Vec<u8>| {
        let why = format!("it does not speak RTMP (its first byte is {})", bytes[0]);
        said(false, bytes, &why)
    };
    // A whole command on each of more chunk streams than anybody needs: their numbers have two bytes.
    let null = message(3, COMMAND, &[5]);
    let on = |id: u16| [&[1][..], &id.to_le_bytes(), &null[1..]].concat();
    // Messages that begin, and are left alone.
    let begun = |id: u8| message(id, COMMAND, &[5; 200])[..140].to_vec();
    let deep = "a command has values more than 16 deep";
    let long = Value::Object(vec![("app".into(), Value::String("x".repeat(2000)))]);
    let mut connect = BytesMut::new();
    live_read::rtmp::amf0::write(&mut connect, &[Value::of("connect"), Value::Number(1.0), long]);
    vec![
        first(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        first(noise(7, 100_000)),
        said(true, (0..20_000).flat_map(on).collect(), "it uses more than 32 chunk streams"),
        said(true, (3..60).flat_map(begun).collect(), "it has more than 4 messages under way at once"),
        // Objects, arrays by names, and arrays inside each other.
        said(true, message(3, COMMAND, &[3, 0, 1, b'a'].repeat(4_000)), deep),
        said(true, message(3, COMMAND, &[8, 0, 0, 0, 1, 0, 1, b'a'].repeat(2_000)), deep),
        said(true, message(3, COMMAND, &[10, 0, 0, 0, 1].repeat(3_200)), deep),
        // Counts that claim anything, and values without end.
        said(true, message(3, COMMAND, &[10, 0xff, 0xff, 0xff, 0xff, 5]), "a command ends in the middle"),
        said(true, message(3, COMMAND, &[8, 0xff, 0xff, 0xff, 0xff]), "a command ends in the middle"),
        said(true, message(3, COMMAND, &[5; 5_000]), "a command has more than 4096 values"),
        said(
            true,
            [&[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0][..], &[0; 200_000]].concat(),
            "it sends a message of 16777215 bytes, more than is taken",
        ),
        said(true, message(3, COMMAND, &[5; 20_000]), "it sends a message of 20000 bytes, more than is taken"),
        said(true, [message(2, 1, &[0; 4]), noise(9, 100_000)].concat(), "it asks for chunks of 0 bytes"),
        said(true, vec![0xc5; 1000], "a chunk of stream 5 refers to a header that was never sent"),
        said(true, null.repeat(6_000), "it sent more than 65536 bytes and did not publish"),
        said(true, message(3, PICTURE, &[0x17, 1, 0, 0, 0, 9]), "it sends a stream before it asked to publish"),
        said(true, message(3, COMMAND, &connect), "it gives a name of 2000 bytes"),
        said(true, noise(11, 200_000), ""),
    ]
}

impl Attack {
    /// A connection of a stranger who has sent all this.
    pub(super) fn sent(&self, url: &str) -> Words {
        let mut stranger = if self.greets { Words::new(url) } else { Words::silent(url) };
        stranger.raw(&self.bytes);
        stranger
    }
}

/// All pictures of these times are there, in order.
#[track_caller]
pub(super) fn has_pictures(object: &[u8], times: impl Iterator<Item = u32>, name: &str) {
    let mut rest = object;
    for time in times {
        let picture = [&[0, 0, 0, 4, 0x65][..], &time.to_be_bytes()[1..]].concat();
        let found = rest.windows(picture.len()).position(|window| window == picture);
        let at = found.unwrap_or_else(|| panic!("{name} lacks the picture at {time} ms"));
        rest = &rest[at + picture.len()..];
    }
}

#[test]
fn a_stream_goes_on_beside_whatever_strangers_send() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug"]);
    let mut words = Words::accepted(&url);
    words.stream(1);
    let before = writer.peak_memory();
    for attack in attacks() {
        for _ in 0..8 {
            let stranger = attack.sent(&url);
            let he = stranger.stream.local_addr().expect("an address");
            writer.wait_for(&format!("{he} was turned away: {}", attack.why));
        }
    }
    // With the key, too: frames of noise, and metadata that are deep, long, or noise, by the one who takes over.
    let mut second = Words::publishing(&url, "live", STREAM_KEY);
    second.hear("NetStream.Publish.Start");
    second.stream(1);
    let told = [&[2, 0, 10][..], b"onMetaData"].concat();
    for seed in 1..200 {
        let (time, mut body) = (u32::try_from(seed * 7).expect("small"), noise(seed, 300));
        match seed % 5 {
            0 => second.message(DATA, time, &body),
            1 => second.message(DATA, time, &[&told[..], &[3, 0, 1, b'a'].repeat(15_000)].concat()),
            2 => second.message(DATA, time, &[&told[..], &[3, 0, 1, b'a'].repeat(30_000)].concat()),
            3 => {
                body[..2].copy_from_slice(&[0xaf, 1]);
                second.message(8, time, &body);
            }
            _ => {
                body[..2].copy_from_slice(&[0x27, 1]);
                second.message(PICTURE, time, &body);
            }
        }
    }
    // It has been heard out, and goes on.
    second.frames(5000, 6000);
    second.end();
    second.hear("NetStream.Unpublish.Success");
    let grown = writer.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    writer.wait().code(0);
    let times = (0..1000).chain(0..1000).chain(5000..6000).step_by(100);
    has_pictures(&lab.object(KEY).expect("the object"), times, KEY);
}

#[test]
fn what_an_encoder_sends_behind_its_end_is_not_kept() {
    let lab = Lab::new();
    let place = keys::place(&lab);
    let key = keys::add_key(&place, "camera");
    let (writer, url) = keys::listening(&lab, &place, &[]);
    let mut words = Words::publishing(&url, "live", &key);
    words.hear("NetStream.Publish.Start");
    words.stream(1);
    let before = writer.peak_memory();
    words.end();
    // Until it is closed to whoever goes on.
    let block = vec![0; 1 << 20];
    while words.stream.write_all(&block).is_ok() {}
    let grown = writer.peak_memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    writer.signal("TERM");
    writer.wait().code(0);
}

#[test]
fn whoever_does_not_publish_in_time_is_sent_away_and_takes_no_seat_from_others() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    // All the seats of one address: silent ones, and slow ones.
    let mut seats: Vec<_> =
        (0..64).map(|at| if at % 2 == 0 { Words::silent(&url) } else { Words::new(&url) }).collect();
    Words::new(&url).is_closed_within(5);
    let began = Instant::now();
    while began.elapsed() < PATIENCE / 2 && !seats.is_empty() {
        // A byte now and then does not help.
        for seat in &mut seats {
            seat.raw(&[0]);
        }
        if writer.messages().contains("it did not publish in 10 s") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    for seat in &mut seats {
        seat.is_closed_within(5);
    }
    let mut words = Words::accepted(&url);
    words.command(&[Value::String("nothing".into())]);
    words.stream(1);
    words.end();
    writer.wait().code(0);
}
