//! Reads one stretch of the object in the background and hands its bytes over in order.
//!
//! A stretch goes on by itself from the last byte received when its connection breaks or stalls, so whoever takes the
//! bytes never sees one twice. Bytes that were not asked for are never passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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
    /// Pieces among the events that nobody has taken.
    waiting: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Fetch {
    /// Starts to read `stretch`. What it holds in memory is bounded by the stretch itself.
    #[must_use]
    pub fn start(store: &Store, target: &Target, stretch: Stretch) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let (store, target, waiting) = (store.clone(), target.clone(), Arc::<AtomicUsize>::default());
        let mut packer = Packer { tell, waiting: waiting.clone(), block: BytesMut::new() };
        let task = tokio::spawn(async move {
            let end = read(&store, &target, stretch, &mut packer).await;
            packer.tell(Event::End(end));
        });
        Self { first: stretch.first(), sent: Instant::now(), events, waiting, task }
    }

    /// The next event. After the end there is none; asking again waits for ever.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => {
                if matches!(event, Event::Bytes(_)) {
                    self.waiting.fetch_sub(1, Relaxed);
                }
                event
            }
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
async fn read(store: &Store, target: &Target, stretch: Stretch, packer: &mut Packer) -> End {
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
                match pass_on(*body, piece, store.patience().body, &mut at, packer, &mut failures).await {
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
    packer: &mut Packer,
    failures: &mut Failures,
) -> Result<u64, (String, Option<u64>)> {
    let (first, last) = promised(&body, asked, *at).map_err(|cause| (cause, None))?;
    let facts = Event::Facts { version: body.version.take(), part_size: body.part_size };
    packer.tell(facts);
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
            packer.pass(bytes);
        }
    }
}

/// Passes bytes on at once, and moves those that have to wait out of the buffers of the HTTP client.
///
/// Those buffers have 400 KiB each and stay in memory whole for as long as a byte of what was read into them waits, however
/// little that was: a window of four chunks took twice its bytes. Blocks of one size are filled to their last byte and used
/// again.
struct Packer {
    tell: mpsc::UnboundedSender<Event>,
    waiting: Arc<AtomicUsize>,
    /// The room that is left in the newest block.
    block: BytesMut,
}

impl Packer {
    fn tell(&self, event: Event) {
        // Fails when the reader is no longer interested in this stretch; the task is about to be aborted then.
        drop(self.tell.send(event));
    }

    fn pass(&mut self, bytes: Bytes) {
        // What is taken at once need not be copied.
        if self.waiting.load(Relaxed) == 0 {
            self.pass_piece(bytes);
            return;
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block = BytesMut::with_capacity(BLOCK);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.block.capacity()));
            self.block.extend_from_slice(now);
            let piece = self.block.split().freeze();
            self.pass_piece(piece);
            bytes = later;
        }
    }

    fn pass_piece(&self, piece: Bytes) {
        self.waiting.fetch_add(1, Relaxed);
        self.tell(Event::Bytes(piece));
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn packer() -> (Packer, mpsc::UnboundedReceiver<Event>) {
        let (tell, events) = mpsc::unbounded_channel();
        (Packer { tell, waiting: Arc::default(), block: BytesMut::new() }, events)
    }

    fn take(packer: &Packer, events: &mut mpsc::UnboundedReceiver<Event>) -> Option<Bytes> {
        match events.try_recv() {
            Ok(Event::Bytes(piece)) => {
                packer.waiting.fetch_sub(1, Relaxed);
                Some(piece)
            }
            _ => None,
        }
    }

    #[test]
    fn only_what_is_taken_at_once_keeps_the_buffer_that_it_came_in() {
        let (mut packer, mut events) = packer();
        let buffer = Arc::new(vec![1; 1000]);
        let piece = || Bytes::from_owner(Owned(buffer.clone()));
        packer.pass(piece());
        assert_eq!(Arc::strong_count(&buffer), 2, "nothing waits yet: passed on as it is");
        packer.pass(piece());
        assert_eq!(Arc::strong_count(&buffer), 2, "copied, because the first one still waits");
        assert_eq!(take(&packer, &mut events).map(|piece| piece.len()), Some(1000));
        assert_eq!(take(&packer, &mut events).map(|piece| piece.len()), Some(1000));
        assert_eq!(Arc::strong_count(&buffer), 1);
        packer.pass(piece());
        assert_eq!(Arc::strong_count(&buffer), 2, "nothing waits any more");
    }

    struct Owned(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(steps in vec((1..3 * BLOCK, 0..4usize), 1..12)) {
            let (mut packer, mut events) = packer();
            let (mut went_in, mut came_out) = (Vec::new(), Vec::new());
            for (number, (len, takes)) in steps.into_iter().enumerate() {
                let piece: Vec<u8> = (0..251).cycle().skip(number).take(len).collect();
                went_in.extend_from_slice(&piece);
                packer.pass(piece.into());
                for _ in 0..takes {
                    came_out.extend(take(&packer, &mut events).into_iter().flatten());
                }
            }
            while let Some(piece) = take(&packer, &mut events) {
                came_out.extend(piece);
            }
            prop_assert!(went_in == came_out);
        }
    }
}
