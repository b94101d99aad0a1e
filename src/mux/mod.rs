//! Frames into fragmented MP4: a header once it is known what tracks there are, then fragments. Pure: no socket, no clock;
//! when something came is told with it.
//!
//! | module | job |
//! |---|---|
//! | [`clock`] | an encoder's milliseconds on the recording's own time line |
//! | [`setup`] | what a configuration record says of a track |
//! | `picture` | the size of the picture, out of what a decoder is set up with |
//! | `header` | the boxes in front: `ftyp` and `moov` |
//! | `fragment` | `prft`, `moof` and `mdat` |
//! | `gathering` | the tracks of an encoder, until it is known which there are |
//! | `state` | where a recording is, as text and back |
//! | [`push`] | fragments that an encoder has made itself, on the recording's time line |
//! | `source`, `known` | one of several senders of such; what came already |
//! | `called` | what an encoder calls its sources |
//! | [`split`] | one recording with several pictures, as one of each |
//! | [`foreign`] | a stream that somebody else has made, as if it had been made here |
//! | [`rung`] | a rendition that another program has coded, on the time line of the recording |
//! | [`read_back`] | a piece of a recording, read back |
//! | [`muxer`] | all of it together: when to cut, and what goes on where |
//!
//! Configuration records are copied byte for byte. Boxes are those of ISO/IEC 14496-12, sample entries those of 14496-15,
//! 14496-14, and the bindings of AV1, VP9 and Opus.

mod called;
pub mod clock;
pub mod foreign;
mod fragment;
mod gathering;
mod header;
mod known;
pub mod muxer;
mod picture;
pub mod push;
pub mod read_back;
pub mod rung;
pub mod setup;
mod source;
pub mod split;
mod state;
mod track;

pub use clock::Arrival;
pub use fragment::still;
pub use muxer::{MuxError, Muxer, Piece};
pub use state::State;
