//! `--access-log`: a line of JSON on standard error for each answer, when it is over. It has nothing of what a client sent but
//! its method, the name that it asked for, and its range.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::recording::Broken;
use crate::message::log_lines::safe;
use crate::message::stderr::outlet;

/// The longest that something of a client's is shown.
const LONGEST: usize = 1_200;

/// One answer.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) remote: SocketAddr,
    pub(crate) method: String,
    /// The route, not the path: that may hold a token.
    pub(crate) route: &'static str,
    /// What was asked for, where a route asks for something.
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) range: String,
    pub(crate) status: u16,
    began: Instant,
    first: Option<Instant>,
    bytes: u64,
    /// How many there will be, where that is known.
    expects: Option<u64>,
    end: &'static str,
}

impl Record {
    /// Of a request that has just come.
    pub(crate) fn new(remote: SocketAddr, method: &http::Method) -> Self {
        let (bucket, key, range) = Default::default();
        Self {
            remote,
            method: method.as_str().chars().take(16).collect(),
            route: "none",
            bucket,
            key,
            range,
            status: 0,
            began: Instant::now(),
            first: None,
            bytes: 0,
            expects: None,
            // Until its body has come to an end.
            end: "left",
        }
    }

    /// What came of the body next.
    pub(crate) fn note(&mut self, next: Option<&Result<Bytes, Broken>>) {
        match next {
            Some(Ok(bytes)) => {
                self.first.get_or_insert_with(Instant::now);
                self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                if self.expects == Some(self.bytes) {
                    self.end = "whole";
                }
            }
            Some(Err(_)) => self.end = "broken",
            None => self.end = "whole",
        }
    }

    /// How much is going to be sent.
    pub(crate) fn expects(&mut self, bytes: Option<u64>) {
        self.expects = bytes;
        if bytes == Some(0) {
            self.end = "whole";
        }
    }

    fn line(&self) -> String {
        let millis = |at: Instant| u64::try_from(at.duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        let time = time::OffsetDateTime::now_utc();
        let time = time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let mut line = json!({
            "time": time,
            "remote": self.remote.ip().to_string(),
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "bytes": self.bytes,
            "ms": millis(Instant::now()),
            "end": self.end,
        });
        for (name, text) in [("bucket", &self.bucket), ("key", &self.key), ("range", &self.range)] {
            if !text.is_empty() {
                line[name] = safe(text, LONGEST).into();
            }
        }
        if let Some(first) = self.first {
            line["first_ms"] = millis(first).into();
        }
        format!("{line}\n")
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        outlet().line(self.line());
    }
}
