//! The stream itself: starts the programs, joins them up, and sees them end.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::show::{megabytes, say, seconds};
use crate::tap::Tap;
use crate::tools::{Built, Store, command, finish, pass_on, spawn};
use crate::{Interrupts, KEY, PART_SIZE, Settings, Stop, lag, video};

/// How long each program may take to end once its input has.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pictures that are left: the newest one sent, the newest one received, and both of them at one moment.
pub(crate) const SENT: &str = "sent.png";
pub(crate) const RECEIVED: &str = "frame.png";
pub(crate) const BOTH: &str = "side-by-side.png";

/// What there is to report.
pub(crate) struct Run {
    pub(crate) sent: Arc<Tap>,
    pub(crate) received: Arc<Tap>,
    pub(crate) frames_sent: u64,
    pub(crate) frames_decoded: u64,
    /// What the decoder had to say against the stream.
    pub(crate) complaints: u64,
    /// What the writer said last.
    pub(crate) writer_said: String,
    /// What went wrong, in words.
    pub(crate) problems: Vec<String>,
}

/// Streams for as long as the settings say, or until the first signal.
pub(crate) async fn stream(
    settings: &Settings,
    built: &Built,
    store: &Store,
    interrupts: &mut Interrupts,
) -> Result<Run, Stop> {
    let clock = video::can_draw_a_clock().await;
    let epoch = Instant::now();
    let mut programs = Programs::start(settings, built, store, clock, epoch).await?;
    let mut problems = Vec::new();

    programs.watch(settings, interrupts, &mut problems).await?;
    tokio::select! {
        () = programs.wind_up(&mut problems) => {}
        number = interrupts.next() => return Err(Stop::Signal(number)),
    }
    Ok(programs.into_run(problems))
}

struct Programs {
    epoch: Instant,
    source: Child,
    /// The source's input, on its own because waiting for a child closes that.
    keyboard: Option<ChildStdin>,
    writer: Child,
    reader: Child,
    decoder: Child,
    player: Option<Child>,
    feed: JoinHandle<Result<()>>,
    drain: JoinHandle<Result<()>>,
    /// The tasks that note what the programs say.
    notes: Vec<JoinHandle<()>>,
    said: Arc<Said>,
    sent: Arc<Tap>,
    received: Arc<Tap>,
}

/// What the programs have said of their work so far.
#[derive(Default)]
struct Said {
    frames_sent: AtomicU64,
    frames_decoded: AtomicU64,
    complaints: AtomicU64,
    writer: Mutex<String>,
}

impl Programs {
    async fn start(settings: &Settings, built: &Built, store: &Store, clock: bool, epoch: Instant) -> Result<Self> {
        let sent = Arc::new(Tap::new(epoch));
        let received = Arc::new(Tap::new(epoch));
        let said = Arc::new(Said::default());
        let mut notes = Vec::new();

        let mut writer = start_writer(built, store, &said, &mut notes)?;
        let mut reader = spawn("reader", store.configure(command(&built.reader).arg(KEY)))?;
        if let Some(stderr) = reader.stderr.take() {
            pass_on("reader", stderr, |_| true);
        }
        let mut decoder = start_decoder(settings, &said, &mut notes).await?;
        let mut player = start_player();

        let sinks = [Some(&mut decoder), player.as_mut()].into_iter().flatten().filter_map(connect).collect();
        let copy = settings.out.join("stream.mp4");
        let copy = File::create(&copy).await.with_context(|| format!("cannot write {}", copy.display()))?;
        let stdout = reader.stdout.take().context("reader has no output")?;
        let drain = tokio::spawn(drain(Arc::clone(&received), stdout, copy, sinks));

        let mut source = start_source(settings, clock, &said, &mut notes)?;
        let keyboard = source.stdin.take();
        let pattern = source.stdout.take().context("ffmpeg has no output")?;
        let input = writer.stdin.take().context("writer has no input")?;
        let feed = tokio::spawn(feed(Arc::clone(&sent), pattern, input));

        Ok(Self { epoch, source, keyboard, writer, reader, decoder, player, feed, drain, notes, said, sent, received })
    }

    /// Until the test pattern ends: of itself, by a signal, or because one of
    /// the tools has ended that should not have.
    async fn watch(
        &mut self,
        settings: &Settings,
        interrupts: &mut Interrupts,
        problems: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let limit = Duration::from_secs(settings.seconds) + PATIENCE;
        let mut ticks = interval(Duration::from_secs(2));
        ticks.tick().await;
        let mut stopping = false;
        let mut ended_early = false;
        let mut pictured = false;
        loop {
            tokio::select! {
                status = self.source.wait() => {
                    let status = status.context("cannot wait for ffmpeg")?;
                    // A signal makes ffmpeg end in order, but not with 0.
                    if !status.success() && !stopping && !ended_early {
                        problems.push(format!("ffmpeg, the source, ended with {status}"));
                    }
                    return Ok(());
                }
                status = self.writer.wait(), if !ended_early => {
                    let status = status.context("cannot wait for writer")?;
                    problems.push(format!("writer ended before its input did, with {status}"));
                    ended_early = true;
                    self.end_the_pattern().await;
                }
                status = self.reader.wait(), if !ended_early => {
                    let status = status.context("cannot wait for reader")?;
                    problems.push(format!("reader ended before the stream did, with {status}"));
                    ended_early = true;
                    self.end_the_pattern().await;
                }
                number = interrupts.next() => {
                    if stopping {
                        return Err(Stop::Signal(number));
                    }
                    stopping = true;
                    say!("\n       Ending the stream; once more ends the demo at once.");
                    self.end_the_pattern().await;
                }
                _ = ticks.tick() => {
                    self.show();
                    // While it streams: afterwards both have the last picture.
                    let received = settings.out.join(RECEIVED);
                    if !pictured && self.epoch.elapsed().as_secs() * 2 >= settings.seconds && received.is_file() {
                        let mut both = video::side_by_side(&settings.out.join(SENT), &received, &settings.out.join(BOTH));
                        pictured = both.status().await.is_ok_and(|status| status.success());
                    }
                    if self.epoch.elapsed() > limit {
                        let late = anyhow!("the {} s of stream are not over after {} s", settings.seconds, limit.as_secs());
                        return Err(late.into());
                    }
                }
            }
        }
    }

    /// `q` is what ends ffmpeg in order.
    async fn end_the_pattern(&mut self) {
        if let Some(mut keyboard) = self.keyboard.take() {
            keyboard.write_all(b"q").await.ok();
        }
    }

    fn show(&self) {
        let now = self.epoch.elapsed();
        let received = self.received.bytes();
        let behind = self.sent.with_marks(|marks| lag::behind_now(marks, received, now));
        say!(
            "{:>6} | sent {}, received {}, {} behind live, {} of {} frames decoded",
            format!("{} s", now.as_secs()),
            megabytes(self.sent.bytes()),
            megabytes(received),
            seconds(behind),
            self.said.frames_decoded.load(Ordering::Relaxed),
            self.said.frames_sent.load(Ordering::Relaxed),
        );
    }

    /// Each program ends when the one before it has.
    async fn wind_up(&mut self, problems: &mut Vec<String>) {
        let mut note = |what: Result<()>| {
            if let Err(error) = what {
                problems.push(format!("{error:#}"));
            }
        };
        note(join("the pipe into writer", &mut self.feed).await);
        note(well_ended("writer", finish("writer", &mut self.writer, PATIENCE).await));
        note(well_ended("reader", finish("reader", &mut self.reader, PATIENCE).await));
        note(join("the pipe out of reader", &mut self.drain).await);
        let decoder = finish("the decoder", &mut self.decoder, PATIENCE).await;
        note(well_ended("the decoder", decoder));

        // Their last lines, which the report uses.
        for note in &mut self.notes {
            timeout(Duration::from_secs(5), note).await.ok();
        }
        if let Some(mut player) = self.player.take() {
            say!("\n       The player shows the rest.");
            finish("ffplay", &mut player, Duration::from_secs(20)).await.ok();
        }
    }

    fn into_run(self, problems: Vec<String>) -> Run {
        let writer_said = self.said.writer.lock().map(|said| said.clone());
        Run {
            frames_sent: self.said.frames_sent.load(Ordering::Relaxed),
            frames_decoded: self.said.frames_decoded.load(Ordering::Relaxed),
            complaints: self.said.complaints.load(Ordering::Relaxed),
            writer_said: writer_said.unwrap_or_default(),
            sent: self.sent,
            received: self.received,
            problems,
        }
    }
}

fn start_writer(built: &Built, store: &Store, said: &Arc<Said>, notes: &mut Vec<JoinHandle<()>>) -> Result<Child> {
    let mut writer = command(&built.writer);
    writer.args(["--part-size", &PART_SIZE.to_string(), KEY]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut writer = spawn("writer", store.configure(&mut writer))?;
    if let Some(stderr) = writer.stderr.take() {
        let said = Arc::clone(said);
        notes.push(pass_on("writer", stderr, move |line| {
            if let Ok(mut last) = said.writer.lock() {
                line.clone_into(&mut last);
            }
            true
        }));
    }
    Ok(writer)
}

async fn start_decoder(settings: &Settings, said: &Arc<Said>, notes: &mut Vec<JoinHandle<()>>) -> Result<Child> {
    let png = settings.out.join(RECEIVED);
    // An earlier demo's pictures would pass for this one's.
    for name in [SENT, RECEIVED, BOTH] {
        tokio::fs::remove_file(settings.out.join(name)).await.ok();
    }
    let mut decoder = spawn("ffmpeg", video::decoder(&png).stdin(Stdio::piped()))?;
    if let Some(stderr) = decoder.stderr.take() {
        let said = Arc::clone(said);
        notes.push(pass_on("decode", stderr, move |_| {
            said.complaints.fetch_add(1, Ordering::Relaxed);
            true
        }));
    }
    if let Some(pictures) = decoder.stdout.take() {
        let said = Arc::clone(said);
        notes.push(pass_on("decode", pictures, move |line| {
            if video::is_a_picture(line) {
                said.frames_decoded.fetch_add(1, Ordering::Relaxed);
            }
            false
        }));
    }
    Ok(decoder)
}

fn start_source(settings: &Settings, clock: bool, said: &Arc<Said>, notes: &mut Vec<JoinHandle<()>>) -> Result<Child> {
    let mut source =
        spawn("ffmpeg", video::source(settings.seconds, clock, &settings.out.join(SENT)).stdin(Stdio::piped()))?;
    if let Some(stderr) = source.stderr.take() {
        let said = Arc::clone(said);
        notes.push(pass_on("ffmpeg", stderr, move |line| {
            if let Some(count) = video::frames_of(line) {
                said.frames_sent.store(count, Ordering::Relaxed);
            }
            !video::is_progress(line)
        }));
    }
    Ok(source)
}

/// Only nice to have: no display or no ffplay, no problem.
fn start_player() -> Option<Child> {
    if !video::there_is_a_display() {
        return None;
    }
    let mut child = video::player().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    if let Some(stderr) = child.stderr.take() {
        pass_on("ffplay", stderr, |_| true);
    }
    Some(child)
}

/// Where to put what a program is to get as its input.
fn connect(child: &mut Child) -> Option<UnboundedSender<Bytes>> {
    let stdin = child.stdin.take()?;
    let (to, from) = unbounded_channel();
    tokio::spawn(supply(stdin, from));
    Some(to)
}

async fn join(what: &str, task: &mut JoinHandle<Result<()>>) -> Result<()> {
    timeout(PATIENCE, task)
        .await
        .with_context(|| format!("{what} has not ended"))?
        .with_context(|| format!("{what} broke"))?
        .with_context(|| format!("{what} broke"))
}

fn well_ended(name: &str, status: Result<ExitStatus>) -> Result<()> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(anyhow!("{name} ended with {status}")),
        Err(error) => Err(error),
    }
}

/// ffmpeg into writer.
async fn feed(tap: Arc<Tap>, mut from: ChildStdout, mut to: ChildStdin) -> Result<()> {
    loop {
        let bytes = tap.read(&mut from).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        to.write_all(&bytes).await?;
    }
}

/// reader into a file and whoever else wants it. They may be slow: what they
/// have not taken yet waits here, so that it is reader that is timed.
async fn drain(tap: Arc<Tap>, mut from: ChildStdout, mut copy: File, to: Vec<UnboundedSender<Bytes>>) -> Result<()> {
    loop {
        let bytes = Bytes::from(tap.read(&mut from).await?);
        if bytes.is_empty() {
            break;
        }
        for sink in &to {
            // A player that was closed is no reason to stop.
            sink.send(bytes.clone()).ok();
        }
        copy.write_all(&bytes).await.context("cannot write stream.mp4")?;
    }
    copy.flush().await.context("cannot write stream.mp4")
}

async fn supply(mut to: ChildStdin, mut from: UnboundedReceiver<Bytes>) {
    while let Some(bytes) = from.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The finished object as any S3 client reads it.
pub(crate) async fn read_again(built: &Built, store: &Store) -> Result<Tap> {
    let tap = Tap::new(Instant::now());
    let mut reader = command(&built.reader);
    reader.args(["--no-wait", KEY]);
    let mut child = spawn("reader", store.configure(&mut reader))?;
    if let Some(stderr) = child.stderr.take() {
        pass_on("reader", stderr, |_| true);
    }
    let mut stdout = child.stdout.take().context("reader has no output")?;
    timeout(PATIENCE, async {
        while !tap.read(&mut stdout).await?.is_empty() {}
        anyhow::Ok(())
    })
    .await
    .context("reading the finished object takes too long")??;
    well_ended("reader", finish("reader", &mut child, PATIENCE).await)?;
    Ok(tap)
}
