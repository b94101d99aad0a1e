//! Requests about small objects beside an upload: written, made into a part of it, found and deleted.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use md5::{Digest, Md5};

use super::cors::ByMd5;
use super::read::version_id;
use super::{ETag, Kind, Store, StoreError, send};
use crate::protocol::escape;
use crate::protocol::part::PartNumber;

/// The most objects that one request can delete.
pub const MOST_DELETED: usize = 1_000;

/// What is stored with an object, and comes with each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// `Content-Type`.
    pub content_type: String,
    /// `Cache-Control`.
    pub cache_control: &'static str,
    /// `x-amz-meta-…`, without that beginning.
    pub metadata: Option<(&'static str, String)>,
}

/// An object, or one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its key.
    pub key: String,
    /// The version, where the store keeps several; a mark of deletion is one, too.
    pub version: Option<String>,
}

/// An object that was not deleted, and why.
#[derive(Debug, Clone)]
pub struct Undeleted {
    /// Which.
    pub what: Version,
    /// What the store said about it.
    pub error: StoreError,
}

impl Store {
    /// Writes an object with its labels in one request and waits at most `patience` for the answer. The version that it
    /// became, where the store keeps several.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put_labelled(
        &self,
        key: &str,
        body: Bytes,
        labels: &Labels,
        patience: Duration,
    ) -> Result<Option<String>, StoreError> {
        let doing = "writing the object";
        self.shared.tally.sends(body.len());
        let metadata = labels.metadata.clone().map(|(name, value)| [(name.to_owned(), value)].into());
        let request = self.client().put_object().bucket(&self.bucket).key(key);
        let request = request.content_type(&labels.content_type).cache_control(labels.cache_control);
        let request = request.set_metadata(metadata);
        // As for parts: one hash, and not the slow one over TLS.
        let answer = if self.shared.content_md5 {
            let md5 = aws_smithy_types::base64::encode(Md5::digest(&body));
            let request = request.content_md5(md5).body(ByteStream::from(body));
            let request = request.customize().disable_payload_signing();
            send!(self, upload, doing, self.object(key), patience, request.send())?
        } else {
            let request = request.body(ByteStream::from(body));
            send!(self, upload, doing, self.object(key), patience, request.send())?
        };
        Ok(answer.version_id.as_deref().and_then(version_id))
    }

    /// Has the store make part `number` out of all of the object `source`, without its bytes being sent again.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success. Many stores cannot do this.
    pub async fn copy_part(
        &self,
        key: &str,
        upload_id: &str,
        number: PartNumber,
        source: &str,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        let doing = format!("making part {number} out of {}", self.object(source));
        let request = self
            .client()
            .upload_part_copy()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id)
            .part_number(number.as_i32())
            .copy_source(escape::path(&format!("{}/{source}", self.bucket)));
        let answer = send!(self, upload, &doing, self.object(key), patience, request.send())?;
        let etag = answer.copy_part_result.and_then(|result| result.e_tag).filter(|etag| !etag.is_empty());
        etag.map(ETag)
            .ok_or_else(|| StoreError::local(&doing, self.object(key), Kind::Passing, "the answer carries no ETag"))
    }

    /// Deletes one object, or one version of it. What is not there counts as deleted.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn delete(&self, what: &Version) -> Result<(), StoreError> {
        let request = self.client().delete_object().bucket(&self.bucket).key(&what.key);
        let request = request.set_version_id(what.version.clone());
        let doing = "deleting the object";
        match send!(self, deletion, doing, self.object(&what.key), self.patience.answer, request.send()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::NoKey => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes up to [`MOST_DELETED`] objects in one request, and tells which of them were not deleted. A success of the
    /// request says nothing of any of them: each has an answer of its own, and one without is not known to be deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the request itself failed: some stores cannot do this, and [`Self::delete`] is left.
    pub async fn delete_many(&self, what: &[Version]) -> Result<Vec<Undeleted>, StoreError> {
        let doing = "deleting objects";
        let place = || format!("s3://{}", self.bucket);
        let refused = |cause: String| StoreError::local(doing, place(), Kind::Refused, cause);
        let listed = what.iter().map(|one| {
            let listed = ObjectIdentifier::builder().key(&one.key).set_version_id(one.version.clone()).build();
            listed.map_err(|error| refused(error.to_string()))
        });
        let listed = listed.collect::<Result<Vec<_>, _>>()?;
        let list = Delete::builder().set_objects(Some(listed)).quiet(false).build();
        let list = list.map_err(|error| refused(error.to_string()))?;
        let request = self.client().delete_objects().bucket(&self.bucket).delete(list);
        let request = request.customize().interceptor(ByMd5);
        let answer = send!(self, deletion, doing, place(), self.patience.answer, request.send())?;
        let (deleted, errors) = (answer.deleted.unwrap_or_default(), answer.errors.unwrap_or_default());
        let mut done: Vec<_> = deleted.iter().map(|one| (one.key(), one.version_id())).collect();
        // What is gone already is as good as deleted, also where a store calls that an error.
        let gone = |code: Option<&str>| matches!(code, Some("NoSuchKey" | "NoSuchVersion"));
        done.extend(errors.iter().filter(|one| gone(one.code())).map(|one| (one.key(), one.version_id())));
        done.sort_unstable();
        let is_done = |one: &&Version| {
            let key = Some(one.key.as_str());
            // Some stores leave the version out of their answer.
            let answered = |version: Option<&str>| done.binary_search(&(key, version)).is_ok();
            answered(one.version.as_deref()) || answered(None)
        };
        let told = |one: &Version| {
            let version = one.version.as_deref();
            let error = errors.iter().find(|error| {
                error.key() == Some(&one.key) && (error.version_id() == version || error.version_id().is_none())
            });
            let words = error.map(|error| (error.code().unwrap_or_default(), error.message().unwrap_or_default()));
            let (code, message) = words.unwrap_or(("", "the store does not say what became of it"));
            let kind = match code {
                "AccessDenied" | "InvalidAccessKeyId" => Kind::Denied,
                "NotImplemented" | "InvalidRequest" | "MethodNotAllowed" | "ObjectLocked" => Kind::Refused,
                _ => Kind::Passing,
            };
            let mut error = StoreError::local("deleting the object", self.object(&one.key), kind, message);
            error.code = Some(code.to_owned()).filter(|code| !code.is_empty());
            Undeleted { what: one.clone(), error }
        };
        Ok(what.iter().filter(|one| !is_done(one)).map(told).collect())
    }

    /// A page of the objects whose keys begin with `prefix`, and where the next page begins, if there is one. `within`
    /// leaves out what lies below a folder below that, and gives the folders instead.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`] when the key may not list.
    pub async fn page_of_objects(
        &self,
        prefix: &str,
        within: bool,
        next: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let doing = "listing the objects";
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let request = request.set_delimiter(within.then(|| "/".to_owned())).set_continuation_token(next.clone());
        let page = send!(self, list, doing, self.object(prefix), self.patience.answer, request.send())?;
        let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
        let folders = page.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix);
        let found = keys.chain(folders).collect();
        // A store that names the page again that it has just given is in a loop.
        let more = page.next_continuation_token.filter(|token| Some(token) != next.as_ref() && token.len() <= 8 << 10);
        Ok((found, more.filter(|_| page.is_truncated.unwrap_or(false))))
    }

    /// The first versions and marks of deletion of what begins with `prefix`, up to a thousand, and whether there are more.
    ///
    /// # Errors
    /// [`StoreError`]; [`Kind::Denied`] when the key may not list them, [`Kind::Refused`] where a store has none.
    pub async fn some_versions(&self, prefix: &str) -> Result<(Vec<Version>, bool), StoreError> {
        let doing = "listing the versions";
        let request = self.client().list_object_versions().bucket(&self.bucket).prefix(prefix);
        let page = send!(self, list, doing, self.object(prefix), self.patience.answer, request.send())?;
        let versions = page.versions.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        let markers = page.delete_markers.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        // "null" is the version of what was there before a bucket kept several, and can be deleted by that name.
        let found = versions.chain(markers).filter_map(|(key, version)| Some(Version { key: key?, version }));
        Ok((found.collect(), page.is_truncated.unwrap_or(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::live_objects::{Met, RecordingId};
    use crate::store::Beginning;
    use crate::store::scripted::{self, Op, Reply};

    const PATIENCE: Duration = Duration::from_secs(9);

    fn labels(length: usize) -> Labels {
        let metadata = Some(("live-read-length", length.to_string()));
        Labels { content_type: "video/mp4".to_owned(), cache_control: "no-store", metadata }
    }

    fn version(key: &str, version: Option<&str>) -> Version {
        Version { key: key.to_owned(), version: version.map(str::to_owned) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stored_with_an_object_comes_back_with_it() {
        let (store, _shelf) = scripted::store();
        let stored = store.put_labelled("_live/k/0", Bytes::from_static(b"hello"), &labels(5), PATIENCE).await;
        assert_eq!(stored.expect("it is stored"), None);
        let small = store.get_small("_live/k/0", 100).await.expect("answered").expect("it is there");
        assert_eq!((&small.bytes[..], small.marks.length.as_deref()), (&b"hello"[..], Some("5")));
        assert_eq!(small.marks.met(0, 5), Met::Bytes(5));
        assert!(small.modified.is_some() && small.modified == small.date, "{small:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_is_made_out_of_an_object_whatever_its_key_has_in_it() {
        let (store, shelf) = scripted::store();
        let recording = RecordingId::new(1_795_271_629, 7);
        let id = store
            .create_upload("a b.mp4", Beginning { objects: Some(&recording), ..Beginning::default() })
            .await
            .expect("it begins");
        let source = "_live/a b+ü%2F.mp4/0";
        store.put_labelled(source, Bytes::from_static(b"hello"), &labels(5), PATIENCE).await.expect("it is stored");
        let number = PartNumber::FIRST;
        let etag = store.copy_part("a b.mp4", &id, number, source, PATIENCE).await.expect("it is made");
        store.complete_upload("a b.mp4", &id, &[(number, etag)]).await.expect("it completes");
        assert_eq!(shelf.object("a b.mp4").as_deref(), Some(&b"hello"[..]));
        let head = store.head("a b.mp4", None).await.expect("answered").expect("it is there");
        assert_eq!((head.objects, head.recording), (Some(recording), None));
        let none = store.copy_part("a b.mp4", &id, number, "_live/none", PATIENCE).await;
        assert!(none.is_err());
        // Refused inside of a success.
        let body = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>no</Message></Error>";
        shelf.script(move |asked, _| match asked.op {
            Op::CopyPart => Reply::Raw(200, Vec::new(), body.into()),
            _ => Reply::Honest,
        });
        let error = store.copy_part("k", &id, number, source, PATIENCE).await.expect_err("an error in a success");
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Passing, Some("InternalError")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_for_each_object_is_looked_at() {
        let (store, shelf) = scripted::store();
        for key in ["a", "b", "c", "d"] {
            store.put_labelled(key, Bytes::from_static(b"x"), &labels(1), PATIENCE).await.expect("it is stored");
        }
        let all: Vec<_> = ["a", "b", "c", "d", "gone"].map(|key| version(key, None)).into();
        assert_eq!(store.delete_many(&all[..1]).await.expect("answered").len(), 0);
        assert_eq!(shelf.object("a"), None);
        let body = "<?xml version=\"1.0\"?><DeleteResult><Deleted><Key>b</Key></Deleted>\
                    <Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
                    <Error><Key>gone</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
        shelf.script(move |asked, _| match asked.op {
            Op::DeleteMany => Reply::Raw(200, Vec::new(), body.into()),
            _ => Reply::Honest,
        });
        let left = store.delete_many(&all[1..]).await.expect("answered");
        let left: Vec<_> = left.iter().map(|one| (one.what.key.as_str(), one.error.kind)).collect();
        assert_eq!(left, [("c", Kind::Denied), ("d", Kind::Passing)]);
        shelf.script(|_, _| Reply::Honest);
        store.delete(&all[2]).await.expect("deleted");
        store.delete(&all[2]).await.expect("what is gone counts as deleted");
        assert_eq!(shelf.object("c"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn deleting_sends_the_header_that_every_store_takes() {
        let (store, shelf) = scripted::store();
        store.delete_many(&[version("a", None)]).await.expect("answered");
        let asked = shelf.asked();
        assert!(asked[0].headers.iter().any(|(name, _)| name == "content-md5"), "{:?}", asked[0].headers);
        assert!(!asked[0].headers.iter().any(|(name, _)| name.starts_with("x-amz-checksum")), "{:?}", asked[0].headers);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_with_versions_is_emptied_version_by_version() {
        let (store, shelf) = scripted::store();
        shelf.keep_versions();
        for body in ["1", "2"] {
            let stored = store.put_labelled("p/k", Bytes::from(body), &labels(1), PATIENCE).await.expect("stored");
            assert!(stored.is_some());
        }
        store.delete(&version("p/k", None)).await.expect("hidden");
        assert_eq!(store.get_small("p/k", 9).await.expect("answered"), None);
        let (all, more) = store.some_versions("p/").await.expect("listed");
        assert_eq!((all.len(), more), (3, false), "{all:?}");
        assert_eq!(store.delete_many(&all).await.expect("answered").len(), 0);
        assert!(store.some_versions("p/").await.expect("listed").0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn lists_come_in_pages_and_by_folders() {
        let (store, shelf) = scripted::store();
        for number in 0..2_500 {
            shelf.lay(&format!("p/{number:04}"), "x");
        }
        shelf.lay("p/q/1", "x");
        let (mut all, mut next, mut pages) = (Vec::new(), None, 0);
        loop {
            let (found, more) = store.page_of_objects("p/", false, next).await.expect("listed");
            all.extend(found);
            pages += 1;
            next = more;
            if next.is_none() {
                break;
            }
        }
        assert_eq!((all.len(), pages), (2_501, 3));
        shelf.lay("r/s/1", "x");
        shelf.lay("r/s/2", "x");
        shelf.lay("r/t", "x");
        let (found, more) = store.page_of_objects("r/", true, None).await.expect("listed");
        assert_eq!((found, more), (vec!["r/t".to_owned(), "r/s/".to_owned()], None));
    }
}
