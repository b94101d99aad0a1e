//! A stretch of an object in memory that is filled from its beginning on, and read by many while it is.
//!
//! Its bytes are copied once, out of the buffers of the HTTP client, into chunks of one size that are filled to their last
//! byte: those buffers stay in memory whole for as long as somebody holds a byte of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

/// Bytes of a block that is full.
pub(crate) const BLOCK: u64 = 1 << 20;

/// Memory is taken in pieces of this size, which is also the most that one viewer holds on to.
const CHUNK: usize = 128 << 10;

/// So many pieces of a chunk are put together to one.
const MANY: usize = 16;

/// How far a block is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filled {
    /// So far, and there is more to come.
    To(u64),
    /// All of it is there.
    Whole,
    /// It is filled no further.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Block {
    inner: Mutex<Inner>,
    filled: watch::Sender<Filled>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many bytes it will have.
    size: u64,
    /// Where each begins, and its bytes.
    pieces: Vec<(u64, Bytes)>,
    /// Pieces of the newest chunk.
    loose: usize,
    room: BytesMut,
    length: u64,
}

impl Block {
    /// To be filled with `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        let inner = Inner { size, ..Inner::default() };
        Self { inner: Mutex::new(inner), filled: watch::channel(Filled::To(0)).0 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        self.inner().length
    }

    /// Takes as many bytes as there is room for, off the front of `bytes`.
    pub(crate) fn append(&self, bytes: &mut Bytes) {
        let mut inner = self.inner();
        let left = usize::try_from(inner.size.saturating_sub(inner.length)).unwrap_or(usize::MAX);
        let mut now = bytes.split_to(bytes.len().min(left));
        while !now.is_empty() {
            if inner.room.capacity() == 0 {
                let left = usize::try_from(inner.size.saturating_sub(inner.length)).unwrap_or(CHUNK);
                inner.room = BytesMut::with_capacity(CHUNK.min(left));
                inner.loose = 0;
            }
            let some = now.split_to(now.len().min(inner.room.capacity()));
            inner.room.extend_from_slice(&some);
            let piece = inner.room.split().freeze();
            let at = inner.length;
            inner.pieces.push((at, piece));
            inner.loose += 1;
            inner.length += some.len() as u64;
            if inner.loose >= MANY {
                inner.put_together();
            }
        }
        let (length, size) = (inner.length, inner.size);
        drop(inner);
        self.filled.send_replace(if length == size { Filled::Whole } else { Filled::To(length) });
    }

    /// What it has is all: the object ends here.
    pub(crate) fn seal(&self) {
        let mut inner = self.inner();
        inner.size = inner.length;
        inner.room = BytesMut::new();
        drop(inner);
        self.filled.send_replace(Filled::Whole);
    }

    /// It will not be filled any further.
    pub(crate) fn fail(&self) {
        self.filled.send_if_modified(|filled| {
            let fails = matches!(filled, Filled::To(_));
            if fails {
                *filled = Filled::Failed;
            }
            fails
        });
    }

    /// How far it is filled, and news of that.
    pub(crate) fn filled(&self) -> watch::Receiver<Filled> {
        self.filled.subscribe()
    }

    /// Whether it is being filled.
    pub(crate) fn is_filling(&self) -> bool {
        matches!(*self.filled.borrow(), Filled::To(_))
    }

    /// At most `most` bytes from offset `at` in it on, as far as they are there without a gap in memory.
    pub(crate) fn read(&self, at: u64, most: u64) -> Option<Bytes> {
        let inner = self.inner();
        let next = inner.pieces.partition_point(|(begins, _)| *begins <= at);
        let (begins, piece) = inner.pieces.get(next.checked_sub(1)?)?;
        let from = usize::try_from(at - begins).ok().filter(|from| *from < piece.len())?;
        let to = usize::try_from(most).map_or(piece.len(), |most| piece.len().min(from.saturating_add(most)));
        Some(piece.slice(from..to)).filter(|bytes| !bytes.is_empty())
    }
}

impl Inner {
    /// Copies the pieces of the newest chunk into one: a stream that comes a few bytes at a time is not to be kept so.
    fn put_together(&mut self) {
        let first = self.pieces.len().saturating_sub(self.loose);
        let Some(begins) = self.pieces.get(first).map(|(begins, _)| *begins) else { return };
        let mut all = BytesMut::with_capacity(CHUNK);
        self.pieces.drain(first..).for_each(|(_, piece)| all.extend_from_slice(&piece));
        self.pieces.push((begins, all.split().freeze()));
        // The rest of the new chunk is gone on with in place of the old one's.
        self.room = all;
        self.loose = 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(length: usize) -> Bytes {
        (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect::<Vec<u8>>().into()
    }

    /// All that can be read.
    fn all(block: &Block) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(bytes) = block.read(read.len() as u64, 50_000) {
            read.extend_from_slice(&bytes);
        }
        read
    }

    #[test]
    fn it_takes_what_it_has_room_for_and_tells_when_it_is_whole() {
        let block = Block::new(300_000);
        let news = block.filled();
        let mut bytes = input(299_999);
        block.append(&mut bytes);
        assert_eq!((*news.borrow()).clone(), Filled::To(299_999));
        assert!(block.is_filling() && bytes.is_empty());
        let mut more = Bytes::from_static(b"xy");
        block.append(&mut more);
        assert_eq!((&*more, (*news.borrow()).clone()), (&b"y"[..], Filled::Whole));
        block.fail();
        assert_eq!((*news.borrow()).clone(), Filled::Whole);
        let broken = Block::new(10);
        broken.fail();
        assert_eq!((*broken.filled().borrow()).clone(), Filled::Failed);
    }

    #[test]
    fn no_chunk_is_larger_than_what_a_viewer_may_hold() {
        let block = Block::new(BLOCK);
        block.append(&mut input(1 << 20));
        assert_eq!(block.read(0, u64::MAX).map(|bytes| bytes.len()), Some(CHUNK));
        assert_eq!(block.inner().pieces.len(), 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_comes_in_pieces_is_read_as_one(sizes in prop::collection::vec(1usize..40_000, 1..200)) {
            let total: usize = sizes.iter().sum::<usize>().min(1 << 20);
            let (block, mut bytes) = (Block::new(total as u64), input(total));
            for size in sizes {
                let mut some = bytes.split_to(size.min(bytes.len()));
                block.append(&mut some);
            }
            prop_assert_eq!(all(&block), &input(total)[..]);
            prop_assert!(!block.is_filling());
            let chunks = total.div_ceil(CHUNK);
            prop_assert!(block.inner().pieces.len() <= chunks * (MANY + 1), "{}", block.inner().pieces.len());
        }

        #[test]
        fn single_bytes_are_put_together(total in 1usize..3_000) {
            let (block, mut bytes) = (Block::new(total as u64), input(total));
            while !bytes.is_empty() {
                block.append(&mut bytes.split_to(1));
            }
            prop_assert_eq!(all(&block), &input(total)[..]);
            prop_assert!(block.inner().pieces.len() <= MANY);
        }
    }
}
