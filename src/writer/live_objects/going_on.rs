//! Going on with the live objects of an upload that was left open (`--resume`).
//!
//! The head is up to some seconds old, so that more may be stored than it tells of: the names behind its edge are asked for,
//! one after another, until one is missing. Where that is, the next run begins, and there a stream goes on: what of that is in
//! no part yet is read out of the live objects. What the dead writer has stored behind it, or
//! what of its requests only lands now, is in the old run and counts no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::segment_ends::SegmentEnds;
use super::stored::Stored;
use super::survey::{behind_edge, recordings};
use super::{LiveObjects, Manner, When};
use crate::media::fmp4::Movie;
use crate::media::fmp4::found::HEADER_MAX;
use crate::object::live::Upload;
use crate::protocol::live_objects::{Head, MAX_DOCUMENT, Names, State};
use crate::store::{Kind, Patient, StoreError};

/// The head of the recording that belongs to an upload, if it has live objects.
///
/// # Errors
/// [`StoreError`] when that cannot be found out.
pub async fn find(store: &Patient, names: &Names, upload_id: &str) -> Result<Option<Head>, StoreError> {
    for recording in recordings(store, names).await?.iter().rev() {
        let small = store.get_small(&names.head(recording), MAX_DOCUMENT).await?;
        let head = small.and_then(|small| Head::parse(&small.bytes).ok());
        if let Some(head) = head.filter(|head| head.upload_id == upload_id && head.recording == *recording) {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// What of a recording is stored, up to where that is without a gap: more than `head` tells of, as it is up to some seconds old.
pub(super) async fn stored(upload: &Upload, names: &Names, head: Head) -> Result<Stored, StoreError> {
    let began = Instant::now();
    let behind = behind_edge(upload.store(), names, &head).await?;
    let mut stored = Stored::new(head);
    for (offset, length) in behind {
        stored.note(offset, length);
    }
    let edge = stored.edge();
    tracing::debug!(edge, "found where live objects end after {:.3} s", began.elapsed().as_secs_f64());
    Ok(stored)
}

/// What an input can give again of what the run before was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// A file: all of it.
    File,
    /// A file that was kept: what is in no part that is stored.
    Kept,
    /// A stream: nothing, and what it gives now may be something else.
    Stream,
}

impl Again {
    /// Whether live objects that end at `edge` can be gone on with where `stored` bytes are in parts.
    pub(super) fn goes_on(self, edge: u64, stored: u64) -> bool {
        self == Self::File || edge >= stored
    }

    /// Whether what comes behind them is what the run before was given, too.
    pub(super) fn is_same_input(self) -> bool {
        self != Self::Stream
    }
}

/// Begins the next run of what `head` tells of, where its live objects end: see [`LiveObjects::edge`]. What is before that
/// need not be told of again, and may be. `same_input`: what comes from there on is what the run before was given, too.
/// None where it cannot be gone on with, because live reading was given up, or it has had as many runs as it can have.
///
/// # Errors
/// [`StoreError`] when the store is away.
pub async fn go_on(
    upload: &Upload,
    names: Names,
    head: Head,
    when: When,
    same_input: bool,
) -> Result<Option<LiveObjects>, StoreError> {
    if head.state != State::Open {
        return Ok(None);
    }
    let mut stored = stored(upload, &names, head).await?;
    if stored.head_mut().go_on(same_input).is_err() {
        return Ok(None);
    }
    LiveObjects::begin_with(upload, names, stored, Manner::of(when)).await.map(Some)
}

/// Where segments end in what comes now: their header is the first live object.
pub(super) async fn segment_ends(
    store: &Patient,
    names: &Names,
    head: &Head,
    aim: Duration,
) -> Result<Option<SegmentEnds>, StoreError> {
    let at = head.edge();
    if at == 0 {
        return Ok(Some(SegmentEnds::beginning(aim)));
    }
    let run = head.runs.iter().rev().find(|run| run.from == 0).map_or(0, |run| run.run);
    let header = store.get_small(&names.object(&head.recording, run, 0), HEADER_MAX as u64).await;
    let header = match header {
        Ok(header) => header,
        Err(error) if error.kind == Kind::Refused => None,
        Err(error) => return Err(error),
    };
    let movie = header.and_then(|header| Movie::parse(&header.bytes));
    Ok(movie.and_then(|movie| SegmentEnds::going_on(aim, Arc::new(movie), at)))
}
