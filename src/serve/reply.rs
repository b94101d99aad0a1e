//! Answers that are known whole: pages, scripts, documents.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, request};

use super::body::Body;

/// An answer that no cache keeps.
pub(crate) const NO_STORE: &str = "no-store";

/// What a page of the gateway may load: nothing but the gateway's own, and nothing that is written into the page.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'self'";

/// `bytes` of this type.
pub(crate) fn whole(kind: &'static str, bytes: impl Into<Bytes>, parts: &request::Parts) -> Response<Body> {
    let bytes: Bytes = bytes.into();
    let length = bytes.len();
    let mut answer = Response::new(if parts.method == Method::HEAD { Body::nothing() } else { Body::text(bytes) });
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    answer
}

/// A document for programs.
pub(crate) fn json(value: &serde_json::Value, status: StatusCode, parts: &request::Parts) -> Response<Body> {
    let mut answer = whole("application/json", format!("{value}\n"), parts);
    *answer.status_mut() = status;
    answer
}

/// A page for people.
pub(crate) fn page(html: String, parts: &request::Parts) -> Response<Body> {
    let mut answer = whole("text/html; charset=utf-8", html, parts);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}
