//! Why a place in a recording cannot be found.

use super::BACKWARDS_MAX;
use crate::media::fmp4::NotFragments;
use crate::store::StoreError;

/// Why a place cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum SeekError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was there a moment ago.
    #[error("{0}: nothing of it can be read: it was aborted or deleted, or it cannot be read live")]
    Absent(String),
    /// It is something else.
    #[error(
        "{object}: --from, --to and --probe need a fragmented MP4 (or, for --from live, an MPEG transport stream), and this is \
         something else: {why}. Without these options, reader copies anything"
    )]
    NotFragments {
        /// The object.
        object: String,
        /// What is in the way.
        why: NotFragments,
    },
    /// A transport stream, where fragments are needed.
    #[error(
        "{0}: this is an MPEG transport stream, which can be joined with --from live but has no index for times: --from TIME, \
         --from live-TIME, --to and --probe need a fragmented MP4"
    )]
    TransportStream(String),
    /// No fragment yet.
    #[error("{0}: there is no fragment in what can be read so far; try again in a moment")]
    TooEarly(String),
    /// No fragment, and there will be none.
    #[error(
        "{0}: it is complete, and there is no fragment in it: --from, --to and --probe have nothing to begin with. Without these options, \
         reader copies anything"
    )]
    NoFragment(String),
    /// The fragments have no `tfdt`.
    #[error(
        "{0}: its fragments do not tell their times (no tfdt), so that none can be found; only --from live is possible, or all of it without --from"
    )]
    Untimed(String),
    /// No key frame for a long way.
    #[error("{0}: no fragment begins with a key frame in {mib} MiB before the place asked for", mib = BACKWARDS_MAX >> 20)]
    NoKeyFrame(String),
    /// A time that is not there yet.
    #[error(
        "{object}: it is {length} long so far, so that {asked} cannot be joined yet; ask for an earlier time, or for --from live"
    )]
    Beyond {
        /// The object.
        object: String,
        /// How long it is.
        length: String,
        /// What was asked for.
        asked: String,
    },
    /// An end before the beginning.
    #[error(
        "{object}: the excerpt would begin at {begin} (the key frame that --from leads to) and end at {end}, so that nothing is in it; give a later --to"
    )]
    Nothing {
        /// The object.
        object: String,
        /// Where it begins.
        begin: String,
        /// Where it would end.
        end: String,
    },
    /// Wall-clock times need a clock.
    #[error(
        "{0}: it tells no time of day, and the store does not say when its upload began; give times from its start"
    )]
    NoClock(String),
}
