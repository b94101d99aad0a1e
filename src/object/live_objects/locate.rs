//! Finds a recording with live objects by its pointer, and waits for one to begin.
//!
//! A waiting reader sends one request per poll: a GET of the pointer, and each fifth time a HEAD of KEY in its place, which
//! shows what was begun and completed between two looks.

use tokio::time::sleep;

use crate::object::live_objects::Recording;
use crate::object::live_objects::ask::{self, Seen};
use crate::object::stretch::Hold;
use crate::object::wanted::{Live, LocateError, Located, Wanted, said_of};
use crate::protocol::live_objects::{Names, RecordingId, State, UNHEARD};
use crate::store::{Head, Patient, StoreError};

/// Each so manieth look of a waiting reader is one at KEY.
const KEY_LOOK: u32 = 5;

/// Looks for a key's recordings.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    key: String,
    names: Names,
    /// One that is known to be over.
    over: Option<RecordingId>,
    /// A look was refused, and what was said then.
    refused: Option<StoreError>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A recording that is not over.
    Live(Box<Recording>),
    /// The object that it became.
    Finished(RecordingId, Head),
}

impl Found {
    /// As something to be read.
    pub(crate) fn located(self, may_list: bool) -> Located {
        match self {
            Self::Live(recording) => Located { may_list, recording: Some(recording), ..Located::default() },
            Self::Finished(id, head) => finished(head, Hold::Recording(id)),
        }
    }
}

/// A finished object, held to be of the recording that it names, if any.
fn as_it_says(head: Head) -> Located {
    let hold = head.objects.clone().map_or(Hold::Object, Hold::Recording);
    finished(head, hold)
}

fn finished(head: Head, hold: Hold) -> Located {
    Located { version: head.version, finished: Some(head.size), etag: head.etag, hold, ..Located::default() }
}

impl Finder {
    /// Of what is wanted; none where the key can have no live objects.
    pub(crate) fn new(wanted: &Wanted) -> Option<Self> {
        Some(Self::of(wanted, Names::new(&wanted.prefix, &wanted.key).ok()?))
    }

    /// The same where live objects are one of several ways to read it live (`--live auto`); none where they are not.
    pub(crate) fn beside_live_read(wanted: &Wanted) -> Option<Self> {
        Self::new(wanted).filter(|_| wanted.live == Live::Auto)
    }

    fn of(wanted: &Wanted, names: Names) -> Self {
        Self { key: wanted.key.clone(), names, over: None, refused: None }
    }

    /// Looks at the pointer, and at what it points to.
    ///
    /// # Errors
    /// [`StoreError`] for anything but documents, 404 and 403.
    pub(crate) async fn look(&mut self, store: &Patient) -> Result<Option<Found>, StoreError> {
        match ask::pointer(store, &self.names).await? {
            Seen::There(pointer, _) if self.over.as_ref() == Some(&pointer.recording) => Ok(None),
            Seen::There(pointer, _) => self.named(store, pointer.recording).await,
            Seen::Missing => Ok(None),
            Seen::Hidden(error) => {
                self.refused.get_or_insert(error);
                Ok(None)
            }
        }
    }

    /// A certain recording, unless it is over and nothing is left of it.
    ///
    /// # Errors
    /// As for [`Self::look`].
    pub(crate) async fn named(&mut self, store: &Patient, id: RecordingId) -> Result<Option<Found>, StoreError> {
        let seen = ask::head(store, &self.names, &id).await?;
        let mut head = None;
        if let Seen::There(found, age) = seen {
            let fresh = age.is_none_or(|age| age < UNHEARD);
            let goes_on = !matches!(found.state, State::Complete | State::Aborted);
            if goes_on && fresh {
                return Ok(Some(self.live(id, found)));
            }
            head = goes_on.then_some((found, age));
        }
        let key = ask::key(store, &self.key).await?;
        if let Seen::There(key, key_age) = key {
            if key.objects.as_ref() == Some(&id) {
                return Ok(Some(Found::Finished(id, key)));
            }
            // What has come under KEY since its writer was last heard of is newer.
            head = head.filter(|(_, age)| key_age.zip(*age).is_none_or(|(key, head)| key >= head));
        }
        if head.is_none() {
            self.over = Some(id.clone());
        }
        Ok(head.map(|(head, _)| self.live(id, head)))
    }

    fn live(&self, id: RecordingId, head: crate::protocol::live_objects::Head) -> Found {
        Found::Live(Box::new(Recording { names: self.names.clone(), id, head }))
    }

    /// Says once that what is refused may only be missing.
    fn say_refused(&mut self, store: &Patient) {
        if let Some(error) = &self.refused {
            tracing::warn!(
                "{}: {}. A key that may not list is told so of everything that is not there yet; waiting",
                store.object(&self.key),
                error.cause
            );
        }
    }
}

/// Finds what to read on a store without Live Read (`--live objects`), and waits for it if asked to.
///
/// # Errors
/// [`LocateError`].
pub(crate) async fn locate(store: &Patient, wanted: &Wanted) -> Result<Located, LocateError> {
    let key = &wanted.key;
    let names = |error: crate::protocol::live_objects::NamesError| LocateError::NoNames {
        object: store.object(key),
        why: error.to_string(),
    };
    let mut finder = Finder::of(wanted, Names::new(&wanted.prefix, key).map_err(names)?);
    if let Some(id) = &wanted.upload_id {
        let found = match RecordingId::parse(id) {
            Some(id) => finder.named(store, id).await?,
            None => finder.look(store).await?.filter(|found| is_of_upload(found, id)),
        };
        let missing = || LocateError::NoSuchUpload { object: store.object(key), id: id.clone() };
        return found.map(|found| found.located(true)).ok_or_else(missing);
    }
    let mut before = None;
    let mut looks: u32 = 0;
    loop {
        // What is there when the wait begins was there before it.
        if looks.is_multiple_of(KEY_LOOK) && (looks > 0 || wanted.wait) {
            let now = ask::key(store, key).await?.there();
            if looks == 0 {
                before = now;
            } else if let Some(head) = now.filter(|head| before.as_ref() != Some(head)) {
                return Ok(as_it_says(head));
            }
        }
        if looks == 0 || !looks.is_multiple_of(KEY_LOOK) {
            match finder.look(store).await? {
                Some(Found::Finished(_, head)) if wanted.wait && before.as_ref() == Some(&head) => {}
                Some(found) => return Ok(found.located(true)),
                None => {}
            }
        }
        if !wanted.wait {
            let head = ask::key(store, key).await?.there();
            return head.map(as_it_says).ok_or_else(|| LocateError::Nothing(store.object(key)));
        }
        if looks == 0 {
            finder.say_refused(store);
            tracing::info!("waiting for a recording of {} to begin{}", store.object(key), said_of(before.as_ref()));
        }
        looks = looks.saturating_add(1);
        sleep(wanted.poll_interval).await;
    }
}

/// Whether the recording is made by this upload.
fn is_of_upload(found: &Found, id: &str) -> bool {
    matches!(found, Found::Live(recording) if recording.head.upload_id == id)
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
