//! What lies below the names of a key: which recordings, which of them the pointer leads to, and what a head does not tell of.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::protocol::live_objects::{Head, MAX_DOCUMENT, Met, Names, Pointer, RecordingId};
use crate::store::{Fetched, Patient, Piece, StoreError};

/// How long one request of a look around may keep failing.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// More pages of a list than recordings of one key can have.
const MOST_PAGES: usize = 100;

/// Where the pointer leads, if there is one.
///
/// # Errors
/// [`StoreError`] when that cannot be found out.
pub(super) async fn pointed_to(store: &Patient, names: &Names) -> Result<Option<RecordingId>, StoreError> {
    let pointer = store.get_small(&names.pointer(), MAX_DOCUMENT).await?;
    Ok(pointer.and_then(|small| Pointer::parse(&small.bytes).ok()).map(|pointer| pointer.recording))
}

/// The recordings of which something lies there.
///
/// # Errors
/// [`StoreError`] when not even the pointer can be read.
pub(super) async fn recordings(store: &Patient, names: &Names) -> Result<BTreeSet<RecordingId>, StoreError> {
    let mut found: BTreeSet<_> = pointed_to(store, names).await?.into_iter().collect();
    let mut next = None;
    for _ in 0..MOST_PAGES {
        let page = store.page_of_objects(names.folder(), true, next.take()).await;
        // Whoever may not list knows of the last one, at least.
        let Ok((folders, more)) = page else { break };
        // Other keys have folders there, too: only what is a recording's name to the letter is one.
        let recording = |folder: &String| {
            let name = folder.strip_prefix(names.folder()).and_then(|name| name.strip_suffix('/'));
            name.and_then(RecordingId::parse)
        };
        found.extend(folders.iter().filter_map(recording));
        next = more;
        if next.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The live objects behind the edge of `head`, of its newest run: offsets and lengths.
///
/// # Errors
/// [`StoreError`] when the store is away.
pub(super) async fn behind_edge(store: &Patient, names: &Names, head: &Head) -> Result<Vec<(u64, u64)>, StoreError> {
    let (mut found, mut offset) = (Vec::new(), head.edge());
    loop {
        let name = names.object(&head.recording, head.run().run, offset);
        let first = Piece::Range { first: 0, last: 0 };
        let Fetched::Data(body) = store.fetch(&name, None, first, false).await? else { return Ok(found) };
        let size = body.range.and_then(|range| range.total).or(body.length).unwrap_or_default();
        let Met::Bytes(length) = body.marks.met(offset, size) else { return Ok(found) };
        found.push((offset, length));
        offset += length;
    }
}
