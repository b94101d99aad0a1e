//! Between the types of `s3s` and those of the store.

use http::{HeaderMap, HeaderValue};
use s3s::S3Result;
use s3s::dto::{ETag, Timestamp};

use crate::errors;
use crate::live;
use crate::look::View;

/// A strong ETag.
pub fn quoted(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// A size as the types of `s3s` have it.
pub fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A part number within the limits of S3.
pub fn part_number(number: i32) -> S3Result<u32> {
    match u32::try_from(number) {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(errors::invalid_argument("Part number must be an integer between 1 and 10000, inclusive")),
    }
}

/// Since 1970.
pub fn milliseconds(time: Timestamp) -> Option<u64> {
    let time = time::OffsetDateTime::from(time);
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// What of `Content-Encoding` is about the content: `aws-chunked` is about how the body was sent.
pub fn content_encoding(given: &str) -> Option<String> {
    let kept: Vec<&str> =
        given.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "aws-chunked").collect();
    Some(kept.join(",")).filter(|kept| !kept.is_empty())
}

/// The fields that several inputs have in common.
macro_rules! content_headers {
    ($input:expr) => {
        $crate::model::ContentHeaders {
            content_type: $input.content_type,
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding.as_deref().and_then($crate::convert::content_encoding),
            content_language: $input.content_language,
            expires_ms: $input.expires.and_then($crate::convert::milliseconds),
            metadata: $input.metadata.unwrap_or_default(),
        }
    };
}

macro_rules! query {
    ($request:expr) => {
        $crate::look::Query {
            live: $crate::live::wanted(&$request.headers),
            bucket: $request.input.bucket,
            key: $request.input.key,
            version_id: $request.input.version_id,
            part_number: $request.input.part_number,
            range: $request.input.range,
            if_match: $request.input.if_match,
            if_none_match: $request.input.if_none_match,
            if_modified_since: $request.input.if_modified_since,
            if_unmodified_since: $request.input.if_unmodified_since,
        }
    };
}

/// The fields that the answers to GET and HEAD have in common.
macro_rules! object_output {
    ($output:ident, $view:expr) => {
        $output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some($crate::convert::signed($view.len)),
            content_range: $view.content_range.clone(),
            content_type: Some(
                $view.headers.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned()),
            ),
            cache_control: $view.headers.cache_control.clone(),
            content_disposition: $view.headers.content_disposition.clone(),
            content_encoding: $view.headers.content_encoding.clone(),
            content_language: $view.headers.content_language.clone(),
            expires: $view.headers.expires_ms.map($crate::text::timestamp),
            e_tag: $view.etag.as_deref().map($crate::convert::quoted),
            last_modified: Some($crate::text::timestamp($view.modified_ms)),
            metadata: Some($view.headers.metadata.clone()).filter(|metadata| !metadata.is_empty()),
            parts_count: $view.parts_count.and_then(|count| i32::try_from(count).ok()),
            version_id: Some($view.version_id.clone()),
            ..Default::default()
        }
    };
}

/// The headers of an answer that `s3s` does not know.
pub fn extra_headers(view: &View) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(size) = view.live_part_size {
        headers.insert(live::ENABLED, HeaderValue::from_static("true"));
        headers.insert(live::PART_SIZE, size.into());
    }
    headers
}

pub(crate) use {content_headers, object_output, query};
