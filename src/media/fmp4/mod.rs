//! What can be told about an MP4 (ISO base media) stream from its bytes alone.
//!
//! Pure code without I/O: [`boxes`] walks the boxes of a stream as it comes in, in slices cut anywhere. On it stands one
//! scan, [`fragments`]: it finds the header ([`movie`]) and the fragments with their times ([`moof`]). What is [`found`] feeds
//! all who look: [`inspect`] tells from the first few boxes whether the stream is one that can be followed while it grows,
//! [`review`] which fragments will disappoint, [`cut`] where it can be cut. [`mover`] brings fragments to another place and
//! time, [`stitch`] makes one stream of pieces again, [`single`] one of a single track. [`gather`] takes whole fragments out
//! of what somebody sends, [`samples`] their samples out of those, and [`joined`] makes one header of
//! several, and [`setup`] tells whether two of them are the same.
//!
//! Box layouts are those of ISO/IEC 14496-12 (ISO base media file format); section numbers in this module
//! family are of its 2015 edition.

pub mod boxes;
mod codec;
pub mod cut;
mod fields;
pub mod found;
pub mod fragments;
pub mod gather;
pub mod inspect;
pub mod joined;
pub mod moof;
pub mod mover;
pub mod movie;
pub mod review;
pub mod samples;
pub mod setup;
pub mod single;
pub mod stitch;
mod traf;
pub(crate) mod writer;

pub use boxes::{BoxHead, BoxWalker, Event, Events, FourCc, OffReason, Wish};
pub use cut::Cutter;
pub use found::{Found, Fragment, Header, NotFragments, WallClock};
pub use fragments::Scanner;
pub use inspect::Finding;
pub use moof::{Base, Run, Sample};
pub use mover::Mover;
pub use movie::{Movie, Track, TrackKind};

/// A box out of its parts, for tests.
#[cfg(test)]
pub(crate) fn bx(kind: [u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let size = u32::try_from(body.len() + 8).expect("a small box");
    [&size.to_be_bytes()[..], &kind, &body].concat()
}

/// A box of 32-bit numbers, for tests.
#[cfg(test)]
pub(crate) fn words(kind: [u8; 4], words: &[u32]) -> Vec<u8> {
    bx(kind, &words.iter().map(|word| word.to_be_bytes().to_vec()).collect::<Vec<_>>())
}
