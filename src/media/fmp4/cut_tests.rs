//! Streams cut at every place and in every slicing, and streams that cannot be cut.

use proptest::prelude::*;

use super::*;
use crate::media::fmp4::found::HEADER_MAX;
use crate::media::fmp4::{bx, words};

const KEY: u32 = 0x0200_0000;
const OTHER: u32 = 0x0101_0000;
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

fn trak(id: u32, handler: [u8; 4]) -> Vec<u8> {
    let hdlr = bx(*b"hdlr", &[vec![0; 8], handler.to_vec(), vec![0; 13]]);
    let tkhd = words(*b"tkhd", &[7, 0, 0, id, 0, 0, 0]);
    bx(*b"trak", &[tkhd, bx(*b"mdia", &[words(*b"mdhd", &[0; 5]), hdlr])])
}

/// A header; its video samples are by default no sync samples.
fn header(video: bool) -> Vec<u8> {
    let trex = |id, flags| words(*b"trex", &[0, id, 1, 0, 0, flags]);
    let mut parts = vec![bx(*b"mvhd", &[vec![0; 100]])];
    if video {
        parts.push(trak(VIDEO, *b"vide"));
    }
    parts.push(trak(AUDIO, *b"soun"));
    parts.push(bx(*b"mvex", &[trex(VIDEO, OTHER), trex(AUDIO, KEY)]));
    [bx(*b"ftyp", &[b"isom\0\0\x02\0isomiso6".to_vec()]), bx(*b"moov", &parts)].concat()
}

/// How a fragment says whether its first sample is a sync sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    First,
    Each,
    Default,
    Movie,
}

fn traf(track: u32, flags: u32, says: Says) -> Vec<u8> {
    let (tfhd, trun) = match says {
        Says::First => (vec![0x02_0038, track, 1, 2, OTHER], vec![0x205, 2, 100, flags, 7, 8]),
        Says::Each => (vec![0x02_0000, track], vec![0xf01, 2, 100, 1, 2, flags, 3, 1, 2, OTHER, 3]),
        Says::Default => (vec![0x02_002a, track, 1, 9, flags], vec![0x201, 2, 100, 7, 8]),
        Says::Movie => (vec![0x02_0000, track], vec![0x201, 2, 100, 7, 8]),
    };
    bx(*b"traf", &[words(*b"tfhd", &tfhd), words(*b"tfdt", &[0, 1]), words(*b"trun", &trun)])
}

fn moof(trafs: &[Vec<u8>]) -> Vec<u8> {
    bx(*b"moof", &[vec![words(*b"mfhd", &[0, 1])], trafs.to_vec()].concat())
}

fn mdat(len: usize) -> Vec<u8> {
    bx(*b"mdat", &[vec![0xab; len]])
}

/// A stream out of pieces, and where those begin that are places for a cut.
fn stream(pieces: &[(bool, Vec<u8>)]) -> (Vec<u8>, Vec<u64>) {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (place, piece) in pieces {
        if *place {
            places.push(bytes.len() as u64);
        }
        bytes.extend_from_slice(piece);
    }
    (bytes, places)
}

fn sample() -> (Vec<u8>, Vec<u64>) {
    let audio = || traf(AUDIO, KEY, Says::Movie);
    let lead = [bx(*b"styp", &[b"msdh\0\0\0\0msix".to_vec()]), words(*b"sidx", &[0; 11])].concat();
    let emsg = bx(*b"emsg", &[vec![3; 40]]);
    stream(&[
        (false, header(true)),
        (true, [moof(&[traf(VIDEO, KEY, Says::First), audio()]), mdat(50)].concat()),
        (false, [moof(&[traf(VIDEO, OTHER, Says::First), audio()]), mdat(50)].concat()),
        (true, [lead, moof(&[audio(), traf(VIDEO, KEY, Says::Each)]), mdat(9)].concat()),
        (false, [moof(&[audio()]), mdat(9)].concat()),
        (false, [emsg.clone(), moof(&[traf(VIDEO, OTHER, Says::Each)]), mdat(0)].concat()),
        (false, [moof(&[traf(VIDEO, KEY, Says::Movie)]), mdat(1)].concat()),
        (true, [emsg, moof(&[traf(VIDEO, KEY, Says::Default)]), mdat(1)].concat()),
        (false, [moof(&[traf(VIDEO, OTHER, Says::Default)]), mdat(300)].concat()),
        (true, [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(5)].concat()),
        (false, bx(*b"mfra", &[vec![0; 30]])),
    ])
}

/// A cutter and the scanner that it goes by.
struct Pair {
    scanner: Scanner,
    cutter: Cutter,
    reasons: Vec<&'static str>,
    fields: Vec<u64>,
}

impl Pair {
    fn new() -> Self {
        Self { scanner: Scanner::new(), cutter: Cutter::default(), reasons: Vec::new(), fields: Vec::new() }
    }

    /// The places for a cut that are known with these next bytes, and the headers that go with them.
    fn feed(&mut self, slice: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut places = Vec::new();
        for found in self.scanner.feed(slice) {
            self.reasons.extend(self.cutter.see(&found));
            if let Found::Begun(fragment) = found {
                places.extend(self.cutter.place(&fragment).map(|header| (fragment.first, header.bytes.to_vec())));
                self.fields.extend(fragment.fields);
            }
        }
        self.decided();
        places
    }

    fn decided(&mut self) -> u64 {
        self.cutter.decided(&self.scanner)
    }
}

/// Cuts a stream that comes in these slices at each place that is found, as the writer does.
fn cut<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Pair) {
    let (mut pair, mut pieces, mut held, mut base) = (Pair::new(), vec![Vec::new()], Vec::new(), 0);
    for slice in slices {
        let found = pair.feed(slice);
        held.extend_from_slice(slice);
        let place = |offset: u64| usize::try_from(offset - base).unwrap();
        let mut from = 0;
        for (at, _) in found {
            let at = place(at);
            pieces.last_mut().unwrap().extend_from_slice(&held[from..at]);
            pieces.push(Vec::new());
            from = at;
        }
        let to = place(pair.decided());
        pieces.last_mut().unwrap().extend_from_slice(&held[from..to]);
        held.drain(..to);
        base += to as u64;
    }
    pieces.last_mut().unwrap().extend_from_slice(&held);
    (pieces, pair)
}

fn starts(pieces: &[Vec<u8>]) -> Vec<u64> {
    let ends = pieces.iter().scan(0, |at, piece| {
        *at += piece.len() as u64;
        Some(*at)
    });
    ends.take(pieces.len() - 1).collect()
}

#[test]
fn key_frames_are_found_however_they_are_told_and_at_every_slicing() {
    let (bytes, places) = sample();
    let (whole, pair) = cut([&bytes[..]]);
    assert_eq!(starts(&whole), places);
    assert_eq!(pair.cutter.kind(), StreamKind::Fragmented);
    assert!(Pair::new().feed(&bytes).iter().all(|(_, with)| *with == header(true)));
    for slice in 1..bytes.len() {
        assert_eq!(cut(bytes.chunks(slice)).0, whole, "slices of {slice}");
    }
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert_eq!(cut([a, b]).0, whole, "cut at {at}");
    }
}

#[test]
fn without_video_every_fragment_will_do() {
    let fragment = || [moof(&[traf(AUDIO, KEY, Says::Movie)]), mdat(20)].concat();
    let (bytes, places) = stream(&[(false, header(false)), (true, fragment()), (true, fragment())]);
    for slice in 1..bytes.len() {
        assert_eq!(starts(&cut(bytes.chunks(slice)).0), places, "slices of {slice}");
    }
}

#[test]
fn a_second_header_takes_the_place_of_the_first() {
    // What lies between its two boxes belongs to it.
    let (audio, mut video) = (header(false), header(true));
    let moov = video.windows(4).position(|window| window == b"moov").unwrap() - 4;
    video.splice(moov..moov, bx(*b"free", &[vec![7; 11]]));
    let first = [moof(&[traf(AUDIO, KEY, Says::Movie)]), mdat(20)].concat();
    let second = [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(20)].concat();
    let (bytes, places) =
        stream(&[(false, audio), (true, first.clone()), (true, first), (false, video.clone()), (true, second)]);
    for slice in 1..bytes.len() {
        let mut pair = Pair::new();
        let found: Vec<_> = bytes.chunks(slice).flat_map(|slice| pair.feed(slice)).collect();
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), places, "slices of {slice}");
        assert_eq!(found.last().unwrap().1, video);
        assert_eq!(found[0].1, header(false));
    }
}

#[test]
fn what_cannot_be_cut_is_plain_and_all_of_it_decided() {
    let good = || [moof(&[traf(VIDEO, KEY, Says::First)]), mdat(20)].concat();
    let no_mvex = [bx(*b"ftyp", &[]), bx(*b"moov", &[trak(VIDEO, *b"vide")])].concat();
    for (told, bytes) in [
        (false, b"any text at all, which is no MP4".to_vec()),
        (false, [no_mvex, mdat(100)].concat()),
        (false, [bx(*b"ftyp", &[]), mdat(100)].concat()),
        (false, good()),
        (true, [header(true), mdat(100), good()].concat()),
        (true, [header(true), good(), vec![0; 100]].concat()),
        (true, [bx(*b"ftyp", &[]), bx(*b"moov", &[bx(*b"free", &[vec![0; HEADER_MAX]])])].concat()),
    ] {
        let slices = if bytes.len() > HEADER_MAX { 1_000_000 } else { 5 };
        let (pieces, mut pair) = cut(bytes.chunks(slices));
        assert_eq!(pair.cutter.kind(), StreamKind::Plain);
        assert_eq!(pair.decided(), bytes.len() as u64);
        assert_eq!(pair.reasons.len(), usize::from(told));
        assert_eq!(pieces.concat(), bytes);
    }
}

#[test]
fn places_in_the_whole_stream_are_found_at_every_slicing_and_move_there_and_back() {
    let absolute = |place: u32| {
        let tfhd = words(*b"tfhd", &[0x21, VIDEO, 0, place, KEY]);
        [moof(&[bx(*b"traf", &[tfhd, words(*b"trun", &[0, 1])]), traf(AUDIO, KEY, Says::Movie)]), mdat(9)].concat()
    };
    let bytes = [header(true), absolute(7_000_001), absolute(7_000_002)].concat();
    let at: Vec<u64> = (0..bytes.len() as u64)
        .filter(|at| {
            matches!(bytes.get(usize::try_from(*at).unwrap()..).unwrap(), [0, 0, 0, 0, 0, 0x6a, 0xcf, 0xc1 | 0xc2, ..])
        })
        .collect();
    assert_eq!(at.len(), 2);
    for slice in 1..bytes.len() {
        let (mut pair, mut found, mut before) = (Pair::new(), Vec::new(), 0);
        for slice in bytes.chunks(slice) {
            pair.feed(slice);
            for field in std::mem::take(&mut pair.fields) {
                assert!(field >= before, "{field} was settled");
                found.push(field);
            }
            assert!(pair.decided() <= pair.scanner.settled());
            before = pair.scanner.settled();
        }
        assert_eq!(found, at, "slices of {slice}");
        assert_eq!(before, bytes.len() as u64);
    }
    let mut field = 7_000_001_u64.to_be_bytes();
    shift(&mut field, 7_000_000);
    assert_eq!(field, 1_u64.to_be_bytes());
    shift(&mut field, -7_000_000);
    assert_eq!(field, 7_000_001_u64.to_be_bytes());
}

#[test]
fn what_is_undecided_is_bounded() {
    for (lead, place) in [(UNDECIDED_MAX - (64 << 10), true), (2 * UNDECIDED_MAX, false)] {
        let lead = bx(*b"emsg", &[vec![0; lead]]);
        let bytes = [header(true), lead, moof(&[traf(VIDEO, KEY, Says::First)])].concat();
        let (mut pair, mut fed, mut places) = (Pair::new(), 0, Vec::new());
        for slice in bytes.chunks(50_000) {
            places.extend(pair.feed(slice));
            fed += slice.len() as u64;
            assert!(fed - pair.decided() <= UNDECIDED_MAX as u64);
        }
        assert_eq!(places.len(), usize::from(place));
    }
}

proptest! {
    #[test]
    fn slicing_never_matters(cuts in prop::collection::vec(0usize..4000, 0..12)) {
        let (bytes, places) = sample();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut from = 0;
        let slices: Vec<&[u8]> = cuts.into_iter().map(|cut| &bytes[std::mem::replace(&mut from, cut)..cut]).collect();
        prop_assert_eq!(starts(&cut(slices).0), places);
    }

    #[test]
    fn damaged_streams_lose_no_byte_however_sliced(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        slice in 1usize..200,
    ) {
        let (mut bytes, _) = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (pieces, mut pair) = cut(bytes.chunks(slice));
        prop_assert_eq!(pieces.concat(), bytes.clone());
        prop_assert!(pair.decided() <= bytes.len() as u64);
    }
}
