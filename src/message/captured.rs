//! What a unit test says, as `--log-format json` would write it.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// Where lines go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// All of them so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The lines of JSON that `say` writes.
pub(crate) fn json(say: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let builder = tracing_subscriber::fmt().with_writer(lines.clone()).with_max_level(Level::DEBUG);
    tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), say);
    lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
