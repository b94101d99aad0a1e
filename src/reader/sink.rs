//! Where the reader's bytes go: standard output or a file, written in order by one thread of its own.
//!
//! A thread, because a write to a pipe waits as long as the other side likes. The queue in front of it is short, so a slow
//! consumer slows the fetching down.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::tool::progress::Progress;

/// Bytes that may wait for the thread or be on their way into the output: enough to fill a pipe in one go. A piece is what
/// came off the wire in one read, a few hundred KiB at most; over TLS it is a record of at most 16 KiB.
const QUEUE: u32 = 1 << 20;

/// Pieces written by one system call.
const BATCH: usize = 64;

/// Bytes that a pipe holds, where the system lets us ask for it: fewer and larger writes.
const PIPE_CAPACITY: usize = 1 << 20;

/// Why nothing more can be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The other end of the pipe was closed: whoever was reading has had enough.
    #[error("the reader of standard output has closed it")]
    Closed,
    /// It is no text, and would make a mess of a terminal.
    #[error(
        "this is no text, and standard output is a terminal: name a FILE to keep it, give it to a player (`| ffplay -`), or name \
         `-` as the FILE to see it all the same"
    )]
    NotForTerminals,
    /// The disk is full, or worse.
    #[error("cannot write to {output}: {cause}")]
    Write {
        /// The file, or "standard output".
        output: String,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// The file could not be opened.
    #[error("cannot open {} for writing: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// What was asked to go on after is not a file with bytes in it.
    #[error("cannot go on after {}: it is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}

/// Bytes in the queue, and the room that they take in it.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// An output that is being written.
#[derive(Debug)]
pub struct Sink {
    queue: Option<mpsc::UnboundedSender<Piece>>,
    /// A permit for each byte of room in the queue.
    room: Arc<Semaphore>,
    /// How the thread ended; `None` while it runs.
    ended: watch::Receiver<Option<Result<(), SinkError>>>,
    closed: watch::Receiver<bool>,
    /// The file that is not written to yet.
    empty: Option<Empty>,
    /// A terminal that nothing has been written to yet, and that is to get text alone.
    spared: bool,
}

/// A file that is to be made, or emptied, once.
#[derive(Debug)]
struct Empty {
    path: PathBuf,
    /// It, if it was there before.
    existing: Option<File>,
    done: Arc<AtomicBool>,
}

impl Empty {
    fn again(&self) -> io::Result<Self> {
        let existing = self.existing.as_ref().map(File::try_clone).transpose()?;
        Ok(Self { path: self.path.clone(), existing, done: self.done.clone() })
    }

    /// The file, with nothing in it if that was not done before.
    fn make(self) -> io::Result<File> {
        let again = self.done.swap(true, Relaxed);
        match self.existing {
            // Only of a regular file there is something to be taken away.
            Some(file) if again || !file.metadata()?.is_file() => Ok(file),
            Some(file) => file.set_len(0).map(|()| file),
            None => OpenOptions::new().write(true).create(true).truncate(!again).open(self.path),
        }
    }
}

/// Where the thread writes.
#[derive(Debug)]
enum Output {
    Now(File),
    /// A file from its first bytes on.
    Later(Empty),
}

impl Output {
    fn open(self) -> io::Result<File> {
        match self {
            Self::Now(file) => Ok(file),
            Self::Later(empty) => empty.make(),
        }
    }
}

impl Sink {
    /// Standard output.
    ///
    /// # Errors
    /// When there is none.
    pub fn stdout(progress: Arc<Progress>) -> Result<Self, SinkError> {
        let output = "standard output".to_owned();
        let duplicate = || rustix::io::dup(io::stdout()).map(File::from);
        let failed =
            |error: rustix::io::Errno| SinkError::Write { output: output.clone(), cause: Arc::new(error.into()) };
        let (file, watched) = (duplicate().map_err(failed)?, duplicate().map_err(failed)?);
        // Only an optimisation, and refused for what is not a pipe or over the user's limit.
        let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_CAPACITY);
        Self::start(Output::Now(file), Some(watched), &output, progress)
    }

    /// The same, but where it is a terminal, only what begins as text is written.
    #[must_use]
    pub fn sparing_terminals(self) -> Self {
        Self { spared: io::stdout().is_terminal(), ..self }
    }

    /// A file, which is made or emptied when the first bytes come: until then it stays as it is.
    ///
    /// # Errors
    /// When it cannot be written, or not be made where it is to be.
    pub fn file(path: &Path, progress: Arc<Progress>) -> Result<Self, SinkError> {
        let open = |cause| SinkError::Open { path: path.to_owned(), cause: Arc::new(cause) };
        let existing = match std::fs::metadata(path) {
            // Opened at once, so that what stands in the way is known before the first byte comes. A named pipe waits here
            // for its other end.
            Ok(_) => Some(OpenOptions::new().write(true).open(path).map_err(open)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                std::fs::metadata(folder.unwrap_or(Path::new("."))).map_err(open)?;
                None
            }
            Err(error) => return Err(open(error)),
        };
        let empty = Empty { path: path.to_owned(), existing, done: Arc::default() };
        let later = empty.again().map_err(open)?;
        let mut sink = Self::start(Output::Later(later), None, &path.display().to_string(), progress)?;
        sink.empty = Some(empty);
        Ok(sink)
    }

    /// Says that what there was to write is all written, be it nothing: a file that got no byte is made, or emptied, now.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn settle(&self) -> Result<(), SinkError> {
        let Some(empty) = &self.empty else { return Ok(()) };
        let open = |cause| SinkError::Open { path: empty.path.clone(), cause: Arc::new(cause) };
        empty.again().and_then(Empty::make).map(drop).map_err(open)
    }

    /// A file that is kept and gone on after, or made where there is none; and how many bytes it holds, `None` where it
    /// was made. Nothing in it changes before the first write.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn append(path: &Path, progress: Arc<Progress>) -> Result<(Self, Option<u64>), SinkError> {
        let open = |cause| SinkError::Open { path: path.to_owned(), cause: Arc::new(cause) };
        let held = match std::fs::metadata(path) {
            // Asked before it is opened: opening a named pipe would wait for its other end.
            Ok(found) if !found.is_file() => return Err(SinkError::NotAFile { path: path.to_owned() }),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(open(error)),
        };
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(open)?;
        let bytes = file.seek(SeekFrom::End(0)).map_err(open)?;
        let sink = Self::start(Output::Now(file), None, &path.display().to_string(), progress)?;
        Ok((sink, held.then_some(bytes)))
    }

    fn start(to: Output, watched: Option<File>, output: &str, progress: Arc<Progress>) -> Result<Self, SinkError> {
        let (queue, pieces) = mpsc::unbounded_channel();
        let (tell_ended, ended) = watch::channel(None);
        let (tell_closed, closed) = watch::channel(false);
        let spawned = |cause| SinkError::Write { output: output.to_owned(), cause: Arc::new(cause) };
        let name = output.to_owned();
        std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                let result = drain(to, pieces, &progress).map_err(|cause| match cause.kind() {
                    io::ErrorKind::BrokenPipe => SinkError::Closed,
                    _ => SinkError::Write { output: name, cause: Arc::new(cause) },
                });
                tell_ended.send_replace(Some(result));
            })
            .map_err(spawned)?;
        if let Some(file) = watched {
            // Notices that the other end closes while there is nothing to write; asleep in the system until then.
            std::thread::Builder::new()
                .name("sink watch".to_owned())
                .spawn(move || {
                    if wait_for_hangup(&file) {
                        tell_closed.send_replace(true);
                    }
                })
                .map_err(spawned)?;
        }
        Ok(Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(QUEUE as usize)),
            ended,
            closed,
            empty: None,
            spared: false,
        })
    }

    /// Queues bytes; waits while the queue is full.
    ///
    /// # Errors
    /// [`SinkError`] once the output cannot be written any more.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        if std::mem::take(&mut self.spared) && bytes.contains(&0) {
            // So it is for the next piece, if anybody tries.
            self.spared = true;
            return Err(SinkError::NotForTerminals);
        }
        // A piece larger than the queue takes all of it.
        let wanted = u32::try_from(bytes.len()).unwrap_or(QUEUE).min(QUEUE);
        // The semaphore is never closed; a thread that ended lets go of all that it was to write.
        let room = self.room.clone().acquire_many_owned(wanted).await.ok();
        let sent = match (&self.queue, room) {
            (Some(queue), Some(room)) => queue.send(Piece { bytes, _room: room }).is_ok(),
            _ => false,
        };
        if sent { Ok(()) } else { self.finish().await }
    }

    /// Waits until everything queued is written.
    ///
    /// # Errors
    /// [`SinkError`] when it could not be.
    pub async fn finish(&mut self) -> Result<(), SinkError> {
        self.queue = None;
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            // The thread always tells how it ended; if it is gone without a word, nothing more can be written.
            Err(_) => Err(SinkError::Closed),
        }
    }

    /// Waits until the other end of standard output is closed; for ever where that cannot be known.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        if closed.wait_for(|closed| *closed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Writes pieces in order until the queue ends.
fn drain(output: Output, mut pieces: mpsc::UnboundedReceiver<Piece>, progress: &Progress) -> io::Result<()> {
    let mut batch: Vec<Piece> = Vec::with_capacity(BATCH);
    let Some(first) = pieces.blocking_recv() else { return Ok(()) };
    let mut file = output.open()?;
    let mut next = Some(first);
    while let Some(piece) = next.take().or_else(|| pieces.blocking_recv()) {
        batch.push(piece);
        while batch.len() < BATCH
            && let Ok(piece) = pieces.try_recv()
        {
            batch.push(piece);
        }
        write_batch(&mut file, &batch, progress)?;
        batch.clear();
    }
    Ok(())
}

fn write_batch(file: &mut File, batch: &[Piece], progress: &Progress) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|piece| IoSlice::new(&piece.bytes)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                IoSlice::advance_slices(&mut rest, count);
                progress.bytes_out.fetch_add(count as u64, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Some parents hand on a pipe in non-blocking mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&*file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sleeps until the other end of a pipe, socket or terminal is gone; false for anything that cannot be waited for.
fn wait_for_hangup(file: &File) -> bool {
    loop {
        let mut polled = [PollFd::new(file, PollFlags::empty())];
        match poll(&mut polled, None) {
            Ok(_) => {
                let seen = polled.first().map_or(PollFlags::empty(), PollFd::revents);
                return seen.intersects(PollFlags::ERR | PollFlags::HUP) && !seen.contains(PollFlags::NVAL);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
