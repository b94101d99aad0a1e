//! Whoever can reach the port can send anything: nothing of it costs much, and the stream beside it goes on.

use std::io::Write;
use std::time::Instant;

use live_read::rtmp::amf0::Value;

use crate::support::encoder::{KEY, STREAM_KEY, Words, listening};
use crate::support::keys;
use crate::support::lab::Lab;
use crate::support::run::PATIENCE;

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

/// What strangers send: the first two at once, the others after the handshake.
pub(super) fn attacks() -> Vec<Vec<u8>> {
    let number = |id: u32| {
        [&[1][..], &u16::try_from(id).expect("an id").to_le_bytes(), &[0; 3], &[0, 0, 200, 20], &[0; 4]].concat()
    };
    vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        noise(7, 100_000),
        // After the handshake: chunk streams without end, values inside values, large messages, and noise.
        (0..20_000).flat_map(number).collect(),
        [&[3, 0, 0, 0, 0, 0xff, 0xff, 20, 0, 0, 0, 0][..], &[3, 0, 1, b'a'].repeat(20_000)].concat(),
        [&[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0][..], &[0; 200_000]].concat(),
        [&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &noise(9, 100_000)].concat(),
        noise(11, 200_000),
    ]
}

#[test]
fn a_stream_goes_on_beside_whatever_strangers_send() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let mut words = Words::accepted(&url);
    words.stream(1);
    let before = writer.peak_memory();
    for (at, attack) in attacks().iter().enumerate() {
        for _ in 0..8 {
            let mut stranger = if at < 2 { Words::silent(&url) } else { Words::new(&url) };
            stranger.raw(attack);
        }
    }
    // With the key, too: frames of noise, and deep metadata, by the one who takes over.
    let mut second = Words::publishing(&url, "live", STREAM_KEY);
    second.hear("NetStream.Publish.Start");
    second.stream(1);
    for seed in 1..200 {
        let kind = [8, 9, 18][usize::try_from(seed % 3).expect("small")];
        let mut body = noise(seed, 300);
        body[0] = [0x17, 0x27, 0xaf, 0x90, 0x96, 0x97, 0xa1][usize::try_from(seed % 7).expect("small")];
        if kind == 8 {
            body[0] = 0xaf;
            body[1] = 1;
        }
        if kind == 9 {
            (body[0], body[1]) = (0x27, 1);
        }
        second.message(kind, u32::try_from(seed * 7).expect("small"), &body);
    }
    second.stream(1);
    second.end();
    second.hear("NetStream.Unpublish.Success");
    let grown = writer.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    writer.wait().code(0);
    assert!(lab.object(KEY).is_some());
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
