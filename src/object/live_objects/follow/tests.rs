//! A reader of live objects against a writer that the test plays, on a clock that stands still while nothing is waited for.

use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use crate::object::follower;
use crate::object::live_objects::locate::Finder;
use crate::object::live_objects::maker::{Maker, input, labels, millis, reading, requests, seconds};
use crate::object::locate::locate;
use crate::object::reading::FollowError;
use crate::protocol::live_objects::{CACHE_IMMUTABLE, LENGTH_METADATA, State};
use crate::store::Store;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Asked, Op, Reply};

/// What was read, how it ended, and when.
struct Read {
    bytes: Vec<u8>,
    result: Result<(), FollowError>,
    took: Duration,
}

impl Read {
    fn message(&self) -> String {
        self.result.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }

    fn is_all(&self, size: u64) {
        assert!(self.result.is_ok(), "{}", self.message());
        assert_eq!(self.bytes.len() as u64, size);
        assert!(self.bytes == input(0, size), "other bytes");
    }
}

/// Follows the recording that the pointer names; takes bytes as fast as `each` lets it.
async fn read(store: &Store, timeout: Option<Duration>, each: Duration) -> Read {
    let store = store.patient(Retry { give_up_after: seconds(36_000) });
    let reading = reading(timeout);
    let began = Instant::now();
    let mut finder = Finder::new(&reading.wanted).expect("names");
    let found = loop {
        match finder.look(&store).await.expect("a look") {
            Some(found) => break found,
            None => tokio::time::sleep(millis(10)).await,
        }
    };
    let mut follower = follower::Follower::new(&store, &reading, found.located(true), None);
    let mut bytes = Vec::new();
    let result = loop {
        match follower.next().await {
            Ok(News::Bytes(more)) => {
                bytes.extend_from_slice(&more);
                if !each.is_zero() {
                    tokio::time::sleep(each).await;
                }
            }
            Ok(News::Ended) => break Ok(()),
            Ok(News::Edge | News::Behind) => {}
            Err(error) => break Err(error),
        }
    };
    Read { bytes, result, took: began.elapsed() }
}

#[tokio::test(start_paused = true)]
async fn it_is_read_as_it_comes_and_the_end_follows_at_once() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    for number in 0..120 {
        tokio::time::sleep(seconds(1)).await;
        maker.object(1_000 + number).await;
        if number % 5 == 4 {
            maker.beat().await;
        }
    }
    let (gets, heads) = requests(&shelf);
    println!("{gets} GET and {heads} HEAD for 120 live objects");
    assert!(gets <= 300 && heads <= 12, "{gets} GET, {heads} HEAD");
    tokio::time::sleep(millis(400)).await;
    let (size, ended) = (maker.head.edge(), Instant::now());
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
    assert!(ended.elapsed() <= millis(1_500), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bytes_come_soon_after_their_object() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let located = locate(&patient, &reading(None).wanted).await.expect("it is there");
    let mut follower = follower::Follower::new(&patient, &reading(None), located, None);
    let (tell, mut came) = tokio::sync::mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Ok(news) = follower.next().await {
            if let News::Bytes(_) = news {
                tell.send(Instant::now()).expect("the test waits");
            }
        }
    });
    let mut late = Vec::new();
    for number in 0..100_u64 {
        tokio::time::sleep(millis(960 + number * 37 % 80)).await;
        maker.object(1_000).await;
        let put = Instant::now();
        let seen = came.recv().await.expect("it is read");
        late.push(seen - put);
        tokio::time::sleep_until(put).await;
    }
    reader.abort();
    late.sort();
    println!("median {:?}, p95 {:?}", late[50], late[95]);
    assert!(late[95] <= millis(150), "{:?}", late[95]);
}

#[tokio::test(start_paused = true)]
async fn who_misses_the_mark_and_finds_all_deleted_sees_the_end_as_soon() {
    for after in [0, 100, 300, 500, 900] {
        let (store, shelf) = scripted::store();
        let mut maker = Maker::begin(&store, &shelf, 1).await;
        let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
        for _ in 0..20 {
            tokio::time::sleep(seconds(1)).await;
            maker.object(1_000).await;
        }
        tokio::time::sleep(millis(after)).await;
        // Nothing of this is ever seen.
        maker.object(777).await;
        let (size, ended) = (maker.head.edge(), Instant::now());
        maker.end().await;
        reader.await.expect("it ends").is_all(size);
        assert!(ended.elapsed() <= millis(2_000), "{:?} where it ended {after} ms after an object", ended.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_in_the_middle_of_a_slow_part_is_seen_as_soon() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.head.max_latency = None;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    for _ in 0..20 {
        tokio::time::sleep(seconds(7)).await;
        maker.object(5_000).await;
        maker.beat().await;
    }
    tokio::time::sleep(millis(3_100)).await;
    maker.object(777).await;
    let (size, ended) = (maker.head.edge(), Instant::now());
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
    assert!(ended.elapsed() <= millis(1_500), "{:?}", ended.elapsed());
    let (gets, heads) = requests(&shelf);
    println!("{gets} GET and {heads} HEAD for 21 live objects, one in 7 s");
}

#[tokio::test(start_paused = true)]
async fn a_completion_between_the_mark_and_the_look_at_key_loses_nothing() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(5_000).await;
    maker.mark().await;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    // The completion takes its time.
    tokio::time::sleep(seconds(30)).await;
    maker.complete().await;
    let ended = Instant::now();
    reader.await.expect("it ends").is_all(5_000);
    assert!(ended.elapsed() <= millis(1_100), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_torn_or_without_its_length_is_not_there_yet() {
    let (store, shelf) = scripted::store();
    let maker = Maker::begin(&store, &shelf, 1).await;
    let (first, second) = (maker.names.object(&maker.id, 0, 0), maker.names.object(&maker.id, 0, 4_000));
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    shelf.lay(&first, input(0, 4_000));
    tokio::time::sleep(seconds(3)).await;
    let long = labels(Some((LENGTH_METADATA, "4000".to_owned())), CACHE_IMMUTABLE);
    maker.put(&first, input(0, 1_234), long).await;
    tokio::time::sleep(seconds(3)).await;
    maker.lay(0, 0, 4_000).await;
    shelf.lay(&second, Vec::new());
    tokio::time::sleep(seconds(3)).await;
    maker.lay(0, 4_000, 100).await;
    let mut maker = maker;
    maker.head.push(4_000);
    maker.head.push(100);
    maker.end().await;
    reader.await.expect("it ends").is_all(4_100);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_breaks_off_is_gone_on_with() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(4_000).await;
    maker.object(4_000).await;
    let broken = maker.names.object(&maker.id, 0, 4_000);
    let mut times = 0;
    shelf.script(move |asked, _| {
        let cut = asked.op == Op::Get && asked.key == broken && times < 2;
        times += usize::from(cut);
        if cut { Reply::Cut(1_000) } else { Reply::Honest }
    });
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    tokio::time::sleep(seconds(5)).await;
    maker.end().await;
    reader.await.expect("it ends").is_all(8_000);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_objects_are_caught_up_with_four_at_a_time_whatever_the_order_of_their_answers() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    for number in 0..2_400_u64 {
        maker.object(1 + number % 13).await;
    }
    maker.beat().await;
    let (under_way, most) = (Arc::new(Mutex::new(Vec::<Instant>::new())), Arc::new(Mutex::new(0)));
    let (log, top) = (under_way.clone(), most.clone());
    let mut number: u64 = 0;
    shelf.script(move |asked, _| {
        if asked.op != Op::Get {
            return Reply::Honest;
        }
        number += 1;
        let wait = millis(number.wrapping_mul(2_654_435_761) % 50);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        log.retain(|until| *until > now);
        log.push(now + wait);
        let mut top = top.lock().unwrap_or_else(PoisonError::into_inner);
        *top = log.len().max(*top);
        Reply::Late(wait)
    });
    let size = maker.head.edge();
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    tokio::time::sleep(seconds(80)).await;
    let (gets, _) = requests(&shelf);
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
    let most = *most.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{gets} GET, at most {most} at once");
    assert!(most <= 5, "{most} at once");
    assert!((2_400..2_600).contains(&gets), "{gets} GET");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_goes_over_the_end_into_key() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    let slow = store.clone();
    let reader = tokio::spawn(async move { read(&slow, None, seconds(3)).await });
    for _ in 0..60 {
        tokio::time::sleep(seconds(1)).await;
        maker.object(5_000).await;
    }
    let ahead = requests(&shelf).0;
    assert!(ahead <= 20 + 3 * 4 + 20, "{ahead} GET in a minute in which it took twenty objects");
    let size = maker.head.edge();
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_gone_on_with_by_another_run_from_before_what_was_read() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    maker.object(1_000).await;
    maker.beat().await;
    // What the first writer had sent of which its head does not know.
    maker.lay(0, 1_000, 1_000).await;
    maker.lay(0, 2_000, 500).await;
    tokio::time::sleep(seconds(60)).await;
    maker.head.go_on(true).expect("another run");
    maker.beat().await;
    for _ in 0..10 {
        maker.object(700).await;
        tokio::time::sleep(seconds(1)).await;
    }
    let size = maker.head.edge();
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_gone_on_with_where_what_was_read_is_kept_and_else_ends_with_an_error() {
    for lost in [false, true] {
        let (store, shelf) = scripted::store();
        let mut maker = Maker::begin(&store, &shelf, 1).await;
        let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
        maker.object(1_000).await;
        maker.object(1_000).await;
        if lost {
            maker.lay(0, 2_000, 500).await;
        }
        maker.beat().await;
        tokio::time::sleep(seconds(60)).await;
        maker.head.go_on(false).expect("another run");
        maker.beat().await;
        tokio::time::sleep(seconds(3)).await;
        maker.object(700).await;
        tokio::time::sleep(seconds(10)).await;
        maker.clone().end().await;
        let read = reader.await.expect("it ends");
        if lost {
            let message = read.message();
            assert!(message.contains("goes on from byte 2000") && message.contains("after 2500 bytes"), "{message}");
        } else {
            read.is_all(2_700);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_key_has_at_the_place_of_the_newest_bytes_must_be_they() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(6_000).await;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    tokio::time::sleep(seconds(5)).await;
    let mut other = input(0, 9_000);
    other[5_999] ^= 1;
    maker.complete_with(other).await;
    maker.clean().await;
    let read = reader.await.expect("it ends");
    assert!(read.message().contains("are not its beginning"), "{}", read.message());
    assert!(read.bytes == input(0, 6_000));
}

#[tokio::test(start_paused = true)]
async fn another_recording_under_key_is_nothing_while_one_s_own_goes_on_and_the_end_when_it_is_over() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(1_000).await;
    let reader = {
        let store = store.clone();
        tokio::spawn(async move { read(&store, None, Duration::ZERO).await })
    };
    tokio::time::sleep(seconds(2)).await;
    let other = Maker::begin(&store, &shelf, 2).await;
    other.complete_with(b"the other one".to_vec()).await;
    tokio::time::sleep(seconds(30)).await;
    maker.object(1_000).await;
    tokio::time::sleep(seconds(30)).await;
    assert!(!reader.is_finished());
    // Its own completion is overwritten before it is seen.
    maker.clean().await;
    let over = Instant::now();
    let read = reader.await.expect("it ends");
    assert!(read.message().contains("another object has taken its place"), "{}", read.message());
    assert_eq!(read.bytes, input(0, 2_000));
    assert!(over.elapsed() <= seconds(30), "{:?}", over.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_told_and_leaves_a_clean_beginning() {
    for head_too in [false, true] {
        let (store, shelf) = scripted::store();
        let mut maker = Maker::begin(&store, &shelf, 1).await;
        maker.object(1_000).await;
        let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
        tokio::time::sleep(seconds(5)).await;
        maker.state(State::Aborted).await;
        if head_too {
            maker.clean().await;
        }
        let over = Instant::now();
        let read = reader.await.expect("it ends");
        assert!(read.message().contains("was aborted"), "{}", read.message());
        assert_eq!(read.bytes, input(0, 1_000));
        assert!(over.elapsed() <= seconds(20), "{:?}", over.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn where_live_objects_are_given_up_key_is_waited_for() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(1_000).await;
    let reader = tokio::spawn(async move { read(&store, None, Duration::ZERO).await });
    tokio::time::sleep(seconds(5)).await;
    maker.state(State::GivenUp).await;
    tokio::time::sleep(seconds(600)).await;
    let before = requests(&shelf);
    maker.complete_with(input(0, 50_000)).await;
    let ended = Instant::now();
    reader.await.expect("it ends").is_all(50_000);
    assert!(ended.elapsed() <= seconds(2), "{:?}", ended.elapsed());
    assert!(before.0 <= 260 && before.1 <= 700, "{before:?} requests in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_killed_is_waited_for_as_long_as_was_asked() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(1_000).await;
    let read = read(&store, Some(seconds(120)), Duration::ZERO).await;
    assert!(read.message().contains("nothing new has come for 120 s"), "{}", read.message());
    assert!(read.message().contains("its writer has not been heard of for long"), "{}", read.message());
    assert_eq!(read.bytes, input(0, 1_000));
    let (gets, heads) = requests(&shelf);
    println!("{gets} GET and {heads} HEAD in 120 s of silence");
    assert!(read.took >= seconds(120) && gets + heads <= 260, "{gets} GET, {heads} HEAD");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_list_is_refused_what_is_missing_and_reads_all_the_same() {
    let (store, shelf) = scripted::store();
    let there = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let known = there.clone();
    shelf.script(move |asked: &Asked, _| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.op {
            Op::Put => drop(known.insert(asked.key.clone())),
            Op::Delete => drop(known.remove(&asked.key)),
            Op::Get | Op::Head if !known.contains(&asked.key) => return Reply::Status(403, "AccessDenied"),
            _ => {}
        }
        Reply::Honest
    });
    let reader = {
        let store = store.clone();
        tokio::spawn(async move { read(&store, None, Duration::ZERO).await })
    };
    tokio::time::sleep(seconds(10)).await;
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    for _ in 0..30 {
        tokio::time::sleep(seconds(1)).await;
        maker.object(1_000).await;
    }
    let (size, ended) = (maker.head.edge(), Instant::now());
    maker.end().await;
    reader.await.expect("it ends").is_all(size);
    assert!(ended.elapsed() <= millis(2_500), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_never_answered_keeps_no_data_back() {
    let (store, shelf) = scripted::store();
    let maker = Maker::begin(&store, &shelf, 1).await;
    let silent = maker.names.head(&maker.id);
    let mut asked_before = false;
    shelf.script(move |asked, _| {
        let is_first = asked.key == silent && asked.op == Op::Get && !std::mem::replace(&mut asked_before, true);
        match asked.op {
            Op::Head => Reply::Silent,
            Op::Get if asked.key == silent && !is_first => Reply::Silent,
            _ => Reply::Honest,
        }
    });
    let reader = tokio::spawn(async move { read(&store, Some(seconds(40)), Duration::ZERO).await });
    let mut maker = maker;
    for _ in 0..10 {
        tokio::time::sleep(seconds(10)).await;
        maker.object(1_000).await;
    }
    let read = reader.await.expect("it ends");
    assert_eq!(read.bytes, input(0, 10_000));
    assert!(read.message().contains("nothing new has come for 40 s"), "{}", read.message());
}
