//! `/page/NAME`: scripts, styles and hls.js, as they are in the program.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode, request};
use sha2::{Digest, Sha256};

use crate::serve::body::Body;
use crate::serve::gateway::status;
use crate::serve::gzip::{gzip, takes_gzip};
use crate::serve::refusal::Refusal;
use crate::serve::reply::whole;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!("../../../page/", $name))
    };
}

/// Names, types and bytes.
const ASSETS: [(&str, &str, &str); 17] = [
    ("languages.js", SCRIPT, page!("languages.js")),
    ("stream.js", SCRIPT, page!("stream.js")),
    ("trouble.js", SCRIPT, page!("trouble.js")),
    ("request.js", SCRIPT, page!("request.js")),
    ("loader.js", SCRIPT, page!("loader.js")),
    ("follow.js", SCRIPT, page!("follow.js")),
    ("play.js", SCRIPT, page!("play.js")),
    ("moment.js", SCRIPT, page!("moment.js")),
    ("view.js", SCRIPT, page!("view.js")),
    ("pictures.js", SCRIPT, page!("pictures.js")),
    ("panels.js", SCRIPT, page!("panels.js")),
    ("hands.js", SCRIPT, page!("hands.js")),
    ("page.css", STYLE, page!("page.css")),
    ("icon.svg", "image/svg+xml", page!("icon.svg")),
    ("hls.light.min.js", SCRIPT, page!("vendor/hls.light.min.js")),
    ("front.js", SCRIPT, page!("front.js")),
    ("front.css", STYLE, page!("front.css")),
];

/// How hard they are compressed: once each, for whoever asks first.
const LEVEL: u32 = 9;

/// An asset in one of its two forms.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: String,
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        Self { tag: format!("\"{}\"", hex::encode(digest.get(..8).unwrap_or_default())), bytes }
    }
}

/// As it is, and compressed.
fn forms(at: usize) -> Option<&'static (Form, Form)> {
    static MADE: [OnceLock<(Form, Form)>; ASSETS.len()] = [const { OnceLock::new() }; ASSETS.len()];
    let (_, _, text) = ASSETS.get(at)?;
    let make = || (Form::new(Bytes::from_static(text.as_bytes())), Form::new(gzip(text.as_bytes(), LEVEL)));
    MADE.get(at).map(|made| made.get_or_init(make))
}

/// Answers `/page/NAME`.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn asset(name: &str, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let at = ASSETS.iter().position(|(known, ..)| *known == name);
    let found = at.and_then(|at| ASSETS.get(at).zip(forms(at)));
    let ((_, kind, _), (plain, zipped)) = found.ok_or_else(Refusal::not_there)?;
    let is_zipped = !zipped.bytes.is_empty() && takes_gzip(&parts.headers);
    let form = if is_zipped { zipped } else { plain };
    let is_known = is_known(&parts.headers, &form.tag);
    let mut answer = if is_known { status(StatusCode::NOT_MODIFIED) } else { whole(kind, form.bytes.clone(), parts) };
    let headers = answer.headers_mut();
    // Another version of the program has others.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_zipped && !is_known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(&form.tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(answer)
}

/// Whether the client has it.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn ask(name: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        asset(name, &request.body(()).expect("a request").into_parts().0).expect("an asset")
    }

    #[test]
    fn who_takes_gzip_gets_the_same_in_less_under_a_tag_of_its_own() {
        for (at, (name, kind, text)) in ASSETS.iter().enumerate() {
            let (plain, zipped) = (ask(name, &[]), ask(name, &[("accept-encoding", "gzip, br")]));
            let header = |of: &Response<Body>, name: header::HeaderName| {
                of.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
            };
            for answer in [&plain, &zipped] {
                assert_eq!(header(answer, header::VARY).as_deref(), Some("Accept-Encoding"));
                assert_eq!(header(answer, header::CONTENT_TYPE).as_deref(), Some(*kind));
            }
            assert_eq!(header(&plain, header::CONTENT_ENCODING), None);
            assert_eq!(header(&zipped, header::CONTENT_ENCODING).as_deref(), Some("gzip"));
            assert_eq!(header(&plain, header::CONTENT_LENGTH), Some(text.len().to_string()));
            let (_, form) = forms(at).expect("forms");
            assert_eq!(header(&zipped, header::CONTENT_LENGTH), Some(form.bytes.len().to_string()));
            assert!(form.bytes.len() < text.len(), "{name}: {} of {}", form.bytes.len(), text.len());
            let mut all = String::new();
            flate2::read::GzDecoder::new(&form.bytes[..]).read_to_string(&mut all).expect("it can be read");
            assert_eq!(all, *text);
            let tags = [&plain, &zipped].map(|answer| header(answer, header::ETAG).expect("a tag"));
            assert_ne!(tags[0], tags[1]);
            // What a client has is the one or the other.
            for (tag, takes, want) in [(0, "", 304), (1, "gzip", 304), (0, "gzip", 200), (1, "", 200)] {
                let answer = ask(name, &[("accept-encoding", takes), ("if-none-match", &tags[tag])]);
                assert_eq!(answer.status(), want, "{name} {tag} {takes}");
                assert_eq!(header(&answer, header::CONTENT_ENCODING).is_some(), takes == "gzip" && want == 200);
            }
        }
    }

    #[test]
    fn the_page_finds_all_that_it_names() {
        let page = include_str!("../../../index.html");
        let named: Vec<_> = page.split("\"page/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named.len(), 14, "{named:?}");
        for name in named {
            assert!(ASSETS.iter().any(|(known, ..)| *known == name), "{name} is not in the program");
        }
        assert!(include_str!("../../../page/vendor/LICENSE").contains("Apache License"));
    }
}
