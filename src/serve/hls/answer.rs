//! A playlist as an answer: compressed for whoever takes that, and not sent again to whoever has it.

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, request};

use super::indexed::Text;
use crate::serve::body::Body;
use crate::serve::gateway::{status, text};
use crate::serve::gzip::takes_gzip;

/// A playlist as an answer.
pub(crate) fn playlist(made: &Text, over: bool, is_private: bool, parts: &request::Parts) -> Response<Body> {
    listed(made, "application/vnd.apple.mpegurl", over, is_private, parts)
}

/// The same of any list of what there is, of this type.
pub(crate) fn listed(
    made: &Text,
    kind: &'static str,
    over: bool,
    is_private: bool,
    parts: &request::Parts,
) -> Response<Body> {
    let tag = format!("W/\"{}\"", made.tag);
    let known = text(&parts.headers, &header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let zipped = !made.gzip.is_empty() && takes_gzip(&parts.headers);
    let bytes = if zipped { &made.gzip } else { &made.plain };
    let mut answer = match parts.method {
        _ if is_known => status(StatusCode::NOT_MODIFIED),
        Method::HEAD => Response::new(Body::nothing()),
        _ => Response::new(Body::text(bytes.clone())),
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, keep(over, is_private));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if !is_known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        if zipped {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    answer
}

/// How long what may change can be kept by whoever hands it on.
pub(crate) fn keep(over: bool, is_private: bool) -> HeaderValue {
    HeaderValue::from_static(match (over, is_private) {
        (false, false) => "max-age=1",
        (false, true) => "private, max-age=1",
        (true, false) => "max-age=60",
        (true, true) => "private, max-age=60",
    })
}
