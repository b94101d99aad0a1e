//! One version of an object that somebody reads here: where its bytes come from, how far it can be read, and when it is over.
//!
//! The past is read by blocks. Whoever comes to the live edge has it followed, once for all: the follower fills a ring from
//! the beginning of the newest block on.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::block::{BLOCK, Block, Filled};
use super::blocks::{Blocks, Place};
use super::feed;
use super::fetch::{self, PATIENCE, Source};
use super::identity::Identity;
use super::ring::{Here, Ring};
use crate::object::reading::Reading;
use crate::object::stretch::{Hold, Target};
use crate::object::wanted::{Located, Wanted};
use crate::protocol::live_objects::RecordingId;
use crate::store::{Patient, StoreError};

/// For so long the answer to how far it can be read counts, where nobody follows it; and where somebody asks for more.
const FRESH: Duration = Duration::from_secs(1);
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

/// What there is at an offset.
pub(crate) enum Step {
    Bytes(Bytes),
    /// Something may have come when this is done.
    Wait(Waiting),
    /// It ended before.
    Over,
    Broken,
}

/// See [`Step::Wait`].
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) identity: Identity,
    pub(crate) key: String,
    pub(crate) store: Patient,
    pub(crate) ring: Ring,
    blocks: Arc<Blocks>,
    /// Where it was found; renewed whenever it is looked for.
    found: Mutex<Found>,
    edge: watch::Sender<Edge>,
    /// Who follows it ends when this is gone; beside it when the edge was last asked for.
    following: tokio::sync::Mutex<(Option<oneshot::Sender<()>>, Option<Instant>)>,
    users: Users,
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

#[derive(Debug)]
struct Users {
    count: AtomicUsize,
    left: Mutex<Instant>,
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

    fn found(&self) -> MutexGuard<'_, Found> {
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

    async fn ask_edge(&self, asked: &mut Option<Instant>, fresh: Duration) -> Result<(), StoreError> {
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

    /// Has it followed from the newest block on, unless `at` turns out to be far in the past.
    async fn approach(self: Arc<Self>, at: u64) -> Result<(), Broken> {
        let mut following = self.following.lock().await;
        if self.ring.is_open() || self.edge().size.is_some() {
            return Ok(());
        }
        let asked = self.ask_edge(&mut following.1, FRESH).await;
        asked.map_err(|error| {
            tracing::warn!("{error}");
            Broken
        })?;
        let found = self.found().clone();
        let first = self.edge().known.min(found.source.index()) / BLOCK;
        if at / BLOCK < first {
            return Ok(());
        }
        if !self.ring.begin(first) {
            tracing::warn!("{}: no memory is left to follow another object that grows (--memory)", self.object());
            return Err(Broken);
        }
        let (quit, quits) = oneshot::channel();
        following.0 = Some(quit);
        let reading = Reading {
            wanted: found.wanted,
            by_part: false,
            chunk_size: BLOCK,
            queue_size: 4,
            strict_poll: false,
            timeout: None,
        };
        feed::start(Arc::clone(&self), &reading, found.located, found.part_size, first * BLOCK, quits);
        Ok(())
    }

    /// Nobody watches it any more: it is not followed any further.
    pub(crate) fn rest(&self) {
        if let Ok(mut following) = self.following.try_lock() {
            *following = (None, None);
            self.ring.end(false);
        }
    }

    /// Waits until there are so many bytes, or it is over.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn wait_for(self: &Arc<Self>, bytes: u64) -> Result<(), Broken> {
        let mut news = self.news();
        loop {
            let edge = *news.borrow_and_update();
            if edge.broken || edge.stopped {
                return Err(Broken);
            }
            if edge.known >= bytes || edge.size.is_some() {
                return Ok(());
            }
            if self.ring.is_open() {
                news.changed().await.map_err(|_| Broken)?;
            } else {
                Arc::clone(self).approach(u64::MAX).await?;
            }
        }
    }

    /// What there is at `at`, at most `most` bytes of it. `endless`: it is read to its end, however far that is.
    pub(crate) fn read(self: &Arc<Self>, at: u64, most: u64, endless: bool) -> Step {
        let edge = self.edge();
        if edge.broken || (endless && edge.stopped) {
            return Step::Broken;
        }
        if edge.size.is_some_and(|size| at >= size) {
            return Step::Over;
        }
        match self.ring.read(at, most) {
            Here::Bytes(bytes) => Step::Bytes(bytes),
            Here::NotYet => Step::Wait(Box::pin(more(Arc::clone(self), at, endless))),
            Here::Elsewhere => match self.block(at / BLOCK, edge) {
                Some(block) => match block.read(at % BLOCK, most) {
                    Some(bytes) => Step::Bytes(bytes),
                    None => Step::Wait(Box::pin(filled(block.filled(), at % BLOCK))),
                },
                None => Step::Wait(Box::pin(Arc::clone(self).approach(at))),
            },
        }
    }

    /// Has a block fetched before it is asked for, where it lies in the past.
    pub(crate) fn fetch_ahead(&self, number: u64) {
        let begins = number.saturating_mul(BLOCK);
        if self.ring.read(begins, 1) == Here::Elsewhere {
            self.block(number, self.edge());
        }
    }

    /// A block of the past; none where it is not known to be there whole.
    fn block(&self, number: u64, edge: Edge) -> Option<Arc<Block>> {
        let begins = number.checked_mul(BLOCK)?;
        let known = edge.size.unwrap_or_else(|| edge.known.min(self.found().source.index()));
        let size = known.checked_sub(begins)?.min(BLOCK);
        if size == 0 || (size < BLOCK && edge.size.is_none()) {
            return None;
        }
        let place = Place { object: self.identity.hash, number };
        let (block, is_new) = self.blocks.get(place, size);
        if is_new {
            let source = self.found().source.clone();
            fetch::fill(&self.store, source, &self.blocks, place, Arc::clone(&block), size);
        }
        Some(block)
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
        let left = *self.users.left.lock().unwrap_or_else(PoisonError::into_inner);
        (self.users.count.load(Relaxed) == 0).then(|| left.elapsed())
    }
}

/// Waits for what comes after `at`, or for an end.
async fn more(recording: Arc<Recording>, at: u64, endless: bool) -> Result<(), Broken> {
    let mut news = recording.news();
    loop {
        let edge = *news.borrow_and_update();
        let over = edge.size.is_some_and(|size| at >= size) || edge.broken || (endless && edge.stopped);
        if over || recording.ring.read(at, 1) != Here::NotYet {
            return Ok(());
        }
        news.changed().await.map_err(|_| Broken)?;
    }
}

/// Waits until a block has more than `at` bytes.
async fn filled(mut news: watch::Receiver<Filled>, at: u64) -> Result<(), Broken> {
    loop {
        match &*news.borrow_and_update() {
            Filled::Whole => return Ok(()),
            Filled::To(length) if *length > at => return Ok(()),
            Filled::To(_) => {}
            Filled::Failed => return Err(Broken),
        }
        news.changed().await.map_err(|_| Broken)?;
    }
}

/// Somebody's use of a recording.
#[derive(Debug)]
pub(crate) struct Viewing(Arc<Recording>);

impl Viewing {
    pub(crate) fn of(recording: &Arc<Recording>) -> Self {
        recording.users.count.fetch_add(1, Relaxed);
        Self(Arc::clone(recording))
    }
}

impl std::ops::Deref for Viewing {
    type Target = Arc<Recording>;

    fn deref(&self) -> &Arc<Recording> {
        &self.0
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        *self.0.users.left.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.users.count.fetch_sub(1, Relaxed);
    }
}
