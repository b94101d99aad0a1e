//! Decides which playlist shows what, and when: one task, which the upload never waits for.
//!
//! - While it is short enough, the playlist shows all of the recording and only grows (EVENT).
//! - With `--hls-window`, or once it is long, it slides, and another one (`.dvr.m3u8`) shows all, written more rarely.
//! - No version comes sooner than half a target duration after the one before (RFC 8216, 6.2.1).
//! - In the end it shows all and is over (ENDLIST). Where it slid, it first ends as it is, so that whoever follows it is
//!   told by the rules, and shows all of the recording a target duration later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::master::{self, Rendition};
use super::playlist::{Kind, View, Written, reference};
use super::publish::{Outlet, Step};
use super::recording::Recording;
use super::{Settings, dvr_key_for, walk};
use crate::fmp4::{Found, Header};
use crate::live_check::{self, LiveRead};
use crate::store::Store;

/// A playlist with more segments than this slides: at 2 s each, three hours, and about a megabyte with the long version
/// ids of Backblaze B2. See docs/hls.md for what was measured.
const EVENT_MAX: usize = 5_400;

/// The least target duration of the playlist that shows all of a long recording, in seconds.
const DVR_TARGET: u64 = 30;

/// How long the end may take.
const LAST_TRIES: Duration = Duration::from_secs(15);

/// How long an attempt that is under way at the end may still take.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// How long to ask whether an open upload can be read.
const ASK: Duration = Duration::from_secs(10);

/// A target duration of more seconds than this is worth a warning.
const LONG_TARGET: u64 = 12;

/// Where an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// On its way to the store.
    Input,
    /// In the store.
    Store,
}

/// What the editor is told.
#[derive(Debug)]
pub(super) enum News {
    /// An upload begins, or is gone on with.
    Object {
        /// The object's key.
        key: String,
        /// The upload.
        upload_id: String,
        /// Bytes that the store holds without a gap.
        readable: watch::Receiver<u64>,
        /// Where to look at it.
        origin: Origin,
    },
    /// The first part took so long to fill.
    Filled(Duration),
    /// Something was found in the newest object.
    Found {
        /// What.
        found: Found,
        /// When its last byte came in, in microseconds since 1970.
        at: Option<i64>,
    },
    /// An earlier playlist of the object shows this much of it.
    Restored {
        /// The playlist.
        written: Box<Written>,
        /// The header of the object.
        header: Arc<Header>,
    },
    /// All of an upload has been looked at.
    Scanned(String),
    /// An upload cannot be looked at.
    Lost(String),
    /// An upload is complete.
    Completed(String),
    /// Nothing more will happen.
    End,
}

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

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Editor {
    store: Store,
    settings: Settings,
    news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::WeakUnboundedSender<News>,
    recording: Recording,
    /// Keys and ids of the uploads so far.
    uploads: Vec<(String, String)>,
    filled: Option<Duration>,
    live: Outlet,
    dvr: Outlet,
    dvr_target: Option<u64>,
    /// This stream in the multivariant playlist.
    rendition: Option<Rendition>,
    joining: Option<JoinHandle<()>>,
    /// Nothing can be read before the end.
    hold: bool,
    /// The playlist does not show the beginning any more.
    slides: bool,
    /// What the store holds could not be looked at.
    lost: bool,
    /// The first segment that the playlist shows.
    from: usize,
    /// It has been said why there is no playlist.
    told: bool,
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
            rendition: None,
            joining: None,
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
                step = self.live.next() => self.step_live(&step),
                step = self.dvr.next() => self.step_dvr(&step),
            }
            if self.recording.list() {
                self.show().await;
            }
        }
        self.finish().await;
    }

    fn hear(&mut self, news: News) {
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
                self.uploads.push((key, upload_id));
            }
            News::Filled(filled) => self.filled = Some(filled),
            News::Found { found, at } => {
                if let Err(unfit) = self.recording.take(found, at) {
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
                drop(self.recording.take(Found::Header(header), None));
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

    /// There are new segments.
    async fn show(&mut self) {
        if self.recording.target().is_none() {
            if self.hold || !self.can_be_read().await {
                self.hold = true;
                return;
            }
            self.decide();
        }
        if let (Some(micros), Some(target)) = (self.recording.overlong(), self.recording.target()) {
            tracing::warn!(
                "a segment lasts {:.1} s, longer than the playlist promised; its target duration is {target} s from now on, which \
                 some players take for an error. Key frames at fixed distances avoid this (ffmpeg: -g)",
                seconds(micros)
            );
        }
        if !self.hold {
            self.live.renew();
        }
    }

    /// Decides the target duration.
    fn decide(&mut self) {
        let Settings { part_size, max_latency, .. } = self.settings;
        let target = self.recording.decide(part_size, self.filled, max_latency);
        self.live.set_pace(Duration::from_secs(target) / 2);
        tracing::info!("viewers can play {} (target duration {target} s)", self.store.object(&self.settings.key));
        if target > LONG_TARGET {
            let smaller = if part_size > crate::part::PartSize::DEFAULT.get() { "a smaller --part-size, " } else { "" };
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
            Ok(Ok(LiveRead::On)) => true,
            // A key that may only write cannot ask. Those who play can.
            Ok(Err(error)) => {
                tracing::debug!("{error}");
                true
            }
            Err(_) => true,
        }
    }

    /// What the playlist shows now.
    fn view(&mut self, ended: bool) -> View {
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
            return View { target, kind: Kind::Event, from: 0, ended };
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
        View { target, kind: Kind::Sliding, from: self.from, ended }
    }

    fn step_live(&mut self, step: &Step) {
        if matches!(step, Step::Made) && self.rendition.is_none() {
            self.join(None);
        }
        if matches!(step, Step::Due) {
            let view = self.view(false);
            if view.from > 0 {
                self.dvr.renew();
            }
            self.live.send(self.recording.timeline.text(&view), false);
        }
    }

    fn step_dvr(&mut self, step: &Step) {
        if matches!(step, Step::Due) {
            self.send_dvr(false);
        }
    }

    fn send_dvr(&mut self, ended: bool) {
        let least = self.recording.target().unwrap_or(1).max(DVR_TARGET);
        let target = (*self.dvr_target.get_or_insert(least)).max(self.recording.target().unwrap_or(1));
        self.dvr.set_pace(Duration::from_secs(target));
        let view = View { target, kind: Kind::Event, from: 0, ended };
        self.dvr.send(self.recording.timeline.text(&view), ended);
    }

    /// Tells what is known of this stream to those who look at the multivariant playlist.
    fn join(&mut self, ended: Option<u64>) {
        let (Some(membership), Some(movie)) = (&self.settings.membership, &self.recording.movie) else { return };
        let frame_rate = self.recording.frame_rate;
        let fresh = || Rendition::of(membership, &self.settings.key, movie, frame_rate);
        let mut rendition = self.rendition.take().unwrap_or_else(fresh);
        rendition.frame_rate = rendition.frame_rate.and(frame_rate);
        (rendition.bandwidth, rendition.average) = (self.recording.peak, self.recording.timeline.average_rate());
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

    /// Writes what there is in the end.
    async fn finish(mut self) {
        let deadline = Instant::now() + LAST_TRIES;
        let mut news = self.recording.list();
        while self.recording.is_behind() && !self.lost {
            match timeout_at(deadline, self.news.recv()).await {
                Ok(Some(heard)) => self.hear(heard),
                Ok(None) | Err(_) => break,
            }
            news |= self.recording.list();
        }
        let behind = self.recording.is_behind();
        let ended = self.recording.is_complete() && !behind && !self.lost;
        if self.recording.timeline.segments.is_empty() {
            if !self.told && self.recording.has_input() {
                tracing::warn!("there is no playlist (--hls): no segment was whole");
            }
            return;
        }
        if self.recording.target().is_none() {
            self.decide();
        }
        if self.hold {
            if !ended {
                return;
            }
            self.unpin().await;
        }
        if ended || news {
            self.live.renew();
        }
        // What nobody has seen yet needs not be one that grew.
        let fresh = !self.live.has_made() && !self.recording.was_restored();
        let mut view = self.view(ended);
        if ended && (self.hold || fresh) {
            view = View { kind: Kind::Vod, from: 0, ..view };
        }
        let with_dvr = view.from > 0;
        if with_dvr {
            self.dvr.renew();
        }
        let settled = self.last_tries(view, with_dvr, deadline).await;
        if ended {
            self.join(Some(master::now()));
        }
        if behind || !settled {
            self.give_up();
        } else if ended && view.kind == Kind::Sliding {
            // Whoever follows it has time to see its end. Then it can show all.
            let wait = Duration::from_secs(view.target).min(LAST_TRIES);
            tracing::info!("{} shows all of the recording in {} s", self.store.object(self.live.key()), wait.as_secs());
            sleep_until(Instant::now() + wait).await;
            self.live.renew();
            let all = View { kind: Kind::Vod, from: 0, ..view };
            if !self.last_tries(all, false, Instant::now() + LAST_TRIES).await {
                self.give_up();
            }
        }
        if let Some(joining) = self.joining.take()
            && timeout_at(deadline, joining).await.is_err()
        {
            tracing::warn!("the multivariant playlist could not be written in time");
        }
    }

    /// Writes this view until the store has it; false when the time is up.
    async fn last_tries(&mut self, view: View, with_dvr: bool, deadline: Instant) -> bool {
        self.live.hurry(LAST_ATTEMPT);
        self.dvr.hurry(LAST_ATTEMPT);
        while !(self.live.is_settled() && (!with_dvr || self.dvr.is_settled())) {
            let next = async {
                tokio::select! {
                    step = self.live.next() => (true, step),
                    step = self.dvr.next(), if with_dvr => (false, step),
                }
            };
            match timeout_at(deadline, next).await {
                Ok((true, Step::Due)) => self.live.send(self.recording.timeline.text(&view), view.ended),
                Ok((false, Step::Due)) => self.send_dvr(view.ended),
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
        for (key, upload_id) in &self.uploads {
            match timeout(ASK, self.store.head(key, Some(upload_id))).await {
                Ok(Ok(None)) => self.recording.unpin(upload_id, &reference(&self.settings.key, key, None)),
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!("{error}"),
            }
        }
    }
}

/// Microseconds as seconds, to be shown.
fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
