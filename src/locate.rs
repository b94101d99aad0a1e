//! Finds what to read: the newest open upload of exactly one key, a named one, or the finished object.
//!
//! Lists are the dearest requests, so they are made to find an upload and then rarely: while nothing is there, a live read
//! of one byte tells for a tenth of the price when something has begun.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::retry::Retry;
use crate::store::{Fetched, Head, Kind, Piece, Store, StoreError};

/// Between two lists while no upload is open. A list also finds what a live read does not show: an upload on an account
/// without Live Read.
const RELIST: Duration = Duration::from_secs(30);

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The object's key.
    pub key: String,
    /// One certain upload, instead of the newest.
    pub upload_id: Option<String>,
    /// Wait for an upload to begin.
    pub wait: bool,
    /// Between two looks.
    pub poll_interval: Duration,
    /// How long to wait for an upload to begin, at most.
    pub timeout: Option<Duration>,
    /// How long one request may keep failing.
    pub retry: Retry,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The upload id or version to pin; `None` where nobody has told it yet.
    pub version: Option<String>,
    /// The size of the object where it is complete; `None` for an upload that may still grow.
    pub finished: Option<u64>,
    /// Whether these credentials may list uploads.
    pub may_list: bool,
    /// The finished object of this key that was there before; an end that looks like it is not the end of this upload.
    pub before: Option<Head>,
}

impl Located {
    /// Whether it may still grow.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.finished.is_none()
    }
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `--no-wait`, and there is nothing.
    #[error(
        "{0}: there is no open upload and no finished object of this key. Without --no-wait, reader waits for one to begin"
    )]
    Nothing(String),
    /// The named upload is not there.
    #[error("{object}: there is no upload {id}, neither open nor completed; it may have been aborted")]
    NoSuchUpload {
        /// The object.
        object: String,
        /// The upload id.
        id: String,
    },
    /// No upload began in time.
    #[error("{object}: no upload has begun within {} s", after.as_secs_f64())]
    TimedOut {
        /// The object.
        object: String,
        /// The limit.
        after: Duration,
    },
}

/// Finds what to read, and waits for it if asked to.
///
/// # Errors
/// [`LocateError`]; a missing bucket and refused credentials end the wait at once.
pub async fn locate(store: &Store, wanted: &Wanted) -> Result<Located, LocateError> {
    match &wanted.upload_id {
        Some(id) => named(store, wanted, id).await,
        None => newest(store, wanted).await,
    }
}

/// The upload with a certain id, open or completed.
async fn named(store: &Store, wanted: &Wanted, id: &str) -> Result<Located, LocateError> {
    let key = &wanted.key;
    let found = |finished| Located { version: Some(id.to_owned()), finished, may_list: true, before: None };
    if let Some(head) = wanted.retry.run(|_| store.head(key, Some(id))).await? {
        return Ok(found(Some(head.size)));
    }
    let piece = Piece::Range { first: 0, last: 0 };
    if !matches!(wanted.retry.run(|_| store.fetch(key, Some(id), piece, true)).await?, Fetched::Absent) {
        return Ok(found(None));
    }
    let missing = || LocateError::NoSuchUpload { object: store.object(key), id: id.to_owned() };
    match wanted.retry.run(|_| store.open_uploads(key)).await {
        Ok(uploads) if uploads.iter().any(|upload| upload.id == id) => Ok(found(None)),
        Ok(_) => Err(missing()),
        Err(error) if may_not_list(&error) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// The newest upload, or the finished object.
async fn newest(store: &Store, wanted: &Wanted) -> Result<Located, LocateError> {
    let (key, retry) = (&wanted.key, wanted.retry);
    let began = Instant::now();
    let mut may_list = true;
    let mut listed: Option<Instant> = None;
    // What the cheap look saw when the list was empty; only a change of it is worth another list.
    let mut before: Option<Seen> = None;
    loop {
        let seen = glance(store, key, retry).await?;
        let changed = before.as_ref().is_none_or(|before| *before != seen);
        if may_list && (changed || listed.is_none_or(|at| at.elapsed() >= RELIST)) {
            listed = Some(Instant::now());
            match retry.run(|_| store.open_uploads(key)).await {
                Ok(uploads) => {
                    if let Some(upload) = uploads.last() {
                        let head = retry.run(|_| store.head(key, None)).await?;
                        return Ok(Located {
                            version: Some(upload.id.clone()),
                            finished: None,
                            may_list,
                            before: head,
                        });
                    }
                }
                Err(error) if may_not_list(&error) => {
                    tracing::debug!("this key may not list uploads; going by live reads alone");
                    may_list = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if changed && (!may_list || !wanted.wait) {
            let finished = retry.run(|_| store.head(key, None)).await?;
            if !may_list && seen.is_open_beside(finished.as_ref()) {
                return Ok(Located { version: seen.version, finished: None, may_list, before: finished });
            }
            match finished {
                Some(head) if !wanted.wait => {
                    let finished = Some(head.size);
                    return Ok(Located { version: head.version, finished, may_list, before: None });
                }
                None if !wanted.wait => return Err(LocateError::Nothing(store.object(key))),
                _ => {}
            }
        }
        if before.is_none() {
            tracing::info!("waiting for an upload of {} to begin", store.object(key));
        }
        before = Some(seen);
        if let Some(after) = wanted.timeout.filter(|timeout| began.elapsed() >= *timeout) {
            return Err(LocateError::TimedOut { object: store.object(key), after });
        }
        sleep(wanted.poll_interval).await;
    }
}

/// What a live read of one byte shows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Anything but 404.
    present: bool,
    /// There was a byte.
    data: bool,
    /// The version that the byte came from.
    version: Option<String>,
}

impl Seen {
    /// Whether this is an open upload, given the finished object of the key.
    fn is_open_beside(&self, finished: Option<&Head>) -> bool {
        match finished {
            // Nothing finished: whatever answers is open.
            None => self.present,
            // An empty finished object has no byte to show either.
            Some(head) if head.size == 0 && !self.data => false,
            // A live read of a finished object answers like one of an open upload, but with its own version.
            Some(head) => self.present && (!self.data || (self.version.is_some() && self.version != head.version)),
        }
    }
}

async fn glance(store: &Store, key: &str, retry: Retry) -> Result<Seen, LocateError> {
    let piece = Piece::Range { first: 0, last: 0 };
    match retry.run(|_| store.fetch(key, None, piece, true)).await {
        Ok(Fetched::Data(body)) => Ok(Seen { present: true, data: true, version: body.version }),
        Ok(Fetched::NotYet) => Ok(Seen { present: true, data: false, version: None }),
        Ok(Fetched::Absent) => Ok(Seen { present: false, data: false, version: None }),
        Err(error) => Err(error.into()),
    }
}

/// Whether a refusal means "this key may not list" rather than "this key is wrong".
#[must_use]
pub fn may_not_list(error: &StoreError) -> bool {
    error.kind == Kind::Denied && !matches!(error.code.as_deref(), Some("InvalidAccessKeyId" | "SignatureDoesNotMatch"))
}
