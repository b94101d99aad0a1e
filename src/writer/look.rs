//! The look at a new upload: whether it can be read live, and what follows, in plain words.

use crate::object::live::Upload;
use crate::protocol::limits;
use crate::store::live_check::LiveRead;

/// Says in plain words when readers will see nothing of this upload before its end; `why` there are no live objects.
pub(crate) async fn warn_without_live_read(upload: Upload, why: &str) {
    match upload.look().await {
        Ok(LiveRead::On) => tracing::info!("{ON}"),
        Ok(LiveRead::Off) => warn(&upload, why),
        Err(error) => tracing::debug!("could not find out whether Live Read is on: {error}"),
    }
}

/// What is said where it is on.
const ON: &str = "Live Read is on: readers can follow the upload itself, and nothing is sent or paid for beside it";

/// Says what was found out about an upload that has live objects where there is no Live Read: `first` for the run, and `in_time`
/// to make some. `objects` tells of those.
pub(crate) fn say(upload: &Upload, found: LiveRead, first: bool, in_time: bool, objects: impl FnOnce() -> String) {
    if let Some(warning) = limits::too_small_elsewhere(upload.part_size()).filter(|_| first && found == LiveRead::Off) {
        tracing::warn!("{warning}");
    }
    match (found, in_time) {
        (LiveRead::On, true) if first => tracing::info!("{ON}"),
        (LiveRead::Off, true) if first => tracing::info!("no Live Read here: {}. --live off does without", objects()),
        (LiveRead::On, false) => tracing::info!("{ON}, {} too", upload.object()),
        (LiveRead::Off, false) => warn(upload, "that was found out too late to make live objects for it"),
        (LiveRead::On | LiveRead::Off, true) => {}
    }
}

fn warn(upload: &Upload, why: &str) {
    tracing::warn!(
        "this store does not let {} be read while it is being written (no Live Read on this account or bucket), and {why}: \
         readers will see nothing before the upload is complete. The upload itself goes on",
        upload.object()
    );
}
