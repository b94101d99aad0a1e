//! The control API for tests: `PUT /faults`, `DELETE /faults`, `GET /requests`, `DELETE /requests`, all JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::json;

use crate::faults::{Faults, Rule};
use crate::request_log::RequestLog;

const MAX_BODY: usize = 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Control {
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// What has been asked.
    pub log: Arc<RequestLog>,
}

impl Control {
    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::PUT, "/faults") => {
                let body = match Limited::new(body, MAX_BODY).collect().await {
                    Ok(body) => body.to_bytes(),
                    Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                };
                match serde_json::from_slice::<Vec<Rule>>(&body) {
                    Ok(rules) => {
                        self.faults.set(rules);
                        answer(StatusCode::OK, &json!({}))
                    }
                    Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                }
            }
            (&Method::DELETE, "/faults") => {
                self.faults.set(Vec::new());
                answer(StatusCode::OK, &json!({}))
            }
            (&Method::GET, "/requests") => answer(StatusCode::OK, &self.log.counts()),
            (&Method::DELETE, "/requests") => {
                self.log.reset();
                answer(StatusCode::OK, &json!({}))
            }
            _ => refuse(StatusCode::NOT_FOUND, "there are /faults (PUT, DELETE) and /requests (GET, DELETE)"),
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    answer(status, &json!({ "error": error }))
}

fn answer(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
