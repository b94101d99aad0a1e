//! Stores that fail, lie, or have something else by now, and what their viewers get: right bytes, or a connection that breaks.

use super::*;
use crate::store::scripted::Asked;

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_aborted_breaks_who_watches_it_and_is_not_there_any_more() {
    let (recordings, blocks, shelf) = served();
    let id = shelf.begin(KEY, PART);
    shelf.put(&id, 1, input(0, PART));
    let viewer = tokio::spawn({
        let recordings = Arc::clone(&recordings);
        async move { view(&recordings, 0, None).await }
    });
    sleep(Duration::from_secs(3)).await;
    shelf.abort(&id);
    assert!(viewer.await.expect("no panic").is_err());
    advance(Duration::from_secs(2)).await;
    let gone = recordings.find("bucket", KEY, None).await.expect_err("it is gone");
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(blocks.held() <= PART + (1 << 20));
}

#[tokio::test(start_paused = true)]
async fn trouble_of_the_store_delays_and_what_lasts_breaks() {
    let (recordings, _, shelf) = served();
    shelf.lay(KEY, input(0, 3_000_000));
    let trouble = |lasts: bool| {
        move |asked: &Asked, nth: usize| match (asked.op, nth % 4) {
            (Op::Get, 0) => Reply::Status(503, "SlowDown"),
            (Op::Get, 1) => Reply::Cut(300_000),
            (Op::Get, _) if lasts => Reply::Silent,
            _ => Reply::Honest,
        }
    };
    shelf.script(trouble(false));
    assert!(view(&recordings, 0, Some(3_000_000)).await.expect("it comes") == input(0, 3_000_000));
    let (recordings, _) = over(recordings.store.once(), LEAST_MEMORY);
    shelf.script(trouble(true));
    assert!(view(&recordings, 0, Some(3_000_000)).await.is_err());
    // What failed is not kept.
    shelf.script(|_, _| Reply::Honest);
    assert!(view(&recordings, 0, Some(3_000_000)).await.expect("it comes") == input(0, 3_000_000));
}

/// What a viewer from `first` on gets, and whether it came to its own end.
async fn viewed(recordings: &Recordings, first: u64) -> (Vec<u8>, bool) {
    let Ok(viewing) = recordings.find("bucket", KEY, None).await else { return (Vec::new(), false) };
    let mut body = Body::stretch(Stretch::new(viewing, first, None));
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().expect("bytes")),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_says_no_viewer_gets_a_wrong_byte() {
    let (mut whole, mut broken) = (0, 0);
    for seed in 0..30 {
        let (store, shelf) = scripted::store();
        let (recordings, _) = over(&store, LEAST_MEMORY);
        let id = shelf.begin(KEY, PART);
        shelf.put(&id, 1, input(0, PART));
        let (mut random, name) = (fastrand::Rng::with_seed(seed), id.clone());
        shelf.script(move |asked, _| {
            let Some((first, _)) = asked.range.filter(|_| asked.op == Op::Get && random.u8(0..3) == 0) else {
                return Reply::Honest;
            };
            let lie = |range: String, version: &str| {
                let headers = vec![("content-range", range), ("x-amz-version-id", version.to_owned())];
                Reply::Raw(206, headers, bytes::Bytes::from_static(b"wrong bytes"))
            };
            match random.u8(0..12) {
                0..3 => Reply::Status(503, "SlowDown"),
                3..6 => Reply::Cut(random.usize(0..200_000)),
                6 => lie(format!("bytes {}-{}/*", first + 1, first + 11), &name),
                7 => lie(format!("bytes {first}-{}/*", first + 3), &name),
                8 => lie("bytes 0-99999999999999999999/*".to_owned(), &name),
                9 if random.u8(0..2) == 0 => lie(format!("bytes {first}-{}/*", first + 10), "another"),
                _ => Reply::Late(Duration::from_millis(random.u64(0..900))),
            }
        });
        let viewers: Vec<_> = [0, 1, 1_048_576, 3_333_333, PART - 1]
            .map(|first| {
                let recordings = Arc::clone(&recordings);
                tokio::spawn(async move { (first, viewed(&recordings, first).await) })
            })
            .into();
        sleep(Duration::from_secs(2)).await;
        shelf.put(&id, 2, input(PART, 2 * PART));
        shelf.complete(&id);
        for viewer in join_all(viewers).await {
            let (first, (bytes, is_whole)) = viewer.expect("no panic");
            let all = input(first, 2 * PART);
            assert!(all.starts_with(&bytes), "wrong bytes from {first} on, seed {seed}");
            assert!(!is_whole || bytes.len() == all.len(), "a piece was taken for the whole, seed {seed}");
            *(if is_whole { &mut whole } else { &mut broken }) += 1;
        }
    }
    assert!(whole > 20 && broken > 2, "{whole} whole, {broken} broken");
}

#[tokio::test(start_paused = true)]
async fn another_object_in_the_middle_breaks_where_nothing_but_the_tag_tells() {
    let (recordings, _, shelf) = served();
    shelf.lay(KEY, input(0, 3_000_000));
    let tagged = |etag: &'static str| {
        move |asked: &Asked, _: usize| {
            let Some((first, last)) = asked.range.filter(|_| asked.op == Op::Get) else {
                let headers = vec![("etag", etag.to_owned()), ("content-length", "3000000".to_owned())];
                let is_list = matches!(asked.op, Op::Uploads);
                return if is_list { Reply::Honest } else { Reply::Raw(200, headers, bytes::Bytes::new()) };
            };
            let last = last.min(2_999_999);
            let range = format!("bytes {first}-{last}/3000000");
            Reply::Raw(
                206,
                vec![("etag", etag.to_owned()), ("content-range", range)],
                bytes::Bytes::from_static(input(first, last + 1)),
            )
        }
    };
    shelf.script(tagged("\"one\""));
    let viewing = recordings.find("bucket", KEY, None).await.expect("it is there");
    let mut body = Body::stretch(Stretch::new(viewing, 0, Some(3_000_000)));
    let first = body.frame().await.expect("a frame").expect("bytes").into_data().expect("bytes");
    assert!(first == input(0, first.len() as u64));
    shelf.script(tagged("\"other\""));
    let mut at = first.len() as u64;
    let broke = loop {
        match body.frame().await {
            Some(Ok(frame)) => at += frame.into_data().expect("bytes").len() as u64,
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broke && at < 3_000_000, "{at} bytes");
}
