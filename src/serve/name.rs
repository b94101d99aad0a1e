//! What a URL names: a bucket, a key and a version, each decoded once. Pure.

use percent_encoding::percent_decode_str;

use crate::protocol::key::MAX_KEY;
use crate::protocol::live_objects::Prefix;

/// The longest version that can be asked for.
const MAX_VERSION: usize = 1_024;

/// Why nothing can be read under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// 400: in words.
    Wrong(&'static str),
    /// 403: this bucket is not served.
    Bucket,
    /// 404: what the tools keep for themselves.
    Reserved,
}

/// Which names may be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The first is meant where none is named.
    pub(crate) buckets: Vec<String>,
    /// What the names of live objects begin with.
    pub(crate) live: Prefix,
}

/// The parameters of a query, decoded; of those that are given twice none can be meant.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    text: &'a str,
    bucket: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(query: Option<&'a str>) -> Self {
        Self { text: query.unwrap_or_default(), bucket: None }
    }

    /// The same, with the bucket that is meant where it names none.
    pub(crate) fn within(self, bucket: Option<&'a str>) -> Self {
        Self { bucket, ..self }
    }

    /// The bucket that it names, or that is meant.
    pub(crate) fn bucket(&self) -> Result<Option<String>, Unnamed> {
        Ok(self.get("bucket")?.or_else(|| self.bucket.map(str::to_owned)))
    }

    /// The value of a parameter, in which `+` is a blank, as in a form.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Unnamed> {
        let mut values = self.text.split('&').filter_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (found == name).then_some(value)
        });
        let value = values.next();
        if values.next().is_some() {
            return Err(Unnamed::Wrong("a parameter of the query is given twice"));
        }
        value.map(|value| decoded(&value.replace('+', " "))).transpose()
    }
}

/// Where the URLs in a manifest lead, as seen from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Which version it is, as it is written in a path.
    pub(crate) version: &'a str,
    /// Ends each URL.
    pub(crate) suffix: &'a str,
}

/// Undoes percent-encoding, once.
pub(crate) fn decoded(text: &str) -> Result<String, Unnamed> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| Unnamed::Wrong("the URL is not encoded UTF-8"))?.into_owned())
}

/// The key and the version that `KEY/VERSION` names; none where one of them is missing.
pub(crate) fn key_and_version(folder: &str) -> Result<Option<(String, String)>, Unnamed> {
    let two = folder.rsplit_once('/').filter(|(key, _)| !key.is_empty());
    two.map(|(key, version)| Ok((decoded(key)?, decoded(version)?))).transpose()
}

/// A number as it is written in one way only, so that a cache keeps what it names once.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

impl Names {
    /// The bucket that is named, or the first.
    pub(crate) fn bucket(&self, named: Option<&str>) -> Result<&str, Unnamed> {
        let found = match named {
            None => self.buckets.first(),
            Some(named) => self.buckets.iter().find(|bucket| *bucket == named),
        };
        found.map(String::as_str).ok_or(Unnamed::Bucket)
    }

    /// Whether a decoded key may be read.
    pub(crate) fn check(&self, key: &str) -> Result<(), Unnamed> {
        if key.trim().is_empty() {
            return Err(Unnamed::Wrong("the URL names no key"));
        }
        if key.len() > MAX_KEY {
            return Err(Unnamed::Wrong("a key has at most 1024 bytes"));
        }
        if key.chars().any(char::is_control) {
            return Err(Unnamed::Wrong("a key here has no control characters"));
        }
        // On its way such a key could come to mean another, even one of another bucket.
        if key.split(['/', '\\']).any(|name| matches!(name, "." | "..")) {
            return Err(Unnamed::Wrong("a key here has no . or .. between slashes"));
        }
        if self.is_reserved(key) { Err(Unnamed::Reserved) } else { Ok(()) }
    }

    fn is_live_object(&self, key: &str) -> bool {
        key.strip_prefix(self.live.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Where a list goes on after `key`: behind all live objects where it is one of them.
    pub(crate) fn after_reserved(&self, key: String) -> String {
        // Their names begin with letters and digits, which come before this.
        if self.is_live_object(&key) { format!("{}/\u{fffd}", self.live.as_str()) } else { key }
    }

    /// Whether it is one that the tools make for themselves.
    fn is_reserved(&self, key: &str) -> bool {
        let name = key.rsplit('/').next().unwrap_or(key);
        self.is_live_object(key) || key.contains(".renditions/") || name.contains(".tail-check-")
    }
}

/// A version that can be asked for.
pub(crate) fn version(text: Option<String>) -> Result<Option<String>, Unnamed> {
    let sound = |text: &String| text.len() <= MAX_VERSION && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.filter(|text| !text.is_empty()) {
        Some(text) if !sound(&text) => Err(Unnamed::Wrong("there is no such version")),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { buckets: vec!["one".to_owned(), "two".to_owned()], live: Prefix::default() }
    }

    #[test]
    fn a_key_is_decoded_once() {
        for (query, key) in [
            ("v=a.mp4", "a.mp4"),
            ("bucket=x&v=shows%2Fa+b%2B.mp4&other=1", "shows/a b+.mp4"),
            ("v=%252e%252e%252fa", "%2e%2e%2fa"),
            ("v=%C3%A9", "\u{e9}"),
            ("v=100%", "100%"),
        ] {
            let key_of = Query::new(Some(query)).get("v").expect("a key").expect("a value");
            assert_eq!(key_of, key, "{query}");
            assert_eq!(names().check(&key_of), Ok(()), "{query}");
        }
        assert_eq!(Query::new(Some("b=1")).get("v"), Ok(None));
        assert_eq!(Query::new(None).get("v"), Ok(None));
        for (query, bucket) in [("bucket=c", "c"), ("bucket=", ""), ("v=x", "b")] {
            assert_eq!(Query::new(Some(query)).within(Some("b")).bucket(), Ok(Some(bucket.to_owned())), "{query}");
        }
        assert_eq!(Query::new(Some("v=x")).bucket(), Ok(None));
        for query in ["v=a&v=b", "v=%c0%ae%c0%ae", "v=%ff"] {
            assert!(matches!(Query::new(Some(query)).get("v"), Err(Unnamed::Wrong(_))), "{query}");
        }
    }

    #[test]
    fn hostile_keys_are_refused_and_reserved_ones_are_not_there() {
        let long = "k".repeat(1_025);
        for key in ["", " ", "..", "../x", "a/../b", "a/..", "./a", "a\\..\\b", "a\0b", "a\r\nb", "a\x7fb", &long] {
            assert!(matches!(names().check(key), Err(Unnamed::Wrong(_))), "{key:?}");
        }
        for key in ["_live/x", "_live/", "live.m3u8.renditions/a", "a.mp4.tail-check-17"] {
            assert_eq!(names().check(key), Err(Unnamed::Reserved), "{key}");
        }
        for key in
            ["a//b", "/a", "a..b", "..a", "x_live/a", "_live", "_lively/a", "live/renditions/a", &"k".repeat(1_024)]
        {
            assert_eq!(names().check(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn no_bucket_is_reached_but_those_that_are_served() {
        assert_eq!(names().bucket(None), Ok("one"));
        assert_eq!(names().bucket(Some("two")), Ok("two"));
        for other in ["", "three", "ONE", "one/x", "../one"] {
            assert_eq!(names().bucket(Some(other)), Err(Unnamed::Bucket), "{other}");
        }
    }

    #[test]
    fn versions_are_printable_and_short() {
        assert_eq!(version(Some("4_z27".to_owned())), Ok(Some("4_z27".to_owned())));
        assert_eq!(version(Some(String::new())), Ok(None));
        assert!(version(Some("a b".to_owned())).is_err() && version(Some("v".repeat(1_025))).is_err());
    }
}
