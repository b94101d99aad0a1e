//! A store that sends other bytes than were asked for: they are asked for again, and never come out.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::support::liar::{Answer, Liar, Op, Play, Then};
use crate::support::recording::Recording;
use crate::support::run::{Launch, Outcome, Run};
use crate::support::{Store, bytes};

const KEY: &str = "stream.mp4";
const CHUNK: usize = 1000;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// It begins later than was asked.
    LaterRange,
    /// It begins earlier, with all that was asked in it.
    EarlierRange,
    /// It goes on beyond what was asked.
    LongerRange,
    /// Its range has fewer bytes than its length.
    MoreThanRange,
    /// Its range has more bytes than its length.
    LessThanRange,
    /// It has no length and more bytes than its range.
    MoreWithoutLength,
    /// It has no length and fewer bytes than its range.
    LessWithoutLength,
    /// It ends before its length.
    Short,
    /// It is the whole object.
    Whole,
    /// It does not say which bytes it carries.
    NoRange,
    /// Its range is no range.
    Nonsense,
}

const LIES: [Lie; 11] = [
    Lie::LaterRange,
    Lie::EarlierRange,
    Lie::LongerRange,
    Lie::MoreThanRange,
    Lie::LessThanRange,
    Lie::MoreWithoutLength,
    Lie::LessWithoutLength,
    Lie::Short,
    Lie::Whole,
    Lie::NoRange,
    Lie::Nonsense,
];

/// A server of one open upload that tells each lie once, where it is due, and becomes complete when all was read.
struct Ranges {
    data: Vec<u8>,
    /// Lies still to tell, the next one last.
    lies: Mutex<Vec<Lie>>,
    /// The next answer to a chunk is a lie.
    due: Mutex<bool>,
    /// Every answer to a chunk but the first is one.
    always: AtomicBool,
    /// The end of what was asked for so far.
    asked: AtomicUsize,
    told: AtomicUsize,
}

impl Ranges {
    fn start(data: &[u8], lies: &[Lie]) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let lies = lies.iter().rev().copied().collect();
        let liar = Arc::new(Self {
            data: data.to_vec(),
            lies: Mutex::new(lies),
            due: Mutex::new(false),
            always: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&liar);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (liar, connection) = (Arc::clone(&serving), connection.expect("a connection"));
                std::thread::spawn(move || liar.serve(&connection));
            }
        });
        (liar, endpoint)
    }

    fn serve(&self, mut connection: &TcpStream) {
        let mut head = String::new();
        let mut reader = BufReader::new(connection);
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = if head.starts_with("HEAD") { self.head() } else { self.get(&head) };
        // One answer for each connection; the reader may have gone.
        drop(connection.write_all(&answer));
    }

    fn head(&self) -> Vec<u8> {
        let length = self.data.len();
        if self.asked.load(Relaxed) < length {
            return b"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n".to_vec();
        }
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes()
    }

    fn get(&self, head: &str) -> Vec<u8> {
        let range = head.to_lowercase();
        let range = range.lines().find_map(|line| line.strip_prefix("range: bytes=")).expect("a range");
        let (first, last) = range.trim().split_once('-').expect("both ends");
        let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
        let length = self.data.len();
        if first >= length {
            self.asked.fetch_max(first, Relaxed);
            return b"HTTP/1.1 416 Range\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        }
        let last = last.min(length - 1);
        let mut due = self.due.lock().expect("the lock");
        let lie = if (*due || self.always.load(Relaxed)) && first >= CHUNK && last + 2 * CHUNK < length {
            self.lies.lock().expect("the lock").pop()
        } else {
            None
        };
        *due = first >= CHUNK && lie.is_none();
        self.told.fetch_add(usize::from(lie.is_some()), Relaxed);
        let range = |first: usize, last: usize| Some(format!("bytes {first}-{last}/*"));
        let bytes = |first: usize, last: usize| &self.data[first..=last];
        let whole = Some(last - first + 1);
        let other = vec![0xAA; 10];
        let (range, promised, body) = match lie {
            None => (range(first, last), whole, bytes(first, last).to_vec()),
            Some(Lie::LaterRange) => (range(first + 5, last), Some(last - first - 4), bytes(first + 5, last).to_vec()),
            Some(Lie::EarlierRange) => {
                (range(first - 5, last), Some(last - first + 6), bytes(first - 5, last).to_vec())
            }
            Some(Lie::LongerRange) => (range(first, last + 7), Some(last - first + 8), bytes(first, last + 7).to_vec()),
            Some(Lie::MoreThanRange) => {
                let body = [bytes(first, last), &other].concat();
                (range(first, last), Some(body.len()), body)
            }
            Some(Lie::LessThanRange) => (range(first, last), Some(last - first), bytes(first, last - 1).to_vec()),
            Some(Lie::MoreWithoutLength) => (range(first, last), None, [bytes(first, last), &other].concat()),
            Some(Lie::LessWithoutLength) => (range(first, last), None, bytes(first, last - 9).to_vec()),
            Some(Lie::Short) => (range(first, last), whole, bytes(first, last - 9).to_vec()),
            Some(Lie::Whole) => (None, Some(length), self.data.clone()),
            Some(Lie::NoRange) => (None, whole, bytes(first, last).to_vec()),
            Some(Lie::Nonsense) => (Some("bytes 7-3/x".to_owned()), whole, bytes(first, last).to_vec()),
        };
        let mut head = "HTTP/1.1 206 Partial Content\r\nconnection: close\r\n".to_owned();
        head.extend(range.map(|range| format!("content-range: {range}\r\n")));
        head.extend(promised.map(|length| format!("content-length: {length}\r\n")));
        [head.as_bytes(), b"\r\n", &body].concat()
    }
}

fn reader(store: &Store, endpoint: &str, more: &[&str]) -> Run {
    let fixed = [KEY, "--upload-id", "id", "--endpoint-url", endpoint, "--chunk-size", "1000", "--queue-size", "1"];
    Launch::reader(store, &[&fixed[..], &["--poll-interval", "10ms"], more].concat()).start()
}

#[test]
fn other_bytes_than_were_asked_for_never_come_out() {
    let store = Store::start();
    let data = bytes(1, 40 * CHUNK + 123);
    let (liar, endpoint) = Ranges::start(&data, &LIES);
    reader(&store, &endpoint, &[]).end().code(0).gave(&data).says("Trying again");
    assert_eq!(liar.told.load(Relaxed), LIES.len(), "not all lies were told");
}

#[test]
fn a_store_that_keeps_sending_other_bytes_is_a_failure_that_says_so() {
    let store = Store::start();
    let data = bytes(2, 10 * CHUNK);
    let (liar, endpoint) = Ranges::start(&data, &[Lie::LaterRange; 1000]);
    liar.always.store(true, Relaxed);
    let ended = reader(&store, &endpoint, &["--retry-timeout", "1s"]).end().code(1).gave(&data[..CHUNK]);
    ended.says("the answer begins at byte 1005 where byte 1000 was asked for");
}

/// Both tools against what answers in a store's place; both fail at once, and say so.
fn both_fail(endpoint: &str, said: &[&str]) {
    let store = Store::start();
    let started = |launch: Launch| launch.env("AWS_ENDPOINT_URL", endpoint).start();
    let writer = started(Launch::writer(&store, &[KEY])).end_with(b"some bytes");
    let reader = started(Launch::reader(&store, &[KEY])).end();
    for tool in [writer, reader] {
        said.iter().fold(tool.failed_with_one_message(KEY), |tool, said| Outcome::says(tool, said));
    }
}

#[test]
fn the_login_page_of_a_network_is_named_at_once() {
    let portal = Liar::start(|_| Answer::html(200));
    both_fail(portal.endpoint(), &["200, text/html", "login page"]);
    let sent_on = Liar::start(|_| Answer::html(302).header("location", "http://portal.example/login?token=secret"));
    both_fail(sent_on.endpoint(), &["points to http://portal.example/login.", "log in there"]);
}

#[test]
fn a_list_that_is_cut_and_a_page_in_between_end_no_reader() {
    let store = Store::start();
    let data = bytes(3, 6_000_000);
    let liar = Liar::before(store.endpoint(), |asked| match (asked.op, asked.nth) {
        // At a place where the parser of the SDK would take it for an empty list.
        (Op::ListUploads, 0) => Play::change(|answer| answer.without_length().cut(120)),
        (Op::GetObject, 1 | 2) => Play::Answer(Answer::html(404)),
        (Op::GetObject, 4) => Play::Answer(Answer::new(520)),
        (Op::HeadObject, 1) => Play::change(Answer::without_length),
        _ => Play::Pass,
    });
    let reader = Launch::reader(&store, &[KEY]).env("AWS_ENDPOINT_URL", liar.endpoint()).start();
    reader.wait_for("waiting for an upload");
    let mut writer = Launch::writer(&store, &[KEY]).start();
    writer.write(&data[..5_500_000]);
    reader.wait_output(5_242_880);
    writer.end_with(&data[5_500_000..]).code(0);
    reader.wait().code(0).gave(&data);
    assert!(liar.count(Op::GetObject) > 4 && liar.count(Op::ListUploads) > 1);
}

#[test]
fn a_writer_goes_on_through_answers_that_may_pass() {
    let store = Store::start();
    let data = bytes(4, 11_000_000);
    let liar = Liar::before(store.endpoint(), |asked| match (asked.op, asked.nth) {
        (Op::Create, 0) => Play::Answer(Answer::error(409, "OperationAborted", "Another one is under way.")),
        (Op::Create, 1) => Play::Answer(Answer::xml(200, "<InitiateMultipartUploadResult></Init").cut(70)),
        (Op::Part, 0) => Play::Answer(Answer::new(525)),
        (Op::Part, 1) => Play::Answer(Answer::html(200)),
        (Op::Complete, 0) => Play::Answer(Answer::error(200, "InternalError", "Please try again.")),
        // This one is done, and the answer to it is lost in part.
        (Op::Complete, 1) => Play::change(|answer| answer.without_length().cut(130)),
        _ => Play::Pass,
    });
    let writer = Launch::writer(&store, &[KEY]).env("AWS_ENDPOINT_URL", liar.endpoint()).start();
    writer.end_with(&data).code(0);
    Launch::reader(&store, &[KEY, "--no-wait"]).start().end().code(0).gave(&data);
    assert!(liar.count(Op::Create) >= 3);
    // The object is looked for before it is completed again: what was done is not asked for a third time.
    assert_eq!(liar.count(Op::Complete), 2);
}

#[test]
fn a_reader_is_not_ended_by_a_head_that_says_nothing() {
    let store = Store::start();
    let object = Recording::finished(bytes(5, 10_000));
    let data = object.data.clone();
    let liar = Liar::start(move |asked| match asked.op {
        Op::HeadObject => object.answer(asked).without_length(),
        _ => object.answer(asked),
    });
    let reader = Launch::reader(&store, &[KEY, "--no-wait"]).env("AWS_ENDPOINT_URL", liar.endpoint());
    reader.start().end().code(0).gave(&data);
}

/// A store without versions, on which the object is replaced between two chunks.
#[test]
fn an_object_that_is_replaced_while_it_is_read_is_a_failure_after_a_clean_beginning() {
    let store = Store::start();
    let old = Recording::finished(bytes(3, 10 * CHUNK));
    let new = Recording { etag: "e2".to_owned(), ..Recording::finished(bytes(4, 10 * CHUNK)) };
    let (was, chunks) = (old.data.clone(), AtomicUsize::new(0));
    let scripted = Liar::start(move |asked| {
        let chunk = asked.op == Op::GetObject && asked.range().is_some_and(|(_, last)| last > 0);
        let replaced = chunk && chunks.fetch_add(1, Relaxed) >= 3;
        let answer = if replaced { new.answer(asked) } else { old.answer(asked) };
        answer.without("x-amz-version-id")
    });
    let args = [KEY, "--no-wait", "--endpoint-url", scripted.endpoint(), "--chunk-size", "1000", "--queue-size", "1"];
    let ended = Launch::reader(&store, &args).start().end().code(1).gave(&was[..3 * CHUNK]);
    ended.says("was replaced while it was being read");
}

/// Who may not list knows no upload before its first byte; by the time its connection breaks, a newer one has the key.
#[test]
fn a_newer_upload_that_begins_while_a_connection_breaks_is_not_mixed_in() {
    let store = Store::start();
    let mine = Recording::finished(bytes(5, 3 * CHUNK));
    let newer = Recording { id: "v2".to_owned(), ..Recording::open(bytes(6, 3 * CHUNK)) };
    let (data, looks) = (mine.data.clone(), AtomicUsize::new(0));
    let scripted = Liar::start(move |asked| match asked.op {
        Op::ListUploads => Answer::error(403, "AccessDenied", "Not for you."),
        Op::HeadObject if asked.query("versionId").is_none() => Answer::new(404),
        Op::GetObject if asked.query("versionId").is_none() => match looks.fetch_add(1, Relaxed) {
            0 => Answer::error(416, "InvalidRange", "Not yet."),
            1 => mine.answer(asked).cut(300).then(Then::Close),
            _ => newer.answer(asked),
        },
        _ => mine.answer(asked),
    });
    let args =
        [KEY, "--anon", "--endpoint-url", scripted.endpoint(), "--chunk-size", "1000", "--poll-interval", "10ms"];
    Launch::reader(&store, &args).start().end().code(0).gave(&data);
}
