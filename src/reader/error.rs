//! Why a reader stopped before the end of the object.

use crate::object::reading::FollowError;
use crate::object::seek::SeekError;
use crate::object::wanted::LocateError;
use crate::reader::held::HeldError;
use crate::reader::sink::SinkError;
use crate::store::StoreError;

/// Why reading ended before the end of the object.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There was nothing to read.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The file to go on after is not the beginning of what there is to read.
    #[error(transparent)]
    Held(#[from] HeldError),
    /// The place to begin at cannot be found.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The store refused, or could not be reached for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be followed to its end.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}
