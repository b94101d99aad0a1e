//! The look at a new upload: whether it can be read live, said in plain words where it can not.

use crate::object::live::Upload;
use crate::store::live_check::LiveRead;

/// Says in plain words when readers will see nothing of this upload before its end.
pub(crate) async fn warn_without_live_read(upload: Upload) {
    match upload.look().await {
        Ok(LiveRead::On) => tracing::debug!("Live Read is on"),
        Ok(LiveRead::Off) => tracing::warn!(
            "this store does not let {} be read while it is being written (no Live Read on this account or bucket): \
             readers will see nothing before the upload is complete. The upload itself goes on. On Backblaze B2, Live Read \
             has to be enabled for the account; on every store, the next upload can be read live with --live objects",
            upload.object()
        ),
        Err(error) => tracing::debug!("could not find out whether Live Read is on: {error}"),
    }
}
