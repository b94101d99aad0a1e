//! Says that the key has a finished object already, whose place the recording will take.

use tokio::time::Instant;

use crate::store::Store;

/// Asks the store once, and warns if there is one. Meant to run beside the upload: nothing waits for it.
pub(super) async fn warn_of_older(store: Store, key: String) {
    if let Some(size) = older(&store, &key).await {
        let object = store.object(&key);
        tracing::warn!(
            "{object} is there already, with {size} bytes: this recording takes its place when it is complete (a bucket that \
             keeps versions keeps both). A name of its own each time: writer \"show-$(date +%F-%H%M).mp4\""
        );
    }
}

/// The size of the finished object, if there was one when this program began.
async fn older(store: &Store, key: &str) -> Option<u64> {
    let began = Instant::now();
    // Who may not look, or cannot at the moment, is none the wiser and loses nothing: the upload itself says what is wrong.
    let Ok((Some(head), Some(now))) = store.dated_head(key).await else { return None };
    let began = now.saturating_sub_unsigned(began.elapsed().as_secs());
    is_older(head.modified, began).then_some(head.size)
}

/// Whether the object was there before this program `began`, by the store's clock, in whole seconds: the answer may be so late
/// that it tells of the object which this program has made.
fn is_older(modified: Option<i64>, began: i64) -> bool {
    modified.is_some_and(|modified| modified < began - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::scripted::{self, Op, Reply};

    #[test]
    fn what_this_program_has_made_is_not_warned_of() {
        assert!(is_older(Some(997), 1_000));
        assert!(!is_older(Some(999), 1_000), "the clock may have just gone on");
        assert!(!is_older(Some(1_003), 1_000));
        assert!(!is_older(None, 1_000), "nobody knows");
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_asked_once() {
        let (store, shelf) = scripted::store();
        assert_eq!(older(&store, "live.mp4").await, None);
        shelf.lay("live.mp4", vec![0; 7]);
        assert_eq!(older(&store, "live.mp4").await, None, "of this moment");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(older(&store, "live.mp4").await, Some(7));
        shelf.script(|_, _| Reply::Status(503, "SlowDown"));
        let before = shelf.count(Op::Head);
        assert_eq!((older(&store, "live.mp4").await, shelf.count(Op::Head)), (None, before + 1));
    }
}
