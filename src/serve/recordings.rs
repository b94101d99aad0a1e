//! Who is open: finds the version that a name stands for, and lets go of those that nobody watches.
//!
//! However many ask for a name at once, the store is asked once, and its answer counts for a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use super::blocks::Blocks;
use super::fetch::Source;
use super::identity::{self, Identity};
use super::once::Once;
use super::recording::{Edge, Found, Recording};
use super::refusal::Refusal;
use super::viewing::Viewing;
use crate::object::locate::{beside, locate};
use crate::object::ranges::Answer;
use crate::object::stretch::{Hold, Target};
use crate::object::wanted::{Live, LocateError, Located, Wanted};
use crate::store::{Fetched, Head, Kind, Patient, Piece, StoreError};

/// Between two lists of the uploads of a key that is being watched.
const RELIST: Duration = Duration::from_secs(30);

/// How long the store may keep failing before whoever asks is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// So long after the last viewer a version is let go of.
const IDLE: Duration = Duration::from_secs(60);

/// A bucket, a key, and a version where one is asked for.
type Name = (String, String, Option<String>);

/// See the module.
#[derive(Debug)]
pub(crate) struct Recordings {
    store: Patient,
    /// As a template: how objects are looked for.
    wanted: Wanted,
    blocks: Arc<Blocks>,
    open: Mutex<HashMap<[u8; 16], Arc<Recording>>>,
    names: Once<Name, Arc<Recording>>,
}

impl Recordings {
    pub(crate) fn new(store: Patient, wanted: Wanted, blocks: Arc<Blocks>) -> Self {
        Self { store, wanted, blocks, open: Mutex::default(), names: Once::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<Recording>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For other requests about a bucket, which nobody waits for long.
    pub(crate) fn store(&self, bucket: &str) -> Patient {
        self.store.bucket_named(bucket).at_most(PATIENCE)
    }

    /// The version that a name stands for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) async fn find(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Viewing, Refusal> {
        if let Some(version) = version
            && let Some(known) = self.known(identity::hash(bucket, key, version))
            && (known.edge().size.is_some() || known.ring.is_open())
        {
            return Ok(Viewing::of(&known));
        }
        let name = (bucket.to_owned(), key.to_owned(), version.map(str::to_owned));
        let ask = |before: Option<Arc<Recording>>| {
            Box::pin(async move {
                let store = self.store(bucket);
                if let Some(before) = before.filter(|_| version.is_none())
                    && is_still_newest(&store, &before).await
                {
                    return Ok(before);
                }
                let looked = timeout(PATIENCE * 2, self.look(&store, bucket, key, version)).await;
                let found = looked.unwrap_or_else(|_| Err(Refusal::busy("the store does not answer")))?;
                found.was_looked_for();
                Ok(found)
            })
        };
        let found = self.names.get(name, |recording| !recording.edge().broken, ask).await?;
        Ok(Viewing::of(&found))
    }

    /// A version that is open here, and can be read.
    fn known(&self, hash: [u8; 16]) -> Option<Arc<Recording>> {
        self.open().get(&hash).filter(|known| !known.edge().broken).cloned()
    }

    async fn look(
        &self,
        store: &Patient,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Arc<Recording>, Refusal> {
        let upload_id = version.map(str::to_owned);
        let wanted = Wanted { key: key.to_owned(), upload_id, wait: false, timeout: None, ..self.wanted.clone() };
        let mut located = locate(store, &wanted).await.map_err(|error| refused(&error))?;
        if located.is_open() && located.recording.is_none() {
            if let Some(version) = &located.version
                && let Some(known) = self.known(identity::hash(bucket, key, version))
            {
                return Ok(known);
            }
            match self.begun(store, bucket, &wanted, located).await? {
                Begun::Here(recording) => return Ok(recording),
                Begun::Elsewhere(other) => located = *other,
            }
        }
        if let Some(recording) = located.recording.clone() {
            let id = recording.id.as_str().to_owned();
            let known = recording.head.edge();
            let source = Source::Objects(key.to_owned(), recording.clone());
            let found = Found { source, located, part_size: None, wanted: pinned(&wanted, None) };
            let identity = Identity::new(bucket, key, &id, recording.id.started());
            return Ok(self.keep(store, identity, found, Edge { known, ..Edge::default() }));
        }
        self.finished(store, bucket, &wanted, located).await
    }

    /// An upload that may still grow: a look at its first byte tells what it is pinned to, when it was begun, and whether it
    /// can be read at all.
    async fn begun(&self, store: &Patient, bucket: &str, wanted: &Wanted, located: Located) -> Result<Begun, Refusal> {
        let (version, hold) = (located.version.clone(), located.hold.clone());
        let target = Target { key: wanted.key.clone(), version, etag: None, live: true, hold };
        let source = Source::Object(target);
        let mut ranges = source.ranges(store);
        let answer = ranges.read(0, 1).await.map_err(|error| of_store(&error))?;
        if answer == Answer::Absent {
            if let Some(other) = beside(store, wanted).await.map_err(|error| refused(&error))? {
                return Ok(Begun::Elsewhere(Box::new(other)));
            }
            // What cannot be read before it is complete hides nothing that can.
            let before = located.before.ok_or_else(Refusal::not_there)?;
            return Ok(Begun::Elsewhere(Box::new(Located::finished(before, false))));
        }
        let target = ranges.target.clone();
        // Begun, but nothing tells yet what it is called.
        let version = target.version.clone().ok_or_else(Refusal::not_there)?;
        let began = ranges.started.unwrap_or_else(now);
        let part_size = ranges.part_size;
        // So far it can be read: the store may have more.
        let known = u64::from(matches!(answer, Answer::Data(_)));
        let located = Located { version: Some(version.clone()), ..located };
        let identity = Identity::new(bucket, &wanted.key, &version, began);
        let wanted = pinned(wanted, Some(version));
        let found = Found { source: Source::Object(target), located, part_size, wanted };
        Ok(Begun::Here(self.keep(store, identity, found, Edge { known, ..Edge::default() })))
    }

    /// An object that is complete.
    async fn finished(
        &self,
        store: &Patient,
        bucket: &str,
        wanted: &Wanted,
        located: Located,
    ) -> Result<Arc<Recording>, Refusal> {
        let key = &wanted.key;
        if let (Some(version), Some(size)) = (&located.version, located.finished)
            && let Some(known) = self.known(identity::hash(bucket, key, version))
        {
            known.finished(size);
            return Ok(known);
        }
        let head = store.head(key, located.version.as_deref()).await.map_err(|error| of_store(&error))?;
        let head = head.ok_or_else(Refusal::not_there)?;
        let version = self.name_of(bucket, key, wanted, &head);
        let hold = if let Hold::Recording(_) = located.hold { located.hold.clone() } else { Hold::Object };
        let (pin, etag) = (head.version.clone(), head.etag.clone());
        let target = Target { key: key.clone(), version: pin, etag: etag.clone(), live: false, hold };
        let began = head.objects.as_ref().map(crate::protocol::live_objects::RecordingId::started);
        let began = began.or(head.modified).unwrap_or_else(now);
        let identity = Identity::new(bucket, key, &version, began);
        let located = Located { finished: Some(head.size), version: head.version, etag, ..located };
        let found = Found { source: Source::Object(target), located, part_size: None, wanted: wanted.clone() };
        let size = head.size;
        Ok(self.keep(store, identity, found, Edge { known: size, size: Some(size), ..Edge::default() }))
    }

    /// What an object that is complete is called: the same as while it grew. On Backblaze B2 an upload is called as the version
    /// that it becomes, unless it was watched by live objects.
    fn name_of(&self, bucket: &str, key: &str, wanted: &Wanted, head: &Head) -> String {
        let objects = head.objects.as_ref().map(ToString::to_string);
        let by_objects = |id: &String| {
            let is_b2 = head.version.as_deref().is_some_and(|version| version.starts_with("4_z"));
            !is_b2 || wanted.live == Live::Objects || self.known(identity::hash(bucket, key, id)).is_some()
        };
        let etag = || format!("{}-{}", head.etag.as_deref().unwrap_or("none"), head.modified.unwrap_or(0));
        objects.filter(by_objects).or_else(|| head.version.clone()).unwrap_or_else(etag)
    }

    /// The version as it is open here already, or from now on.
    fn keep(&self, store: &Patient, identity: Identity, found: Found, edge: Edge) -> Arc<Recording> {
        let mut open = self.open();
        if let Some(known) = open.get(&identity.hash).filter(|known| !known.edge().broken) {
            known.found_again(found);
            match edge.size {
                Some(size) => known.finished(size),
                None => known.reaches(edge.known),
            }
            return Arc::clone(known);
        }
        let hash = identity.hash;
        let store = self.store.bucket_named(store.bucket());
        let recording = Arc::new(Recording::new(&store, identity, found, edge, &self.blocks));
        open.insert(hash, Arc::clone(&recording));
        recording
    }

    /// Lets go, from time to time, of what nobody watches.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(IDLE / 12).await;
            let is_idle = |recording: &Arc<Recording>| {
                let idle = recording.idle();
                idle.is_some_and(|idle| idle >= IDLE || recording.edge().broken)
            };
            self.open().retain(|_, recording| {
                let idle = is_idle(recording);
                if idle {
                    recording.rest();
                }
                !idle
            });
            self.names.tidy();
        }
    }

    /// How much there is of it, for figures.
    pub(crate) fn counts(&self) -> Counts {
        let open = self.open();
        let followed = open.values().filter(|recording| recording.ring.is_open()).count() as u64;
        let viewers = open.values().map(|recording| recording.users.now() as u64).sum();
        Counts { open: open.len() as u64, followed, viewers, memory: self.blocks.held() }
    }

    /// The program is about to end: what goes to an end that is not known breaks off.
    pub(crate) fn stop(&self) {
        self.open().values().for_each(|recording| recording.stop());
    }
}

/// See [`Recordings::counts`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) open: u64,
    pub(crate) followed: u64,
    pub(crate) viewers: u64,
    pub(crate) memory: u64,
}

/// What became of the look at an upload that may still grow.
enum Begun {
    Here(Arc<Recording>),
    /// Something else has to be read in its place.
    Elsewhere(Box<Located>),
}

/// Whether a key stands for the same version as before, as far as one read of a byte tells: a tenth of the price of a list.
/// What grows and is not followed may have ended, which that does not tell.
async fn is_still_newest(store: &Patient, before: &Recording) -> bool {
    let is_watched = before.edge().size.is_some() || before.ring.is_open();
    if !is_watched || before.edge().broken || before.looked_for() >= RELIST {
        return false;
    }
    let piece = Piece::Range { first: 0, last: 0 };
    match store.once().fetch(&before.key, None, piece, true).await {
        Ok(Fetched::Data(body)) => body.version.is_some_and(|version| version == before.identity.version),
        _ => false,
    }
}

/// What is followed is this upload and no newer one.
fn pinned(wanted: &Wanted, version: Option<String>) -> Wanted {
    Wanted { upload_id: version, wait: false, ..wanted.clone() }
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

pub(crate) fn refused(error: &LocateError) -> Refusal {
    match error {
        LocateError::Store(error) => of_store(error),
        LocateError::Nothing(_) | LocateError::NoSuchUpload { .. } | LocateError::NoNames { .. } => {
            Refusal::not_there()
        }
        LocateError::TimedOut { .. } => Refusal::busy("the store does not answer"),
    }
}

/// What the store said is for who runs the gateway, and not for who asks it.
pub(crate) fn of_store(error: &StoreError) -> Refusal {
    match error.kind {
        Kind::NoBucket | Kind::NoKey | Kind::NoUpload => Refusal::not_there(),
        Kind::Passing | Kind::Skewed | Kind::Expired | Kind::Capped => {
            tracing::warn!("{error}");
            Refusal::busy("the store cannot be reached now")
        }
        _ => {
            tracing::warn!("{error}");
            Refusal::new(StatusCode::BAD_GATEWAY, "the store refuses this")
        }
    }
}

#[cfg(test)]
#[path = "recordings_tests.rs"]
mod tests;
