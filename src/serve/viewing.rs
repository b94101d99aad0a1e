//! Somebody's use of a recording: reads it at an offset, waits for what has not come yet, and has it followed or fetched where
//! that is needed.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::block::{BLOCK, Block, Filled};
use super::blocks::Place;
use super::feed;
use super::fetch;
use super::recording::{Broken, Edge, FRESH, Recording};
use super::ring::Here;
use crate::object::reading::Reading;
use crate::protocol::part::PartSize;

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
pub(crate) struct Viewing(Arc<Recording>);

impl Viewing {
    pub(crate) fn of(recording: &Arc<Recording>) -> Self {
        recording.users.came();
        Self(Arc::clone(recording))
    }

    /// Waits until there are so many bytes, or it is over.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn wait_for(&self, bytes: u64) -> Result<(), Broken> {
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
                self.follow().await?;
            }
        }
    }

    /// Has it followed, unless it is finished.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn follow(&self) -> Result<(), Broken> {
        approach(Arc::clone(&self.0), u64::MAX).await
    }

    /// What there is at `at`, at most `most` bytes of it. `endless`: it is read to its end, however far that is.
    pub(crate) fn read(&self, at: u64, most: u64, endless: bool) -> Step {
        let edge = self.edge();
        if edge.broken || (endless && edge.stopped) {
            return Step::Broken;
        }
        if edge.size.is_some_and(|size| at >= size) {
            return Step::Over;
        }
        match self.ring.read(at, most) {
            Here::Bytes(bytes) => Step::Bytes(bytes),
            Here::NotYet => Step::Wait(Box::pin(more(Arc::clone(&self.0), at, endless))),
            Here::Elsewhere => match block(&self.0, at / BLOCK, edge) {
                Some(block) => match block.read(at % BLOCK, most) {
                    Some(bytes) => Step::Bytes(bytes),
                    None => Step::Wait(Box::pin(filled(block.filled(), at % BLOCK))),
                },
                None => Step::Wait(Box::pin(approach(Arc::clone(&self.0), at))),
            },
        }
    }

    /// Bytes `first` to `end`, exclusive, as far as they can be read by now.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn collect(&self, first: u64, end: u64) -> Result<Vec<u8>, Broken> {
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let at = first.saturating_add(bytes.len() as u64);
            let edge = self.edge();
            if at >= end.min(edge.size.unwrap_or(edge.known)) {
                return Ok(bytes);
            }
            match self.read(at, end - at, false) {
                Step::Bytes(some) => bytes.extend_from_slice(&some),
                Step::Wait(waiting) => waiting.await?,
                Step::Over => return Ok(bytes),
                Step::Broken => return Err(Broken),
            }
        }
    }

    /// Has a block fetched before it is asked for, where it lies in the past.
    pub(crate) fn fetch_ahead(&self, number: u64) {
        let begins = number.saturating_mul(BLOCK);
        if self.ring.read(begins, 1) == Here::Elsewhere {
            block(&self.0, number, self.edge());
        }
    }
}

impl Clone for Viewing {
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

impl std::ops::Deref for Viewing {
    type Target = Recording;

    fn deref(&self) -> &Recording {
        &self.0
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.0.users.went();
    }
}

/// Has it followed from the newest block on, unless `at` turns out to be far in the past.
async fn approach(recording: Arc<Recording>, at: u64) -> Result<(), Broken> {
    let mut following = recording.following.lock().await;
    if recording.ring.is_open() || recording.edge().size.is_some() {
        return Ok(());
    }
    let asked = recording.ask_edge(&mut following.1, FRESH).await;
    asked.map_err(|error| {
        tracing::warn!("{error}");
        Broken
    })?;
    let found = recording.found().clone();
    let first = recording.edge().known.min(found.source.index()) / BLOCK;
    if at / BLOCK < first {
        return Ok(());
    }
    if !recording.ring.begin(first) {
        tracing::warn!("{}: no memory is left to follow another object that grows (--memory)", recording.object());
        return Err(Broken);
    }
    let (quit, quits) = oneshot::channel();
    following.0 = Some(quit);
    let reading = Reading {
        wanted: found.wanted,
        by_part: false,
        // No less than a part: the first of them tells of the rhythm only where one look brings all of it.
        chunk_size: PartSize::DEFAULT.get(),
        queue_size: 2,
        strict_poll: false,
        timeout: None,
    };
    feed::start(Arc::clone(&recording), &reading, found.located, found.part_size, first * BLOCK, quits);
    Ok(())
}

/// A block of the past; none where it is not known to be there whole.
fn block(recording: &Recording, number: u64, edge: Edge) -> Option<Arc<Block>> {
    let begins = number.checked_mul(BLOCK)?;
    let known = edge.size.unwrap_or_else(|| edge.known.min(recording.found().source.index()));
    let size = known.checked_sub(begins)?.min(BLOCK);
    if size == 0 || (size < BLOCK && edge.size.is_none()) {
        return None;
    }
    let place = Place { object: recording.identity.hash, number };
    let (block, is_new) = recording.blocks.get(place, size);
    if is_new {
        let source = recording.found().source.clone();
        fetch::fill(&recording.store, source, &recording.blocks, place, Arc::clone(&block), size);
    }
    Some(block)
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
