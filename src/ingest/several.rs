//! The journal of a recording that becomes several objects: one of each rendition, and where all of them are together.
//!
//! ```text
//! DIR/NAME.journal/  lock | 0000000001 | ...            the header, and where the recording is behind each of its pieces
//!                    renditions/720p/ 0000000001 | ...  what the encoder sends, split: a journal like that of one object
//!                    ladder/360p/     0000000001 | ...  what ffmpeg makes of it, likewise
//! ```
//!
//! A piece is split here before anybody else gets it, in the same way as it is split for the copies. What each rendition has of
//! it goes into that one's journal, and last of all it is noted up to where each of them counts: what lies behind that has been
//! handed to nobody. So they are together, although each is taken away on its own as its own upload goes on.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use super::journal::{Journal, Kind, Record, files};
use crate::mux::split::Split;
use crate::mux::{Piece, State};
use crate::protocol::part::PartSize;

/// What the encoder sends, by the names of renditions.
pub(super) const RENDITIONS: &str = "renditions";
/// What is made of it, by the names of rungs.
pub(super) const LADDER: &str = "ladder";
/// A file of the recording's own ends about here; it begins with all that counts of the one before.
const FILE: u64 = 1 << 20;

/// Writes the journal. Cheap to clone: all clones write the same.
#[derive(Debug, Clone)]
pub struct Several(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    lock: File,
    part_size: PartSize,
    split: Split,
    at: Together,
    renditions: BTreeMap<String, Journal>,
    rungs: Vec<Journal>,
    log: Log,
    /// The disk has failed, or it has been taken away: nothing is written any more.
    over: bool,
}

/// Where a recording of several objects is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Together {
    /// The header, and which it is, counted from 1.
    pub(super) header: Bytes,
    pub(super) number: u32,
    /// Where the time line is, as text, and whoever splits it.
    pub(super) state: String,
    pub(super) split: String,
    /// Up to which of its objects each rendition counts, and where in that.
    pub(super) reached: BTreeMap<String, (u32, u64)>,
    /// The stream is over.
    pub(super) over: bool,
}

/// The recording's own files.
#[derive(Debug, Default)]
struct Log {
    current: Option<(File, u64)>,
    /// The number of the newest.
    newest: u64,
}

impl Together {
    /// A record of all but the header.
    fn encode(&self) -> Vec<u8> {
        let state = json!({
            "state": self.state, "split": self.split, "reached": self.reached, "over": self.over,
        })
        .to_string();
        Record { kind: Kind::Together, number: self.number, offset: 0, state: state.as_bytes(), bytes: &[] }.encode()
    }

    fn encode_header(&self) -> Vec<u8> {
        Record { kind: Kind::Header, number: self.number, offset: 0, state: &[], bytes: &self.header }.encode()
    }

    /// Takes what such a record says; false for anything else.
    pub(super) fn read(&mut self, record: &[u8]) -> bool {
        let value: Value = serde_json::from_slice(record).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = |(name, place): (&String, &Value)| {
            let number = u32::try_from(place.get(0)?.as_u64()?).ok()?;
            Some((name.clone(), (number, place.get(1)?.as_u64()?)))
        };
        let reached = value.get("reached").and_then(Value::as_object);
        let reached: Option<Option<BTreeMap<_, _>>> = reached.map(|all| all.iter().map(place).collect());
        let over = value.get("over").and_then(Value::as_bool);
        let (Some(state), Some(split), Some(Some(reached)), Some(over)) = (text("state"), text("split"), reached, over)
        else {
            return false;
        };
        (self.state, self.split, self.reached, self.over) = (state, split, reached, over);
        true
    }

    /// The time line and whoever splits it, if both make sense.
    pub(super) fn parts(&self) -> Option<(State, Split)> {
        Some((State::read(self.state.as_bytes())?, Split::going_on(&self.header, &self.split)?))
    }
}

impl Several {
    /// Begins one.
    pub(super) fn new(dir: PathBuf, lock: File, part_size: PartSize) -> io::Result<Self> {
        for path in files(&dir)? {
            fs::remove_file(path)?;
        }
        for below in [RENDITIONS, LADDER] {
            match fs::remove_dir_all(dir.join(below)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let renditions = BTreeMap::new();
        Ok(Self::with((dir, lock), part_size, (Split::default(), Together::default()), renditions))
    }

    /// Goes on with what is there.
    pub(super) fn with(
        (dir, lock): (PathBuf, File),
        part_size: PartSize,
        (split, at): (Split, Together),
        renditions: BTreeMap<String, Journal>,
    ) -> Self {
        let (rungs, log) = (Vec::new(), Log::default());
        Self(Arc::new(Mutex::new(Inner { dir, lock, part_size, split, at, renditions, rungs, log, over: false })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a piece that is about to be handed on.
    pub(super) fn note(&self, piece: &Piece) {
        self.lock().write(|inner| inner.note(piece));
    }

    /// Notes that no more pieces come, so that whoever goes on waits for none.
    pub(super) fn over(&self) {
        self.lock().write(|inner| {
            inner.at.over = true;
            inner.commit()
        });
    }

    /// The journal of a rendition that the encoder sends, for whoever copies it; none where nothing is noted.
    #[must_use]
    pub fn rendition(&self, name: &str) -> Option<Journal> {
        let inner = self.lock();
        inner.renditions.get(name).filter(|_| !inner.over).cloned()
    }

    /// Begins the journal of a rung of the ladder; none where the disk refuses it, which is told.
    #[must_use]
    pub fn rung(&self, name: &str) -> Option<Journal> {
        let mut inner = self.lock();
        if inner.over {
            return None;
        }
        let begun = inner.begin(LADDER, name);
        let journal = begun.map_err(|error| tracing::warn!("{}", cannot(&inner.dir, &error))).ok()?;
        inner.rungs.push(journal.clone());
        Some(journal)
    }

    /// Takes it away: all that it was for has come to an end, and been told of.
    pub fn remove(&self) {
        self.lock().remove();
    }
}

impl Inner {
    fn write(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.over {
            return;
        }
        if let Err(error) = write(self) {
            tracing::warn!("{}", cannot(&self.dir, &error));
            // Half of it would be gone on with as if it were all.
            self.remove();
        }
    }

    fn remove(&mut self) {
        self.over = true;
        for journal in self.renditions.values().chain(&self.rungs) {
            journal.remove();
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!("{} stays: {error}", self.dir.display());
        }
    }

    fn note(&mut self, piece: &Piece) -> io::Result<()> {
        if piece.begins {
            (self.at.header, self.at.number) = (piece.bytes.clone(), self.at.number + 1);
        }
        for cut in self.split.take(&piece.bytes) {
            let known = self.renditions.get(&*cut.rendition).cloned();
            let next = cut.begins && known.is_some();
            let journal = match known {
                Some(journal) => journal,
                // Its copy had come to an end when another writer was killed.
                None if self.at.reached.contains_key(&*cut.rendition) => continue,
                None => {
                    let journal = self.begin(RENDITIONS, &cut.rendition)?;
                    self.renditions.insert(cut.rendition.to_string(), journal.clone());
                    journal
                }
            };
            if !journal.note_bytes(&cut.bytes, "", next) {
                return Err(io::Error::other(format!("nothing more can be noted of {}", cut.rendition)));
            }
            self.at.reached.insert(cut.rendition.to_string(), journal.reached());
        }
        (self.at.state, self.at.split) = (piece.after.write(), self.split.state());
        if piece.begins {
            let header = self.at.encode_header();
            self.append(&header)?;
        }
        self.commit()
    }

    /// Notes where all of it is.
    fn commit(&mut self) -> io::Result<()> {
        let record = self.at.encode();
        self.append(&record)
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if let Some((file, size)) = self.log.current.as_mut().filter(|(_, size)| *size < FILE) {
            file.write_all(record)?;
            *size += record.len() as u64;
            return Ok(());
        }
        let old = files(&self.dir)?;
        let last = old.last().and_then(|path| path.file_name()?.to_str()?.parse::<u64>().ok()).unwrap_or(0);
        self.log.newest = self.log.newest.max(last) + 1;
        let path = self.dir.join(format!("{:010}", self.log.newest));
        let mut file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        // In one, so that it is all there or nothing.
        let all = [self.at.encode_header(), self.at.encode()].concat();
        file.write_all(&all)?;
        self.log.current = Some((file, all.len() as u64));
        for path in old {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn begin(&self, below: &str, name: &str) -> io::Result<Journal> {
        let dir = self.dir.join(below).join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Journal::new(dir, self.lock.try_clone()?, self.part_size, (1, 0))
    }
}

fn cannot(dir: &Path, error: &io::Error) -> String {
    let dir = dir.display();
    format!("cannot write to {dir} ({error}): if this writer is killed, the next one cannot go on with this recording")
}

#[cfg(test)]
#[path = "several_tests.rs"]
mod tests;
