//! What both tools do around their work: settings, messages, signals, a runtime, and an exit code.

use std::process::ExitCode;

use clap::Parser;
use clap::parser::ValueSource;

use crate::cli::common::{CommonArgs, complain};
use crate::cli::{environment, manual};
use crate::message::logging::{Console, LogSettings};
use crate::store::{Access, Connection};
use crate::tool::crash;
use crate::tool::exit::Exit;
use crate::tool::shutdown::EndSignals;

/// The command line of a tool.
pub trait Arguments: Parser {
    /// Threads that send and receive, beside the one that runs the tool's own work: each further one costs memory.
    fn workers(&self) -> usize;

    /// The options that both tools take.
    fn common(&self) -> &CommonArgs;

    /// The object that is named, if one is, and the options beside it.
    fn object(&mut self) -> (Option<&mut String>, &mut CommonArgs);

    /// Whether many streams are dealt with at once.
    fn has_streams(&self) -> bool {
        false
    }

    /// Does what needs no store and no bucket, where that is what is asked for.
    fn without_store(&self) -> impl Future<Output = Option<Exit>> {
        std::future::ready(None)
    }

    /// Checks what clap cannot, and tells who is asking.
    ///
    /// # Errors
    /// In words, for wrong usage.
    fn access(&self) -> Result<Access, String>;
}

/// Runs a tool: reads `.env` and the command line, starts the log, catches signals, does `work`.
pub fn run<A, W>(name: &str, work: W) -> ExitCode
where
    A: Arguments,
    W: AsyncFnOnce(A, Connection, &Console, EndSignals) -> Exit,
{
    // First of all, because it changes the environment: no other thread may run by then.
    let prepared = environment::prepare();
    crash::install();
    let warning = match prepared {
        Ok(warning) => warning,
        Err(error) => {
            complain(name, &error);
            return Exit::Usage.into();
        }
    };
    match manual::answer(&A::command()) {
        Ok(false) => {}
        Ok(true) => return Exit::Done.into(),
        Err(error) => {
            complain(name, &format!("cannot print that: {error}"));
            return Exit::Failed.into();
        }
    }
    let typed = A::command().get_matches();
    let typed_bucket = typed.value_source("bucket") == Some(ValueSource::CommandLine);
    let mut args = A::from_arg_matches(&typed).unwrap_or_else(|error| error.format(&mut A::command()).exit());
    let named = match args.object() {
        (Some(key), common) => common.take_bucket(key, typed_bucket),
        (None, _) => Ok(()),
    };
    let common = args.common();
    let console = Console::start(LogSettings {
        debug: common.debug,
        debug_sdk: common.debug_sdk,
        quiet: common.quiet,
        format: common.log_format,
        streams: args.has_streams(),
    });
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    let exit = match named {
        Ok(()) => start(args, &console, work),
        Err(error) => {
            tracing::error!("{error}");
            Exit::Usage
        }
    };
    console.clear();
    console.settle();
    exit.into()
}

/// Catches signals and does `work`.
fn start<A, W>(args: A, console: &Console, work: W) -> Exit
where
    A: Arguments,
    W: AsyncFnOnce(A, Connection, &Console, EndSignals) -> Exit,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(args.workers()).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return Exit::Failed;
        }
    };
    if let Some(exit) = runtime.block_on(args.without_store()) {
        return exit;
    }
    let connection = match args.access().and_then(|access| args.common().connection(access)) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Usage;
        }
    };
    let exit = runtime.block_on(async {
        match EndSignals::catch() {
            Ok(signals) => work(args, connection, console, signals).await,
            Err(error) => {
                tracing::error!("cannot catch signals: {error}");
                Exit::Failed
            }
        }
    });
    // A read of standard input that still waits must not keep the program.
    runtime.shutdown_background();
    exit
}
