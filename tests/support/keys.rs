//! Stream keys for the tests of many streams, and a writer that listens for them.

use super::lab::Lab;
use super::run::{Launch, Run};

/// Where each recording goes.
pub const TEMPLATE: &str = "live/{stream}/{n}-{start}.mp4";

/// Makes a stream; gives its key.
#[track_caller]
pub fn add_key(place: &str, name: &str) -> String {
    add_key_of(place, name, &[])
}

/// The same with what the stream has of its own.
#[track_caller]
pub fn add_key_of(place: &str, name: &str, own: &[&str]) -> String {
    let args = [&["--keys", place, "--add-key", name][..], own].concat();
    let printed = Launch::bare_writer(&args).start().wait().code(0).out;
    String::from_utf8(printed).expect("text").trim_end().to_owned()
}

/// The id of a stream.
#[track_caller]
pub fn id_of(place: &str, name: &str) -> String {
    let printed = Launch::bare_writer(&["--keys", place, "--list-keys"]).start().wait().code(0).out;
    let list = String::from_utf8(printed).expect("text");
    let line = list.lines().find(|line| line.split("  ").nth(1) == Some(name)).expect(name);
    line.split("  ").next().expect("an id").to_owned()
}

/// A writer of many streams, with the URL of its application.
pub fn listening(lab: &Lab, place: &str, more: &[&str]) -> (Run, String) {
    let writer = lab.writer(&[&[TEMPLATE, "rtmp://127.0.0.1:0/live", "--keys", place][..], more].concat());
    let said = writer.wait_for("listening at ");
    let url = said.split("listening at ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a URL");
    let url = url.to_owned();
    (writer, url)
}

/// The objects of a stream.
pub fn objects_of(lab: &Lab, name: &str) -> Vec<String> {
    let of = format!("live/{name}/");
    lab.keys().into_iter().filter(|key| key.starts_with(&of) && key.ends_with(".mp4")).collect()
}

/// A file of keys in the directory of the lab.
pub fn place(lab: &Lab) -> String {
    lab.dir().join("keys.db").display().to_string()
}
