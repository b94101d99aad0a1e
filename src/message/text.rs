//! A line of text for people. Ours say all in words, so that they need no fields at `info` and above; what lies around
//! them is for programs, which take JSON.

use std::fmt;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::message::fields::{EVENT, STREAM};
use crate::message::log_lines::write_fields;

/// Whether a message is the tools' own, and not the SDK's.
pub(crate) fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let first = target.split_once("::").map_or(target, |(first, _)| first);
    matches!(first, "live_read" | "writer" | "reader")
}

/// Writes lines of text.
#[derive(Debug)]
pub(crate) struct TextLines {
    /// For what is not ours.
    others: Format<Full, SystemTime>,
    /// Whether to name where a message comes from.
    targets: bool,
    /// Whether to tell the time of a message.
    timed: bool,
}

impl TextLines {
    pub(crate) fn new(targets: bool, timed: bool) -> Self {
        Self { others: Format::default().with_target(targets), targets, timed }
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if !is_ours(metadata) {
            return self.others.format_event(context, writer, event);
        }
        let (dim, plain) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        if self.timed {
            writer.write_str(dim)?;
            if SystemTime.format_time(&mut writer).is_err() {
                writer.write_str("<unknown time>")?;
            }
            write!(writer, "{plain} ")?;
        }
        write_level(&mut writer, *metadata.level())?;
        if self.targets {
            write!(writer, "{dim}{}{plain}{dim}:{plain} ", metadata.target())?;
        }
        for span in context.event_scope().into_iter().flatten().filter(|span| span.name() == STREAM) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                // It has the one field.
                let name = fields.split_once('=').map_or("", |(_, name)| name.trim_matches('"'));
                write!(writer, "{name}: ")?;
            }
        }
        let in_words = *metadata.level() <= Level::INFO;
        let shown: fn(&str) -> bool = if in_words { |name| name == "message" } else { |name| name != EVENT };
        write_fields(writer.by_ref(), |visitor| event.record(visitor), shown)?;
        writeln!(writer)
    }
}

/// The level, as wide as the widest.
fn write_level(writer: &mut Writer<'_>, level: Level) -> fmt::Result {
    let (name, colour) = match level {
        Level::ERROR => ("ERROR", 31),
        Level::WARN => (" WARN", 33),
        Level::INFO => (" INFO", 32),
        Level::DEBUG => ("DEBUG", 34),
        Level::TRACE => ("TRACE", 35),
    };
    if writer.has_ansi_escapes() { write!(writer, "\x1b[{colour}m{name}\x1b[0m ") } else { write!(writer, "{name} ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::captured::Lines;
    use crate::message::fields;
    use crate::message::log_lines::SafeFields;

    /// What is written of these messages, without the time: by this format, or by the library's own.
    fn written(ansi: bool, targets: bool, ours: bool, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let builder = tracing_subscriber::fmt().with_writer(lines.clone()).with_max_level(Level::DEBUG);
        let builder = builder.with_ansi(ansi).with_target(targets).fmt_fields(SafeFields);
        if ours {
            tracing::subscriber::with_default(builder.event_format(TextLines::new(targets, true)).finish(), say);
        } else {
            tracing::subscriber::with_default(builder.finish(), say);
        }
        let text = lines.text();
        let dated = |line: &str| line.find("20").expect("a date");
        let lines = text.lines().map(|line| line.replacen(&line[dated(line)..][..27], "T", 1));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn of_many_streams_a_line_begins_with_its_name() {
        let said = written(false, false, true, || {
            let upload = fields::stream("cam-1").in_scope(|| fields::upload("key", None));
            upload.in_scope(|| tracing::info!("i"));
            fields::upload("key", None).in_scope(|| tracing::info!("i"));
        });
        assert_eq!(said, "T  INFO cam-1: i\nT  INFO i");
    }

    #[test]
    fn a_line_of_text_is_as_the_library_writes_it_and_says_all_in_words() {
        for (ansi, targets) in [(false, false), (true, false), (false, true), (true, true)] {
            let with = || {
                tracing::error!("e {}", 1);
                tracing::warn!("w");
                tracing::info!("i");
                tracing::debug!(part = 1, "d");
                tracing::info!(target: "aws", part = 1, "theirs");
            };
            assert_eq!(written(ansi, targets, true, with), written(ansi, targets, false, with));
        }
        let said = written(false, false, true, || {
            tracing::warn!(event = "again", part = 1, wait_ms = 7, "trying again");
            tracing::debug!(event = "stored", part = 1, "try" = 2, "stored");
        });
        assert_eq!(said, "T  WARN trying again\nT DEBUG stored part=1 try=2");
    }

    #[test]
    fn on_a_terminal_no_line_begins_with_the_time() {
        let lines = Lines::default();
        let builder = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).fmt_fields(SafeFields);
        tracing::subscriber::with_default(builder.event_format(TextLines::new(false, false)).finish(), || {
            tracing::info!("begun");
            tracing::warn!("beware");
        });
        assert_eq!(lines.text(), " INFO begun\n WARN beware\n");
    }
}
