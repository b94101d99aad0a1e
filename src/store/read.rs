//! Requests that read: live and plain GETs with their outcomes, and HEAD.

use std::collections::HashMap;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat as Format};
use bytes::{Bytes, BytesMut};

use super::seen::SeenHeader;
use super::words::is_id;
use super::{Kind, Marks, Store, StoreError, send};
use crate::protocol::live_objects::RecordingId;
use crate::protocol::live_read::{ContentRange, ENABLED_HEADER, MAX_OBJECT_SIZE, PART_SIZE_HEADER, RECORDING_METADATA};
use crate::protocol::part::{PartNumber, PartSize};

/// 9999-12-31T23:59:59Z: no clock of a store shows more, and sums with it do not overflow.
const LAST_SECOND: i64 = 253_402_300_799;

/// What to ask for: a Live Read GET names both ends of a range, or a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Bytes `first` to `last`, both inclusive.
    Range {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, inclusive.
        last: u64,
    },
    /// A whole part.
    Part(PartNumber),
}

/// The store's answer to a GET.
#[derive(Debug)]
pub enum Fetched {
    /// Bytes, at least one.
    Data(Box<Body>),
    /// 416: nothing there yet (or, of a finished object, nothing more).
    NotYet,
    /// 404: no such key or version, an aborted upload, or an upload that cannot be read live.
    Absent,
}

/// The head of an answer with data, and the bytes as they come off the wire.
#[derive(Debug)]
pub struct Body {
    /// Which bytes these are, where the answer says so.
    pub range: Option<ContentRange>,
    /// Length in bytes that the answer promises, where it does.
    pub length: Option<u64>,
    /// The version that answered, where the store names it.
    pub version: Option<String>,
    /// The entity tag of what answered, without quotation marks, where the store names it. A finished object has one for
    /// all its bytes; an open upload may have another for each answer.
    pub etag: Option<String>,
    /// The part size of the Live Read upload, where the store names one that is within the limits.
    pub part_size: Option<u64>,
    /// `Last-Modified`, in seconds since 1970-01-01T00:00:00Z: when the upload was started.
    pub modified: Option<i64>,
    /// What the objects of one input that went into several have in common; see [`RECORDING_METADATA`].
    pub recording: Option<String>,
    /// What it says of itself as a live object, or of its live objects.
    pub marks: Marks,
    stream: ByteStream,
}

impl Body {
    /// The same as the answer to a HEAD.
    fn head(self, size: u64) -> Head {
        let Self { version, etag, modified, recording, marks, .. } = self;
        Head { size, version, etag, modified, recording, objects: marks.objects }
    }

    /// An answer out of a script: what it says, and what comes of its bytes.
    #[cfg(test)]
    pub(crate) fn scripted(range: Option<ContentRange>, length: Option<u64>, stream: ByteStream) -> Self {
        let (version, etag, modified, recording) = (None, None, None, None);
        Self { range, length, version, etag, part_size: None, modified, recording, marks: Marks::default(), stream }
    }

    /// The next bytes, or `None` at the end of the answer.
    ///
    /// # Errors
    /// In words, when the connection broke before the promised length was reached.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self.stream.next().await {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(error)) => Err(chain(&error)),
        }
    }
}

/// What a live HEAD tells of a range, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// These bytes would come.
    Range(ContentRange),
    /// Nothing is there yet.
    Nothing,
    /// It does not tell.
    Mute,
}

/// What a plain HEAD says of an object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub size: u64,
    /// The version that answered, where the store names it.
    pub version: Option<String>,
    /// The entity tag, without quotation marks, where the store names it.
    pub etag: Option<String>,
    /// `Last-Modified`, in seconds since 1970-01-01T00:00:00Z: of an upload in parts, when it was started.
    pub modified: Option<i64>,
    /// What the objects of one input that went into several have in common; see [`RECORDING_METADATA`].
    pub recording: Option<String>,
    /// The recording whose live objects have the same bytes, on a store without Live Read.
    pub objects: Option<RecordingId>,
}

/// A small object, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// All of its bytes.
    pub bytes: Bytes,
    /// The version that answered, where the store names it.
    pub version: Option<String>,
    /// The entity tag, without quotation marks, where the store names it.
    pub etag: Option<String>,
    /// What it says of itself as a live object.
    pub marks: Marks,
    /// `Last-Modified`, in seconds since 1970-01-01T00:00:00Z.
    pub modified: Option<i64>,
    /// What the store's clock said when it answered, in seconds since 1970.
    pub date: Option<i64>,
}

/// How many bytes an answer has; none where it names a range that cannot be read: then they may be any bytes.
fn length_of(answer: &GetObjectOutput) -> Option<u64> {
    let is_told = answer.content_range.as_deref().is_none_or(|range| ContentRange::parse(range).is_some());
    answer.content_length.filter(|_| is_told).and_then(|length| u64::try_from(length).ok())
}

impl Store {
    /// Reads a piece of `key`, pinned to `version` where one is given; `live` asks for data of an open upload too.
    ///
    /// # Errors
    /// [`StoreError`] for anything but data, 404 and 416; a missing bucket is an error and not [`Fetched::Absent`].
    pub async fn fetch(
        &self,
        key: &str,
        version: Option<&str>,
        piece: Piece,
        live: bool,
    ) -> Result<Fetched, StoreError> {
        let request =
            self.client().get_object().bucket(&self.bucket).key(key).set_version_id(version.map(str::to_owned));
        let (request, doing) = match piece {
            Piece::Range { first, last } => {
                (request.range(format!("bytes={first}-{last}")), format!("reading bytes {first} to {last}"))
            }
            Piece::Part(number) => (request.part_number(number.as_i32()), format!("reading part {number}")),
        };
        let seen = SeenHeader::new(PART_SIZE_HEADER);
        let mut request = request.customize().interceptor(seen.clone());
        if live {
            request = request.mutate_request(|request| {
                request.headers_mut().insert(ENABLED_HEADER, "true");
            });
        }
        match send!(self, read, doing, self.object(key), self.patience.answer, request.send()) {
            Ok(answer) => Ok(Fetched::Data(Box::new(Body {
                range: answer.content_range.as_deref().and_then(ContentRange::parse),
                length: length_of(&answer),
                version: answer.version_id.as_deref().and_then(version_id),
                etag: answer.e_tag.as_deref().and_then(bare),
                part_size: seen.value().and_then(|size| size.parse().ok()).and_then(PartSize::checked),
                modified: answer.last_modified.as_ref().and_then(moment),
                recording: answer.metadata.as_ref().and_then(recording_of),
                marks: answer.metadata.as_ref().map(Marks::of).unwrap_or_default(),
                stream: answer.body,
            }))),
            Err(error) if error.status == Some(416) => Ok(Fetched::NotYet),
            Err(error) if error.kind == Kind::NoKey => Ok(Fetched::Absent),
            // AWS and its like refuse a version id that is not one of theirs: an upload id of theirs never is.
            Err(error) if version.is_some() && error.is_no_version_id() => Ok(Fetched::Absent),
            Err(error) => Err(error),
        }
    }

    /// Asks which of the bytes `first` to `last` a live read would bring.
    ///
    /// # Errors
    /// [`StoreError`] for what may pass; whoever is refused for good has to ask by a read.
    pub async fn peek(&self, key: &str, version: Option<&str>, first: u64, last: u64) -> Result<Peeked, StoreError> {
        let request = self.client().head_object().bucket(&self.bucket).key(key);
        let request = request.set_version_id(version.map(str::to_owned)).range(format!("bytes={first}-{last}"));
        let request = request.customize().mutate_request(|request| {
            request.headers_mut().insert(ENABLED_HEADER, "true");
        });
        let doing = "looking how far it can be read";
        match send!(self, read, doing, self.object(key), self.patience.answer, request.send()) {
            Ok(answer) => {
                let range = answer.content_range.as_deref().and_then(ContentRange::parse);
                let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
                let sound = range.filter(|range| length.is_none_or(|length| length == range.len()));
                // An answer from another version tells nothing of this one.
                let other = version.zip(answer.version_id.as_deref()).is_some_and(|(mine, theirs)| mine != theirs);
                Ok(sound.filter(|_| !other).map_or(Peeked::Mute, Peeked::Range))
            }
            Err(error) if error.status == Some(416) => Ok(Peeked::Nothing),
            Err(error) if matches!(error.kind, Kind::Passing | Kind::Skewed | Kind::Expired | Kind::Capped) => {
                Err(error)
            }
            Err(_) => Ok(Peeked::Mute),
        }
    }

    /// Looks at the finished object, without the Live Read header: `None` while the upload is open, or after an abort.
    ///
    /// A refusal of a HEAD has no code and so no meaning, and some things in between take the length away or make it a
    /// zero: then a GET of one byte tells.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success and 404.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Head>, StoreError> {
        self.head_with(key, version, SeenHeader::new("date")).await
    }

    /// The newest finished object of the key, and what the store's clock said then, in seconds since 1970.
    ///
    /// # Errors
    /// As for [`Self::head`].
    pub async fn dated_head(&self, key: &str) -> Result<(Option<Head>, Option<i64>), StoreError> {
        let date = SeenHeader::new("date");
        let head = self.head_with(key, None, date.clone()).await?;
        Ok((head, date.value().as_deref().and_then(moment_of)))
    }

    async fn head_with(&self, key: &str, version: Option<&str>, seen: SeenHeader) -> Result<Option<Head>, StoreError> {
        let doing = "looking for the finished object";
        let request =
            self.client().head_object().bucket(&self.bucket).key(key).set_version_id(version.map(str::to_owned));
        let request = request.customize().interceptor(seen);
        let answer = match send!(self, read, doing, self.object(key), self.patience.answer, request.send()) {
            Ok(answer) => answer,
            // 405: the version is a delete marker.
            Err(error) if error.kind == Kind::NoKey || error.status == Some(405) => return Ok(None),
            Err(error) if matches!(error.status, Some(400 | 401 | 403)) => {
                return self.head_by_get(key, version, None).await;
            }
            Err(error) => return Err(error),
        };
        let size = answer.content_length.and_then(|size| u64::try_from(size).ok());
        if size.is_none_or(|size| size == 0) {
            return self.head_by_get(key, version, size).await;
        }
        let Some(size) = size.filter(|size| *size <= MAX_OBJECT_SIZE) else {
            let cause = "the store states a size that no object can have";
            return Err(StoreError::local(doing, self.object(key), Kind::Passing, cause));
        };
        Ok(Some(Head {
            size,
            version: answer.version_id.as_deref().and_then(version_id),
            etag: answer.e_tag.as_deref().and_then(bare),
            modified: answer.last_modified.as_ref().and_then(moment),
            recording: answer.metadata.as_ref().and_then(recording_of),
            objects: answer.metadata.as_ref().and_then(|metadata| Marks::of(metadata).objects),
        }))
    }

    /// The same by a GET of the first byte. `empty` is what a HEAD has said of the size, if anything.
    async fn head_by_get(
        &self,
        key: &str,
        version: Option<&str>,
        empty: Option<u64>,
    ) -> Result<Option<Head>, StoreError> {
        let doing = "looking for the finished object";
        let fail = |cause| Err(StoreError::local(doing, self.object(key), Kind::Passing, cause));
        match self.fetch(key, version, Piece::Range { first: 0, last: 0 }, false).await {
            Ok(Fetched::Data(body)) => match body.range.and_then(|range| range.total) {
                Some(size) if empty.is_none() => Ok(Some(body.head(size))),
                // An answer with the whole object in it, of a store that has no ranges.
                None if empty.is_some() && body.length == Some(0) => Ok(Some(body.head(0))),
                _ if empty.is_some() => fail("the store says that it is empty, and yet it has bytes"),
                _ => fail("the store does not say how long it is"),
            },
            // There is no first byte.
            Ok(Fetched::NotYet) => {
                let version = version.map(str::to_owned);
                Ok(Some(Head { size: 0, version, etag: None, modified: None, recording: None, objects: None }))
            }
            Ok(Fetched::Absent) => Ok(None),
            Err(error) if error.status == Some(405) || version.is_some() && error.is_no_version_id() => Ok(None),
            Err(error) => Err(StoreError { doing: doing.to_owned(), ..error }),
        }
    }

    /// Reads a small object whole; `None` where there is none.
    ///
    /// It comes in one piece or not at all: what is longer than `most` bytes, falls silent, trickles, or ends before the
    /// length that the store has stated, is an error.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Refused`] for an object that is too long.
    pub async fn get_small(&self, key: &str, most: u64) -> Result<Option<Small>, StoreError> {
        let doing = "reading the object";
        let request = self.client().get_object().bucket(&self.bucket).key(key);
        let seen = SeenHeader::new("transfer-encoding");
        let date = SeenHeader::new("date");
        let request = request.customize().interceptor(seen.clone()).interceptor(date.clone());
        let answer = match send!(self, read, doing, self.object(key), self.patience.answer, request.send()) {
            Ok(answer) => answer,
            Err(error) if error.kind == Kind::NoKey => return Ok(None),
            Err(error) => return Err(error),
        };
        let fail = |kind, cause: String| StoreError::local(doing, self.object(key), kind, cause);
        let too_long = || fail(Kind::Refused, format!("it is longer than {most} bytes, which nothing of this kind is"));
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
        if length.is_some_and(|length| length > most) {
            return Err(too_long());
        }
        // The end of a connection is the end of nothing: only a length or the frames of HTTP tell whether all has come.
        if length.is_none() && seen.value().is_none_or(|encoding| !encoding.to_ascii_lowercase().contains("chunked")) {
            return Err(fail(Kind::Passing, "the store does not say how long it is".to_owned()));
        }
        let (mut stream, mut bytes) = (answer.body, BytesMut::new());
        let stall = self.patience.body;
        // All of it has longer than a silence, so that a silence is told as what it is.
        let whole = tokio::time::timeout(stall.saturating_add(self.patience.part(length.unwrap_or(most), 0)), async {
            while let Some(next) = tokio::time::timeout(stall, stream.next()).await.transpose() {
                match next {
                    Ok(Ok(more)) => bytes.extend_from_slice(&more),
                    Ok(Err(error)) => {
                        return Err(fail(Kind::Passing, format!("the connection broke: {}", chain(&error))));
                    }
                    Err(_) => {
                        return Err(fail(Kind::Passing, format!("nothing came for {} s", stall.as_secs_f64())));
                    }
                }
                if bytes.len() as u64 > most {
                    return Err(too_long());
                }
            }
            Ok(())
        });
        whole.await.map_err(|_| fail(Kind::Passing, "it comes too slowly".to_owned()))??;
        if length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(fail(Kind::Passing, "the answer has another length than it promised".to_owned()));
        }
        Ok(Some(Small {
            bytes: bytes.freeze(),
            version: answer.version_id.as_deref().and_then(version_id),
            etag: answer.e_tag.as_deref().and_then(bare),
            marks: answer.metadata.as_ref().map(Marks::of).unwrap_or_default(),
            modified: answer.last_modified.as_ref().and_then(moment),
            date: date.value().as_deref().and_then(moment_of),
        }))
    }
}

/// What a `Date` header says.
fn moment_of(date: &str) -> Option<i64> {
    DateTime::from_str(date, Format::HttpDate).ok().as_ref().and_then(moment)
}

/// A version that the store names, where there is one and it can be asked for.
pub(super) fn version_id(version: &str) -> Option<String> {
    (version != "null" && is_id(version)).then(|| version.to_owned())
}

/// A moment that a calendar has, in seconds since 1970-01-01T00:00:00Z.
pub(super) fn moment(time: &DateTime) -> Option<i64> {
    Some(time.secs()).filter(|seconds| (0..=LAST_SECOND).contains(seconds))
}

/// An entity tag without its quotation marks.
fn bare(etag: &str) -> Option<String> {
    Some(etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty())
}

/// The name of the recording in an object's metadata.
fn recording_of(metadata: &HashMap<String, String>) -> Option<String> {
    metadata.get(RECORDING_METADATA).filter(|name| is_id(name)).cloned()
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
