//! Where a recording is read from: its live objects, its pages and head, and KEY.

use crate::object::live_objects::Recording;
use crate::object::live_objects::ask::{self, Objects};
use crate::object::live_objects::ending::Case;
use crate::object::live_objects::index::Search;
use crate::object::reading::FollowError;
use crate::protocol::live_objects::{Head, Names, Page, RecordingId};
use crate::store::Patient;

use super::rule;
use super::{Answer, Asking};

/// See the module.
pub(super) struct Source {
    pub(super) store: Objects,
    key: String,
    pub(super) names: Names,
    pub(super) id: RecordingId,
}

impl Source {
    /// Of a recording of `key`; and its head.
    pub(super) fn new(store: &Patient, key: String, recording: Recording) -> (Self, Head) {
        let Recording { names, id, head } = recording;
        (Self { store: Objects(store.clone()), key, names, id }, head)
    }

    /// How messages name the object.
    pub(super) fn object(&self) -> String {
        self.store.0.object(&self.key)
    }

    /// Looks for a page.
    pub(super) fn search(&self, search: Search) -> Asking<Option<(u32, Page)>> {
        let (store, names, id) = (self.store.0.clone(), self.names.clone(), self.id.clone());
        Box::pin(async move { search.run(&store, &names, &id).await })
    }

    /// Asks for the head.
    pub(super) fn head(&self) -> Asking<Answer> {
        let (store, names, id) = (self.store.0.clone(), self.names.clone(), self.id.clone());
        Box::pin(async move { Ok(Answer::Head(ask::head(&store, &names, &id).await?)) })
    }

    /// Asks KEY and the head whether it is over.
    pub(super) fn over(&self, case: Case) -> Asking<Answer> {
        let (store, key) = (self.store.0.clone(), self.key.clone());
        let (names, id) = (self.names.clone(), self.id.clone());
        Box::pin(async move { rule::answer(&store, &key, &names, &id, case).await })
    }

    /// It was abandoned after so many bytes.
    pub(super) fn aborted(&self, bytes: u64) -> FollowError {
        FollowError::Aborted { object: self.object(), upload: self.id.to_string(), bytes }
    }

    /// It goes on from byte `from` with another input; so many bytes had been read.
    pub(super) fn lost(&self, from: u64, bytes: u64) -> FollowError {
        FollowError::Lost { object: self.object(), recording: self.id.to_string(), from, bytes }
    }

    /// Another object took its place after so many bytes.
    pub(super) fn replaced(&self, bytes: u64) -> FollowError {
        FollowError::Replaced { object: self.object(), recording: self.id.to_string(), bytes }
    }
}
