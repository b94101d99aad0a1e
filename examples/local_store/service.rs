//! The S3 operations: from the types of `s3s` to the catalog and back. Lists are in `list.rs`.

use std::sync::Arc;

use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access::MayList;
use crate::catalog::{self, Catalog};
use crate::convert::{content_headers, extra_headers, object_output, part_number, query, quoted};
use crate::errors;
use crate::live;
use crate::look;
use crate::model::{Manifest, State};
use crate::quirks::{Quirk, Quirks};
use crate::read;
use crate::receive::receive;
use crate::text::timestamp;
use crate::uploads::{self, Place, WriteConditions};

/// The store as an S3 service.
#[derive(Debug, Clone)]
pub struct Service {
    /// What it holds.
    pub catalog: Arc<Catalog>,
    /// How it differs.
    pub quirks: Arc<Quirks>,
    /// Region that it says it is in.
    pub region: String,
    /// Whether open uploads can be read.
    pub live_read: bool,
    /// Whether a tail part may be replaced by a longer one.
    pub tail_replace: bool,
}

/// Lets the HTTP front give an answer another status than the type of the answer would.
#[derive(Debug, Clone, Copy)]
pub struct Status(pub http::StatusCode);

impl Service {
    /// The conditions of a request that writes.
    fn conditions(&self, if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> WriteConditions {
        if self.quirks.has(Quirk::NoConditions) {
            return WriteConditions::default();
        }
        WriteConditions { if_match, if_none_match }
    }

    /// Finds what a GET or HEAD asks for.
    fn look(&self, extensions: &http::Extensions, query: &look::Query) -> S3Result<look::View> {
        let found = look::look(&self.catalog.seen(extensions), query, self.live_read, |id| self.quirks.look(id));
        let missing = |error: &S3Error| matches!(error.code(), S3ErrorCode::NoSuchKey | S3ErrorCode::NoSuchVersion);
        let may_list = extensions.get::<MayList>().is_some_and(|may| may.0);
        found.map_err(|error| match self.quirks.has(Quirk::DeniedMissing) && !may_list && missing(&error) {
            true => S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied"),
            false => error,
        })
    }

    /// This version of a key has been stored by one request.
    fn was_put(&self, bucket: &str, key: &str, version: &str) -> S3Result<()> {
        self.quirks.stored(Quirk::TornPut, version);
        if self.quirks.has(Quirk::PutKillsUpload) {
            self.catalog.end_uploads(bucket, key)?;
        }
        self.takes_the_place(bucket, key, version)
    }

    fn takes_the_place(&self, bucket: &str, key: &str, version: &str) -> S3Result<()> {
        if self.quirks.has(Quirk::Unversioned) {
            self.catalog.replace(bucket, key, version)?;
        }
        Ok(())
    }

    fn delete(&self, bucket: &str, key: &str, id: Option<&str>) -> S3Result<(Option<bool>, Option<String>)> {
        if self.quirks.has(Quirk::Unversioned) {
            return self.catalog.delete_key(bucket, key).map(|()| (None, None));
        }
        match id {
            Some(id) => Ok((self.catalog.delete_version(bucket, key, id)?, Some(id.to_owned()))),
            None => {
                let there = {
                    let buckets = self.catalog.read();
                    let current = catalog::find(&buckets, bucket)?.keys.get(key).and_then(catalog::current);
                    current.is_some_and(|(_, version)| matches!(version.state, State::Object(_)))
                };
                // There is nothing to hide; S3 makes a mark nevertheless, B2 does not.
                if !there {
                    return Ok((None, None));
                }
                Ok((Some(true), Some(self.catalog.hide(bucket, key)?)))
            }
        }
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.catalog.read();
        let buckets = buckets.iter().map(|(name, bucket)| Bucket {
            name: Some(name.clone()),
            creation_date: Some(timestamp(bucket.record.created_ms)),
            ..Default::default()
        });
        let owner = Some(crate::list::owner());
        let output = ListBucketsOutput { buckets: Some(buckets.collect()), owner, ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let public = req.input.acl.as_ref().is_some_and(|acl| acl.as_str() == BucketCannedACL::PUBLIC_READ);
        self.catalog.create_bucket(&req.input.bucket, public)?;
        let location = Some(format!("/{}", req.input.bucket));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.catalog.delete_bucket(&req.input.bucket)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        catalog::find(&self.catalog.read(), &req.input.bucket)?;
        let bucket_region = Some(self.region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        catalog::find(&self.catalog.read(), &req.input.bucket)?;
        // The oldest region has no name here, for historical reasons.
        let region = Some(self.region.clone()).filter(|region| region != "us-east-1");
        let location_constraint = region.map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        catalog::find(&self.catalog.read(), &req.input.bucket)?;
        let enabled = BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
        let status = Some(enabled).filter(|_| !self.quirks.has(Quirk::Unversioned));
        Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        let conditions = self.conditions(input.if_match, input.if_none_match);
        conditions.check(&self.catalog.read(), &input.bucket, &input.key)?;
        let (id, dir) = self.catalog.new_version(&input.bucket)?;
        let received = receive(input.body, &dir, input.content_md5.as_deref()).await?;
        let part = received
            .file
            .keep(1, received.size, received.md5)
            .map_err(|error| errors::disk("storing an object", &error))?;
        let manifest = Manifest::new(vec![part], false, None);
        let e_tag = Some(quoted(&manifest.etag));
        let place = Place { bucket: &input.bucket, key: &input.key };
        let id = uploads::put(&self.catalog, place, (id, dir), content_headers!(input), manifest, &conditions)?;
        self.was_put(&input.bucket, &input.key, &id)?;
        Ok(S3Response::new(PutObjectOutput { e_tag, version_id: Some(id), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let extensions = req.extensions;
        let mut view = self.look(&extensions, &query!(req))?;
        let mut output = object_output!(GetObjectOutput, view);
        output.body = Some(StreamingBlob::wrap(read::stream(std::mem::take(&mut view.segments))));
        Ok(S3Response::with_headers(output, extra_headers(&view)))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let extensions = req.extensions;
        let view = self.look(&extensions, &query!(req))?;
        let mut response = S3Response::with_headers(object_output!(HeadObjectOutput, view), extra_headers(&view));
        if view.content_range.is_some() {
            response.extensions.insert(Status(http::StatusCode::PARTIAL_CONTENT));
        }
        Ok(response)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let output = crate::copy::object(&self.catalog, req.input).await?;
        self.was_put(&bucket, &key, output.version_id.as_deref().unwrap_or_default())?;
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let (mark, version_id) = self.delete(&input.bucket, &input.key, input.version_id.as_deref())?;
        let delete_marker = mark.filter(|mark| *mark);
        Ok(S3Response::new(DeleteObjectOutput { delete_marker, version_id, ..Default::default() }))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = req.input;
        catalog::find(&self.catalog.read(), &input.bucket)?;
        let (mut deleted, mut failed) = (Vec::new(), Vec::new());
        let refuses = self.quirks.has(Quirk::DeleteErrorsIn200);
        for (at, object) in input.delete.objects.into_iter().enumerate() {
            if refuses && at % 2 == 0 {
                failed.push(Error {
                    code: Some("InternalError".to_owned()),
                    key: Some(object.key),
                    message: Some("We encountered an internal error. Please try again.".to_owned()),
                    version_id: object.version_id,
                });
                continue;
            }
            match self.delete(&input.bucket, &object.key, object.version_id.as_deref()) {
                Ok((mark, id)) => deleted.push(DeletedObject {
                    delete_marker: mark.filter(|mark| *mark),
                    delete_marker_version_id: id.filter(|_| mark == Some(true)),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
                Err(error) => failed.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: object.version_id,
                }),
            }
        }
        let deleted = Some(deleted).filter(|_| input.delete.quiet != Some(true));
        let errors = Some(failed).filter(|failed| !failed.is_empty());
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors, ..Default::default() }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let live = if self.live_read && live::wanted(&req.headers) {
            Some(live::declared_part_size(&req.headers)?)
        } else {
            None
        };
        let input = req.input;
        let place = Place { bucket: &input.bucket, key: &input.key };
        let id = uploads::start(&self.catalog, place, content_headers!(input), live)?;
        let mut headers = HeaderMap::new();
        if let Ok(value) = id.parse() {
            headers.insert("x-amz-version-id", value);
        }
        let output = CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let number = part_number(input.part_number)?;
        let place = Place { bucket: &input.bucket, key: &input.key };
        let size = input.content_length.and_then(|length| u64::try_from(length).ok());
        let dir = uploads::admit_part(&self.catalog, place, &input.upload_id, number, size, self.tail_replace)?;
        let received = receive(input.body, &dir, input.content_md5.as_deref()).await?;
        let part = uploads::add_part(&self.catalog, place, &input.upload_id, number, received, self.tail_replace)?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(quoted(&part.etag())), ..Default::default() }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        crate::copy::part(&self.catalog, req.input, self.tail_replace).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let conditions = self.conditions(input.if_match, input.if_none_match);
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let list = listed
            .into_iter()
            .map(|part| Ok((part_number(part.part_number.unwrap_or(0))?, part.e_tag.map(ETag::into_value))))
            .collect::<S3Result<Vec<_>>>()?;
        let place = Place { bucket: &input.bucket, key: &input.key };
        let smallest = if self.quirks.has(Quirk::PartsOf5Mib) { 5 << 20 } else { uploads::MIN_PART };
        // Before anybody can look.
        self.quirks.stored(Quirk::TornComplete, &input.upload_id);
        let manifest = uploads::complete(&self.catalog, place, &input.upload_id, &list, &conditions, smallest)?;
        self.takes_the_place(&input.bucket, &input.key, &input.upload_id)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            e_tag: Some(quoted(&manifest.etag)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            version_id: Some(input.upload_id),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let place = Place { bucket: &req.input.bucket, key: &req.input.key };
        uploads::abort(&self.catalog, place, &req.input.upload_id)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn get_bucket_cors(&self, req: S3Request<GetBucketCorsInput>) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let rules = catalog::find(&self.catalog.read(), &req.input.bucket)?.record.cors.clone();
        if rules.is_empty() {
            let message = "The CORS configuration does not exist";
            return Err(S3Error::with_message(S3ErrorCode::NoSuchCORSConfiguration, message));
        }
        let cors_rules = Some(rules.into_iter().map(crate::cors::rule).collect());
        Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
    }

    async fn put_bucket_cors(&self, req: S3Request<PutBucketCorsInput>) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let rules = req.input.cors_configuration.cors_rules.into_iter().map(crate::cors::record).collect();
        self.catalog.set_cors(&req.input.bucket, rules)?;
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    async fn delete_bucket_cors(
        &self,
        req: S3Request<DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
        self.catalog.set_cors(&req.input.bucket, Vec::new())?;
        Ok(S3Response::new(DeleteBucketCorsOutput::default()))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        crate::list::objects(&self.catalog.seen(&req.extensions), req.input).map(S3Response::new)
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        crate::list::objects_v2(&self.catalog.seen(&req.extensions), req.input).map(S3Response::new)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let mut output = crate::list::versions(&self.catalog.seen(&req.extensions), req.input)?;
        if self.quirks.has(Quirk::Unversioned) {
            for version in output.versions.iter_mut().flatten() {
                version.version_id = Some("null".to_owned());
            }
        }
        Ok(S3Response::new(output))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        crate::list::uploads(&self.catalog.seen(&req.extensions), req.input).map(S3Response::new)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        crate::list::parts(&self.catalog.seen(&req.extensions), req.input).map(S3Response::new)
    }
}
