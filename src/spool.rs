//! Whole parts on disk while the store is away, in a file that has no name and so leaves nothing behind.
//!
//! The file is made of slots of one part each, used again as parts leave, so it is never larger than the most that was
//! waiting at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::pool::PartBuffer;

/// Where parts may wait on disk, and how much of it they may take.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// The directory of the file.
    pub dir: PathBuf,
    /// The most bytes on disk; 0 turns the spool off.
    pub limit: u64,
}

/// Why a part cannot wait on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The limit is reached.
    #[error("the limit of {0} bytes is reached (--spool-limit)")]
    Limit(u64),
    /// The disk is full, or worse.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// The file and which of its slots are in use.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    slot_len: u64,
    file: Option<Arc<File>>,
    slots: Arc<Mutex<Slots>>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<u64>,
    count: u64,
}

/// A part that waits on disk; its slot is free again when it is dropped.
#[derive(Debug)]
pub struct Spooled {
    file: Arc<File>,
    slots: Arc<Mutex<Slots>>,
    slot: u64,
    slot_len: u64,
    len: usize,
}

impl Spool {
    /// A spool for parts of at most `part_len` bytes. The file is made when the first part comes.
    #[must_use]
    pub fn new(settings: SpoolSettings, part_len: u64) -> Self {
        Self { settings, slot_len: part_len.max(1), file: None, slots: Arc::default() }
    }

    /// Writes a part to disk.
    ///
    /// # Errors
    /// [`SpoolError`]; the part is still the caller's.
    pub fn put(&mut self, part: &Bytes) -> Result<Spooled, SpoolError> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(Arc::new(tempfile::tempfile_in(&self.settings.dir)?)).clone(),
        };
        let slot = self.take_slot()?;
        let spooled = Spooled { file, slots: self.slots.clone(), slot, slot_len: self.slot_len, len: part.len() };
        tokio::task::block_in_place(|| spooled.file.write_all_at(part, spooled.offset()))?;
        Ok(spooled)
    }

    fn take_slot(&self) -> Result<u64, SpoolError> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.free.pop() {
            return Ok(slot);
        }
        let within = (slots.count + 1).checked_mul(self.slot_len).is_some_and(|bytes| bytes <= self.settings.limit);
        if !within {
            return Err(SpoolError::Limit(self.settings.limit));
        }
        slots.count += 1;
        Ok(slots.count - 1)
    }
}

impl Spooled {
    /// Length of the part in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the part has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the part back into a buffer, which is empty and large enough.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read_into(&self, buffer: &mut PartBuffer) -> io::Result<()> {
        let room = buffer.room().get_mut(..self.len).ok_or(io::ErrorKind::InvalidInput)?;
        tokio::task::block_in_place(|| self.file.read_exact_at(room, self.offset()))?;
        buffer.advance(self.len);
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.slot * self.slot_len
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PartPool;

    fn spool(limit: u64) -> Spool {
        Spool::new(SpoolSettings { dir: std::env::temp_dir(), limit }, 4)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn parts_come_back_whole_and_their_slots_are_used_again() {
        let mut spool = spool(8);
        let pool = PartPool::new(1, 4);
        let first = spool.put(&Bytes::from_static(b"abcd")).expect("within the limit");
        let second = spool.put(&Bytes::from_static(b"ef")).expect("within the limit");
        assert!(matches!(spool.put(&Bytes::from_static(b"x")), Err(SpoolError::Limit(8))));
        drop(first);
        let third = spool.put(&Bytes::from_static(b"ghij")).expect("a slot is free again");
        for (spooled, expected) in [(second, &b"ef"[..]), (third, b"ghij")] {
            let mut buffer = pool.acquire().await.expect("memory");
            spooled.read_into(&mut buffer).expect("it was written");
            assert_eq!(buffer.filled(), expected);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_that_is_not_there_is_an_error_and_no_more() {
        let mut spool = Spool::new(SpoolSettings { dir: "/nonexistent".into(), limit: 8 }, 4);
        assert!(matches!(spool.put(&Bytes::from_static(b"x")), Err(SpoolError::Disk(_))));
    }
}
