//! How the live objects of an upload end. The order is what makes every race harmless:
//!
//! 1. the last live object, once all parts are stored the end mark ([`LiveObjects::finish`]);
//! 2. the upload is completed: from here on nobody needs a live object but players of a playlist;
//! 3. the playlist, where there is one;
//! 4. nothing is written any more, and what is on its way is awaited; then the head that says complete
//!    ([`LiveObjects::completed`], as all that follows);
//! 5. players of the playlist get the time to hear of the new one;
//! 6. live objects and index pages are deleted, not before each reader has had a look at the end mark, 7. the head, 8. the
//!    pointer, if it is still to this recording.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::LiveObjects;
use super::stage::Stage;
use super::sweep::{Left, Sweep};
use crate::protocol::live_objects::State;

/// How long the end of an upload waits for its last live objects.
const LAST_OBJECTS: Duration = Duration::from_secs(10);

/// How long it waits for the end mark.
const MARK_PATIENCE: Duration = Duration::from_secs(3);

/// How long the end mark stays at least: readers look once a second if they are not told otherwise. Who misses it loses
/// nothing but the time until it looks at KEY by itself.
const MARK_STAYS: Duration = Duration::from_millis(1_200);

/// How often the head is written while players have their time.
const STILL_HERE: Duration = Duration::from_secs(60);

impl LiveObjects {
    /// No more input comes, and all parts are stored: waits a moment for the last live objects and marks the end, so that
    /// readers look at the key at once. To be called right before the upload is completed. Whether the end is marked.
    pub async fn finish(&self, size: u64) -> bool {
        let shared = &self.shared;
        if shared.stage() != Stage::Made {
            return false;
        }
        let mut news = shared.news();
        shared.state().cutter.close();
        shared.tell();
        let stored = async {
            loop {
                news.mark_unchanged();
                {
                    let state = shared.state();
                    if state.trouble.given_up().is_some() || state.stored.edge() == size {
                        return;
                    }
                }
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        drop(timeout(LAST_OBJECTS, stored).await);
        if shared.state().stored.edge() != size {
            return false;
        }
        match timeout(MARK_PATIENCE, shared.write_end(size, MARK_PATIENCE)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!("the end is not marked: {error}");
                false
            }
            Err(_) => false,
        }
    }

    /// The upload is complete: takes away all that lies beside it, once `players` have had time to hear of it. If they cannot
    /// hear of it, because the playlist could not be written, all stays, and the next writer of the key takes it away.
    pub async fn completed(self, size: u64, players: impl Future<Output = bool>) -> Left {
        let seen = Instant::now() + MARK_STAYS;
        if !self.stop().await {
            return Left::default();
        }
        {
            let mut state = self.shared.state();
            state.stored.head_mut().size = Some(size);
            state.stored.head_mut().state = State::Complete;
        }
        self.write_last_head().await;
        if self.await_players(players).await {
            sleep_until(seen).await;
            return self.take_away(size).await;
        }
        let shared = &self.shared;
        let folder = shared.store.object(&shared.names.recording(&shared.recording));
        tracing::warn!(
            "live objects stay below {folder}, since a playlist may still name them: the next writer of this key \
             takes them away"
        );
        Left::default()
    }

    /// The head stays young meanwhile, so that nobody takes this for what a killed writer has left.
    async fn await_players(&self, players: impl Future<Output = bool>) -> bool {
        tokio::pin!(players);
        loop {
            match timeout(STILL_HERE, &mut players).await {
                Ok(over) => return over,
                Err(_) => self.write_last_head().await,
            }
        }
    }

    /// The upload was aborted: readers are told so, and all is taken away.
    pub async fn aborted(self) -> Left {
        if !self.stop().await {
            return Left::default();
        }
        self.shared.state().stored.head_mut().state = State::Aborted;
        self.write_last_head().await;
        let edge = self.edge();
        self.take_away(edge).await
    }

    /// The upload is left open, to be gone on with: says how far it has come.
    pub async fn left_open(self) {
        if self.stop().await {
            self.write_last_head().await;
        }
    }

    /// Writes nothing any more, and waits for what is on its way. Whether there are live objects.
    pub(super) async fn stop(&self) -> bool {
        self.over.send_replace(true);
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::debug!("a task of the live objects has ended badly: {error}");
            }
        }
        self.shared.go_on_to(Stage::Without);
        self.shared.stage() == Stage::Made
    }

    async fn write_last_head(&self) {
        if let Err(error) = self.shared.write_head().await {
            tracing::debug!("the last head of the live objects is not written: {error}");
        }
    }

    async fn take_away(&self, end: u64) -> Left {
        let shared = &self.shared;
        let (head, extra, versioned) = {
            let state = shared.state();
            let extra: Vec<u64> = state.stored.beyond().chain([end]).collect();
            (state.stored.head().clone(), extra, state.versioned)
        };
        let sweep = Sweep::new(&shared.store, shared.names.clone(), shared.recording.clone());
        let left = sweep.run(Some(&head), &extra, versioned).await;
        left.warn();
        left
    }
}
