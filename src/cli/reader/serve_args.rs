//! The options of `reader --serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::human::sizes;
use crate::serve::LEAST_MEMORY;
use crate::serve::link::LONGEST;

/// Where the gateway listens if that is not said.
const ADDRESS: &str = "127.0.0.1:8080";

/// What cannot go together with `--serve`.
const OF_A_COPY: [&str; 18] = [
    "key",
    "file",
    "by",
    "chunk_size",
    "queue_size",
    "no_wait",
    "upload_id",
    "resume",
    "follow_rollover",
    "from",
    "to",
    "rebase",
    "no_rebase",
    "probe",
    "json",
    "list",
    "timeout",
    "stats",
];

/// Options of the gateway.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gateway")]
pub struct ServeArgs {
    /// Give finished and growing objects to players over HTTP (docs/gateway.md), at ADDR: an address and a port, 0 for a free
    /// one, which the first line of standard output names. --bucket may be repeated: no other is ever reached
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = ADDRESS, conflicts_with_all = OF_A_COPY)]
    pub serve: Option<String>,

    /// With --serve: who may do what, a line each: `RIGHTS TOKEN` or `RIGHTS USER:PASSWORD`, RIGHTS being watch, list, write
    /// and admin with commas between. Without it only this machine is served
    #[arg(long, value_name = "FILE")]
    pub auth: Option<PathBuf>,

    /// With --serve: a site whose pages may read the answers, such as `https://tv.example`; `*` is any (may be repeated)
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub allow_origin: Vec<String>,

    /// With --serve: a name that the gateway is called by, beside those of this machine itself (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// With --serve: bytes of objects that are held in memory, at most
    /// [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,

    /// With --serve: connections, at most [default: 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: Option<u32>,

    /// With --serve: connections from one address, at most [default: as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: Option<u32>,

    /// With --serve: the largest object that may be uploaded [default: 5GiB]
    #[arg(long, value_name = "SIZE", value_parser = sizes::size)]
    pub max_upload: Option<u64>,

    /// With --serve: print a signed link that lets whoever has it watch KEY, or all that begins with PREFIX, and end
    #[arg(long, value_name = "KEY|PREFIX*", requires_all = ["expires", "auth"])]
    pub link: Option<String>,

    /// With --link: for so long, ten years at most
    #[arg(long, value_name = "DURATION", value_parser = expires, requires = "link")]
    pub expires: Option<Duration>,

    /// With --link: where the gateway is to be found, such as `https://tv.example`; without it only the path is printed
    #[arg(long, value_name = "URL", value_parser = base_url, requires = "link")]
    pub base_url: Option<String>,

    /// With --serve: a certificate, and those above it, in PEM form: then https:// is spoken. It is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// With --tls-cert: its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// With --serve: a line of JSON on standard error for each answer
    #[arg(long)]
    pub access_log: bool,
}

impl ServeArgs {
    /// Checks that nothing is said about a gateway where none is asked for.
    ///
    /// # Errors
    /// In words.
    pub fn go_together(&self) -> Result<(), String> {
        let Self { serve, auth, allow_origin, host, memory, connections, connections_per_address, access_log, .. } =
            self;
        let Self { max_upload, link, tls_cert, .. } = self;
        let given = [
            ("--auth", auth.is_some()),
            ("--allow-origin", !allow_origin.is_empty()),
            ("--host", !host.is_empty()),
            ("--memory", memory.is_some()),
            ("--connections", connections.is_some()),
            ("--connections-per-address", connections_per_address.is_some()),
            ("--max-upload", max_upload.is_some()),
            ("--link", link.is_some()),
            ("--tls-cert", tls_cert.is_some()),
            ("--access-log", *access_log),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((name, _)) if serve.is_none() => Err(format!("{name} is about --serve, which is not given")),
            _ => Ok(()),
        }
    }
}

/// What is held in memory, how large an upload is, and how many connections there may be, if that is not said.
pub const MEMORY: u64 = 256 << 20;
/// See [`MEMORY`].
pub const MAX_UPLOAD: u64 = 5 << 30;
/// See [`MEMORY`].
pub const CONNECTIONS: u32 = 4096;

fn memory(text: &str) -> Result<u64, String> {
    let size = sizes::size(text)?;
    if size < LEAST_MEMORY { Err(format!("at least {} MiB", LEAST_MEMORY >> 20)) } else { Ok(size) }
}

fn expires(text: &str) -> Result<Duration, String> {
    let given = sizes::duration(text)?;
    match given.as_secs() {
        0 => Err("a link is good for a second at least".to_owned()),
        1..=LONGEST => Ok(given),
        _ => Err("a link is good for ten years at most".to_owned()),
    }
}

fn base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_sound =
        |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if rest.is_some_and(is_sound) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("it begins with http:// or https://".to_owned())
    }
}

/// A scheme and a host, as browsers send them.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_origin = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if text == "*" || host.is_some_and(is_origin) {
        return Ok(text.to_owned());
    }
    Err("an origin is http:// or https:// and a host, without a path; or *".to_owned())
}
