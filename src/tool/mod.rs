//! What every tool has: figures, signals, exit codes, an end without a panic, the certificate of a listener and what visitors
//! present to it, how many files may be open, text for Prometheus, an interface as a page.

pub(crate) mod authorization;
pub mod certificate;
pub mod clock;
pub mod crash;
pub mod exit;
pub mod interface_page;
pub mod nowhere;
pub mod open_files;
pub mod progress;
pub mod prometheus;
pub mod shutdown;
pub mod stats;
