//! Request bodies into part files, with their MD5.
//!
//! The socket's task gathers a batch while a thread of the blocking pool hashes and writes the one before, so that the
//! hash, which costs most, runs beside the network. A body is never in memory as a whole, and an upload that stalls
//! holds no thread.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use md5::{Digest, Md5};
use s3s::{S3Error, S3ErrorCode, S3Result};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::disk::{Md5Sum, Temporary, VersionDir};
use crate::errors;

const BATCH: usize = 1024 * 1024;

/// The largest part or object in one request that S3 takes.
pub const MAX_BODY: u64 = 5 * 1024 * 1024 * 1024;

/// A body that has been received whole, and not yet made a part.
#[derive(Debug)]
pub struct Received {
    /// Holds the bytes.
    pub file: Temporary,
    /// Bytes.
    pub size: u64,
    /// Of the bytes.
    pub md5: Md5Sum,
}

struct Sink {
    file: File,
    md5: Md5,
}

impl Sink {
    fn take(mut self, batch: Vec<Bytes>) -> JoinHandle<io::Result<Self>> {
        spawn_blocking(move || {
            for chunk in &batch {
                self.md5.update(chunk);
                self.file.write_all(chunk)?;
            }
            Ok(self)
        })
    }
}

enum Stage {
    Idle(Sink),
    Busy(JoinHandle<io::Result<Sink>>),
}

impl Stage {
    async fn idle(self) -> S3Result<Sink> {
        match self {
            Self::Idle(sink) => Ok(sink),
            Self::Busy(handle) => match handle.await {
                Ok(Ok(sink)) => Ok(sink),
                Ok(Err(error)) => Err(errors::disk("writing a part", &error)),
                Err(error) => Err(errors::disk("writing a part", &io::Error::other(error))),
            },
        }
    }
}

/// Receives `body` into a temporary file of `dir`. With `content_md5` (base64, as in the header) a body that is another
/// is refused.
pub async fn receive<S, E>(body: Option<S>, dir: &Arc<VersionDir>, content_md5: Option<&str>) -> S3Result<Received>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let expected = content_md5.map(parse_content_md5).transpose()?;
    let (temporary, file) = dir.temporary().map_err(|error| errors::disk("making a file for a part", &error))?;
    let mut stage = Stage::Idle(Sink { file, md5: Md5::new() });
    let mut size = 0u64;
    let mut batch = Vec::new();
    let mut held = 0;
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| broken_body(&error.to_string()))?;
            size += chunk.len() as u64;
            if size > MAX_BODY {
                return Err(S3ErrorCode::EntityTooLarge.into());
            }
            held += chunk.len();
            batch.push(chunk);
            if held >= BATCH {
                stage = Stage::Busy(stage.idle().await?.take(std::mem::take(&mut batch)));
                held = 0;
            }
        }
    }
    if !batch.is_empty() {
        stage = Stage::Busy(stage.idle().await?.take(batch));
    }
    let md5 = stage.idle().await?.md5.finalize().into();
    if expected.is_some_and(|expected| expected != md5) {
        return Err(S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        ));
    }
    Ok(Received { file: temporary, size, md5 })
}

fn parse_content_md5(text: &str) -> S3Result<Md5Sum> {
    crate::text::base64(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| S3Error::with_message(S3ErrorCode::InvalidDigest, "The Content-MD5 you specified is not valid."))
}

/// What `s3s` tells about a body that failed on the way comes as text only.
fn broken_body(error: &str) -> S3Error {
    if error.contains("Sha256Mismatch") {
        return errors::custom(
            http::StatusCode::BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
    }
    if error.contains("SignatureMismatch") {
        return S3Error::with_message(S3ErrorCode::SignatureDoesNotMatch, "A chunk's signature does not match.");
    }
    S3Error::with_message(S3ErrorCode::IncompleteBody, format!("The request body ended early: {error}"))
}
