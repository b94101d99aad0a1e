//! Signed links: `/s/TOKEN/…`, in which the token says what may be watched, until when, and that this gateway's keeper has
//! allowed it. Pure.
//!
//! Nothing is kept of a link. It is void when the secret that signed it has changed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identity::base64url;

/// The longest that a link may be good for: ten years.
pub const LONGEST: u64 = 10 * 365 * 86_400;

/// What the signature is over begins with this, so that it is none of anything else.
const MEANING: &[u8] = b"live-read link 1: watch\0";

/// Of HMAC-SHA-256.
const SIGNATURE: usize = 32;

/// What signs.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a link allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// In this bucket.
    pub bucket: String,
    /// This key; or all that begin with it.
    pub key: String,
    /// Whether it is the beginning of keys.
    pub is_prefix: bool,
    /// Until then: seconds since 1970-01-01T00:00:00Z.
    pub until: i64,
}

impl Grant {
    /// Whether it allows an object to be watched.
    #[must_use]
    pub fn allows(&self, bucket: &str, key: &str) -> bool {
        self.bucket == bucket && if self.is_prefix { key.starts_with(&self.key) } else { key == self.key }
    }
}

impl Secret {
    /// Out of any text, as long and random as it is.
    pub(super) fn of(text: &[u8]) -> Self {
        use sha2::Digest;
        Self(Sha256::new().chain_update(b"live-read link key\0").chain_update(text).finalize().into())
    }

    fn mac(&self, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(MEANING);
        mac.update(payload);
        Some(mac)
    }

    /// The token of a link; none where a name is longer than any can be.
    #[must_use]
    pub fn sign(&self, grant: &Grant) -> Option<String> {
        let mut token = vec![u8::from(grant.is_prefix)];
        token.extend(grant.until.to_be_bytes());
        token.push(u8::try_from(grant.bucket.len()).ok()?);
        token.extend(grant.bucket.as_bytes());
        token.extend(grant.key.as_bytes());
        let mac = self.mac(&token)?;
        token.extend(mac.finalize().into_bytes());
        Some(base64url(&token))
    }

    /// What a token allows at `now`; none where it was not signed like this, or its time is over. Which of them, nobody is told.
    #[must_use]
    pub fn read(&self, token: &str, now: i64) -> Option<Grant> {
        let is_ours = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
        if token.len() > 4_096 || !token.bytes().all(is_ours) {
            return None;
        }
        let padding = "=".repeat((4 - token.len() % 4) % 4);
        let text = token.replace('-', "+").replace('_', "/") + &padding;
        let bytes = aws_smithy_types::base64::decode(text).ok()?;
        // Of some texts that mean the same bytes, one is the token.
        if base64url(&bytes) != token {
            return None;
        }
        let (payload, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        // In a time that tells nothing of it.
        self.mac(payload)?.verify_slice(signature).ok()?;
        let (&kind, rest) = payload.split_first()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (&length, rest) = rest.split_first()?;
        let (bucket, key) = rest.split_at_checked(length.into())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let until = i64::from_be_bytes(*until);
        let grant = Grant { bucket: text(bucket)?, key: text(key)?, is_prefix: kind == 1, until };
        // One that is good for longer than any may be was made by some other hand.
        let left = until.checked_sub(now)?;
        (left > 0 && left <= i64::try_from(LONGEST).unwrap_or(i64::MAX)).then_some(grant)
    }
}

/// The token of a path, and what follows it: `/s/TOKEN/watch` is `/watch`.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/s/")?;
    let end = rest.find('/')?;
    Some((rest.get(..end)?, rest.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn grant(key: &str, is_prefix: bool) -> Grant {
        Grant { bucket: "tv".to_owned(), key: key.to_owned(), is_prefix, until: NOW + 60 }
    }

    #[test]
    fn a_link_allows_what_it_says_until_its_time_is_over() {
        let secret = Secret::of(b"a secret");
        for grant in [grant("shows/match.mp4", false), grant("shows/", true), grant("", true), grant("\u{e9}", false)] {
            let token = secret.sign(&grant).expect("a token");
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
            assert_eq!(secret.read(&token, NOW), Some(grant.clone()));
            assert_eq!(secret.read(&token, NOW + 59), Some(grant.clone()));
            assert_eq!(secret.read(&token, NOW + 60), None);
            assert_eq!(secret.read(&token, i64::MIN), None);
            assert_eq!(Secret::of(b"another").read(&token, NOW), None);
        }
        let far = Grant { until: NOW + i64::try_from(LONGEST).expect("it fits") + 1, ..grant("a", false) };
        assert_eq!(secret.read(&secret.sign(&far).expect("a token"), NOW), None);
        assert_eq!(secret.sign(&Grant { bucket: "b".repeat(256), ..grant("a", false) }), None);
    }

    #[test]
    fn no_letter_of_a_token_can_be_changed() {
        let secret = Secret::of(b"a secret");
        let token = secret.sign(&grant("shows/match.mp4", false)).expect("a token");
        for at in 0..token.len() {
            for letter in ['A', 'b', '7', '_', '-'] {
                let mut other: Vec<char> = token.chars().collect();
                if other[at] == letter {
                    continue;
                }
                other[at] = letter;
                let other: String = other.into_iter().collect();
                assert_eq!(secret.read(&other, NOW), None, "letter {at} as {letter}");
            }
        }
        for wrong in [
            "",
            "a",
            "====",
            "../..",
            "a b",
            &token[1..],
            &format!("{token}A"),
            &format!("{token}="),
            &"A".repeat(5_000),
        ] {
            assert_eq!(secret.read(wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_that_key_and_a_prefix_is_all_that_begin_with_it() {
        let (one, all) = (grant("shows/a", false), grant("shows/", true));
        assert!(one.allows("tv", "shows/a") && all.allows("tv", "shows/a") && all.allows("tv", "shows/"));
        for (bucket, key) in [("tv", "shows/ab"), ("tv", "shows/A"), ("tv", ""), ("other", "shows/a")] {
            assert!(!one.allows(bucket, key), "{key}");
        }
        assert!(!all.allows("tv", "show") && !all.allows("other", "shows/a") && !all.allows("tv", "xshows/a"));
    }

    #[test]
    fn a_path_is_split_behind_its_token() {
        assert_eq!(split("/s/TOKEN/live/a/b.mp4"), Some(("TOKEN", "/live/a/b.mp4")));
        assert_eq!(split("/s/TOKEN/"), Some(("TOKEN", "/")));
        assert_eq!(split("/s//watch"), Some(("", "/watch")));
        for other in ["/s/TOKEN", "/s", "/watch", "//s/TOKEN/watch", "/S/TOKEN/watch", ""] {
            assert_eq!(split(other), None, "{other}");
        }
    }
}
