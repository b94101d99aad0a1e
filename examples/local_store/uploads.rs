//! Changes to objects and uploads in the catalog: put, start, part, complete, abort.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::dto::ETagCondition;
use s3s::{S3ErrorCode, S3Result};

use crate::catalog::{self, Buckets, Catalog};
use crate::disk::{self, PartFile, VersionDir};
use crate::errors;
use crate::live::{self, LiveParts};
use crate::model::{ContentHeaders, Manifest, State, Upload, Version};
use crate::receive::Received;

/// All but the last part of an ordinary multipart upload.
pub const MIN_PART: u64 = 5_000_000;

/// `If-Match` and `If-None-Match` of a request that writes.
#[derive(Debug, Default)]
pub struct WriteConditions {
    /// The current object must be this one.
    pub if_match: Option<ETagCondition>,
    /// The current object must not be this one; `*`: there must be none.
    pub if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// Holds the conditions against what is current.
    pub fn check(&self, buckets: &Buckets, bucket: &str, key: &str) -> S3Result<()> {
        let current = catalog::find(buckets, bucket)?.keys.get(key).and_then(catalog::current);
        let etag = current.and_then(|(_, version)| match &version.state {
            State::Object(manifest) => Some(manifest.etag.as_str()),
            State::Open(_) | State::Hidden => None,
        });
        if let Some(condition) = &self.if_match {
            let etag = etag.ok_or_else(errors::no_such_key)?;
            if !matches(condition, etag) {
                return Err(errors::precondition_failed());
            }
        }
        match (&self.if_none_match, etag) {
            (Some(condition), Some(etag)) if matches(condition, etag) => Err(errors::precondition_failed()),
            _ => Ok(()),
        }
    }
}

/// Whether the condition names the ETag.
pub fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

/// Where a part or an object comes to lie.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
}

/// Makes a version out of parts that lie in `dir` already; gives its id. The last to come is the newest, whatever began
/// before what.
pub fn put(
    catalog: &Catalog,
    place: Place<'_>,
    (id, dir): (String, Arc<VersionDir>),
    headers: ContentHeaders,
    manifest: Manifest,
    conditions: &WriteConditions,
) -> S3Result<String> {
    let mut buckets = catalog.write();
    conditions.check(&buckets, place.bucket, place.key)?;
    let versions = catalog::find(&buckets, place.bucket)?.keys.get(place.key);
    let overtaken = versions.and_then(|versions| versions.last_key_value()).is_some_and(|(newest, _)| *newest > id);
    let (id, dir, manifest) = if overtaken {
        // The files become those of a version that begins now; the directory that was for them goes.
        let (id, later) = catalog.new_dir(place.bucket)?;
        let moved = manifest.parts.iter().map(|(_, part)| later.link(part)).collect::<std::io::Result<_>>();
        let parts = moved.map_err(|error| errors::disk("storing an object", &error))?;
        (id, later, Manifest::new(parts, manifest.multipart, manifest.live_part_size))
    } else {
        (id, dir, manifest)
    };
    let state = State::Object(Arc::new(manifest));
    let version = Version { dir, created_ms: disk::now_ms(), headers: Arc::new(headers), state };
    catalog::insert(&mut buckets, place.bucket, place.key, id.clone(), version)?;
    Ok(id)
}

/// Starts an upload. `live`: as a Live Read upload, with the part size if that is declared.
pub fn start(
    catalog: &Catalog,
    place: Place<'_>,
    headers: ContentHeaders,
    live: Option<Option<u64>>,
) -> S3Result<String> {
    let (id, dir) = catalog.new_version(place.bucket)?;
    let live = live.map(|part_size| LiveParts::new(part_size, &BTreeMap::new()));
    let state = State::Open(Upload { parts: BTreeMap::new(), live });
    let version = Version { dir, created_ms: disk::now_ms(), headers: Arc::new(headers), state };
    catalog::insert(&mut catalog.write(), place.bucket, place.key, id.clone(), version)?;
    Ok(id)
}

/// An open upload, or 404.
pub fn find<'a>(buckets: &'a Buckets, place: Place<'_>, id: &str) -> S3Result<(&'a Version, &'a Upload)> {
    let versions = catalog::find(buckets, place.bucket)?.keys.get(place.key);
    match versions.and_then(|versions| versions.get(id)) {
        Some(version) => match &version.state {
            State::Open(upload) => Ok((version, upload)),
            State::Object(_) | State::Hidden => Err(errors::no_such_upload()),
        },
        None => Err(errors::no_such_upload()),
    }
}

fn find_mut<'a>(buckets: &'a mut Buckets, place: Place<'_>, id: &str) -> S3Result<&'a mut Version> {
    let versions = catalog::find_mut(buckets, place.bucket)?.keys.get_mut(place.key);
    versions
        .and_then(|versions| versions.get_mut(id))
        .filter(|version| matches!(version.state, State::Open(_)))
        .ok_or_else(errors::no_such_upload)
}

/// A look before the body is received: where the part would go. Refuses a part that could not be taken in the end.
pub fn admit_part(
    catalog: &Catalog,
    place: Place<'_>,
    id: &str,
    number: u32,
    size: Option<u64>,
    tail_replace: bool,
) -> S3Result<Arc<VersionDir>> {
    let buckets = catalog.read();
    let (version, upload) = find(&buckets, place, id)?;
    if let (Some(live), Some(size)) = (&upload.live, size) {
        live.check(&upload.parts, number, size, tail_replace)?;
    }
    Ok(Arc::clone(&version.dir))
}

/// Adds a part, or replaces the one with its number in one step.
pub fn add_part(
    catalog: &Catalog,
    place: Place<'_>,
    id: &str,
    number: u32,
    received: Received,
    tail_replace: bool,
) -> S3Result<Arc<PartFile>> {
    let mut buckets = catalog.write();
    let version = find_mut(&mut buckets, place, id)?;
    let State::Open(upload) = &mut version.state else {
        return Err(errors::no_such_upload());
    };
    if let Some(live) = &upload.live {
        live.check(&upload.parts, number, received.size, tail_replace)?;
    }
    let Received { file, size, md5 } = received;
    let part = file.keep(number, size, md5).map_err(|error| errors::disk("storing a part", &error))?;
    if let Some(old) = upload.parts.insert(number, Arc::clone(&part)) {
        old.doom();
    }
    let mut sets_part_size = false;
    if let Some(live) = &mut upload.live {
        sets_part_size = live.part_size.is_none();
        live.stored(&upload.parts, number);
    }
    if sets_part_size {
        catalog::record(place.key, version)?;
    }
    Ok(part)
}

/// Makes the object out of the listed parts (number and, if given, ETag) and forgets the others. `smallest`: what all but the
/// last hold at least, unless it is a Live Read upload.
pub fn complete(
    catalog: &Catalog,
    place: Place<'_>,
    id: &str,
    list: &[(u32, Option<String>)],
    conditions: &WriteConditions,
    smallest: u64,
) -> S3Result<Arc<Manifest>> {
    let mut buckets = catalog.write();
    let (_, upload) = find(&buckets, place, id)?;
    let manifest = Arc::new(assemble(upload, list, smallest)?);
    conditions.check(&buckets, place.bucket, place.key)?;
    let version = find_mut(&mut buckets, place, id)?;
    let open = std::mem::replace(&mut version.state, State::Object(Arc::clone(&manifest)));
    if let Err(error) = catalog::record(place.key, version) {
        version.state = open;
        return Err(error);
    }
    if let State::Open(upload) = open {
        let unlisted = |part: &&Arc<PartFile>| list.binary_search_by_key(&part.number, |(number, _)| *number).is_err();
        upload.parts.values().filter(unlisted).for_each(|part| part.doom());
    }
    Ok(manifest)
}

fn assemble(upload: &Upload, list: &[(u32, Option<String>)], smallest: u64) -> S3Result<Manifest> {
    if list.is_empty() {
        return Err(S3ErrorCode::MalformedXML.into());
    }
    if !list.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(S3ErrorCode::InvalidPartOrder.into());
    }
    let mut parts = Vec::with_capacity(list.len());
    for (number, etag) in list {
        let part = upload.parts.get(number).filter(|part| etag.as_ref().is_none_or(|etag| *etag == part.etag()));
        let part = part.ok_or_else(|| {
            let message = format!("Part {number} was not uploaded, or its ETag is another.");
            s3s::S3Error::with_message(S3ErrorCode::InvalidPart, message)
        })?;
        parts.push(Arc::clone(part));
    }
    let live_part_size = upload.live.as_ref().and_then(|live| live.part_size);
    let but_last = &parts[..parts.len() - 1];
    match live_part_size {
        Some(size) if but_last.iter().any(|part| part.size != size) => {
            return Err(live::wrong_part_size(size));
        }
        None if but_last.iter().any(|part| part.size < smallest) => {
            return Err(S3ErrorCode::EntityTooSmall.into());
        }
        _ => {}
    }
    Ok(Manifest::new(parts, true, live_part_size))
}

/// Drops an upload with its parts.
pub fn abort(catalog: &Catalog, place: Place<'_>, id: &str) -> S3Result<()> {
    let mut buckets = catalog.write();
    find(&buckets, place, id)?;
    catalog::remove(&mut catalog::find_mut(&mut buckets, place.bucket)?.keys, place.key, id);
    Ok(())
}
