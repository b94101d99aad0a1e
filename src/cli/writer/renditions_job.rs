//! One stream in several objects, each a copy of its own, resolved out of what was typed: KEY has `{rendition}`. Pure.

use std::path::PathBuf;

use crate::cli::writer::args::WriterArgs;
use crate::cli::writer::copy_job::CopyJob;
use crate::ingest;
use crate::ingest::ladder::supervise as ladder;
use crate::keys::template::of_rendition;
use crate::store::Connection;

/// What to do with one stream of several pictures.
#[derive(Debug)]
pub struct RenditionsJob {
    /// Where to listen.
    pub listen: ingest::Settings,
    /// The ladder to be made of it.
    pub ladder: Option<ladder::Settings>,
    /// Where lines of figures go each second.
    pub stats: Option<PathBuf>,
    /// What was typed, of which some is a template.
    args: WriterArgs,
}

impl RenditionsJob {
    /// What `args` ask for; none where that is something else.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of(args: &WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Option<Self>, String> {
        let Some(listen) = args.listen()?.filter(|listen| listen.renditions) else { return Ok(None) };
        has_several(args)?;
        let ladder = args.ladder()?;
        let job = Self { listen, ladder, stats: args.common.stats.clone(), args: args.clone() };
        job.copy_of("source", connection, usual_bucket)?;
        Ok(Some(job))
    }

    /// The template of the keys of its objects.
    #[must_use]
    pub fn template(&self) -> &str {
        self.args.key.as_deref().unwrap_or_default()
    }

    /// The copy of one rendition.
    ///
    /// # Errors
    /// In words.
    pub fn copy_of(
        &self,
        rendition: &str,
        connection: &Connection,
        usual_bucket: Option<&str>,
    ) -> Result<CopyJob, String> {
        CopyJob::of_many(named(&self.args, rendition), connection, usual_bucket)
    }
}

/// What is about one object is not asked for.
///
/// # Errors
/// In words.
pub(super) fn has_several(args: &WriterArgs) -> Result<(), String> {
    let given = [("--resume", args.resume), ("--kept", args.kept.is_some())];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(format!("{option} is about one object, and {{rendition}} in KEY makes one of each rendition"))
        }
        None => Ok(()),
    }
}

/// What would be typed for one rendition alone.
pub(super) fn named(args: &WriterArgs, rendition: &str) -> WriterArgs {
    let fill = |text: &Option<String>| text.as_deref().map(|text| of_rendition(text, rendition));
    let mut args = args.clone();
    args.key = fill(&args.key);
    args.hls_key = fill(&args.hls_key);
    args.hls_name = fill(&args.hls_name).or_else(|| Some(rendition.to_owned())).filter(|_| args.hls_master.is_some());
    args
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::writer::typed::{connection, typed};

    fn job(line: &str) -> Result<Option<RenditionsJob>, String> {
        RenditionsJob::of(&typed(line)?, &connection(), None)
    }

    #[test]
    fn each_rendition_has_its_own_names_and_all_have_one_multivariant_playlist() {
        for (more, name) in [("", "720p"), (" --hls-name at-{rendition}", "at-720p")] {
            let line =
                format!("live-{{rendition}}.mp4 rtmp://:1935/live/key --hls --hls-master live.m3u8 --stats s{more}");
            let job = job(&line).expect("a job").expect("renditions");
            assert!(job.listen.renditions && job.stats.is_some() && job.ladder.is_none());
            let copy = job.copy_of("720p", &connection(), None).expect("a copy");
            assert_eq!((copy.key.as_str(), copy.stats, copy.listen), ("live-720p.mp4", None, None));
            let playlist = copy.playlist.expect("a playlist");
            assert_eq!(playlist.key, "live-720p.m3u8");
            let member = playlist.membership.expect("a multivariant playlist");
            assert_eq!((member.master.as_str(), member.name.as_str()), ("live.m3u8", name));
        }
        let line =
            "{rendition} rtmp://:1935/live/key --ladder 720p,360p:1M --ladder-args=-tune --ladder-max 3 --fragment 2";
        let ladder = job(line).expect("a job").expect("renditions").ladder.expect("a ladder");
        assert_eq!((ladder.rungs.to_string().as_str(), ladder.most), ("720p:2800000,360p:1000000", 3));
        assert_eq!((ladder.coding.encoder.as_str(), ladder.coding.more.len()), ("libx264", 1));
        assert_eq!(ladder.coding.fragment, Duration::from_secs(2));
        for line in ["live.mp4 rtmp://:1935/live/key", "live-{rendition}.mp4", "live-{rendition}.mp4 file.mp4"] {
            assert!(job(line).expect(line).is_none(), "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_said_at_the_start() {
        let url = "rtmp://:1935/live/key --hls";
        for (line, says) in [
            (format!("{{rendition}}.mp4 {url} --resume"), "--resume"),
            (format!("{{rendition}}.mp4 {url} --hls-key live.m3u8"), "--hls-key needs {rendition}"),
            (format!("{{rendition}}.mp4 {url} --hls-master m.m3u8 --hls-name x"), "--hls-name needs {rendition}"),
            (format!("{{rendition}}.mp4 {url} --hls-master m-{{rendition}}.m3u8"), "--hls-master"),
            (format!("live.mp4 {url} --hls-master m.m3u8"), "--hls-name NAME"),
            (format!("live.mp4 {url} --ladder 720p"), "put {rendition} into KEY"),
            (format!("{{rendition}}.mp4 {url} --ladder 720"), "is no rung"),
            (format!("{{rendition}}.mp4 {url} --ladder-max 3"), "--ladder"),
        ] {
            let refused = job(&line).expect_err(&line);
            assert!(refused.contains(says), "{line}: {refused}");
        }
    }
}
