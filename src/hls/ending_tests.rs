//! A recording of a few seconds and the end of its playlist, while the store fails by script, on a paused clock.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::*;
use crate::hls::Settings;
use crate::hls::news::Origin;
use crate::media::fmp4::Scanner;
use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture};
use crate::store::scripted::{self, Asked, Op, Reply, Shelf};

const KEY: &str = "live/match.mp4";
const LIST: &str = "live/match.m3u8";
const PART: u64 = 5_000_000;

/// How it ended: what the store holds, what was said, and how long the end took.
struct Ended {
    shelf: Shelf,
    said: String,
    took: Duration,
}

/// What is said to people.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("what is said").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Ended {
    fn list(&self) -> Option<String> {
        self.shelf.object(LIST).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    /// Versions of the playlist that were sent.
    fn sent(&self) -> usize {
        self.shelf.asked().iter().filter(|asked| is_list(asked)).count()
    }
}

fn is_list(asked: &Asked) -> bool {
    asked.op == Op::Put && asked.key == LIST
}

/// Records twenty fragments of 120 ms, the playlist being written meanwhile, and ends. The script is told how many versions
/// of the playlist came before.
async fn recorded(mut reply: impl FnMut(usize) -> Reply + Send + 'static) -> Ended {
    let said = Said::default();
    let writer = said.clone();
    let hears = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _heard = tracing::subscriber::set_default(hears);
    let (store, shelf) = scripted::store();
    let mut versions = 0;
    shelf.script(move |asked, _| {
        if !is_list(asked) {
            return Reply::Honest;
        }
        versions += 1;
        reply(versions - 1)
    });
    let settings = Settings {
        key: LIST.to_owned(),
        time: Duration::from_millis(100),
        window: None,
        part_size: PART,
        max_latency: None,
        membership: None,
        remedy: "`writer live/match.mp4 --hls-rebuild`".to_owned(),
    };
    let id = shelf.begin(KEY, PART);
    let (tell, news) = mpsc::unbounded_channel();
    let task = tokio::spawn(Editor::new(store, settings, news, tell.downgrade()).run());
    let ending = Ending { tell: tell.clone(), task };
    let (readable, seen) = watch::channel(0);
    let say = |news| assert!(tell.send(news).is_ok(), "the editor listens");
    say(News::Object {
        key: KEY.to_owned(),
        upload_id: id.clone(),
        readable: seen,
        origin: Origin::Input,
        beside: None,
    });
    let (mut scanner, mut stream) = (Scanner::new(), Vec::new());
    let mut feed = |bytes: Vec<u8>| {
        for found in scanner.feed(&bytes) {
            say(News::Found { found, at: None });
        }
        stream.extend_from_slice(&bytes);
        shelf.put(&id, 1, stream.clone());
        readable.send_replace(stream.len() as u64);
    };
    feed(header());
    for number in 0..20 {
        feed([moof(&[picture(number * 12, true)]), mdat(200)].concat());
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    shelf.complete(&id);
    say(News::Completed(id.clone()));
    let began = Instant::now();
    ending.end().await;
    let said = String::from_utf8_lossy(&said.0.lock().expect("what is said")).into_owned();
    Ended { shelf, said, took: began.elapsed() }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_fails_the_last_version_comes_at_once() {
    let ended = recorded(|_| Reply::Honest).await;
    let list = ended.list().expect("a playlist");
    assert!(list.ends_with("#EXT-X-ENDLIST\n") && list.matches("#EXTINF").count() == 20, "{list}");
    assert!(ended.sent() > 1 && ended.took < Duration::from_millis(100), "{} {:?}", ended.sent(), ended.took);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_to_the_end_is_tried_for_fifteen_seconds_and_named_with_the_remedy() {
    for reply in [Reply::Status(403, "AccessDenied"), Reply::Status(503, "SlowDown"), Reply::Silent] {
        let answer = reply.clone();
        let ended = recorded(move |_| answer.clone()).await;
        assert!(ended.list().is_none());
        assert_eq!(ended.took, LAST_TRIES, "{reply:?}");
        let remedy = "it could not be written in time. `writer live/match.mp4 --hls-rebuild` writes it later";
        assert_eq!(ended.said.matches(remedy).count(), 1, "{reply:?}: {}", ended.said);
        assert!(ended.sent() >= 3, "{reply:?}: {} tries", ended.sent());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_in_time_has_the_last_version() {
    for failures in 1..=6 {
        let ended = recorded(move |nth| if nth < failures { Reply::Status(503, "SlowDown") } else { Reply::Honest });
        let list = ended.await.list().unwrap_or_default();
        assert!(list.ends_with("#EXT-X-ENDLIST\n"), "after {failures} failures: {list}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_version_that_lands_late_does_not_stay() {
    // Given up after 5 s or, in the end, after 2 s more; it lands later than that.
    for lands in [3, 6, 8, 9] {
        let ended =
            recorded(move |nth| if nth == 0 { Reply::Stray(Duration::from_secs(lands)) } else { Reply::Honest });
        let ended = ended.await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let list = ended.list().expect("a playlist");
        assert!(list.ends_with("#EXT-X-ENDLIST\n"), "landing after {lands} s: {list}");
        assert!(ended.took < LAST_TRIES, "landing after {lands} s: {:?}", ended.took);
    }
}
