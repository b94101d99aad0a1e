//! What `reader` is to do, resolved once out of what was typed. Pure: nothing is opened and nobody is asked.

use std::path::{Path, PathBuf};

use crate::cli::reader::args::{By, POLL_INTERVAL, ReaderArgs};
use crate::cli::reader::serve_args::ServeArgs;
use crate::object::reading::Reading;
use crate::object::wanted::Wanted;
use crate::reader::join::Excerpt;
use crate::reader::output::Output;

/// What to do.
#[derive(Debug)]
pub enum Job {
    /// Copy an object to an output.
    Copy(Box<CopyJob>),
    /// `--probe`: tell what is in the recording.
    Probe {
        /// What to look for.
        wanted: Wanted,
        /// As JSON.
        json: bool,
    },
    /// `--list`: tell what there is.
    List {
        /// As a template: how a recording is looked for.
        wanted: Wanted,
        /// What keys begin with.
        prefix: String,
        /// As JSON.
        json: bool,
    },
    /// `--serve`: give objects to whoever asks by HTTP.
    Serve(Box<ServeJob>),
}

/// A gateway.
#[derive(Debug)]
pub struct ServeJob {
    /// As a template: how objects are looked for.
    pub wanted: Wanted,
    /// The buckets that may be asked for; the first is meant where none is named.
    pub buckets: Vec<String>,
    /// Where, to whom, and within which bounds.
    pub options: ServeArgs,
}

/// A copy of an object, or of some of it, or of several.
#[derive(Debug)]
pub struct CopyJob {
    /// What to look for, and how to read it.
    pub reading: Reading,
    /// How much.
    pub what: What,
    /// Where it goes.
    pub output: Output,
    /// Where a line of figures goes each second.
    pub stats: Option<PathBuf>,
    /// No status line.
    pub quiet: bool,
}

/// How much is copied.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// The object.
    Object,
    /// It, and all that it was continued in.
    Chain,
    /// From one place in it to another.
    Excerpt(Excerpt),
}

impl Job {
    /// What `args` ask for.
    #[must_use]
    pub fn of(args: ReaderArgs) -> Self {
        let what = match args.excerpt() {
            Some(excerpt) => What::Excerpt(excerpt),
            None if args.follow_rollover => What::Chain,
            None => What::Object,
        };
        let wanted = Wanted {
            key: args.key.unwrap_or_default(),
            upload_id: args.upload_id,
            wait: !args.no_wait,
            poll_interval: args.poll_interval.unwrap_or(POLL_INTERVAL),
            timeout: args.timeout,
            live: args.live.into(),
            prefix: args.live_prefix,
        };
        if args.gateway.serve.is_some() {
            let (buckets, options) = (args.common.bucket, args.gateway);
            return Self::Serve(Box::new(ServeJob { wanted, buckets, options }));
        }
        if let Some(prefix) = args.list {
            return Self::List { wanted, prefix, json: args.json };
        }
        if args.probe {
            return Self::Probe { wanted, json: args.json };
        }
        let output = match args.file {
            None => Output::Stdout,
            Some(file) if file == Path::new("-") => Output::Screen,
            Some(file) if args.resume => Output::Resumed(file),
            Some(file) => Output::File(file),
        };
        let reading = Reading {
            wanted,
            by_part: args.by == By::Part,
            chunk_size: args.chunk_size,
            queue_size: usize::from(args.queue_size),
            strict_poll: args.poll_interval.is_some(),
            timeout: args.timeout,
        };
        let (stats, quiet) = (args.common.stats, args.common.quiet);
        Self::Copy(Box::new(CopyJob { reading, what, output, stats, quiet }))
    }

    /// What it looks for, or how.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        match self {
            Self::Copy(job) => &job.reading.wanted,
            Self::Probe { wanted, .. } | Self::List { wanted, .. } => wanted,
            Self::Serve(job) => &job.wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::store::Access;

    fn job(line: &str) -> Job {
        let args = ReaderArgs::try_parse_from(std::iter::once("reader").chain(line.split_whitespace()));
        Job::of(args.expect("it parses"))
    }

    fn copy(line: &str) -> CopyJob {
        match job(line) {
            Job::Copy(copy) => *copy,
            Job::Probe { .. } | Job::List { .. } | Job::Serve(_) => panic!("{line} is no copy"),
        }
    }

    #[test]
    fn each_line_is_one_job() {
        for (line, wanted) in [
            ("k", "object"),
            ("k f --resume", "object"),
            ("k --follow-rollover", "chain"),
            ("k --from live", "excerpt"),
            ("k --to 90s", "excerpt"),
            ("k --probe", "probe"),
            ("k --probe --json", "probe as JSON"),
            ("--list", "all"),
            ("--list shows/", "shows/"),
            ("--list --json", "all as JSON"),
            ("--serve", "gateway"),
            ("--serve 127.0.0.1:0 -b one -b two", "gateway"),
        ] {
            let name = match job(line) {
                Job::Probe { json: true, .. } => "probe as JSON",
                Job::Probe { json: false, .. } => "probe",
                Job::List { json: true, .. } => "all as JSON",
                Job::List { prefix, .. } if prefix == "shows/" => "shows/",
                Job::List { .. } => "all",
                Job::Serve(_) => "gateway",
                Job::Copy(copy) => match copy.what {
                    What::Object => "object",
                    What::Chain => "chain",
                    What::Excerpt(_) => "excerpt",
                },
            };
            assert_eq!(name, wanted, "{line}");
        }
    }

    #[test]
    fn the_output_is_what_was_named() {
        for (line, wanted) in [
            ("k", Output::Stdout),
            ("k -", Output::Screen),
            ("k f", Output::File("f".into())),
            ("k f --resume", Output::Resumed("f".into())),
        ] {
            assert_eq!(copy(line).output, wanted, "{line}");
        }
    }

    #[test]
    fn times_move_where_a_file_is_made() {
        for (line, wanted) in [
            ("k --from live", false),
            ("k f --from live", true),
            ("k f --from live --no-rebase", false),
            ("k --from live --rebase", true),
        ] {
            let What::Excerpt(excerpt) = copy(line).what else { panic!("{line} is no excerpt") };
            assert_eq!(excerpt.rebase, wanted, "{line}");
        }
    }

    #[test]
    fn looks_are_as_often_as_was_asked() {
        let seconds = Duration::from_secs;
        for (line, interval, strict, wait, by_part) in [
            ("k", seconds(1), false, true, false),
            ("k --poll-interval 1", seconds(1), true, true, false),
            ("k --poll-interval 3 --no-wait --by part", seconds(3), true, false, true),
        ] {
            let reading = copy(line).reading;
            assert_eq!((reading.wanted.poll_interval, reading.strict_poll), (interval, strict), "{line}");
            assert_eq!((reading.wanted.wait, reading.by_part), (wait, by_part), "{line}");
        }
        let reading = copy("k --timeout 9 --chunk-size 1MiB --queue-size 2 --upload-id u").reading;
        assert_eq!((reading.timeout, reading.wanted.timeout), (Some(seconds(9)), Some(seconds(9))));
        assert_eq!((reading.chunk_size, reading.queue_size), (1 << 20, 2));
        assert_eq!(reading.wanted.upload_id.as_deref(), Some("u"));
    }

    #[test]
    fn requests_are_tried_again_for_as_long_as_was_asked() {
        let connection = |line: &str| {
            let args = ReaderArgs::try_parse_from(std::iter::once("reader").chain(line.split_whitespace()));
            args.expect("it parses").common.connection(Access::Anonymous).expect("a connection")
        };
        assert_eq!(connection("k -b b").retry.give_up_after, Duration::from_secs(3600));
        assert_eq!(connection("k -b b --retry-timeout 7s").retry.give_up_after, Duration::from_secs(7));
    }
}
