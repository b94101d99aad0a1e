//! The stream itself: starts the programs, joins them up, and sees them end.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
const PATIENCE: Duration = Duration::from_secs(60);

/// What there is to report.
pub struct Run {
    pub sent: Arc<Tap>,
    pub received: Arc<Tap>,
    pub frames_sent: u64,
    pub frames_decoded: u64,
    /// What the decoder had to say against the stream.
    pub complaints: u64,
    /// What the writer said last.
    pub writer_said: String,
    pub writer_ended: Duration,
    /// What went wrong, in words.
    pub problems: Vec<String>,
}

/// Streams for as long as the settings say, or until the first signal.
pub async fn stream(
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
        () = programs.wind_up(epoch, &mut problems) => {}
        number = interrupts.next() => return Err(Stop::Signal(number)),
    }
    Ok(programs.into_run(problems))
}

struct Programs {
    epoch: Instant,
    source: Child,
    writer: Child,
    reader: Child,
    decoder: Child,
    player: Option<Child>,
    feed: JoinHandle<Result<()>>,
    drain: JoinHandle<Result<()>>,
    count: JoinHandle<()>,
    source_says: Option<JoinHandle<()>>,
    writer_says: Option<JoinHandle<()>>,
    decoder_says: Option<JoinHandle<()>>,
    sent: Arc<Tap>,
    received: Arc<Tap>,
    frames_sent: Arc<AtomicU64>,
    frames_decoded: Arc<AtomicU64>,
    complaints: Arc<AtomicU64>,
    writer_said: Arc<std::sync::Mutex<String>>,
    writer_ended: Duration,
}

impl Programs {
    async fn start(
        settings: &Settings,
        built: &Built,
        store: &Store,
        clock: bool,
        epoch: Instant,
    ) -> Result<Self> {
        let sent = Arc::new(Tap::new(epoch));
        let received = Arc::new(Tap::new(epoch));
        let frames_sent = Arc::new(AtomicU64::new(0));
        let frames_decoded = Arc::new(AtomicU64::new(0));
        let complaints = Arc::new(AtomicU64::new(0));
        let writer_said = Arc::new(std::sync::Mutex::new(String::new()));

        let mut writer = command(&built.writer);
        writer.args(["--part-size", &PART_SIZE.to_string(), KEY]);
        let writer = store.configure(&mut writer);
        let mut writer = spawn("writer", writer.stdin(Stdio::piped()).stdout(Stdio::null()))?;
        let writer_says = writer.stderr.take().map(|stderr| {
            let said = Arc::clone(&writer_said);
            pass_on("writer", stderr, move |line| {
                if let Ok(mut said) = said.lock() {
                    line.clone_into(&mut said);
                }
                true
            })
        });

        let mut reader = command(&built.reader);
        let mut reader = spawn("reader", store.configure(reader.arg(KEY)))?;
        if let Some(stderr) = reader.stderr.take() {
            pass_on("reader", stderr, |_| true);
        }

        let png = settings.out.join("frame.png");
        // An earlier demo's picture would pass for this one's.
        tokio::fs::remove_file(&png).await.ok();
        let mut decoder = spawn("ffmpeg", video::decoder(&png).stdin(Stdio::piped()))?;
        let decoder_says = decoder.stderr.take().map(|stderr| {
            let complaints = Arc::clone(&complaints);
            pass_on("decode", stderr, move |_| {
                complaints.fetch_add(1, Ordering::Relaxed);
                true
            })
        });
        let pictures = decoder.stdout.take().context("the decoder has no output")?;
        let count = {
            let frames = Arc::clone(&frames_decoded);
            pass_on("decode", pictures, move |line| {
                if video::is_a_picture(line) {
                    frames.fetch_add(1, Ordering::Relaxed);
                }
                false
            })
        };

        let mut sinks = Vec::new();
        let mut connect = |child: &mut Child| {
            if let Some(stdin) = child.stdin.take() {
                let (to, from) = unbounded_channel();
                tokio::spawn(supply(stdin, from));
                sinks.push(to);
            }
        };
        connect(&mut decoder);
        let mut player = None;
        if video::there_is_a_display() {
            // Only nice to have: no player, no problem.
            let mut ffplay = video::player();
            if let Ok(mut child) = ffplay.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() {
                connect(&mut child);
                if let Some(stderr) = child.stderr.take() {
                    pass_on("ffplay", stderr, |_| true);
                }
                player = Some(child);
            }
        }

        let copy = settings.out.join("stream.mp4");
        let copy = File::create(&copy)
            .await
            .with_context(|| format!("cannot write {}", copy.display()))?;
        let stdout = reader.stdout.take().context("reader has no output")?;
        let drain = tokio::spawn(drain(Arc::clone(&received), stdout, copy, sinks));

        let mut source = video::source(settings.seconds, clock);
        let mut source = spawn("ffmpeg", source.stdin(Stdio::piped()))?;
        let source_says = source.stderr.take().map(|stderr| {
            let frames = Arc::clone(&frames_sent);
            pass_on("ffmpeg", stderr, move |line| {
                if let Some(count) = video::frames_of(line) {
                    frames.store(count, Ordering::Relaxed);
                }
                !video::is_progress(line)
            })
        });
        let pattern = source.stdout.take().context("ffmpeg has no output")?;
        let input = writer.stdin.take().context("writer has no input")?;
        let feed = tokio::spawn(feed(Arc::clone(&sent), pattern, input));

        Ok(Self {
            epoch,
            source,
            writer,
            reader,
            decoder,
            player,
            feed,
            drain,
            count,
            source_says,
            writer_says,
            decoder_says,
            sent,
            received,
            frames_sent,
            frames_decoded,
            complaints,
            writer_said,
            writer_ended: Duration::ZERO,
        })
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
        if let Some(mut keyboard) = self.source.stdin.take() {
            keyboard.write_all(b"q").await.ok();
        }
    }

    fn show(&self) {
        let now = self.epoch.elapsed();
        let received = self.received.bytes();
        let behind = self
            .sent
            .with_marks(|marks| lag::behind_now(marks, received, now));
        say!(
            "{:>6} | sent {}, received {}, {} behind live, {} of {} frames decoded",
            format!("{} s", now.as_secs()),
            megabytes(self.sent.bytes()),
            megabytes(received),
            seconds(behind),
            self.frames_decoded.load(Ordering::Relaxed),
            self.frames_sent.load(Ordering::Relaxed),
        );
    }

    /// Each program ends when the one before it has.
    async fn wind_up(&mut self, epoch: Instant, problems: &mut Vec<String>) {
        let mut note = |what: Result<()>| {
            if let Err(error) = what {
                problems.push(format!("{error:#}"));
            }
        };
        note(join("the pipe into writer", &mut self.feed).await);
        note(well_ended(
            "writer",
            finish("writer", &mut self.writer, PATIENCE).await,
        ));
        self.writer_ended = epoch.elapsed();
        note(well_ended(
            "reader",
            finish("reader", &mut self.reader, PATIENCE).await,
        ));
        note(join("the pipe out of reader", &mut self.drain).await);
        let decoder = finish("the decoder", &mut self.decoder, PATIENCE).await;
        note(well_ended("the decoder", decoder));

        // Their last lines, which the report uses.
        self.count_out().await;
        if let Some(mut player) = self.player.take() {
            say!("\n       The player shows the rest.");
            finish("ffplay", &mut player, Duration::from_secs(20))
                .await
                .ok();
        }
    }

    async fn count_out(&mut self) {
        let lines = [
            Some(&mut self.count),
            self.source_says.as_mut(),
            self.writer_says.as_mut(),
            self.decoder_says.as_mut(),
        ];
        for line in lines.into_iter().flatten() {
            timeout(Duration::from_secs(5), line).await.ok();
        }
    }

    fn into_run(self, problems: Vec<String>) -> Run {
        let writer_said = self.writer_said.lock().map(|said| said.clone());
        Run {
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            frames_decoded: self.frames_decoded.load(Ordering::Relaxed),
            complaints: self.complaints.load(Ordering::Relaxed),
            writer_said: writer_said.unwrap_or_default(),
            writer_ended: self.writer_ended,
            sent: self.sent,
            received: self.received,
            problems,
        }
    }
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
async fn drain(
    tap: Arc<Tap>,
    mut from: ChildStdout,
    mut copy: File,
    to: Vec<UnboundedSender<Bytes>>,
) -> Result<()> {
    loop {
        let bytes = Bytes::from(tap.read(&mut from).await?);
        if bytes.is_empty() {
            break;
        }
        for sink in &to {
            // A player that was closed is no reason to stop.
            sink.send(bytes.clone()).ok();
        }
        copy.write_all(&bytes)
            .await
            .context("cannot write stream.mp4")?;
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
pub async fn read_again(built: &Built, store: &Store) -> Result<Tap> {
    let tap = Tap::new(Instant::now());
    let mut reader = command(&built.reader);
    reader.args(["--no-wait", KEY]);
    let mut child = spawn("reader", store.configure(reader.stderr(Stdio::inherit())))?;
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
