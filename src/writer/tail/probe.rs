//! Whether a store lets the tail part be replaced, tried with a few bytes under a throw-away key.
//!
//! The documentation allows it. A store that differs would leave an upload stuck behind a short part, so this is found out
//! before the first tail is sent.

use bytes::Bytes;

use crate::protocol::part::PartSize;
use crate::store::live_check::LiveRead;
use crate::store::trial::{Trial, Trials};
use crate::store::{Kind, Patient, StoreError};

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
pub async fn replaces_tail(store: Patient, key: String, part_size: PartSize, trials: Trials) -> Replaces {
    let trial = match trials.begin(&store, &key, "tail-check", part_size).await {
        Ok(trial) => trial,
        Err(error) => return Replaces::Unknown(error.to_string()),
    };
    let answer = ask(&trial).await;
    // It is aborted beside the upload, which need not wait for that.
    drop(trial);
    match answer {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind, Kind::Refused) => Replaces::No(error.to_string()),
        Err(error) => Replaces::Unknown(error.to_string()),
    }
}

async fn ask(trial: &Trial) -> Result<Replaces, StoreError> {
    for body in ["a", "a longer tail"] {
        trial.put(Bytes::from_static(body.as_bytes())).await?;
    }
    match trial.look().await? {
        LiveRead::On => Ok(Replaces::Yes),
        LiveRead::Off => Ok(Replaces::NoLiveRead),
    }
}
