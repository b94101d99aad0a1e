//! What goes through: fragmented MP4, transport streams and FLV. Pure.

pub mod flv;
pub mod fmp4;
pub mod mpeg_ts;
