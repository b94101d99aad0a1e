//! Bounds the bodies of answers, and sees to it that those which hold a document hold all of it.
//!
//! Everything passes here but the bytes of objects, which their readers count themselves. The SDK's parser takes a list
//! that breaks off for a shorter list; a reader would then see an upload vanish.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat, SdkBody};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The most that a list may have: a thousand entries with keys of 1,024 bytes, each written as `&#x..;`, are 6 MB.
const DOCUMENT_MAX: u64 = 16 << 20;

/// The most that is read of an error, and of what should have no body.
pub(super) const ERROR_MAX: u64 = 1 << 20;

/// How much is kept of the beginning and of the end of a document.
const KEPT: usize = 1024;

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the answer ended before it was whole")]
    Cut,
    #[error("the answer has no end: more than {} MiB came", DOCUMENT_MAX >> 20)]
    TooLong,
    #[error("the answer is none of an S3 store")]
    Foreign,
}

/// What a success holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The bytes of an object.
    Bytes,
    /// A document.
    Document,
    /// Nothing.
    Nothing,
}

/// Looks at every answer.
#[derive(Debug)]
pub(super) struct Watch;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let holds = match config.load::<Metadata>().map(Metadata::name) {
            Some("GetObject") => Holds::Bytes,
            Some("DeleteObjects" | "UploadPartCopy") => Holds::Document,
            Some(name)
                if name.starts_with("List") || name.ends_with("MultipartUpload") && !name.starts_with("Abort") =>
            {
                Holds::Document
            }
            _ => Holds::Nothing,
        };
        let response = context.response_mut();
        let success = response.status().is_success();
        if success && is_page(response.headers()) {
            return Err(Fault::Foreign.into());
        }
        // The SDK takes an answer with a date that is none for no answer at all.
        let date = response.headers().get("last-modified");
        if date.is_some_and(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).is_err()) {
            response.headers_mut().remove("last-modified");
        }
        if success && holds == Holds::Bytes {
            return Ok(());
        }
        let document = success && holds == Holds::Document;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let limit = if document { DOCUMENT_MAX } else { ERROR_MAX };
        *response.body_mut() =
            SdkBody::from_body_1_x(Watched { body: Box::pin(body), ends: Ends::default(), document, limit });
        Ok(())
    }
}

/// Whether this is a web page that no store has sent: a store names each answer and each object.
pub(super) fn is_page(headers: &Headers) -> bool {
    let is_html = headers.get("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/html"));
    let signs = ["x-amz-request-id", "x-amzn-requestid", "x-amz-id-2", "x-amz-version-id", "etag", "content-range"];
    is_html && signs.iter().all(|name| headers.get(name).is_none())
}

/// A body on its way.
struct Watched {
    body: Pin<Box<SdkBody>>,
    ends: Ends,
    /// Whether it is to hold a document, and all of it.
    document: bool,
    limit: u64,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)?) else {
                let fault = if self.document { self.ends.fault() } else { None };
                return Poll::Ready(fault.map(|fault| Err(fault.into())));
            };
            let Ok(mut bytes) = frame.into_data() else { continue };
            if self.ends.length == 0 {
                // A store that takes minutes to complete sends white space meanwhile; a document may not begin with it.
                let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                drop(bytes.split_to(blank));
            }
            if bytes.is_empty() {
                continue;
            }
            let room = usize::try_from(self.limit.saturating_sub(self.ends.length)).unwrap_or(usize::MAX);
            if self.document {
                bytes = renamed(bytes);
            }
            self.ends.see(&bytes);
            if bytes.len() > room {
                self.body = Box::pin(SdkBody::empty());
                if self.document {
                    return Poll::Ready(Some(Err(Fault::TooLong.into())));
                }
                // Of an error the beginning is enough.
                bytes.truncate(room);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// moto gives the list of parts another root than S3, and the SDK looks for that of S3.
fn renamed(bytes: Bytes) -> Bytes {
    let (theirs, right) = (&b"ListPartsResponse"[..], &b"ListPartsResult"[..]);
    let mut renamed = Vec::new();
    let mut rest = &bytes[..];
    while let Some(at) = rest.windows(theirs.len()).position(|window| window == theirs) {
        let (before, after) = rest.split_at(at);
        renamed.extend_from_slice(before);
        renamed.extend_from_slice(right);
        rest = after.get(theirs.len()..).unwrap_or_default();
    }
    if renamed.is_empty() {
        return bytes;
    }
    renamed.extend_from_slice(rest);
    renamed.into()
}

/// The beginning and the end of a document.
#[derive(Debug, Default)]
pub(super) struct Ends {
    length: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    fn see(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len() as u64);
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let last = bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default();
        self.tail.extend_from_slice(last);
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
    }

    /// What is wrong with a document that begins and ends like this.
    fn fault(&self) -> Option<Fault> {
        let head = String::from_utf8_lossy(&self.head);
        let Some(root) = root(&head) else {
            // Not even the beginning of a document is that of one.
            let foreign = !head.is_empty() && !head.starts_with(['<', '\u{feff}']);
            return Some(if foreign { Fault::Foreign } else { Fault::Cut });
        };
        if root.eq_ignore_ascii_case("html") {
            return Some(Fault::Foreign);
        }
        (!closes(&String::from_utf8_lossy(&self.tail), root)).then_some(Fault::Cut)
    }
}

/// What is wrong with the body of an error, as far as it was read.
pub(super) fn error_fault(headers: &Headers, body: &[u8]) -> Option<Fault> {
    let mut ends = Ends::default();
    ends.see(body.trim_ascii_start());
    if body.len() as u64 >= ERROR_MAX {
        return Some(Fault::TooLong);
    }
    // Some stores answer in plain words; those have nothing to be whole.
    if !ends.head.starts_with(b"<") {
        return is_page(headers).then_some(Fault::Foreign);
    }
    ends.fault()
}

/// The name of the outermost element.
fn root(document: &str) -> Option<&str> {
    let mut rest = document.trim_start_matches('\u{feff}').trim_start();
    loop {
        let after = rest.strip_prefix('<')?;
        let end = if after.starts_with('?') {
            after.find("?>")? + 2
        } else if after.starts_with("!--") {
            after.find("-->")? + 3
        } else if after.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!doctype")) {
            let html = after.get(8..)?.trim_start().get(..4).is_some_and(|name| name.eq_ignore_ascii_case("html"));
            if html {
                return Some("html");
            }
            after.find('>')? + 1
        } else {
            let name = after.split(|char: char| char.is_whitespace() || matches!(char, '>' | '/')).next()?;
            // Without what comes after it, the name itself may have been cut.
            return (!name.is_empty() && name.len() < after.len()).then_some(name);
        };
        rest = after.get(end..)?.trim_start();
    }
}

/// Whether a document that ends like this has closed its outermost element.
fn closes(tail: &str, root: &str) -> bool {
    let mut tail = tail.trim_end();
    while let Some(before) = tail.strip_suffix("-->").and_then(|tail| tail.rfind("<!--").and_then(|at| tail.get(..at)))
    {
        tail = before.trim_end();
    }
    let Some(at) = tail.rfind('<') else { return false };
    let last = tail.get(at..).unwrap_or_default();
    let name = last.strip_suffix('>').unwrap_or_default();
    match name.strip_prefix("</") {
        Some(name) => name.trim_end() == root,
        // An element without content is its own end, if it is the outermost.
        None => name.ends_with('/') && name.strip_prefix('<').is_some_and(|name| name.starts_with(root)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a -->\n<ListPartsResult xmlns=\"http://s3\">\
        <IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber></Part></ListPartsResult >\n<!-- b -->\n";

    fn fault(text: &str) -> Option<Fault> {
        let mut ends = Ends::default();
        text.as_bytes().chunks(7).for_each(|bytes| ends.see(bytes));
        ends.fault()
    }

    #[test]
    fn the_root_of_a_list_of_parts_is_that_of_s3_whoever_sends_it() {
        let list = |root: &str| format!("<?xml version=\"1.0\"?><{root}><Key>k</Key></{root}>");
        for root in ["ListPartsResponse", "ListPartsResult"] {
            assert_eq!(renamed(list(root).into()), list("ListPartsResult"), "{root}");
        }
        assert_eq!(renamed(list("ListBucketResult").into()), list("ListBucketResult"));
    }

    #[test]
    fn a_document_is_whole_when_its_root_is_closed() {
        assert_eq!(fault(LIST), None);
        assert_eq!(fault("<ListPartsResult/>"), None);
        assert_eq!(fault("<a b=\"c\" />"), None);
        let long = format!("<List>{}</List>", "<Key>k</Key>".repeat(10_000));
        assert_eq!(fault(&long), None);
    }

    #[test]
    fn a_document_that_is_cut_anywhere_is_seen_to_be() {
        let end = LIST.find("<!-- b").expect("the end").saturating_sub(1);
        for at in 0..end {
            assert_eq!(fault(&LIST[..at]), Some(Fault::Cut), "{:?}", &LIST[..at]);
        }
    }

    #[test]
    fn a_page_is_no_document() {
        for page in
            ["<html><body>x</body></html>", "<!DOCTYPE html><p>", "<!doctype HTML>\n<html", "please log in", "{}"]
        {
            assert_eq!(fault(page), Some(Fault::Foreign), "{page}");
        }
    }

    #[test]
    fn errors_in_plain_words_are_taken_as_they_are() {
        let (mut page, mut store) = (Headers::new(), Headers::new());
        page.insert("content-type", "text/html; charset=utf-8");
        assert_eq!(error_fault(&page, b"no"), Some(Fault::Foreign));
        assert_eq!(error_fault(&page, b"<html>no</html>"), Some(Fault::Foreign));
        store.insert("content-type", "text/plain");
        assert_eq!(error_fault(&store, b"no"), None);
        assert_eq!(error_fault(&store, b""), None);
        assert_eq!(error_fault(&store, b"<Error><Code>NoSuchKey</Code></Error>"), None);
        assert_eq!(error_fault(&store, b"<Error><Code>NoSuchB"), Some(Fault::Cut));
        assert_eq!(error_fault(&store, &vec![b'<'; 1 << 20]), Some(Fault::TooLong));
    }
}
