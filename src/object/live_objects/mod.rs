//! One object as it grows on a store without Live Read: read from the live objects beside its upload, and, once that is
//! complete, from the object itself at the same offset.
//!
//! ```text
//! pointer -> recording -> head (once) -> live object of the cursor, and the next, and the next ... -> end mark
//!                                        404: not yet. Silence, or the mark: is KEY this recording? -> the rest from KEY
//! ```
//!
//! What follows (`follow`) gives the same events as the follower of a Live Read upload. What the answers mean together is
//! a pure table (`ending`). Nothing is ever listed. The names, documents and races: [`crate::protocol::live_objects`].

pub(crate) mod ask;
pub(crate) mod ending;
pub(crate) mod follow;
pub(crate) mod index;
pub(crate) mod locate;
#[cfg(test)]
pub(crate) mod maker;
mod pace;
mod piece;
pub(crate) mod ranges;

use crate::protocol::live_objects::{Head, Names, RecordingId};

/// A recording with live objects, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The names of its key.
    pub names: Names,
    /// Which.
    pub id: RecordingId,
    /// What was known of it then.
    pub head: Head,
}
