//! The options of `writer` that are about a ladder, and what they mean.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;

use crate::ingest::ladder::command::{Coding, ENCODER};
use crate::ingest::ladder::supervise::Settings;
use crate::keys::rungs::Rungs;

/// Options of a ladder.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Ladder")]
pub struct LadderArgs {
    /// Smaller renditions beside the stream itself, or the fragmented MP4 of FILE or standard input, made by one ffmpeg (5.1 or later) a
    /// stream, as in `720p,480p` or `720p:2.8M,480p:1.2M` with bits a second; KEY needs {rendition}. None is larger than the stream,
    /// which never waits for them. With --keys of each stream that has no ladder of its own, and `none` where others have none; with
    /// --add-key: of this stream
    #[arg(long, value_name = "LIST")]
    pub ladder: Option<Rungs>,

    /// With --ladder: ffmpeg's encoder, such as h264_nvenc [default: libx264]
    #[arg(long, value_name = "NAME", requires = "ladder", value_parser = encoder)]
    pub ladder_encoder: Option<String>,

    /// With --ladder: what else ffmpeg is told for each rendition, as in `-preset fast`
    #[arg(long, value_name = "ARGS", requires = "ladder", allow_hyphen_values = true)]
    pub ladder_args: Option<String>,

    /// With --ladder: how many streams may have one at a time; others have their source alone [default: the number of processors]
    #[arg(long, value_name = "N", requires = "ladder", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub ladder_max: Option<u16>,
}

fn encoder(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name { Ok(text.to_owned()) } else { Err("an encoder has a name such as libx264 or h264_nvenc".to_owned()) }
}

impl LadderArgs {
    /// What they mean, where there are `renditions` in the names of objects, for fragments of this length.
    ///
    /// # Errors
    /// In words, where there is no name for each.
    pub fn settings(&self, renditions: bool, fragment: Duration) -> Result<Option<Settings>, String> {
        let Some(rungs) = &self.ladder else { return Ok(None) };
        if !renditions && !rungs.is_empty() {
            return Err("--ladder makes several renditions, and each needs an object of its own: put {rendition} into KEY, as in \
                        'live-{rendition}.mp4'"
                .to_owned());
        }
        let more = self.ladder_args.as_deref().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let encoder = self.ladder_encoder.clone().unwrap_or_else(|| ENCODER.to_owned());
        let coding = Coding { encoder, more, fragment };
        let cores = || available_parallelism().map_or(1, NonZero::get);
        let most = self.ladder_max.map_or_else(cores, usize::from);
        Ok(Some(Settings { rungs: rungs.clone(), coding, most }))
    }
}
