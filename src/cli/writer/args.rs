//! The command line of `writer`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cli::common::{CommonArgs, key, object};
use crate::cli::help;
use crate::cli::run::Arguments;
use crate::cli::writer::admin_args::AdminArgs;
use crate::cli::writer::key_args::KeyArgs;
use crate::cli::writer::ladder_args::LadderArgs;
use crate::cli::writer::limit_args::LimitArgs;
use crate::cli::writer::listening::{FRAGMENT, ListeningArgs};
use crate::hls;
use crate::human::sizes;
use crate::ingest;
use crate::ingest::ladder::supervise as ladder;
use crate::keys::template::has_renditions;
use crate::keys::terms::Terms;
use crate::protocol::key::{MAX_KEY, number_of, numbered};
use crate::protocol::live_objects::Prefix;
use crate::protocol::part::PartSize;
use crate::store::Access;
use crate::tool::exit::Exit;
use crate::writer::live_objects::LiveMode;
use crate::writer::rollover::Rollover;
use crate::writer::setup_cors;

/// Copies standard input, or a file as it grows, into an S3 object that can be read while it is being written
///
/// The stream is cut into parts of a multipart upload, which can be read live by Live Read (a feature of Backblaze B2), and
/// on other stores by small objects beside it; see `--live`. Memory use is at most the part size times the parts in flight plus two (30 MiB with the defaults).
#[derive(Debug, Clone, Parser)]
#[command(name = "writer", version, max_term_width = 100, after_long_help = help::WRITER)]
pub struct WriterArgs {
    /// The object to write; `s3://BUCKET/KEY` names its bucket, too
    #[arg(value_parser = object, required_unless_present_any = ["check", "setup_cors", "keys_alone"])]
    pub key: Option<String>,

    /// A file to follow as it grows; `-` is standard input, to its end; `rtmp://ADDRESS:PORT/APPLICATION/STREAMKEY` (or rtmps)
    /// listens there for an encoder, such as OBS, and `http://` (or https) for one that pushes fragmented MP4
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// Size of every part but the last: 5000000 bytes to 5 GiB [default: 5MiB]
    #[arg(short = 's', long, visible_aliases = ["chunk-size", "chunk_size"], value_name = "SIZE", value_parser = part_size)]
    pub part_size: Option<PartSize>,

    /// Parts in flight at once
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// How long to wait for a followed file to grow where the system cannot tell
    #[arg(long, visible_alias = "interval", value_name = "SECONDS", default_value = "0.5", value_parser = sizes::interval)]
    pub poll_interval: Duration,

    /// Stop at the end of FILE instead of waiting for more
    #[arg(long)]
    pub no_follow: bool,

    /// Send what has waited for this long although its part is not full: below one part's worth of delay, at the price of
    /// uplink (with Live Read about 4 bytes for one at 6 Mbit/s and 1s, stated at the end; 2 on other stores)
    #[arg(long, value_name = "DURATION", value_parser = max_latency)]
    pub max_latency: Option<Duration>,

    /// With --max-latency: upload at most N bytes for a byte of input, and wait longer where it takes that
    #[arg(long, value_name = "N", requires = "max_latency", value_parser = max_amplification)]
    pub max_amplification: Option<f64>,

    /// How the input can be read before the upload is complete
    #[arg(long, value_enum, value_name = "MODE", default_value = "auto")]
    pub live: Live,

    /// What the names of live objects begin with; readers need the same
    #[arg(long, value_name = "PREFIX", default_value = "_live/", value_parser = Prefix::new)]
    pub live_prefix: Prefix,

    /// Where input waits, in a file without a name, while the store is away, and where it is kept, in a file with a name, if
    /// it cannot be stored [default: the first of ~/.local/state/live-read, ~/.cache/live-read, /var/tmp that is on disk]
    #[arg(long, value_name = "DIR")]
    pub spool_dir: Option<PathBuf>,

    /// The most that may wait there; 0 lets the input wait instead
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = sizes::size)]
    pub spool_limit: u64,

    /// Go on with the upload that was left open: with FILE from where the two differ, with standard input behind the bytes
    /// that the upload holds
    #[arg(long, group = "left_open", conflicts_with = "check", help_heading = "Unfinished uploads")]
    pub resume: bool,

    /// Begin with what an earlier run has kept in FILE because it could not be stored, then go on with standard input (not a
    /// terminal's). With --resume it goes into the upload that it belongs to, and makes the whole object; without, into an
    /// object of its own. FILE is removed when that is complete
    #[arg(long, value_name = "FILE", conflicts_with_all = ["abort", "check", "rollover", "hls_rebuild"], help_heading = "Unfinished uploads")]
    pub kept: Option<PathBuf>,

    /// Cancel the open uploads of KEY, after asking
    #[arg(long, groups = ["left_open", "asks"], conflicts_with = "check", help_heading = "Unfinished uploads")]
    pub abort: bool,

    /// With --resume or --abort: this upload [default: the newest to resume, all to abort]
    #[arg(long, value_name = "ID", requires = "left_open", help_heading = "Unfinished uploads")]
    pub upload_id: Option<String>,

    /// With --abort or --setup-cors: do not ask
    #[arg(short, long, requires = "asks", conflicts_with = "resume", help_heading = "Unfinished uploads")]
    pub yes: bool,

    /// Go on in another object (`match-0002.mp4` after `match.mp4`): when this many bytes or so much time are reached, as in
    /// `50GB`, `1h` or `30m`, or with `auto` just before the 10,000 parts of an upload are used up
    #[arg(long, value_name = "SIZE|DURATION|auto", value_parser = Rollover::parse, conflicts_with_all = ["left_open", "check"])]
    pub rollover: Option<Rollover>,

    /// Write a playlist beside the object, so that browsers can play it while it grows and every player afterwards (with
    /// --live objects every player at once: each segment is a live object then); for fragmented MP4. Keeps 32 bytes for each segment, and its text while that is written (9 MB in a day at 2s)
    #[arg(long, group = "playlist", conflicts_with_all = ["abort", "check"], help_heading = "HLS")]
    pub hls: bool,

    /// The playlist's key [default: KEY with .m3u8 in place of its extension]
    #[arg(long, value_name = "KEY", value_parser = key, requires = "playlist", help_heading = "HLS")]
    pub hls_key: Option<String>,

    /// About how long a segment is; it begins with a key frame
    #[arg(long, value_name = "DURATION", default_value = "2", value_parser = segment_time, help_heading = "HLS")]
    pub hls_time: Duration,

    /// Show only the last of it while it is being recorded; KEY.dvr.m3u8 shows all [default: all, up to some hours]
    #[arg(long, value_name = "DURATION", value_parser = sizes::interval, requires = "hls", help_heading = "HLS")]
    pub hls_window: Option<Duration>,

    /// Add this stream to a multivariant playlist, which other writers may share. With {rendition} in KEY, all its renditions
    #[arg(long, value_name = "KEY", value_parser = key, requires = "hls", help_heading = "HLS")]
    pub hls_master: Option<String>,

    /// Its name there, such as 720p; needed unless KEY has {rendition}
    #[arg(long, value_name = "NAME", value_parser = rendition, requires = "hls_master", help_heading = "HLS")]
    pub hls_name: Option<String>,

    /// Upload nothing; write the playlist of KEY, finished or open, by reading its boxes
    #[arg(long, group = "playlist", conflicts_with_all = ["left_open", "check", "rollover"], help_heading = "HLS")]
    pub hls_rebuild: bool,

    /// Upload nothing; let the pages of ORIGIN (`https://www.example.com`, or `*` for all) play what is in the bucket: shows
    /// the bucket's CORS rules as they will be, asks, and sets them (may be repeated)
    #[arg(long, value_name = "ORIGIN", value_parser = setup_cors::origin, group = "asks",
        conflicts_with_all = ["key", "left_open", "check", "rollover", "playlist"], help_heading = "HLS")]
    pub setup_cors: Vec<String>,

    /// Upload nothing; report whether credentials, bucket, region and clock are in order, and how an upload can be read live
    #[arg(long)]
    pub check: bool,

    /// Stored with the object [default: from KEY's ending]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,

    /// Options of listening for encoders.
    #[command(flatten)]
    pub listening: ListeningArgs,

    /// Options of a ladder.
    #[command(flatten)]
    pub ladder: LadderArgs,

    /// Options of stream keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// Options of administration.
    #[command(flatten)]
    pub admin: AdminArgs,

    /// Options of both tools.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// How the input can be read before the upload is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Live {
    /// By Live Read where it is on, else by live objects; says which, and what that costs.
    Auto,
    /// By Live Read, and where it is not on not at all.
    B2,
    /// On any store, by small objects beside the upload, which are taken away at its end. Sends whole parts once (twice where
    /// the store copies no parts), and with --max-latency or --hls everything twice.
    Objects,
    /// Not at all: nothing is put beside the upload.
    Off,
}

impl From<Live> for LiveMode {
    fn from(live: Live) -> Self {
        match live {
            Live::Auto => Self::Auto,
            Live::B2 => Self::LiveRead,
            Live::Objects => Self::Objects,
            Live::Off => Self::Off,
        }
    }
}

impl Arguments for WriterArgs {
    // Hashing takes most of the time: two parts can be hashed at once.
    fn workers(&self) -> usize {
        2
    }

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn object(&mut self) -> (Option<&mut String>, &mut CommonArgs) {
        (self.key.as_mut(), &mut self.common)
    }

    fn has_streams(&self) -> bool {
        let renditions = || self.listen().is_ok_and(|listen| self.has_renditions(listen.as_ref()));
        !self.keys.is_all() && (self.many().is_some() || renditions())
    }

    async fn without_store(&self) -> Option<Exit> {
        if !self.keys.is_all() {
            return None;
        }
        // Of a stream that is made these are its own.
        let (ladder, reconnect) = (self.ladder.ladder.clone(), self.listening.reconnect.map(|wait| wait.as_secs()));
        Some(self.keys.run(Terms { ladder, reconnect, ..self.keys.limits.terms() }).await)
    }

    fn access(&self) -> Result<Access, String> {
        self.common.one_bucket()?;
        self.names_are_apart()?;
        if self.kept.is_some() && self.file != Path::new("-") {
            return Err("--kept FILE goes on with standard input, not with another file".to_owned());
        }
        self.names_are_left_for_later_objects()?;
        self.what_is_live_goes_together()?;
        let listen = self.listen()?;
        self.ladder()?;
        if self.has_renditions(listen.as_ref()) {
            self.renditions_are_apart()?;
        } else if self.hls_master.is_some() && self.hls_name.is_none() {
            return Err("--hls-master needs --hls-name NAME: what the stream is called there, such as 720p".to_owned());
        }
        Ok(Access::Credentials)
    }
}

impl WriterArgs {
    /// The key of the playlist, if one is to be written.
    #[must_use]
    pub fn playlist_key(&self) -> Option<String> {
        let key = self.key.as_deref().filter(|_| self.hls || self.hls_rebuild)?;
        Some(self.hls_key.clone().unwrap_or_else(|| hls::key_for(key)))
    }

    /// By which option there are many streams, if there are.
    #[must_use]
    pub fn many(&self) -> Option<&'static str> {
        let keys = self.keys.keys.as_ref().map(|_| "--keys");
        keys.or_else(|| self.admin.hook_form.then_some("--hook-form"))
    }

    /// Where to listen, if anywhere.
    ///
    /// # Errors
    /// In words, without stream keys.
    pub fn listen(&self) -> Result<Option<ingest::Settings>, String> {
        let renditions = self.key.as_deref().is_some_and(has_renditions);
        let settings = self.listening.settings(&self.file, self.many())?;
        let max_bitrate = self.keys.limits.max_bitrate;
        if settings.is_none() && max_bitrate.is_some() && !self.keys.is_all() {
            return Err(
                "--max-bitrate is about streams from encoders, and needs a URL to listen at, or --add-key".to_owned()
            );
        }
        Ok(settings.map(|settings| ingest::Settings { renditions, max_bitrate, ..settings }))
    }

    /// The ladder to be made of one stream, if any.
    ///
    /// # Errors
    /// In words.
    pub fn ladder(&self) -> Result<Option<ladder::Settings>, String> {
        Ok(self.ladders()?.filter(|ladder| !ladder.rungs.is_empty()))
    }

    /// The ladders to be made of many streams, if any: without rungs, of those alone that have a ladder of their own.
    ///
    /// # Errors
    /// In words.
    pub fn ladders(&self) -> Result<Option<ladder::Settings>, String> {
        let listen = self.listen()?;
        let fragment = listen.as_ref().map_or(FRAGMENT, |listen| listen.fragment);
        self.ladder.settings(self.key.as_deref().is_some_and(has_renditions), fragment)
    }

    /// Whether one stream becomes several objects.
    fn has_renditions(&self, listen: Option<&ingest::Settings>) -> bool {
        listen.map_or(self.ladder.ladder.as_ref().is_some_and(|rungs| !rungs.is_empty()), |listen| listen.renditions)
    }

    /// From here on these are for one of many streams, of which somebody else brings the input.
    pub fn is_one_of_many(&mut self) {
        self.keys.keys = None;
        self.keys.limits = LimitArgs::default();
        self.admin = AdminArgs::default();
        self.listening = ListeningArgs::default();
        self.ladder = LadderArgs::default();
        self.common.stats = None;
        self.file = PathBuf::from("-");
    }

    /// What needs Live Read is not asked for without it.
    fn what_is_live_goes_together(&self) -> Result<(), String> {
        let refusal = match self.live {
            Live::Objects if self.max_amplification.is_some() => {
                "--max-amplification is for Live Read; with --live objects and --max-latency each byte is sent twice, never \
                 more often"
            }
            Live::Off if self.hls => {
                "--hls makes a playlist of what can be read live, and --live off lets nothing be: write the playlist \
                 afterwards, with --hls-rebuild"
            }
            Live::Off if self.max_latency.is_some() => {
                "--max-latency is about what can be read live, and --live off lets nothing be: leave one of them out"
            }
            _ => return Ok(()),
        };
        Err(refusal.to_owned())
    }

    /// Later objects need names too, and nobody else may have them: this is seen at the start, not in the middle of an event.
    fn names_are_left_for_later_objects(&self) -> Result<(), String> {
        let (Some(key), Some(_)) = (&self.key, self.rollover) else { return Ok(()) };
        let longer = numbered(key, LAST_OBJECT).len().saturating_sub(key.len());
        if key.len() + longer > MAX_KEY {
            let (most, has) = (MAX_KEY - longer, key.len());
            return Err(format!(
                "with --rollover a key has at most {most} bytes, so that later objects can be numbered; this one has {has}"
            ));
        }
        let playlist = self.playlist_key();
        let whole = playlist.as_deref().map(hls::dvr_key_for);
        for other in [playlist, whole, self.hls_master.clone()].into_iter().flatten() {
            if let Some(number) = number_of(key, &other) {
                return Err(format!(
                    "{other} is the name of object {number} with --rollover, and cannot be a playlist's too; give another"
                ));
            }
        }
        Ok(())
    }

    /// What each rendition has for itself is called by it.
    fn renditions_are_apart(&self) -> Result<(), String> {
        for (option, name) in [("--hls-key", &self.hls_key), ("--hls-name", &self.hls_name)] {
            if name.as_deref().is_some_and(|name| !has_renditions(name)) {
                return Err(format!("{option} needs {{rendition}}, as KEY does: each rendition has its own"));
            }
        }
        if self.hls_master.as_deref().is_some_and(has_renditions) {
            return Err("--hls-master is one for all renditions, and has no {rendition}".to_owned());
        }
        Ok(())
    }

    /// No object may be written over by another.
    fn names_are_apart(&self) -> Result<(), String> {
        let (Some(key), Some(playlist)) = (&self.key, self.playlist_key()) else { return Ok(()) };
        let whole = hls::dvr_key_for(&playlist);
        let named = [("the object", key), ("its playlist", &playlist), ("the playlist of all of it", &whole)];
        let named: Vec<_> =
            named.into_iter().chain(self.hls_master.iter().map(|key| ("the multivariant one", key))).collect();
        for (at, (one, key)) in named.iter().enumerate() {
            if let Some((other, _)) = named.iter().skip(at + 1).find(|(_, other)| other == key) {
                return Err(format!("{key} cannot be both {one} and {other}; give another --hls-key"));
            }
        }
        Ok(())
    }
}

/// The highest number of an object that a key must leave room for: hours enough for eleven years.
const LAST_OBJECT: u32 = 99_999;

/// The length of a segment.
fn segment_time(text: &str) -> Result<Duration, String> {
    let time = sizes::duration(text)?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time);
    if fits { Ok(time) } else { Err("a segment lasts 100ms to 60s".to_owned()) }
}

/// The name of a rendition: what may stand between quotation marks in a playlist.
fn rendition(text: &str) -> Result<String, String> {
    let fits = !text.trim().is_empty() && text.len() <= 100 && !text.contains(|c: char| c == '"' || c.is_control());
    if fits { Ok(text.to_owned()) } else { Err("a name has 1 to 100 characters and no quotation mark".to_owned()) }
}

/// The size of a part, within the limits.
fn part_size(text: &str) -> Result<PartSize, String> {
    PartSize::new(sizes::size(text)?).map_err(|error| error.to_string())
}

/// How long a byte may wait, 0.1 s at least: each tail is a request and sends its part again.
fn max_latency(text: &str) -> Result<Duration, String> {
    let parsed = sizes::duration(text)?;
    if parsed < Duration::from_millis(100) { Err("at least 100ms".to_owned()) } else { Ok(parsed) }
}

/// How many bytes may be uploaded for one.
fn max_amplification(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(times) if times > 1.0 && times.is_finite() => Ok(times),
        _ => Err(format!("{text:?} is not a number above 1")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        WriterArgs::command().debug_assert();
    }

    #[test]
    fn no_object_is_written_over_by_another() {
        let access = |more: &[&str]| {
            let line = [&["writer", "live.mp4", "--hls"][..], more].concat();
            WriterArgs::try_parse_from(line).expect("it parses").access().map(drop)
        };
        assert_eq!(access(&["--hls-master", "master.m3u8", "--hls-name", "720p"]), Ok(()));
        for more in [
            &["--hls-key", "live.mp4"][..],
            &["--hls-master", "live.m3u8", "--hls-name", "720p"],
            &["--hls-master", "live.dvr.m3u8", "--hls-name", "720p"],
            &["--hls-master", "live.mp4", "--hls-name", "720p"],
        ] {
            let refused = access(more).expect_err("two of one name");
            assert!(refused.contains("cannot be both"), "{refused}");
        }
    }

    #[test]
    fn what_needs_live_read_is_not_asked_for_without_it() {
        let access = |more: &str| {
            let line = std::iter::once("writer").chain(more.split_whitespace());
            WriterArgs::try_parse_from(line).expect("it parses").access().map(drop)
        };
        for fits in [
            "k --live objects --max-latency 1s",
            "k --live off --rollover 1h",
            "k --live b2 --hls",
            "k --hls",
            "k --live objects --hls",
        ] {
            assert_eq!(access(fits), Ok(()), "{fits}");
        }
        for (line, names) in [
            ("k --live objects --max-latency 1s --max-amplification 3", "--max-amplification"),
            ("k --live off --hls", "--hls-rebuild"),
            ("k --live off --max-latency 1s", "--max-latency"),
        ] {
            let refused = access(line).expect_err(line);
            assert!(refused.contains(names) && refused.contains("--live "), "{refused}");
        }
    }

    #[test]
    fn later_objects_have_names_of_their_own() {
        let access = |key: &str, more: &[&str]| {
            let line = [&["writer", key][..], more].concat();
            WriterArgs::try_parse_from(line).expect("it parses").access().map(drop)
        };
        let rollover = ["--rollover", "1h"];
        let long = |len: usize| "k".repeat(len);
        assert_eq!(access(&long(1018), &rollover), Ok(()));
        assert_eq!(access(&long(1024), &[]), Ok(()));
        for len in [1019, 1024] {
            let refused = access(&long(len), &rollover).expect_err("no room for a number");
            assert!(refused.contains("at most 1018 bytes") && refused.contains(&len.to_string()), "{refused}");
        }
        let hls = |more: &[&'static str]| [&rollover[..], &["--hls"], more].concat();
        assert_eq!(access("col.mp4", &hls(&["--hls-key", "col-2.mp4"])), Ok(()));
        for more in [&["--hls-key", "col-0002.mp4"][..], &["--hls-master", "col-0003.mp4", "--hls-name", "a"]] {
            let refused = access("col.mp4", &hls(more)).expect_err("object 2 or 3");
            assert!(refused.contains("is the name of object"), "{refused}");
        }
        assert_eq!(access("col.mp4", &["--hls", "--hls-key", "col-0002.mp4"]), Ok(()));
    }
}
