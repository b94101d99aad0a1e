//! DASH out of what HLS is made of: a manifest of what grows and of what is finished, and each track of a segment by itself.
//!
//! ```text
//! answers -> names (URLs), manifest (text, from hls::index), serve::single (segments)
//!         -> serve::renditions (of one program) -> serve::glimpse (what there is of each) -> several (text)
//! ```
//!
//! A manifest names one version, and segments of it by the time at which they begin: that follows from the object's bytes
//! alone, so that any gateway can answer for them.

pub(crate) mod answers;
mod manifest;
pub(crate) mod names;
mod several;
