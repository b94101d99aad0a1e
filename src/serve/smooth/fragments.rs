//! Fragments of Smooth Streaming: what is known of one, and the answer with it.

use std::sync::Arc;

use http::header;
use http::{Response, StatusCode, request};

use super::boxes::{Time, boxes};
use super::streams::{Stream, There as Known};
use crate::human::sizes;
use crate::media::fmp4::single::scaled;
use crate::serve::body::Body;
use crate::serve::gateway::Gateway;
use crate::serve::hls::answer::keep;
use crate::serve::hls::index::Index;
use crate::serve::hls::media::{Whole, immutable};
use crate::serve::name::{Query, Unnamed};
use crate::serve::patchwork::Patch;
use crate::serve::refusal::Refusal;
use crate::serve::single;
use crate::serve::viewing::Viewing;

/// The header of an `mdat`, at the end of what comes before samples.
const MDAT: usize = 8;

/// Which seconds of what grows are asked for.
pub(super) fn window(query: &Query<'_>) -> Result<u64, Refusal> {
    match query.get("dvr")? {
        Some(dvr) => Ok(sizes::duration(&dvr).map_err(|_| Unnamed::Wrong("dvr is a duration, such as 30m"))?.as_secs()),
        None => Ok(0),
    }
}

pub(super) fn unplayable() -> Refusal {
    let why =
        "Smooth Streaming has H.264 and AAC alone, and there is neither in it; HLS (/hls/) and DASH (/dash/) have more";
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
}

/// A fragment that is there.
#[derive(Debug)]
pub(super) struct There {
    pub(super) asked: single::Asked,
    pub(super) time: Time,
    pub(super) next: Vec<Time>,
    /// When it is shown, by the clock of the track.
    pub(super) shown: i64,
    /// Ticks a second of the stream.
    pub(super) timescale: u32,
}

/// The answer with a fragment; `bare`: without its samples.
pub(super) async fn told(
    gateway: &Gateway,
    viewing: Viewing,
    there: There,
    (bare, is_pinned): (bool, bool),
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let There { asked, time, next, shown, timescale } = there;
    let samples = single::samples(gateway, &viewing, &asked).await?;
    let not_apart = || {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the times of its samples are such that no fragment has them all",
        )
    };
    // How much later than it was each is shown after it is decoded, as there is no edit list.
    let begins = samples.time().and_then(|(decoded, _)| i64::try_from(decoded).ok()).ok_or_else(not_apart)?;
    let (own, track) = (asked.track.timescale, &asked.track);
    let before = shown.checked_sub(track.edit_offset).and_then(|shown| scaled(shown, own, timescale));
    let later = scaled(begins, own, timescale).zip(before).and_then(|(begins, before)| begins.checked_sub(before));
    let moved = samples.in_ticks(own, timescale).zip(later).and_then(|(samples, later)| samples.moved(time.0, later));
    let moved = moved.ok_or_else(not_apart)?;
    let patches = single::fragment(&moved, asked.segment, &boxes(time, &next))?;
    let whole = match patches.first() {
        Some(Patch::Own(head)) if bare => Whole::Bytes(head.slice(..head.len().saturating_sub(MDAT))),
        _ => Whole::Patches(Arc::clone(&patches)),
    };
    let name = format!("{}-{}-{timescale}{}", asked.track.id, time.0, if bare { "-moof" } else { "-smooth" });
    let mut answer = immutable(gateway, viewing, &name, single::content_type(&asked.track), whole, parts)?;
    if !is_pinned {
        // Another version may have the same.
        let keep = keep(false, gateway.gate.tokens.is_some());
        answer.headers_mut().insert(header::CACHE_CONTROL, keep);
    }
    Ok(answer)
}

pub(super) fn no_such_track() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such track, or not with this rate")
}

/// Why there is no fragment; none where it may come.
pub(super) fn refused(there: Known) -> Option<Refusal> {
    match there {
        Known::NotYet => None,
        Known::Beyond => {
            Some(Refusal::new(StatusCode::PRECONDITION_FAILED, "this is too far beyond the newest fragment"))
        }
        Known::Here(_) | Known::Nowhere => {
            Some(Refusal::new(StatusCode::NOT_FOUND, "no fragment of this track begins then"))
        }
    }
}

/// The fragment of a stream that begins then; none where it may come.
pub(super) fn found(stream: &Stream<'_>, time: u64, over: bool, index: &Index) -> Option<Result<There, Refusal>> {
    let place = match stream.at(time, over) {
        Known::Here(place) => place,
        other => return refused(other).map(Err),
    };
    let asked = stream.span(place).and_then(|span| single::Asked::of(stream.track, span, index));
    let Some(asked) = asked else { return Some(Err(Refusal::not_there())) };
    let (time, next, shown) = (stream.time(place), stream.next(place), stream.shown(place));
    Some(Ok(There { asked, time, next, shown, timescale: stream.track.timescale }))
}
