//! The command line: what people type, and one step that turns it into checked settings.

pub mod common;
mod dotenv;
pub mod environment;
pub mod going_on;
pub mod reader;
pub mod run;
pub mod tell;
pub mod times;
pub mod writer;
