//! This stream's rendition in the multivariant playlist: told when there is something to play, and again in the end.

use crate::tool::clock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::master;
use super::recording::Recording;
use super::rendition::{Membership, Rendition};
use crate::store::Store;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct OwnRendition {
    store: Store,
    /// The key of the stream's own playlist.
    playlist: String,
    /// None where there is no multivariant playlist.
    membership: Option<Membership>,
    /// When this writer began, in seconds since 1970.
    began: u64,
    /// What was told last.
    told: Option<Rendition>,
    joining: Option<JoinHandle<()>>,
}

impl OwnRendition {
    /// Of the stream with this playlist.
    pub(super) fn new(store: Store, playlist: String, membership: Option<Membership>) -> Self {
        Self { store, playlist, membership, began: clock::now().as_secs(), told: None, joining: None }
    }

    /// Whether anything was told.
    pub(super) fn was_told(&self) -> bool {
        self.told.is_some()
    }

    /// Tells what is known of the stream, and when it `ended`.
    pub(super) fn tell(&mut self, recording: &Recording, ended: Option<u64>) {
        let (Some(membership), Some(movie)) = (&self.membership, &recording.info.movie) else { return };
        let frame_rate = recording.info.frame_rate;
        let fresh = || Rendition::of(membership, &self.playlist, movie, frame_rate, self.began);
        let mut rendition = self.told.take().unwrap_or_else(fresh);
        rendition.frame_rate = rendition.frame_rate.and(frame_rate);
        (rendition.bandwidth, rendition.average) = (recording.info.peak, recording.timeline.average_rate());
        rendition.ended = ended;
        self.told = Some(rendition.clone());
        let (store, master, before) = (self.store.clone(), membership.master.clone(), self.joining.take());
        self.joining = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // It has said itself what went wrong.
                drop(before.await);
            }
            if let Err(error) = master::join(&store, &master, &rendition).await {
                tracing::warn!("{} does not know of {}: {error}", store.object(&master), rendition.name);
            }
        }));
    }

    /// Waits until all was told.
    pub(super) async fn settle(&mut self, deadline: Instant) {
        let Some(joining) = self.joining.take() else { return };
        match timeout_at(deadline, joining).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the multivariant playlist is not complete: {error}"),
            Err(_) => tracing::warn!("the multivariant playlist could not be written in time"),
        }
    }
}
