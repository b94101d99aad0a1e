//! Where a browser finds an object, if it may read it. Pure.

use crate::protocol::escape;

/// How the buckets of a store are addressed.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// The endpoint; `None`: Amazon's own.
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    /// Whether the bucket stands in the path, and not in front of the host.
    pub(super) by_path: bool,
}

impl Addresses {
    /// The address of an object.
    pub(super) fn of(&self, bucket: &str, key: &str) -> String {
        let amazon = || format!("https://s3.{}.amazonaws.com", self.region);
        let endpoint = self.endpoint.clone().unwrap_or_else(amazon);
        let (bucket, key) = (escape::segment(bucket), escape::path(key));
        match endpoint.split_once("://").filter(|_| !self.by_path) {
            Some((scheme, host)) => format!("{scheme}://{bucket}.{host}/{key}"),
            None => format!("{endpoint}/{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_where_browsers_look_for_it() {
        let of = |endpoint: Option<&str>, by_path| {
            let endpoint = endpoint.map(str::to_owned);
            Addresses { endpoint, region: "eu-west-1".to_owned(), by_path }.of("tv", "a b/live.m3u8")
        };
        assert_eq!(of(None, false), "https://tv.s3.eu-west-1.amazonaws.com/a%20b/live.m3u8");
        let backblaze = Some("https://s3.us-west-004.backblazeb2.com");
        assert_eq!(of(backblaze, false), "https://tv.s3.us-west-004.backblazeb2.com/a%20b/live.m3u8");
        assert_eq!(of(Some("http://127.0.0.1:9000"), true), "http://127.0.0.1:9000/tv/a%20b/live.m3u8");
    }
}
