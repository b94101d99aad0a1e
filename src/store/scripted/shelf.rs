//! What lies in the store in memory, and the answers of a store that follows the documentation.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};
use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::time::Instant;

use super::{Asked, Op};
use crate::protocol::live_read::PART_SIZE_HEADER;

/// When the store's clock begins: 2026-01-01T00:00:00Z, in seconds since 1970.
const EPOCH: i64 = 1_767_225_600;

/// A status, headers, and a body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Bytes);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Complete,
    /// A mark of deletion.
    Marker,
}

/// The headers of a write that come back with each read.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "x-amz-meta-live-read-recording",
    "x-amz-meta-live-read-length",
    "x-amz-meta-live-read-end",
    "x-amz-meta-live-read-objects",
];

/// The most that one page of a list has.
const PAGE: usize = 1_000;

/// An upload, or the object that became of it.
#[derive(Debug)]
pub(super) struct Version {
    id: String,
    key: String,
    state: State,
    live: bool,
    part_size: Option<u64>,
    parts: BTreeMap<u32, Bytes>,
    started: i64,
    etag: String,
    labels: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(super) struct Shelves {
    versions: Vec<Version>,
    count: u32,
    pub(super) live_read: bool,
    pub(super) keeps_versions: bool,
    pub(super) fails_to_delete_half: bool,
    began: Instant,
}

impl Default for Shelves {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            count: 0,
            live_read: true,
            keeps_versions: false,
            fails_to_delete_half: false,
            began: Instant::now(),
        }
    }
}

pub(super) fn refusal(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test asked</Message></Error>");
    (status, vec![("content-type", "application/xml".to_owned())], body.into())
}

fn xml(name: &str, inside: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><{name}>{inside}</{name}>");
    (200, vec![("content-type", "application/xml".to_owned())], body.into())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What stands in the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = xml.split_once(&open)?.1.split_once(&close)?.0;
    Some(inside.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

fn etag(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Md5::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Version {
    /// The parts up to the first gap.
    fn readable(&self) -> Vec<Bytes> {
        let mut all = Vec::new();
        for number in 1.. {
            let Some(part) = self.parts.get(&number) else { break };
            all.push(part.clone());
            // What follows a short part cannot be read before that is whole.
            if self.state == State::Open && self.part_size.is_some_and(|size| (part.len() as u64) < size) {
                break;
            }
        }
        all
    }

    /// All bytes up to the first gap.
    pub(super) fn bytes(&self) -> Bytes {
        between(&self.readable(), 0, usize::MAX)
    }
}

/// Bytes `from` to `to`, exclusive, of these parts, as far as they are there; copied only where they lie in several.
fn between(parts: &[Bytes], from: usize, to: usize) -> Bytes {
    let (mut at, mut found) = (0, Vec::new());
    for part in parts {
        let (first, last) = (from.max(at) - at, to.min(at + part.len()).max(at) - at);
        if first < last {
            found.push(part.slice(first..last));
        }
        at += part.len();
    }
    if let [one] = &found[..] { one.clone() } else { found.concat().into() }
}

impl Shelves {
    fn now(&self) -> i64 {
        EPOCH + i64::try_from(self.began.elapsed().as_secs()).unwrap_or(0)
    }

    pub(super) fn begin(&mut self, key: &str, part_size: Option<u64>, live: bool) -> String {
        self.count += 1;
        let id = format!("upload-{:04}", self.count);
        let (key, started) = (key.to_owned(), self.now());
        let parts = BTreeMap::new();
        let etag = String::new();
        let (id_of_it, state, labels) = (id.clone(), State::Open, Vec::new());
        self.versions.push(Version { id, key, state, live, part_size, parts, started, etag, labels });
        id_of_it
    }

    pub(super) fn put(&mut self, id: &str, number: u32, bytes: Bytes) {
        if let Some(version) = self.find(id) {
            version.parts.insert(number, bytes);
        }
    }

    pub(super) fn complete(&mut self, id: &str) {
        if let Some(at) = self.versions.iter().rposition(|version| version.id == id) {
            let mut version = self.versions.remove(at);
            version.state = State::Complete;
            let digests: Vec<u8> = version.parts.values().flat_map(Md5::digest).collect();
            version.etag = format!("{}-{}", etag(&digests), version.parts.len());
            // What was finished last is the newest.
            self.versions.push(version);
        }
    }

    pub(super) fn abort(&mut self, id: &str) {
        self.versions.retain(|version| version.id != id);
    }

    pub(super) fn newest(&self, key: &str) -> Option<&Version> {
        let newest = self.versions.iter().rev().find(|version| version.key == key && version.state != State::Open);
        newest.filter(|version| version.state == State::Complete)
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let mut newest = BTreeMap::new();
        for version in self.versions.iter().filter(|version| version.state != State::Open) {
            if version.key.starts_with(prefix) {
                newest.insert(&version.key, version.state);
            }
        }
        newest.into_iter().filter(|(_, state)| *state == State::Complete).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn versions_of(&self, prefix: &str) -> usize {
        let of = |version: &&Version| version.key.starts_with(prefix) && version.state != State::Open;
        self.versions.iter().filter(of).count()
    }

    fn label(&mut self, id: &str, asked: &Asked) {
        let labels = asked.headers.iter().filter_map(|(name, value)| {
            let name = KEPT.into_iter().find(|kept| kept == name)?;
            Some((name, value.clone()))
        });
        let labels = labels.collect();
        if let Some(version) = self.find(id) {
            version.labels = labels;
        }
    }

    fn delete(&mut self, key: &str, version: Option<&str>) {
        match version {
            Some(id) => self.versions.retain(|version| version.key != key || version.id != id),
            None if self.keeps_versions => {
                let id = self.begin(key, None, false);
                if let Some(marker) = self.find(&id) {
                    marker.state = State::Marker;
                }
            }
            None => self.versions.retain(|version| version.key != key || version.state == State::Open),
        }
    }

    pub(super) fn open(&self, key: &str) -> Vec<String> {
        let open = |version: &&Version| version.key == key && version.state == State::Open;
        self.versions.iter().filter(open).map(|version| version.id.clone()).collect()
    }

    /// Mostly asked about what came last.
    fn find(&mut self, id: &str) -> Option<&mut Version> {
        self.versions.iter_mut().rfind(|version| version.id == id)
    }

    fn open_of(&mut self, asked: &Asked) -> Option<&mut Version> {
        let id = asked.version.clone()?;
        self.find(&id).filter(|version| version.state == State::Open && version.key == asked.key)
    }

    pub(super) fn answer(&mut self, asked: &Asked) -> Answer {
        let key = &asked.key;
        match asked.op {
            Op::Create => {
                let id = self.begin(key, asked.declared_part_size, asked.live);
                self.label(&id, asked);
                let inside = format!("<Bucket>bucket</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
                xml("InitiateMultipartUploadResult", &inside)
            }
            Op::PutPart => match (self.open_of(asked), asked.part) {
                (Some(version), Some(number)) => {
                    version.parts.insert(number, asked.body.clone());
                    (200, vec![("etag", format!("\"{}\"", etag(&asked.body)))], Bytes::new())
                }
                _ => refusal(404, "NoSuchUpload"),
            },
            Op::Complete => match self.open_of(asked).map(|version| version.id.clone()) {
                Some(id) => {
                    self.complete(&id);
                    xml("CompleteMultipartUploadResult", &format!("<Key>{key}</Key><ETag>&quot;x&quot;</ETag>"))
                }
                None => refusal(404, "NoSuchUpload"),
            },
            Op::Abort => match self.open_of(asked).map(|version| version.id.clone()) {
                Some(id) => {
                    self.abort(&id);
                    (204, Vec::new(), Bytes::new())
                }
                None => refusal(404, "NoSuchUpload"),
            },
            Op::Uploads => self.list_uploads(key),
            Op::Parts => match self.open_of(asked) {
                Some(version) => {
                    let mut inside = "<IsTruncated>false</IsTruncated>".to_owned();
                    for (number, part) in &version.parts {
                        let (size, tag) = (part.len(), etag(part));
                        let _ = write!(
                            inside,
                            "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size></Part>"
                        );
                    }
                    xml("ListPartsResult", &inside)
                }
                None => refusal(404, "NoSuchUpload"),
            },
            Op::Objects => self.list_objects(asked),
            Op::Put => {
                if !self.keeps_versions {
                    let replaced =
                        |version: &Version| version.key == *key && !version.live && version.state == State::Complete;
                    self.versions.retain(|version| !replaced(version));
                }
                let id = self.begin(key, None, false);
                self.put(&id, 1, asked.body.clone());
                self.label(&id, asked);
                self.complete(&id);
                let mut headers = vec![("etag", format!("\"{}\"", etag(&asked.body)))];
                headers.extend(self.keeps_versions.then_some(("x-amz-version-id", id)));
                (200, headers, Bytes::new())
            }
            Op::CopyPart => self.copy_part(asked),
            Op::Delete => {
                self.delete(key, asked.version.as_deref());
                (204, Vec::new(), Bytes::new())
            }
            Op::DeleteMany => {
                let body = String::from_utf8_lossy(&asked.body).into_owned();
                let (mut inside, mut gone) = (String::new(), HashSet::new());
                for (at, one) in body.split("<Object>").skip(1).enumerate() {
                    let (key, version) = (element(one, "Key").unwrap_or_default(), element(one, "VersionId"));
                    if self.fails_to_delete_half && at % 2 == 0 {
                        let (key, code) = (escaped(&key), "InternalError");
                        let _ = write!(inside, "<Error><Key>{key}</Key><Code>{code}</Code></Error>");
                        continue;
                    }
                    let id = version.as_ref().map(|id| format!("<VersionId>{id}</VersionId>")).unwrap_or_default();
                    let _ = write!(inside, "<Deleted><Key>{}</Key>{id}</Deleted>", escaped(&key));
                    if version.is_some() || self.keeps_versions {
                        self.delete(&key, version.as_deref());
                    } else {
                        gone.insert(key);
                    }
                }
                // All at once: a page has a thousand.
                if !gone.is_empty() {
                    self.versions.retain(|version| version.state == State::Open || !gone.contains(&version.key));
                }
                xml("DeleteResult", &inside)
            }
            Op::Versions => {
                let found: Vec<_> = self.versions.iter().filter(|version| version.state != State::Open).collect();
                let found = found.into_iter().filter(|version| version.key.starts_with(key));
                let mut inside = format!("<IsTruncated>{}</IsTruncated>", found.clone().count() > PAGE);
                for one in found.take(PAGE) {
                    let name = if one.state == State::Marker { "DeleteMarker" } else { "Version" };
                    let (key, id) = (escaped(&one.key), &one.id);
                    let _ = write!(inside, "<{name}><Key>{key}</Key><VersionId>{id}</VersionId></{name}>");
                }
                xml("ListVersionsResult", &inside)
            }
            Op::Get | Op::Head => self.read(asked),
        }
    }

    fn copy_part(&mut self, asked: &Asked) -> Answer {
        let source = asked.headers.iter().find(|(name, _)| name == "x-amz-copy-source");
        let source = source.map(|(_, source)| super::plain(source)).unwrap_or_default();
        let source = source.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
        let Some(bytes) = self.newest(&source).map(Version::bytes) else { return refusal(404, "NoSuchKey") };
        match (self.open_of(asked), asked.part) {
            (Some(version), Some(number)) => {
                let tag = etag(&bytes);
                version.parts.insert(number, bytes);
                xml("CopyPartResult", &format!("<ETag>&quot;{tag}&quot;</ETag>"))
            }
            _ => refusal(404, "NoSuchUpload"),
        }
    }

    fn list_objects(&self, asked: &Asked) -> Answer {
        let prefix = &asked.key;
        let folder = |key: &str| {
            let rest = key.get(prefix.len()..)?;
            rest.find('/').filter(|_| asked.delimited).map(|at| format!("{prefix}{}", &rest[..=at]))
        };
        let mut entries: Vec<(String, bool)> = Vec::new();
        for key in self.keys(prefix) {
            let entry = folder(&key).map_or((key, false), |folder| (folder, true));
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        entries.retain(|(key, _)| asked.token.as_ref().is_none_or(|token| key > token));
        let more = entries.len() > PAGE;
        entries.truncate(PAGE);
        let mut inside = format!("<IsTruncated>{more}</IsTruncated>");
        if let Some((last, _)) = entries.last().filter(|_| more) {
            let _ = write!(inside, "<NextContinuationToken>{}</NextContinuationToken>", escaped(last));
        }
        for (key, is_folder) in &entries {
            let key = escaped(key);
            let _ = match is_folder {
                true => write!(inside, "<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
                false => write!(inside, "<Contents><Key>{key}</Key></Contents>"),
            };
        }
        xml("ListBucketResult", &inside)
    }

    fn list_uploads(&self, prefix: &str) -> Answer {
        let mut inside = "<IsTruncated>false</IsTruncated>".to_owned();
        let mut open: Vec<_> = self.versions.iter().filter(|version| version.state == State::Open).collect();
        open.sort_by(|a, b| a.key.cmp(&b.key));
        for version in open.into_iter().filter(|version| version.key.starts_with(prefix)) {
            let started = DateTime::from_secs(version.started).fmt(Format::DateTime).unwrap_or_default();
            let _ = write!(
                inside,
                "<Upload><Key>{}</Key><UploadId>{}</UploadId><Initiated>{started}</Initiated></Upload>",
                version.key, version.id
            );
        }
        xml("ListMultipartUploadsResult", &inside)
    }

    /// GET and HEAD, live and plain.
    fn read(&mut self, asked: &Asked) -> Answer {
        let live_read = self.live_read;
        let date = DateTime::from_secs(self.now()).fmt(Format::HttpDate).unwrap_or_default();
        let seen = |version: &&Version| {
            version.key == asked.key
                && asked.version.as_ref().is_none_or(|id| *id == version.id)
                && (version.state == State::Complete || (asked.live && version.live && live_read))
        };
        // The newest by start for a live read, the newest by completion otherwise.
        let found = self.versions.iter().filter(seen);
        let found = if asked.live { found.max_by_key(|version| version.id.clone()) } else { found.last() };
        let hidden = asked.version.is_none() && !asked.live && self.newest(&asked.key).is_none();
        let Some(version) = found.filter(|_| !hidden) else {
            let code = if asked.version.is_some() && !asked.live { "NoSuchVersion" } else { "NoSuchKey" };
            return refusal(404, code);
        };
        let all = version.readable();
        let length: usize = all.iter().map(Bytes::len).sum();
        let modified = DateTime::from_secs(version.started).fmt(Format::HttpDate).unwrap_or_default();
        let mut headers = vec![("date", date), ("last-modified", modified), ("x-amz-version-id", version.id.clone())];
        headers.extend(version.labels.iter().cloned());
        if version.state == State::Complete {
            headers.push(("etag", format!("\"{}\"", version.etag)));
        }
        if asked.live && version.live {
            headers.extend(version.part_size.map(|size| (PART_SIZE_HEADER, size.to_string())));
        }
        let range = match asked.part {
            Some(number) => {
                let before: u64 = (1..number).filter_map(|n| version.parts.get(&n)).map(|part| part.len() as u64).sum();
                let len = version.parts.get(&number).map_or(0, |part| part.len() as u64);
                Some((before, before + len.max(1) - 1)).filter(|_| len > 0).or(Some((u64::MAX, u64::MAX)))
            }
            None => asked.range,
        };
        let Some((first, last)) = range else { return (200, headers, between(&all, 0, length)) };
        if first >= length as u64 {
            return refusal(416, "InvalidRange");
        }
        let last = last.min(length as u64 - 1);
        let total = if version.state == State::Complete { length.to_string() } else { "*".to_owned() };
        headers.push(("content-range", format!("bytes {first}-{last}/{total}")));
        let (from, to) = (usize::try_from(first).unwrap_or(0), usize::try_from(last).unwrap_or(0) + 1);
        (206, headers, between(&all, from, to))
    }
}
