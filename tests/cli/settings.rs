//! `.env` and the environment as they really are: with line ends from Windows, from foreign folders, and cut in two.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::lab::Lab;
use crate::support::run::{Launch, Outcome};
use crate::support::{ACCESS_KEY, BUCKET, SECRET_KEY};

const KEY: &str = "live/stream.mp4";

/// All that it takes, as lines of `.env`.
fn lines(lab: &Lab) -> Vec<String> {
    vec![
        format!("AWS_ENDPOINT_URL={}", lab.endpoint()),
        format!("AWS_ACCESS_KEY_ID={ACCESS_KEY}"),
        format!("AWS_SECRET_ACCESS_KEY={SECRET_KEY}"),
        "AWS_REGION=us-east-1".to_owned(),
        format!("BUCKET_NAME={BUCKET}"),
    ]
}

fn with_dotenv(lab: &Lab, text: &str) -> Outcome {
    fs::write(lab.dir().join(".env"), text).expect("a .env");
    Launch::bare_writer(&[KEY]).cwd(lab.dir()).start().end_with(b"data")
}

#[test]
fn a_file_with_line_ends_of_windows_is_understood() {
    let lab = Lab::new();
    with_dotenv(&lab, &format!("\u{feff}{}\r\n", lines(&lab).join("\r\n"))).code(0);
    let quoted: String =
        lines(&lab).iter().map(|line| format!("export {}\"\r\n", line.replacen('=', "=\"", 1))).collect();
    with_dotenv(&lab, &quoted).code(0);
}

#[test]
fn settings_below_empty_ones_are_taken() {
    let lab = Lab::new();
    with_dotenv(&lab, &format!("BUCKET_NAME=\nAWS_REGION=\n{}\nAWS_PROFILE=\n", lines(&lab).join("\n"))).code(0);
}

#[test]
fn a_foreign_folder_runs_no_program_and_is_told_of() {
    let lab = Lab::new();
    let (config, ran) = (lab.dir().join("config"), lab.dir().join("ran"));
    fs::write(&config, format!("[default]\ncredential_process = touch {}\n", ran.display())).expect("a profile");
    let evil = format!("AWS_CONFIG_FILE={}\nBUCKET_NAME={BUCKET}\nLD_PRELOAD=x\n", config.display());
    fs::write(lab.dir().join(".env"), evil).expect("a .env");
    let run = Launch::bare_writer(&[KEY, "--endpoint-url", lab.endpoint()]).cwd(lab.dir()).start().end().code(1);
    let run = run.says("no credentials").says("AWS_CONFIG_FILE, LD_PRELOAD in .env");
    assert_eq!(run.count("WARN"), 1, "{}", run.state());
    assert!(!ran.exists(), "the program of a foreign folder has run");
}

#[test]
fn the_environment_is_not_read_out_by_a_foreign_folder() {
    let lab = Lab::new();
    fs::write(lab.dir().join(".env"), "BUCKET_NAME=${PRIVATE}x\n").expect("a .env");
    let run = Launch::bare_writer(&[KEY]).cwd(lab.dir()).env("PRIVATE", "very-private").start().end();
    run.code(1).does_not_say("very-private");
}

#[test]
fn what_is_no_regular_file_of_moderate_size_is_wrong_usage_at_once() {
    let lab = Lab::new();
    let dotenv = lab.dir().join(".env");
    let refused = |says: &str| {
        for launch in [Launch::bare_writer(&[KEY]), Launch::bare_reader(&[KEY])] {
            launch.cwd(lab.dir()).start().end().code(2).says(".env").says(says);
        }
        fs::remove_file(&dotenv).expect("to take it away");
    };
    assert!(Command::new("mkfifo").arg(&dotenv).status().expect("mkfifo").success());
    refused("regular file");
    symlink("/dev/zero", &dotenv).expect("a link");
    refused("regular file");
    drop(std::os::unix::net::UnixListener::bind(&dotenv).expect("a socket"));
    refused("regular file");
    fs::write(&dotenv, "#".repeat(65 * 1024)).expect("a .env");
    refused("65536 bytes");
    fs::write(&dotenv, b"BUCKET_NAME=\xff\n").expect("a .env");
    refused("UTF-8");
}

#[test]
fn line_ends_in_the_environment_are_no_panic_and_no_failure() {
    let lab = Lab::new();
    for end in ["\n", "\r\n", "\r"] {
        let mut launch = Launch::writer(&lab, &[KEY]).env("AWS_SESSION_TOKEN", end).env("AWS_PROFILE", end);
        for line in lines(&lab) {
            let (name, value) = line.split_once('=').expect("a setting");
            launch = launch.env(name, format!("{value}{end}"));
        }
        launch.start().end_with(b"data").code(0);
    }
}

#[test]
fn what_could_never_be_sent_is_told_at_once() {
    let lab = Lab::new();
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"];
    for name in names {
        for value in ["sec\nret", "sec\r\nret"] {
            let run = Launch::writer(&lab, &[KEY]).env(name, value).start().end().code(2).says(name);
            run.does_not_say("sec").does_not_say("ret\n");
        }
    }
    for region in ["us east", "us/east", "us,east"] {
        Launch::writer(&lab, &[KEY]).env("AWS_REGION", region).start().end().code(1).says("AWS_REGION");
    }
    for (option, value) in [("--content-type", "a\nb"), ("--bucket", "a\nb"), ("--content-type", "\u{e9}\u{7f}")] {
        let run = Launch::writer(&lab, &[KEY, option, value, "--retry-timeout", "1ms"]).start().end_with(b"data");
        assert!(matches!(run.code, Some(1 | 2)), "{}", run.state());
        assert!(!run.err.contains("panicked"), "{}", run.state());
    }
    for name in ["AWS_EXECUTION_ENV", "AWS_SDK_UA_APP_ID"] {
        for value in ["a b\u{e9}", "x\u{1}"] {
            let run = Launch::writer(&lab, &[KEY, "--retry-timeout", "1ms"]).env(name, value).start().end_with(b"data");
            assert!(!run.err.contains("panicked"), "{}", run.state());
        }
    }
}

#[test]
fn line_ends_in_the_shared_files_are_no_panic_and_no_failure() {
    let lab = Lab::new();
    let keys = lab.dir().join("keys");
    let text = format!(
        "[default]\r\naws_access_key_id = {ACCESS_KEY}\r\naws_secret_access_key = {SECRET_KEY}\r\nregion = us-east-1\r\n"
    );
    fs::write(&keys, text).expect("a file");
    let run =
        Launch::writer(&lab, &[KEY]).no_env("AWS_ACCESS_KEY_ID").no_env("AWS_SECRET_ACCESS_KEY").no_env("AWS_REGION");
    run.env("AWS_SHARED_CREDENTIALS_FILE", &keys).start().end_with(b"data").code(0);
}

#[test]
fn endpoints_that_can_never_work_are_told_at_once_and_show_no_password() {
    let lab = Lab::new();
    let port = lab.endpoint().rsplit_once(':').expect("a port").1;
    for url in [
        "http://127.0.0.1:99999".to_owned(),
        format!("http://127.0.0.1:{port}/?secret=1"),
        format!("http://user:secret@127.0.0.1:{port}"),
        format!("minio:{port}"),
        "https://a..b".to_owned(),
    ] {
        for typed in [true, false] {
            let launch = Launch::writer(&lab, &[KEY]);
            let args = [KEY, "--endpoint-url", &url];
            let launch = if typed { Launch::writer(&lab, &args) } else { launch.env("AWS_ENDPOINT_URL", &url) };
            let run =
                launch.start().end().code(1).says("https://s3.us-west-004.backblazeb2.com").does_not_say("secret");
            assert_eq!(run.count("ERROR"), 1, "{}", run.state());
        }
    }
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn an_endpoint_without_a_scheme_is_understood() {
    let lab = Lab::new();
    let bare = lab.endpoint().trim_start_matches("http://");
    Launch::writer(&lab, &[KEY]).env("AWS_ENDPOINT_URL", bare).start().end_with(b"data").code(0);
    Launch::writer(&lab, &[KEY, "--endpoint-url", bare]).start().end_with(b"data").code(0);
    let only_s3 = Launch::writer(&lab, &[KEY]).env("AWS_ENDPOINT_URL", "https://nowhere.example.test");
    only_s3.env("AWS_ENDPOINT_URL_S3", bare).start().end_with(b"data").code(0);
}

#[test]
fn the_messages_of_the_sdk_are_shown_by_both_names() {
    let lab = Lab::new();
    for option in ["--debug-sdk", "--debug-boto"] {
        let run = lab.writer(&[KEY, option]).end_with(b"data").code(0).does_not_say(SECRET_KEY);
        assert!(run.count("DEBUG") > 3, "{}", run.state());
    }
}
