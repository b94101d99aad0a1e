//! Writes the head every few seconds, and the pointer where it is missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::BEAT;
use super::shared::Shared;

/// Between two looks at the pointer. It goes missing only where another recording of the key ends.
const POINTER_LOOK: Duration = Duration::from_secs(30);

/// Writes until it is over.
pub(super) async fn run(shared: Arc<Shared>, mut over: watch::Receiver<bool>) {
    let (mut beat, mut look) = (Instant::now() + BEAT, Instant::now() + POINTER_LOOK);
    let (mut news, mut told) = (shared.news(), false);
    loop {
        let given_up = shared.state().trouble.given_up().is_some() && !told;
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => return,
            // Readers wait for something else from now on: the sooner they know, the better.
            () = async {}, if given_up => told = true,
            () = sleep_until(beat) => {}
            _ = news.changed() => continue,
        }
        beat = Instant::now() + BEAT;
        // What is begun is finished, so that nothing is written once this has ended.
        if let Err(error) = shared.write_head().await {
            tracing::debug!("the head of the live objects is not written: {error}");
        }
        if Instant::now() >= look {
            look = Instant::now() + POINTER_LOOK;
            if let Err(error) = shared.restore_pointer().await {
                tracing::debug!("the pointer to the live objects is not looked at: {error}");
            }
        }
    }
}
