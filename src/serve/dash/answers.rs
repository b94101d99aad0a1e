//! `/dash/…`: which answer is asked for, held back until there is something to answer with.

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, request};

use super::manifest;
use super::names::{self, Asked, What};
use super::several::{self, Told};
use crate::hls::clock;
use crate::hls::playlist::reference;
use crate::media::fmp4::{Track, TrackKind};
use crate::protocol::escape;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::{self, Gateway};
use crate::serve::glimpse::{self, Glimpse};
use crate::serve::hls::answer::listed;
use crate::serve::hls::index::Index;
use crate::serve::hls::indexed::{Kind, Shape, Text};
use crate::serve::hls::media::{Whole, immutable};
use crate::serve::hls::tracks::Span;
use crate::serve::hls::waiting::wait;
use crate::serve::name::{Place, Query};
use crate::serve::programs;
use crate::serve::refusal::Refusal;
use crate::serve::renditions::{self, Member, PLAYLIST};
use crate::serve::single;
use crate::serve::viewing::Viewing;

/// Answers `/dash/…`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn dash(
    gateway: &Gateway,
    path: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let query = gateway::query(parts);
    match names::asked(path)?.ok_or_else(Refusal::not_there)? {
        // A playlist in the bucket is no recording: what writers have told of beside it is meant.
        Asked::Manifest { key } if key.ends_with(PLAYLIST) => {
            program(gateway, &key, None, &query, (parts, record)).await
        }
        Asked::Several { master, members } => program(gateway, &master, Some(members), &query, (parts, record)).await,
        Asked::Manifest { key } => {
            let (viewing, _) = gateway.find(&query, &key, record, parts).await?;
            manifest(gateway, &viewing, gateway.suffix(&query)?, parts).await
        }
        Asked::Version { key, version, what } => {
            let viewing = gateway.find_version(&query, &key, version, record, parts).await?;
            match what {
                What::Manifest => manifest(gateway, &viewing, gateway.suffix(&query)?, parts).await,
                What::Now => Ok(now(parts)),
                What::Init { era, track } => init(gateway, viewing, (era, track), parts).await,
                What::Segment { era, track, time } => segment(gateway, viewing, (era, track), time, parts).await,
            }
        }
    }
}

async fn manifest(
    gateway: &Gateway,
    viewing: &Viewing,
    suffix: String,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(viewing);
    let (version, shape) = (
        escape::segment(&viewing.identity.version),
        Shape { kind: Kind::Dash, suffix, since: None, reports: String::new() },
    );
    let (text, over) = wait(gateway, &indexed, viewing, |state| {
        let begun = state.begun(glimpse::now());
        let over = state.index.is_over();
        let text = state.text_by(&shape, |index, promise| {
            let place = Place { version: &version, suffix: &shape.suffix };
            manifest::text(index, promise.target, begun, &place)
        });
        text.map(|text| Ok((text, over)))
    })
    .await?;
    Ok(listed(&text, "application/dash+xml", over, gateway.gate.tokens.is_some(), parts))
}

/// Of several renditions: of those that there are, or of certain ones.
async fn program(
    gateway: &Gateway,
    master: &str,
    pinned: Option<Vec<Member>>,
    query: &Query<'_>,
    (parts, record): (&request::Parts, Option<&mut Record>),
) -> Result<Response<Body>, Refusal> {
    let suffix = gateway.suffix(query)?;
    let chosen = programs::chosen(gateway, master, pinned, query, (parts, record)).await?;
    let set = renditions::name(master, &chosen.members);
    let asked = format!("dash {master} {set}{suffix}");
    let make = |_| {
        Box::pin(async {
            let glimpses = glimpse::glimpses(gateway, &chosen.viewings).await?;
            let told = |glimpse| -> Option<Told<'_>> {
                let glimpse: &Glimpse = glimpse;
                let Member { key, version } = chosen.members.get(glimpse.position)?;
                Some(Told {
                    glimpse,
                    folder: format!("../{}/{}", reference(master, key, None), escape::segment(version)),
                })
            };
            let all: Vec<_> = glimpses.iter().filter_map(told).collect();
            let text = several::text(&all, &several::Place { set: &set, suffix: &suffix });
            let text = text.ok_or_else(|| {
                Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "there is nothing to be played in it")
            })?;
            Ok((Text::of(text), glimpses.iter().all(|glimpse| glimpse.over)))
        })
    };
    let (text, over) = gateway.manifests.get(asked, |_| true, make).await?;
    Ok(listed(&text, "application/dash+xml", over, gateway.gate.tokens.is_some(), parts))
}

/// The time of day, by which players know what there is by now.
fn now(parts: &request::Parts) -> Response<Body> {
    let text = clock::show(glimpse::now());
    let length = text.len();
    let mut answer = Response::new(if parts.method == Method::HEAD { Body::nothing() } else { Body::text(text) });
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A track that players of DASH are told of.
fn track(index: &Index, era: usize, id: u32) -> Option<&Track> {
    index.tracks.eras.get(era)?.movie.track(id).filter(|track| track.kind != TrackKind::Other)
}

async fn init(
    gateway: &Gateway,
    viewing: Viewing,
    (era, id): (usize, u32),
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let (track, place) = wait(gateway, &indexed, &viewing, |state| {
        let index = &state.index;
        let found = track(index, era, id).zip(index.timeline.objects.get(era));
        let place = |first: u64, length: u64| first..first.saturating_add(length);
        let found = found.map(|(track, object)| (track.clone(), place(object.header, object.header_len)));
        Some(found.ok_or_else(Refusal::not_there))
    })
    .await?;
    let bytes = single::header(&viewing, place, &track).await?;
    immutable(gateway, viewing, &format!("{era}-{id}-init"), single::content_type(&track), Whole::Bytes(bytes), parts)
}

async fn segment(
    gateway: &Gateway,
    viewing: Viewing,
    (era, id): (usize, u32),
    time: u64,
    parts: &request::Parts,
) -> Result<Response<Body>, Refusal> {
    let indexed = gateway.indexes.of(&viewing);
    let asked = wait(gateway, &indexed, &viewing, |state| find(&state.index, (era, id), time)).await?;
    let samples = single::samples(gateway, &viewing, &asked).await?;
    let whole = Whole::Patches(single::fragment(&samples, asked.segment, &[])?);
    immutable(gateway, viewing, &format!("{era}-{id}-{time}"), single::content_type(&asked.track), whole, parts)
}

/// The segment of a track that begins at this time; none where it may come.
fn find(index: &Index, (era, id): (usize, u32), time: u64) -> Option<Result<single::Asked, Refusal>> {
    let nothing = || Some(Err(Refusal::new(StatusCode::NOT_FOUND, "no segment of this track begins then")));
    let Some(track) = track(index, era, id) else { return nothing() };
    let line = index.tracks.eras.get(era).and_then(|era| era.lines.iter().find(|line| line.id == id));
    let Some(span) = line.and_then(|line| line.at(time)) else {
        let end = line.and_then(|line| line.spans.last()).map_or(0, Span::end);
        let soon = end..end.saturating_add(single::SOON * u64::from(track.timescale));
        let may_come = !index.is_over() && era + 1 == index.tracks.eras.len() && soon.contains(&time);
        return if may_come { None } else { nothing() };
    };
    single::Asked::of(track, &span, index).map(Ok).or_else(nothing)
}
