//! Finds the fragments in what the store holds: by small requests for the boxes, past the pictures and the sound.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::dvr_key_for;
use super::news::News;
use super::playlist::{PlaylistKind, Written};
use crate::media::fmp4::{Found, Header, Movie, Scanner};
use crate::message::fields;
use crate::object::stretch::{Hold, Target, collect};
use crate::store::retry::Retry;
use crate::store::{Patient, Store, StoreError};

/// What one request asks for at least: a `moof` of two seconds and the header of the `mdat` after it fit.
const LEAST: u64 = 16 << 10;

/// What one request asks for at most, where fragments are small.
const MOST: u64 = 1 << 20;

/// The largest playlist that is read back: more than a week's.
pub(super) const PLAYLIST_MAX: u64 = 64 << 20;

/// How long one request may keep failing.
const RETRY: Retry = Retry { give_up_after: std::time::Duration::from_secs(3_600) };

/// Looks at one object from the beginning, or from a fragment on.
#[derive(Debug)]
pub struct Walk {
    store: Patient,
    target: Target,
    scanner: Scanner,
    window: u64,
    /// Requests sent so far.
    pub requests: u64,
}

/// How far a [`Walk`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As far as was asked for.
    All,
    /// The store holds no more than these bytes.
    Edge(u64),
}

impl Walk {
    /// From the first byte of `key` on.
    #[must_use]
    pub fn new(store: &Store, key: String, version: Option<String>) -> Self {
        let target = Target { key, version, etag: None, live: true, hold: Hold::Object };
        let store = store.patient(RETRY);
        Self { store, target, scanner: Scanner::new(), window: LEAST, requests: 0 }
    }

    /// Goes on at byte `at`, where a fragment of `movie` begins.
    pub fn go_on_at(&mut self, movie: Arc<Movie>, at: u64) {
        self.scanner = Scanner::starting_at(movie, at);
    }

    /// Goes on to byte `to` (exclusive), or as far as the store has bytes, and hands over what it finds.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses or is away for long.
    pub async fn go_on(&mut self, to: u64, mut found: impl FnMut(Found)) -> Result<Reach, StoreError> {
        let mut passed = 0;
        while self.scanner.offset() < to && !self.scanner.is_off() {
            let at = self.scanner.offset();
            if let Some((pass, more)) = self.scanner.pass_over(to) {
                more.into_iter().for_each(&mut found);
                passed += pass;
                continue;
            }
            self.window = if passed > 4 * self.window { LEAST } else { (self.window * 2).min(MOST) };
            let last = (at + self.window).min(to) - 1;
            let bytes = self.fetch(at, last).await?;
            if bytes.is_empty() {
                return self.edge(at, passed).await;
            }
            passed = 0;
            self.scanner.feed(&bytes).into_iter().for_each(&mut found);
        }
        Ok(Reach::All)
    }

    /// Nothing is there at `at`; where does what is there end, given that as much was passed over unseen?
    async fn edge(&mut self, at: u64, passed: u64) -> Result<Reach, StoreError> {
        let (mut there, mut missing) = (at - passed, at);
        while there < missing {
            let middle = there + (missing - there) / 2;
            if self.fetch(middle, middle).await?.is_empty() {
                missing = middle;
            } else {
                there = middle + 1;
            }
        }
        Ok(Reach::Edge(there))
    }

    /// What there is of these bytes.
    async fn fetch(&mut self, first: u64, last: u64) -> Result<Bytes, StoreError> {
        let collected = collect(&self.store, &self.target, first..last.saturating_add(1)).await?;
        self.requests += u64::from(collected.requests);
        self.target = collected.target;
        Ok(Bytes::from(collected.bytes))
    }

    /// These bytes of the object, all of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses or is away for long; `None` when they are not all there.
    pub async fn bytes(&mut self, first: u64, len: u64) -> Result<Option<Bytes>, StoreError> {
        let Some(last) = first.checked_add(len).and_then(|end| end.checked_sub(1)) else { return Ok(None) };
        let bytes = self.fetch(first, last).await?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == len))
    }
}

/// An upload that is gone on with.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) key: String,
    pub(super) upload_id: String,
    /// How the playlist refers to it.
    pub(super) uri: String,
    /// The playlist's key.
    pub(super) playlist: String,
}

/// Follows an upload in the store as it grows, from where the playlist of it ends.
pub(super) async fn follow(
    store: Store,
    resumed: Resumed,
    mut readable: watch::Receiver<u64>,
    tell: mpsc::UnboundedSender<News>,
) {
    let walk = Walk::new(&store, resumed.key.clone(), Some(resumed.upload_id.clone()));
    let span = fields::upload(&resumed.key, Some(&resumed.upload_id));
    let news = match follow_to_end(&resumed, walk, &mut readable, &tell).instrument(span).await {
        Ok(()) => News::Scanned(resumed.upload_id),
        Err(error) => News::Lost(error.to_string()),
    };
    // Nobody minds any more when the writer has ended.
    drop(tell.send(news));
}

async fn follow_to_end(
    resumed: &Resumed,
    mut walk: Walk,
    readable: &mut watch::Receiver<u64>,
    tell: &mpsc::UnboundedSender<News>,
) -> Result<(), StoreError> {
    if let Some((written, header)) = restore(resumed, &mut walk).await? {
        walk.go_on_at(header.movie.clone(), written.timeline.segments.last().map_or(0, |last| last.end()));
        drop(tell.send(News::Restored { written: Box::new(written), header }));
    }
    loop {
        let to = *readable.borrow_and_update();
        walk.go_on(to, |found| drop(tell.send(News::Found { found, at: None }))).await?;
        tracing::debug!(bytes = to, requests = walk.requests, "looked for fragments in the store");
        if readable.changed().await.is_err() {
            // The last change may have come with the end.
            let to = *readable.borrow();
            walk.go_on(to, |found| drop(tell.send(News::Found { found, at: None }))).await?;
            return Ok(());
        }
    }
}

/// What a playlist shows of the upload from its beginning on, and the upload's header.
async fn restore(resumed: &Resumed, walk: &mut Walk) -> Result<Option<(Written, Arc<Header>)>, StoreError> {
    for key in [dvr_key_for(&resumed.playlist), resumed.playlist.clone()] {
        let Some(written) = read(&walk.store, &key).await? else { continue };
        let of_this = written.timeline.objects.last().is_some_and(|object| object.uri == resumed.uri);
        if !of_this || written.view.from > 0 || written.view.ended || written.view.kind == PlaylistKind::Vod {
            continue;
        }
        let Some(object) = written.timeline.objects.last().cloned() else { continue };
        if object.header_len > crate::media::fmp4::found::HEADER_MAX as u64 {
            continue;
        }
        let Some(bytes) = walk.bytes(object.header, object.header_len).await? else { continue };
        let Some(movie) = Movie::parse(&bytes) else { continue };
        let end = object.header.saturating_add(object.header_len);
        let header = Header { bytes, movie: Arc::new(movie), end };
        return Ok(Some((written, Arc::new(header))));
    }
    Ok(None)
}

/// A playlist that this program has written, if there is one.
///
/// # Errors
/// [`StoreError`] when the store refuses or is away for long.
pub async fn read(store: &Patient, key: &str) -> Result<Option<Written>, StoreError> {
    let text = store.get_small(key, PLAYLIST_MAX).await?;
    let text = text.and_then(|text| String::from_utf8(text.bytes.into()).ok()).unwrap_or_default();
    // A list that was cut off when it was written has no whole last line.
    Ok(Written::read(&text).filter(|_| text.ends_with('\n')))
}
