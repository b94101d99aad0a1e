//! Options that both tools take, and what both do with a message and an exit code.

use clap::Args;

use crate::cli::manual::ManualArgs;
use crate::message::log_lines::safe;
use crate::message::logging::LogFormat;
use crate::message::stderr::{PATIENCE, outlet};
use crate::store::retry::Retry;
use crate::store::{Access, Connection};

/// Options of both tools.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The bucket
    #[arg(short, long, env = "BUCKET_NAME", value_name = "NAME", help_heading = "Store")]
    pub bucket: Vec<String>,

    /// The store's address, over AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL", help_heading = "Store")]
    pub endpoint_url: Option<String>,

    /// Address the bucket by path even where the endpoint has a domain name
    #[arg(long, help_heading = "Store")]
    pub path_style: bool,

    /// How long one request may keep failing before that is final
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = crate::human::sizes::duration, help_heading = "Store")]
    pub retry_timeout: std::time::Duration,

    /// How long the store may be silent before a request is sent again; a part's upload gets as much again for each 3 MB
    /// [default: 30, and 20 in the middle of an answer]
    #[arg(long, value_name = "DURATION", value_parser = crate::human::sizes::interval, help_heading = "Store")]
    pub stall_timeout: Option<std::time::Duration>,

    /// Only warnings and errors: no status line, no start and no end
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Write a line of JSON to FILE each second: bytes, freshness, requests so far
    #[arg(long, value_name = "FILE", help_heading = "Messages")]
    pub stats: Option<std::path::PathBuf>,

    /// A line for each part and each wait
    #[arg(long, help_heading = "Messages")]
    pub debug: bool,

    /// What the AWS SDK has to say as well
    #[arg(long, alias = "debug-boto", help_heading = "Messages")]
    pub debug_sdk: bool,

    /// How messages are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", help_heading = "Messages")]
    pub log_format: LogFormat,

    /// What prints about the tool.
    #[command(flatten)]
    pub manual: ManualArgs,
}

impl CommonArgs {
    /// Takes the bucket that stands before the key in `s3://BUCKET/KEY`; `typed`: a bucket was given by an option, too.
    ///
    /// # Errors
    /// In words, when that is another one.
    pub fn take_bucket(&mut self, key: &mut String, typed: bool) -> Result<(), String> {
        let Some((bucket, rest)) = key.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')) else {
            return Ok(());
        };
        if let Some(other) = self.bucket.iter().find(|other| typed && *other != bucket) {
            return Err(format!("{key} names the bucket {bucket}, and --bucket {other}: leave one of them out"));
        }
        self.bucket = vec![bucket.to_owned()];
        *key = rest.to_owned();
        Ok(())
    }

    /// Checks that no more than one bucket is named.
    ///
    /// # Errors
    /// In words, when there are several.
    pub fn one_bucket(&self) -> Result<(), String> {
        if self.bucket.len() > 1 {
            return Err("--bucket is given more than once: only reader --serve takes several".to_owned());
        }
        Ok(())
    }

    /// The store that these options name.
    ///
    /// # Errors
    /// In words, when no bucket is named.
    pub fn connection(&self, access: Access) -> Result<Connection, String> {
        let bucket = self.bucket.first().cloned().filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or("no bucket: give --bucket NAME or set BUCKET_NAME in the environment or in .env")?;
        if let Some(bucket) = self.bucket.iter().find(|bucket| bucket.contains('/')) {
            return Err(format!("{bucket:?} is not a bucket name; give the bucket and the key apart"));
        }
        Ok(Connection {
            bucket,
            endpoint_url: self.endpoint_url.clone(),
            path_style: self.path_style,
            access,
            stall_timeout: self.stall_timeout,
            retry: Retry { give_up_after: self.retry_timeout },
        })
    }
}

/// Writes a message before there is a log. Nobody may be reading standard error, and that is no reason to wait for ever.
pub fn complain(tool: &str, message: &str) {
    outlet().line(format!("{tool}: {}\n", safe(message, 4096)));
    outlet().settle(PATIENCE);
}

/// What stands before a bucket and a key in one word.
const SCHEME: &str = "s3://";

/// Checks what names an object: a key, or `s3://BUCKET/KEY`.
///
/// # Errors
/// In words, when it names none.
pub fn object(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix(SCHEME) else { return key(text) };
    match rest.split_once('/') {
        Some((bucket, rest)) if !bucket.is_empty() => key(rest).map(|_| text.to_owned()),
        _ => Err("after s3:// come a bucket, a slash and a key".to_owned()),
    }
}

/// Checks a key: 1 to 1,024 bytes of UTF-8, the limit of S3.
///
/// # Errors
/// In words, when it is empty, blank or too long.
pub fn key(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a key cannot be empty".to_owned()),
        // The SDK takes such a key for a missing one.
        _ if text.trim().is_empty() => Err("a key cannot consist of blanks alone".to_owned()),
        1..=1024 => Ok(text.to_owned()),
        length => Err(format!("a key has at most 1024 bytes, this one has {length}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        common: CommonArgs,
    }

    #[test]
    fn a_bucket_may_stand_before_the_key() {
        let taken = |typed: Option<&str>, name: &str| {
            let line = ["tool"].into_iter().chain(typed.iter().flat_map(|bucket| ["-b", bucket]));
            let mut common = Line::try_parse_from(line).expect("it parses").common;
            // What the environment names counts less.
            if typed.is_none() {
                common.bucket = vec!["usual".to_owned()];
            }
            let mut key = object(name)?;
            common.take_bucket(&mut key, typed.is_some()).map(|()| format!("{} {key}", common.bucket.join(",")))
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(taken(None, "live/a.mp4"), ok("usual live/a.mp4"));
        assert_eq!(taken(None, "s3://b/live/a.mp4"), ok("b live/a.mp4"));
        assert_eq!(taken(Some("b"), "s3://b/a"), ok("b a"));
        assert_eq!(taken(Some("b"), "s3://b/s3://c/a"), ok("b s3://c/a"));
        assert!(taken(Some("c"), "s3://b/a").is_err_and(|error| error.contains("leave one of them out")));
        for none in ["s3://", "s3://b", "s3://b/", "s3:///a", &format!("s3://b/{}", "k".repeat(1025))] {
            assert!(object(none).is_err(), "{none}");
        }
    }
}
