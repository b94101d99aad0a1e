//! A ladder: smaller renditions of a stream, made by one ffmpeg, which is watched and started again.
//!
//! ```text
//! recording --put--> tee --pipe--> ffmpeg --PUT--> point --rung--> a copy for each rendition
//! input -listener->  (never waits)  (supervised)    (tokens)  (times of the recording)
//! ```
//!
//! The recording itself waits for none of this. Where ffmpeg is too slow, gone, or stands still, the source goes on.
//!
//! | module | job |
//! |---|---|
//! | [`command`] | what ffmpeg is told; pure |
//! | `restarts` | when it is started again; pure |
//! | `tee` | pieces on their way to it, as well |
//! | [`listener`] | the same of an input that is copied as it is |
//! | `child` | the program itself |
//! | `point` | where its renditions come in |
//! | [`supervise`] | all of it together, for one stream |

mod child;
pub mod command;
pub mod listener;
mod point;
mod restarts;
pub mod supervise;
mod tee;
