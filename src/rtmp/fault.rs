//! Why a connection of an encoder cannot go on.

use super::amf0::AmfError;
use super::chunk::ChunkError;

/// The most bytes that are taken before somebody has said that the encoder may publish.
pub const BEFORE: usize = 64 << 10;
/// The longest command of them, and the most bytes of commands that are not whole: those of encoders have some hundred.
pub const COMMAND_BEFORE: usize = 16 << 10;

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not the version of RTMP that is spoken here; perhaps no RTMP at all.
    #[error("it does not speak RTMP (its first byte is {0})")]
    Version(u8),
    /// Its chunks cannot be read.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// Its commands cannot be read.
    #[error(transparent)]
    Command(#[from] AmfError),
    /// It talks and does not publish.
    #[error("it sent more than {BEFORE} bytes and did not publish")]
    Talks,
    /// A name that is too long to be one.
    #[error("it gives a name of {0} bytes")]
    Name(usize),
    /// It wants to watch.
    #[error("it wants to play, and there is nothing to be played here: this address takes streams")]
    Plays,
    /// Pictures or sound before anybody let it publish.
    #[error("it sends a stream before it asked to publish")]
    Early,
}
