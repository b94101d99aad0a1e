//! What must never appear in a message: keys, tokens and passwords, learned as they come to be known.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

use crate::protocol::escape;

/// Shorter ones would take words out of messages.
const SHORTEST: usize = 4;

/// Temporary credentials are renewed for as long as a tool runs; those of long ago are worth nothing.
const KEPT: usize = 256;

static SECRETS: RwLock<VecDeque<String>> = RwLock::new(VecDeque::new());

/// Takes note of a secret, in the forms in which a message may bring it.
pub(crate) fn learn(secret: &str) {
    if secret.len() < SHORTEST {
        return;
    }
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for form in [secret.to_owned(), in_json(secret), escape::segment(secret), escape::path(secret)] {
        if !secrets.contains(&form) {
            secrets.push_back(form);
        }
    }
    while secrets.len() > KEPT {
        secrets.pop_front();
    }
}

/// `text` with stars in the place of all that was learned.
#[must_use]
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let mut clean = Cow::Borrowed(text);
    for secret in secrets.iter() {
        if clean.contains(secret.as_str()) {
            clean = Cow::Owned(clean.replace(secret.as_str(), "***"));
        }
    }
    if clean.contains(BEARER) { Cow::Owned(without_bearer(&clean)) } else { clean }
}

/// The header with the token of single sign-on. The SDK reads that token by itself, so that it is not learned, and shows the
/// header at its level `trace`.
const BEARER: &str = "sso_bearer_token";

fn without_bearer(text: &str) -> String {
    let mut pieces = text.split(BEARER);
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let token = piece.trim_start_matches(['\\', '"', ':', ' ']);
        let before = piece.strip_suffix(token).unwrap_or_default();
        let after = token.find(['"', '\\', ' ', ',']).and_then(|end| token.get(end..)).unwrap_or_default();
        clean.extend([BEARER, before, "***", after]);
    }
    clean
}

fn in_json(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_all_its_forms() {
        learn("abc/d+e\"f");
        for text in ["x abc/d+e\"f y", "{\"x\":\"x abc/d+e\\\"f y\"}", "x abc/d%2Be%22f y", "x abc%2Fd%2Be%22f y"] {
            let clean = scrub(text);
            assert!(clean.contains("***") && !clean.contains("abc"), "{clean}");
        }
        learn("y");
        assert_eq!(scrub("yes"), "yes");
    }

    #[test]
    fn the_token_of_single_sign_on_is_known_by_its_header() {
        for (text, clean) in [
            (r#"{"x-amz-sso_bearer_token": "abc", "x": "y"}"#, r#"{"x-amz-sso_bearer_token": "***", "x": "y"}"#),
            (r#"{\"x-amz-sso_bearer_token\": \"abc\"}"#, r#"{\"x-amz-sso_bearer_token\": \"***\"}"#),
            ("x-amz-sso_bearer_token:abc", "x-amz-sso_bearer_token:***"),
        ] {
            assert_eq!(scrub(text), clean);
        }
    }

    #[test]
    fn renewals_without_an_end_are_remembered_within_bounds() {
        for number in 0..1000 {
            learn(&format!("renewed-secret-number-{number}"));
        }
        assert!(SECRETS.read().expect("the secrets").len() <= KEPT);
        assert_eq!(scrub("renewed-secret-number-999"), "***");
    }
}
