//! What people meet at a terminal, and are used to from other tools.

use std::process::{Command, Stdio};

use crate::support::bytes;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, sound};
use crate::support::run::Launch;

const KEY: &str = "live/stream.mp4";

/// Runs a line on a terminal of its own, on which nobody types anything but the end of input; what is to be seen there, and whether it ended well.
fn on_a_terminal(lab: &Lab, line: &str) -> (String, bool) {
    let output = Command::new("script")
        .args(["-qec", line, "/dev/null"])
        .envs(lab.env())
        .current_dir(lab.dir())
        .stdin(Stdio::null())
        .output()
        .expect("script");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[test]
fn an_object_may_be_named_with_its_bucket() {
    let lab = Lab::new();
    let data = bytes(1, 1000);
    let name = format!("s3://{}/{KEY}", crate::support::BUCKET);
    // What the environment names counts less.
    let writer = Launch::writer(&lab, &[&name]).env("BUCKET_NAME", "another").start().end_with(&data).code(0);
    writer.says(&format!("{name} is complete: 1000 bytes (1.0 kB) in 1 part"));
    assert_eq!(lab.object(KEY).as_deref(), Some(data.as_slice()));
    let reader = Launch::reader(&lab, &[&name, "--no-wait"]).env("BUCKET_NAME", "another").start();
    reader.wait().code(0).gave(&data);
    for launch in [Launch::writer, Launch::reader] {
        launch(&lab, &[&name, "-b", "another"]).start().end().code(2).says("leave one of them out");
        launch(&lab, &["s3://bucket"]).start().end().code(2).says("a bucket, a slash and a key");
    }
}

#[test]
fn what_is_no_text_is_kept_from_a_terminal_unless_it_is_asked_for() {
    let lab = Lab::new();
    lab.put("text", "words\n".as_bytes());
    lab.put("film", b"\0\0\0\x18ftyp and so on");
    let reader = env!("CARGO_BIN_EXE_reader");
    let (screen, good) = on_a_terminal(&lab, &format!("{reader} --no-wait -q text"));
    assert!(good && screen.contains("words"), "{screen:?}");
    let (screen, good) = on_a_terminal(&lab, &format!("{reader} --no-wait -q film"));
    assert!(!good && screen.contains("name a FILE") && !screen.contains("and so on"), "{screen:?}");
    let (screen, good) = on_a_terminal(&lab, &format!("{reader} --no-wait -q film -"));
    assert!(good && screen.contains("and so on"), "{screen:?}");
    let (screen, good) = on_a_terminal(&lab, &format!("{reader} --no-wait -q film | cat -v"));
    assert!(good && screen.contains("and so on"), "{screen:?}");
}

#[test]
fn on_a_terminal_no_line_begins_with_a_time_and_the_end_names_the_file() {
    let lab = Lab::new();
    lab.put(KEY, &bytes(2, 2_000_000));
    let (screen, good) = on_a_terminal(&lab, &format!("{} --no-wait {KEY} copy.mp4", env!("CARGO_BIN_EXE_reader")));
    assert!(good && screen.contains("ended: 2000000 bytes (2.0 MB), now copy.mp4"), "{screen:?}");
    assert!(!screen.contains("Z ") && !screen.contains("T0"), "{screen:?}");
}

#[test]
fn whoever_is_waited_for_is_told() {
    let lab = Lab::new();
    let (screen, good) = on_a_terminal(&lab, &format!("{} typed.txt", env!("CARGO_BIN_EXE_writer")));
    assert!(good && screen.contains("reading what is typed here; Ctrl-D ends it"), "{screen:?}");
    std::fs::write(lab.dir().join("rec.mp4"), b"data").expect("a file");
    let writer = lab.writer(&[KEY, "rec.mp4"]);
    writer.wait_for("following rec.mp4 as it grows; Ctrl-C ends that");
    writer.signal("INT");
    writer.wait().code(0);
    lab.writer(&[KEY, "rec.mp4", "--no-follow"]).end().code(0).does_not_say("following");
    // There is a finished object: perhaps that was meant.
    let reader = lab.reader(&[KEY, "--timeout", "500ms"]).wait().code(1);
    reader.says("waiting for an upload").says("a finished object of 4 B is there, which --no-wait reads");
    lab.reader(&["nothing", "--timeout", "500ms"]).wait().code(1).does_not_say("--no-wait reads");
}

#[test]
fn help_has_examples_the_environment_and_where_there_is_more() {
    for launch in [Launch::bare_writer, Launch::bare_reader] {
        let run = launch(&["--help"]).start().end().code(0);
        let help = String::from_utf8_lossy(&run.out).into_owned();
        for part in ["Examples:", "AWS_ACCESS_KEY_ID", "BUCKET_NAME", "Exit code:", "Documentation:"] {
            assert!(help.contains(part), "{part}: {help}");
        }
        let page = launch(&["--man"]).start().end().code(0);
        assert!(String::from_utf8_lossy(&page.out).contains("Examples:"), "the manual page has them, too");
    }
}

#[test]
fn whoever_has_no_credentials_is_told_what_to_set_and_nothing_of_the_sdk() {
    let lab = Lab::new();
    let writer = |args: &[&str]| {
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        keys.iter().fold(Launch::writer(&lab, args), |launch, name| launch.no_env(name)).start().end().code(1)
    };
    let run = writer(&[KEY]).says("no credentials: set AWS_ACCESS_KEY_ID").says(".env (in this directory: not there)");
    run.does_not_say("IMDS").does_not_say("provider").does_not_say("chain");
    writer(&[KEY, "--debug"]).says("DEBUG").says("provider");
    std::fs::write(lab.dir().join(".env"), "AWS_REGION=us-east-1\n").expect("a file");
    writer(&[KEY]).says("in this directory: there, without them");
}

#[test]
fn what_is_live_and_what_is_recorded_is_listed() {
    let lab = Lab::new();
    lab.put("shows/old.mp4", &bytes(3, 2_000_000));
    lab.put("_live/shows/new.mp4/of-others", b"data");
    let live = lab.begin("shows/new.mp4");
    lab.part("shows/new.mp4", &live, 1, &bytes(4, 5_000_000));
    lab.begin_plain("upload.bin");
    let lines = |args: &[&str]| {
        let run = lab.reader(&[&["--list"], args].concat()).wait().code(0);
        String::from_utf8(run.out).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = lines(&[]);
    let wanted = [
        ("live ", "5.0 MB         -  shows/new.mp4"),
        ("recorded ", "2.0 MB         -  shows/old.mp4"),
        ("uploading ", " upload.bin"),
    ];
    assert_eq!(all.len(), wanted.len(), "{all:?}");
    for (line, (begins, ends)) in all.iter().zip(wanted) {
        assert!(line.starts_with(begins) && line.ends_with(ends), "{all:?}");
    }
    for shows in ["shows/".to_owned(), format!("s3://{}/shows/", crate::support::BUCKET)] {
        let keys: Vec<_> =
            lines(&[&shows]).iter().filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect();
        assert_eq!(keys, ["shows/new.mp4", "shows/old.mp4"], "{shows}");
    }
    assert_eq!(lines(&["_live/"]).len(), 1, "asked for by name");
    let json: serde_json::Value = serde_json::from_str(&lines(&["shows/n", "--json"])[0]).expect("JSON");
    assert_eq!(
        (&json["key"], &json["state"], &json["size"]),
        (&"shows/new.mp4".into(), &"live".into(), &5_000_000.into())
    );
    // How long it plays, of what is a fragmented MP4, finished or not.
    let movie = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} {FRAGMENTS}"));
    lab.put("timed/old.mp4", &movie);
    let open = lab.begin("timed/new.mp4");
    lab.part("timed/new.mp4", &open, 1, &movie);
    for (line, state) in lines(&["timed/"]).iter().zip(["live ", "recorded "]) {
        assert!(line.starts_with(state) && line.contains("  0:06  "), "{line}");
    }
    let open = lab.begin("cut.mp4");
    lab.part("cut.mp4", &open, 1, &movie[..movie.len() * 3 / 4 + 100]);
    let cut = &lines(&["cut"])[0];
    assert!(["  0:03  ", "  0:04  "].iter().any(|some| cut.contains(some)), "{cut}");
    let json: serde_json::Value = serde_json::from_str(&lines(&["timed/o", "--json"])[0]).expect("JSON");
    assert_eq!(json["duration"], 6);
    lab.reader(&["--list", "none/"]).wait().code(0).gave(b"").says("there is nothing in s3://");
    lab.reader(&["--list", "a", "key"]).end().code(2);
}
