//! An HTTP gateway over finished and growing objects: any number of viewers, one read of the store.
//!
//! ```text
//! accept (limits, TLS) -> service -> gate (name, token or signed link, other sites) -> route
//! watch, live, hls, dash, smooth -> recordings (open versions) -> recording { ring <- feed <- follower, blocks <- fetch } -> body
//! hls, dash, smooth of several renditions -> programs (which there are) -> glimpse (of each at one moment) -> in_step (what is the same)
//! api, show -> chores (lists, uploads), pages
//! ```
//!
//! Viewers hold an offset: in the ring of what still grows, or in blocks that all share. Whatever cannot be given to its end
//! breaks its connection, so that nobody takes a piece for the whole.

mod accept;
mod access_log;
mod api;
pub mod auth;
mod block;
mod blocks;
mod body;
mod chores;
mod conditions;
mod dash;
mod feed;
mod fetch;
mod gate;
mod gateway;
mod glimpse;
mod gzip;
mod heads;
mod hls;
mod identity;
mod in_step;
mod join;
pub mod link;
mod live;
mod metrics;
mod name;
mod once;
mod pages;
mod patchwork;
#[cfg(test)]
mod paths_tests;
mod programs;
mod range;
mod recording;
mod recordings;
mod refusal;
mod renditions;
mod reply;
mod ring;
pub mod routes;
mod service;
mod show;
mod single;
mod smooth;
mod stall;
mod stretch;
mod viewing;
mod watch;
mod wire;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch as signal;

pub use accept::Limits;
pub use blocks::LEAST_MEMORY;

use crate::object::wanted::Wanted;
use crate::store::Patient;
use crate::tool::certificate::Tls;
use auth::Tokens;
use blocks::Blocks;
use chores::Chores;
use gate::Gate;
use gateway::Gateway;
use name::Names;
use recordings::Recordings;

/// What is served, to whom, and within which bounds.
#[derive(Debug)]
pub struct Settings {
    /// The buckets; the first is meant where none is named.
    pub buckets: Vec<String>,
    /// As a template: how objects are looked for.
    pub wanted: Wanted,
    /// Who may do what; none: everybody may watch.
    pub tokens: Option<Tokens>,
    /// Names that the gateway is called by.
    pub hosts: Vec<String>,
    /// Sites whose pages may read the answers.
    pub origins: Vec<String>,
    /// Bytes of objects that are held in memory, at most.
    pub memory: u64,
    /// Connections, at most.
    pub limits: Limits,
    /// The largest object that may be uploaded.
    pub max_upload: u64,
    /// Speak TLS.
    pub tls: Option<Tls>,
    /// Write a line for each answer.
    pub access_log: bool,
}

/// Serves on `listener` until `ending` turns true, and what was being answered has come to an end, or has been broken off.
pub async fn serve(store: &Patient, settings: Settings, listener: TcpListener, ending: signal::Receiver<bool>) {
    let Settings { buckets, wanted, tokens, hosts, origins, memory, limits, max_upload, tls, access_log } = settings;
    let names = Names { buckets, live: wanted.prefix.clone() };
    let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let gate = Gate { tokens, hosts, origins };
    let blocks = Arc::new(Blocks::new(memory));
    let chores = Chores::new(store, &names, max_upload, Arc::clone(&blocks), ending.clone());
    let recordings = Recordings::new(store.clone(), wanted, blocks);
    let gateway =
        Arc::new(Gateway::new(names, gate, recordings, chores, access_log, limits.connections, ending.clone()));
    let beside = {
        let (gateway, mut ending) = (Arc::clone(&gateway), ending.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = gateway.recordings.tidy() => {}
                () = gateway.indexes.tidy() => {}
                () = gateway.tidy() => {}
                () = gateway.chores.listings.tidy() => {}
                () = accept::ended(&mut ending) => gateway.recordings.stop(),
            }
        })
    };
    accept::run(listener, Arc::clone(&gateway), limits, tls, ending).await;
    gateway.chores.uploads.ended().await;
    beside.abort();
}
