//! Facts and arithmetic of the Live Read protocol and of keys. Pure.

pub mod content_type;
pub mod escape;
pub mod key;
pub mod limits;
pub mod live_objects;
pub mod live_read;
pub mod part;
