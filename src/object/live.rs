//! One upload as whoever writes it holds it: where it lies, how large its parts are, and all that is asked of it.

use std::time::Duration;

use bytes::Bytes;
use tracing::{Instrument, Span};

use crate::message::fields;
use crate::object::stretch::{Hold, Target};
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::live_check::{self, LiveRead};
use crate::store::retry::About;
use crate::store::{Beginning, ETag, Patient, StoreError, StoredPart};

/// An upload that is being written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upload {
    store: Patient,
    key: String,
    id: String,
    part_size: PartSize,
    span: Span,
}

impl Upload {
    /// Starts an upload of `key` in parts of this size; see
    /// [`Store::create_upload`](crate::store::Store::create_upload).
    ///
    /// # Errors
    /// [`StoreError`]: the last failure.
    pub async fn begin(
        store: &Patient,
        key: &str,
        part_size: PartSize,
        beginning: Beginning<'_>,
    ) -> Result<Self, StoreError> {
        let id = store.create_upload(key, beginning).await?;
        Ok(Self::known(store, key, &id, part_size))
    }

    /// An upload that was started before.
    #[must_use]
    pub fn known(store: &Patient, key: &str, id: &str, part_size: PartSize) -> Self {
        let span = fields::upload(key, Some(id));
        Self { store: store.clone(), key: key.to_owned(), id: id.to_owned(), part_size, span }
    }

    /// The store that it lies in.
    #[must_use]
    pub fn store(&self) -> &Patient {
        &self.store
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its id, which is also the version of the object to be.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The size of every part but the last.
    #[must_use]
    pub fn part_size(&self) -> PartSize {
        self.part_size
    }

    /// What messages about it happen in, so that programs know which upload they are about.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// What a request for bytes of a part is about.
    #[must_use]
    pub fn about(&self, number: PartNumber, bytes: u64) -> About {
        About { part: Some(number.get()), offset: Some(self.part_size.start_of(number)), bytes: Some(bytes) }
    }

    /// `s3://bucket/key`, as messages name it.
    #[must_use]
    pub fn object(&self) -> String {
        self.store.object(&self.key)
    }

    /// What a reader of it asks for; `live`: with the Live Read header.
    #[must_use]
    pub fn target(&self, live: bool) -> Target {
        Target { key: self.key.clone(), version: Some(self.id.clone()), etag: None, live, hold: Hold::Object }
    }

    /// Stores a part in one attempt, and waits at most `patience` for the answer.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put(&self, number: PartNumber, body: Bytes, patience: Duration) -> Result<ETag, StoreError> {
        self.store.once().put_part(&self.key, &self.id, number, body, patience).await
    }

    /// Stores what there is so far of the part that is being filled, in one attempt: the next version comes soon.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put_tail(&self, number: PartNumber, body: Bytes) -> Result<ETag, StoreError> {
        let patience = self.store.patience().part(body.len() as u64, 0);
        self.put(number, body, patience).await
    }

    /// All parts that the store holds of it, by rising number.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::NoUpload`](crate::store::Kind::NoUpload) when it is over.
    pub async fn parts(&self) -> Result<Vec<StoredPart>, StoreError> {
        self.store.parts(&self.key, &self.id).instrument(self.span.clone()).await
    }

    /// Looks once whether it can be read while it is open.
    ///
    /// # Errors
    /// [`StoreError`] when that could not be asked.
    pub async fn look(&self) -> Result<LiveRead, StoreError> {
        live_check::look(self.store.once(), &self.key, &self.id).await
    }

    /// Makes an object out of `parts`, in one attempt; see
    /// [`Store::complete_upload`](crate::store::Store::complete_upload).
    ///
    /// # Errors
    /// [`StoreError`] for anything but success, which may have been one all the same.
    pub async fn complete(&self, parts: &[(PartNumber, ETag)]) -> Result<(), StoreError> {
        self.store.once().complete_upload(&self.key, &self.id, parts).await
    }

    /// Aborts it; its parts are gone.
    ///
    /// # Errors
    /// [`StoreError`] when it is left open.
    pub async fn abort(&self) -> Result<(), StoreError> {
        self.store.abort_upload(&self.key, &self.id).instrument(self.span.clone()).await?;
        self.span.in_scope(|| tracing::debug!(event = "aborted", "aborted the upload"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::retry::Retry;
    use crate::store::scripted::{self, Op, Reply};

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_again_and_what_is_one_attempt() {
        let (store, shelf) = scripted::store();
        let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
        let size = PartSize::new(5_000_000).expect("in range");
        shelf.script(|_, nth| if nth == 0 { Reply::Status(503, "SlowDown") } else { Reply::Honest });
        let live = Beginning { live_read: Some(size), ..Beginning::default() };
        let upload = Upload::begin(&store, "k", size, live).await.expect("it begins at the second attempt");
        let body = Bytes::from_static(b"hello");
        let patience = Duration::from_secs(9);
        upload.put(PartNumber::FIRST, body.clone(), patience).await.expect_err("one attempt");
        let etag = upload.put_tail(PartNumber::FIRST, body).await.expect("it is stored");
        assert_eq!(upload.parts().await.expect("listed").len(), 1);
        upload.look().await.expect_err("one attempt");
        assert_eq!(upload.look().await.expect("answered"), LiveRead::On);
        let parts = [(PartNumber::FIRST, etag)];
        upload.complete(&parts).await.expect_err("one attempt");
        upload.complete(&parts).await.expect("it is complete");
        assert_eq!(shelf.object("k").as_deref(), Some(&b"hello"[..]));
        let other = Upload::begin(&store, "k", size, live).await.expect("it begins");
        other.abort().await.expect("aborted at the second attempt");
        assert_eq!((shelf.open("k").len(), shelf.count(Op::Abort)), (0, 2));
    }
}
