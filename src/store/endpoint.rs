//! The address of a store as people write it, checked as far as that is possible without asking anybody.

use http::Uri;
use http::uri::Authority;

/// An endpoint that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// With a scheme, and nothing but a path behind the host and the port.
    pub(super) url: String,
    host: String,
    /// Whether it is asked without TLS.
    pub(super) plain: bool,
}

/// An endpoint that never could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the endpoint {shown:?} {reason}. It looks like https://s3.us-west-004.backblazeb2.com (AWS_ENDPOINT_URL, --endpoint-url)"
)]
pub struct EndpointError {
    /// What was given, without a password.
    shown: String,
    reason: &'static str,
}

impl Endpoint {
    /// Takes an endpoint as it was given. One without a scheme, as consoles show it, is asked by `https`, and by `http` on this
    /// machine.
    ///
    /// # Errors
    /// When it cannot be an endpoint.
    pub(super) fn parse(given: &str) -> Result<Self, EndpointError> {
        let given = given.trim();
        let refuse = |reason| EndpointError { shown: shown(given), reason };
        if given.is_empty() {
            return Err(refuse("is empty"));
        }
        if given.contains('#') || given.contains('?') {
            return Err(refuse("has a question mark or a # in it, which belong to no endpoint"));
        }
        let url = match given.split_once("://") {
            Some(_) => given.to_owned(),
            None => format!("{}://{given}", scheme_for(given).ok_or_else(|| refuse(NO_SCHEME))?),
        };
        let uri: Uri = url.parse().map_err(|_| refuse("is not a URL"))?;
        let plain = match uri.scheme_str() {
            Some("http") => true,
            Some("https") => false,
            _ => return Err(refuse("is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse(
                "has a user name or a password in it: keys go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ));
        }
        let host = authority.host();
        if !has_port_that_could_be(authority) {
            return Err(refuse("has a port that is not a number from 1 to 65535"));
        }
        if !is_host(host) {
            return Err(refuse("names no host that could be"));
        }
        let path = uri.path().trim_end_matches('/');
        let scheme = if plain { "http" } else { "https" };
        Ok(Self { url: format!("{scheme}://{authority}{path}"), host: bare(host).to_ascii_lowercase(), plain })
    }

    /// The region in a Backblaze endpoint: `https://s3.us-west-004.backblazeb2.com` → `us-west-004`.
    pub(super) fn backblaze_region(&self) -> Option<&str> {
        let region = self.host.strip_suffix(".backblazeb2.com")?.strip_prefix("s3.")?;
        (!region.is_empty() && !region.contains('.')).then_some(region)
    }

    /// Whether the host is an IP address or `localhost`: a bucket cannot be put in front of those.
    pub(super) fn is_local(&self) -> bool {
        is_localhost(&self.host) || self.host.parse::<std::net::IpAddr>().is_ok()
    }

    /// Whether it is this machine: no proxy leads there.
    pub(super) fn is_here(&self) -> bool {
        is_here(&self.host)
    }
}

const NO_SCHEME: &str = "does not say how to ask it: write https:// or http:// in front";

/// How to ask a host that was given without saying so.
fn scheme_for(given: &str) -> Option<&'static str> {
    let authority = given.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    if is_here(bare(host)) {
        return Some("http");
    }
    // An address of the local network may be asked either way, and so may a name of one word.
    let name = !host.is_empty() && bare(host).parse::<std::net::IpAddr>().is_err() && host.contains('.');
    name.then_some("https")
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
}

fn is_here(host: &str) -> bool {
    is_localhost(host) || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether there is no port, or a number that a port can have.
pub(super) fn has_port_that_could_be(authority: &Authority) -> bool {
    let behind_user = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = behind_user.strip_prefix(authority.host()).unwrap_or_default();
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    port.is_empty() || port.strip_prefix(':').is_some_and(is_port)
}

/// Whether this can be the name or the address of a host.
fn is_host(host: &str) -> bool {
    if host.starts_with('[') {
        return bare(host).parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// What was given, with stars in the place of what may be a password: before an `@`, and behind a question mark.
pub(super) fn shown(given: &str) -> String {
    let given = given.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = given.split_once("://").map_or(("", given), |(scheme, rest)| (scheme, rest));
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
    let shown = if scheme.is_empty() { rest } else { format!("{scheme}://{rest}") };
    shown.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_taken_as_people_write_them() {
        for (given, url) in [
            ("https://s3.us-west-004.backblazeb2.com", "https://s3.us-west-004.backblazeb2.com"),
            ("https://s3.us-west-004.backblazeb2.com/", "https://s3.us-west-004.backblazeb2.com"),
            (" s3.us-west-004.backblazeb2.com\r\n", "https://s3.us-west-004.backblazeb2.com"),
            ("HTTPS://Store.Example:8443", "https://Store.Example:8443"),
            ("minio.example:9000", "https://minio.example:9000"),
            ("http://minio:9000", "http://minio:9000"),
            ("https://store.example/behind/a/path/", "https://store.example/behind/a/path"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("localhost:9000", "http://localhost:9000"),
            ("[::1]:9000", "http://[::1]:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("https://10.0.0.7", "https://10.0.0.7"),
            ("https://under_score.example", "https://under_score.example"),
        ] {
            let endpoint = Endpoint::parse(given).unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(endpoint.url, url, "{given}");
            assert_eq!(endpoint.plain, url.starts_with("http:"), "{given}");
        }
    }

    #[test]
    fn what_can_never_be_an_endpoint_is_refused_with_an_example_and_without_a_password() {
        for given in [
            "",
            " ",
            "nonsense",
            "minio:9000",
            "10.0.0.7:9000",
            "ftp://store.example",
            "http://",
            "https:// x",
            "https://store.example:99999",
            "https://store.example:0",
            "https://store.example:",
            "https://store.example:80x",
            "https://store..example",
            "https://st\u{f6}re.example",
            "https://store.example/?secret=1",
            "https://store.example?secret",
            "https://store.example/#secret",
            "https://user:secret@store.example",
            "secret@store.example",
            "https://user:secret@store.example:99999",
            "https://user:se@cret@store.example",
            "https://user:secret@",
            "://secret@x",
            "https://a\nb.example",
        ] {
            let error = Endpoint::parse(given).expect_err(given).to_string();
            assert!(error.contains("https://s3.us-west-004.backblazeb2.com"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn region_comes_from_a_backblaze_endpoint_only() {
        let region = |url| Endpoint::parse(url).expect(url).backblaze_region().map(str::to_owned);
        assert_eq!(region("https://s3.us-west-004.backblazeb2.com").as_deref(), Some("us-west-004"));
        assert_eq!(region("https://s3.eu-central-003.backblazeb2.com/").as_deref(), Some("eu-central-003"));
        assert_eq!(region("s3.us-west-004.backblazeb2.com").as_deref(), Some("us-west-004"));
        assert_eq!(region("https://f004.backblazeb2.com"), None);
        assert_eq!(region("https://s3.amazonaws.com"), None);
    }

    #[test]
    fn addresses_and_localhost_are_addressed_by_path() {
        for url in ["http://127.0.0.1:9000", "http://[::1]:9000/x", "http://localhost", "https://10.0.0.7"] {
            assert!(Endpoint::parse(url).expect(url).is_local(), "{url}");
        }
        for url in ["https://s3.us-west-004.backblazeb2.com", "http://minio.example:9000"] {
            assert!(!Endpoint::parse(url).expect(url).is_local(), "{url}");
        }
    }
}
