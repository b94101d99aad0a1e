//! The description of an interface (OpenAPI) as a page for people, which loads nothing that it is not told to. Pure.

use serde_json::Value;

use crate::human::html;

/// What pages differ in.
#[derive(Debug)]
pub struct Look {
    /// What it is called.
    pub title: &'static str,
    /// What stands in the head beside that, such as a style.
    pub head: &'static str,
    /// What stands below.
    pub foot: &'static str,
    /// Who may do what is described so, in a sentence.
    pub needs: fn(&Value) -> String,
}

/// The page.
#[must_use]
pub fn page(document: &Value, look: &Look) -> String {
    let Look { title, head, foot, .. } = look;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n{head}</head>\n<body>\n\
         <header><h1>{title}</h1></header>\n\
         <main>\n<p>For programs: <a href=\"openapi.json\">openapi.json</a>. Answers of 4xx and 5xx are one sentence.</p>\n",
    );
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in
            operations.as_object().into_iter().flatten().filter(|(name, _)| *name != "parameters")
        {
            page.push_str(&article(document, (path, &operations["parameters"]), (method, operation), look.needs));
        }
    }
    [page.as_str(), "</main>\n", foot, "</body>\n</html>\n"].concat()
}

fn article(
    document: &Value,
    (path, of_path): (&str, &Value),
    (method, operation): (&str, &Value),
    needs: fn(&Value) -> String,
) -> String {
    let text = |value: &Value| html::text(value.as_str().unwrap_or_default());
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let mut rows = String::new();
    for one in all(of_path).iter().chain(&all(&operation["parameters"])) {
        let one = resolved(document, one);
        let must = if one["required"] == true { ", required" } else { "" };
        let (name, place) = (text(&one["name"]), text(&one["in"]));
        rows.push_str(&row(&format!("<code>{name}</code>"), &format!("{place}{must}"), &text(&one["description"])));
    }
    let body = resolved(document, &operation["requestBody"]["content"]["application/json"]["schema"]);
    for (name, field) in body["properties"].as_object().into_iter().flatten() {
        let must = if all(&body["required"]).iter().any(|required| required == name) { ", required" } else { "" };
        let name = format!("<code>{}</code>", html::text(name));
        rows.push_str(&row(&name, &format!("body{must}"), &meaning(field)));
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let status = if status == "default" { "4xx, 5xx" } else { status };
        rows.push_str(&row(&html::text(status), "answer", &text(&resolved(document, answer)["description"])));
    }
    format!(
        "<article>\n<h2><span class=\"method\">{}</span> <code>{}</code></h2>\n<p>{}. {}</p>\n\
         <table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Where</th><th scope=\"col\">Means</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</article>\n",
        method.to_uppercase(),
        html::text(path),
        text(&operation["summary"]),
        needs(operation)
    )
}

fn row(what: &str, place: &str, means: &str) -> String {
    format!("<tr><th scope=\"row\">{what}</th><td>{place}</td><td>{means}</td></tr>\n")
}

/// What a field means, or at least what it looks like.
fn meaning(field: &Value) -> String {
    let described = field["description"].as_str().map(html::text);
    described.unwrap_or_else(|| match (field["format"].as_str(), field["type"].as_str()) {
        (Some("date-time"), _) => "A time such as 2026-12-31T00:00:00Z".to_owned(),
        (_, Some(kind)) => html::text(kind),
        _ => String::new(),
    })
}

/// What a reference leads to; anything else itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_it_is_on_the_page_and_references_are_followed() {
        let document = json!({
            "paths": { "/a/{id}": {
                "parameters": [{ "$ref": "#/components/parameters/id" }],
                "post": {
                    "summary": "Does <it>",
                    "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                    "responses": { "200": { "description": "Done" }, "default": { "$ref": "#/components/responses/No" } }
                }
            } },
            "components": {
                "parameters": { "id": { "name": "id", "in": "path", "required": true } },
                "responses": { "No": { "description": "Why not" } },
                "schemas": { "New": { "required": ["name"], "properties": {
                    "name": { "type": "string", "description": "Its name" }, "until": { "format": "date-time" }
                } } }
            }
        });
        let look =
            Look { title: "T", head: "<style></style>\n", foot: "<footer></footer>\n", needs: |_| "Open.".to_owned() };
        let page = page(&document, &look);
        for wanted in [
            "<span class=\"method\">POST</span> <code>/a/{id}</code></h2>\n<p>Does &lt;it&gt;. Open.</p>",
            "<code>id</code></th><td>path, required</td>",
            "<code>name</code></th><td>body, required</td><td>Its name</td>",
            "<code>until</code></th><td>body</td><td>A time such as",
            "4xx, 5xx</th><td>answer</td><td>Why not</td>",
            "<style></style>",
            "<footer></footer>",
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
    }
}
