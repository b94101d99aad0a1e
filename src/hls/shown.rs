//! What is shown: the playlist, and beside one that slides another one (`.dvr.m3u8`) of all of the recording.

use std::time::Duration;

use super::dvr_key_for;
use super::playlist::View;
use super::publish::Outlet;
use super::recording::Recording;
use super::views::{EVENT_MAX, Views, dvr_pace};
use crate::store::Store;

const SECOND: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Shown {
    store: Store,
    pub(super) live: Outlet,
    /// The playlist of all.
    pub(super) dvr: Outlet,
    views: Views,
    /// The longest target duration of what was sent.
    longest_target: u64,
    /// Some version has named live objects.
    named_live_objects: bool,
}

impl Shown {
    /// At the key `playlist` and beside it; the former shows no more than the `window`.
    pub(super) fn new(store: Store, playlist: &str, window: Option<Duration>) -> Self {
        let live = Outlet::new(store.clone(), playlist.to_owned());
        let dvr = Outlet::new(store.clone(), dvr_key_for(playlist));
        Self { store, live, dvr, views: Views::new(window), longest_target: 0, named_live_objects: false }
    }

    /// What the playlist shows now.
    pub(super) fn view(&mut self, recording: &Recording, ended: bool) -> View {
        if self.views.outgrown(recording.timeline.segments.len()) {
            tracing::info!(
                "{} is long: from now on it shows the last {EVENT_MAX} segments, and {} all of the recording",
                self.store.object(self.live.key()),
                self.store.object(self.dvr.key())
            );
        }
        let view = self.views.live(&recording.timeline, recording.target().unwrap_or(1), ended);
        self.longest_target = self.longest_target.max(view.target);
        view
    }

    /// References to live objects have become byte ranges.
    pub(super) fn turn(&mut self) {
        self.views.turn();
    }

    /// Whether there is a list of all beside this one.
    pub(super) fn has_dvr(&self, view: &View) -> bool {
        self.views.has_dvr(view.from)
    }

    /// What the playlist of all shows.
    pub(super) fn dvr_view(&mut self, recording: &Recording, ended: bool) -> View {
        let view = self.views.dvr(recording.target().unwrap_or(1), ended);
        self.longest_target = self.longest_target.max(view.target);
        view
    }

    /// Writes what is to be seen while the recording goes on.
    pub(super) fn send_live(&mut self, recording: &Recording) {
        let view = self.view(recording, false);
        if self.has_dvr(&view) {
            self.dvr.renew();
        }
        self.live.set_pace(Duration::from_secs(view.target) / 2);
        if recording.has_live_objects() {
            self.live.set_least(SECOND);
            self.dvr.set_least(SECOND);
        }
        self.named_live_objects |= recording.refers_to_live_objects();
        self.live.send(recording.timeline.text(&view), false);
    }

    pub(super) fn send_dvr(&mut self, recording: &Recording, ended: bool) {
        let view = self.dvr_view(recording, ended);
        self.dvr.set_pace(dvr_pace(view.target, recording.timeline.micros()));
        self.named_live_objects |= recording.refers_to_live_objects();
        self.dvr.send(recording.timeline.text(&view), ended);
    }

    /// Whether some version has named live objects.
    pub(super) fn has_named_live_objects(&self) -> bool {
        self.named_live_objects
    }

    /// The longest target duration that was promised to anybody.
    pub(super) fn longest_target(&self) -> Duration {
        Duration::from_secs(self.longest_target)
    }

    /// Whether the store holds the newest version of the playlist, and of that of all, if it is to be there.
    pub(super) fn is_settled(&self, with_dvr: bool) -> bool {
        self.live.is_settled() && (!with_dvr || self.dvr.is_settled())
    }
}
