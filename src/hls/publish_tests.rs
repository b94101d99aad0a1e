//! One small object, written again and again to a store that fails by script, on a paused clock.

use std::sync::{Arc, Mutex};

use super::*;
use crate::store::scripted::{self, Op, Reply, Shelf};

const KEY: &str = "live.m3u8";

fn outlet() -> (Outlet, Shelf) {
    let (store, shelf) = scripted::store();
    (Outlet::new(store, KEY.to_owned()), shelf)
}

/// When each version was sent, in milliseconds from the start.
fn log(shelf: &Shelf, mut reply: impl FnMut(usize) -> Reply + Send + 'static) -> Arc<Mutex<Vec<u128>>> {
    let (start, times) = (Instant::now(), Arc::<Mutex<Vec<u128>>>::default());
    let told = Arc::clone(&times);
    shelf.script(move |asked, nth| {
        if asked.op != Op::Put {
            return Reply::Honest;
        }
        told.lock().expect("the log").push(start.elapsed().as_millis());
        reply(nth)
    });
    times
}

/// Writes `text` until the store holds it, for so long at most; the steps that were not successes.
async fn settle(outlet: &mut Outlet, text: &str, most: Duration) -> Vec<StoreError> {
    let mut failures = Vec::new();
    let work = async {
        while !outlet.is_settled() {
            match outlet.next().await {
                Step::Due => outlet.send(text.to_owned(), false),
                Step::Made => {}
                Step::Failed(error) => failures.push(error),
            }
        }
    };
    drop(tokio::time::timeout(most, work).await);
    failures
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_and_only_the_newest_version() {
    let (mut outlet, shelf) = outlet();
    let times = log(&shelf, |_| Reply::Late(seconds(2)));
    let mut version = 0;
    // Something new each 100 ms for ten seconds.
    let end = Instant::now() + seconds(10);
    while Instant::now() < end {
        version += 1;
        outlet.renew();
        let next = Instant::now() + Duration::from_millis(100);
        while let Ok(step) = tokio::time::timeout_at(next, outlet.next()).await {
            if matches!(step, Step::Due) {
                outlet.send(version.to_string(), false);
            }
        }
    }
    settle(&mut outlet, &version.to_string(), seconds(10)).await;
    assert_eq!(shelf.object(KEY).as_deref(), Some(version.to_string().as_bytes()));
    let times = times.lock().expect("the log").clone();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 2_000), "{times:?}");
    assert!((5..=7).contains(&times.len()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn versions_keep_their_distance_until_the_end() {
    let (mut outlet, shelf) = outlet();
    let times = log(&shelf, |_| Reply::Honest);
    outlet.set_pace(seconds(3));
    for version in 0..5 {
        outlet.renew();
        settle(&mut outlet, &version.to_string(), seconds(60)).await;
    }
    outlet.renew();
    outlet.hurry(seconds(2));
    settle(&mut outlet, "last", seconds(60)).await;
    assert_eq!(*times.lock().expect("the log"), [0, 3_000, 6_000, 9_000, 12_000, 12_000]);
    assert_eq!(shelf.object(KEY).as_deref(), Some(&b"last"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_given_up_the_later_the_longer_it_is() {
    for (len, patience) in [(1_000, 5), (PER, 10), (3 * PER + 1, 20)] {
        let (mut outlet, shelf) = outlet();
        log(&shelf, |nth| if nth == 0 { Reply::Silent } else { Reply::Honest });
        outlet.renew();
        let start = Instant::now();
        let text = "x".repeat(len);
        let before = Duration::from_millis(patience * 1000 - 1);
        assert_eq!(settle(&mut outlet, &text, before).await.len(), 0, "{len}: too early");
        let failures = settle(&mut outlet, &text, seconds(10)).await;
        assert_eq!(failures.len(), 1, "{len}");
        let took = start.elapsed();
        assert!(took > seconds(patience) && took <= seconds(patience + 1), "{len}: {took:?}");
        // It may still land, and is looked out for.
        assert!(outlet.unsafe_until().is_some_and(|until| until <= start + seconds(patience) + LANDING), "{len}");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_what_the_failure_is_worth() {
    for (reply, most, hurried) in [
        (Reply::Status(503, "SlowDown"), MOST, false),
        (Reply::Unreachable, MOST, false),
        (Reply::Status(403, "AccessDenied"), MOST_REFUSED, false),
        (Reply::Status(403, "AccessDenied"), MOST_AT_THE_END, true),
        (Reply::Status(503, "SlowDown"), MOST_AT_THE_END, true),
    ] {
        let (mut outlet, shelf) = outlet();
        let answer = reply.clone();
        let times = log(&shelf, move |_| answer.clone());
        outlet.renew();
        if hurried {
            outlet.hurry(seconds(2));
        }
        settle(&mut outlet, "text", seconds(200)).await;
        let times = times.lock().expect("the log").clone();
        let pauses: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let longest = pauses.iter().copied().max().unwrap_or(0);
        let most = u128::from(most) * 1000;
        assert!((500..=1000).contains(&pauses[0]), "{reply:?}: {pauses:?}");
        assert!(longest <= most && longest > most / 2, "{reply:?}: {pauses:?} where {most} is the most");
        assert!(!outlet.is_settled() && outlet.was_sent());
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_end_an_attempt_that_is_under_way_is_not_waited_for_any_longer() {
    let (mut outlet, shelf) = outlet();
    let start = Instant::now();
    let times = log(&shelf, |nth| if nth == 0 { Reply::Silent } else { Reply::Honest });
    outlet.renew();
    settle(&mut outlet, "early", seconds(1)).await;
    outlet.renew();
    outlet.hurry(seconds(2));
    let failures = settle(&mut outlet, "last", seconds(20)).await;
    assert_eq!(failures.len(), 1);
    assert!(start.elapsed() <= seconds(4), "{:?}", start.elapsed());
    assert_eq!(times.lock().expect("the log").len(), 2);
    assert_eq!(shelf.object(KEY).as_deref(), Some(&b"last"[..]));
    assert!(outlet.unsafe_until().is_some(), "it may still land");
}

#[test]
fn what_may_land_late_is_what_got_no_clear_no() {
    for (status, may) in [
        (None, true),
        (Some(500), true),
        (Some(502), true),
        (Some(504), true),
        (Some(503), false),
        (Some(429), false),
        (Some(403), false),
        (Some(400), false),
    ] {
        let mut error = StoreError::local("writing the playlist", String::new(), Kind::Passing, "it failed");
        error.status = status;
        assert_eq!(may_land(&error), may, "{status:?}");
    }
}
