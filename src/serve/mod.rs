//! An HTTP gateway over finished and growing objects: any number of viewers, one read of the store.
//!
//! ```text
//! accept (limits) -> service -> gate (name, token, other sites) -> route
//! watch, live -> recordings (open versions) -> recording { ring <- feed <- follower, blocks <- fetch } -> body
//! ```
//!
//! Viewers hold an offset: in the ring of what still grows, or in blocks that all share. Whatever cannot be given to its end
//! breaks its connection, so that nobody takes a piece for the whole.

mod accept;
mod access_log;
pub mod auth;
mod block;
mod blocks;
mod body;
mod feed;
mod fetch;
mod gate;
mod gateway;
mod identity;
mod join;
mod live;
mod name;
mod once;
mod range;
mod recording;
mod recordings;
mod refusal;
mod ring;
pub mod routes;
mod service;
mod stall;
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
use auth::Tokens;
use blocks::Blocks;
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
    /// Write a line for each answer.
    pub access_log: bool,
}

/// Serves on `listener` until `ending` turns true, and what was being answered has come to an end, or has been broken off.
pub async fn serve(store: &Patient, settings: Settings, listener: TcpListener, ending: signal::Receiver<bool>) {
    let Settings { buckets, wanted, tokens, hosts, origins, memory, limits, access_log } = settings;
    let names = Names { buckets, live: wanted.prefix.clone() };
    let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let gate = Gate { tokens, hosts, origins };
    let recordings = Recordings::new(store.clone(), wanted, Arc::new(Blocks::new(memory)));
    let gateway = Arc::new(Gateway::new(names, gate, recordings, access_log, ending.clone()));
    let beside = {
        let (gateway, mut ending) = (Arc::clone(&gateway), ending.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = gateway.recordings.tidy() => {}
                () = accept::ended(&mut ending) => gateway.recordings.stop(),
            }
        })
    };
    accept::run(listener, gateway, limits, ending).await;
    beside.abort();
}
