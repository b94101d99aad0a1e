//! Messages for people: log lines and, on a terminal, one live status line, all on standard error and without secrets.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::message::log_lines::{SafeFields, json_line, safe, text_line};
use crate::message::stderr::{Outlet, PATIENCE, outlet};
use crate::message::text::{TextLines, is_ours};

/// Bytes of the status line: names in it are as long as their givers like.
const STATUS: usize = 1024;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A JSON object a line.
    Json,
}

/// Which messages to write, and how.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// A line per part and per wait.
    pub debug: bool,
    /// The SDK's lines too.
    pub debug_sdk: bool,
    /// Only warnings and errors.
    pub quiet: bool,
    /// Text or JSON.
    pub format: LogFormat,
    /// Whether there are many streams, so that each line has to tell which it is of.
    pub streams: bool,
}

/// Standard error, shared by log lines and the status line. Nothing waits for it: see [`crate::message::stderr`].
#[derive(Debug, Clone)]
pub struct Console {
    outlet: Outlet,
    json: bool,
}

impl Console {
    /// Starts logging. `RUST_LOG` wins over the settings.
    #[must_use]
    pub fn start(settings: LogSettings) -> Self {
        let json = settings.format == LogFormat::Json;
        let console = Self { outlet: outlet().clone(), json };
        console.outlet.set_notice(if json { dropped_as_json } else { dropped_as_text });
        let ours = match settings {
            LogSettings { debug: true, .. } => "debug",
            LogSettings { quiet: true, .. } => "warn",
            _ => "info",
        };
        let sdk = if settings.debug_sdk { "debug" } else { "off" };
        let filter = std::env::var("RUST_LOG")
            .ok()
            .filter(|filter| !filter.is_empty())
            .and_then(|filter| EnvFilter::try_new(filter).ok());
        let filter =
            filter.unwrap_or_else(|| EnvFilter::new(format!("{sdk},live_read={ours},writer={ours},reader={ours}")));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        let terminal = io::stderr().is_terminal();
        // Who sits before it knows the time; what is kept in a file needs it.
        let timed = !terminal || settings.debug || settings.debug_sdk;
        let result = match settings.format {
            LogFormat::Text => builder
                .fmt_fields(SafeFields)
                .with_ansi(terminal)
                .event_format(TextLines::new(settings.debug_sdk, timed))
                .finish()
                // What our messages happen in is for programs, but for the names of streams.
                .with(filter_fn(move |metadata| settings.streams || !metadata.is_span() || !is_ours(metadata)))
                .try_init()
                .map_err(Into::into),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        // Only a second call in one process can fail, and then the first one's settings stand.
        drop(result);
        console
    }

    /// Puts `line` in the place of the last status line.
    pub fn status(&self, line: &str) {
        self.outlet.status(safe(line, STATUS));
    }

    /// Takes the status line away.
    pub fn clear(&self) {
        self.outlet.clear();
    }

    /// Waits until all messages are written, unless nobody reads them.
    pub fn settle(&self) {
        self.outlet.settle(PATIENCE);
    }
}

fn now() -> String {
    let mut time = String::new();
    match SystemTime.format_time(&mut Writer::new(&mut time)) {
        Ok(()) => time,
        Err(_) => String::new(),
    }
}

fn dropped(count: u64) -> String {
    format!("{count} messages were dropped here, because standard error was not read")
}

fn dropped_as_text(count: u64) -> String {
    format!("{}  WARN {}\n", now(), dropped(count))
}

fn dropped_as_json(count: u64) -> String {
    format!("{}\n", serde_json::json!({ "timestamp": now(), "level": "WARN", "message": dropped(count) }))
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { console: self.clone(), text: Vec::new() }
    }
}

/// One log line, handed on whole when it is dropped.
#[derive(Debug)]
pub struct Line {
    console: Console,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.text);
        self.console.outlet.line(if self.console.json { json_line(&text) } else { text_line(&text) });
    }
}
