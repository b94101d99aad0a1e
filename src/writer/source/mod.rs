//! Where the writer's bytes come from: a pipe, a file to its end, a file that is still growing, or a stream that this
//! program takes from an encoder.

mod again;
mod feed;
mod follow;
mod heard;
mod kept;
mod pipe;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use crate::writer::kept::KeptFile;
use again::Again;
pub use again::Pieces;
pub use feed::{Feed, Feeder, feed};
use follow::Follow;
pub use heard::Ear;
use heard::Heard;
use kept::Kept;
use pipe::Pipe;

/// Turns true when the person asked to stop waiting for more input.
pub type StopSignal = watch::Receiver<bool>;

/// Why the input cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It could not be opened.
    #[error("cannot open {}: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It could not be read.
    #[error("cannot read {input}: {cause}")]
    Read {
        /// The file, or "standard input".
        input: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A named pipe whose other end nobody had opened when the request to stop came.
    #[error("nobody has opened the other end of {}", .0.display())]
    Unopened(PathBuf),
    /// It is a directory.
    #[error("{} is a directory; name a file, or `-` for standard input", .0.display())]
    Directory(PathBuf),
    /// A followed file became shorter than what was already taken from it.
    #[error("{} was cut to {now} bytes after {taken} bytes had been taken from it, so what it holds now is not a continuation", path.display())]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Bytes taken from it.
        taken: u64,
        /// Its size now.
        now: u64,
    },
    /// Another file has taken its name.
    #[error("{} was replaced by another file after {taken} bytes had been taken from it", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// Bytes taken from it.
        taken: u64,
    },
    /// It was removed or renamed.
    #[error("{} was removed or renamed after {taken} bytes had been taken from it", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
        /// Bytes taken from it.
        taken: u64,
    },
    /// Bytes that were already taken are different now.
    #[error("{} was rewritten: bytes before {taken}, which had been taken from it, are different now", path.display())]
    Rewritten {
        /// The file.
        path: PathBuf,
        /// Bytes taken from it.
        taken: u64,
    },
}

impl SourceError {
    /// Whether the input is no longer what it was, so that it cannot be gone on with.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Shrunk { .. } | Self::Replaced { .. } | Self::Gone { .. } | Self::Rewritten { .. })
    }
}

/// An input.
#[derive(Debug)]
pub enum Source {
    /// Something that can be waited for: a pipe, a socket, a terminal.
    Pipe(Pipe),
    /// A file to its end, or a device that is always ready.
    Plain(Plain),
    /// A file that is still growing.
    Follow(Box<Follow>),
    /// What an earlier writer could not store, and then what goes on.
    Kept(Kept),
    /// What an earlier writer has taken of a stream, out of the store, and then what goes on.
    Again(Again),
    /// What another task makes.
    Feed(Feed),
    /// Another one, to which somebody listens as it is taken.
    Heard(Heard),
}

/// A file read to its end.
#[derive(Debug)]
pub struct Plain {
    file: File,
    name: String,
    /// Opened by name and of a certain size, so that it can go on at any offset.
    whole: bool,
    /// A device such as `/dev/zero` may never end, so that a request to stop ends it.
    endless: bool,
    stop: StopSignal,
}

impl Source {
    /// Standard input, to its end.
    ///
    /// # Errors
    /// When standard input cannot be waited for nor read.
    pub fn stdin(stop: StopSignal) -> Result<Self, SourceError> {
        let name = "standard input";
        let wrap = |cause| SourceError::Read { input: name.to_owned(), cause };
        let owned = rustix::io::dup(io::stdin()).map_err(|error| wrap(error.into()))?;
        let file = File::from(owned);
        let metadata = file.metadata().map_err(wrap)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory(PathBuf::from(name)));
        }
        match Pipe::new(file, stop.clone()) {
            Ok(pipe) => Ok(Self::Pipe(pipe)),
            // Regular files and some devices cannot be waited for: they are always ready.
            Err(file) => {
                let endless = !metadata.is_file();
                Ok(Self::Plain(Plain { file, name: name.to_owned(), whole: false, endless, stop }))
            }
        }
    }

    /// A file: to its end, or followed as it grows with a look at least every `follow`.
    ///
    /// # Errors
    /// When it cannot be opened, or the request to stop comes before it is.
    pub async fn file(path: &Path, follow: Option<Duration>, stop: StopSignal) -> Result<Self, SourceError> {
        let open = |cause| SourceError::Open { path: path.to_owned(), cause };
        // Opening a named pipe waits for its other end, as `cat` does, and must not keep signals from being heard.
        let opening = {
            let path = path.to_owned();
            tokio::task::spawn_blocking(move || File::open(path))
        };
        let mut asked = stop.clone();
        let file = tokio::select! {
            biased;
            opened = opening => opened.map_err(io::Error::other).flatten().map_err(open)?,
            Ok(_) = asked.wait_for(|stop| *stop) => return Err(SourceError::Unopened(path.to_owned())),
        };
        let metadata = file.metadata().map_err(open)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory(path.to_owned()));
        }
        match follow {
            Some(interval) if metadata.is_file() => {
                Ok(Self::Follow(Box::new(Follow::new(file, path.to_owned(), interval, stop))))
            }
            _ => match Pipe::new(file, stop.clone()) {
                Ok(pipe) => Ok(Self::Pipe(pipe)),
                Err(file) => {
                    let (name, endless) = (path.display().to_string(), !metadata.is_file());
                    Ok(Self::Plain(Plain { file, name, whole: !endless, endless, stop }))
                }
            },
        }
    }

    /// Nothing.
    ///
    /// # Errors
    /// When not even that can be opened.
    pub fn nothing(stop: StopSignal) -> Result<Self, SourceError> {
        let path = Path::new("/dev/null");
        let file = File::open(path).map_err(|cause| SourceError::Open { path: path.to_owned(), cause })?;
        Ok(Self::Plain(Plain { file, name: path.display().to_string(), whole: false, endless: false, stop }))
    }

    /// Goes on after a file that was kept: at each offset what it holds there, or, for an object of its own, all that it
    /// holds in one row.
    #[must_use]
    pub fn behind(self, file: KeptFile, own_object: bool) -> Self {
        Self::Kept(Kept::new(file, own_object, self))
    }

    /// Goes on after what is had out of the store again.
    #[must_use]
    pub fn after(self, pieces: Pieces) -> Self {
        Self::Again(Again::new(pieces, self))
    }

    /// The same, and `ear` hears all that is taken.
    #[must_use]
    pub fn heard_by(self, ear: Ear) -> Self {
        Self::Heard(Heard::new(self, ear))
    }

    /// Waits for bytes and reads them into `room`, which must not be empty; 0 is the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SourceError`]; what was read before stays valid.
    pub async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        match self {
            Self::Pipe(pipe) => pipe.read(room).await,
            Self::Plain(plain) => plain.read(room),
            Self::Follow(follow) => follow.read(room).await,
            Self::Kept(kept) => kept.read(room).await,
            Self::Again(again) => again.read(room).await,
            Self::Feed(feed) => feed.read(room).await,
            Self::Heard(heard) => heard.read(room).await,
        }
    }

    /// Whether the end that was [read](Self::read) is only that of what belongs to one object: the next begins with what is
    /// read after this.
    pub fn next_object(&mut self) -> bool {
        match self {
            Self::Feed(feed) => feed.next_object(),
            Self::Kept(kept) => kept.then_mut().next_object(),
            Self::Again(again) => again.then_mut().next_object(),
            Self::Heard(heard) => heard.source_mut().next_object(),
            Self::Pipe(_) | Self::Plain(_) | Self::Follow(_) => false,
        }
    }

    /// Whether another task of this program makes it, in pieces.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        match self {
            Self::Feed(_) => true,
            Self::Kept(kept) => kept.then().is_fed(),
            Self::Again(again) => again.then().is_fed(),
            Self::Heard(heard) => heard.source().is_fed(),
            Self::Pipe(_) | Self::Plain(_) | Self::Follow(_) => false,
        }
    }

    /// The file, if the input is one that was opened by its name and can be read from any offset.
    #[must_use]
    pub fn whole_file(&self) -> Option<&File> {
        match self {
            Self::Pipe(_) | Self::Kept(_) | Self::Again(_) | Self::Feed(_) => None,
            Self::Plain(plain) => plain.whole.then_some(&plain.file),
            Self::Follow(follow) => Some(follow.file()),
            Self::Heard(heard) => heard.source().whole_file(),
        }
    }

    /// The file that an earlier writer kept, if the input begins with one.
    #[must_use]
    pub fn kept(&self) -> Option<&KeptFile> {
        match self {
            Self::Kept(kept) => Some(kept.file()),
            Self::Heard(heard) => heard.source().kept(),
            Self::Pipe(_) | Self::Plain(_) | Self::Follow(_) | Self::Again(_) | Self::Feed(_) => None,
        }
    }

    /// A file goes on at `offset`, as if all before it had been taken; a stream goes on where it is.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn go_on_at(&mut self, offset: u64) -> Result<(), SourceError> {
        match self {
            Self::Plain(plain) if plain.whole => plain
                .file
                .seek(SeekFrom::Start(offset))
                .map(drop)
                .map_err(|cause| SourceError::Read { input: plain.name.clone(), cause }),
            Self::Follow(follow) => follow.go_on_at(offset),
            Self::Heard(heard) => heard.source_mut().go_on_at(offset),
            Self::Kept(kept) => {
                kept.go_on_at(offset);
                Ok(())
            }
            Self::Pipe(_) | Self::Plain(_) | Self::Again(_) | Self::Feed(_) => Ok(()),
        }
    }

    /// Whether bytes would be lost, or their maker stopped, if they were not read for long.
    #[must_use]
    pub fn cannot_wait(&self) -> bool {
        match self {
            Self::Pipe(_) | Self::Feed(_) => true,
            Self::Plain(_) | Self::Follow(_) => false,
            Self::Kept(kept) => kept.then().cannot_wait(),
            Self::Again(again) => again.then().cannot_wait(),
            Self::Heard(heard) => heard.source().cannot_wait(),
        }
    }

    /// Whether all that was taken can be had again from the same place.
    #[must_use]
    pub fn can_be_read_again(&self) -> bool {
        match self {
            Self::Pipe(_) | Self::Kept(_) | Self::Again(_) | Self::Feed(_) => false,
            Self::Plain(plain) => plain.whole,
            Self::Follow(follow) => !follow.has_changed(),
            Self::Heard(heard) => heard.source().can_be_read_again(),
        }
    }

    /// Says after the end what the person should know about the input, if anything.
    pub fn closing_warning(&mut self) -> Option<String> {
        match self {
            Self::Follow(follow) => follow.closing_warning(),
            Self::Heard(heard) => heard.source_mut().closing_warning(),
            Self::Pipe(_) | Self::Plain(_) | Self::Kept(_) | Self::Again(_) | Self::Feed(_) => None,
        }
    }
}

impl Plain {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        if self.endless && *self.stop.borrow() {
            return Ok(0);
        }
        read_blocking(&self.file, room).map_err(|cause| SourceError::Read { input: self.name.clone(), cause })
    }
}

/// Reads from a file on this thread, after telling the runtime that it may take a while.
fn read_blocking(mut file: &File, room: &mut [u8]) -> io::Result<usize> {
    tokio::task::block_in_place(|| {
        loop {
            match file.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    })
}
