//! The last versions of the playlists, and how long they may take.
//!
//! Where the playlist slid, it first ends as it is, so that whoever follows it is told by the rules, and shows all of the
//! recording a target duration later.

use crate::tool::clock;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::claim::Claim;
use super::editor::Editor;
use super::news::News;
use super::playlist::{PlaylistKind, View, reference};
use super::publish::{self, Outlet, Step};
use super::rebuild;
use crate::store::retry::Retry;

/// How long the end may take.
const LAST_TRIES: Duration = Duration::from_secs(15);

/// How long an attempt that is under way at the end may still take.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// How long to ask whether the version is there that the playlist names.
const ASK: Duration = Duration::from_secs(10);

/// Ends the writing of playlists.
#[derive(Debug)]
pub struct Ending {
    pub(super) tell: mpsc::UnboundedSender<News>,
    pub(super) task: JoinHandle<()>,
}

impl Ending {
    /// Writes what there is to be written in the end, for 15 s at most, and says so if that was not possible.
    pub async fn end(self) {
        // If it has ended already, so has the wait for it.
        drop(self.tell.send(News::End));
        if let Err(error) = self.task.await {
            tracing::warn!("the playlist is not complete: {error}");
        }
    }
}

impl Editor {
    /// Writes what there is in the end, and gives players of live objects the time to hear of it.
    pub(super) async fn finish(mut self) {
        if let Some(upload_id) = self.uploads.completed.take() {
            self.last_of_live_objects().await;
            self.complete(&upload_id);
        }
        let deadline = Instant::now() + LAST_TRIES;
        let written = Box::pin(self.last_versions(deadline)).await;
        let named = self.shown.has_named_live_objects() || self.recording.was_restored();
        if named && self.recording.had_live_objects() {
            if !written {
                // What a playlist still names has to stay.
                return;
            }
            let wait = self.release.left(&self.shown, &self.recording);
            let playlist = self.store.object(self.shown.live.key());
            tracing::info!("players of {playlist} have {} s; then its live objects are taken away", wait.as_secs());
            sleep(wait).await;
            if let Some((view, with_dvr)) = self.last_shown {
                // What was given up long ago may have landed since.
                self.confirm(view, with_dvr).await;
            }
        }
        self.release.all(self.uploads.all.iter().map(|(_, id)| id.clone()));
    }

    /// Lists the last live objects, and gives whoever follows the playlist the time to hear of them: RFC 8216 (6.2.1) has
    /// references stay as they are, and some players only look at what they do not have yet.
    async fn last_of_live_objects(&mut self) {
        if self.recording.list() {
            self.shown.live.renew();
        }
        let (Some(target), true) = (self.recording.target(), self.shown.live.was_sent() && self.may_write()) else {
            return;
        };
        let target = Duration::from_secs(target);
        let deadline = Instant::now() + (target + LAST_ATTEMPT).min(LAST_TRIES);
        while !self.shown.live.is_settled() {
            match timeout_at(deadline, self.shown.live.next()).await {
                Ok(Step::Due) => self.shown.send_live(&self.recording),
                Ok(Step::Made | Step::Failed(_)) => {}
                Err(_) => return,
            }
        }
        sleep((target * 5 / 4).min(LAST_TRIES)).await;
    }

    /// Writes the last versions; whether the playlists show by now all that they ever will.
    async fn last_versions(&mut self, deadline: Instant) -> bool {
        let mut news = self.recording.list();
        while (self.recording.is_behind() || self.recording.waits_for_places()) && !self.readability.is_lost() {
            match timeout_at(deadline, self.news.recv()).await {
                Ok(Some(heard)) => self.hear(heard),
                Ok(None) | Err(_) => break,
            }
            news |= self.recording.list();
        }
        self.tell_left_out();
        let behind = self.recording.is_behind();
        if self.readability.is_lost() && self.recording.is_complete() && self.recording.had_live_objects() {
            return self.rebuild().await;
        }
        let ended = self.recording.is_complete() && !behind && !self.readability.is_lost();
        if self.recording.timeline.segments.is_empty() {
            if !self.told && self.recording.has_input() {
                tracing::warn!("there is no playlist (--hls): no segment was whole");
            }
            return true;
        }
        if !self.claim_in_the_end(deadline).await {
            return true;
        }
        // What nobody has seen yet needs not be one that grew.
        let fresh = ended && !self.shown.live.was_sent() && !self.recording.was_restored();
        if self.readability.is_in_the_end() && !ended {
            return true;
        }
        if self.readability.is_in_the_end() {
            self.unpin().await;
        }
        match self.recording.target() {
            Some(_) => {}
            None if fresh => self.recording.promise(self.recording.longest().max(1)),
            None => self.decide(),
        }
        if ended || news {
            self.shown.live.renew();
        }
        let mut view = self.shown.view(&self.recording, ended);
        if fresh {
            view = View { kind: PlaylistKind::Vod, from: 0, ..view };
        }
        let with_dvr = self.shown.has_dvr(&view);
        if with_dvr {
            self.shown.dvr.renew();
        }
        let mut settled = self.last_tries(view, with_dvr, deadline).await;
        if settled {
            self.release.begin();
        }
        if ended {
            self.rendition.tell(&self.recording, Some(clock::now().as_secs()));
        }
        if behind || !settled {
            self.give_up();
        } else if ended && view.from > 0 {
            // Whoever follows it has time to see its end. Then it can show all.
            let wait = Duration::from_secs(view.target).min(LAST_TRIES);
            tracing::info!(
                "{} shows all of the recording in {} s",
                self.store.object(self.shown.live.key()),
                wait.as_secs()
            );
            sleep_until(Instant::now() + wait).await;
            self.shown.live.renew();
            view = View { kind: PlaylistKind::Vod, from: 0, ..view };
            settled = self.last_tries(view, false, Instant::now() + LAST_TRIES).await;
            if !settled {
                self.give_up();
            }
        }
        // What could not be written has no place that another version could take.
        if settled {
            self.confirm(view, with_dvr).await;
        }
        self.last_shown = Some((view, with_dvr));
        self.rendition.settle(deadline).await;
        settled && !self.recording.waits_for_places()
    }

    /// Makes the playlist of what has become of the uploads, since it could not be made while they were open.
    async fn rebuild(&mut self) -> bool {
        let Some((key, _)) = self.uploads.all.first() else { return true };
        let store = self.store.patient(Retry { give_up_after: LAST_TRIES });
        match rebuild::rebuild(&store, key, &self.settings).await {
            Ok(rebuilt) => rebuilt.ended,
            Err(error) => {
                tracing::warn!("there is no playlist of all of it: {error}. {} writes it", self.settings.remedy);
                false
            }
        }
    }

    /// Whether the playlist may be written in the end: what is not known to be free by now may be another's.
    async fn claim_in_the_end(&mut self, deadline: Instant) -> bool {
        if self.ownership.is_asked() {
            let claim = timeout_at(deadline, self.ownership.answer()).await;
            self.take_claim(&claim.unwrap_or_else(|_| Claim::Taken("the object that it shows".to_owned())));
        }
        !self.ownership.is_taken()
    }

    /// Looks whether the newest versions are still there, as long as an earlier one that was given up may land, and writes
    /// them again.
    async fn confirm(&mut self, view: View, with_dvr: bool) {
        let until = [&self.shown.live, &self.shown.dvr].into_iter().filter_map(Outlet::unsafe_until).max();
        let Some(until) = until else { return };
        let live = self.recording.timeline.text(&view);
        let dvr_view = self.shown.dvr_view(&self.recording, view.ended);
        let dvr = self.recording.timeline.text(&dvr_view);
        loop {
            // At least once, however long ago that was.
            let last = Instant::now() >= until;
            if self.is_other(&self.shown.live, &live).await {
                self.shown.live.renew();
            }
            if with_dvr && self.is_other(&self.shown.dvr, &dvr).await {
                self.shown.dvr.renew();
            }
            if !self.shown.is_settled(with_dvr) {
                tracing::debug!("an earlier version of the playlist has landed after the newest");
                if !self.last_tries(view, with_dvr, Instant::now() + LAST_TRIES).await {
                    return self.give_up();
                }
            }
            if last {
                return;
            }
            sleep_until(until.min(Instant::now() + Duration::from_secs(1))).await;
        }
    }

    /// Whether the store holds another text than this newest one, where that can be.
    fn is_other<'a>(&self, outlet: &Outlet, text: &'a str) -> impl Future<Output = bool> + use<'a> {
        let (store, key, may_be) = (self.store.clone(), outlet.key().to_owned(), outlet.unsafe_until().is_some());
        async move { may_be && publish::holds(store, key, text.as_bytes()).await == Some(false) }
    }

    /// Writes this view until the store has it; false when the time is up.
    async fn last_tries(&mut self, view: View, with_dvr: bool, deadline: Instant) -> bool {
        self.shown.live.hurry(LAST_ATTEMPT);
        self.shown.dvr.hurry(LAST_ATTEMPT);
        while !self.shown.is_settled(with_dvr) {
            let next = async {
                tokio::select! {
                    step = self.shown.live.next() => (true, step),
                    step = self.shown.dvr.next(), if with_dvr => (false, step),
                }
            };
            match timeout_at(deadline, next).await {
                Ok((true, Step::Due)) => {
                    self.shown.live.send(self.recording.timeline.text(&view), view.ended && view.from == 0);
                }
                Ok((false, Step::Due)) => self.shown.send_dvr(&self.recording, view.ended),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn give_up(&self) {
        tracing::warn!(
            "{} is not complete: it could not be written in time. {} writes it later",
            self.store.object(&self.settings.key),
            self.settings.remedy
        );
    }

    /// On stores where the id of an upload is not the version of its object, the playlist names no version.
    async fn unpin(&mut self) {
        for (key, upload_id) in &self.uploads.all {
            match timeout(ASK, self.store.head(key, Some(upload_id))).await {
                Ok(Ok(None)) => self.recording.unpin(upload_id, &reference(&self.settings.key, key, None)),
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!("{error}"),
            }
        }
    }
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
