//! What people are told: lines on standard error, without secrets, that nobody waits for.

#[cfg(test)]
pub(crate) mod captured;
pub mod fields;
pub(crate) mod log_lines;
pub mod logging;
pub(crate) mod secrets;
pub mod stderr;
pub(crate) mod text;
