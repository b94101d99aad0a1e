//! The object in which one that was read to its end goes on.

use tokio::time::sleep;

use super::{LOOK_AGAIN, LOOKS, objects};
use crate::object::wanted::{Live, LocateError, Located, Wanted};
use crate::protocol::live_objects::RecordingId;
use crate::reader::error::ReadError;
use crate::store::{Body, Fetched, Head, OpenUpload, Patient, Piece};

/// What an object that is complete goes on in under the key `next`; none where it does not say itself that it is one of several.
/// `version`: that of the object, as the store calls it; `id`: the recording, where it can be read by live objects.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn after(
    store: &Patient,
    wanted: &Wanted,
    version: Option<&str>,
    id: Option<RecordingId>,
    next: &str,
) -> Result<Option<Located>, ReadError> {
    let read = origin(store, wanted, version, None).await?;
    if !matches!(read.recording, Recording::Named(_)) {
        return Ok(None);
    }
    let wanted = Wanted { key: next.to_owned(), upload_id: None, ..wanted.clone() };
    let mut may_list = wanted.live != Live::Objects;
    Ok(find_next(store, &wanted, &read, id, &mut may_list).await?.map(|next| next.located))
}

/// What was `read` goes on in this, under the key that is `wanted`.
pub(super) async fn find_next(
    store: &Patient,
    wanted: &Wanted,
    read: &Origin,
    id: Option<RecordingId>,
    may_list: &mut bool,
) -> Result<Option<Next>, ReadError> {
    if id.is_none() && wanted.live != Live::Objects {
        return Box::pin(find(store, wanted, read, may_list)).await;
    }
    let name = if let Recording::Named(name) = &read.recording { Some(name.clone()) } else { None };
    let found = objects::find(store, wanted, &objects::Read { id, name }).await?;
    Ok(found.map(|located| Next { began: None, located }))
}

/// An object to be read, and when its upload began.
pub(super) struct Next {
    pub(super) began: Option<i64>,
    pub(super) located: Located,
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
pub(super) struct Origin {
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
pub(super) async fn origin(
    store: &Patient,
    wanted: &Wanted,
    version: Option<&str>,
    listed: Option<i64>,
) -> Result<Origin, ReadError> {
    let key = &wanted.key;
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

/// The open uploads of the key; none where they may not be listed.
pub(super) async fn open_uploads(
    store: &Patient,
    wanted: &Wanted,
    may_list: &mut bool,
) -> Result<Vec<OpenUpload>, ReadError> {
    if !*may_list {
        return Ok(Vec::new());
    }
    match store.open_uploads(&wanted.key).await {
        Ok(uploads) => Ok(uploads),
        Err(error) if error.may_not_list() => {
            *may_list = false;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest upload of the key in which what was read goes on, open or complete.
async fn find(store: &Patient, wanted: &Wanted, read: &Origin, may_list: &mut bool) -> Result<Option<Next>, ReadError> {
    let key = &wanted.key;
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
            sleep(LOOK_AGAIN.min(wanted.poll_interval)).await;
        }
        let uploads = open_uploads(store, wanted, may_list).await?;
        let head = store.head(key, None).await?;
        stale |= head.is_some() || !uploads.is_empty();
        let finished = head.clone().map(|head| (of_finished(&head), head)).filter(|(next, _)| read.goes_on_in(next));
        // What is open beside the finished piece of the same recording was left behind by a start whose answer was lost.
        let sure = finished.as_ref().is_some_and(|(next, _)| read.is_of_one_with(next));
        let open = if sure { None } else { newest_open(store, wanted, read, uploads).await? };
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
        if !*may_list && let Some(next) = glance(store, wanted, head, read).await? {
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
    wanted: &Wanted,
    read: &Origin,
    uploads: Vec<OpenUpload>,
) -> Result<Option<OpenUpload>, ReadError> {
    let (key, piece) = (&wanted.key, Piece::Range { first: 0, last: 0 });
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
    wanted: &Wanted,
    before: Option<Head>,
    read: &Origin,
) -> Result<Option<Next>, ReadError> {
    let (key, piece) = (&wanted.key, Piece::Range { first: 0, last: 0 });
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
    use std::time::Duration;

    use super::*;
    use crate::protocol::part::PartSize;
    use crate::store::Beginning;
    use crate::store::retry::Retry;
    use crate::store::scripted::{self, Op};

    /// What goes on a complete `a.mp4` of the recording `first`, where the next key has an upload or object of `second`; and
    /// how many requests that took.
    async fn look(first: Option<&str>, second: Option<(Option<&str>, bool)>) -> (Option<Located>, usize) {
        let (store, shelf) = scripted::store();
        let patient = store.patient(Retry { give_up_after: Duration::from_secs(60) });
        let begin = async |key: &str, recording| {
            let beginning = Beginning { recording, live_read: Some(PartSize::DEFAULT), ..Beginning::default() };
            let id = patient.create_upload(key, beginning).await.expect("an upload");
            shelf.put(&id, 1, &b"bytes"[..]);
            id
        };
        let id = begin("a.mp4", first).await;
        if let Some((recording, complete)) = second {
            let next = begin("a-0002.mp4", recording).await;
            if complete {
                shelf.complete(&next);
            }
        }
        shelf.complete(&id);
        let asked = shelf.asked().len();
        let found =
            after(&patient, &Wanted::new("a.mp4"), Some(&id), None, "a-0002.mp4").await.expect("the store answers");
        let heads = shelf.asked()[asked..].iter().filter(|asked| asked.op == Op::Head && asked.key == "a.mp4").count();
        assert_eq!(heads, 1, "looks at the object itself");
        (found, shelf.asked().len() - asked)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_none_of_several_costs_one_look_and_what_is_finds_its_next_at_once() {
        for second in [None, Some((None, true)), Some((None, false)), Some((Some("r"), true))] {
            assert_eq!(look(None, second).await, (None, 1), "{second:?}");
        }
        let (open, requests) = look(Some("r"), Some((Some("r"), false))).await;
        assert!(open.is_some_and(|open| open.is_open() && open.version.is_some()));
        assert!(requests <= 4, "{requests}");
        let (complete, requests) = look(Some("r"), Some((Some("r"), true))).await;
        assert_eq!((complete.and_then(|complete| complete.finished), requests), (Some(5), 3));
        // Of another recording, or of none; and nothing.
        for second in [Some((Some("other"), true)), Some((Some("other"), false)), Some((None, true)), None] {
            let (found, requests) = look(Some("r"), second).await;
            assert_eq!(found, None, "{second:?}");
            assert!(requests <= 1 + 3 * LOOKS as usize, "{requests}");
        }
    }

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
