//! `/KEY.isml/…`: which answer is asked for, held back until there is something to answer with.

use std::sync::Arc;

use http::header;
use http::{Response, StatusCode, request};

use super::boxes::{Time, boxes};
use super::manifest;
use super::names::{self, Asked, Wanted, What};
use super::streams::{Streams, There};
use crate::human::sizes;
use crate::protocol::escape;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::{self, Gateway};
use crate::serve::hls::answer::{keep, listed};
use crate::serve::hls::index::Index;
use crate::serve::hls::indexed::{Kind, Shape, State, Text};
use crate::serve::hls::media::{Whole, immutable};
use crate::serve::hls::waiting::wait;
use crate::serve::name::{Place, Query, Unnamed};
use crate::serve::patchwork::Patch;
use crate::serve::refusal::Refusal;
use crate::serve::single;
use crate::serve::viewing::Viewing;

/// The header of an `mdat`, at the end of what comes before samples.
const MDAT: usize = 8;

/// Answers `/KEY.isml/…`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn smooth(
    gateway: &Gateway,
    path: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let query = gateway::query(parts);
    let Asked { key, version, what } = names::asked(path)?.ok_or_else(Refusal::not_there)?;
    let is_pinned = version.is_some();
    let viewing = match version {
        Some(version) => gateway.find_version(&query, &key, version, record, parts).await?,
        None => gateway.find(&query, &key, record, parts).await?.0,
    };
    match what {
        What::Manifest => manifest(gateway, &viewing, &query, parts).await,
        What::Fragment(wanted) => fragment(gateway, viewing, wanted, is_pinned, parts).await,
    }
}

async fn manifest(
    gateway: &Gateway,
    viewing: &Viewing,
    query: &Query<'_>,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let window = match query.get("dvr")? {
        Some(dvr) => sizes::duration(&dvr).map_err(|_| Unnamed::Wrong("dvr is a duration, such as 30m"))?.as_secs(),
        None => 0,
    };
    let suffix = gateway.suffix(query)?;
    let version = escape::segment(&viewing.identity.version);
    let indexed = gateway.indexes.of(viewing);
    let (text, over) = wait(gateway, &indexed, viewing, |state| {
        let over = match playable(&state.index) {
            Ok(streams) => streams.over,
            Err(refusal) => return Some(Err(refusal)),
        };
        // Of what is over there is all of it.
        let window = if over { 0 } else { window };
        let shape = Shape { kind: Kind::Smooth { window }, suffix: suffix.clone(), since: None };
        let text = text(state, &shape, window, &Place { version: &version, suffix: &suffix });
        text.map(|text| Ok((text, over)))
    })
    .await?;
    Ok(listed(&text, "application/vnd.ms-sstr+xml", over, gateway.gate.tokens.is_some(), parts))
}

/// A manifest as it is now; none where nothing can be told of yet.
fn text(state: &mut State, shape: &Shape, window: u64, place: &Place<'_>) -> Option<Text> {
    let make = |index: &Index| manifest::text(&Streams::of(index), window, place).unwrap_or_default();
    state.text_by(shape, |index, _| make(index)).filter(|made| !made.plain.is_empty())
}

/// What players of Smooth Streaming can play of it.
fn playable(index: &Index) -> Result<Streams<'_>, Refusal> {
    let streams = Streams::of(index);
    if streams.all.is_empty() {
        let why = "Smooth Streaming has H.264 and AAC alone, and there is neither in it; HLS (/hls/) and DASH (/dash/) have more";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    Ok(streams)
}

/// A fragment that is there.
#[derive(Debug)]
struct Found {
    asked: single::Asked,
    time: Time,
    next: Vec<Time>,
    /// When it is shown, by the clock of the track.
    shown: i64,
}

async fn fragment(
    gateway: &Gateway,
    viewing: Viewing,
    wanted: Wanted,
    is_pinned: bool,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let found = wait(gateway, &indexed, &viewing, |state| find(&state.index, &wanted)).await?;
    let Found { asked, time, next, shown } = found;
    let samples = single::samples(gateway, &viewing, &asked).await?;
    let not_apart = || {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the times of its samples are such that no fragment has them all",
        )
    };
    // How much later than it was each is shown after it is decoded, as there is no edit list.
    let decoded = samples.time().and_then(|(decoded, _)| i64::try_from(decoded).ok());
    let later = decoded.and_then(|decoded| decoded.checked_add(asked.track.edit_offset)?.checked_sub(shown));
    let moved = later.and_then(|later| samples.moved(time.0, later)).ok_or_else(not_apart)?;
    let patches = single::fragment(&moved, asked.segment, &boxes(time, &next))?;
    let whole = match patches.first() {
        Some(Patch::Own(head)) if wanted.bare => Whole::Bytes(head.slice(..head.len().saturating_sub(MDAT))),
        _ => Whole::Patches(Arc::clone(&patches)),
    };
    let name = format!("{}-{}{}", asked.track.id, time.0, if wanted.bare { "-moof" } else { "-smooth" });
    let mut answer = immutable(gateway, viewing, &name, single::content_type(&asked.track), whole, parts)?;
    if !is_pinned {
        // Another version may have the same.
        let keep = keep(false, gateway.gate.tokens.is_some());
        answer.headers_mut().insert(header::CACHE_CONTROL, keep);
    }
    Ok(answer)
}

/// What is asked for; none where it may come.
fn find(index: &Index, wanted: &Wanted) -> Option<Result<Found, Refusal>> {
    let refused = |status, text: &'static str| Some(Err(Refusal::new(status, text)));
    let streams = match playable(index) {
        Ok(streams) => streams,
        Err(refusal) => return Some(Err(refusal)),
    };
    let Some(stream) = streams.find(&wanted.track, wanted.rate) else {
        return refused(StatusCode::NOT_FOUND, "there is no such track, or not with this rate");
    };
    let place = match stream.at(wanted.time, streams.over) {
        There::Here(place) => place,
        There::NotYet => return None,
        There::Beyond => return refused(StatusCode::PRECONDITION_FAILED, "this is too far beyond the newest fragment"),
        There::Nowhere => return refused(StatusCode::NOT_FOUND, "no fragment of this track begins then"),
    };
    let asked = stream.span(place).and_then(|span| single::Asked::of(stream.track, span, index));
    let Some(asked) = asked else { return Some(Err(Refusal::not_there())) };
    Some(Ok(Found { asked, time: stream.time(place), next: stream.next(place), shown: stream.shown(place) }))
}
