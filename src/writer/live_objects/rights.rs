//! What a key may do where live objects lie, tried with a small object that is taken away again.

use bytes::Bytes;

use crate::protocol::live_objects::{CACHE_NONE, Names};
use crate::store::{Labels, Store, StoreError, Version};

/// What was found.
#[derive(Debug)]
pub enum Rights {
    /// All that is needed.
    All,
    /// What was written is not there at once.
    Late,
    /// It may not write.
    NoWrite(StoreError),
    /// It may not read.
    NoRead(StoreError),
    /// It may not delete this, which is left there.
    NoDelete(String, StoreError),
}

/// Writes, reads and deletes beside where the live objects of a key would lie.
pub async fn try_rights(store: &Store, names: &Names) -> Rights {
    let key = format!("{}check-{:08x}", names.folder(), fastrand::u32(..));
    let (body, patience) = (Bytes::from_static(b"live-read check"), store.patience().part(0, 0));
    let labels = Labels { content_type: "text/plain".to_owned(), cache_control: CACHE_NONE, metadata: None };
    let version = match store.put_labelled(&key, body.clone(), &labels, patience).await {
        Ok(version) => version,
        Err(error) => return Rights::NoWrite(error),
    };
    let read = store.get_small(&key, 1 << 10).await;
    if let Err(error) = store.delete(&Version { key: key.clone(), version }).await {
        return Rights::NoDelete(store.object(&key), error);
    }
    match read {
        Ok(Some(small)) if small.bytes == body => Rights::All,
        Ok(_) => Rights::Late,
        Err(error) => Rights::NoRead(error),
    }
}
