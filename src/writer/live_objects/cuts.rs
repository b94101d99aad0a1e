//! Sends what the cutter gives: up to four live objects at once, each until the store has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::GIVE_UP;
use super::cutter::Cut;
use super::shared::{Shared, may_pass};
use crate::store::retry::Retry;

/// Live objects on their way at once.
const AT_ONCE: usize = 4;

/// Between two rounds of attempts.
const NEXT_ROUND: Duration = Duration::from_secs(5);

/// How long the end waits for answers to what is on its way.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Sends until it is over.
pub(super) async fn run(shared: Arc<Shared>, mut over: watch::Receiver<bool>) {
    let (mut puts, mut news) = (JoinSet::new(), shared.news());
    loop {
        news.mark_unchanged();
        let mut due = None;
        while puts.len() < AT_ONCE {
            let (next, next_due) = {
                let mut state = shared.state();
                (state.cutter.next(Instant::now()), state.cutter.due())
            };
            let Some(cut) = next else {
                due = next_due;
                break;
            };
            puts.spawn(put(shared.clone(), cut, over.clone()));
        }
        tokio::select! {
            _ = puts.join_next(), if !puts.is_empty() => {}
            _ = news.changed() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            _ = over.wait_for(|over| *over) => break,
        }
    }
    // What is on its way now would otherwise land after all has been deleted.
    let answers = async { while puts.join_next().await.is_some() {} };
    drop(timeout(LAST_ANSWERS, answers).await);
    puts.shutdown().await;
}

/// Sends one live object until the store has it, always the same bytes under the same name.
async fn put(shared: Arc<Shared>, cut: Cut, mut over: watch::Receiver<bool>) {
    let length = cut.bytes.len() as u64;
    let retry = Retry { give_up_after: GIVE_UP };
    let (mut failures, mut silences) = (retry.start(), 0);
    loop {
        let patience = shared.store.patience().part(length, silences);
        let asked = Instant::now();
        let Err(error) = shared.post(cut.offset, cut.bytes.clone(), patience).await else {
            failures.passed();
            break;
        };
        silences += u32::from(asked.elapsed() >= patience);
        let hopeless = shared.state().trouble.is_hopeless(Instant::now());
        let wait = match failures.next_wait(error.clone()) {
            Ok(wait) if !hopeless => wait,
            Err(error) if may_pass(&error) && !hopeless => {
                failures = retry.start();
                NEXT_ROUND
            }
            Ok(_) | Err(_) => {
                shared.give_up(&error);
                break;
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            _ = over.wait_for(|over| *over) => break,
        }
        if shared.state().trouble.given_up().is_some() {
            break;
        }
    }
    shared.state().cutter.landed(length);
    shared.tell();
}
