//! One input with a ladder, in several objects, each a copy of its own, resolved out of what was typed: standard input or a file,
//! with `--ladder`, and `{rendition}` in KEY. Pure.

use std::path::PathBuf;

use crate::cli::going_on::Words;
use crate::cli::run::Arguments;
use crate::cli::writer::args::WriterArgs;
use crate::cli::writer::copy_job::CopyJob;
use crate::cli::writer::ladder_args::LadderArgs;
use crate::cli::writer::renditions_job::{has_several, named};
use crate::ingest::ladder::supervise as ladder;
use crate::mux::split::SOURCE;
use crate::store::Connection;

/// What to do with one input.
#[derive(Debug)]
pub struct LadderJob {
    /// The ladder to be made of it.
    pub ladder: ladder::Settings,
    /// Where lines of figures go each second.
    pub stats: Option<PathBuf>,
    /// What messages need of the command line.
    pub words: Words,
    /// What was typed, of which some is a template.
    args: WriterArgs,
}

impl LadderJob {
    /// What `args` ask for; none where that is something else.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of(args: &WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Option<Self>, String> {
        let (Some(ladder), None) = (args.ladder()?, args.listen()?) else { return Ok(None) };
        has_several(args)?;
        let words = copy_of(args, SOURCE, connection, usual_bucket)?.words;
        Ok(Some(Self { ladder, stats: args.common.stats.clone(), words, args: args.clone() }))
    }

    /// The copy of one rendition: of the source the input is what was named, of others somebody else brings it.
    ///
    /// # Errors
    /// In words.
    pub fn copy_of(
        &self,
        rendition: &str,
        connection: &Connection,
        usual_bucket: Option<&str>,
    ) -> Result<CopyJob, String> {
        copy_of(&self.args, rendition, connection, usual_bucket)
    }
}

fn copy_of(
    args: &WriterArgs,
    rendition: &str,
    connection: &Connection,
    usual_bucket: Option<&str>,
) -> Result<CopyJob, String> {
    let mut args = named(args, rendition);
    if rendition != SOURCE {
        return CopyJob::of_many(args, connection, usual_bucket);
    }
    // It is the input itself, and like another copy of that.
    args.ladder = LadderArgs::default();
    args.common.stats = None;
    args.access()?;
    CopyJob::of(args, connection, usual_bucket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::writer::typed::{connection, typed};
    use crate::writer::input::Where;

    fn job(line: &str) -> Result<Option<LadderJob>, String> {
        LadderJob::of(&typed(line)?, &connection(), None)
    }

    #[test]
    fn the_source_is_the_input_and_others_are_fed() {
        let line =
            "live-{rendition}.mp4 f --ladder 720p,360p:1M --hls --hls-master live.m3u8 --stats s --max-latency 1s";
        let job = job(line).expect("a job").expect("a ladder");
        assert_eq!((job.ladder.rungs.to_string().as_str(), job.stats.is_some()), ("720p:2800000,360p:1000000", true));
        assert_eq!(job.words.key, "live-source.mp4");
        for (rendition, is_input) in [(SOURCE, true), ("720p", false)] {
            let copy = job.copy_of(rendition, &connection(), None).expect("a copy");
            assert_eq!((copy.key, copy.stats), (format!("live-{rendition}.mp4"), None));
            let from = |path: &str| Where::File { path: path.into(), follow: Some(Duration::from_millis(500)) };
            assert_eq!(copy.input.from, if is_input { from("f") } else { Where::Stdin });
            let playlist = copy.playlist.expect("a playlist");
            let member = playlist.membership.expect("a multivariant playlist");
            assert_eq!((playlist.key, member.name.as_str()), (format!("live-{rendition}.m3u8"), rendition));
            assert!(copy.tail.is_some());
        }
    }

    #[test]
    fn what_is_something_else_is_none_and_what_does_not_go_together_is_refused() {
        for line in ["live.mp4", "live-{rendition}.mp4", "{rendition}.mp4 rtmp://:1935/live/key --ladder 720p"] {
            assert!(job(line).expect(line).is_none(), "{line}");
        }
        for (line, says) in [
            ("live.mp4 --ladder 720p", "put {rendition} into KEY"),
            ("{rendition}.mp4 f --ladder 720p --resume", "--resume is about one object"),
            ("{rendition}.mp4 --ladder 720p --kept f", "--kept is about one object"),
            ("{rendition}.mp4 --ladder 720p --hls --hls-key live.m3u8", "--hls-key needs {rendition}"),
            ("{rendition}.mp4 --ladder 720p --fragment 1s", "needs a URL"),
            ("{rendition}.mp4 --ladder 720", "is no rung"),
        ] {
            let refused = job(line).expect_err(line);
            assert!(refused.contains(says), "{line}: {refused}");
        }
    }
}
