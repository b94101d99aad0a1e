//! One track out of streams whose every sample is known: by hand, at random, and broken.

use proptest::prelude::*;

use super::*;
use crate::media::fmp4::fields::{find, long, word};
use crate::media::fmp4::fragments::tests::{header as of_two, mdat, moof, picture, sound};
use crate::media::fmp4::{Movie, bx, words};

/// A sample as it comes out of a fragment: when it is decoded, what is said of it, its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    at: u64,
    duration: u32,
    flags: u32,
    composition: i64,
    bytes: Vec<u8>,
}

fn movie() -> Movie {
    Movie::parse(&of_two()).expect("a movie")
}

/// The fragments of a track as bytes.
fn bytes_of(singles: &[Single], stream: &[u8]) -> Vec<u8> {
    let place = |at: u64| usize::try_from(at).expect("a place");
    let data = |single: &Single| {
        single.places.iter().flat_map(|range| stream[place(range.start)..place(range.end)].to_vec()).collect::<Vec<_>>()
    };
    singles.iter().flat_map(|single| [single.head.to_vec(), data(single)].concat()).collect()
}

/// All samples of a stream of fragments with one track each, read as the standard has it.
fn frames(fragments: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut tops = Boxes::new(fragments);
    assert!(tops.clone().fit());
    while let Some(top) = tops.next() {
        assert_eq!(&top.kind.0, b"moof");
        let begins = top.at - 8;
        assert_eq!(Boxes::new(top.body).filter(|inner| &inner.kind.0 == b"traf").count(), 1);
        let traf = find(top.body, *b"traf").expect("a traf");
        let tfhd = find(traf, *b"tfhd").expect("a tfhd");
        let said = word(tfhd, 0).expect("flags");
        assert_eq!(said & !0x2a, 0x02_0000);
        let mut at = 8;
        let mut next = |flag: u32| {
            let is_said = said & flag != 0;
            at += if is_said { 4 } else { 0 };
            is_said.then(|| word(tfhd, at - 4).expect("a field"))
        };
        let (_, duration, flags) = (next(0x02), next(0x08), next(0x20));
        let mut time = long(find(traf, *b"tfdt").expect("a time"), 4).expect("a time");
        let trun = find(traf, *b"trun").expect("a trun");
        let said = word(trun, 0).expect("flags");
        let has = |flag: u32| said & flag != 0;
        let mut place = begins + word(trun, 8).expect("a place") as usize;
        let mdat = tops.next().expect("an mdat");
        assert_eq!((&mdat.kind.0, mdat.at), (b"mdat", place));
        let mut at = 12;
        let mut next = || {
            at += 4;
            word(trun, at - 4).expect("a field")
        };
        let first_flags = has(0x004).then(&mut next);
        for number in 0..word(trun, 4).expect("a count") {
            let duration = if has(0x100) { next() } else { duration.expect("a duration") };
            let size = if has(0x200) { next() } else { panic!("no size") } as usize;
            let own = if has(0x400) { next() } else { flags.expect("flags") };
            let composition = if has(0x800) { next() } else { 0 };
            let composition = if trun[0] == 1 { i64::from(composition.cast_signed()) } else { i64::from(composition) };
            let flags = first_flags.filter(|_| number == 0).unwrap_or(own);
            frames.push(Frame {
                at: time,
                duration,
                flags,
                composition,
                bytes: fragments[place..place + size].to_vec(),
            });
            (time, place) = (time + u64::from(duration), place + size);
        }
        assert_eq!(place, mdat.at + mdat.body.len());
    }
    frames
}

/// The samples of one track of a stretch that begins at `first`.
fn gathered(stream: &[u8], first: u64, track: u32) -> Result<Samples, NotSingle> {
    let track = movie().track(track).expect("a track").clone();
    let mut samples = Samples::new(track, first..stream.len() as u64);
    let stretch = &stream[usize::try_from(first).expect("a place")..];
    for top in Boxes::new(stretch).filter(|top| &top.kind.0 == b"moof") {
        samples.take(top.body, first + top.at as u64 - 8)?;
    }
    Ok(samples)
}

#[test]
fn a_header_has_one_track_and_says_the_same_of_it() {
    let (whole, both) = (of_two(), movie());
    for track in &both.tracks {
        let alone = header(&whole, track).expect("a header");
        let movie = Movie::parse(&alone).expect("a movie");
        assert_eq!(movie.tracks, std::slice::from_ref(track));
        assert!(movie.fragmented && alone.len() < whole.len());
        assert_eq!(header(&alone, track), Some(alone), "there is nothing more to leave out");
    }
    let other = Track { id: 9, ..both.tracks[0].clone() };
    assert_eq!((header(&whole, &other), header(b"nothing at all", &both.tracks[0])), (None, None));
}

#[test]
fn tracks_of_several_fragments_are_one_fragment_each_until_there_is_a_gap() {
    // Two pictures after another, and a third that comes too late; sound without a table.
    let mut stream = of_two();
    let first = stream.len() as u64;
    for number in 0..3u8 {
        let decode = if number == 2 { 99 } else { u32::from(number) * 12 };
        stream.extend(moof(&[picture(decode, number != 1), sound(u64::from(number) * 2048, 2)]));
        stream.extend(mdat(40));
        let at = stream.len() - 40;
        stream[at..].copy_from_slice(&(0..40).map(|byte| byte + 50 * number).collect::<Vec<_>>());
    }
    let pictures = gathered(&stream, first, 1);
    let singles = pictures.and_then(|samples| samples.fragments(7, b"\0\0\0\x08more")).expect("pictures");
    assert_eq!(singles.len(), 2);
    let with_more = |single: &Single| single.head.windows(4).any(|window| window == b"more");
    assert_eq!(singles.iter().map(with_more).collect::<Vec<_>>(), [true, false]);
    let all = frames(&bytes_of(&singles, &stream));
    let times: Vec<_> = all.iter().map(|frame| (frame.at, frame.duration, frame.composition)).collect();
    let want = |decode: u64| [(decode, 4, 2), (decode + 4, 4, 12), (decode + 8, 4, 0)];
    assert_eq!(times, [want(0), want(12), want(99)].concat());
    let sounds = gathered(&stream, first, 2).and_then(|samples| samples.fragments(7, &[])).expect("sound");
    assert_eq!(sounds.len(), 1);
    let all = frames(&bytes_of(&sounds, &stream));
    assert_eq!(all.iter().map(|frame| frame.at).collect::<Vec<_>>(), [0, 1024, 2048, 3072, 4096, 5120]);
    assert!(all.iter().all(|frame| frame.bytes.len() == 3 && frame.duration == 1024));
    // The gap closed by a longer picture before it.
    let mut joined = gathered(&stream, first, 1).expect("pictures");
    assert!(joined.join());
    assert_eq!(joined.time(), Some((0, 99 + 12)));
    let all = frames(&bytes_of(&joined.fragments(1, &[]).expect("one"), &stream));
    assert_eq!((all.len(), all[5].duration, all[6].at), (9, 4 + 75, 99));
    let nothing = gathered(&of_two(), 0, 1).expect("no fragment");
    assert_eq!((nothing.time(), nothing.fragments(1, &[])), (None, Ok(Vec::new())));
}

#[test]
fn what_cannot_be_alone_or_lies_elsewhere_is_refused() {
    let trun = |words_of: &[u32]| words(*b"trun", words_of);
    let traf = |tfhd: &[u32], trun: Vec<u8>| bx(*b"traf", &[words(*b"tfhd", tfhd), words(*b"tfdt", &[0, 5]), trun]);
    let timeless = bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, 1]), trun(&[1, 1, 100])]);
    for (fragment, want) in [
        (traf(&[1, 1, 0, 0], trun(&[1, 1, 100])), NotSingle::NotApart),
        (timeless, NotSingle::NotApart),
        (traf(&[0x02_0000, 1], trun(&[1, 1, 5_000])), NotSingle::Elsewhere),
        (traf(&[0x02_0000, 1], trun(&[1, 1, (-5i32).cast_unsigned()])), NotSingle::Elsewhere),
        (traf(&[0x02_0000, 1], trun(&[1, u32::MAX, 100])), NotSingle::TooMuch),
        (traf(&[0x02_0000, 1], trun(&[0x201, 2, 100, 4])), NotSingle::Broken),
        (traf(&[0x02_0000, 1], trun(&[0x201, 1, 100, u32::MAX])), NotSingle::Elsewhere),
        (bx(*b"traf", &[]), NotSingle::Broken),
    ] {
        let stream = [moof(&[fragment]), mdat(50)].concat();
        assert_eq!(gathered(&stream, 0, 1).err(), Some(want), "{want:?}");
    }
}

/// What a fragment has of a track, and how it is written.
#[derive(Debug, Clone)]
struct Written {
    frames: Vec<Frame>,
    /// Said once for all where that can be.
    short: bool,
    signed: bool,
}

fn written(signed: bool) -> impl Strategy<Value = Written> {
    let least = if signed { -50i64 } else { 0 };
    let frame = (1u32..5, prop::bool::ANY, least..50, prop::collection::vec(any::<u8>(), 0..9));
    let frames = prop::collection::vec(frame, 0..6);
    (frames, prop::bool::ANY).prop_map(move |(frames, short)| {
        let frame = |(duration, key, composition, bytes)| {
            let flags = if key { 0x0200_0000 } else { 0x0101_0000 };
            Frame { at: 0, duration, flags, composition, bytes }
        };
        Written { frames: frames.into_iter().map(frame).collect(), short, signed }
    })
}

impl Written {
    fn uniform(&self) -> bool {
        let Some(first) = self.frames.first() else { return true };
        let is_same = |frame: &Frame| {
            (frame.duration, frame.bytes.len(), frame.flags, frame.composition)
                == (first.duration, first.bytes.len(), first.flags, 0)
        };
        self.short && self.frames.iter().all(is_same)
    }

    /// The `traf`, of a `moof` whose data for it begin `place` bytes after its own beginning.
    fn traf(&self, track: u32, decode: u32, place: u32) -> Vec<u8> {
        let count = u32::try_from(self.frames.len()).expect("a count");
        let tfdt = words(*b"tfdt", &[0, decode]);
        if self.uniform()
            && let Some(first) = self.frames.first()
        {
            let size = u32::try_from(first.bytes.len()).expect("a size");
            let tfhd = words(*b"tfhd", &[0x02_0038, track, first.duration, size, first.flags]);
            return bx(*b"traf", &[tfhd, tfdt, words(*b"trun", &[1, count, place])]);
        }
        // In two runs, the second of which goes on where the first ended.
        let (one, two) = self.frames.split_at(self.frames.len() / 2);
        let run = |frames: &[Frame], place: Option<u32>| {
            let version = if self.signed { 1 << 24 } else { 0 };
            let count = u32::try_from(frames.len()).expect("a count");
            let head = [version | 0xf00 | u32::from(place.is_some()), count].into_iter().chain(place);
            let rows = frames.iter().flat_map(|frame| {
                let size = u32::try_from(frame.bytes.len()).expect("a size");
                let composition = i32::try_from(frame.composition).expect("a few ticks").cast_unsigned();
                [frame.duration, size, frame.flags, composition]
            });
            words(*b"trun", &head.chain(rows).collect::<Vec<_>>())
        };
        bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, track]), tfdt, run(one, Some(place)), run(two, None)])
    }

    fn data(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|frame| frame.bytes.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_sample_of_a_track_comes_out_as_it_went_in(
        fragments in any::<bool>().prop_flat_map(|signed| prop::collection::vec((written(signed), written(signed), 0u32..3), 1..6)),
        later in -90i32..90,
    ) {
        let (mut stream, mut want, mut decode) = (of_two(), [Vec::new(), Vec::new()], [0u32, 70]);
        let first = stream.len() as u64;
        for (one, two, gap) in &fragments {
            decode[0] += gap;
            let made = |place: u32| {
                let split = place + u32::try_from(one.data().len()).expect("a place");
                moof(&[one.traf(1, decode[0], place), two.traf(2, decode[1], split)])
            };
            let length = made(0).len();
            stream.extend(made(u32::try_from(length + 8).expect("a place")));
            stream.extend(bx(*b"mdat", &[one.data(), two.data()]));
            for (track, part) in [one, two].into_iter().enumerate() {
                for frame in &part.frames {
                    want[track].push(Frame { at: decode[track].into(), ..frame.clone() });
                    decode[track] += frame.duration;
                }
            }
        }
        for (track, want) in [1, 2].into_iter().zip(want) {
            let samples = gathered(&stream, first, track).expect("samples");
            let singles = samples.fragments(3, &[]).expect("fragments");
            prop_assert_eq!(frames(&bytes_of(&singles, &stream)), &want[..]);
            // In other ticks each is shown when it was, to the nearest.
            let other = samples.in_ticks(100, 333).expect("samples").fragments(3, &[]).expect("fragments");
            for (ours, want) in frames(&bytes_of(&other, &stream)).iter().zip(&want) {
                let shown = |frame: &Frame| i64::try_from(frame.at).expect("a time") + frame.composition;
                prop_assert_eq!((shown(ours) * 200 - shown(want) * 666).abs() <= 100, true, "{:?} {:?}", ours, want);
                prop_assert_eq!(&ours.bytes, &want.bytes);
            }
            // Somewhere else in time, in one piece, the same are shown as far after the first.
            let Some(moved) = samples.moved(9_000, later.into()) else {
                prop_assert!(want.is_empty());
                continue;
            };
            let singles = moved.fragments(3, &[]).expect("a fragment");
            prop_assert_eq!(singles.len(), 1);
            let shown = |frame: &Frame| (i64::try_from(frame.at).expect("a time") + frame.composition, frame.bytes.clone());
            let all = frames(&bytes_of(&singles, &stream));
            prop_assert_eq!(all[0].at, 9_000);
            let by = 9_000 - i64::try_from(want[0].at).expect("a time") + i64::from(later);
            let want: Vec<_> = want.iter().map(shown).map(|(at, bytes)| (at + by, bytes)).collect();
            prop_assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn nothing_that_is_sent_makes_it_panic(mut bytes in Just([moof(&[picture(1, true), sound(5, 3)]), mdat(50)].concat()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12)) {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for track in [1, 2] {
            let track = movie().track(track).expect("a track").clone();
            let mut samples = Samples::new(track.clone(), 0..bytes.len() as u64);
            let length = bytes.len() - 58;
            if samples.take(&bytes[8..length], 0).is_ok() {
                let singles = samples.fragments(1, &[]);
                let inside = |single: &Single| single.places.iter().all(|place| place.end <= bytes.len() as u64);
                prop_assert!(singles.is_err() || singles.iter().flatten().all(inside));
                let _ = samples.moved(5, 7).map(|moved| moved.fragments(1, &[]));
                let _ = samples.join();
            }
            let _ = header(&bytes, &track);
        }
    }
}
