//! Buckets, keys and versions as they are in memory, and the records that describe them on the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::disk::{PartFile, VersionDir};
use crate::live::LiveParts;
use crate::quirks::Torn;
use crate::read::Segment;

/// A bucket. The versions of a key are ordered by their ids, which is the order in which they were started.
#[derive(Debug, Default, Clone)]
pub struct Bucket {
    /// As on the disk.
    pub record: BucketRecord,
    /// Versions by key and id; no key is without a version.
    pub keys: BTreeMap<String, BTreeMap<String, Version>>,
}

/// `bucket.json`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Whether anyone may read the objects.
    pub public: bool,
    /// When the bucket was made.
    pub created_ms: u64,
    /// CORS rules, kept and given back; what is answered to browsers is a matter of the command line.
    #[serde(default)]
    pub cors: Vec<CorsRecord>,
}

/// A CORS rule.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of S3")]
pub struct CorsRecord {
    pub id: Option<String>,
    pub allowed_origins: Vec<String>,
    pub allowed_methods: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: Option<i32>,
}

/// One version of a key: an object, an upload that is still open, or a mark that hides the ones before.
#[derive(Debug, Clone)]
pub struct Version {
    /// Where it lies.
    pub dir: Arc<VersionDir>,
    /// When it was started.
    pub created_ms: u64,
    /// What the client said about the content.
    pub headers: Arc<ContentHeaders>,
    /// What it is.
    pub state: State,
}

/// See [`Version`].
#[derive(Debug, Clone)]
pub enum State {
    /// Parts are coming in.
    Open(Upload),
    /// All there.
    Object(Arc<Manifest>),
    /// A deletion without a version id.
    Hidden,
}

/// An open upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// By part number.
    pub parts: BTreeMap<u32, Arc<PartFile>>,
    /// `None`: not a Live Read upload.
    pub live: Option<LiveParts>,
}

/// A finished object: its parts, where they are.
#[derive(Debug)]
pub struct Manifest {
    /// In order, each with the position of its first byte.
    pub parts: Vec<(u64, Arc<PartFile>)>,
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Whether it came as a multipart upload.
    pub multipart: bool,
    /// `Some`: it came as a Live Read upload with this part size.
    pub live_part_size: Option<u64>,
}

impl Manifest {
    /// The object that consists of these parts.
    pub fn new(parts: Vec<Arc<PartFile>>, multipart: bool, live_part_size: Option<u64>) -> Self {
        let etag = if multipart {
            let mut md5 = Md5::new();
            parts.iter().for_each(|part| md5.update(part.md5));
            format!("{}-{}", hex::encode(md5.finalize()), parts.len())
        } else {
            parts.first().map(|part| part.etag()).unwrap_or_default()
        };
        let mut size = 0;
        let parts = parts
            .into_iter()
            .map(|part| {
                let first = size;
                size += part.size;
                (first, part)
            })
            .collect();
        Self { parts, size, etag, multipart, live_part_size }
    }

    /// The object as it is seen before it is all there.
    pub fn torn(&self, torn: Torn) -> Self {
        let size = if torn.short { self.size / 2 } else { self.size };
        Self { parts: self.parts.clone(), size, etag: self.etag.clone(), ..*self }
    }

    /// `len` bytes from `first` on; both must lie within the object.
    pub fn range(&self, first: u64, len: u64) -> Vec<Segment> {
        let end = first + len;
        let start = self.parts.partition_point(|(at, part)| at + part.size <= first);
        self.parts[start..]
            .iter()
            .take_while(|(at, _)| *at < end)
            .map(|(at, part)| {
                let offset = first.saturating_sub(*at);
                let len = (end - at).min(part.size) - offset;
                Segment { file: Arc::clone(part), offset, len }
            })
            .collect()
    }
}

/// What a client says about the content, kept and given back.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct ContentHeaders {
    /// Content-Type.
    pub content_type: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Content-Encoding.
    pub content_encoding: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// `x-amz-meta-*`.
    pub metadata: HashMap<String, String>,
}

/// `version.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The key, which may hold what a file name may not.
    pub key: String,
    /// When the version was started.
    pub created_ms: u64,
    /// What the client said about the content.
    pub headers: ContentHeaders,
    /// What it is.
    pub state: StateRecord,
}

/// See [`State`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum StateRecord {
    /// The parts are the files in the directory.
    Upload {
        /// Whether it is a Live Read upload.
        live: bool,
        /// Declared, or taken from the first part.
        part_size: Option<u64>,
    },
    /// The parts are these files.
    Object {
        /// Names, in order.
        parts: Vec<String>,
        /// Whether the ETag is that of a multipart upload.
        multipart: bool,
        /// Part size of a Live Read upload.
        live_part_size: Option<u64>,
    },
    /// Hides the versions before.
    Hidden,
}

impl Version {
    /// The record of the version as it is.
    pub fn record(&self, key: &str) -> VersionRecord {
        let state = match &self.state {
            State::Open(upload) => StateRecord::Upload {
                live: upload.live.is_some(),
                part_size: upload.live.as_ref().and_then(|live| live.part_size),
            },
            State::Object(manifest) => StateRecord::Object {
                parts: manifest.parts.iter().map(|(_, part)| part.name.clone()).collect(),
                multipart: manifest.multipart,
                live_part_size: manifest.live_part_size,
            },
            State::Hidden => StateRecord::Hidden,
        };
        VersionRecord {
            key: key.to_owned(),
            created_ms: self.created_ms,
            headers: ContentHeaders::clone(&self.headers),
            state,
        }
    }
}
