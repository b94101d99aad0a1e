//! The catalog from the disk, at start. Removes what a killed store left half done.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{BUCKET_FILE, PartFile, VERSION_FILE, VersionDir};
use crate::live::LiveParts;
use crate::model::{Bucket, Manifest, State, StateRecord, Upload, Version, VersionRecord};

/// All buckets under `dir`.
pub fn buckets(dir: &Path) -> io::Result<BTreeMap<String, Bucket>> {
    let mut buckets = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            continue;
        };
        match fs::read(path.join(BUCKET_FILE)) {
            Ok(text) => {
                buckets.insert(name, bucket(&path, &text)?);
            }
            Err(_) => tracing::warn!("{} is not a bucket; left alone", path.display()),
        }
    }
    Ok(buckets)
}

fn bucket(path: &Path, text: &[u8]) -> io::Result<Bucket> {
    let mut bucket = Bucket { record: serde_json::from_slice(text)?, keys: BTreeMap::new() };
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let id = entry.file_name().to_string_lossy().into_owned();
        let Ok(text) = fs::read(path.join(VERSION_FILE)) else {
            // Never got its description, or lost it because it was to be deleted.
            fs::remove_dir_all(&path)?;
            continue;
        };
        match version(&path, &text) {
            Ok((key, version)) => {
                bucket.keys.entry(key).or_default().insert(id, version);
            }
            Err(error) => tracing::error!("{} cannot be used: {error}", path.display()),
        }
    }
    Ok(bucket)
}

fn version(path: &Path, text: &[u8]) -> io::Result<(String, Version)> {
    let record: VersionRecord = serde_json::from_slice(text)?;
    let (dir, files) = VersionDir::open(path.to_owned())?;
    let state = match record.state {
        StateRecord::Upload { live, part_size } => {
            let parts = newest(files);
            let live = live.then(|| LiveParts::new(part_size, &parts));
            State::Open(Upload { parts, live })
        }
        StateRecord::Object { parts, multipart, live_part_size } => {
            let mut files: HashMap<_, _> = files.into_iter().map(|file| (file.name.clone(), file)).collect();
            let parts = parts
                .iter()
                .map(|name| files.remove(name).ok_or_else(|| io::Error::other(format!("part {name} is missing"))))
                .collect::<io::Result<_>>()?;
            files.values().for_each(|unlisted| unlisted.doom());
            State::Object(Arc::new(Manifest::new(parts, multipart, live_part_size)))
        }
        StateRecord::Hidden => State::Hidden,
    };
    let headers = Arc::new(record.headers);
    Ok((record.key, Version { dir, created_ms: record.created_ms, headers, state }))
}

/// The newest file of each part.
fn newest(files: Vec<Arc<PartFile>>) -> BTreeMap<u32, Arc<PartFile>> {
    let mut parts: BTreeMap<u32, Arc<PartFile>> = BTreeMap::new();
    for file in files {
        match parts.get(&file.number) {
            Some(kept) if kept.sequence > file.sequence => file.doom(),
            _ => {
                if let Some(old) = parts.insert(file.number, file) {
                    old.doom();
                }
            }
        }
    }
    parts
}
