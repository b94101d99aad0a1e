//! `/docs`: the description of the interface as a page, out of the same document that programs get. It loads nothing from elsewhere.

use serde_json::Value;

use super::html;
use super::openapi;

/// The page.
pub(crate) fn page() -> String {
    let document = openapi::document();
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>The gateway's interface</title>\n\
         <link rel=\"icon\" href=\"page/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"page/front.css\">\n</head>\n<body>\n<header><h1>The gateway's interface</h1></header>\n\
         <main>\n<p>For programs: <a href=\"openapi.json\">openapi.json</a>. Answers of 4xx and 5xx are one sentence.</p>\n",
    );
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            page.push_str(&article(path, method, operation));
        }
    }
    page.push_str("</main>\n<footer><a href=\"./\">What there is</a></footer>\n</body>\n</html>\n");
    page
}

fn article(path: &str, method: &str, operation: &Value) -> String {
    let text = |value: &Value| html::text(value.as_str().unwrap_or_default());
    let right = match operation["x-right"].as_str() {
        Some(right) => format!("Needs the right <code>{right}</code>."),
        None => "Open to everybody.".to_owned(),
    };
    let mut rows = String::new();
    for one in operation["parameters"].as_array().into_iter().flatten() {
        let must = if one["required"] == true { ", required" } else { "" };
        rows.extend([format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}{must}</td><td>{}</td></tr>\n",
            text(&one["name"]),
            text(&one["in"]),
            text(&one["description"])
        )]);
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        rows.extend([format!(
            "<tr><th scope=\"row\">{}</th><td>answer</td><td>{}</td></tr>\n",
            html::text(status),
            text(&answer["description"])
        )]);
    }
    format!(
        "<article>\n<h2><span class=\"method\">{}</span> <code>{}</code></h2>\n<p>{}. {right}</p>\n\
         <table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Where</th><th scope=\"col\">Means</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</article>\n",
        method.to_uppercase(),
        html::text(path),
        text(&operation["summary"])
    )
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
