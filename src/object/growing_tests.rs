//! A follower on an object in memory that grows while it is got, on a paused clock: from any byte, in either way of
//! asking, at any rhythm, and with a limit to its patience.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::follow::Follower;
use super::reading::News;
use super::reading::{FollowError, Reading};
use super::wanted::{Live, Located, Wanted};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Shelf};
use crate::store::{Patient, Store};

const KEY: &str = "live.mp4";
const PART: usize = 5_000_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn patient(store: &Store) -> Patient {
    store.patient(Retry { give_up_after: millis(60_000) })
}

fn reading(by_part: bool, timeout: Option<Duration>) -> Reading {
    Reading { by_part, chunk_size: 1 << 20, ..Reading::within(timeout, Wanted { live: Live::B2, ..Wanted::new(KEY) }) }
}

fn located(id: &str, finished: Option<usize>) -> Located {
    let finished = finished.map(|size| size as u64);
    Located { version: Some(id.to_owned()), finished, may_list: true, ..Located::default() }
}

/// Bytes that are the same each time, and differ from place to place.
fn data(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// What was given, and when the last byte of it and the end came.
struct Followed {
    bytes: Vec<u8>,
    last_byte: Instant,
    end: Instant,
    result: Result<(), FollowError>,
}

async fn follow(mut follower: Follower) -> Followed {
    let (mut bytes, mut last_byte) = (Vec::new(), Instant::now());
    let result = loop {
        match follower.next().await {
            Ok(News::Bytes(more)) => {
                bytes.extend_from_slice(&more);
                last_byte = Instant::now();
            }
            Ok(News::Edge | News::Behind) => {}
            Ok(News::Ended) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Followed { bytes, last_byte, end: Instant::now(), result }
}

#[tokio::test(start_paused = true)]
async fn from_any_byte_the_rest_is_given_by_range_and_by_part() {
    let all = data(2 * PART + 100);
    for by_part in [false, true] {
        for is_finished in [true, false] {
            for from in [1, PART, PART + 1, all.len()] {
                let (store, shelf) = scripted::store();
                let id = shelf.begin(KEY, PART as u64);
                put(&shelf, &id, &all);
                if is_finished {
                    shelf.complete(&id);
                }
                let finished = is_finished.then_some(all.len());
                let mut follower =
                    Follower::new(&patient(&store), &reading(by_part, None), located(&id, finished), None);
                if from > 0 {
                    follower.window().go_on_at(from as u64, Some(PART as u64));
                }
                let later = async {
                    sleep(millis(5_000)).await;
                    shelf.complete(&id);
                };
                let (got, ()) = tokio::join!(follow(follower), later);
                let case = format!("by part: {by_part}, finished: {is_finished}, from {from}");
                assert!(got.result.is_ok(), "{case}: {:?}", got.result);
                assert!(got.bytes == all[from..], "{case}: {} bytes", got.bytes.len());
                let fetched: u64 = shelf.asked().iter().filter_map(|asked| asked.range).map(|(a, b)| b - a + 1).sum();
                assert!(!is_finished || by_part || fetched < (all.len() - from + 10 * (1 << 20)) as u64, "{case}");
            }
        }
    }
}

/// Parts of a steady rhythm: when the next one is due is known. A short one at the end says that it is over; after a full one
/// that shows when the next does not come.
#[tokio::test(start_paused = true)]
async fn at_any_rhythm_bytes_and_the_end_are_seen_soon() {
    let (full, short) = (data(6 * PART), data(5 * PART + 99));
    for by_part in [false, true] {
        for (rhythm, all) in
            [(350, &full), (350, &short), (1_900, &full), (5_000, &full), (5_000, &short), (20_000, &short)]
        {
            let (store, shelf) = scripted::store();
            let id = shelf.begin(KEY, PART as u64);
            let follower = Follower::new(&patient(&store), &reading(by_part, None), located(&id, None), None);
            let writer = async {
                let mut stored = Instant::now();
                for (number, part) in (1..).zip(all.chunks(PART)) {
                    sleep(millis(rhythm)).await;
                    shelf.put(&id, number, part.to_vec());
                    stored = Instant::now();
                }
                sleep(millis(300)).await;
                shelf.complete(&id);
                (stored, Instant::now())
            };
            let (got, (stored, completed)) = tokio::join!(follow(follower), writer);
            let case = format!("by part: {by_part}, a part each {rhythm} ms");
            assert!(got.result.is_ok() && got.bytes == *all, "{case}: {:?}", got.result);
            let (late, end) = (got.last_byte - stored, got.end - completed);
            assert!(late <= millis(1_000), "{case}: the last part was seen after {late:?}");
            let most = if all.len() == full.len() { (rhythm + 1_250).max(2_000) } else { 1_500 };
            assert!(end <= millis(most), "{case}: the end was seen after {end:?}");
            // Two requests a second and part, and a few.
            let seconds = rhythm * 6 / 1000 + 2;
            let most = usize::try_from(2 * seconds + 8 * 6 + 20).expect("a small number");
            assert!(shelf.asked().len() <= most, "{case}: {} requests, {most} at most", shelf.asked().len());
        }
    }
}

/// A look brings all of a part, also where less is asked for at a time: else none would tell when it came.
#[tokio::test(start_paused = true)]
async fn once_there_is_a_rhythm_whole_parts_are_seen_at_once() {
    let all = data(10 * PART);
    for by_part in [false, true] {
        let (store, shelf) = scripted::store();
        let id = shelf.begin(KEY, PART as u64);
        let mut follower = Follower::new(&patient(&store), &reading(by_part, None), located(&id, None), None);
        let writer = async {
            let mut stored = Vec::new();
            for (number, part) in (1..).zip(all.chunks(PART)) {
                sleep(millis(6_660)).await;
                shelf.put(&id, number, part.to_vec());
                stored.push(Instant::now());
            }
            shelf.complete(&id);
            stored
        };
        let reader = async {
            let mut seen = Vec::new();
            while !matches!(follower.next().await.expect("it comes"), News::Ended) {
                if follower.cursor().is_multiple_of(PART as u64) && follower.cursor() / PART as u64 > seen.len() as u64
                {
                    seen.push(Instant::now());
                }
            }
            seen
        };
        let (seen, stored) = tokio::join!(reader, writer);
        let late: Vec<_> = seen.iter().zip(&stored).map(|(seen, stored)| *seen - *stored).collect();
        assert_eq!(late.len(), 10);
        assert!(late[6..].iter().all(|late| *late <= millis(100)), "by part: {by_part}: {late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_counts_from_the_last_news() {
    let limit = millis(10_000);
    for (pauses, ends) in [([9_000; 5], true), ([9_000, 9_000, 9_000, 9_000, 12_000], false)] {
        let (store, shelf) = scripted::store();
        let id = shelf.begin(KEY, PART as u64);
        let follower = Follower::new(&patient(&store), &reading(false, Some(limit)), located(&id, None), None);
        let all = data(5_000);
        let writer = async {
            let mut last = Instant::now();
            for (at, pause) in pauses.into_iter().enumerate() {
                sleep(millis(pause)).await;
                shelf.put(&id, 1, all[..(at + 1) * 1000].to_vec());
                if ends || at < 4 {
                    last = Instant::now();
                }
            }
            shelf.complete(&id);
            last
        };
        let (got, last) = tokio::join!(follow(follower), writer);
        if ends {
            assert!(got.result.is_ok() && got.bytes == all, "{:?}", got.result);
            continue;
        }
        assert!(matches!(got.result, Err(FollowError::TimedOut { .. })), "{:?}", got.result);
        let took = got.end - last;
        // From when it was seen, which may be a second after it was stored.
        assert!(took >= limit && took <= limit + millis(1_000), "{took:?}");
        assert_eq!(got.bytes, all[..4_000]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_part_that_grows_is_given_once_and_to_its_end() {
    for by_part in [false, true] {
        let (store, shelf) = scripted::store();
        let id = shelf.begin(KEY, PART as u64);
        let follower = Follower::new(&patient(&store), &reading(by_part, None), located(&id, None), None);
        let all = data(PART + 3_000_000);
        let writer = async {
            shelf.put(&id, 1, all[..PART].to_vec());
            for end in [1, 1_000_000, 1_000_001, 2_999_999, 3_000_000] {
                shelf.put(&id, 2, all[PART..PART + end].to_vec());
                sleep(millis(1_700)).await;
            }
            shelf.complete(&id);
        };
        let (got, ()) = tokio::join!(follow(follower), writer);
        assert!(got.result.is_ok() && got.bytes == all, "{by_part}: {:?}", got.result);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_between_a_vain_look_and_the_question_for_the_end_is_not_lost() {
    let all = data(2 * PART + 99);
    for by_part in [false, true] {
        // At each moment of three seconds around a look.
        for at in (0..2_000).step_by(170) {
            let (store, shelf) = scripted::store();
            shelf.script(|asked, _| match asked.op {
                Op::Head | Op::Uploads => scripted::Reply::Late(millis(150)),
                _ => scripted::Reply::Honest,
            });
            let id = shelf.begin(KEY, PART as u64);
            shelf.put(&id, 1, all[..PART].to_vec());
            let follower = Follower::new(&patient(&store), &reading(by_part, None), located(&id, None), None);
            let writer = async {
                sleep(millis(5_000 + at)).await;
                shelf.put(&id, 2, all[PART..2 * PART].to_vec());
                shelf.put(&id, 3, all[2 * PART..].to_vec());
                shelf.complete(&id);
            };
            let (got, ()) = tokio::join!(follow(follower), writer);
            assert!(got.result.is_ok() && got.bytes == all, "{by_part}, {at} ms: {:?}", got.result);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_after_some_bytes_is_told_and_they_are_a_clean_beginning() {
    for by_part in [false, true] {
        for len in [0, 1, PART, PART + 77] {
            let (store, shelf) = scripted::store();
            let (id, all) = (shelf.begin(KEY, PART as u64), data(len));
            put(&shelf, &id, &all);
            let follower = Follower::new(&patient(&store), &reading(by_part, None), located(&id, None), None);
            let (got, ()) = tokio::join!(follow(follower), async {
                sleep(millis(3_000)).await;
                shelf.abort(&id);
            });
            assert!(matches!(got.result, Err(FollowError::Aborted { .. })), "{len}: {:?}", got.result);
            assert!(got.bytes == all, "{len}: {} bytes", got.bytes.len());
        }
    }
}

fn put(shelf: &Shelf, id: &str, bytes: &[u8]) {
    for (number, part) in (1..).zip(bytes.chunks(PART)) {
        shelf.put(id, number, part.to_vec());
    }
}
