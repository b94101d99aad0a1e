//! How signals end a copy: the first has it finish with what there is, the second keeps what is not stored and ends, the
//! third gives even that up.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::watch;

use crate::cli::going_on::Words;
use crate::tool::crash;
use crate::tool::exit::Exit;
use crate::tool::progress::Progress;
use crate::tool::shutdown::{self, is_impatient};
use crate::writer::source::StopSignal;

/// The requests of a person to end, as the work sees them.
#[derive(Debug, Clone)]
pub struct Stops {
    /// To take no more input.
    pub stop: StopSignal,
    /// To end at once.
    pub at_once: StopSignal,
}

/// What makes them.
#[derive(Debug)]
pub struct Switches {
    stop: watch::Sender<bool>,
    at_once: watch::Sender<bool>,
}

impl Switches {
    /// The requests, not made yet. A panic in any task makes the second one: what was taken and not stored is kept then too.
    #[must_use]
    pub fn install(progress: &Arc<Progress>) -> (Self, Stops) {
        let (switches, stops) = Self::new();
        let (progress, at_once) = (progress.clone(), switches.at_once.clone());
        crash::see_to_it(move || {
            at_once.send_replace(true);
            progress.taking.load(Relaxed)
        });
        (switches, stops)
    }

    fn new() -> (Self, Stops) {
        let (stop, stopped) = shutdown::stop_switch();
        let (at_once, now) = shutdown::stop_switch();
        (Self { stop, at_once }, Stops { stop: stopped, at_once: now })
    }

    /// Does `work` to its end, or to the end that signals (`next`) make of it.
    pub async fn see_through(
        &self,
        work: impl Future<Output = Exit>,
        mut next: impl AsyncFnMut() -> i32,
        progress: &Progress,
        words: &Words,
    ) -> Exit {
        tokio::pin!(work);
        let first = tokio::select! {
            exit = &mut work => return exit,
            signal = next() => shutdown::name(signal),
        };
        tracing::info!("{first}: no longer waiting for input; uploading what there is. Once more ends at once");
        self.stop.send_replace(true);
        let signal = tokio::select! {
            exit = &mut work => return exit,
            signal = impatient(&mut next) => signal,
        };
        let name = shutdown::name(signal);
        if !progress.taking.load(Relaxed) {
            let how = progress.upload.get().map_or_else(String::new, |id| words.left_open(id).how_to_go_on());
            tracing::error!("{name} again: ended at once, before the upload was complete. {how}");
            return Exit::Signal(signal);
        }
        tracing::info!("{name} again: ending at once");
        self.at_once.send_replace(true);
        tokio::select! {
            exit = &mut work => if exit == Exit::Done { exit } else { Exit::Signal(signal) },
            _ = impatient(&mut next) => {
                tracing::error!("ended before what was taken and not stored could be kept: it is lost");
                Exit::Signal(signal)
            }
        }
    }
}

/// The next signal that asks to end at once.
async fn impatient(next: &mut impl AsyncFnMut() -> i32) -> i32 {
    loop {
        let signal = next().await;
        if is_impatient(signal) {
            return signal;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::path::PathBuf;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use tokio::sync::mpsc;

    use super::*;

    /// What the work waits for, and how it then ends; `None`: it never does.
    #[derive(Debug, Clone, Copy)]
    enum Until {
        Nothing,
        Stop(Option<Exit>),
        AtOnce(Option<Exit>),
    }

    async fn work(mut stops: Stops, until: Until) -> Exit {
        let exit = match until {
            Until::Nothing => Some(Exit::Done),
            Until::Stop(exit) => stops.stop.wait_for(|stop| *stop).await.map(|_| exit).expect("a switch"),
            Until::AtOnce(exit) => stops.at_once.wait_for(|now| *now).await.map(|_| exit).expect("a switch"),
        };
        match exit {
            Some(exit) => exit,
            None => pending().await,
        }
    }

    async fn ended(until: Until, taking: bool, signals: &[i32]) -> Exit {
        let (switches, stops) = Switches::new();
        let (progress, words) =
            (Progress::default(), Words { key: "k".into(), file: PathBuf::from("-"), options: String::new() });
        progress.taking.store(taking, Relaxed);
        let (send, mut receive) = mpsc::unbounded_channel();
        for signal in signals {
            send.send(*signal).expect("somebody waits");
        }
        let next = async || match receive.recv().await {
            Some(signal) => signal,
            None => pending().await,
        };
        // Work that is done needs no signal to be seen.
        switches.see_through(work(stops, until), next, &progress, &words).await
    }

    #[tokio::test]
    async fn each_signal_goes_a_step_further() {
        let (done, failed) = (Some(Exit::Done), Some(Exit::Failed));
        for (until, taking, signals, wanted) in [
            (Until::Nothing, true, &[][..], Exit::Done),
            // The first one lets it finish, as it may.
            (Until::Stop(done), true, &[SIGINT], Exit::Done),
            (Until::Stop(failed), true, &[SIGTERM], Exit::Failed),
            // The second one ends it: well only if all was stored by then.
            (Until::AtOnce(done), true, &[SIGINT, SIGTERM], Exit::Done),
            (Until::AtOnce(failed), true, &[SIGINT, SIGTERM], Exit::Signal(SIGTERM)),
            // Nothing is there to be kept.
            (Until::AtOnce(None), false, &[SIGINT, SIGINT], Exit::Signal(SIGINT)),
            // A terminal that closes says so more than once.
            (Until::AtOnce(failed), true, &[SIGHUP, SIGHUP, SIGHUP, SIGINT], Exit::Signal(SIGINT)),
            // The third one waits for nothing.
            (Until::AtOnce(None), true, &[SIGINT, SIGTERM, SIGHUP, SIGINT], Exit::Signal(SIGTERM)),
        ] {
            assert_eq!(ended(until, taking, signals).await, wanted, "{until:?}, {taking}, {signals:?}");
        }
    }
}
