//! What has been made of a stream and is not stored yet, on disk: so that a writer that was killed goes on in the same object.
//!
//! ```text
//! DIR/NAME.journal/  lock | 0000000001 | 0000000002 | ...      files of some megabytes, the oldest taken away once stored
//! a file:            record, record, ...
//! a record:          length | kind | number of the object | offset in it | length of the state | state | bytes | length
//! ```
//!
//! A piece (a header, or a whole fragment) is written here before anybody else gets it. So whatever the store holds, the rest
//! of the fragment that it ends in is here, and with it where the time line was. An ordinary end takes the journal away; it
//! is not there to outlast a power cut, and nothing waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::mux::Piece;
use crate::object::tap::{End, Opening, Tap};
use crate::protocol::part::PartSize;

/// A file of the journal ends about here.
const FILE: u64 = 8 << 20;
/// The fields of a record in front of its contents, without its first length.
pub(super) const FIELDS: usize = 1 + 4 + 8 + 4;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A piece, with the state behind it.
    Piece = 1,
    /// The upload of an object: the state has its key and id.
    Upload = 2,
    /// The stream is over.
    Over = 3,
    /// Where a recording of several objects is, in all of them.
    Together = 4,
    /// The header of such a recording.
    Header = 5,
}

/// A record, as it is written.
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) state: &'a [u8],
    pub(super) bytes: &'a [u8],
}

/// Writes the journal. Cheap to clone: all clones write the same.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Held as long as somebody writes here.
    _lock: File,
    part_size: PartSize,
    /// The newest file is the last.
    files: Vec<Part>,
    current: Option<File>,
    uploads: Vec<Upload>,
    /// The object that pieces belong to, and how many bytes of it there are.
    object: (u32, u64),
    /// What a rendition is called by whoever copies it, where there are several.
    called: Option<String>,
    /// The disk has failed: nothing is written any more.
    failed: bool,
    /// It has been taken away.
    removed: bool,
}

/// A file of it.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    size: u64,
    /// Up to where it has bytes of which objects.
    ends: Vec<(u32, u64)>,
}

/// An upload that pieces go into.
#[derive(Debug)]
struct Upload {
    number: u32,
    id: String,
    key: String,
    readable: watch::Receiver<u64>,
    over: bool,
}

/// The directory of the journal of one object of one store below `dir`.
#[must_use]
pub fn place(dir: &Path, endpoint: &str, bucket: &str, key: &str) -> PathBuf {
    let hash = hex::encode(Sha256::digest([endpoint, bucket, key].join("\n")));
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = key.trim_start_matches(['.', '/']).chars().map(plain).take(80).collect();
    dir.join(format!("{name}.{}.journal", hash.get(..16).unwrap_or_default()))
}

/// Takes the directory for this program; none where another one has it.
pub(super) fn lock(dir: &Path) -> io::Result<Option<File>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files of a journal, the oldest first.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = |name: &str| name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_digit());
        if path.file_name().and_then(|name| name.to_str()).is_some_and(number) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Journal {
    /// Begins one, or goes on behind what is in it where `object` is already under way.
    pub(super) fn new(dir: PathBuf, lock: File, part_size: PartSize, object: (u32, u64)) -> io::Result<Self> {
        let mut known = files(&dir)?;
        if object.1 == 0 {
            for path in known.drain(..) {
                fs::remove_file(path)?;
            }
        }
        // What an earlier run wrote stays until all of it is stored.
        let ends = vec![(object.0, object.1)];
        let files = known.into_iter().map(|path| Part { path, size: FILE, ends: ends.clone() }).collect();
        let inner = Inner {
            dir,
            _lock: lock,
            part_size,
            files,
            current: None,
            uploads: Vec::new(),
            object,
            called: None,
            failed: false,
            removed: false,
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// What the rendition is called that it is of.
    pub fn called(&self, name: &str) {
        self.lock().called = Some(name.to_owned());
    }

    /// The object that pieces belong to, and how many bytes of it there are.
    pub(super) fn reached(&self) -> (u32, u64) {
        self.lock().object
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a piece that is about to be handed on.
    pub(super) fn note(&self, piece: &Piece, next: bool) {
        self.note_bytes(&piece.bytes, &piece.after.write(), next);
    }

    /// The same of bytes, and where whoever makes them is behind them; false once the disk has failed.
    pub(super) fn note_bytes(&self, bytes: &[u8], state: &str, next: bool) -> bool {
        let mut inner = self.lock();
        if next {
            inner.object = (inner.object.0 + 1, 0);
        }
        let (number, offset) = inner.object;
        let record = Record { kind: Kind::Piece, number, offset, state: state.as_bytes(), bytes };
        inner.object.1 = offset + bytes.len() as u64;
        inner.write(&record);
        !inner.failed
    }

    /// Notes that no more pieces come, so that whoever goes on waits for none.
    pub(super) fn over(&self) {
        let mut inner = self.lock();
        let (number, offset) = inner.object;
        inner.write(&Record { kind: Kind::Over, number, offset, state: &[], bytes: &[] });
    }

    /// Takes it away: what it was for has come to an end, and been told of.
    pub fn remove(&self) {
        let mut inner = self.lock();
        // Whoever still writes must not bring it back.
        inner.current = None;
        if std::mem::replace(&mut inner.removed, true) {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&inner.dir) {
            tracing::debug!("{} stays: {error}", inner.dir.display());
        }
    }
}

impl Inner {
    fn write(&mut self, record: &Record<'_>) {
        if self.failed || self.removed {
            return;
        }
        if let Err(error) = self.try_write(record) {
            self.failed = true;
            let dir = self.dir.display();
            tracing::warn!(
                "cannot write to {dir} ({error}): if this writer is killed, the next one cannot go on in the middle of a fragment"
            );
        }
    }

    fn try_write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let begins = self.current.is_none() || self.files.last().is_some_and(|file| file.size >= FILE);
        if begins {
            self.begin_file()?;
        }
        let bytes = record.encode();
        if let Some(current) = &mut self.current {
            current.write_all(&bytes)?;
        }
        if let Some(file) = self.files.last_mut() {
            file.size += bytes.len() as u64;
            let end = record.offset + record.bytes.len() as u64;
            match file.ends.last_mut() {
                Some((number, before)) if *number == record.number => *before = end,
                _ => file.ends.push((record.number, end)),
            }
        }
        // Only now, so that there is always a piece.
        if begins { self.take_away() } else { Ok(()) }
    }

    fn begin_file(&mut self) -> io::Result<()> {
        let last = self.files.last().and_then(|file| file.path.file_name()?.to_str()?.parse::<u64>().ok()).unwrap_or(0);
        let path = self.dir.join(format!("{:010}", last + 1));
        self.current = Some(OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?);
        self.files.push(Part { path, size: 0, ends: Vec::new() });
        // What they are is told in each file, since the one before may go.
        let (size, called) = (self.part_size, self.called.as_deref());
        let uploads = self.uploads.iter().filter(|upload| !upload.over);
        let uploads: Vec<_> = uploads.map(|upload| upload.encode(size, called)).collect();
        for bytes in uploads {
            if let Some(current) = &mut self.current {
                current.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Takes away the oldest files of which the store holds all that matters.
    fn take_away(&mut self) -> io::Result<()> {
        let part_size = self.part_size.get();
        let stored = |number: u32, end: u64| {
            self.uploads.iter().any(|upload| {
                // Only whole parts stay as they are.
                upload.number == number && (upload.over || end <= *upload.readable.borrow() / part_size * part_size)
            })
        };
        let old = self.files.iter().take_while(|file| file.ends.iter().all(|(number, end)| stored(*number, *end)));
        let count = old.count();
        for file in self.files.drain(..count) {
            fs::remove_file(file.path)?;
        }
        Ok(())
    }
}

impl Upload {
    fn encode(&self, part_size: PartSize, called: Option<&str>) -> Vec<u8> {
        let state = serde_json::json!({
            "key": self.key, "upload_id": self.id, "part_size": part_size.get(), "rendition": called,
        })
        .to_string();
        Record { kind: Kind::Upload, number: self.number, offset: 0, state: state.as_bytes(), bytes: &[] }.encode()
    }
}

impl Record<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(FIELDS + self.state.len() + self.bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let state = u32::try_from(self.state.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(8 + FIELDS + self.state.len() + self.bytes.len());
        out.extend_from_slice(&length);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&state.to_be_bytes());
        out.extend_from_slice(self.state);
        out.extend_from_slice(self.bytes);
        // Cut off by a kill, it is known to be.
        out.extend_from_slice(&length);
        out
    }
}

/// Hears which uploads the pieces go into, and how much of them is stored.
#[derive(Debug)]
pub struct Listener {
    journal: Journal,
    /// The number of the next object that begins.
    next: Mutex<u32>,
}

impl Journal {
    /// A tap for the recording whose object `first` is the next to begin, or to be gone on with.
    #[must_use]
    pub fn listener(&self, first: u32) -> Listener {
        Listener { journal: self.clone(), next: Mutex::new(first) }
    }
}

impl Tap for Listener {
    fn begin(&self, opening: &Opening<'_>) {
        let number = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next - 1
        };
        let (id, key) = (opening.upload_id.to_owned(), opening.key.to_owned());
        let upload = Upload { number, id, key, readable: opening.readable.clone(), over: false };
        let mut inner = self.journal.lock();
        if number > inner.object.0 {
            // Objects that the stream does not know of: places in them are others.
            drop(inner);
            return self.journal.remove();
        }
        let state = upload.encode(inner.part_size, inner.called.as_deref());
        let writes = !inner.failed && !inner.removed;
        inner.uploads.push(upload);
        if writes && inner.current.is_some() {
            let written = inner.current.as_mut().map_or(Ok(()), |current| current.write_all(&state));
            inner.failed = written.is_err();
        }
    }

    fn has_the_rest(&self) -> bool {
        let inner = self.journal.lock();
        inner.current.is_some() && !inner.failed && !inner.removed
    }

    fn ended(&self, upload_id: &str, end: End) {
        if matches!(end, End::Completed { .. }) {
            let mut inner = self.journal.lock();
            for upload in inner.uploads.iter_mut().filter(|upload| upload.id == upload_id) {
                upload.over = true;
            }
        }
    }
}
