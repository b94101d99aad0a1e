//! What people type and set: usage errors, where settings come from, and how messages are written.

use std::fs;

use crate::support::lab::Lab;
use crate::support::liar::{Answer, Liar};
use crate::support::run::{Launch, Outcome};
use crate::support::{ACCESS_KEY, BUCKET, SECRET_KEY, bytes};

const KEY: &str = "live/stream.mp4";

/// Both tools with these arguments are wrong usage, and say this.
fn both_refuse(args: &[&str], says: &[&str]) {
    refuses(Launch::bare_writer(&[args, &["-b", BUCKET]].concat()), says);
    refuses(Launch::bare_reader(&[args, &["-b", BUCKET]].concat()), says);
}

fn writer_refuses(args: &[&str], says: &[&str]) {
    refuses(Launch::bare_writer(&[&[KEY, "-b", BUCKET], args].concat()), says);
}

fn reader_refuses(args: &[&str], says: &[&str]) {
    refuses(Launch::bare_reader(&[&[KEY, "-b", BUCKET], args].concat()), says);
}

fn refuses(launch: Launch, says: &[&str]) {
    let run = launch.start().end().code(2).gave(b"");
    says.iter().fold(run, |run, text| run.says(text));
}

#[test]
fn a_missing_key_is_wrong_usage() {
    both_refuse(&[], &["KEY"]);
}

#[test]
fn an_empty_or_too_long_key_is_wrong_usage_that_names_the_limit() {
    both_refuse(&[""], &["cannot be empty"]);
    both_refuse(&["  "], &["blanks"]);
    both_refuse(&[&"k".repeat(1025)], &["1024"]);
    both_refuse(&[&"ü".repeat(513)], &["1024"]);
}

#[test]
fn a_key_of_the_longest_length_works() {
    let lab = Lab::new();
    let key = "k".repeat(1024);
    lab.writer(&[&key]).end_with(b"data").code(0);
    lab.reader(&[&key, "--no-wait"]).wait().code(0).gave(b"data");
}

#[test]
fn part_sizes_outside_the_limits_are_wrong_usage_that_names_the_limits() {
    for option in ["-s", "--part-size", "--chunk-size", "--chunk_size"] {
        for size in ["4999999", "0", "1", "4.9MB", "5368709121", "5.1GiB", "6GB", "9223372036854775807"] {
            writer_refuses(&[option, size], &["5000000", "5368709120"]);
        }
    }
}

#[test]
fn sizes_that_are_none_are_wrong_usage_that_shows_how_they_are_written() {
    for size in ["", "MB", "5XB", "five", "1e9", "99999999999999999999", "5..5MB", "0x500000", "٥MB", "NaN", "infMB"] {
        writer_refuses(&["-s", size], &["5242880, 5MB or 5MiB"]);
        reader_refuses(&["--chunk-size", size], &["5242880, 5MB or 5MiB"]);
    }
    for option in ["-s=-5MB", "--part-size=-5MB"] {
        writer_refuses(&[option], &["5242880, 5MB or 5MiB"]);
    }
}

#[test]
fn the_largest_part_size_is_understood() {
    let lab = Lab::new();
    // It is more than the machine may have, so that any code but that of wrong usage will do; the bucket is not there.
    let run = lab.writer(&[KEY, "-s", "5GiB", "-c", "1", "-b", "no-such-bucket"]).end();
    run.code(1).says("NoSuchBucket");
}

#[test]
fn chunks_outside_the_limits_are_wrong_usage() {
    reader_refuses(&["--chunk-size", "0"], &["at least 1 byte"]);
    reader_refuses(&["--chunk-size", "5368709121"], &["at most 5 GiB"]);
}

#[test]
fn counts_outside_the_limits_are_wrong_usage_that_names_the_limits() {
    for count in ["0", "257", "-1", "x", "1.5", "", "99999999999999999999"] {
        writer_refuses(&[&format!("--concurrency={count}")], &["concurrency"]);
        reader_refuses(&[&format!("--queue-size={count}")], &["queue-size"]);
    }
    writer_refuses(&["--concurrency=0"], &["1..=256"]);
    reader_refuses(&["--queue-size=257"], &["1..=256"]);
}

#[test]
fn durations_that_are_none_are_wrong_usage_that_shows_how_they_are_written() {
    for duration in ["", "s", "-1", "1y", "inf", "nan", "99999999999", "1 2", "soon"] {
        for option in ["--poll-interval", "--interval"] {
            writer_refuses(&[&format!("{option}={duration}")], &["0.5, 500ms, 2m or 1h"]);
        }
        for option in ["--poll-interval", "--timeout"] {
            reader_refuses(&[&format!("{option}={duration}")], &["0.5, 500ms, 2m or 1h"]);
        }
    }
    writer_refuses(&["--poll-interval", "0"], &["at least 1ms"]);
    reader_refuses(&["--poll-interval", "0.0005"], &["at least 1ms"]);
    reader_refuses(&["--timeout", "0"], &["at least 1ms"]);
}

#[test]
fn words_that_are_none_are_wrong_usage_that_names_the_right_ones() {
    reader_refuses(&["--by", "line"], &["range", "part"]);
    both_refuse(&[KEY, "--log-format", "xml"], &["text", "json"]);
    both_refuse(&[KEY, "--no-such-option"], &["--no-such-option"]);
    both_refuse(&[KEY, "file", "one-too-many"], &["one-too-many"]);
}

#[test]
fn options_of_the_one_tool_are_wrong_usage_of_the_other() {
    writer_refuses(&["--by", "part"], &["--by"]);
    writer_refuses(&["--anon"], &["--anon"]);
    reader_refuses(&["--check"], &["--check"]);
    reader_refuses(&["--part-size", "5MB"], &["--part-size"]);
}

#[test]
fn no_bucket_is_wrong_usage_that_says_where_it_goes() {
    for launch in [Launch::bare_writer(&[KEY]), Launch::bare_reader(&[KEY]), Launch::bare_writer(&["--check"])] {
        refuses(launch, &["--bucket", "BUCKET_NAME", ".env"]);
    }
    refuses(Launch::bare_writer(&[KEY]).env("BUCKET_NAME", ""), &["--bucket"]);
    refuses(Launch::bare_reader(&[KEY, "-b", ""]), &["--bucket"]);
    refuses(Launch::bare_reader(&[KEY, "-b", "bucket/key"]), &["is not a bucket name"]);
}

#[test]
fn an_endpoint_that_is_no_url_is_a_failure_that_shows_one() {
    let lab = Lab::new();
    for url in ["10.0.0.7:9000", "ftp://host", "http://", "", "nonsense", "https:// x"] {
        for launch in [Launch::writer, Launch::reader] {
            let run = launch(&lab, &[KEY, "--endpoint-url", url]).start().end();
            assert!(matches!(run.code, Some(1 | 2)), "{}", run.state());
            assert!(!run.err.contains("panicked"), "{}", run.state());
            assert!(run.err.contains("https://s3.us-west-004.backblazeb2.com"), "{}", run.state());
        }
    }
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn a_bucket_name_that_cannot_be_is_a_failure_and_no_panic() {
    let lab = Lab::new();
    for bucket in ["No_Such Bucket!", "..", "x", "ünï", "a\"b", "-"] {
        for launch in [Launch::writer, Launch::reader] {
            let run = launch(&lab, &[KEY, &format!("--bucket={bucket}")]).start().end();
            assert!(matches!(run.code, Some(1 | 2)), "{}", run.state());
            assert!(!run.err.contains("panicked"), "{}", run.state());
        }
    }
}

#[test]
fn arguments_that_are_not_text_are_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    for binary in [env!("CARGO_BIN_EXE_writer"), env!("CARGO_BIN_EXE_reader")] {
        let mut command = std::process::Command::new(binary);
        command.env_clear().arg(std::ffi::OsStr::from_bytes(b"\xff\xfe")).args(["-b", BUCKET]);
        let output = command.output().expect("the tool");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(!words.contains("panicked"), "{words}");
        let mut command = std::process::Command::new(binary);
        command.env_clear().env("BUCKET_NAME", std::ffi::OsStr::from_bytes(b"\xff")).arg(KEY);
        let output = command.output().expect("the tool");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(!words.contains("panicked"), "{words}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for launch in [Launch::bare_writer, Launch::bare_reader] {
        for option in ["--help", "-h"] {
            let run = launch(&[option]).start().end().code(0);
            let text = String::from_utf8_lossy(&run.out).into_owned();
            assert!(text.contains("Usage:") && text.contains("KEY") && text.contains("FILE"), "{text}");
            assert_eq!(run.err, "");
        }
        let run = launch(&["--version"]).start().end().code(0);
        assert!(String::from_utf8_lossy(&run.out).contains(env!("CARGO_PKG_VERSION")), "{}", run.state());
    }
}

#[test]
fn manual_pages_and_completions_are_printed_without_a_bucket_or_a_key() {
    for (launch, name) in [(Launch::bare_writer as fn(&[&str]) -> Launch, "writer"), (Launch::bare_reader, "reader")] {
        let page = launch(&["--man"]).start().end().code(0);
        let text = String::from_utf8_lossy(&page.out).into_owned();
        assert!(text.contains(&format!(".TH {name} 1")) && text.contains("poll"), "{text}");
        for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
            let run = launch(&["--completions", shell]).start().end().code(0);
            let text = String::from_utf8_lossy(&run.out).into_owned();
            assert!(text.contains(mark) && text.contains(name) && run.err.is_empty(), "{text}");
        }
        let set = launch(&["--man"]).env("BUCKET_NAME", "in-the-environment").start().end().code(0);
        assert!(!String::from_utf8_lossy(&set.out).contains("in-the-environment"));
        launch(&["--man", "live.mp4"]).start().end().code(2);
    }
}

/// A lab whose settings are in `.env` in the directory where the tools start, and nowhere else.
fn dotenv(lab: &Lab, bucket: &str) {
    let lines = [
        ("AWS_ENDPOINT_URL", lab.endpoint()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
        ("BUCKET_NAME", bucket),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(lab.dir().join(".env"), text).expect("a .env");
}

fn bare_writer(lab: &Lab, args: &[&str]) -> Launch {
    Launch::bare_writer(args).cwd(lab.dir())
}

fn finish(launch: Launch) -> Outcome {
    launch.start().end_with(b"data")
}

#[test]
fn settings_are_taken_from_a_file_in_the_working_directory() {
    let lab = Lab::new();
    dotenv(&lab, BUCKET);
    finish(bare_writer(&lab, &[KEY])).code(0).says("s3://bucket/");
    let reader = Launch::bare_reader(&[KEY, "--no-wait"]).cwd(lab.dir()).start().end();
    reader.code(0).gave(b"data");
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let lab = Lab::new();
    dotenv(&lab, "from-the-file");
    finish(bare_writer(&lab, &[KEY])).code(1).says("s3://from-the-file/");
    let from_environment = || bare_writer(&lab, &[KEY]).env("BUCKET_NAME", "from-the-environment");
    finish(from_environment()).code(1).says("s3://from-the-environment/");
    finish(bare_writer(&lab, &[KEY, "-b", BUCKET]).env("BUCKET_NAME", "from-the-environment")).code(0);

    let nowhere = "http://127.0.0.1:9";
    let run = bare_writer(&lab, &[KEY, "-b", BUCKET, "--retry-timeout", "1ms"]).env("AWS_ENDPOINT_URL", nowhere);
    finish(run).code(1).says("AWS_ENDPOINT_URL");
    let args = [KEY, "-b", BUCKET, "--endpoint-url", lab.endpoint()];
    finish(bare_writer(&lab, &args).env("AWS_ENDPOINT_URL", nowhere)).code(0);
}

#[test]
fn an_endpoint_for_s3_alone_is_taken_from_the_environment_too() {
    let lab = Lab::new();
    dotenv(&lab, BUCKET);
    let run = bare_writer(&lab, &[KEY]).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    finish(run.env("AWS_ENDPOINT_URL_S3", lab.endpoint())).code(0);
}

#[test]
fn a_profile_of_the_shared_files_is_taken() {
    let lab = Lab::new();
    let (config, keys) = (lab.dir().join("config"), lab.dir().join("keys"));
    let endpoint = lab.endpoint();
    fs::write(&config, format!("[profile other]\nregion = us-east-1\nendpoint_url = {endpoint}\n")).expect("a file");
    let secrets = format!("[other]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    fs::write(&keys, secrets).expect("a file");
    let run = bare_writer(&lab, &[KEY, "-b", BUCKET]).env("AWS_PROFILE", "other");
    finish(run.env("AWS_CONFIG_FILE", &config).env("AWS_SHARED_CREDENTIALS_FILE", &keys)).code(0);
}

#[test]
fn a_file_of_settings_that_cannot_be_understood_is_wrong_usage_that_does_not_show_it() {
    let lab = Lab::new();
    fs::write(lab.dir().join(".env"), "AWS_SECRET_ACCESS_KEY=\"secret-without-an-end\nBUCKET_NAME").expect("a .env");
    for launch in [Launch::bare_writer(&[KEY]), Launch::bare_reader(&[KEY])] {
        let run = launch.cwd(lab.dir()).start().end().code(2).gave(b"").says(".env");
        run.does_not_say("secret-without");
    }
}

#[test]
fn a_file_of_settings_that_cannot_be_read_is_wrong_usage() {
    let lab = Lab::new();
    fs::create_dir(lab.dir().join(".env")).expect("a directory");
    for launch in [Launch::bare_writer(&[KEY]), Launch::bare_reader(&[KEY])] {
        launch.cwd(lab.dir()).start().end().code(2).gave(b"").says(".env");
    }
}

#[test]
fn messages_are_lines_of_json_if_asked() {
    let lab = Lab::new();
    let talk = ["--log-format", "json", "--debug"];
    let data = bytes(1, 1000);
    let runs = [
        lab.writer(&[&[KEY][..], &talk].concat()).end_with(&data).code(0),
        lab.reader(&[&[KEY, "--no-wait"][..], &talk].concat()).wait().code(0).gave(&data),
        lab.reader(&[&["nothing", "--no-wait"][..], &talk].concat()).wait().code(1),
        lab.writer(&[&[KEY, "no-such-file"][..], &talk].concat()).wait().code(1),
        lab.writer(&[&[KEY, "-b", "no/bucket"][..], &talk].concat()).wait().code(2),
        lab.writer(&[&["--check"][..], &talk].concat()).wait().code(0),
    ];
    for run in runs {
        assert!(!run.err.is_empty(), "{}", run.state());
        for line in run.err.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", run.state()));
            assert!(value["message"].is_string() && value["level"].is_string(), "{line}");
        }
    }
}

#[test]
fn start_and_end_are_said_in_a_line_each_and_debug_says_more() {
    let lab = Lab::new();
    let data = bytes(2, 1000);
    // The start, how it can be read live, the end; and of a quiet one nothing.
    for (quiet, written, read) in [(&[][..], 3, 2), (&["--quiet"], 0, 0), (&["-q"], 0, 0)] {
        let writer = lab.writer(&[&[KEY], quiet].concat()).end_with(&data).code(0).gave(b"");
        assert_eq!(writer.err.lines().count(), written, "{}", writer.state());
        let reader = lab.reader(&[&[KEY, "--no-wait"], quiet].concat()).wait().code(0).gave(&data);
        assert_eq!(reader.err.lines().count(), read, "{}", reader.state());
        // No status line where nobody looks at a terminal.
        assert!(!writer.err.contains('\r') && !reader.err.contains('\x1b'), "{}", writer.state());
    }
    lab.reader(&["nothing", "--no-wait", "-q"]).wait().code(1).says("ERROR").says("there is no open upload");
    let writer = lab.writer(&[KEY, "--debug"]).end_with(&data).code(0);
    writer.says("DEBUG").says("part=1").says("bytes=1000");
    let reader = lab.reader(&["later", "--debug", "--timeout", "500ms"]).wait().code(1);
    assert!(reader.err.lines().count() >= 2, "{}", reader.state());
}

#[test]
fn the_filter_for_messages_in_the_environment_is_honoured() {
    let lab = Lab::new();
    let run = |filter: &str| Launch::writer(&lab, &[KEY]).env("RUST_LOG", filter).start().end_with(b"data").code(0);
    assert_eq!(run("off").err, "");
    run("live_read=debug").says("DEBUG");
    // One that cannot be understood is as good as none.
    run("=!=,[").says("is complete");
}

#[test]
fn what_a_store_says_forges_no_line_and_is_cut() {
    let lab = Lab::new();
    let message = format!("no&#10;2026-01-01T00:00:00Z  INFO forged {}", "x".repeat(200_000));
    let liar = Liar::start(move |_| Answer::error(403, "AccessDenied", &message));
    for format in ["text", "json"] {
        let args = [KEY, "--endpoint-url", liar.endpoint(), "--log-format", format];
        for launch in [Launch::writer, Launch::reader] {
            let run = launch(&lab, &args).start().end().code(1).says("AccessDenied");
            assert!(!run.err.lines().any(|line| line.starts_with("2026-01-01")), "{}", &run.err[..1000]);
            assert!(run.err.len() < 40_000, "{} bytes", run.err.len());
        }
    }
}

#[test]
fn a_secret_is_masked_wherever_it_would_stand_in_a_message() {
    let lab = Lab::new();
    // A person who takes the one for the other puts the secret where the key belongs.
    for format in ["text", "json"] {
        let run = lab.writer(&[SECRET_KEY, "--log-format", format, "--debug"]).end_with(b"data").code(0);
        run.says("s3://bucket/***").does_not_say(SECRET_KEY);
        let run = lab.reader(&[SECRET_KEY, "--no-wait", "--log-format", format]).wait().code(0).gave(b"data");
        run.says("s3://bucket/***").does_not_say(SECRET_KEY);
    }
}

#[test]
fn a_terminal_gets_a_status_line_unless_it_is_to_be_quiet() {
    let lab = Lab::new();
    lab.put(KEY, b"data");
    // Slow enough for the line to be drawn a second time: a message that comes at once may take the place of the first.
    let slow = serde_json::json!([{ "operation": "GetObject", "delay_ms": 700 }]);
    for (quiet, drawn) in [("", true), ("--quiet", false), ("2>messages", false)] {
        lab.faults(&slow);
        let line = format!("{} {KEY} copy --no-wait {quiet}", env!("CARGO_BIN_EXE_reader"));
        let output = std::process::Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .envs(lab.env())
            .current_dir(lab.dir())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("script");
        let screen = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{screen}");
        assert_eq!(screen.contains("catching up"), drawn, "{quiet}: {screen:?}");
        if drawn {
            // The end stands on a line of its own.
            let end = screen.rsplit("\r\x1b[K").next().expect("text");
            assert!(end.contains("ended: 4 bytes") && !end.contains("catching up"), "{screen:?}");
        }
    }
}
