//! The command line: what the store serves, to whom, and how it misbehaves on request.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::quirks::Quirk;

/// A local S3 store with Backblaze B2 Live Read, for trying things out and for tests.
///
/// It is a real S3 server over real sockets with its data on disk. It is not meant to face a network: it binds
/// the loopback interface and keeps its secrets on its command line.
#[derive(Debug, Parser)]
#[command(name = "local_store", version)]
pub struct Args {
    /// Where the data is kept; made if missing
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,

    /// Address to serve S3 on; port 0 takes a free one, which the first line of standard output names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,

    /// Speak TLS: with a certificate of the store's own, whose authority is written to CA_FILE for clients to trust
    /// (AWS_CA_BUNDLE)
    #[arg(long, value_name = "CA_FILE")]
    pub tls: Option<PathBuf>,

    /// Access key that may do everything
    #[arg(long, value_name = "KEY", default_value = "local")]
    pub access_key: String,

    /// Secret of the access key
    #[arg(long, value_name = "SECRET", default_value = "local-secret")]
    pub secret_key: String,

    /// A further key with fewer rights, as ACCESS:SECRET:read,write,list (may be repeated)
    #[arg(long = "user", value_name = "ACCESS:SECRET:RIGHTS", value_parser = User::parse)]
    pub users: Vec<User>,

    /// Private bucket to make at start (may be repeated)
    #[arg(long = "bucket", value_name = "NAME")]
    pub buckets: Vec<String>,

    /// Bucket to make at start whose objects anyone may read, without listing them (may be repeated)
    #[arg(long = "public-bucket", value_name = "NAME")]
    pub public_buckets: Vec<String>,

    /// Region that the store says it is in
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    pub region: String,

    /// Behave as an account without Live Read: uploads work, but cannot be read while they are open
    #[arg(long)]
    pub no_live_read: bool,

    /// Refuse to replace the tail part of a Live Read upload by a longer version of itself
    #[arg(long)]
    pub no_tail_replace: bool,

    /// Behave in this point as some other store does (may be repeated)
    #[arg(long = "quirk", value_name = "NAME", value_enum)]
    pub quirks: Vec<Quirk>,

    /// Send no CORS headers (they are sent by default, so that a browser may read)
    #[arg(long)]
    pub no_cors: bool,

    /// Append a line of JSON for each request to FILE
    #[arg(long, value_name = "FILE")]
    pub request_log: Option<PathBuf>,

    /// Loopback address of the control API for tests (faults, quirks and request counts); port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub control: Option<SocketAddr>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// Get and head objects.
    pub read: bool,
    /// Put, upload, complete, abort, delete; make and remove buckets.
    pub write: bool,
    /// List objects, versions and uploads.
    pub list: bool,
}

impl Rights {
    /// The rights of the main key.
    pub const ALL: Self = Self { read: true, write: true, list: true };
}

/// A further key.
#[derive(Debug, Clone)]
pub struct User {
    /// Access key id.
    pub access: String,
    /// Secret key.
    pub secret: String,
    /// What it may do.
    pub rights: Rights,
}

impl User {
    fn parse(text: &str) -> Result<Self, String> {
        let mut fields = text.splitn(3, ':');
        let (Some(access), Some(secret), Some(list)) = (fields.next(), fields.next(), fields.next()) else {
            return Err("expected ACCESS:SECRET:RIGHTS".to_owned());
        };
        if access.is_empty() || secret.is_empty() {
            return Err("the access key and the secret must not be empty".to_owned());
        }
        let mut rights = Rights::default();
        for right in list.split(',').filter(|right| !right.is_empty()) {
            match right {
                "read" => rights.read = true,
                "write" => rights.write = true,
                "list" => rights.list = true,
                other => {
                    return Err(format!("unknown right '{other}'; there are read, write and list"));
                }
            }
        }
        Ok(Self { access: access.to_owned(), secret: secret.to_owned(), rights })
    }
}
