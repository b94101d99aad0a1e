//! `writer --setup-cors`: the rule by which a browser may play what lies in the bucket, beside the rules that others made.
//!
//! AWS CLIs since 2025 cannot set it at Backblaze B2: they send a checksum header there that B2 refuses.

use crate::protocol::live_read::ENABLED_HEADER;
use crate::store::CorsRule;

/// By this name the rule is found again.
const ID: &str = "live-read-players";

/// An origin as browsers send it: `*`, or scheme, host and perhaps a port.
///
/// # Errors
/// What is wrong with it.
pub fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(host) = host else {
        return Err("give the scheme as well, as in https://www.example.com, or * for all pages".to_owned());
    };
    if let Some((host, rest)) = host.split_once('/') {
        let scheme = &text[..text.len() - host.len() - rest.len() - 1];
        return Err(format!("an origin has no path; give {scheme}{host}"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-:[]*".contains(c);
    if host.is_empty() || !host.chars().all(fits) || host.matches('*').count() > 1 {
        return Err("an origin is a scheme, a host and perhaps a port, as in https://www.example.com".to_owned());
    }
    // As browsers send it.
    Ok(text.to_ascii_lowercase())
}

/// The rules that there will be: those of others as they are, and ours for these origins. `None`: they are so already.
#[must_use]
pub fn wanted(there: &[CorsRule], origins: &[String]) -> Option<Vec<CorsRule>> {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let ours = CorsRule {
        id: Some(ID.to_owned()),
        origins: origins.to_vec(),
        methods: text(&["GET", "HEAD"]),
        headers: text(&["range", ENABLED_HEADER]),
        exposed: text(&["Content-Length", "Content-Range", "Date", "ETag"]),
        max_age: Some(3600),
    };
    let is_ours = |rule: &CorsRule| rule.id.as_deref() == Some(ID);
    if there.iter().filter(|rule| is_ours(rule)).eq([&ours]) {
        return None;
    }
    Some(there.iter().filter(|rule| !is_ours(rule)).cloned().chain([ours]).collect())
}

/// A rule in a line.
#[must_use]
pub fn show(rule: &CorsRule) -> String {
    let list = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    format!(
        "{}: pages of {} may send {} with the headers {}, and see {}",
        rule.id.as_deref().unwrap_or("a rule without a name"),
        list(&rule.origins),
        list(&rule.methods),
        list(&rule.headers),
        list(&rule.exposed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for good in
            ["*", "https://www.example.com", "http://localhost:8000", "https://*.example.com", "http://[::1]:80"]
        {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        assert_eq!(origin("https://WWW.Example.com").as_deref(), Ok("https://www.example.com"));
        let told = origin("https://www.example.com/").expect_err("a path");
        assert!(told.contains("give https://www.example.com"), "{told}");
        for bad in ["", "www.example.com", "https://", "https://a b", "https://*.*.com", "file:///x"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_rules_of_others_stay_and_ours_is_there_once() {
        let other = CorsRule { id: Some("other".to_owned()), origins: vec!["*".to_owned()], ..CorsRule::default() };
        let nameless = CorsRule { methods: vec!["PUT".to_owned()], ..CorsRule::default() };
        let origins = ["https://a.example".to_owned()];
        let first = wanted(&[other.clone(), nameless.clone()], &origins).expect("to be set");
        assert_eq!(first.len(), 3);
        assert_eq!(first[..2], [other, nameless]);
        assert_eq!(first[2].origins, origins);
        assert_eq!(wanted(&first, &origins), None, "as it is wanted");
        let both = [origins[0].clone(), "https://b.example".to_owned()];
        let second = wanted(&first, &both).expect("to be changed");
        assert_eq!((second.len(), &second[2].origins[..]), (3, &both[..]));
    }

    #[test]
    fn the_rule_is_the_one_that_is_in_the_documentation() {
        let text = include_str!("../../docs/backblaze/cors.json");
        let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let documented = &json["CORSRules"][0];
        let ours = wanted(&[], &["*".to_owned()]).expect("one").remove(0);
        assert_eq!(documented["ID"], ours.id.expect("a name"));
        assert_eq!(documented["AllowedHeaders"], serde_json::json!(ours.headers));
        assert_eq!(documented["AllowedMethods"], serde_json::json!(ours.methods));
        assert_eq!(documented["ExposeHeaders"], serde_json::json!(ours.exposed));
        assert_eq!(documented["MaxAgeSeconds"], serde_json::json!(ours.max_age));
    }
}
