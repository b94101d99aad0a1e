//! Percent-encoding (RFC 3986): all but the unreserved characters of section 2.3.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// As one segment of a path, or a value in a query: slashes are encoded, too.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// As a path: slashes stay.
#[must_use]
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_unreserved_characters_stay_and_slashes_in_paths() {
        assert_eq!(super::segment("a-._~Z9/ü %"), "a-._~Z9%2F%C3%BC%20%25");
        assert_eq!(super::path("a/b c+d"), "a/b%20c%2Bd");
    }
}
