//! What is sent compressed, to those who take that.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap};

/// Text compressed, the more the longer it takes (0 to 9); nothing where that cannot be done, which never happens in memory.
pub(crate) fn gzip(text: &[u8], level: u32) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(level));
    let written = gzip.write_all(text).and_then(|()| gzip.finish());
    written.map(Bytes::from).unwrap_or_default()
}

/// Whether a client takes what is compressed.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|accepted| accepted.to_str().ok());
    accepted.flat_map(|accepted| accepted.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let refused =
            quality.trim().to_ascii_lowercase().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_who_says_so_gets_what_is_compressed() {
        for (accepted, want) in [
            ("gzip, deflate", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, identity", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(takes_gzip(&headers), want, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
