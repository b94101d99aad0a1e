//! One connection's bytes: what was read of it before it was known which HTTP it speaks, and an end for those that take
//! nothing any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// How long a client may take nothing of what is written to it.
const STALLED: Duration = Duration::from_secs(60);

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes were looked at.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// What was read to see which HTTP it is, and how much of that was taken since.
    before: Vec<u8>,
    taken: usize,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether the end of the connection must not look like the end of an answer.
    torn: Arc<AtomicBool>,
}

/// Which HTTP a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

impl Wire {
    /// Looks at the first bytes; none where they do not come in time.
    pub(crate) async fn of(mut stream: TcpStream, within: Duration) -> Option<(Self, Speaks)> {
        let deadline = Instant::now() + within;
        let mut before = Vec::new();
        let speaks = loop {
            if before.len() >= PREFACE.len() {
                break Speaks::Http2;
            }
            let mut some = [0; PREFACE.len()];
            let left = some.get_mut(..PREFACE.len() - before.len())?;
            let count = timeout_at(deadline, stream.read(left)).await.ok()?.ok()?;
            before.extend_from_slice(left.get(..count).filter(|some| !some.is_empty())?);
            if !PREFACE.starts_with(&before) {
                break Speaks::Http1;
            }
        };
        Some((Self { stream, before, taken: 0, stall: None, torn: Arc::default() }, speaks))
    }

    /// Set where the connection is to be reset, not closed.
    pub(crate) fn torn(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.torn)
    }

    /// What came of a write: nothing for too long is an error.
    fn progress<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stall = None;
            return wrote;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.torn.load(Relaxed) {
            // Where the length of an answer is not told, a closed connection would be its end.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(left) = this.before.get(this.taken..).filter(|left| !left.is_empty()) {
            let some = left.get(..left.len().min(buffer.remaining())).unwrap_or_default();
            buffer.put_slice(some);
            this.taken += some.len();
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.progress(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.progress(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.progress(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
