//! All tests that drive the tools and the local store from outside, in one program: the SDK is linked once. The folders are
//! the rooms of `src/`; `pair` is both tools together, `local_store` the store that all of them stand on.

mod support;

mod architecture;

mod cli {
    mod command_line;
    mod habits;
    mod hangup;
    mod json_lines;
    mod keys;
    mod settings;
    mod setup_cors;
    mod signals;
    mod stats;
    mod steps;
}

mod hls {
    mod live;
    mod live_anywhere;
    mod live_objects;
    mod scene;
    mod several;
    mod trouble;
}

mod ingest {
    mod admin;
    mod breaks;
    mod crowd;
    mod hooks;
    mod hostile;
    mod hostile_for_long;
    mod hostile_pushes;
    mod killed;
    mod killed_renditions;
    mod ladder;
    mod ladder_input;
    mod limits;
    mod publish;
    mod pushes;
    mod renditions;
    mod second_signal;
    mod segments;
    mod smooth;
    mod streams;
}

mod local_store {
    mod clients;
    mod faults;
    mod live;
    mod quirks;
    mod refusals;
    mod s3;
}

mod pair {
    mod any_store;
    mod bounds;
    mod copy;
    mod faults;
    mod kills;
    mod left_behind;
    mod live_auto;
    mod live_objects;
    mod live_objects_races;
    mod live_read_off;
    mod live_resume;
    mod outages;
    mod soak;
}

mod reader {
    mod copy;
    mod damage;
    mod excerpts;
    mod join;
    mod live_objects;
    mod probe;
    mod resume;
    mod show;
}

mod serve {
    mod bytes;
    mod chores;
    mod dash;
    mod held;
    mod hls;
    mod links;
    mod pages;
    mod players;
    mod renditions;
    mod reports;
    mod rollover;
    mod safety;
    mod scene;
    mod smooth;
    mod tls;
    mod uploads;
    mod xml;
}

mod store {
    mod credentials;
    mod door;
    mod live_objects;
    mod proxies;
    mod tls;
    mod wrong_answers;
}

mod writer {
    mod abort;
    mod copy;
    mod following;
    mod kept;
    mod max_latency;
    mod resume;
    mod rollover;
    mod spool;
}
