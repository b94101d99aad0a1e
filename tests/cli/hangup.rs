//! A terminal that is closed, and a standard error that nobody reads any more.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::process::Command;

use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same};
use crate::support::{PART, bytes};

const KEY: &str = "live/stream.mp4";

#[test]
fn a_closed_terminal_makes_the_writer_finish_however_often_it_says_so() {
    let lab = Lab::new();
    let data = bytes(1, PART + 77);
    let mut writer = Launch::writer(&lab, &[KEY, "-s", "5MB"]).with_hangups().start();
    lab.wait_open(KEY);
    writer.write(&data);
    for _ in 0..3 {
        writer.signal("HUP");
    }
    writer.wait().code(0).says("SIGHUP");
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_closed_terminal_ends_the_reader() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, b"data");
    let reader = Launch::reader(&lab, &[KEY]).with_hangups().start();
    reader.wait_output(4);
    reader.signal("HUP");
    reader.wait().code(129).gave(b"data");
}

#[test]
fn under_nohup_a_closed_terminal_means_nothing() {
    let lab = Lab::new();
    let data = bytes(2, 1000);
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_writer")).arg(KEY);
    command.envs(lab.env()).current_dir(lab.dir());
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().expect("nohup");
    lab.wait_open(KEY);
    let status = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
    let mut stdin = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut stdin, &data).expect("it still reads");
    drop(stdin);
    assert!(child.wait().expect("its end").success());
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_standard_error_that_nobody_reads_stops_neither_tool() {
    let lab = Lab::new();
    let data = bytes(3, 2 * PART + 5);
    let (unread, stderr) = pipe().expect("a pipe");
    drop(unread);
    let writer = Launch::writer(&lab, &[KEY, "--debug"]).stderr(stderr.try_clone().expect("a copy")).start();
    writer.end_with(&data).code(0);
    let reader = Launch::reader(&lab, &[KEY, "--no-wait", "--debug"]).stderr(stderr).start();
    reader.end().code(0).gave(&data);
}

/// A pipe that takes nothing any more, and its other end, of which nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (unread, mut stderr) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&stderr, true).expect("a non-blocking pipe");
    for size in [1 << 16, 1] {
        while stderr.write(&vec![b'.'; size]).is_ok() {}
    }
    rustix::io::ioctl_fionbio(&stderr, false).expect("a blocking pipe");
    (unread, stderr)
}

#[test]
fn a_standard_error_that_is_open_and_not_read_stops_neither_tool() {
    let lab = Lab::new();
    let data = bytes(4, 2 * PART + 5);
    let (_unread, stderr) = full_pipe();
    for talk in [&[][..], &["--debug"], &["--log-format", "json", "--debug"]] {
        let stderr = || stderr.try_clone().expect("a copy");
        let writer = Launch::writer(&lab, &[&[KEY][..], talk].concat()).stderr(stderr()).start();
        writer.end_with(&data).code(0);
        let reader = Launch::reader(&lab, &[&[KEY, "--no-wait"], talk].concat()).stderr(stderr()).start();
        reader.end().code(0).gave(&data);
        // A failure, too, ends it.
        Launch::reader(&lab, &[&["nothing", "--no-wait"], talk].concat()).stderr(stderr()).start().end().code(1);
    }
}

#[test]
fn messages_come_once_standard_error_is_read_again_and_the_last_is_among_them() {
    let lab = Lab::new();
    let (mut unread, stderr) = full_pipe();
    let mut writer = Launch::writer(&lab, &[KEY, "--debug"]).stderr(stderr).start();
    lab.wait_open(KEY);
    writer.write(b"data");
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        unread.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    writer.end().code(0);
    let text = reading.join().expect("the reading thread").expect("the messages");
    assert!(
        text.trim_end().lines().last().is_some_and(|line| line.contains("is complete")),
        "{}",
        &text[text.len() - 500..]
    );
}

#[test]
fn messages_that_cannot_be_written_are_no_reason_to_panic() {
    let lab = Lab::new();
    std::fs::write(lab.dir().join(".env"), "not a setting\n").expect("a bad .env");
    for launch in [Launch::writer(&lab, &[KEY]), Launch::reader(&lab, &[KEY])] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        launch.stderr(full).start().end().code(2);
    }
}
