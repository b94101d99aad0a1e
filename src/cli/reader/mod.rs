//! `reader` as people meet it: what they type ([`args`]), what it means ([`job`]), how it is done ([`copy`], [`probe`], [`list`],
//! [`serve`]), and
//! what they are told meanwhile (`figures`).

pub mod args;
pub mod copy;
mod figures;
pub mod job;
mod link;
pub mod list;
pub mod probe;
pub mod serve;
pub mod serve_args;
