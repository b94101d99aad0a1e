//! What in the fragments of a stream will disappoint whoever joins it live, and which setting helps.
//!
//! Only the first fragments are looked at; after that it costs nothing.

use std::sync::Arc;

use super::found::{Found, Fragment};
use super::movie::{Movie, TrackKind};

/// Fragments of the main track that are looked at.
const FRAGMENTS: u32 = 60;
/// Bytes that are looked at, at most.
const BYTES: u64 = 256 << 20;
/// A fragment of sound that is longer than this, in nanoseconds, was not meant to be.
const LONG_SOUND: i64 = 10_000_000_000;

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The stream has sound and no picture, and no fragment of it has come yet.
    SoundAlone,
    /// The first fragment has come.
    Begun,
    /// A warning for people.
    Warning(String),
}

/// Looks at the first fragments of a stream.
#[derive(Debug)]
pub struct Reviewer {
    part_size: u64,
    movie: Option<Arc<Movie>>,
    fragments: u32,
    /// Fragments with a key frame that is not their first.
    late_keys: u32,
    said_large: bool,
    said_keys: bool,
}

impl Reviewer {
    /// For a stream that goes into parts of this size in bytes.
    #[must_use]
    pub fn new(part_size: u64) -> Self {
        Self { part_size, movie: None, fragments: 0, late_keys: 0, said_large: false, said_keys: false }
    }

    /// Looks at what was found in the stream; gives what there is to say now.
    pub fn see(&mut self, found: &Found) -> Vec<Remark> {
        let mut remarks = Vec::new();
        match found {
            Found::Header(header) => {
                let alone = |kind| header.movie.tracks.iter().all(|track| track.kind == kind);
                if alone(TrackKind::Audio) {
                    remarks.push(Remark::SoundAlone);
                }
                self.movie = Some(header.movie.clone());
            }
            Found::Begun(fragment) => self.review(fragment, &mut remarks),
            Found::Ended(_) | Found::Bare | Found::Off(_) => {}
        }
        remarks
    }

    /// Whether there is nothing more to look for, so many bytes into the stream.
    #[must_use]
    pub fn is_done(&self, offset: u64) -> bool {
        self.fragments >= FRAGMENTS || offset > BYTES
    }

    fn review(&mut self, fragment: &Fragment, remarks: &mut Vec<Remark>) {
        let Some(main) = self.movie.as_ref().and_then(|movie| movie.main()) else { return };
        let Some(run) = fragment.run(main.id) else { return };
        if self.fragments == 0 {
            remarks.push(Remark::Begun);
        }
        self.fragments = self.fragments.saturating_add(1);
        let bytes = fragment.data_end.unwrap_or(fragment.moof_end).saturating_sub(fragment.first);
        let length = run.nanos(i64::try_from(run.duration).unwrap_or(i64::MAX));
        if main.kind == TrackKind::Audio && length > LONG_SOUND && !self.said_large {
            self.said_large = true;
            let seconds = length / 1_000_000_000;
            remarks.push(Remark::Warning(format!(
                "a fragment of this sound is {seconds} s long, and nothing of it can be played before all of it is there: {SOUND}"
            )));
        } else if bytes > self.part_size && !self.said_large {
            self.said_large = true;
            remarks.push(Remark::Warning(format!(
                "a fragment of this MP4 has {bytes} bytes, more than a part of {} bytes, so viewers join late and get it in pieces: set key \
                 frames closer together (ffmpeg: -g with the frames of one or two seconds; OBS: Settings > Output > Keyframe \
                 Interval 2 s) or choose a larger --part-size",
                self.part_size
            )));
        }
        self.late_keys = self.late_keys.saturating_add(u32::from(!run.sync && run.syncs > 0));
        if self.late_keys > 1 && !self.said_keys {
            self.said_keys = true;
            remarks.push(Remark::Warning(
                "fragments of this MP4 do not begin with key frames, so nobody can join it live or cut clips at them: with \
                 ffmpeg, add frag_keyframe to -movflags (beside any -frag_duration)"
                    .to_owned(),
            ));
        }
    }
}

/// What helps sound alone.
pub const SOUND: &str = "ffmpeg's frag_keyframe goes by pictures alone, and without one it writes a single fragment at the very end; \
     use -movflags +empty_moov+default_base_moof -frag_duration 1000000 (microseconds) for sound alone";
