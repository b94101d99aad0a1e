//! Many streams, each a copy of its own, resolved out of what was typed: KEY is a template. Pure.

use std::path::PathBuf;

use crate::cli::writer::admin_args::AdminArgs;
use crate::cli::writer::args::WriterArgs;
use crate::cli::writer::copy_job::CopyJob;
use crate::ingest;
use crate::ingest::ladder::supervise as ladder;
use crate::keys::template::{Names, Template, has_renditions};
use crate::store::Connection;

/// How many streams there may be at once, unless told otherwise.
const MOST: usize = 100;

/// Names of a stream that there is not, to see at the start whether all goes together.
const SAMPLE: Names<'static> =
    Names { app: "app", stream: "stream", rendition: "source", session: "session", start: 0, number: 1 };

/// What to do with many streams.
#[derive(Debug)]
pub struct StreamsJob {
    /// Where to listen.
    pub listen: ingest::Settings,
    /// Where stream keys are kept; nowhere if others alone know them.
    pub keys: Option<String>,
    /// How many streams there may be at once.
    pub most: usize,
    /// Who may ask, and who is asked.
    pub admin: AdminArgs,
    /// The ladder to be made of each.
    pub ladder: Option<ladder::Settings>,
    /// Where lines of figures go each second.
    pub stats: Option<PathBuf>,
    /// The template of keys of objects, unless a stream has its own.
    template: Template,
    /// What was typed, as a template of what would be typed for each stream.
    args: WriterArgs,
}

impl StreamsJob {
    /// What `args` ask for; none where that is not many streams.
    ///
    /// # Errors
    /// In words, for settings that do not go together.
    pub fn of(args: &WriterArgs, connection: &Connection, usual_bucket: Option<&str>) -> Result<Option<Self>, String> {
        let (Some(many), Some(listen)) = (args.many(), args.listen()?) else {
            return Ok(None);
        };
        let given = [
            ("--resume", args.resume),
            ("--kept", args.kept.is_some()),
            ("--abort", args.abort),
            ("--check", args.check),
            ("--hls-rebuild", args.hls_rebuild),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(format!("{option} is about one object, and {many} with a URL makes one of each stream"));
        }
        let template = Template::parse(args.key.as_deref().unwrap_or_default())?;
        if let Some(key) = &args.hls_key {
            Template::parse(key).map_err(|why| format!("--hls-key {why}"))?;
        }
        if args.hls_master.as_ref().is_some_and(|key| !key.contains("{stream}") && !key.contains("{session}")) {
            return Err("--hls-master needs {stream} or {session}: each stream has its own".to_owned());
        }
        let most = args.listening.max_streams.map_or(MOST, usize::from);
        let ladder = args.ladders()?;
        let (keys, admin, stats) = (args.keys.keys.clone(), args.admin.clone(), args.common.stats.clone());
        let job = Self { listen, keys, most, admin, ladder, stats, template, args: args.clone() };
        job.copy_of(&SAMPLE, None, connection, usual_bucket)?;
        Ok(Some(job))
    }

    /// What their copies have in common, in that of a stream that there is not.
    ///
    /// # Errors
    /// In words.
    pub fn sample(&self, connection: &Connection, usual_bucket: Option<&str>) -> Result<CopyJob, String> {
        self.copy_of(&SAMPLE, None, connection, usual_bucket)
    }

    /// Whether each of several pictures of a stream has an object of its own; the stream may have its own template.
    #[must_use]
    pub fn has_renditions(&self, object: Option<&str>) -> bool {
        has_renditions(object.or(self.args.key.as_deref()).unwrap_or_default())
    }

    /// What tells these streams from others on the same machine: the template, and where their keys are kept.
    #[must_use]
    pub fn family(&self) -> String {
        let keys = self.keys.as_deref().unwrap_or_default();
        format!("{}\n{keys}", self.args.key.as_deref().unwrap_or_default())
    }

    /// The copy of one stream, into an object by its own template where it has one.
    ///
    /// # Errors
    /// In words.
    pub fn copy_of(
        &self,
        names: &Names<'_>,
        object: Option<&str>,
        connection: &Connection,
        usual_bucket: Option<&str>,
    ) -> Result<CopyJob, String> {
        let own = object.map(Template::parse).transpose()?;
        let fill = |text: &Option<String>| text.as_deref().map(|text| Template::fill(text, names)).transpose();
        let mut args = self.args.clone();
        args.key = Some(own.as_ref().unwrap_or(&self.template).key(names));
        args.hls_key = fill(&args.hls_key)?;
        args.hls_master = fill(&args.hls_master)?;
        args.hls_name = fill(&args.hls_name)?;
        if args.hls_master.is_some() && self.has_renditions(object) {
            args.hls_name.get_or_insert_with(|| names.rendition.to_owned());
        }
        CopyJob::of_many(args, connection, usual_bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::writer::typed::{connection, typed};

    fn job(line: &str) -> Result<Option<StreamsJob>, String> {
        StreamsJob::of(&typed(line)?, &connection(), None)
    }

    const URL: &str = "rtmp://:1935/live --keys k.db";

    #[test]
    fn each_stream_has_its_own_names() {
        let line = format!(
            "live/{{stream}}/{{start}}.mp4 {URL} --hls --hls-master live/{{stream}}/{{session}}.m3u8 --hls-name {{rendition}} \
             --max-latency 1s --max-streams 7 --stats s.jsonl"
        );
        let many = job(&line).expect("a job").expect("many streams");
        assert_eq!((many.most, many.keys.as_deref(), many.stats.is_some()), (7, Some("k.db"), true));
        let names = Names { stream: "cam", session: "5e55", ..SAMPLE };
        let copy = many.copy_of(&names, None, &connection(), None).expect("a copy");
        assert_eq!(copy.key, "live/cam/19700101T000000Z.mp4");
        assert_eq!((copy.content_type.as_deref(), copy.stats, copy.listen), (Some("video/mp4"), None, None));
        let playlist = copy.playlist.expect("a playlist");
        assert_eq!(playlist.key, "live/cam/19700101T000000Z.m3u8");
        let member = playlist.membership.expect("a multivariant playlist");
        assert_eq!((member.master.as_str(), member.name.as_str()), ("live/cam/5e55.m3u8", "source"));
        let own = many.copy_of(&names, Some("own/{session}.mp4"), &connection(), None).expect("a copy");
        assert_eq!(own.key, "own/5e55.mp4");
        assert!(many.copy_of(&names, Some("own.mp4"), &connection(), None).is_err());
    }

    #[test]
    fn what_does_not_go_with_many_streams_is_said_at_the_start() {
        for (line, says) in [
            (format!("live.mp4 {URL}"), "{start}"),
            (format!("{{session}}.mp4 {URL} --resume"), "--resume"),
            (format!("{{session}}.mp4 {URL} --hls --hls-key live.m3u8"), "--hls-key"),
            (format!("{{session}}.mp4 {URL} --hls --hls-master m.m3u8 --hls-name x"), "--hls-master"),
            ("{session}.mp4 rtmp://:1935/live --max-streams 3".to_owned(), "--keys"),
            ("{session}.mp4 rtmp://:1935/live".to_owned(), "application"),
            ("{session}.mp4 rtmp://:1935/live/key --max-streams 3".to_owned(), "--keys"),
            ("{session}.mp4 file.mp4 --keys k.db".to_owned(), "URL"),
            ("{session}.mp4 --keys k.db".to_owned(), "URL"),
            (format!("{{session}}.mp4 {URL} --live off --hls"), "--live off"),
        ] {
            let refused = job(&line).expect_err(&line);
            assert!(refused.contains(says), "{line}: {refused}");
        }
        assert!(job("{session}.mp4 rtmp://:1935/live/key").expect("one stream, and a strange name").is_none());
    }
}
