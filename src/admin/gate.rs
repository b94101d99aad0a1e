//! Who may ask: whoever has the token; without one, programs of this machine, and no page of a browser.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use http::{StatusCode, request};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::tool::authorization::{Presented, presented};

/// The shortest token.
const SHORTEST: usize = 16;

/// See the [module](self).
#[derive(Clone, Default)]
pub struct Gate {
    /// The hash of the token.
    token: Option<[u8; 32]>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("has_token", &self.token.is_some()).finish()
    }
}

/// Why somebody is not let in: a status, and words.
pub(super) type Refused = (StatusCode, &'static str);

impl Gate {
    /// For whoever has the token of this file.
    ///
    /// # Errors
    /// In words, which do not have it.
    pub fn with_token(file: &str) -> Result<Self, String> {
        let token = file.trim();
        let fits = token.len() >= SHORTEST && token.is_ascii() && !token.contains(char::is_whitespace);
        if !fits {
            return Err(format!(
                "it needs one token of {SHORTEST} characters or more, without blanks; `openssl rand -hex 16` makes one"
            ));
        }
        Ok(Self { token: Some(Sha256::digest(token).into()) })
    }

    /// Whether a request may go on.
    pub(super) fn check(&self, request: &request::Parts, is_open: bool) -> Result<(), Refused> {
        match &self.token {
            Some(_) if is_open => Ok(()),
            Some(token) => {
                let offered = bearer(&request.headers);
                let same = offered.is_some_and(|offered| offered.ct_eq(token).into());
                if same {
                    Ok(())
                } else {
                    Err((StatusCode::UNAUTHORIZED, "this needs the token of --admin-token-file"))
                }
            }
            // A page of another site may send requests to this machine; it cannot help telling of itself.
            None if request.headers.contains_key(header::ORIGIN) || !names_this_machine(&request.headers) => {
                Err((StatusCode::FORBIDDEN, "without --admin-token-file only programs of this machine may ask"))
            }
            None => Ok(()),
        }
    }
}

/// The hash of the token that a request carries.
fn bearer(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut carried = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (carried.next()?.to_str().ok()?, carried.next());
    match presented(value)? {
        Presented::Bearer(token) if more.is_none() => Some(Sha256::digest(token).into()),
        _ => None,
    }
}

/// Whether the name that is asked for is one of this machine: that of another site may lead here, too.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next().and_then(|host| host.to_str().ok()), named.next()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(gate: &Gate, headers: &[(&str, &str)], is_open: bool) -> Option<u16> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        gate.check(&parts, is_open).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn without_a_token_only_programs_of_this_machine_may_ask() {
        for (headers, status) in [
            (&[("host", "127.0.0.1:8090")][..], None),
            (&[("host", "localhost")], None),
            (&[("host", "[::1]:8090")], None),
            (&[("host", "evil.example:8090")], Some(403)),
            (&[("host", "127.0.0.1.evil.example")], Some(403)),
            (&[("host", "127.0.0.1"), ("origin", "https://evil.example")], Some(403)),
            (&[("host", "127.0.0.1"), ("host", "evil.example")], Some(403)),
            (&[], Some(403)),
        ] {
            assert_eq!(check(&Gate::default(), headers, false), status, "{headers:?}");
        }
    }

    #[test]
    fn with_a_token_whoever_has_it() {
        let gate = Gate::with_token(" 0123456789abcdef\n").expect("a token");
        for (headers, status) in [
            (&[("authorization", "Bearer 0123456789abcdef")][..], None),
            (&[("authorization", "bearer  0123456789abcdef ")], None),
            (&[("authorization", "Bearer 0123456789abcde")], Some(401)),
            (&[("authorization", "Basic 0123456789abcdef")], Some(401)),
            (&[("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer x")], Some(401)),
            (&[("host", "127.0.0.1")], Some(401)),
        ] {
            assert_eq!(check(&gate, headers, false), status, "{headers:?}");
        }
        assert_eq!(check(&gate, &[], true), None);
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdef\nmore"] {
            assert!(Gate::with_token(bad).is_err(), "{bad}");
        }
        assert!(
            !format!("{gate:?}").contains('[') && Gate::with_token("s3cret").is_err_and(|why| !why.contains("s3cret"))
        );
    }
}
