//! The bucket's chores: which buckets and objects there are, and new objects. Nothing is deleted here.

mod listing;
mod upload;

use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use listing::{Listings, PATIENCE, Wanted};
pub(crate) use upload::Uploads;

use super::blocks::Blocks;
use super::name::Names;
use crate::store::Patient;

/// See the module.
#[derive(Debug)]
pub(crate) struct Chores {
    pub(crate) store: Patient,
    pub(crate) listings: Listings,
    pub(crate) uploads: Uploads,
}

impl Chores {
    /// With this bound on an upload.
    pub(crate) fn new(
        store: &Patient,
        names: &Names,
        max_upload: u64,
        blocks: Arc<Blocks>,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let (listings, uploads) = (Listings::new(store, names), Uploads::new(max_upload, blocks, ending));
        Self { store: store.clone(), listings, uploads }
    }
}
