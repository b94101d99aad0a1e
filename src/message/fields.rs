//! The fields by which a program follows what the tools do (`--log-format json`), and the spans that carry the first of them.
//!
//! Messages say the same in words, for people; a line of text at `info` and above is its message alone. What the fields
//! mean is told in docs/logging.md, and a test holds that page, this list and the source against each other.

use tracing::Span;

/// The field that tells one kind of line from another; never shown in lines of text.
pub(crate) const EVENT: &str = "event";

/// The span of one stream of many.
pub(crate) const STREAM: &str = "stream";

/// One upload, whoever writes or reads it. A reader may learn its id [later](learned).
#[must_use]
pub fn upload(key: &str, upload_id: Option<&str>) -> Span {
    // Enabled whatever level is asked for: an error belongs to an upload, too.
    tracing::error_span!("upload", key, upload_id)
}

/// The id of the upload that a span is of has come to be known, or is another one from now on.
pub fn learned(span: &Span, upload_id: &str) {
    span.record("upload_id", upload_id);
}

/// What one run writes or reads: an object, or a series of them. `recording` is the name that all objects of a series have
/// in common.
#[must_use]
pub fn recording(key: &str, recording: Option<&str>) -> Span {
    tracing::error_span!("recording", key, recording)
}

/// One stream of many, by its name. Lines of text begin with it.
#[must_use]
pub fn stream(name: &str) -> Span {
    tracing::error_span!("stream", stream = name)
}

/// One rendition of a stream, in a span of its own. Lines of text begin with both names.
#[must_use]
pub fn rendition(stream: Option<&str>, name: &str) -> Span {
    let name = stream.map_or_else(|| name.to_owned(), |stream| format!("{stream}/{name}"));
    tracing::error_span!(parent: None, "stream", stream = name)
}

/// Milliseconds, as a field has them.
#[must_use]
pub fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// All source files below `folder`.
    fn sources(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries
            .flat_map(|path| match path.extension() {
                _ if path.is_dir() => sources(&path),
                Some(extension) if extension == "rs" => vec![fs::read_to_string(&path).expect("a source file")],
                _ => Vec::new(),
            })
            .collect()
    }

    /// A word or a literal at the beginning of `code`, and what follows it.
    fn name(code: &str) -> Option<(&str, &str)> {
        let code = code.trim_start();
        if let Some(literal) = code.strip_prefix('"') {
            return literal.split_once('"');
        }
        let end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        Some(code.split_at(end)).filter(|(name, _)| !name.is_empty())
    }

    /// What follows the value at the beginning of `code`.
    fn behind_value(code: &str) -> &str {
        let (mut depth, mut quoted) = (0, false);
        for (at, c) in code.char_indices() {
            match c {
                '"' => quoted = !quoted,
                _ if quoted => {}
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth > 0 => depth -= 1,
                ',' if depth == 0 => return &code[at + 1..],
                ')' => return "",
                _ => {}
            }
        }
        ""
    }

    /// The fields of the messages and spans in `code`.
    fn fields(code: &str) -> Vec<String> {
        let mut found = Vec::new();
        for call in ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "error_span!("] {
            for (at, _) in code.match_indices(&format!("tracing::{call}")) {
                let mut rest = &code[at + "tracing::".len() + call.len()..];
                if call == "error_span!(" {
                    rest = behind_value(rest);
                }
                while let Some((field, after)) = name(rest) {
                    let after = after.trim_start();
                    if after.starts_with(':') {
                        rest = behind_value(after);
                    } else if after.starts_with('=') && !after.starts_with("==") {
                        found.push(field.to_owned());
                        rest = behind_value(&after[1..]);
                    } else if !rest.trim_start().starts_with('"') && after.starts_with([',', ')']) {
                        found.push(field.to_owned());
                        rest = behind_value(after);
                    } else {
                        break;
                    }
                }
            }
        }
        found
    }

    /// Those events that a source names.
    fn events(code: &str) -> Vec<String> {
        let named = ["event = \"", "const FOUND: &str = \"", "const MOVED: &str = \""];
        let literal = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
        let of = |start: &'static str| code.match_indices(start).map(move |(at, _)| literal(&code[at + start.len()..]));
        named
            .into_iter()
            .flat_map(of)
            .filter(|event| event.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            .collect()
    }

    #[test]
    fn fields_are_found_in_calls() {
        let code = r#"tracing::warn!(event = "again", part, "try" = self.count(1, 2), "{error} a = b"); tracing::info!("x = y");
            tracing::error_span!("upload", key, upload_id) tracing::info!(target: "t", bytes = 1, "z"); tracing::debug!(a = x)"#;
        assert_eq!(fields(code), ["event", "part", "try", "bytes", "a", "key", "upload_id"]);
    }

    #[test]
    fn the_document_names_every_field_and_every_event_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = fs::read_to_string(root.join("docs/logging.md")).expect("docs/logging.md");
        let code: Vec<String> = sources(&root.join("src"))
            .iter()
            .map(|text| text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned())
            .collect();
        let used: BTreeSet<String> = code.iter().flat_map(|text| [fields(text), events(text)].concat()).collect();
        let missing: Vec<_> = used.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/logging.md does not name {missing:?}");
        // The first column of the tables.
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let named = rows.flat_map(|row| row.split("`, `")).map(|name| name.trim_matches(['`', ' ']).to_owned());
        let unused: Vec<_> = named
            .filter(|name| !used.contains(name) && !["upload", "recording", "stream"].contains(&&**name))
            .collect();
        assert!(unused.is_empty(), "docs/logging.md names {unused:?}, which no message has");
    }
}
