//! What an `Authorization` presents (RFC 6750, RFC 7617). Pure.

use aws_smithy_types::base64;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// A token.
    Bearer(&'a str),
    /// `USER:PASSWORD`.
    Basic(Vec<u8>),
}

/// What a field's value presents; none where it is nothing of the kind.
pub(crate) fn presented(value: &str) -> Option<Presented<'_>> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented::Bearer(token));
    }
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    is_basic.then(|| base64::decode(token).ok()).flatten().map(Presented::Basic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_passwords_are_read() {
        for (value, want) in [
            ("Bearer token", Some(Presented::Bearer("token"))),
            ("bearer  a:b ", Some(Presented::Bearer("a:b"))),
            ("BASIC dTpwOjE= ", Some(Presented::Basic(b"u:p:1".to_vec()))),
            ("Basic %%%", None),
            ("Digest dTpw", None),
            ("Bearer", None),
        ] {
            assert_eq!(presented(value), want, "{value}");
        }
    }
}
