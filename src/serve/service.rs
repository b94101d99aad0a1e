//! One request and its answer: through the gate, by its route, with what all answers have.

use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;

use super::access_log::Record;
use super::body::Body;
use super::dash::answers as dash;
use super::gate::Pass;
use super::gateway::{Connection, Gateway, status};
use super::hls::playlists;
use super::pages::{assets, docs, openapi};
use super::refusal::Refusal;
use super::routes::{Do, Route};
use super::smooth::answers as smooth;
use super::{api, live, reply, show, watch as watching};

/// An answer, or why there is none.
type Answered = Result<Response<Body>, Refusal>;

/// Answers a request.
pub(crate) async fn answer(gateway: &Gateway, request: Request<Incoming>, on: &Connection) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let mut record = gateway.access_log.then(|| Record::new(on.remote, &parts.method));
    let passed = gateway.gate.check(&parts);
    let (mut path, mut until) = (None, None);
    if let Ok(Pass::Route(route, _, grant)) = &passed {
        path = Some(route.path);
        if let Some(record) = &mut record {
            record.route = route.path;
        }
        if let Some(grant) = grant {
            until = Some(grant.until);
            parts.extensions.insert(grant.clone());
        }
    }
    let is_preflight = matches!(passed, Ok(Pass::Preflight));
    let answered = match passed {
        Err(refusal) => Err(refusal),
        Ok(Pass::Preflight) => Ok(status(StatusCode::NO_CONTENT)),
        Ok(Pass::Route(route, rest, _)) => caught(done(gateway, route, &rest, &parts, record.as_mut(), body)).await,
    };
    let mut answer = answered.unwrap_or_else(|refusal| refused(refusal, parts.method == http::Method::HEAD));
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    gateway.gate.share(&parts.headers, headers, is_preflight);
    // What follows a body that nobody wanted may be read in two ways.
    if parts.version < Version::HTTP_2 && has_body(&parts.headers) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = answer.status().as_u16();
    gateway.metrics.answered(path, status);
    if let Some(record) = &mut record {
        record.status = status;
    }
    answer.map(|body| {
        let body = body.recorded(record).counted(Arc::clone(&gateway.metrics)).ends_at(until);
        match parts.version {
            Version::HTTP_2 => body.shares(on.stalls.begin()),
            Version::HTTP_11 => body,
            _ => body.tears(Arc::clone(&on.torn)),
        }
    })
}

/// What answers a request. Each in a box of its own, so that who waits takes no more room than what it waits for.
fn done<'a>(
    gateway: &'a Gateway,
    route: &Route,
    rest: &'a str,
    parts: &'a request::Parts,
    record: Option<&'a mut Record>,
    body: Incoming,
) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
    let now = |answered: Answered| Box::pin(ready(answered));
    match route.does {
        Do::Watch => Box::pin(watching::watch(gateway, parts, record)),
        Do::Live => Box::pin(live::live(gateway, rest, parts, record)),
        Do::Front => Box::pin(show::front(gateway, parts)),
        Do::Play => now(show::play(gateway, rest, parts, record)),
        Do::Asset => now(assets::asset(rest, parts)),
        Do::Buckets => Box::pin(api::buckets(gateway, parts)),
        Do::List => Box::pin(api::read(gateway, rest, parts)),
        Do::Write => Box::pin(api::write(gateway, rest, parts, record, body)),
        Do::Metrics => now(Ok(show::metrics(gateway, parts))),
        Do::Describe => now(Ok(reply::json(&openapi::document(), StatusCode::OK, parts))),
        Do::Docs => now(Ok(reply::page(docs::page(), parts))),
        Do::Hls => Box::pin(playlists::hls(gateway, rest, parts, record)),
        Do::Dash => Box::pin(dash::dash(gateway, rest, parts, record)),
        Do::Smooth => Box::pin(smooth::smooth(gateway, rest, parts, record)),
        Do::Ready if *gateway.ending.borrow() => now(Err(Refusal::busy("the gateway is about to end"))),
        Do::Healthy | Do::Ready => now(Ok(well(parts))),
    }
}

/// A panic is the end of one answer, and of nothing else.
async fn caught(answer: impl Future<Output = Answered>) -> Answered {
    let failed = |_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the gateway"));
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(failed)
}

fn has_body(headers: &HeaderMap) -> bool {
    let has_length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    has_length || headers.contains_key(header::TRANSFER_ENCODING)
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
