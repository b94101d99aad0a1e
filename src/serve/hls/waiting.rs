//! Holds an answer back until what is asked for is in the index, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
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
    mut of: impl FnMut(&mut State) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let began = Instant::now();
    let mut news = indexed.news();
    let mut held = None;
    let part_size = viewing.found().part_size;
    loop {
        news.borrow_and_update();
        let until = {
            let mut state = indexed.state();
            match state.ready(part_size) {
                Ready::Yes => {
                    if let Some(made) = of(&mut state) {
                        return made;
                    }
                    began + state.promise().map_or(FIRST, |promise| Duration::from_secs(promise.target) * 3)
                }
                Ready::NotYet => began + FIRST,
                Ready::Never(why) => return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)),
                Ready::Broken => return Err(Refusal::busy("the rest of it cannot be read now")),
            }
        };
        if held.is_none() {
            let permit = gateway.held.try_acquire();
            held = Some(permit.map_err(|_| Refusal::busy("too many answers are held back"))?);
        }
        let look = async {
            tokio::select! {
                _ = news.changed() => {}
                () = sleep(LOOK) => {}
            }
        };
        if timeout_at(until, look).await.is_err() {
            return Err(Refusal::busy("there is nothing new to show yet"));
        }
        // Whoever waits asks all the time.
        indexed.ask();
    }
}
