//! Chunks cut anywhere, in any order, by encoders of all kinds, and by none.

use proptest::prelude::*;

use super::*;

fn message(kind: u8, time: u32, body: &[u8]) -> Message {
    Message { kind, stream: 1, time, body: Bytes::copy_from_slice(body) }
}

/// All messages in bytes that come in pieces of such a size.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Message>, ChunkError> {
    let (mut reader, mut input, mut found) = (Reader::new(LARGEST), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        while let Some(message) = reader.next(&mut input)? {
            found.push(message);
        }
    }
    Ok(found)
}

/// Times, kinds and bodies of the messages, which must be the same however they are cut.
#[track_caller]
fn messages(bytes: &[u8]) -> Vec<(u32, u8, Vec<u8>)> {
    let whole = read(bytes, usize::MAX).expect("messages");
    for piece in 1..20 {
        assert_eq!(read(bytes, piece).as_ref(), Ok(&whole), "pieces of {piece}");
    }
    whole.into_iter().map(|message| (message.time, message.kind, message.body.to_vec())).collect()
}

/// A full header: format 0.
fn full(id: u8, time: u32, length: u8, kind: u8) -> Vec<u8> {
    let time = time.min(EXTENDED).to_be_bytes();
    [&[id][..], &time[1..], &[0, 0, length, kind, 1, 0, 0, 0]].concat()
}

/// A header that begins like this, with a time that is added.
fn after(format: u8, id: u8, delta: u32, rest: &[u8]) -> Vec<u8> {
    [&[format << 6 | id][..], &delta.min(EXTENDED).to_be_bytes()[1..], rest].concat()
}

#[test]
fn each_format_leaves_out_what_stays_the_same() {
    let bytes = [
        full(4, 100, 2, 8),
        b"aa".to_vec(),
        // Another length and kind, then only time, then nothing.
        [after(1, 4, 20, &[0, 0, 3, 9]), b"bbb".to_vec()].concat(),
        [after(2, 4, 30, &[]), b"ccc".to_vec()].concat(),
        b"\xc4ddd".to_vec(),
        b"\xc4eee".to_vec(),
    ];
    let wanted = [(100, 8, "aa"), (120, 9, "bbb"), (150, 9, "ccc"), (180, 9, "ddd"), (210, 9, "eee")];
    assert_eq!(messages(&bytes.concat()), wanted.map(|(time, kind, body)| (time, kind, body.as_bytes().to_vec())));
}

#[test]
fn a_message_begins_with_no_header_behind_a_full_one() {
    // ffmpeg: the time that is added happens to be that of the first message.
    let small = [full(4, 23, 1, 8), b"a\xc4b\xc4c".to_vec()].concat();
    assert_eq!(messages(&small).iter().map(|message| message.0).collect::<Vec<_>>(), [23, 46, 69]);
    // No encoder means an hour by it.
    let large = [full(4, 3_600_000, 1, 8), b"a\xc4b".to_vec()].concat();
    assert_eq!(messages(&large).iter().map(|message| message.0).collect::<Vec<_>>(), [3_600_000, 3_600_000]);
}

#[test]
fn chunk_streams_take_turns_in_the_middle_of_messages() {
    let long: Vec<u8> = (0..=255).chain(0..=43).collect();
    let other = [7; 200];
    let mut header = full(6, 40, 0, 9);
    header[5..7].copy_from_slice(&300u16.to_be_bytes());
    let bytes = [
        header,
        long[..128].to_vec(),
        full(4, 50, 200, 8),
        other[..128].to_vec(),
        [&[0xc6][..], &long[128..256]].concat(),
        [&[0xc4][..], &other[128..]].concat(),
        [&[0xc6][..], &long[256..]].concat(),
    ];
    assert_eq!(messages(&bytes.concat()), [(50, 8, other.to_vec()), (40, 9, long)]);
}

#[test]
fn extended_times_are_repeated_or_left_out() {
    let time = 0x0123_4567u32;
    let body: Vec<u8> = (1..=200).collect();
    for repeats in [true, false] {
        let again = if repeats { time.to_be_bytes().to_vec() } else { Vec::new() };
        let bytes = [
            full(4, u32::MAX, 200, 8),
            time.to_be_bytes().to_vec(),
            body[..128].to_vec(),
            vec![0xc4],
            again.clone(),
            body[128..].to_vec(),
            // And another one: at the same time, for it is a long one.
            vec![0xc4],
            again.clone(),
            body[..128].to_vec(),
            vec![0xc4],
            again,
            body[128..].to_vec(),
        ];
        assert_eq!(messages(&bytes.concat()), [(time, 8, body.clone()), (time, 8, body.clone())], "repeats: {repeats}");
    }
}

#[test]
fn times_wrap_round() {
    let bytes = [
        full(4, u32::MAX, 1, 8),
        0xffff_fff0u32.to_be_bytes().to_vec(),
        b"a".to_vec(),
        [after(2, 4, 0x20, &[]), b"b".to_vec()].concat(),
        // A delta with an extended time.
        [after(2, 4, u32::MAX, &[]), 0xffff_ffffu32.to_be_bytes().to_vec(), b"c".to_vec()].concat(),
    ];
    let times: Vec<_> = messages(&bytes.concat()).into_iter().map(|message| message.0).collect();
    assert_eq!(times, [0xffff_fff0, 0x10, 0x0f]);
}

#[test]
fn what_is_begun_anew_or_aborted_is_forgotten() {
    let anew = [full(4, 1, 200, 8), vec![1; 128], full(4, 2, 3, 8), b"new".to_vec()].concat();
    assert_eq!(messages(&anew), [(2, 8, b"new".to_vec())]);
    let aborted = [
        full(4, 1, 200, 8),
        vec![1; 128],
        full(2, 0, 4, 2),
        vec![0, 0, 0, 4],
        vec![0xc4],
        vec![2; 128],
        vec![0xc4],
        vec![3; 72],
    ];
    let wanted = [vec![2; 128], vec![3; 72]].concat();
    assert_eq!(messages(&aborted.concat()), [(2, 8, wanted)]);
}

#[test]
fn chunk_sizes_change() {
    let size = |size: u32| [full(2, 0, 4, 1), size.to_be_bytes().to_vec()].concat();
    let mut header = full(6, 40, 0, 9);
    header[5..7].copy_from_slice(&300u16.to_be_bytes());
    let bytes = [size(4096), header, vec![5; 300], size(1), full(4, 1, 3, 8), b"a\xc4b\xc4c".to_vec()].concat();
    assert_eq!(messages(&bytes), [(40, 9, vec![5; 300]), (1, 8, b"abc".to_vec())]);
    for bad in [0, 0x8000_0000] {
        assert_eq!(read(&size(bad), 64), Err(ChunkError::ChunkSize(bad)));
    }
    assert_eq!(read(&size(0x7fff_ffff), 64), Ok(vec![]));
}

#[test]
fn streams_messages_and_bytes_have_an_end() {
    let streams: Vec<u8> = (0..=STREAMS)
        .flat_map(|id| {
            [full(0, 0, 0, 8)[..1].to_vec(), vec![u8::try_from(id).unwrap()], full(0, 0, 0, 8)[1..].to_vec()].concat()
        })
        .collect();
    assert_eq!(read(&streams, 64), Err(ChunkError::Streams));
    // Identifiers of three bytes: 65,599 of them.
    let many: Vec<u8> =
        (0..2000u16).flat_map(|id| [&[1][..], &id.to_le_bytes(), &full(0, 0, 1, 8)[1..]].concat()).collect();
    assert!(read(&many, 64).is_err());
    let partial: Vec<u8> =
        (3..).take(PARTIAL + 1).flat_map(|id| [full(id, 0, 200, 8), vec![0; 128]].concat()).collect();
    assert_eq!(read(&partial, 64), Err(ChunkError::Partial));
    assert_eq!(read(b"\xc9", 1), Err(ChunkError::NoHeader(9)));
    assert_eq!(read(&after(2, 9, 0, &[]), 64), Err(ChunkError::NoHeader(9)));
    let mut reader = Reader::new(100);
    assert_eq!(reader.next(&mut BytesMut::from(&full(4, 0, 101, 8)[..])), Err(ChunkError::Large(101)));
    // Four of them are within their bounds, and not together.
    let mut reader = Reader::new(250);
    let together: Vec<u8> = (3..5).flat_map(|id| [full(id, 0, 200, 8), vec![0; 128]].concat()).collect();
    assert_eq!(reader.next(&mut BytesMut::from(&together[..])), Err(ChunkError::Large(256)));
}

#[test]
fn room_is_made_as_bytes_come() {
    let mut header = full(4, 0, 0, 9);
    header[4..7].copy_from_slice(&[0xff, 0xff, 0xff]);
    let (mut reader, mut input) = (Reader::new(LARGEST), BytesMut::from(&header[..]));
    input.extend_from_slice(&[1; 100]);
    assert_eq!(reader.next(&mut input), Ok(None));
    assert!(reader.streams[0].body.capacity() < 1000);
}

/// A message on a chunk stream, in chunks of a size, cut into its chunks.
fn chunks(id: u8, message: &Message, size: usize) -> Vec<Vec<u8>> {
    let mut out = BytesMut::new();
    write(&mut out, id, message, size);
    let head = 12 + if message.time >= EXTENDED { 4 } else { 0 };
    let mut rest = &out[..];
    let mut pieces = Vec::new();
    let mut length = head;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((length + size).min(rest.len()));
        pieces.push(piece.to_vec());
        (rest, length) = (after, if message.time >= EXTENDED { 5 } else { 1 });
    }
    pieces
}

fn any_message() -> impl Strategy<Value = Message> {
    let time = prop_oneof![0u32..5000, Just(EXTENDED - 1), Just(EXTENDED), any::<u32>()];
    (prop_oneof![Just(8u8), Just(9), Just(20)], time, prop::collection::vec(any::<u8>(), 1..700))
        .prop_map(|(kind, time, body)| message(kind, time, &body))
}

proptest! {
    #[test]
    fn messages_are_whole_whatever_turns_they_take(
        first in prop::collection::vec(any_message(), 1..6),
        second in prop::collection::vec(any_message(), 1..6),
        turns in prop::collection::vec(any::<bool>(), 0..60),
        piece in 1usize..300,
    ) {
        let mut queues = [(4, first.clone()), (6, second.clone())]
            .map(|(id, messages)| messages.iter().flat_map(|message| chunks(id, message, 128)).collect::<std::collections::VecDeque<_>>());
        let mut bytes = Vec::new();
        for turn in turns {
            bytes.extend(queues[usize::from(turn)].pop_front().unwrap_or_default());
        }
        for queue in queues {
            bytes.extend(queue.into_iter().flatten());
        }
        let found = read(&bytes, piece).expect("messages");
        prop_assert_eq!(found.len(), first.len() + second.len());
        let mut queues = [first.into_iter().peekable(), second.into_iter().peekable()];
        for message in found {
            let came = queues.iter_mut().any(|queue| queue.next_if(|next| *next == message).is_some());
            prop_assert!(came, "{message:?} comes out of order");
        }
    }

    #[test]
    fn no_bytes_make_it_fail_or_depend_on_the_cut(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..40) {
        prop_assert_eq!(read(&bytes, piece).is_ok(), read(&bytes, usize::MAX).is_ok());
    }
}
