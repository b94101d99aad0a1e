//! `--probe`: tells what is in the recording.

use std::io::{self, Write};

use crate::object::wanted::Wanted;
use crate::reader::{copy, probe};
use crate::store::Patient;
use crate::tool::exit::Exit;

/// Looks at what `wanted` names, and writes what is in it to standard output.
pub async fn probe(wanted: &Wanted, json: bool, store: &Patient) -> Exit {
    let report = match copy::in_time(store, wanted, Box::pin(probe::examine(store, wanted))).await {
        Ok(report) => report,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Failed;
        }
    };
    let text = if json { format!("{:#}\n", report.json) } else { report.text };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tracing::error!("cannot write to standard output: {error}");
            Exit::Failed
        }
        _ => Exit::Done,
    }
}
