//! Live objects: how bytes of an open upload can be read on a store without Live Read. Names, documents and marks. Pure.
//!
//! On most stores nothing of a multipart upload can be read before it is complete. So the writer puts the same bytes beside
//! it as small objects, which readers find by their names alone, and takes them away once the upload is complete:
//!
//! ```text
//! _live/KEY/now                            Pointer     which recording of KEY is being made        no-store
//! _live/KEY/REC/head                       Head        what is known of it, written every 5 s       no-store
//! _live/KEY/REC/index/000000               Page        where 256 older objects begin, and end       immutable
//! _live/KEY/REC/0/0000000000000000.mp4     live object: the bytes from offset 0 on                  immutable
//! _live/KEY/REC/0/0000000000750000.mp4     live object: the bytes from offset 750,000 on            immutable
//!           |   |         |
//!           |   run       offset: where one object ends, the next begins. A reader's cursor is the name of what it needs
//!           recording (RecordingId)
//! _live/KEY/REC/0/0000000001500000.mp4     end mark: the input has ended at this offset             no-store
//! KEY                                      what becomes of the upload; its metadata name REC
//! ```
//!
//! A reader asks `now` for the recording, `head` for where to begin, and from then on only for the next name: 404 means not
//! yet. Nobody lists, nothing needs conditional writes, and no name is ever used for other bytes: each `--resume` begins a new
//! run. Only the pointer and the head are written more than once, by one writer, and never twice in a second.
//!
//! The races, and why none of them loses or mixes bytes:
//!
//! - *An object is seen before it is whole* (some stores do that): it counts only with its length in its metadata, and with a
//!   body of that length ([`met`]).
//! - *Live objects are deleted while someone reads them:* that happens only after the upload is complete. Whoever finds one
//!   gone looks at KEY: if its metadata name the recording, all bytes are there, at the same offsets.
//! - *The end:* the end mark lies under the very name that a reader asks for next, stored when every part is, just before the
//!   upload is completed. It says only that nothing more comes in this run: readers then look at KEY until it is of their
//!   recording. Who misses the mark looks at KEY after a silence.
//! - *The writer dies and another goes on:* its run has another number, and the head says from which offset on it counts.
//!   What the dead writer had sent and what only then arrives is in the old run.
//! - *A second recording of KEY* has another [`RecordingId`], and so other names. The pointer names the one that was started
//!   last; a writer restores it where it is missing and never takes it from another.
//! - *Listing `_live/a/`* finds what belongs to `a/b.mp4`, too: whoever cleans up takes only what [`Names::parse`] knows.

use std::time::Duration;

mod answer;
mod head;
mod names;
mod page;
mod pointer;
mod recording_id;

pub use answer::{EndMark, Met, met};
pub use head::{Head, Run, State};
pub use names::{Name, Names, NamesError, Prefix, PrefixError};
pub use page::{Entry, Page, Span};
pub use pointer::Pointer;
pub use recording_id::RecordingId;

/// A head so old is that of a writer which has stopped: it is written anew every five seconds, and a store may be away for some.
pub const UNHEARD: Duration = Duration::from_secs(40);

/// Metadata (`x-amz-meta-…`) of a live object: how many bytes it has.
pub const LENGTH_METADATA: &str = "live-read-length";

/// Metadata of an end mark: how many bytes the whole input has.
pub const END_METADATA: &str = "live-read-end";

/// Metadata of KEY, from the start of its upload on: the [`RecordingId`] of its live objects.
///
/// Another name than [`RECORDING_METADATA`](crate::protocol::live_read::RECORDING_METADATA): the objects of one rollover share
/// that one, and each has live objects of its own.
pub const OBJECTS_METADATA: &str = "live-read-objects";

/// `Cache-Control` of what is never written again.
pub const CACHE_IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `Cache-Control` of the pointer, the head and the end mark.
pub const CACHE_NONE: &str = "no-store";

/// Content type of the documents.
pub const DOCUMENT_TYPE: &str = "application/json";

/// The version of the documents that this program writes, and the newest that it understands.
pub const VERSION: u32 = 1;

/// The longest document in bytes that is read at all.
pub const MAX_DOCUMENT: u64 = 64 << 10;

/// How many runs a recording can have: the first, and one for each time that a writer went on with it.
pub const MAX_RUNS: u32 = 1_000;

/// A document that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// More bytes than any has.
    #[error("it is longer than {MAX_DOCUMENT} bytes")]
    TooLong,
    /// It is no JSON of this kind.
    #[error("it is not what a writer makes: {0}")]
    Malformed(String),
    /// A later version.
    #[error("it is of version {0}, and this program knows up to {VERSION}: a newer program is needed")]
    Newer(u32),
    /// It says what cannot be.
    #[error("it says what cannot be: {0}")]
    Impossible(&'static str),
}

/// Reads a document: its length and version first, then the rest, of which fields that are not known are passed over.
fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(DocumentError::TooLong);
    }
    let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
    let Versioned { v } = serde_json::from_slice(bytes).map_err(malformed)?;
    match v {
        0 => Err(DocumentError::Impossible("version 0")),
        1..=VERSION => serde_json::from_slice(bytes).map_err(malformed),
        _ => Err(DocumentError::Newer(v)),
    }
}

/// Writes a document. The types here have no maps and no floats, so that writing them does not fail.
fn written<T: serde::Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
