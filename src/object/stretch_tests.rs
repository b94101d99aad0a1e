//! A scripted store against the reader of a stretch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use proptest::prelude::*;

use super::*;
use crate::protocol::live_read::ContentRange;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By itself.
    Over,
    /// The connection breaks.
    Cut,
    /// Nothing comes any more.
    Silent,
}

/// One answer of the script.
#[derive(Debug, Clone)]
enum Answer {
    NotYet,
    Absent,
    Fails(Kind),
    Data(Data),
}

#[derive(Debug, Clone)]
struct Data {
    range: Option<(u64, u64)>,
    length: Option<u64>,
    version: Option<&'static str>,
    etag: Option<&'static str>,
    part_size: Option<u64>,
    bytes: Vec<u8>,
    ending: Ending,
}

/// An answer with these bytes of the object.
fn data(first: u64, last: u64) -> Data {
    let bytes = (first..=last).map(byte).collect();
    let length = Some(last - first + 1);
    Data { range: Some((first, last)), length, version: None, etag: None, part_size: None, bytes, ending: Ending::Over }
}

impl Data {
    fn version(self, version: &'static str) -> Self {
        Self { version: Some(version), ..self }
    }

    fn etag(self, etag: &'static str) -> Self {
        Self { etag: Some(etag), ..self }
    }

    /// Ends after so many bytes.
    fn ends(self, after: usize, ending: Ending) -> Self {
        Self { bytes: self.bytes[..after].to_vec(), ending, ..self }
    }
}

fn byte(at: u64) -> u8 {
    u8::try_from(at % 251).expect("below 251")
}

/// What was asked for, of which version, and whether live.
type Asked = (Piece, Option<String>, bool);

/// A store that plays a script, and notes what it was asked.
#[derive(Debug, Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the lock").clone()
    }
}

impl Door for Script {
    async fn fetch(&self, target: &Target, piece: Piece) -> Result<Fetched, StoreError> {
        self.asked.lock().expect("the lock").push((piece, target.version.clone(), target.live));
        let answer = self.answers.lock().expect("the lock").pop_front().expect("no answer is left in the script");
        let data = match answer {
            Answer::NotYet => return Ok(Fetched::NotYet),
            Answer::Absent => return Ok(Fetched::Absent),
            Answer::Fails(kind) => return Err(StoreError::local("reading", "s3://b/k".to_owned(), kind, "it failed")),
            Answer::Data(data) => data,
        };
        let pieces: Vec<Result<Frame<Bytes>, std::io::Error>> =
            data.bytes.chunks(7).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let end: Vec<Result<Frame<Bytes>, std::io::Error>> = match data.ending {
            Ending::Cut => vec![Err(std::io::ErrorKind::ConnectionReset.into())],
            _ => Vec::new(),
        };
        let pieces = stream::iter(pieces.into_iter().chain(end));
        let body = if data.ending == Ending::Silent {
            SdkBody::from_body_1_x(StreamBody::new(pieces.chain(stream::pending())))
        } else {
            SdkBody::from_body_1_x(StreamBody::new(pieces))
        };
        let range = data.range.map(|(first, last)| ContentRange { first, last, total: None });
        let mut body = Body::scripted(range, data.length, ByteStream::new(body));
        body.version = data.version.map(str::to_owned);
        body.etag = data.etag.map(str::to_owned);
        body.part_size = data.part_size;
        Ok(Fetched::Data(Box::new(body)))
    }

    fn object(&self, key: &str) -> String {
        format!("s3://b/{key}")
    }

    fn retry(&self) -> Retry {
        Retry { give_up_after: Duration::from_secs(600) }
    }

    fn stall(&self) -> Duration {
        Duration::from_secs(20)
    }
}

fn target() -> Target {
    Target { key: "k".to_owned(), version: None, etag: None, live: true, hold: Hold::Object }
}

/// Reads bytes 100 to 199; gives what came and how it ended.
async fn read(script: &Script, target: &Target) -> (Vec<u8>, End, Target) {
    let mut reading = Reading::new(script, target, Stretch::Range { first: 100, last: 199 });
    let mut bytes = Vec::new();
    loop {
        match reading.next().await {
            Event::Facts(_) => {}
            Event::Bytes(more) => bytes.extend_from_slice(&more),
            Event::End(end) => return (bytes, end, reading.target),
        }
    }
}

/// What the object has from byte 100 on.
fn beginning(len: u64) -> Vec<u8> {
    (100..100 + len).map(byte).collect()
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_goes_on_at_the_next_byte_of_the_version_that_began() {
    for ending in [Ending::Over, Ending::Cut, Ending::Silent] {
        let script = Script::of([
            Answer::Data(data(100, 199).version("v1").ends(30, ending)),
            Answer::Fails(Kind::Passing),
            Answer::Data(data(130, 199).version("v1")),
        ]);
        let (bytes, end, target) = read(&script, &target()).await;
        assert!(matches!(end, End::Whole), "{ending:?}: {end:?}");
        assert_eq!((bytes, target.version.as_deref()), (beginning(100), Some("v1")));
        let versions: Vec<_> = script.asked().into_iter().map(|(piece, version, _)| (piece, version)).collect();
        let rest = (Piece::Range { first: 130, last: 199 }, Some("v1".to_owned()));
        assert_eq!(versions, [(Piece::Range { first: 100, last: 199 }, None), rest.clone(), rest]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_upload_or_object_is_a_failure_after_a_clean_beginning() {
    let broken = || data(100, 199).ends(30, Ending::Cut);
    let rest = || data(130, 199);
    // The answers, what is pinned before, and whether they go together.
    let cases = [
        ("another version", broken().version("v1"), rest().version("v2"), None, false),
        ("another version than asked for", broken().version("v2"), rest(), Some("v1"), false),
        ("replaced, without versions", broken().etag("a"), rest().etag("b"), None, false),
        ("the same, without versions", broken().etag("a"), rest().etag("a"), None, true),
        ("a version that is not told each time", broken().version("v1"), rest(), None, true),
        ("an ETag that is not told each time", broken().etag("a"), rest(), None, true),
        (
            "the same version with another ETag",
            broken().version("v1").etag("a"),
            rest().version("v1").etag("b"),
            None,
            true,
        ),
        (
            "an upload that grows, without versions",
            Data { part_size: Some(5_000_000), ..broken().etag("a") },
            Data { part_size: Some(5_000_000), ..rest().etag("b") },
            None,
            true,
        ),
    ];
    for (name, first, second, version, whole) in cases {
        let clean = if version.is_some() && first.version != version { 0 } else { 30 };
        let script = Script::of([Answer::Data(first), Answer::Data(second)]);
        let pinned = Target { version: version.map(str::to_owned), ..target() };
        let (bytes, end, _) = read(&script, &pinned).await;
        match end {
            End::Whole if whole => assert_eq!(bytes, beginning(100), "{name}"),
            End::Failed(error) if !whole => {
                assert_eq!((error.kind, bytes), (Kind::Refused, beginning(clean)), "{name}: {error}");
                let text = error.to_string();
                assert!(text.contains("s3://b/k") && text.contains("bytes 1"), "{text}");
                assert!(text.contains("from version v2") || text.contains("was replaced"), "{text}");
            }
            end => panic!("{name}: {end:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_something_else_are_asked_for_again_and_never_passed_on() {
    let wrong = |range, length| Data { range, length, ..data(100, 199) };
    let lies = [
        ("later", data(105, 199)),
        ("earlier", data(90, 199)),
        ("longer", data(100, 200)),
        ("more than its range", wrong(Some((100, 199)), Some(101))),
        ("less than its range", wrong(Some((100, 199)), Some(99))),
        ("all of it", wrong(None, Some(1000))),
        ("no range", wrong(None, None)),
        ("absurd", wrong(Some((100, u64::MAX - 1)), None)),
        ("no range and absurd", wrong(None, Some(u64::MAX))),
    ];
    for (name, lie) in lies {
        let script = Script::of([Answer::Data(lie), Answer::Data(data(100, 199))]);
        let (bytes, end, _) = read(&script, &target()).await;
        assert!(matches!(end, End::Whole), "{name}: {end:?}");
        assert_eq!(bytes, beginning(100), "{name}");
    }
    // More bytes than were promised: in the middle of a piece that piece is asked for again, after the last they are left.
    for promised in [195, 196] {
        let more = Data { bytes: data(100, 250).bytes, ..data(100, promised) };
        let clean = (promised + 1 - 100) / 7 * 7;
        let mut answers = vec![Answer::Data(more)];
        if clean < promised - 99 {
            answers.push(Answer::Data(data(100 + clean, promised)));
        }
        let script = Script::of(answers);
        let (bytes, end, _) = read(&script, &target()).await;
        assert!(matches!(end, End::Edge { length } if length == promised - 99), "{end:?}");
        assert_eq!(bytes, beginning(promised - 99));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_says_what_there_is() {
    let (bytes, end, _) = read(&Script::of([Answer::NotYet]), &target()).await;
    assert!(matches!(end, End::Edge { length: 0 }) && bytes.is_empty());
    let (bytes, end, _) = read(&Script::of([Answer::Data(data(100, 149))]), &target()).await;
    assert!(matches!(end, End::Edge { length: 50 }), "{end:?}");
    assert_eq!(bytes, beginning(50));
    let cut = data(100, 199).ends(20, Ending::Cut);
    let (bytes, end, _) = read(&Script::of([Answer::Data(cut), Answer::Absent]), &target()).await;
    assert!(matches!(end, End::Absent), "{end:?}");
    assert_eq!(bytes, beginning(20));
    let (_, end, _) = read(&Script::of([Answer::Fails(Kind::Denied)]), &target()).await;
    assert!(matches!(end, End::Failed(error) if error.kind == Kind::Denied));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_never_comes_is_not_waited_for() {
    let began = tokio::time::Instant::now();
    let silent = Data { ending: Ending::Silent, ..data(100, 199) };
    let (bytes, end, _) = read(&Script::of([Answer::Data(silent)]), &target()).await;
    assert!(matches!(end, End::Whole) && bytes.len() == 100);
    assert!(began.elapsed() <= END);
}

#[tokio::test(start_paused = true)]
async fn a_part_goes_on_as_a_range() {
    let number = PartNumber::new(3).expect("in range");
    let script = Script::of([Answer::Data(data(100, 199).ends(40, Ending::Cut)), Answer::Data(data(140, 199))]);
    let mut reading = Reading::new(&script, &target(), Stretch::Part { number, first: 100 });
    let mut bytes = Vec::new();
    loop {
        match reading.next().await {
            Event::Facts(_) => {}
            Event::Bytes(more) => bytes.extend_from_slice(&more),
            Event::End(end) => {
                assert!(matches!(end, End::Whole), "{end:?}");
                break;
            }
        }
    }
    assert_eq!(bytes, beginning(100));
    let asked: Vec<Piece> = script.asked().into_iter().map(|(piece, ..)| piece).collect();
    assert_eq!(asked, [Piece::Part(number), Piece::Range { first: 140, last: 199 }]);
}

#[tokio::test(start_paused = true)]
async fn what_is_collected_is_asked_for_without_live_read_where_that_finds_nothing() {
    let script = Script::of([Answer::Absent, Answer::Data(data(100, 149).etag("a"))]);
    let collected = collect(&script, &target(), 100..200).await.expect("it is there");
    assert_eq!((collected.bytes, collected.absent, collected.requests), (beginning(50), false, 2));
    assert!(!collected.target.live && collected.target.etag.as_deref() == Some("a"));
    assert_eq!(script.asked().iter().map(|asked| asked.2).collect::<Vec<_>>(), [true, false]);
    let collected = collect(&Script::of([Answer::Absent, Answer::Absent]), &target(), 100..200).await;
    let collected = collected.expect("no failure");
    assert!(collected.absent && collected.bytes.is_empty() && collected.target.live);
    // A part size that no upload has is none.
    let odd = Data { part_size: Some(u64::MAX), ..data(100, 199) };
    let collected = collect(&Script::of([Answer::Data(odd)]), &target(), 100..200).await.expect("it is there");
    assert_eq!(collected.facts.part_size, None);
    assert!(collect(&Script::default(), &target(), 5..5).await.expect("nothing is asked").bytes.is_empty());
}

proptest! {
    /// Wherever connections break, and however short answers are, each byte comes once and in order.
    #[test]
    fn every_byte_comes_once(steps in prop::collection::vec((0..100usize, 0..3usize), 0..6)) {
        let mut answers = Vec::new();
        let mut at = 100;
        for (len, how) in steps {
            let whole = data(at, 199);
            let len = len.min(whole.bytes.len() - 1);
            let ending = [Ending::Over, Ending::Cut, Ending::Silent][how];
            answers.push(Answer::Data(whole.version("v").ends(len, ending)));
            at += len as u64;
        }
        answers.push(Answer::Data(data(at, 199).version("v")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let (bytes, end, _) = runtime.block_on(read(&Script::of(answers), &target()));
        prop_assert!(matches!(end, End::Whole));
        prop_assert_eq!(bytes, beginning(100));
    }
}
