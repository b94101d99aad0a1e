//! The newest bytes of an object that grows, for all who watch it: filled by one follower, bounded, and read by offset.
//!
//! Viewers hold an offset and no queue. Whoever is behind what is kept here reads blocks as of any other object.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::block::{BLOCK, Block};
use super::blocks::{Blocks, Place};

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    object: [u8; 16],
    blocks: Arc<Blocks>,
    inner: Mutex<Option<Kept>>,
}

/// What is kept while it is followed.
#[derive(Debug)]
struct Kept {
    /// The number of the first block.
    first: u64,
    blocks: VecDeque<Arc<Block>>,
    /// The offset after the newest byte.
    end: u64,
}

/// What there is at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Bytes(Bytes),
    /// The next byte has not come yet.
    NotYet,
    /// It lies before what is kept, or nothing is.
    Elsewhere,
}

impl Ring {
    pub(crate) fn new(object: [u8; 16], blocks: Arc<Blocks>) -> Self {
        Self { object, blocks, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Option<Kept>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins at a block, empty; false where there is no memory for it.
    pub(crate) fn begin(&self, first: u64) -> bool {
        let is_room = self.blocks.begin_ring();
        if is_room {
            *self.inner() = Some(Kept { first, blocks: VecDeque::new(), end: first.saturating_mul(BLOCK) });
        }
        is_room
    }

    /// Whether it is being filled.
    pub(crate) fn is_open(&self) -> bool {
        self.inner().is_some()
    }

    /// Takes the next bytes, which begin at `at`; the offset after them, or none where these are not the next any more.
    pub(crate) fn append(&self, at: u64, mut bytes: Bytes) -> Option<u64> {
        let mut inner = self.inner();
        let kept = inner.as_mut().filter(|kept| kept.end == at)?;
        kept.end = kept.end.saturating_add(bytes.len() as u64);
        while !bytes.is_empty() {
            if kept.blocks.back().is_none_or(|newest| !newest.is_filling()) {
                kept.blocks.push_back(Arc::new(Block::new(BLOCK)));
                let most = self.blocks.grow_ring();
                while kept.blocks.len() > most
                    && let Some(oldest) = kept.blocks.pop_front()
                {
                    self.blocks.keep(Place { object: self.object, number: kept.first }, oldest);
                    kept.first += 1;
                }
            }
            if let Some(newest) = kept.blocks.back() {
                newest.append(&mut bytes);
            }
        }
        Some(kept.end)
    }

    /// Ends it; what it had become blocks as of any other object. `whole`: the object ends where the ring does.
    pub(crate) fn end(&self, whole: bool) {
        // Held to the end: what is looked for meanwhile is in one of the two places.
        let mut inner = self.inner();
        let Some(kept) = inner.take() else { return };
        self.blocks.end_ring();
        for (number, block) in (kept.first..).zip(kept.blocks) {
            if whole && block.is_filling() {
                block.seal();
            }
            if block.is_filling() {
                block.fail();
                self.blocks.shrink_ring();
            } else {
                self.blocks.keep(Place { object: self.object, number }, block);
            }
        }
    }

    /// At most `most` bytes from `at` on.
    pub(crate) fn read(&self, at: u64, most: u64) -> Here {
        let inner = self.inner();
        let Some(kept) = inner.as_ref() else { return Here::Elsewhere };
        let Some(place) = (at / BLOCK).checked_sub(kept.first) else { return Here::Elsewhere };
        let block = usize::try_from(place).ok().and_then(|place| kept.blocks.get(place));
        block.and_then(|block| block.read(at % BLOCK, most)).map_or(Here::NotYet, Here::Bytes)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.end(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::blocks::LEAST_MEMORY;

    fn input(from: u64, to: u64) -> Bytes {
        (from..to).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect::<Vec<u8>>().into()
    }

    /// Bytes `from` to `to` of the ring.
    fn read(ring: &Ring, from: u64, to: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while let Here::Bytes(bytes) = ring.read(from + all.len() as u64, to - from - all.len() as u64) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[test]
    fn the_newest_bytes_are_kept_and_the_oldest_become_blocks() {
        let blocks = Arc::new(Blocks::new(LEAST_MEMORY));
        let ring = Ring::new([1; 16], Arc::clone(&blocks));
        assert_eq!(ring.read(0, 10), Here::Elsewhere);
        assert!(ring.begin(3));
        let (start, end) = (3 * BLOCK, 24 * BLOCK + 17);
        assert_eq!(ring.read(start, 10), Here::NotYet);
        let mut at = start;
        while at < end {
            let to = (at + 777_777).min(end);
            assert_eq!(ring.append(at, input(at, to)), Some(to));
            at = to;
            assert!(blocks.held() <= LEAST_MEMORY);
        }
        assert_eq!(ring.append(at - 1, input(at - 1, at)), None);
        // Half of the memory has eight blocks.
        assert_eq!(ring.read(16 * BLOCK + 17, 1), Here::Elsewhere);
        assert_eq!(read(&ring, 17 * BLOCK, end), input(17 * BLOCK, end));
        assert_eq!(ring.read(end, 1), Here::NotYet);
        let (block, is_new) = blocks.get(Place { object: [1; 16], number: 16 }, BLOCK);
        assert!(!is_new);
        assert_eq!(block.read(5, 3), Some(input(16 * BLOCK + 5, 16 * BLOCK + 8)));
        ring.end(true);
        assert!(!ring.is_open());
        let (last, is_new) = blocks.get(Place { object: [1; 16], number: 24 }, 17);
        assert!(!is_new && !last.is_filling());
        assert_eq!(last.read(0, 100), Some(input(24 * BLOCK, end)));
        assert!(blocks.held() <= LEAST_MEMORY);
    }

    #[test]
    fn what_is_not_whole_is_not_kept_when_nobody_watches_any_more() {
        let blocks = Arc::new(Blocks::new(LEAST_MEMORY));
        let ring = Ring::new([1; 16], Arc::clone(&blocks));
        assert!(ring.begin(0));
        assert_eq!(ring.append(0, input(0, BLOCK + 5)), Some(BLOCK + 5));
        assert_eq!(ring.append(0, input(0, 5)), None, "another follower is where it was");
        ring.end(false);
        assert!(!blocks.get(Place { object: [1; 16], number: 0 }, BLOCK).1);
        assert!(blocks.get(Place { object: [1; 16], number: 1 }, BLOCK).1);
        assert_eq!(blocks.held(), BLOCK);
    }
}
