//! The reader's walk from object to object, where the writer goes on in another (`writer --rollover`).
//!
//! The writer opens the next upload before it completes the one before, so whoever has read an object to its end finds
//! the next one, open or complete. Its metadata say whether it is of the same recording; where a store does not tell them,
//! one that is older than the object just read was left by somebody else.
//!
//! The objects of a fragmented MP4 begin with the header of the whole stream again; it is left out, so that the output is
//! the stream that the writer was given.

pub(crate) mod next;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use self::next::{Next, find_next, open_uploads, origin};
use crate::media::fmp4::stitch::Stitch;
use crate::object::locate::locate;
use crate::object::reading::Reading;
use crate::object::wanted::Live;
use crate::protocol::key::numbered;
use crate::reader::copy;
use crate::reader::error::ReadError;
use crate::reader::sink::Sink;
use crate::store::Patient;
use crate::tool::progress::Progress;

/// How often the next object is looked for: lists may be a moment behind.
const LOOKS: u32 = 3;

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// Bytes given to the output.
    pub bytes: u64,
    /// Objects read.
    pub objects: u32,
}

/// Copies an object and all that it was continued in to `sink`.
///
/// # Errors
/// [`ReadError`]; what was written before is a clean prefix of the stream.
pub async fn read(
    store: &Patient,
    reading: &Reading,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<Walked, ReadError> {
    let result = Box::pin(walk(store, reading, sink, progress)).await;
    // Whatever ended the reading, what was fetched in order belongs to the output.
    let written = sink.finish().await;
    let walked = result?;
    written?;
    Ok(walked)
}

async fn walk(
    store: &Patient,
    reading: &Reading,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<Walked, ReadError> {
    let first = async { Ok(locate(store, &reading.wanted).await?) };
    let located = copy::prepare(store, &reading.wanted, sink, progress, Box::pin(first)).await?;
    let mut may_list = located.may_list;
    let mut next = Next { began: None, located };
    let mut reading = reading.clone();
    let base = reading.wanted.key.clone();
    let mut stitch = Stitch::default();
    let mut number = 1;
    loop {
        // The list knows when an open upload began, whatever the store says of it once it is complete.
        let id = next.located.version.clone().filter(|_| next.located.is_open() && next.began.is_none());
        let id = id.filter(|_| reading.wanted.live != Live::Objects);
        if let Some(id) = id {
            let uploads = open_uploads(store, &reading.wanted, &mut may_list).await?;
            next.began = uploads.iter().find(|upload| upload.id == id).and_then(|upload| upload.started);
        }
        let (version, id) = copy::object(store, &reading, next.located, &mut stitch, sink, progress).await?;
        let rest = stitch.end_object();
        if !rest.is_empty() {
            sink.write(rest).await?;
        }
        let read = origin(store, &reading.wanted, version.as_deref(), next.began).await?;
        number += 1;
        reading.wanted.key = numbered(&base, number);
        let found = find_next(store, &reading.wanted, &read, id, &mut may_list);
        let found = Box::pin(found);
        match copy::prepare(store, &reading.wanted, sink, progress, found).await? {
            Some(found) => next = found,
            None => return Ok(Walked { bytes: stitch.given, objects: number - 1 }),
        }
    }
}
