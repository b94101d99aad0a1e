//! Messages for people: log lines and, on a terminal, one live status line, all on standard error and without secrets.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
    /// Text or JSON.
    pub format: LogFormat,
}

/// Standard error, shared by log lines and the status line.
#[derive(Debug, Clone, Default)]
pub struct Console(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    /// Whether a status line stands at the cursor.
    status: bool,
    /// What must never be printed.
    secrets: Vec<String>,
}

impl Console {
    /// Starts logging. `RUST_LOG` wins over the settings.
    #[must_use]
    pub fn start(settings: LogSettings) -> Self {
        let console = Self::default();
        let ours = if settings.debug { "debug" } else { "info" };
        let sdk = if settings.debug_sdk { "debug" } else { "off" };
        let filter = std::env::var("RUST_LOG")
            .ok()
            .filter(|filter| !filter.is_empty())
            .and_then(|filter| EnvFilter::try_new(filter).ok());
        let filter =
            filter.unwrap_or_else(|| EnvFilter::new(format!("{sdk},live_read={ours},writer={ours},reader={ours}")));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        let result = match settings.format {
            LogFormat::Text => builder.with_target(settings.debug_sdk).with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        // Only a second call in one process can fail, and then the first one's settings stand.
        drop(result);
        console
    }

    /// Makes sure that none of these ever appears in a line.
    pub fn hide(&self, secrets: Vec<String>) {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= 4);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).secrets.extend(secrets);
    }

    /// Puts `line` in the place of the last status line.
    pub fn status(&self, line: &str) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.status = true;
        // A terminal that has gone away takes no status line; that is no reason to stop.
        drop(io::stderr().lock().write_all(format!("\r\x1b[K{line}").as_bytes()));
    }

    /// Takes the status line away.
    pub fn clear(&self) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut shown.status) {
            drop(io::stderr().lock().write_all(b"\r\x1b[K"));
        }
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { console: self.clone(), text: Vec::new() }
    }
}

/// One log line, written whole when it is dropped.
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
        let mut shown = self.console.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from_utf8_lossy(&self.text).into_owned();
        for secret in &shown.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "***");
            }
        }
        if std::mem::take(&mut shown.status) {
            text.insert_str(0, "\r\x1b[K");
        }
        // Standard error may be closed or full; the work goes on without its messages.
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}
