//! HLS for every player: playlists of what grows and of what is finished, with each segment under a URL of its own.
//!
//! ```text
//! playlists, media -> series -> indexes -> indexed { index <- indexer <- ring, small requests } -> render
//! ```
//!
//! A playlist names one version, and stretches of it by offset and length: any gateway can answer for them, and what was
//! fetched once may be kept for ever. Where the writer went on in other objects, those are in the same playlist. The index follows from the bytes alone, so that all gateways find the same numbers.

pub(crate) mod answer;
mod arrivals;
pub(crate) mod index;
pub(crate) mod indexed;
mod indexer;
pub(crate) mod indexes;
pub(crate) mod media;
pub(crate) mod multivariant;
pub(crate) mod names;
mod parts;
mod pictures;
pub(crate) mod playlists;
mod reload;
pub(crate) mod render;
mod series;
pub(crate) mod siblings;
mod survey;
pub(crate) mod tracks;
pub(crate) mod waiting;
