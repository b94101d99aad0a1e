//! `writer --hls-rebuild`: makes the playlist of a recording anew from the boxes of its objects.
//!
//! Times of day that an older playlist tells are kept, and so is its target duration, which must not change (RFC 8216,
//! 6.2.1). Without one the time of day is counted from the start of the upload, which is a few seconds early.

use std::collections::HashMap;

use tokio::sync::watch;

use super::claim::{self, Claim};
use super::playlist::{PlaylistKind, Timeline, View, Written, reference};
use super::recording::Recording;
use super::segments::Segment;
use super::unfit::Unfit;
use super::walk::{self, Reach, Walk};
use super::{Settings, publish};
use crate::protocol::key::numbered;
use crate::protocol::live_read::MAX_PARTS;
use crate::store::{Patient, StoreError};

/// Why there is no playlist.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The store refused, or was away for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to be played.
    #[error("{0}: there is neither a finished object nor an open upload of this key")]
    Nothing(String),
    /// It cannot be played by a playlist.
    #[error("{object} cannot be played by HLS: {unfit}")]
    Unfit {
        /// The object.
        object: String,
        /// Why.
        unfit: Unfit,
    },
    /// Another recording writes its playlist there.
    #[error(
        "another recording, of {by}, writes its own playlist to {playlist}. --hls-key writes this one to another key"
    )]
    Taken {
        /// The object that the other playlist shows.
        by: String,
        /// The playlist.
        playlist: String,
    },
    /// No segment is whole.
    #[error("{0}: no segment of it is whole yet")]
    Empty(String),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Segments in the playlist.
    pub segments: usize,
    /// How long it plays, in seconds.
    pub seconds: u64,
    /// Whether nothing will be added.
    pub ended: bool,
    /// Requests that it took to read the objects.
    pub requests: u64,
}

/// An object of the recording, open or finished.
#[derive(Debug)]
struct Member {
    version: Option<String>,
    /// Its size if it is finished.
    size: Option<u64>,
    /// When its upload began, in seconds since 1970.
    began: Option<i64>,
}

/// Writes the playlist of `key` and of the objects that it was continued in.
///
/// # Errors
/// [`RebuildError`]; the playlist that was there before stays.
pub async fn rebuild(store: &Patient, key: &str, settings: &Settings) -> Result<Rebuilt, RebuildError> {
    match claim::look(store.once().clone(), settings.key.clone(), key.to_owned()).await {
        Claim::Free => {}
        Claim::Replaces(other) => {
            tracing::info!("the playlist takes the place of that of {other} in {}", store.object(&settings.key));
        }
        Claim::Taken(by) => return Err(RebuildError::Taken { by, playlist: store.object(&settings.key) }),
    }
    let before = walk::read(store, &settings.key).await?;
    let mut recording = Recording::new(settings.time);
    let (mut requests, mut ended, mut since) = (0, true, None);
    for number in 1..=MAX_PARTS {
        let key = numbered(key, number);
        let Some(member) = find(store, &key, since).await? else { break };
        since = member.began;
        let uri = reference(&settings.key, &key, member.version.as_deref());
        if let Some(before) = before.as_ref().filter(|before| number == 1 && shows(before, &uri)) {
            recording.promise(before.view.target);
        }
        let (tell, readable) = watch::channel(0);
        recording.begin_object(uri.clone(), uri.clone(), readable, true, None);
        recording.set_clock(member.began);
        let mut walk = Walk::new(store.once(), key.clone(), member.version);
        let mut unfit = None;
        let take = |found| unfit = recording.take(&found, None).err().or(unfit.take());
        let reach = walk.go_on(member.size.unwrap_or(u64::MAX), take).await?;
        requests += walk.requests;
        ended = member.size.is_some();
        tell.send_replace(match (reach, member.size) {
            (Reach::All, size) => size.unwrap_or(0),
            (Reach::Edge(edge), _) => edge,
        });
        recording.scanned(&uri);
        recording.complete(&uri);
        recording.list();
        if let Some(unfit) = unfit {
            let object = store.object(&key);
            if recording.timeline.segments.is_empty() {
                return Err(RebuildError::Unfit { object, unfit });
            }
            tracing::warn!("{object}: {unfit}");
        }
        if !ended {
            break;
        }
    }
    if since.is_none() && requests == 0 {
        return Err(RebuildError::Nothing(store.object(key)));
    }
    if recording.timeline.segments.is_empty() {
        return Err(RebuildError::Empty(store.object(key)));
    }
    let view = view(&mut recording, before.as_ref(), settings, ended);
    let text = recording.timeline.text(&view);
    publish::write_patiently(store, &settings.key, text, ended).await?;
    let timeline = &recording.timeline;
    Ok(Rebuilt { segments: timeline.segments.len(), seconds: timeline.micros() / 1_000_000, ended, requests })
}

/// Whether a playlist shows this object.
fn shows(written: &Written, uri: &str) -> bool {
    written.timeline.objects.iter().any(|object| object.uri == uri)
}

/// How to show it: as the older playlist did, if there is one.
fn view(recording: &mut Recording, before: Option<&Written>, settings: &Settings, ended: bool) -> View {
    let first = recording.timeline.objects.first().map(|object| object.uri.clone()).unwrap_or_default();
    let Some(before) = before.filter(|before| shows(before, &first)) else {
        // Nothing is added later, so no segment will be longer than those that are there.
        let target = if ended { recording.longest() } else { recording.decide(settings.part_size, None, None) };
        return View {
            target: target.max(1),
            kind: if ended { PlaylistKind::Vod } else { PlaylistKind::Event },
            from: 0,
            ended,
        };
    };
    take_dates(&mut recording.timeline, &before.timeline);
    let target = before.view.target.max(recording.longest());
    let kind = match before.view.kind {
        PlaylistKind::Event => PlaylistKind::Event,
        _ if ended => PlaylistKind::Vod,
        // All of it, from the first segment on, with the numbers that it had.
        _ => PlaylistKind::Sliding,
    };
    View { target, kind, from: 0, ended }
}

/// Takes over what an older playlist tells of the time of day.
fn take_dates(timeline: &mut Timeline, before: &Timeline) {
    let mut dates = HashMap::new();
    for segment in &before.segments {
        if let (Some(object), Some(date)) = (before.objects.get(segment.object), segment.date) {
            dates.insert((object.uri.as_str(), segment.first), date);
        }
    }
    let mut due: Option<(usize, i64)> = None;
    let segments = timeline.segments.iter().map(|segment| {
        let uri = timeline.objects.get(segment.object).map_or("", |object| object.uri.as_str());
        let known = dates.get(&(uri, segment.first)).copied();
        let goes_on = due.filter(|(object, _)| *object == segment.object).map(|(_, date)| date);
        let date = known.or(goes_on).or(segment.date);
        due = date.map(|date| (segment.object, date.saturating_add_unsigned(segment.micros)));
        Segment { date, ..segment }
    });
    timeline.segments = segments.collect();
}

/// The newest upload of `key`, open or finished, that began no earlier than `since`.
async fn find(store: &Patient, key: &str, since: Option<i64>) -> Result<Option<Member>, StoreError> {
    let young = |time: Option<i64>| since.is_none() || time >= since;
    let uploads = match store.open_uploads(key).await {
        Err(error) if error.may_not_list() => Vec::new(),
        other => other?,
    };
    let head = store.head(key, None).await?.filter(|head| young(head.modified));
    let open = uploads.into_iter().rev().find(|upload| young(upload.started));
    if let Some(open) = open
        && head.as_ref().is_none_or(|head| head.modified <= open.started)
    {
        return Ok(Some(Member { version: Some(open.id), size: None, began: open.started }));
    }
    Ok(head.map(|head| Member { version: head.version, size: Some(head.size), began: head.modified }))
}
