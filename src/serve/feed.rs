//! Follows an object that grows, once for all who watch it.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Instrument;

use super::fetch::PATIENCE;
use super::recording::Recording;
use crate::object::announce;
use crate::object::follower::Follower;
use crate::object::reading::{News, Reading};
use crate::object::wanted::Located;

/// Follows it from byte `from` on, until `quits` says that nobody watches any more.
pub(crate) fn start(
    recording: Arc<Recording>,
    reading: &Reading,
    located: Located,
    part_size: Option<u64>,
    from: u64,
    mut quits: oneshot::Receiver<()>,
) {
    let store = recording.store.at_most(PATIENCE);
    announce::reading(&recording.object(), &located);
    let etag = located.etag.clone();
    let mut follower = Follower::new(&store, reading, located, etag);
    if from > 0 {
        follower.go_on_at(from, part_size);
    }
    let span = follower.span().clone();
    let guard = Guard { recording, done: false };
    let feed = async move {
        let mut guard = guard;
        loop {
            let news = tokio::select! {
                biased;
                _ = &mut quits => {
                    guard.done = true;
                    return;
                }
                news = follower.next() => news,
            };
            match news {
                Ok(News::Bytes(bytes)) => {
                    let at = follower.cursor().saturating_sub(bytes.len() as u64);
                    let Some(end) = guard.recording.ring.append(at, bytes) else {
                        // Nobody watched any more.
                        guard.done = true;
                        return;
                    };
                    guard.recording.reaches(end);
                }
                Ok(News::Edge | News::Behind) => {}
                Ok(News::Ended) => {
                    guard.done = true;
                    if let Some(id) = follower.recording() {
                        guard.recording.is_in_key(id.clone(), follower.version().cloned());
                    }
                    guard.recording.finished(follower.cursor());
                    guard.recording.ring.end(true);
                    tracing::info!(event = "ended", bytes = follower.cursor(), "{} ended", guard.recording.object());
                    return;
                }
                Err(error) => {
                    tracing::warn!("{error}");
                    return;
                }
            }
        }
    };
    tokio::spawn(feed.instrument(span));
}

/// Whatever ends the feed, nobody waits for it for ever.
struct Guard {
    recording: Arc<Recording>,
    done: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.done {
            self.recording.broke();
            self.recording.ring.end(false);
        }
    }
}
