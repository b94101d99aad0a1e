//! The next object of a rollover, where the one before was read by its live objects: nothing is listed.

use tokio::time::sleep;

use super::{LOOK_AGAIN, LOOKS};
use crate::object::live_objects::ask;
use crate::object::live_objects::locate::{Finder, Found};
use crate::object::wanted::{Located, Wanted};
use crate::protocol::live_objects::RecordingId;
use crate::reader::error::ReadError;
use crate::store::{Head, Patient};

/// What was read: its recording, and what all objects of its rollover have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    pub(super) id: Option<RecordingId>,
    pub(super) name: Option<String>,
}

impl Read {
    /// Whether it goes on in a recording that runs: that is not older. One writer has made both, by one clock.
    fn goes_on_live(&self, next: &RecordingId) -> bool {
        self.id.as_ref().is_some_and(|id| next.started() >= id.started() && next != id)
    }

    /// Whether it goes on in an object that is complete. Names decide, where there are some.
    fn goes_on_in(&self, next: &Head) -> bool {
        match (&self.name, &next.recording) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, None) => next.objects.as_ref().is_some_and(|next| self.goes_on_live(next)),
            _ => false,
        }
    }
}

/// The recording, or the complete object, of the key in which what was read goes on.
pub(super) async fn find(store: &Patient, wanted: &Wanted, read: &Read) -> Result<Option<Located>, ReadError> {
    let Some(mut finder) = Finder::new(wanted) else { return Ok(None) };
    for look in 0..LOOKS {
        if look > 0 {
            sleep(LOOK_AGAIN.min(wanted.poll_interval)).await;
        }
        match finder.look(store).await? {
            Some(Found::Live(recording)) if read.goes_on_live(&recording.id) => {
                return Ok(Some(Found::Live(recording).located(false)));
            }
            Some(Found::Finished(id, head)) if read.goes_on_in(&head) => {
                return Ok(Some(Found::Finished(id, head).located(false)));
            }
            _ => {}
        }
        if let Some(head) = ask::key(store, &wanted.key).await?.there().filter(|head| read.goes_on_in(head)) {
            return Ok(Some(Located {
                version: head.version,
                finished: Some(head.size),
                etag: head.etag,
                ..Located::default()
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seconds: i64, random: u32) -> RecordingId {
        RecordingId::new(seconds, random)
    }

    #[test]
    fn names_decide_of_what_is_complete_and_the_writer_s_clock_of_what_runs() {
        let named = |name: Option<&str>| Read { id: Some(id(100, 1)), name: name.map(str::to_owned) };
        for (next, expected) in [(id(100, 2), true), (id(101, 2), true), (id(99, 2), false), (id(100, 1), false)] {
            assert_eq!(named(None).goes_on_live(&next), expected, "{next}");
        }
        assert!(!Read::default().goes_on_live(&id(100, 2)));
        let complete = |name: Option<&str>, objects: Option<RecordingId>| Head {
            size: 1,
            version: None,
            etag: None,
            modified: None,
            recording: name.map(str::to_owned),
            objects,
        };
        for (mine, theirs, objects, expected) in [
            (Some("a"), Some("a"), None, true),
            (Some("a"), Some("b"), Some(id(100, 2)), false),
            (Some("a"), None, Some(id(100, 2)), false),
            (None, Some("a"), Some(id(100, 2)), false),
            (None, None, Some(id(100, 2)), true),
            (None, None, Some(id(99, 2)), false),
            (None, None, None, false),
        ] {
            let (read, next) = (named(mine), complete(theirs, objects));
            assert_eq!(read.goes_on_in(&next), expected, "{read:?} {next:?}");
        }
    }
}
