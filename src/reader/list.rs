//! What is live and what is recorded (`reader --list`), by few requests: two for a thousand keys, for each open upload two
//! or three more, and a handful for each of the first recordings, to see how long they are.

use futures_util::{StreamExt, stream};

use crate::object::listing::{self, Entry, State};
use crate::object::locate::beside;
use crate::object::wanted::{LocateError, Wanted};
use crate::reader::probe;
use crate::store::{Fetched, Page, Patient, Piece};

/// Keys that one page asks for: as many as stores give at once.
const MOST: u16 = 1_000;

/// Objects that are looked into at a time.
const AT_A_TIME: usize = 8;

/// Recordings of which it is told how long they are: a list of thousands is to stay cheap.
const TIMED: usize = 100;

/// How the keys end of what may be a fragmented MP4.
const MOVIES: [&str; 4] = [".mp4", ".m4v", ".m4a", ".mov"];

/// Gives what there is of the keys that begin with `prefix` to `each`, page by page, by rising keys. `wanted` is a template: how
/// a recording is looked for. What lies below the names of live objects belongs to others, and is left out.
///
/// # Errors
/// [`LocateError`]; what was given before is right.
pub async fn list(
    store: &Patient,
    wanted: &Wanted,
    prefix: &str,
    mut each: impl FnMut(&[Entry]),
) -> Result<(), LocateError> {
    let live_objects = wanted.prefix.as_str();
    let hides = |key: &str| key.starts_with(live_objects) && !prefix.starts_with(live_objects);
    let mut after = String::new();
    let mut timed = 0;
    loop {
        let Page { mut entries, next } = listing::page(store, prefix, &after, MOST, false).await?;
        entries.retain(|entry| !hides(&entry.key));
        let looks: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let is_movie = timed < TIMED && MOVIES.iter().any(|ending| entry.key.ends_with(ending));
                timed += usize::from(is_movie);
                look(store, wanted, entry, is_movie)
            })
            .collect();
        let looked: Vec<_> = stream::iter(looks).buffered(AT_A_TIME).collect().await;
        each(&looked.into_iter().collect::<Result<Vec<_>, _>>()?);
        after = match next {
            // All of them at once: there may be many.
            Some(next) if hides(&next) => format!("{live_objects}\u{fffd}"),
            Some(next) => next,
            None => return Ok(()),
        };
    }
}

/// Tells of what is being uploaded whether it can be read, and how much of it there is; and how long a movie is.
async fn look(store: &Patient, wanted: &Wanted, mut entry: Entry, is_movie: bool) -> Result<Entry, LocateError> {
    let wanted = Wanted { key: entry.key.clone(), wait: false, ..wanted.clone() };
    if entry.upload_id.is_some() {
        entry = look_at_upload(store, &wanted, entry).await?;
    }
    if is_movie && entry.state != State::Uploading {
        entry.duration = probe::duration(store, &wanted).await;
    }
    Ok(entry)
}

async fn look_at_upload(store: &Patient, wanted: &Wanted, entry: Entry) -> Result<Entry, LocateError> {
    let Some(id) = entry.upload_id.as_deref() else { return Ok(entry) };
    let piece = Piece::Range { first: 0, last: 0 };
    let by_live_read = !matches!(store.fetch(&entry.key, Some(id), piece, true).await?, Fetched::Absent);
    let is_live = by_live_read || beside(store, wanted).await?.is_some_and(|found| found.is_open());
    // Some stores do not tell the parts; then that is not known.
    let parts = store.parts(&entry.key, id).await.ok();
    let size = parts.map(|parts| parts.iter().map(|part| part.size).sum());
    let state = if is_live { State::Live } else { State::Uploading };
    Ok(Entry { state, size, ..entry })
}
