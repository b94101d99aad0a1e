//! Many viewers on the store in memory: what they get, what it costs the store, and when it breaks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::future::join_all;
use http_body_util::BodyExt;
use tokio::time::{advance, sleep};

use super::*;
use crate::object::live_objects::maker::{self, Maker};
use crate::serve::blocks::LEAST_MEMORY;
use crate::serve::body::{Body, Stretch};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Reply, Shelf};

#[path = "trouble_tests.rs"]
mod trouble;

const KEY: &str = "show.mp4";
const PART: u64 = 5_000_000;
/// Enough for all of what is watched.
const MEMORY: u64 = 64 << 20;

/// Bytes of all inputs here; those of one are the same each time.
fn input(from: u64, to: u64) -> &'static [u8] {
    static ALL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let all = ALL.get_or_init(|| maker::input(0, 9 * PART));
    let at = |offset: u64| usize::try_from(offset).expect("in memory");
    &all[at(from)..at(to)]
}

fn served() -> (Arc<Recordings>, Arc<Blocks>, Shelf) {
    let (store, shelf) = scripted::store();
    let (recordings, blocks) = over(&store, LEAST_MEMORY);
    (recordings, blocks, shelf)
}

fn over(store: &crate::store::Store, memory: u64) -> (Arc<Recordings>, Arc<Blocks>) {
    let blocks = Arc::new(Blocks::new(memory));
    let patient = store.patient(Retry { give_up_after: Duration::from_secs(3_600) });
    (Arc::new(Recordings::new(patient, Wanted::new(""), Arc::clone(&blocks))), blocks)
}

/// A viewer of bytes `first` to before `end`.
async fn view(recordings: &Recordings, first: u64, end: Option<u64>) -> Result<Vec<u8>, String> {
    let viewing = recordings.find("bucket", KEY, None).await.map_err(|refusal| refusal.text.to_string())?;
    let body = Body::stretch(Stretch::new(viewing, first, end));
    body.collect().await.map(|whole| whole.to_bytes().to_vec()).map_err(|error| error.to_string())
}

/// Counts the bytes that the store gives while it is asked for `KEY`, of which `readable` are there.
fn count(shelf: &Shelf, readable: &Arc<AtomicU64>) -> Arc<AtomicU64> {
    let (given, readable) = (Arc::<AtomicU64>::default(), Arc::clone(readable));
    let counted = Arc::clone(&given);
    shelf.script(move |asked, _| {
        if let (Op::Get, Some((first, last)), true) = (asked.op, asked.range, asked.key == KEY) {
            counted.fetch_add((last + 1).min(readable.load(Relaxed)).saturating_sub(first), Relaxed);
        }
        Reply::Honest
    });
    given
}

fn put(shelf: &Shelf, readable: &AtomicU64, id: &str, part: u32, length: u64) {
    let from = u64::from(part - 1) * PART;
    shelf.put(id, part, input(from, from + length));
    readable.store(from + length, Relaxed);
}

#[tokio::test(start_paused = true)]
async fn fifty_viewers_wherever_they_join_cost_one_read_of_the_store() {
    let (store, shelf) = scripted::store();
    let (recordings, blocks) = over(&store, MEMORY);
    let readable = Arc::<AtomicU64>::default();
    let given = count(&shelf, &readable);
    let id = shelf.begin(KEY, PART);
    put(&shelf, &readable, &id, 1, PART);
    let viewers = (0..50u64).map(|number| {
        let recordings = Arc::clone(&recordings);
        tokio::spawn(async move {
            sleep(Duration::from_millis(number * 130)).await;
            let first = if number % 2 == 0 { 0 } else { number * 99_991 };
            (first, view(&recordings, first, None).await)
        })
    });
    let viewers: Vec<_> = viewers.collect();
    for part in 2..5 {
        sleep(Duration::from_millis(2_500)).await;
        put(&shelf, &readable, &id, part, if part == 4 { 1_234_567 } else { PART });
        assert!(blocks.held() <= MEMORY);
    }
    sleep(Duration::from_secs(1)).await;
    shelf.complete(&id);
    let size = 3 * PART + 1_234_567;
    for viewer in join_all(viewers).await {
        let (first, bytes) = viewer.expect("no panic");
        assert!(bytes.expect("to its end") == input(first, size), "from {first}");
    }
    let given = given.load(Relaxed);
    assert!(given * 100 <= size * 102, "{given} bytes of the store for {size}");
    assert!(shelf.count(Op::Uploads) <= 10, "{} lists", shelf.count(Op::Uploads));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_end_breaks_off_a_minute_after_its_link_and_what_has_one_does_not() {
    let (recordings, _, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut took = Vec::new();
    for (end, until) in [(None, Some(now + 5)), (None, Some(now - 1_000)), (Some(PART), Some(now + 5))] {
        let viewing = recordings.find("bucket", KEY, None).await.expect("it is there");
        let body = Body::stretch(Stretch::new(viewing, 0, end)).ends_at(until);
        let began = tokio::time::Instant::now();
        let whole = body.collect().await.map(|whole| whole.to_bytes().len() as u64);
        assert_eq!(whole.ok(), end, "{until:?}");
        took.push(began.elapsed().as_secs());
    }
    assert!((64..67).contains(&took[0]) && (60..62).contains(&took[1]), "{took:?}");
    // What goes on for ever without a link is at its end when that is there.
    let viewer = tokio::spawn(async move { view(&recordings, 0, None).await });
    sleep(Duration::from_secs(1_000)).await;
    assert!(!viewer.is_finished());
    shelf.complete(&id);
    assert!(viewer.await.expect("no panic").expect("to its end") == input(0, PART));
}

#[tokio::test(start_paused = true)]
async fn any_range_is_what_the_object_has_there_while_it_grows_and_after() {
    let (recordings, blocks, shelf) = served();
    let readable = Arc::<AtomicU64>::default();
    let id = shelf.begin(KEY, PART);
    let mut random = fastrand::Rng::with_seed(7);
    for part in 1..10 {
        put(&shelf, &readable, &id, part, PART);
        if part == 9 {
            shelf.complete(&id);
        }
        sleep(Duration::from_secs(3)).await;
        let size = readable.load(Relaxed);
        for _ in 0..12 {
            let first = random.u64(0..size);
            let end = (first + random.u64(1..3_000_000)).min(size);
            let bytes = view(&recordings, first, Some(end)).await.expect("it is there");
            assert!(bytes == input(first, end), "{first} to {end} of {size}");
            assert!(blocks.held() <= LEAST_MEMORY);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_finished_is_what_it_was_while_it_grew() {
    let (recordings, _, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let before = recordings.find("bucket", KEY, None).await.expect("it is there").identity.clone();
    advance(Duration::from_secs(100)).await;
    shelf.complete(&id);
    let finished = recordings.find("bucket", KEY, None).await.expect("it is there");
    assert_eq!((&finished.identity, finished.edge().size), (&before, Some(PART)));
    drop(finished);
    // Another process.
    let (again, _) = over(recordings.store.once(), LEAST_MEMORY);
    assert_eq!(again.find("bucket", KEY, None).await.expect("it is there").identity, before);
    // A certain version, when there is a newer one.
    let newer = shelf.begin(KEY, PART);
    shelf.put(&newer, 1, &b"newer"[..]);
    advance(Duration::from_secs(2)).await;
    assert_ne!(recordings.find("bucket", KEY, None).await.expect("it is there").identity, before);
    assert_eq!(again.find("bucket", KEY, Some(&id)).await.expect("it is there").identity, before);
    let none = again.find("bucket", KEY, Some("no-such-version")).await.expect_err("there is none");
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn nobody_watching_costs_nothing_after_a_minute() {
    let (recordings, blocks, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let tidy = tokio::spawn({
        let recordings = Arc::clone(&recordings);
        async move { recordings.tidy().await }
    });
    let viewing = recordings.find("bucket", KEY, None).await.expect("it is there");
    let mut body = Body::stretch(Stretch::new(viewing, PART - 10, None));
    body.frame().await.expect("a frame").expect("bytes");
    drop(body);
    sleep(IDLE / 2).await;
    let (before, at) = (shelf.asked().len(), recordings.open().len());
    sleep(IDLE).await;
    let after = shelf.asked().len();
    assert!(after > before && at == 1, "it was followed for a while");
    assert!(recordings.open().is_empty());
    sleep(IDLE * 10).await;
    assert_eq!(shelf.asked().len(), after);
    assert!(blocks.held() <= PART);
    // It is followed anew from where it is then.
    shelf.put(&id, 2, input(PART, 2 * PART));
    shelf.complete(&id);
    assert!(view(&recordings, 17, None).await.expect("to its end") == input(17, 2 * PART));
    tidy.abort();
}

#[tokio::test(start_paused = true)]
async fn who_goes_to_an_end_that_is_not_known_breaks_when_the_program_ends() {
    let (recordings, _, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let viewer = |end: Option<u64>| {
        let recordings = Arc::clone(&recordings);
        tokio::spawn(async move { view(&recordings, 0, end).await })
    };
    let (endless, finite) = (viewer(None), viewer(Some(PART)));
    assert!(finite.await.expect("no panic").expect("it has an end") == input(0, PART));
    sleep(Duration::from_secs(1)).await;
    assert!(!endless.is_finished());
    recordings.stop();
    assert!(endless.await.expect("no panic").is_err());
    let viewing = recordings.find("bucket", KEY, None).await.expect("it is there");
    assert!(viewing.wait_for(2 * PART).await.is_err(), "what is held back is answered");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_asked_for_once_a_second() {
    let (recordings, _, shelf) = served();
    for _ in 0..20 {
        let none = recordings.find("bucket", KEY, None).await.expect_err("nothing is there");
        assert_eq!(none.status, StatusCode::NOT_FOUND);
    }
    let asked = shelf.asked().len();
    assert!(asked <= 5, "{asked} requests");
    shelf.lay(KEY, &b"now"[..]);
    advance(Duration::from_secs(1)).await;
    assert_eq!(view(&recordings, 0, Some(3)).await.as_deref(), Ok(&b"now"[..]));
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_costs_a_byte_and_seldom_a_list_and_gets_a_newer_upload_as_soon() {
    let (recordings, _, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let viewer = tokio::spawn({
        let recordings = Arc::clone(&recordings);
        async move { view(&recordings, 0, None).await }
    });
    sleep(Duration::from_secs(2)).await;
    let lists = shelf.count(Op::Uploads);
    let mut tag = String::new();
    for _ in 0..100 {
        sleep(Duration::from_millis(1_100)).await;
        tag = recordings.find("bucket", KEY, None).await.expect("it is there").identity.etag.clone();
    }
    // Beside those of the follower, which sees that nothing comes.
    let more = shelf.count(Op::Uploads) - lists;
    assert!(more <= 12, "{more} lists in 110 s");
    shelf.complete(&id);
    assert!(viewer.await.expect("no panic").expect("to its end") == input(0, PART));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(recordings.find("bucket", KEY, None).await.expect("it is there").identity.etag, tag);
    let newer = shelf.begin(KEY, PART);
    shelf.put(&newer, 1, &b"newer"[..]);
    sleep(Duration::from_millis(1_100)).await;
    let found = recordings.find("bucket", KEY, None).await.expect("it is there");
    assert!(found.identity.version == newer && found.identity.etag != tag);
    drop(found);
    shelf.abort(&newer);
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(recordings.find("bucket", KEY, None).await.expect("it is there").identity.etag, tag);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_before_it_is_complete_hides_nothing_that_can() {
    let (recordings, _, shelf) = served();
    shelf.without_live_read();
    shelf.lay(KEY, &b"before"[..]);
    advance(Duration::from_secs(10)).await;
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, &b"after"[..]);
    assert_eq!(view(&recordings, 0, Some(6)).await.as_deref(), Ok(&b"before"[..]));
    shelf.complete(&id);
    advance(Duration::from_secs(2)).await;
    assert_eq!(view(&recordings, 0, Some(5)).await.as_deref(), Ok(&b"after"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_recording_with_live_objects_is_watched_to_its_end_and_stays_what_it_is() {
    let (store, shelf) = scripted::store();
    shelf.without_live_read();
    let blocks = Arc::new(Blocks::new(LEAST_MEMORY));
    let patient = store.patient(Retry { give_up_after: Duration::from_secs(3_600) });
    let wanted = Wanted { live: crate::object::wanted::Live::Objects, ..Wanted::new("") };
    let recordings = Arc::new(Recordings::new(patient, wanted, Arc::clone(&blocks)));
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    for _ in 0..9 {
        maker.object(400_000).await;
    }
    maker.beat().await;
    let before = recordings.find("bucket", KEY, None).await.expect("it is there").identity.clone();
    let viewers: Vec<_> = [0, 17, 2_000_000, 3_599_999]
        .map(|first| {
            let recordings = Arc::clone(&recordings);
            tokio::spawn(async move { (first, view(&recordings, first, None).await) })
        })
        .into();
    for _ in 0..6 {
        sleep(Duration::from_millis(900)).await;
        maker.object(400_000).await;
        maker.beat().await;
    }
    assert!(view(&recordings, 100_000, Some(5_000_000)).await.expect("it is there") == input(100_000, 5_000_000));
    let size = maker.head.edge();
    maker.end().await;
    for viewer in join_all(viewers).await {
        let (first, bytes) = viewer.expect("no panic");
        assert!(bytes.expect("to its end") == input(first, size), "from {first}");
    }
    advance(Duration::from_secs(2)).await;
    let after = recordings.find("bucket", KEY, None).await.expect("it is there");
    assert_eq!((&after.identity, after.edge().size), (&before, Some(size)));
    assert!(view(&recordings, 5, Some(size)).await.expect("it is there") == input(5, size));
}
