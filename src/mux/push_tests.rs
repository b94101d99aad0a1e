//! What comes out of fragments that are pushed, as a scanner of MP4 sees it.

use std::time::{Duration, SystemTime};

use super::*;
use crate::media::fmp4::fragments::tests::{
    AUDIO, KEY, OTHER, VIDEO, fragments, header, mdat, moof, picture, scan, sound,
};
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::media::fmp4::{Fragment, bx, words};

fn arrival() -> Arrival {
    Arrival { elapsed: Duration::ZERO, at: SystemTime::UNIX_EPOCH + Duration::from_secs(7) }
}

/// Pushes what is in these bytes.
fn push(push: &mut Push, bytes: &[u8]) -> Result<(), PushError> {
    push_of(push, "", bytes)
}

/// The same of one of several sources.
fn push_of(push: &mut Push, of: &str, bytes: &[u8]) -> Result<(), PushError> {
    let mut gather = Gather::default();
    gather.feed(bytes);
    while let Some(found) = gather.whole().expect("boxes") {
        match found {
            Gathered::Header(moov) => {
                push.header(of, &moov)?;
            }
            Gathered::Fragment(raw) => push.fragment(of, &raw, arrival())?,
        }
    }
    Ok(())
}

/// All that has come out of it, an object each.
fn out(push: &mut Push) -> Vec<Vec<u8>> {
    let mut objects: Vec<Vec<u8>> = Vec::new();
    while let Some(piece) = push.ready() {
        if piece.begins {
            objects.push(Vec::new());
        }
        objects.last_mut().expect("a header first").extend_from_slice(&piece.bytes);
        push.handed_on();
    }
    objects
}

/// Where tracks of a fragment are decoded, and how many samples they have.
fn places(fragment: &Fragment) -> Vec<(u32, u64, u64)> {
    fragment.runs.iter().map(|run| (run.track, run.decode, run.samples)).collect()
}

/// A fragment of two pictures and two pieces of sound, with data that are known again by `what`.
fn both(decode: u32, sounds: u64, what: u8) -> Vec<u8> {
    let data = bx(*b"mdat", &[vec![what; 29]]);
    let trafs = |at: u32| {
        let trun = words(*b"trun", &[0x0000_0f01, 2, at, 10, 10, KEY, 2, 10, 11, OTHER, 2]);
        let video = bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, VIDEO]), words(*b"tfdt", &[0, decode]), trun]);
        let tfdt = words(*b"tfdt", &[0, u32::try_from(sounds).expect("small")]);
        let trun = words(*b"trun", &[1, 2, at + 21]);
        [video, bx(*b"traf", &[words(*b"tfhd", &[0x02_0008, AUDIO, 4800]), tfdt, trun])]
    };
    let size = u32::try_from(moof(&trafs(0)).len()).expect("small") + 8;
    [moof(&trafs(size)), data].concat()
}

#[test]
fn an_encoder_begins_at_zero_and_its_tracks_stay_in_step() {
    let mut of = Push::default();
    // 10 s and 10.1 s on the encoder's clock; then something is missing.
    push(&mut of, &[header(), both(1000, 484_800, 1), both(1020, 494_400, 2), both(1050, 508_800, 3)].concat())
        .expect("taken");
    let objects = out(&mut of);
    let found = scan([&objects[0][..]]);
    let found = fragments(&found);
    let wanted =
        [[(VIDEO, 0, 2), (AUDIO, 4800, 2)], [(VIDEO, 20, 2), (AUDIO, 14_400, 2)], [(VIDEO, 50, 2), (AUDIO, 28_800, 2)]];
    assert_eq!(found.iter().map(|fragment| places(fragment)).collect::<Vec<_>>(), wanted);
    assert_eq!(found.iter().map(|fragment| fragment.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(found.iter().all(|fragment| fragment.key && fragment.wall.is_some() && !fragment.anew));
    assert_eq!((found[1].runs[0].bytes, found[1].runs[1].bytes, found[1].runs[0].first), (21, 6, 20));
}

#[test]
fn what_comes_again_is_dropped_and_what_follows_on_a_break_follows_in_the_recording() {
    let mut of = Push::default();
    push(&mut of, &[header(), both(0, 0, 1), both(20, 9600, 2)].concat()).expect("taken");
    // The connection breaks: header and last fragment again, and what follows.
    of.leave();
    push(&mut of, &[header(), both(20, 9600, 2), both(40, 19_200, 3)].concat()).expect("taken");
    // The encoder begins anew, from zero.
    of.leave();
    push(&mut of, &[header(), both(0, 0, 4), both(20, 9600, 5)].concat()).expect("taken");
    let objects = out(&mut of);
    assert_eq!(objects.len(), 1);
    let found = scan([&objects[0][..]]);
    let found = fragments(&found);
    let wanted: Vec<_> = (0..5).map(|n| vec![(VIDEO, 20 * n, 2), (AUDIO, 9600 * n, 2)]).collect();
    assert_eq!(found.iter().map(|fragment| places(fragment)).collect::<Vec<_>>(), wanted);
    assert_eq!(found.iter().map(|fragment| fragment.anew).collect::<Vec<_>>(), [false, false, false, true, false]);
    let mut changed = header();
    let profile = changed.windows(4).position(|name| name == b"avcC").expect("a configuration") + 5;
    changed[profile] += 1;
    push(&mut of, &[changed, both(0, 0, 6)].concat()).expect("taken");
    of.leave();
    let objects = out(&mut of);
    assert_eq!(places(fragments(&scan([&objects[0][..]]))[0]), [(VIDEO, 0, 2), (AUDIO, 0, 2)]);
}

#[test]
fn pictures_that_are_shown_before_they_are_decoded_are_decoded_earlier() {
    let mut of = Push::default();
    let trun =
        |at| words(*b"trun", &[0x0100_0f01, 3, at, 4, 1, KEY, 0, 4, 1, OTHER, 8, 4, 1, OTHER, 4u32.wrapping_neg()]);
    let video = |at| bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, VIDEO]), words(*b"tfdt", &[0, 100]), trun(at)]);
    let size = u32::try_from(moof(&[video(0)]).len()).expect("small") + 8;
    // Sound and pictures begin at one time.
    push(&mut of, &[header(), moof(&[video(size)]), mdat(3), moof(&[sound(48_000, 1)]), mdat(133)].concat())
        .expect("taken");
    let objects = out(&mut of);
    let found = scan([&objects[0][..]]);
    let found = fragments(&found);
    // The edit list of the header leaves two ticks out.
    let run = &found[0].runs[0];
    assert_eq!((run.decode, run.first + 2, run.earliest + 2), (0, 4, 4));
    assert_eq!((found[1].runs[0].decode, found[1].runs[0].samples), (1920, 1));
}

#[test]
fn what_is_no_fragment_of_the_header_is_refused() {
    let refused = |bytes: &[u8]| push(&mut Push::default(), bytes).expect_err("refused");
    assert_eq!(refused(&both(0, 0, 1)), PushError::NoHeader);
    assert_eq!(refused(&bx(*b"moov", &[vec![0; 8]])), PushError::NoTrack);
    let unannounced: Vec<u8> = header().iter().map(|byte| if *byte == b'x' { b'y' } else { *byte }).collect();
    assert_eq!(refused(&unannounced), PushError::NotFragmented);
    // It claims data that are not there.
    assert_eq!(refused(&[header(), moof(&[picture(0, true)]), mdat(3)].concat()), PushError::Broken);
}

/// The header with one of its tracks alone, under number one, and fragments of that.
fn alone(id: u32) -> Vec<u8> {
    let header = header();
    let start = header.windows(4).position(|four| four == b"moov").expect("a header") - 4;
    crate::media::fmp4::joined::header(&[(&header[start..], &[(id, 1)])]).expect("a header").to_vec()
}

fn pictures(decode: u32) -> Vec<u8> {
    let trun = |at: u32| words(*b"trun", &[0x0000_0f01, 2, at, 10, 10, KEY, 2, 10, 11, OTHER, 2]);
    let tfdt = words(*b"tfdt", &[0, decode]);
    let traf = |at| bx(*b"traf", &[words(*b"tfhd", &[0x02_0000, 1]), tfdt.clone(), trun(at)]);
    let size = u32::try_from(moof(&[traf(0)]).len()).expect("small") + 8;
    let data = bx(*b"mdat", &[decode.to_be_bytes().repeat(6)]);
    [moof(&[traf(size)]), data].concat()
}

fn sounds(decode: u32) -> Vec<u8> {
    let tfdt = words(*b"tfdt", &[0, decode]);
    let traf =
        |at: u32| bx(*b"traf", &[words(*b"tfhd", &[0x02_0008, 1, 4800]), tfdt.clone(), words(*b"trun", &[1, 2, at])]);
    let size = u32::try_from(moof(&[traf(0)]).len()).expect("small") + 8;
    let data = bx(*b"mdat", &[decode.to_be_bytes().repeat(2)]);
    [moof(&[traf(size)]), data].concat()
}

#[test]
fn tracks_of_several_sources_are_in_one_object_and_in_step() {
    let mut of = Push::default();
    push_of(&mut of, "video", &[alone(VIDEO), pictures(1000)].concat()).expect("taken");
    // Sound is still on its way.
    assert!(of.ready().is_none() && of.knows("video") && !of.knows("audio"));
    push_of(&mut of, "audio", &[alone(AUDIO), sounds(484_800)].concat()).expect("taken");
    push_of(&mut of, "video", &pictures(1020)).expect("taken");
    push_of(&mut of, "audio", &sounds(494_400)).expect("taken");
    let objects = out(&mut of);
    let found = scan([&objects[0][..]]);
    let found = fragments(&found);
    let wanted = [[(1, 0, 2)], [(2, 4800, 2)], [(1, 20, 2)], [(2, 14_400, 2)]];
    assert_eq!(found.iter().map(|fragment| places(fragment)).collect::<Vec<_>>(), wanted);
    // One comes back with the same header, and goes on; the other one with another header begins another object.
    push_of(&mut of, "audio", &[alone(AUDIO), sounds(494_400), sounds(504_000)].concat()).expect("taken");
    let mut changed = alone(VIDEO);
    let profile = changed.windows(4).position(|name| name == b"avcC").expect("a configuration") + 5;
    changed[profile] += 1;
    push_of(&mut of, "video", &[changed, pictures(1040)].concat()).expect("taken");
    push_of(&mut of, "audio", &sounds(513_600)).expect("taken");
    let rest: Vec<u8> = std::iter::from_fn(|| {
        let piece = of.ready();
        of.handed_on();
        piece.filter(|piece| !piece.begins)
    })
    .flat_map(|piece| piece.bytes)
    .collect();
    let found = scan([&objects[0][..], &rest[..]]);
    assert_eq!(places(fragments(&found)[4]), [(2, 24_000, 2)]);
    of.leave();
    // The header is taken already.
    assert!(of.ready().is_some());
}

#[test]
fn what_is_ahead_of_something_that_is_missing_is_known_to_be() {
    let raw = |bytes: &[u8]| {
        let mut gather = Gather::default();
        gather.feed(bytes);
        match gather.whole() {
            Ok(Some(Gathered::Fragment(raw))) => raw,
            other => panic!("{other:?}"),
        }
    };
    let mut of = Push::default();
    push(&mut of, &[alone(VIDEO), pictures(0)].concat()).expect("taken");
    assert!(!of.is_early("", &raw(&pictures(20))) && of.is_early("", &raw(&pictures(40))));
    assert!(!of.is_early("other", &raw(&pictures(40))) && !of.is_early("", &raw(&pictures(0))));
    // Nobody waits for hours.
    assert!(!of.is_early("", &raw(&pictures(100_000))));
}

#[test]
fn what_a_killed_writer_has_left_is_gone_on_with_behind_the_same_header() {
    let mut of = Push::default();
    push(&mut of, &[header(), both(0, 0, 1), both(20, 9600, 2)].concat()).expect("taken");
    let mut state = None;
    while let Some(piece) = of.ready() {
        state = State::read(piece.after.write().as_bytes());
        of.handed_on();
    }
    let state = state.expect("where it was");
    assert!(state.has_begun() && state.is_pushed());
    let mut again = Push::going_on(state.clone());
    assert!(again.has_begun());
    push(&mut again, &[header(), both(700, 336_000, 3)].concat()).expect("taken");
    let piece = again.ready().expect("a fragment");
    assert!(!piece.begins);
    let found = scan([&header()[..], &piece.bytes[..]]);
    assert_eq!(places(fragments(&found)[0]), [(VIDEO, 40, 2), (AUDIO, 19_200, 2)]);
    assert!(fragments(&found)[0].anew && fragments(&found)[0].sequence == 3);
    // Behind another header there is nothing to be gone on with.
    let mut other = Push::going_on(state);
    push(&mut other, &[alone(VIDEO), pictures(0)].concat()).expect("taken");
    assert!(other.ready().expect("a header").begins);
}
