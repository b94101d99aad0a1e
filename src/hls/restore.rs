//! Goes on with the playlist of an upload whose live objects another writer began with: what that playlist shows is taken
//! over, and what of the live objects it does not show is read.

use std::sync::Arc;
use std::time::Duration;

use super::live_names::LiveNames;
use super::playlist::{PlaylistKind, Written};
use super::recording::Recording;
use super::{dvr_key_for, walk};
use crate::media::fmp4::found::HEADER_MAX;
use crate::media::fmp4::{Found, Header, Movie, Scanner};
use crate::object::tap::Beside;
use crate::protocol::live_read::MAX_PART_SIZE;
use crate::store::retry::Retry;
use crate::store::{Patient, Store, StoreError};

/// How long one request may keep failing.
const RETRY: Retry = Retry { give_up_after: Duration::from_secs(30) };

/// An upload that is gone on with, and its live objects.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) upload_id: String,
    pub(super) beside: Beside,
    /// How the playlist refers to them.
    pub(super) live: LiveNames,
}

/// How the playlist goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restored {
    /// After so many segments.
    At(usize),
    /// Not before the end: there are no more live objects, or they cannot be understood.
    Never,
}

/// Has `recording`, of which the upload is the newest object, go on where live objects end.
pub(super) async fn restore(
    store: &Store,
    playlist: &str,
    resumed: &Resumed,
    recording: &mut Recording,
) -> Result<Restored, StoreError> {
    let store = store.patient(RETRY);
    let Resumed { upload_id, beside, live } = resumed;
    let mut scanner = Scanner::new();
    let mut at = 0;
    let shown = shown(&store, playlist, live).await?;
    let header = match &shown {
        Some(written) => header(&store, written, resumed).await?,
        None => None,
    };
    if let (Some(written), Some(header)) = (shown, header) {
        at = written.timeline.segments.last().map_or(0, |last| last.end());
        scanner = Scanner::starting_at(header.movie.clone(), at);
        recording.restore(written);
        // A header that was good before is good now.
        drop(recording.take(&Found::Header(header), None));
    }
    if beside.given_up {
        return Ok(Restored::Never);
    }
    while at < beside.edge {
        let name = beside.names.object(&beside.recording, live.run_of(at), at);
        let Some(object) = store.get_small(&name, MAX_PART_SIZE).await? else { return Ok(Restored::Never) };
        let end = at + object.bytes.len() as u64;
        for found in scanner.feed(&object.bytes) {
            if recording.take(&found, None).is_err() {
                return Ok(Restored::Never);
            }
        }
        recording.live_object(upload_id, &(at..end));
        at = end;
    }
    recording.list();
    Ok(if at > beside.edge { Restored::Never } else { Restored::At(recording.timeline.segments.len()) })
}

/// What a playlist shows of the recording from its beginning on.
async fn shown(store: &Patient, playlist: &str, live: &LiveNames) -> Result<Option<Written>, StoreError> {
    for key in [dvr_key_for(playlist), playlist.to_owned()] {
        let Some(written) = walk::read(store, &key).await? else { continue };
        let of_this = written.timeline.objects.last().and_then(|object| object.live.as_ref());
        let of_this = of_this.is_some_and(|names| names.is_same(live));
        if of_this && written.view.from == 0 && !written.view.ended && written.view.kind != PlaylistKind::Vod {
            return Ok(Some(written));
        }
    }
    Ok(None)
}

/// The header that the last segments of a playlist need.
async fn header(store: &Patient, written: &Written, resumed: &Resumed) -> Result<Option<Arc<Header>>, StoreError> {
    let Some(object) = written.timeline.objects.last() else { return Ok(None) };
    let beside = &resumed.beside;
    let name = beside.names.object(&beside.recording, resumed.live.run_of(object.header), object.header);
    let Some(small) = store.get_small(&name, HEADER_MAX as u64).await? else { return Ok(None) };
    let Some(movie) = Movie::parse(&small.bytes) else { return Ok(None) };
    let end = object.header.saturating_add(object.header_len);
    Ok(Some(Arc::new(Header { bytes: small.bytes, movie: Arc::new(movie), end })))
}
