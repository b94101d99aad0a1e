//! Which renditions a program has: those that writers have told of beside a multivariant playlist, and whichever of them are there.

use std::sync::Arc;
use std::time::Duration;

use http::request;
use tokio::time::{Instant, timeout_at};

use super::access_log::Record;
use super::gateway::{Gateway, may};
use super::name::{Query, decoded};
use super::recordings::of_store;
use super::refusal::Refusal;
use super::renditions::{MOST, Member, Told, of_now, resolved};
use super::viewing::Viewing;
use crate::hls::master;
use crate::hls::playlist::Object;
use crate::hls::walk;
use crate::protocol::key::number_of;

/// How long the store is asked about them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The renditions that writers have told of beside the multivariant playlist `written`, as far as whoever asks may have them. The
/// store is asked once for all who ask.
///
/// # Errors
/// [`Refusal`]: above all where there are none.
pub(crate) async fn told(
    gateway: &Gateway,
    written: &str,
    query: &Query<'_>,
    parts: &request::Parts,
) -> Result<Vec<Told>, Refusal> {
    let bucket = gateway.bucket(query)?;
    gateway.names.check(written)?;
    may(parts, bucket, written)?;
    let asked = (bucket.to_owned(), written.to_owned());
    let found = gateway.programs.get(asked, |_| true, |_| Box::pin(look(gateway, bucket, written))).await?;
    let mut found = found.to_vec();
    found.retain(|told| may(parts, bucket, &told.member.key).is_ok());
    if found.is_empty() { Err(Refusal::not_there()) } else { Ok(found) }
}

/// Renditions that can be asked for, and those of them that are there, by their positions.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) members: Vec<Member>,
    pub(crate) viewings: Vec<(usize, Viewing)>,
}

/// Those that there are now beside `master`; or certain ones, and behind them whichever have come since, as long as one of them grows.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn chosen(
    gateway: &Gateway,
    master: &str,
    pinned: Option<Vec<Member>>,
    query: &Query<'_>,
    (parts, record): (&request::Parts, Option<&mut Record>),
) -> Result<Chosen, Refusal> {
    let bucket = gateway.named(query, master, record, parts)?;
    let Some(members) = pinned else {
        let told = of_now(&told(gateway, master, query, parts).await?);
        return open(gateway, bucket, told.into_iter().map(|told| told.member).collect(), parts).await;
    };
    let mut chosen = open(gateway, bucket, members, parts).await?;
    let grows = chosen.viewings.iter().any(|(_, viewing)| viewing.edge().size.is_none());
    let told = if grows { told(gateway, master, query, parts).await.ok() } else { None };
    let now: Vec<_> = told.map(|told| of_now(&told)).unwrap_or_default().into_iter().map(|told| told.member).collect();
    // Where one of them has been replaced, the others belong to what did that.
    if chosen.members.iter().all(|member| now.contains(member)) {
        let mut members = chosen.members.clone();
        members.extend(now.into_iter().filter(|member| !chosen.members.contains(member)));
        members.truncate(MOST);
        if members.len() > chosen.members.len() {
            chosen = open(gateway, bucket, members, parts).await?;
        }
    }
    Ok(chosen)
}

/// Whichever of them are there, and may be had.
///
/// # Errors
/// [`Refusal`]: of the first, where none is.
pub(crate) async fn open(
    gateway: &Gateway,
    bucket: &str,
    members: Vec<Member>,
    parts: &request::Parts,
) -> Result<Chosen, Refusal> {
    let (mut viewings, mut why) = (Vec::new(), None);
    for (position, member) in members.iter().enumerate() {
        match viewing(gateway, bucket, member, parts).await {
            Ok(viewing) => viewings.push((position, viewing)),
            Err(refusal) => drop(why.get_or_insert(refusal)),
        }
    }
    if viewings.is_empty() {
        return Err(why.unwrap_or_else(Refusal::not_there));
    }
    Ok(Chosen { members, viewings })
}

/// One of them, where it may be had.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn viewing(
    gateway: &Gateway,
    bucket: &str,
    member: &Member,
    parts: &request::Parts,
) -> Result<Viewing, Refusal> {
    gateway.names.check(&member.key)?;
    may(parts, bucket, &member.key)?;
    gateway.version(bucket, &member.key, member.version.clone()).await
}

async fn look(gateway: &Gateway, bucket: &str, written: &str) -> Result<Arc<Vec<Told>>, Refusal> {
    let store = gateway.recordings.store(bucket);
    let look = async {
        let mut found = Vec::new();
        for rendition in master::told(&store, written).await.map_err(|error| of_store(&error))? {
            let beside = |from: &str, to: &str| decoded(to).ok().map(|to| resolved(from, &to));
            let Some(list) = beside(written, &rendition.uri) else { continue };
            let read = walk::read(&store, &list).await.map_err(|error| of_store(&error))?;
            let objects = read.map(|read| read.timeline.objects).unwrap_or_default();
            let named = |object: &Object| {
                let (path, version) = object.uri.split_once("?versionId=").unwrap_or((&object.uri, ""));
                Some((beside(&list, path)?, decoded(version).ok()?))
            };
            let (Some(first), Some(newest)) = (objects.first().and_then(named), objects.last().and_then(named)) else {
                continue;
            };
            // The playlist of the first object of a rollover goes on in all others; a window may begin with a later one.
            let (key, version) = if number_of(&first.0, &newest.0).is_some() { first } else { newest };
            if gateway.names.check(&key).is_err() {
                continue;
            }
            let version = Some(version).filter(|version| !version.is_empty());
            let Ok(viewing) = gateway.recordings.find(bucket, &key, version.as_deref()).await else { continue };
            let version = viewing.identity.version.clone();
            found.push(Told { rendition, member: Member { key, version } });
        }
        Ok::<_, Refusal>(Arc::new(found))
    };
    let until = Instant::now() + PATIENCE;
    timeout_at(until, look).await.unwrap_or_else(|_| Err(Refusal::busy("the store does not answer")))
}
