//! The lists: objects, versions, open uploads, parts; each by prefix, in pages.

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Result};

use crate::catalog::{self, Buckets};
use crate::errors::invalid_argument;
use crate::model::State;
use crate::text::{percent_encode, timestamp};
use crate::uploads::{self, Place};

/// A page of any list has at most this many entries.
const PAGE: i32 = 1000;

/// The only account that there is.
pub fn owner() -> Owner {
    Owner { id: Some("local".to_owned()), display_name: Some("local".to_owned()) }
}

fn page_size(wanted: Option<i32>, name: &str) -> S3Result<usize> {
    match usize::try_from(wanted.unwrap_or(PAGE).min(PAGE)) {
        Ok(size) => Ok(size),
        Err(_) => Err(invalid_argument(format!("{name} must not be negative."))),
    }
}

/// Whether the client wants keys percent-encoded.
fn encoder(encoding: Option<&EncodingType>) -> fn(&str) -> String {
    match encoding {
        Some(encoding) if encoding.as_str() == EncodingType::URL => percent_encode,
        _ => str::to_owned,
    }
}

/// What a key becomes in a list with a delimiter.
fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

fn prefixes(list: Vec<String>, encode: fn(&str) -> String) -> Option<CommonPrefixList> {
    let list: Vec<_> = list.iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect();
    Some(list).filter(|list| !list.is_empty())
}

struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// Last entry of this page, if there is another.
    next: Option<String>,
}

struct PageQuery<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// Entries after this one.
    after: &'a str,
    max: usize,
    encode: fn(&str) -> String,
}

fn page(buckets: &Buckets, query: &PageQuery<'_>) -> S3Result<Page> {
    let keys = &catalog::find(buckets, query.bucket)?.keys;
    let mut page = Page { objects: Vec::new(), prefixes: Vec::new(), next: None };
    if query.max == 0 {
        return Ok(page);
    }
    let mut last = None;
    let from = query.prefix.max(query.after).to_owned();
    for (key, versions) in keys.range(from..).take_while(|(key, _)| key.starts_with(query.prefix)) {
        let Some((_, version)) = catalog::current(versions) else {
            continue;
        };
        let State::Object(manifest) = &version.state else {
            continue;
        };
        let entry = common_prefix(key, query.prefix, query.delimiter);
        let name = entry.unwrap_or(key);
        if name <= query.after || page.prefixes.last().is_some_and(|last| entry == Some(last)) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.max {
            page.next = last;
            break;
        }
        last = Some(name.to_owned());
        match entry {
            Some(prefix) => page.prefixes.push(prefix.to_owned()),
            None => page.objects.push(Object {
                key: Some((query.encode)(key)),
                e_tag: Some(ETag::Strong(manifest.etag.clone())),
                size: i64::try_from(manifest.size).ok(),
                last_modified: Some(timestamp(version.created_ms)),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Default::default()
            }),
        }
    }
    Ok(page)
}

/// ListObjects.
pub fn objects(buckets: &Buckets, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let encode = encoder(input.encoding_type.as_ref());
    let page = page(
        buckets,
        &PageQuery {
            bucket: &input.bucket,
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: input.marker.as_deref().unwrap_or_default(),
            max: page_size(input.max_keys, "max-keys")?,
            encode,
        },
    )?;
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default())),
        marker: Some(encode(&input.marker.unwrap_or_default())),
        max_keys: Some(input.max_keys.unwrap_or(PAGE)),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.as_deref().map(encode),
        contents: Some(page.objects),
        common_prefixes: prefixes(page.prefixes, encode),
        delimiter: input.delimiter.as_deref().map(encode),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// ListObjectsV2.
pub fn objects_v2(buckets: &Buckets, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let encode = encoder(input.encoding_type.as_ref());
    let token = input.continuation_token.as_deref().map(decode_token).transpose()?;
    let mut page = page(
        buckets,
        &PageQuery {
            bucket: &input.bucket,
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: token.as_deref().or(input.start_after.as_deref()).unwrap_or_default(),
            max: page_size(input.max_keys, "max-keys")?,
            encode,
        },
    )?;
    if input.fetch_owner == Some(true) {
        page.objects.iter_mut().for_each(|object| object.owner = Some(owner()));
    }
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default())),
        max_keys: Some(input.max_keys.unwrap_or(PAGE)),
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(hex::encode),
        contents: Some(page.objects),
        common_prefixes: prefixes(page.prefixes, encode),
        delimiter: input.delimiter.as_deref().map(encode),
        encoding_type: input.encoding_type,
        start_after: input.start_after.as_deref().map(encode),
        ..Default::default()
    })
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))
}

/// ListObjectVersions, without roll-up by delimiter. The newest version of a key comes first.
pub fn versions(buckets: &Buckets, input: ListObjectVersionsInput) -> S3Result<ListObjectVersionsOutput> {
    let encode = encoder(input.encoding_type.as_ref());
    let max = page_size(input.max_keys, "max-keys")?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let mut output = ListObjectVersionsOutput::default();
    let (mut versions, mut marks, mut next) = (Vec::new(), Vec::new(), None);
    let keys = &catalog::find(buckets, &input.bucket)?.keys;
    let from = prefix.max(key_marker).to_owned();
    'keys: for (key, all) in keys.range(from..).take_while(|(key, _)| key.starts_with(prefix)) {
        let finished = all.iter().rev().filter(|(_, version)| !matches!(version.state, State::Open(_)));
        for (at, (id, version)) in finished.enumerate() {
            // The markers are inclusive, as those of uploads are.
            if key == key_marker && input.version_id_marker.as_ref().is_some_and(|marker| id > marker) {
                continue;
            }
            if versions.len() + marks.len() == max {
                next = Some((key.clone(), id.clone()));
                break 'keys;
            }
            let (is_latest, last_modified) = (Some(at == 0), Some(timestamp(version.created_ms)));
            let (key, version_id) = (Some(encode(key)), Some(id.clone()));
            match &version.state {
                State::Object(manifest) => versions.push(ObjectVersion {
                    e_tag: Some(ETag::Strong(manifest.etag.clone())),
                    size: i64::try_from(manifest.size).ok(),
                    storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
                    owner: Some(owner()),
                    is_latest,
                    key,
                    last_modified,
                    version_id,
                    ..Default::default()
                }),
                State::Hidden => {
                    let owner = Some(owner());
                    marks.push(DeleteMarkerEntry { is_latest, key, last_modified, owner, version_id });
                }
                State::Open(_) => {}
            }
        }
    }
    output.is_truncated = Some(next.is_some());
    if let Some((key, id)) = next {
        output.next_key_marker = Some(encode(&key));
        output.next_version_id_marker = Some(id);
    }
    output.versions = Some(versions);
    output.delete_markers = Some(marks);
    output.name = Some(input.bucket);
    output.prefix = Some(encode(prefix));
    output.key_marker = Some(encode(key_marker));
    output.version_id_marker = input.version_id_marker;
    output.max_keys = Some(input.max_keys.unwrap_or(PAGE));
    output.encoding_type = input.encoding_type;
    Ok(output)
}

/// ListMultipartUploads: by key, then by start. The markers are inclusive, as on Backblaze B2, so the next markers name
/// the first entry that is not on the page.
pub fn uploads(buckets: &Buckets, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
    let encode = encoder(input.encoding_type.as_ref());
    let max = page_size(input.max_uploads, "max-uploads")?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    // Without a key the other marker means nothing.
    let id_marker = input.upload_id_marker.as_deref().filter(|_| !key_marker.is_empty());
    let (mut uploads, mut rolled, mut next) = (Vec::new(), Vec::<String>::new(), None);
    let keys = &catalog::find(buckets, &input.bucket)?.keys;
    let from = prefix.max(key_marker).to_owned();
    'keys: for (key, versions) in keys.range(from..).take_while(|(key, _)| key.starts_with(prefix)) {
        for (id, version) in versions.iter().filter(|(_, version)| matches!(version.state, State::Open(_))) {
            if key == key_marker && id_marker.is_some_and(|marker| id.as_str() < marker) {
                continue;
            }
            let entry = common_prefix(key, prefix, input.delimiter.as_deref());
            if entry.is_some() && rolled.last().map(String::as_str) == entry {
                continue;
            }
            if uploads.len() + rolled.len() == max {
                next = Some((key.clone(), id.clone()));
                break 'keys;
            }
            if let Some(entry) = entry {
                rolled.push(entry.to_owned());
                continue;
            }
            uploads.push(MultipartUpload {
                key: Some(encode(key)),
                upload_id: Some(id.clone()),
                initiated: Some(timestamp(version.created_ms)),
                owner: Some(owner()),
                initiator: Some(Initiator { id: Some("local".to_owned()), display_name: Some("local".to_owned()) }),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                ..Default::default()
            });
        }
    }
    let (next_key_marker, next_upload_id_marker) = next.map(|(key, id)| (encode(&key), id)).unzip();
    Ok(ListMultipartUploadsOutput {
        is_truncated: Some(next_key_marker.is_some()),
        next_key_marker,
        next_upload_id_marker,
        uploads: Some(uploads),
        common_prefixes: prefixes(rolled, encode),
        key_marker: Some(encode(key_marker)),
        prefix: Some(encode(prefix)),
        delimiter: input.delimiter.as_deref().map(encode),
        bucket: Some(input.bucket),
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(input.max_uploads.unwrap_or(PAGE)),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// ListParts.
pub fn parts(buckets: &Buckets, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let max = page_size(input.max_parts, "max-parts")?;
    let after = u32::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| S3ErrorCode::InvalidArgument)?;
    let place = Place { bucket: &input.bucket, key: &input.key };
    let (_, upload) = uploads::find(buckets, place, &input.upload_id)?;
    let mut rest = upload.parts.range(after.saturating_add(1)..).map(|(_, part)| part);
    let listed: Vec<_> = rest.by_ref().take(max).collect();
    let more = rest.next().is_some();
    let last = listed.last().map_or(after, |part| part.number);
    let parts = listed.into_iter().map(|part| Part {
        part_number: i32::try_from(part.number).ok(),
        e_tag: Some(ETag::Strong(part.etag())),
        size: i64::try_from(part.size).ok(),
        last_modified: Some(timestamp(part.modified_ms)),
        ..Default::default()
    });
    Ok(ListPartsOutput {
        parts: Some(parts.collect()),
        is_truncated: Some(more),
        next_part_number_marker: i32::try_from(last).ok(),
        part_number_marker: Some(input.part_number_marker.unwrap_or(0)),
        max_parts: Some(input.max_parts.unwrap_or(PAGE)),
        owner: Some(owner()),
        initiator: Some(Initiator { id: Some("local".to_owned()), display_name: Some("local".to_owned()) }),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(input.upload_id.clone()),
        ..Default::default()
    })
}
