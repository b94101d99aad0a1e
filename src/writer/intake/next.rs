//! From one object of a recording to the next: at a fragment, between two parts, or where the input itself begins another.

use std::sync::Arc;

use tracing::Instrument;

use super::object::OpenObject;
use super::policy::Groups;
use super::scan::Scan;
use super::{Closing, Context, Intake};
use crate::media::fmp4::{Found, Header};
use crate::protocol::key::numbered;
use crate::writer::cause::Cause;
use crate::writer::live_objects::LiveObjects;

/// Completes an object in the background, once readers find the live objects of the `next`.
pub(super) fn close(closing: &mut Closing, context: &Context<'_>, object: OpenObject, next: Option<LiveObjects>) {
    let span = object.outbox.upload().span().clone();
    closing.spawn(object.close(context.plan.clone(), context.progress.clone(), next).instrument(span));
}

impl Intake<'_> {
    /// What comes belongs to another object, and begins with a header of its own.
    pub(super) async fn next_object(&mut self) -> Result<(), Cause> {
        // What was undecided belongs to the object before.
        self.take_to(u64::MAX).await?;
        if self.object.size == 0 && self.object.outbox.ledger.is_empty() {
            return Ok(());
        }
        let at = self.filling.at();
        let (part_size, cuts, taps) = (self.context.plan.part_size, self.policy.goes_on(), &self.context.plan.taps);
        self.scan = Scan::beginning_at(at, part_size, cuts, taps.look());
        self.groups = Groups::default();
        self.begin_next().await?;
        self.object.shift = at.cast_signed();
        self.tapped.is_piece(at.cast_signed());
        Ok(())
    }

    /// At a fragment that starts with a key frame, `at` a place in the stream.
    pub(super) async fn at_fragment(&mut self, at: u64, header: &Header) -> Result<(), Cause> {
        let group = self.groups.next(&self.policy);
        if self.object.begun && self.policy.at_fragment(self.object.size, group, self.object.age()) {
            let by = at.cast_signed() - (header.bytes.len() as u64).cast_signed();
            self.roll(Some((header, by))).await?;
            let header = Header { end: at, ..header.clone() };
            self.tapped.saw(&Found::Header(Arc::new(header)));
        }
        self.object.begun = true;
        Ok(())
    }

    /// Goes on in the next object. At a fragment, that begins with a header, and places in it are those in the stream less
    /// so much.
    ///
    /// The input waits for the answer to the request that begins the object: until then nobody could be told where it goes.
    pub(super) async fn roll(&mut self, piece: Option<(&Header, i64)>) -> Result<(), Cause> {
        self.begin_next().await?;
        let Some((header, by)) = piece else {
            // Cut in the middle, it may be cut again at the very next fragment.
            self.object.begun = true;
            self.tapped.makes_no_sense();
            return Ok(());
        };
        self.object.shift = by;
        self.tapped.is_piece(by);
        self.filling.begin_with(&header.bytes);
        while self.filling.owes_header() {
            self.need_buffer().await?;
            self.take(usize::MAX)?;
        }
        self.filling.put_back();
        Ok(())
    }

    /// Begins the next object; the one before has all its bytes.
    async fn begin_next(&mut self) -> Result<(), Cause> {
        let number = self.object.number + 1;
        let key = numbered(&self.context.plan.key, number);
        let upload = {
            let begun = self.context.plan.begin(self.context.store, &key, self.context.recording.as_deref());
            tokio::pin!(begun);
            loop {
                tokio::select! {
                    upload = &mut begun => break upload?,
                    // Takes note of stored parts meanwhile, so that those that wait are sent.
                    stored = self.object.outbox.stored() => stored?,
                }
            }
        };
        if !self.filling.part().is_empty() {
            self.send()?;
        }
        upload.span().in_scope(|| {
            let (object, id, part_size) = (upload.object(), upload.id(), upload.part_size().get());
            tracing::info!(event = "begun", part_size, "going on in {object}, upload id {id}");
        });
        self.context.progress.opened(upload.key(), upload.id());
        let outbox = self.context.outbox(&upload).sharing(self.object.outbox.shared());
        self.tapped = self.context.tapped(&outbox, None);
        let old = std::mem::replace(&mut self.object, OpenObject::new(number, outbox));
        close(&mut self.closing, &self.context, old, self.object.outbox.live().cloned());
        Ok(())
    }
}
