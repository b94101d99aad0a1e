//! `make demo`: a live stream through both tools, and what became of it.
//!
//! ```text
//! ffmpeg (test pattern, real time) → demo → writer → local_store
//!                ffmpeg (decoder)  ← demo ← reader ←
//! ```
//!
//! The demo sits in both pipes, so it can say how far behind live each byte was
//! and whether what came out is what went in. `DEMO_SECONDS` (30) is how long it
//! streams, `DEMO_OUT` (`demo-out`) where it leaves a picture and the stream.

mod lag;
mod live;
mod report;
mod show;
mod tap;
mod tools;
mod video;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use show::say;
use tools::{Built, Store};

const KEY: &str = "demo.mp4";
/// The least that Live Read takes: at 6 Mbit/s a part fills in under 7 s.
const PART_SIZE: u64 = 5_000_000;

struct Settings {
    seconds: u64,
    out: PathBuf,
}

impl Settings {
    fn from_environment() -> Result<Self> {
        let seconds = match std::env::var("DEMO_SECONDS") {
            Ok(text) if !text.is_empty() => match text.parse() {
                Ok(seconds @ 1..=86_400) => seconds,
                _ => bail!("DEMO_SECONDS is \"{text}\"; it must be a whole number from 1 to 86400"),
            },
            _ => 30,
        };
        let out = std::env::var_os("DEMO_OUT").unwrap_or_else(|| "demo-out".into());
        std::fs::create_dir_all(&out)
            .with_context(|| format!("cannot make the directory {}", Path::new(&out).display()))?;
        let out = std::path::absolute(out).context("cannot tell the working directory")?;
        Ok(Self { seconds, out })
    }
}

/// Ctrl-C and its like.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// The number of the next signal.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}

/// Why the demo has nothing to report.
enum Stop {
    Signal(u8),
    Failure(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

async fn demo() -> Result<bool, Stop> {
    let settings = Settings::from_environment()?;
    let mut interrupts = Interrupts::listen()?;
    let built = Built::find()?;
    let store = tokio::select! {
        store = Store::start(&built) => store?,
        number = interrupts.next() => return Err(Stop::Signal(number)),
    };
    say!("A live stream through writer and reader, for {} s. Ctrl-C ends it early.", settings.seconds);
    say!("local store at {}", store.url);
    let wait = PART_SIZE * 8 / 6_000_000;
    say!(
        "For the first {wait} to {} s nothing comes out: a part can be read when it is whole, and at 6 Mbit/s 5 MB take",
        wait + 2
    );
    say!("that long to come. `writer --max-latency 1s` would make it about a second.\n");

    let run = live::stream(&settings, &built, &store, &mut interrupts).await?;
    let again = tokio::select! {
        again = live::read_again(&built, &store) => again,
        number = interrupts.next() => return Err(Stop::Signal(number)),
    };
    store.stop().await;
    Ok(report::print(&settings, &run, again))
}

#[tokio::main]
async fn main() -> ExitCode {
    match demo().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Stop::Signal(number)) => {
            eprintln!("demo: ended at once, by a signal");
            ExitCode::from(128 + number)
        }
        Err(Stop::Failure(error)) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
