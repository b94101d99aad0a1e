//! What to look for, and what was found: the words between those who look and those who read.

use std::time::Duration;

use crate::human::sizes::show_bytes;
use crate::object::live_objects::Recording;
use crate::object::stretch::Hold;
use crate::protocol::live_objects::Prefix;
use crate::store::{Head, Patient, StoreError};

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The object's key.
    pub key: String,
    /// One certain upload, instead of the newest.
    pub upload_id: Option<String>,
    /// Wait for an upload to begin.
    pub wait: bool,
    /// Between two looks.
    pub poll_interval: Duration,
    /// How long it may take to find what to read, at most.
    pub timeout: Option<Duration>,
    /// How it may be read while it grows.
    pub live: Live,
    /// What the names of live objects begin with.
    pub prefix: Prefix,
}

impl Wanted {
    /// The newest recording of `key`, waited for without end, with a look a second.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            upload_id: None,
            wait: true,
            poll_interval: Duration::from_secs(1),
            timeout: None,
            live: Live::default(),
            prefix: Prefix::default(),
        }
    }
}

/// How an object may be read while it grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Live {
    /// By Live Read, and by live objects where that shows nothing.
    #[default]
    Auto,
    /// By Live Read alone.
    B2,
    /// By live objects alone; nothing is listed.
    Objects,
}

/// What whoever waits is told of a finished object that is there already, and which he may have meant.
pub(crate) fn said_of(finished: Option<&Head>) -> String {
    let size = finished.map(|head| show_bytes(head.size));
    size.map_or_else(String::new, |size| format!("; a finished object of {size} is there, which --no-wait reads"))
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Located {
    /// The upload id or version to pin; `None` where nobody has told it yet.
    pub version: Option<String>,
    /// The size of the object where it is complete; `None` for an upload that may still grow.
    pub finished: Option<u64>,
    /// Whether these credentials may list uploads.
    pub may_list: bool,
    /// The finished object of this key that was there before; an end that looks like it is not the end of this upload.
    pub before: Option<Head>,
    /// The recording to be read by its live objects, on a store without Live Read.
    pub recording: Option<Box<Recording>>,
    /// The `ETag` of a finished object, where that is known.
    pub etag: Option<String>,
    /// What else its answers are held to.
    pub hold: Hold,
}

impl Located {
    /// The finished object that `head` is of.
    #[must_use]
    pub fn finished(head: Head, may_list: bool) -> Self {
        Self { version: head.version, finished: Some(head.size), may_list, ..Self::default() }
    }

    /// Whether it may still grow.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.finished.is_none()
    }
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `--no-wait`, and there is nothing.
    #[error(
        "{0}: there is no open upload and no finished object of this key. Without --no-wait, reader waits for one to begin"
    )]
    Nothing(String),
    /// The named upload is not there.
    #[error("{object}: there is no upload {id}, neither open nor completed; it may have been aborted")]
    NoSuchUpload {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
    },
    /// The key can have no live objects.
    #[error("{object} cannot be read by live objects: {why}")]
    NoNames {
        /// The object.
        object: String,
        /// Why not.
        why: String,
    },
    /// There was nothing to read in time.
    #[error("{object}: {} within {} s (--timeout)", if *waited { "no upload has begun" } else { "the store has not shown what there is to read" }, after.as_secs_f64())]
    TimedOut {
        /// The object.
        object: String,
        /// The limit.
        after: Duration,
        /// Whether it waited for an upload to begin.
        waited: bool,
    },
}

impl LocateError {
    /// The limit of `wanted` has passed.
    pub(crate) fn timed_out(store: &Patient, wanted: &Wanted) -> Self {
        let for_one = wanted.wait && wanted.upload_id.is_none();
        Self::TimedOut { object: store.object(&wanted.key), after: wanted.timeout.unwrap_or_default(), waited: for_one }
    }
}
