//! `writer` as people meet it: what they type ([`args`]), what it means ([`job`]), how it is done with them ([`copy`],
//! [`errand`], [`signals`]), and what they are told meanwhile (`figures`).

pub mod admin_args;
pub mod args;
mod copies;
pub mod copy;
pub mod copy_job;
mod encoders;
pub mod errand;
mod figures;
pub mod job;
pub mod key_args;
pub mod ladder_args;
pub mod ladder_job;
mod left_renditions;
mod left_streams;
pub mod limit_args;
pub mod listening;
pub mod one_input;
pub mod one_stream;
mod place;
mod renditions;
pub mod renditions_job;
mod replaced;
pub mod signals;
pub mod streams;
pub mod streams_job;
#[cfg(test)]
mod typed;
