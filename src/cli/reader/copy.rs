//! Copies an object to the output, and says how it went.

use std::path::Path;
use std::sync::Arc;

use tracing::Instrument;

use crate::cli::reader::figures;
use crate::cli::reader::job::{CopyJob, What};
use crate::cli::said::Said;
use crate::human::sizes::show_exactly;
use crate::message::fields;
use crate::message::logging::Console;
use crate::reader::error::ReadError;
use crate::reader::held::Held;
use crate::reader::output::Output;
use crate::reader::sink::{Sink, SinkError};
use crate::reader::{chain, copy, join};
use crate::store::Patient;
use crate::tool::exit::Exit;
use crate::tool::progress::{self, Progress};
use crate::tool::stats::Stats;

/// Does the job.
pub async fn copy(job: &CopyJob, store: &Patient, console: &Console) -> Exit {
    let progress = Arc::new(Progress::default());
    let (mut sink, held) = match job.output.open(&progress).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let figures = job.stats.as_deref().map(|path: &Path| Stats::start(path, store.once(), &progress, figures::facts));
    let _figures = match figures.transpose() {
        Ok(figures) => figures,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let status = progress::show(console.clone(), progress.clone(), job.quiet, figures::status_line);
    let span = fields::recording(&job.reading.wanted.key, None);
    let result = read(job, store, held.as_ref(), &mut sink, &progress).instrument(span.clone()).await;
    if let Some(status) = status {
        status.abort();
    }
    let result = result.and_then(|copied| sink.settle().map(|()| copied).map_err(ReadError::from));
    let bill = figures::bill(&progress, &store.requests());
    match ended(&store.object(&job.reading.wanted.key), job.what, result, &job.output, &bill) {
        Some(said) => {
            span.in_scope(|| said.say());
            said.exit()
        }
        None => Exit::Done,
    }
}

/// Copies what is asked for; bytes and objects.
async fn read(
    job: &CopyJob,
    store: &Patient,
    held: Option<&Held>,
    sink: &mut Sink,
    progress: &Arc<Progress>,
) -> Result<(u64, u32), ReadError> {
    match &job.what {
        What::Excerpt(excerpt) => {
            join::read(store, &job.reading, excerpt, sink, progress).await.map(|bytes| (bytes, 1))
        }
        What::Chain => {
            chain::read(store, &job.reading, sink, progress).await.map(|walked| (walked.bytes, walked.objects))
        }
        What::Object => copy::read(store, &job.reading, held, sink, progress).await.map(|bytes| (bytes, 1)),
    }
}

/// What is to be said of the end, if anything. Pure.
fn ended(object: &str, what: What, result: Result<(u64, u32), ReadError>, output: &Output, bill: &str) -> Option<Said> {
    match result {
        Ok((bytes, objects)) => {
            let more = if objects > 1 { format!(" in {objects} objects") } else { String::new() };
            let ended = if matches!(what, What::Excerpt(_)) { ": the excerpt ended" } else { " ended" };
            let file = match output {
                Output::File(path) | Output::Resumed(path) => format!(", now {}", path.display()),
                Output::Stdout | Output::Screen => String::new(),
            };
            Some(Said::Info(format!("{object}{ended}: {}{more}{file}, {bill}", show_exactly(bytes))))
        }
        // Whoever reads our output has had enough: that is an end, not a failure.
        Err(ReadError::Sink(SinkError::Closed)) => None,
        Err(error) => Some(Said::Error(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::join::Excerpt;

    #[test]
    fn an_end_is_told_as_what_it_is() {
        let told = |what, result| ended("s3://b/k", what, result, &Output::Stdout, "1.0 s");
        let file = ended("s3://b/k", What::Object, Ok((2_000_000, 1)), &Output::File("a.mp4".into()), "1.0 s");
        let info = |text: &str| Some(Said::Info(text.to_owned()));
        let excerpt = What::Excerpt(Excerpt { from: None, to: None, rebase: false });
        assert_eq!(file, info("s3://b/k ended: 2000000 bytes (2.0 MB), now a.mp4, 1.0 s"));
        assert_eq!(told(What::Object, Ok((7, 1))), info("s3://b/k ended: 7 bytes, 1.0 s"));
        assert_eq!(told(What::Chain, Ok((7, 2))), info("s3://b/k ended: 7 bytes in 2 objects, 1.0 s"));
        assert_eq!(told(excerpt, Ok((7, 1))), info("s3://b/k: the excerpt ended: 7 bytes, 1.0 s"));
        assert_eq!(told(What::Object, Err(SinkError::Closed.into())), None);
        let failed = told(What::Object, Err(SinkError::NotAFile { path: "f".into() }.into()));
        assert!(matches!(failed, Some(Said::Error(_))), "{failed:?}");
    }
}
