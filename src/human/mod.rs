//! Sizes, durations and times as people write and read them. Pure.

pub mod shell;
pub mod sizes;
pub mod times;
