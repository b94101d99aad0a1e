//! Smooth Streaming out of the same index as HLS: a manifest, and each track of a segment by itself, which names those that follow.
//!
//! ```text
//! answers -> streams (what the tracks are called, and when what of them begins) -> manifest
//! program -> serve::renditions, serve::glimpse (what there is of each) -> several (streams at several rates) -> manifest
//!         -> serve::single (the samples of a track), boxes (what players go on by)
//! ```
//!
//! What is answered for a fragment never changes: it is held back until the next one is there, which it names.

pub(crate) mod answers;
mod boxes;
mod fragments;
mod level;
mod manifest;
pub(crate) mod names;
mod program;
mod several;
mod streams;
