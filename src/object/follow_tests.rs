//! A follower against a store that answers by script, on a clock that stands still while nothing is waited for.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tracing::instrument::WithSubscriber;

use super::*;
use crate::object::wanted::{Live, Located, Wanted};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Asked, Op, Reply};

const KEY: &str = "key";
const PIN: &str = "pin";
const STARTED: &str = "2026-01-01T00:00:00.000Z";
const LATER: &str = "2026-01-01T01:00:00.000Z";
const LATER_HTTP: &str = "Thu, 01 Jan 2026 01:00:00 GMT";
const STARTED_HTTP: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reading(timeout: Option<Duration>) -> Reading {
    Reading { chunk_size: 1000, ..Reading::within(timeout, Wanted { live: Live::B2, ..Wanted::new(KEY) }) }
}

/// The answer to a HEAD.
fn head(size: usize, version: &str, modified: &str) -> Reply {
    let fields = [("content-length", size.to_string()), ("x-amz-version-id", version.to_owned())];
    Reply::Raw(200, [&fields[..], &[("last-modified", modified.to_owned())]].concat(), Bytes::new())
}

/// The answer to a GET of a range of `data`.
fn bytes(asked: &Asked, data: &[u8], version: &str) -> Reply {
    let (first, last) = asked.range.expect("a range");
    let length = data.len() as u64;
    if first >= length {
        return status(416);
    }
    let last = last.min(length - 1);
    let place = |at: u64| usize::try_from(at).expect("a small number");
    let body = data[place(first)..=place(last)].to_vec();
    let range = format!("bytes {first}-{last}/*");
    let fields = vec![("content-range", range), ("x-amz-version-id", version.to_owned())];
    Reply::Raw(206, fields, body.into())
}

/// The answer to a list: ids, and when they were started.
fn uploads(key: &str, uploads: &[(&str, &str)]) -> Reply {
    let entry = |(id, started): &(&str, &str)| {
        format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{started}</Initiated></Upload>")
    };
    let entries: String = uploads.iter().map(entry).collect();
    let xml = format!(
        "<ListMultipartUploadsResult><Bucket>bucket</Bucket><IsTruncated>false</IsTruncated>{entries}\
         </ListMultipartUploadsResult>"
    );
    Reply::Raw(200, vec![("content-type", "application/xml".to_owned())], xml.into())
}

fn status(status: u16) -> Reply {
    Reply::Raw(status, vec![], Bytes::new())
}

/// A request, and when it came, counted from the start.
#[derive(Debug, Clone)]
struct Heard {
    asked: Asked,
    at: Duration,
}

impl std::ops::Deref for Heard {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl Heard {
    fn is_list(&self) -> bool {
        self.op == Op::Uploads
    }

    fn is_head(&self) -> bool {
        self.op == Op::Head
    }

    fn is_of(&self, version: &str) -> bool {
        self.version.as_deref() == Some(version)
    }
}

/// What was read, how it ended, and when; and the requests.
struct Read {
    bytes: Vec<u8>,
    result: Result<(), FollowError>,
    took: Duration,
    asked: Vec<Heard>,
}

impl Read {
    fn message(&self) -> String {
        self.result.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }
}

/// Follows the upload [`PIN`] to its end.
async fn read(timeout: Option<Duration>, script: impl Fn(&Heard) -> Reply + Send + 'static) -> Read {
    read_as(timeout, None, script).await
}

/// The same, where it was asked for by its id.
async fn read_as(
    timeout: Option<Duration>,
    wanted: Option<&str>,
    script: impl Fn(&Heard) -> Reply + Send + 'static,
) -> Read {
    let (store, shelf) = scripted::store();
    let (log, start) = (Arc::<Mutex<Vec<Heard>>>::default(), Instant::now());
    let heard = Arc::clone(&log);
    shelf.script(move |asked, _| {
        let asked = Heard { asked: asked.clone(), at: start.elapsed() };
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        script(&asked)
    });
    let located = Located { version: Some(PIN.to_owned()), may_list: true, ..Located::default() };
    let store = store.patient(Retry { give_up_after: seconds(36_000) });
    let mut reading = reading(timeout);
    reading.wanted.upload_id = wanted.map(str::to_owned);
    let mut follower = Follower::new(&store, &reading, located, None);
    let began = Instant::now();
    let mut read = Vec::new();
    let result = loop {
        match follower.next().await {
            Ok(News::Bytes(bytes)) => read.extend_from_slice(&bytes),
            Ok(News::Ended) => break Ok(()),
            Ok(News::Edge | News::Behind) => {}
            Err(error) => break Err(error),
        }
    };
    let asked = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Read { bytes: read, result, took: began.elapsed(), asked }
}

/// What is said to people.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn data(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_never_answered_keeps_no_data_back() {
    let read = read(Some(seconds(20)), |asked| {
        let shown = (asked.at.as_secs() / 10).min(12) * 100;
        let shown = usize::try_from(shown).expect("a small number");
        if asked.is_head() || asked.is_list() { Reply::Silent } else { bytes(asked, &data(shown), PIN) }
    })
    .await;
    assert_eq!(read.bytes, data(1200));
    assert!(read.took < seconds(120 + 20 + 5), "{:?}", read.took);
    assert!(read.message().contains("nothing new has come for 20 s"), "{}", read.message());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_heads_and_lists_for_ever_does_not_outlast_the_time_limit() {
    let read = read(Some(seconds(60)), |asked| match asked {
        _ if asked.is_head() || asked.is_list() => status(503),
        _ => status(416),
    })
    .await;
    assert!(read.took <= seconds(61), "{:?}", read.took);
    assert!(read.message().contains("nothing new has come for 60 s"), "{}", read.message());
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_holds_before_the_first_answer() {
    let read = read(Some(seconds(7)), |_| Reply::Silent).await;
    assert_eq!(read.took, seconds(7));
    assert!(read.message().contains("the store has not answered"), "{}", read.message());
}

#[tokio::test(start_paused = true)]
async fn what_answers_416_is_not_taken_for_aborted_while_it_is_being_completed_for_minutes() {
    let read = read(None, |asked| {
        let (completing, complete) = (asked.at > seconds(60), asked.at > seconds(600));
        let all = data(2500);
        match asked {
            _ if asked.is_list() => uploads(KEY, if completing { &[] } else { &[(PIN, STARTED)] }),
            _ if asked.is_head() && complete => head(all.len(), PIN, STARTED_HTTP),
            _ if asked.is_head() => status(404),
            _ => bytes(asked, &all, PIN),
        }
    })
    .await;
    assert!(read.result.is_ok(), "{}", read.message());
    assert_eq!(read.bytes, data(2500));
    assert!(read.took > seconds(600) && read.took < seconds(603), "{:?}", read.took);
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_told_after_two_live_reads_with_404() {
    let read = read(None, |asked| {
        let aborted = asked.at > seconds(30);
        match asked {
            _ if asked.is_list() => uploads(KEY, &[]),
            _ if asked.is_head() || aborted => status(404),
            _ => bytes(asked, &data(700), PIN),
        }
    })
    .await;
    assert!(read.message().contains("was aborted"), "{}", read.message());
    assert_eq!(read.bytes, data(700));
    assert!(read.took < seconds(34), "{:?}", read.took);
}

#[tokio::test(start_paused = true)]
async fn one_404_in_between_is_no_abort() {
    let read = read(None, |asked| {
        let complete = asked.at > seconds(40);
        match asked {
            _ if asked.is_list() => uploads(KEY, &[]),
            _ if asked.is_head() && complete => head(900, PIN, STARTED_HTTP),
            _ if asked.is_head() => status(404),
            _ if asked.at > seconds(20) && asked.at < Duration::from_millis(20_900) => status(404),
            _ => bytes(asked, &data(900), PIN),
        }
    })
    .await;
    assert!(read.result.is_ok(), "{}", read.message());
    assert_eq!(read.bytes, data(900));
}

/// What a store without Live Read answers before and after the end of the upload [`PIN`], which comes at `end`.
fn without_live_read(asked: &Heard, end: Duration, versions: bool) -> Reply {
    let (complete, bare) = (asked.at > end, asked.version.is_none());
    let plain = |reply| match reply {
        Reply::Raw(status, fields, body) if !versions => {
            Reply::Raw(status, fields.into_iter().filter(|(name, _)| *name != "x-amz-version-id").collect(), body)
        }
        reply => reply,
    };
    match asked {
        _ if asked.is_list() => uploads(KEY, if complete { &[] } else { &[(PIN, STARTED)] }),
        _ if !bare && !versions => Reply::Status(400, "InvalidArgument"),
        _ if !complete => status(404),
        _ if asked.is_head() => plain(head(5000, PIN, STARTED_HTTP)),
        _ => plain(bytes(asked, &data(5000), PIN)),
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_live_is_asked_for_seldom_and_its_end_is_seen_within_two_seconds() {
    for versions in [true, false] {
        for end in [0, 700, 2_900, 30_100, 601_300, 3_600_000].map(Duration::from_millis) {
            let row = format!("upload ids are version ids: {versions}, end after {end:?}");
            let read = read(None, move |asked| without_live_read(asked, end, versions)).await;
            assert!(read.result.is_ok(), "{row}: {}", read.message());
            assert_eq!(read.bytes, data(5000), "{row}");
            assert!(read.took < end + seconds(2), "{row}: {:?}", read.took);
            let count = |of: fn(&Heard) -> bool| read.asked.iter().filter(|asked| of(asked)).count() as u64;
            let (heads, listed, lives) = (count(Heard::is_head), count(Heard::is_list), count(|asked| asked.live));
            // 40 HEADs a minute; and two lists, two HEADs and two live reads beside them.
            let (minutes, halves) = (end.as_secs() / 60 + 1, end.as_secs() / 30 + 1);
            assert!(
                heads <= 44 * minutes && listed <= halves + 4 && lives <= halves + 8,
                "{row}: {heads} {listed} {lives}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_another_upload_leaves_at_the_key_is_not_taken_for_the_end_of_one_that_was_asked_for() {
    let end = seconds(100);
    let read = read_as(None, Some(PIN), move |asked| match asked {
        // It began before, and is complete after ten seconds.
        _ if asked.is_head() && asked.version.is_none() && asked.at < end && asked.at > seconds(10) => Reply::Raw(
            200,
            vec![("content-length", "77".to_owned()), ("last-modified", STARTED_HTTP.to_owned())],
            Bytes::new(),
        ),
        _ => without_live_read(asked, end, false),
    })
    .await;
    assert!(read.result.is_ok(), "{}", read.message());
    assert_eq!(read.bytes, data(5000));
    assert!(read.took > end && read.took < end + seconds(2), "{:?}", read.took);
    let lists = read.asked.iter().filter(|asked| asked.is_list()).count();
    assert!(lists <= 8, "{lists} lists: it is not to be asked again for the same object");
}

#[tokio::test(start_paused = true)]
async fn a_silent_upload_without_a_byte_gives_way_to_what_was_completed_after_it_began() {
    // In the same second, too: that is when a start is repeated whose answer was lost.
    for began in [LATER_HTTP, STARTED_HTTP] {
        let read = read(Some(seconds(60)), move |asked| match asked {
            _ if asked.is_list() => uploads(KEY, &[(PIN, STARTED)]),
            _ if asked.is_head() && asked.is_of(PIN) => status(404),
            _ if asked.is_head() => head(1500, "newer", began),
            _ if asked.is_of(PIN) => status(416),
            _ => bytes(asked, &data(1500), "newer"),
        })
        .await;
        assert!(read.result.is_ok(), "{began}: {}", read.message());
        assert_eq!(read.bytes, data(1500));
        assert!(read.took < seconds(10), "{:?}", read.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_upload_of_which_bytes_were_read_is_stayed_with() {
    let said = Said::default();
    let messages = said.clone();
    let hears = tracing_subscriber::fmt().with_writer(move || messages.clone()).finish();
    let read = read(Some(seconds(300)), |asked| match asked {
        _ if asked.is_list() => uploads(KEY, &[(PIN, STARTED), ("newer", LATER)]),
        _ if asked.is_head() => status(404),
        _ if asked.is_of(PIN) => bytes(asked, &data(10), PIN),
        _ => bytes(asked, &data(1500), "newer"),
    })
    .with_subscriber(hears)
    .await;
    let said = said.text();
    assert_eq!(said.matches("WARN").count(), 1, "once: {said}");
    assert!(said.contains("a newer upload of it, newer, has begun. This output stays with upload pin"), "{said}");
    assert!(read.message().contains("nothing new has come for 300 s"), "{}", read.message());
    assert_eq!(read.bytes, data(10));
    assert!(read.asked.iter().all(|asked| !asked.is_of("newer")), "it read of both");
}
