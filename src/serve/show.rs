//! Pages that show what there is: the front page, the player, and figures for Prometheus.

use http::{Response, request};

use super::access_log::Record;
use super::api::wanted;
use super::body::Body;
use super::chores::Wanted;
use super::gateway::{Gateway, may, query};
use super::link::Grant;
use super::metrics::Now;
use super::name::decoded;
use super::pages::front::Front;
use super::pages::play as player;
use super::refusal::Refusal;
use super::reply;
use crate::object::listing::{Entry, State};

/// Open uploads that the front page looks at.
const MOST_OPEN: u16 = 1_000;

/// Answers `/`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn front(gateway: &Gateway, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let query = query(parts);
    let grant = parts.extensions.get::<Grant>();
    let bucket = gateway.bucket(&query)?;
    let mut wanted = wanted(bucket.to_owned(), &query)?;
    let prefix = wanted.prefix.clone();
    if let Some(grant) = grant.filter(|grant| !prefix.starts_with(&grant.key)) {
        wanted.prefix.clone_from(&grant.key);
    }
    let is_first = wanted.after.is_empty();
    let open = Wanted { after: String::new(), most: MOST_OPEN, only_open: true, ..wanted.clone() };
    let listings = &gateway.chores.listings;
    let page = listings.page(wanted, &gateway.recordings).await?;
    let open = if is_first { Some(listings.page(open, &gateway.recordings).await?) } else { None };
    let is_allowed = |entry: &&Entry| grant.is_none_or(|grant| grant.allows(bucket, &entry.key));
    let live = open.iter().flat_map(|open| &open.entries).filter(|entry| entry.state == State::Live);
    let recorded = page.entries.iter().filter(|entry| entry.state != State::Live);
    let front = Front {
        buckets: if grant.is_some() { &[] } else { &gateway.names.buckets },
        first: gateway.names.buckets.first().map_or("", String::as_str),
        bucket,
        prefix: &prefix,
        is_first,
        live: live.filter(is_allowed).collect(),
        recorded: recorded.filter(is_allowed).collect(),
        next: page.next.as_deref(),
        now: time::OffsetDateTime::now_utc().unix_timestamp(),
    };
    Ok(reply::page(front.page(), parts))
}

/// Answers `/play/KEY`, whether there is something of that name yet or not.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn play(
    gateway: &Gateway,
    rest: &str,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let key = decoded(rest)?;
    let bucket = gateway.bucket(&query(parts))?;
    if let Some(record) = record {
        bucket.clone_into(&mut record.bucket);
        key.clone_into(&mut record.key);
    }
    gateway.names.check(&key)?;
    may(parts, bucket, &key)?;
    let is_first = gateway.names.buckets.first().is_some_and(|first| first == bucket);
    Ok(reply::page(player::page(rest, &key, Some(bucket).filter(|_| !is_first)), parts))
}

/// Answers `/metrics`.
pub(crate) fn metrics(gateway: &Gateway, parts: &request::Parts) -> Response<Body> {
    let counts = gateway.recordings.counts();
    let now = Now {
        open: counts.open,
        followed: counts.followed,
        viewers: counts.viewers,
        memory: counts.memory,
        held: gateway.held_now(),
        store: gateway.chores.store.requests(),
    };
    reply::whole("text/plain; version=0.0.4; charset=utf-8", gateway.metrics.text(now), parts)
}
