//! All bytes that the gateway holds in memory, within one bound: blocks of objects that were read, the newest used of them,
//! and the rings of those that grow.
//!
//! Half of the memory at most belongs to the rings, and a quarter to what is being uploaded; what falls out of a ring becomes an ordinary block. A block that is asked
//! for by many is fetched once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::block::{BLOCK, Block};

/// The least memory that a gateway works with.
pub const LEAST_MEMORY: u64 = 16 << 20;

/// The most and the least of a ring.
const RING: (u64, u64) = (64 << 20, 2 * BLOCK);

/// The most blocks that are being fetched at a time.
const MOST_FETCHES: u64 = 64;

/// Which block of which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// What tells the version of an object from all others.
    pub(crate) object: [u8; 16],
    /// Its number, from 0 on.
    pub(crate) number: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Blocks {
    most: u64,
    inner: Mutex<Inner>,
    fetches: Semaphore,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Place, Entry>,
    /// Places by when they were used last.
    order: BTreeMap<u64, Place>,
    clock: u64,
    /// Bytes of all entries.
    bytes: u64,
    /// Rings that there are, and bytes in them.
    rings: u64,
    ring_bytes: u64,
    /// What is lent.
    lent: u64,
}

/// Memory that something else has for a while.
#[derive(Debug)]
pub(crate) struct Loan {
    blocks: Arc<Blocks>,
    bytes: u64,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut inner = self.blocks.inner();
        inner.lent = inner.lent.saturating_sub(self.bytes);
    }
}

#[derive(Debug)]
struct Entry {
    block: Arc<Block>,
    used: u64,
    /// What it counts for: nothing before memory is taken for it.
    weight: u64,
}

impl Blocks {
    pub(crate) fn new(memory: u64) -> Self {
        let most = memory.max(LEAST_MEMORY);
        let fetches = usize::try_from((most / 4 / BLOCK).min(MOST_FETCHES)).unwrap_or(4);
        Self { most, inner: Mutex::default(), fetches: Semaphore::new(fetches) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of `size` bytes, and whether it is new: then whoever asked has to have it filled.
    pub(crate) fn get(&self, place: Place, size: u64) -> (Arc<Block>, bool) {
        let mut inner = self.inner();
        if let Some(block) = inner.touch(place) {
            return (block, false);
        }
        let block = Arc::new(Block::new(size));
        inner.insert(place, Arc::clone(&block), 0);
        (block, true)
    }

    /// Waits for the right to fetch a block, and takes the memory for it.
    pub(crate) async fn room_for(&self, place: Place, size: u64) -> Option<SemaphorePermit<'_>> {
        let permit = self.fetches.acquire().await.ok()?;
        let mut inner = self.inner();
        if let Some(entry) = inner.entries.get_mut(&place).filter(|entry| entry.weight == 0) {
            entry.weight = size;
            inner.bytes += size;
        }
        inner.shrink(self.most);
        Some(permit)
    }

    /// Takes what has come out of a ring.
    pub(crate) fn keep(&self, place: Place, block: Arc<Block>) {
        let mut inner = self.inner();
        inner.ring_bytes = inner.ring_bytes.saturating_sub(BLOCK);
        inner.remove(place);
        let weight = block.length();
        inner.insert(place, block, weight);
        inner.shrink(self.most);
    }

    /// Lets go of a block that could not be filled.
    pub(crate) fn forget(&self, place: Place) {
        self.inner().remove(place);
    }

    /// Begins a ring; false where there is no memory for another one.
    pub(crate) fn begin_ring(&self) -> bool {
        let mut inner = self.inner();
        let is_room = inner.has_ring(self.most);
        inner.rings += u64::from(is_room);
        is_room
    }

    /// Whether there is memory for another ring.
    pub(crate) fn has_ring(&self) -> bool {
        self.inner().has_ring(self.most)
    }

    pub(crate) fn end_ring(&self) {
        let mut inner = self.inner();
        inner.rings = inner.rings.saturating_sub(1);
    }

    /// Takes memory for one more block of a ring; how many blocks it may have now.
    pub(crate) fn grow_ring(&self) -> usize {
        let mut inner = self.inner();
        inner.ring_bytes += BLOCK;
        let most = (self.most / 2 / inner.rings.max(1)).clamp(RING.1, RING.0);
        inner.shrink(self.most);
        usize::try_from(most / BLOCK).unwrap_or(2)
    }

    /// A block of a ring is gone.
    pub(crate) fn shrink_ring(&self) {
        let mut inner = self.inner();
        inner.ring_bytes = inner.ring_bytes.saturating_sub(BLOCK);
    }

    /// Memory for something else; none where there is not so much.
    pub(crate) fn lend(blocks: &Arc<Self>, bytes: u64) -> Option<Loan> {
        let mut inner = blocks.inner();
        let lent = inner.lent.checked_add(bytes).filter(|lent| *lent <= (blocks.most / 4).max(LEAST_MEMORY))?;
        inner.lent = lent;
        inner.shrink(blocks.most);
        drop(inner);
        Some(Loan { blocks: Arc::clone(blocks), bytes })
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> u64 {
        let inner = self.inner();
        inner.bytes + inner.ring_bytes + inner.lent
    }
}

impl Inner {
    fn has_ring(&self, most: u64) -> bool {
        (self.rings + 1) * RING.1 <= most / 2
    }

    fn touch(&mut self, place: Place) -> Option<Arc<Block>> {
        let entry = self.entries.get_mut(&place)?;
        self.order.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.order.insert(self.clock, place);
        Some(Arc::clone(&entry.block))
    }

    fn insert(&mut self, place: Place, block: Arc<Block>, weight: u64) {
        self.clock += 1;
        self.entries.insert(place, Entry { block, used: self.clock, weight });
        self.order.insert(self.clock, place);
        self.bytes += weight;
    }

    fn remove(&mut self, place: Place) {
        if let Some(entry) = self.entries.remove(&place) {
            self.order.remove(&entry.used);
            self.bytes = self.bytes.saturating_sub(entry.weight);
        }
    }

    /// Lets go of what was used longest ago, but for what is being filled: of that there is a quarter at most.
    fn shrink(&mut self, most: u64) {
        let held = self.bytes.saturating_add(self.ring_bytes).saturating_add(self.lent);
        if held <= most {
            return;
        }
        let mut over = held.saturating_sub(most);
        let mut gone = Vec::new();
        for (used, place) in &self.order {
            if over == 0 {
                break;
            }
            let Some(entry) = self.entries.get(place) else {
                gone.push((*used, *place));
                continue;
            };
            if !entry.block.is_filling() {
                over = over.saturating_sub(entry.weight);
                gone.push((*used, *place));
            }
        }
        for (_, place) in gone {
            self.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn place(number: u64) -> Place {
        Place { object: [7; 16], number }
    }

    async fn filled(blocks: &Blocks, number: u64) -> bool {
        let (block, is_new) = blocks.get(place(number), BLOCK);
        if is_new {
            let _permit = blocks.room_for(place(number), BLOCK).await;
            block.append(&mut Bytes::from(vec![1; 1 << 20]));
        }
        is_new
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first_and_the_bound_holds() {
        let blocks = Blocks::new(LEAST_MEMORY);
        for number in 0..100 {
            assert!(filled(&blocks, number).await, "{number}");
            assert!(!filled(&blocks, 0).await || number > 100, "the first is used all the time");
            assert!(blocks.held() <= LEAST_MEMORY, "{}", blocks.held());
        }
        assert!(!filled(&blocks, 99).await && !filled(&blocks, 0).await);
        assert!(filled(&blocks, 1).await);
    }

    #[tokio::test]
    async fn rings_take_half_at_most_and_what_falls_out_of_them_stays_as_a_block() {
        let blocks = Blocks::new(LEAST_MEMORY);
        for number in 0..20 {
            filled(&blocks, number).await;
        }
        for _ in 0..4 {
            assert!(blocks.begin_ring());
        }
        assert!(!blocks.begin_ring() && !blocks.has_ring());
        let mut most = 0;
        for _ in 0..4 {
            most = blocks.grow_ring();
            assert!(blocks.held() <= LEAST_MEMORY);
        }
        assert_eq!(most, 2);
        let block = Block::new(BLOCK);
        block.append(&mut Bytes::from(vec![1; 1 << 20]));
        blocks.keep(place(77), Arc::new(block));
        assert!(!blocks.get(place(77), BLOCK).1);
        assert!(blocks.held() <= LEAST_MEMORY);
        for _ in 0..4 {
            blocks.end_ring();
        }
        assert_eq!(blocks.grow_ring(), 8, "one ring has all of the half");
    }

    #[tokio::test]
    async fn what_is_lent_is_taken_from_the_blocks_and_comes_back() {
        let blocks = Arc::new(Blocks::new(4 * LEAST_MEMORY));
        for number in 0..100 {
            filled(&blocks, number).await;
        }
        let half = Blocks::lend(&blocks, LEAST_MEMORY / 2).expect("a loan");
        let other = Blocks::lend(&blocks, LEAST_MEMORY / 2).expect("a loan");
        assert!(blocks.held() <= 4 * LEAST_MEMORY, "{}", blocks.held());
        assert!(Blocks::lend(&blocks, 1).is_none() && Blocks::lend(&blocks, u64::MAX).is_none());
        drop((half, other));
        assert!(Blocks::lend(&blocks, LEAST_MEMORY).is_some());
    }

    #[tokio::test]
    async fn what_is_being_filled_is_not_let_go_of() {
        let blocks = Blocks::new(LEAST_MEMORY);
        let (first, is_new) = blocks.get(place(1_000), BLOCK);
        assert!(is_new);
        let _permit = blocks.room_for(place(1_000), BLOCK).await;
        for number in 0..40 {
            filled(&blocks, number).await;
        }
        let (again, is_new) = blocks.get(place(1_000), BLOCK);
        assert!(!is_new && Arc::ptr_eq(&first, &again));
        blocks.forget(place(1_000));
        assert!(blocks.get(place(1_000), BLOCK).1);
    }
}
