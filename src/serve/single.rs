//! One track of a segment by itself, and its header: the indexes of the fragments are read, and all else is sent as it lies in the
//! object.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::gateway::Gateway;
use super::hls::index::Index;
use super::hls::media::reach;
use super::hls::tracks::Span;
use super::patchwork::Patch;
use super::recording::Broken;
use super::refusal::Refusal;
use super::viewing::Viewing;
use crate::media::fmp4::single::{self, NotSingle, Samples};
use crate::media::fmp4::{BoxHead, BoxWalker, Event, FourCc, Track, TrackKind, Wish};

/// What is read at once in search of a `moof`.
const LOOK: u64 = 16 << 10;

/// So many seconds beyond the newest segment one is waited for: another gateway may have found it already.
pub(crate) const SOON: u64 = 10;

/// A track of a stretch of the object.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) track: Track,
    pub(crate) within: Range<u64>,
    /// Its number.
    pub(crate) segment: u32,
}

impl Asked {
    /// The segment of a span of the track; none where there is no such segment.
    pub(crate) fn of(track: &Track, span: &Span, index: &Index) -> Option<Self> {
        let (first, end) = index.timeline.segments.place(usize::try_from(span.segment).ok()?)?;
        Some(Self { track: track.clone(), within: first..end, segment: span.segment })
    }
}

/// The type of an answer with this track alone.
pub(crate) fn content_type(track: &Track) -> &'static str {
    if track.kind == TrackKind::Audio { "audio/mp4" } else { "video/mp4" }
}

/// The header in these bytes of the object with one track alone.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn header(viewing: &Viewing, place: Range<u64>, track: &Track) -> Result<Bytes, Refusal> {
    reach(viewing, place.end).await?;
    let bytes = viewing.collect(place.start, place.end).await.map_err(unreadable)?;
    single::header(&bytes, track).ok_or_else(|| Refusal::busy("its header cannot be read now"))
}

/// The samples of a track in a stretch, looked for once for all who ask at one time.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn samples(gateway: &Gateway, viewing: &Viewing, asked: &Asked) -> Result<Arc<Samples>, Refusal> {
    reach(viewing, asked.within.end).await?;
    let name = (viewing.identity.hash, asked.within.start, asked.track.id);
    gateway.singles.get(name, |_| true, |_| async { look(viewing, asked).await.map(Arc::new) }).await
}

/// A fragment with these samples, and with `more` boxes in it.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn fragment(samples: &Samples, segment: u32, more: &[u8]) -> Result<Arc<Vec<Patch>>, Refusal> {
    let mut patches = Vec::new();
    for fragment in samples.fragments(segment.saturating_add(1), more).map_err(unfit)? {
        patches.push(Patch::Own(fragment.head));
        patches.extend(fragment.places.into_iter().map(Patch::Stretch));
    }
    if patches.is_empty() {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing of this track in there"));
    }
    Ok(Arc::new(patches))
}

async fn look(viewing: &Viewing, asked: &Asked) -> Result<Samples, Refusal> {
    let Range { start, end } = asked.within;
    let mut samples = Samples::new(asked.track.clone(), asked.within.clone());
    let mut walker = BoxWalker::starting_at(wish, start);
    while walker.offset() < end && !walker.is_off() {
        let at = walker.offset();
        let mut bytes = walker.stand_in(end);
        let read;
        if bytes.is_empty() {
            read = viewing.collect(at, at.saturating_add(LOOK).min(end)).await.map_err(unreadable)?;
            bytes = &read;
        }
        if bytes.is_empty() {
            return Err(unreadable(Broken));
        }
        for event in walker.feed(bytes) {
            if let Event::Kept(head, moof) = event {
                samples.take(&moof, head.offset).map_err(unfit)?;
            }
        }
    }
    Ok(samples)
}

fn wish(head: &BoxHead) -> Wish {
    if head.kind == FourCc::MOOF { Wish::Whole } else { Wish::Skip }
}

fn unreadable(_: Broken) -> Refusal {
    Refusal::busy("it cannot be read now")
}

fn unfit(why: NotSingle) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_string())
}
