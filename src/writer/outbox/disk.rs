//! Parts that wait on disk while the store is away, and what people are told of that.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::put::Parcel;
use crate::human::sizes::show_bytes;
use crate::tool::progress::Progress;
use crate::writer::spool::Spool;

/// Between two warnings about the spool.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Disk {
    spool: Option<Spool>,
    /// When it was last said that parts wait on disk, and that no more can.
    warned: Option<Instant>,
    warned_full: Option<Instant>,
    /// Whether parts wait there.
    used: bool,
    /// Bytes there as the progress knows them.
    told: u64,
}

impl Disk {
    pub(super) fn new(spool: Option<Spool>) -> Self {
        Self { spool, warned: None, warned_full: None, used: false, told: 0 }
    }

    pub(super) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Moves a part there beside so many bytes; whether that was possible. `None` where there is no spool.
    pub(super) fn take(&mut self, parcel: &Parcel, beside: u64) -> Option<bool> {
        let due = |warned: Option<Instant>| warned.is_none_or(|at| at.elapsed() >= WARN_AGAIN);
        match parcel.spill(self.spool.as_ref()?) {
            Ok(()) => {
                self.used = true;
                if due(self.warned) {
                    self.warned = Some(Instant::now());
                    let shown = show_bytes(beside + parcel.len());
                    tracing::warn!(
                        "the store does not keep up; input goes on to be read and waits on disk ({shown} so far)"
                    );
                }
                Some(true)
            }
            Err(error) => {
                if due(self.warned_full) {
                    self.warned_full = Some(Instant::now());
                    tracing::warn!(
                        "the store does not keep up, and no more input can wait on disk: {error}. The input waits; nothing is lost as long as it can"
                    );
                }
                Some(false)
            }
        }
    }

    /// Tells the progress how much waits there, and the person when nothing does any more.
    pub(super) fn tell(&mut self, bytes: u64, progress: &Progress) {
        // There can be another outbox beside this one.
        let before = std::mem::replace(&mut self.told, bytes);
        progress.spooled.fetch_add(bytes.saturating_sub(before), Relaxed);
        progress.spooled.fetch_sub(before.saturating_sub(bytes), Relaxed);
        if self.used && bytes == 0 {
            self.used = false;
            tracing::info!("all parts have left the disk");
        }
    }
}
