//! Objects of which each goes on the one before (`writer --rollover`), as one playlist.
//!
//! The next object is looked for when all of the one before has been seen, once for all who ask; that there is none, too, is
//! kept. Until it is known nothing is told of an end.

use std::sync::{Arc, MutexGuard};

use http::{StatusCode, request};

use super::indexed::{Indexed, Next, Ready, Shape, State, Text};
use super::indexer;
use super::names::Follower;
use super::reload::There;
use super::render::{Piece, Promise, Row};
use super::waiting::{Held, patience};
use crate::protocol::key::numbered;
use crate::protocol::live_objects::RecordingId;
use crate::reader::chain::next::after;
use crate::reader::error::ReadError;
use crate::serve::access_log::Record;
use crate::serve::gateway::{Gateway, may};
use crate::serve::identity;
use crate::serve::name::Query;
use crate::serve::recordings::{of_store, refused};
use crate::serve::refusal::Refusal;
use crate::serve::viewing::Viewing;

/// See the module.
struct Series {
    links: Vec<Link>,
    /// Of the last of them, unless all of it has been seen.
    newest: Option<Viewing>,
    rest: Rest,
}

/// One of the objects.
struct Link {
    indexed: Arc<Indexed>,
    /// Where its stretches are, as seen from the playlist.
    folder: String,
}

/// What comes after the last of the objects that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// That is not all there yet.
    Grows,
    /// Another one, of which nothing can be read yet.
    Begun,
    Nothing,
}

/// What there is of them all.
pub(super) struct Now<'a> {
    first: [u8; 16],
    links: &'a [Link],
    before: Vec<MutexGuard<'a, State>>,
    newest: MutexGuard<'a, State>,
    pub(super) over: bool,
}

impl Now<'_> {
    /// What a request can wait for.
    pub(super) fn there(&self) -> There {
        let there = self.newest.there();
        let before: usize = self.before.iter().map(|state| state.index.timeline.segments.len()).sum();
        let parts = there.parts.filter(|_| !self.over);
        There { segments: there.segments + before as u64, parts, over: self.over }
    }

    /// A playlist as it is now; none where nothing is promised yet.
    pub(super) fn text(&mut self, shape: Shape, make: impl FnOnce(&Row<'_>, &Promise) -> String) -> Option<Text> {
        let shape = Shape { since: Some((self.first, self.over)), ..shape };
        let Self { links, before, newest, over, .. } = self;
        newest.text_by(&shape, |index, promise| {
            let indexes = before.iter().map(|state| &state.index).chain([index]);
            let pieces = indexes.zip(links.iter()).map(|(index, link)| Piece { index, folder: &link.folder });
            make(&Row { pieces: pieces.collect(), over: *over }, promise)
        })
    }
}

/// Waits until `of` makes something of what there is; whoever waits too long is told to come again.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn wait<T>(
    gateway: &Gateway,
    first: &Viewing,
    mut of: impl FnMut(&mut Now<'_>) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut held = Held::back(gateway);
    loop {
        let series = walk(gateway, first).await?;
        let Some((last, before)) = series.links.split_last() else { return Err(Refusal::not_there()) };
        let mut news = last.indexed.news();
        let most = {
            // Always in this order.
            let before: Vec<_> = before.iter().map(|link| link.indexed.state()).collect();
            let mut newest = last.indexed.state();
            if series.rest == Rest::Grows && newest.index.is_over() {
                // Since it was looked at: what comes next is not known.
                continue;
            }
            let part_size = series.newest.as_ref().and_then(|viewing| viewing.found().part_size);
            let goes_on = before.iter().any(|state| !state.index.timeline.segments.is_empty());
            let is_ready = newest.ready(part_size, goes_on);
            let (over, first) = (series.rest == Rest::Nothing, first.identity.hash);
            let mut now = Now { first, links: &series.links, before, newest, over };
            if is_ready == Ready::Yes
                && let Some(made) = of(&mut now)
            {
                return made;
            }
            patience(&is_ready, &now.newest)?
        };
        held.until_news(&mut news, most).await?;
    }
}

/// The objects from the first one on, as far as all of those before have been seen.
async fn walk(gateway: &Gateway, first: &Viewing) -> Result<Series, Refusal> {
    let bucket = first.store.bucket();
    let (mut indexed, mut viewing) = (gateway.indexes.kept(first), Some(first.clone()));
    let (mut folder, mut links): (String, Vec<Link>) = (String::new(), Vec::new());
    for number in 2.. {
        if let Some(before) = links.last() {
            let before: MutexGuard<'_, State> = before.indexed.state();
            indexed.state().go_on(&before);
        }
        match &viewing {
            Some(viewing) => indexer::run(&indexed, viewing),
            None => indexed.ask(),
        }
        links.push(Link { indexed: Arc::clone(&indexed), folder });
        if !indexed.state().index.is_over() {
            return Ok(Series { links, newest: viewing, rest: Rest::Grows });
        }
        // What is promised of it holds for the next, too.
        indexed.state().ready(None, links.len() > 1);
        let key = numbered(&first.key, number);
        let known = indexed.state().next(&key);
        let found = match (known, &viewing) {
            (Some(known), _) => Ok(known),
            (None, Some(viewing)) => next(gateway, &indexed, viewing, key.clone()).await,
            (None, None) => Ok(Next::Nothing),
        };
        let begun = |links| Ok(Series { links, newest: None, rest: Rest::Begun });
        let version = match found {
            Ok(Next::Version(version)) => version,
            Ok(Next::Nothing) => return Ok(Series { links, newest: None, rest: Rest::Nothing }),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => return begun(links),
            Err(refusal) => return Err(refusal),
        };
        folder = Follower { number, version: version.clone() }.folder();
        let whole = gateway.indexes.whole(identity::hash(bucket, &key, &version));
        if let Some(whole) = whole.filter(|whole| whole.state().next(&numbered(&first.key, number + 1)).is_some()) {
            (indexed, viewing) = (whole, None);
            continue;
        }
        match gateway.version(bucket, &key, version).await {
            Ok(found) => (indexed, viewing) = (gateway.indexes.kept(&found), Some(found)),
            // It was aborted: something else may go on here, or nothing.
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
                indexed.state().set_next(&key, None);
                return begun(links);
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Refusal::not_there())
}

/// What goes on an object that is complete, under this key; looked for once for all who ask, and kept.
async fn next(gateway: &Gateway, indexed: &Indexed, viewing: &Viewing, key: String) -> Result<Next, Refusal> {
    if let Some(known) = indexed.state().next(&key) {
        return Ok(known);
    }
    if gateway.names.check(&key).is_err() {
        return Ok(Next::Nothing);
    }
    let asked = (viewing.identity.hash, key.clone());
    let found = gateway.followers.get(asked, |_| true, |_| Box::pin(look(gateway, viewing, &key))).await?;
    indexed.state().set_next(&key, Some(found.clone()));
    Ok(found)
}

/// As `reader --follow-rollover` does. Only what says by its metadata that it is of the same recording, or is newer and does
/// not say so before it is complete, goes on an object.
async fn look(gateway: &Gateway, viewing: &Viewing, key: &str) -> Result<Next, Refusal> {
    let bucket = viewing.store.bucket();
    let (version, wanted) = (viewing.target().version, viewing.found().wanted.clone());
    let id = RecordingId::parse(&viewing.identity.version);
    let store = gateway.recordings.store(bucket);
    let found = after(&store, &wanted, version.as_deref(), id, key).await.map_err(|error| match &error {
        ReadError::Store(error) => of_store(error),
        ReadError::Locate(error) => refused(error),
        _ => Refusal::busy("the store cannot be reached now"),
    })?;
    let Some(found) = found else { return Ok(Next::Nothing) };
    let version = found.recording.map(|recording| recording.id.to_string()).or(found.version);
    let next = gateway.recordings.find(bucket, key, version.as_deref()).await?;
    tracing::info!(event = "goes_on", "{} goes on in {}", viewing.object(), next.object());
    Ok(Next::Version(next.identity.version.clone()))
}

/// One of the objects that go on a version of `key`.
///
/// # Errors
/// [`Refusal`]: above all where a link allows the first object alone, and this one does not go on that.
pub(super) async fn follower(
    gateway: &Gateway,
    query: &Query<'_>,
    (key, version): (&str, String),
    follower: Follower,
    mut record: Option<&mut Record>,
    parts: &request::Parts,
) -> Result<Viewing, Refusal> {
    let bucket = gateway.named(query, key, record.as_deref_mut(), parts)?;
    let own = numbered(key, follower.number);
    if let Some(record) = record {
        own.clone_into(&mut record.key);
    }
    gateway.names.check(&own)?;
    if let Err(refusal) = may(parts, bucket, &own) {
        let first = gateway.version(bucket, key, version).await?;
        if !leads_to(gateway, first, &follower).await? {
            return Err(refusal);
        }
    }
    gateway.version(bucket, &own, follower.version).await
}

/// Whether the objects that go on this one lead to that. It need not be known what is in them.
async fn leads_to(gateway: &Gateway, first: Viewing, follower: &Follower) -> Result<bool, Refusal> {
    let (bucket, base) = (first.store.bucket().to_owned(), first.key.clone());
    let mut viewing = first;
    for number in 2..=follower.number {
        if viewing.edge().size.is_none() {
            // Another gateway may know more.
            return Err(Refusal::busy("the object before this one is not known to be complete"));
        }
        let (indexed, key) = (gateway.indexes.kept(&viewing), numbered(&base, number));
        let Next::Version(version) = next(gateway, &indexed, &viewing, key.clone()).await? else {
            return Ok(false);
        };
        if number == follower.number {
            return Ok(version == follower.version);
        }
        viewing = gateway.version(&bucket, &key, version).await?;
    }
    Ok(false)
}
