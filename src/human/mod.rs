//! Sizes, durations and times as people write and read them, and text for their pages. Pure.

pub mod html;
pub mod shell;
pub mod sizes;
pub mod times;
