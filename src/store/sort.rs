//! Sorts answers: the one table that decides what may pass. Pure.
//!
//! An answer is final only where the store itself has said so, in whole words. What a proxy, a network's login page or a
//! connection that broke has said instead may pass: a stream is lost by one wrong guess the one way, and a minute by one
//! the other way.

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
    /// A setting that cannot work, or something else than a store at the other end, seen before any store has answered.
    Setup,
    /// Any other refusal; the same request would be refused again.
    Refused,
}

/// What is known of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// As the store sent it; or none, where there need not be one.
    Whole,
    /// It ended too early.
    Cut,
    /// It went on beyond all measure.
    TooLong,
    /// It is none of a store's: a page of a proxy, or of a network that wants a login.
    Foreign,
}

/// What is known of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// The store's error code.
    pub(super) code: Option<&'a str>,
    /// The store's words.
    pub(super) message: Option<&'a str>,
    /// Its body.
    pub(super) body: Body,
    /// Whether it names a region.
    pub(super) region: bool,
    /// Whether a store has answered properly before, at the same address and with the same settings.
    pub(super) proven: bool,
}

/// Sorts an answer that is no success.
#[allow(clippy::match_same_arms, reason = "a table reads better by its reasons than by its results")]
pub(super) fn sort(answer: &Answer) -> Kind {
    // What is not the store's has been in between; where a store has answered before, it will again.
    let between = if answer.proven { Kind::Passing } else { Kind::Setup };
    match (answer.body, answer.status) {
        (Body::Cut, _) => return Kind::Passing,
        // Only a store knows who may do what, but also those in between refuse by these.
        (Body::Foreign, 200..=407 | 409..=424 | 426 | 428 | 431..=498 | 511) if !matches!(answer.status, 401 | 403) => {
            return between;
        }
        (Body::TooLong, 200..=299) => return Kind::Refused,
        _ => {}
    }
    if let Some(kind) = answer.code.and_then(|code| by_code(code, answer)) {
        return kind;
    }
    let says = |words: &str| answer.message.is_some_and(|message| message.to_ascii_lowercase().contains(words));
    match answer.status {
        // An error inside of a success: the store began to answer before it knew, and S3 documents that for faults.
        200..=299 if answer.code.is_some() => Kind::Passing,
        // Backblaze B2 answers 403 "Transaction cap exceeded" (or download, storage) with a code that also means a wrong
        // key.
        403 if says("cap exceeded") => Kind::Capped,
        401 | 403 => Kind::Denied,
        404 => Kind::NoKey,
        300..=399 if answer.region => Kind::WrongRegion,
        // S3 itself sends elsewhere by these only with a code; without one it is a portal or a proxy.
        300..=303 | 305..=399 => between,
        407 | 511 => between,
        // Another request for the same was under way.
        408 | 409 | 425 | 429 | 499 => Kind::Passing,
        500..=599 => Kind::Passing,
        _ => Kind::Refused,
    }
}

/// Sorts by the code, where it says more than the status.
#[allow(clippy::match_same_arms, reason = "a table reads better by its reasons than by its results")]
fn by_code(code: &str, answer: &Answer) -> Option<Kind> {
    let says_region = || answer.message.is_none_or(|message| message.to_ascii_lowercase().contains("region"));
    Some(match code {
        "RequestTimeTooSkewed" => Kind::Skewed,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Kind::Expired,
        "NoSuchBucket" => Kind::NoBucket,
        "NoSuchUpload" => Kind::NoUpload,
        "NoSuchKey" | "NoSuchVersion" | "NotFound" => Kind::NoKey,
        "PermanentRedirect" | "IllegalLocationConstraintException" => Kind::WrongRegion,
        "AuthorizationHeaderMalformed" if answer.region || says_region() => Kind::WrongRegion,
        // A bucket that was just made, and is not known everywhere yet.
        "TemporaryRedirect" | "Redirect" if !answer.region => Kind::Passing,
        // The bytes changed on their way, or came too slowly: both say "send it again".
        "BadDigest" | "XAmzContentSHA256Mismatch" | "RequestTimeout" | "IncompleteBody" => Kind::Passing,
        "SlowDown" | "Throttling" | "ThrottlingException" | "RequestThrottled" | "TooManyRequests" => Kind::Passing,
        "BandwidthLimitExceeded" | "RequestLimitExceeded" | "ServiceUnavailable" => Kind::Passing,
        "InternalError" | "InternalFailure" | "InternalServerError" => Kind::Passing,
        "OperationAborted" | "ConditionalRequestConflict" => Kind::Passing,
        // What a store does not have, it will not have tomorrow; a proxy that knows no method says so without a code.
        "NotImplemented" | "PreconditionFailed" => Kind::Refused,
        // 409 for what is as it is.
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" | "BucketNotEmpty" | "InvalidBucketState" => Kind::Refused,
        "RestoreAlreadyInProgress" | "ObjectLockConfigurationNotFoundError" => Kind::Refused,
        // The same inside of a 200, where the status tells nothing.
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" if is_success(answer) => Kind::Denied,
        "EntityTooSmall" | "EntityTooLarge" | "InvalidPart" | "InvalidPartOrder" | "MalformedXML"
            if is_success(answer) =>
        {
            Kind::Refused
        }
        "InvalidArgument" | "InvalidRequest" | "MethodNotAllowed" if is_success(answer) => Kind::Refused,
        _ => return None,
    })
}

fn is_success(answer: &Answer) -> bool {
    (200..=299).contains(&answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Answer =
        Answer { status: 200, code: None, message: None, body: Body::Whole, region: false, proven: true };

    fn by_status(status: u16) -> Kind {
        sort(&Answer { status, ..PLAIN })
    }

    fn coded(status: u16, code: &str) -> Kind {
        sort(&Answer { status, code: Some(code), ..PLAIN })
    }

    #[test]
    fn what_may_pass_is_told_from_what_never_will_by_the_status() {
        let passing = [408, 409, 425, 429, 499, 500, 501, 502, 503, 504, 505, 507, 508, 509, 511, 520, 523, 530, 599];
        for status in passing {
            assert_eq!(by_status(status), Kind::Passing, "{status}");
        }
        for status in [400, 402, 405, 406, 410, 411, 412, 413, 414, 422, 451, 600, 999] {
            assert_eq!(by_status(status), Kind::Refused, "{status}");
        }
        assert_eq!((by_status(401), by_status(403), by_status(404)), (Kind::Denied, Kind::Denied, Kind::NoKey));
    }

    #[test]
    fn the_code_says_more_than_the_status() {
        let table = [
            (403, "SignatureDoesNotMatch", Kind::Denied),
            (403, "AccessDenied", Kind::Denied),
            (403, "RequestTimeTooSkewed", Kind::Skewed),
            (400, "ExpiredToken", Kind::Expired),
            (404, "NoSuchBucket", Kind::NoBucket),
            (404, "NoSuchUpload", Kind::NoUpload),
            (404, "NoSuchKey", Kind::NoKey),
            (400, "RequestTimeout", Kind::Passing),
            (400, "BadDigest", Kind::Passing),
            (400, "InvalidArgument", Kind::Refused),
            (400, "Throttling", Kind::Passing),
            (503, "SlowDown", Kind::Passing),
            (409, "OperationAborted", Kind::Passing),
            (409, "ConditionalRequestConflict", Kind::Passing),
            (409, "SomethingElse", Kind::Passing),
            (409, "BucketNotEmpty", Kind::Refused),
            (412, "PreconditionFailed", Kind::Refused),
            (501, "NotImplemented", Kind::Refused),
            (400, "AuthorizationHeaderMalformed", Kind::WrongRegion),
            (301, "PermanentRedirect", Kind::WrongRegion),
            (307, "TemporaryRedirect", Kind::Passing),
        ];
        for (status, code, kind) in table {
            assert_eq!(coded(status, code), kind, "{status} {code}");
        }
    }

    #[test]
    fn an_error_inside_of_a_success_is_an_error_of_its_code() {
        let table = [
            ("InternalError", Kind::Passing),
            ("SlowDown", Kind::Passing),
            ("OperationAborted", Kind::Passing),
            ("NeverHeardOf", Kind::Passing),
            ("NoSuchUpload", Kind::NoUpload),
            ("AccessDenied", Kind::Denied),
            ("InvalidPart", Kind::Refused),
        ];
        for (code, kind) in table {
            assert_eq!(coded(200, code), kind, "{code}");
        }
    }

    #[test]
    fn what_was_cut_may_pass_whatever_it_would_have_said() {
        for status in 200..=599 {
            for proven in [false, true] {
                let answer = Answer { status, body: Body::Cut, proven, ..PLAIN };
                assert_eq!(sort(&answer), Kind::Passing, "{status}");
            }
        }
    }

    #[test]
    fn what_is_in_between_passes_once_a_store_has_answered_and_else_needs_a_hand() {
        let page = |status, proven| sort(&Answer { status, body: Body::Foreign, proven, ..PLAIN });
        for status in [200, 204, 301, 302, 307, 308, 400, 404, 405, 451, 511] {
            assert_eq!(page(status, true), Kind::Passing, "{status}");
            assert_eq!(page(status, false), Kind::Setup, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 520] {
            assert_eq!((page(status, true), page(status, false)), (Kind::Passing, Kind::Passing), "{status}");
        }
        assert_eq!((page(403, true), page(403, false)), (Kind::Denied, Kind::Denied));
        let sent_on = |proven| sort(&Answer { status: 302, proven, ..PLAIN });
        assert_eq!((sent_on(true), sent_on(false)), (Kind::Passing, Kind::Setup));
    }

    #[test]
    fn a_named_region_is_a_wrong_one() {
        for status in [301, 302, 307, 308] {
            assert_eq!(sort(&Answer { status, region: true, ..PLAIN }), Kind::WrongRegion, "{status}");
        }
        let malformed = |message| Answer { status: 400, code: Some("AuthorizationHeaderMalformed"), message, ..PLAIN };
        assert_eq!(sort(&malformed(Some("the region 'x' is wrong; expecting 'y'"))), Kind::WrongRegion);
        assert_eq!(sort(&malformed(Some("the Credential is mal-formed"))), Kind::Refused);
    }

    #[test]
    fn a_reached_cap_is_not_a_wrong_key() {
        let denied = |message| Answer { status: 403, code: Some("AccessDenied"), message: Some(message), ..PLAIN };
        assert_eq!(sort(&denied("Transaction cap exceeded.")), Kind::Capped);
        assert_eq!(sort(&denied("not entitled")), Kind::Denied);
    }

    #[test]
    fn a_list_without_an_end_is_not_asked_for_again() {
        assert_eq!(sort(&Answer { body: Body::TooLong, ..PLAIN }), Kind::Refused);
        assert_eq!(sort(&Answer { status: 500, body: Body::TooLong, ..PLAIN }), Kind::Passing);
        assert_eq!(sort(&Answer { status: 403, body: Body::TooLong, ..PLAIN }), Kind::Denied);
    }
}
