//! What lies on the disk, and how it gets there.
//!
//! ```text
//! DIR/<bucket>/bucket.json
//! DIR/<bucket>/<version id>/version.json
//! DIR/<bucket>/<version id>/part-<number>-<sequence>-<md5>
//! ```
//!
//! Everything is written under a temporary name and then renamed, so a store that is killed leaves either the old
//! state or the new. A part file carries its description in its name: the rename that makes it visible is also what
//! records it. When a part is replaced, the higher sequence number counts. (Nothing is synced: the data survive the
//! end of the process, not a power cut.)
//!
//! Files that are no longer wanted are deleted when their last user lets go of them, so a download that is under way
//! goes on from the file that it began with.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Name of the description in a bucket's directory.
pub const BUCKET_FILE: &str = "bucket.json";
/// Name of the description in a version's directory.
pub const VERSION_FILE: &str = "version.json";
const TEMPORARY: &str = "tmp-";

/// An MD5 sum.
pub type Md5Sum = [u8; 16];

/// How far the store's clock is behind that of the machine, in milliseconds.
static BEHIND_MS: AtomicU64 = AtomicU64::new(0);

/// From now on the store's clock is so far behind: what is made now is from then.
pub fn set_behind(millis: u64) {
    BEHIND_MS.store(millis, Ordering::Relaxed);
}

/// What the store's clock says.
pub fn now() -> SystemTime {
    SystemTime::now() - Duration::from_millis(BEHIND_MS.load(Ordering::Relaxed))
}

/// The same in milliseconds since 1970.
pub fn now_ms() -> u64 {
    millis(now())
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Writes `value` to `dir/name` in one step.
pub fn write_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    let temporary = dir.join(format!("{TEMPORARY}{name}"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    drop(file);
    fs::rename(&temporary, dir.join(name))
}

/// The directory of one version of an object or of one upload. Deleted with the last user once it is doomed.
#[derive(Debug)]
pub struct VersionDir {
    path: PathBuf,
    doomed: AtomicBool,
    sequence: AtomicU64,
}

impl VersionDir {
    /// Makes the directory. It goes again with its last user unless it is kept.
    pub fn create(path: PathBuf) -> io::Result<Arc<Self>> {
        fs::create_dir(&path)?;
        Ok(Arc::new(Self { path, doomed: AtomicBool::new(true), sequence: AtomicU64::new(0) }))
    }

    /// The directory is part of the catalog now.
    pub fn keep(&self) {
        self.doomed.store(false, Ordering::Release);
    }

    /// Takes up a directory that is there, with its parts, and removes what a killed store left half done.
    pub fn open(path: PathBuf) -> io::Result<(Arc<Self>, Vec<Arc<PartFile>>)> {
        let dir = Arc::new(Self { path, doomed: AtomicBool::new(false), sequence: AtomicU64::new(0) });
        let mut parts = Vec::new();
        for entry in fs::read_dir(&dir.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(TEMPORARY) {
                fs::remove_file(entry.path())?;
            } else if let Some((number, sequence, md5)) = parse_part_name(&name) {
                let meta = entry.metadata()?;
                dir.sequence.fetch_max(sequence + 1, Ordering::Relaxed);
                let modified_ms = meta.modified().map_or(0, millis);
                parts.push(Arc::new(PartFile {
                    dir: Arc::clone(&dir),
                    name,
                    number,
                    sequence,
                    size: meta.len(),
                    md5,
                    modified_ms,
                    doomed: AtomicBool::new(false),
                }));
            }
        }
        Ok((dir, parts))
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Marks the directory for deletion. It stops counting at once, also for a store that starts after this one.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
        if let Err(error) = fs::remove_file(self.path.join(VERSION_FILE))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove the description in {}: {error}", self.path.display());
        }
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// A new file that is deleted again unless it becomes a part.
    pub fn temporary(self: &Arc<Self>) -> io::Result<(Temporary, fs::File)> {
        let path = self.path.join(format!("{TEMPORARY}{}", self.next()));
        let file = fs::File::create_new(&path)?;
        Ok((Temporary { dir: Arc::clone(self), path, kept: false }, file))
    }

    /// A part with the bytes of `other`, which stay where they are on the disk: both names lead to them.
    pub fn link(self: &Arc<Self>, other: &PartFile) -> io::Result<Arc<PartFile>> {
        let (name, sequence) = self.part_name(other.number, &other.md5);
        let path = self.path.join(&name);
        fs::hard_link(other.path(), &path).or_else(|_| fs::copy(other.path(), &path).map(drop))?;
        Ok(Arc::new(PartFile {
            dir: Arc::clone(self),
            name,
            number: other.number,
            sequence,
            size: other.size,
            md5: other.md5,
            modified_ms: now_ms(),
            doomed: AtomicBool::new(false),
        }))
    }

    fn part_name(&self, number: u32, md5: &Md5Sum) -> (String, u64) {
        let sequence = self.next();
        (format!("part-{number:05}-{sequence:010}-{}", hex::encode(md5)), sequence)
    }
}

impl Drop for VersionDir {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn parse_part_name(name: &str) -> Option<(u32, u64, Md5Sum)> {
    let mut fields = name.strip_prefix("part-")?.splitn(3, '-');
    let number = fields.next()?.parse().ok()?;
    let sequence = fields.next()?.parse().ok()?;
    let mut md5 = Md5Sum::default();
    hex::decode_to_slice(fields.next()?, &mut md5).ok()?;
    Some((number, sequence, md5))
}

/// A file that is being received.
#[derive(Debug)]
pub struct Temporary {
    dir: Arc<VersionDir>,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    /// Makes the file a part.
    pub fn keep(mut self, number: u32, size: u64, md5: Md5Sum) -> io::Result<Arc<PartFile>> {
        let (name, sequence) = self.dir.part_name(number, &md5);
        fs::rename(&self.path, self.dir.path.join(&name))?;
        self.kept = true;
        Ok(Arc::new(PartFile {
            dir: Arc::clone(&self.dir),
            name,
            number,
            sequence,
            size,
            md5,
            modified_ms: now_ms(),
            doomed: AtomicBool::new(false),
        }))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A part on the disk. Deleted with the last user once it is doomed.
#[derive(Debug)]
pub struct PartFile {
    dir: Arc<VersionDir>,
    /// Name in the version's directory.
    pub name: String,
    /// Part number, from 1.
    pub number: u32,
    /// Of two files with the same part number the one with the higher sequence counts.
    pub sequence: u64,
    /// Bytes.
    pub size: u64,
    /// The MD5 sum of the bytes.
    pub md5: Md5Sum,
    /// When the part was stored.
    pub modified_ms: u64,
    doomed: AtomicBool,
}

impl PartFile {
    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// The hex MD5, without quotes.
    pub fn etag(&self) -> String {
        hex::encode(self.md5)
    }

    /// Marks the file for deletion.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = fs::remove_file(self.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.path().display());
        }
    }
}
