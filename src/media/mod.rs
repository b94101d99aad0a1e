//! What goes through: fragmented MP4 and transport streams. Pure.

pub mod fmp4;
pub mod mpeg_ts;
