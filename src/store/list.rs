//! Requests that list: the open uploads of one key, the parts of one upload, objects, and whether the bucket answers at all.

use std::collections::HashSet;
use std::time::SystemTime;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};

use super::read::moment;
use super::seen::SeenHeader;
use super::words::is_id;
use super::{Kind, Store, StoreError, send};
use crate::human::times::show_of_day;
use crate::protocol::live_read::MAX_PART_SIZE;
use crate::protocol::part::PartNumber;

/// An upload that has been started and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The upload id, which is also the version id.
    pub id: String,
    /// When it was started: seconds since 1970-01-01T00:00:00Z, where the store says so.
    pub started: Option<i64>,
}

impl OpenUpload {
    /// When it was started, as `2026-01-31T12:00:00Z`.
    #[must_use]
    pub fn started_at(&self) -> Option<String> {
        self.started.map(show_of_day)
    }
}

/// A part that the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Its number.
    pub number: PartNumber,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag with any quotation marks taken off: the hex MD5 of its bytes.
    pub etag: String,
}

/// More pages than any list of one key's uploads or of 10,000 parts can have; a store that pages on is in a loop.
const MOST_PAGES: usize = 1_000;

/// More entries than any of these lists has; what goes on beyond them would fill the memory.
const MOST_ENTRIES: usize = 200_000;

/// Whether a marker is short enough to be sent back: keys have up to 1,024 bytes, tokens somewhat more.
fn is_marker(marker: Option<&str>) -> bool {
    marker.is_none_or(|marker| marker.len() <= 8 << 10)
}

impl Store {
    /// The open uploads of exactly `key`, the oldest first.
    ///
    /// Backblaze's markers are inclusive and Amazon's exclusive, so an upload can come twice: entries already seen are
    /// dropped, and a page that brings nothing new and moves no marker ends the list.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`] when the key may not list.
    pub async fn open_uploads(&self, key: &str) -> Result<Vec<OpenUpload>, StoreError> {
        let doing = "listing the open uploads";
        let mut found: Vec<OpenUpload> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut markers: (Option<String>, Option<String>) = (None, None);
        for _ in 0..MOST_PAGES {
            let request = self
                .client()
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(key)
                .set_key_marker(markers.0.clone())
                .set_upload_id_marker(markers.1.clone());
            let page = send!(self, list, doing, self.object(key), self.patience.answer, request.send())?;
            let mut beyond = false;
            for upload in page.uploads.unwrap_or_default() {
                let (Some(entry_key), Some(id)) = (upload.key, upload.upload_id) else { continue };
                // Lists go by key, and exactly KEY is the first key that begins with KEY.
                beyond |= entry_key != key;
                if entry_key == key && is_id(&id) && seen.insert(id.clone()) {
                    found.push(OpenUpload { id, started: upload.initiated.as_ref().and_then(moment) });
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if found.len() > MOST_ENTRIES || !is_marker(next.0.as_deref()) || !is_marker(next.1.as_deref()) {
                break;
            }
            if beyond || !page.is_truncated.unwrap_or(false) || next == markers || next.0.is_none() {
                // Stable, so that uploads of the same second stay in the list's order, which goes by start.
                found.sort_by_key(|upload| upload.started);
                return Ok(found);
            }
            markers = next;
        }
        Err(self.endless(doing, key))
    }

    fn endless(&self, doing: &str, key: &str) -> StoreError {
        StoreError::local(doing, self.object(key), Kind::Refused, "the list goes on beyond all measure")
    }

    /// All parts that the store holds of an upload, by rising number.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::NoUpload`] when the upload is over.
    pub async fn parts(&self, key: &str, upload_id: &str) -> Result<Vec<StoredPart>, StoreError> {
        let doing = "listing the parts";
        let mut found: Vec<StoredPart> = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let request = self
                .client()
                .list_parts()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload_id)
                .set_part_number_marker(marker.clone());
            let page = send!(self, list, doing, self.object(key), self.patience.answer, request.send())?;
            for part in page.parts.unwrap_or_default() {
                let number = part.part_number.and_then(|number| u32::try_from(number).ok()).and_then(PartNumber::new);
                let size = part.size.and_then(|size| u64::try_from(size).ok());
                if size.is_some_and(|size| size > MAX_PART_SIZE) {
                    let cause = "the store lists a part of a size that none can have";
                    return Err(StoreError::local(doing, self.object(key), Kind::Refused, cause));
                }
                if let (Some(number), Some(size)) = (number, size)
                    && found.last().is_none_or(|last| last.number < number)
                {
                    let etag = part.e_tag.unwrap_or_default().trim_matches('"').to_owned();
                    found.push(StoredPart { number, size, etag });
                }
            }
            let next = page.next_part_number_marker;
            if !is_marker(next.as_deref()) {
                break;
            }
            if !page.is_truncated.unwrap_or(false) || next == marker || next.is_none() {
                return Ok(found);
            }
            marker = next;
        }
        Err(self.endless(doing, key))
    }

    /// The keys of all objects that begin with `prefix`.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`] when the key may not list.
    pub async fn objects(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let doing = "listing the objects";
        let mut found: Vec<String> = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let request = self
                .client()
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_continuation_token(token.clone());
            let page = send!(self, list, doing, self.object(prefix), self.patience.answer, request.send())?;
            found.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            let next = page.next_continuation_token;
            if found.len() > MOST_ENTRIES || !is_marker(next.as_deref()) {
                break;
            }
            if !page.is_truncated.unwrap_or(false) || next == token || next.is_none() {
                return Ok(found);
            }
            token = next;
        }
        Err(self.endless(doing, prefix))
    }

    /// Asks whether the bucket answers to these credentials. Also tells how far the store's clock is ahead of this
    /// machine's, in seconds, where the answer is dated, even if it is a refusal.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success. A HEAD carries no error code, so 403 and 404 are all that is known.
    pub async fn head_bucket(&self) -> (Result<(), StoreError>, Option<i64>) {
        let dates = SeenHeader::new("date");
        let request = self.client().head_bucket().bucket(&self.bucket).customize().interceptor(dates.clone());
        let object = format!("s3://{}", self.bucket);
        let answer = send!(self, read, "looking for the bucket", object, self.patience.answer, request.send());
        let result = answer.map(drop).map_err(|mut error| {
            if error.status == Some(404) {
                error.kind = Kind::NoBucket;
            }
            error
        });
        let date = dates.value().and_then(|date| DateTime::from_str(&date, Format::HttpDate).ok());
        (result, date.map(|date| date.secs() - DateTime::from(SystemTime::now()).secs()))
    }
}
