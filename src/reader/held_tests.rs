//! What a file is found to be the beginning of, among uploads and objects in memory.

use std::time::Duration;

use super::*;
use crate::object::live_objects::maker::{self, Maker};
use crate::object::wanted::Live;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Shelf};

const KEY: &str = "live.mp4";
const PART: u64 = 5_000_000;
/// [`COMPARED`].
const END: usize = 64 << 10;

/// Bytes that are the same each time and differ from place to place, and from one `seed` to another.
fn data(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// What is found for a file with these bytes, of a certain upload or of whichever there is.
async fn found(store: &Patient, upload_id: Option<&str>, bytes: &[u8]) -> Result<Match, HeldError> {
    let dir = tempfile::tempdir().expect("a directory");
    let held = Held { path: dir.path().join("copy"), bytes: bytes.len() as u64 };
    std::fs::write(&held.path, bytes).expect("a file");
    let wanted = Wanted { upload_id: upload_id.map(str::to_owned), live: Live::B2, ..Wanted::new(KEY) };
    find(store, &wanted, &held).await.expect("the store answers")
}

fn store() -> (Patient, Shelf) {
    let (store, shelf) = scripted::store();
    (store.patient(Retry { give_up_after: Duration::from_secs(60) }), shelf)
}

/// An open upload of one part.
fn open(shelf: &Shelf, bytes: &[u8]) -> String {
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, bytes.to_vec());
    id
}

fn finished(shelf: &Shelf, bytes: &[u8]) -> String {
    let id = open(shelf, bytes);
    shelf.complete(&id);
    id
}

/// Why it is none.
fn why(found: Result<Match, HeldError>) -> String {
    found.map(|found| format!("it was taken for {found:?}")).expect_err("another one").to_string()
}

#[tokio::test(start_paused = true)]
async fn any_length_of_the_beginning_is_known_by_two_small_ranges_at_most() {
    let all = data(1, 400_000);
    for is_finished in [true, false] {
        let (store, shelf) = store();
        let id = if is_finished { finished(&shelf, &all) } else { open(&shelf, &all) };
        for len in [1, END - 1, END, END + 1, 2 * END - 1, 2 * END, 2 * END + 1, 300_000, all.len() - 1, all.len()] {
            let before = shelf.asked().len();
            let found = found(&store, None, &all[..len]).await.unwrap_or_else(|error| panic!("{len}: {error}"));
            assert_eq!(found.located.version.as_ref(), Some(&id), "{len}");
            assert_eq!(found.located.finished, is_finished.then_some(all.len() as u64), "{len}");
            assert_eq!(found.part_size, Some(PART), "{len}");
            let asked = shelf.asked().split_off(before);
            let ranges = asked.iter().filter(|asked| asked.op == Op::Get).filter_map(|asked| asked.range);
            let sizes: Vec<u64> = ranges.map(|(first, last)| last - first + 1).filter(|size| *size > 1).collect();
            let compared: u64 = sizes.iter().sum();
            assert!(sizes.len() <= 2 && compared <= len.min(2 * END) as u64, "{len}: {sizes:?}");
        }
    }
}

/// The beginning and the end tell; what is between them does not, which docs/reliability.md says.
#[tokio::test(start_paused = true)]
async fn a_file_of_another_upload_is_known_by_the_first_byte_that_differs() {
    let (store, shelf) = store();
    let (old, new) = (data(1, 300_000), data(2, 300_000));
    let past = finished(&shelf, &old);
    let id = open(&shelf, &new);
    let changed = |at: usize, len: usize| {
        let mut bytes = new[..len].to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, at) in [
        (changed(100, 200_000), Some(100)),
        (changed(END - 1, 200_000), Some(END - 1)),
        (changed(199_999, 200_000), Some(199_999)),
        (changed(200_000 - END, 200_000), Some(200_000 - END)),
        (changed(END, 200_000), None),
        (changed(0, 1), Some(0)),
        (data(3, 10), Some(0)),
    ] {
        let found = found(&store, None, &bytes).await;
        let Some(at) = at else {
            assert_eq!(found.expect("the same").located.version.as_ref(), Some(&id));
            continue;
        };
        let why = why(found);
        assert!(why.contains(&format!("byte {at} (counted from 0) is another")), "{at}: {why}");
        assert!(why.contains(&id) && !why.contains(&past) && why.contains("--upload-id"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_longer_than_there_is_to_read_is_none_of_it() {
    let all = data(1, 300_000);
    for more in [1, END, 2 * END, 200_000] {
        let longer = [&all[..], &data(9, more)].concat();
        let (store, shelf) = store();
        let id = open(&shelf, &all);
        let why_open = why(found(&store, None, &longer).await);
        assert!(why_open.contains("can be read there"), "{more}: {why_open}");
        shelf.complete(&id);
        let why_finished = why(found(&store, None, &longer).await);
        assert!(why_finished.contains("that has 300000 bytes in all"), "{more}: {why_finished}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_upload_may_have_been_completed_since_and_another_begun() {
    let (store, shelf) = store();
    let (mine, other) = (data(1, 200_000), data(2, 200_000));
    let id = finished(&shelf, &mine);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let newer = shelf.begin(KEY, PART);
    for bytes in [&b""[..], &other[..1000], &other] {
        if !bytes.is_empty() {
            shelf.put(&newer, 1, bytes.to_vec());
        }
        let found = found(&store, None, &mine[..150_000]).await.expect("it is the older one");
        assert_eq!((found.located.version.as_ref(), found.located.finished), (Some(&id), Some(200_000)));
    }
    let found = found(&store, None, &other[..150_000]).await.expect("it is the newer one");
    assert_eq!((found.located.version.as_ref(), found.located.finished), (Some(&newer), None));
}

#[tokio::test(start_paused = true)]
async fn the_upload_that_is_named_is_compared_and_no_other() {
    let (store, shelf) = store();
    let (mine, other) = (data(1, 200_000), data(2, 200_000));
    let id = open(&shelf, &mine);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let newer = open(&shelf, &other);
    assert!(why(found(&store, None, &mine[..100]).await).contains(&newer));
    let named = found(&store, Some(&id), &mine[..100]).await.expect("it is named");
    assert_eq!(named.located.version.as_ref(), Some(&id));
    assert!(why(found(&store, Some(&newer), &mine[..100]).await).contains("byte 0"));
}

#[tokio::test(start_paused = true)]
async fn without_anything_to_read_it_is_of_nothing() {
    let (store, shelf) = store();
    assert!(matches!(found(&store, None, b"something").await, Err(HeldError::Nothing { .. })));
    let id = open(&shelf, b"something else");
    shelf.abort(&id);
    let why = why(found(&store, None, b"something").await);
    assert!(why.contains("no open upload and no finished object") && why.contains("leave --resume out"), "{why}");
    // Nobody waits here for one to begin: the file shows that it began.
    assert!(shelf.asked().len() < 20, "{:?}", shelf.asked());
}

/// A file with the first `bytes` of a recording, compared with what its live objects show.
async fn found_by_objects(store: &Patient, bytes: u64) -> Result<Match, HeldError> {
    let dir = tempfile::tempdir().expect("a directory");
    let held = Held { path: dir.path().join("copy"), bytes };
    std::fs::write(&held.path, maker::input(0, bytes)).expect("a file");
    find(store, &maker::reading(None).wanted, &held).await.expect("the store answers")
}

#[tokio::test(start_paused = true)]
async fn what_a_writer_that_goes_on_stores_anew_is_waited_for_and_not_for_long() {
    let (once, shelf) = scripted::store();
    let store = once.patient(Retry { give_up_after: Duration::from_secs(60) });
    let mut maker = Maker::begin(&once, &shelf, 1).await;
    maker.lay(0, 0, 300_000).await;
    // Its head told of nothing when it was killed: the next run begins with the first byte.
    maker.head.go_on(true).expect("another run");
    maker.beat().await;
    let start = tokio::time::Instant::now();
    let (found, ()) = tokio::join!(found_by_objects(&store, 300_000), async {
        sleep(Duration::from_secs(4)).await;
        maker.lay(1, 0, 300_000).await;
    });
    let found = found.expect("it is of this recording");
    assert_eq!(found.located.recording.map(|recording| recording.id), Some(maker.id.clone()));
    assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());

    let start = tokio::time::Instant::now();
    assert!(why(found_by_objects(&store, 300_001).await).contains("only 300000 bytes"));
    assert!(start.elapsed() <= STORED_ANEW + Duration::from_secs(3), "{:?}", start.elapsed());
}
