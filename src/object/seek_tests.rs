//! Places in recordings that are made by hand and lie in memory: which fragment is found, and by how many looks.

use std::time::Duration;

use super::*;
use crate::media::fmp4::fragments::tests::{VIDEO, header, mdat, moof, picture, sound};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Shelf};

const KEY: &str = "show.mp4";
/// A fragment lasts 120 ms.
const TICK: i64 = 120_000_000;

/// Fragments of 120 ms with so many bytes of media data each, of which each `keys`-th begins with a key frame.
fn recording(fragments: u32, keys: u32, len: usize) -> Vec<u8> {
    let mut bytes = header();
    for number in 0..fragments {
        bytes.extend(moof(&[picture(number * 12, number % keys == 0)]));
        bytes.extend(mdat(len));
    }
    bytes
}

/// The same where sound comes in fragments of its own before those of the picture.
fn with_sound_before(fragments: u32) -> Vec<u8> {
    let mut bytes = header();
    for number in 0..fragments {
        bytes.extend([moof(&[sound(u64::from(number) * 5760, 6)]), mdat(300)].concat());
        bytes.extend([moof(&[picture(number * 12, true)]), mdat(5_000)].concat());
    }
    bytes
}

fn store(bytes: &[u8], is_finished: bool) -> (Patient, Shelf, Target) {
    let (store, shelf) = scripted::store();
    let id = shelf.begin(KEY, 100_000_000);
    shelf.put(&id, 1, bytes.to_vec());
    if is_finished {
        shelf.complete(&id);
    }
    let target = Target {
        key: KEY.to_owned(),
        version: Some(id),
        etag: None,
        live: true,
        hold: crate::object::stretch::Hold::Object,
    };
    (store.patient(Retry { give_up_after: Duration::from_secs(60) }), shelf, target)
}

async fn seeker<'a>(store: &'a Patient, target: &Target, finished: Option<u64>) -> Box<Seeker<'a>> {
    match open(store, target.clone(), finished).await {
        Ok(Opened::Fragments(seeker)) => seeker,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_time_is_found_by_looks_that_grow_with_the_logarithm_of_the_length() {
    for (fragments, keys, len) in
        [(20, 1, 1_000), (400, 1, 50_000), (4_000, 10, 5_000), (10_000, 8, 900), (300, 25, 60_000)]
    {
        let bytes = recording(fragments, keys, len);
        let case = format!("{fragments} fragments of {len} bytes, a key frame in each {keys}th");
        let (store, _shelf, target) = store(&bytes, true);
        let most = 6 + 2 * (bytes.len() >> 18).checked_ilog2().map_or(0, |log| log + 1);
        let mut sum = 0;
        let times = 7;
        for place in 0..times {
            let time = i64::from(fragments) * TICK * place / times + TICK / 3;
            let mut seeker = seeker(&store, &target, Some(bytes.len() as u64)).await;
            let found = seeker.start_for(time).await.expect("it is found");
            let shown = seeker.main_run(&found).expect("a picture").nanos(seeker.main_run(&found).expect("one").first);
            let last_key = time / TICK / i64::from(keys) * i64::from(keys) * TICK;
            assert!(found.key, "{case}: no key frame at {time}");
            assert_eq!(shown, last_key, "{case}: at {time}");
            let requests = seeker.ranges.requests;
            assert!(requests <= most, "{case}: {requests} requests where {most} are allowed");
            assert!(seeker.ranges.bytes < 3_000_000 + bytes.len() as u64 / 4, "{case}: {} bytes", seeker.ranges.bytes);
            sum += i64::from(requests);
        }
        assert!(sum / times <= 12, "{case}: {sum} requests for {times} times");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_key_frame_of_a_recording_that_grows_is_found() {
    for (fragments, keys) in [(1, 1), (2, 2), (50, 1), (50, 7), (400, 25)] {
        let bytes = recording(fragments, keys, 20_000);
        // It ends in the middle of a fragment, as a part does.
        let cut = bytes.len() - 10_000;
        let (store, _shelf, target) = store(&bytes[..cut], false);
        let mut seeker = seeker(&store, &target, None).await;
        assert_eq!(seeker.edge, cut as u64);
        let found = seeker.key_before(seeker.edge, i64::MAX).await.expect("it is found");
        let decode = found.run(VIDEO).expect("a picture").decode;
        assert_eq!(decode, u64::from((fragments - 1) / keys * keys) * 12, "{fragments} fragments, {keys}");
        assert!(seeker.ranges.requests <= 8, "{} requests", seeker.ranges.requests);
    }
}

#[tokio::test(start_paused = true)]
async fn sound_that_comes_before_its_picture_is_not_left_out() {
    let bytes = with_sound_before(100);
    let (store, _shelf, target) = store(&bytes, true);
    let mut seeker = seeker(&store, &target, Some(bytes.len() as u64)).await;
    let found = seeker.start_for(50 * TICK + 1).await.expect("it is found");
    let from = seeker.with_company(&found).await.expect("it is found");
    assert!(from < found.first, "the sound before it is left out");
    let at = usize::try_from(from).expect("a small number");
    assert_eq!(&bytes[at + 4..at + 8], b"moof");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_fragment_is_told_from_what_has_none_yet() {
    let head = header();
    let plain = b"any text at all".repeat(1000);
    for (bytes, is_finished, expected) in [
        (&head[..], true, "there is no fragment in it"),
        (&plain, true, "does not begin with an MP4 box"),
        (&plain, false, "does not begin with an MP4 box"),
    ] {
        let (store, _shelf, target) = store(bytes, is_finished);
        let finished = is_finished.then_some(bytes.len() as u64);
        let error = open(&store, target, finished).await.map(|_| ()).expect_err("nothing to be found");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for bytes in [&head[..head.len() - 5], &head[..]] {
        let (store, _shelf, target) = store(bytes, false);
        assert!(matches!(open(&store, target, None).await, Err(SeekError::TooEarly(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_told() {
    let (store, shelf, target) = store(&recording(10, 1, 1_000), false);
    shelf.abort(target.version.as_ref().expect("an id"));
    assert!(matches!(open(&store, target, None).await, Err(SeekError::Absent(_))));
}
