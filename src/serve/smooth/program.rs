//! Smooth Streaming of several renditions of one program: their manifest, and fragments of whichever the rate names.

use http::{Response, request};

use super::fragments::{There, found, no_such_track, refused, told, unplayable, window};
use super::manifest;
use super::names::Wanted;
use super::several::{self, Lead, is_named, position};
use super::streams::{Streams, There as Known, name_of};
use crate::media::fmp4::TrackKind;
use crate::serve::access_log::Record;
use crate::serve::body::Body;
use crate::serve::gateway::Gateway;
use crate::serve::glimpse::{Glimpse, glimpses};
use crate::serve::hls::answer::listed;
use crate::serve::hls::index::Index;
use crate::serve::hls::indexed::Text;
use crate::serve::hls::waiting::wait;
use crate::serve::name::{Place, Query};
use crate::serve::programs::{self, chosen};
use crate::serve::refusal::Refusal;
use crate::serve::renditions::{self, Member};
use crate::serve::single;
use crate::serve::viewing::Viewing;

/// Whether there is any rendition.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn there(
    gateway: &Gateway,
    master: &str,
    query: &Query<'_>,
    parts: &request::Parts,
) -> Result<(), Refusal> {
    programs::told(gateway, master, query, parts).await.map(drop)
}

/// The manifest of the renditions that there are.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn manifest(
    gateway: &Gateway,
    master: &str,
    query: &Query<'_>,
    (parts, record): (&request::Parts, Option<&mut Record>),
) -> Result<Response<Body>, Refusal> {
    let (window, suffix) = (window(query)?, gateway.suffix(query)?);
    let chosen = chosen(gateway, master, None, query, (parts, record)).await?;
    let asked = format!("smooth {window} {master} {}{suffix}", renditions::name(master, &chosen.members));
    let make = |_| {
        Box::pin(async {
            let all = several::ordered(glimpses(gateway, &chosen.viewings).await?);
            let member = |glimpse: &Glimpse| chosen.members.get(glimpse.position).cloned();
            let members: Vec<Member> = all.iter().filter_map(member).collect();
            let streams = several::streams(&all, window).ok_or_else(unplayable)?;
            let place = Place { version: &renditions::name(master, &members), suffix: &suffix };
            let window = if streams.over { 0 } else { window };
            let text = manifest::text(&streams, window, &place);
            let text = text.ok_or_else(|| Refusal::busy("there is nothing to show yet"))?;
            Ok((Text::of(text), streams.over))
        })
    };
    let (text, over) = gateway.manifests.get(asked, |_| true, make).await?;
    Ok(listed(&text, "application/vnd.ms-sstr+xml", over, gateway.gate.tokens.is_some(), parts))
}

/// A fragment; of those renditions that there are, where no others are named.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn fragment(
    gateway: &Gateway,
    (master, pinned): (&str, Option<Vec<Member>>),
    wanted: &Wanted,
    query: &Query<'_>,
    (parts, mut record): (&request::Parts, Option<&mut Record>),
) -> Result<Response<Body>, Refusal> {
    let is_pinned = pinned.is_some();
    let members = match pinned {
        Some(members) => members,
        None => chosen(gateway, master, None, query, (parts, record.as_deref_mut())).await?.members,
    };
    let own = position(wanted.rate);
    let (Some(first), Some(member)) = (members.first(), members.get(own)) else { return Err(no_such_track()) };
    let bucket = gateway.named(query, &member.key, record, parts)?;
    let lead = programs::viewing(gateway, bucket, first, parts).await?;
    let kind = [TrackKind::Video, TrackKind::Audio].into_iter().find(|kind| name_of(*kind) == wanted.track);
    let kind = kind.ok_or_else(no_such_track)?;
    if own == 0 {
        let there = of_first(gateway, &lead, wanted, kind).await?;
        return told(gateway, lead, there, (wanted.bare, is_pinned), parts).await;
    }
    let viewing = programs::viewing(gateway, bucket, member, parts).await?;
    let there = match kind {
        TrackKind::Audio => sound(gateway, (&lead, &viewing), wanted).await?,
        _ => pictures(gateway, (&lead, &viewing), wanted).await?,
    };
    told(gateway, viewing, there, (wanted.bare, is_pinned), parts).await
}

fn streams(index: &Index) -> Streams<'_> {
    Streams::of(&index.tracks, index.is_over())
}

/// Of the rendition that tells of all.
async fn of_first(gateway: &Gateway, lead: &Viewing, wanted: &Wanted, kind: TrackKind) -> Result<There, Refusal> {
    let indexed = gateway.indexes.of(lead);
    wait(gateway, &indexed, lead, |state| {
        let streams = streams(&state.index);
        match streams.of_kind(kind).filter(|stream| is_named(stream, wanted.rate)) {
            Some(stream) => found(stream, wanted.time, streams.over, &state.index),
            None => Some(Err(no_such_track())),
        }
    })
    .await
}

/// Sound that the first rendition has not, by the beginning that this has.
async fn sound(gateway: &Gateway, (lead, viewing): (&Viewing, &Viewing), wanted: &Wanted) -> Result<There, Refusal> {
    let indexed = gateway.indexes.of(lead);
    let zero = wait(gateway, &indexed, lead, |state| Some(Ok(streams(&state.index).zero))).await?;
    let indexed = gateway.indexes.of(viewing);
    wait(gateway, &indexed, viewing, |state| {
        let streams = streams(&state.index);
        match several::sound(&streams, zero).filter(|stream| is_named(stream, wanted.rate)) {
            Some(stream) => found(&stream, wanted.time, streams.over, &state.index),
            None => Some(Err(no_such_track())),
        }
    })
    .await
}

/// Pictures that are as those of the first rendition then, which are waited for, too: it says what follows.
async fn pictures(gateway: &Gateway, (lead, viewing): (&Viewing, &Viewing), wanted: &Wanted) -> Result<There, Refusal> {
    let indexed = gateway.indexes.of(lead);
    let lead = wait(gateway, &indexed, lead, |state| match Lead::of(&streams(&state.index), wanted.time) {
        Ok(lead) => Some(Ok(lead)),
        Err(other) => refused(other).map(Err),
    })
    .await?;
    let indexed = gateway.indexes.of(viewing);
    wait(gateway, &indexed, viewing, |state| {
        let streams = streams(&state.index);
        let stream = streams.of_kind(TrackKind::Video).filter(|stream| is_named(stream, wanted.rate));
        let Some(stream) = stream else { return Some(Err(no_such_track())) };
        let place = match lead.beside(stream, streams.over) {
            Known::Here(place) => place,
            other => return refused(other).map(Err),
        };
        let asked = stream.span(place).and_then(|span| single::Asked::of(stream.track, span, &state.index));
        let Some(asked) = asked else { return Some(Err(Refusal::not_there())) };
        let Lead { time, next, timescale, .. } = lead.clone();
        Some(Ok(There { asked, time, next, shown: stream.shown(place), timescale }))
    })
    .await
}
