//! One request and its answer: through the gate, by its route, with what all answers have.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::FutureExt;
use http::header::{self, HeaderValue};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use super::access_log::Record;
use super::body::Body;
use super::gate::{Gate, Pass};
use super::join::Join;
use super::name::Names;
use super::once::Once;
use super::recordings::Recordings;
use super::refusal::Refusal;
use super::routes::{Do, Route};
use super::stall::Stalls;
use super::{live, watch as watching};

/// Answers that are held back at one time, at most.
const HELD: usize = 8_192;

/// The connection of a request.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    /// Set where it has to be reset because an answer broke off.
    pub(crate) torn: Arc<AtomicBool>,
    pub(crate) stalls: Arc<Stalls>,
}

/// All that answers need.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) names: Names,
    pub(crate) gate: Gate,
    pub(crate) recordings: Recordings,
    pub(crate) joins: Once<([u8; 16], std::time::Duration), Join>,
    pub(crate) held: Semaphore,
    pub(crate) access_log: bool,
    /// Whether the program is about to end.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Gateway {
    pub(crate) fn new(
        names: Names,
        gate: Gate,
        recordings: Recordings,
        access_log: bool,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let (joins, held) = (Once::default(), Semaphore::new(HELD));
        Self { names, gate, recordings, joins, held, access_log, ending }
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>, on: &Connection) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let mut record = self.access_log.then(|| Record::new(on.remote, &parts.method));
        let passed = self.gate.check(&parts);
        if let (Some(record), Ok(Pass::Route(route, _))) = (&mut record, &passed) {
            record.route = route.path;
        }
        let is_preflight = matches!(passed, Ok(Pass::Preflight));
        let answered = match passed {
            Err(refusal) => Err(refusal),
            Ok(Pass::Preflight) => Ok(status(StatusCode::NO_CONTENT)),
            Ok(Pass::Route(route, rest)) => caught(Box::pin(self.done(route, rest, &parts, record.as_mut()))).await,
        };
        let mut answer = answered.unwrap_or_else(|refusal| refused(refusal, parts.method == http::Method::HEAD));
        let headers = answer.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        self.gate.share(&parts.headers, headers, is_preflight);
        // What follows a body that nobody wanted may be read in two ways.
        if parts.version < Version::HTTP_2 && has_body(&parts.headers) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(record) = &mut record {
            record.status = answer.status().as_u16();
        }
        answer.map(|body| {
            let body = body.recorded(record);
            match parts.version {
                Version::HTTP_2 => body.shares(on.stalls.begin()),
                Version::HTTP_11 => body,
                _ => body.tears(Arc::clone(&on.torn)),
            }
        })
    }

    async fn done(
        &self,
        route: &Route,
        rest: &str,
        parts: &request::Parts,
        record: Option<&mut Record>,
    ) -> Result<Response<Body>, Refusal> {
        match route.does {
            Do::Watch => watching::watch(self, parts, record).await,
            Do::Live => live::live(self, rest, parts, record).await,
            Do::Ready if *self.ending.borrow() => Err(Refusal::busy("the gateway is about to end")),
            Do::Healthy | Do::Ready => Ok(well(parts)),
        }
    }
}

/// A panic is the end of one answer, and of nothing else.
async fn caught(answer: impl Future<Output = Result<Response<Body>, Refusal>>) -> Result<Response<Body>, Refusal> {
    let failed = |_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the gateway"));
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(failed)
}

fn has_body(headers: &HeaderMap) -> bool {
    let has_length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    has_length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// An answer without anything.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::text(""));
    *answer.status_mut() = status;
    answer
}

fn well(parts: &request::Parts) -> Response<Body> {
    refused(Refusal::new(StatusCode::OK, "ok"), parts.method == http::Method::HEAD)
}

/// A sentence as an answer.
fn refused(refusal: Refusal, is_head: bool) -> Response<Body> {
    let text = format!("{}\n", refusal.text);
    let length = HeaderValue::from(text.len());
    let mut answer = Response::new(if is_head { Body::nothing() } else { Body::text(text) });
    *answer.status_mut() = refusal.status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in refusal.headers {
        headers.append(name, value);
    }
    answer
}

/// A header of which there is one, as text; of lists, all of them together.
pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str()).collect::<Result<_, _>>().ok()?;
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_one_answer() {
        let refusal = caught(async { panic!("as the test asked") }).await.expect_err("it panics");
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refusal.text.contains("test"));
    }
}
