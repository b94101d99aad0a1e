//! What every tool has: figures, signals, exit codes, and an end without a panic.

pub mod clock;
pub mod crash;
pub mod exit;
pub mod nowhere;
pub mod progress;
pub mod shutdown;
pub mod stats;
