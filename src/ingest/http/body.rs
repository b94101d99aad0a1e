//! The body of one request: headers and fragments out of its bytes, each brought to the publishing point when it is whole.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::answer::{Answer, told};
use super::point::{Entry, How, NotTaken};
use super::target::Way;
use crate::ingest::connection::SILENCE;
use crate::ingest::words::{Left, Why};
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::mux::push::PushError;

/// See the [module](self).
pub(super) struct Pushing {
    pub(super) body: Incoming,
    pub(super) way: Way,
    /// The source has a name of its own, as the ingest specifications have it: the end of a request is not its end.
    pub(super) named: bool,
    /// What is answered when all is taken.
    pub(super) good: StatusCode,
}

/// The next bytes of the body that are any; none at its end.
pub(super) async fn chunk(body: &mut Incoming) -> Result<Option<Bytes>, Why> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Why::Socket(error.to_string())),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            },
        }
    }
}

impl Pushing {
    /// Brings all of it, until it ends, or the point does; what the encoder is told.
    pub(super) async fn receive(mut self, first: Bytes, mut entry: Entry) -> Answer {
        let (how, answer) = match self.bring(first, &mut entry).await {
            Ok(is_end) => (How::Whole { is_end }, None),
            Err(Cut::Broken(why, words)) => (How::Broken(why), Some(told(StatusCode::BAD_REQUEST, words))),
            Err(Cut::Unfit(status, words)) => (How::Unfit(words.clone()), Some(told(status, &words))),
            Err(Cut::Over(left)) => return over(&left),
        };
        let stored = entry.leave(how).await;
        match answer {
            Some(answer) => answer,
            None if stored => told(self.good, "all has been taken"),
            None => over(&Left::Unread),
        }
    }

    /// Whether the source is at its end with it.
    async fn bring(&mut self, first: Bytes, entry: &mut Entry) -> Result<bool, Cut> {
        let (mut gather, mut header, mut fragments) = (Gather::default(), false, false);
        let mut news = Some(first);
        while let Some(bytes) = news {
            entry.pace.came(bytes.len());
            gather.feed(&bytes);
            if !entry.share.hold(gather.held()) {
                let words = "too much is under way for this stream: fragments are to be whole sooner";
                return Err(Cut::Unfit(StatusCode::SERVICE_UNAVAILABLE, words.to_owned()));
            }
            loop {
                let unfit = |words: String| Cut::Unfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, words);
                let Some(found) = gather.whole().map_err(|error| unfit(error.to_string()))? else { break };
                header |= matches!(found, Gathered::Header(_));
                fragments |= matches!(found, Gathered::Fragment(_));
                entry.bring(found).await?;
            }
            let (pace, body) = (&entry.pace, &mut self.body);
            let next = async {
                pace.is_due().await;
                timeout(SILENCE, chunk(body)).await
            };
            news = tokio::select! {
                next = next => match next.unwrap_or(Err(Why::Silence(SILENCE))) {
                    Ok(news) => news,
                    // It said that it was done, and did not wait.
                    Err(_) if gather.is_last() && fragments => None,
                    Err(why) => return Err(Cut::Broken(why, "the stream broke off")),
                },
                called = &mut entry.called => return Err(Cut::Over(called.unwrap_or(Left::Stopped))),
            };
        }
        if !gather.is_whole() {
            return Err(Cut::Broken(Why::Closed, "the stream ended in the middle of a fragment"));
        }
        let all_of_it = self.way == Way::Long && !self.named && header && fragments;
        Ok(gather.is_last() || all_of_it)
    }
}

/// Why not all of it came.
enum Cut {
    Broken(Why, &'static str),
    Unfit(StatusCode, String),
    Over(Left),
}

impl From<NotTaken> for Cut {
    fn from(not: NotTaken) -> Self {
        match not {
            NotTaken::Unfit(error) => Self::Unfit(status_of(error), error.to_string()),
            NotTaken::Over(left) => Self::Over(left),
        }
    }
}

/// The recording is not this encoder's any more.
fn over(left: &Left) -> Answer {
    match left {
        Left::TakenOver => told(StatusCode::CONFLICT, "another encoder has taken over"),
        Left::Ended => told(StatusCode::OK, "the stream has been ended"),
        _ => told(StatusCode::SERVICE_UNAVAILABLE, "the recording is over"),
    }
}

fn status_of(error: PushError) -> StatusCode {
    match error {
        PushError::NoHeader => StatusCode::PRECONDITION_FAILED,
        PushError::NotFragmented | PushError::NoTrack | PushError::Several => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        PushError::Broken | PushError::TooMany => StatusCode::BAD_REQUEST,
    }
}
