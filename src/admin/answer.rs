//! A status with JSON or text.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::keys::KeysError;

/// What goes back.
pub(super) type Answer = Response<Full<Bytes>>;

/// Text of a kind.
pub(super) fn text(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// JSON.
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    text(status, "application/json", format!("{body}\n"))
}

/// Nothing to say.
pub(super) fn nothing(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// Why not, in words.
pub(super) fn refusal(status: StatusCode, why: &str) -> Answer {
    json(status, &json!({ "error": why }))
}

/// Why something is not done: a status, and words.
pub(super) type Refused = (StatusCode, String);

/// Why keys cannot be had, or not be changed so.
pub(super) fn of_keys(error: &KeysError) -> Refused {
    let status = match error {
        KeysError::Place { .. } => {
            tracing::error!("{error}");
            StatusCode::SERVICE_UNAVAILABLE
        }
        KeysError::Exists { .. } => StatusCode::CONFLICT,
        KeysError::NoStream(_) | KeysError::NoKey { .. } => StatusCode::NOT_FOUND,
        KeysError::Unfit(_) => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}
