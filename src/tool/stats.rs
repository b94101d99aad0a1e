//! `--stats FILE`: a line of JSON each second, and a last one at the end, for plots and for bills.

use super::clock;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::store::Store;
use crate::tool::progress::Progress;

/// Between two lines.
const EACH: Duration = Duration::from_secs(1);

/// What a tool tells of itself beside times and requests: names and values of a line.
pub type Facts = fn(&Progress) -> Value;

/// The file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {} for --stats: {cause}", path.display())]
pub struct StatsError {
    path: PathBuf,
    cause: io::Error,
}

/// A file of figures, which several may write into.
#[derive(Debug, Clone)]
pub struct StatsFile(Arc<Mutex<Option<File>>>);

impl StatsFile {
    /// Makes the file; an older one of this name is lost.
    ///
    /// # Errors
    /// [`StatsError`] when it cannot be made.
    pub fn create(path: &Path) -> Result<Self, StatsError> {
        let file = File::create(path).map_err(|cause| StatsError { path: path.to_owned(), cause })?;
        Ok(Self(Arc::new(Mutex::new(Some(file)))))
    }
}

/// A file of figures that is being written; the last line comes when this is dropped.
#[derive(Debug)]
pub struct Stats {
    lines: Arc<Lines>,
    each: JoinHandle<()>,
}

impl Stats {
    /// Makes the file (an older one of this name is lost), and writes into it each second.
    ///
    /// # Errors
    /// [`StatsError`] when it cannot be made.
    pub fn start(path: &Path, store: &Store, progress: &Arc<Progress>, facts: Facts) -> Result<Self, StatsError> {
        Ok(Self::into(&StatsFile::create(path)?, None, store, progress, facts))
    }

    /// Writes into a file each second, as one `stream` of several.
    #[must_use]
    pub fn into(file: &StatsFile, stream: Option<&str>, store: &Store, progress: &Arc<Progress>, facts: Facts) -> Self {
        let (file, stream) = (file.clone(), stream.map(str::to_owned));
        let lines = Lines { file, stream, store: store.clone(), progress: progress.clone(), facts };
        let (lines, mut tick) = (Arc::new(lines), tokio::time::interval(EACH));
        let writer = lines.clone();
        let each = tokio::spawn(async move {
            loop {
                tick.tick().await;
                writer.write(false);
            }
        });
        Self { lines, each }
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        self.each.abort();
        self.lines.write(true);
    }
}

#[derive(Debug)]
struct Lines {
    /// `None` once a line could not be written.
    file: StatsFile,
    /// Which stream's they are, where there are several.
    stream: Option<String>,
    store: Store,
    progress: Arc<Progress>,
    facts: Facts,
}

impl Lines {
    fn write(&self, last: bool) {
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return };
        // One call for a line, so that whoever follows the file sees whole lines.
        if let Err(error) = open.write_all(format!("{}\n", self.line(last)).as_bytes()) {
            tracing::warn!("no more lines for --stats: {error}");
            *file = None;
        }
    }

    fn line(&self, last: bool) -> Value {
        let requests = self.store.requests();
        let mut line = Map::new();
        if let Some(stream) = &self.stream {
            line.insert("stream".to_owned(), json!(stream));
        }
        line.insert("time".to_owned(), json!(round(clock::now())));
        line.insert("elapsed".to_owned(), json!(round(self.progress.elapsed())));
        if let Value::Object(facts) = (self.facts)(&self.progress) {
            line.extend(facts);
        }
        line.insert(
            "requests".to_owned(),
            json!({
                "uploads": requests.uploads, "reads": requests.reads, "lists": requests.lists, "others": requests.others,
                "billed_as_writes": requests.billed_as_writes(), "billed_as_reads": requests.reads, "free": requests.free,
            }),
        );
        line.insert("bytes_sent".to_owned(), json!(requests.sent));
        line.insert("last".to_owned(), json!(last));
        Value::Object(line)
    }
}

/// Seconds with three digits.
#[must_use]
pub fn round(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
