//! Follows one object to its end, in whichever way it can be read while it grows.
//!
//! What is read by live objects goes on under KEY once that is complete. Before it does, the newest bytes that were given are
//! read there again: another input under the same name would show itself.

use bytes::Bytes;
use tracing::Span;

use crate::object::announce;
use crate::object::follow;
use crate::object::live_objects::follow::{self as objects, Rest, Step};
use crate::object::live_objects::locate::Found;
use crate::object::reading::{FollowError, News, Reading};
use crate::object::stretch::Hold;
use crate::object::wanted::Located;
use crate::protocol::live_objects::RecordingId;
use crate::store::Patient;

/// See the module.
pub(crate) struct Follower {
    store: Patient,
    reading: Reading,
    stage: Stage,
    /// What comes next has to be the same as these bytes, which were given before.
    check: Bytes,
    /// The recording whose live objects were read.
    recording: Option<RecordingId>,
}

enum Stage {
    /// A Live Read upload, or an object that is complete.
    Upload(Box<follow::Follower>),
    /// Live objects.
    Objects(Box<objects::Follower>),
}

impl Follower {
    /// Held to the `ETag`, where no version is known.
    pub(crate) fn new(store: &Patient, reading: &Reading, located: Located, etag: Option<String>) -> Self {
        let mut recording = if let Hold::Recording(id) = &located.hold { Some(id.clone()) } else { None };
        let stage = if let Some(found) = located.recording {
            recording = Some(found.id.clone());
            Stage::Objects(Box::new(objects::Follower::new(store, reading, *found)))
        } else {
            Stage::Upload(Box::new(follow::Follower::new(store, reading, located, etag)))
        };
        Self { store: store.clone(), reading: reading.clone(), stage, check: Bytes::new(), recording }
    }

    /// Begins at a byte instead of the first.
    pub(crate) fn go_on_at(&mut self, cursor: u64, part_size: Option<u64>) {
        match &mut self.stage {
            Stage::Upload(follower) => follower.window().go_on_at(cursor, part_size),
            Stage::Objects(follower) => follower.go_on_at(cursor),
        }
    }

    /// Up to `sure` all will be wanted; what comes after that is read a little at a time.
    pub(crate) fn be_sure_until(&mut self, sure: Option<u64>) {
        match &mut self.stage {
            Stage::Upload(follower) => follower.window().be_sure_until(sure),
            Stage::Objects(follower) => follower.be_sure_until(sure),
        }
    }

    /// The offset after the last byte given.
    pub(crate) fn cursor(&self) -> u64 {
        match &self.stage {
            Stage::Upload(follower) => follower.cursor(),
            Stage::Objects(follower) => follower.cursor(),
        }
    }

    /// What messages about what is read happen in.
    pub(crate) fn span(&self) -> &Span {
        match &self.stage {
            Stage::Upload(follower) => follower.span(),
            Stage::Objects(follower) => follower.span(),
        }
    }

    /// The version that is being read, as far as it is known.
    pub(crate) fn version(&self) -> Option<&String> {
        match &self.stage {
            Stage::Upload(follower) => follower.version(),
            Stage::Objects(_) => None,
        }
    }

    /// The recording whose live objects it has, or had.
    pub(crate) fn recording(&self) -> Option<&RecordingId> {
        self.recording.as_ref()
    }

    /// What comes next. After the end there is nothing more.
    ///
    /// # Errors
    /// [`FollowError`]; what was given before is a clean prefix of the object.
    pub(crate) async fn next(&mut self) -> Result<News, FollowError> {
        loop {
            match &mut self.stage {
                Stage::Upload(follower) => {
                    let news = follower.next().await?;
                    if let Some(found) = follower.take_recording() {
                        self.go_over(found);
                        continue;
                    }
                    match news {
                        News::Bytes(bytes) if !self.check.is_empty() => {
                            if let Some(bytes) = self.compare(bytes)? {
                                return Ok(News::Bytes(bytes));
                            }
                        }
                        news => return Ok(news),
                    }
                }
                Stage::Objects(follower) => match follower.next().await? {
                    Step::News(news) => return Ok(news),
                    Step::Complete(rest) => {
                        let id = follower.id().clone();
                        self.go_on_in_key(rest, Hold::Recording(id));
                    }
                },
            }
        }
    }

    /// An upload that cannot be read live has live objects beside it.
    fn go_over(&mut self, found: Found) {
        let (store, reading) = (self.store.clone(), self.reading.clone());
        let located = found.located(true);
        announce::reading(&store.object(&reading.wanted.key), &located);
        *self = Self::new(&store, &reading, located, None);
    }

    fn go_on_in_key(&mut self, rest: Rest, hold: Hold) {
        let Rest { head, cursor, given } = rest;
        tracing::debug!(offset = cursor, bytes = head.size, "complete: going on in the object itself");
        let finished = Some(head.size);
        let located = Located { version: head.version, finished, hold, ..Located::default() };
        let mut follower = follow::Follower::new(&self.store, &self.reading, located, head.etag);
        if cursor > 0 {
            follower.window().go_on_at(cursor - given.len() as u64, None);
        }
        self.check = given;
        self.stage = Stage::Upload(Box::new(follower));
    }

    /// Holds the first bytes from KEY to the newest that were given; what of them is new.
    fn compare(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, FollowError> {
        let again = bytes.split_to(bytes.len().min(self.check.len()));
        let given = self.check.split_to(again.len());
        if again != given {
            let cursor = self.cursor();
            return Err(FollowError::Mixed {
                object: self.store.object(&self.reading.wanted.key),
                recording: self.recording.as_ref().map(ToString::to_string).unwrap_or_default(),
                bytes: cursor.saturating_sub(bytes.len() as u64).saturating_add(self.check.len() as u64),
            });
        }
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}
