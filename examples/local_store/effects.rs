//! What faults make of answers, and of the work before them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, request};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Frame;
use s3s::service::S3Service;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::body::{Error, RequestBody};
use crate::catalog::Sight;
use crate::errors;
use crate::faults::Effect;

/// An answer, or the end of the connection.
pub type Answer = Result<Response<s3s::Body>, Error>;

/// A body that is kept for later.
const MAX_KEPT: usize = 256 * 1024 * 1024;
/// Between two pieces of white space.
const SPACE: Duration = Duration::from_millis(20);
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// The answer that `status` says, with an error in it; `None` if the effect has no status.
pub fn forced(effect: &Effect, method: &Method) -> Option<Answer> {
    let status = StatusCode::from_u16(effect.status?).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(body) = &effect.body {
        let body = if method == Method::HEAD { s3s::Body::empty() } else { s3s::Body::from(body.clone()) };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        return Some(Ok(answer));
    }
    let code = effect.code.as_deref().unwrap_or(match status.as_u16() {
        400 => "InvalidRequest",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "OperationAborted",
        416 => "InvalidRange",
        429 => "SlowDown",
        501 => "NotImplemented",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    });
    let error = errors::custom(status, code, effect.message.as_deref().unwrap_or("A fault to order."));
    Some(error.to_http_response().map_err(|error| errors::unsendable(&error)))
}

/// The work of a request, in the way that the effect wants it done.
pub fn work(effect: &Effect, s3: S3Service, mut head: request::Parts, body: RequestBody) -> BoxFuture<'static, Answer> {
    let forced = forced(effect, &head.method);
    let (effect, after_work) = (effect.clone(), effect.after_work);
    let forced = match (forced, after_work) {
        (Some(answer), false) => return Box::pin(async { answer }),
        (forced, _) => forced,
    };
    match (effect.hide, effect.lag_ms) {
        (true, _) => drop(head.extensions.insert(Sight::Nothing)),
        (false, Some(age)) => drop(head.extensions.insert(Sight::Before(Duration::from_millis(age)))),
        (false, None) => {}
    }
    Box::pin(async move {
        let answer = match effect.land_ms {
            Some(later) => land(s3, head, body, Duration::from_millis(later), effect.clone()).await,
            None => {
                let answer = s3.call(http::Request::from_parts(head, s3s::Body::http_body(body))).await;
                effect.work_done();
                answer.map_err(Error::from)
            }
        };
        forced.unwrap_or(answer)
    })
}

/// Takes the body now and does the work later, whether or not somebody still waits for the answer.
async fn land(s3: S3Service, head: request::Parts, body: RequestBody, later: Duration, effect: Effect) -> Answer {
    let body = Limited::new(body, MAX_KEPT).collect().await?.to_bytes();
    effect.body_taken();
    let landing = tokio::spawn(async move {
        sleep(later).await;
        let answer = s3.call(http::Request::from_parts(head, s3s::Body::from(body))).await;
        effect.work_done();
        answer
    });
    Ok(landing.await??)
}

/// Begins a 200 at once, keeps the connection busy with white space, and then does the work: the way in which S3
/// completes large uploads. What comes of it is sent in that 200, also an error.
pub fn white_space(work: BoxFuture<'static, Answer>, time: Duration) -> Answer {
    let (done, outcome) = oneshot::channel();
    // The work is done also when the client goes away.
    tokio::spawn(async move {
        sleep(time).await;
        let body = match work.await {
            Ok(answer) => answer.into_body().collect().await.map(|body| body.to_bytes()),
            Err(error) => Err(error),
        };
        // Nobody may be there to hear of it.
        let _ = done.send(body);
    });
    let pieces = unfold(Stage::Begin(outcome), |stage| async move {
        let (piece, next) = match stage {
            Stage::Begin(outcome) => (Ok(Bytes::from_static(DECLARATION.as_bytes())), Stage::Wait(outcome)),
            Stage::Wait(mut outcome) => match timeout(SPACE, &mut outcome).await {
                Err(_) => (Ok(Bytes::from_static(b" ")), Stage::Wait(outcome)),
                Ok(Ok(body)) => (body.map(without_declaration), Stage::End),
                Ok(Err(_)) => (Err(Error::from("the work broke off")), Stage::End),
            },
            Stage::End => return None,
        };
        Some((piece.map(Frame::data), next))
    });
    let mut answer = Response::new(s3s::Body::http_body_unsync(StreamBody::new(pieces)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(answer)
}

enum Stage {
    Begin(oneshot::Receiver<Result<Bytes, Error>>),
    Wait(oneshot::Receiver<Result<Bytes, Error>>),
    End,
}

fn without_declaration(body: Bytes) -> Bytes {
    if !body.starts_with(b"<?xml") {
        return body;
    }
    let end = body.windows(2).position(|pair| pair == b"?>").map_or(0, |at| at + 2);
    body.slice(end..)
}

/// An answer in XML without quotation marks in its text.
pub async fn unquoted(answer: Response<s3s::Body>) -> Answer {
    let (mut head, body) = answer.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).replace("&quot;", "");
    head.headers.remove(header::CONTENT_LENGTH);
    let (declaration, rest) = body.split_once("?>").unwrap_or(("", &body));
    let rest = rest.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>");
    let body = if declaration.is_empty() { rest } else { format!("{declaration}?>{rest}") };
    Ok(Response::from_parts(head, s3s::Body::from(body)))
}

/// What the effect changes about an answer before it is sent.
pub async fn edit(effect: &Effect, mut answer: Response<s3s::Body>) -> Answer {
    if let Some(length) = effect.truncate {
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        head.headers.remove(header::CONTENT_LENGTH);
        answer = Response::from_parts(head, s3s::Body::from(body.slice(..length.min(body.len()))));
    }
    for (name, value) in &effect.headers {
        let name = HeaderName::try_from(name)?;
        match value {
            Some(value) => drop(answer.headers_mut().insert(name, HeaderValue::try_from(value)?)),
            None => drop(answer.headers_mut().remove(name)),
        }
    }
    Ok(answer)
}
