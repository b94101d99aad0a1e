//! Stream keys from the command line: no store is needed, and a key is printed once.

use crate::support::redis::Redis;
use crate::support::run::{Launch, Outcome};

fn keys(args: &[&str]) -> Outcome {
    Launch::bare_writer(args).start().wait()
}

/// What is printed, which is one key.
#[track_caller]
fn key_of(outcome: Outcome) -> String {
    let printed = String::from_utf8(outcome.code(0).out).expect("text");
    let key = printed.trim_end().to_owned();
    assert!(key.starts_with("lr_") && key.len() == 25 && printed == format!("{key}\n"), "{printed}");
    key
}

/// The fields of the only line of the list.
#[track_caller]
fn only_line(place: &str) -> Vec<String> {
    let list = String::from_utf8(keys(&["--keys", place, "--list-keys"]).code(0).out).expect("text");
    assert_eq!(list.lines().count(), 1, "{list}");
    list.trim_end().split("  ").map(str::to_owned).collect()
}

/// Makes a stream, exchanges its key and takes it away.
#[track_caller]
fn goes_its_way(place: &str) {
    let first = key_of(keys(&["--keys", place, "--add-key", "cam-1"]));
    let line = only_line(place);
    assert_eq!((line[1].as_str(), line[2].as_str()), ("cam-1", format!("{}… for ever", &first[..6]).as_str()));
    let id = line[0].as_str();
    keys(&["--keys", place, "--add-key", "cam-1"]).code(1).says(id).does_not_say(&first);
    let second = key_of(keys(&["--keys", place, "--rotate-key", id, "--expires", "2099-01-01T00:00:00Z"]));
    assert_ne!(first, second);
    let line = only_line(place);
    assert!(line[2].contains("… until 2099-01-01T00:00:00Z") && line[2].matches('…').count() == 2, "{line:?}");
    keys(&["--keys", place, "--revoke-key", id]).code(0).says("nobody can publish");
    keys(&["--keys", place, "--revoke-key", id]).code(1).says("there is no stream");
    assert!(keys(&["--keys", place, "--list-keys"]).code(0).says("--add-key").out.is_empty());
}

#[test]
fn keys_are_made_exchanged_and_revoked_without_a_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("keys.db");
    let place = file.to_str().expect("a path");
    keys(&["--keys", place, "--list-keys"]).code(1).says("there is no such file");
    goes_its_way(place);
    for wrong in [
        &["--add-key", "cam"][..],
        &["--keys", place, "--add-key", "cam", "--list-keys"],
        &["--keys", place, "--add-key", "../cam"],
        &["--keys", place, "--list-keys", "--expires", "2099-01-01T00:00:00Z"],
        &["--keys", place, "--add-key", "cam", "--expires", "soon"],
        &["--keys", "redis://:s3cret@:x/", "--list-keys"],
    ] {
        keys(wrong).code(2).does_not_say("s3cret");
    }
    keys(&["--keys", "/nonexistent/keys.db", "--add-key", "cam"]).code(1).says("/nonexistent/keys.db");
}

#[test]
fn many_at_once_wait_for_one_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("keys.db");
    let place = file.to_str().expect("a path");
    let names: Vec<_> = (0..8).map(|number| format!("cam-{number}")).collect();
    let adding: Vec<_> =
        names.iter().map(|name| Launch::bare_writer(&["--keys", place, "--add-key", name]).start()).collect();
    for run in adding {
        key_of(run.wait());
    }
    let list = String::from_utf8(keys(&["--keys", place, "--list-keys"]).code(0).out).expect("text");
    assert!(names.iter().all(|name| list.contains(name.as_str())) && list.lines().count() == 8, "{list}");
}

#[test]
fn a_redis_keeps_them_for_several_machines() {
    let Some(redis) = Redis::start() else { return };
    let place = redis.url();
    goes_its_way(&place);
    let adding: Vec<_> = (0..4)
        .map(|number| Launch::bare_writer(&["--keys", &place, "--add-key", &format!("cam-{number}")]).start())
        .collect();
    for run in adding {
        key_of(run.wait());
    }
    assert_eq!(String::from_utf8_lossy(&keys(&["--keys", &place, "--list-keys"]).code(0).out).lines().count(), 4);
    let wrong = place.replace("s3cret", "wr0ng");
    keys(&["--keys", &wrong, "--list-keys"]).code(1).says("cannot be read").does_not_say("wr0ng");
    drop(redis);
    keys(&["--keys", &place, "--list-keys"]).code(1).says("redis://127.0.0.1").does_not_say("s3cret");
}
