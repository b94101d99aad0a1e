//! Why an upload could not be finished.

use crate::protocol::live_read::MAX_PARTS;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::{Kind, StoreError};
use crate::writer::ledger::Gap;
use crate::writer::outbox::OutboxError;
use crate::writer::source::SourceError;

/// Why an upload could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The store refused, or could not be reached for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part did not reach the store.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Reading the input failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// All 10,000 parts are used.
    #[error(
        "the input is longer than {MAX_PARTS} parts of {0} bytes, which is all that one S3 object can hold; use a larger --part-size"
    )]
    Full(PartSize),
    /// A resumed upload holds parts that the input does not reach.
    #[error(
        "the input ended before it reached part {number}, which the upload holds from before, so the upload cannot be \
         completed; it still ends at byte {from}, and has to go on from there"
    )]
    TooShort {
        /// The highest such part.
        number: PartNumber,
        /// How far it can be read.
        from: u64,
    },
    /// A part is missing although none failed.
    #[error("the upload is not completed because {0}; this is a bug")]
    Gap(#[from] Gap),
    /// A second request to stop.
    #[error("ended at once, before the upload was complete")]
    AtOnce,
    /// The program itself failed.
    #[error("{0}; this is a bug")]
    Panic(String),
}

impl Cause {
    /// Whether the input file has changed, so that a later run cannot go on with it.
    #[must_use]
    pub fn is_changed_input(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_change())
    }

    /// Whether the store says that the upload is no longer open.
    pub(crate) fn says_over(&self) -> bool {
        let (Self::Store(error) | Self::Outbox(OutboxError::Store(error))) = self else { return false };
        error.kind == Kind::NoUpload
    }
}
