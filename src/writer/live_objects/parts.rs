//! Parts of the upload, where live objects are made of them: what the cutter left out is sent from the part's buffer, and
//! where that is the whole part, the store makes the part out of the live object by itself.
//!
//! A part is stored only when all of it lies in live objects. So whoever goes on with the upload finds no part whose bytes
//! readers cannot read, and no input is needed again that is gone.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::asking::HOLD;
use super::shared::may_pass;
use super::stage::Stage;
use super::{GIVE_UP, LiveObjects};
use crate::object::live::Upload;
use crate::protocol::part::PartNumber;
use crate::store::{ETag, StoreError};

impl LiveObjects {
    /// Stores a part in one attempt, after what of it has to be a live object.
    ///
    /// While live objects fail and that may pass, this fails with them, and is to be tried again: most often parts would fail,
    /// too. After [`GIVE_UP`] that is tried, and if parts can be stored, live reading is given up.
    ///
    /// # Errors
    /// [`StoreError`] for anything but success.
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: Bytes,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        let shared = &self.shared;
        let start = upload.part_size().start_of(number);
        let part = start..start + body.len() as u64;
        match shared.stage() {
            Stage::Asking => return self.put_meanwhile(upload, number, body, patience).await,
            Stage::Beginning if shared.are_made().await => {}
            Stage::Made => {}
            Stage::Beginning | Stage::Without => return upload.put(number, body, patience).await,
        }
        let whole = match self.fill(upload, &part, &body, patience).await {
            Ok(whole) => whole,
            Err(error) if may_pass(&error) && !shared.state().trouble.is_long(Instant::now()) => return Err(error),
            Err(error) => {
                let etag = upload.put(number, body, patience).await?;
                shared.give_up(&error);
                return Ok(etag);
            }
        };
        // The last part is sent: some stores make none out of an object that is smaller than parts have to be.
        if whole && body.len() == upload.part_size().as_len() && shared.state().copies.is_some() {
            match self.copied(upload, number, start, patience).await {
                Ok(etag) => return Ok(etag),
                Err(error) => shared.state().copy_failed(&error),
            }
        }
        let etag = upload.put(number, body, patience).await?;
        shared.state().trouble.part_is_stored(Instant::now());
        Ok(etag)
    }

    /// Stores a part while it is being asked whether there are to be live objects, and then in live objects what of it is to be
    /// there. Where that cannot be found out although parts are stored, there will be none.
    async fn put_meanwhile(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: Bytes,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        let shared = &self.shared;
        let etag = upload.put(number, body.clone(), patience).await?;
        shared.part_stored.notify_one();
        match timeout(HOLD, shared.are_made()).await {
            Ok(false) => return Ok(etag),
            Ok(true) => {}
            Err(_) => {
                if shared.go_on_to(Stage::Without) {
                    let why = shared.state().unanswered.take().map_or_else(String::new, |error| format!(": {error}"));
                    tracing::warn!(
                        "could not find out whether {} can be read while it is being written{why}. Where the store has Live Read \
                         it can, and else not before it is complete: no live objects are made for it",
                        upload.object()
                    );
                }
                return Ok(etag);
            }
        }
        let start = upload.part_size().start_of(number);
        self.fill(upload, &(start..start + body.len() as u64), &body, patience).await?;
        shared.state().trouble.part_is_stored(Instant::now());
        Ok(etag)
    }

    /// Stores what of a part is left to it, until all of it lies in live objects, or those are given up, but not for ever.
    /// Gives whether that was one live object, which is all of the part.
    async fn fill(
        &self,
        upload: &Upload,
        part: &Range<u64>,
        body: &Bytes,
        patience: Duration,
    ) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let mut whole = false;
        if body.len() < upload.part_size().as_len() {
            // Only the last part is short: nothing comes that its last bytes could wait for.
            self.input_ended();
        }
        loop {
            let left = {
                let mut state = shared.state();
                state.cutter.part_waits(part.end);
                if state.trouble.given_up().is_some() { Vec::new() } else { state.cutter.left_in(part) }
            };
            shared.tell();
            for range in &left {
                shared.post(range.start, within(body, part.start, range), patience).await?;
                shared.state().cutter.filled(range);
                whole = range == part;
            }
            if !self.is_left_more(part).await {
                return Ok(whole);
            }
        }
    }

    /// Waits until all of a part lies in live objects, or those are given up, but not for ever; or until more of it is left to
    /// it, which is true.
    async fn is_left_more(&self, part: &Range<u64>) -> bool {
        let shared = &self.shared;
        let mut news = shared.news();
        let stored = async {
            loop {
                news.mark_unchanged();
                {
                    let state = shared.state();
                    if state.trouble.given_up().is_some() || state.stored.covers(part) {
                        return false;
                    }
                    if !state.cutter.left_in(part).is_empty() {
                        return true;
                    }
                }
                if news.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout(GIVE_UP, stored).await.unwrap_or(false)
    }

    async fn copied(
        &self,
        upload: &Upload,
        number: PartNumber,
        offset: u64,
        patience: Duration,
    ) -> Result<ETag, StoreError> {
        let shared = &self.shared;
        let run = shared.state().stored.head().run().run;
        let source = shared.names.object(&shared.recording, run, offset);
        let etag = shared.store.once().copy_part(upload.key(), upload.id(), number, &source, patience).await?;
        let mut state = shared.state();
        state.copies = Some(0);
        state.trouble.part_is_stored(Instant::now());
        Ok(etag)
    }
}

/// The bytes of `range`, out of a body that begins at `start`.
fn within(body: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(body.len());
    body.slice(at(range.start)..at(range.end))
}
