//! A copy of the input into the store, resolved out of what was typed. Pure: nothing is opened and nobody is asked.

use std::path::{Path, PathBuf};

use crate::cli::going_on::Words;
use crate::cli::run::Arguments;
use crate::cli::writer::args::WriterArgs;
use crate::hls;
use crate::hls::rendition::Membership;
use crate::human::shell::shell_word;
use crate::ingest;
use crate::protocol::content_type::content_type_of;
use crate::protocol::live_objects::Prefix;
use crate::protocol::part::PartSize;
use crate::store::Connection;
use crate::writer::input::{InputSettings, Resume, Where};
use crate::writer::live_objects::{LiveMode, Settings, Wanted, When};
use crate::writer::rollover::Rollover;
use crate::writer::tail::TailSettings;

/// A copy of the input into the store.
#[derive(Debug)]
pub struct CopyJob {
    /// The object's key.
    pub key: String,
    /// Stored with the object.
    pub content_type: Option<String>,
    /// Where the input comes from, and whether it goes on with an upload.
    pub input: InputSettings,
    /// Where to listen for the input instead, for a stream from an encoder.
    pub listen: Option<ingest::Settings>,
    /// The part size that was asked for; an upload that is gone on with keeps its own.
    pub part_size: Option<PartSize>,
    /// Parts in flight at once, at least one.
    pub concurrency: usize,
    /// Where input waits while the store is away, where that is named.
    pub spool_dir: Option<PathBuf>,
    /// The most that may wait there.
    pub spool_limit: u64,
    /// How the input can be read before the upload is complete.
    pub live: Live,
    /// When to send the tail part before it is full.
    pub tail: Option<TailSettings>,
    /// The playlist beside the object. Its part size is the asked one.
    pub playlist: Option<hls::Settings>,
    /// When to go on in another object.
    pub rollover: Option<Rollover>,
    /// Where a line of figures goes each second.
    pub stats: Option<PathBuf>,
    /// No status line.
    pub quiet: bool,
    /// What messages need of the command line.
    pub words: Words,
}

/// How the input can be read before the upload is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which way.
    pub mode: LiveMode,
    /// What live objects are like, where there are some.
    pub objects: Objects,
}

/// What live objects are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// What their names begin with.
    pub prefix: Prefix,
    /// When one is cut.
    pub when: When,
}

impl Live {
    pub(super) fn of(args: &WriterArgs) -> Self {
        // A segment of a playlist is a live object.
        let segment = args.max_latency.map_or(args.hls_time, |latency| latency.min(args.hls_time));
        let other = args.max_latency.map_or(When::PartIsFull, When::After);
        let when = if args.hls { When::AtSegment(segment) } else { other };
        Self { mode: args.live.into(), objects: Objects { prefix: args.live_prefix.clone(), when } }
    }

    /// What the next run needs to go on in the same way, with a blank before each.
    fn options(&self) -> String {
        let mode = match self.mode {
            LiveMode::LiveRead => return " --live b2".to_owned(),
            LiveMode::Off => return " --live off".to_owned(),
            LiveMode::Auto => "",
            LiveMode::Objects => " --live objects",
        };
        let prefix = if self.objects.prefix == Prefix::default() {
            String::new()
        } else {
            format!(" --live-prefix {}", shell_word(self.objects.prefix.as_str()))
        };
        format!("{mode}{prefix}")
    }
}

impl Objects {
    /// As whoever makes them takes them, where they are `wanted`.
    #[must_use]
    pub fn settings(&self, wanted: Wanted) -> Settings {
        Settings { prefix: self.prefix.clone(), when: self.when, wanted }
    }
}

impl CopyJob {
    /// What `args` ask for of one of many objects, of which somebody else brings the input and keeps the figures.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of_many(mut args: WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Self, String> {
        args.is_one_of_many();
        args.access()?;
        Self::of(args, connection, usual_bucket)
    }

    /// What `args` ask for, where that is a copy.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of(args: WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Self, String> {
        let (key, playlist, listen) = (args.key.clone().unwrap_or_default(), playlist(&args), args.listen()?);
        // What comes from an encoder is a stream like standard input; and its URL has a key in it.
        let file = if listen.is_some() { Path::new("-") } else { &args.file };
        let mut words = Words::of(&key, file, connection, usual_bucket);
        words.options += &Live::of(&args).options();
        if let Some(rollover) = args.rollover {
            rollover.check(args.part_size.unwrap_or(PartSize::DEFAULT))?;
        }
        let (live, max_amplification) = (Live::of(&args), args.max_amplification);
        // Live objects are made in time by themselves.
        let early = args.max_latency.filter(|_| live.mode != LiveMode::Objects);
        let follow = (!args.no_follow).then_some(args.poll_interval);
        let stdin = listen.is_some() || args.file == Path::new("-");
        let from = if stdin { Where::Stdin } else { Where::File { path: args.file, follow } };
        let resume = args.resume.then_some(Resume { upload_id: args.upload_id });
        Ok(Self {
            content_type: args.content_type.or_else(|| content_type_of(&key).map(str::to_owned)),
            key,
            input: InputSettings { from, kept: args.kept, resume },
            listen,
            part_size: args.part_size,
            concurrency: usize::from(args.concurrency),
            spool_dir: args.spool_dir,
            spool_limit: args.spool_limit,
            live,
            tail: early.map(|max_latency| TailSettings { max_latency, max_amplification }),
            playlist,
            rollover: args.rollover,
            stats: args.common.stats,
            quiet: args.common.quiet,
            words,
        })
    }
}

/// What playlist is to be written, if any.
pub(super) fn playlist(args: &WriterArgs) -> Option<hls::Settings> {
    let key = args.key.as_deref().unwrap_or_default();
    args.playlist_key().map(|playlist| hls::Settings {
        key: playlist,
        time: args.hls_time,
        window: args.hls_window,
        part_size: args.part_size.unwrap_or(PartSize::DEFAULT).get(),
        // Where sending early is limited, it may come as late as whole parts do.
        max_latency: args.max_latency.filter(|_| args.max_amplification.is_none()),
        membership: args
            .hls_master
            .clone()
            .zip(args.hls_name.clone())
            .map(|(master, name)| Membership { master, name }),
        remedy: format!("`writer {} --hls-rebuild`", shell_word(key)),
    })
}
