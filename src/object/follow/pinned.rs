//! What a follower reads: an upload or object of a key, pinned to its version as soon as an answer has told that.

use crate::object::ending::Newer;
use crate::object::prefetch::Target;
use crate::object::reading::{FollowError, Reading};
use crate::object::wanted::{Located, Wanted};
use crate::store::Patient;

/// See the module.
pub(super) struct Pinned {
    pub(super) store: Patient,
    /// What was looked for.
    pub(super) wanted: Wanted,
    /// What was found.
    pub(super) target: Target,
}

impl Pinned {
    /// Held to the `ETag`, where no version is known.
    pub(super) fn new(store: &Patient, reading: &Reading, located: &Located, etag: Option<String>) -> Self {
        let wanted = reading.wanted.clone();
        let target = Target {
            key: wanted.key.clone(),
            version: located.version.clone(),
            etag: etag.or_else(|| located.etag.clone()),
            // Of a finished object too: only an answer to this header names the part size.
            live: located.is_open() || reading.by_part,
            hold: located.hold.clone(),
        };
        Self { store: store.clone(), wanted, target }
    }

    /// The version, as far as it is known.
    pub(super) fn version(&self) -> Option<&String> {
        self.target.version.as_ref()
    }

    /// How messages name the object.
    pub(super) fn object(&self) -> String {
        self.store.object(&self.target.key)
    }

    /// How messages name the upload.
    pub(super) fn upload(&self) -> String {
        self.version().cloned().unwrap_or_else(|| "(id unknown)".to_owned())
    }

    /// An answer tells of these. The version, if that pins it.
    pub(super) fn learn(&mut self, version: Option<String>, etag: Option<String>) -> Option<&str> {
        self.target.etag = self.target.etag.take().or(etag);
        if self.target.version.is_some() {
            return None;
        }
        self.target.version = version;
        self.target.version.as_deref()
    }

    /// No more by Live Read. Whether it was.
    pub(super) fn read_as_finished(&mut self) -> bool {
        std::mem::replace(&mut self.target.live, false)
    }

    /// It is complete, to be had under this version.
    pub(super) fn completed_as(&mut self, version: Option<String>) {
        if self.target.version != version {
            (self.target.version, self.target.etag) = (version, None);
        }
    }

    /// Another takes its place.
    pub(super) fn move_to(&mut self, newer: Newer) {
        self.target.etag = None;
        match newer {
            Newer::Open(upload) => self.target.version = Some(upload.id),
            Newer::Finished(head) => {
                self.target.version = head.version;
                self.target.live = false;
            }
        }
    }

    /// It was aborted after so many bytes.
    pub(super) fn aborted(&self, bytes: u64) -> FollowError {
        FollowError::Aborted { object: self.object(), upload: self.upload(), bytes }
    }
}
