//! What becomes of streams with boxes anywhere, cut anywhere, and what is refused.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::media::fmp4::fragments::tests::{AUDIO, VIDEO, fragments, header, mdat, scan};
use crate::media::fmp4::{bx, words};
use crate::mux::fragment::{Part, Sample, fragment};
use crate::mux::rung::Timeline;

const QUIET: Lead = Lead { anew: false, time: None };

fn now() -> Arrival {
    Arrival { elapsed: Duration::ZERO, at: UNIX_EPOCH + Duration::from_secs(1000) }
}

/// Samples that follow one another, each with bytes of its own.
fn samples(from: i64, duration: u32, keys: &[bool]) -> Vec<Sample> {
    let mut at = from;
    let one = |(number, key): (usize, &bool)| {
        let data = vec![u8::try_from(at % 251).expect("small"); 5 + number].into();
        let sample = Sample { at, duration, shown_after: 2, key: *key, data };
        at += i64::from(duration);
        sample
    };
    keys.iter().enumerate().map(one).collect()
}

/// A fragment of pictures of 40 ms, and sound of 1024 samples.
fn fragment_of((from, keys): (i64, &[bool]), (sound, count): (i64, usize), lead: &Lead) -> Bytes {
    let (pictures, sound) = (samples(from, 4, keys), samples(sound, 1024, &vec![true; count]));
    let part = |track, timescale, samples| Part { track, timescale, pictures: true, samples };
    let parts = [part(VIDEO, 100, &pictures[..]), part(AUDIO, 48_000, &sound[..])];
    fragment(1, &parts.into_iter().filter(|part| !part.samples.is_empty()).collect::<Vec<_>>(), lead)
}

fn pictures(from: i64, keys: &[bool]) -> Bytes {
    fragment_of((from, keys), (0, 0), &QUIET)
}

/// The pieces of a stream that comes in these slices, up to a refusal.
fn pieces<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<ForeignError>) {
    let (mut foreign, mut out) = (Foreign::default(), Vec::new());
    for slice in slices {
        foreign.feed(slice);
        loop {
            match foreign.piece(now()) {
                Ok(Some(piece)) => out.push(piece),
                Ok(None) => break,
                Err(why) => return (out, Some(why)),
            }
        }
    }
    (out, None)
}

/// Track, decode time and number of samples, of each fragment.
fn runs(stream: &[u8]) -> Vec<Vec<(u32, u64, u64)>> {
    let scanned = scan([stream]);
    let found = fragments(&scanned);
    found.iter().map(|one| one.runs.iter().map(|run| (run.track, run.decode, run.samples)).collect()).collect()
}

/// Boxes of all kinds around fragments, the header said again, times that overlap a little, and a key frame in the middle.
fn stream() -> Vec<u8> {
    let around = [bx(*b"styp", &[b"msdh\0\0\0\0msix".to_vec()]), words(*b"sidx", &[0; 11])].concat();
    let wall = Lead { anew: true, time: Some(TimeOfDay { track: AUDIO, ntp: 500 << 32, at: 48_000 }) };
    [
        &header()[..],
        &around,
        &fragment_of((0, &[true, false, false]), (0, 5), &QUIET),
        &header(),
        &around,
        &fragment_of((12, &[true, false]), (5 * 1024, 4), &wall),
        &bx(*b"free", &[vec![9; 70]]),
        &fragment_of((10, &[]), (9 * 1024 - 7, 1), &QUIET),
        &fragment_of((200, &[false, false, true, false]), (96_000, 10), &QUIET),
        &mdat(30),
        &bx(*b"mfra", &[vec![0; 40]]),
    ]
    .concat()
}

#[test]
fn pieces_have_the_samples_and_the_times_of_the_stream() {
    let stream = stream();
    let (pieces, refused) = pieces([&stream[..]]);
    assert_eq!((pieces.len(), refused), (6, None));
    assert_eq!(Movie::parse(&pieces[0]), Movie::parse(&header()));
    let object = pieces.concat();
    let (mut there, here) = (runs(&stream), runs(&object));
    // The last one is in two, and the key frame begins the second, with the sound from then on.
    assert_eq!(there.pop(), Some(vec![(VIDEO, 200, 4), (AUDIO, 96_000, 10)]));
    assert_eq!(here[3..], [[(VIDEO, 200, 2), (AUDIO, 96_000, 4)], [(VIDEO, 208, 2), (AUDIO, 100_096, 6)]]);
    assert_eq!(here[..3], there);
    let scanned = scan([&object[..]]);
    let told: Vec<_> =
        fragments(&scanned).iter().map(|one| (one.key, one.anew, one.wall.map(|wall| wall.ntp))).collect();
    let zero = now().ntp() - since(12, 100);
    let after = |ticks| Some((499 << 32) + since(ticks, 100));
    assert_eq!(
        told,
        [
            (true, false, Some(zero)),
            (true, true, after(12)),
            (false, false, None),
            (false, false, None),
            (true, false, after(208))
        ]
    );
    // Whoever takes note of it finds key frames where they are.
    let mut timeline = Timeline::of(&pieces[0]);
    assert_eq!(
        pieces[1..].iter().map(|piece| timeline.note(piece)).collect::<Vec<_>>(),
        [true, true, false, false, true]
    );
}

proptest! {
    #[test]
    fn however_it_is_cut_the_pieces_are_the_same(cuts in proptest::collection::vec(1usize..400, 1..40)) {
        let stream = stream();
        let (mut rest, mut slices) = (&stream[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (slice, more) = rest.split_at((*cut).min(rest.len()));
            slices.push(slice);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(pieces(slices), pieces([&stream[..]]));
    }

    #[test]
    fn whatever_is_changed_in_it_does_no_harm(at in 0usize..1500, byte in any::<u8>()) {
        let mut stream = stream();
        let at = at % stream.len();
        stream[at] = byte;
        let (whole, refused) = pieces([&stream[..]]);
        prop_assert_eq!(pieces(stream.chunks(7)), (whole, refused));
    }
}

#[test]
fn what_cannot_be_told_rightly_is_refused() {
    let changed = |bytes: &[u8], name: &[u8; 4], change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.to_vec();
        let at = bytes.windows(4).position(|four| four == name).expect("a box");
        change(&mut bytes[at..]);
        bytes
    };
    let renamed = |bytes: &[u8], name: &[u8; 4]| changed(bytes, name, &|at| at[..4].copy_from_slice(b"free"));
    let (key, other) = (pictures(0, &[true]), pictures(1000, &[true]));
    let short = [&key[..key.len() - 13], &mdat(1)].concat();
    for (name, wanted, whole, stream) in [
        ("a transport stream", ForeignError::NotFragmented, 0, b"G@\0\x10\0\0\xb0\r\0\x01\xc1\0\0".to_vec()),
        ("text", ForeignError::NotFragmented, 0, b"once upon a time".to_vec()),
        ("no fragments", ForeignError::NotFragmented, 0, renamed(&header(), b"mvex")),
        ("an index at the end", ForeignError::NotFragmented, 0, [mdat(90), renamed(&header(), b"mvex")].concat()),
        ("samples in the header", ForeignError::InHeader, 0, changed(&header(), b"stsz", &|at| at[15] = 1)),
        ("the middle of one", ForeignError::NoHeader, 0, [&key[..], &header()].concat()),
        (
            "another header",
            ForeignError::AnotherHeader,
            2,
            [&header()[..], &key, &changed(&header(), b"avcC", &|at| at[5] ^= 1)].concat(),
        ),
        ("no times", ForeignError::NoTimes, 1, [header(), renamed(&key, b"tfdt")].concat()),
        ("times that lie", ForeignError::NoTimes, 1, [header(), changed(&key, b"tfdt", &|at| at[8] = 0xff)].concat()),
        ("times that go back", ForeignError::GoesBack, 2, [&header()[..], &other, &key].concat()),
        ("data that lack", ForeignError::Broken, 1, [header(), short].concat()),
        ("a box too long", ForeignError::TooLong, 1, [&header()[..], b"\x01\x10\0\0mdat"].concat()),
        ("a box without an end", ForeignError::TooLong, 2, [&header()[..], &key, b"\0\0\0\0mdat"].concat()),
    ] {
        let (pieces, refused) = pieces([&stream[..]]);
        assert_eq!((pieces.len(), refused), (whole, Some(wanted)), "{name}");
    }
    // Each in bounds, and together with its index not.
    let sample = |length| Sample { at: 0, duration: 4, shown_after: 0, key: true, data: vec![0; length].into() };
    let of = |length| {
        let samples = [sample(length)];
        fragment(1, &[Part { track: VIDEO, timescale: 100, pictures: true, samples: &samples }], &QUIET)
    };
    for (length, wanted) in [(LONGEST - 1000, None), (LONGEST, Some(ForeignError::TooLong))] {
        assert_eq!(pieces([&header()[..], &of(length)]).1, wanted);
    }
}
