//! Decides which playlist shows what, and when: one task, which the upload never waits for.
//!
//! - While it is short enough, the playlist shows all of the recording and only grows (EVENT).
//! - With `--hls-window`, or once it is long, it slides, and another one (`.dvr.m3u8`) shows all, written more rarely.
//! - No version comes sooner than half a target duration after the one before (RFC 8216, 6.2.1).
//! - In the end it shows all and is over (ENDLIST): see [`ending`](super::ending).

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::claim::{Claim, Ownership};
use super::live_names::LiveNames;
use super::news::{News, Origin};
use super::own_rendition::OwnRendition;
use super::playlist::{View, reference};
use super::publish::Step;
use super::readability::Readability;
use super::recording::Recording;
use super::release::Release;
use super::restore::{self, Resumed};
use super::shown::Shown;
use super::{Settings, walk};
use crate::media::fmp4::Found;
use crate::object::tap::Beside;
use crate::protocol::escape;
use crate::protocol::part::PartSize;
use crate::store::Store;

/// The first version waits for this long: what is readable may be the last part of a recording that is over in a moment, and
/// then shows all of it, without a promise about what comes in bursts.
const FIRST: Duration = Duration::from_millis(300);

/// How long to ask whether an upload's id is a version.
const ASK: Duration = Duration::from_secs(10);

/// A target duration of more seconds than this is worth a warning.
const LONG_TARGET: u64 = 12;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Editor {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::WeakUnboundedSender<News>,
    pub(super) uploads: Uploads,
    pub(super) recording: Recording,
    pub(super) readability: Readability,
    /// Of the playlist's key.
    pub(super) ownership: Ownership,
    pub(super) shown: Shown,
    pub(super) rendition: OwnRendition,
    pub(super) release: Release,
    /// An upload with live objects that is to be gone on with.
    resumed: Option<Resumed>,
    /// What the last versions show, and whether there is one of all.
    pub(super) last_shown: Option<(View, bool)>,
    /// It has been said why there is no playlist.
    pub(super) told: bool,
}

/// The uploads so far.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Their keys and ids.
    pub(super) all: Vec<(String, String)>,
    /// The newest is complete, and the playlist still names its live objects.
    pub(super) completed: Option<String>,
    /// How long the first part took to fill.
    filled: Option<Duration>,
}

impl Uploads {
    fn first(&self) -> Option<(&str, &str)> {
        self.all.first().map(|(key, id)| (key.as_str(), id.as_str()))
    }

    fn key_of(&self, upload_id: &str) -> &str {
        self.all.iter().find(|(_, id)| *id == upload_id).map_or("", |(key, _)| key)
    }
}

impl Editor {
    pub(super) fn new(
        store: Store,
        settings: Settings,
        news: mpsc::UnboundedReceiver<News>,
        tell: mpsc::WeakUnboundedSender<News>,
    ) -> Self {
        Self {
            news,
            tell,
            uploads: Uploads::default(),
            recording: Recording::new(settings.time),
            readability: Readability::default(),
            ownership: Ownership::default(),
            shown: Shown::new(store.clone(), &settings.key, settings.window),
            rendition: OwnRendition::new(store.clone(), settings.key.clone(), settings.membership.clone()),
            release: Release::new(),
            resumed: None,
            last_shown: None,
            told: false,
            store,
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
                claim = self.ownership.answer() => self.take_claim(&claim),
                step = self.shown.live.next() => self.step_live(&step),
                step = self.shown.dvr.next() => self.step_dvr(&step),
            }
            if let Some(resumed) = self.resumed.take() {
                self.restore(resumed).await;
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
            News::Object { key, upload_id, readable, origin, beside } => {
                self.hear_object(key, upload_id, readable, origin, beside);
            }
            News::LiveObject(upload_id, bytes) => self.recording.live_object(&upload_id, &bytes),
            News::NoMoreLiveObjects(upload_id) => self.recording.no_more_live_objects(&upload_id),
            News::Located { upload_id, uri } => {
                self.recording.locate(&upload_id, &uri);
                self.release.note(&upload_id, &self.shown);
                self.shown.turn();
                if self.may_write() && self.shown.live.was_sent() {
                    self.shown.live.renew();
                }
                if self.shown.dvr.was_sent() {
                    self.shown.dvr.renew();
                }
            }
            News::Filled(filled) => self.uploads.filled = Some(filled),
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
                self.told = true;
                self.readability.lose();
                let remedy = &self.settings.remedy;
                tracing::warn!("the playlist cannot go on: {cause}. {remedy} writes it after the end");
            }
            News::Completed(upload_id) => {
                let newest = self.uploads.all.last().is_some_and(|(_, id)| *id == upload_id);
                if newest && self.recording.has_live_objects() {
                    self.uploads.completed = Some(upload_id);
                } else {
                    self.complete(&upload_id);
                }
            }
            News::End => {}
        }
    }

    /// An upload is complete, and what it has become is to be shown.
    pub(super) fn complete(&mut self, upload_id: &str) {
        self.recording.complete(upload_id);
        if self.recording.waits_for_places()
            && let Some(tell) = self.tell.upgrade()
        {
            let key = self.uploads.key_of(upload_id).to_owned();
            tokio::spawn(locate(self.store.clone(), self.settings.key.clone(), key, upload_id.to_owned(), tell));
        }
    }

    /// An object begins, or is gone on with.
    fn hear_object(
        &mut self,
        key: String,
        upload_id: String,
        readable: watch::Receiver<u64>,
        origin: Origin,
        beside: Option<Beside>,
    ) {
        if let Some(before) = self.uploads.completed.take() {
            self.complete(&before);
        }
        let in_store = origin == Origin::Store;
        let playlist = self.settings.key.clone();
        if let Some(beside) = beside {
            let live = live_names(&playlist, &beside);
            let uri = reference(&playlist, &key, None);
            self.recording.begin_object(upload_id.clone(), uri, readable, in_store, Some(live.clone()));
            if in_store {
                self.resumed = Some(Resumed { upload_id: upload_id.clone(), beside, live });
            }
        } else {
            let uri = reference(&playlist, &key, Some(&upload_id));
            if in_store && let Some(tell) = self.tell.upgrade() {
                let (key, upload_id, uri) = (key.clone(), upload_id.clone(), uri.clone());
                let resumed = walk::Resumed { key, upload_id, uri, playlist };
                tokio::spawn(walk::follow(self.store.clone(), resumed, readable.clone(), tell));
            }
            self.recording.begin_object(upload_id.clone(), uri, readable, in_store, None);
        }
        if self.uploads.all.is_empty() {
            self.claim(key.clone());
        }
        self.uploads.all.push((key, upload_id));
    }

    /// Goes on after what the playlist of a killed writer shows, and what of its live objects it does not.
    async fn restore(&mut self, resumed: Resumed) {
        let gone_on = restore::restore(&self.store, &self.settings.key, &resumed, &mut self.recording).await;
        let lost = match gone_on {
            Ok(restore::Restored::At(segments)) => {
                tracing::info!("{} goes on after its {segments} segments", self.store.object(&self.settings.key));
                return;
            }
            Ok(restore::Restored::Never) => "what comes now cannot be read before the upload is complete".to_owned(),
            Err(error) => error.to_string(),
        };
        self.readability.lose();
        tracing::warn!("the playlist cannot go on before the end, when it is made of the object: {lost}");
    }

    /// Asks whose the playlist's key is.
    fn claim(&mut self, key: String) {
        self.ownership.ask(self.store.clone(), self.settings.key.clone(), key);
    }

    pub(super) fn take_claim(&mut self, claim: &Claim) {
        self.ownership.take(claim);
        let playlist = self.store.object(&self.settings.key);
        match claim {
            Claim::Free => {}
            Claim::Replaces(other) => {
                tracing::info!("the playlist takes the place of that of {other} in {playlist}");
            }
            Claim::Taken(other) => {
                self.told = true;
                tracing::warn!(
                    "there is no playlist (--hls): another recording, of {other}, writes its own to {playlist}. The upload goes \
                     on; {} with another --hls-key writes one after the end, and --hls-key avoids this",
                    self.settings.remedy
                );
                return;
            }
        }
        if self.may_write() && !self.recording.timeline.segments.is_empty() {
            self.shown.live.renew();
        }
    }

    /// Whether the playlist may be written now.
    pub(super) fn may_write(&self) -> bool {
        self.readability.is_now() && self.ownership.may_write()
    }

    /// There are new segments.
    async fn show(&mut self) {
        if !self.readability.was_asked() {
            // Live objects can be read by everybody.
            let upload = self.uploads.first().filter(|_| !self.recording.has_live_objects());
            self.readability.ask(&self.store, &self.settings.key, upload).await;
            self.shown.live.wait(FIRST);
            // Whoever began at the same moment was not there to be seen yet.
            if self.ownership.is_free()
                && let Some((key, _)) = self.uploads.first()
            {
                self.claim(key.to_owned());
            }
        }
        if let (Some(micros), Some(target)) = (self.recording.overlong(), self.recording.target()) {
            tracing::warn!(
                "a segment lasts {:.1} s, longer than the playlist promised; its target duration is {target} s from now on, which \
                 some players take for an error. Key frames at fixed distances avoid this (ffmpeg: -g)",
                seconds(micros)
            );
        }
        if self.recording.has_gaps() {
            tracing::warn!(
                "some of the playlist cannot be played before the end: a segment has to fit into a part to be a live object, and \
                 while the store is away for long none is made. A larger --part-size holds more of both"
            );
        }
        if self.may_write() {
            self.shown.live.renew();
        }
    }

    /// Says what the playlist cannot show.
    pub(super) fn tell_left_out(&mut self) {
        let Some((upload_id, micros)) = self.recording.left_out() else { return };
        tracing::warn!(
            "the playlist leaves out the last {:.1} s of {}: they did not reach the store",
            seconds(micros),
            self.store.object(self.uploads.key_of(&upload_id))
        );
    }

    /// Decides the target duration.
    pub(super) fn decide(&mut self) {
        let Settings { part_size, max_latency, .. } = self.settings;
        let in_bursts = !self.recording.has_live_objects();
        let target = if in_bursts {
            self.recording.decide(part_size, self.uploads.filled, max_latency)
        } else {
            self.recording.decide(0, None, None)
        };
        let key = &self.settings.key;
        let at = self
            .store
            .address(key)
            .map_or_else(String::new, |address| format!("; a public bucket has it at {address}"));
        tracing::info!("viewers can play {} (target duration {target} s){at}", self.store.object(key));
        if target > LONG_TARGET && in_bursts {
            let smaller = if part_size > PartSize::DEFAULT.get() { "a smaller --part-size, " } else { "" };
            tracing::warn!(
                "the playlist changes only every {target} s or so, because so much time passes until a part is full, and viewers \
                 are as far behind: {smaller}--max-latency or a higher bit rate would bring them closer"
            );
        } else if target > LONG_TARGET {
            tracing::warn!(
                "the playlist changes only every {target} s or so, because key frames are so far apart, and viewers are as far \
                 behind: more of them would bring them closer (ffmpeg: -g)"
            );
        }
    }

    fn step_live(&mut self, step: &Step) {
        self.release.check(&self.shown, &self.recording);
        match step {
            Step::Due => {
                if self.recording.target().is_none() {
                    self.decide();
                }
                self.shown.send_live(&self.recording);
            }
            Step::Made if !self.rendition.was_told() => self.rendition.tell(&self.recording, None),
            Step::Made | Step::Failed(_) => {}
        }
    }

    fn step_dvr(&mut self, step: &Step) {
        self.release.check(&self.shown, &self.recording);
        if matches!(step, Step::Due) {
            self.shown.send_dvr(&self.recording, false);
        }
    }
}

/// How the playlist refers to live objects.
fn live_names(playlist: &str, beside: &Beside) -> LiveNames {
    let folder = reference(playlist, &beside.names.recording(&beside.recording), None);
    LiveNames::new(folder, &escape::segment(&beside.names.file(0)), beside.runs.clone())
}

/// Finds out whether the object that an upload has become is a version with the id of the upload, as on Backblaze B2, and
/// tells how the playlist refers to it.
async fn locate(store: Store, playlist: String, key: String, upload_id: String, tell: mpsc::UnboundedSender<News>) {
    let head = timeout(ASK, store.head(&key, Some(&upload_id))).await;
    let version = matches!(head, Ok(Ok(Some(_)))).then_some(upload_id.as_str());
    let uri = reference(&playlist, &key, version);
    // Whoever would listen has ended.
    drop(tell.send(News::Located { upload_id, uri }));
}

/// Microseconds as seconds, to be shown.
fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
