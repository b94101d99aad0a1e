//! A store without a socket, for tests of policies: objects in memory behind the SDK's own client and the crate's own door,
//! with a script that can make any answer go wrong.
//!
//! There is no real clock in it: on a paused one, hours of waiting pass in milliseconds, and dates of objects go with it.
//!
//! ```ignore
//! let (store, shelf) = scripted::store();
//! let id = shelf.begin("live.mp4", 5_000_000);
//! shelf.put(&id, 1, vec![0; 5_000_000]);
//! shelf.script(|asked, nth| if asked.op == Op::Head && nth < 3 { Reply::Status(503, "SlowDown") } else { Reply::Honest });
//! ```

mod shelf;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedAsyncSleep,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest as Request;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use bytes::Bytes;

use super::{Patience, Shared, Store};
use shelf::Shelves;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Start an upload.
    Create,
    /// Store a part.
    PutPart,
    /// Complete an upload.
    Complete,
    /// Abort an upload.
    Abort,
    /// List the open uploads.
    Uploads,
    /// List the parts of an upload.
    Parts,
    /// List objects.
    Objects,
    /// Read bytes.
    Get,
    /// Look at an object.
    Head,
    /// Write a small object.
    Put,
    /// Make a part out of an object.
    CopyPart,
    /// Delete an object.
    Delete,
    /// Delete several.
    DeleteMany,
    /// List versions of objects.
    Versions,
}

/// A request, as a script sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What it wants.
    pub(crate) op: Op,
    /// The object's key; for lists, the prefix.
    pub(crate) key: String,
    /// The upload id, or the version asked for.
    pub(crate) version: Option<String>,
    /// The part number.
    pub(crate) part: Option<u32>,
    /// The range: first and last byte, inclusive.
    pub(crate) range: Option<(u64, u64)>,
    /// Whether it carries the Live Read header.
    pub(crate) live: bool,
    /// Its headers.
    pub(crate) headers: Vec<(String, String)>,
    /// What it carries.
    pub(crate) body: Bytes,
    delimited: bool,
    token: Option<String>,
    declared_part_size: Option<u64>,
}

/// What the store does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// What a right store does.
    Honest,
    /// Refuses with this status and code.
    Status(u16, &'static str),
    /// These headers and this body, whatever was asked.
    Raw(u16, Vec<(&'static str, String)>, Bytes),
    /// Does it, and says nothing any more.
    Lost,
    /// Never answers, and does nothing.
    Silent,
    /// The connection cannot be made.
    Unreachable,
    /// Honest, but only the first so many bytes of the body come before the connection breaks.
    Cut(usize),
    /// Honest after a while; what is done is done at the end of it.
    Late(Duration),
    /// The connection breaks after so many bytes, and the store keeps those.
    Torn(usize),
    /// Never answers, and does it after a while, even if nobody waits any more.
    Stray(Duration),
    /// A panic in the task that sends.
    Panic,
}

type Script = Box<dyn FnMut(&Asked, usize) -> Reply + Send>;

struct Inner {
    shelves: Shelves,
    script: Option<Script>,
    asked: Vec<Asked>,
}

/// The test's hold on the store: what lies in it, what is asked of it, and how it answers.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Mutex<Inner>>);

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

/// A door to an empty store in memory with the bucket `bucket`, and the hold on it.
pub(crate) fn store() -> (Store, Shelf) {
    let shelf = Shelf(Arc::new(Mutex::new(Inner { shelves: Shelves::default(), script: None, asked: Vec::new() })));
    let connector = SharedHttpConnector::new(shelf.clone());
    let http: SharedHttpClient = http_client_fn(move |_, _| connector.clone());
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://store.test")
        .force_path_style(true)
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .http_client(http)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let shared = Arc::new(Shared::new(aws_sdk_s3::Client::from_conf(config), false, false));
    let store = Store { shared, bucket: "bucket".to_owned(), patience: Patience::new(None) };
    (store, shelf)
}

/// The same store, of which silence is borne for so long.
pub(crate) fn with_stall(store: &Store, stall: Duration) -> Store {
    Store { patience: Patience::new(Some(stall)), ..store.clone() }
}

impl Shelf {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on `script` decides about each answer. Beside the request it is told how many of its kind came since.
    pub(crate) fn script(&self, mut script: impl FnMut(&Asked, usize) -> Reply + Send + 'static) {
        let mut counts = std::collections::HashMap::new();
        self.inner().script = Some(Box::new(move |asked, _| {
            let count = counts.entry(asked.op).or_insert(0);
            *count += 1;
            script(asked, *count - 1)
        }));
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner().asked.clone()
    }

    /// How many requests of one kind there were so far.
    pub(crate) fn count(&self, op: Op) -> usize {
        self.inner().asked.iter().filter(|asked| asked.op == op).count()
    }

    /// Starts a Live Read upload; its id.
    pub(crate) fn begin(&self, key: &str, part_size: u64) -> String {
        self.inner().shelves.begin(key, Some(part_size), true)
    }

    /// Stores a part.
    pub(crate) fn put(&self, id: &str, number: u32, bytes: impl Into<Bytes>) {
        self.inner().shelves.put(id, number, bytes.into());
    }

    /// Completes an upload out of all its parts.
    pub(crate) fn complete(&self, id: &str) {
        self.inner().shelves.complete(id);
    }

    /// Aborts an upload.
    pub(crate) fn abort(&self, id: &str) {
        self.inner().shelves.abort(id);
    }

    /// The newest finished object of a key.
    pub(crate) fn object(&self, key: &str) -> Option<Bytes> {
        self.inner().shelves.newest(key).map(shelf::Version::bytes)
    }

    /// The open uploads of a key, the oldest first.
    pub(crate) fn open(&self, key: &str) -> Vec<String> {
        self.inner().shelves.open(key)
    }

    /// Puts a finished object there.
    pub(crate) fn lay(&self, key: &str, bytes: impl Into<Bytes>) {
        let shelves = &mut self.inner().shelves;
        let id = shelves.begin(key, None, false);
        shelves.put(&id, 1, bytes.into());
        shelves.complete(&id);
    }

    /// The keys of all finished objects, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.inner().shelves.keys("")
    }

    /// From here on what is written over or deleted stays as an older version.
    pub(crate) fn keep_versions(&self) {
        self.inner().shelves.keeps_versions = true;
    }

    /// From here on every second of those that are to be deleted at once stays, beginning with the first.
    pub(crate) fn fail_to_delete_half(&self) {
        self.inner().shelves.fails_to_delete_half = true;
    }

    /// How many versions and marks of deletion there are of what begins with `prefix`.
    pub(crate) fn versions(&self, prefix: &str) -> usize {
        self.inner().shelves.versions_of(prefix)
    }

    /// Turns Live Read off: live reads of open uploads are answered 404.
    pub(crate) fn without_live_read(&self) {
        self.inner().shelves.live_read = false;
    }
}

impl HttpConnector for Shelf {
    fn call(&self, request: Request) -> HttpConnectorFuture {
        let wants = Asked::read(&request);
        let reply = {
            let mut inner = self.inner();
            inner.asked.push(wants.clone());
            inner.script.as_mut().map_or(Reply::Honest, |script| script(&wants, 0))
        };
        let hold = self.clone();
        HttpConnectorFuture::new(async move {
            let honest = || hold.inner().shelves.answer(&wants);
            let broken = || ConnectorError::io("the connection broke".into());
            let (status, headers, body) = match reply {
                Reply::Honest => honest(),
                Reply::Late(after) => {
                    tokio::time::sleep(after).await;
                    honest()
                }
                Reply::Status(status, code) => shelf::refusal(status, code),
                Reply::Raw(status, headers, body) => (status, headers, body),
                Reply::Silent => std::future::pending().await,
                Reply::Stray(after) => {
                    let (hold, wants) = (hold.clone(), wants.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        drop(hold.inner().shelves.answer(&wants));
                    });
                    std::future::pending().await
                }
                Reply::Torn(at) => {
                    let mut torn = wants.clone();
                    torn.body = torn.body.slice(..at.min(torn.body.len()));
                    hold.inner().shelves.answer(&torn);
                    return Err(broken());
                }
                Reply::Lost => {
                    honest();
                    return Err(broken());
                }
                Reply::Unreachable => return Err(broken()),
                Reply::Panic => panic!("a panic that the test asked for"),
                Reply::Cut(at) => {
                    let (status, mut headers, body) = honest();
                    headers.push(("content-length", body.len().to_string()));
                    return answer(status, headers, cut_body(body.slice(..at.min(body.len()))));
                }
            };
            let mut headers = headers;
            if !headers.iter().any(|(name, _)| *name == "content-length") {
                headers.push(("content-length", body.len().to_string()));
            }
            let body = if wants.op == Op::Head { Bytes::new() } else { body };
            answer(status, headers, SdkBody::from(body))
        })
    }
}

fn answer(status: u16, headers: Vec<(&'static str, String)>, body: SdkBody) -> Result<HttpResponse, ConnectorError> {
    let wrong = |error: String| ConnectorError::other(error.into(), None);
    let status = StatusCode::try_from(status).map_err(|error| wrong(error.to_string()))?;
    let mut response = HttpResponse::new(status, body);
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A body that breaks after its bytes.
fn cut_body(bytes: Bytes) -> SdkBody {
    struct Breaks(Option<Bytes>);
    impl http_body::Body for Breaks {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let next = self.0.take().filter(|bytes| !bytes.is_empty());
            let broken = || Err(std::io::ErrorKind::ConnectionReset.into());
            std::task::Poll::Ready(Some(next.map_or_else(broken, |bytes| Ok(http_body::Frame::data(bytes)))))
        }
    }
    SdkBody::from_body_1_x(Breaks(Some(bytes)))
}

impl Asked {
    fn read(request: &HttpRequest) -> Self {
        let uri = request.uri();
        let rest = uri.split_once("store.test").map_or(uri, |(_, rest)| rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| {
                let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
                (found == name).then(|| plain(value))
            })
        };
        let header = |name: &str| request.headers().get(name);
        let op = match (request.method(), key.is_empty()) {
            ("POST", _) if parameter("uploads").is_some() => Op::Create,
            ("POST", _) if parameter("delete").is_some() => Op::DeleteMany,
            ("POST", _) => Op::Complete,
            ("PUT", _) if header("x-amz-copy-source").is_some() => Op::CopyPart,
            ("PUT", _) if parameter("partNumber").is_some() => Op::PutPart,
            ("PUT", _) => Op::Put,
            ("DELETE", _) if parameter("uploadId").is_none() => Op::Delete,
            ("DELETE", _) => Op::Abort,
            ("HEAD", _) => Op::Head,
            (_, true) if parameter("uploads").is_some() => Op::Uploads,
            (_, true) if parameter("versions").is_some() => Op::Versions,
            (_, true) => Op::Objects,
            _ if parameter("uploadId").is_some() => Op::Parts,
            _ => Op::Get,
        };
        let range = header("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Self {
            op,
            key: if key.is_empty() { parameter("prefix").unwrap_or_default() } else { plain(key) },
            version: parameter("uploadId").or_else(|| parameter("versionId")),
            part: parameter("partNumber").and_then(|number| number.parse().ok()),
            range,
            live: header(crate::protocol::live_read::ENABLED_HEADER).is_some(),
            headers: request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            delimited: parameter("delimiter").is_some(),
            token: parameter("continuation-token"),
            body: Bytes::copy_from_slice(request.body().bytes().unwrap_or_default()),
            declared_part_size: header(crate::protocol::live_read::PART_SIZE_HEADER).and_then(|size| size.parse().ok()),
        }
    }
}

/// Undoes percent-encoding.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = std::str::from_utf8(tail.get(..2).unwrap_or_default()).ok();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::part::{PartNumber, PartSize};
    use crate::store::{Beginning, Fetched, Piece};

    const RANGE: Piece = Piece::Range { first: 0, last: 99 };

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_read_while_it_grows_and_after() {
        let (store, shelf) = store();
        let size = PartSize::new(5_000_000).expect("a part size");
        let live = Beginning { live_read: Some(size), ..Beginning::default() };
        let id = store.create_upload("a b.mp4", live).await.expect("it is started");
        assert!(matches!(store.fetch("a b.mp4", Some(&id), RANGE, true).await, Ok(Fetched::NotYet)));
        let first = PartNumber::FIRST;
        let etag =
            store.put_part("a b.mp4", &id, first, Bytes::from_static(b"hello"), Duration::MAX).await.expect("put");
        assert_eq!(store.parts("a b.mp4", &id).await.expect("listed").len(), 1);
        assert_eq!(store.open_uploads("a b.mp4").await.expect("listed")[0].id, id);
        assert!(store.head("a b.mp4", None).await.expect("answered").is_none());
        let Ok(Fetched::Data(mut body)) = store.fetch("a b.mp4", Some(&id), RANGE, true).await else {
            panic!("no data")
        };
        assert_eq!(body.next().await.expect("whole").as_deref(), Some(&b"hello"[..]));
        store.complete_upload("a b.mp4", &id, &[(first, etag)]).await.expect("complete");
        assert_eq!(store.head("a b.mp4", None).await.expect("answered").map(|head| head.size), Some(5));
        assert_eq!(shelf.object("a b.mp4").as_deref(), Some(&b"hello"[..]));
        assert!(store.open_uploads("a b.mp4").await.expect("listed").is_empty());
        assert_eq!((shelf.count(Op::Create), shelf.count(Op::Complete), shelf.asked().len()), (1, 1, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_script_can_refuse_cut_lose_and_delay() {
        let (store, shelf) = store();
        let id = shelf.begin("k", 5_000_000);
        shelf.put(&id, 1, &b"hello"[..]);
        shelf.script(|asked, nth| match (asked.op, nth) {
            (Op::Get, 0) => Reply::Cut(2),
            (Op::Get, 1) => Reply::Silent,
            (Op::Head, 0) => Reply::Status(503, "SlowDown"),
            (Op::Abort, 0) => Reply::Lost,
            _ => Reply::Honest,
        });
        let Ok(Fetched::Data(mut body)) = store.fetch("k", Some(&id), RANGE, true).await else { panic!("no data") };
        assert_eq!(body.next().await.expect("two bytes").as_deref(), Some(&b"he"[..]));
        assert!(body.next().await.is_err());
        let silent = store.fetch("k", Some(&id), RANGE, true).await.expect_err("no answer");
        assert!(silent.cause.contains("no answer within"), "{silent}");
        assert_eq!(store.head("k", None).await.expect_err("busy").status, Some(503));
        store.abort_upload("k", &id).await.expect_err("the answer is lost");
        assert!(shelf.open("k").is_empty());
    }
}
