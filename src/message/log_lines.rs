//! What a message may hold: one line, of bounded length, without a secret and without a character that a terminal obeys.
//!
//! Names, codes and messages come from the store and from files; none of them may forge a line or fill a disk.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::message::secrets;

/// Bytes of one field.
const FIELD: usize = 4 * 1024;

/// Bytes of one line: a message and the fields of what it happened in.
const LINE: usize = 16 * 1024;

/// One line out of what may be anything.
#[must_use]
pub(crate) fn safe(text: &str, limit: usize) -> String {
    // Far more than is shown, so that no secret is halved at the end of what is shown.
    let enough = text.get(..text.floor_char_boundary(16 * limit)).unwrap_or(text);
    let scrubbed = secrets::scrub(enough);
    let mut line = String::new();
    for c in scrubbed.chars() {
        if line.len() >= limit {
            return format!("{line}… ({} bytes in all)", text.len());
        }
        if is_obeyed(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Whether a terminal does something about a character other than show it.
fn is_obeyed(c: char) -> bool {
    // Line and paragraph separators, and what turns the direction of writing.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of text as it goes out, out of one whose fields are safe.
pub(crate) fn text_line(text: &str) -> String {
    let text = secrets::scrub(text);
    if text.len() <= LINE {
        return text.into_owned();
    }
    let mut line = String::from(text.get(..text.floor_char_boundary(LINE)).unwrap_or_default());
    line.push_str("…\n");
    line
}

/// A line of JSON as it goes out.
pub(crate) fn json_line(text: &str) -> String {
    let text = secrets::scrub(text);
    if text.len() > LINE
        && let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&text)
    {
        shorten(&mut value);
        return format!("{value}\n");
    }
    // JSON leaves these as they are.
    text.chars()
        .map(|c| if c != '\n' && is_obeyed(c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() })
        .collect()
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.len() > FIELD => *text = safe(text, FIELD),
        serde_json::Value::Array(values) => {
            values.truncate(16);
            values.iter_mut().for_each(shorten);
        }
        serde_json::Value::Object(values) => values.values_mut().for_each(shorten),
        _ => {}
    }
}

/// Writes the fields of a message, each of them [`safe`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SafeFields;

impl<'writer> FormatFields<'writer> for SafeFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        write_fields(writer, |visitor| fields.record(visitor), |_| true)
    }
}

/// Writes those fields that are `shown`, by their names.
pub(crate) fn write_fields(
    writer: Writer<'_>,
    record: impl FnOnce(&mut dyn Visit),
    shown: fn(&str) -> bool,
) -> fmt::Result {
    let mut visitor = Fields { writer, shown, first: true, result: Ok(()) };
    record(&mut visitor);
    visitor.result
}

struct Fields<'writer> {
    writer: Writer<'writer>,
    shown: fn(&str) -> bool,
    first: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, name: &str, value: &str) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            let (before, equals) =
                if self.writer.has_ansi_escapes() { ("\x1b[3m", "\x1b[0m\x1b[2m=\x1b[0m") } else { ("", "=") };
            write!(self.writer, "{before}{name}{equals}")?;
        }
        self.writer.write_str(&safe(value, FIELD))
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_ok() && (self.shown)(field.name()) {
            self.result = self.field(field.name(), &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_no_terminal_obeys() {
        assert_eq!(safe("a\nb\r\tc", FIELD), "a\\nb\\r\\tc");
        assert_eq!(safe("\x1b[2J\x07\u{9b}31m\u{202e}", FIELD), "\\u{1b}[2J\\u{7}\\u{9b}31m\\u{202e}");
        assert_eq!(safe("naïve – “ok” 日本", FIELD), "naïve – “ok” 日本");
    }

    #[test]
    fn a_long_message_is_cut_and_says_so() {
        let line = safe(&"ü".repeat(2_500_000), FIELD);
        assert!(line.len() < FIELD + 100 && line.ends_with("(5000000 bytes in all)"), "{}", line.len());
        assert!(text_line(&"ü".repeat(LINE)).len() <= LINE + 10);
    }

    #[test]
    fn a_long_line_of_json_stays_json() {
        let long = serde_json::json!({ "level": "ERROR", "message": "x".repeat(5_000_000), "n": [1, 2] });
        let line = json_line(&format!("{long}\n"));
        assert!(line.len() < LINE && line.ends_with('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["level"], &value["n"]), (&"ERROR".into(), &serde_json::json!([1, 2])));
        let line = json_line("{\"message\":\"a\u{9b}b\"}\n");
        assert_eq!(line, "{\"message\":\"a\\u009bb\"}\n");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_halved() {
        secrets::learn("a-secret-at-the-cut");
        let line = safe(&format!("{}a-secret-at-the-cut", "x".repeat(FIELD - 8)), FIELD);
        assert!(line.contains("***") && !line.contains("a-secr"), "{}", &line[line.len() - 60..]);
    }
}
