//! Who may do what: the file of tokens, and the token of a request held against it.
//!
//! Tokens are long and random, so they are kept as SHA-256 and compared in a time that tells nothing of them.

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::link::Secret;
use super::routes::Right;
use crate::tool::authorization::{Presented, presented};

/// What a file of tokens says.
#[derive(Debug, Clone)]
pub struct Tokens {
    entries: Vec<Entry>,
    /// What signs links.
    secret: Secret,
}

#[derive(Clone)]
struct Entry {
    hash: [u8; 32],
    rights: [bool; 4],
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("rights", &self.rights).finish_non_exhaustive()
    }
}

/// The shortest `key` of a file.
const SHORTEST_KEY: usize = 16;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// 401.
    Unknown,
    /// 403.
    NotAllowed,
}

/// A line of the file that says nothing: its number, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TokensError {
    /// Its number, from 1 on.
    pub line: usize,
    /// What is wrong with it, without what it says.
    pub why: &'static str,
}

impl Tokens {
    /// Reads lines of `RIGHTS TOKEN` and `RIGHTS USER:PASSWORD`; `#` begins a comment, `key SECRET` is for signed links.
    ///
    /// # Errors
    /// [`TokensError`].
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let (mut entries, mut key, mut all) = (Vec::new(), None, String::new());
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let error = |why| TokensError { line, why };
            let (rights, token) = text
                .split_once([' ', '\t'])
                .map(|(rights, token)| (rights, token.trim()))
                .ok_or_else(|| error("it is not of the form RIGHTS TOKEN or RIGHTS USER:PASSWORD"))?;
            all.extend([rights, " ", token, "\n"]);
            if rights == "key" {
                if key.replace(token.to_owned()).is_some() {
                    return Err(error("there is another line of a key before it"));
                }
                if token.len() < SHORTEST_KEY {
                    return Err(error("a key for links has at least 16 letters: openssl rand -hex 16 makes one"));
                }
                continue;
            }
            if token.contains(char::is_whitespace) || !token.is_ascii() {
                return Err(error("a token has no blanks, and no letters but those of ASCII"));
            }
            let names = rights.split(',').map(right).collect::<Option<Vec<_>>>();
            let names =
                names.ok_or_else(|| error("the rights are watch, list, write and admin, with commas between"))?;
            let mut rights = [false; 4];
            for right in names {
                rights[right as usize] = true;
            }
            let kind = if token.contains(':') { Kind::Basic } else { Kind::Bearer };
            entries.push(Entry { hash: hash(kind, token.as_bytes()), rights });
        }
        if entries.is_empty() {
            return Err(TokensError {
                line: 1,
                why: "there is no token in the file, so that nobody could ask for anything",
            });
        }
        // Without a key, whoever changes the file revokes all links.
        let secret = Secret::of(key.unwrap_or(all).as_bytes());
        Ok(Self { entries, secret })
    }

    /// What signs links.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Which token a request carries, as a hash; whether it is known, this does not tell.
    pub(crate) fn who(headers: &HeaderMap) -> Option<[u8; 32]> {
        hash_of(headers.get(header::AUTHORIZATION)?.as_bytes())
    }

    /// Whether what a request carries has this right.
    pub(crate) fn check(&self, headers: &HeaderMap, right: Right) -> Result<(), Denied> {
        let mut carried = headers.get_all(header::AUTHORIZATION).iter();
        let hash = carried.next().and_then(|value| hash_of(value.as_bytes())).ok_or(Denied::Unknown)?;
        if carried.next().is_some() {
            return Err(Denied::Unknown);
        }
        let (mut known, mut allowed) = (Choice::from(0), Choice::from(0));
        // All of them, whichever it is.
        for entry in &self.entries {
            let same = entry.hash.ct_eq(&hash);
            known |= same;
            allowed |= same & Choice::from(u8::from(entry.rights[right as usize]));
        }
        match (bool::from(known), bool::from(allowed)) {
            (_, true) => Ok(()),
            (true, false) => Err(Denied::NotAllowed),
            (false, false) => Err(Denied::Unknown),
        }
    }

    /// Whether what a request carries is known at all.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        self.check(headers, Right::Watch) != Err(Denied::Unknown)
    }
}

/// How a token is sent.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bearer,
    Basic,
}

fn hash(kind: Kind, token: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([kind as u8]).chain_update(token).finalize().into()
}

fn right(name: &str) -> Option<Right> {
    Some(match name {
        "watch" => Right::Watch,
        "list" => Right::List,
        "write" => Right::Write,
        "admin" => Right::Admin,
        _ => return None,
    })
}

/// The token of an `Authorization`, as a hash.
fn hash_of(value: &[u8]) -> Option<[u8; 32]> {
    Some(match presented(std::str::from_utf8(value).ok()?)? {
        // A token with a colon is a name and a password.
        Presented::Bearer(token) => hash(Kind::Bearer, token.as_bytes()),
        Presented::Basic(decoded) => hash(Kind::Basic, &decoded),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# who\nwatch,list viewer-token-0123456789\n\nadmin,write\tops:pass:word\nkey secret-0123456789\n";

    fn check(authorization: &str, right: Right) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().expect("a header"));
        Tokens::parse(FILE).expect("it parses").check(&headers, right)
    }

    #[test]
    fn a_token_has_the_rights_of_its_line_and_no_others() {
        let basic = |text: &str| format!("Basic {}", aws_smithy_types::base64::encode(text));
        let viewer = "Bearer viewer-token-0123456789";
        let (known, denied, unknown) = (Ok(()), Err(Denied::NotAllowed), Err(Denied::Unknown));
        for (authorization, watch, write) in [
            (viewer.to_owned(), known, denied),
            ("bearer viewer-token-0123456789".to_owned(), known, denied),
            (basic("ops:pass:word"), denied, known),
            (basic("ops:pass:wor"), unknown, unknown),
            (basic("ops:"), unknown, unknown),
            (basic("viewer-token-0123456789"), unknown, unknown),
            ("Bearer ops:pass:word".to_owned(), unknown, unknown),
            ("Bearer viewer-token-012345678".to_owned(), unknown, unknown),
            ("Bearer secret-0123456789".to_owned(), unknown, unknown),
            ("Bearer ".to_owned(), unknown, unknown),
            ("Basic %%%".to_owned(), unknown, unknown),
            ("viewer-token-0123456789".to_owned(), unknown, unknown),
            (String::new(), unknown, unknown),
        ] {
            assert_eq!(check(&authorization, Right::Watch), watch, "{authorization}");
            assert_eq!(check(&authorization, Right::Write), write, "{authorization}");
        }
        let mut headers = HeaderMap::new();
        let tokens = Tokens::parse(FILE).expect("it parses");
        assert!(!tokens.knows(&headers));
        headers.append(header::AUTHORIZATION, viewer.parse().expect("a header"));
        assert!(tokens.knows(&headers));
        headers.append(header::AUTHORIZATION, "Bearer other".parse().expect("a header"));
        assert!(!tokens.knows(&headers), "which of the two is meant?");
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        for (text, line) in [
            ("watch", 1),
            ("watch token-one\nwatches secret", 2),
            ("watch,,list secret", 1),
            ("watch sec ret", 1),
            ("watch s\u{e9}cret", 1),
            ("# nothing", 1),
            ("watch token\nkey secret", 2),
            ("watch token\nkey secret-0123456789\nkey secret-0123456789", 3),
            ("", 1),
        ] {
            let error = Tokens::parse(text).expect_err(text);
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let shown = format!("{:?}", Tokens::parse(FILE));
        assert!(!shown.contains("viewer") && !shown.contains("secret-"), "{shown}");
    }

    #[test]
    fn links_are_signed_by_the_key_of_the_file_or_else_by_all_of_it() {
        let grant = crate::serve::link::Grant { bucket: "b".into(), key: "k".into(), is_prefix: false, until: 1_000 };
        let reads = |signs: &str, reads: &str| {
            let token = Tokens::parse(signs).expect("it parses").secret().sign(&grant).expect("a token");
            Tokens::parse(reads).expect("it parses").secret().read(&token, 0).is_some()
        };
        let (file, key) = ("watch token", "key 0123456789abcdef");
        assert!(reads(file, "# the same\n\n  watch \t token  \n"));
        assert!(!reads(file, "watch token\nlist other"));
        assert!(reads(&format!("{file}\n{key}"), &format!("{key}\nlist other")));
        assert!(!reads(&format!("{file}\n{key}"), &format!("{file}\n{key}x")));
    }
}
