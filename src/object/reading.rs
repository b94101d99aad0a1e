//! What is read of an object that may still be growing, and how; what comes of it, and why it could not be read to its end.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use bytes::Bytes;

use crate::object::wanted::Wanted;
use crate::store::StoreError;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What to look for.
    pub wanted: Wanted,
    /// Ask by part numbers instead of byte ranges.
    pub by_part: bool,
    /// Bytes per range request, at least one.
    pub chunk_size: u64,
    /// Chunks fetched ahead, at least one.
    pub queue_size: usize,
    /// Never wait longer than the poll interval, even where the next part is known to be due later.
    pub strict_poll: bool,
    /// Give up when nothing new has come for this long.
    pub timeout: Option<Duration>,
}

#[cfg(test)]
impl Reading {
    /// What a test reads, and gives up after `timeout` to find it, or more of it.
    pub(crate) fn within(timeout: Option<Duration>, wanted: Wanted) -> Self {
        let wanted = Wanted { timeout, ..wanted };
        Self { wanted, by_part: false, chunk_size: 5 << 20, queue_size: 4, strict_poll: false, timeout }
    }
}

/// What comes of an object next.
#[derive(Debug)]
pub(crate) enum News {
    /// Its next bytes.
    Bytes(Bytes),
    /// All that there was has been read: the rest is still to come.
    Edge,
    /// There is more to be had than one look brings.
    Behind,
    /// It has been read to its end.
    Ended,
}

/// Why an object could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store refused, or could not be reached for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The upload was aborted, or the object deleted.
    #[error(
        "{object}: the upload {upload} was aborted (or its version deleted) after {bytes} bytes; they have been written"
    )]
    Aborted {
        /// The object.
        object: String,
        /// The upload id.
        upload: String,
        /// Bytes written.
        bytes: u64,
    },
    /// Nothing new came for too long.
    #[error("{object}: nothing new has come for {} s, after {bytes} bytes of the upload {upload}; {why}", after.as_secs_f64())]
    TimedOut {
        /// The object.
        object: String,
        /// The upload id.
        upload: String,
        /// Bytes written.
        bytes: u64,
        /// The limit.
        after: Duration,
        /// What the store said last.
        why: &'static str,
    },
    /// Another object took its place under the key.
    #[error(
        "{object}: the recording {recording} is over, and another object has taken its place before the rest of it was read, \
         after {bytes} bytes; they have been written"
    )]
    Replaced {
        /// The object.
        object: String,
        /// The recording.
        recording: String,
        /// Bytes written.
        bytes: u64,
    },
    /// What the object has at the place of the newest bytes that were read is something else.
    #[error(
        "{object}: the recording {recording} is complete, but the {bytes} bytes read of it meanwhile are not its beginning: its \
         writer was lost, and another went on with another input. Start another reader"
    )]
    Mixed {
        /// The object.
        object: String,
        /// The recording.
        recording: String,
        /// Bytes written.
        bytes: u64,
    },
    /// Its writer went on from a place before what was read, with another input.
    #[error(
        "{object}: the writer of the recording {recording} was lost, and another goes on from byte {from}, with an input that \
         cannot be had again, after {bytes} bytes of the first had been read. The object will not have all of them: start \
         another reader"
    )]
    Lost {
        /// The object.
        object: String,
        /// The recording.
        recording: String,
        /// Where the other goes on.
        from: u64,
        /// Bytes written.
        bytes: u64,
    },
    /// The store says that the object has more bytes, or fewer, than can be read.
    #[error("{object}: it is complete with {size} bytes, but {bytes} could be read")]
    Size {
        /// The object.
        object: String,
        /// Its size as the store states it.
        size: u64,
        /// Bytes written.
        bytes: u64,
    },
}

/// Waits until a moment; for ever without one.
pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
