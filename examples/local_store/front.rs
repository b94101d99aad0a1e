//! The HTTP front: what happens to every request before and after the S3 service has it. Faults, refused headers, CORS,
//! the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use s3s::service::S3Service;
use tokio::time::{sleep, timeout};

use crate::body::{AnswerBody, Error, RequestBody, Stop};
use crate::catalog::Catalog;
use crate::cors;
use crate::effects;
use crate::errors;
use crate::faults::Faults;
use crate::late;
use crate::operation::Operation;
use crate::quirks::{Quirk, Quirks};
use crate::refusals;
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
    /// How the store differs.
    pub quirks: Arc<Quirks>,
    /// What it holds.
    pub catalog: Arc<Catalog>,
    /// What has been asked.
    pub log: Arc<RequestLog>,
    /// Region that the store says it is in.
    pub region: String,
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
        let mut effect = self.faults.strike(&operation);
        let body = RequestBody::new(body, effect.throttle_upload);
        let mut record = Record::new(Arc::clone(&self.log), operation, Arc::clone(&body.count));

        let name = record.operation().name;
        let late = name == "PutObject" && effect.status.is_none() && !effect.refuse && self.quirks.has(Quirk::LatePut);
        if !late {
            effect.wait().await;
        }
        if effect.refuse {
            record.answered(None, None);
            return Err(closed("the request was refused by a fault"));
        }
        let awaits_continue = head.headers.contains_key(header::EXPECT);
        let answer = if self.cors && cors::is_preflight(&head.method, &head.headers) {
            Ok(cors::preflight(&head.headers))
        } else if effect.status.is_none()
            && let Some(refused) = refusals::refusal(&head, record.operation(), &self.region)
                .or_else(|| Some(self.quirks.refusal(&head, record.operation())?.to_http_response()))
        {
            refused.map_err(|error| errors::unsendable(&error))
        } else if late {
            let request = (head, record.operation().clone());
            let landing = self.quirks.landing();
            late::put(self.s3.clone(), Arc::clone(&self.catalog), effect.clone(), request, body.clone(), landing).await
        } else {
            let work = effects::work(&effect, self.s3.clone(), head, body.clone());
            match effect.white_space_ms {
                Some(time) => effects::white_space(work, Duration::from_millis(time)),
                None => work.await,
            }
        };
        let mut response = match answer {
            Ok(response) => self.differ(name, effects::edit(&effect, response).await?).await?,
            Err(error) => {
                record.answered(None, None);
                return Err(error);
            }
        };
        // A client that waits for "100 Continue" has not begun to send.
        if effect.white_space_ms.is_none() && !(awaits_continue && body.count.load(Ordering::Relaxed) == 0) {
            let _ = timeout(DRAIN_TIME, body.drain(DRAIN)).await;
        }
        if effect.late_ms > 0 {
            sleep(Duration::from_millis(effect.late_ms)).await;
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
        let stop = match (effect.cut_after, effect.stall_after) {
            (Some(after), _) => Some(Stop { after, silent: false }),
            (None, after) => after.map(|after| Stop { after, silent: true }),
        };
        Ok(response.map(|body| AnswerBody::new(body, stop, effect.throttle, Some(record))))
    }
}

impl Front {
    /// What quirks make of an answer.
    async fn differ(&self, name: &str, mut response: Response<s3s::Body>) -> Result<Response<s3s::Body>, Error> {
        if self.quirks.has(Quirk::CopyEtagUnquoted) && matches!(name, "UploadPartCopy" | "CopyObject") {
            response = effects::unquoted(response).await?;
        }
        if self.quirks.has(Quirk::Unversioned) {
            for name in ["x-amz-version-id", "x-amz-copy-source-version-id", "x-amz-delete-marker"] {
                response.headers_mut().remove(name);
            }
        }
        Ok(response)
    }
}

fn closed(why: &str) -> Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, why).into()
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
