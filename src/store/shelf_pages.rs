//! Lists for people: pages of what is stored and of what is being uploaded, by rising keys; and a new bucket.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::read::moment;
use super::words::is_id;
use super::{OpenUpload, Store, StoreError, send};

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was made, in seconds since 1970-01-01T00:00:00Z, where the store says so.
    pub modified: Option<i64>,
}

/// Some of a list, by rising keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What there is.
    pub entries: Vec<T>,
    /// The list goes on after this key.
    pub next: Option<String>,
}

/// More pages of uploads of one key than this are not looked at.
const MOST_PAGES: usize = 20;

impl Store {
    /// Objects whose keys begin with `prefix` and come after `after`: `most` of them.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`](super::Kind::Denied) when the key may not list.
    pub async fn stored_after(&self, prefix: &str, after: &str, most: u16) -> Result<Page<Stored>, StoreError> {
        let doing = "listing the objects";
        let after = Some(after).filter(|after| !after.is_empty()).map(str::to_owned);
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(most.into());
        let request = request.set_start_after(after.clone());
        let page = send!(self, list, doing, self.object(prefix), self.patience.answer, request.send())?;
        let is_cut = page.is_truncated.unwrap_or(false);
        let stored = page.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let size = object.size.and_then(|size| u64::try_from(size).ok())?;
            Some(Stored { key: object.key?, size, modified: object.last_modified.as_ref().and_then(moment) })
        });
        let entries: Vec<_> = stored.filter(|entry| after.as_ref().is_none_or(|after| entry.key > *after)).collect();
        let next = entries.last().filter(|_| is_cut).map(|last| last.key.clone());
        Ok(Page { entries, next })
    }

    /// Open uploads of keys that begin with `prefix` and come after `after`, with those keys: `most` of them at least, if
    /// there are so many, and of each key all.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`](super::Kind::Denied) when the key may not list.
    pub async fn open_after(
        &self,
        prefix: &str,
        after: &str,
        most: u16,
    ) -> Result<Page<(String, OpenUpload)>, StoreError> {
        let doing = "listing the open uploads";
        let mut entries: Vec<(String, OpenUpload)> = Vec::new();
        let mut markers = (Some(after).filter(|after| !after.is_empty()).map(str::to_owned), None);
        for _ in 0..MOST_PAGES {
            let request = self.client().list_multipart_uploads().bucket(&self.bucket).prefix(prefix);
            let request = request.set_key_marker(markers.0.clone()).set_upload_id_marker(markers.1.clone());
            let request = request.max_uploads(most.into());
            let page = send!(self, list, doing, self.object(prefix), self.patience.answer, request.send())?;
            for upload in page.uploads.unwrap_or_default() {
                let (Some(key), Some(id)) = (upload.key, upload.upload_id) else { continue };
                // Some stores count the marker in, others do not.
                let is_known = entries.iter().rev().take(usize::from(most)).any(|(_, known)| known.id == id);
                if key.as_str() > after && is_id(&id) && !is_known {
                    let started = upload.initiated.as_ref().and_then(moment);
                    entries.push((key, OpenUpload { id, started }));
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if !page.is_truncated.unwrap_or(false) || next.0.is_none() || next == markers {
                return Ok(Page { entries, next: None });
            }
            // Of the last key there may be more on the next page: what is told of ends before it.
            let cut = entries.last().map(|(key, _)| key.clone()).unwrap_or_default();
            let whole = entries.iter().take_while(|(key, _)| *key != cut).count();
            if let Some((last, _)) = whole.checked_sub(1).and_then(|last| entries.get(last)) {
                let next = Some(last.clone());
                entries.truncate(whole);
                return Ok(Page { entries, next });
            }
            markers = next;
        }
        let next = entries.last().map(|(key, _)| key.clone());
        Ok(Page { entries, next })
    }

    /// Makes this bucket, private.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success: so where somebody has it.
    pub async fn create_bucket(&self) -> Result<(), StoreError> {
        let client = self.client();
        let region = client.config().region().map(|region| region.as_ref().to_owned());
        // By Amazon's rules the oldest region must not be named, and any other must be.
        let place = region.filter(|region| region != "us-east-1").map(|region| {
            let place = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let request = client.create_bucket().bucket(&self.bucket).set_create_bucket_configuration(place);
        let object = format!("s3://{}", self.bucket);
        send!(self, other, "creating the bucket", object, self.patience.answer, request.send())?;
        Ok(())
    }
}
