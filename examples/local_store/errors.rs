//! The S3 errors that the store answers with, in the words that Backblaze B2 uses where they are known.

use std::io;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// An error with a code that may be outside of the list that `s3s` knows.
pub fn custom(status: StatusCode, code: &str, message: impl Into<String>) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, message.into());
    error.set_status_code(status);
    error
}

/// The disk failed: 500, with the cause, since the reader of this message owns the disk.
pub fn disk(what: &str, error: &io::Error) -> S3Error {
    tracing::error!("{what}: {error}");
    S3Error::with_message(S3ErrorCode::InternalError, format!("{what}: {error}"))
}

/// 400, for what the request asks.
pub fn invalid_argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}

/// 404 for a bucket.
pub fn no_such_bucket(bucket: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchBucket, format!("The specified bucket does not exist: {bucket}"))
}

/// 404 for a key.
pub fn no_such_key() -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

/// 404 for a version.
pub fn no_such_version() -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchVersion, "The specified version does not exist.")
}

/// 404 for an upload.
pub fn no_such_upload() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NoSuchUpload,
        "The specified upload does not exist. It may have been completed or aborted, or its id is wrong.",
    )
}

/// 416.
pub fn invalid_range(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRange, message)
}

/// 412.
pub fn precondition_failed() -> S3Error {
    S3Error::with_message(S3ErrorCode::PreconditionFailed, "At least one of the preconditions did not hold.")
}

/// An error that has no form in XML.
pub fn unsendable(error: &s3s::S3Error) -> crate::body::Error {
    io::Error::other(error.to_string()).into()
}
