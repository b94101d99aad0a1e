//! When a follower looks at the live edge again, and what its looks teach it about that.

use std::time::Duration;

use tokio::time::Instant;

use crate::object::presence::UNREADABLE_LOOK;
use crate::object::reading::{Reading, at};
use crate::object::rhythm::Rhythm;

/// See the module.
#[derive(Debug)]
pub(super) struct Looks {
    rhythm: Rhythm,
    /// When the next is due, while it is waited for.
    due: Option<Instant>,
    /// Whether the one under way followed a wait.
    waited: bool,
    /// When the newest answer with data came.
    answered: Instant,
    /// Between two questions after an upload that cannot be read live.
    unreadable: Duration,
}

impl Looks {
    /// The first is due at once.
    pub(super) fn new(reading: &Reading) -> Self {
        let poll_interval = reading.wanted.poll_interval;
        Self {
            rhythm: Rhythm::new(poll_interval, reading.strict_poll),
            due: None,
            waited: false,
            answered: Instant::now(),
            unreadable: if reading.strict_poll { poll_interval } else { UNREADABLE_LOOK },
        }
    }

    /// Whether the next is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.due.is_some()
    }

    /// Waits until the next is due, if it is waited for; for ever else.
    pub(super) async fn due(&self) {
        at(self.due).await;
    }

    /// No more waiting.
    pub(super) fn go_on(&mut self) {
        self.due = None;
    }

    /// Waits by the rhythm, or as long as is right for what cannot be read live. How long that is.
    pub(super) fn wait(&mut self, unreadable: bool) -> Duration {
        self.waited = true;
        let now = Instant::now();
        let wait = if unreadable { self.unreadable } else { self.rhythm.wait(now) };
        self.due = Some(now + wait);
        wait
    }

    /// Waits as long as is right for what cannot be read live: a question after it has taken the place of a look.
    pub(super) fn wait_unread(&mut self) {
        self.due = Some(Instant::now() + self.unreadable);
    }

    /// Waits no longer than this.
    pub(super) fn wait_at_most(&mut self, wait: Duration) {
        let soon = Instant::now() + wait;
        self.due = self.due.map(|due| due.min(soon));
    }

    /// One was answered with data.
    pub(super) fn answered(&mut self) {
        self.answered = Instant::now();
    }

    /// One, sent at `sent`, brought something new and all that there was; `in_part` says that it ends inside a part.
    pub(super) fn found(&mut self, sent: Instant, in_part: bool) {
        self.rhythm.arrived(sent, self.answered, in_part);
    }

    /// One, sent at `sent`, brought a whole part. Whether that came when it was due: then the rhythm has learned of it.
    pub(super) fn found_when_due(&mut self, sent: Instant) -> bool {
        let waited = std::mem::take(&mut self.waited);
        if waited {
            self.found(sent, false);
        }
        waited
    }

    /// One, sent at `sent`, found nothing.
    pub(super) fn missed(&mut self, sent: Instant) {
        self.rhythm.missed(sent);
    }

    /// It is, or was, behind: when things came is not known.
    pub(super) fn lost_track(&mut self) {
        self.rhythm.lost_track();
    }

    /// Whether it is time to ask whether the upload is over.
    pub(super) fn suspect_end(&self) -> bool {
        self.rhythm.suspects_end(Instant::now())
    }

    /// The usual time between two arrivals, once there is a rhythm.
    pub(super) fn usual_gap(&self) -> Option<Duration> {
        self.rhythm.usual_gap()
    }
}
