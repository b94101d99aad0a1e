//! Where other stores differ from Backblaze B2, to order: `--quirk NAME` (may be repeated), or `PUT /quirks` of the control API
//! with a JSON list of names, which replaces those before (in tests: `store.quirks(&["no-list"])`). `GET /quirks` lists them.
//!
//! All are repeatable: they go by counts and by what was asked before, and not by chance.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use http::{HeaderMap, Method, StatusCode, request};
use s3s::S3Error;
use serde::{Deserialize, Serialize};

use crate::errors::{custom, invalid_argument};
use crate::operation::Operation;

/// How a store differs. Who was seen to do it stands in `docs/stores.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// If-Match and If-None-Match of what writes are ignored, and answered 200
    NoConditions,
    /// If-Match and If-None-Match of what writes are answered 501; what is there stays
    #[value(name = "conditions-501")]
    #[serde(rename = "conditions-501")]
    Conditions501,
    /// No lists: ListMultipartUploads is answered 501, ListParts 405, ListObjects and ListObjectVersions 403
    NoList,
    /// UploadPartCopy is answered 501
    NoPartCopy,
    /// A second PutObject, CopyObject or CompleteMultipartUpload of one key within a second is answered 429
    #[value(name = "same-key-429")]
    #[serde(rename = "same-key-429")]
    SameKey429,
    /// After a PutObject or CopyObject the first look at the object sees half of it without its metadata and ETag, the second
    /// all of it without them
    TornPut,
    /// The same after a CompleteMultipartUpload
    TornComplete,
    /// A PutObject whose sender goes away lands a second later: whole, if all of it had come (hold it with a fault), else
    /// what there was of it, without a look at its signature
    LatePut,
    /// A PutObject or CopyObject ends the open uploads of its key
    PutKillsUpload,
    /// What is missing is answered 403 to those who may not list
    DeniedMissing,
    /// DeleteObject and DeleteObjects are answered 403
    NoDelete,
    /// DeleteObjects is answered 200, with an error for the first, third, fifth … key of the list, which stay
    #[value(name = "delete-errors-in-200")]
    #[serde(rename = "delete-errors-in-200")]
    DeleteErrorsIn200,
    /// The ETag in the answer to UploadPartCopy and CopyObject has no quotation marks
    CopyEtagUnquoted,
    /// x-amz-write-offset-bytes is ignored: the object is replaced by what was to be appended (else it is answered 501)
    AppendIgnored,
    /// All parts but the last have at least 5 MiB; shorter ones are refused when the upload is completed
    #[value(name = "parts-of-5-mib")]
    #[serde(rename = "parts-of-5-mib")]
    PartsOf5Mib,
    /// Buckets without versions: no version ids in answers, what is written over or deleted is gone, and a version id in a
    /// request is answered 400
    Unversioned,
}

/// Between two writes of one key that is not answered 429.
const SAME_KEY: Duration = Duration::from_secs(1);
/// Looks at a new object that are torn.
const TORN_LOOKS: u8 = 2;

/// The quirks in force.
#[derive(Debug, Default)]
pub struct Quirks {
    set: RwLock<BTreeSet<Quirk>>,
    /// When keys were last written.
    written: Mutex<HashMap<Place, Instant>>,
    /// Versions to be torn, and how often yet.
    torn: Mutex<HashMap<String, u8>>,
    /// PUTs that land whatever becomes of their sender, and have not yet.
    landing: Arc<AtomicUsize>,
}

/// One of those, until it is dropped.
#[derive(Debug)]
pub struct Landing(Arc<AtomicUsize>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A bucket and a key.
type Place = (Option<String>, Option<String>);

/// How an object is seen that is not there yet as it should be.
#[derive(Debug, Clone, Copy)]
pub struct Torn {
    /// Only its first half.
    pub short: bool,
}

impl Quirks {
    /// These quirks.
    pub fn new(quirks: &[Quirk]) -> Self {
        let all = Self::default();
        all.set(quirks);
        all
    }

    /// Replaces all.
    pub fn set(&self, quirks: &[Quirk]) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = quirks.iter().copied().collect();
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.torn.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those in force.
    pub fn told(&self) -> Vec<Quirk> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Whether this one is in force.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).contains(&quirk)
    }

    /// The refusal of a request, before it is looked at any further.
    pub fn refusal(&self, head: &request::Parts, operation: &Operation) -> Option<S3Error> {
        let not_implemented = |what: &str| custom(StatusCode::NOT_IMPLEMENTED, "NotImplemented", what);
        let denied = || custom(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied");
        let name = operation.name;
        if head.headers.contains_key("x-amz-write-offset-bytes") && !self.has(Quirk::AppendIgnored) {
            return Some(not_implemented(
                "A header you provided implies functionality that is not implemented: x-amz-write-offset-bytes",
            ));
        }
        if self.has(Quirk::Conditions501) && writes(&head.method) && conditional(&head.headers) {
            return Some(not_implemented("A header you provided implies functionality that is not implemented"));
        }
        if self.has(Quirk::NoList) {
            match name {
                "ListMultipartUploads" => return Some(not_implemented("This operation is not implemented")),
                "ListParts" => {
                    let message = "The specified method is not allowed against this resource.";
                    return Some(custom(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message));
                }
                "ListObjects" | "ListObjectsV2" | "ListObjectVersions" => return Some(denied()),
                _ => {}
            }
        }
        if self.has(Quirk::NoPartCopy) && name == "UploadPartCopy" {
            return Some(not_implemented("This operation is not implemented"));
        }
        if self.has(Quirk::NoDelete) && matches!(name, "DeleteObject" | "DeleteObjects") {
            return Some(denied());
        }
        if self.has(Quirk::Unversioned) && operation.version_id.as_ref().is_some_and(|id| id != "null") {
            return Some(invalid_argument("Invalid version id specified"));
        }
        if self.has(Quirk::SameKey429)
            && matches!(name, "PutObject" | "CopyObject" | "CompleteMultipartUpload")
            && self.is_too_soon(operation)
        {
            let message = "Reduce your concurrent request rate for the same object.";
            return Some(custom(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message));
        }
        None
    }

    /// Whether the key was written less than a second ago; if not, it is now.
    fn is_too_soon(&self, operation: &Operation) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        written.retain(|_, at| now.duration_since(*at) < SAME_KEY);
        let place = (operation.bucket.clone(), operation.key.clone());
        let too_soon = written.contains_key(&place);
        if !too_soon {
            written.insert(place, now);
        }
        too_soon
    }

    /// A PUT that lands whatever becomes of its sender.
    pub fn landing(&self) -> Landing {
        self.landing.fetch_add(1, Ordering::Relaxed);
        Landing(Arc::clone(&self.landing))
    }

    /// How many such there are.
    pub fn under_way(&self) -> usize {
        self.landing.load(Ordering::Relaxed)
    }

    /// This version has just been stored by such a request.
    pub fn stored(&self, by: Quirk, version: &str) {
        if self.has(by) {
            self.torn.lock().unwrap_or_else(PoisonError::into_inner).insert(version.to_owned(), TORN_LOOKS);
        }
    }

    /// A look at this version.
    pub fn look(&self, version: &str) -> Option<Torn> {
        let mut torn = self.torn.lock().unwrap_or_else(PoisonError::into_inner);
        let left = torn.get_mut(version)?;
        let short = *left == TORN_LOOKS;
        *left -= 1;
        if *left == 0 {
            torn.remove(version);
        }
        Some(Torn { short })
    }
}

fn writes(method: &Method) -> bool {
    matches!(method.as_str(), "PUT" | "POST" | "DELETE")
}

fn conditional(headers: &HeaderMap) -> bool {
    headers.contains_key("if-match") || headers.contains_key("if-none-match")
}
