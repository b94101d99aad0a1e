//! When to send a failed request again: the one place that decides.
//!
//! Backblaze answers 503 by design and asks for a second and doubling; all parts of an upload live in one vault that may
//! be away for half an hour. So what may pass is retried for a long time, and what never will ends at once.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::message::fields::millis;
use crate::store::{Kind, StoreError};

/// The longest wait between two attempts.
const MOST_BACKOFF: Duration = Duration::from_secs(5);

/// How long a refusal may last of a key that was allowed the same thing before: stores and proxies answer 403 in error,
/// and a change of a key's rights takes a moment to be known everywhere.
const DENIED_FOR: Duration = Duration::from_secs(30);

/// How often credentials that have expired are asked for again.
const RENEWALS: u32 = 3;

/// How long one request may keep failing before its error is final.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Counted from the first failure.
    pub give_up_after: Duration,
}

/// The failures of one request so far, each sort of them counted by itself: a request that failed for one reason has all
/// its patience left for another.
#[derive(Debug)]
pub struct Failures {
    retry: Retry,
    /// What the request is about, for programs that follow it by the fields of messages.
    pub about: About,
    first: Option<Instant>,
    count: u32,
    passing: u32,
    expired: u32,
    denied: u32,
    denied_since: Option<Instant>,
    skewed_before: bool,
    warned: Option<Instant>,
}

/// What a request is about, as far as it is about bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// The part.
    pub part: Option<u32>,
    /// Where its bytes begin in the object.
    pub offset: Option<u64>,
    /// How many they are.
    pub bytes: Option<u64>,
}

impl Retry {
    /// Begins to count the failures of one request.
    #[must_use]
    pub fn start(self) -> Failures {
        Failures {
            retry: self,
            about: About::default(),
            first: None,
            count: 0,
            passing: 0,
            expired: 0,
            denied: 0,
            denied_since: None,
            skewed_before: false,
            warned: None,
        }
    }

    /// Sends a request until it succeeds, fails for good, or has been failing for too long. `attempt` is told how many
    /// attempts failed before it.
    ///
    /// # Errors
    /// The last failure.
    pub async fn run<T, F, Fut>(self, mut attempt: F) -> Result<T, StoreError>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut failures = self.start();
        loop {
            match attempt(failures.count).await {
                Ok(value) => {
                    failures.passed();
                    return Ok(value);
                }
                Err(error) => sleep(failures.next_wait(error)?).await,
            }
        }
    }
}

impl Failures {
    /// Counts a failure; returns how long to wait before the next attempt.
    ///
    /// # Errors
    /// The failure itself, when another attempt cannot help or the time is up.
    pub fn next_wait(&mut self, error: StoreError) -> Result<Duration, StoreError> {
        let now = Instant::now();
        let first = *self.first.get_or_insert(now);
        self.count += 1;
        let mut patience = self.retry.give_up_after;
        let wait = match error.kind {
            Kind::Passing => {
                self.passing += 1;
                backoff(self.passing, error.status)
            }
            // The client has learned the store's clock from the answer: once more, and only once.
            Kind::Skewed if !self.skewed_before => {
                self.skewed_before = true;
                Duration::ZERO
            }
            Kind::Expired if self.expired < RENEWALS => {
                self.expired += 1;
                Duration::from_secs(1)
            }
            Kind::Capped => jitter(Duration::from_secs(10), Duration::from_secs(30)),
            Kind::Denied if error.allowed_before => {
                self.denied += 1;
                let since = *self.denied_since.get_or_insert(now);
                let wait = backoff(self.denied, Some(503));
                if now.duration_since(since) + wait > DENIED_FOR {
                    return Err(error);
                }
                patience = patience.min(DENIED_FOR);
                wait
            }
            _ => return Err(error),
        };
        if now.duration_since(first) + wait > self.retry.give_up_after {
            return Err(error);
        }
        let told = self.warned.is_some_and(|at| now.duration_since(at) < Duration::from_secs(30));
        let (About { part, offset, bytes }, wait_ms) = (self.about, millis(wait));
        if !told && !wait.is_zero() {
            self.warned = Some(now);
            let patience = patience.as_secs();
            tracing::warn!(
                event = "again",
                part,
                offset,
                bytes,
                "try" = self.count,
                wait_ms,
                "{error} Trying again for up to {patience} s."
            );
        } else {
            tracing::debug!(event = "again", part, offset, bytes, "try" = self.count, wait_ms, "{error}");
        }
        Ok(wait)
    }

    /// Gives the same request all its patience again.
    pub fn start_over(&mut self) {
        *self = Self { about: self.about, count: self.count, ..self.retry.start() };
    }

    /// Says that the trouble is over, where it was mentioned.
    pub fn passed(&mut self) {
        if let (Some(first), Some(_)) = (self.first, self.warned) {
            let (About { part, offset, bytes }, after) = (self.about, first.elapsed());
            let (seconds, wait_ms) = (after.as_secs_f64(), millis(after));
            tracing::info!(
                event = "back",
                part,
                offset,
                bytes,
                wait_ms,
                "the store answers again after {seconds:.1} s"
            );
        }
        *self = Self { about: self.about, ..self.retry.start() };
    }
}

/// Jittered doubling from a tenth of a second (from a whole second when the store itself asked for patience), at most 5 s.
fn backoff(count: u32, status: Option<u16>) -> Duration {
    let base = if matches!(status, Some(429 | 503)) { Duration::from_secs(1) } else { Duration::from_millis(100) };
    let longest = base.saturating_mul(1 << count.saturating_sub(1).min(10)).min(MOST_BACKOFF);
    jitter(longest / 2, longest)
}

/// A moment between the two.
fn jitter(least: Duration, most: Duration) -> Duration {
    least + (most.saturating_sub(least)).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(kind: Kind, status: Option<u16>) -> StoreError {
        let mut error = StoreError::local("uploading part 1", "s3://b/k".into(), kind, "it failed");
        error.status = status;
        error
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_until_the_time_is_up() {
        let start = Instant::now();
        let retry = Retry { give_up_after: Duration::from_secs(60) };
        let result: Result<(), _> = retry.run(|_| async { Err(failing(Kind::Passing, Some(503))) }).await;
        assert_eq!(result.expect_err("it never succeeds").kind, Kind::Passing);
        let took = start.elapsed();
        assert!(took > Duration::from_secs(50) && took <= Duration::from_secs(60), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_passes_ends_at_once() {
        let start = Instant::now();
        let retry = Retry { give_up_after: Duration::from_secs(3600) };
        for kind in [Kind::Denied, Kind::NoBucket, Kind::NoUpload, Kind::Refused, Kind::WrongRegion] {
            let result: Result<(), _> = retry.run(|_| async { Err(failing(kind, Some(400))) }).await;
            assert_eq!(result.expect_err("it never succeeds").kind, kind);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    /// Fails with each of these in turn, then succeeds; how many attempts failed and how long it took.
    async fn through(failures: Vec<StoreError>) -> (Result<(), StoreError>, usize, Duration) {
        let (start, mut failed) = (Instant::now(), 0);
        let mut left = failures.into_iter();
        let retry = Retry { give_up_after: Duration::from_secs(3600) };
        let result = retry
            .run(|_| {
                let next = left.next();
                failed += usize::from(next.is_some());
                async { next.map_or(Ok(()), Err) }
            })
            .await;
        (result, failed, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_sort_of_failure_is_counted_by_itself() {
        let (passing, expired) = (|| failing(Kind::Passing, Some(503)), || failing(Kind::Expired, Some(400)));
        // Whatever failed before, there are three renewals ...
        let mut mixed: Vec<_> = std::iter::repeat_with(passing).take(8).collect();
        mixed.extend([expired(), passing(), expired(), failing(Kind::Skewed, Some(403)), expired()]);
        let (result, failed, _) = through(mixed).await;
        assert!(result.is_ok(), "{result:?} after {failed}");
        // ... and no more.
        let (result, failed, took) = through(std::iter::repeat_with(expired).take(9).collect()).await;
        assert_eq!((result.expect_err("a fourth").kind, failed, took), (Kind::Expired, 4, Duration::from_secs(3)));
        // Renewals do not lengthen the pauses of what may pass.
        let (result, _, took) = through(vec![expired(), expired(), expired(), failing(Kind::Passing, None)]).await;
        assert!(result.is_ok() && took <= Duration::from_millis(3100), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_allowed_before_is_believed_refused_after_half_a_minute() {
        let denied = || {
            let mut error = failing(Kind::Denied, Some(403));
            error.allowed_before = true;
            error
        };
        for count in [1, 3, 5] {
            let (result, ..) = through(std::iter::repeat_with(denied).take(count).collect()).await;
            assert!(result.is_ok(), "{count} refusals: {result:?}");
        }
        let (result, _, took) = through(std::iter::repeat_with(denied).take(1000).collect()).await;
        let error = result.expect_err("it never passes");
        assert!((Duration::from_secs(24)..=Duration::from_secs(30)).contains(&took), "{took:?}");
        assert!(error.to_string().contains("was allowed this before"), "{error}");
        // Counted from the first refusal, not from the first failure.
        let passing = || failing(Kind::Passing, Some(503));
        let mut late: Vec<_> = std::iter::repeat_with(passing).take(30).collect();
        late.push(denied());
        assert!(through(late).await.0.is_ok());
        // A key that never was is refused at once.
        let (result, failed, took) = through(vec![failing(Kind::Denied, Some(403))]).await;
        assert_eq!((result.is_err(), failed, took), (true, 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_skewed_clock_is_tried_once_more_and_only_once() {
        let mut attempts = 0;
        let retry = Retry { give_up_after: Duration::from_secs(3600) };
        let result: Result<(), _> = retry
            .run(|_| {
                attempts += 1;
                async { Err(failing(Kind::Skewed, Some(403))) }
            })
            .await;
        assert!(result.is_err());
        assert_eq!(attempts, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reached_cap_is_tried_again_every_10_to_30_seconds() {
        let (start, mut attempts) = (Instant::now(), 0);
        let retry = Retry { give_up_after: Duration::from_secs(3600) };
        let result = retry
            .run(|failed| {
                attempts = failed;
                async move { if failed < 20 { Err(failing(Kind::Capped, Some(403))) } else { Ok(()) } }
            })
            .await;
        assert!(result.is_ok() && attempts == 20);
        let took = start.elapsed();
        assert!((Duration::from_secs(200)..=Duration::from_secs(600)).contains(&took), "{took:?}");
    }

    #[test]
    fn no_wait_is_longer_than_five_seconds() {
        for count in 1..100 {
            assert!(backoff(count, Some(503)) <= MOST_BACKOFF);
            assert!(backoff(count, None) <= MOST_BACKOFF);
        }
        assert!(backoff(1, Some(503)) >= Duration::from_millis(500));
        assert!(backoff(1, None) <= Duration::from_millis(100));
    }
}
