//! The command line: what people type, one step that turns it into checked settings, and what they are told.

mod ask;
pub mod common;
mod dotenv;
pub mod environment;
pub mod going_on;
mod help;
pub mod manual;
pub mod reader;
pub mod run;
pub mod said;
pub mod tell;
pub mod times;
pub mod writer;
