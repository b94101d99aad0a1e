//! The one door to S3: the requests that the tools make, and answers in the tools' own terms.
//!
//! Nothing of the SDK's types passes this door. Each method sends one request (or the pages of one list) and does not
//! retry: the SDK's own attempts are set to one, and [`crate::retry`] is the single place that decides about another.
//! "Not yet" and "absent" are answers of a read, not errors.

mod connect;
mod error;
mod list;
mod read;
mod seen;
mod tally;
mod write;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use connect::{Access, ConnectError, Connection, Resolved};
pub use error::{Kind, StoreError};
pub use list::{OpenUpload, StoredPart};
pub use read::{Body, Fetched, Head, Piece};
pub use tally::{Tally, Totals};
pub use write::ETag;

use aws_sdk_s3::Client;

/// How long a request may go without an answer, where nothing makes it longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Completing is documented to take minutes for large uploads.
const COMPLETE_PATIENCE: Duration = Duration::from_secs(600);

/// A bucket of a store, with the right credentials and settings to talk to it.
#[derive(Debug, Clone)]
pub struct Store {
    client: Arc<RwLock<Client>>,
    bucket: String,
    tally: Arc<Tally>,
    /// Whether parts carry `Content-MD5` over TLS in place of the signed SHA-256; see [`connect`].
    content_md5: bool,
}

impl Store {
    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the credential provider asked again before the next request: what it gave last has expired.
    fn renew_credentials(&self) {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        let cache = aws_sdk_s3::config::IdentityCache::lazy().build();
        *client = Client::from_conf(client.config().to_builder().identity_cache(cache).build());
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// `s3://bucket/key`, as messages name it.
    #[must_use]
    pub fn object(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// How many requests of each kind have been sent so far.
    #[must_use]
    pub fn requests(&self) -> Totals {
        self.tally.totals()
    }
}

/// Sends a request of the SDK with a limit on the wait for its answer, and sorts what goes wrong.
///
/// A macro because the SDK gives each operation an error type of its own.
macro_rules! send {
    ($store:expr, $kind:ident, $doing:expr, $object:expr, $patience:expr, $request:expr) => {{
        $store.tally.$kind();
        match tokio::time::timeout($patience, $request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let error = $crate::store::StoreError::from_sdk($doing, $object, &error);
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
