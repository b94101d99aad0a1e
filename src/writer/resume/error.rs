//! Why an upload cannot be gone on with, in words that say what to do.

use std::io;
use std::path::PathBuf;

use crate::protocol::part::{PartNumber, PartSize};
use crate::store::StoreError;

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
