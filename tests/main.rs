//! All tests that drive the tools and the local store from outside, in one program: the SDK is linked once.

mod support;

mod abort;
mod bounds;
mod command_line;
mod credentials;
mod door;
mod excerpts;
mod faults;
mod following;
mod hangup;
mod hls;
mod kept;
mod live_read_off;
mod max_latency;
mod outages;
mod pair;
mod proxies;
mod reader;
mod reader_resume;
mod resume;
mod rollover;
mod settings;
mod setup_cors;
mod signals;
mod soak;
mod spool;
mod stats;
mod store_clients;
mod store_faults;
mod store_live;
mod store_refusals;
mod store_s3;
mod tls;
mod writer;
mod wrong_answers;
