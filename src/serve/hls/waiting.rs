//! Holds an answer back until what is asked for is in the index, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::indexed::{Indexed, Ready, State};
use crate::serve::gateway::Gateway;
use crate::serve::refusal::Refusal;
use crate::serve::viewing::Viewing;

/// How long the first segment is waited for, and for what there is to be looked through.
pub(crate) const FIRST: Duration = Duration::from_secs(10);

/// How often it is seen whether a playlist can be made, where nothing new comes.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until `of` makes something of the index; whoever waits too long is told to come again.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn wait<T>(
    gateway: &Gateway,
    indexed: &Arc<Indexed>,
    viewing: &Viewing,
    of: impl FnMut(&mut State) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    wait_with(gateway, indexed, viewing, false, of).await
}

/// The same; `goes_on`: also before its first segment is whole, as there are others before it.
pub(super) async fn wait_with<T>(
    gateway: &Gateway,
    indexed: &Arc<Indexed>,
    viewing: &Viewing,
    goes_on: bool,
    mut of: impl FnMut(&mut State) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut news = indexed.news();
    let mut held = Held::back(gateway);
    let part_size = viewing.found().part_size;
    loop {
        news.borrow_and_update();
        let most = {
            let mut state = indexed.state();
            let is_ready = state.ready(part_size, goes_on);
            if is_ready == Ready::Yes
                && let Some(made) = of(&mut state)
            {
                return made;
            }
            patience(&is_ready, &state)?
        };
        held.until_news(&mut news, most).await?;
        // Whoever waits asks all the time.
        indexed.ask();
    }
}

/// How long whoever asks is held back at most, from when he asked.
///
/// # Errors
/// [`Refusal`]: it would be of no use.
pub(crate) fn patience(is_ready: &Ready, state: &State) -> Result<Duration, Refusal> {
    match is_ready {
        Ready::Yes => Ok(state.promise().map_or(FIRST, |promise| Duration::from_secs(promise.target) * 3)),
        Ready::NotYet => Ok(FIRST),
        Ready::Never(why) => Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why.clone())),
        Ready::Broken => Err(Refusal::busy("the rest of it cannot be read now")),
    }
}

/// An answer that is held back.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    gateway: &'a Gateway,
    began: Instant,
    permit: Option<SemaphorePermit<'a>>,
}

impl<'a> Held<'a> {
    pub(crate) fn back(gateway: &'a Gateway) -> Self {
        Self { gateway, began: Instant::now(), permit: None }
    }

    /// Waits until something may have come; in all for no longer than `most`.
    ///
    /// # Errors
    /// [`Refusal`]: too many wait, or this one has waited for too long.
    pub(crate) async fn until_news(&mut self, news: &mut watch::Receiver<u64>, most: Duration) -> Result<(), Refusal> {
        if self.permit.is_none() {
            let permit = self.gateway.held.try_acquire();
            self.permit = Some(permit.map_err(|_| Refusal::busy("too many answers are held back"))?);
        }
        let look = async {
            tokio::select! {
                _ = news.changed() => {}
                () = sleep(LOOK) => {}
            }
        };
        let looked = timeout_at(self.began + most, look).await;
        looked.map_err(|_| Refusal::busy("there is nothing new to show yet"))
    }
}
