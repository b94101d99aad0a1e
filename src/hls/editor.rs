//! Decides which playlist shows what, and when: one task, which the upload never waits for.
//!
//! - While it is short enough, the playlist shows all of the recording and only grows (EVENT).
//! - With `--hls-window`, or once it is long, it slides, and another one (`.dvr.m3u8`) shows all, written more rarely.
//! - No version comes sooner than half a target duration after the one before (RFC 8216, 6.2.1).
//! - In the end it shows all and is over (ENDLIST): see [`ending`](super::ending).

use std::time::Duration;

use tokio::sync::mpsc;

use super::claim::{Claim, Ownership};
use super::news::{News, Origin};
use super::own_rendition::OwnRendition;
use super::playlist::reference;
use super::publish::Step;
use super::readability::Readability;
use super::recording::Recording;
use super::shown::Shown;
use super::{Settings, walk};
use crate::media::fmp4::Found;
use crate::protocol::part::PartSize;
use crate::store::Store;

/// The first version waits for this long: what is readable may be the last part of a recording that is over in a moment, and
/// then shows all of it, without a promise about what comes in bursts.
const FIRST: Duration = Duration::from_millis(300);

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
    /// It has been said why there is no playlist.
    pub(super) told: bool,
}

/// The uploads so far.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Their keys and ids.
    pub(super) all: Vec<(String, String)>,
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
                if self.uploads.all.is_empty() {
                    self.claim(key.clone());
                }
                self.uploads.all.push((key, upload_id));
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
            News::Completed(upload_id) => self.recording.complete(&upload_id),
            News::End => {}
        }
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
    fn may_write(&self) -> bool {
        self.readability.is_now() && self.ownership.may_write()
    }

    /// There are new segments.
    async fn show(&mut self) {
        if !self.readability.was_asked() {
            self.readability.ask(&self.store, &self.settings.key, self.uploads.first()).await;
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
        let target = self.recording.decide(part_size, self.uploads.filled, max_latency);
        tracing::info!("viewers can play {} (target duration {target} s)", self.store.object(&self.settings.key));
        if target > LONG_TARGET {
            let smaller = if part_size > PartSize::DEFAULT.get() { "a smaller --part-size, " } else { "" };
            tracing::warn!(
                "the playlist changes only every {target} s or so, because so much time passes until a part is full, and viewers \
                 are as far behind: {smaller}--max-latency or a higher bit rate would bring them closer"
            );
        }
    }

    fn step_live(&mut self, step: &Step) {
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
        if matches!(step, Step::Due) {
            self.shown.send_dvr(&self.recording, false);
        }
    }
}

/// Microseconds as seconds, to be shown.
fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
