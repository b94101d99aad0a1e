//! What the headers of a request say about which bytes are wanted, and on which conditions. Pure.

use http::header::{self, HeaderMap, HeaderName};

use super::gateway::text;
use super::range::Ask;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// See the module.
#[derive(Debug)]
pub(crate) struct Conditions {
    range: Option<String>,
    if_range: Option<String>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    prefer: Option<String>,
}

impl Conditions {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // Several ranges in several lines are as good as none.
        let one = |name: &HeaderName| text(headers, name).filter(|_| headers.get_all(name).iter().count() == 1);
        Self {
            range: one(&header::RANGE),
            if_range: one(&header::IF_RANGE),
            if_match: text(headers, &header::IF_MATCH),
            if_none_match: text(headers, &header::IF_NONE_MATCH),
            prefer: text(headers, &PREFER),
        }
    }

    /// As what is decided on; `head`: of a HEAD.
    pub(crate) fn ask(&self, head: bool) -> Ask<'_> {
        Ask {
            head,
            range: self.range.as_deref(),
            if_range: self.if_range.as_deref(),
            if_match: self.if_match.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
            prefer: self.prefer.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_range_in_two_lines_is_none_and_conditions_are_a_list() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("range", "bytes=0-1"),
            ("if-none-match", "\"a\""),
            ("if-none-match", "\"b\""),
            ("prefer", "wait=5"),
            ("if-range", "\"a\""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let conditions = Conditions::of(&headers);
        let ask = conditions.ask(true);
        assert!(ask.head && ask.if_match.is_none());
        assert_eq!((ask.range, ask.if_range, ask.prefer), (Some("bytes=0-1"), Some("\"a\""), Some("wait=5")));
        assert_eq!(ask.if_none_match, Some("\"a\",\"b\""));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=5-6"));
        assert_eq!(Conditions::of(&headers).ask(false).range, None);
    }
}
