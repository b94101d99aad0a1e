//! What can be told about an MP4 (ISO base media) stream from its bytes alone.
//!
//! Pure code without I/O: [`boxes`] walks the boxes of a stream as it comes in, in slices cut anywhere, and
//! [`inspect`] uses that to tell, from the first few boxes, whether the stream is one that can be followed
//! while it grows, and [`cut`] to tell where a fragmented stream can be cut. [`movie`] reads the header of a stream, and
//! [`fragments`] finds its fragments and their times ([`moof`]), which [`mover`] brings to another place and time.
//! [`review`] says which fragments will disappoint.
//!
//! Box layouts are those of ISO/IEC 14496-12 (ISO base media file format); section numbers in this module
//! family are of its 2015 edition.

pub mod boxes;
mod codec;
pub mod cut;
mod fields;
pub mod fragments;
pub mod inspect;
pub mod moof;
pub mod mover;
pub mod movie;
pub mod review;
pub mod stitch;

pub use boxes::{BoxHead, BoxWalker, Event, Events, FourCc, OffReason, Wish};
pub use cut::{Boundary, Cutter};
pub use fragments::{Found, Fragment, Header, NotFragments, Scanner, WallClock};
pub use inspect::{Finding, Inspector};
pub use moof::{Base, Run};
pub use mover::Mover;
pub use movie::{Movie, Track, TrackKind};

/// A box out of its parts, for tests.
#[cfg(test)]
fn bx(kind: [u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let size = u32::try_from(body.len() + 8).expect("a small box");
    [&size.to_be_bytes()[..], &kind, &body].concat()
}

/// A box of 32-bit numbers, for tests.
#[cfg(test)]
pub(crate) fn words(kind: [u8; 4], words: &[u32]) -> Vec<u8> {
    bx(kind, &words.iter().map(|word| word.to_be_bytes().to_vec()).collect::<Vec<_>>())
}
