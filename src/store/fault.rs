//! Requests that got no answer: what may pass is told from settings that can never work.

use std::error::Error;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, SdkError};
use rustls::{AlertDescription, CertificateError};

use super::Kind;

/// What is the matter, and what a person can do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) kind: Kind,
    pub(super) cause: String,
    pub(super) remedy: Option<&'static str>,
}

/// Sorts a request without an answer. `proven` says that the same settings have brought one before.
pub(super) fn sort<E: Error + 'static>(error: &SdkError<E, HttpResponse>, proven: bool) -> Failed {
    let cause = innermost(error);
    if let Some((words, remedy)) = find::<rustls::Error>(error).and_then(tls) {
        // Where TLS has worked before, something else than the settings has changed, and may change back.
        let kind = if proven { Kind::Passing } else { Kind::Setup };
        return Failed { kind, cause: words.unwrap_or(cause), remedy: Some(remedy) };
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        let kind = if proven { Kind::Passing } else { Kind::Setup };
        let cause = "what answers there does not speak HTTP".to_owned();
        let remedy = "Check scheme and port in AWS_ENDPOINT_URL: a store with TLS has https:// there.";
        return Failed { kind, cause, remedy: Some(remedy) };
    }
    let unsent = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure.as_connector_error().is_some_and(ConnectorError::is_user),
        _ => false,
    };
    if unsent {
        let remedy = "The request cannot even be sent: check AWS_ENDPOINT_URL, the bucket's name, and that no key, token or \
                      region has a line break or a space in it.";
        return Failed { kind: Kind::Setup, cause, remedy: Some(remedy) };
    }
    Failed { kind: Kind::Passing, cause, remedy: None }
}

/// What cannot work about a TLS connection, in plain words where rustls has none, and the remedy.
fn tls(error: &rustls::Error) -> Option<(Option<String>, &'static str)> {
    use CertificateError as Certificate;
    let (words, remedy) = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => (
                "the store's certificate is not valid at this time",
                "Check this machine's clock; if that is right, the store's certificate has to be renewed.",
            ),
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => (
                "the certificate is for another host",
                "Check the host in AWS_ENDPOINT_URL; if the bucket's name has a dot in it, give --path-style.",
            ),
            Certificate::UnknownIssuer => (
                "the certificate is signed by no authority that this machine trusts",
                "Set AWS_CA_BUNDLE to a file with the authority's certificate (PEM), or install the system's ca-certificates. \
                 Where it should be trusted, something on the way answers in the store's place.",
            ),
            _ => return Some((None, "Check AWS_ENDPOINT_URL and the store's certificate.")),
        },
        rustls::Error::InvalidMessage(_) => (
            "what answers there does not speak TLS",
            "Check scheme and port in AWS_ENDPOINT_URL: a store without TLS has http:// there.",
        ),
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::UnrecognisedName
            | AlertDescription::CertificateRequired,
        ) => return Some((None, "Check the host in AWS_ENDPOINT_URL: this one does not accept the TLS connection.")),
        _ => return None,
    };
    Some((Some(words.to_owned()), remedy))
}

/// The first error of this type among the causes.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// An error and its causes. An `io::Error` names as its source not what it holds, but the source of that.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// The causes of a failed connection, without the SDK's wrapping around them.
pub(super) fn innermost<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let mut all: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    all.dedup();
    match all.as_slice() {
        [] => error.to_string(),
        // The last two name the step and the reason ("tcp connect error: Connection refused").
        [.., step, reason] if !step.contains(reason.as_str()) => format!("{step}: {reason}"),
        [.., last] => last.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(error: rustls::Error, proven: bool) -> Failed {
        let io = io::Error::new(io::ErrorKind::InvalidData, error);
        let nested = io::Error::other(io);
        sort::<std::fmt::Error>(&SdkError::dispatch_failure(ConnectorError::io(nested.into())), proven)
    }

    #[test]
    fn a_bad_certificate_never_passes_unless_it_was_good_before() {
        let table = [
            (CertificateError::UnknownIssuer, "AWS_CA_BUNDLE"),
            (CertificateError::Expired, "clock"),
            (CertificateError::NotValidForName, "--path-style"),
            (CertificateError::BadSignature, "AWS_ENDPOINT_URL"),
        ];
        for (certificate, word) in table {
            let failed = dispatch(rustls::Error::InvalidCertificate(certificate.clone()), false);
            assert_eq!(failed.kind, Kind::Setup, "{failed:?}");
            assert!(failed.remedy.is_some_and(|remedy| remedy.contains(word)), "{failed:?}");
            assert_eq!(dispatch(rustls::Error::InvalidCertificate(certificate), true).kind, Kind::Passing);
        }
    }

    #[test]
    fn what_speaks_no_tls_is_told_apart_from_a_broken_connection() {
        let plain = dispatch(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), false);
        assert!(plain.kind == Kind::Setup && plain.cause.contains("does not speak TLS"), "{plain:?}");
        let alert = |alert| dispatch(rustls::Error::AlertReceived(alert), false).kind;
        assert_eq!(alert(AlertDescription::HandshakeFailure), Kind::Setup);
        assert_eq!(alert(AlertDescription::InternalError), Kind::Passing);
        let io = ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into());
        assert_eq!(sort::<std::fmt::Error>(&SdkError::dispatch_failure(io), false).kind, Kind::Passing);
    }

    #[test]
    fn a_request_that_cannot_be_sent_is_not_tried_again() {
        let user = ConnectorError::user("invalid header value".into());
        let failed = sort::<std::fmt::Error>(&SdkError::dispatch_failure(user), true);
        assert!(failed.kind == Kind::Setup && failed.cause.contains("header"), "{failed:?}");
    }
}
