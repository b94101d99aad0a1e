//! What every tool has: figures, signals, exit codes, an end without a panic, the certificate of a listener, text for Prometheus.

pub mod certificate;
pub mod clock;
pub mod crash;
pub mod exit;
pub mod nowhere;
pub mod progress;
pub mod prometheus;
pub mod shutdown;
pub mod stats;
