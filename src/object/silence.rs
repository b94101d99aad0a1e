//! How long nothing new has come of what is followed, and when that has been too long. What whoever takes the bytes does with
//! them takes time, too, and that does not count.

use std::time::Duration;

use tokio::time::Instant;

use crate::object::reading::at;

/// See the module.
#[derive(Debug)]
pub(crate) struct Silence {
    /// The longest that is waited for.
    limit: Option<Duration>,
    /// When something new last came.
    heard: Instant,
    /// Whether bytes were given away, and have been taken when the next are asked for.
    gave: bool,
}

impl Silence {
    /// Begins now.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, heard: Instant::now(), gave: false }
    }

    /// It begins anew: there is another thing to hear of.
    pub(crate) fn begin_again(&mut self) {
        self.heard = Instant::now();
    }

    /// Bytes came, and are given away.
    pub(crate) fn gave_bytes(&mut self) {
        (self.heard, self.gave) = (Instant::now(), true);
    }

    /// The next is asked for, so that what was given has been taken.
    pub(crate) fn asked_for_next(&mut self) {
        if std::mem::take(&mut self.gave) {
            self.heard = Instant::now();
        }
    }

    /// How long it has lasted.
    pub(crate) fn lasts(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Whether something has come after this moment.
    pub(crate) fn was_broken_after(&self, moment: Instant) -> bool {
        self.heard > moment
    }

    /// The longest that is waited for; nothing where that is for ever.
    pub(crate) fn limit(&self) -> Duration {
        self.limit.unwrap_or_default()
    }

    /// Waits until it has been too long.
    pub(crate) async fn too_long(&self) {
        at(self.limit.map(|limit| self.heard + limit)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_of_whoever_takes_the_bytes_does_not_count() {
        let mut silence = Silence::new(Some(LIMIT));
        advance(LIMIT / 2).await;
        silence.gave_bytes();
        advance(LIMIT * 3).await;
        silence.asked_for_next();
        let began = Instant::now();
        silence.too_long().await;
        assert_eq!(began.elapsed(), LIMIT);
        // Nothing was given since: asking again is no news.
        silence.asked_for_next();
        assert_eq!(silence.lasts(), LIMIT);
        assert!(!silence.was_broken_after(began));
        silence.begin_again();
        assert!(silence.was_broken_after(began));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_is_never_too_long() {
        let silence = Silence::new(None);
        assert!(timeout(LIMIT * 1000, silence.too_long()).await.is_err());
    }
}
