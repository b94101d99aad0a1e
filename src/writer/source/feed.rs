//! Pieces of a stream that another task of this program makes, in a queue that holds so many bytes and no more.
//!
//! Whoever makes them waits while it is full, and so does whoever sends to them: nothing is dropped here. Where a piece
//! begins another object, the stream ends before it until somebody has asked to [go on](Feed::next_object).

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::SourceError;

/// Where pieces come out again.
#[derive(Debug)]
pub struct Feed {
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// What of the newest piece has not been read.
    rest: Option<Piece>,
}

/// Where pieces go in.
#[derive(Debug)]
pub struct Feeder {
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
    most: usize,
}

/// Bytes, and the room that they take in the queue until they are read.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Another object begins with it.
    begins: bool,
    _room: OwnedSemaphorePermit,
}

/// A queue of so many bytes. A longer piece goes in when it is alone.
#[must_use]
pub fn feed(most: usize) -> (Feeder, Feed) {
    let (send, receive) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(most));
    (Feeder { pieces: send, room, most }, Feed { pieces: receive, rest: None })
}

impl Feeder {
    /// Waits for room and puts a piece in; false when nobody reads any more. Dropping the future puts nothing in.
    pub async fn give(&self, bytes: Bytes) -> bool {
        self.put(bytes, false).await
    }

    /// The same with the first piece of another object.
    pub async fn give_next(&self, bytes: Bytes) -> bool {
        self.put(bytes, true).await
    }

    async fn put(&self, bytes: Bytes, begins: bool) -> bool {
        self.room(bytes.len()).await.is_some_and(|room| room.put(bytes, begins))
    }

    /// Waits for room for so many bytes; none when nobody reads any more.
    pub async fn room(&self, bytes: usize) -> Option<Room<'_>> {
        let size = u32::try_from(bytes.min(self.most)).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            () = self.pieces.closed() => None,
            // It is never closed.
            room = self.room.clone().acquire_many_owned(size) => Some(Room { feeder: self, room: room.ok()? }),
        }
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.pieces.closed().await;
    }
}

/// Room that is kept for a piece.
#[derive(Debug)]
pub struct Room<'a> {
    feeder: &'a Feeder,
    room: OwnedSemaphorePermit,
}

impl Room<'_> {
    /// Puts the piece in, of as many bytes as were asked for; false when nobody reads any more. `begins`: another object does.
    #[must_use]
    pub fn put(self, bytes: Bytes, begins: bool) -> bool {
        self.feeder.pieces.send(Piece { bytes, begins, _room: self.room }).is_ok()
    }
}

impl Feed {
    /// The next piece as it went in, whole; none once the feeder is gone. For whoever knows by itself where objects begin.
    pub async fn piece(&mut self) -> Option<Bytes> {
        match self.rest.take() {
            Some(piece) => Some(piece.bytes),
            None => self.pieces.recv().await.map(|piece| piece.bytes),
        }
    }

    /// Whether the stream has ended only because another object begins; what is read from here on belongs to that.
    pub(super) fn next_object(&mut self) -> bool {
        self.rest.as_mut().is_some_and(|piece| std::mem::take(&mut piece.begins))
    }

    /// Reads into `room`; 0 once the feeder is gone, and before another object.
    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if let Some(piece) = self.rest.as_mut().filter(|piece| !piece.bytes.is_empty()) {
                if piece.begins {
                    return Ok(0);
                }
                let count = piece.bytes.len().min(room.len());
                if let Some(room) = room.get_mut(..count) {
                    piece.bytes.copy_to_slice(room);
                }
                if piece.bytes.is_empty() {
                    self.rest = None;
                }
                return Ok(count);
            }
            self.rest = self.pieces.recv().await;
            if self.rest.is_none() {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn pieces_wait_for_room_and_come_out_as_they_went_in() {
        let (feeder, mut feed) = feed(10);
        assert!(feeder.give(Bytes::from_static(b"abcdef")).await);
        assert!(feeder.give(Bytes::new()).await);
        let mut more = Box::pin(feeder.give(Bytes::from_static(b"ghijk")));
        assert!((&mut more).now_or_never().is_none(), "there is room for four bytes");
        let mut room = [0; 4];
        assert_eq!(feed.read(&mut room).await.unwrap(), 4);
        assert!((&mut more).now_or_never().is_none(), "a piece takes its room until it is read");
        assert_eq!(feed.read(&mut room).await.unwrap(), 2);
        assert_eq!(&room[..2], b"ef");
        assert!(more.await);
        assert_eq!(feed.read(&mut room).await.unwrap(), 4);
        assert_eq!(feed.read(&mut room).await.unwrap(), 1);
        // Larger than the queue.
        assert!(feeder.give(Bytes::from(vec![7; 30])).await);
        assert!(feeder.give(Bytes::from_static(b"x")).now_or_never().is_none());
        drop(feeder);
        let mut room = [0; 64];
        assert_eq!(feed.read(&mut room).await.unwrap(), 30);
        assert_eq!(feed.read(&mut room).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_stream_ends_before_another_object_until_that_is_asked_for() {
        let (feeder, mut feed) = feed(100);
        assert!(feeder.give(Bytes::from_static(b"one")).await && feeder.give_next(Bytes::from_static(b"two")).await);
        drop(feeder);
        let mut room = [0; 64];
        assert!(!feed.next_object());
        assert_eq!(feed.read(&mut room).await.unwrap(), 3);
        assert_eq!((feed.read(&mut room).await.unwrap(), feed.read(&mut room).await.unwrap()), (0, 0));
        assert!(feed.next_object() && !feed.next_object());
        assert_eq!((feed.read(&mut room).await.unwrap(), &room[..3]), (3, &b"two"[..]));
        assert_eq!(feed.read(&mut room).await.unwrap(), 0);
        assert!(!feed.next_object());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_reader_that_is_gone() {
        let (feeder, feed) = feed(4);
        assert!(feeder.give(Bytes::from_static(b"abcd")).await);
        let waiting = tokio::spawn(async move { feeder.give(Bytes::from_static(b"e")).await });
        drop(feed);
        assert!(!waiting.await.unwrap());
    }
}
