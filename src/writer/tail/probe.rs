//! Whether a store lets the tail part be replaced, tried with a few bytes under a throw-away key.
//!
//! The documentation allows it. A store that differs would leave an upload stuck behind a short part, so this is found out
//! before the first tail is sent.

use bytes::Bytes;

use crate::protocol::part::{PartNumber, PartSize};
use crate::store::live_check::{self, LiveRead};
use crate::store::retry::Retry;
use crate::store::trial::Trials;
use crate::store::{Kind, Store, StoreError};

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    /// It does.
    Yes,
    /// It refuses; with its words.
    No(String),
    /// Nothing of an open upload can be read, so that tails would be of no use.
    NoLiveRead,
    /// The question could not be asked; with the reason.
    Unknown(String),
}

/// Starts an upload beside `key`, replaces its only part by a longer version, and aborts it.
pub async fn replaces_tail(store: Store, key: String, part_size: PartSize, retry: Retry, trials: Trials) -> Replaces {
    let trial = match trials.begin(&store, &key, "tail-check", part_size, retry).await {
        Ok(trial) => trial,
        Err(error) => return Replaces::Unknown(error.to_string()),
    };
    let answer = ask(&store, &trial.key, &trial.upload_id, retry).await;
    // It is aborted beside the upload, which need not wait for that.
    drop(trial);
    match answer {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind, Kind::Refused) => Replaces::No(error.to_string()),
        Err(error) => Replaces::Unknown(error.to_string()),
    }
}

async fn ask(store: &Store, key: &str, upload_id: &str, retry: Retry) -> Result<Replaces, StoreError> {
    let patience = store.patience().part(0, 0);
    for body in ["a", "a longer tail"] {
        let body = Bytes::from_static(body.as_bytes());
        retry.run(|_| store.put_part(key, upload_id, PartNumber::FIRST, body.clone(), patience)).await?;
    }
    match retry.run(|_| live_check::look(store, key, upload_id)).await? {
        LiveRead::On => Ok(Replaces::Yes),
        LiveRead::Off => Ok(Replaces::NoLiveRead),
    }
}
