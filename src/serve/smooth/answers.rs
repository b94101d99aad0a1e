//! `/KEY.isml/…`: which answer is asked for, held back until there is something to answer with.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode, request};

use super::fragments::{There, found, no_such_track, told, unplayable, window};
use super::manifest;
use super::names::{self, Asked, Of, Wanted, What};
use super::program;
use super::streams::Streams;
use crate::protocol::escape;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::{self, Gateway, status};
use crate::serve::hls::answer::listed;
use crate::serve::hls::index::Index;
use crate::serve::hls::indexed::{Kind, Shape, State, Text};
use crate::serve::hls::waiting::wait;
use crate::serve::name::{Place, Query};
use crate::serve::refusal::Refusal;
use crate::serve::renditions::{Member, PLAYLIST};
use crate::serve::reply::NO_STORE;
use crate::serve::viewing::Viewing;

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
    let mut record = record;
    let Asked { key, of, what } = names::asked(path)?.ok_or_else(Refusal::not_there)?;
    let found = match of {
        // A playlist in the bucket is no recording: what writers have told of beside it is meant.
        Of::Newest if key.ends_with(PLAYLIST) => Found::Program(None, key),
        Of::Newest => match gateway.find(&query, &key, record.as_deref_mut(), parts).await {
            Ok((viewing, _)) => Found::One(viewing, false),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Found::Program(None, format!("{key}{PLAYLIST}")),
            Err(refusal) => return Err(refusal),
        },
        Of::Version(version) => {
            Found::One(gateway.find_version(&query, &key, version, record.as_deref_mut(), parts).await?, true)
        }
        Of::Several(members) => Found::Program(Some(members), key),
    };
    match (what, found) {
        (What::Manifest, Found::One(viewing, _)) => manifest(gateway, &viewing, &query, parts).await,
        (What::Manifest, Found::Program(_, master)) => {
            program::manifest(gateway, &master, &query, (parts, record)).await
        }
        (What::Fragment(wanted), Found::One(viewing, is_pinned)) => {
            fragment(gateway, viewing, wanted, is_pinned, parts).await
        }
        (What::Fragment(wanted), Found::Program(members, master)) => {
            program::fragment(gateway, (&master, members), &wanted, &query, (parts, record)).await
        }
        (What::Playlist, Found::One(viewing, _)) => playlist(path, &format!("{}/index.m3u8", viewing.key), parts),
        (What::Playlist, Found::Program(_, master)) => {
            program::there(gateway, &master, &query, parts).await?;
            playlist(path, &master, parts)
        }
    }
}

/// What a key stands for.
enum Found {
    /// An object, and whether one certain version of it.
    One(Viewing, bool),
    /// Renditions, certain ones or those that there are, beside a multivariant playlist.
    Program(Option<Vec<Member>>, String),
}

/// Sends a player that knows nothing of Smooth Streaming to HLS, by a path from here, so that a link or a proxy in front stays what it is.
fn playlist(path: &str, name: &str, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let up = "../".repeat(path.matches('/').count());
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let place = HeaderValue::from_str(&format!("{up}hls/{}{query}", escape::path(name)));
    let mut answer = status(StatusCode::FOUND);
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, place.map_err(|_| Refusal::not_there())?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    headers.insert(header::CONTENT_LENGTH, 0.into());
    Ok(answer)
}

async fn manifest(
    gateway: &Gateway,
    viewing: &Viewing,
    query: &Query<'_>,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let window = window(query)?;
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
        let shape =
            Shape { kind: Kind::Smooth { window }, suffix: suffix.clone(), since: None, reports: String::new() };
        let text = text(state, &shape, window, &Place { version: &version, suffix: &suffix });
        text.map(|text| Ok((text, over)))
    })
    .await?;
    Ok(listed(&text, "application/vnd.ms-sstr+xml", over, gateway.gate.tokens.is_some(), parts))
}

/// A manifest as it is now; none where nothing can be told of yet.
fn text(state: &mut State, shape: &Shape, window: u64, place: &Place<'_>) -> Option<Text> {
    let make =
        |index: &Index| manifest::text(&Streams::of(&index.tracks, index.is_over()), window, place).unwrap_or_default();
    state.text_by(shape, |index, _| make(index)).filter(|made| !made.plain.is_empty())
}

/// What players of Smooth Streaming can play of it.
fn playable(index: &Index) -> Result<Streams<'_>, Refusal> {
    let streams = Streams::of(&index.tracks, index.is_over());
    if streams.all.is_empty() { Err(unplayable()) } else { Ok(streams) }
}

async fn fragment(
    gateway: &Gateway,
    viewing: Viewing,
    wanted: Wanted,
    is_pinned: bool,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let there = wait(gateway, &indexed, &viewing, |state| find(&state.index, &wanted)).await?;
    told(gateway, viewing, there, (wanted.bare, is_pinned), parts).await
}

/// What is asked for; none where it may come.
fn find(index: &Index, wanted: &Wanted) -> Option<Result<There, Refusal>> {
    let streams = match playable(index) {
        Ok(streams) => streams,
        Err(refusal) => return Some(Err(refusal)),
    };
    match streams.find(&wanted.track, wanted.rate) {
        Some(stream) => found(stream, wanted.time, streams.over, index),
        None => Some(Err(no_such_track())),
    }
}
