//! One question for all who ask the same: one of them asks, the others wait for its answer, and that counts for a second.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Refusal;

/// For so long an answer counts for all who ask.
const COUNTS: Duration = Duration::from_secs(1);

/// With more questions than this, those whose answers count no more are forgotten at once.
const MANY: usize = 4_096;

/// What was answered last, and when.
type Last<T> = tokio::sync::Mutex<Option<(Instant, Result<T, Refusal>)>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Once<K, T>(Mutex<HashMap<K, Arc<Last<T>>>>);

impl<K, T> Default for Once<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Clone> Once<K, T> {
    fn answers(&self) -> MutexGuard<'_, HashMap<K, Arc<Last<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, a recent one that still `holds` or what comes of `ask`, which is told the last one. Who goes away in the
    /// middle of asking leaves that to the next.
    ///
    /// # Errors
    /// As was answered.
    pub(crate) async fn get<F: Future<Output = Result<T, Refusal>>>(
        &self,
        key: K,
        holds: impl Fn(&T) -> bool,
        ask: impl FnOnce(Option<T>) -> F,
    ) -> Result<T, Refusal> {
        let last = {
            let mut answers = self.answers();
            if answers.len() > MANY {
                answers.retain(|_, last| is_of_use(last));
            }
            Arc::clone(answers.entry(key).or_default())
        };
        let mut last = last.lock().await;
        let holds = |answer: &Result<T, Refusal>| answer.as_ref().map_or(true, &holds);
        if let Some((_, answer)) = last.as_ref().filter(|(at, answer)| at.elapsed() < COUNTS && holds(answer)) {
            return answer.clone();
        }
        let before = last.as_ref().and_then(|(_, answer)| answer.clone().ok());
        let answer = ask(before).await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Forgets what counts no more.
    pub(crate) fn tidy(&self) {
        self.answers().retain(|_, last| is_of_use(last));
    }
}

fn is_of_use<T>(last: &Arc<Last<T>>) -> bool {
    Arc::strong_count(last) > 1
        || last.try_lock().is_ok_and(|last| last.as_ref().is_some_and(|(at, _)| at.elapsed() < COUNTS))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_question_and_failures_count_as_well() {
        let (once, asked) = (Once::<u8, u32>::default(), Cell::new(0));
        let ask = |answer: Result<u32, Refusal>| {
            once.get(
                1,
                |answer| *answer < 9,
                |_| async {
                    asked.set(asked.get() + 1);
                    sleep(Duration::from_millis(300)).await;
                    answer
                },
            )
        };
        let all = join_all((0..50).map(|_| ask(Ok(7)))).await;
        assert!(all.iter().all(|answer| *answer == Ok(7)));
        assert_eq!(asked.get(), 1);
        advance(COUNTS).await;
        assert_eq!(ask(Err(Refusal::not_there())).await, Err(Refusal::not_there()));
        assert_eq!(ask(Ok(9)).await, Err(Refusal::not_there()));
        advance(COUNTS).await;
        assert_eq!((ask(Ok(9)).await, asked.get()), (Ok(9), 3));
        assert_eq!((ask(Ok(8)).await, asked.get()), (Ok(8), 4), "that does not hold any more");
        // Who goes away leaves it to the next.
        advance(COUNTS).await;
        drop(tokio::time::timeout(Duration::from_millis(1), ask(Ok(1))).await);
        assert_eq!(ask(Ok(2)).await, Ok(2));
        advance(COUNTS).await;
        once.tidy();
        assert!(once.answers().is_empty());
    }
}
