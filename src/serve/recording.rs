//! One version of an object that somebody reads here: where its bytes come from, how far it can be read, and when it is over.
//!
//! The past is read by blocks. Whoever comes to the live edge has it followed, once for all: the follower fills a ring from
//! the beginning of the newest block on (`viewing`).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::blocks::Blocks;
use super::fetch::{PATIENCE, Source};
use super::identity::Identity;
use super::ring::Ring;
use crate::object::stretch::{Hold, Target};
use crate::object::wanted::{Located, Wanted};
use crate::protocol::live_objects::RecordingId;
use crate::store::{Patient, StoreError};

/// For so long the answer to how far it can be read counts, where nobody follows it; and where somebody asks for more.
pub(crate) const FRESH: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(50);

/// How far it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Edge {
    /// The store has so many bytes at least.
    pub(crate) known: u64,
    /// All there are, once it is finished.
    pub(crate) size: Option<u64>,
    /// It was aborted, or cannot be read any more.
    pub(crate) broken: bool,
    /// This program is about to end.
    pub(crate) stopped: bool,
}

/// The rest of it cannot be given: what hears of this breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rest of it cannot be read")]
pub(crate) struct Broken;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) identity: Identity,
    pub(crate) key: String,
    pub(crate) store: Patient,
    pub(crate) ring: Ring,
    pub(crate) blocks: Arc<Blocks>,
    /// Where it was found; renewed whenever it is looked for.
    found: Mutex<Found>,
    edge: watch::Sender<Edge>,
    /// Who follows it ends when this is gone; beside it when the edge was last asked for.
    pub(crate) following: tokio::sync::Mutex<(Option<oneshot::Sender<()>>, Option<Instant>)>,
    pub(crate) users: Users,
    /// When all that tells of its key was looked at last.
    looked_for: Mutex<Instant>,
}

/// What was found of it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) source: Source,
    /// For whoever follows it.
    pub(crate) located: Located,
    pub(crate) part_size: Option<u64>,
    /// As a template: how it is read.
    pub(crate) wanted: Wanted,
}

/// How many use it, and when the last of them left.
#[derive(Debug)]
pub(crate) struct Users {
    count: AtomicUsize,
    left: Mutex<Instant>,
}

impl Users {
    fn left(&self) -> MutexGuard<'_, Instant> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn came(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    pub(crate) fn now(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(crate) fn went(&self) {
        *self.left() = Instant::now();
        self.count.fetch_sub(1, Relaxed);
    }
}

impl Recording {
    pub(crate) fn new(store: &Patient, identity: Identity, found: Found, edge: Edge, blocks: &Arc<Blocks>) -> Self {
        Self {
            key: found.wanted.key.clone(),
            store: store.clone(),
            ring: Ring::new(identity.hash, Arc::clone(blocks)),
            identity,
            blocks: Arc::clone(blocks),
            found: Mutex::new(found),
            edge: watch::channel(edge).0,
            following: tokio::sync::Mutex::default(),
            looked_for: Mutex::new(Instant::now()),
            users: Users { count: AtomicUsize::new(0), left: Mutex::new(Instant::now()) },
        }
    }

    pub(crate) fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `s3://bucket/key`.
    pub(crate) fn object(&self) -> String {
        self.store.object(&self.key)
    }

    /// What messages about it are about, and what its answers are held to.
    pub(crate) fn target(&self) -> Target {
        match &self.found().source {
            Source::Object(target) => target.clone(),
            Source::Objects(key, _) => {
                let (version, etag) = (None, None);
                Target { key: key.clone(), version, etag, live: false, hold: Hold::Object }
            }
        }
    }

    /// It was found again: the newest is the best to begin with, and what is complete is read as such.
    pub(crate) fn found_again(&self, found: Found) {
        if self.edge().size.is_none() || found.located.finished.is_some() {
            *self.found() = found;
        }
    }

    /// It was read by its live objects, and goes on in its key.
    pub(crate) fn is_in_key(&self, id: RecordingId, version: Option<String>) {
        let (key, hold) = (self.key.clone(), Hold::Recording(id));
        self.found().source = Source::Object(Target { key, version, etag: None, live: false, hold });
    }

    /// How far it can be read, as far as that is known.
    pub(crate) fn edge(&self) -> Edge {
        *self.edge.borrow()
    }

    /// News of how far it can be read.
    pub(crate) fn news(&self) -> watch::Receiver<Edge> {
        self.edge.subscribe()
    }

    /// So many bytes can be read; those that wait for the next ones look again.
    pub(crate) fn reaches(&self, known: u64) {
        self.edge.send_modify(|edge| edge.known = edge.known.max(known));
    }

    /// It is finished with so many bytes.
    pub(crate) fn finished(&self, size: u64) {
        self.edge.send_if_modified(|edge| {
            let news = edge.size.is_none();
            (edge.known, edge.size) = (size, edge.size.or(Some(size)));
            news
        });
    }

    /// The rest of it cannot be read.
    pub(crate) fn broke(&self) {
        self.edge.send_modify(|edge| edge.broken = true);
    }

    /// The program is about to end.
    pub(crate) fn stop(&self) {
        self.edge.send_modify(|edge| edge.stopped = true);
    }

    /// Where it is followed it is known how far it can be read; else it is asked for, once for all who want to know. So it is
    /// where somebody asks for `more` than is known of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn look_at_edge(&self, more: bool) -> Result<Edge, StoreError> {
        let by_objects = matches!(self.found().source, Source::Objects(..));
        let fresh = if more && !by_objects { SOON } else { FRESH };
        if self.edge().size.is_none() && (fresh == SOON || !self.ring.is_open()) {
            let mut following = self.following.lock().await;
            self.ask_edge(&mut following.1, fresh).await?;
        }
        Ok(self.edge())
    }

    pub(crate) async fn ask_edge(&self, asked: &mut Option<Instant>, fresh: Duration) -> Result<(), StoreError> {
        if asked.is_some_and(|asked| asked.elapsed() < fresh) {
            return Ok(());
        }
        let source = self.found().source.clone();
        let store = self.store.at_most(PATIENCE);
        let mut ranges = source.ranges(&store);
        let edge = ranges.edge(self.edge().known).await?;
        self.reaches(edge);
        *asked = Some(Instant::now());
        Ok(())
    }

    /// Nobody watches it any more: it is not followed any further.
    pub(crate) fn rest(&self) {
        if let Ok(mut following) = self.following.try_lock() {
            *following = (None, None);
            self.ring.end(false);
        }
    }

    /// Whether another object that grows can be followed.
    pub(crate) fn can_be_followed(&self) -> bool {
        self.edge().size.is_some() || self.ring.is_open() || self.blocks.has_ring()
    }

    /// All that tells of its key has been looked at.
    pub(crate) fn was_looked_for(&self) {
        *self.looked_for.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago that was.
    pub(crate) fn looked_for(&self) -> Duration {
        self.looked_for.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Since when nobody uses it.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let left = *self.users.left();
        (self.users.count.load(Relaxed) == 0).then(|| left.elapsed())
    }
}
