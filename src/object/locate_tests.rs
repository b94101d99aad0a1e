//! What is found among uploads and objects in memory, on a paused clock: which of them is read, and what it costs to wait.

use super::*;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Reply, Shelf};

const KEY: &str = "live.mp4";
const PART: u64 = 5_000_000;

fn store() -> (Patient, Shelf) {
    let (store, shelf) = scripted::store();
    (store.patient(Retry { give_up_after: seconds(60) }), shelf)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wanted(wait: bool) -> Wanted {
    Wanted { wait, live: Live::B2, ..Wanted::new(KEY) }
}

/// An open upload with a byte.
fn open(shelf: &Shelf, key: &str) -> String {
    let id = shelf.begin(key, PART);
    shelf.put(&id, 1, &b"data"[..]);
    id
}

fn finished(shelf: &Shelf, key: &str) -> String {
    let id = open(shelf, key);
    shelf.complete(&id);
    id
}

/// These credentials may not list.
fn may_not_list(shelf: &Shelf) {
    shelf.script(|asked, _| match asked.op {
        Op::Uploads => Reply::Status(403, "AccessDenied"),
        _ => Reply::Honest,
    });
}

/// The upload in the list is hidden, as while it is being completed.
fn hide(shelf: &Shelf) {
    shelf.script(|asked, _| match asked.op {
        Op::Uploads => Reply::Raw(
            200,
            vec![("content-type", "application/xml".to_owned())],
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>".into(),
        ),
        _ => Reply::Honest,
    });
}

/// What happens in the bucket, in this order and with a minute in between, before anybody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// An upload begins, and stays open.
    Opens,
    /// An upload begins and is completed.
    Finishes,
    /// The same of keys that begin or end alike.
    Neighbours,
    /// An upload begins and is aborted.
    Aborts,
}

/// What is found without waiting, and by who waits: the number of the event, and whether it is open.
type Expected = Option<(usize, bool)>;

#[tokio::test(start_paused = true)]
async fn what_is_read_is_what_began_last_and_who_waits_is_not_given_what_was_there_before() {
    use Past::{Aborts, Finishes, Neighbours, Opens};
    let cases: [(&[Past], Expected, Expected); 10] = [
        (&[], None, None),
        (&[Neighbours], None, None),
        (&[Aborts], None, None),
        (&[Opens], Some((0, true)), Some((0, true))),
        (&[Opens, Neighbours], Some((0, true)), Some((0, true))),
        (&[Finishes], Some((0, false)), None),
        (&[Finishes, Finishes], Some((1, false)), None),
        (&[Finishes, Opens], Some((1, true)), Some((1, true))),
        (&[Opens, Opens], Some((1, true)), Some((1, true))),
        // The first was left behind.
        (&[Opens, Finishes], Some((1, false)), None),
    ];
    for (past, at_once, waiting) in cases {
        for listing in [true, false] {
            // Without a list nobody knows which of two began later, but that an open one answers.
            if !listing && past == [Opens, Finishes] {
                continue;
            }
            let (store, shelf) = store();
            let mut ids = Vec::new();
            for event in past {
                ids.push(match event {
                    Opens => open(&shelf, KEY),
                    Finishes => finished(&shelf, KEY),
                    Neighbours => {
                        finished(&shelf, "live.mp");
                        open(&shelf, "live.mp4.bak")
                    }
                    Aborts => {
                        let id = open(&shelf, KEY);
                        shelf.abort(&id);
                        id
                    }
                });
                sleep(seconds(60)).await;
            }
            if !listing {
                may_not_list(&shelf);
            }
            let told = |located: Located| {
                let number = ids.iter().position(|id| Some(id) == located.version.as_ref());
                (number.expect("one of them"), located.is_open())
            };
            let found = locate(&store, &wanted(false)).await;
            match at_once {
                Some(_) => assert_eq!(found.ok().map(told), at_once, "{past:?}, listing {listing}"),
                None => {
                    assert!(matches!(found, Err(LocateError::Nothing(_))), "{past:?}, listing {listing}: {found:?}");
                }
            }
            let found = tokio::time::timeout(seconds(120), locate(&store, &wanted(true))).await;
            let found = found.ok().map(|found| told(found.expect("the store answers")));
            assert_eq!(found, waiting, "waiting: {past:?}, listing {listing}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_given_what_begins_and_also_what_is_over_between_two_looks() {
    for before in [false, true] {
        for over in [false, true] {
            for listing in [true, false] {
                let (store, shelf) = store();
                if before {
                    finished(&shelf, KEY);
                }
                sleep(seconds(60)).await;
                if !listing {
                    may_not_list(&shelf);
                }
                let begins = async {
                    // Between two looks.
                    sleep(Duration::from_millis(90_500)).await;
                    if over { finished(&shelf, KEY) } else { open(&shelf, KEY) }
                };
                let began = Instant::now();
                let patient = wanted(true);
                let (id, located) = tokio::join!(begins, locate(&store, &patient));
                let located = located.expect("it is found");
                let case = format!("an object before: {before}, over: {over}, listing: {listing}");
                assert_eq!((located.version, located.finished.is_some()), (Some(id), over), "{case}");
                assert!(began.elapsed() < seconds(92), "{case}: {:?}", began.elapsed());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_no_list_shows_is_found_by_what_it_shows() {
    let (store, shelf) = store();
    hide(&shelf);
    let begins = async {
        sleep(seconds(10)).await;
        open(&shelf, KEY)
    };
    let patient = wanted(true);
    let (id, located) = tokio::join!(begins, locate(&store, &patient));
    let located = located.expect("it is found");
    assert_eq!((located.version.as_ref(), located.finished), (Some(&id), None));
    let located = locate(&store, &wanted(false)).await;
    assert!(located.is_err() || located.is_ok_and(|located| located.version == Some(id)));
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_waiting_are_a_look_a_second_and_a_list_each_half_minute() {
    for listing in [true, false] {
        let (store, shelf) = store();
        if !listing {
            may_not_list(&shelf);
        }
        let waited = tokio::time::timeout(seconds(600), locate(&store, &wanted(true))).await;
        assert!(waited.is_err(), "there was nothing");
        let counts = (shelf.count(Op::Get), shelf.count(Op::Uploads), shelf.count(Op::Head));
        let (looks, lists, heads) = counts;
        assert!((590..=602).contains(&looks), "{counts:?}");
        assert!(lists <= if listing { 22 } else { 1 } && heads <= 22, "listing {listing}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_upload_is_found_open_and_finished_and_nowhere_else() {
    let (store, shelf) = store();
    let (one, other) = (open(&shelf, KEY), open(&shelf, KEY));
    let gone = open(&shelf, KEY);
    shelf.abort(&gone);
    let empty = shelf.begin(KEY, PART);
    let named = |id: &str| Wanted { upload_id: Some(id.to_owned()), ..wanted(true) };
    for (id, is_there) in [(&one, true), (&other, true), (&empty, true), (&gone, false)] {
        let found = locate(&store, &named(id)).await;
        if is_there {
            assert_eq!(found.expect("it is there").version.as_ref(), Some(id));
        } else {
            assert!(matches!(found, Err(LocateError::NoSuchUpload { .. })), "{found:?}");
        }
    }
    shelf.complete(&one);
    let found = locate(&store, &named(&one)).await.expect("it is there");
    assert_eq!((found.version, found.finished), (Some(one), Some(4)));
    // Where it can be read by no live read, the list tells.
    shelf.without_live_read();
    let found = locate(&store, &named(&other)).await.expect("it is there");
    assert_eq!((found.version, found.finished), (Some(other), None));
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_ends_no_wait_and_what_never_passes_ends_it_at_once() {
    for (status, code, passes) in [
        (503, "SlowDown", true),
        (500, "InternalError", true),
        (404, "NoSuchBucket", false),
        (403, "InvalidAccessKeyId", false),
        (403, "SignatureDoesNotMatch", false),
    ] {
        for op in [Op::Head, Op::Uploads, Op::Get] {
            let (store, shelf) = store();
            shelf.script(
                move |asked, nth| {
                    if asked.op == op && nth < 3 { Reply::Status(status, code) } else { Reply::Honest }
                },
            );
            let began = Instant::now();
            let begins = async {
                sleep(seconds(20)).await;
                open(&shelf, KEY)
            };
            let patient = wanted(true);
            let found = async {
                let found = locate(&store, &patient).await;
                (found, began.elapsed())
            };
            let (id, (found, took)) = tokio::join!(begins, found);
            if passes {
                assert_eq!(found.expect("it is found").version, Some(id), "{code} of {op:?}");
            } else if op != Op::Head {
                // A HEAD has no words; what they would be is not known.
                assert!(matches!(found, Err(LocateError::Store(_))), "{code} of {op:?}: {found:?}");
                assert!(took < seconds(5), "{code} of {op:?}: {took:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_completed_between_two_questions_is_found_by_who_does_not_wait() {
    let (store, shelf) = store();
    let id = open(&shelf, KEY);
    shelf.without_live_read();
    let slow = Duration::from_millis(100);
    shelf.script(move |asked, _| match asked.op {
        Op::Uploads => Reply::Status(403, "AccessDenied"),
        // The last question, of which the answer is that there is no recording.
        Op::Get if asked.key.ends_with("/now") => Reply::Late(slow),
        _ => Reply::Honest,
    });
    let looking = tokio::spawn(async move { locate(&store, &Wanted { live: Live::Auto, ..wanted(false) }).await });
    tokio::time::sleep(slow / 2).await;
    shelf.complete(&id);
    assert_eq!(looking.await.expect("it ends").expect("it is there").finished, Some(4));
}
