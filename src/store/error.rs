//! What a store can answer besides success, sorted by what the person or the program can do about it.

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// The sort of a failure. It decides whether the same request is worth sending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The network, a time-out, throttling or a fault on the store's side: sending again may help.
    Passing,
    /// The local clock and the store's differ too much for a signature: once corrected, sending again may help.
    Skewed,
    /// Temporary credentials ran out: asking the provider again may help.
    Expired,
    /// The account's daily cap is reached (Backblaze B2): nothing is wrong with the key, and the cap is lifted by its
    /// owner or at midnight UTC.
    Capped,
    /// No credentials, a wrong key, or a key without the right.
    Denied,
    /// The bucket does not exist.
    NoBucket,
    /// The key, or that version of it, does not exist.
    NoKey,
    /// The upload does not exist: completed, aborted, or never begun.
    NoUpload,
    /// The bucket is in another region than the request was signed for.
    WrongRegion,
    /// Any other refusal; the same request would be refused again.
    Refused,
}

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
}

impl StoreError {
    /// Sorts what the SDK reports.
    pub(super) fn from_sdk<E>(doing: impl Into<String>, object: String, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, message) = error
            .as_service_error()
            .map_or((None, None), |service| (service.code().map(str::to_owned), service.message().map(str::to_owned)));
        let kind = match status {
            None if matches!(error, SdkError::ConstructionFailure(_)) => Kind::Refused,
            None => Kind::Passing,
            Some(status) => sort(status, code.as_deref(), message.as_deref()),
        };
        let cause = match (status, &code, message) {
            (Some(status), Some(code), Some(message)) => format!("the store answered {status} {code}: {message}"),
            (Some(status), Some(code), None) => format!("the store answered {status} {code}"),
            (Some(status), None, _) => format!("the store answered {status}"),
            (None, ..) => innermost(error),
        };
        Self { doing: doing.into(), object, kind, status, code, cause, allowed_before: false, anonymous: false }
    }

    /// A request without an answer in time; always worth another try.
    pub(super) fn timed_out(doing: impl Into<String>, object: String, after: Duration) -> Self {
        let cause = format!("no answer within {} s", after.as_secs_f64());
        Self {
            doing: doing.into(),
            object,
            kind: Kind::Passing,
            status: None,
            code: None,
            cause,
            allowed_before: false,
            anonymous: false,
        }
    }

    /// A failure found on this side of the wire.
    pub(crate) fn local(doing: impl Into<String>, object: String, kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            object,
            kind,
            status: None,
            code: None,
            cause: cause.into(),
            allowed_before: false,
            anonymous: false,
        }
    }

    /// What the person can do, as a sentence; empty where the cause says it all.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
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

/// Sorts an answer by its status, code and message.
fn sort(status: u16, code: Option<&str>, message: Option<&str>) -> Kind {
    match code.unwrap_or_default() {
        "RequestTimeTooSkewed" => return Kind::Skewed,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => return Kind::Expired,
        "NoSuchBucket" => return Kind::NoBucket,
        "NoSuchUpload" => return Kind::NoUpload,
        "NoSuchKey" | "NoSuchVersion" | "NotFound" => return Kind::NoKey,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return Kind::WrongRegion;
        }
        // The bytes changed on their way, or came too slowly: both say "send it again".
        "BadDigest" | "XAmzContentSHA256Mismatch" | "RequestTimeout" | "IncompleteBody" | "SlowDown" => {
            return Kind::Passing;
        }
        _ => {}
    }
    match status {
        // Backblaze B2 answers 403 "Transaction cap exceeded" (or download, storage) with a code that also means a wrong key.
        403 if message.is_some_and(|message| message.to_ascii_lowercase().contains("cap exceeded")) => Kind::Capped,
        401 | 403 => Kind::Denied,
        404 => Kind::NoKey,
        301 | 307 => Kind::WrongRegion,
        408 | 429 | 500 | 502 | 503 | 504 => Kind::Passing,
        _ => Kind::Refused,
    }
}

/// The causes of a failed connection, without the SDK's wrapping around them.
fn innermost<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    match causes.as_slice() {
        [] => DisplayErrorContext(error).to_string(),
        // The last two name the step and the reason ("tcp connect error: Connection refused").
        [.., step, reason] if !step.contains(reason.as_str()) => format!("{step}: {reason}"),
        [.., last] => last.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_never_will() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(sort(status, None, None), Kind::Passing, "{status}");
        }
        assert_eq!(sort(503, Some("SlowDown"), None), Kind::Passing);
        assert_eq!(sort(400, Some("RequestTimeout"), None), Kind::Passing);
        assert_eq!(sort(400, Some("InvalidArgument"), None), Kind::Refused);
        assert_eq!(sort(403, Some("SignatureDoesNotMatch"), None), Kind::Denied);
        assert_eq!(sort(403, Some("RequestTimeTooSkewed"), None), Kind::Skewed);
        assert_eq!(sort(400, Some("ExpiredToken"), None), Kind::Expired);
        assert_eq!(sort(404, Some("NoSuchBucket"), None), Kind::NoBucket);
        assert_eq!(sort(404, Some("NoSuchUpload"), None), Kind::NoUpload);
    }

    #[test]
    fn a_reached_cap_is_not_a_wrong_key() {
        assert_eq!(sort(403, Some("AccessDenied"), Some("Transaction cap exceeded.")), Kind::Capped);
        assert_eq!(sort(403, Some("AccessDenied"), Some("not entitled")), Kind::Denied);
    }
}
