//! What can be read of open uploads: by those who play them, which the store is asked once, and by this writer, who looks at
//! what another run has left.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::Store;
use crate::store::live_check::{self, LiveRead};

/// How long to ask whether an open upload can be read.
const ASK: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Readability {
    viewers: Viewers,
    /// What the store holds could not be looked at.
    lost: bool,
}

/// From when on those who play can read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Viewers {
    /// The store was not asked.
    #[default]
    Unasked,
    Now,
    /// Nothing can be read before the end.
    InTheEnd,
}

impl Readability {
    /// Whether the store was asked.
    pub(super) fn was_asked(&self) -> bool {
        self.viewers != Viewers::Unasked
    }

    /// Whether those who play can read by now.
    pub(super) fn is_now(&self) -> bool {
        self.viewers == Viewers::Now
    }

    /// Whether they cannot before the end.
    pub(super) fn is_in_the_end(&self) -> bool {
        self.viewers == Viewers::InTheEnd
    }

    /// What the store holds cannot be looked at.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether what the store holds could not be looked at.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Asks the store whether this open upload can be read, for the sake of `playlist`.
    pub(super) async fn ask(&mut self, store: &Store, playlist: &str, upload: Option<(&str, &str)>) {
        self.viewers = match upload {
            Some((key, upload_id)) => can_be_read(store, playlist, key, upload_id).await,
            None => Viewers::Now,
        };
    }
}

async fn can_be_read(store: &Store, playlist: &str, key: &str, upload_id: &str) -> Viewers {
    match timeout(ASK, live_check::look(store, key, upload_id)).await {
        Ok(Ok(LiveRead::Off)) => {
            tracing::info!(
                "{} is written when the upload is complete: before that nothing could be played",
                store.object(playlist)
            );
            Viewers::InTheEnd
        }
        // A key that may only write cannot ask. Those who play can.
        Ok(Err(error)) => {
            tracing::debug!("{error}");
            Viewers::Now
        }
        Ok(Ok(LiveRead::On)) | Err(_) => Viewers::Now,
    }
}
