//! The one door to S3: the requests that the tools make, and answers in the tools' own terms.
//!
//! Nothing of the SDK's types passes this door. Each method of [`Store`] sends one request (or the pages of one list) and does
//! not retry: the SDK's own attempts are set to one, and [`crate::store::retry`] is the single place that decides about
//! another. [`Patient`] has the same requests and tries them again by its rules.
//! "Not yet" and "absent" are answers of a read, not errors.

mod address;
mod connect;
mod cors;
mod credentials;
mod endpoint;
mod error;
mod fault;
mod granted;
mod hearing;
mod list;
pub mod live_check;
mod marks;
mod objects;
mod patient;
mod proxy;
mod read;
pub mod retry;
#[cfg(test)]
#[allow(dead_code, reason = "a test takes of it what it needs")]
pub(crate) mod scripted;
mod seen;
mod shelf_pages;
mod sort;
mod tally;
pub(crate) mod tls;
pub mod trial;
mod watch;
mod words;
mod write;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use connect::{Access, ConnectError, Connection, Resolved};
pub use cors::CorsRule;
pub use error::StoreError;
pub use list::{OpenUpload, StoredPart};
pub use marks::Marks;
pub use objects::{Labels, MOST_DELETED, Undeleted, Version};
pub use patient::Patient;
pub use read::{Body, Fetched, Head, Peeked, Piece, Small};
pub use shelf_pages::{Page, Stored};
pub use sort::Kind;
pub use tally::{Tally, Totals};
pub use write::{Beginning, ETag};

use aws_sdk_s3::Client;

/// How long to wait for a store that says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the answer to a request.
    pub answer: Duration,
    /// For the next bytes in the middle of an answer.
    pub body: Duration,
}

impl Patience {
    /// As given, or half a minute for an answer and less in the middle of one, where a viewer is waiting.
    #[must_use]
    pub fn new(given: Option<Duration>) -> Self {
        let (answer, body) = (Duration::from_secs(30), Duration::from_secs(20));
        Self { answer: given.unwrap_or(answer), body: given.unwrap_or(body) }
    }

    /// For the answer to a part of `size` bytes: as much again for each 3 MB of it, and twice that after each silence, so
    /// that an uplink slower than expected is never cut for ever.
    #[must_use]
    pub fn part(self, size: u64, silences: u32) -> Duration {
        const MORE: u64 = 3_000_000;
        let millis = u64::try_from(self.answer.as_millis()).unwrap_or(u64::MAX);
        let expected = millis.saturating_add(
            u64::try_from(u128::from(millis) * u128::from(size) / u128::from(MORE)).unwrap_or(u64::MAX),
        );
        Duration::from_millis(expected.saturating_mul(1 << silences.min(5)))
    }

    /// For the answer to a completion, which is documented to take minutes for large uploads.
    fn complete(self) -> Duration {
        self.answer.saturating_mul(20)
    }
}

/// A bucket of a store, with the right credentials and settings to talk to it. Cheap to clone: clones, and other buckets of
/// the same store, share one connection. Each request is one attempt; see [`Store::patient`].
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    bucket: String,
    patience: Patience,
}

/// What all buckets of one store have in common.
#[derive(Debug)]
struct Shared {
    client: RwLock<Client>,
    tally: Tally,
    granted: granted::Granted,
    /// Whether parts carry `Content-MD5` over TLS in place of the signed SHA-256; see [`connect`].
    content_md5: bool,
    /// Whether requests are sent without credentials.
    anonymous: bool,
    /// Where objects are, for browsers; `None` for a store that has no address.
    addresses: Option<address::Addresses>,
    /// Whether a store has answered properly before: then whatever else answers has only come in between.
    proven: AtomicBool,
}

impl Shared {
    fn new(client: Client, content_md5: bool, anonymous: bool) -> Self {
        let (tally, granted, proven) = (Tally::default(), granted::Granted::default(), AtomicBool::default());
        Self { client: RwLock::new(client), tally, granted, content_md5, anonymous, addresses: None, proven }
    }
}

impl Store {
    /// The same store and credentials, and this bucket of it.
    #[must_use]
    pub fn bucket_named(&self, bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), ..self.clone() }
    }

    /// The same store, with [`requests`](Self::requests) of its own.
    #[must_use]
    pub fn counted_apart(&self) -> Self {
        let Shared { content_md5, anonymous, .. } = *self.shared;
        Self { shared: Arc::new(Shared::new(self.client(), content_md5, anonymous)), ..self.clone() }
    }

    /// The same requests, each tried again as `retry` says.
    #[must_use]
    pub fn patient(&self, retry: retry::Retry) -> Patient {
        Patient::new(self.clone(), retry)
    }

    fn client(&self) -> Client {
        self.shared.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the credential provider asked again before the next request: what it gave last has expired.
    fn renew_credentials(&self) {
        let mut client = self.shared.client.write().unwrap_or_else(PoisonError::into_inner);
        let cache = aws_sdk_s3::config::IdentityCache::lazy().build();
        *client = Client::from_conf(client.config().to_builder().identity_cache(cache).build());
        self.shared.granted.forget();
    }

    fn is_proven(&self) -> bool {
        self.shared.proven.load(Relaxed)
    }

    /// Notes that it was a store that answered.
    fn prove(&self) {
        self.shared.proven.store(true, Relaxed);
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where a browser finds an object, if the bucket is public.
    #[must_use]
    pub fn address(&self, key: &str) -> Option<String> {
        self.shared.addresses.as_ref().map(|addresses| addresses.of(&self.bucket, key))
    }

    /// `s3://bucket/key`, as messages name it.
    #[must_use]
    pub fn object(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// How long to wait for this store when it says nothing.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// How many requests of each kind have been sent so far, to all buckets of this store.
    #[must_use]
    pub fn requests(&self) -> Totals {
        self.shared.tally.totals()
    }
}

/// Sends a request of the SDK with a limit on the wait for its answer, and sorts what goes wrong.
///
/// A macro because the SDK gives each operation an error type of its own.
macro_rules! send {
    ($store:expr, $kind:ident, $doing:expr, $object:expr, $patience:expr, $request:expr) => {{
        let right = $store.shared.tally.$kind();
        match tokio::time::timeout($patience, $request).await {
            Ok(Ok(answer)) => {
                $store.shared.granted.note(right, &$store.bucket, &$object);
                $store.prove();
                Ok(answer)
            }
            Ok(Err(error)) => {
                let mut error = $crate::store::StoreError::from_sdk($doing, $object, &error, $store.is_proven());
                error.allowed_before = $store.shared.granted.before(right, &$store.bucket, &error.object);
                error.anonymous = $store.shared.anonymous;
                if error.is_of_a_store() {
                    $store.prove();
                }
                if error.kind == $crate::store::Kind::Expired {
                    $store.renew_credentials();
                }
                Err(error)
            }
            Err(_) => Err($crate::store::StoreError::timed_out($doing, $object, $patience)),
        }
    }};
}
use send;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_part_and_with_each_silence() {
        let patience = Patience::new(None);
        assert_eq!(patience.part(0, 0), Duration::from_secs(30));
        assert_eq!(patience.part(5_000_000, 0), Duration::from_secs(80));
        assert_eq!(patience.part(5_000_000, 1), Duration::from_secs(160));
        assert_eq!(patience.part(5_000_000, 99), Duration::from_secs(80 * 32));
        assert!(patience.part(u64::MAX, 99) > Duration::from_secs(1 << 40));
    }
}
