//! Reads what encoders sent, and streams made at random by the rules, with our parser of chunks and with that of rtmp-rs:
//! both must find the same messages.

#[allow(dead_code)]
#[path = "../../../src/rtmp/chunk.rs"]
mod chunk;

/// The kinds of messages that the parser knows by name.
mod kind {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
}

use bytes::BytesMut;
use rtmp_rs::protocol::chunk::ChunkDecoder;

/// Kind, time, message stream and body.
type Found = Vec<(u8, u32, u32, Vec<u8>)>;

fn ours(bytes: &[u8], piece: usize) -> Found {
    let (mut reader, mut input, mut found) = (chunk::Reader::new(chunk::LARGEST), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(message) = reader.next(&mut input).expect("our parser") {
            found.push((message.kind, message.time, message.stream, message.body.to_vec()));
        }
    }
    found
}

fn theirs(bytes: &[u8]) -> Found {
    let (mut decoder, mut input, mut found) = (ChunkDecoder::new(), BytesMut::from(bytes), Vec::new());
    loop {
        let before = input.len();
        let Some(message) = decoder.decode(&mut input).expect("their parser") else {
            // It says nothing after each chunk of a message, too.
            if input.len() == before {
                return found;
            }
            continue;
        };
        match (message.message_type, message.payload.first_chunk()) {
            (kind::SET_CHUNK_SIZE, Some(size)) => decoder.set_chunk_size(u32::from_be_bytes(*size)),
            (kind, _) => found.push((kind, message.timestamp, message.stream_id, message.payload.to_vec())),
        }
    }
}

/// A stream by the rules: several chunk streams in turns, each header as short as it may be, or longer.
fn random() -> Vec<u8> {
    struct Under {
        id: u8,
        time: u32,
        delta: Option<u32>,
        length: usize,
        kind: u8,
        extended: Option<u32>,
        left: Vec<u8>,
    }
    let mut streams: Vec<Under> = (3..3 + fastrand::u8(1..4))
        .map(|id| Under { id, time: 0, delta: None, length: 0, kind: 0, extended: None, left: Vec::new() })
        .collect();
    let (mut out, mut size) = (Vec::new(), 128);
    let field = |value: u32| value.min(0xff_ffff).to_be_bytes()[1..].to_vec();
    for _ in 0..fastrand::usize(1..200) {
        if fastrand::u8(..) == 0 {
            size = fastrand::usize(4..5000);
            out.extend(
                [&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..], &u32::try_from(size).unwrap().to_be_bytes()].concat(),
            );
        }
        let at = fastrand::usize(..streams.len());
        let stream = &mut streams[at];
        if stream.left.is_empty() {
            let again = stream.delta.is_some() && fastrand::bool();
            let (length, kind) =
                if again { (stream.length, stream.kind) } else { (fastrand::usize(1..700), fastrand::u8(8..10)) };
            let delta = if fastrand::u8(..) < 8 { fastrand::u32(..) } else { fastrand::u32(0..60) };
            let head: Vec<u8> = match (stream.delta, fastrand::u8(..4)) {
                (None, _) | (_, 0) => {
                    stream.time =
                        if fastrand::u8(..) < 30 { fastrand::u32(..) } else { stream.time.wrapping_add(delta) };
                    (stream.delta, stream.extended) = (Some(0), (stream.time >= 0xff_ffff).then_some(stream.time));
                    [&[stream.id][..], &field(stream.time), &field(length as u32), &[kind, 1, 0, 0, 0]].concat()
                }
                // What nothing stands for after a full header is read in two ways.
                (Some(same), 3) if again && same > 0 => {
                    stream.time = stream.time.wrapping_add(same);
                    vec![0xc0 | stream.id]
                }
                (Some(_), _) => {
                    let delta = delta.max(1);
                    stream.time = stream.time.wrapping_add(delta);
                    (stream.delta, stream.extended) = (Some(delta), (delta >= 0xff_ffff).then_some(delta));
                    let rest = if again { Vec::new() } else { [&field(length as u32)[..], &[kind]].concat() };
                    [&[if again { 0x80 } else { 0x40 } | stream.id][..], &field(delta), &rest].concat()
                }
            };
            (stream.length, stream.kind) = (length, kind);
            stream.left = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
            out.extend(head);
        } else {
            out.push(0xc0 | stream.id);
        }
        out.extend(stream.extended.map(u32::to_be_bytes).into_iter().flatten());
        let count = size.min(stream.left.len());
        out.extend(stream.left.drain(..count));
    }
    out
}

fn main() {
    const HANDSHAKE: usize = 3073;
    let captures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/ingest/captures");
    for entry in std::fs::read_dir(captures).expect("captures").flatten() {
        let bytes = std::fs::read(entry.path()).expect("a capture");
        if entry.path().extension().is_some_and(|extension| extension == "rtmp") {
            let theirs = theirs(&bytes[HANDSHAKE..]);
            assert!(
                theirs.len() > 30,
                "{:?}: {:?}, and {} by ours",
                entry.path(),
                brief(&theirs),
                ours(&bytes[HANDSHAKE..], 4096).len()
            );
            for piece in [1, 7, 128, 4096, usize::MAX] {
                assert_eq!(ours(&bytes[HANDSHAKE..], piece), theirs, "{:?}", entry.path());
            }
        }
    }
    let mut messages = 0;
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in seed..seed + 20_000 {
        fastrand::seed(seed);
        let bytes = random();
        let theirs = theirs(&bytes);
        messages += theirs.len();
        let piece = fastrand::usize(1..3000);
        assert!(ours(&bytes, piece) == theirs, "seed {seed}: {:?}\n{:?}", brief(&ours(&bytes, piece)), brief(&theirs));
    }
    println!("the captures, and 20,000 streams with {messages} messages, are the same by both parsers");
}

fn brief(found: &Found) -> Vec<(u8, u32, usize)> {
    found.iter().map(|(kind, time, _, body)| (*kind, *time, body.len())).collect()
}
