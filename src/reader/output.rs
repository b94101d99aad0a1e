//! Where the copy goes, as it was asked for: opened, and, where it is to be gone on after, measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinError;

use crate::reader::held::Held;
use crate::reader::sink::{Sink, SinkError};
use crate::tool::nowhere;
use crate::tool::progress::Progress;

/// Where the copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output; where that is a terminal, text alone.
    Stdout,
    /// Standard output, whatever that is.
    Screen,
    /// A file, written anew.
    File(PathBuf),
    /// A file that is gone on after.
    Resumed(PathBuf),
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The system refused.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The program itself failed.
    #[error("cannot open {}: {cause}", path.display())]
    Panic {
        /// The file.
        path: PathBuf,
        /// What happened.
        cause: JoinError,
    },
}

impl Output {
    /// Opens it, and tells what it holds of the object, if anything.
    ///
    /// # Errors
    /// [`OutputError`]; nothing has been changed.
    pub async fn open(&self, progress: &Arc<Progress>) -> Result<(Sink, Option<Held>), OutputError> {
        let progress = progress.clone();
        match self {
            Self::Stdout | Self::Screen => {
                if nowhere::stdout_seems_closed() {
                    tracing::warn!(
                        "standard output is closed, or /dev/null: what is read goes nowhere. Give FILE to keep it"
                    );
                }
                let sink = Sink::stdout(progress)?;
                Ok((if *self == Self::Screen { sink } else { sink.sparing_terminals() }, None))
            }
            Self::Resumed(path) => {
                let (sink, bytes) = Sink::append(path, progress)?;
                Ok((sink, begins_with(path, bytes)))
            }
            Self::File(path) => {
                // Opening a named pipe waits for its other end, and must not keep signals from being heard.
                let file = path.clone();
                let opening = tokio::task::spawn_blocking(move || Sink::file(&file, progress));
                let opened = opening.await.map_err(|cause| OutputError::Panic { path: path.clone(), cause })?;
                Ok((opened?, None))
            }
        }
    }
}

/// What there is to go on after in the file of `--resume`; says so where there is nothing.
fn begins_with(path: &Path, bytes: Option<u64>) -> Option<Held> {
    match bytes {
        None => tracing::info!("{} did not exist; reading from the first byte", path.display()),
        Some(0) => tracing::info!("{} is empty; reading from the first byte", path.display()),
        Some(bytes) => return Some(Held { path: path.to_owned(), bytes }),
    }
    None
}
