//! What is found of recordings with live objects, and what waiting for one costs.

use tokio::time::Instant;

use super::*;
use crate::object::follower;
use crate::object::live_objects::maker::{KEY, Maker, input, millis, reading, requests, seconds};
use crate::object::locate::locate;
use crate::object::reading::{News, Reading};
use crate::object::wanted::Live;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op};

#[tokio::test(start_paused = true)]
async fn a_recording_that_has_not_begun_is_waited_for_with_one_request_per_poll() {
    let (store, shelf) = scripted::store();
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let waits = tokio::spawn(async move { locate(&patient, &reading(None).wanted).await });
    tokio::time::sleep(millis(600_500)).await;
    let (gets, heads) = requests(&shelf);
    println!("{gets} GET and {heads} HEAD in 10 minutes of waiting");
    assert!(gets + heads <= 602, "{gets} GET, {heads} HEAD");
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(10).await;
    let located = waits.await.expect("it ends").expect("it is found");
    assert_eq!(located.recording.map(|recording| recording.id), Some(maker.id));
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_the_wait_is_not_what_is_waited_for() {
    let (store, shelf) = scripted::store();
    let mut old = Maker::begin(&store, &shelf, 1).await;
    old.object(100).await;
    old.complete().await;
    old.state(State::Complete).await;
    tokio::time::sleep(seconds(100)).await;
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let waits = tokio::spawn(async move { locate(&patient, &reading(None).wanted).await });
    tokio::time::sleep(seconds(60)).await;
    assert!(!waits.is_finished());
    // Begun and completed between two looks.
    let mut next = Maker::begin(&store, &shelf, 2).await;
    next.object(200).await;
    next.end().await;
    let located = waits.await.expect("it ends").expect("it is found");
    assert_eq!(located.finished, Some(200));
}

#[tokio::test(start_paused = true)]
async fn without_waiting_it_is_what_runs_or_what_is_complete_or_nothing() {
    let (store, shelf) = scripted::store();
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let wanted = Wanted { wait: false, ..reading(None).wanted };
    assert!(locate(&patient, &wanted).await.expect_err("nothing").to_string().contains("no finished object"));
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(100).await;
    let located = locate(&patient, &wanted).await.expect("it runs");
    assert!(located.recording.is_some());
    let pinned = Wanted { upload_id: Some(maker.id.to_string()), ..wanted.clone() };
    assert_eq!(locate(&patient, &pinned).await.expect("it runs").recording, located.recording);
    let id = maker.id.clone();
    maker.end().await;
    for wanted in [&wanted, &pinned] {
        let located = locate(&patient, wanted).await.expect("it is complete");
        assert_eq!(located.finished, Some(100));
        assert!(located.hold == crate::object::stretch::Hold::Recording(id.clone()));
    }
    let other = Wanted { upload_id: Some(RecordingId::new(9, 9).to_string()), ..wanted.clone() };
    assert!(locate(&patient, &other).await.expect_err("none").to_string().contains("there is no upload"));
    assert_eq!((shelf.count(Op::Uploads), shelf.count(Op::Objects)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_was_left_behind_hides_no_newer_object() {
    let (store, shelf) = scripted::store();
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(100).await;
    tokio::time::sleep(seconds(100)).await;
    let mut finder = Finder::new(&reading(None).wanted).expect("names");
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    assert!(matches!(finder.look(&patient).await.expect("a look"), Some(Found::Live(_))), "it may be gone on with");
    shelf.lay(KEY, &b"newer"[..]);
    assert_eq!(finder.look(&patient).await.expect("a look"), None);
    let wanted = Wanted { wait: false, ..reading(None).wanted };
    assert_eq!(locate(&patient, &wanted).await.expect("the object").finished, Some(5));
}

#[tokio::test(start_paused = true)]
async fn without_live_read_the_upload_that_is_listed_is_read_by_its_live_objects() {
    let (store, shelf) = scripted::store();
    shelf.without_live_read();
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let auto = |wait| Reading { wanted: Wanted { live: Live::Auto, wait, ..reading(None).wanted }, ..reading(None) };
    for wait in [true, false] {
        let upload = shelf.begin(KEY, 5_000_000);
        let mut maker = Maker::begin(&store, &shelf, 1).await;
        maker.object(1_000).await;
        let reading = auto(wait);
        let located = locate(&patient, &reading.wanted).await.expect("the upload");
        assert_eq!(located.version.as_ref(), Some(&upload));
        let mut follower = follower::Follower::new(&patient, &reading, located, None);
        let began = Instant::now();
        let bytes = loop {
            if let News::Bytes(bytes) = follower.next().await.expect("it goes on") {
                break bytes;
            }
        };
        assert_eq!(bytes, input(0, 1_000));
        assert!(began.elapsed() <= seconds(2), "{:?}", began.elapsed());
        shelf.abort(&upload);
        maker.clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_of_either_kind_finds_live_objects_within_two_looks() {
    let (store, shelf) = scripted::store();
    shelf.without_live_read();
    let patient = store.patient(Retry { give_up_after: seconds(60) });
    let wanted = Wanted { live: Live::Auto, ..reading(None).wanted };
    let waits = tokio::spawn(async move { locate(&patient, &wanted).await });
    tokio::time::sleep(millis(60_500)).await;
    let gets = shelf.count(Op::Get);
    println!("{gets} GET, {} HEAD, {} lists in a minute", shelf.count(Op::Head), shelf.count(Op::Uploads));
    assert!(gets <= 92, "{gets}");
    let mut maker = Maker::begin(&store, &shelf, 1).await;
    maker.object(10).await;
    let began = Instant::now();
    let located = waits.await.expect("it ends").expect("it is found");
    assert_eq!(located.recording.map(|recording| recording.id), Some(maker.id));
    assert!(began.elapsed() <= seconds(2), "{:?}", began.elapsed());
}
