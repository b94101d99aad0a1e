//! Whether an open upload can be read live: accounts without Live Read answer 404 although the upload runs.

use crate::store::{Fetched, Piece, Store, StoreError};

/// What one live GET of an open upload tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRead {
    /// The upload can be read while it is open.
    On,
    /// The store knows nothing of the upload before it is complete.
    Off,
}

/// Looks once at the open upload `upload_id` of `key`: 416 or data means on, 404 means off.
///
/// # Errors
/// [`StoreError`] when the question could not be asked, for example because the key may not read.
pub async fn look(store: &Store, key: &str, upload_id: &str) -> Result<LiveRead, StoreError> {
    let piece = Piece::Range { first: 0, last: 0 };
    match store.fetch(key, Some(upload_id), piece, true).await? {
        Fetched::Data(_) | Fetched::NotYet => Ok(LiveRead::On),
        Fetched::Absent => Ok(LiveRead::Off),
    }
}
