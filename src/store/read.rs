//! Requests that read: live and plain GETs with their outcomes, and HEAD.

use std::collections::HashMap;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::seen::SeenHeader;
use super::{Kind, Store, StoreError, send};
use crate::live_read::{ContentRange, ENABLED_HEADER, PART_SIZE_HEADER, RECORDING_METADATA};
use crate::part::PartNumber;

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
    /// The part size of the Live Read upload, where the store names it.
    pub part_size: Option<u64>,
    /// `Last-Modified`, in seconds since 1970-01-01T00:00:00Z: when the upload was started.
    pub modified: Option<i64>,
    /// What the objects of one input that went into several have in common; see [`RECORDING_METADATA`].
    pub recording: Option<String>,
    stream: ByteStream,
}

impl Body {
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
                length: answer.content_length.and_then(|length| u64::try_from(length).ok()),
                version: answer.version_id.filter(|version| version != "null"),
                etag: answer.e_tag.as_deref().and_then(bare),
                part_size: seen.value().and_then(|size| size.parse().ok()),
                modified: answer.last_modified.map(|time| time.secs()),
                recording: answer.metadata.as_ref().and_then(recording_of),
                stream: answer.body,
            }))),
            Err(error) if error.status == Some(416) => Ok(Fetched::NotYet),
            Err(error) if error.kind == Kind::NoKey => Ok(Fetched::Absent),
            // AWS and its like answer 400 to a version id that is not one of theirs: an upload id of theirs never is.
            Err(error) if live && error.status == Some(400) && version.is_some() => Ok(Fetched::Absent),
            Err(error) => Err(error),
        }
    }

    /// Looks at the finished object, without the Live Read header: `None` while the upload is open, or after an abort.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success and 404.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Head>, StoreError> {
        let request =
            self.client().head_object().bucket(&self.bucket).key(key).set_version_id(version.map(str::to_owned));
        match send!(
            self,
            read,
            "looking for the finished object",
            self.object(key),
            self.patience.answer,
            request.send()
        ) {
            Ok(answer) => Ok(Some(Head {
                size: answer.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                version: answer.version_id.filter(|version| version != "null"),
                etag: answer.e_tag.as_deref().and_then(bare),
                modified: answer.last_modified.map(|time| time.secs()),
                recording: answer.metadata.as_ref().and_then(recording_of),
            })),
            // 405: the version is a delete marker. 400: not a version id of this store's, so no finished object.
            Err(error) if error.kind == Kind::NoKey || matches!(error.status, Some(400 | 405)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An entity tag without its quotation marks.
fn bare(etag: &str) -> Option<String> {
    Some(etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty())
}

/// The name of the recording in an object's metadata.
fn recording_of(metadata: &HashMap<String, String>) -> Option<String> {
    metadata.get(RECORDING_METADATA).filter(|name| !name.is_empty()).cloned()
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
