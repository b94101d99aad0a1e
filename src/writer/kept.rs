//! What was taken from the input and could not be stored, in a file of its own: written when a writer has to give up, read
//! by `writer --kept`.
//!
//! ```text
//! parts, each somewhere | index (JSON: upload, part size, number, offset and length of each part) | footer of fixed size
//! ```
//!
//! The parts that waited on disk stay where they are: the file in which they waited gets a name. So ending at once takes no
//! longer than writing what was in memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tracing::Span;

use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::{PartNumber, PartSize};
use crate::writer::ledger::Ledger;
use crate::writer::spool::{Spool, Spooled};

/// The file ends with this; before it stands the length of the index in twenty digits.
const MAGIC: &[u8; 12] = b" LIVEREADK1\n";

/// Length of the footer.
const FOOTER: usize = 20 + MAGIC.len();

/// No index of 10,000 parts is longer.
const MOST_INDEX: u64 = 4 << 20;

/// The most files that are kept of one upload.
const MOST_NAMES: u32 = 1000;

/// Which upload the bytes belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The upload.
    pub upload_id: String,
    /// The size of every part but the last.
    pub part_size: PartSize,
}

/// A part that is not stored, wherever its bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// On disk.
    Disk(Arc<Spooled>),
}

impl Content {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(body) => body.len() as u64,
            Self::Disk(spooled) => spooled.len() as u64,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All that was taken and not stored, in order.
#[derive(Debug, Clone, Default)]
pub struct Remainder {
    /// The parts that are not stored, by rising number.
    pub parts: Vec<(PartNumber, Content)>,
    /// How many bytes of the object were taken in all, the stored ones included.
    pub taken: u64,
}

impl Remainder {
    /// Bytes that are not stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, content)| content.len()).sum()
    }
}

/// What was taken and not handed to an outbox.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// The part that would have been sent next; `None` past the last one.
    pub due: Option<PartNumber>,
    /// What is in it so far, and what would have come after it.
    pub filling: Bytes,
    /// A part that waited for others.
    pub held_back: Option<(PartNumber, Bytes)>,
}

impl Rest {
    /// All that is not stored: first the parts in `sent`, which did not arrive, then this.
    #[must_use]
    pub fn behind(self, sent: BTreeMap<PartNumber, Content>, ledger: &Ledger, part_size: PartSize) -> Remainder {
        let mut parts = sent;
        parts.extend(self.held_back.map(|(number, body)| (number, Content::Memory(body))));
        let before = self.due.map_or(MAX_PARTS, |due| due.get() - 1);
        let mut taken = PartNumber::new(before).map_or(0, |before| {
            let len = parts.get(&before).map(Content::len).or_else(|| ledger.size_of(before));
            part_size.start_of(before) + len.unwrap_or(part_size.get())
        });
        let (mut left, mut due) = (self.filling, self.due);
        while let Some(number) = due.filter(|_| !left.is_empty()) {
            let body = left.split_to(left.len().min(part_size.as_len()));
            taken = part_size.start_of(number) + body.len() as u64;
            // The store may have all of it already, from a tail part that was sent early.
            if ledger.size_of(number) != Some(body.len() as u64) {
                parts.insert(number, Content::Memory(body));
            }
            due = number.next();
        }
        Remainder { parts: parts.into_iter().collect(), taken }
    }
}

/// What became of bytes that were taken and not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// They are in a file.
    In(Written),
    /// Whoever brought them has them, and goes on with the upload when it is begun again.
    Noted,
    /// They are lost.
    Lost {
        /// How many.
        bytes: u64,
        /// The directory in which they should have been kept.
        dir: PathBuf,
        /// What the system said.
        cause: String,
    },
}

/// Keeps `remainder` in a file; `None` if there is nothing to keep.
pub async fn keep(label: Label, remainder: Remainder, spool: Spool) -> Option<Kept> {
    let bytes = remainder.bytes();
    if bytes == 0 {
        return None;
    }
    let dir = spool.dir().to_owned();
    let span = Span::current();
    let written = tokio::task::spawn_blocking(move || span.in_scope(|| write(&label, &remainder, &spool))).await;
    Some(match written.map_err(io::Error::other).flatten() {
        Ok(written) => Kept::In(written),
        Err(error) => Kept::Lost { bytes, dir, cause: error.to_string() },
    })
}

/// A file that holds what was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Bytes of the object in it.
    pub bytes: u64,
    /// Bytes that should be in it too, and that the disk had no room for.
    pub lost: u64,
}

/// Writes `remainder` into a new file in the directory of `spool`, in which some of it may wait already. Blocks until the
/// disk has it.
///
/// # Errors
/// When the disk refuses it.
pub fn write(label: &Label, remainder: &Remainder, spool: &Spool) -> io::Result<Written> {
    let file = spool.file()?;
    spool.close();
    let mut extents = Vec::with_capacity(remainder.parts.len());
    // The spool must not reuse its slots before all is written.
    let (mut written, mut lost, mut failed) = (Vec::new(), 0, None);
    for (number, content) in &remainder.parts {
        let offset = match content {
            Content::Disk(spooled) => spooled.offset(),
            Content::Memory(body) => match spool.put_at_last(body) {
                Ok(spooled) => {
                    let offset = spooled.offset();
                    written.push(spooled);
                    offset
                }
                // What is on disk already must not be lost with it.
                Err(error) => {
                    tracing::debug!(part = number.get(), "cannot be kept: {error}");
                    failed = Some(error);
                    lost += content.len();
                    continue;
                }
            },
        };
        extents.push((number.get(), offset, content.len()));
    }
    if let Some(error) = failed.filter(|_| extents.is_empty()) {
        return Err(error);
    }
    let end = spool.end();
    let mut index = json!({
        "data": end, "bucket": label.bucket, "key": label.key, "upload_id": label.upload_id, "part_size": label.part_size.get(),
        "taken": remainder.taken, "parts": extents,
    })
    .to_string();
    let footer = format!("{:020}", index.len());
    index.push_str(&footer);
    let mut index = index.into_bytes();
    index.extend_from_slice(MAGIC);
    file.write_all_at(&index, end)?;
    file.set_len(end + index.len() as u64)?;
    file.sync_all()?;
    let path = link(&file, spool.dir(), label)?;
    // The name has to survive a power cut, too; a directory that cannot be synced is no reason to lose the file.
    drop(File::open(spool.dir()).and_then(|dir| dir.sync_all()));
    Ok(Written { path, bytes: remainder.bytes() - lost, lost })
}

/// Gives `file` a name in `dir` that no other has.
fn link(file: &File, dir: &Path, label: &Label) -> io::Result<PathBuf> {
    for count in 1..=MOST_NAMES {
        let path = dir.join(name(&label.key, &label.upload_id, count));
        match name_file(file, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Where the file system cannot give the unnamed file a name, its contents are copied.
            Err(error) => {
                tracing::debug!("a copy is kept: {error}");
                match copy(file, &path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    copied => return copied.map(|()| path),
                }
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(target_os = "linux")]
fn name_file(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, &*open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn name_file(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn copy(file: &File, path: &Path) -> io::Result<()> {
    let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let copied = (|| {
        let (mut room, mut at) = (vec![0; 1 << 20], 0);
        loop {
            let count = file.read_at(&mut room, at)?;
            if count == 0 {
                return to.sync_all();
            }
            to.write_all_at(room.get(..count).unwrap_or_default(), at)?;
            at += count as u64;
        }
    })();
    if copied.is_err() {
        // Half a copy helps nobody.
        drop(fs::remove_file(path));
    }
    copied
}

/// The newest file in `dir` that is kept of an upload, by its name.
#[must_use]
pub fn existing(dir: &Path, key: &str, upload_id: &str) -> Option<PathBuf> {
    let paths = (1..=MOST_NAMES).map(|count| dir.join(name(key, upload_id, count)));
    paths.take_while(|path| path.exists()).last()
}

/// The name of the `count`th file that is kept of an upload: `live-stream.mp4.UPLOAD.kept`.
#[must_use]
pub fn name(key: &str, upload_id: &str, count: u32) -> String {
    let plain = |text: &str, most: usize| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        text.chars().map(plain).take(most).collect()
    };
    let key = plain(key.trim_start_matches(['.', '/']), 80);
    let more = if count > 1 { format!(".{count}") } else { String::new() };
    format!("{key}.{}{more}.kept", plain(upload_id, 120))
}

/// Why a file cannot be gone on with. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Something else, or cut off.
    #[error("{} is no file that `writer` has kept, or not all of one ({why})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A file that holds what was not stored.
#[derive(Debug)]
pub struct KeptFile {
    /// The file's path.
    pub path: PathBuf,
    /// The upload that its bytes belong to.
    pub label: Label,
    /// How many bytes of the object were taken in all.
    pub taken: u64,
    file: File,
    /// By rising number.
    parts: Vec<(PartNumber, Extent)>,
}

/// Where the bytes of a part are.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Offset in the object.
    start: u64,
    /// Offset in the file.
    offset: u64,
    len: u64,
}

impl KeptFile {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn open(path: &Path) -> Result<Self, KeptError> {
        let unread = |cause| KeptError::Read { path: path.to_owned(), cause };
        let foreign = |why: &str| KeptError::Foreign { path: path.to_owned(), why: why.to_owned() };
        let file = File::open(path).map_err(unread)?;
        let metadata = file.metadata().map_err(unread)?;
        if !metadata.is_file() {
            return Err(foreign("it is not a file"));
        }
        let end = metadata.len().checked_sub(FOOTER as u64).ok_or_else(|| foreign("it is too short"))?;
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, end).map_err(unread)?;
        let (digits, magic) = footer.split_at(20);
        let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        let length = length.filter(|length| magic == MAGIC && *length <= MOST_INDEX.min(end));
        let length = length.ok_or_else(|| foreign("its end is missing"))?;
        let mut index = vec![0; usize::try_from(length).unwrap_or_default()];
        let data_end = end - length;
        file.read_exact_at(&mut index, data_end).map_err(unread)?;
        let parsed = serde_json::from_slice(&index).ok().and_then(|index| understand(&index, data_end));
        let Index { label, taken, parts } = parsed.ok_or_else(|| foreign("its index is damaged"))?;
        Ok(Self { path: path.to_owned(), label, taken, file, parts })
    }

    /// Whether it is of the upload that was asked for.
    ///
    /// # Errors
    /// In words, what it is of instead.
    pub fn goes_with(&self, key: &str, upload_id: Option<&str>) -> Result<(), String> {
        let Label { key: of_key, upload_id: of_upload, .. } = &self.label;
        if key == of_key && upload_id.is_none_or(|id| id == of_upload) {
            return Ok(());
        }
        Err(format!("it was kept of the upload {of_upload} of {of_key}"))
    }

    /// Bytes of the object in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, extent)| extent.len).sum()
    }

    /// Numbers and lengths of its parts, by rising number.
    pub fn parts(&self) -> impl Iterator<Item = (PartNumber, u64)> {
        self.parts.iter().map(|(number, extent)| (*number, extent.len))
    }

    /// Length of part `number`, if it is in here.
    #[must_use]
    pub fn size_of(&self, number: PartNumber) -> Option<u64> {
        self.extent(number).map(|extent| extent.len)
    }

    /// Whether it holds all that was taken, from the first byte on.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bytes() == self.taken
    }

    /// Reads bytes of the object at `offset` into `room`, not beyond the part that they are in; 0 if they are not in here.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let next = self.parts.partition_point(|(_, extent)| extent.start <= offset);
        let extent = next.checked_sub(1).and_then(|at| self.parts.get(at)).map(|(_, extent)| extent);
        let Some(extent) = extent.filter(|extent| offset - extent.start < extent.len) else { return Ok(0) };
        let within = offset - extent.start;
        let length = usize::try_from(extent.len - within).unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..length).unwrap_or_default();
        self.file.read_exact_at(room, extent.offset + within)?;
        Ok(length)
    }

    /// The first byte that is in here at `offset` of the object or after it.
    #[must_use]
    pub fn next_from(&self, offset: u64) -> Option<u64> {
        let next = self.parts.iter().find(|(_, extent)| extent.start + extent.len > offset)?;
        Some(offset.max(next.1.start))
    }

    /// Where a reader at `offset` goes on: at `offset`, or at the end of all that was taken if `offset` is in the last part and
    /// that part is not in here (the store has it).
    #[must_use]
    pub fn goes_on_at(&self, offset: u64) -> u64 {
        let part = self.label.part_size.part_at(offset);
        let missing = part.is_some_and(|number| self.extent(number).is_none());
        let in_last = offset.saturating_add(self.label.part_size.get()) > self.taken;
        if missing && in_last { self.taken.max(offset) } else { offset }
    }

    /// The number of the last part that was taken.
    #[must_use]
    pub fn last(&self) -> Option<PartNumber> {
        self.label.part_size.part_at(self.taken.checked_sub(1)?)
    }

    fn extent(&self, number: PartNumber) -> Option<&Extent> {
        let at = self.parts.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.parts.get(at).map(|(_, extent)| extent)
    }
}

/// What the end of such a file tells.
struct Index {
    label: Label,
    taken: u64,
    parts: Vec<(PartNumber, Extent)>,
}

/// What an index says, if all of it makes sense.
fn understand(index: &Value, data_end: u64) -> Option<Index> {
    let text = |name: &str| index.get(name)?.as_str().map(str::to_owned);
    if index.get("data")?.as_u64()? != data_end {
        return None;
    }
    let part_size = PartSize::new(index.get("part_size")?.as_u64()?).ok()?;
    let label = Label { bucket: text("bucket")?, key: text("key")?, upload_id: text("upload_id")?, part_size };
    let taken = index.get("taken")?.as_u64().filter(|taken| *taken <= part_size.capacity())?;
    let mut parts: Vec<(PartNumber, Extent)> = Vec::new();
    for entry in index.get("parts")?.as_array()? {
        let field = |at: usize| entry.get(at).and_then(Value::as_u64);
        let number = PartNumber::new(u32::try_from(field(0)?).ok()?)?;
        let (start, offset, len) = (part_size.start_of(number), field(1)?, field(2)?);
        let rises = parts.last().is_none_or(|(before, _)| *before < number);
        let inside = offset.checked_add(len).is_some_and(|end| end <= data_end) && len > 0;
        // Only where the input ended may a part be short.
        let fits = len == part_size.get() || (len < part_size.get() && start + len == taken);
        if !rises || !inside || !fits || start + len > taken {
            return None;
        }
        parts.push((number, Extent { start, offset, len }));
    }
    Some(Index { label, taken, parts })
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
