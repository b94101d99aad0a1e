//! The reader's walk from object to object, where the writer goes on in another (`writer --rollover`).
//!
//! The writer opens the next upload before it completes the one before, so whoever has read an object to its end finds
//! the next one, open or complete. Its metadata say whether it is of the same recording; where a store does not tell them,
//! one that is older than the object just read was left by somebody else.
//!
//! The objects of a fragmented MP4 begin with the header of the whole stream again; it is left out, so that the output is
//! the stream that the writer was given.

mod objects;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::media::fmp4::stitch::Stitch;
use crate::object::locate::locate;
use crate::object::reading::Reading;
use crate::object::wanted::{Live, LocateError, Located};
use crate::protocol::key::numbered;
use crate::reader::copy;
use crate::reader::error::ReadError;
use crate::reader::sink::Sink;
use crate::store::{Body, Fetched, Head, OpenUpload, Patient, Piece};
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
            let uploads = open_uploads(store, &reading, &mut may_list).await?;
            next.began = uploads.iter().find(|upload| upload.id == id).and_then(|upload| upload.started);
        }
        let (version, id) = copy::object(store, &reading, next.located, &mut stitch, sink, progress).await?;
        let rest = stitch.end_object();
        if !rest.is_empty() {
            sink.write(rest).await?;
        }
        let read = origin(store, &reading, version.as_deref(), next.began).await?;
        number += 1;
        reading.wanted.key = numbered(&base, number);
        let found = async {
            if id.is_none() && reading.wanted.live != Live::Objects {
                return Box::pin(find(store, &reading, &read, &mut may_list)).await;
            }
            let name = if let Recording::Named(name) = &read.recording { Some(name.clone()) } else { None };
            let found = objects::find(store, &reading, &objects::Read { id, name }).await?;
            Ok(found.map(|located| Next { began: None, located }))
        };
        let found = Box::pin(found);
        match copy::prepare(store, &reading.wanted, sink, progress, found).await? {
            Some(found) => next = found,
            None => return Ok(Walked { bytes: stitch.given, objects: number - 1 }),
        }
    }
}

/// An object to be read, and when its upload began.
struct Next {
    began: Option<i64>,
    located: Located,
}

/// The recording that an object says it is a piece of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recording {
    /// It was not asked, or the store does not tell before it is complete.
    Unknown,
    /// Of none that goes into several objects, or the store keeps no metadata.
    None,
    /// This one.
    Named(String),
}

impl Recording {
    /// As metadata tell it of an object that is complete.
    fn told(name: Option<&String>) -> Self {
        name.map_or(Self::None, |name| Self::Named(name.clone()))
    }
}

/// Where an object comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// When its upload began, in seconds since 1970, as far as that can be known.
    began: Option<i64>,
    recording: Recording,
}

impl Origin {
    /// Whether what was read goes on in `next`. Names decide; without them it may not be older.
    fn goes_on_in(&self, next: &Self) -> bool {
        match (&self.recording, &next.recording) {
            (Recording::Named(read), Recording::Named(next)) => read == next,
            (Recording::Named(_), Recording::None) | (Recording::None, Recording::Named(_)) => false,
            _ => self.began.zip(next.began).is_some_and(|(read, next)| next >= read),
        }
    }

    /// Whether their names say that both are of one recording.
    fn is_of_one_with(&self, other: &Self) -> bool {
        matches!(&self.recording, Recording::Named(_)) && self.recording == other.recording
    }
}

/// Where the object just read comes from.
///
/// `Last-Modified` of what was uploaded in parts is when that began; should a store mean the end, the list knew better.
async fn origin(
    store: &Patient,
    reading: &Reading,
    version: Option<&str>,
    listed: Option<i64>,
) -> Result<Origin, ReadError> {
    let key = &reading.wanted.key;
    let mut head = store.head(key, version).await?;
    if head.is_none() && version.is_some() {
        // On stores whose upload ids are not version ids.
        head = store.head(key, None).await?;
    }
    let recording = head.as_ref().map_or(Recording::Unknown, |head| Recording::told(head.recording.as_ref()));
    let modified = head.and_then(|head| head.modified);
    let began = match (listed, modified) {
        (Some(listed), Some(modified)) => Some(listed.min(modified)),
        (listed, modified) => listed.or(modified),
    };
    Ok(Origin { began, recording })
}

/// The open uploads of the reading's key; none where they may not be listed.
async fn open_uploads(store: &Patient, reading: &Reading, may_list: &mut bool) -> Result<Vec<OpenUpload>, ReadError> {
    if !*may_list {
        return Ok(Vec::new());
    }
    match store.open_uploads(&reading.wanted.key).await {
        Ok(uploads) => Ok(uploads),
        Err(error) if error.may_not_list() => {
            *may_list = false;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest upload of the reading's key in which what was read goes on, open or complete.
async fn find(
    store: &Patient,
    reading: &Reading,
    read: &Origin,
    may_list: &mut bool,
) -> Result<Option<Next>, ReadError> {
    let key = &reading.wanted.key;
    let object = store.object(key);
    if read.began.is_none() && !matches!(read.recording, Recording::Named(_)) {
        tracing::warn!(
            "the store does not say when the upload began, so that {object} cannot be told from an older one"
        );
        return Ok(None);
    }
    let mut stale = false;
    for look in 0..LOOKS {
        if look > 0 {
            sleep(LOOK_AGAIN.min(reading.wanted.poll_interval)).await;
        }
        let uploads = open_uploads(store, reading, may_list).await?;
        let head = store.head(key, None).await?;
        stale |= head.is_some() || !uploads.is_empty();
        let finished = head.clone().map(|head| (of_finished(&head), head)).filter(|(next, _)| read.goes_on_in(next));
        // What is open beside the finished piece of the same recording was left behind by a start whose answer was lost.
        let sure = finished.as_ref().is_some_and(|(next, _)| read.is_of_one_with(next));
        let open = if sure { None } else { newest_open(store, reading, read, uploads).await? };
        if let Some(upload) = open
            && finished.as_ref().is_none_or(|(_, head)| head.modified <= upload.started)
        {
            let located = Located { version: Some(upload.id), may_list: true, before: head, ..Located::default() };
            return Ok(Some(Next { began: upload.started, located }));
        }
        if let Some((_, head)) = finished {
            let began = head.modified;
            let (version, finished) = (head.version, Some(head.size));
            let located = Located { version, finished, may_list: *may_list, ..Located::default() };
            return Ok(Some(Next { began, located }));
        }
        if !*may_list && let Some(next) = glance(store, reading, head, read).await? {
            return Ok(Some(next));
        }
    }
    if stale {
        tracing::info!("{object} is older than what was read, or of another recording, so it is no continuation of it");
    }
    Ok(None)
}

fn of_finished(head: &Head) -> Origin {
    Origin { began: head.modified, recording: Recording::told(head.recording.as_ref()) }
}

/// The newest of these uploads in which what was read goes on.
async fn newest_open(
    store: &Patient,
    reading: &Reading,
    read: &Origin,
    uploads: Vec<OpenUpload>,
) -> Result<Option<OpenUpload>, ReadError> {
    let (key, piece) = (&reading.wanted.key, Piece::Range { first: 0, last: 0 });
    for upload in uploads.into_iter().rev() {
        let mut next = Origin { began: upload.started, recording: Recording::Unknown };
        if matches!(read.recording, Recording::Named(_)) {
            // A list tells no metadata. What is read of an upload that is open may.
            let fetched = store.fetch(key, Some(&upload.id), piece, true).await;
            if let Fetched::Data(body) = fetched.map_err(LocateError::from)? {
                next.recording = of_body(&body).recording;
            }
        }
        if read.goes_on_in(&next) {
            return Ok(Some(upload));
        }
    }
    Ok(None)
}

/// Looks for an open upload by a live read of one byte.
async fn glance(
    store: &Patient,
    reading: &Reading,
    before: Option<Head>,
    read: &Origin,
) -> Result<Option<Next>, ReadError> {
    let (key, piece) = (&reading.wanted.key, Piece::Range { first: 0, last: 0 });
    let fetched = store.fetch(key, None, piece, true).await.map_err(LocateError::from)?;
    let (version, began) = match fetched {
        Fetched::Data(body) if read.goes_on_in(&of_body(&body)) => (body.version, body.modified),
        // Nothing can be read of it yet: it has just been opened.
        Fetched::NotYet => (None, None),
        Fetched::Data(_) | Fetched::Absent => return Ok(None),
    };
    let located = Located { version, before, ..Located::default() };
    Ok(Some(Next { began, located }))
}

fn of_body(body: &Body) -> Origin {
    let recording = body.recording.clone().map_or(Recording::Unknown, Recording::Named);
    Origin { began: body.modified, recording }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_and_dates_where_there_are_none() {
        use Recording::{None as Nameless, Unknown};
        let named = |name: &str| Recording::Named(name.to_owned());
        let cases = [
            // The object read, the next one, when that began (the first at 100), and whether it is the continuation.
            (named("a"), named("a"), Some(100), true),
            (named("a"), named("a"), Some(90), true),
            (named("a"), named("a"), None, true),
            (named("a"), named("b"), Some(100), false),
            (named("a"), named("b"), Some(200), false),
            (named("a"), Nameless, Some(100), false),
            (Nameless, named("a"), Some(100), false),
            // An upload that is open, of a store that tells no metadata before the end.
            (named("a"), Unknown, Some(100), true),
            (named("a"), Unknown, Some(99), false),
            (named("a"), Unknown, None, false),
            // Objects of other writers, and stores that keep no metadata.
            (Nameless, Nameless, Some(100), true),
            (Nameless, Nameless, Some(99), false),
            (Nameless, Unknown, Some(101), true),
            (Unknown, named("a"), Some(101), true),
            (Unknown, Unknown, None, false),
        ];
        for (read, next, began, expected) in cases {
            let read = Origin { began: Some(100), recording: read };
            let next = Origin { began, recording: next };
            assert_eq!(read.goes_on_in(&next), expected, "{read:?} {next:?}");
        }
    }
}
