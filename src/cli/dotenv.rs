//! `.env` of the working directory: the documented settings out of it, and nothing else.
//!
//! The tools may be started in a folder that came from somebody else. So only the names below are taken, nothing is put in the
//! place of `$NAME`, and only a regular file of moderate size is read.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// What may be set in `.env`.
pub(super) const NAMES: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "BUCKET_NAME",
];

/// A file of settings is longer than this only by mistake.
const LIMIT: usize = 64 * 1024;

/// What `.env` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dotenv {
    /// Names of [`NAMES`] with their values; each name once, none empty.
    pub(super) settings: Vec<(String, String)>,
    /// Other names, which are not taken.
    pub(super) ignored: Vec<String>,
}

/// Reads the file at `path`; nothing where there is none.
///
/// # Errors
/// In words, when it is there but cannot be read or understood.
pub(super) fn read(path: &Path) -> Result<Dotenv, String> {
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Dotenv::default()),
        Err(error) => return Err(format!(".env cannot be read: {error}")),
    };
    if bytes.len() > LIMIT {
        return Err(format!(".env cannot be read: it has more than {LIMIT} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| ".env cannot be read: it is not text in UTF-8".to_owned())?;
    parse(&text)
}

/// The bytes of a regular file, and of one that is too long as many as show it.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let irregular = || io::Error::other("it is not a regular file");
    // A named pipe would be waited for without this.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // A socket.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            return Err(irregular());
        }
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes `NAME=value` lines apart. A value may be quoted: in `'…'` everything is taken as it is, in `"…"` a backslash stands
/// before `"`, `\`, `$` and `n`. Of several values for one name the last that is not empty counts, so that a block of settings
/// can be switched on below another.
///
/// # Errors
/// In words and with the line, but never with what stands there: it may be a secret.
pub(super) fn parse(text: &str) -> Result<Dotenv, String> {
    let mut found = Dotenv::default();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if rest.starts_with('#') {
            rest = line(rest).1;
            continue;
        }
        let Some((name, value, after)) = assignment(rest) else {
            let number = text.get(..text.len() - rest.len()).unwrap_or_default().matches('\n').count() + 1;
            return Err(format!(".env cannot be understood: line {number} is not of the form NAME=value"));
        };
        rest = after;
        if !NAMES.contains(&name) {
            if !found.ignored.iter().any(|ignored| ignored == name) {
                found.ignored.push(name.to_owned());
            }
        } else if !value.is_empty() {
            found.settings.retain(|(other, _)| other != name);
            found.settings.push((name.to_owned(), value));
        }
    }
}

/// The first line and what comes after it.
fn line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// The name, the value, and what comes after them.
fn assignment(text: &str) -> Option<(&str, String, &str)> {
    const BLANKS: [char; 2] = [' ', '\t'];
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with(BLANKS) => after.trim_start_matches(BLANKS),
        _ => text,
    };
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (name, after) = text.split_at_checked(end)?;
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let after = after.trim_start_matches(BLANKS).strip_prefix('=')?.trim_start_matches(BLANKS);
    let (value, after) = match after.chars().next() {
        Some('\'') => {
            let (value, after) = after.strip_prefix('\'')?.split_once('\'')?;
            (value.to_owned(), after)
        }
        Some('"') => quoted(after.strip_prefix('"')?)?,
        _ => {
            let (value, after) = line(after);
            return Some((name, unquoted(value), after));
        }
    };
    // Behind the closing quote there may be a comment, and nothing else.
    let (behind, after) = line(after);
    let behind = behind.trim();
    (behind.is_empty() || behind.starts_with('#')).then_some((name, value, after))
}

/// A value up to its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\' | '$' | '\'' | ' ') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

/// A value without the comment behind it.
fn unquoted(text: &str) -> String {
    let comment = text.char_indices().find(|&(at, c)| {
        c == '#' && text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    });
    comment.map_or(text, |(at, _)| text.get(..at).unwrap_or_default()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        parse(text).expect(text).settings
    }

    fn bucket(value: &str) -> Vec<(String, String)> {
        vec![("BUCKET_NAME".to_owned(), value.to_owned())]
    }

    #[test]
    fn values_are_read_in_all_their_forms() {
        for (line, value) in [
            ("BUCKET_NAME=b", "b"),
            ("BUCKET_NAME=b\n", "b"),
            ("BUCKET_NAME=b\r\n", "b"),
            ("\u{feff}BUCKET_NAME=b\r\n\r\n", "b"),
            ("  export  BUCKET_NAME = b # the bucket\n", "b"),
            ("BUCKET_NAME=\"b\"\r\n", "b"),
            ("BUCKET_NAME='b' # it's\n", "b"),
            ("BUCKET_NAME=b#c\n", "b#c"),
            ("# BUCKET_NAME=a\nBUCKET_NAME=b ", "b"),
            ("BUCKET_NAME='$HOME'", "$HOME"),
            ("BUCKET_NAME=$HOME", "$HOME"),
            ("BUCKET_NAME=${HOME}/x", "${HOME}/x"),
            (r#"BUCKET_NAME="a\"b\\c\$d\ne""#, "a\"b\\c$d\ne"),
            ("BUCKET_NAME=\"two\nlines\"", "two\nlines"),
            ("BUCKET_NAME=a=b", "a=b"),
        ] {
            assert_eq!(settings(line), bucket(value), "{line:?}");
        }
    }

    #[test]
    fn the_last_value_that_is_not_empty_counts() {
        assert_eq!(settings("BUCKET_NAME=\nBUCKET_NAME=b\n"), bucket("b"));
        assert_eq!(settings("BUCKET_NAME=a\nBUCKET_NAME=b\n"), bucket("b"));
        assert_eq!(settings("BUCKET_NAME=b\nBUCKET_NAME=\nBUCKET_NAME=''\n"), bucket("b"));
        assert_eq!(settings("BUCKET_NAME= # none\n"), []);
    }

    #[test]
    fn names_that_are_not_documented_are_named_and_not_taken() {
        let found = parse("AWS_CONFIG_FILE=evil\nPEM=\"a\nb\"\nBUCKET_NAME=b\nAWS_CONFIG_FILE=x\n").expect("a .env");
        assert_eq!(found.settings, bucket("b"));
        assert_eq!(found.ignored, ["AWS_CONFIG_FILE", "PEM"]);
    }

    #[test]
    fn what_is_no_setting_is_told_by_its_line_alone() {
        for (text, line) in [
            ("A=b\nsecret", "line 2"),
            ("secret\nA=b", "line 1"),
            ("\n\n=secret", "line 3"),
            ("1A=secret", "line 1"),
            ("A=b\r\nA=\"secret", "line 2"),
            ("A='secret\nB=c", "line 1"),
            ("A=\"b\"secret", "line 1"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(line) && !error.contains("secret"), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_template_works_with_its_local_block_switched_on() {
        let template = include_str!("../../.env.template");
        assert_eq!(parse(template).expect("the template").ignored, [""; 0]);
        let (before, local) = template.split_once("--bucket demo\n#\n").expect("the local block");
        let (block, after) = local.split_once("\n\n").expect("its end");
        let on: Vec<_> = block.lines().map(|line| line.trim_start_matches("# ")).collect();
        let mut found = settings(&format!("{before}--bucket demo\n#\n{}\n{after}", on.join("\n")));
        found.sort();
        let want = [
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_SECRET_ACCESS_KEY", "local-secret"),
            ("BUCKET_NAME", "demo"),
        ];
        assert_eq!(found, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
