//! Whether a store lets the tail part be replaced, tried with a few bytes under a throw-away key.
//!
//! The documentation allows it. A store that differs would leave an upload stuck behind a short part, so this is found out
//! before the first tail is sent.

use bytes::Bytes;

use crate::live_check::{self, LiveRead};
use crate::part::{PartNumber, PartSize};
use crate::retry::Retry;
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
pub async fn replaces_tail(store: Store, key: String, part_size: PartSize, retry: Retry) -> Replaces {
    let beside: String = key.chars().take(200).collect();
    let key = format!("{beside}.tail-check-{:08x}", fastrand::u32(..));
    let upload_id = match retry.run(|_| store.create_upload(&key, part_size, None, None)).await {
        Ok(upload_id) => upload_id,
        Err(error) => return Replaces::Unknown(error.to_string()),
    };
    let answer = ask(&store, &key, &upload_id, retry).await;
    if let Err(error) = retry.run(|_| store.abort_upload(&key, &upload_id)).await {
        tracing::warn!("the upload {upload_id} of {} is left behind: {error}", store.object(&key));
    }
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
