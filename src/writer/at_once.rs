//! Runs work so that a second request to stop, or a panic in it, becomes an error: the caller can still save what is left.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::writer::cause::Cause;
use crate::writer::outbox::Outbox;
use crate::writer::source::StopSignal;

/// Runs `work` until it is done or all is to end at once. A panic in it is a failure like others.
pub(crate) async fn until_the_end<T>(
    work: impl Future<Output = Result<T, Cause>>,
    at_once: &StopSignal,
) -> Result<T, Cause> {
    let work = AssertUnwindSafe(work).catch_unwind();
    match unless_at_once(work, at_once).await {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(Cause::Panic(words_of(&*panic))),
        None => Err(Cause::AtOnce),
    }
}

/// Runs `work` until it is done; `None` if all is to end at once before that.
pub(crate) async fn unless_at_once<T>(work: impl Future<Output = T>, at_once: &StopSignal) -> Option<T> {
    let mut at_once = at_once.clone();
    let ended = async {
        if at_once.wait_for(|at_once| *at_once).await.is_err() {
            // The sender is gone, so no request can come.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = ended => None,
    }
}

/// Waits for the parts in flight; on a request to end at once, drops them instead.
pub(crate) async fn settle(outbox: &mut Outbox, at_once: &StopSignal) {
    if unless_at_once(outbox.settle(), at_once).await.is_none() {
        outbox.stop();
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "an inner failure".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_like_others() {
        let (ask, at_once) = tokio::sync::watch::channel(false);
        let failed: Result<(), _> = until_the_end(async { panic!("of part {}", 3) }, &at_once).await;
        assert_eq!(failed.expect_err("it panics").to_string(), "of part 3; this is a bug");
        ask.send_replace(true);
        let ended: Result<(), _> = until_the_end(std::future::pending(), &at_once).await;
        assert!(matches!(ended, Err(Cause::AtOnce)));
    }
}
