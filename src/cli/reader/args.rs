//! The command line of `reader`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cli::common::{CommonArgs, object};
use crate::cli::help;
use crate::cli::reader::serve_args::ServeArgs;
use crate::cli::run::Arguments;
use crate::cli::times;
use crate::human::sizes;
use crate::object::place::{Place, When};
use crate::object::wanted::Live;
use crate::protocol::live_objects::Prefix;
use crate::reader::join::Excerpt;
use crate::store::Access;

/// Copies an S3 object to a file or standard output while it is still being written
///
/// Waits for an upload of KEY that is marked for Live Read (a feature of Backblaze B2), reads it from its first byte,
/// and ends when it ends. Memory use is at most the chunk size times the queue size plus one, and a few MiB.
#[derive(Debug, Clone, Parser)]
#[command(name = "reader", version, max_term_width = 100, after_long_help = help::READER)]
pub struct ReaderArgs {
    /// The object to read; `s3://BUCKET/KEY` names its bucket, too
    #[arg(value_parser = object, required_unless_present_any = ["serve", "list"])]
    pub key: Option<String>,

    /// Where to write; `-` is standard output, also where that is a terminal [default: standard output]
    pub file: Option<PathBuf>,

    /// Ask for byte ranges or for part numbers
    #[arg(long, value_enum, default_value = "range")]
    pub by: By,

    /// Bytes per range request
    #[arg(long, value_name = "SIZE", default_value = "5MiB", value_parser = chunk_size)]
    pub chunk_size: u64,

    /// Chunks fetched ahead
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub queue_size: u16,

    /// Longest wait between two looks for data that is not there yet [default: 1; not given, and once parts come in a
    /// known rhythm, only around the time when the next is due and half-way]
    #[arg(long, value_name = "SECONDS", value_parser = sizes::interval)]
    pub poll_interval: Option<Duration>,

    /// Do not wait for an upload to begin: read the newer of the open upload and the finished object
    #[arg(long)]
    pub no_wait: bool,

    /// Read this upload, or this recording of live objects, instead of the newest
    #[arg(long, value_name = "ID")]
    pub upload_id: Option<String>,

    /// How to read what is still being written: by Live Read (`b2`), by the live objects of `writer --live objects`
    /// (`objects`, which lists nothing), or by whichever there is
    #[arg(long, value_enum, value_name = "MODE", default_value = "auto")]
    pub live: LiveMode,

    /// What the names of live objects begin with
    #[arg(long, value_name = "PREFIX", default_value = "_live/", value_parser = Prefix::new)]
    pub live_prefix: Prefix,

    /// Go on after the bytes that FILE holds, once they are seen to be of the same upload
    #[arg(long)]
    pub resume: bool,

    /// When the object has ended, go on with the next one of `writer --rollover` (`match-0002.mp4` after `match.mp4`)
    #[arg(long, conflicts_with = "resume")]
    pub follow_rollover: bool,

    /// Begin in the middle of a fragmented MP4: at its newest key frame (`live`, also of an MPEG transport stream), so much
    /// before that (`live-30s`), or at the key frame before a time (`00:10:00`, `90s`, `2026-01-31T12:00:00Z`). Implies
    /// --no-wait, as do --to and --probe
    #[arg(long, value_name = "PLACE", value_parser = times::place, conflicts_with_all = ["resume", "follow_rollover"], help_heading = "Excerpts")]
    pub from: Option<Place>,

    /// End at the key frame after a time in a fragmented MP4; a time to come is waited for
    #[arg(long, value_name = "TIME", value_parser = times::when, conflicts_with_all = ["resume", "follow_rollover"], help_heading = "Excerpts")]
    pub to: Option<When>,

    /// With --from: move times so that they begin at zero [default where FILE is a file]
    #[arg(long, conflicts_with = "no_rebase", help_heading = "Excerpts")]
    pub rebase: bool,

    /// With --from: leave times as they are [default for standard output]
    #[arg(long, help_heading = "Excerpts")]
    pub no_rebase: bool,

    /// Tell what is in a fragmented MP4, on standard output, without downloading it
    #[arg(long, group = "told", conflicts_with_all = ["from", "to", "resume", "follow_rollover", "file"], help_heading = "Excerpts")]
    pub probe: bool,

    /// With --probe or --list: as JSON, of a list an object a line
    #[arg(long, requires = "told", help_heading = "Excerpts")]
    pub json: bool,

    /// Tell what is live and what is recorded of the keys that begin with PREFIX (`s3://BUCKET/PREFIX`), on standard output: how
    /// long ago it began or was finished, and how much of it there is
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "", group = "told",
        conflicts_with_all = ["key", "file", "probe", "from", "to", "resume", "follow_rollover", "upload_id", "stats"], help_heading = "Lists")]
    pub list: Option<String>,

    /// Without credentials: a public bucket
    #[arg(long)]
    pub anon: bool,

    /// Give up when nothing new has come for this long, or when there is nothing to read for as long [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = sizes::interval)]
    pub timeout: Option<Duration>,

    /// Options of the gateway.
    #[command(flatten)]
    pub gateway: ServeArgs,

    /// Options of both tools.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What a read request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Byte ranges.
    Range,
    /// Part numbers.
    Part,
}

/// How what is still being written is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LiveMode {
    /// By Live Read, else by live objects.
    Auto,
    /// By Live Read.
    B2,
    /// By live objects.
    Objects,
}

impl From<LiveMode> for Live {
    fn from(mode: LiveMode) -> Self {
        match mode {
            LiveMode::Auto => Self::Auto,
            LiveMode::B2 => Self::B2,
            LiveMode::Objects => Self::Objects,
        }
    }
}

impl Arguments for ReaderArgs {
    fn workers(&self) -> usize {
        // One takes in more than a gigabyte a second; two took a quarter more memory for the same.
        if self.gateway.serve.is_none() { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn object(&mut self) -> (Option<&mut String>, &mut CommonArgs) {
        (self.key.as_mut().or(self.list.as_mut()), &mut self.common)
    }

    fn access(&self) -> Result<Access, String> {
        self.gateway.go_together()?;
        if self.gateway.serve.is_none() {
            self.common.one_bucket()?;
        }
        if self.resume && !self.makes_a_file() {
            return Err("--resume goes on after the bytes that a FILE holds; name the FILE".to_owned());
        }
        let after = |when| match when {
            When::After(nanos) => (0, nanos),
            When::OfDay(nanos) => (1, nanos),
        };
        if let (Some(Place::At(from)), Some(to)) = (self.from, self.to)
            && after(from).0 == after(to).0
            && after(from) >= after(to)
        {
            return Err("--to must be later than --from".to_owned());
        }
        if matches!(self.to, Some(When::After(0))) {
            return Err("--to must be later than the start".to_owned());
        }
        if (self.rebase || self.no_rebase) && self.excerpt().is_none() {
            return Err("--rebase and --no-rebase are about what --from or --to cut out".to_owned());
        }
        Ok(if self.anon { Access::Anonymous } else { Access::Credentials })
    }
}

impl ReaderArgs {
    fn makes_a_file(&self) -> bool {
        self.file.as_deref().is_some_and(|file| file != Path::new("-"))
    }

    /// What to copy, if that is not all.
    #[must_use]
    pub fn excerpt(&self) -> Option<Excerpt> {
        let asked = self.from.is_some() || self.to.is_some();
        let rebase = self.rebase || (!self.no_rebase && self.makes_a_file());
        asked.then_some(Excerpt { from: self.from, to: self.to, rebase })
    }
}

/// Between two looks, where nothing else is asked for.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes per range request: 1 B to 5 GiB.
fn chunk_size(text: &str) -> Result<u64, String> {
    match sizes::size(text)? {
        0 => Err("at least 1 byte".to_owned()),
        size if size > crate::protocol::live_read::MAX_PART_SIZE => Err("at most 5 GiB".to_owned()),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        ReaderArgs::command().debug_assert();
    }
}
