//! The journals of many streams: one for each recording, in a directory of its own that has the recording's name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{Journal, lock};
use super::notes::Notes;
use super::several::Several;
use super::taking_up::{Left, left};
use super::taking_up_several::{self as several, LeftSeveral, is_of_several};
use super::title::Title;
use crate::protocol::part::PartSize;

/// What a recording is called, beside its journal.
const TITLE: &str = "title";

/// See the [module](self).
#[derive(Debug)]
pub struct Journals {
    dir: PathBuf,
    part_size: PartSize,
}

/// What is left of a recording.
#[derive(Debug)]
pub enum LeftOf {
    /// Of one object.
    One(Box<Left>),
    /// Of several.
    Several(Box<LeftSeveral>),
}

impl Journals {
    /// Below `dir`, of uploads with parts of this size.
    #[must_use]
    pub fn at(dir: PathBuf, part_size: PartSize) -> Self {
        Self { dir, part_size }
    }

    /// Where they are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What killed writers have left, the newest first, and nobody else has. Of one that nobody wrote to for an hour nothing
    /// more is to come.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn left(&self) -> io::Result<Vec<(Title, LeftOf)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let dir = entry?.path();
            // Another writer's; or none.
            let Some(lock) = lock(&dir)? else { continue };
            let left = if is_of_several(&dir) {
                let left = several::left(&dir, lock, self.part_size)?;
                left.map(|left| LeftOf::Several(Box::new(left.over_if_old())))
            } else {
                left(&dir, lock)?.map(|left| LeftOf::One(Box::new(left.over_if_old())))
            };
            match (fs::read(dir.join(TITLE)).ok().and_then(|text| Title::read(&text)), left) {
                (Some(title), Some(left)) => found.push((title, left)),
                // It was killed before anything was taken.
                _ => fs::remove_dir_all(&dir)?,
            }
        }
        found.sort_by_key(|(title, _)| std::cmp::Reverse(title.start));
        Ok(found)
    }

    /// One for a recording that begins, of `several` objects or of one; none where the disk refuses it, which is told.
    pub(super) fn begin(&self, title: &Title, several: bool) -> Option<Notes> {
        let dir = self.dir.join(&title.session);
        let begun = || {
            let Some(lock) = lock(&dir)? else { return Err(io::ErrorKind::AlreadyExists.into()) };
            fs::write(dir.join(TITLE), title.write())?;
            if several {
                return Several::new(dir.clone(), lock, self.part_size).map(Notes::Several);
            }
            Journal::new(dir.clone(), lock, self.part_size, (1, 0)).map(Notes::One)
        };
        begun()
            .map_err(|error| {
                let dir = dir.display();
                tracing::warn!(
                    "cannot write to {dir} ({error}): if this writer is killed, the next one cannot go on with this recording"
                );
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::keys::book::Permit;
    use crate::keys::terms::Terms;
    use crate::mux::{Piece, State};
    use crate::object::tap::{Opening, Tap};

    fn title(session: &str, start: i64) -> Title {
        let text = str::to_owned;
        let permit =
            Permit { id: text("i"), key: text("k"), stream: text("cam"), object: None, terms: Terms::default() };
        Title { permit, app: text("live"), session: text(session), start, number: 1 }
    }

    fn one(left: LeftOf) -> Box<Left> {
        match left {
            LeftOf::One(left) => left,
            LeftOf::Several(left) => panic!("{left:?}"),
        }
    }

    #[test]
    fn what_each_recording_has_left_is_found_with_its_name_and_what_has_nothing_is_taken_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("of all");
        let journals = || Journals::at(at.clone(), PartSize::DEFAULT);
        assert!(journals().left().expect("a disk").is_empty());
        let mut running = Vec::new();
        for (session, start) in [("old", 5), ("new", 7), ("empty", 9), ("done", 11)] {
            let journal = journals().begin(&title(session, start), false).and_then(Notes::one).expect("a journal");
            if session != "empty" {
                let (_stored, readable) = watch::channel(0);
                let opening = Opening { key: "k", upload_id: session, readable, fresh: true, beside: None };
                journal.listener(1).begin(&opening);
                journal.note(&Piece { bytes: vec![1; 10].into(), begins: true, after: State::default() }, false);
            }
            running.push(journal);
        }
        // As long as its writer lives, it is nobody else's.
        assert!(journals().left().expect("a disk").is_empty());
        running.pop().expect("the last").remove();
        drop(running);
        let found = journals().left().expect("a disk");
        let found: Vec<_> = found.into_iter().map(|(title, left)| (title, one(left))).collect();
        let names: Vec<_> = found.iter().map(|(title, left)| (title.session.as_str(), left.upload_id())).collect();
        assert_eq!(names, [("new", "new"), ("old", "old")]);
        assert!(!at.join("empty").exists() && !at.join("done").exists());
        // Whoever took them has them; and what cannot be gone on with is taken away.
        assert!(journals().left().expect("a disk").is_empty());
        for (_, left) in found {
            left.remove();
        }
        assert_eq!(fs::read_dir(&at).expect("a directory").count(), 0);
    }
}
