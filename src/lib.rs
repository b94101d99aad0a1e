//! Write a stream into an S3 object that can be read while it is still being written, and read it.
//!
//! ```text
//! writer: stdin | followed file -> source -> part buffers -> upload xN -> ledger -> complete
//! reader: locate (pinned upload) -> follow (cursor) -> prefetch xN -> sink; 416 -> wait -> over? -> last look
//! ```
//!
//! | room | job |
//! |---|---|
//! | [`protocol`], [`human`], [`media`] | facts, words and what goes through; pure |
//! | [`rtmp`], [`mux`] | what encoders send, and a recording of it; pure |
//! | [`keys`] | who may publish, and what comes of it |
//! | [`message`] | what people are told |
//! | [`store`] | the one door to S3 |
//! | [`tool`] | figures, signals, exit codes |
//! | [`object`] | one object as it grows, whoever reads it |
//! | [`hls`] | playlists beside the growing object |
//! | [`reader`], [`writer`] | what the two tools do |
//! | [`serve`] | a gateway: any number of viewers, one read of the store |
//! | [`ingest`] | streams from encoders, on their way to the writer |
//! | [`admin`] | what whoever runs many streams may ask and tell |
//! | [`cli`] | what people type |
//!
//! A room imports only from rooms above it in this table; docs/architecture.md has the picture.

#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable, clippy::todo)]
#![allow(clippy::doc_markdown, reason = "AWS_REGION and the like are shown on the command line as they are")]
#![allow(clippy::duration_suboptimal_units, clippy::struct_excessive_bools, clippy::module_name_repetitions)]

pub mod admin;
pub mod cli;
pub mod hls;
pub mod human;
pub mod ingest;
pub mod keys;
pub mod media;
pub mod message;
pub mod mux;
pub mod object;
pub mod protocol;
pub mod reader;
pub mod rtmp;
pub mod serve;
pub mod store;
pub mod tool;
pub mod writer;
