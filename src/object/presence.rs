//! What the live reads of an upload at its edge say of it: it is there, it is not to be read live, or it may be gone.

use std::time::Duration;

use tokio::time::Instant;

/// Live reads of an upload that cannot be read live: soon at first, as it may have been started a moment ago, then ever less
/// often.
const LIVE_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Between two questions after the end of an upload that cannot be read live, where no other interval is asked for.
pub(crate) const UNREADABLE_LOOK: Duration = Duration::from_millis(1500);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Whether any live read was answered otherwise than 404.
    pub(crate) seen: bool,
    /// Whether the newest was answered 404.
    pub(crate) absent: bool,
    /// Since when the upload looks gone.
    doubted: Option<Instant>,
    /// Whether a live read that was sent after that was answered 404.
    pub(crate) confirmed: bool,
    /// It is open and its live reads are answered 404: when the next one is due, and how long after the last.
    unreadable: Option<(Instant, Duration)>,
}

impl Presence {
    /// A live read was answered with data, or with the word that there is no more yet.
    pub(crate) fn is_there(&mut self) {
        *self = Self { seen: true, ..Self::default() };
    }

    /// A live read, sent at `sent`, was answered 404.
    pub(crate) fn is_absent(&mut self, sent: Instant) {
        self.absent = true;
        self.confirmed = self.doubted.is_some_and(|doubted| sent >= doubted);
    }

    /// It looks gone: one more live read will tell. Gives how soon that should be, at most.
    pub(crate) fn doubt(&mut self) -> Duration {
        self.doubted = self.absent.then(Instant::now);
        LIVE_AGAIN.0
    }

    /// Whether it is known to be open and not to be read live.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.is_some()
    }

    /// It is open, and its live reads are answered 404. Whether that is new.
    pub(crate) fn cannot_be_read(&mut self) -> bool {
        let new = self.unreadable.is_none();
        self.unreadable.get_or_insert_with(|| (Instant::now() + LIVE_AGAIN.0, LIVE_AGAIN.0));
        new
    }

    /// Whether the next look is to be a live read: of what cannot be read live only now and then.
    pub(crate) fn is_live_read_due(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.unreadable {
            Some((due, _)) if now < *due && self.doubted.is_none() => false,
            Some((due, between)) => {
                *between = (*between * 2).min(LIVE_AGAIN.1);
                *due = now + *between;
                true
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_live_read_that_was_sent_after_the_doubt_confirms_it() {
        let mut presence = Presence::default();
        let (before, second) = (Instant::now(), Duration::from_secs(1));
        presence.is_absent(before);
        tokio::time::advance(second).await;
        presence.doubt();
        presence.is_absent(before + second / 2);
        assert!(!presence.confirmed, "it was under way");
        presence.is_absent(before + second);
        assert!(presence.confirmed);
        presence.is_there();
        assert!(!presence.confirmed && !presence.absent);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_read_live_ever_less_often_unless_it_looks_gone() {
        let mut presence = Presence::default();
        presence.is_absent(Instant::now());
        assert!(presence.cannot_be_read() && !presence.cannot_be_read());
        let mut reads = 0;
        for _ in 0..3600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            reads += u32::from(presence.is_live_read_due());
        }
        assert!((115..=130).contains(&reads), "{reads}");
        presence.doubt();
        assert!(presence.is_live_read_due());
    }
}
