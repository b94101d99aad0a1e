//! Bodies on their way in and out: counted, and slowed or cut where a fault says so.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::request_log::Record;

/// What bodies fail with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// After this the socket has taken what was handed to it, as far as it can.
const FLUSH: Duration = Duration::from_millis(20);

/// Keeps a body to a rate, in bytes a second.
#[derive(Debug)]
struct Pace {
    rate: Option<u64>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), waiting: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        Poll::Ready(())
    }

    /// A twentieth of a second's worth.
    fn piece(&self) -> usize {
        self.rate.map_or(usize::MAX, |rate| usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1))
    }

    /// Waits until it is time for so many bytes.
    fn admit(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<()> {
        if self.rate.is_none() {
            return Poll::Ready(());
        }
        if self.waiting.is_none() {
            self.passed(bytes);
        }
        self.poll(cx)
    }

    /// So many bytes have gone: the next ones are to wait.
    fn passed(&mut self, bytes: usize) {
        if let Some(rate) = self.rate {
            self.waiting = Some(Box::pin(sleep(Duration::from_secs_f64(bytes as f64 / rate as f64))));
        }
    }
}

/// A request's body, which the HTTP front goes on holding while the service reads it.
#[derive(Debug, Clone)]
pub struct RequestBody {
    shared: Arc<Mutex<(Incoming, Pace)>>,
    /// Bytes so far.
    pub count: Arc<AtomicU64>,
}

impl RequestBody {
    /// Slowed to `rate` bytes a second if that is given.
    pub fn new(body: Incoming, rate: Option<u64>) -> Self {
        Self { shared: Arc::new(Mutex::new((body, Pace::new(rate)))), count: Arc::new(AtomicU64::new(0)) }
    }

    /// Reads and forgets up to `limit` bytes of what is left. A client that is still sending when the connection closes
    /// may lose the answer.
    pub async fn drain(mut self, limit: u64) {
        let end = self.count.load(Ordering::Relaxed).saturating_add(limit);
        while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            if self.count.load(Ordering::Relaxed) > end {
                break;
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (body, pace) = &mut *shared;
        ready!(pace.poll(cx));
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.count.fetch_add(data.len() as u64, Ordering::Relaxed);
            pace.passed(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).0.size_hint()
    }
}

/// Where an answer's body ends too early.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// After so many bytes.
    pub after: u64,
    /// Whether the connection stays open, with nothing coming.
    pub silent: bool,
}

/// An answer's body.
#[derive(Debug)]
pub struct AnswerBody {
    inner: s3s::Body,
    /// Come from `inner`, and not yet sent.
    held: Bytes,
    /// Bytes until nothing more comes.
    left: Option<u64>,
    /// Whether the connection stays open after that.
    silent: bool,
    /// About to break the connection.
    cutting: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    record: Option<Record>,
}

impl AnswerBody {
    /// `rate` is in bytes a second; `record` counts and is logged at the end.
    pub fn new(inner: s3s::Body, stop: Option<Stop>, rate: Option<u64>, record: Option<Record>) -> Self {
        let (left, silent) = (stop.map(|stop| stop.after), stop.is_some_and(|stop| stop.silent));
        Self { inner, held: Bytes::new(), left, silent, cutting: None, pace: Pace::new(rate), record }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if this.left == Some(0) {
            if this.silent {
                return Poll::Pending;
            }
            let cutting = this.cutting.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
            ready!(cutting.as_mut().poll(cx));
            return Poll::Ready(Some(Err(io::Error::other("cut by a fault").into())));
        }
        while this.held.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.held = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let left = this.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let len = this.held.len().min(this.pace.piece()).min(left);
        ready!(this.pace.admit(len, cx));
        let piece = this.held.split_to(len);
        this.left = this.left.map(|left| left.saturating_sub(piece.len() as u64));
        if let Some(record) = &mut this.record {
            record.sent(piece.len());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.left != Some(0) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
