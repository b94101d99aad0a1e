//! `writer --resume`: finds the upload that was left open, compares what it holds with the input, and says where to go on.
//!
//! Nothing is changed here. A file is compared part by part, so that a part which is missing or short can be sent again
//! out of it. A stream has no beginning any more: it goes on after the bytes that the upload holds without a gap.

mod compare;
mod error;
mod find;
mod kept;
mod live;
mod read_back;

use std::fs::File;
use std::path::Path;

use self::compare::compare;
pub use self::error::ResumeError;
pub use self::find::Sought;
use self::find::{newest, part_size};
pub use self::live::with_live_objects;
pub use self::read_back::read_back;
use crate::object::live::Upload;
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::{ETag, Kind, Patient, StoredPart};
use crate::writer::kept::KeptFile;
use crate::writer::ledger::Ledger;

/// How much of a file is read at once to be compared.
const READ: usize = 1 << 20;

/// An upload to go on with.
#[derive(Debug, Clone)]
pub struct Ongoing {
    /// The upload.
    pub upload: Upload,
    /// The parts that stay as they are.
    pub ledger: Ledger,
    /// A stream goes on with this short part, which is in the ledger too.
    pub tail: Option<ShortPart>,
    /// The highest part that the store holds. The input has to reach it before the upload can be completed, because no part
    /// before it can be short.
    pub highest: Option<PartNumber>,
    /// The highest part behind a gap that holds other bytes than the input will. It was never readable, and must not become
    /// so: the part that closes the gap waits until all up to this one are overwritten.
    pub stale: Option<PartNumber>,
    /// How many bytes readers can have, where that is more than is in parts: a stream goes on behind them.
    pub readable: Option<u64>,
}

/// The short last part of an upload, which the next bytes of a stream belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortPart {
    /// The part as the store lists it.
    pub part: StoredPart,
    /// Offset of its first byte.
    pub start: u64,
}

/// What the input is.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A stream, which cannot give its earlier bytes again.
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
    store: &Patient,
    wanted: &Sought<'_>,
    default: PartSize,
    input: Input<'_>,
) -> Result<Option<Ongoing>, ResumeError> {
    let object = store.object(wanted.key);
    let id = match wanted.upload_id {
        Some(id) => id.to_owned(),
        None => match newest(store, wanted, &object).await? {
            Some(id) => id,
            None => return Ok(None),
        },
    };
    let parts = match store.parts(wanted.key, &id).await {
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
    let upload = Upload::known(store, wanted.key, &id, part_size);
    let held = match input {
        Input::Stream => stream(upload, &parts),
        Input::Kept(kept) => kept::together(upload, parts, kept)?,
        Input::File(file, path) => compare(upload, parts, file, path).await?,
    };
    Ok(Some(held))
}

/// Where a stream goes on.
fn stream(upload: Upload, parts: &[StoredPart]) -> Ongoing {
    let part_size = upload.part_size();
    let mut ledger = Ledger::default();
    let mut tail = None;
    let mut due = Some(PartNumber::FIRST);
    for part in parts {
        if Some(part.number) != due {
            break;
        }
        ledger.note(part.number, ETag(part.etag.clone()), part.size);
        if part.size < part_size.get() {
            tail = Some(ShortPart { part: part.clone(), start: part_size.start_of(part.number) });
            break;
        }
        due = part.number.next();
    }
    let highest = parts.last().map(|part| part.number);
    let stale = highest.filter(|number| ledger.size_of(*number).is_none());
    Ongoing { upload, ledger, tail, highest, stale, readable: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::retry::Retry;
    use crate::store::scripted;

    const SIZE: u64 = 5_000_000;

    /// An upload that nothing is asked of.
    pub(super) fn upload(part_size: u64) -> Upload {
        let store = scripted::store().0.patient(Retry { give_up_after: std::time::Duration::ZERO });
        Upload::known(&store, "k", "u", PartSize::new(part_size).expect("in range"))
    }

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
            let held = stream(upload(SIZE), &listed(parts));
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
