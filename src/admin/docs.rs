//! `/docs`: the description of the interface as a page, which loads nothing at all.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde_json::Value;

use super::answer::{Answer, text};
use super::routes::DOCUMENT;
use crate::tool::interface_page::{self, Look};

const LOOK: Look = Look {
    title: "The writer's interface",
    head: concat!("<link rel=\"icon\" href=\"data:,\">\n<style>\n", include_str!("../../page/front.css"), "</style>\n"),
    foot: "",
    needs,
};
/// Its own style is all that it needs.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:");

/// The page.
pub(super) fn page() -> Answer {
    let document = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let mut answer = text(StatusCode::OK, "text/html; charset=utf-8", interface_page::page(&document, &LOOK));
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    answer
}

fn needs(operation: &Value) -> String {
    let open = operation["security"].as_array().is_some_and(Vec::is_empty);
    if open { "Open to everybody." } else { "Needs the token of --admin-token-file, where that is given." }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_of_it_and_loads_nothing_from_elsewhere() {
        let document = serde_json::from_str(DOCUMENT).expect("JSON");
        let page = interface_page::page(&document, &LOOK);
        for wanted in [
            "<span class=\"method\">PATCH</span> <code>/v1/streams/{id}</code>",
            "<code>max_bitrate</code></th><td>body</td>",
            "<code>stream</code></th><td>body, required</td>",
            "<code>key</code></th><td>path, required</td>",
            "Needs the token",
            "Open to everybody.",
        ] {
            assert!(page.contains(wanted), "{wanted}");
        }
        for loads in ["http:", "https:", "<script", "url(", "@import", " src="] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
