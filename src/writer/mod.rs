//! Input on its way into an object: taken, cut into parts, sent, kept while the store is away, and completed.

pub mod abort;
pub(crate) mod at_once;
pub mod cause;
pub mod check;
pub mod completion;
pub(crate) mod format;
pub mod input;
pub(crate) mod intake;
pub mod kept;
pub mod kept_before;
pub mod ledger;
pub mod live_objects;
pub(crate) mod look;
pub mod outbox;
pub mod plan;
pub mod pool;
pub mod resume;
pub mod rollover;
pub mod setup_cors;
pub mod source;
pub mod spool;
pub mod spool_dir;
pub mod tail;
pub mod upload;
