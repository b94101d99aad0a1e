//! Where the pieces of a recording are noted before they are handed on: of one object, or of several.

use super::journal::Journal;
use super::several::Several;
use crate::mux::Piece;

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub enum Notes {
    /// All goes into one object.
    One(Journal),
    /// It is split into several.
    Several(Several),
}

impl Notes {
    /// Notes a piece that is about to be handed on; `next` where another object begins with it.
    pub(super) fn note(&self, piece: &Piece, next: bool) {
        match self {
            Self::One(journal) => journal.note(piece, next),
            Self::Several(several) => several.note(piece),
        }
    }

    /// Notes that no more pieces come, so that whoever goes on waits for none.
    pub(super) fn over(&self) {
        match self {
            Self::One(journal) => journal.over(),
            Self::Several(several) => several.over(),
        }
    }

    /// Takes them away: what they were for has come to an end, and been told of.
    pub fn remove(&self) {
        match self {
            Self::One(journal) => journal.remove(),
            Self::Several(several) => several.remove(),
        }
    }

    /// Those of one object.
    #[must_use]
    pub fn one(self) -> Option<Journal> {
        match self {
            Self::One(journal) => Some(journal),
            Self::Several(_) => None,
        }
    }

    /// Those of several.
    #[must_use]
    pub fn several(self) -> Option<Several> {
        match self {
            Self::Several(several) => Some(several),
            Self::One(_) => None,
        }
    }
}
