//! Settings in the environment: `.env` is added to it, line ends are taken off, and what could never be sent is refused.
//!
//! The AWS SDK reads the environment by itself, and panics at a line end in a key id or a region. So they are put right there,
//! before any thread runs.

use std::ffi::OsString;
use std::path::Path;

use super::dotenv;
use crate::message::secrets;

/// Settings that go into a header or a signature as they are.
const IN_HEADERS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

/// Other settings of which no blank and no line end at either end can be meant.
const OTHERS: [&str; 24] = [
    "BUCKET_NAME",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EXECUTION_ENV",
    "AWS_SDK_UA_APP_ID",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Reads `.env` into the environment and puts that right. Gives a warning where there is reason for one.
///
/// To be called before any other thread runs: no other may look at the environment meanwhile.
///
/// # Errors
/// In words, when `.env` or a variable cannot be used.
pub fn prepare() -> Result<Option<String>, String> {
    let dotenv = dotenv::read(Path::new(".env"))?;
    let unset = |(name, _): &&(String, String)| std::env::var_os(name).is_none();
    let news: Vec<_> = dotenv.settings.iter().filter(unset).cloned().collect();
    set(&news)?;
    set(&tidy(std::env::vars_os())?)?;
    let secret = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];
    secret.iter().filter_map(|name| std::env::var(name).ok()).for_each(|value| secrets::learn(&value));
    Ok(warning(&dotenv.ignored))
}

/// What to say of names in `.env` that are not taken.
fn warning(ignored: &[String]) -> Option<String> {
    const SHOWN: usize = 8;
    let names: Vec<_> = ignored.iter().take(SHOWN).map(|name| name.chars().take(64).collect::<String>()).collect();
    let more = ignored.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| {
        format!(
            "{}{more} in .env: not taken from there; it may set {}. Everything else goes into the environment",
            names.join(", "),
            dotenv::NAMES.join(", ")
        )
    })
}

/// Settings that are to be replaced, with their values as they were meant.
fn tidy(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, String> {
    let mut replaced = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
        let Some(value) = value.to_str() else {
            return Err(format!("{name} is not text in UTF-8: set it again"));
        };
        let meant = value.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if meant.contains(char::is_control) {
            return Err(format!(
                "{name} has a line end or another control character inside: set it again, in one line"
            ));
        }
        if IN_HEADERS.contains(&name) && !meant.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(format!("{name} has a character that no such setting has: copy it again"));
        }
        // The SDK would look for a profile without a name.
        let meant = if name == "AWS_PROFILE" && meant.is_empty() { "default" } else { meant };
        if meant != value {
            replaced.push((name.to_owned(), meant.to_owned()));
        }
    }
    Ok(replaced)
}

fn is_ours(name: &str) -> bool {
    IN_HEADERS.contains(&name) || OTHERS.contains(&name) || name.starts_with("AWS_ENDPOINT_URL")
}

/// Sets variables of the environment.
fn set(variables: &[(String, String)]) -> Result<(), String> {
    let escape = |value: &str| {
        let escaped = value.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "\\\"$".contains(c)).chain([c]));
        escaped.collect::<String>().replace('\n', "\\n")
    };
    let lines: Vec<_> = variables.iter().map(|(name, value)| format!("{name}=\"{}\"\n", escape(value))).collect();
    // The error would quote a line, and it may hold a secret.
    dotenvy::from_read_override(lines.concat().as_bytes())
        .map_err(|_| "the settings cannot be set in the environment".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(name: &str, value: &[u8]) -> Result<Option<String>, String> {
        use std::os::unix::ffi::OsStringExt;
        let variables = [(OsString::from(name), OsString::from_vec(value.to_vec()))];
        tidy(variables.into_iter()).map(|mut replaced| replaced.pop().map(|(_, value)| value))
    }

    #[test]
    fn line_ends_and_blanks_are_taken_off_both_ends() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_REGION", "BUCKET_NAME", "AWS_ENDPOINT_URL_STS", "HTTPS_PROXY"] {
            for value in
                ["value\n", "value\r\n", "value\r", " value\t", "\u{feff}value\n".trim_start_matches('\u{feff}')]
            {
                assert_eq!(tidied(name, value.as_bytes()), Ok(Some("value".to_owned())), "{name} {value:?}");
            }
            assert_eq!(tidied(name, b"value"), Ok(None));
            assert_eq!(tidied(name, b"\n"), Ok(Some(String::new())));
        }
        assert_eq!(tidied("SOMETHING_ELSE", b"value\n"), Ok(None));
    }

    #[test]
    fn what_could_never_be_sent_is_refused_without_being_shown() {
        for value in
            [&b"se\ncret"[..], b"se\rcret", b"se\0cret", b"se\x7fcret", b"se\xffcret", "s\u{e9}cret".as_bytes()]
        {
            for name in IN_HEADERS {
                let error = tidied(name, value).expect_err(name);
                assert!(error.contains(name) && !error.contains("cret"), "{error}");
            }
        }
        assert!(tidied("BUCKET_NAME", b"a\nb").is_err());
        assert!(tidied("AWS_CONFIG_FILE", "/home/h\u{e9}l\u{e8}ne/config".as_bytes()).is_ok());
    }

    #[test]
    fn ignored_names_are_told_in_one_line() {
        assert_eq!(warning(&[]), None);
        let many: Vec<String> = (0..50).map(|number| format!("N{number}{}", "x".repeat(1000))).collect();
        let line = warning(&many).expect("a warning");
        assert!(line.contains("N0x") && line.contains("and 42 more") && line.len() < 1200, "{line}");
    }
}
