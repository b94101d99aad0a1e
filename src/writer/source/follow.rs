//! A file that is still growing, followed like `tail -f` but never with bytes that are not a continuation.
//!
//! The system tells about growth where it can (inotify and its like); where it cannot, as on network mounts, the file is
//! looked at every poll interval. Both run at once, because nothing says which of the two a mount is.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::{SourceError, StopSignal};

/// How many of the newest and of the first bytes are remembered, to see whether they stay what they were.
const SAMPLE: usize = 4096;

/// A file that is still growing.
pub struct Follow {
    file: File,
    path: PathBuf,
    taken: u64,
    interval: Duration,
    stop: StopSignal,
    /// Set with the request to stop: all that the file held at that moment.
    ends_at: Option<u64>,
    changed: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// It is no longer what it was.
    changed_since: bool,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").field("path", &self.path).field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Follow {
    pub(super) fn new(file: File, path: PathBuf, interval: Duration, stop: StopSignal) -> Self {
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        let watcher = notify::recommended_watcher(move |_| notify.notify_one())
            .and_then(|mut watcher| watcher.watch(&path, RecursiveMode::NonRecursive).map(|()| watcher));
        let watcher = watcher.map_err(|error| tracing::debug!("looking every {interval:?} instead: {error}")).ok();
        let (head, tail) = (Vec::new(), Vec::new());
        Self {
            file,
            path,
            taken: 0,
            interval,
            stop,
            ends_at: None,
            changed,
            _watcher: watcher,
            head,
            tail,
            changed_since: false,
        }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        let read = self.next(room).await;
        self.changed_since |= read.as_ref().is_err_and(SourceError::is_change);
        read
    }

    /// Whether it was seen not to be what it was.
    pub(super) fn has_changed(&self) -> bool {
        self.changed_since
    }

    async fn next(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if self.ends_at.is_none() && *self.stop.borrow() {
                self.ends_at = Some(self.size()?);
            }
            let most = self.ends_at.map_or(u64::MAX, |end| end.saturating_sub(self.taken));
            let length = usize::try_from(most).unwrap_or(usize::MAX).min(room.len());
            let room = room.get_mut(..length).unwrap_or_default();
            if room.is_empty() {
                self.check_size()?;
                return Ok(0);
            }
            let count = self.read_at(room, self.taken)?;
            if let Some(bytes) = room.get(..count).filter(|bytes| !bytes.is_empty()) {
                self.remember(bytes);
                return Ok(count);
            }
            self.check_size()?;
            self.check_name()?;
            if self.ends_at.is_some() {
                return Ok(0);
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(self.interval) => {}
                changed = self.stop.changed() => {
                    if changed.is_err() { tokio::time::sleep(self.interval).await; }
                }
            }
            self.check_size()?;
            self.check_tail()?;
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Goes on at `offset`, as if all before it had been taken.
    pub(super) fn go_on_at(&mut self, offset: u64) -> Result<(), SourceError> {
        let sample = offset.min(SAMPLE as u64);
        let read = |start| {
            let mut bytes = vec![0; usize::try_from(sample).unwrap_or(SAMPLE)];
            self.file.read_exact_at(&mut bytes, start).map(|()| bytes).map_err(|cause| self.read_error(cause))
        };
        let (head, tail) = (read(0)?, read(offset - sample)?);
        (self.taken, self.head, self.tail) = (offset, head, tail);
        Ok(())
    }

    /// Whether the beginning is still what was taken: muxers that patch their header when they stop leave an object that
    /// differs from the file.
    pub(super) fn closing_warning(&mut self) -> Option<String> {
        let mut now = vec![0; self.head.len()];
        let same = self.file.read_exact_at(&mut now, 0).is_ok() && now == self.head;
        (!same).then(|| {
            let path = self.path.display();
            format!(
                "{path} was changed at its beginning after those bytes had been taken: the object holds them as they were. \
                 Recorders do so when they stop; choose a format that is only appended to (OBS: Fragmented MP4)"
            )
        })
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        let wanted = SAMPLE.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        if bytes.len() >= SAMPLE {
            self.tail.clear();
        }
        self.tail.extend_from_slice(bytes.get(bytes.len().saturating_sub(SAMPLE)..).unwrap_or_default());
        self.tail.drain(..self.tail.len().saturating_sub(SAMPLE));
    }

    fn read_at(&self, room: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        tokio::task::block_in_place(|| {
            loop {
                match self.file.read_at(room, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result.map_err(|cause| self.read_error(cause)),
                }
            }
        })
    }

    fn size(&self) -> Result<u64, SourceError> {
        Ok(self.file.metadata().map_err(|cause| self.read_error(cause))?.len())
    }

    fn check_size(&self) -> Result<(), SourceError> {
        let now = self.size()?;
        if now < self.taken {
            return Err(SourceError::Shrunk { path: self.path.clone(), taken: self.taken, now });
        }
        Ok(())
    }

    /// Whether the name still belongs to the file that was opened.
    fn check_name(&self) -> Result<(), SourceError> {
        let (path, taken) = (self.path.clone(), self.taken);
        let ours = self.file.metadata().map_err(|cause| self.read_error(cause))?;
        match std::fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Ok(_) => Err(SourceError::Replaced { path, taken }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(SourceError::Gone { path, taken }),
            // A mount that does not answer just now is not a replaced file.
            Err(cause) => {
                tracing::debug!("cannot look at {}: {cause}", path.display());
                Ok(())
            }
        }
    }

    /// A file cut and grown again between two looks shows in its bytes. Some recorders patch a few of the bytes that they
    /// have just written (a box's size); other content differs in most.
    fn check_tail(&self) -> Result<(), SourceError> {
        let mut now = vec![0; self.tail.len()];
        let start = self.taken - self.tail.len() as u64;
        if self.file.read_exact_at(&mut now, start).is_err() {
            // Shrunk again since its size was looked at; the next look tells.
            return Ok(());
        }
        let different = now.iter().zip(&self.tail).filter(|(now, then)| now != then).count();
        if different > self.tail.len() / 2 {
            return Err(SourceError::Rewritten { path: self.path.clone(), taken: self.taken });
        }
        Ok(())
    }

    fn read_error(&self, cause: io::Error) -> SourceError {
        SourceError::Read { input: self.path.display().to_string(), cause }
    }
}
