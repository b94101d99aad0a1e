//! What `writer` is to do, resolved once out of what was typed. Pure: nothing is opened and nobody is asked.

use crate::cli::writer::args::WriterArgs;
use crate::cli::writer::copy_job::playlist;
pub use crate::cli::writer::copy_job::{CopyJob, Live, Objects};
use crate::cli::writer::ladder_job::LadderJob;
use crate::cli::writer::renditions_job::RenditionsJob;
use crate::cli::writer::streams_job::StreamsJob;
use crate::hls;
use crate::protocol::live_objects::Prefix;
use crate::store::Connection;

/// What to do.
#[derive(Debug)]
pub enum Job {
    /// Copy the input into the store.
    Copy(Box<CopyJob>),
    /// Copy what many encoders send.
    Streams(Box<StreamsJob>),
    /// Copy what one encoder sends into an object for each of its pictures.
    Renditions(Box<RenditionsJob>),
    /// Copy the input into the store, with smaller renditions beside it.
    Ladder(Box<LadderJob>),
    /// Something that uploads nothing.
    Errand(Errand),
}

/// Something to do that takes no input.
#[derive(Debug)]
pub enum Errand {
    /// `--check`: report whether all is in order.
    Check {
        /// The key that would be written.
        key: Option<String>,
        /// How it would be readable live.
        live: Live,
    },
    /// `--setup-cors`: let pages play what is in the bucket.
    SetupCors {
        /// The pages' origins.
        origins: Vec<String>,
        /// Do not ask.
        yes: bool,
    },
    /// `--abort`: cancel open uploads.
    Abort {
        /// The object's key.
        key: String,
        /// This upload; else all.
        upload_id: Option<String>,
        /// Do not ask.
        yes: bool,
        /// What the names of live objects begin with.
        prefix: Prefix,
    },
    /// `--hls-rebuild`: write the playlist of what is there.
    Rebuild {
        /// The object's key.
        key: String,
        /// The playlist.
        playlist: hls::Settings,
    },
}

impl Job {
    /// What `args` ask for. `usual_bucket` is the one that the environment names: it need not be typed again.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of(args: WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Self, String> {
        if let Some(job) = StreamsJob::of(&args, connection, usual_bucket)? {
            return Ok(Self::Streams(Box::new(job)));
        }
        let playlist = playlist(&args);
        let key = args.key.clone().unwrap_or_default();
        Ok(Self::Errand(match playlist {
            _ if args.check => Errand::Check { live: Live::of(&args), key: args.key },
            _ if !args.setup_cors.is_empty() => Errand::SetupCors { origins: args.setup_cors, yes: args.yes },
            _ if args.abort => {
                Errand::Abort { key, upload_id: args.upload_id, yes: args.yes, prefix: args.live_prefix }
            }
            Some(playlist) if args.hls_rebuild => Errand::Rebuild { key, playlist },
            _ => {
                if let Some(job) = RenditionsJob::of(&args, connection, usual_bucket)? {
                    return Ok(Self::Renditions(Box::new(job)));
                }
                if let Some(job) = LadderJob::of(&args, connection, usual_bucket)? {
                    return Ok(Self::Ladder(Box::new(job)));
                }
                return CopyJob::of(args, connection, usual_bucket).map(|job| Self::Copy(Box::new(job)));
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::writer::typed::connection;
    use crate::writer::input::{InputSettings, Resume, Where};
    use crate::writer::live_objects::{LiveMode, When};
    use crate::writer::tail::TailSettings;

    fn job(line: &str) -> Result<Job, String> {
        let args = WriterArgs::try_parse_from(std::iter::once("writer").chain(line.split_whitespace()));
        Job::of(args.expect("it parses"), &connection(), None)
    }

    fn copy(line: &str) -> CopyJob {
        match job(line) {
            Ok(Job::Copy(copy)) => *copy,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn each_line_is_one_job() {
        let name = |line: &str| match job(line).expect("a job") {
            Job::Copy(_) => "copy",
            Job::Streams(_) => "streams",
            Job::Renditions(_) => "renditions",
            Job::Ladder(_) => "ladder",
            Job::Errand(Errand::Check { .. }) => "check",
            Job::Errand(Errand::SetupCors { .. }) => "cors",
            Job::Errand(Errand::Abort { .. }) => "abort",
            Job::Errand(Errand::Rebuild { .. }) => "rebuild",
        };
        for (line, wanted) in [
            ("k", "copy"),
            ("k f --resume", "copy"),
            ("k --hls", "copy"),
            ("k --kept f", "copy"),
            ("k --rollover auto", "copy"),
            ("k rtmp://:0/live/key", "copy"),
            ("k-{rendition} rtmp://:0/live/key", "renditions"),
            ("k-{rendition}", "copy"),
            ("k-{rendition} --ladder 720p", "ladder"),
            ("k-{rendition} f --no-follow --ladder 720p", "ladder"),
            ("--check", "check"),
            ("k --check", "check"),
            ("--setup-cors *", "cors"),
            ("k --abort --hls-time 4", "abort"),
            ("k --hls-rebuild", "rebuild"),
        ] {
            assert_eq!(name(line), wanted, "{line}");
        }
    }

    #[test]
    fn an_errand_has_what_it_needs() {
        let abort = job("k --abort --upload-id u --yes").expect("a job");
        let Job::Errand(Errand::Abort { key, upload_id, yes, .. }) = abort else { panic!("{abort:?}") };
        assert_eq!((key.as_str(), upload_id.as_deref(), yes), ("k", Some("u"), true));
        let rebuild = job("a/k.mp4 --hls-rebuild --hls-time 4").expect("a job");
        let Job::Errand(Errand::Rebuild { key, playlist, .. }) = rebuild else { panic!("{rebuild:?}") };
        assert_eq!((key.as_str(), playlist.key.as_str()), ("a/k.mp4", "a/k.m3u8"));
        assert_eq!(playlist.time, Duration::from_secs(4));
        let cors = job("--setup-cors https://a.example --setup-cors https://b.example").expect("a job");
        let Job::Errand(Errand::SetupCors { origins, yes, .. }) = cors else { panic!("{cors:?}") };
        assert_eq!((origins.len(), yes), (2, false));
    }

    #[test]
    fn the_input_is_what_was_named() {
        let half = Some(Duration::from_millis(500));
        let file = |follow| Where::File { path: "f".into(), follow };
        let resume = |id: Option<&str>| Some(Resume { upload_id: id.map(str::to_owned) });
        for (line, from, kept, resumed) in [
            ("k", Where::Stdin, None, None),
            ("k -", Where::Stdin, None, None),
            ("k f", file(half), None, None),
            ("k f --poll-interval 2", file(Some(Duration::from_secs(2))), None, None),
            ("k f --no-follow", file(None), None, None),
            ("k f --resume", file(half), None, resume(None)),
            ("k --resume --upload-id u --kept o", Where::Stdin, Some("o"), resume(Some("u"))),
            ("k --kept o", Where::Stdin, Some("o"), None),
        ] {
            let wanted = InputSettings { from, kept: kept.map(PathBuf::from), resume: resumed };
            assert_eq!(copy(line).input, wanted, "{line}");
        }
    }

    #[test]
    fn what_was_not_given_follows_from_the_rest() {
        for (line, wanted) in [("a.mp4", Some("video/mp4")), ("a", None), ("a.mp4 --content-type x/y", Some("x/y"))] {
            assert_eq!(copy(line).content_type.as_deref(), wanted, "{line}");
        }
        let plain = copy("k");
        assert!(
            plain.part_size.is_none() && plain.tail.is_none() && plain.playlist.is_none() && plain.rollover.is_none()
        );
        assert_eq!((plain.concurrency, plain.spool_limit), (4, 10 << 30));
        for (line, part_size) in [("k --hls", 5 << 20), ("k --hls -s 8MiB", 8 << 20)] {
            assert_eq!(copy(line).playlist.expect("a playlist").part_size, part_size, "{line}");
        }
        for (line, latency) in [
            ("k --hls", None),
            ("k --hls --max-latency 1s", Some(Duration::from_secs(1))),
            ("k --hls --max-latency 1s --max-amplification 3", None),
        ] {
            assert_eq!(copy(line).playlist.expect("a playlist").max_latency, latency, "{line}");
        }
        let tail = copy("k --max-latency 1s --max-amplification 3").tail;
        assert_eq!(tail, Some(TailSettings { max_latency: Duration::from_secs(1), max_amplification: Some(3.0) }));
    }

    #[test]
    fn live_objects_take_the_place_of_early_tails_and_are_named_to_whoever_goes_on() {
        let second = Duration::from_secs(1);
        for (line, mode, when, tail, options) in [
            ("k", LiveMode::Auto, When::PartIsFull, false, ""),
            ("k --live-prefix a/l/", LiveMode::Auto, When::PartIsFull, false, " --live-prefix a/l"),
            ("k --live b2 --max-latency 1s", LiveMode::LiveRead, When::After(second), true, " --live b2"),
            ("k --live off", LiveMode::Off, When::PartIsFull, false, " --live off"),
            ("k --live objects", LiveMode::Objects, When::PartIsFull, false, " --live objects"),
            ("k --live objects --max-latency 1s", LiveMode::Objects, When::After(second), false, " --live objects"),
            (
                "k --live objects --live-prefix a/l/",
                LiveMode::Objects,
                When::PartIsFull,
                false,
                " --live objects --live-prefix a/l",
            ),
        ] {
            let job = copy(line);
            assert_eq!((job.live.mode, job.live.objects.when, job.tail.is_some()), (mode, when, tail), "{line}");
            let has = job.words.options.strip_prefix(" --bucket b");
            assert_eq!(has.map(|has| has.trim_end_matches('/')), Some(options), "{line}");
        }
    }

    #[test]
    fn an_object_has_room_for_a_part() {
        for (line, fits) in [
            ("k --rollover 5000000", false),
            ("k --rollover 5000000 -s 5000000", true),
            ("k --rollover 5MiB", true),
            ("k --rollover 6MiB -s 8MiB", false),
            ("k --rollover 1s", true),
        ] {
            assert_eq!(job(line).is_ok(), fits, "{line}");
        }
    }
}
