//! Streams of fragments made by hand for the tests of this family of modules, and the tests of the scanner itself.

use proptest::prelude::*;

use super::*;
use crate::media::fmp4::boxes::OffReason;
use crate::media::fmp4::moof::Base;
use crate::media::fmp4::movie::TrackKind;
use crate::media::fmp4::{bx, words};

pub(crate) const KEY: u32 = 0x0200_0000;
pub(crate) const OTHER: u32 = 0x0101_0000;
pub(crate) const VIDEO: u32 = 1;
pub(crate) const AUDIO: u32 = 2;

fn trak(id: u32, handler: [u8; 4], timescale: u32, entry: &[u8], edits: &[Vec<u8>]) -> Vec<u8> {
    let hdlr = bx(*b"hdlr", &[vec![0; 8], handler.to_vec(), vec![0; 13]]);
    let stsd = bx(*b"stsd", &[vec![0, 0, 0, 0, 0, 0, 0, 1], entry.to_vec()]);
    let stbl = bx(*b"stbl", &[stsd, words(*b"stts", &[0, 0]), words(*b"stsz", &[0, 0, 0])]);
    let mdia = bx(*b"mdia", &[words(*b"mdhd", &[0, 0, 0, timescale, 0, 0]), hdlr, bx(*b"minf", &[stbl])]);
    bx(*b"trak", &[vec![words(*b"tkhd", &[7, 0, 0, id, 0, 0, 0])], edits.to_vec(), vec![mdia]].concat())
}

fn avc1() -> Vec<u8> {
    let mut body = vec![0; 78];
    (body[24], body[25], body[26], body[27]) = (5, 0, 2, 0xd0);
    bx(*b"avc1", &[body, bx(*b"avcC", &[vec![1, 0x64, 0, 0x1f, 0xff]])])
}

fn opus() -> Vec<u8> {
    let mut body = vec![0; 28];
    (body[17], body[24], body[25]) = (2, 0xbb, 0x80);
    bx(*b"Opus", &[body])
}

/// A picture of 100 ticks a second with an edit list that leaves out two of them, and sound of 48,000.
pub(crate) fn header() -> Vec<u8> {
    let edits = bx(*b"edts", &[words(*b"elst", &[0, 2, 500, u32::MAX, 0x1_0000, 0, 52, 0x1_0000])]);
    let trex = |id, flags| words(*b"trex", &[0, id, 1, 4, 3, flags]);
    let moov = [
        words(*b"mvhd", &[0, 0, 0, 1000, 0]),
        trak(VIDEO, *b"vide", 100, &avc1(), &[edits]),
        trak(AUDIO, *b"soun", 48_000, &opus(), &[]),
        bx(*b"mvex", &[trex(VIDEO, OTHER), trex(AUDIO, KEY)]),
    ];
    [bx(*b"ftyp", &[b"isom\0\0\x02\0isomiso6".to_vec()]), bx(*b"free", &[]), bx(*b"moov", &moov)].concat()
}

/// Two pictures shown in turn, the first a key frame or not.
pub(crate) fn picture(decode: u32, key: bool) -> Vec<u8> {
    let first = if key { KEY } else { OTHER };
    let trun = words(*b"trun", &[0x0000_0f01, 3, 100, 4, 10, first, 2, 4, 11, OTHER, 12, 4, 12, OTHER, 0]);
    bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, VIDEO]), words(*b"tfdt", &[0, decode]), trun])
}

/// As many samples as are claimed, with nothing said of any.
pub(crate) fn sound(decode: u64, count: u32) -> Vec<u8> {
    let (high, low) = (u32::try_from(decode >> 32).unwrap(), u32::try_from(decode & 0xffff_ffff).unwrap());
    let tfdt = words(*b"tfdt", &[0x0100_0000, high, low]);
    let trun = words(*b"trun", &[1, count, 133]);
    bx(*b"traf", &[words(*b"tfhd", &[0x02_0008, AUDIO, 1024]), tfdt, trun])
}

pub(crate) fn moof(trafs: &[Vec<u8>]) -> Vec<u8> {
    bx(*b"moof", &[vec![words(*b"mfhd", &[0, 7])], trafs.to_vec()].concat())
}

pub(crate) fn mdat(len: usize) -> Vec<u8> {
    bx(*b"mdat", &[vec![0xab; len]])
}

pub(crate) fn sample() -> Vec<u8> {
    let prft = words(*b"prft", &[0x0100_0000, VIDEO, 3_900_000_000, 0x8000_0000, 0, 50]);
    let lead = [bx(*b"styp", &[b"msdh\0\0\0\0msix".to_vec()]), words(*b"sidx", &[0; 11]), prft].concat();
    let long = [&1u32.to_be_bytes()[..], b"mdat", &116u64.to_be_bytes(), &[0xcd; 100]].concat();
    [
        header(),
        moof(&[picture(10, true), sound(0, 2)]),
        mdat(100),
        lead,
        moof(&[sound(1 << 33, 5), picture(22, false)]),
        long,
        moof(&[picture(34, true)]),
        mdat(1),
        mdat(300),
        bx(*b"mfra", &[vec![0; 40]]),
    ]
    .concat()
}

pub(crate) fn scan<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> Vec<Found> {
    let mut scanner = Scanner::new();
    let found: Vec<Found> = slices.into_iter().flat_map(|slice| scanner.feed(slice)).collect();
    assert_eq!(scanner.is_off(), matches!(found.last(), Some(Found::Off(_))));
    found
}

pub(crate) fn fragments(found: &[Found]) -> Vec<&Fragment> {
    fn ended(found: &Found) -> Option<&Fragment> {
        if let Found::Ended(fragment) = found { Some(fragment) } else { None }
    }
    found.iter().filter_map(ended).collect()
}

#[test]
fn the_header_tells_of_tracks() {
    let found = scan([&sample()[..]]);
    let Found::Header(head) = &found[0] else { panic!("{:?}", found[0]) };
    assert_eq!(head.bytes, header());
    assert_eq!(head.end, header().len() as u64);
    let [video, audio] = &head.movie.tracks[..] else { panic!("{:?}", head.movie) };
    assert_eq!(
        (video.id, video.kind, video.timescale, video.codec.as_str()),
        (1, TrackKind::Video, 100, "avc1.64001f")
    );
    assert_eq!((video.width, video.height, video.default_flags, video.edit_offset), (1280, 720, OTHER, 50 - 52));
    assert_eq!((audio.id, audio.kind, audio.sample_rate, audio.channels), (2, TrackKind::Audio, 48_000, 2));
    assert_eq!(head.movie.codecs(), "avc1.64001f,opus");
    assert_eq!(head.movie.main().unwrap().id, VIDEO);
}

#[test]
fn fragments_tell_their_times_and_places() {
    let found = scan([&sample()[..]]);
    let [one, two, three] = &fragments(&found)[..] else { panic!("{found:?}") };
    let at = header().len() as u64;
    assert_eq!((one.first, one.moof, one.sequence, one.key, one.base), (at, at, 7, true, Base::Moof));
    assert_eq!(one.end, Some(two.first));
    let video = one.run(VIDEO).unwrap();
    // Decoded at 10, 14 and 18, shown at 12, 26 and 18, less the two of the edit list.
    assert_eq!((video.decode, video.first, video.earliest, video.latest, video.duration), (10, 10, 10, 28, 12));
    assert_eq!((video.samples, video.syncs, video.bytes), (3, 1, 33));
    assert_eq!(video.nanos(video.latest), 280_000_000);
    let audio = one.run(AUDIO).unwrap();
    assert_eq!((audio.samples, audio.syncs, audio.duration, audio.bytes), (2, 2, 2048, 6));
    assert!(two.moof > two.first && !two.key && two.end == Some(three.first));
    assert_eq!(two.run(AUDIO).unwrap().decode, 1 << 33);
    let wall = two.wall.unwrap();
    assert_eq!((wall.track, wall.media_time, wall.unix_nanos()), (VIDEO, 50, 1_691_011_200_500_000_000));
    assert!(three.key && three.wall.is_none() && three.timed);
    // Its data are in two boxes: what the samples claim ends in the second.
    let mfra = sample().len() as u64 - 48;
    assert_eq!(three.end, Some(mfra - 308));
}

#[test]
fn a_fragment_whose_data_are_in_two_boxes_ends_with_the_second() {
    let big = words(*b"trun", &[0x201, 2, 84, 100, 100]);
    let traf = bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, VIDEO]), words(*b"tfdt", &[0, 0]), big]);
    let bytes = [header(), moof(&[traf]), mdat(100), mdat(150), moof(&[picture(0, true)]), mdat(3)].concat();
    for slice in [1, 5, bytes.len()] {
        let found = scan(bytes.chunks(slice));
        let ends: Vec<_> = fragments(&found).iter().map(|fragment| fragment.end.unwrap()).collect();
        assert_eq!(ends[0], (bytes.len() - 11 - moof(&[picture(0, true)]).len()) as u64, "slices of {slice}");
    }
}

#[test]
fn slicing_never_matters_to_a_good_stream() {
    let bytes = sample();
    let whole = scan([&bytes[..]]);
    assert_eq!(fragments(&whole).len(), 3);
    for slice in 1..bytes.len() {
        assert_eq!(scan(bytes.chunks(slice)), whole, "slices of {slice}");
    }
    for cut in 0..=bytes.len() {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(scan([a, b]), whole, "cut at {cut}");
    }
}

#[test]
fn a_scan_can_begin_at_any_fragment_and_finds_it_in_the_middle() {
    let bytes = sample();
    let whole = scan([&bytes[..]]);
    let Found::Header(head) = &whole[0] else { panic!() };
    for fragment in fragments(&whole) {
        let from = usize::try_from(fragment.first).unwrap();
        let mut scanner = Scanner::starting_at(head.movie.clone(), fragment.first);
        let found = scanner.feed(&bytes[from..]);
        assert_eq!(fragments(&found)[0], fragment);
        for before in from.saturating_sub(90)..from {
            let place = find_moof(&bytes[before..], before as u64, &head.movie);
            assert!(place.is_some_and(|place| place <= fragment.moof));
        }
    }
    // Not without the box that must come next, and not by the name alone.
    let first = fragments(&whole)[0];
    let end = usize::try_from(first.moof_end).unwrap();
    assert_eq!(find_moof(&bytes[..end + 7], 0, &head.movie), None);
    assert_eq!(find_moof(&bytes[..end + 8], 0, &head.movie), Some(first.moof));
    let names = b"\0\0\0\x40moofmoof\0\0\0\x20moof\0\0\0\x10mfhd".repeat(50);
    assert_eq!(find_moof(&names, 0, &head.movie), None);
}

#[test]
fn what_is_no_stream_of_fragments_is_said_in_words() {
    let no_mvex = [bx(*b"ftyp", &[]), bx(*b"moov", &[trak(VIDEO, *b"vide", 9, &avc1(), &[])])].concat();
    let samples = |moov: Vec<u8>| {
        let at = moov.windows(4).position(|window| window == b"stsz").unwrap() + 12;
        let mut moov = moov;
        moov[at + 3] = 1;
        moov
    };
    let hostile = |count: u32| {
        let trun = words(*b"trun", &[0x201, count, 0, 1, 2, 3]);
        [header(), moof(&[bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, VIDEO]), trun])])].concat()
    };
    let huge = |kind: &[u8; 4]| [&0x7fff_ffffu32.to_be_bytes()[..], kind, &[0; 100]].concat();
    for (bytes, reason) in [
        (b"any text at all".to_vec(), NotFragments::Boxes(OffReason::UnknownStart)),
        (no_mvex, NotFragments::NotFragmented),
        ([bx(*b"ftyp", &[]), mdat(10)].concat(), NotFragments::NotFragmented),
        (moof(&[picture(0, true)]), NotFragments::NotFragmented),
        ([bx(*b"ftyp", &[]), bx(*b"moov", &[])].concat(), NotFragments::NoTrack),
        (samples(header()), NotFragments::SamplesInMoov),
        ([bx(*b"ftyp", &[]), huge(b"moov")].concat(), NotFragments::HeaderTooLong),
        ([bx(*b"ftyp", &[]), bx(*b"free", &[vec![0; HEADER_MAX]]), mdat(9)].concat(), NotFragments::HeaderTooLong),
        ([header(), huge(b"moof")].concat(), NotFragments::MoofTooLong),
        (hostile(4), NotFragments::BadMoof),
        (hostile(u32::MAX), NotFragments::BadMoof),
        ([header(), vec![0; 20]].concat(), NotFragments::Boxes(OffReason::Zeros)),
    ] {
        let slice = if bytes.len() > HEADER_MAX { 1_000_000 } else { 3 };
        assert_eq!(scan([&bytes[..]]).last(), Some(&Found::Off(reason)), "{reason}");
        assert_eq!(scan(bytes.chunks(slice)).last(), Some(&Found::Off(reason)), "{reason}");
    }
    assert!(!matches!(scan([&hostile(3)[..]]).last(), Some(Found::Off(_))));
}

#[test]
fn times_are_rounded_down_and_never_wrap() {
    use crate::media::fmp4::moof::{nanos, ticks};
    assert_eq!(nanos(1, 3), 333_333_333);
    assert_eq!(nanos(-1, 3), -333_333_334);
    assert_eq!(nanos(i64::MAX, 1), i64::MAX);
    assert_eq!(nanos(i64::MIN, 0), i64::MIN);
    assert_eq!(ticks(-1, 48_000), -1);
    assert_eq!(ticks(i64::MAX, u32::MAX), i64::MAX);
    assert_eq!(ticks(2_000_000_000, 90_000), 180_000);
    // Four milliard samples that nothing is said of cost one step.
    let bytes = [header(), moof(&[sound(u64::from(u32::MAX), u32::MAX)]), mdat(0), mdat(0), bx(*b"free", &[])].concat();
    let found = scan([&bytes[..]]);
    let run = *fragments(&found)[0].run(AUDIO).unwrap();
    assert_eq!((run.samples, run.duration), (u64::from(u32::MAX), u64::from(u32::MAX) * 1024));
}

proptest! {
    #[test]
    fn damaged_streams_give_the_same_however_sliced(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        slice in 1usize..300,
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = scan([&bytes[..]]);
        prop_assert_eq!(&scan(bytes.chunks(slice)), &whole);
        for fragment in fragments(&whole) {
            prop_assert!(fragment.first <= fragment.moof && fragment.moof < fragment.moof_end);
            prop_assert!(fragment.end.is_some_and(|end| end >= fragment.moof_end));
            prop_assert!(fragment.runs.iter().all(|run| run.samples > 0 && run.earliest <= run.first));
        }
    }

    #[test]
    fn random_bytes_after_a_header_do_no_harm(
        data in prop::collection::vec(any::<u8>(), 0..600),
        slice in 1usize..50,
    ) {
        let bytes = [header(), data.clone()].concat();
        prop_assert_eq!(scan(bytes.chunks(slice)), scan([&bytes[..]]));
        let inside = [header(), bx(*b"moof", &[words(*b"mfhd", &[0, 1]), bx(*b"traf", std::slice::from_ref(&data))])].concat();
        prop_assert_eq!(scan(inside.chunks(slice)), scan([&inside[..]]));
        let moov = [bx(*b"ftyp", &[]), bx(*b"moov", &[bx(*b"trak", std::slice::from_ref(&data)), bx(*b"mvex", &[])])].concat();
        drop(scan([&moov[..]]));
        if let Some(movie) = Movie::parse(&header()) {
            let place = find_moof(&data, 0, &movie);
            prop_assert!(place.is_none_or(|place| place < data.len() as u64));
        }
    }
}
