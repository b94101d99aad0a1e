//! What a file holds already of an object, and whether that came from the same upload.
//!
//! A file remembers no upload id, so its bytes must tell: its beginning and its end, up to 64 KiB each, are compared with
//! the same ranges of the upload. Two recordings may well begin alike; at the same place in the middle they do not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::object::locate::{beside, locate};
use crate::object::ranges::{Answer, Ranges};
use crate::object::stretch::Target;
use crate::object::wanted::{LocateError, Located, Wanted};
use crate::store::{Patient, StoreError};

/// Bytes that are compared at either end.
const COMPARED: u64 = 64 << 10;

/// So long a recording may have less than was read of it: its writer was killed, goes on, and stores that anew.
const STORED_ANEW: Duration = Duration::from_secs(15);

/// A file to go on after.
#[derive(Debug, Clone)]
pub struct Held {
    /// The file.
    pub path: PathBuf,
    /// Bytes in it, at least one.
    pub bytes: u64,
}

/// Why a file cannot be gone on after. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Neither an open upload nor a finished object.
    #[error(
        "{}: there is no open upload and no finished object {object} that it could be the beginning of. The file is as it was; leave --resume out \
         to wait for an upload to begin and write the file anew", path.display()
    )]
    Nothing {
        /// The file.
        path: PathBuf,
        /// The object.
        object: String,
    },
    /// Other bytes, or more.
    #[error(
        "{}: its {bytes} bytes are not the beginning of {object}{}: {why}. The file is as it was. Name the upload that it came \
         from with --upload-id, or leave --resume out to write the file anew from the first byte",
        path.display(), in_upload(upload.as_deref())
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        bytes: u64,
        /// The object.
        object: String,
        /// The upload id or version it was compared with, where that is known.
        upload: Option<String>,
        /// What differs.
        why: String,
        /// Nothing differs so far: it is a recording that has less than the file, and may come to have more.
        lacking: bool,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },
}

fn in_upload(upload: Option<&str>) -> String {
    upload.map_or_else(String::new, |id| format!(" (upload {id})"))
}

/// What a file's bytes were found to be the beginning of.
#[derive(Debug)]
pub struct Match {
    /// The upload or object.
    pub located: Located,
    /// Its part size, where the store names it.
    pub part_size: Option<u64>,
    /// The `ETag` of what was compared, where the store names no version.
    pub etag: Option<String>,
}

/// Finds the upload, or the finished object, that begins with what the file holds. Does not wait for one to begin: the
/// file shows that it began.
///
/// # Errors
/// [`HeldError`], or why the upload could not be looked for.
pub async fn find(store: &Patient, wanted: &Wanted, held: &Held) -> Result<Result<Match, HeldError>, LocateError> {
    let began = Instant::now();
    loop {
        let found = find_now(store, wanted, held).await?;
        if !matches!(found, Err(HeldError::Other { lacking: true, .. })) || began.elapsed() >= STORED_ANEW {
            return Ok(found);
        }
        sleep(wanted.poll_interval).await;
    }
}

/// The same, of what is there at this moment.
async fn find_now(store: &Patient, wanted: &Wanted, held: &Held) -> Result<Result<Match, HeldError>, LocateError> {
    let located = match locate(store, &Wanted { wait: false, ..wanted.clone() }).await {
        Err(LocateError::Nothing(object)) => return Ok(Err(HeldError::Nothing { path: held.path.clone(), object })),
        other => other?,
    };
    let was_open = located.is_open();
    let is_live_read = was_open && located.recording.is_none();
    let before = located.before.clone().filter(|_| was_open);
    let mut found = compare(store, wanted, held, located).await;
    // What cannot be read live may have live objects beside it.
    if is_live_read
        && is_of_another(&found)
        && let Some(beside) = beside(store, wanted).await?
    {
        found = compare(store, wanted, held, beside).await;
    }
    if !is_of_another(&found) {
        return Ok(found);
    }
    // It may have been completed while it was compared, or before that, and another begun.
    let completed = match &wanted.upload_id {
        // What is not seen is not compared: that it is of another is known already.
        None if was_open => {
            store.head(&wanted.key, None).await.ok().flatten().filter(|now| before.as_ref() != Some(now))
        }
        _ => None,
    };
    for head in [completed, before].into_iter().flatten() {
        let finished = compare(store, wanted, held, Located::finished(head, true)).await;
        if !is_of_another(&finished) {
            return Ok(finished);
        }
    }
    Ok(found)
}

/// Whether the file was seen to hold something else.
fn is_of_another(found: &Result<Match, HeldError>) -> bool {
    matches!(found, Err(HeldError::Other { .. }))
}

/// Compares the ends of the file with the same places of one upload.
async fn compare(store: &Patient, wanted: &Wanted, held: &Held, mut located: Located) -> Result<Match, HeldError> {
    let other = |upload: &Option<String>, why: String, lacking: bool| HeldError::Other {
        path: held.path.clone(),
        bytes: held.bytes,
        object: store.object(&wanted.key),
        upload: upload.clone(),
        why,
        lacking,
    };
    if let Some(size) = located.finished.filter(|size| *size < held.bytes) {
        return Err(other(&located.version, format!("that has {size} bytes in all"), false));
    }
    let target = Target {
        key: wanted.key.clone(),
        version: located.version.clone(),
        etag: None,
        // Even of a finished object: only an answer to this header names the part size.
        live: true,
        hold: located.hold.clone(),
    };
    let mut ranges = match located.recording.clone() {
        Some(recording) => Ranges::of_objects(store, &wanted.key, *recording),
        None => Ranges::new(store, target),
    };
    if located.recording.is_some() {
        // The newest live objects are known by looking for them alone, and there are at least as many as the file holds.
        ranges.edge(held.bytes).await?;
    }
    let end = held.bytes - held.bytes.min(COMPARED)..held.bytes;
    // A range that both ends share is asked for once.
    let beginning = 0..end.start.min(COMPARED);
    for range in [beginning, end].into_iter().filter(|range| !range.is_empty()) {
        let mine = read_file(&held.path, range.start, range.end - range.start)
            .map_err(|cause| HeldError::Read { path: held.path.clone(), cause: Arc::new(cause) })?;
        // All that follows must come from the upload that has just answered.
        let theirs = match ranges.read(range.start, range.end).await? {
            Answer::Data(bytes) => bytes,
            Answer::Nothing | Answer::Absent => Vec::new(),
        };
        located.version.clone_from(&ranges.target.version);
        if let Some(at) = mine.iter().zip(&theirs).position(|(mine, theirs)| mine != theirs) {
            let at = at as u64 + range.start;
            return Err(other(&located.version, format!("byte {at} (counted from 0) is another"), false));
        }
        if theirs.len() < mine.len() {
            let readable = range.start + theirs.len() as u64;
            let why = if theirs.is_empty() {
                "nothing can be read there of its last bytes".to_owned()
            } else {
                format!("only {readable} bytes can be read there")
            };
            return Err(other(&located.version, why, located.recording.is_some()));
        }
    }
    Ok(Match { located, part_size: ranges.part_size, etag: ranges.target.etag })
}

fn read_file(path: &Path, first: u64, length: u64) -> io::Result<Vec<u8>> {
    // At most [`COMPARED`].
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    File::open(path)?.read_exact_at(&mut bytes, first)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
