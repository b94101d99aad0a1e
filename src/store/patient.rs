//! The same requests as a [`Store`]'s, each tried again by the rules of [`crate::store::retry`].
//!
//! This is what goes through the program in place of a store and how long its requests may keep failing. Whoever counts
//! failures himself, such as a part on its way, takes [single attempts](Patient::once) and [the rules](Patient::retry).

use std::time::Duration;

use bytes::Bytes;

use super::live_check::{self, LiveRead};
use super::retry::Retry;
use super::{
    Beginning, CorsRule, ETag, Fetched, Head, OpenUpload, Page, Patience, Peeked, Piece, Small, Store, StoreError,
    Stored, StoredPart, Totals, Undeleted, Version,
};
use crate::protocol::part::PartNumber;

/// A store whose requests are tried again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Patient {
    store: Store,
    retry: Retry,
}

/// What a store says without being asked.
impl Patient {
    pub(super) fn new(store: Store, retry: Retry) -> Self {
        Self { store, retry }
    }

    /// The store, for single attempts.
    #[must_use]
    pub fn once(&self) -> &Store {
        &self.store
    }

    /// How long one request may keep failing.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The same store, whose requests may keep failing for no longer than `most`.
    #[must_use]
    pub fn at_most(&self, most: Duration) -> Self {
        self.store.patient(Retry { give_up_after: self.retry.give_up_after.min(most) })
    }

    /// As [`Store::bucket_named`].
    #[must_use]
    pub fn bucket_named(&self, bucket: &str) -> Self {
        self.store.bucket_named(bucket).patient(self.retry)
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.store.bucket()
    }

    /// `s3://bucket/key`, as messages name it.
    #[must_use]
    pub fn object(&self, key: &str) -> String {
        self.store.object(key)
    }

    /// How long to wait for this store when it says nothing.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.store.patience()
    }

    /// How many requests of each kind have been sent so far.
    #[must_use]
    pub fn requests(&self) -> Totals {
        self.store.requests()
    }
}

/// Requests that read and list.
impl Patient {
    /// As [`Store::head`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Head>, StoreError> {
        self.retry.run(|_| self.store.head(key, version)).await
    }

    /// As [`Store::dated_head`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn dated_head(&self, key: &str) -> Result<(Option<Head>, Option<i64>), StoreError> {
        self.retry.run(|_| self.store.dated_head(key)).await
    }

    /// As [`Store::fetch`]. What breaks once bytes have begun to come is for whoever reads them: see
    /// [`crate::object::stretch`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn fetch(
        &self,
        key: &str,
        version: Option<&str>,
        piece: Piece,
        live: bool,
    ) -> Result<Fetched, StoreError> {
        self.retry.run(|_| self.store.fetch(key, version, piece, live)).await
    }

    /// As [`Store::peek`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn peek(&self, key: &str, version: Option<&str>, first: u64, last: u64) -> Result<Peeked, StoreError> {
        self.retry.run(|_| self.store.peek(key, version, first, last)).await
    }

    /// As [`Store::get_small`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn get_small(&self, key: &str, most: u64) -> Result<Option<Small>, StoreError> {
        self.retry.run(|_| self.store.get_small(key, most)).await
    }

    /// As [`live_check::look`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn look(&self, key: &str, upload_id: &str) -> Result<LiveRead, StoreError> {
        self.retry.run(|_| live_check::look(&self.store, key, upload_id)).await
    }

    /// As [`Store::open_uploads`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn open_uploads(&self, key: &str) -> Result<Vec<OpenUpload>, StoreError> {
        self.retry.run(|_| self.store.open_uploads(key)).await
    }

    /// As [`Store::parts`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn parts(&self, key: &str, upload_id: &str) -> Result<Vec<StoredPart>, StoreError> {
        self.retry.run(|_| self.store.parts(key, upload_id)).await
    }

    /// As [`Store::objects`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn objects(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.retry.run(|_| self.store.objects(prefix)).await
    }

    /// As [`Store::page_of_objects`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn page_of_objects(
        &self,
        prefix: &str,
        within: bool,
        next: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        self.retry.run(|_| self.store.page_of_objects(prefix, within, next.clone())).await
    }

    /// As [`Store::stored_after`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn stored_after(&self, prefix: &str, after: &str, most: u16) -> Result<Page<Stored>, StoreError> {
        self.retry.run(|_| self.store.stored_after(prefix, after, most)).await
    }

    /// As [`Store::open_after`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn open_after(
        &self,
        prefix: &str,
        after: &str,
        most: u16,
    ) -> Result<Page<(String, OpenUpload)>, StoreError> {
        self.retry.run(|_| self.store.open_after(prefix, after, most)).await
    }

    /// As [`Store::some_versions`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn some_versions(&self, prefix: &str) -> Result<(Vec<Version>, bool), StoreError> {
        self.retry.run(|_| self.store.some_versions(prefix)).await
    }

    /// As [`Store::cors`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn cors(&self) -> Result<Vec<CorsRule>, StoreError> {
        self.retry.run(|_| self.store.cors()).await
    }
}

/// Requests that write. What they do can be done twice without harm: a second start leaves an empty upload behind, which
/// readers pass over.
impl Patient {
    /// As [`Store::create_upload`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn create_upload(&self, key: &str, beginning: Beginning<'_>) -> Result<String, StoreError> {
        self.retry.run(|_| self.store.create_upload(key, beginning)).await
    }

    /// As [`Store::put_part`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn put_part(
        &self,
        key: &str,
        upload_id: &str,
        number: PartNumber,
        body: Bytes,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        self.retry.run(|_| self.store.put_part(key, upload_id, number, body.clone(), patience)).await
    }

    /// As [`Store::abort_upload`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<(), StoreError> {
        self.retry.run(|_| self.store.abort_upload(key, upload_id)).await
    }

    /// As [`Store::put_object`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn put_object(
        &self,
        key: &str,
        body: Bytes,
        content_type: &str,
        cache_control: &str,
        patience: Duration,
    ) -> Result<(), StoreError> {
        self.retry.run(|_| self.store.put_object(key, body.clone(), content_type, cache_control, patience)).await
    }

    /// As [`Store::delete`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn delete(&self, what: &Version) -> Result<(), StoreError> {
        self.retry.run(|_| self.store.delete(what)).await
    }

    /// As [`Store::delete_many`]. What a request that succeeded leaves undeleted is not tried again.
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn delete_many(&self, what: &[Version]) -> Result<Vec<Undeleted>, StoreError> {
        self.retry.run(|_| self.store.delete_many(what)).await
    }

    /// As [`Store::set_cors`].
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn set_cors(&self, rules: &[CorsRule]) -> Result<(), StoreError> {
        self.retry.run(|_| self.store.set_cors(rules)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;
    use crate::store::scripted::{self, Op, Reply};

    const MINUTE: Retry = Retry { give_up_after: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_what_never_will_is_not() {
        let (store, shelf) = scripted::store();
        let id = shelf.begin("k", 5_000_000);
        shelf.put(&id, 1, &b"hello"[..]);
        // Each kind of request is refused twice, then answered.
        shelf.script(|_, nth| if nth < 2 { Reply::Status(503, "SlowDown") } else { Reply::Honest });
        let patient = store.patient(MINUTE);
        assert_eq!(patient.open_uploads("k").await.expect("listed").len(), 1);
        assert_eq!(patient.parts("k", &id).await.expect("listed").len(), 1);
        assert!(patient.head("k", None).await.expect("answered").is_none());
        assert_eq!(patient.look("k", &id).await.expect("answered"), LiveRead::On);
        patient.abort_upload("k", &id).await.expect("aborted");
        for op in [Op::Uploads, Op::Parts, Op::Head, Op::Get, Op::Abort] {
            assert_eq!(shelf.count(op), 3, "{op:?}");
        }
        assert_eq!(patient.parts("k", &id).await.expect_err("it is over").kind, Kind::NoUpload);
        assert_eq!(shelf.count(Op::Parts), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_serves_many_buckets() {
        let (store, shelf) = scripted::store();
        shelf.script(|_, _| Reply::Status(503, "SlowDown"));
        let other = store.patient(MINUTE).bucket_named("other").at_most(Duration::ZERO);
        assert_eq!((other.bucket(), other.object("k")), ("other", "s3://other/k".to_owned()));
        assert_eq!(other.head("k", None).await.expect_err("it is refused").object, "s3://other/k");
        assert_eq!((store.requests(), store.bucket(), shelf.count(Op::Head)), (other.requests(), "bucket", 1));
    }
}
