//! `--serve`: listens, and gives objects to whoever asks by HTTP, until a signal.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio::net::{TcpListener, lookup_host};
use tokio::sync::watch;

use crate::cli::reader::job::ServeJob;
use crate::cli::reader::link;
use crate::cli::reader::serve_args::{CONNECTIONS, MAX_UPLOAD, MEMORY};
use crate::serve::auth::Tokens;
use crate::serve::{Limits, Settings};
use crate::store::{Connection, Store};
use crate::tool::certificate::{Certificate, Tls};
use crate::tool::crash;
use crate::tool::exit::Exit;
use crate::tool::open_files;
use crate::tool::shutdown::{EndSignals, is_impatient, name};

/// File descriptors beside those of the connections: for the store, and what every program has.
const BESIDE: u64 = 512;

/// The largest file of tokens.
const MOST_TOKENS: u64 = 4 << 20;

/// Does the job.
pub async fn serve(job: ServeJob, connection: &Connection, mut signals: EndSignals) -> Exit {
    if let Some(wanted) = &job.options.link {
        return tell_link(&job, wanted);
    }
    let prepared = tokio::select! {
        prepared = prepare(&job, connection) => prepared,
        signal = signals.next() => return Exit::Signal(signal),
    };
    let Prepared { store, listener, tokens, tls } = match prepared {
        Ok(prepared) => prepared,
        Err((exit, message)) => {
            tracing::error!("{message}");
            return exit;
        }
    };
    let ServeJob { wanted, buckets, options } = job;
    let most = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let connections = options.connections.unwrap_or(CONNECTIONS);
    let limits = Limits { connections: most(connections), per_address: options.connections_per_address.map(most) };
    if let Err(allowed) = open_files::allow(u64::from(connections).saturating_add(BESIDE)) {
        tracing::warn!("the system allows {allowed} open files, which is less than --connections needs (ulimit -n)");
    }
    crash::go_on();
    let settings = Settings {
        buckets,
        wanted,
        tokens,
        hosts: options.host,
        origins: options.allow_origin,
        memory: options.memory.unwrap_or(MEMORY),
        limits,
        max_upload: options.max_upload.unwrap_or(MAX_UPLOAD),
        tls,
        access_log: options.access_log,
    };
    let (end, ending) = watch::channel(false);
    let serving = crate::serve::serve(&store, settings, listener, ending);
    tokio::pin!(serving);
    let mut first = None;
    loop {
        tokio::select! {
            () = &mut serving => return first.map_or(Exit::Done, Exit::Signal),
            signal = signals.next() => match first {
                Some(_) if is_impatient(signal) => return Exit::Signal(signal),
                Some(_) => {}
                None => {
                    first = Some(signal);
                    tracing::info!("{}: no more connections; a second one ends it at once", name(signal));
                    end.send_replace(true);
                }
            },
        }
    }
}

/// What a gateway begins with.
struct Prepared {
    store: crate::store::Patient,
    listener: TcpListener,
    tokens: Option<Tokens>,
    tls: Option<Tls>,
}

/// The protocols that are spoken over TLS.
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// `--link`: prints it.
fn tell_link(job: &ServeJob, wanted: &str) -> Exit {
    let tokens = match job.options.auth.as_deref().map(tokens).transpose() {
        Ok(tokens) => tokens,
        Err((exit, message)) => {
            tracing::error!("{message}");
            return exit;
        }
    };
    let made = tokens.ok_or_else(|| "--link needs --auth FILE".to_owned());
    match made.and_then(|tokens| link::link(job, wanted, &tokens)) {
        Ok(link) => match writeln!(io::stdout().lock(), "{link}") {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        },
        Err(message) => {
            tracing::error!("{message}");
            Exit::Usage
        }
    }
}

/// Checks what was asked for, and listens.
async fn prepare(job: &ServeJob, connection: &Connection) -> Result<Prepared, (Exit, String)> {
    let usage = |message: String| (Exit::Usage, message);
    let text = job.options.serve.clone().unwrap_or_default();
    let address = resolve(&text).await.map_err(usage)?;
    let tokens = job.options.auth.as_deref().map(tokens).transpose()?;
    if tokens.is_none() && !address.ip().is_loopback() {
        return Err(usage(format!(
            "--serve {text}: without --auth FILE only this machine is served; listen on 127.0.0.1, or give a file of tokens"
        )));
    }
    let files = job.options.tls_cert.clone().zip(job.options.tls_key.clone());
    let files = files.map(|(chain, key)| Certificate { chain, key });
    let tls = files.map(|files| Tls::load(files, PROTOCOLS)).transpose();
    let tls = tls.map_err(|error| (Exit::Failed, error.to_string()))?;
    let listener = TcpListener::bind(address).await;
    let failed =
        |error: io::Error| (Exit::Failed, format!("cannot listen on {address}: {error}. Give --serve another address"));
    let listener = listener.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let store = Store::connect(connection).await.map_err(|error| (Exit::Failed, error.to_string()))?.0;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let line = format!("{scheme}://{bound}/\n");
    let mut stdout = io::stdout().lock();
    // Nobody has to read it.
    drop(stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()));
    tracing::info!("serving s3://{} at {scheme}://{bound}/", job.buckets.join(", s3://"));
    Ok(Prepared { store: store.patient(connection.retry), listener, tokens, tls })
}

/// `HOST:PORT`, `:PORT` or `PORT`; a name may stand for this machine.
async fn resolve(text: &str) -> Result<SocketAddr, String> {
    let with_host = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        Ok(port) => format!("{}:{port}", IpAddr::from([127, 0, 0, 1])),
        Err(_) => text.to_owned(),
    };
    let found = lookup_host(with_host).await.map(|mut found| found.next());
    match found {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(format!("--serve {text}: this name has no address")),
        Err(error) => Err(format!("--serve {text}: give an address and a port, such as 127.0.0.1:8080 ({error})")),
    }
}

fn tokens(path: &Path) -> Result<Tokens, (Exit, String)> {
    let shown = path.display();
    let failed = |error: io::Error| (Exit::Failed, format!("cannot read {shown} (--auth): {error}"));
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.len() > MOST_TOKENS {
        return Err((Exit::Usage, format!("{shown} (--auth) is too long for a file of tokens")));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&meta) & 0o044 != 0 {
        tracing::warn!("{shown} (--auth) can be read by others than its owner: chmod 600 keeps its tokens to you");
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Tokens::parse(&text).map_err(|error| (Exit::Usage, format!("{shown} (--auth), {error}")))
}
