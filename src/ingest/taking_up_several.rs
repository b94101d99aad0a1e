//! What a killed writer has left of a recording in several objects: read back, each up to where all of them are together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::journal::{Journal, Kind, files, lock};
use super::records::next;
use super::several::{LADDER, RENDITIONS, Several, Together};
use super::taking_up::{Left, OLD, Whole, age, is_too_old, left_of};
use crate::mux::State;
use crate::mux::rung::Rung;
use crate::mux::split::Split;
use crate::protocol::part::PartSize;

/// What was left.
#[derive(Debug)]
pub struct LeftSeveral {
    dir: PathBuf,
    lock: File,
    part_size: PartSize,
    at: Together,
    /// The time line, and whoever splits it; none where nothing can be put behind what there is.
    parts: Option<(State, Split)>,
    /// What the encoder sent, by the names of renditions; none of those that were over.
    renditions: BTreeMap<String, Option<Left>>,
    /// What was made of it, by the names of rungs.
    rungs: BTreeMap<String, (Left, Rung)>,
    over: bool,
    age: Duration,
}

/// What there is to begin with.
#[derive(Debug)]
pub enum Beginning {
    /// A recording of its own, with a journal to be written.
    Fresh(Option<Several>),
    /// What a writer has left.
    Left(Box<LeftSeveral>),
}

/// What of it is needed to go on.
#[derive(Debug)]
pub struct Behind {
    /// Where the time line is.
    pub state: State,
    /// Whoever splits it.
    pub split: Split,
    /// The newest header, and how many there were before.
    pub header: (Bytes, u64),
    /// The stream had ended, or cannot be gone on with.
    pub over: bool,
}

/// All of it, one by one.
#[derive(Debug)]
pub struct Apart {
    /// What the encoder sent, by the names of renditions; none of those that were over.
    pub renditions: BTreeMap<String, Option<Left>>,
    /// What was made of it, by the names of rungs.
    pub rungs: BTreeMap<String, (Left, Rung)>,
    /// Where all of them are.
    pub behind: Behind,
    /// What goes on once the journals of renditions do.
    pub rest: Rest,
}

/// The recording's own journal.
#[derive(Debug)]
pub struct Rest {
    dir: PathBuf,
    lock: File,
    part_size: PartSize,
    at: Together,
}

/// Looks at the journal in `dir`, and takes it for this program. What begins has parts of this size.
///
/// # Errors
/// When the disk refuses it; nothing is lost by going on without.
pub fn look(dir: &Path, part_size: PartSize) -> io::Result<Beginning> {
    let Some(lock) = lock(dir)? else {
        tracing::warn!("another writer of the same objects writes {}: this one keeps no journal", dir.display());
        return Ok(Beginning::Fresh(None));
    };
    // Kept here, too, so that nobody else takes it meanwhile.
    let again = lock.try_clone()?;
    match left(dir, lock, part_size)? {
        Some(left) if !is_too_old(dir, left.age) => Ok(Beginning::Left(Box::new(left))),
        _ => Ok(Beginning::Fresh(Some(Several::new(dir.to_owned(), again, part_size)?))),
    }
}

/// Whether there is such a journal in `dir`, and not that of one object.
pub(super) fn is_of_several(dir: &Path) -> bool {
    dir.join(RENDITIONS).is_dir()
}

/// What is in the journal in `dir`, which this program has locked; none where that is nothing to go on with.
pub(super) fn left(dir: &Path, lock: File, part_size: PartSize) -> io::Result<Option<LeftSeveral>> {
    let paths = files(dir)?;
    let at = together(&paths)?;
    let parts = at.as_ref().and_then(Together::parts);
    let mut renditions = BTreeMap::new();
    for (name, path) in below(dir, RENDITIONS)? {
        let to = at.as_ref().map(|at| at.reached.get(&name).copied().unwrap_or_default());
        let whole = Whole { to, is_state: |_| true };
        if let Some(left) = left_of(&path, lock.try_clone()?, part_size, &whole)? {
            renditions.insert(name, Some(left));
        }
    }
    let mut rungs = BTreeMap::new();
    for (name, path) in below(dir, LADDER)? {
        let whole = Whole { to: None, is_state: |state| Rung::going_on(state).is_some() };
        let left = left_of(&path, lock.try_clone()?, part_size, &whole)?;
        if let Some((rung, left)) = left.and_then(|left| Some((Rung::going_on(left.text())?, left))) {
            rungs.insert(name, (left, rung));
        }
    }
    if renditions.is_empty() && rungs.is_empty() {
        return Ok(None);
    }
    let at = at.unwrap_or_default();
    // The newest of it may have been lost in a power cut: each is whole by itself, but they are not together.
    let is_there = |(name, place): (&String, &(u32, u64))| match renditions.get(name) {
        Some(left) => left.as_ref().is_some_and(|left| left.reached() == *place),
        // Its copy had come to an end.
        None => !dir.join(RENDITIONS).join(name).exists(),
    };
    let together = at.reached.iter().all(is_there);
    let parts = parts.filter(|_| together);
    for name in at.reached.keys() {
        renditions.entry(name.clone()).or_insert(None);
    }
    let (dir, over, age) = (dir.to_owned(), at.over, age(&paths));
    Ok(Some(LeftSeveral { dir, lock, part_size, at, parts, renditions, rungs, over, age }))
}

/// The directories below one of a journal, by their names.
fn below(dir: &Path, of: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir.join(of)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().filter(|_| entry.path().is_dir()) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    Ok(found)
}

/// What the newest whole record says of all of them, with its header.
fn together(paths: &[PathBuf]) -> io::Result<Option<Together>> {
    let (mut at, mut headers) = (None, Vec::new());
    for path in paths {
        let (mut reader, mut place) = (BufReader::new(File::open(path)?), 0);
        while let Some(record) = next(&mut reader, place)? {
            place = record.end;
            if record.kind == Kind::Header as u8 {
                headers.push((record.number, record.bytes(path)?));
            } else if record.kind == Kind::Together as u8 {
                let mut found = Together { number: record.number, ..Together::default() };
                at = found.read(&record.state).then_some(found).or(at);
            } else {
                break;
            }
        }
    }
    Ok(at.map(|at| {
        let header = headers.into_iter().rfind(|(number, _)| *number == at.number);
        Together { header: header.map(|(_, bytes)| bytes).unwrap_or_default(), ..at }
    }))
}

impl LeftSeveral {
    /// One by one. What is not together any more is over, each of it with what there is.
    #[must_use]
    pub fn apart(self) -> Apart {
        let Self { dir, lock, part_size, at, parts, renditions, rungs, over, .. } = self;
        if parts.is_none() {
            tracing::warn!(
                "{} is not whole: what a killed writer has left is completed with what there is of it, and not gone on with",
                dir.display()
            );
        }
        let over = over || parts.is_none();
        let (state, split) = parts.unwrap_or_default();
        let header = (at.header.clone(), u64::from(at.number.saturating_sub(1)));
        let behind = Behind { state, split, header, over };
        Apart { renditions, rungs, behind, rest: Rest { dir, lock, part_size, at } }
    }

    /// After a long time nobody comes back: what there is is all of it.
    pub(super) fn over_if_old(mut self) -> Self {
        self.over |= self.age > OLD;
        self
    }
}

impl Rest {
    /// Goes on with it, and with these journals of renditions.
    #[must_use]
    pub fn go_on(self, split: &Split, renditions: BTreeMap<String, Journal>) -> Several {
        let Self { dir, lock, part_size, at } = self;
        Several::with((dir, lock), part_size, (split.clone(), at), renditions)
    }

    /// Begins one in its place: what it was of is gone.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn give_up(self) -> io::Result<Several> {
        Several::new(self.dir, self.lock, self.part_size)
    }

    /// Takes it away: what it was of is gone.
    pub fn remove(self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!("{} stays: {error}", self.dir.display());
        }
    }
}
