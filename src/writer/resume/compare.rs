//! What an upload holds, compared part by part with the file that it is of.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use md5::{Digest, Md5};

use super::{Ongoing, READ, ResumeError};
use crate::object::live::Upload;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::{ETag, StoredPart};
use crate::writer::ledger::{Ledger, md5_of};

/// Compares each part with the file.
pub(super) async fn compare(
    upload: Upload,
    parts: Vec<StoredPart>,
    file: &File,
    path: &Path,
) -> Result<Ongoing, ResumeError> {
    let (object, id, part_size) = (upload.object(), upload.id().to_owned(), upload.part_size());
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
    // The file may end before a part that lies behind a gap. That part was never readable, so it is overwritten by what the
    // file will hold there.
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
            // A full part or the first part with other bytes: this is not the file that was uploaded.
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
    Ok(Ongoing { upload, ledger, tail: None, highest, stale, readable: None })
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
