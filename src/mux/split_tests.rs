//! What becomes of a recording with two pictures, as a scanner of MP4 sees it.

use super::*;
use crate::media::fmp4::fragments::tests::{AUDIO, VIDEO, fragments, header, scan};
use crate::media::fmp4::joined;

const FTYP: &[u8] = b"\0\0\0\x1cftypiso6\0\0\x02\0iso6iso5mp41";

/// A header with these tracks, each number with that of the track which it is like.
fn header_with(numbers: &[&[(u32, u32)]]) -> Bytes {
    let one = header();
    let all: Vec<_> = numbers.iter().map(|numbers| (&one[..], *numbers)).collect();
    [FTYP, &joined::header(&all).expect("a header")].concat().into()
}

/// Two pictures of a track from a place on, the first a key frame or not.
fn samples(at: i64, key: bool, data: &'static [u8]) -> Vec<Sample> {
    let sample = |number: i64, key| {
        let data = Bytes::from_static(data);
        Sample { at: at + 4 * number, duration: 4, shown_after: 3, key, data }
    };
    vec![sample(0, key), sample(1, false)]
}

fn piece(tracks: &[(u32, u32, Vec<Sample>)], anew: bool, time: Option<TimeOfDay>) -> Bytes {
    let part = |(track, timescale, samples)| Part { track, timescale, pictures: true, samples };
    let parts: Vec<_> = tracks.iter().map(|(track, scale, samples)| part((*track, *scale, samples))).collect();
    fragment(1, &parts, &Lead { anew, time })
}

#[test]
fn each_picture_has_all_sound_and_the_times_of_the_one() {
    let mut split = Split::default();
    let begun = split.take(&header_with(&[&[(VIDEO, 1), (AUDIO, 2)], &[(VIDEO, 3), (AUDIO, 4)]]));
    let names: Vec<_> = begun.iter().map(|cut| (&*cut.rendition, cut.begins)).collect();
    let [(first, true), (second, true)] = names[..] else { panic!("{names:?}") };
    assert!(second.strip_prefix(first) == Some("-2") && first.ends_with('p'), "{names:?}");
    let mut objects: Vec<Vec<u8>> = begun.iter().map(|cut| cut.bytes.to_vec()).collect();
    let wall = TimeOfDay { track: 1, ntp: 1_000 << 32, at: 100 };
    let [pictures, others] = [b"p", b"q"].map(|data| samples(100, true, data));
    for piece in [
        piece(&[(1, 100, pictures), (2, 48_000, samples(0, true, b"s")), (3, 100, others)], false, Some(wall)),
        // Of the second alone, half a second later, by another encoder; then sound alone.
        piece(&[(3, 100, samples(150, true, b"r"))], true, None),
        piece(&[(4, 48_000, samples(9, true, b"t"))], false, None),
    ] {
        for cut in split.take(&piece) {
            assert!(!cut.begins);
            let at = begun.iter().position(|begun| begun.rendition == cut.rendition).expect("it is known");
            objects[at].extend_from_slice(&cut.bytes);
        }
    }
    for (object, pictures, wanted, walls, anew) in [
        (
            &objects[0],
            1,
            vec![vec![(1, 100, 2), (2, 0, 2)], vec![(4, 9, 2)]],
            vec![Some((1, 1_000 << 32)), None],
            vec![false, true],
        ),
        (
            &objects[1],
            3,
            vec![vec![(3, 100, 2), (2, 0, 2)], vec![(3, 150, 2)], vec![(4, 9, 2)]],
            vec![Some((3, 1_000 << 32)), Some((3, (1_000 << 32) + (1 << 31))), None],
            vec![false, true, false],
        ),
    ] {
        let movie = Movie::parse(object).expect("a header");
        let mut ids: Vec<_> = movie.tracks.iter().map(|track| track.id).collect();
        ids.sort_by_key(|id| *id != pictures);
        assert_eq!(ids, [pictures, 2, 4]);
        let scanned = scan([&object[..]]);
        let found = fragments(&scanned);
        let sorted = |mut places: Vec<(u32, u64, u64)>| {
            places.sort_by_key(|place| place.0 != pictures);
            places
        };
        let places: Vec<_> = found
            .iter()
            .map(|one| sorted(one.runs.iter().map(|run| (run.track, run.decode, run.samples)).collect()))
            .collect();
        assert_eq!(places, wanted);
        let heard: Vec<_> = found.iter().map(|one| one.wall.map(|wall| (wall.track, wall.ntp))).collect();
        assert_eq!(heard, walls);
        assert_eq!(found.iter().map(|one| one.anew).collect::<Vec<_>>(), anew);
    }
}

#[test]
fn one_picture_or_none_stays_as_it_is() {
    for numbers in [&[(VIDEO, 1), (AUDIO, 2)][..], &[(AUDIO, 2)]] {
        let mut split = Split::default();
        let header = header_with(&[numbers]);
        let name: Arc<str> = SOURCE.into();
        let begins = |bytes: &Bytes, begins| vec![Cut { rendition: name.clone(), bytes: bytes.clone(), begins }];
        assert_eq!(split.take(&header), begins(&header, true));
        let piece = piece(&[(2, 48_000, samples(0, true, b"s"))], false, None);
        assert_eq!(split.take(&piece), begins(&piece, false));
    }
}

#[test]
fn another_header_begins_other_objects_and_what_is_broken_becomes_nothing() {
    let mut split = Split::default();
    let two = header_with(&[&[(VIDEO, 1), (AUDIO, 2)], &[(VIDEO, 3)]]);
    assert_eq!(split.take(&two).len(), 2);
    let one = header_with(&[&[(VIDEO, 1)]]);
    assert_eq!(&*split.take(&one)[0].rendition, SOURCE);
    assert_eq!(split.take(&two).len(), 2);
    let whole = piece(&[(1, 100, samples(0, true, b"p"))], false, None);
    for len in 0..whole.len() {
        assert!(split.take(&whole.slice(..len)).is_empty(), "{len}");
    }
    assert_eq!(split.take(&whole).len(), 1);
}

#[test]
fn it_goes_on_behind_any_piece_as_if_nothing_had_been() {
    let wall = |seconds: u64, at| Some(TimeOfDay { track: 1, ntp: seconds << 32, at });
    let both = |at, key| {
        piece(&[(1, 100, samples(at, key, b"p")), (2, 48_000, samples(480 * at, true, b"s"))], false, wall(9, 0))
    };
    let pieces = [
        header_with(&[&[(VIDEO, 1), (AUDIO, 2)], &[(VIDEO, 3), (AUDIO, 4)]]),
        both(0, true),
        piece(&[(3, 100, samples(0, true, b"q"))], false, None),
        piece(&[(1, 100, samples(8, true, b"p"))], true, wall(20, 8)),
        both(16, false),
        piece(&[(3, 100, samples(8, true, b"r"))], false, None),
        piece(&[(4, 48_000, samples(9, true, b"t"))], false, None),
        header_with(&[&[(VIDEO, 1), (AUDIO, 2)]]),
        both(0, true),
        header_with(&[&[(VIDEO, 1)], &[(VIDEO, 2)]]),
        piece(&[(2, 100, samples(0, true, b"u"))], true, wall(30, 0)),
    ];
    let mut whole = Split::default();
    let all: Vec<_> = pieces.iter().map(|piece| whole.take(piece)).collect();
    assert!(all.iter().flatten().count() > pieces.len());
    for killed in 1..pieces.len() {
        let mut before = Split::default();
        for piece in &pieces[..killed] {
            drop(before.take(piece));
        }
        let header = pieces[..killed].iter().rfind(|piece| is_header(piece)).expect("it begins with one");
        let mut after = Split::going_on(header, &before.state()).expect("its state");
        assert_eq!(after.names().collect::<Vec<_>>(), before.names().collect::<Vec<_>>());
        for (piece, wanted) in pieces[killed..].iter().zip(&all[killed..]) {
            assert_eq!(after.take(piece), *wanted, "killed behind piece {killed}");
        }
    }
    for (header, state) in [(&pieces[0], "{}"), (&pieces[1], "{}"), (&pieces[7], &*whole.state())] {
        assert!(Split::going_on(header, state).is_none(), "{state}");
    }
}
