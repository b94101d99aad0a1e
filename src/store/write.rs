//! Requests that write: start an upload, store a part, complete, abort.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use md5::{Digest, Md5};

use super::words::is_id;
use super::{Kind, Store, StoreError, send};
use crate::protocol::live_objects::{OBJECTS_METADATA, RecordingId};
use crate::protocol::live_read::{ENABLED_HEADER, PART_SIZE_HEADER, RECORDING_METADATA};
use crate::protocol::part::{PartNumber, PartSize};

/// What the store calls a stored part's bytes; given back to it on completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(pub String);

/// What an upload begins with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beginning<'a> {
    /// Marks it for Live Read, in parts of this size, which a store without Live Read passes over. Without the mark nothing of
    /// it can be read before it is complete.
    pub live_read: Option<PartSize>,
    /// Its content type.
    pub content_type: Option<&'a str>,
    /// The input that it is a piece of; kept with the object.
    pub recording: Option<&'a str>,
    /// The recording of live objects beside it; kept with the object, so that whoever has read those knows it for the same.
    pub objects: Option<&'a RecordingId>,
}

impl Store {
    /// Starts an upload of `key` and returns its id, which is also the version id of the object to be.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn create_upload(&self, key: &str, beginning: Beginning<'_>) -> Result<String, StoreError> {
        let doing = "starting the upload";
        let Beginning { live_read, content_type, recording, objects } = beginning;
        let recording = recording.map(|name| (RECORDING_METADATA.to_owned(), name.to_owned()));
        let objects = objects.map(|id| (OBJECTS_METADATA.to_owned(), id.to_string()));
        let metadata = recording.into_iter().chain(objects).collect();
        let request = self.client().create_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.set_content_type(content_type.map(str::to_owned)).set_metadata(Some(metadata));
        let request = request.customize().mutate_request(move |request| {
            if let Some(part_size) = live_read {
                request.headers_mut().insert(ENABLED_HEADER, "true");
                request.headers_mut().insert(PART_SIZE_HEADER, part_size.to_string());
            }
        });
        let answer = send!(self, other, doing, self.object(key), self.patience.answer, request.send())?;
        self.id_of_upload(doing, key, answer.upload_id)
    }

    fn id_of_upload(&self, doing: &str, key: &str, id: Option<String>) -> Result<String, StoreError> {
        match id.filter(|id| !id.is_empty()) {
            Some(id) if is_id(&id) => Ok(id),
            Some(_) => {
                let cause = "the store gives an upload id that cannot be one";
                Err(StoreError::local(doing, self.object(key), Kind::Refused, cause))
            }
            None => Err(StoreError::local(doing, self.object(key), Kind::Passing, "the answer names no upload id")),
        }
    }

    /// Stores `body` as part `number` and waits at most `patience` for the answer.
    ///
    /// The store verifies the bytes by exactly one hash: the SHA-256 that the signature covers, or `Content-MD5`
    /// beside an unsigned payload over TLS where this processor hashes SHA-256 slowly.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put_part(
        &self,
        key: &str,
        upload_id: &str,
        number: PartNumber,
        body: Bytes,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        let doing = format!("uploading part {number}");
        self.shared.tally.sends(body.len());
        let request =
            self.client().upload_part().bucket(&self.bucket).key(key).upload_id(upload_id).part_number(number.as_i32());
        let sent = if self.shared.content_md5 {
            let digest = Md5::digest(&body);
            let md5 = aws_smithy_types::base64::encode(digest);
            let request = request.content_md5(md5).body(ByteStream::from(body));
            let request = request.customize().disable_payload_signing();
            send!(self, upload, &doing, self.object(key), patience, request.send())
        } else {
            let request = request.body(ByteStream::from(body));
            send!(self, upload, &doing, self.object(key), patience, request.send())
        };
        let etag = sent?.e_tag.filter(|etag| !etag.is_empty());
        etag.map(ETag)
            .ok_or_else(|| StoreError::local(&doing, self.object(key), Kind::Passing, "the answer carries no ETag"))
    }

    /// Completes the upload out of `parts`, in rising order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success; [`Kind::NoUpload`] may mean that an earlier attempt succeeded and its
    /// answer was lost.
    pub async fn complete_upload(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[(PartNumber, ETag)],
    ) -> Result<(), StoreError> {
        let completed = parts
            .iter()
            .map(|(number, etag)| CompletedPart::builder().part_number(number.as_i32()).e_tag(&etag.0).build());
        let list = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let request = self
            .client()
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id)
            .multipart_upload(list);
        send!(self, other, "completing the upload", self.object(key), self.patience.complete(), request.send())?;
        Ok(())
    }

    /// Writes a small object in one request, over what is there, and waits at most `patience` for the answer.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put_object(
        &self,
        key: &str,
        body: Bytes,
        content_type: &str,
        cache_control: &str,
        patience: Duration,
    ) -> Result<(), StoreError> {
        self.shared.tally.sends(body.len());
        let request = self
            .client()
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .cache_control(cache_control)
            .body(ByteStream::from(body));
        send!(self, upload, "writing the object", self.object(key), patience, request.send())?;
        Ok(())
    }

    /// Aborts the upload; its parts are gone. An upload that no longer exists counts as aborted.
    ///
    /// # Errors
    /// [`StoreError`] for anything else but success.
    pub async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<(), StoreError> {
        let request = self.client().abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload_id);
        match send!(self, abort, "aborting the upload", self.object(key), self.patience.answer, request.send()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::NoUpload => Ok(()),
            Err(error) => Err(error),
        }
    }
}
