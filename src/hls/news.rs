//! What the editor is told: by the writer's side, and by those who look at objects in the store.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::playlist::Written;
use crate::media::fmp4::{Found, Header};
use crate::object::tap::Beside;

/// Where an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// On its way to the store.
    Input,
    /// In the store.
    Store,
}

/// What the editor is told.
#[derive(Debug)]
pub(super) enum News {
    /// An upload begins, or is gone on with.
    Object {
        /// The object's key.
        key: String,
        /// The upload.
        upload_id: String,
        /// Bytes that the store holds without a gap.
        readable: watch::Receiver<u64>,
        /// Where to look at it.
        origin: Origin,
        /// Its live objects, where it has some.
        beside: Option<Beside>,
    },
    /// The store holds these bytes of an upload as a live object.
    LiveObject(String, Range<u64>),
    /// An upload has no more live objects.
    NoMoreLiveObjects(String),
    /// What an upload with live objects has become can be read there.
    Located {
        /// The upload.
        upload_id: String,
        /// The reference to the object.
        uri: String,
    },
    /// The first part took so long to fill.
    Filled(Duration),
    /// Something was found in the newest object.
    Found {
        /// What.
        found: Found,
        /// When its last byte came in, in microseconds since 1970.
        at: Option<i64>,
    },
    /// An earlier playlist of the object shows this much of it.
    Restored {
        /// The playlist.
        written: Box<Written>,
        /// The header of the object.
        header: Arc<Header>,
    },
    /// All of an upload has been looked at.
    Scanned(String),
    /// An upload cannot be looked at.
    Lost(String),
    /// An upload is complete.
    Completed(String),
    /// Nothing more will happen.
    End,
}
