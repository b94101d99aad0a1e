//! Stretches of a version under URLs of their own: headers, segments, and parts, also those that are still on their way.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, request};

use super::waiting::wait_with;
use crate::protocol::content_type::content_type_of;
use crate::serve::body::{Body, Stretch};
use crate::serve::conditions::Conditions;
use crate::serve::gateway::{Gateway, status};
use crate::serve::patchwork::{Patch, Patchwork};
use crate::serve::range::{Ask, Decision, Known, Last, decide};
use crate::serve::recordings::of_store;
use crate::serve::refusal::Refusal;
use crate::serve::viewing::Viewing;

/// Answers for `length` bytes from `first` on.
///
/// # Errors
/// [`Refusal`]: above all where not all of them are there.
pub(crate) async fn stretch(
    gateway: &Gateway,
    viewing: Viewing,
    first: u64,
    length: u64,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let end = first.checked_add(length).ok_or_else(Refusal::not_there)?;
    reach(&viewing, end).await?;
    let kind = content_type_of(&viewing.key).filter(|kind| kind.starts_with("audio/"));
    let kind = kind.map_or("video/mp4", |_| "audio/mp4");
    immutable(gateway, viewing, &format!("{first}-{length}"), kind, Whole::Stretch { first, length }, parts)
}

/// Sees to it that all before `end` can be read.
///
/// # Errors
/// [`Refusal`]: there is not so much, or no memory to follow it.
pub(crate) async fn reach(viewing: &Viewing, end: u64) -> Result<(), Refusal> {
    let known = |viewing: &Viewing| {
        let edge = viewing.edge();
        edge.size.unwrap_or(edge.known)
    };
    // What was asked for a moment ago may be out of date.
    for again in [false, true] {
        if known(viewing) < end {
            viewing.look_at_edge(again).await.map_err(|error| of_store(&error))?;
        }
    }
    if known(viewing) < end {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "it has not so many bytes"));
    }
    if !viewing.can_be_followed() {
        return Err(Refusal::busy("no memory is left to follow another object that grows"));
    }
    Ok(())
}

/// What never changes.
pub(crate) enum Whole {
    /// A stretch of the object.
    Stretch {
        first: u64,
        length: u64,
    },
    Bytes(Bytes),
    /// Put together.
    Patches(Arc<Vec<Patch>>),
}

/// An answer that may be kept for ever, or a range of it; `name`: what tells it from all others of the version.
///
/// # Errors
/// [`Refusal`]: where a condition or a range does not fit.
pub(crate) fn immutable(
    gateway: &Gateway,
    viewing: Viewing,
    name: &str,
    kind: &'static str,
    whole: Whole,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let length = match &whole {
        Whole::Stretch { length, .. } => *length,
        Whole::Bytes(bytes) => bytes.len() as u64,
        Whole::Patches(patches) => patches.iter().map(Patch::length).fold(0, u64::saturating_add),
    };
    let etag = format!("\"{}-{name}\"", viewing.identity.etag.trim_matches('"'));
    let (code, from, to) = decided(parts, &etag, &viewing.identity.modified, length)?;
    let mut answer = match whole {
        _ if code == StatusCode::NOT_MODIFIED => status(code),
        _ if parts.method == Method::HEAD => Response::new(Body::nothing()),
        Whole::Stretch { first, .. } => {
            Response::new(Body::stretch(Stretch::new(viewing, first + from, Some(first + to))))
        }
        Whole::Bytes(bytes) => {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            Response::new(Body::text(bytes.slice(place(from)..place(to))))
        }
        Whole::Patches(patches) => Response::new(Body::patchwork(Patchwork::new(viewing, &patches).cut(from, to))),
    };
    *answer.status_mut() = code;
    let keep = if gateway.gate.tokens.is_some() {
        "private, max-age=31536000, immutable"
    } else {
        "public, max-age=31536000, immutable"
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if code == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, (to - from).into());
    if code == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {from}-{}/{length}", to.saturating_sub(1)))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(answer)
}

/// The status, and which bytes of `length` are asked for.
fn decided(parts: &request::Parts, etag: &str, modified: &str, length: u64) -> Result<(StatusCode, u64, u64), Refusal> {
    let conditions = Conditions::of(&parts.headers);
    // It never changes, whatever becomes of the rest: there is nothing to wait for.
    let ask = Ask { prefer: None, ..conditions.ask(parts.method == Method::HEAD) };
    let known = Known { edge: length, finished: true, etag, modified };
    match decide(&ask, &known, true) {
        Decision::All => Ok((StatusCode::OK, 0, length)),
        Decision::Part { first, last: Last::Byte(last) } => {
            Ok((StatusCode::PARTIAL_CONTENT, first, last.saturating_add(1).min(length)))
        }
        Decision::NotModified => Ok((StatusCode::NOT_MODIFIED, 0, 0)),
        Decision::Failed => Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "it is another one than If-Match names")),
        _ => {
            let mut refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes");
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                refusal.headers.push((header::CONTENT_RANGE, range));
            }
            Err(refusal)
        }
    }
}

/// Answers for the part that begins at `first`, once it is whole: what a playlist announces (`EXT-X-PRELOAD-HINT`).
///
/// # Errors
/// [`Refusal`]: above all where no part begins there.
pub(crate) async fn part(
    gateway: &Gateway,
    viewing: Viewing,
    first: u64,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let goes_on = indexed.state().goes_on();
    let length = wait_with(gateway, &indexed, &viewing, goes_on, |state| {
        let index = &state.index;
        if let Some(part) = index.parts.at(first) {
            return Some(Ok(part.end.saturating_sub(part.first)));
        }
        let may_come = !index.is_over() && first == index.next_part();
        (!may_come).then(|| Err(Refusal::new(StatusCode::NOT_FOUND, "no part begins there")))
    })
    .await?;
    stretch(gateway, viewing, first, length, parts).await
}
