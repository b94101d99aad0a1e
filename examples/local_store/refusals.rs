//! What Backblaze B2 refuses before it looks at the request itself: integrity headers, ranges that are none, signatures
//! for another region, links for longer than a week.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Response, StatusCode, request};
use s3s::S3Error;
use s3s::dto::Range;

use crate::errors;
use crate::operation::Operation;
use crate::text::percent_decode;

/// The longest time for which a presigned URL may be good.
const WEEK: u64 = 7 * 24 * 3600;
/// B2 and S3 want to know that these bodies are whole.
const HASHED: [&str; 3] = ["PutBucketCors", "PutBucketLifecycleConfiguration", "DeleteObjects"];

/// The refusal of a request, if B2 would refuse it. `region`: that of the store.
pub fn refusal(
    head: &request::Parts,
    operation: &Operation,
    region: &str,
) -> Option<Result<Response<s3s::Body>, S3Error>> {
    if let Some(wrong) = signing_region(head).filter(|signed| signed != region) {
        return Some(Ok(wrong_region(&head.method, &wrong, region)));
    }
    let error = unsupported_header(&head.headers)
        .or_else(|| bad_range(&head.headers, operation))
        .or_else(|| expires_too_late(head))
        .or_else(|| without_hash(&head.headers, operation))?;
    Some(error.to_http_response())
}

/// B2 takes none of the integrity headers that AWS SDKs send unless they are told otherwise.
fn unsupported_header(headers: &HeaderMap) -> Option<S3Error> {
    let fixed = ["x-amz-sdk-checksum-algorithm", "x-amz-trailer"].into_iter().find(|name| headers.contains_key(*name));
    let checksum = || headers.keys().map(HeaderName::as_str).find(|name| name.starts_with("x-amz-checksum-"));
    let trailer = || {
        let hash = headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().ends_with(b"-TRAILER"));
        hash.then_some("x-amz-content-sha256")
    };
    let name = fixed.or_else(checksum).or_else(trailer)?;
    Some(errors::invalid_argument(format!("Unsupported header '{name}' received for this API call.")))
}

fn bad_range(headers: &HeaderMap, operation: &Operation) -> Option<S3Error> {
    if !matches!(operation.name, "GetObject" | "HeadObject") {
        return None;
    }
    let range = headers.get(header::RANGE)?;
    let understood = range.to_str().is_ok_and(|range| Range::parse(range).is_ok());
    (!understood).then(|| errors::invalid_argument("The Range header is not valid."))
}

/// The region that the signature is for, in the header or in the query.
fn signing_region(head: &request::Parts) -> Option<String> {
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match authorization {
        Some(text) => text.split_once("Credential=")?.1.split([',', ' ']).next()?.to_owned(),
        None => in_query(head, "X-Amz-Credential")?,
    };
    // ACCESS-KEY/DATE/REGION/s3/aws4_request, and an access key may have a slash in it.
    credential.rsplit('/').nth(2).map(str::to_owned)
}

fn in_query(head: &request::Parts, name: &str) -> Option<String> {
    let mut pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| percent_decode(value))
}

fn wrong_region(method: &Method, signed: &str, region: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>The \
         authorization header is malformed; the region '{}' is wrong; expecting '{region}'</Message><Region>{region}\
         </Region></Error>",
        signed.replace(['<', '>', '&'], "?"),
    );
    let body = if method == Method::HEAD { s3s::Body::empty() } else { s3s::Body::from(text) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    if let Ok(region) = region.parse() {
        response.headers_mut().insert("x-amz-bucket-region", region);
    }
    response
}

fn expires_too_late(head: &request::Parts) -> Option<S3Error> {
    let seconds = in_query(head, "X-Amz-Expires")?;
    // What is no number is refused further on.
    seconds.parse::<u64>().is_ok_and(|seconds| seconds > WEEK).then(|| {
        errors::custom(
            StatusCode::BAD_REQUEST,
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             604800 seconds",
        )
    })
}

fn without_hash(headers: &HeaderMap, operation: &Operation) -> Option<S3Error> {
    (HASHED.contains(&operation.name) && !headers.contains_key("content-md5")).then(|| {
        let message = "Missing required header for this request: Content-MD5";
        errors::custom(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    })
}
