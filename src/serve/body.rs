//! Bodies of answers: short texts, and stretches of an object as they come, in slices that are not copied.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::access_log::Record;
use super::metrics::Metrics;
use super::patchwork::Patchwork;
use super::recording::Broken;
use super::stall::Stall;
pub(crate) use super::stretch::Stretch;
use crate::media::fmp4::Mover;

/// The body of an answer. It fails where what it gives cannot be given to its end: then the connection breaks.
#[derive(Debug)]
pub(crate) struct Body {
    what: What,
    record: Option<Record>,
    /// To be set where the connection must not only be closed if this fails.
    torn: Option<Arc<AtomicBool>>,
    /// Tells whether it is taken, where its connection does not.
    stall: Option<Stall>,
    metrics: Option<Arc<Metrics>>,
    /// When it breaks off, whatever there is.
    until: Option<Pin<Box<Sleep>>>,
}

/// How much longer than its link a body may last whose end is not known.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum What {
    /// Nothing, in the place of something whose length is not told.
    Nothing,
    Text(Option<Bytes>),
    Stretch(Box<Stretch>),
    /// A stretch that is fitted to what was sent before it.
    Joined(Box<Joined>),
    Patchwork(Box<Patchwork>),
}

#[derive(Debug)]
struct Joined {
    ready: VecDeque<Bytes>,
    mover: Mover,
    rest: Stretch,
}

impl Body {
    fn of(what: What) -> Self {
        Self { what, record: None, torn: None, stall: None, metrics: None, until: None }
    }

    /// For an answer to HEAD.
    pub(crate) fn nothing() -> Self {
        Self::of(What::Nothing)
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text: Bytes = text.into();
        Self::of(What::Text(Some(text).filter(|text| !text.is_empty())))
    }

    pub(crate) fn stretch(stretch: Stretch) -> Self {
        Self::of(What::Stretch(Box::new(stretch)))
    }

    /// `opening`, and after it what follows, fitted to its new place.
    pub(crate) fn joined(opening: Bytes, mover: Mover, rest: Stretch) -> Self {
        Self::of(What::Joined(Box::new(Joined { ready: VecDeque::from([opening]), mover, rest })))
    }

    pub(crate) fn patchwork(patchwork: Patchwork) -> Self {
        Self::of(What::Patchwork(Box::new(patchwork)))
    }

    /// Counted, and told of when it is over.
    pub(crate) fn recorded(self, mut record: Option<Record>) -> Self {
        let is_nothing = matches!(self.what, What::Nothing);
        let expected = if is_nothing { Some(0) } else { http_body::Body::size_hint(&self).exact() };
        if let Some(record) = &mut record {
            record.expects(expected);
        }
        Self { record, ..self }
    }

    /// If this fails, its connection is reset: the client takes the end of the connection for that of the answer.
    pub(crate) fn tears(self, torn: Arc<AtomicBool>) -> Self {
        Self { torn: Some(torn), ..self }
    }

    /// It is one of many on its connection.
    pub(crate) fn shares(self, stall: Stall) -> Self {
        Self { stall: Some(stall), ..self }
    }

    /// What is sent is counted.
    pub(crate) fn counted(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// If its end is not known, it breaks off soon after this moment, in seconds since 1970: who came by a link does not
    /// watch for ever.
    pub(crate) fn ends_at(self, until: Option<i64>) -> Self {
        let is_endless = matches!(self.what, What::Stretch(_) | What::Joined(_))
            && http_body::Body::size_hint(&self).exact().is_none();
        let Some(until) = until.filter(|_| is_endless) else { return self };
        let left = until.saturating_sub(time::OffsetDateTime::now_utc().unix_timestamp());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0)).saturating_add(GRACE);
        Self { until: Some(Box::pin(sleep(left))), ..self }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(until) = &mut self.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Broken)));
        }
        match &mut self.what {
            What::Nothing => Poll::Ready(None),
            What::Text(text) => Poll::Ready(text.take().map(Ok)),
            What::Stretch(stretch) => stretch.poll_bytes(cx),
            What::Patchwork(patchwork) => patchwork.poll_bytes(cx),
            What::Joined(joined) => loop {
                if let Some(bytes) = joined.ready.pop_front() {
                    return Poll::Ready(Some(Ok(bytes)));
                }
                match ready!(joined.rest.poll_bytes(cx)) {
                    Some(Ok(bytes)) => {
                        let fitted = joined.mover.pass(&bytes).into_iter().filter(|bytes| !bytes.is_empty());
                        joined.ready.extend(fitted);
                    }
                    other => return Poll::Ready(other),
                }
            },
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(stall) = &this.stall {
            stall.asked();
        }
        let next = ready!(this.poll_bytes(cx));
        if let (Some(stall), Some(_)) = (&this.stall, &next) {
            stall.handed();
        }
        if let Some(record) = &mut this.record {
            record.note(next.as_ref());
        }
        if let (Some(metrics), Some(next)) = (&this.metrics, &next) {
            match next {
                Ok(bytes) => metrics.bytes.fetch_add(bytes.len() as u64, Relaxed),
                Err(_) => metrics.broken.fetch_add(1, Relaxed),
            };
        }
        if let (Some(Err(_)), Some(torn)) = (&next, &this.torn) {
            torn.store(true, Relaxed);
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.what, What::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.what {
            What::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            What::Stretch(stretch) => stretch.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            What::Patchwork(patchwork) => SizeHint::with_exact(patchwork.length()),
            What::Nothing | What::Joined(_) => SizeHint::default(),
        }
    }
}
