//! The input as it was asked for: opened, with what an earlier run kept in front of it, and set beside the upload that it
//! is to go on with.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::protocol::live_objects::Prefix;
use crate::protocol::part::PartSize;
use crate::store::Patient;
use crate::writer::kept::{KeptError, KeptFile};
use crate::writer::resume::{self, Input, Ongoing, ResumeError, Sought};
use crate::writer::source::{Source, SourceError, StopSignal};

/// What the input is, and whether it goes on with an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// Where it comes from.
    pub from: Where,
    /// A file that an earlier run kept: it comes first.
    pub kept: Option<PathBuf>,
    /// The upload that was left open is to be gone on with.
    pub resume: Option<Resume>,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Standard input, to its end.
    Stdin,
    /// A file: to its end, or followed as it grows with a look at least every `follow`.
    File {
        /// Its path.
        path: PathBuf,
        /// The longest time between two looks.
        follow: Option<Duration>,
    },
}

impl Where {
    /// What somebody who waits for something to happen has to know of it: `listens`: it comes from an encoder; `is_file`: it is a
    /// regular file; `typed`: standard input is a terminal. Pure.
    #[must_use]
    pub fn said(&self, listens: bool, is_file: bool, typed: bool) -> Option<String> {
        match self {
            Self::File { path, follow: Some(_) } if is_file => Some(format!(
                "following {} as it grows; Ctrl-C ends that, and completes the object with what it holds then",
                path.display()
            )),
            Self::Stdin if typed && !listens => Some(
                "reading what is typed here; Ctrl-D ends it. A stream comes by a pipe (`ffmpeg … | writer KEY`), a file by its \
                 name (`writer KEY FILE`)"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// An upload that is to be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// This one, instead of the newest.
    pub upload_id: Option<String>,
}

/// Why the input cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// What an earlier run kept.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// What goes on after it.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl InputSettings {
    /// Opens it.
    ///
    /// # Errors
    /// [`InputError`]; nothing has been changed.
    pub async fn open(&self, stop: StopSignal) -> Result<Source, InputError> {
        let kept = self.kept.as_deref().map(KeptFile::open).transpose()?;
        let source = match &self.from {
            // Nobody is to type the rest of a recording.
            _ if kept.is_some() && io::stdin().is_terminal() => Source::nothing(stop),
            Where::Stdin => Source::stdin(stop),
            Where::File { path, follow } => Source::file(path, *follow, stop).await,
        }?;
        Ok(match kept {
            Some(kept) => source.behind(kept, self.resume.is_none()),
            None => source,
        })
    }

    /// The upload of `key` to go on with; `None` where none is asked for, or none is open. `asked` is the part size that the
    /// person wants; names of `live` objects begin with that, where there may be some.
    ///
    /// # Errors
    /// [`ResumeError`]; nothing has been changed.
    pub async fn take_up(
        &self,
        store: &Patient,
        key: &str,
        asked: Option<PartSize>,
        live: Option<&Prefix>,
        source: &Source,
    ) -> Result<Option<Ongoing>, ResumeError> {
        let Some(Resume { upload_id }) = &self.resume else { return Ok(None) };
        let wanted = Sought { key, upload_id: upload_id.as_deref(), part_size: asked, live };
        let (wanted, input) = match (source.kept(), source.whole_file()) {
            (Some(kept), _) => (of_kept(&wanted, kept, store)?, Input::Kept(kept)),
            (None, Some(file)) => (wanted, Input::File(file, self.path())),
            (None, None) => (wanted, Input::Stream),
        };
        let held = resume::take_up(store, &wanted, PartSize::DEFAULT, input).await?;
        if held.is_none() {
            tracing::warn!("no upload of {} is open: starting a new one", store.object(key));
        }
        Ok(held)
    }

    /// The path of the file, as it was named.
    fn path(&self) -> &Path {
        match &self.from {
            Where::Stdin => Path::new("-"),
            Where::File { path, .. } => path,
        }
    }
}

/// What was kept belongs to one upload, and has its part size.
fn of_kept<'a>(wanted: &Sought<'a>, kept: &'a KeptFile, store: &Patient) -> Result<Sought<'a>, ResumeError> {
    let Sought { key, upload_id, part_size, live } = *wanted;
    let label = &kept.label;
    kept.goes_with(key, upload_id).map_err(|why| ResumeError::NotOfIt {
        path: kept.path.clone(),
        object: store.object(key),
        id: upload_id.unwrap_or(&label.upload_id).to_owned(),
        why,
    })?;
    Ok(Sought { key, upload_id: Some(&label.upload_id), part_size: part_size.or(Some(label.part_size)), live })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_for_what() {
        let file =
            |follow: Option<u64>| Where::File { path: "rec.mp4".into(), follow: follow.map(Duration::from_secs) };
        let said = |from: Where, listens, is_file, typed| from.said(listens, is_file, typed).unwrap_or_default();
        let followed = said(file(Some(1)), false, true, true);
        assert!(followed.starts_with("following rec.mp4") && followed.contains("Ctrl-C ends that"), "{followed}");
        let typed = said(Where::Stdin, false, false, true);
        assert!(typed.contains("Ctrl-D ends it") && typed.contains("writer KEY FILE"), "{typed}");
        // To its end, from a pipe, from an encoder: nothing needs a hand.
        assert_eq!(said(file(None), false, true, true), "");
        assert_eq!(said(file(Some(1)), false, false, true), "");
        assert_eq!(said(Where::Stdin, false, false, false), "");
        assert_eq!(said(Where::Stdin, true, false, true), "");
    }
}
