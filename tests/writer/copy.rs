//! `writer` alone: what it takes, what it sends, and what it says when that does not work.

use std::fs::{self, File};
use std::process::Stdio;

use crate::support::lab::Lab;
use crate::support::media::{FRAGMENTS, H264, make, picture};
use crate::support::run::{Launch, assert_same, await_that};
use crate::support::wire::Wire;
use crate::support::{PART, bytes, http_full};

const KEY: &str = "live/stream.mp4";
const OBJECT: &str = "s3://bucket/live/stream.mp4";

#[test]
fn the_upload_begins_before_the_first_byte_of_input() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY]);
    let id = lab.wait_open(KEY);
    writer.wait_for(&id);
    writer.end().code(0);
}

#[test]
fn a_part_is_uploaded_when_it_is_full_and_not_before() {
    let lab = Lab::new();
    let data = bytes(1, 2 * PART);
    let mut writer = lab.writer(&[KEY, "-s", "5000000"]);
    let id = lab.wait_open(KEY);
    writer.write(&data[..PART - 1]);
    // Whatever is sent too early would be on its way before the next request is answered.
    await_that("the look at Live Read", || lab.count(true, "GetObject", "416") == 1);
    assert!(lab.parts(KEY, &id).is_empty(), "{}", writer.messages());
    writer.write(&data[PART - 1..PART]);
    lab.wait_parts(KEY, &id, 1);
    assert_eq!(lab.parts(KEY, &id), vec![5_000_000]);
    writer.write(&data[PART..]);
    writer.end().code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn the_default_part_size_is_five_mebibytes_and_units_are_understood() {
    let lab = Lab::new();
    let cases: [(&[&str], usize); 4] = [
        (&[], 5_242_880),
        (&["--chunk-size", "5MB"], 5_000_000),
        (&["--chunk_size", "5.5MB"], 5_500_000),
        (&["-s", "6MiB", "-c", "1"], 6_291_456),
    ];
    for (options, size) in cases {
        let mut writer = lab.writer(&[&[KEY], options].concat());
        let id = lab.wait_open(KEY);
        writer.write(&bytes(2, size + 1));
        lab.wait_parts(KEY, &id, 1);
        assert_eq!(lab.parts(KEY, &id), vec![size as i64]);
        writer.end().code(0);
    }
}

#[test]
fn standard_input_may_be_a_file() {
    let lab = Lab::new();
    let data = bytes(3, PART + 10);
    fs::write(lab.dir().join("input"), &data).expect("a file");
    let input = File::open(lab.dir().join("input")).expect("the file");
    Launch::writer(&lab, &[KEY, "-"]).stdin(input).start().wait().code(0).gave(b"");
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn standard_input_may_be_nothing() {
    let lab = Lab::new();
    Launch::writer(&lab, &[KEY]).stdin(Stdio::null()).start().wait().code(0).says("no input at all");
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn standard_input_may_be_closed() {
    let lab = Lab::new();
    let binary = env!("CARGO_BIN_EXE_writer");
    let output = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" \"$1\" <&-", binary, KEY])
        .envs(lab.env())
        .current_dir(lab.dir())
        .output()
        .expect("sh");
    let words = String::from_utf8_lossy(&output.stderr);
    // The language's runtime puts /dev/null in the place of a closed descriptor.
    assert!(!words.contains("panicked"), "{words}");
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert_eq!(lab.all_open(), vec![], "{words}");
}

#[test]
fn a_directory_on_standard_input_is_a_failure() {
    let lab = Lab::new();
    let directory = File::open(lab.dir()).expect("the directory");
    Launch::writer(&lab, &[KEY]).stdin(directory).start().wait().failed_with_one_message("directory");
    assert_eq!(lab.all_open(), vec![]);
}

#[test]
fn the_content_type_goes_by_the_key_or_is_as_asked() {
    let lab = Lab::new();
    let cases: [(&[&str], &str); 3] = [
        (&["a.mp4"], "content-type: video/mp4\r\n"),
        (&["b.ts"], "content-type: video/mp2t\r\n"),
        (&["c.mp4", "--content-type", "x/y"], "content-type: x/y\r\n"),
    ];
    for (args, wanted) in cases {
        Launch::writer(&lab, &[args, &["-b", "public-bucket"]].concat()).start().end_with(b"data").code(0);
        let path = format!("/public-bucket/{}", args[0]);
        let (status, head, body) = http_full(lab.endpoint(), "GET", &path, &[], &[]);
        assert_eq!((status, &body[..]), (200, &b"data"[..]));
        assert!(head.contains(wanted), "{head}");
    }
}

#[test]
fn requests_carry_the_live_read_headers_and_none_of_the_checksums_that_backblaze_refuses() {
    let lab = Lab::new();
    let wire = Wire::before(lab.endpoint());
    let mut writer = Launch::writer(&lab, &[KEY, "-s", "5000000", "--endpoint-url", wire.endpoint()])
        .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
        .env("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported")
        .start();
    let data = bytes(4, PART + 1);
    writer.write(&data);
    let reader = Launch::reader(&lab, &[KEY, "--endpoint-url", wire.endpoint()])
        .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
        .env("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported")
        .start();
    reader.wait_output(PART);
    writer.end().code(0);
    reader.wait().code(0).gave(&data);

    let heads = wire.heads();
    let all = heads.join("\n\n");
    for refused in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-", "x-amz-trailer", "aws-chunked", "-trailer"] {
        assert!(!all.contains(refused), "{refused} in\n{all}");
    }
    let begin = heads.iter().find(|head| head.starts_with("post ") && head.contains("uploads")).expect("a start");
    assert!(begin.contains("x-backblaze-live-read-enabled: true"), "{begin}");
    assert!(begin.contains("x-backblaze-live-read-part-size: 5000000"), "{begin}");
    let parts: Vec<&String> = heads.iter().filter(|head| head.starts_with("put ")).collect();
    assert_eq!(parts.len(), 2, "{all}");
    for part in parts {
        let signed = part.lines().find_map(|line| line.strip_prefix("x-amz-content-sha256: ")).expect("a hash");
        let verified = signed.len() == 64 && signed.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(verified != part.contains("content-md5"), "a part is to be verified by exactly one hash: {part}");
        assert!(!part.contains("x-backblaze"), "{part}");
    }
    let reads = heads.iter().filter(|head| head.starts_with("get /bucket/live") && head.contains("range: "));
    for read in reads {
        assert!(read.contains("x-backblaze-live-read-enabled: true"), "{read}");
    }
}

#[test]
fn a_key_that_may_write_but_not_read_writes() {
    let lab = Lab::with_args(&["--user", "writes:writes-secret:write"]);
    let data = bytes(5, PART + 2);
    let mut writer = Launch::writer(&lab, &[KEY]).key("writes", "writes-secret").start();
    lab.wait_open(KEY);
    writer.write(&data);
    let writer = writer.end().code(0);
    assert_eq!((writer.count("WARN"), writer.count("ERROR")), (0, 0), "{}", writer.state());
    assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_key_that_may_not_write_is_refused_at_once() {
    let lab = Lab::with_args(&["--user", "reads:reads-secret:read,list"]);
    let writer = Launch::writer(&lab, &[KEY]).key("reads", "reads-secret").start().wait();
    writer.failed_with_one_message(OBJECT).says("starting the upload").says("403").says("may do this").gave(b"");
}

#[test]
fn a_wrong_secret_is_a_failure_at_once_that_does_not_tell_the_secret() {
    let lab = Lab::new();
    let writer = Launch::writer(&lab, &[KEY]).key("local", "not-the-secret").start().wait();
    writer
        .failed_with_one_message(OBJECT)
        .says("starting the upload")
        .says("SignatureDoesNotMatch")
        .says("Check AWS_SECRET_ACCESS_KEY")
        .says("Nothing has been uploaded")
        .does_not_say("not-the-secret");
}

#[test]
fn an_unknown_access_key_is_a_failure_at_once() {
    let lab = Lab::new();
    let writer = Launch::writer(&lab, &[KEY]).key("nobody", "local-secret").start().wait();
    writer.failed_with_one_message(OBJECT).says("InvalidAccessKeyId").says("Check AWS_ACCESS_KEY_ID");
}

#[test]
fn a_missing_bucket_is_a_failure_at_once() {
    let lab = Lab::new();
    let writer = lab.writer(&[KEY, "-b", "no-such-bucket"]).wait();
    writer.failed_with_one_message("s3://no-such-bucket/live/stream.mp4").says("NoSuchBucket").says("--bucket");
}

#[test]
fn a_wrong_region_is_a_failure_at_once_that_names_the_setting() {
    let lab = Lab::new();
    let wrong = r#"[{"status": 400, "code": "AuthorizationHeaderMalformed", "message": "the region 'us-east-1' is wrong; expecting 'us-west-004'"}]"#;
    lab.faults(&serde_json::from_str(wrong).expect("rules"));
    let writer = lab.writer(&[KEY]).wait();
    writer.failed_with_one_message(OBJECT).says("us-west-004").says("Set AWS_REGION");
    lab.reader(&[KEY]).wait().failed_with_one_message(OBJECT).says("us-west-004").says("Set AWS_REGION");
}

#[test]
fn credentials_that_are_nowhere_are_a_failure_that_says_where_they_go() {
    let lab = Lab::new();
    for launch in [Launch::writer(&lab, &[KEY]), Launch::reader(&lab, &[KEY])] {
        let run = launch.no_env("AWS_ACCESS_KEY_ID").no_env("AWS_SECRET_ACCESS_KEY").start().wait();
        run.failed_with_one_message("no credentials").says("AWS_ACCESS_KEY_ID").says(".env");
    }
    assert_eq!(lab.count_all(), 0);
}

#[test]
fn a_store_that_is_not_there_is_tried_again_for_the_time_that_is_given() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let lab = Lab::new();
    let url = format!("http://{nobody}");
    for launch in [Launch::writer, Launch::reader] {
        let run = launch(&lab, &[KEY, "--endpoint-url", &url, "--retry-timeout", "500ms"]).start().wait();
        let run = run.failed_with_one_message(OBJECT).says("AWS_ENDPOINT_URL").says("Trying again");
        assert_eq!(run.count("WARN"), 1, "{}", run.state());
    }
}

#[test]
fn an_error_in_the_middle_leaves_what_was_uploaded_and_says_how_to_go_on() {
    let lab = Lab::new();
    lab.faults(&serde_json::json!([{ "operation": "UploadPart", "parts": [2, 2], "status": 403 }]));
    let mut writer = lab.writer(&[KEY, "-s", "5MB", "--retry-timeout", "300ms"]);
    let id = lab.wait_open(KEY);
    writer.feed(bytes(6, 2 * PART + 1));
    let writer = writer.end().failed_with_one_message(OBJECT).says("uploading part 2").says(&id).says("left open");
    let first = lab.parts(KEY, &id).first().copied();
    assert_eq!(first, Some(5_000_000), "{}", writer.state());
}

#[test]
fn a_recording_that_will_be_rewritten_is_warned_about() {
    let lab = Lab::new();
    let mut head = Vec::new();
    let mut put = |kind: &[u8; 4], body: &[u8]| {
        head.extend_from_slice(&u32::try_from(8 + body.len()).expect("a small box").to_be_bytes());
        head.extend_from_slice(kind);
        head.extend_from_slice(body);
    };
    let mvex = [&8_u32.to_be_bytes()[..], b"mvex"].concat();
    put(b"ftyp", b"isom\0\0\0\0isom");
    put(b"free", &[0; 8]);
    put(b"moov", &mvex);
    put(b"moof", &[0; 8]);
    let mut writer = lab.writer(&["obs.mp4"]);
    writer.write(&head);
    writer.wait_for("WARN");
    writer.end().code(0).says("Fragmented");
}

#[test]
fn a_fragmented_stream_is_not_warned_about() {
    let lab = Lab::new();
    let stream = make(&[picture(2, 0)], &format!("{H264} {FRAGMENTS}"));
    let writer = lab.writer(&[KEY]).end_with(&stream).code(0);
    assert_eq!(writer.count("WARN"), 0, "{}", writer.state());
}
