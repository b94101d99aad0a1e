//! What people are told about encoders, and how often: strangers must not be able to fill a log.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::strangers::Seat;
use crate::rtmp::Fault;

/// A line about strangers at most this often; the others are for `--debug`.
const OFTEN: Duration = Duration::from_secs(10);

/// Lines about strangers.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    told: Mutex<Option<(Instant, u64)>>,
}

impl TurnedAway {
    /// Says that somebody was turned away, unless that has just been said.
    pub(super) fn say(&self, who: SocketAddr, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *told {
            Some((at, more)) if at.elapsed() < OFTEN => {
                *more += 1;
                tracing::debug!("{who} was turned away: {why}");
            }
            before => {
                let more = before.map_or(0, |(_, more)| more);
                let others =
                    if more > 0 { format!(" (and {more} others since the last such line)") } else { String::new() };
                *before = Some((Instant::now(), 0));
                tracing::warn!(event = "turned_away", "{who} was turned away: {why}{others}");
            }
        }
    }
}

/// The codes of refusals, which encoders know.
pub(super) const BAD_NAME: &str = "NetStream.Publish.BadName";
pub(super) const DENIED: &str = "NetStream.Publish.Denied";
pub(super) const UNFIT: &str = "NetStream.Publish.Rejected";
/// What whoever has not the key is told: the same whatever is wrong, and where nothing is but what came before it.
pub(super) const WRONG_KEY: &str = "there is no such stream here: check the URL's application and the stream key. After ten wrong ones within a \
                                    minute no key is taken for another minute";

/// Why somebody may not publish.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    /// For the encoder.
    pub(super) words: String,
    /// For us.
    pub(super) why: String,
    /// It may go well after this time; else it never will.
    pub(super) later: Option<Duration>,
}

impl Refusal {
    /// Both are told the same.
    pub(super) fn of(code: &'static str, words: String) -> Self {
        Self { code, why: words.clone(), words, later: None }
    }

    /// Notes one of somebody with a key that others have found to be wrong.
    pub(super) fn note(&self, seat: &Seat) {
        if self.code == BAD_NAME {
            seat.opens(false);
        }
    }

    /// It is not allowed.
    pub(super) fn denied(words: &str) -> Self {
        Self::of(DENIED, words.to_owned())
    }

    /// The same, and it is worth another try after this time.
    pub(super) fn after(self, later: Duration) -> Self {
        Self { later: Some(later), ..self }
    }
}

/// How a stream of an encoder ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// It said that it was done.
    Ended,
    /// It was gone without a word.
    Broken(Why),
    /// Another one came.
    TakenOver,
    /// The recording is to end.
    Stopped,
    /// The program ends: whoever begins it again goes on with what it could not complete.
    Closing,
    /// What it sends cannot be taken.
    Unfit(String),
    /// Nobody writes any more.
    Unread,
}

/// Why a connection broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
    #[error("the connection was closed in the middle of the stream")]
    Closed,
    #[error("{0}")]
    Socket(String),
    #[error("nothing came for {} s", .0.as_secs())]
    Silence(Duration),
    #[error("this writer has made a mistake with what it sent")]
    Failed,
    #[error("{0}")]
    Fault(#[from] Fault),
}
