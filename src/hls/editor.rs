//! Decides which playlist shows what, and when: one task, which the upload never waits for.
//!
//! - While it is short enough, the playlist shows all of the recording and only grows (EVENT).
//! - With `--hls-window`, or once it is long, it slides, and another one (`.dvr.m3u8`) shows all, written more rarely.
//! - No version comes sooner than half a target duration after the one before (RFC 8216, 6.2.1).
//! - In the end it shows all and is over (ENDLIST): see [`ending`](super::ending).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::claim::{self, Claim};
use super::master;
use super::news::{News, Origin};
use super::playlist::{PlaylistKind, View, reference};
use super::publish::{Outlet, Step};
use super::recording::Recording;
use super::rendition::Rendition;
use super::{Settings, dvr_key_for, walk};
use crate::media::fmp4::Found;
use crate::store::Store;
use crate::store::live_check::{self, LiveRead};

/// A playlist with more segments than this slides: at 2 s each, three hours, and about a megabyte with the long version
/// ids of Backblaze B2. See docs/hls.md for what was measured.
const EVENT_MAX: usize = 5_400;

/// The least target duration of the playlist that shows all of a long recording, in seconds.
const DVR_TARGET: u64 = 30;

/// That playlist is written anew when the recording has become longer by so small a share: what all its versions cost
/// together then grows as it does itself, and not with the square of it.
const DVR_SHARE: u64 = 100;

/// The first version waits for this long: what is readable may be the last part of a recording that is over in a moment, and
/// then shows all of it, without a promise about what comes in bursts.
const FIRST: Duration = Duration::from_millis(300);

/// How long to ask whether an open upload can be read.
pub(super) const ASK: Duration = Duration::from_secs(10);

/// A target duration of more seconds than this is worth a warning.
const LONG_TARGET: u64 = 12;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Editor {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::WeakUnboundedSender<News>,
    pub(super) recording: Recording,
    /// Keys and ids of the uploads so far.
    pub(super) uploads: Vec<(String, String)>,
    filled: Option<Duration>,
    pub(super) live: Outlet,
    pub(super) dvr: Outlet,
    dvr_target: Option<u64>,
    /// Finds out whether the playlist's key is free; nothing is written before that.
    pub(super) claiming: Option<JoinHandle<Claim>>,
    /// Another recording writes there.
    pub(super) taken: bool,
    /// Another one did so before.
    replaces: bool,
    /// When this writer began, in seconds since 1970.
    began: u64,
    /// This stream in the multivariant playlist.
    rendition: Option<Rendition>,
    pub(super) joining: Option<JoinHandle<()>>,
    /// Whether the store was asked if open uploads can be read.
    asked: bool,
    /// Nothing can be read before the end.
    pub(super) hold: bool,
    /// The playlist does not show the beginning any more.
    slides: bool,
    /// What the store holds could not be looked at.
    pub(super) lost: bool,
    /// The first segment that the playlist shows.
    from: usize,
    /// It has been said why there is no playlist.
    pub(super) told: bool,
}

impl Editor {
    pub(super) fn new(
        store: Store,
        settings: Settings,
        news: mpsc::UnboundedReceiver<News>,
        tell: mpsc::WeakUnboundedSender<News>,
    ) -> Self {
        let live = Outlet::new(store.clone(), settings.key.clone());
        let dvr = Outlet::new(store.clone(), dvr_key_for(&settings.key));
        let recording = Recording::new(settings.time);
        Self {
            store,
            news,
            tell,
            recording,
            uploads: Vec::new(),
            filled: None,
            live,
            dvr,
            dvr_target: None,
            claiming: None,
            taken: false,
            replaces: false,
            began: master::now(),
            rendition: None,
            joining: None,
            asked: false,
            hold: false,
            slides: settings.window.is_some(),
            lost: false,
            from: 0,
            told: false,
            settings,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                news = self.news.recv() => match news {
                    None | Some(News::End) => break,
                    Some(news) => self.hear(news),
                },
                () = self.recording.changed() => {}
                claim = claimed(&mut self.claiming) => self.take_claim(claim),
                step = self.live.next() => self.step_live(&step),
                step = self.dvr.next() => self.step_dvr(&step),
            }
            let news = self.recording.list();
            self.tell_left_out();
            if news {
                self.show().await;
            }
        }
        self.finish().await;
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Object { key, upload_id, readable, origin } => {
                let uri = reference(&self.settings.key, &key, Some(&upload_id));
                if origin == Origin::Store
                    && let Some(tell) = self.tell.upgrade()
                {
                    let (store, playlist) = (self.store.clone(), self.settings.key.clone());
                    let resumed =
                        walk::Resumed { key: key.clone(), upload_id: upload_id.clone(), uri: uri.clone(), playlist };
                    tokio::spawn(walk::follow(store, resumed, readable.clone(), tell));
                }
                self.recording.begin_object(upload_id.clone(), uri, readable, origin == Origin::Store);
                if self.uploads.is_empty() {
                    self.claim(key.clone());
                }
                self.uploads.push((key, upload_id));
            }
            News::Filled(filled) => self.filled = Some(filled),
            News::Found { found, at } => {
                if let Err(unfit) = self.recording.take(&found, at) {
                    self.told = true;
                    let none = if self.recording.timeline.segments.is_empty() {
                        "there is no playlist"
                    } else {
                        "the playlist ends here"
                    };
                    tracing::warn!("{none} (--hls): {unfit}");
                }
            }
            News::Restored { written, header } => {
                tracing::info!(
                    "{} goes on after its {} segments",
                    self.store.object(&self.settings.key),
                    written.timeline.segments.len()
                );
                self.recording.restore(*written);
                // A header that was good before is good now.
                drop(self.recording.take(&Found::Header(header), None));
            }
            News::Scanned(upload_id) => self.recording.scanned(&upload_id),
            News::Lost(cause) => {
                (self.told, self.lost) = (true, true);
                let remedy = &self.settings.remedy;
                tracing::warn!("the playlist cannot go on: {cause}. {remedy} writes it after the end");
            }
            News::Completed(upload_id) => self.recording.complete(&upload_id),
            News::End => {}
        }
    }

    /// Asks whose the playlist's key is.
    fn claim(&mut self, key: String) {
        self.claiming = Some(tokio::spawn(claim::look(self.store.clone(), self.settings.key.clone(), key)));
    }

    pub(super) fn take_claim(&mut self, claim: Claim) {
        let playlist = self.store.object(&self.settings.key);
        match claim {
            Claim::Free => {}
            Claim::Replaces(other) => {
                self.replaces = true;
                tracing::info!("the playlist takes the place of that of {other} in {playlist}");
            }
            Claim::Taken(other) => {
                (self.taken, self.told) = (true, true);
                tracing::warn!(
                    "there is no playlist (--hls): another recording, of {other}, writes its own to {playlist}. The upload goes \
                     on; {} with another --hls-key writes one after the end, and --hls-key avoids this",
                    self.settings.remedy
                );
                return;
            }
        }
        if self.may_write() && !self.recording.timeline.segments.is_empty() {
            self.live.renew();
        }
    }

    /// Whether the playlist may be written now.
    fn may_write(&self) -> bool {
        self.asked && !self.hold && !self.taken && self.claiming.is_none()
    }

    /// There are new segments.
    async fn show(&mut self) {
        if !self.asked {
            self.asked = true;
            self.hold = !self.can_be_read().await;
            self.live.wait(FIRST);
            // Whoever began at the same moment was not there to be seen yet.
            if let Some((key, _)) =
                self.uploads.first().cloned().filter(|_| self.claiming.is_none() && !self.taken && !self.replaces)
            {
                self.claim(key);
            }
        }
        if let (Some(micros), Some(target)) = (self.recording.overlong(), self.recording.target()) {
            tracing::warn!(
                "a segment lasts {:.1} s, longer than the playlist promised; its target duration is {target} s from now on, which \
                 some players take for an error. Key frames at fixed distances avoid this (ffmpeg: -g)",
                seconds(micros)
            );
        }
        if self.may_write() {
            self.live.renew();
        }
    }

    /// Says what the playlist cannot show.
    pub(super) fn tell_left_out(&mut self) {
        let Some((upload_id, micros)) = self.recording.left_out() else { return };
        let key = self.uploads.iter().find(|(_, id)| *id == upload_id).map_or("", |(key, _)| key);
        tracing::warn!(
            "the playlist leaves out the last {:.1} s of {}: they did not reach the store",
            seconds(micros),
            self.store.object(key)
        );
    }

    /// Decides the target duration.
    pub(super) fn decide(&mut self) {
        let Settings { part_size, max_latency, .. } = self.settings;
        let target = self.recording.decide(part_size, self.filled, max_latency);
        tracing::info!("viewers can play {} (target duration {target} s)", self.store.object(&self.settings.key));
        if target > LONG_TARGET {
            let smaller =
                if part_size > crate::protocol::part::PartSize::DEFAULT.get() { "a smaller --part-size, " } else { "" };
            tracing::warn!(
                "the playlist changes only every {target} s or so, because so much time passes until a part is full, and viewers \
                 are as far behind: {smaller}--max-latency or a higher bit rate would bring them closer"
            );
        }
    }

    /// Whether an open upload can be read; the store is asked once.
    async fn can_be_read(&mut self) -> bool {
        let Some((key, upload_id)) = self.uploads.first() else { return true };
        match timeout(ASK, live_check::look(&self.store, key, upload_id)).await {
            Ok(Ok(LiveRead::Off)) => {
                tracing::info!(
                    "{} is written when the upload is complete: before that nothing could be played",
                    self.store.object(&self.settings.key)
                );
                false
            }
            // A key that may only write cannot ask. Those who play can.
            Ok(Err(error)) => {
                tracing::debug!("{error}");
                true
            }
            Ok(Ok(LiveRead::On)) | Err(_) => true,
        }
    }

    /// What the playlist shows now.
    pub(super) fn view(&mut self, ended: bool) -> View {
        let target = self.recording.target().unwrap_or(1);
        let count = self.recording.timeline.segments.len();
        if !self.slides && count > EVENT_MAX {
            self.slides = true;
            tracing::info!(
                "{} is long: from now on it shows the last {EVENT_MAX} segments, and {} all of the recording",
                self.store.object(self.live.key()),
                self.store.object(self.dvr.key())
            );
        }
        if !self.slides {
            return View { target, kind: PlaylistKind::Event, from: 0, ended };
        }
        let window = self.settings.window.map_or_else(
            || count.saturating_sub(EVENT_MAX),
            |window| {
                let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
                // No segment may go whose going leaves less than three target durations (RFC 8216, 6.2.2).
                self.recording.timeline.window(window.max(target.saturating_mul(3_000_000)))
            },
        );
        self.from = self.from.max(window);
        View { target, kind: PlaylistKind::Sliding, from: self.from, ended }
    }

    fn step_live(&mut self, step: &Step) {
        if matches!(step, Step::Made) && self.rendition.is_none() {
            self.join(None);
        }
        if matches!(step, Step::Due) {
            if self.recording.target().is_none() {
                self.decide();
            }
            let view = self.view(false);
            if view.from > 0 {
                self.dvr.renew();
            }
            self.live.set_pace(Duration::from_secs(view.target) / 2);
            self.live.send(self.recording.timeline.text(&view), false);
        }
    }

    fn step_dvr(&mut self, step: &Step) {
        if matches!(step, Step::Due) {
            self.send_dvr(false);
        }
    }

    /// What the playlist of all shows.
    pub(super) fn dvr_view(&mut self, ended: bool) -> View {
        let least = self.recording.target().unwrap_or(1).max(DVR_TARGET);
        let target = (*self.dvr_target.get_or_insert(least)).max(self.recording.target().unwrap_or(1));
        View { target, kind: PlaylistKind::Event, from: 0, ended }
    }

    pub(super) fn send_dvr(&mut self, ended: bool) {
        let view = self.dvr_view(ended);
        self.dvr.set_pace(dvr_pace(view.target, self.recording.timeline.micros()));
        self.dvr.send(self.recording.timeline.text(&view), ended);
    }

    /// Tells what is known of this stream to those who look at the multivariant playlist.
    pub(super) fn join(&mut self, ended: Option<u64>) {
        let (Some(membership), Some(movie)) = (&self.settings.membership, &self.recording.info.movie) else { return };
        let frame_rate = self.recording.info.frame_rate;
        let fresh = || Rendition::of(membership, &self.settings.key, movie, frame_rate, self.began);
        let mut rendition = self.rendition.take().unwrap_or_else(fresh);
        rendition.frame_rate = rendition.frame_rate.and(frame_rate);
        (rendition.bandwidth, rendition.average) = (self.recording.info.peak, self.recording.timeline.average_rate());
        rendition.ended = ended;
        self.rendition = Some(rendition.clone());
        let (store, master, before) = (self.store.clone(), membership.master.clone(), self.joining.take());
        self.joining = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // It has said itself what went wrong.
                drop(before.await);
            }
            if let Err(error) = master::join(&store, &master, &rendition).await {
                tracing::warn!("{} does not know of {}: {error}", store.object(&master), rendition.name);
            }
        }));
    }
}

/// Waits for the answer to whose the key is; for ever if nobody asks. A task that fails is no reason to write nothing.
pub(super) async fn claimed(claiming: &mut Option<JoinHandle<Claim>>) -> Claim {
    let Some(asked) = claiming else { return std::future::pending().await };
    let claim = asked.await.unwrap_or(Claim::Free);
    *claiming = None;
    claim
}

/// How long from one version of the list of all to the next, of a recording that plays so many microseconds.
fn dvr_pace(target: u64, micros: u64) -> Duration {
    Duration::from_secs(target).max(Duration::from_micros(micros / DVR_SHARE))
}

/// Microseconds as seconds, to be shown.
fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_of_the_list_of_all_together_grow_as_the_recording_does() {
        // Segments of two seconds, 175 bytes each, recorded for so many hours.
        let written = |hours: u64| {
            let (mut at, mut bytes) = (30u64, 0u64);
            while at < hours * 3_600 {
                bytes += at / 2 * 175;
                at += dvr_pace(30, at * 1_000_000).as_secs();
            }
            bytes
        };
        let (day, week) = (written(24), written(7 * 24));
        assert!(day < 900_000_000, "{day} bytes in a day");
        assert!(week < 8 * day, "{week} bytes in a week, {day} in a day");
        assert_eq!(dvr_pace(30, 600_000_000), Duration::from_secs(30));
    }
}
