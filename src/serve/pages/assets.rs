//! `/page/NAME`: scripts, styles and hls.js, as they are in the program.

use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode, request};
use sha2::{Digest, Sha256};

use crate::serve::body::Body;
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
const ASSETS: [(&str, &str, &str); 16] = [
    ("languages.js", SCRIPT, page!("languages.js")),
    ("stream.js", SCRIPT, page!("stream.js")),
    ("trouble.js", SCRIPT, page!("trouble.js")),
    ("request.js", SCRIPT, page!("request.js")),
    ("loader.js", SCRIPT, page!("loader.js")),
    ("follow.js", SCRIPT, page!("follow.js")),
    ("play.js", SCRIPT, page!("play.js")),
    ("moment.js", SCRIPT, page!("moment.js")),
    ("view.js", SCRIPT, page!("view.js")),
    ("panels.js", SCRIPT, page!("panels.js")),
    ("hands.js", SCRIPT, page!("hands.js")),
    ("page.css", STYLE, page!("page.css")),
    ("icon.svg", "image/svg+xml", page!("icon.svg")),
    ("hls.light.min.js", SCRIPT, page!("vendor/hls.light.min.js")),
    ("front.js", SCRIPT, page!("front.js")),
    ("front.css", STYLE, page!("front.css")),
];

/// Answers `/page/NAME`.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn asset(name: &str, parts: &request::Parts) -> Result<Response<Body>, Refusal> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let (_, kind, text) = found.ok_or_else(Refusal::not_there)?;
    let tag = tag(text);
    let mut answer = if is_known(&parts.headers, &tag) {
        let mut answer = Response::new(Body::text(""));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        whole(kind, *text, parts)
    };
    let headers = answer.headers_mut();
    // Another version of the program has others.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(answer)
}

fn tag(text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("\"{}\"", hex::encode(digest.get(..8).unwrap_or_default()))
}

/// Whether the client has it.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_finds_all_that_it_names() {
        let page = include_str!("../../../index.html");
        let named: Vec<_> = page.split("\"page/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named.len(), 13, "{named:?}");
        for name in named {
            assert!(ASSETS.iter().any(|(known, ..)| *known == name), "{name} is not in the program");
        }
        assert!(include_str!("../../../page/vendor/LICENSE").contains("Apache License"));
    }
}
