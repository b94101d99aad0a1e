//! The HTTP front: what happens to every request before and after the S3 service has it. Faults, refused headers, CORS,
//! the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use s3s::S3Error;
use s3s::service::S3Service;
use tokio::time::{sleep, timeout};

use crate::body::{AnswerBody, Error, RequestBody};
use crate::cors;
use crate::errors;
use crate::faults::{Effect, Faults};
use crate::operation::Operation;
use crate::request_log::{Record, RequestLog};
use crate::service::Status;

/// How much of a body that nobody wants is read so that its sender hears the answer.
const DRAIN: u64 = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// See the module.
pub struct Front {
    /// The S3 operations.
    pub s3: S3Service,
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// What has been asked.
    pub log: Arc<RequestLog>,
    /// Whether to send CORS headers.
    pub cors: bool,
    /// Requests so far.
    pub requests: AtomicU64,
}

impl Front {
    /// Answers a request. An error closes the connection.
    pub async fn handle(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Error> {
        let (head, body) = request.into_parts();
        let operation = Operation::of(&head.method, &head.uri, &head.headers);
        let effect = self.faults.strike(&operation);
        let body = RequestBody::new(body, effect.throttle_upload);
        let mut record = Record::new(Arc::clone(&self.log), operation, Arc::clone(&body.count));

        if effect.delay_ms > 0 {
            sleep(Duration::from_millis(effect.delay_ms)).await;
        }
        if effect.refuse {
            record.answered(None, None);
            return Err(closed("the request was refused by a fault"));
        }
        let awaits_continue = head.headers.contains_key(header::EXPECT);
        let mut response = if self.cors && cors::is_preflight(&head.method, &head.headers) {
            cors::preflight(&head.headers)
        } else if let Some(error) = failure(&effect).or_else(|| refused_header(&head.headers)) {
            render(error)?
        } else {
            let request = Request::from_parts(head, s3s::Body::http_body(body.clone()));
            match self.s3.call(request).await {
                Ok(response) => response,
                Err(error) => {
                    record.answered(None, None);
                    return Err(error.into());
                }
            }
        };
        // A client that waits for "100 Continue" has not begun to send.
        if !(awaits_continue && body.count.load(Ordering::Relaxed) == 0) {
            let _ = timeout(DRAIN_TIME, body.drain(DRAIN)).await;
        }
        if effect.lose_answer {
            record.answered(None, None);
            return Err(closed("the answer was lost to a fault"));
        }
        if let Some(Status(status)) = response.extensions().get() {
            *response.status_mut() = *status;
        }
        if self.cors {
            cors::allow(response.headers_mut());
        }
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        if let Ok(id) = HeaderValue::from_str(&format!("{id:016x}")) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        record.answered(Some(response.status().as_u16()), error_code(&response));
        Ok(response.map(|body| AnswerBody::new(body, effect.cut_after, effect.throttle, Some(record))))
    }
}

fn closed(why: &str) -> Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, why).into()
}

fn render(error: S3Error) -> Result<Response<s3s::Body>, Error> {
    error.to_http_response().map_err(|error| Error::from(io::Error::other(error.to_string())))
}

/// The answer that a fault gives.
fn failure(effect: &Effect) -> Option<S3Error> {
    let status = StatusCode::from_u16(effect.status?).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = effect.code.as_deref().unwrap_or(match status {
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::FORBIDDEN => "AccessDenied",
        StatusCode::BAD_REQUEST => "InvalidRequest",
        _ => "InternalError",
    });
    Some(errors::custom(status, code, effect.message.as_deref().unwrap_or("A fault to order.")))
}

/// Backblaze B2 takes none of the integrity headers that AWS SDKs send unless they are told otherwise.
fn refused_header(headers: &HeaderMap) -> Option<S3Error> {
    let fixed = ["x-amz-sdk-checksum-algorithm", "x-amz-trailer"].into_iter().find(|name| headers.contains_key(*name));
    let checksum = || {
        let names = headers.keys().map(header::HeaderName::as_str);
        // This one asks for a checksum in an answer.
        names.filter(|name| *name != "x-amz-checksum-mode").find(|name| name.starts_with("x-amz-checksum-"))
    };
    let trailer = || {
        let hash = headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().ends_with(b"-TRAILER"));
        hash.then_some("x-amz-content-sha256")
    };
    let name = fixed.or_else(checksum).or_else(trailer)?;
    Some(errors::invalid_argument(format!("Unsupported header '{name}' received for this API call.")))
}

/// The code in an error's XML, for the log.
fn error_code(response: &Response<s3s::Body>) -> Option<String> {
    if response.status().is_success() {
        return None;
    }
    let body = response.body().bytes()?;
    let (_, rest) = std::str::from_utf8(&body).ok()?.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.to_owned())
}
