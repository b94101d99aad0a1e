//! Streams in a file of this machine.
//!
//! The file is opened for one transaction and closed again, by the server as well as by the commands. Whoever opens it holds a
//! lock, for some milliseconds, and whoever comes meanwhile waits: so keys can be added and revoked while a server runs,
//! without asking it, and several servers of one machine may share a file.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::KeysError;
use super::record::Stream;
use super::secret::KeyHash;

/// Ids, with streams as JSON.
const STREAMS: TableDefinition<&str, &str> = TableDefinition::new("streams");
/// Hashes of keys, with ids of streams.
const KEYS: TableDefinition<&str, &str> = TableDefinition::new("keys");
/// How long others may have the file open.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// Memory for pages while it is open: it is small.
const CACHE: usize = 1 << 20;
/// More is no file of keys.
const MOST: u64 = 1 << 30;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct FileStore {
    path: PathBuf,
    /// One of this process at a time.
    turn: Mutex<()>,
}

/// What the system or the database said.
type Refused = Box<dyn std::error::Error>;

impl FileStore {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), turn: Mutex::default() }
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Makes the file, where there is none.
    pub(super) fn create(&self) -> Result<(), KeysError> {
        let made = self.within(true, |database| {
            let writing = database.begin_write()?;
            writing.open_table(STREAMS)?;
            writing.open_table(KEYS)?;
            Ok(writing.commit()?)
        });
        made.map_err(|error| self.cannot("opened", &*error))
    }

    pub(super) fn list(&self) -> Result<Vec<Stream>, KeysError> {
        let read = self.within(false, |database| {
            let reading = database.begin_read()?;
            let table = match reading.open_table(STREAMS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut streams = Vec::new();
            for row in table.iter()? {
                streams.push(serde_json::from_str(row?.1.value())?);
            }
            Ok(streams)
        });
        read.map_err(|error| self.cannot("read", &*error))
    }

    /// The stream that this may be a key of.
    pub(super) fn find(&self, hash: KeyHash) -> Result<Option<Stream>, KeysError> {
        let read = self.within(false, |database| {
            let reading = database.begin_read()?;
            let (keys, streams) = (reading.open_table(KEYS)?, reading.open_table(STREAMS)?);
            let id = keys.get(hash.to_hex().as_str())?;
            // Whoever has no key is told so after as many looks.
            let row = streams.get(id.as_ref().map_or("", |id| id.value()))?;
            Ok(row.map(|row| serde_json::from_str(row.value())).transpose()?)
        });
        read.map_err(|error| self.cannot("read", &*error))
    }

    /// Changes what is kept of a stream, or whether there is one.
    pub(super) fn change(
        &self,
        id: &str,
        change: &mut dyn FnMut(&mut Option<Stream>) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        let mut fitting = Ok(());
        let written = self.within(false, |database| {
            let writing = database.begin_write()?;
            {
                let (mut streams, mut keys) = (writing.open_table(STREAMS)?, writing.open_table(KEYS)?);
                let before: Option<Stream> =
                    streams.get(id)?.map(|row| serde_json::from_str(row.value())).transpose()?;
                let mut after = before.clone();
                fitting = change(&mut after);
                if fitting.is_err() || before == after {
                    return Ok(());
                }
                for key in before.iter().flat_map(|stream| &stream.keys) {
                    keys.remove(key.hash.as_str())?;
                }
                for key in after.iter().flat_map(|stream| &stream.keys) {
                    keys.insert(key.hash.as_str(), id)?;
                }
                match &after {
                    Some(stream) => drop(streams.insert(id, serde_json::to_string(stream)?.as_str())?),
                    None => drop(streams.remove(id)?),
                }
            }
            Ok(writing.commit()?)
        });
        written.map_err(|error| self.cannot("written", &*error))?;
        fitting
    }

    /// What is another one when somebody else has written; none where that cannot be told.
    pub(super) fn version(&self) -> Option<String> {
        let found = std::fs::metadata(&self.path).ok()?;
        Some(format!("{:?} {}", found.modified().ok()?, found.len()))
    }

    /// Opens the file, does `work` with it, and closes it.
    fn within<T>(&self, create: bool, work: impl FnOnce(&Database) -> Result<T, Refused>) -> Result<T, Refused> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        loop {
            let file = self.file(create)?;
            let opened = FileBackend::new(file)
                .and_then(|file| Database::builder().set_cache_size(CACHE).create_with_backend(file));
            match opened {
                Ok(database) => return work(&database),
                Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(DatabaseError::DatabaseAlreadyOpen) => {
                    let waited = PATIENCE.as_secs();
                    return Err(format!("another program has had the file open for {waited} s").into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn file(&self, create: bool) -> Result<File, Refused> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !create => {
                return Err("there is no such file; --add-key NAME makes it".into());
            }
            file => file?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > MOST {
            return Err("it is no file of keys".into());
        }
        if is_open_to_all(&meta) {
            return Err("others than its owner may write into it, and so give keys to themselves: chmod 600".into());
        }
        Ok(file)
    }

    fn cannot(&self, what: &'static str, error: &dyn std::error::Error) -> KeysError {
        KeysError::Place { place: self.place(), what, reason: error.to_string() }
    }
}

#[cfg(unix)]
fn is_open_to_all(meta: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o022 != 0
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Metadata) -> bool {
    false
}
