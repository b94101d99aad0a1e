//! The short last part of an upload, read back from the store, so that a stream can go on behind it.

use md5::{Digest, Md5};

use super::ShortPart;
use crate::object::live::Upload;
use crate::object::stretch::{End, Event, Reading, Stretch};
use crate::store::{Kind, StoreError};
use crate::writer::ledger::md5_of;
use crate::writer::pool::PartBuffer;

/// Reads a short part back from the store into an empty buffer, so that the stream can go on behind it.
///
/// # Errors
/// [`StoreError`]: the store does not let it be read, or gives other bytes than it lists.
pub async fn read_back(upload: &Upload, short: &ShortPart, buffer: &mut PartBuffer) -> Result<(), StoreError> {
    let (number, size) = (short.part.number, short.part.size);
    let doing = format!("reading back part {number}");
    let refused = |kind, cause: String| StoreError::local(doing.clone(), upload.object(), kind, cause);
    // Where a live read finds nothing, a plain read of the upload id as a version may.
    for live in [true, false] {
        let done = buffer.filled().len() as u64;
        let stretch = Stretch::Range { first: short.start + done, last: short.start + size - 1 };
        let mut reading = Reading::new(upload.store(), &upload.target(live), stretch);
        let end = loop {
            match reading.next().await {
                Event::Facts(_) => {}
                Event::Bytes(bytes) => {
                    if bytes.len() > buffer.lacks() {
                        return Err(refused(Kind::Refused, "the part is larger than the part size".to_owned()));
                    }
                    buffer.room(bytes.len()).copy_from_slice(&bytes);
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
    if md5_of(&short.part.etag).is_some_and(|wanted| <[u8; 16]>::from(Md5::digest(buffer.filled())) != wanted) {
        return Err(refused(Kind::Refused, "the bytes that came back are not those that the store lists".to_owned()));
    }
    Ok(())
}
