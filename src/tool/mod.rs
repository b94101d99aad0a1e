//! What every tool has: figures, signals, exit codes, an end without a panic, the certificate of a listener.

pub mod certificate;
pub mod clock;
pub mod crash;
pub mod exit;
pub mod nowhere;
pub mod progress;
pub mod shutdown;
pub mod stats;
