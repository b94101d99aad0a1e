//! The control API for tests, all JSON: `/faults` with `PUT`, `POST`, `DELETE` and `GET` (see `faults.rs`), `/quirks` with `PUT`
//! and `GET` (see `quirks.rs`), `/requests` with `GET` (answers so far, by operation and status) and `DELETE` (counts from zero),
//! `/late` with `GET` (how many PUTs land whatever becomes of their sender, and have not yet), and `/clock` with `PUT` (`behind_ms`: what is made from now on is from so long ago).

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::catalog::Catalog;
use crate::disk;
use crate::faults::{Faults, Rule};
use crate::quirks::{Quirk, Quirks};
use crate::request_log::RequestLog;

const MAX_BODY: usize = 1024 * 1024;

/// What `/clock` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    behind_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Control {
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// What has been asked.
    pub log: Arc<RequestLog>,
    /// Keeps its past while a rule asks for it.
    pub catalog: Arc<Catalog>,
    /// How the store differs.
    pub quirks: Arc<Quirks>,
}

impl Control {
    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (method @ (&Method::PUT | &Method::POST), "/faults") => {
                let body = match Limited::new(body, MAX_BODY).collect().await {
                    Ok(body) => body.to_bytes(),
                    Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                };
                match serde_json::from_slice::<Vec<Rule>>(&body) {
                    Ok(rules) => {
                        let replace = method == Method::PUT;
                        let lags = rules.iter().any(|rule| rule.effect.lag_ms.is_some());
                        if replace || lags {
                            self.catalog.past.keep(lags);
                        }
                        if replace {
                            self.faults.set(rules);
                        } else {
                            self.faults.add(rules);
                        }
                        answer(StatusCode::OK, &json!({}))
                    }
                    Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                }
            }
            (&Method::PUT, "/quirks") => match Limited::new(body, MAX_BODY).collect().await {
                Ok(body) => match serde_json::from_slice::<Vec<Quirk>>(&body.to_bytes()) {
                    Ok(quirks) => {
                        self.quirks.set(&quirks);
                        answer(StatusCode::OK, &json!({}))
                    }
                    Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                },
                Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (&Method::GET, "/quirks") => answer(StatusCode::OK, &json!(self.quirks.told())),
            (&Method::GET, "/late") => answer(StatusCode::OK, &json!(self.quirks.under_way())),
            (&Method::DELETE, "/faults") => {
                self.faults.set(Vec::new());
                self.catalog.past.keep(false);
                answer(StatusCode::OK, &json!({}))
            }
            (&Method::PUT, "/clock") => {
                let wanted = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes());
                match wanted.map(|body| serde_json::from_slice::<Clock>(&body)) {
                    Ok(Ok(clock)) => {
                        disk::set_behind(clock.behind_ms);
                        answer(StatusCode::OK, &json!({}))
                    }
                    Ok(Err(error)) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                    Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
                }
            }
            (&Method::GET, "/faults") => answer(StatusCode::OK, &self.faults.told()),
            (&Method::GET, "/requests") => answer(StatusCode::OK, &self.log.counts()),
            (&Method::DELETE, "/requests") => {
                self.log.reset();
                answer(StatusCode::OK, &json!({}))
            }
            _ => {
                let there = "there are /faults (PUT, POST, DELETE, GET), /quirks (PUT, GET), /requests (GET, DELETE), /late (GET) and /clock (PUT)";
                refuse(StatusCode::NOT_FOUND, there)
            }
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
