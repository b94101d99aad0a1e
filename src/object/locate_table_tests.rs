//! What is chosen to be read, and when it counts as new.

use super::*;
use crate::store::retry::Retry;
use crate::store::scripted;

const PART: u64 = 5_000_000;

fn head(version: Option<&str>, size: u64, modified: i64) -> Head {
    let version = version.map(str::to_owned);
    Head { size, version, etag: Some("tag".to_owned()), modified: Some(modified), recording: None, objects: None }
}

#[test]
fn the_newer_of_an_open_upload_and_a_finished_object_is_read() {
    let upload = OpenUpload { id: "u".to_owned(), started: Some(10) };
    let (older, same, newer) = (head(Some("a"), 1, 9), head(Some("b"), 1, 10), head(Some("c"), 1, 11));
    let open = Some(&upload);
    for (open, finished, may_be_read, expected) in [
        (open, None, false, Choice::Open(&upload)),
        (open, Some(&older), true, Choice::Open(&upload)),
        (open, Some(&same), true, Choice::Open(&upload)),
        (open, Some(&newer), true, Choice::Finished(&newer)),
        (open, Some(&newer), false, Choice::LeftBehind(&upload)),
        (None, Some(&newer), true, Choice::Finished(&newer)),
        (None, Some(&newer), false, Choice::Nothing),
        (None, None, false, Choice::Nothing),
    ] {
        assert_eq!(choose(open, finished, finished.filter(|_| may_be_read)), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_upload_of_the_same_second_hides_no_finished_object() {
    let (store, shelf) = scripted::store();
    let (store, key) = (store.patient(Retry { give_up_after: Duration::from_secs(60) }), "key".to_owned());
    let wanted = Wanted { wait: false, live: Live::B2, ..Wanted::new(&key) };
    let (left_behind, real) = (shelf.begin(&key, PART), shelf.begin(&key, PART));
    shelf.put(&real, 1, &b"data"[..]);
    shelf.complete(&real);
    let located = locate(&store, &wanted).await.expect("the open upload");
    assert_eq!((located.version.as_ref(), located.finished), (Some(&left_behind), None), "it has just begun");
    sleep(Duration::from_secs(6)).await;
    let located = locate(&store, &wanted).await.expect("the finished object");
    assert_eq!((located.version, located.finished), (Some(real), Some(4)));
    // One that has a byte is no start that was lost, but the next recording.
    shelf.put(&left_behind, 1, &b"next"[..]);
    let located = locate(&store, &wanted).await.expect("the open upload");
    assert_eq!((located.version, located.finished), (Some(left_behind), None));
}

#[tokio::test(start_paused = true)]
async fn without_lists_the_end_of_an_upload_that_cannot_be_read_live_is_seen_within_two_seconds() {
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed"), (403, "AccessDenied")] {
        for end in [700, 29_900, 601_300].map(Duration::from_millis) {
            let (store, shelf) = scripted::store();
            shelf.without_live_read();
            shelf.script(move |asked, _| match asked.op {
                scripted::Op::Uploads => scripted::Reply::Status(status, code),
                _ => scripted::Reply::Honest,
            });
            let id = shelf.begin("k", PART);
            shelf.put(&id, 1, &b"data"[..]);
            let (completes, upload) = (shelf.clone(), id.clone());
            tokio::spawn(async move {
                sleep(end).await;
                completes.complete(&upload);
            });
            let poll_interval = Duration::from_secs(1);
            let wanted = Wanted { poll_interval, live: Live::B2, ..Wanted::new("k") };
            let began = Instant::now();
            let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
            let located = locate(&store, &wanted).await.expect("the finished object");
            assert_eq!((located.version, located.finished), (Some(id), Some(4)), "{status}");
            assert!(began.elapsed() < end + Duration::from_secs(2), "{status}: {:?}", began.elapsed());
            assert!(shelf.asked().len() as u64 <= end.as_secs() + 8, "{status}: {} requests", shelf.asked().len());
        }
    }
}

#[test]
fn what_began_in_the_second_in_which_the_wait_began_was_there_before() {
    let (second, minute) = (Duration::from_millis(999), Duration::from_secs(60));
    for (at, now, waited, since) in [
        (100, 100, second, false),
        (101, 100, second, true),
        (40, 100, minute, false),
        (41, 100, minute, true),
        (99, 100, minute, true),
    ] {
        assert_eq!(began_since(at, now, waited), since, "{at} {now} {waited:?}");
    }
}

#[test]
fn a_look_knows_the_object_that_was_there_before() {
    let seen = |data: bool, version: Option<&str>, modified: i64| Seen {
        present: true,
        data,
        version: version.map(str::to_owned),
        etag: Some("tag".to_owned()),
        modified: data.then_some(modified),
    };
    let absent = Seen::default();
    assert!(absent.is(None) && absent.is(Some(&head(Some("a"), 1, 9))));
    assert!(!seen(false, None, 0).is(None), "an upload without a byte");
    assert!(!seen(false, None, 0).is(Some(&head(Some("a"), 1, 9))), "the same");
    assert!(seen(false, None, 0).is(Some(&head(Some("a"), 0, 9))), "an empty object");
    assert!(seen(true, Some("a"), 9).is(Some(&head(Some("a"), 1, 9))));
    assert!(!seen(true, Some("b"), 9).is(Some(&head(Some("a"), 1, 9))));
    assert!(!seen(true, Some("b"), 9).is(None));
    assert!(seen(true, None, 9).is(Some(&head(None, 1, 9))), "a bucket without versions");
    assert!(!seen(true, None, 10).is(Some(&head(None, 1, 9))), "the same, written over");
    let other = Seen { etag: Some("other".to_owned()), ..seen(true, None, 9) };
    assert!(!other.is(Some(&head(None, 1, 9))), "the same, within a second");
}
