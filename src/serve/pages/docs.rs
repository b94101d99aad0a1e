//! `/docs`: the description of the interface as a page, out of the same document that programs get. It loads nothing from elsewhere.

use serde_json::Value;

use super::html;
use super::openapi;
use crate::tool::interface_page::{self, Look};

const LOOK: Look = Look {
    title: "The gateway's interface",
    head: "<link rel=\"icon\" href=\"page/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"page/front.css\">\n",
    foot: "<footer><a href=\"./\">What there is</a></footer>\n",
    needs: right,
};

/// The page.
pub(crate) fn page() -> String {
    interface_page::page(&openapi::document(), &LOOK)
}

fn right(operation: &Value) -> String {
    match operation["x-right"].as_str() {
        Some(right) => format!("Needs the right <code>{}</code>.", html::text(right)),
        None => "Open to everybody.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_of_it_and_loads_nothing_from_elsewhere() {
        let page = page();
        for wanted in ["<code>/watch</code>", "<span class=\"method\">PUT</span>", "Needs the right <code>write</code>"]
        {
            assert!(page.contains(wanted), "{wanted}");
        }
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"), "{page}");
    }
}
