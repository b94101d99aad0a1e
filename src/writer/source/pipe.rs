//! An input that can be waited for: a pipe, a socket, a terminal.
//!
//! The descriptor stays in blocking mode, because that mode belongs to everyone who shares it (a terminal to the shell);
//! a read is made only when the system says that it will not wait.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::{SourceError, StopSignal};

/// After a request to stop, silence of this length ends the input. Ctrl-C reaches the whole pipeline, and `ffmpeg` then
/// empties its encoder and writes its last fragment: this is its time to do so.
const QUIET: Duration = Duration::from_secs(1);

/// After a request to stop, the input ends after this time even if it goes on.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes that a pipe holds, where the system lets us ask for it: fewer and larger reads.
const PIPE_CAPACITY: usize = 1 << 20;

/// An input that can be waited for.
#[derive(Debug)]
pub struct Pipe {
    file: AsyncFd<File>,
    stop: StopSignal,
    /// Set with the request to stop: when the input ends at the latest.
    ends_by: Option<Instant>,
}

impl Pipe {
    /// Takes `file`, or gives it back when it is of a kind that cannot be waited for.
    pub(super) fn new(file: File, stop: StopSignal) -> Result<Self, File> {
        // Only an optimisation, and refused for what is not a pipe or over the user's limit.
        let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_CAPACITY);
        #[expect(
            deprecated,
            reason = "the replacement is unsafe; a File keeps its descriptor for as long as it lives, which is all it asks"
        )]
        let registered = AsyncFd::try_with_interest(file, Interest::READABLE);
        match registered {
            Ok(file) => Ok(Self { file, stop, ends_by: None }),
            Err(error) => Err(error.into_parts().0),
        }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if self.ends_by.is_none() && *self.stop.borrow() {
                self.ends_by = Some(Instant::now() + GRACE);
            }
            let ready = match self.ends_by {
                None => tokio::select! {
                    ready = self.file.readable() => ready,
                    changed = self.stop.changed() => {
                        // The sender lives as long as the program; without one nobody will ask to stop.
                        if changed.is_err() { self.file.readable().await } else { continue }
                    }
                },
                Some(ends_by) => {
                    let until = ends_by.min(Instant::now() + QUIET);
                    tokio::select! {
                        ready = self.file.readable() => ready,
                        () = sleep_until(until) => return Ok(0),
                    }
                }
            };
            if self.ends_by.is_some_and(|ends_by| Instant::now() >= ends_by) {
                return Ok(0);
            }
            let mut ready = ready.map_err(read_error)?;
            if !would_answer(self.file.get_ref()).map_err(read_error)? {
                ready.clear_ready();
                continue;
            }
            match rustix::io::read(self.file.get_ref(), &mut *room) {
                Ok(count) => return Ok(count),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                // How Linux tells a terminal program that its terminal is gone.
                Err(rustix::io::Errno::IO) if rustix::termios::isatty(self.file.get_ref()) => return Ok(0),
                Err(error) => return Err(read_error(error.into())),
            }
        }
    }
}

/// Whether a read would return at once: with bytes, the end, or an error.
fn would_answer(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&none)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_error(cause: io::Error) -> SourceError {
    SourceError::Read { input: "standard input".to_owned(), cause }
}
