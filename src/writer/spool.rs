//! Whole parts on disk while the store is away, in a file that has no name and so leaves nothing behind, unless it is
//! [kept](crate::writer::kept).
//!
//! The file is made of slots of one part each, used again as parts leave, so it is never larger than the most that was
//! waiting at once. Beyond that, room on the disk is set aside for what is in memory, so that a disk that runs full does not
//! keep that from being kept in the end.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::writer::pool::PartBuffer;

/// Where parts may wait on disk, and how much of it they may take.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// The directory of the file.
    pub dir: PathBuf,
    /// Whether to make it where it is not there.
    pub make_dir: bool,
    /// The most bytes on disk; 0 turns the spool off.
    pub limit: u64,
}

/// Why a part cannot wait on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The limit is reached.
    #[error("the limit of {0} bytes is reached (--spool-limit)")]
    Limit(u64),
    /// What the file holds is about to be kept.
    #[error("what waits on disk is being kept, and nothing more can wait there")]
    Closed,
    /// The disk is full, or worse.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// A file, and which of its slots are in use. Cheap to clone: clones share both.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: Arc<Path>,
    make_dir: bool,
    slot_len: u64,
    /// Slots for which room is set aside.
    aside: u64,
    file: Arc<OnceLock<Arc<File>>>,
    slots: Arc<Mutex<Slots>>,
    budget: Arc<Budget>,
}

/// What all files of one writer may take.
#[derive(Debug)]
struct Budget {
    limit: u64,
    used: AtomicU64,
    /// The disk refused the newest part.
    refused: AtomicBool,
}

#[derive(Debug)]
struct Slots {
    free: Vec<u64>,
    count: u64,
    /// No part may take one any more: what comes behind the last one is the index of a kept file.
    closed: bool,
    slot_len: u64,
    budget: Arc<Budget>,
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.count * self.slot_len, Relaxed);
    }
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
    /// A spool for parts of at most `part_len` bytes, which sets room aside for `aside` more of them. The file is made when
    /// the first part comes.
    #[must_use]
    pub fn new(settings: &SpoolSettings, part_len: u64, aside: usize) -> Self {
        let budget = Budget { limit: settings.limit, used: AtomicU64::new(0), refused: AtomicBool::new(false) };
        let (slot_len, dir) = (part_len.max(1), Arc::from(settings.dir.as_path()));
        let budget = Arc::new(budget);
        let slots = Slots { free: Vec::new(), count: 0, closed: false, slot_len, budget: budget.clone() };
        let (make_dir, aside) = (settings.make_dir, aside as u64);
        Self { dir, make_dir, slot_len, aside, file: Arc::default(), slots: Arc::new(Mutex::new(slots)), budget }
    }

    /// Another file, within the same limit.
    #[must_use]
    pub fn another(&self) -> Self {
        let (slot_len, budget) = (self.slot_len, self.budget.clone());
        let slots = Slots { free: Vec::new(), count: 0, closed: false, slot_len, budget };
        Self { file: Arc::default(), slots: Arc::new(Mutex::new(slots)), ..self.clone() }
    }

    /// Whether one more part can wait here, as far as is known.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let free = !self.lock().free.is_empty();
        let within = self.budget.used.load(Relaxed).saturating_add(self.slot_len) <= self.budget.limit;
        (free || within) && !self.budget.refused.load(Relaxed)
    }

    /// Writes a part to disk.
    ///
    /// # Errors
    /// [`SpoolError`]; the part is still the caller's.
    pub fn put(&self, part: &Bytes) -> Result<Spooled, SpoolError> {
        let result = self.file().map_err(SpoolError::from).and_then(|file| {
            let slot = self.take_slot(&file)?;
            Ok(self.write(file, slot, part)?)
        });
        self.budget.refused.store(matches!(result, Err(SpoolError::Disk(_))), Relaxed);
        result
    }

    /// The same for a part that is to be kept, whatever the limit.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub(crate) fn put_at_last(&self, part: &Bytes) -> io::Result<Spooled> {
        let file = self.file()?;
        let slot = {
            let mut slots = self.lock();
            self.budget.used.fetch_add(self.slot_len, Relaxed);
            slots.count += 1;
            slots.count - 1
        };
        self.write(file, slot, part)
    }

    /// The file, which is made if there is none yet.
    pub(crate) fn file(&self) -> io::Result<Arc<File>> {
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        if self.make_dir && !self.dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        }
        let file = tempfile::tempfile_in(&self.dir)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(self.file.get_or_init(|| Arc::new(file)).clone())
    }

    /// The directory of the file.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets no more part wait here. A part that is being moved to disk cannot be stopped, and must not write over what is
    /// kept.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Where the slots end.
    pub(crate) fn end(&self) -> u64 {
        self.lock().count * self.slot_len
    }

    fn write(&self, file: Arc<File>, slot: u64, part: &Bytes) -> io::Result<Spooled> {
        let spooled = Spooled { file, slots: self.slots.clone(), slot, slot_len: self.slot_len, len: part.len() };
        spooled.file.write_all_at(part, spooled.offset())?;
        Ok(spooled)
    }

    fn take_slot(&self, file: &File) -> Result<u64, SpoolError> {
        let mut slots = self.lock();
        if slots.closed {
            return Err(SpoolError::Closed);
        }
        if let Some(slot) = slots.free.pop() {
            return Ok(slot);
        }
        let limit = self.budget.limit;
        let more = |used: u64| used.checked_add(self.slot_len).filter(|used| *used <= limit);
        #[allow(deprecated, reason = "the oldest Rust that compiles this does not have its new name yet")]
        let taken = self.budget.used.fetch_update(Relaxed, Relaxed, more);
        taken.map_err(|_| SpoolError::Limit(limit))?;
        if let Err(error) = set_aside(file, slots.count * self.slot_len, (1 + self.aside).saturating_mul(self.slot_len))
        {
            self.budget.used.fetch_sub(self.slot_len, Relaxed);
            return Err(error.into());
        }
        slots.count += 1;
        Ok(slots.count - 1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the disk set room aside behind the end of a file, where it can.
#[cfg(target_os = "linux")]
fn set_aside(file: &File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, len) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => Err(error.into()),
        // Not every file system can.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn set_aside(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
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
        if self.len > buffer.lacks() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.read_exact_at(buffer.room(self.len), self.offset())?;
        buffer.advance(self.len);
        Ok(())
    }

    /// Where it lies in the file.
    pub(crate) fn offset(&self) -> u64 {
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
    use crate::writer::pool::PartPool;

    fn spool(limit: u64) -> Spool {
        Spool::new(&SpoolSettings { dir: std::env::temp_dir(), make_dir: false, limit }, 4, 0)
    }

    #[test]
    fn nothing_takes_a_place_behind_what_is_kept() {
        let spool = spool(100);
        let first = spool.put(&Bytes::from_static(b"abcd")).expect("within the limit");
        spool.close();
        assert!(matches!(spool.put(&Bytes::from_static(b"x")), Err(SpoolError::Closed)));
        drop(first);
        assert!(matches!(spool.put(&Bytes::from_static(b"x")), Err(SpoolError::Closed)), "not even a free place");
        assert_eq!(spool.put_at_last(&Bytes::from_static(b"ef")).expect("what is to be kept").offset(), 4);
        assert_eq!(spool.end(), 8);
    }

    #[tokio::test]
    async fn parts_come_back_whole_and_their_slots_are_used_again() {
        let spool = spool(8);
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

    #[test]
    fn several_files_share_one_limit_and_give_it_back() {
        let (one, part) = (spool(8), Bytes::from_static(b"abcd"));
        let other = one.another();
        let first = one.put(&part).expect("within the limit");
        let second = other.put(&part).expect("within the limit");
        assert!(!one.has_room() && one.put(&part).is_err() && other.put(&part).is_err());
        drop((second, other));
        assert!(one.has_room());
        drop((one.put(&part).expect("what the other had"), first));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn room_is_set_aside_for_what_is_in_memory() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("a directory");
        let settings = SpoolSettings { dir: dir.path().to_owned(), make_dir: false, limit: 1 << 30 };
        let (spool, mut waiting) = (Spool::new(&settings, 1 << 20, 3), Vec::new());
        for slots in 1..3 {
            waiting.push(spool.put(&Bytes::from_static(b"part")).expect("within the limit"));
            let file = spool.file().expect("the file").metadata().expect("its metadata");
            assert!(file.blocks() * 512 >= (slots + 3) << 20, "{} blocks", file.blocks());
            assert!(file.len() <= slots << 20);
        }
        // More than any disk has.
        let spool = Spool::new(&settings, 1 << 20, 1 << 40);
        assert!(matches!(spool.put(&Bytes::from_static(b"part")), Err(SpoolError::Disk(_))));
        assert!(!spool.has_room());
        assert_eq!(spool.budget.used.load(Relaxed), 0);
    }

    #[test]
    fn a_directory_is_made_only_where_that_is_asked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool =
            |make_dir| Spool::new(&SpoolSettings { dir: dir.path().join("made/here"), make_dir, limit: 8 }, 4, 0);
        let (refused, made, part) = (spool(false), spool(true), Bytes::from_static(b"x"));
        assert!(refused.has_room());
        assert!(matches!(refused.put(&part), Err(SpoolError::Disk(_))));
        assert!(!refused.has_room());
        made.put(&part).expect("it is made");
        refused.put(&part).expect("it is there now");
        assert!(refused.has_room());
    }
}
