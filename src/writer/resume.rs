//! `writer --resume`: finds the upload that was left open, compares what it holds with the input, and says where to go on.
//!
//! Nothing is changed here. A file is compared part by part, so that a part which is missing or short can be sent again
//! out of it. A stream has no beginning any more: it goes on after the bytes that the upload holds without a gap.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use md5::{Digest, Md5};

use crate::object::locate::may_not_list;
use crate::object::stretch::{End, Event, Reading, Stretch, Target};
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::retry::Retry;
use crate::store::{ETag, Fetched, Kind, Piece, Store, StoreError, StoredPart};
use crate::writer::kept::KeptFile;
use crate::writer::ledger::{Ledger, md5_of};
use crate::writer::pool::PartBuffer;
use crate::writer::resume_kept;

/// How much of a file is read at once to be compared.
pub(crate) const READ: usize = 1 << 20;

/// What to go on with.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The object's key.
    pub key: &'a str,
    /// One certain upload, instead of the newest.
    pub upload_id: Option<&'a str>,
    /// The part size that the person asked for.
    pub part_size: Option<PartSize>,
    /// How long one request may keep failing.
    pub retry: Retry,
}

/// An upload to go on with.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its id.
    pub upload_id: String,
    /// The size of every part but the last.
    pub part_size: PartSize,
    /// The parts that stay as they are.
    pub ledger: Ledger,
    /// A stream goes on with this short part, which is in the ledger too.
    pub tail: Option<Tail>,
    /// The highest part that the store holds. The input has to reach it before the upload can be completed, because no part
    /// before it can be short.
    pub highest: Option<PartNumber>,
    /// The highest part behind a gap that holds other bytes than the input will. It was never readable, and must not become
    /// so: the part that closes the gap waits until all up to this one are overwritten.
    pub stale: Option<PartNumber>,
}

/// The short last part of an upload, which the next bytes of a stream belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The part as the store lists it.
    pub part: StoredPart,
    /// Offset of its first byte.
    pub start: u64,
}

/// Why an upload cannot be gone on with. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key may not list uploads, so the newest cannot be found.
    #[error("{0} Name the upload with --upload-id, or use a key that may list uploads")]
    Unlisted(StoreError),
    /// The named upload is not open.
    #[error("{object}: no upload {id} is open; it was completed or cancelled, or belongs to another key")]
    NotOpen {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
    },
    /// The part size asked for is not the upload's.
    #[error(
        "{object}: the upload {id} was begun with parts of {has} bytes and cannot go on with --part-size {wanted}; leave the option out"
    )]
    OtherPartSize {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// The upload's part size.
        has: u64,
        /// The part size asked for.
        wanted: PartSize,
    },
    /// The upload was made with parts that a Live Read upload cannot have.
    #[error("{object}: the upload {id} has parts of {has} bytes, which is not a part size of Live Read")]
    NotAPartSize {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// The size of its parts.
        has: u64,
    },
    /// A part is larger than the part size.
    #[error(
        "{object}: part {number} of the upload {id} has {size} bytes, more than the part size of {part_size}; give the part size that the upload was begun with (--part-size)"
    )]
    Oversize {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// The part.
        number: PartNumber,
        /// Its size in bytes.
        size: u64,
        /// The part size that was assumed.
        part_size: PartSize,
    },
    /// The file holds less than the upload.
    #[error(
        "{}: it has {length} bytes, but part {number} of the upload {id} of {object} ends at byte {end}; this is not the file that was being uploaded, or it was cut", path.display()
    )]
    Shorter {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        length: u64,
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// The first part that the file does not hold all of.
        number: PartNumber,
        /// Where that part ends.
        end: u64,
    },
    /// The file holds other bytes than the upload.
    #[error(
        "{}: its bytes {start} to {last} are not those of part {number} of the upload {id} of {object}; this is not the file that was being uploaded, or it was rewritten", path.display()
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// The part.
        number: PartNumber,
        /// Its first byte.
        start: u64,
        /// Its last byte.
        last: u64,
    },
    /// The kept file does not go with the upload.
    #[error("{} does not go with the upload {id} of {object}: {why}", path.display())]
    NotOfIt {
        /// The kept file.
        path: PathBuf,
        /// The object.
        object: String,
        /// The upload id.
        id: String,
        /// What does not fit.
        why: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// What the input is.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A stream: what it gave before is gone.
    Stream,
    /// A file that holds all from the first byte on.
    File(&'a File, &'a Path),
    /// What an earlier run kept because it could not be stored, and then a stream.
    Kept(&'a KeptFile),
}

/// Finds the upload and compares it with the input. `None`: no upload is open.
///
/// # Errors
/// [`ResumeError`]; nothing has been changed.
pub async fn take_up(
    store: &Store,
    wanted: &Wanted<'_>,
    default: PartSize,
    input: Input<'_>,
) -> Result<Option<Held>, ResumeError> {
    let (object, retry) = (store.object(wanted.key), wanted.retry);
    let id = match wanted.upload_id {
        Some(id) => id.to_owned(),
        None => match newest(store, wanted, &object).await? {
            Some(id) => id,
            None => return Ok(None),
        },
    };
    let parts = match retry.run(|_| store.parts(wanted.key, &id)).await {
        Err(error) if error.kind == Kind::NoUpload => {
            return match wanted.upload_id {
                Some(_) => Err(ResumeError::NotOpen { object, id }),
                // Completed between the two requests.
                None => Ok(None),
            };
        }
        other => other?,
    };
    let part_size = part_size(store, wanted, default, &id, &parts).await?;
    if let Some(part) = parts.iter().find(|part| part.size > part_size.get()) {
        return Err(ResumeError::Oversize { object, id, number: part.number, size: part.size, part_size });
    }
    let held = match input {
        Input::Stream => stream(id, part_size, &parts),
        Input::Kept(kept) => resume_kept::together(&object, id, part_size, parts, kept)?,
        Input::File(file, path) => compare(object, id, part_size, parts, file, path).await?,
    };
    Ok(Some(held))
}

/// The newest open upload.
async fn newest(store: &Store, wanted: &Wanted<'_>, object: &str) -> Result<Option<String>, ResumeError> {
    let uploads = wanted
        .retry
        .run(|_| store.open_uploads(wanted.key))
        .await
        .map_err(|error| if may_not_list(&error) { ResumeError::Unlisted(error) } else { error.into() })?;
    let Some((newest, others)) = uploads.split_last() else { return Ok(None) };
    if !others.is_empty() {
        let ids: Vec<&str> = others.iter().map(|upload| upload.id.as_str()).collect();
        tracing::warn!(
            "{object} has {} open uploads; going on with the newest. The others are {}: take one of them up with \
             --resume --upload-id ID, or cancel it with --abort --upload-id ID",
            uploads.len(),
            ids.join(", ")
        );
    }
    Ok(Some(newest.id.clone()))
}

/// The part size of an upload: as the store tells it, else as its parts show it, else as asked for.
async fn part_size(
    store: &Store,
    wanted: &Wanted<'_>,
    default: PartSize,
    id: &str,
    parts: &[StoredPart],
) -> Result<PartSize, ResumeError> {
    let object = store.object(wanted.key);
    let told = told_part_size(store, wanted, id, parts).await?;
    // Of several parts only the highest may be short at any time; one that was the highest when it was stored may be
    // short in the middle, so the largest counts.
    let shown = || parts.split_last().and_then(|(_, others)| others.iter().map(|part| part.size).max());
    let Some(has) = told.or_else(shown) else {
        let part_size = wanted.part_size.unwrap_or(default);
        let from = if wanted.part_size.is_some() { "as given with --part-size" } else { "the default" };
        tracing::warn!(
            "the upload {id} of {object} does not show the part size that it was begun with; taking {part_size} bytes, {from}. If the store refuses parts of this size, give the right one with --part-size"
        );
        return Ok(part_size);
    };
    match (PartSize::new(has), wanted.part_size) {
        (_, Some(asked)) if asked.get() != has => {
            Err(ResumeError::OtherPartSize { object, id: id.to_owned(), has, wanted: asked })
        }
        (Ok(part_size), _) => Ok(part_size),
        (Err(_), _) => Err(ResumeError::NotAPartSize { object, id: id.to_owned(), has }),
    }
}

/// The part size in the answer to a live read of what is there. Without the right to read nothing is told.
async fn told_part_size(
    store: &Store,
    wanted: &Wanted<'_>,
    id: &str,
    parts: &[StoredPart],
) -> Result<Option<u64>, StoreError> {
    let begin = Piece::Range { first: 0, last: 0 };
    let behind_a_gap = parts.first().filter(|part| part.number != PartNumber::FIRST);
    let pieces = parts.first().map(|_| begin).into_iter().chain(behind_a_gap.map(|part| Piece::Part(part.number)));
    for piece in pieces {
        match wanted.retry.run(|_| store.fetch(wanted.key, Some(id), piece, true)).await {
            Ok(Fetched::Data(body)) if body.part_size.is_some() => return Ok(body.part_size),
            Ok(_) => {}
            Err(error) if matches!(error.kind, Kind::Denied | Kind::Refused) => tracing::debug!("{error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Where a stream goes on.
fn stream(upload_id: String, part_size: PartSize, parts: &[StoredPart]) -> Held {
    let mut ledger = Ledger::default();
    let mut tail = None;
    let mut due = Some(PartNumber::FIRST);
    for part in parts {
        if Some(part.number) != due {
            break;
        }
        ledger.note(part.number, ETag(part.etag.clone()), part.size);
        if part.size < part_size.get() {
            tail = Some(Tail { part: part.clone(), start: part_size.start_of(part.number) });
            break;
        }
        due = part.number.next();
    }
    let highest = parts.last().map(|part| part.number);
    let stale = highest.filter(|number| ledger.size_of(*number).is_none());
    Held { upload_id, part_size, ledger, tail, highest, stale }
}

/// Compares each part with the file.
async fn compare(
    object: String,
    id: String,
    part_size: PartSize,
    parts: Vec<StoredPart>,
    file: &File,
    path: &Path,
) -> Result<Held, ResumeError> {
    let unread = |cause| ResumeError::Read { path: path.to_owned(), cause };
    let length = file.metadata().map_err(unread)?.len();
    let end_of = |part: &StoredPart| part_size.start_of(part.number) + part.size;
    let mut due = Some(PartNumber::FIRST);
    for part in &parts {
        if Some(part.number) != due {
            break;
        }
        let (number, end) = (part.number, end_of(part));
        if end > length {
            return Err(ResumeError::Shorter { path: path.to_owned(), length, object, id, number, end });
        }
        due = number.next().filter(|_| part.size == part_size.get());
    }
    if !parts.is_empty() {
        tracing::info!("comparing the {} parts that {object} holds with {}", parts.len(), path.display());
    }
    if parts.iter().any(|part| md5_of(&part.etag).is_none()) {
        tracing::warn!(
            "the store tells no MD5 of some parts of the upload {id}: their contents cannot be compared with {}, only their sizes",
            path.display()
        );
    }
    // A part behind a gap that the file does not reach yet was never readable: what the file will hold there counts.
    let mut stale = parts.iter().rev().find(|part| end_of(part) > length).map(|part| part.number);
    let reached: Vec<StoredPart> = parts.iter().filter(|part| end_of(part) <= length).cloned().collect();
    let handle = file.try_clone().map_err(unread)?;
    let compared = tokio::task::spawn_blocking(move || same_bytes(&handle, part_size, reached)).await;
    let compared = compared.map_err(io::Error::other).flatten().map_err(unread)?;
    let mut ledger = Ledger::default();
    for (part, same) in compared {
        let (number, start) = (part.number, part_size.start_of(part.number));
        let full = part.size == part_size.get();
        match same {
            true if full => ledger.note(number, ETag(part.etag), part.size),
            true => {}
            // Without a full part that is the same, nothing tells that it is the same file.
            false if full || number == PartNumber::FIRST => {
                let (path, last) = (path.to_owned(), end_of(&part) - 1);
                return Err(ResumeError::Differs { path, object, id, number, start, last });
            }
            false => {
                stale = stale.max(Some(number));
                tracing::warn!(
                    "{}: its bytes from {start} on are not those of the short part {number} of the upload {id}; the part is \
                 replaced by what the file holds, and readers that have read it already have other bytes",
                    path.display()
                );
            }
        }
    }
    let highest = parts.last().map(|part| part.number);
    Ok(Held { upload_id: id, part_size, ledger, tail: None, highest, stale })
}

/// Whether each part has the bytes of the file at its place, as far as its MD5 is known. Uses all processors.
fn same_bytes(file: &File, part_size: PartSize, parts: Vec<StoredPart>) -> io::Result<Vec<(StoredPart, bool)>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Ok(vec![true; parts.len()]));
    let lock = || results.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let mut room = vec![0; READ];
        while let Some((at, part)) = Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, parts.get(at)?))) {
            let Some(wanted) = md5_of(&part.etag) else { continue };
            let digest = digest(file, part_size.start_of(part.number), part.size, &mut room);
            match (&mut *lock(), digest) {
                (Err(_), _) => return,
                (Ok(same), Ok(digest)) => {
                    if let Some(same) = same.get_mut(at) {
                        *same = digest == wanted;
                    }
                }
                (failed, Err(error)) => {
                    *failed = Err(error);
                    return;
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(parts.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let same = results.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    Ok(parts.into_iter().zip(same).collect())
}

/// MD5 of a stretch of a file.
fn digest(file: &File, start: u64, size: u64, room: &mut [u8]) -> io::Result<[u8; 16]> {
    let mut hash = Md5::new();
    let (mut at, end) = (start, start + size);
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..length).unwrap_or_default();
        file.read_exact_at(room, at)?;
        hash.update(&*room);
        at += length as u64;
    }
    Ok(hash.finalize().into())
}

/// Reads a short part back from the store into an empty buffer, so that the stream can go on behind it.
///
/// # Errors
/// [`StoreError`]: the store does not let it be read, or gives other bytes than it lists.
pub async fn read_back(
    store: &Store,
    key: &str,
    upload_id: &str,
    tail: &Tail,
    retry: Retry,
    buffer: &mut PartBuffer,
) -> Result<(), StoreError> {
    let (number, size) = (tail.part.number, tail.part.size);
    let doing = format!("reading back part {number}");
    let refused = |kind, cause: String| StoreError::local(doing.clone(), store.object(key), kind, cause);
    // Not a Live Read upload, or not for this key: a store of another kind may still give it.
    for live in [true, false] {
        let target = Target { key: key.to_owned(), version: Some(upload_id.to_owned()), etag: None, live, retry };
        let done = buffer.filled().len() as u64;
        let stretch = Stretch::Range { first: tail.start + done, last: tail.start + size - 1 };
        let mut reading = Reading::new(store, &target, stretch);
        let end = loop {
            match reading.next().await {
                Event::Facts(_) => {}
                Event::Bytes(bytes) => {
                    let room = buffer.room().get_mut(..bytes.len());
                    let room =
                        room.ok_or_else(|| refused(Kind::Refused, "the part is larger than the part size".to_owned()))?;
                    room.copy_from_slice(&bytes);
                    buffer.advance(bytes.len());
                }
                Event::End(end) => break end,
            }
        };
        match end {
            End::Failed(error) => return Err(error),
            End::Absent => {}
            End::Whole | End::Edge { .. } => break,
        }
    }
    if (buffer.filled().len() as u64) < size {
        let cause = "the store does not let this part be read before the upload is complete, so a stream cannot go on behind it. Resume \
                     from a FILE that holds all of it, or cancel the upload with --abort";
        return Err(refused(Kind::Refused, cause.to_owned()));
    }
    if md5_of(&tail.part.etag).is_some_and(|wanted| <[u8; 16]>::from(Md5::digest(buffer.filled())) != wanted) {
        return Err(refused(Kind::Refused, "the bytes that came back are not those that the store lists".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 5_000_000;

    fn listed(parts: &[(u32, u64)]) -> Vec<StoredPart> {
        let part = |&(number, size): &(u32, u64)| StoredPart {
            number: PartNumber::new(number).expect("in range"),
            size,
            etag: format!("e{number}"),
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn a_stream_goes_on_behind_what_has_no_gap() {
        // Listed parts; numbers in the ledger; the tail's number.
        type Case = (&'static [(u32, u64)], &'static [u32], Option<u32>);
        let cases: [Case; 7] = [
            (&[], &[], None),
            (&[(1, SIZE), (2, SIZE)], &[1, 2], None),
            (&[(1, SIZE), (2, 7)], &[1, 2], Some(2)),
            (&[(1, 7)], &[1], Some(1)),
            (&[(2, SIZE)], &[], None),
            (&[(1, SIZE), (3, SIZE), (5, 7)], &[1], None),
            (&[(1, SIZE), (2, 7), (3, SIZE)], &[1, 2], Some(2)),
        ];
        for (parts, in_ledger, tail) in cases {
            let held = stream("id".to_owned(), PartSize::new(SIZE).expect("in range"), &listed(parts));
            let known: Vec<u32> = (1..=9)
                .filter(|number| held.ledger.size_of(PartNumber::new(*number).expect("in range")).is_some())
                .collect();
            assert_eq!(known, in_ledger, "{parts:?}");
            assert_eq!(held.tail.map(|tail| tail.part.number.get()), tail, "{parts:?}");
            let highest = parts.last().map(|part| part.0);
            assert_eq!(held.highest.map(PartNumber::get), highest, "{parts:?}");
            assert_eq!(held.stale.map(PartNumber::get), highest.filter(|last| !in_ledger.contains(last)), "{parts:?}");
        }
    }
}
