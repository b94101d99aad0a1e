//! What a GET or a HEAD finds: which version, which of its bytes, and whether the conditions hold.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use s3s::dto::{ETagCondition, Range, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::catalog::{self, Buckets};
use crate::errors::{self, invalid_argument};
use crate::model::{ContentHeaders, Manifest, State, Upload, Version};
use crate::quirks::Torn;
use crate::read::Segment;
use crate::uploads::matches;

/// A request for an object.
#[derive(Debug, Default)]
pub struct Query {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// This version and no other.
    pub version_id: Option<String>,
    /// This part.
    pub part_number: Option<i32>,
    /// These bytes.
    pub range: Option<Range>,
    /// With the Live Read header.
    pub live: bool,
    /// `If-Match`.
    pub if_match: Option<ETagCondition>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagCondition>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What there is to answer with.
#[derive(Debug)]
pub struct View {
    /// Id of the version.
    pub version_id: String,
    /// Where the bytes are.
    pub segments: Vec<Segment>,
    /// How many they are.
    pub len: u64,
    /// `Content-Range`, unless it is the whole object that was asked for.
    pub content_range: Option<String>,
    /// Without quotes; an open upload has none.
    pub etag: Option<String>,
    /// When the version was started.
    pub modified_ms: u64,
    /// What the client said about the content.
    pub headers: Arc<ContentHeaders>,
    /// Of a finished object, when a part was asked for.
    pub parts_count: Option<usize>,
    /// `Some` if this answers a Live Read request for a Live Read upload, open or finished.
    pub live_part_size: Option<u64>,
}

/// Finds what `query` asks for. `live_read`: whether the store has Live Read; `torn`: how a version is not yet as it should be.
pub fn look(
    buckets: &Buckets,
    query: &Query,
    live_read: bool,
    torn: impl FnOnce(&str) -> Option<Torn>,
) -> S3Result<View> {
    let live = query.live && live_read;
    let versions = catalog::find(buckets, &query.bucket)?.keys.get(&query.key);
    let found = match &query.version_id {
        Some(id) => {
            let missing = if query.live { errors::no_such_key } else { errors::no_such_version };
            versions.and_then(|versions| versions.get_key_value(id)).ok_or_else(missing)?
        }
        None => {
            let newest = versions.and_then(|versions| {
                versions.iter().rev().find(|(_, version)| match &version.state {
                    State::Open(upload) => live && upload.live.is_some(),
                    State::Object(_) | State::Hidden => true,
                })
            });
            newest.ok_or_else(errors::no_such_key)?
        }
    };
    let (id, version) = found;
    match &version.state {
        State::Open(upload) if live => open_upload(query, id, version, upload),
        State::Open(_) => Err(errors::no_such_key()),
        State::Object(manifest) => match torn(id) {
            None => object(query, id, version, manifest, live),
            Some(torn) => {
                let bare = Version { headers: Arc::default(), ..version.clone() };
                let view = object(query, id, &bare, &manifest.torn(torn), live)?;
                Ok(View { etag: None, ..view })
            }
        },
        State::Hidden => Err(hidden(query, id)),
    }
}

fn hidden(query: &Query, id: &str) -> S3Error {
    let mut error = match query.version_id {
        Some(_) => S3ErrorCode::MethodNotAllowed.into(),
        None => errors::no_such_key(),
    };
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-delete-marker", http::HeaderValue::from_static("true"));
    if let Ok(id) = id.parse() {
        headers.insert("x-amz-version-id", id);
    }
    error.set_headers(headers);
    error
}

/// What a Live Read request may ask for.
enum LiveAsk {
    Part(u32),
    Range(u64, u64),
}

fn live_ask(query: &Query) -> S3Result<LiveAsk> {
    match (query.part_number, query.range) {
        (Some(number), None) => match u32::try_from(number) {
            Ok(number @ 1..=10_000) => Ok(LiveAsk::Part(number)),
            _ => Err(invalid_argument("Part number must be an integer between 1 and 10000, inclusive")),
        },
        (None, Some(Range::Int { first, last: Some(last) })) => Ok(LiveAsk::Range(first, last)),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "A Live Read request must have either a part number or a byte range with both ends.",
        )),
    }
}

fn open_upload(query: &Query, id: &str, version: &Version, upload: &Upload) -> S3Result<View> {
    let Some(live) = &upload.live else {
        return Err(errors::no_such_key());
    };
    let (first, segments) = match live_ask(query)? {
        LiveAsk::Part(number) => {
            let (first, segment) = live.part(&upload.parts, number)?;
            (first, vec![segment])
        }
        LiveAsk::Range(first, last) => (first, live.range(&upload.parts, first, last)?),
    };
    let len: u64 = segments.iter().map(|segment| segment.len).sum();
    Ok(View {
        version_id: id.to_owned(),
        segments,
        len,
        content_range: Some(format!("bytes {first}-{}/*", first + len - 1)),
        etag: None,
        modified_ms: version.created_ms,
        headers: Arc::clone(&version.headers),
        parts_count: None,
        live_part_size: live.part_size,
    })
}

fn object(query: &Query, id: &str, version: &Version, manifest: &Manifest, live: bool) -> S3Result<View> {
    let live_part_size = manifest.live_part_size.filter(|_| live);
    if live_part_size.is_some() {
        live_ask(query)?;
    }
    conditions(query, &manifest.etag, version.created_ms)?;
    let mut parts_count = None;
    let (first, len) = match (query.part_number, query.range) {
        (Some(_), Some(_)) => {
            let message = "Cannot specify both Range header and partNumber query parameter.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        (Some(number), None) => {
            parts_count = manifest.multipart.then_some(manifest.parts.len());
            part(manifest, number, live_part_size.is_some())?
        }
        (None, Some(range)) => {
            let bytes = range
                .check(manifest.size)
                .ok()
                .filter(|bytes| !bytes.is_empty())
                .ok_or_else(|| errors::invalid_range("The requested range is not satisfiable."))?;
            (bytes.start, bytes.end - bytes.start)
        }
        (None, None) => (0, manifest.size),
    };
    let partial = (query.range.is_some() || query.part_number.is_some()) && len > 0;
    Ok(View {
        version_id: id.to_owned(),
        segments: manifest.range(first, len),
        len,
        content_range: partial.then(|| format!("bytes {first}-{}/{}", first + len - 1, manifest.size)),
        etag: Some(manifest.etag.clone()),
        modified_ms: version.created_ms,
        headers: Arc::clone(&version.headers),
        parts_count,
        live_part_size,
    })
}

/// Position and length of a part of a finished object.
fn part(manifest: &Manifest, number: i32, live: bool) -> S3Result<(u64, u64)> {
    let found = manifest.parts.iter().find(|(_, part)| i64::from(part.number) == i64::from(number));
    match found {
        Some((first, part)) if part.size > 0 || !live => Ok((*first, part.size)),
        _ if live => Err(errors::invalid_range("The object has no such part.")),
        _ => Err(errors::custom(
            http::StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
        )),
    }
}

/// The conditions of a copy, which fails where a read would be told that nothing has changed.
pub fn copy_conditions(query: &Query, etag: &str, modified_ms: u64) -> S3Result<()> {
    conditions(query, etag, modified_ms).map_err(|_| errors::precondition_failed())
}

/// The order and the precedence are those of RFC 9110, section 13.2.2.
fn conditions(query: &Query, etag: &str, modified_ms: u64) -> S3Result<()> {
    // Times in headers have whole seconds.
    let modified = Timestamp::from(UNIX_EPOCH + Duration::from_secs(modified_ms / 1000));
    match (&query.if_match, &query.if_unmodified_since) {
        (Some(condition), _) if !matches(condition, etag) => {
            return Err(errors::precondition_failed());
        }
        (None, Some(since)) if modified > *since => return Err(errors::precondition_failed()),
        _ => {}
    }
    let unchanged = match (&query.if_none_match, &query.if_modified_since) {
        (Some(condition), _) => matches(condition, etag),
        (None, Some(since)) => modified <= *since,
        (None, None) => false,
    };
    if unchanged {
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = http::HeaderMap::new();
        if let Ok(etag) = format!("\"{etag}\"").parse() {
            headers.insert(http::header::ETAG, etag);
        }
        error.set_headers(headers);
        return Err(error);
    }
    Ok(())
}
