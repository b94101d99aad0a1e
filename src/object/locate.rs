//! Finds what to read: the newest open upload of exactly one key, a named one, or the finished object.
//!
//! Lists are the dearest requests, so they are made to find an upload and then rarely: while nothing is there, a live read
//! of one byte tells for a tenth of the price when something has begun.
//!
//! Dates decide, by the store's clock. Of an open upload and a finished object the one that began later is read: an upload
//! that was left open long ago hides no later recording. Who waits is not given what was there before; whatever is there
//! and was not when the wait began is taken, also what was begun and completed between two looks.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::object::ending::is_newer;
use crate::object::live_objects::locate::{self as objects, Finder, Found};
use crate::object::wanted::{Live, LocateError, Located, Wanted, said_of};
use crate::protocol::live_objects::RecordingId;
use crate::store::{Fetched, Head, OpenUpload, Patient, Piece};

/// Between two lists while no upload is open. A list also finds what a live read does not show: an upload on an account
/// without Live Read.
const RELIST: Duration = Duration::from_secs(30);

/// For so many seconds an upload may well be without a byte, and is waited for.
const EMPTY_FOR: i64 = 5;

/// Finds what to read, and waits for it if asked to.
///
/// # Errors
/// [`LocateError`]; a missing bucket and refused credentials end the wait at once.
pub async fn locate(store: &Patient, wanted: &Wanted) -> Result<Located, LocateError> {
    match &wanted.upload_id {
        _ if wanted.live == Live::Objects => objects::locate(store, wanted).await,
        Some(id) if wanted.live == Live::Auto && RecordingId::parse(id).is_some() => {
            objects::locate(store, wanted).await
        }
        Some(id) => named(store, wanted, id).await,
        None => newest(store, wanted).await,
    }
}

/// The upload with a certain id, open or completed.
async fn named(store: &Patient, wanted: &Wanted, id: &str) -> Result<Located, LocateError> {
    let key = &wanted.key;
    let found = |finished| Located { version: Some(id.to_owned()), finished, may_list: true, ..Located::default() };
    if let Some(head) = store.head(key, Some(id)).await? {
        return Ok(found(Some(head.size)));
    }
    let piece = Piece::Range { first: 0, last: 0 };
    if !matches!(store.fetch(key, Some(id), piece, true).await?, Fetched::Absent) {
        return Ok(found(None));
    }
    let missing = || LocateError::NoSuchUpload { object: store.object(key), id: id.to_owned() };
    // Before the list: what is there while the upload is open is not the end of it.
    let before = store.head(key, None).await?;
    match store.open_uploads(key).await {
        Ok(uploads) if uploads.iter().any(|upload| upload.id == id) => Ok(Located { before, ..found(None) }),
        Ok(_) => Err(missing()),
        Err(error) if error.may_not_list() => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// The newest upload, or the finished object.
async fn newest(store: &Patient, wanted: &Wanted) -> Result<Located, LocateError> {
    let key = &wanted.key;
    let began = Instant::now();
    let mut finder = Finder::beside_live_read(wanted);
    // What is there when the wait begins; only what differs from it has come since.
    let (mut finished, now) = match store.dated_head(key).await {
        // A key that may not list is told so of what is not there.
        Err(error) if error.may_not_list() => match look(store, &mut finder).await? {
            Some(found) => return Ok(found.located(false)),
            None => return Err(error.into()),
        },
        answer => answer?,
    };
    let is_new = |head: &Head| head.modified.zip(now).is_some_and(|(at, now)| began_since(at, now, began.elapsed()));
    let before = finished.clone().filter(|head| !wanted.wait || !is_new(head));
    let mut may_list = true;
    let mut listed: Option<Instant> = None;
    let mut seen: Option<Seen> = None;
    // Looks in a row that showed something which no other answer knows of.
    let mut strange = 0;
    let mut said_left_behind = false;
    let mut polls: u32 = 0;
    loop {
        let unknown = seen.as_ref().is_some_and(|seen| !seen.is(before.as_ref()));
        let first = listed.is_none();
        if first || unknown || (may_list && listed.is_some_and(|at| at.elapsed() >= RELIST)) {
            listed = Some(Instant::now());
            let uploads = if may_list { list(store, wanted, &mut may_list).await? } else { Vec::new() };
            if !first {
                // After the list: what was completed in between is in one of the two.
                finished = store.head(key, None).await?;
            }
            if seen.is_none() && !may_list {
                seen = Some(glance(store, key).await?);
            }
            // An upload that is not listed: these credentials may not list, or it is being completed.
            let open = seen.as_ref().filter(|seen| seen.is_open_beside(finished.as_ref()));
            if let Some(open) = open.filter(|_| !may_list) {
                return Ok(growing(open.version.clone(), may_list, finished));
            }
            // Uploads that cannot be listed may have live objects all the same.
            if !may_list
                && (first || !wanted.wait)
                && let Some(found @ Found::Live(_)) = look(store, &mut finder).await?
            {
                return Ok(found.located(may_list));
            }
            let since = finished.as_ref().filter(|head| !wanted.wait || before.as_ref() != Some(head));
            let empty = match (uploads.last(), since) {
                (Some(open), Some(since)) if began_together(open, since, now, began.elapsed()) => {
                    is_empty(store, wanted, &open.id).await?
                }
                _ => false,
            };
            match choose(uploads.last().filter(|_| !empty), finished.as_ref(), since) {
                Choice::Open(upload) => {
                    return Ok(growing(Some(upload.id.clone()), may_list, finished));
                }
                Choice::Finished(head) => {
                    return Ok(Located::finished(head.clone(), may_list));
                }
                Choice::LeftBehind(upload) if !std::mem::replace(&mut said_left_behind, true) => {
                    tracing::warn!(
                        "upload {} of {} is open, but older than the finished object: taken for left behind. \
                         --upload-id {} reads it all the same",
                        upload.id,
                        store.object(key),
                        upload.id
                    );
                }
                Choice::LeftBehind(_) | Choice::Nothing => {}
            }
            if seen.is_none() && !wanted.wait {
                seen = Some(glance(store, key).await?);
            }
            let open = seen.as_ref().filter(|seen| seen.is_open_beside(finished.as_ref()));
            strange = if open.is_some() { strange + 1 } else { 0 };
            if let Some(open) = open.filter(|_| !wanted.wait || strange > 1) {
                return Ok(growing(open.version.clone(), may_list, finished));
            }
            if !wanted.wait {
                return at_last(store, key, may_list).await;
            }
        }
        if first {
            let there = said_of(before.as_ref());
            tracing::info!(event = "waiting", "waiting for an upload of {} to begin{there}", store.object(key));
        }
        sleep(wanted.poll_interval).await;
        polls += 1;
        // Each second time, so that a reader that waits for long costs half as much again, and no more.
        if polls % 2 == 1 {
            match look(store, &mut finder).await? {
                Some(Found::Finished(_, head)) if before.as_ref() == Some(&head) => {}
                Some(found) => return Ok(found.located(may_list)),
                None => {}
            }
        }
        let glance = glance(store, key).await?;
        if glance.is(before.as_ref()) {
            strange = 0;
        }
        seen = Some(glance);
    }
}

/// What was completed between the first question and the last, if anything was.
async fn at_last(store: &Patient, key: &str, may_list: bool) -> Result<Located, LocateError> {
    let Ok(Some(head)) = store.head(key, None).await else { return Err(LocateError::Nothing(store.object(key))) };
    Ok(Located::finished(head, may_list))
}

/// The recording with live objects beside an upload that cannot be read live, where those may be read.
///
/// # Errors
/// [`LocateError`] when the store refuses.
pub async fn beside(store: &Patient, wanted: &Wanted) -> Result<Option<Located>, LocateError> {
    let mut finder = Finder::beside_live_read(wanted);
    Ok(look(store, &mut finder).await?.map(|found| found.located(true)))
}

/// An upload that may still grow.
fn growing(version: Option<String>, may_list: bool, before: Option<Head>) -> Located {
    Located { version, may_list, before, ..Located::default() }
}

/// A look for a recording with live objects, where those may be read.
async fn look(store: &Patient, finder: &mut Option<Finder>) -> Result<Option<Found>, LocateError> {
    match finder {
        Some(finder) => Ok(finder.look(store).await?),
        None => Ok(None),
    }
}

/// The open uploads, unless these credentials may not list them, or the store knows no such list.
async fn list(store: &Patient, wanted: &Wanted, may_list: &mut bool) -> Result<Vec<OpenUpload>, LocateError> {
    match store.open_uploads(&wanted.key).await {
        Ok(uploads) => Ok(uploads),
        Err(error) if error.may_not_list() => {
            tracing::debug!("this key may not list uploads; going by live reads alone");
            *may_list = false;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether something that is dated `at` began after a wait that had been going on for `waited` when the store's clock said
/// `now`. All dates have whole seconds; in doubt it was there before.
fn began_since(at: i64, now: i64, waited: Duration) -> bool {
    i64::try_from(waited.as_secs()).is_ok_and(|waited| at > now.saturating_sub(waited))
}

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice<'a> {
    /// This upload.
    Open(&'a OpenUpload),
    /// This finished object.
    Finished(&'a Head),
    /// Nothing yet; there is an upload, but older than a finished object that was there before.
    LeftBehind(&'a OpenUpload),
    /// Nothing yet.
    Nothing,
}

/// The newer of an open upload and the finished object; `wanted` is the latter if it may be read at all.
fn choose<'a>(open: Option<&'a OpenUpload>, finished: Option<&'a Head>, wanted: Option<&'a Head>) -> Choice<'a> {
    match (open, wanted) {
        (Some(open), _) if !finished.is_some_and(|finished| is_newer(finished, open)) => Choice::Open(open),
        (_, Some(wanted)) => Choice::Finished(wanted),
        (Some(open), None) => Choice::LeftBehind(open),
        (None, None) => Choice::Nothing,
    }
}

/// Whether both began in the same second, a while ago. Then an upload without a byte is taken for one that a lost answer
/// left behind: the next start followed at once, and was completed. The store's clock said `now` before the wait.
fn began_together(open: &OpenUpload, finished: &Head, now: Option<i64>, waited: Duration) -> bool {
    let now = now.zip(i64::try_from(waited.as_secs()).ok()).map(|(now, waited)| now.saturating_add(waited));
    let is_old = |at: i64| now.is_some_and(|now| now.saturating_sub(at) >= EMPTY_FOR);
    open.started == finished.modified && open.started.is_some_and(is_old)
}

/// Whether an open upload has no byte to show yet.
async fn is_empty(store: &Patient, wanted: &Wanted, id: &str) -> Result<bool, LocateError> {
    let piece = Piece::Range { first: 0, last: 0 };
    let look = store.fetch(&wanted.key, Some(id), piece, true).await?;
    Ok(matches!(look, Fetched::NotYet))
}

/// What a live read of one byte shows of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    /// Anything but 404.
    present: bool,
    /// There was a byte.
    data: bool,
    /// The version that the byte came from.
    version: Option<String>,
    /// Its entity tag and its date.
    etag: Option<String>,
    modified: Option<i64>,
}

impl Seen {
    /// Whether this is nothing else than the object that was there before.
    fn is(&self, before: Option<&Head>) -> bool {
        match before {
            None => !self.present,
            // An empty object has no byte to show.
            Some(head) if !self.data => !self.present || head.size == 0,
            Some(head) if self.version.is_some() => self.version == head.version,
            Some(head) => (None, &self.etag, self.modified) == (head.version.as_ref(), &head.etag, head.modified),
        }
    }

    /// Whether this is an open upload, given the finished object of the key.
    fn is_open_beside(&self, finished: Option<&Head>) -> bool {
        match finished {
            // Nothing finished: whatever answers is open.
            None => self.present,
            // An empty finished object has no byte to show either.
            Some(head) if head.size == 0 && !self.data => false,
            // A live read of a finished object answers like one of an open upload, but with its own version.
            Some(head) => self.present && (!self.data || (self.version.is_some() && self.version != head.version)),
        }
    }
}

async fn glance(store: &Patient, key: &str) -> Result<Seen, LocateError> {
    let piece = Piece::Range { first: 0, last: 0 };
    match store.fetch(key, None, piece, true).await {
        Ok(Fetched::Data(body)) => {
            Ok(Seen { present: true, data: true, version: body.version, etag: body.etag, modified: body.modified })
        }
        Ok(Fetched::NotYet) => Ok(Seen { present: true, ..Seen::default() }),
        Ok(Fetched::Absent) => Ok(Seen::default()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod in_memory;

#[cfg(test)]
#[path = "locate_table_tests.rs"]
mod tests;
