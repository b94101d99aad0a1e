//! The catalog: what the store holds, and every change to it.
//!
//! One lock over plain maps. Bodies are received before it is taken; a change under it costs a rename and at most one
//! small file, so it is short. What a reader gets are shared handles, which stay good whatever happens to the catalog.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, UNIX_EPOCH};

use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::disk::{self, BUCKET_FILE, VERSION_FILE, VersionDir};
use crate::errors;
use crate::load;
use crate::model::{Bucket, BucketRecord, ContentHeaders, CorsRecord, State, Version};
use crate::past::Past;

/// All that the store holds.
#[derive(Debug)]
pub struct Catalog {
    dir: PathBuf,
    buckets: RwLock<Buckets>,
    last_id: AtomicU64,
    /// What it held before.
    pub past: Past,
}

/// How a request sees the catalog; goes with the request in its extensions. Without it: as it is.
#[derive(Debug, Clone, Copy)]
pub enum Sight {
    /// As it was so long ago.
    Before(Duration),
    /// As if its buckets held nothing.
    Nothing,
}

/// The catalog as a request sees it.
pub enum Seen<'a> {
    /// As it is.
    Now(RwLockReadGuard<'a, Buckets>),
    /// As it was.
    Copy(Arc<Buckets>),
}

impl std::ops::Deref for Seen<'_> {
    type Target = Buckets;

    fn deref(&self) -> &Buckets {
        match self {
            Self::Now(buckets) => buckets,
            Self::Copy(buckets) => buckets,
        }
    }
}

/// Buckets by name.
pub type Buckets = BTreeMap<String, Bucket>;

impl Catalog {
    /// Takes up the data in `dir`, which is made if it is missing.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let buckets = load::buckets(dir)?;
        let ids = buckets.values().flat_map(|bucket| bucket.keys.values()).flat_map(BTreeMap::keys);
        let last = ids.filter_map(|id| id_time(id)).max().unwrap_or(0);
        Ok(Self {
            dir: dir.to_owned(),
            buckets: RwLock::new(buckets),
            last_id: AtomicU64::new(last),
            past: Past::default(),
        })
    }

    /// For looking.
    pub fn read(&self) -> RwLockReadGuard<'_, Buckets> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For answering a request with these extensions.
    pub fn seen(&self, extensions: &http::Extensions) -> Seen<'_> {
        match extensions.get() {
            None => Seen::Now(self.read()),
            Some(Sight::Before(age)) => self.past.before(*age).map_or_else(|| Seen::Now(self.read()), Seen::Copy),
            Some(Sight::Nothing) => {
                let bare = |bucket: &Bucket| Bucket { record: bucket.record.clone(), keys: BTreeMap::new() };
                let buckets = self.read().iter().map(|(name, bucket)| (name.clone(), bare(bucket))).collect();
                Seen::Copy(Arc::new(buckets))
            }
        }
    }

    /// For changing.
    pub fn write(&self) -> RwLockWriteGuard<'_, Buckets> {
        let buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        self.past.remember(&buckets);
        buckets
    }

    /// An id that sorts after all before it, for a version and for the upload that makes it.
    fn new_id(&self) -> String {
        let since = disk::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last + 1);
        // The closure always gives a value, so both arms mean the same: the value before the update.
        #[allow(deprecated, reason = "the oldest Rust that compiles this does not have its new name yet")]
        let (Ok(last) | Err(last)) =
            self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        format!("4_z{:016x}_{:08x}", next(last), fastrand::u32(..))
    }

    /// A directory and an id for a new version; it counts once it is recorded.
    pub fn new_version(&self, bucket: &str) -> S3Result<(String, Arc<VersionDir>)> {
        find(&self.read(), bucket)?;
        self.new_dir(bucket)
    }

    /// The same for a bucket that is known to be there.
    pub fn new_dir(&self, bucket: &str) -> S3Result<(String, Arc<VersionDir>)> {
        let id = self.new_id();
        let dir = VersionDir::create(self.dir.join(bucket).join(&id))
            .map_err(|error| errors::disk("making a directory", &error))?;
        Ok((id, dir))
    }

    /// Makes a bucket, or sets whether it is public if it is there.
    pub fn ensure_bucket(&self, name: &str, public: bool) -> S3Result<()> {
        let mut buckets = self.write();
        let there = buckets.get(name).map(|bucket| bucket.record.clone());
        let new = || BucketRecord { created_ms: disk::now_ms(), ..BucketRecord::default() };
        let record = BucketRecord { public, ..there.unwrap_or_else(new) };
        self.record_bucket(name, &record)?;
        buckets.entry(name.to_owned()).or_default().record = record;
        Ok(())
    }

    /// Makes a bucket that is not there yet.
    pub fn create_bucket(&self, name: &str, public: bool) -> S3Result<()> {
        let mut buckets = self.write();
        if buckets.contains_key(name) {
            return Err(S3ErrorCode::BucketAlreadyOwnedByYou.into());
        }
        let record = BucketRecord { public, created_ms: disk::now_ms(), ..BucketRecord::default() };
        self.record_bucket(name, &record)?;
        buckets.insert(name.to_owned(), Bucket { record, keys: BTreeMap::new() });
        Ok(())
    }

    /// Sets the CORS rules of a bucket.
    pub fn set_cors(&self, name: &str, cors: Vec<CorsRecord>) -> S3Result<()> {
        let mut buckets = self.write();
        let bucket = find_mut(&mut buckets, name)?;
        let record = BucketRecord { cors, ..bucket.record.clone() };
        self.record_bucket(name, &record)?;
        bucket.record = record;
        Ok(())
    }

    fn record_bucket(&self, name: &str, record: &BucketRecord) -> S3Result<()> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)
            .and_then(|()| disk::write_json(&dir, BUCKET_FILE, record))
            .map_err(|error| errors::disk("making a bucket", &error))
    }

    /// Removes a bucket that holds no object and no open upload.
    pub fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.write();
        if !find(&buckets, name)?.keys.is_empty() {
            return Err(S3ErrorCode::BucketNotEmpty.into());
        }
        fs::remove_dir_all(self.dir.join(name)).map_err(|error| errors::disk("removing a bucket", &error))?;
        buckets.remove(name);
        Ok(())
    }

    /// Hides the versions of a key.
    pub fn hide(&self, bucket: &str, key: &str) -> S3Result<String> {
        let (id, dir) = self.new_version(bucket)?;
        let headers = Arc::new(ContentHeaders::default());
        let version = Version { dir, created_ms: disk::now_ms(), headers, state: State::Hidden };
        insert(&mut self.write(), bucket, key, id.clone(), version)?;
        Ok(id)
    }

    /// Ends the open uploads of a key.
    pub fn end_uploads(&self, bucket: &str, key: &str) -> S3Result<()> {
        self.sweep(bucket, key, |_, version| matches!(version.state, State::Open(_)))
    }

    /// Removes what this version of a key takes the place of.
    pub fn replace(&self, bucket: &str, key: &str, by: &str) -> S3Result<()> {
        self.sweep(bucket, key, |id, version| id != by && !matches!(version.state, State::Open(_)))
    }

    /// Removes what is there of a key, but not its open uploads.
    pub fn delete_key(&self, bucket: &str, key: &str) -> S3Result<()> {
        self.sweep(bucket, key, |_, version| !matches!(version.state, State::Open(_)))
    }

    fn sweep(&self, bucket: &str, key: &str, goes: impl Fn(&str, &Version) -> bool) -> S3Result<()> {
        let mut buckets = self.write();
        let keys = &mut find_mut(&mut buckets, bucket)?.keys;
        let versions = keys.get(key).into_iter().flatten();
        let ids: Vec<String> = versions.filter(|(id, version)| goes(id, version)).map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| remove(keys, key, id));
        Ok(())
    }

    /// Removes one finished version, or a mark. Whether it was a mark; `None` if there is no such version.
    pub fn delete_version(&self, bucket: &str, key: &str, id: &str) -> S3Result<Option<bool>> {
        let mut buckets = self.write();
        let keys = &mut find_mut(&mut buckets, bucket)?.keys;
        match keys.get(key).and_then(|versions| versions.get(id)).map(|version| &version.state) {
            None | Some(State::Open(_)) => Ok(None),
            Some(state) => {
                let hidden = matches!(state, State::Hidden);
                remove(keys, key, id);
                Ok(Some(hidden))
            }
        }
    }
}

/// The bucket, or 404.
pub fn find<'a>(buckets: &'a Buckets, name: &str) -> S3Result<&'a Bucket> {
    buckets.get(name).ok_or_else(|| errors::no_such_bucket(name))
}

/// The bucket, or 404.
pub fn find_mut<'a>(buckets: &'a mut Buckets, name: &str) -> S3Result<&'a mut Bucket> {
    buckets.get_mut(name).ok_or_else(|| errors::no_such_bucket(name))
}

/// Records a version on the disk and then in the catalog.
pub fn insert(buckets: &mut Buckets, bucket: &str, key: &str, id: String, version: Version) -> S3Result<()> {
    let bucket = find_mut(buckets, bucket)?;
    record(key, &version)?;
    version.dir.keep();
    bucket.keys.entry(key.to_owned()).or_default().insert(id, version);
    Ok(())
}

/// Writes the description of a version.
pub fn record(key: &str, version: &Version) -> S3Result<()> {
    disk::write_json(version.dir.path(), VERSION_FILE, &version.record(key))
        .map_err(|error: io::Error| -> S3Error { errors::disk("recording a version", &error) })
}

/// Takes a version out of the catalog; its files go with their last reader.
pub fn remove(keys: &mut BTreeMap<String, BTreeMap<String, Version>>, key: &str, id: &str) {
    let Some(versions) = keys.get_mut(key) else {
        return;
    };
    if let Some(version) = versions.remove(id) {
        version.dir.doom();
    }
    if versions.is_empty() {
        keys.remove(key);
    }
}

/// The newest version of a key that counts for a plain request: an object, or a mark that hides the others.
pub fn current(versions: &BTreeMap<String, Version>) -> Option<(&String, &Version)> {
    versions.iter().rev().find(|(_, version)| !matches!(version.state, State::Open(_)))
}

fn id_time(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("4_z")?.split('_').next()?, 16).ok()
}
