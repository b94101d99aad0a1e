//! Answers that are no bytes of an object: a status, and one sentence for people.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::name::Unnamed;

/// See the module. None of them is ever kept by a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: Cow<'static, str>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// What is asked for may be there in a moment.
    pub(crate) fn soon(self) -> Self {
        self.with(header::RETRY_AFTER, "1")
    }

    pub(crate) fn not_there() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing of this name")
    }

    pub(crate) fn busy(text: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text).soon()
    }
}

impl From<Unnamed> for Refusal {
    fn from(unnamed: Unnamed) -> Self {
        match unnamed {
            Unnamed::Wrong(text) => Self::new(StatusCode::BAD_REQUEST, text),
            Unnamed::Bucket => Self::new(StatusCode::FORBIDDEN, "this bucket is not served here"),
            Unnamed::Reserved => Self::not_there(),
        }
    }
}
