//! `/watch?v=KEY`: the bytes of an object, finished or growing.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, request};
use tokio::time::timeout;

use super::access_log::Record;
use super::body::{Body, Stretch};
use super::conditions::Conditions;
use super::gateway::{self, Gateway, status};
use super::name::Unnamed;
use super::range::{self, Decision, Known, Last, decide};
use super::recording::Edge;
use super::recordings::of_store;
use super::refusal::Refusal;
use super::viewing::Viewing;
use crate::protocol::content_type::content_type_of;

/// Has nginx hand everything on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers `/watch`.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn watch(
    gateway: &Gateway,
    parts: &request::Parts,
    record: Option<&mut Record>,
) -> Result<Response<Body>, Refusal> {
    let query = gateway::query(parts);
    let key = query.get("v")?.ok_or(Unnamed::Wrong("the URL names no object: /watch?v=KEY"))?;
    let (viewing, is_pinned) = gateway.find(&query, &key, record, parts).await?;
    let conditions = Conditions::of(&parts.headers);
    let ask = conditions.ask(parts.method == Method::HEAD);
    let (mut waited, mut looked) = (false, false);
    loop {
        let asks = range::asks_for_edge(&ask);
        if asks {
            viewing.look_at_edge(looked).await.map_err(|error| of_store(&error))?;
        }
        let edge = viewing.edge();
        let known = Known {
            edge: edge.size.unwrap_or(edge.known),
            finished: edge.size.is_some(),
            etag: &viewing.identity.etag,
            modified: &viewing.identity.modified,
        };
        if asks && !looked && !known.finished && range::is_beyond(&ask, known.edge) {
            looked = true;
            continue;
        }
        let decision = decide(&ask, &known, waited);
        let Decision::Wait { bytes, most } = decision else {
            let about =
                About { viewing, edge, is_head: ask.head, is_pinned, is_private: gateway.gate.tokens.is_some() };
            return about.answer(decision);
        };
        let held = gateway.held.try_acquire().map_err(|_| Refusal::busy("too many answers are held back"))?;
        drop(timeout(most, viewing.wait_for(bytes)).await);
        drop(held);
        waited = true;
    }
}

/// What an answer is about.
struct About {
    viewing: Viewing,
    edge: Edge,
    is_head: bool,
    /// A certain version was asked for.
    is_pinned: bool,
    /// Only for who has a token.
    is_private: bool,
}

impl About {
    fn answer(self, decision: Decision) -> Result<Response<Body>, Refusal> {
        let size = self.edge.size;
        let is_read = matches!(decision, Decision::All | Decision::Part { .. });
        if is_read && !self.is_head && !self.viewing.can_be_followed() {
            return Err(Refusal::busy("no memory is left to follow another object that grows"));
        }
        match decision {
            Decision::All => Ok(self.bytes(StatusCode::OK, 0, size, None)),
            Decision::Part { first, last: Last::Byte(last) } => {
                let total = size.map_or_else(|| "*".to_owned(), |size| size.to_string());
                let range = format!("bytes {first}-{last}/{total}");
                Ok(self.bytes(StatusCode::PARTIAL_CONTENT, first, Some(last.saturating_add(1)), Some(range)))
            }
            Decision::Part { first, last: Last::End(last) } => {
                let range = format!("bytes {first}-{last}/*");
                Ok(self.bytes(StatusCode::PARTIAL_CONTENT, first, None, Some(range)))
            }
            Decision::NotModified => {
                let mut answer = status(StatusCode::NOT_MODIFIED);
                self.describe(answer.headers_mut(), false);
                Ok(answer)
            }
            Decision::Failed => {
                Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "it is another one by now than If-Match names"))
            }
            Decision::Unsatisfiable | Decision::Wait { .. } => Err(self.unsatisfiable()),
        }
    }

    fn unsatisfiable(&self) -> Refusal {
        let refusal =
            Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes, or one range is not enough");
        let Some(size) = self.edge.size else { return refusal.soon() };
        let mut refusal = refusal;
        if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
            refusal.headers.push((header::CONTENT_RANGE, range));
        }
        refusal
    }

    /// From `first` to before `end`; without one to the end of what still grows.
    fn bytes(self, status: StatusCode, first: u64, end: Option<u64>, range: Option<String>) -> Response<Body> {
        let mut headers = HeaderMap::new();
        self.describe(&mut headers, range.is_some());
        describe_type(&self.viewing.key, &mut headers);
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
            headers.insert(header::CONTENT_RANGE, range);
        }
        match end {
            Some(end) => drop(headers.insert(header::CONTENT_LENGTH, end.saturating_sub(first).into())),
            None => drop(headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))),
        }
        let body = if self.is_head { Body::nothing() } else { Body::stretch(Stretch::new(self.viewing, first, end)) };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    }

    /// What it is, and how long it stays so.
    fn describe(&self, headers: &mut HeaderMap, is_part: bool) {
        let identity = &self.viewing.identity;
        for (name, value) in [(header::ETAG, &identity.etag), (header::LAST_MODIFIED, &identity.modified)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let keep = match (self.edge.size, is_part && self.is_pinned, self.is_private) {
            (None, ..) => "no-store",
            (Some(_), true, false) => "public, max-age=31536000, immutable",
            (Some(_), true, true) => "private, max-age=31536000, immutable",
            (Some(_), false, false) => "no-cache",
            (Some(_), false, true) => "private, no-cache",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        if self.edge.size.is_some() {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
    }
}

/// The type of what has this key. Nothing that a browser would run is what it says.
fn describe_type(key: &str, headers: &mut HeaderMap) {
    let kind = content_type_of(key).unwrap_or_default();
    let is_media = kind.starts_with("video/") || kind.starts_with("audio/") || kind == "application/vnd.apple.mpegurl";
    let is_text = kind.starts_with("text/") || kind.ends_with("json");
    let shown = match () {
        () if is_media => kind,
        () if is_text => "text/plain; charset=utf-8",
        () => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shown));
    if !is_media && !is_text {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
}

/// How an answer is described that begins in the middle, and goes on for as long as there is something to show.
pub(crate) fn describe_live(headers: &mut HeaderMap) {
    for (name, value) in
        [(header::CONTENT_TYPE, "video/mp4"), (header::CACHE_CONTROL, "no-store"), (X_ACCEL_BUFFERING, "no")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_out_of_a_bucket_is_run_by_a_browser() {
        for (key, kind, is_attachment) in [
            ("a.mp4", "video/mp4", false),
            ("a.TS", "video/mp2t", false),
            ("a.m4a", "audio/mp4", false),
            ("a.m3u8", "application/vnd.apple.mpegurl", false),
            ("a.html", "text/plain; charset=utf-8", false),
            ("a.json", "text/plain; charset=utf-8", false),
            ("a.svg", "application/octet-stream", true),
            ("a.js", "application/octet-stream", true),
            ("a", "application/octet-stream", true),
        ] {
            let mut headers = HeaderMap::new();
            describe_type(key, &mut headers);
            assert_eq!(headers[header::CONTENT_TYPE], kind, "{key}");
            assert_eq!(headers.contains_key(header::CONTENT_DISPOSITION), is_attachment, "{key}");
        }
    }
}
