//! What a store can answer besides success, in words that name what a person can do about it.

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::fault;
use super::sort::{Answer, Body, Kind, sort};
use super::watch::{Fault, error_fault};
use super::words::{element, is_region, place, printable};

/// A request that failed: what was being done, to what, and what came back.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// What was being done, as in "uploading part 3".
    pub doing: String,
    /// To what, as in `s3://bucket/key`.
    pub object: String,
    /// The sort of the failure.
    pub kind: Kind,
    /// The HTTP status, where an answer came at all.
    pub status: Option<u16>,
    /// The store's error code, where it gave one.
    pub code: Option<String>,
    /// The cause in words.
    pub cause: String,
    /// The store has done the like for these credentials before.
    pub allowed_before: bool,
    /// It was asked without credentials (`--anon`).
    pub anonymous: bool,
    /// What a person can do, where this answer tells more than its kind.
    pub(super) advice: Option<Box<str>>,
}

/// What the person can do where something else than a store has answered.
const IN_BETWEEN: &str = "Check AWS_ENDPOINT_URL. If that is right, something on the way answers in the store's place, such as \
                          a proxy or the login page of a network: open any page in a browser.";

/// The same where it has sent the request elsewhere.
const SENT_ON: &str = "Nothing is sent to another place than was set: if that is the store's new address, set \
                       AWS_ENDPOINT_URL to it; if it is the login page of a network, log in there.";

/// What the person can do about a bucket in another region, as far as the answer tells.
fn other_region(region: Option<&str>, endpoint: Option<&str>) -> Option<Box<str>> {
    if let Some(region) = region {
        let text =
            format!("Set AWS_REGION={region}, and if the host in AWS_ENDPOINT_URL names a region, that one there too.");
        return Some(text.into());
    }
    let address = place(endpoint?);
    Some(format!("Set AWS_REGION to the bucket's region; the store names {address} as its address.").into())
}

impl StoreError {
    /// Whether the refusal means "this key may not list", or "this store has no such list", rather than "this key is wrong".
    #[must_use]
    pub fn may_not_list(&self) -> bool {
        let wrong_key = matches!(self.code.as_deref(), Some("InvalidAccessKeyId" | "SignatureDoesNotMatch"));
        let no_list = self.kind == Kind::Refused && matches!(self.status, Some(405 | 501));
        no_list || (self.kind == Kind::Denied && !wrong_key)
    }

    /// Sorts what the SDK reports. `proven` says that a store has answered properly before.
    pub(super) fn from_sdk<E>(
        doing: impl Into<String>,
        object: String,
        error: &SdkError<E, HttpResponse>,
        proven: bool,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(response) = error.raw_response() else {
            let failed = fault::sort(error, proven);
            let advice = failed.remedy.map(Box::from);
            return Self { advice, ..Self::local(doing, object, failed.kind, failed.cause) };
        };
        let service = error.as_service_error();
        let code = service.and_then(ProvideErrorMetadata::code).map(printable).filter(|code| !code.is_empty());
        let message = service.and_then(ProvideErrorMetadata::message).map(printable);
        let (status, headers) = (response.status().as_u16(), response.headers());
        let text = response.body().bytes().unwrap_or_default();
        let body = match fault::find::<Fault>(error) {
            Some(fault) => Some(*fault),
            // The connection broke in the middle of the answer.
            None if service.is_none() => Some(Fault::Cut),
            None if response.status().is_success() && code.is_none() => Some(Fault::Foreign),
            None => error_fault(headers, text),
        };
        let text = String::from_utf8_lossy(text);
        let region = headers.get("x-amz-bucket-region").or_else(|| element(&text, "Region"));
        let region = region.filter(|region| is_region(region));
        let answer = Answer {
            status,
            code: code.as_deref(),
            message: message.as_deref(),
            body: body.map_or(Body::Whole, Body::from),
            region: region.is_some(),
            proven,
        };
        let kind = sort(&answer);
        let broken = match body {
            Some(Fault::Cut) => Some(format!("the answer ({status}) ended before it was whole")),
            Some(Fault::TooLong) if response.status().is_success() => Some(Fault::TooLong.to_string()),
            Some(Fault::Foreign) => {
                let kind = headers.get("content-type").map(|kind| format!(", {}", printable(kind)));
                Some(format!("the answer ({status}{}) is none of an S3 store", kind.unwrap_or_default()))
            }
            _ => None,
        };
        let mut cause = match (broken, &code, message) {
            (Some(broken), ..) => broken,
            (None, Some(code), Some(message)) => format!("the store answered {status} {code}: {message}"),
            (None, Some(code), None) => format!("the store answered {status} {code}"),
            (None, None, _) => format!("the store answered {status}"),
        };
        let elsewhere = headers.get("location").filter(|_| (300..=399).contains(&status)).map(place);
        if let Some(elsewhere) = &elsewhere {
            cause = format!("{} and points to {elsewhere}", cause.trim_end_matches('.'));
        }
        let advice = match kind {
            Kind::WrongRegion => other_region(region, element(&text, "Endpoint")),
            Kind::Skewed | Kind::Expired | Kind::Capped | Kind::NoBucket => None,
            _ if elsewhere.is_some() => Some(SENT_ON.into()),
            _ if body == Some(Fault::Foreign) => Some(IN_BETWEEN.into()),
            _ => None,
        };
        Self { status: Some(status), code, advice, ..Self::local(doing, object, kind, cause) }
    }

    /// Whether the store refuses what was given as a version id. Anything else that is wrong with the request, expired
    /// credentials among it, is 400 as well.
    pub(super) fn is_no_version_id(&self) -> bool {
        self.status == Some(400) && matches!(self.code.as_deref(), Some("InvalidArgument" | "InvalidVersionId"))
    }

    /// Whether it was a store that answered, in whole words.
    pub(super) fn is_of_a_store(&self) -> bool {
        self.code.is_some() && !matches!(self.kind, Kind::Passing | Kind::Setup)
    }

    /// A request without an answer in time; always worth another try.
    pub(super) fn timed_out(doing: impl Into<String>, object: String, after: Duration) -> Self {
        Self::local(doing, object, Kind::Passing, format!("no answer within {} s", after.as_secs_f64()))
    }

    /// A failure found on this side of the wire.
    pub(crate) fn local(doing: impl Into<String>, object: String, kind: Kind, cause: impl Into<String>) -> Self {
        let (object, cause) = (one_line(object), printable(&cause.into()));
        Self {
            doing: doing.into(),
            object,
            kind,
            status: None,
            code: None,
            cause,
            allowed_before: false,
            anonymous: false,
            advice: None,
        }
    }

    /// The same with this remedy.
    pub(super) fn with_advice(self, advice: &str) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// What the person can do, as a sentence; empty where the cause says it all.
    #[must_use]
    pub fn remedy(&self) -> &str {
        if let Some(advice) = &self.advice {
            return advice;
        }
        match (self.kind, self.code.as_deref()) {
            (Kind::Denied, _) if self.anonymous => {
                "The bucket is not public: leave --anon out and give a key, or let its owner make it public."
            }
            (Kind::Denied, _) if self.allowed_before => {
                "The same key was allowed this before: it may have been deleted, or its rights changed."
            }
            (Kind::Denied, Some("SignatureDoesNotMatch")) => {
                "Check AWS_SECRET_ACCESS_KEY: it does not belong to AWS_ACCESS_KEY_ID."
            }
            (Kind::Denied, Some("InvalidAccessKeyId")) => {
                "Check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL: this store does not know the key."
            }
            (Kind::Denied, _) => {
                "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that the key may do this in this bucket."
            }
            (Kind::NoBucket, _) => "Check --bucket (or BUCKET_NAME) and AWS_ENDPOINT_URL, or make the bucket first.",
            (Kind::WrongRegion, _) => "Set AWS_REGION to the bucket's region.",
            (Kind::Skewed, _) => "Set this machine's clock: it differs from the store's by more than 15 minutes.",
            (Kind::Expired, _) => "Renew the temporary credentials.",
            (Kind::Capped, _) => {
                "The account's daily cap is reached, the key is right: raise the cap in the account's settings."
            }
            (Kind::Setup, _) => IN_BETWEEN,
            (Kind::Passing, _) if self.status.is_none() => "Check the network and AWS_ENDPOINT_URL.",
            _ => "",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, object, cause) = (&self.doing, &self.object, self.cause.trim_end_matches('.'));
        write!(f, "{doing} ({object}): {cause}.")?;
        match self.remedy() {
            "" => Ok(()),
            remedy => write!(f, " {remedy}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<Fault> for Body {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cut => Self::Cut,
            Fault::TooLong => Self::TooLong,
            Fault::Foreign => Self::Foreign,
        }
    }
}

/// A name that a person has given, or a list: as it is, but for what would leave its line.
fn one_line(object: String) -> String {
    if object.contains(char::is_control) { object.replace(char::is_control, "\u{fffd}") } else { object }
}
