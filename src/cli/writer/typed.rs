//! Command lines for tests of what they mean.

use std::time::Duration;

use clap::Parser;

use super::args::WriterArgs;
use crate::cli::run::Arguments;
use crate::store::retry::Retry;
use crate::store::{Access, Connection};

/// What is typed behind `writer`, where it is no wrong usage.
pub(super) fn typed(line: &str) -> Result<WriterArgs, String> {
    let args = WriterArgs::try_parse_from(std::iter::once("writer").chain(line.split_whitespace()));
    let args = args.map_err(|error| error.to_string())?;
    args.access()?;
    Ok(args)
}

/// A bucket that nobody asks.
pub(super) fn connection() -> Connection {
    let (bucket, access, retry) = ("b".to_owned(), Access::Credentials, Retry { give_up_after: Duration::ZERO });
    Connection { bucket, endpoint_url: None, path_style: false, access, stall_timeout: None, retry }
}
