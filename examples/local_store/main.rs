//! A local S3 store with Backblaze B2 Live Read: real sockets, real signatures, data on disk that survive a restart.
//!
//! ```text
//! cargo run --release --example local_store -- --dir DIR --listen 127.0.0.1:9000
//! ```
//!
//! A request comes in by `serve` (over `tls`), passes `front` (`faults`, `refusals`, `quirks`, CORS, the log), is checked and parsed by the
//! `s3s` crate with `access`, and reaches `service`, which works on the `catalog`. Bodies go by `receive` to the disk and
//! by `read` from it; `live` holds the rules of Live Read and `look` decides what a GET or HEAD finds.

use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use clap::Parser;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::access::{Access, Auth, Keys};
use crate::args::Args;
use crate::catalog::Catalog;
use crate::control::Control;
use crate::faults::Faults;
use crate::front::Front;
use crate::quirks::Quirks;
use crate::request_log::RequestLog;
use crate::service::Service;

mod access;
mod args;
mod body;
mod catalog;
mod control;
mod convert;
mod copy;
mod cors;
mod disk;
mod effects;
mod errors;
mod faults;
mod front;
mod late;
mod list;
mod live;
mod load;
mod look;
mod model;
mod operation;
mod past;
mod quirks;
mod read;
mod receive;
mod refusals;
mod request_log;
mod serve;
mod service;
mod text;
mod tls;
mod uploads;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // The errors that s3s logs are answers to clients.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,s3s=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local_store: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let catalog = Catalog::open(&args.dir).with_context(|| format!("opening the data in {}", args.dir.display()))?;
    let catalog = Arc::new(catalog);
    let private = args.buckets.iter().map(|name| (name, false));
    for (name, public) in private.chain(args.public_buckets.iter().map(|name| (name, true))) {
        anyhow::ensure!(s3s::path::check_bucket_name(name), "'{name}' is not a bucket name");
        catalog.ensure_bucket(name, public).with_context(|| format!("making the bucket {name}"))?;
    }
    let log = RequestLog::open(args.request_log.as_deref()).context("opening the request log")?;
    let (log, faults) = (Arc::new(log), Arc::new(Faults::default()));
    let quirks = Arc::new(Quirks::new(&args.quirks));

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (listener, address) =
        serve::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    let tls = args.tls.as_deref().map(|file| tls::acceptor(&args.dir, address.ip(), file)).transpose();
    let tls = tls.context("setting up TLS")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut ready = format!("listening on {scheme}://{address}\n");
    if let Some(wanted) = args.control {
        anyhow::ensure!(wanted.ip().is_loopback(), "the control API has no password, so it is for the loopback only");
        let (listener, address) = serve::bind(wanted).await.with_context(|| format!("listening on {wanted}"))?;
        let (faults, log, catalog) = (Arc::clone(&faults), Arc::clone(&log), Arc::clone(&catalog));
        let control = Arc::new(Control { faults, log, catalog, quirks: Arc::clone(&quirks) });
        tokio::spawn(serve::serve(listener, None, move |request| {
            let control = Arc::clone(&control);
            async move { Ok::<_, Infallible>(control.handle(request).await) }
        }));
        ready.push_str(&format!("control on http://{address}\n"));
    }
    let s3 = s3_service(&args, Arc::clone(&catalog), Arc::clone(&quirks));
    let (region, cors) = (args.region.clone(), !args.no_cors);
    let front = Arc::new(Front { s3, faults, quirks, catalog, log, region, cors, requests: AtomicU64::new(0) });
    let serving = serve::serve(listener, tls, move |request| {
        let front = Arc::clone(&front);
        async move { front.handle(request).await }
    });
    let mut stdout = io::stdout().lock();
    stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush()).context("writing to standard output")?;
    drop(stdout);
    tokio::select! {
        () = serving => {}
        _ = interrupt.recv() => tracing::info!("interrupted"),
        _ = terminate.recv() => tracing::info!("terminated"),
    }
    Ok(())
}

fn s3_service(args: &Args, catalog: Arc<Catalog>, quirks: Arc<Quirks>) -> S3Service {
    let keys = Arc::new(Keys::new(args));
    let mut builder = S3ServiceBuilder::new(Service {
        catalog: Arc::clone(&catalog),
        quirks,
        region: args.region.clone(),
        live_read: !args.no_live_read,
        tail_replace: !args.no_tail_replace,
    });
    builder.set_auth(Auth(Arc::clone(&keys)));
    builder.set_access(Access { keys, catalog });
    builder.build()
}
