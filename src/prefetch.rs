//! Reads one stretch of the object in the background and hands its bytes over in order.
//!
//! A stretch goes on by itself from the last byte received when its connection breaks or stalls, so whoever takes the
//! bytes never sees one twice. Bytes that were not asked for are never passed on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::part::PartNumber;
use crate::retry::{Failures, Retry};
use crate::store::{Body, Fetched, Kind, Piece, Store, StoreError};

/// Bytes that wait for their turn lie in blocks of this size.
const BLOCK: usize = 64 * 1024;

/// What is being read: all stretches of one reader share it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The object's key.
    pub key: String,
    /// The pinned upload or version.
    pub version: Option<String>,
    /// Whether to ask with the Live Read header.
    pub live: bool,
    /// How long one request may keep failing.
    pub retry: Retry,
}

/// A stretch of the object to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// From one byte to another, both inclusive.
    Range {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, inclusive.
        last: u64,
    },
    /// A whole part, which begins at `first`.
    Part {
        /// The part's number.
        number: PartNumber,
        /// Offset of its first byte.
        first: u64,
    },
}

impl Stretch {
    fn first(self) -> u64 {
        match self {
            Self::Range { first, .. } | Self::Part { first, .. } => first,
        }
    }
}

/// What comes out of a stretch, in order: at most one `Facts` for each answer, then bytes, and one end.
#[derive(Debug)]
pub enum Event {
    /// What an answer says beside its bytes.
    Facts {
        /// The version that answered.
        version: Option<String>,
        /// The part size of the upload.
        part_size: Option<u64>,
    },
    /// The next bytes.
    Bytes(Bytes),
    /// The end of the stretch.
    End(End),
}

/// How a stretch ended.
#[derive(Debug)]
pub enum End {
    /// All of it was read.
    Whole,
    /// There is no more of it yet, after `length` bytes of it.
    Edge {
        /// Bytes of the stretch that were there.
        length: u64,
    },
    /// 404; bytes may have come before it.
    Absent,
    /// The store refused, or could not be reached for too long.
    Failed(StoreError),
}

/// A stretch that is being read.
#[derive(Debug)]
pub struct Fetch {
    /// Offset at which it begins.
    pub first: u64,
    /// When it was first asked for.
    pub sent: Instant,
    events: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Fetch {
    /// Starts to read `stretch`. What it holds in memory is bounded by the stretch itself.
    #[must_use]
    pub fn start(store: &Store, target: &Target, stretch: Stretch) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let (store, target) = (store.clone(), target.clone());
        let task = tokio::spawn(async move {
            let end = read(&store, &target, stretch, &tell).await;
            // Nobody listens any more when the reader has changed its mind about this stretch.
            drop(tell.send(Event::End(end)));
        });
        Self { first: stretch.first(), sent: Instant::now(), events, task }
    }

    /// The next event. After the end there is none; asking again waits for ever.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the stretch to its end.
async fn read(store: &Store, target: &Target, stretch: Stretch, tell: &mpsc::UnboundedSender<Event>) -> End {
    let start = stretch.first();
    let mut at = start;
    // For a part, the last byte is known from its first answer on; from then on it is a range.
    let mut last = match stretch {
        Stretch::Range { last, .. } => Some(last),
        Stretch::Part { .. } => None,
    };
    let mut failures = target.retry.start();
    loop {
        let piece = match (stretch, last) {
            (Stretch::Part { number, .. }, None) => Piece::Part(number),
            (Stretch::Range { last, .. }, _) | (Stretch::Part { .. }, Some(last)) => Piece::Range { first: at, last },
        };
        let answer = store.fetch(&target.key, target.version.as_deref(), piece, target.live).await;
        let error = match answer {
            Ok(Fetched::NotYet) => return End::Edge { length: at - start },
            Ok(Fetched::Absent) => return End::Absent,
            Ok(Fetched::Data(body)) => {
                match pass_on(*body, piece, store.patience().body, &mut at, tell, &mut failures).await {
                    Ok(answer_last) => {
                        // A range that is cut short by the live edge ends before its last byte, a part with its own.
                        let wanted = *last.get_or_insert(answer_last);
                        let length = at - start;
                        return if at > wanted { End::Whole } else { End::Edge { length } };
                    }
                    Err((cause, answer_last)) => {
                        last = last.or(answer_last);
                        StoreError::local("reading", store.object(&target.key), Kind::Passing, cause)
                    }
                }
            }
            Err(error) => error,
        };
        match failures.next_wait(error) {
            Ok(wait) => sleep(wait).await,
            Err(error) => return End::Failed(error),
        }
    }
}

/// Passes the bytes of one answer on and moves `at`; returns the offset of the last byte that the answer promised.
///
/// The error says what broke, and what is known of the last byte.
async fn pass_on(
    mut body: Body,
    asked: Piece,
    // A body that brings no byte for this long is cut and asked for again from where it stopped.
    stall: Duration,
    at: &mut u64,
    tell: &mpsc::UnboundedSender<Event>,
    failures: &mut Failures,
) -> Result<u64, (String, Option<u64>)> {
    let (first, last) = promised(&body, asked, *at).map_err(|cause| (cause, None))?;
    let mut packer = Packer { tell, block: BytesMut::new() };
    let facts = Event::Facts { version: body.version.take(), part_size: body.part_size };
    // Sends fail when the reader is no longer interested; the task is about to be aborted then.
    drop(tell.send(facts));
    debug_assert_eq!(first, *at, "checked by promised()");
    loop {
        let bytes = match timeout(stall, body.next()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) if *at > last => return Ok(last),
            Ok(Ok(None)) => return Err(("the answer ended before its last byte".to_owned(), Some(last))),
            Ok(Err(cause)) => return Err((format!("the connection broke: {cause}"), Some(last))),
            Err(_) => return Err((format!("nothing came for {} s", stall.as_secs_f64()), Some(last))),
        };
        let left = last + 1 - *at;
        if bytes.len() as u64 > left {
            return Err(("the answer has more bytes than it promised".to_owned(), Some(last)));
        }
        if !bytes.is_empty() {
            failures.passed();
            *at += bytes.len() as u64;
            packer.pass(&bytes);
        }
    }
}

/// Moves bytes out of the buffers of the HTTP client, and passes them on at once.
///
/// Those buffers have 400 KiB each and stay in memory whole for as long as a byte of what was read into them waits, however
/// little that was: a window of four chunks took twice its bytes. Blocks of one size are filled to their last byte and used
/// again, and the copy costs no more than the fresh pages that it saves.
struct Packer<'a> {
    tell: &'a mpsc::UnboundedSender<Event>,
    /// The room that is left in the newest block.
    block: BytesMut,
}

impl Packer<'_> {
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block = BytesMut::with_capacity(BLOCK);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.block.capacity()));
            self.block.extend_from_slice(now);
            drop(self.tell.send(Event::Bytes(self.block.split().freeze())));
            bytes = later;
        }
    }
}

/// The first and last byte that an answer promises, checked against what was asked for.
pub(crate) fn promised(body: &Body, asked: Piece, at: u64) -> Result<(u64, u64), String> {
    let by_length = body.length.filter(|length| *length > 0);
    let (first, last) = match (body.range, by_length) {
        (Some(range), Some(length)) if range.len() != length => {
            return Err(format!("the answer's range has {} bytes and its length is {length}", range.len()));
        }
        (Some(range), _) => (range.first, range.last),
        // Without a range the whole object came, which is right only where its beginning was asked for, or a part.
        (None, Some(length)) if at == 0 || matches!(asked, Piece::Part(_)) => (at, at + length - 1),
        (None, _) => return Err("the answer does not say which bytes it carries".to_owned()),
    };
    match asked {
        _ if first != at => Err(format!("the answer begins at byte {first} where byte {at} was asked for")),
        Piece::Range { last: asked, .. } if last > asked => {
            Err(format!("the answer ends at byte {last} where at most {asked} was asked for"))
        }
        _ => Ok((first, last)),
    }
}
