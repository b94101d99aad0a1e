//! Which S3 operation a request is, from its method, path and query: for the log, the counts and the faults.

use http::{HeaderMap, Method, Uri, header};

use crate::live;
use crate::text::percent_decode;

/// A request as the log and the faults see it.
#[derive(Debug, Clone, Default)]
pub struct Operation {
    /// Name of the S3 operation, or `Other`.
    pub name: &'static str,
    /// Method.
    pub method: String,
    /// Bucket.
    pub bucket: Option<String>,
    /// Key.
    pub key: Option<String>,
    /// `prefix` of a list.
    pub prefix: Option<String>,
    /// `partNumber`.
    pub part_number: Option<u32>,
    /// `uploadId`.
    pub upload_id: Option<String>,
    /// `versionId`.
    pub version_id: Option<String>,
    /// `Range`.
    pub range: Option<String>,
    /// With the Live Read header.
    pub live: bool,
    /// With `Content-MD5`.
    pub content_md5: bool,
}

impl Operation {
    /// Reads the request's head.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let some = |text: &str| Some(percent_decode(text)).filter(|text| !text.is_empty());
        let (bucket, key) = (some(bucket), some(key));
        let query = Query(uri.query().unwrap_or_default());
        let level = match (&bucket, &key) {
            (None, _) => Level::Service,
            (Some(_), None) => Level::Bucket,
            (Some(_), Some(_)) => Level::Object,
        };
        let copy = headers.contains_key("x-amz-copy-source");
        Self {
            name: name(method, &level, &query, copy),
            method: method.to_string(),
            bucket,
            key,
            prefix: query.get("prefix"),
            part_number: query.get("partNumber").and_then(|number| number.parse().ok()),
            upload_id: query.get("uploadId"),
            version_id: query.get("versionId"),
            range: headers.get(header::RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned),
            live: live::wanted(headers),
            content_md5: headers.contains_key("content-md5"),
        }
    }
}

enum Level {
    Service,
    Bucket,
    Object,
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| percent_decode(value))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

fn name(method: &Method, level: &Level, query: &Query<'_>, copy: bool) -> &'static str {
    match (level, method.as_str()) {
        (_, "OPTIONS") => "Preflight",
        (Level::Service, "GET") => "ListBuckets",
        (Level::Bucket, "PUT") if query.0.is_empty() => "CreateBucket",
        (Level::Bucket, "DELETE") if query.0.is_empty() => "DeleteBucket",
        (Level::Bucket, "HEAD") => "HeadBucket",
        (Level::Bucket, "POST") if query.has("delete") => "DeleteObjects",
        (Level::Bucket, "GET") if query.has("uploads") => "ListMultipartUploads",
        (Level::Bucket, "GET") if query.has("versions") => "ListObjectVersions",
        (Level::Bucket, "GET") if query.has("location") => "GetBucketLocation",
        (Level::Bucket, "GET") if query.has("versioning") => "GetBucketVersioning",
        (Level::Bucket, "GET") if query.has("cors") => "GetBucketCors",
        (Level::Bucket, "PUT") if query.has("cors") => "PutBucketCors",
        (Level::Bucket, "DELETE") if query.has("cors") => "DeleteBucketCors",
        (Level::Bucket, "GET") if query.has("lifecycle") => "GetBucketLifecycleConfiguration",
        (Level::Bucket, "PUT") if query.has("lifecycle") => "PutBucketLifecycleConfiguration",
        (Level::Bucket, "GET") if query.has("list-type") => "ListObjectsV2",
        (Level::Bucket, "GET") => "ListObjects",
        (Level::Object, "GET") if query.has("uploadId") => "ListParts",
        (Level::Object, "GET") => "GetObject",
        (Level::Object, "HEAD") => "HeadObject",
        (Level::Object, "POST") if query.has("uploads") => "CreateMultipartUpload",
        (Level::Object, "POST") if query.has("uploadId") => "CompleteMultipartUpload",
        (Level::Object, "PUT") if query.has("partNumber") && copy => "UploadPartCopy",
        (Level::Object, "PUT") if query.has("partNumber") => "UploadPart",
        (Level::Object, "PUT") if copy => "CopyObject",
        (Level::Object, "PUT") => "PutObject",
        (Level::Object, "DELETE") if query.has("uploadId") => "AbortMultipartUpload",
        (Level::Object, "DELETE") => "DeleteObject",
        _ => "Other",
    }
}
