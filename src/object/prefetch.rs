//! Reads one stretch of the object in the background, as far ahead of whoever takes its bytes as it is allowed to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use crate::object::stretch::{Door, Reading};
pub use crate::object::stretch::{End, Event, Facts, Hold, Stretch, Target};
use crate::store::{Kind, StoreError};

/// Bytes that wait for their turn lie in blocks of this size.
const BLOCK: usize = 64 * 1024;

/// A stretch that is being read.
#[derive(Debug)]
pub struct Fetch {
    /// Offset at which it begins.
    pub first: u64,
    /// When it was first asked for.
    pub sent: Instant,
    /// How messages name the object.
    object: String,
    events: mpsc::UnboundedReceiver<Event>,
    waiting: Waiting,
    task: JoinHandle<()>,
}

/// What has been read and not been taken.
#[derive(Debug, Clone)]
struct Waiting {
    /// Pieces of it.
    pieces: Arc<AtomicUsize>,
    /// A permit for each byte that there is room for.
    room: Arc<Semaphore>,
    most: u32,
}

impl Waiting {
    fn new(most: u64) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        let room = Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self { pieces: Arc::default(), room: Arc::new(room), most }
    }

    /// The room that a piece takes: one larger than all of it takes all of it.
    fn room_of(&self, piece: &Bytes) -> u32 {
        u32::try_from(piece.len()).unwrap_or(u32::MAX).min(self.most)
    }

    /// Waits for room.
    async fn add(&self, piece: &Bytes) {
        // The semaphore is never closed.
        if let Ok(room) = self.room.acquire_many(self.room_of(piece)).await {
            room.forget();
        }
        self.pieces.fetch_add(1, Relaxed);
    }

    fn taken(&self, piece: &Bytes) {
        self.pieces.fetch_sub(1, Relaxed);
        self.room.add_permits(usize::try_from(self.room_of(piece)).unwrap_or(0));
    }
}

impl Fetch {
    /// Starts to read `stretch`, and reads ahead of [`next`](Self::next) by at most `ahead` bytes.
    #[must_use]
    pub fn start<D: Door>(door: &D, target: &Target, stretch: Stretch, ahead: u64) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let waiting = Waiting::new(ahead);
        let mut reading = Reading::new(door, target, stretch);
        let mut packer = Packer { tell, waiting: waiting.clone(), block: BytesMut::new() };
        let read = async move {
            loop {
                match reading.next().await {
                    Event::Bytes(bytes) => packer.pass(bytes).await,
                    event @ Event::Facts(_) => packer.tell(event),
                    end @ Event::End(_) => return packer.tell(end),
                }
            }
        };
        let task = tokio::spawn(read.in_current_span());
        Self { first: stretch.first(), sent: Instant::now(), object: door.object(&target.key), events, waiting, task }
    }

    /// The next event. Nothing may be asked for after the end.
    pub async fn next(&mut self) -> Event {
        let Some(event) = self.events.recv().await else {
            // The task always tells of an end, unless it could not go on at all.
            let cause = "what was reading it has ended without a word; this is a fault of this program";
            let doing = format!("reading from byte {} on", self.first);
            return Event::End(End::Failed(StoreError::local(doing, self.object.clone(), Kind::Refused, cause)));
        };
        if let Event::Bytes(piece) = &event {
            self.waiting.taken(piece);
        }
        event
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes on at once, and moves those that have to wait out of the buffers of the HTTP client.
///
/// Those buffers have 400 KiB each and stay in memory whole for as long as a byte of what was read into them waits, however
/// little that was: a window of four chunks took twice its bytes. Blocks of one size are filled to their last byte and used
/// again.
struct Packer {
    tell: mpsc::UnboundedSender<Event>,
    waiting: Waiting,
    /// The room that is left in the newest block.
    block: BytesMut,
}

impl Packer {
    fn tell(&self, event: Event) {
        // Fails when the reader is no longer interested in this stretch; the task is about to be aborted then.
        drop(self.tell.send(event));
    }

    async fn pass(&mut self, bytes: Bytes) {
        // What is taken at once need not be copied.
        if self.waiting.pieces.load(Relaxed) == 0 {
            self.pass_piece(bytes).await;
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
            self.pass_piece(piece).await;
            bytes = later;
        }
    }

    async fn pass_piece(&self, piece: Bytes) {
        self.waiting.add(&piece).await;
        self.tell(Event::Bytes(piece));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn packer(ahead: u64) -> (Packer, mpsc::UnboundedReceiver<Event>) {
        let (tell, events) = mpsc::unbounded_channel();
        (Packer { tell, waiting: Waiting::new(ahead), block: BytesMut::new() }, events)
    }

    /// Made once: what is cut out of it at each step differs from what was cut before.
    fn pattern() -> &'static [u8] {
        static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
        PATTERN.get_or_init(|| (0..251).cycle().take(3 * BLOCK + 12).collect())
    }

    fn take(waiting: &Waiting, events: &mut mpsc::UnboundedReceiver<Event>) -> Option<Bytes> {
        match events.try_recv() {
            Ok(Event::Bytes(piece)) => {
                waiting.taken(&piece);
                Some(piece)
            }
            _ => None,
        }
    }

    /// Runs what never waits.
    fn at_once(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future);
    }

    #[test]
    fn only_what_is_taken_at_once_keeps_the_buffer_that_it_came_in() {
        let (mut packer, mut events) = packer(u64::MAX);
        let buffer = Arc::new(vec![1; 1000]);
        let piece = || Bytes::from_owner(Owned(buffer.clone()));
        at_once(packer.pass(piece()));
        assert_eq!(Arc::strong_count(&buffer), 2, "nothing waits yet: passed on as it is");
        at_once(packer.pass(piece()));
        assert_eq!(Arc::strong_count(&buffer), 2, "copied, because the first one still waits");
        assert_eq!(take(&packer.waiting, &mut events).map(|piece| piece.len()), Some(1000));
        assert_eq!(take(&packer.waiting, &mut events).map(|piece| piece.len()), Some(1000));
        assert_eq!(Arc::strong_count(&buffer), 1);
        at_once(packer.pass(piece()));
        assert_eq!(Arc::strong_count(&buffer), 2, "nothing waits any more");
    }

    struct Owned(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_was_allowed_waits_to_be_taken() {
        let (mut packer, mut events) = packer(100_000);
        let waiting = packer.waiting.clone();
        let fed = tokio::spawn(async move {
            for _ in 0..40 {
                packer.pass(Bytes::from(vec![7; 30_000])).await;
            }
        });
        let (mut taken, mut most) = (0, 0);
        while taken < 40 * 30_000 {
            // Time passes only when nothing else can be done.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let mut waits = 0;
            while let Some(piece) = take(&waiting, &mut events) {
                waits += piece.len();
            }
            (taken, most) = (taken + waits, most.max(waits));
        }
        fed.await.expect("it goes on");
        assert!((70_000..=100_000).contains(&most), "{most}");
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(steps in vec((1..3 * BLOCK, 0..4usize), 1..12)) {
            let (mut packer, mut events) = packer(u64::MAX);
            let (mut went_in, mut came_out) = (Vec::new(), Vec::new());
            let pattern = pattern();
            for (number, (len, takes)) in steps.into_iter().enumerate() {
                let piece = &pattern[number..number + len];
                went_in.extend_from_slice(piece);
                at_once(packer.pass(Bytes::copy_from_slice(piece)));
                for _ in 0..takes {
                    came_out.extend_from_slice(&take(&packer.waiting, &mut events).unwrap_or_default());
                }
            }
            while let Some(piece) = take(&packer.waiting, &mut events) {
                came_out.extend_from_slice(&piece);
            }
            prop_assert!(went_in == came_out);
        }
    }
}
