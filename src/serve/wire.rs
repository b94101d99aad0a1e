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
use tokio_rustls::server::TlsStream;

use super::heads::Heads;

/// How long a client may take nothing of what is written to it.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection, secret or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection below.
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// The same of both.
macro_rules! both {
    ($stream:expr, $inner:ident => $does:expr) => {
        match $stream {
            Stream::Plain($inner) => {
                let $inner = Pin::new($inner);
                $does
            }
            Stream::Tls($inner) => {
                let $inner = Pin::new($inner.as_mut());
                $does
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        both!(self.get_mut(), stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        both!(self.get_mut(), stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => stream.poll_shutdown(cx))
    }
}

/// A connection whose first bytes were looked at.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// What was read to see which HTTP it is, and how much of that was taken since.
    before: Vec<u8>,
    taken: usize,
    /// Of HTTP/1.
    heads: Option<Heads>,
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
    pub(crate) async fn of(mut stream: Stream, within: Duration) -> Option<(Self, Speaks)> {
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
        let heads = (speaks == Speaks::Http1).then(Heads::default);
        Some((Self { stream, before, taken: 0, heads, stall: None, torn: Arc::default() }, speaks))
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
            drop(self.stream.socket().set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heads.as_ref().is_some_and(Heads::is_spoilt) {
            return Poll::Ready(Ok(()));
        }
        let from = buffer.filled().len();
        let left = this.before.get(this.taken..).unwrap_or_default();
        let some = left.get(..left.len().min(buffer.remaining())).unwrap_or_default();
        let (had, is_all) = (!some.is_empty(), some.len() == left.len());
        buffer.put_slice(some);
        this.taken += some.len();
        let mut read = Poll::Ready(Ok(()));
        if is_all && buffer.remaining() > 0 {
            read = Pin::new(&mut this.stream).poll_read(cx, buffer);
            // With what is behind it, where that is there: a head in two pieces is given twice the memory. What is wrong is told
            // by the next one.
            if had {
                read = Poll::Ready(Ok(()));
            }
        }
        if let (Some(heads), Some(came)) = (&mut this.heads, buffer.filled_mut().get_mut(from..)) {
            heads.look(came);
        }
        read
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connect");
        (client, listener.accept().await.expect("accept").0)
    }

    #[tokio::test]
    async fn which_http_it_is_is_seen_by_its_first_bytes_and_none_of_them_is_lost() {
        for (sent, speaks) in [
            (&b"GET / HTTP/1.1\r\n"[..], Speaks::Http1),
            (b"PRI * HTTP/1.1\r\n", Speaks::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", Speaks::Http2),
        ] {
            let (mut client, server) = pair().await;
            client.write_all(sent).await.expect("send");
            let (mut wire, found) = Wire::of(Stream::Plain(server), HEAD).await.expect("it speaks");
            assert_eq!(found, speaks);
            drop(client);
            let mut all = Vec::new();
            wire.read_to_end(&mut all).await.expect("read");
            assert_eq!(all, sent);
        }
    }

    #[tokio::test]
    async fn what_was_looked_at_comes_with_what_is_behind_it_and_alone_where_nothing_is() {
        let (mut client, server) = pair().await;
        let head = [b'x'; 500];
        client.write_all(&head).await.expect("send");
        server.readable().await.expect("there is something");
        let (mut wire, _) = Wire::of(Stream::Plain(server), HEAD).await.expect("it speaks");
        let mut some = [0; 600];
        assert_eq!(wire.read(&mut some).await.expect("read"), 500);
        let (mut client, server) = pair().await;
        client.write_all(&head[..5]).await.expect("send");
        let (mut wire, _) = Wire::of(Stream::Plain(server), HEAD).await.expect("it speaks");
        assert_eq!(wire.read(&mut some).await.expect("read"), 5);
        client.write_all(&head).await.expect("send");
        assert_eq!(wire.read(&mut some[..7]).await.expect("read"), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_stops_in_the_preface_is_given_up() {
        for sent in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let (mut client, server) = pair().await;
            client.write_all(sent).await.expect("send");
            assert!(Wire::of(Stream::Plain(server), HEAD).await.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_a_minute_is_given_up() {
        let (mut client, server) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.expect("send");
        let (mut wire, _) = Wire::of(Stream::Plain(server), HEAD).await.expect("it speaks");
        let block = vec![7; 1 << 20];
        let begun = Instant::now();
        // What the system holds for a connection is full after some of it.
        let error = loop {
            if let Err(error) = wire.write_all(&block).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= STALLED, "{:?}", begun.elapsed());
        // It took what it could.
        let mut some = [0; 10];
        assert!(client.read(&mut some).await.is_ok_and(|count| count == 10));
    }
}
