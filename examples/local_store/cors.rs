//! CORS, as open as it gets: a page from anywhere may read what its reader may. The rules that a client sets for a bucket
//! are kept and given back, and change nothing about that.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use s3s::dto::CORSRule;

use crate::model::CorsRecord;

const EXPOSED: &str = "ETag, Content-Range, Content-Length, Accept-Ranges, Date, Last-Modified, x-amz-version-id, \
                       x-amz-request-id, x-amz-delete-marker, x-amz-mp-parts-count, x-amz-bucket-region, \
                       x-backblaze-live-read-enabled, x-backblaze-live-read-part-size";

/// Whether the request asks what another request may do.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Yes, it may.
pub fn preflight(headers: &HeaderMap) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = StatusCode::OK;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE"));
    // A star would not cover Authorization.
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(HeaderValue::from_static("*")));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

/// Lets a page see the answer.
pub fn allow(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// A rule as it is kept.
pub fn record(rule: CORSRule) -> CorsRecord {
    CorsRecord {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds: rule.max_age_seconds,
    }
}

/// A kept rule as it is given back.
pub fn rule(record: CorsRecord) -> CORSRule {
    CORSRule {
        id: record.id,
        allowed_origins: record.allowed_origins,
        allowed_methods: record.allowed_methods,
        allowed_headers: Some(record.allowed_headers).filter(|list| !list.is_empty()),
        expose_headers: Some(record.expose_headers).filter(|list| !list.is_empty()),
        max_age_seconds: record.max_age_seconds,
    }
}
