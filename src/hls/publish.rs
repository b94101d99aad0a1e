//! Writes one small object again and again: one request at a time, the newest version only, and another try when one
//! fails or gets no answer.
//!
//! It holds nobody up: whoever has something new says so, is asked for the text when it is time, and goes on meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::store::{Kind, Patient, Store, StoreError};

/// How long one attempt may take, and as much again for each [`PER`] bytes.
const PATIENCE: Duration = Duration::from_secs(5);
const PER: usize = 1 << 20;

/// The longest wait after a failed attempt, in seconds: usually, where the store refused, and in the end.
const MOST: u64 = 4;
const MOST_REFUSED: u64 = 16;
const MOST_AT_THE_END: u64 = 2;

/// An attempt that was given up is taken to land no later than this.
pub(super) const LANDING: Duration = Duration::from_secs(8);

/// The content type of a playlist (RFC 8216, 4).
const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// A playlist that will change: caches may keep it for a second.
const LIVE: &str = "public, max-age=1";
/// One that will not: but the same key may be written again on another day.
const FINISHED: &str = "public, max-age=60";

type Attempt = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// It is time for [`Outlet::send`].
    Due,
    /// The store holds what was sent last.
    Made,
    /// It does not; another try will be due.
    Failed(StoreError),
}

/// One object that is written again and again.
pub struct Outlet {
    store: Store,
    key: String,
    /// What the store holds is not the newest.
    stale: bool,
    not_before: Instant,
    /// Between a version and the next.
    pace: Duration,
    /// The same, also when the end is near.
    least: Duration,
    /// When the last version was answered.
    answered: Option<Instant>,
    in_flight: Option<Attempt>,
    failures: u32,
    /// When an attempt was given up that may still land.
    stray: Option<Instant>,
    /// Versions that were sent.
    sent: u64,
    /// The last of them that the store has taken.
    made: u64,
    /// The end is near.
    hurried: bool,
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("key", &self.key).field("stale", &self.stale).finish_non_exhaustive()
    }
}

impl Outlet {
    /// For the object `key`, which may be there already.
    #[must_use]
    pub fn new(store: Store, key: String) -> Self {
        let (now, pace) = (Instant::now(), Duration::ZERO);
        Self {
            store,
            key,
            stale: false,
            not_before: now,
            pace,
            least: Duration::ZERO,
            answered: None,
            in_flight: None,
            failures: 0,
            stray: None,
            sent: 0,
            made: 0,
            hurried: false,
        }
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Sets the least time between a version and the next.
    pub fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }

    /// Some stores refuse to write one key twice in this time.
    pub fn set_least(&mut self, least: Duration) {
        self.least = least;
        self.pace = self.pace.max(least);
    }

    /// The next version comes no sooner than after this time.
    pub fn wait(&mut self, least: Duration) {
        self.not_before = self.not_before.max(Instant::now() + least);
    }

    /// There is something new to be written.
    pub fn renew(&mut self) {
        self.stale = true;
    }

    /// From now on the next version waits for nothing but the attempt that is under way, and for that no longer than this.
    pub fn hurry(&mut self, most: Duration) {
        self.pace = Duration::ZERO;
        self.hurried = true;
        self.not_before = self.answered.map_or_else(Instant::now, |answered| answered + self.least);
        if let Some(attempt) = self.in_flight.take() {
            self.in_flight = Some(Box::pin(async move {
                let late = StoreError::local("writing the playlist", String::new(), Kind::Passing, "no answer in time");
                tokio::time::timeout(most, attempt).await.unwrap_or(Err(late))
            }));
        }
    }

    /// Whether the store holds the newest version.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.stale && self.in_flight.is_none()
    }

    /// Whether the store may hold a version that was written here.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.sent > 0
    }

    /// The number of the version that is sent next.
    #[must_use]
    pub fn next_version(&self) -> u64 {
        self.sent + 1
    }

    /// Whether the store has taken this version, or a later one.
    #[must_use]
    pub fn has_made(&self, version: u64) -> bool {
        self.made >= version
    }

    /// Until when an earlier version, the writing of which got no answer, may take the place of the newest; `None` where
    /// each got one.
    #[must_use]
    pub fn unsafe_until(&self) -> Option<Instant> {
        self.stray.map(|stray| stray + LANDING)
    }

    /// Waits for the next step; for ever when there is nothing to do. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Step {
        if let Some(attempt) = &mut self.in_flight {
            let result = attempt.await;
            self.in_flight = None;
            self.answered = Some(Instant::now());
            return match result {
                Ok(()) => {
                    if self.failures > 0 {
                        tracing::info!("{} is written again", self.store.object(&self.key));
                    }
                    (self.failures, self.made) = (0, self.sent);
                    self.not_before = Instant::now() + self.pace.max(self.least);
                    Step::Made
                }
                Err(error) => {
                    self.stale = true;
                    if may_land(&error) {
                        self.stray = Some(Instant::now());
                    }
                    let most = if self.hurried {
                        MOST_AT_THE_END
                    } else if error.kind == Kind::Passing {
                        MOST
                    } else {
                        MOST_REFUSED
                    };
                    self.not_before = Instant::now() + wait(self.failures, most);
                    if self.failures == 0 {
                        tracing::warn!("{error} The upload goes on, and the playlist is tried again");
                    } else {
                        tracing::debug!("{error}");
                    }
                    self.failures = self.failures.saturating_add(1);
                    Step::Failed(error)
                }
            };
        }
        if !self.stale {
            return std::future::pending().await;
        }
        sleep_until(self.not_before).await;
        Step::Due
    }

    /// Starts to write this version.
    pub fn send(&mut self, text: String, finished: bool) {
        tracing::debug!(bytes = text.len(), "writing {}", self.key);
        self.stale = false;
        self.sent += 1;
        self.in_flight = Some(Box::pin(write_once(self.store.clone(), self.key.clone(), text, finished)));
    }
}

/// Whether the store may have taken what it did not confirm, or may take it yet.
pub(super) fn may_land(error: &StoreError) -> bool {
    error.status.is_none_or(|status| matches!(status, 500 | 502 | 504))
}

/// Writes a playlist in one attempt.
///
/// # Errors
/// [`StoreError`] for anything but success.
pub async fn write_once(store: Store, key: String, text: String, finished: bool) -> Result<(), StoreError> {
    let (cache_control, patience) = manner(&text, finished);
    store.put_object(&key, Bytes::from(text), CONTENT_TYPE, cache_control, patience).await
}

/// Writes a playlist, and tries again where that fails.
///
/// # Errors
/// [`StoreError`]: the last failure.
pub async fn write_patiently(store: &Patient, key: &str, text: String, finished: bool) -> Result<(), StoreError> {
    let (cache_control, patience) = manner(&text, finished);
    store.put_object(key, Bytes::from(text), CONTENT_TYPE, cache_control, patience).await
}

/// How long caches may keep a playlist, and how long writing it may take.
fn manner(text: &str, finished: bool) -> (&'static str, Duration) {
    let patience = PATIENCE * u32::try_from(1 + text.len() / PER).unwrap_or(u32::MAX);
    (if finished { FINISHED } else { LIVE }, patience)
}

/// Whether the store holds this text; `None` where that cannot be told.
pub async fn holds(store: Store, key: String, text: &[u8]) -> Option<bool> {
    match store.get_small(&key, text.len() as u64).await {
        Ok(found) => Some(found.is_some_and(|found| found.bytes == text)),
        // What is longer is another one.
        Err(error) if error.kind == Kind::Refused => Some(false),
        Err(error) => {
            tracing::debug!("{error}");
            None
        }
    }
}

/// How long after so many failures before it: jittered doubling from a second.
fn wait(failures: u32, most: u64) -> Duration {
    Duration::from_secs((1 << failures.min(5)).min(most)).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
