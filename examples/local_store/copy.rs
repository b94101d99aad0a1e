//! Copies: of objects, and of stretches of objects into parts.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Result};
use tokio::task::spawn_blocking;

use crate::catalog::{self, Catalog};
use crate::convert::{content_headers, part_number, quoted};
use crate::errors;
use crate::look::{Query, copy_conditions};
use crate::model::{ContentHeaders, Manifest, State};
use crate::read;
use crate::receive::receive;
use crate::text::timestamp;
use crate::uploads::{self, Place, WriteConditions};

/// A version of `source` to copy from.
fn find_source(catalog: &Catalog, source: &CopySource) -> S3Result<(String, Arc<ContentHeaders>, Arc<Manifest>, u64)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(S3ErrorCode::NotImplemented.into());
    };
    let buckets = catalog.read();
    let versions = catalog::find(&buckets, bucket)?.keys.get(&**key).ok_or_else(errors::no_such_key)?;
    let (id, version) = match version_id {
        Some(id) => versions.get_key_value(&**id).ok_or_else(errors::no_such_version)?,
        None => catalog::current(versions).ok_or_else(errors::no_such_key)?,
    };
    match &version.state {
        State::Object(manifest) => {
            Ok((id.clone(), Arc::clone(&version.headers), Arc::clone(manifest), version.created_ms))
        }
        State::Open(_) | State::Hidden => Err(errors::no_such_key()),
    }
}

macro_rules! conditions {
    ($input:expr) => {
        Query {
            if_match: $input.copy_source_if_match.clone(),
            if_none_match: $input.copy_source_if_none_match.clone(),
            if_modified_since: $input.copy_source_if_modified_since.clone(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.clone(),
            ..Query::default()
        }
    };
}

/// CopyObject: the bytes stay where they are, only the names are new.
pub async fn object(catalog: &Catalog, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
    let (source_id, headers, source, modified) = find_source(catalog, &input.copy_source)?;
    copy_conditions(&conditions!(input), &source.etag, modified)?;
    let replace =
        input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let headers = if replace { content_headers!(input) } else { ContentHeaders::clone(&headers) };
    let (id, dir) = catalog.new_version(&input.bucket)?;
    let linked = Arc::clone(&dir);
    let manifest = spawn_blocking(move || -> std::io::Result<Manifest> {
        let parts = source.parts.iter().map(|(_, part)| linked.link(part)).collect::<std::io::Result<_>>()?;
        Ok(Manifest::new(parts, source.multipart, None))
    });
    let manifest = match manifest.await {
        Ok(manifest) => manifest.map_err(|error| errors::disk("copying an object", &error))?,
        Err(error) => {
            return Err(errors::disk("copying an object", &std::io::Error::other(error)));
        }
    };
    let copy_object_result = Some(CopyObjectResult {
        e_tag: Some(quoted(&manifest.etag)),
        last_modified: Some(timestamp(crate::disk::now_ms())),
        ..Default::default()
    });
    let place = Place { bucket: &input.bucket, key: &input.key };
    let conditions = WriteConditions::default();
    let id = uploads::put(catalog, place, (id, dir), headers, manifest, &conditions)?;
    Ok(CopyObjectOutput {
        copy_object_result,
        copy_source_version_id: Some(source_id),
        version_id: Some(id),
        ..Default::default()
    })
}

/// UploadPartCopy.
pub async fn part(catalog: &Catalog, input: UploadPartCopyInput, tail_replace: bool) -> S3Result<UploadPartCopyOutput> {
    let number = part_number(input.part_number)?;
    let (source_id, _, source, modified) = find_source(catalog, &input.copy_source)?;
    copy_conditions(&conditions!(input), &source.etag, modified)?;
    let (first, len) = match input.copy_source_range.as_deref().map(Range::parse) {
        None => (0, source.size),
        Some(Ok(Range::Int { first, last: Some(last) })) if last < source.size => (first, last - first + 1),
        Some(_) => {
            return Err(errors::invalid_argument("The copy source range is not valid for the source."));
        }
    };
    let place = Place { bucket: &input.bucket, key: &input.key };
    let id = &input.upload_id;
    let dir = uploads::admit_part(catalog, place, id, number, Some(len), tail_replace)?;
    let body = Box::pin(read::stream(source.range(first, len)));
    let received = receive(Some(body), &dir, None).await?;
    let part = uploads::add_part(catalog, place, id, number, received, tail_replace)?;
    let copy_part_result = Some(CopyPartResult {
        e_tag: Some(quoted(&part.etag())),
        last_modified: Some(timestamp(part.modified_ms)),
        ..Default::default()
    });
    let copy_source_version_id = Some(source_id);
    Ok(UploadPartCopyOutput { copy_part_result, copy_source_version_id, ..Default::default() })
}
