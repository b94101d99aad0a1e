//! The requests of Live Read in a few words, and answers in a form that a test can compare.

#![allow(dead_code)]

use std::fmt::Debug;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use md5::{Digest, Md5};

use super::BUCKET;

/// On requests that want Live Read.
pub const LIVE: &str = "x-backblaze-live-read-enabled";
/// Size of all parts but the last.
pub const PART_SIZE: &str = "x-backblaze-live-read-part-size";

/// Status, error code and message of a refused request.
pub fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> (u16, String, String) {
    let error = result.expect_err("the store should refuse this");
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

/// Status and error code of a refused request.
pub fn code<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, SdkError<E, HttpResponse>>) -> (u16, String) {
    let (status, code, _) = refusal(result);
    (status, code)
}

/// What a GET gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    /// Body.
    pub body: Vec<u8>,
    /// `Content-Range`.
    pub content_range: Option<String>,
}

/// What a GET asks for.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// Everything.
    All,
    /// `Range`.
    Range(&'a str),
    /// `partNumber`.
    Part(i32),
}

/// Result of a GET: what it gave, or status and error code.
pub type Answer = Result<Got, (u16, String)>;

/// A GET, with the Live Read header if `live`.
pub async fn get(client: &Client, key: &str, version: Option<&str>, ask: Ask<'_>, live: bool) -> Answer {
    let mut request = client.get_object().bucket(BUCKET).key(key).set_version_id(version.map(str::to_owned));
    match ask {
        Ask::All => {}
        Ask::Range(range) => request = request.range(format!("bytes={range}")),
        Ask::Part(number) => request = request.part_number(number),
    }
    let result = if live {
        let request = request.customize();
        request
            .mutate_request(|request| {
                request.headers_mut().insert(LIVE, "True");
            })
            .send()
            .await
    } else {
        request.send().await
    };
    match result {
        Ok(output) => {
            let content_range = output.content_range().map(str::to_owned);
            let body = output.body.collect().await.expect("the whole body").to_vec();
            Ok(Got { body, content_range })
        }
        Err(error) => Err(code::<(), _>(Err(error))),
    }
}

/// A live GET of an upload.
pub async fn live(client: &Client, key: &str, id: &str, ask: Ask<'_>) -> Answer {
    get(client, key, Some(id), ask, true).await
}

/// A 416.
pub fn not_yet() -> Answer {
    Err((416, "InvalidRange".to_owned()))
}

/// A 404.
pub fn no_such_key() -> Answer {
    Err((404, "NoSuchKey".to_owned()))
}

/// What a GET of these bytes with that range gives.
pub fn got(body: &[u8], content_range: &str) -> Answer {
    Ok(Got { body: body.to_vec(), content_range: Some(content_range.to_owned()) })
}

/// Starts a Live Read upload with these values of the two headers.
pub async fn start_with(
    client: &Client,
    key: &str,
    headers: &[(&'static str, &str)],
) -> Result<String, (u16, String, String)> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let result = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .content_type("video/mp4")
        .customize()
        .mutate_request(move |request| {
            for (name, value) in &headers {
                request.headers_mut().insert(*name, value.clone());
            }
        })
        .send()
        .await;
    match result {
        Ok(output) => Ok(output.upload_id().expect("an upload id").to_owned()),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

/// Starts a Live Read upload with parts of the smallest size.
pub async fn start(client: &Client, key: &str) -> String {
    start_with(client, key, &[(LIVE, "true"), (PART_SIZE, "5000000")]).await.expect("an upload")
}

/// The same of one of the objects of a recording.
pub async fn start_piece(client: &Client, key: &str, recording: &str) -> String {
    let headers = [(LIVE, "true"), (PART_SIZE, "5000000"), ("x-amz-meta-live-read-recording", recording)];
    start_with(client, key, &headers).await.expect("an upload")
}

/// Uploads a part; gives its ETag.
pub async fn part(
    client: &Client,
    key: &str,
    id: &str,
    number: i32,
    body: &[u8],
) -> Result<String, (u16, String, String)> {
    let request = client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(number);
    match request.body(ByteStream::from(body.to_vec())).send().await {
        Ok(output) => Ok(output.e_tag().expect("an ETag").to_owned()),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

/// Completes an upload; gives the object's ETag.
pub async fn complete(
    client: &Client,
    key: &str,
    id: &str,
    parts: &[(i32, &str)],
) -> Result<String, (u16, String, String)> {
    let parts = parts.iter().map(|(number, etag)| CompletedPart::builder().part_number(*number).e_tag(*etag).build());
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
    let request = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id).multipart_upload(list);
    match request.send().await {
        Ok(output) => Ok(output.e_tag().expect("an ETag").to_owned()),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

/// Aborts an upload.
pub async fn abort(client: &Client, key: &str, id: &str) {
    client.abort_multipart_upload().bucket(BUCKET).key(key).upload_id(id).send().await.expect("abort");
}

/// Deletes objects in one request, as Backblaze B2 takes it: with Content-MD5 in place of the SDK's checksum. Gives the keys
/// that are deleted, and those that are not with their error codes.
pub async fn delete_all(client: &Client, keys: &[&str]) -> Result<Deleted, (u16, String)> {
    let object = |key: &&str| ObjectIdentifier::builder().key(*key).build().expect("a key");
    let list = Delete::builder().set_objects(Some(keys.iter().map(object).collect())).build().expect("a list");
    let request = client.delete_objects().bucket(BUCKET).delete(list).customize();
    let request = request.mutate_request(|request| {
        let digest = Md5::digest(request.body().bytes().expect("a body in memory"));
        let names = request.headers().iter().map(|(name, _)| name.to_owned());
        let checksums =
            names.filter(|name| name.starts_with("x-amz-checksum-") || name.starts_with("x-amz-sdk-checksum-"));
        for name in checksums.collect::<Vec<_>>() {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert("content-md5", aws_smithy_types::base64::encode(digest));
    });
    let output = request.send().await.map_err(|error| code::<(), _>(Err(error)))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let deleted = output.deleted().iter().map(|object| text(object.key())).collect();
    let failed = output.errors().iter().map(|error| (text(error.key()), text(error.code()))).collect();
    Ok((deleted, failed))
}

/// See [`delete_all`].
pub type Deleted = (Vec<String>, Vec<(String, String)>);

/// Puts an object; gives its version id.
pub async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let request = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.to_vec()));
    request.send().await.expect("put").version_id().expect("a version id").to_owned()
}
