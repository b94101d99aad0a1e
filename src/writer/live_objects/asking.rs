//! Whether an upload gets live objects where the store may have Live Read: that is asked beside the input, and asked again for
//! as long as there is no answer.
//!
//! Nothing waits for the answer but the end of a part's way. Until it is there the cutter takes the input as if there were to
//! be live objects, and parts are stored as they are; what they hold is made into live objects once the store is known to
//! have no Live Read, so that readers miss nothing. Where it has, nothing was ever written beside the upload.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::shared::{Shared, may_pass};
use crate::object::live::Upload;
use crate::store::live_check::LiveRead;
use crate::store::{Kind, StoreError};

/// How long a part that is stored waits for the answer, while the question fails.
pub(super) const HOLD: Duration = Duration::from_secs(10);

/// A question that is older than this is asked anew once a part was stored.
const STALE: Duration = Duration::from_secs(1);

/// Between two looks, while they fail: at first, and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What is found out about Live Read, once for all uploads of a run.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The answer, once there is one.
    pub(super) found: Arc<OnceLock<LiveRead>>,
    /// What is taken for the answer where the store does not give one for good, as to a key that may not read.
    pub(super) presumed: LiveRead,
}

/// What was found out.
pub(super) struct Answer {
    pub(super) live_read: LiveRead,
    /// It was not found out before.
    pub(super) first: bool,
    /// The store refused to say, so that this is what was presumed.
    pub(super) guessed: bool,
}

impl Question {
    /// Asks once, where it is not known. Without an answer that is taken for it which is presumed.
    pub(super) async fn now(&self, upload: &Upload) -> Answer {
        if let Some(known) = self.found.get() {
            return Answer { live_read: *known, first: false, guessed: false };
        }
        let look = upload.store().at_most(HOLD).look(upload.key(), upload.id()).await;
        let guessed = look.is_err();
        self.note(look.unwrap_or(self.presumed), guessed)
    }

    /// Asks until it is answered or nobody wants to know any more.
    pub(super) async fn ask(
        &self,
        upload: &Upload,
        shared: &Shared,
        over: &mut watch::Receiver<bool>,
    ) -> Option<Answer> {
        if let Some(known) = self.found.get() {
            return Some(Answer { live_read: *known, first: false, guessed: false });
        }
        let mut wait = WAITS.0;
        loop {
            let error = tokio::select! {
                answer = once(upload, shared) => match answer {
                    Ok(live_read) => return Some(self.note(live_read, false)),
                    Err(error) => error,
                },
                _ = over.wait_for(|over| *over) => return None,
            };
            if let Some(live_read) = self.understood(&error) {
                tracing::debug!("taken for Live Read {live_read:?}: {error}");
                return Some(self.note(live_read, true));
            }
            tracing::debug!("could not find out whether Live Read is on: {error}");
            shared.state().unanswered = Some(error);
            tokio::select! {
                () = sleep(wait) => {}
                () = shared.part_stored.notified() => {}
                _ = over.wait_for(|over| *over) => return None,
            }
            wait = (wait * 2).min(WAITS.1);
        }
    }

    fn note(&self, live_read: LiveRead, guessed: bool) -> Answer {
        let first = self.found.set(live_read).is_ok();
        Answer { live_read: *self.found.get().unwrap_or(&live_read), first, guessed }
    }

    /// What a failure means, if anything.
    fn understood(&self, error: &StoreError) -> Option<LiveRead> {
        match error.kind {
            // Only Backblaze has these limits.
            Kind::Capped => Some(LiveRead::On),
            _ if may_pass(error) => None,
            _ => Some(self.presumed),
        }
    }
}

/// One look. A part that was stored shows that the store is there: a look that has had no answer for long then has lost it.
async fn once(upload: &Upload, shared: &Shared) -> Result<LiveRead, StoreError> {
    loop {
        let sent = Instant::now();
        let look = upload.look();
        tokio::pin!(look);
        loop {
            tokio::select! {
                answer = &mut look => return answer,
                () = shared.part_stored.notified() => if sent.elapsed() >= STALE { break },
            }
        }
    }
}
