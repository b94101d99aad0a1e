//! When live objects are needed by no player any more: three target durations after each playlist that named them has a
//! version that does not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::recording::Recording;
use super::shown::Shown;

/// Target durations that players have.
const TARGETS: u32 = 3;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Release {
    tell: Arc<watch::Sender<HashSet<String>>>,
    waiting: Vec<Waiting>,
    /// Since when no playlist names any.
    unnamed: Option<Instant>,
}

/// An upload whose live objects older versions name.
#[derive(Debug)]
struct Waiting {
    upload_id: String,
    /// The first versions that do not: of the playlist, and of that of all if there is one.
    live: u64,
    dvr: Option<u64>,
}

impl Release {
    pub(super) fn new() -> Self {
        Self { tell: Arc::new(watch::channel(HashSet::new()).0), waiting: Vec::new(), unnamed: None }
    }

    /// The uploads whose live objects nobody needs any more.
    pub(super) fn released(&self) -> watch::Receiver<HashSet<String>> {
        self.tell.subscribe()
    }

    /// From the next version of each playlist on, none names the live objects of this upload.
    pub(super) fn note(&mut self, upload_id: &str, shown: &Shown) {
        let dvr = shown.dvr.was_sent().then(|| shown.dvr.next_version());
        self.waiting.push(Waiting { upload_id: upload_id.to_owned(), live: shown.live.next_version(), dvr });
    }

    /// A version has been taken by the store.
    pub(super) fn check(&mut self, shown: &Shown, recording: &Recording) {
        let is_made = |one: &mut Waiting| {
            shown.live.has_made(one.live) && one.dvr.is_none_or(|version| shown.dvr.has_made(version))
        };
        let wait = Self::wait(shown, recording);
        for Waiting { upload_id, .. } in self.waiting.extract_if(.., is_made) {
            let tell = self.tell.clone();
            tokio::spawn(async move {
                sleep(wait).await;
                tell.send_modify(|released| {
                    released.insert(upload_id);
                });
            });
        }
    }

    /// The store holds versions that name none, and will name none again.
    pub(super) fn begin(&mut self) {
        self.unnamed = Some(Instant::now());
    }

    /// How long players of the last playlists that named some still have.
    pub(super) fn left(&self, shown: &Shown, recording: &Recording) -> Duration {
        Self::wait(shown, recording).saturating_sub(self.unnamed.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// How long players have.
    fn wait(shown: &Shown, recording: &Recording) -> Duration {
        shown.longest_target().max(Duration::from_secs(recording.target().unwrap_or(0))) * TARGETS
    }

    /// Nobody needs those of these uploads.
    pub(super) fn all(&self, uploads: impl IntoIterator<Item = String>) {
        self.tell.send_modify(|released| released.extend(uploads));
    }
}
