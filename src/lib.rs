//! Write a stream into an S3 object that can be read while it is still being written, and read it.
//!
//! ```text
//! writer: stdin | followed file -> source -> part buffers -> upload xN -> ledger -> complete
//! reader: locate (pinned upload) -> follow (cursor) -> prefetch xN -> sink; 416 -> wait -> over? -> last look
//! ```
//!
//! | module | job |
//! |---|---|
//! | [`live_read`], [`part`], [`limits`], [`key`] | facts and arithmetic of the protocol, and of keys; pure |
//! | [`store`] | the one door to S3 |
//! | [`retry`] | when to send a failed request again |
//! | [`source`], [`pool`], [`upload`], [`tail`], [`outbox`], [`spool`], [`spool_dir`], [`kept`], [`ledger`], [`completion`], [`rollover`] | the writer |
//! | [`locate`], [`held`], [`prefetch`], [`stretch`], [`rhythm`], [`reading`], [`copy`], [`sink`], [`chain`] | the reader |
//! | [`join`], [`seek`], [`ranges`], [`examine`] | the reader in the middle of a recording |
//! | [`live_check`], [`check`], [`trial`] | whether a store lets uploads be read while they are open |
//! | [`hls`] | playlists beside the growing object |
//! | [`fmp4`], [`mpeg_ts`] | what goes through: MP4 and its fragments; transport streams |
//! | [`tool`], [`cli`], [`logging`], [`stderr`], [`progress`], [`stats`], [`shutdown`] | what people type, see and send |

#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable, clippy::todo)]
#![allow(clippy::doc_markdown, reason = "AWS_REGION and the like are shown on the command line as they are")]
#![allow(clippy::duration_suboptimal_units, clippy::struct_excessive_bools, clippy::module_name_repetitions)]

pub mod abort;
mod announce;
mod at_once;
pub mod chain;
pub mod check;
pub mod cli;
pub mod completion;
pub mod copy;
pub mod crash;
mod due;
mod ending;
pub mod examine;
pub mod exit;
pub mod fmp4;
mod follow;
mod format;
pub mod held;
pub mod hls;
mod inquiry;
pub mod join;
pub mod kept;
pub mod key;
pub mod ledger;
pub mod limits;
pub mod live_check;
pub mod live_read;
pub mod locate;
mod log_lines;
pub mod logging;
pub mod mpeg_ts;
pub mod nowhere;
pub mod outbox;
pub mod part;
pub mod place;
pub mod pool;
pub mod prefetch;
mod presence;
pub mod progress;
pub mod ranges;
pub mod read_error;
pub mod reading;
pub mod resume;
mod resume_kept;
pub mod retry;
pub mod rhythm;
pub mod rollover;
mod secrets;
pub mod seek;
pub mod setup_cors;
pub mod shell;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod spool;
pub mod spool_dir;
pub mod stats;
pub mod stderr;
pub mod store;
pub mod stretch;
pub mod tail;
pub mod times;
pub mod tool;
pub mod trial;
pub mod upload;
mod window;
