//! Buffers for what is copied into live objects: of one part each, and used again, as a fresh one costs more than what is
//! copied into it, and what is given back to the allocator is not always given back to the system.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::writer::pool::{Lent, PartPool};

/// How many are in use at once where parts are full before they are cut, and so many are kept for the next.
pub(super) const MOST: u8 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Copies {
    len: usize,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What they take of the part buffers.
    room: Option<Lent>,
}

/// One of them. What is taken from it empty and without a capacity has no memory yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Weak<Mutex<Vec<Vec<u8>>>>,
}

impl Copies {
    /// Of buffers of `part_size` bytes.
    pub(super) fn new(part_size: u64) -> Self {
        Self { len: usize::try_from(part_size).unwrap_or(usize::MAX), free: Arc::default(), room: None }
    }

    /// Counts them among the part buffers. Where those are all in use none is counted, and there are some all the same.
    pub(super) fn count_in(&mut self, pool: &PartPool) {
        self.room = pool.lend(usize::from(MOST));
    }

    /// Whether fewer are in use than there is room for.
    pub(super) fn is_one_left(&self) -> bool {
        Arc::weak_count(&self.free) < usize::from(MOST)
    }

    /// An empty one with its memory, of which what is not used costs nothing.
    pub(super) fn take(&self) -> Buffer {
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| {
            let mut bytes = Vec::new();
            // All at once: growing by doubling, it would end up larger than a part.
            bytes.reserve_exact(self.len);
            bytes
        });
        Buffer { bytes, home: Arc::downgrade(&self.free) }
    }

    /// No more are wanted.
    pub(super) fn give_up(&mut self) {
        self.room = None;
        // What is in use finds its way back no more.
        self.free = Arc::default();
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let Some(home) = self.home.upgrade() else { return };
        let mut free = home.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() > 0 && free.len() < usize::from(MOST) {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_used_again_and_few_are_kept() {
        let mut copies = Copies::new(8);
        let mut first = copies.take();
        first.extend_from_slice(b"abc");
        let memory = first.as_ptr();
        let shared = bytes::Bytes::from_owner(first);
        drop(shared.clone());
        assert!(copies.free.lock().expect("not poisoned").is_empty(), "a reference is left");
        drop(shared);
        let again = copies.take();
        assert!(again.is_empty() && again.as_ptr() == memory, "it is the same, and empty");
        drop([again, copies.take(), copies.take(), Buffer::default()]);
        assert_eq!(copies.free.lock().expect("not poisoned").len(), usize::from(MOST));
        copies.give_up();
        assert!(copies.free.lock().expect("not poisoned").is_empty());
    }
}
