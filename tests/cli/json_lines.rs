//! An upload and the reading of it, followed by the lines of `--log-format json` alone (docs/logging.md).

use serde_json::{Value, json};

use crate::support::lab::Lab;
use crate::support::{PART, bytes};

const KEY: &str = "live/stream.mp4";
const TALK: [&str; 3] = ["--log-format", "json", "--debug"];

/// The lines of a run that tell of an event.
fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line: &Value| line["event"].is_string()).collect()
}

fn of<'a>(events: &'a [Value], event: &str) -> Vec<&'a Value> {
    events.iter().filter(|line| line["event"] == event).collect()
}

/// The one line of this event.
#[track_caller]
fn one<'a>(events: &'a [Value], event: &str) -> &'a Value {
    let all = of(events, event);
    assert!(all.len() == 1, "{event}: {all:#?} of {events:#?}");
    all[0]
}

/// These fields of a line, as numbers.
fn numbers<const N: usize>(line: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| line[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line}")))
}

#[test]
fn an_upload_is_followed_from_part_to_part() {
    let lab = Lab::new();
    // The second part is refused once.
    lab.faults(&json!([{
        "operation": "UploadPart", "parts": [2, 2], "times": 1, "status": 503, "code": "SlowDown"
    }]));
    let data = bytes(1, 2 * PART + 1000);
    let run = lab.writer(&[&[KEY, "-s", "5000000"][..], &TALK].concat()).end_with(&data).code(0);
    let lines = events(&run.err);

    let begun = one(&lines, "begun");
    assert_eq!((&begun["span"]["key"], begun["part_size"].as_u64()), (&json!(KEY), Some(PART as u64)));
    let id = begun["span"]["upload_id"].as_str().expect("an id");
    for line in &lines {
        assert_eq!(line["span"], json!({ "name": "upload", "key": KEY, "upload_id": id }), "{line}");
    }
    let again = one(&lines, "again");
    assert_eq!(numbers(again, ["part", "offset", "bytes", "try"]), [2, PART as u64, PART as u64, 1]);
    assert!(again["wait_ms"].as_u64() >= Some(500), "{again}");
    one(&lines, "back");
    let whole = PART as u64;
    let told = |event| {
        let mut told: Vec<_> =
            of(&lines, event).into_iter().map(|line| numbers(line, ["part", "offset", "bytes", "try"])).collect();
        told.sort_unstable();
        told
    };
    let stored = [[1, 0, whole, 1], [2, whole, whole, 2], [3, 2 * whole, 1000, 1]];
    assert_eq!(told("stored"), stored);
    assert_eq!(told("sending"), [stored[0], [2, whole, whole, 1], stored[1], stored[2]]);
    for event in ["completing", "completed"] {
        assert_eq!(numbers(one(&lines, event), ["parts", "bytes"]), [3, 2 * whole + 1000]);
    }
    let last = lines.last().expect("a line");
    assert_eq!((&last["event"], &last["level"]), (&json!("done"), &json!("INFO")), "{last}");
}

#[test]
fn what_is_sent_early_is_told_and_what_is_left_open() {
    let lab = Lab::new();
    let mut run = lab.writer(&[&[KEY, "-s", "5000000", "--max-latency", "100ms"][..], &TALK].concat());
    run.write(&bytes(2, 1000));
    run.wait_for("\"event\":\"stored_tail\"");
    // All further parts are refused for good.
    lab.faults(&json!([{"operation": "UploadPart", "status": 400, "code": "InvalidArgument"}]));
    let run = run.end_with(&bytes(3, 1000)).code(1);
    let lines = events(&run.err);
    for event in ["sending_tail", "stored_tail"] {
        let first = of(&lines, event)[0];
        assert_eq!(numbers(first, ["part", "offset", "bytes"]), [1, 0, 1000]);
    }
    assert_eq!(numbers(one(&lines, "failed"), ["part", "offset", "bytes", "try"]), [1, 0, 2000, 1]);
    assert_eq!(numbers(one(&lines, "left_open"), ["bytes"]), [1000]);
    assert_eq!(one(&lines, "gave_up")["level"], "ERROR");
    let id = &one(&lines, "begun")["span"]["upload_id"];
    assert!(lines.iter().all(|line| &line["span"]["upload_id"] == id), "{lines:#?}");
}

#[test]
fn the_objects_of_a_series_are_told_apart() {
    let lab = Lab::new();
    let args = ["series.ts", "-s", "5000000", "--rollover", "5000000"];
    let run = lab.writer(&[&args[..], &TALK].concat()).end_with(&bytes(4, 2 * PART + 1000)).code(0);
    let lines = events(&run.err);
    let begun = of(&lines, "begun");
    assert_eq!(begun.len(), 3, "{lines:#?}");
    let series = &begun[0]["spans"][0];
    assert_eq!((&series["name"], &series["key"]), (&json!("recording"), &json!("series.ts")));
    assert!(series["recording"].is_string(), "{series}");
    for (begun, (key, bytes)) in
        begun.iter().zip([("series.ts", 5_000_000), ("series-0002.ts", 5_000_000), ("series-0003.ts", 1000)])
    {
        assert_eq!((&begun["span"]["key"], &begun["spans"][0]), (&json!(key), series));
        let of_it: Vec<Value> = lines.iter().filter(|line| line["span"] == begun["span"]).cloned().collect();
        assert_eq!(numbers(one(&of_it, "stored"), ["part", "offset", "bytes"]), [1, 0, bytes]);
        assert_eq!(numbers(one(&of_it, "completed"), ["parts", "bytes"]), [1, bytes]);
    }
}

#[test]
fn a_reader_is_followed_from_the_wait_to_the_end() {
    let lab = Lab::new();
    let reader = lab.reader(&[&[KEY][..], &TALK].concat());
    reader.wait_for("\"event\":\"waiting\"");
    let data = bytes(5, PART);
    let id = lab.begin(KEY);
    let etag = lab.part(KEY, &id, 1, &data);
    reader.wait_for("\"offset\":5000000");
    lab.complete(KEY, &id, &[etag]);
    let run = reader.wait().code(0).gave(&data);
    let lines = events(&run.err);
    let series = json!({ "name": "recording", "key": KEY });
    assert_eq!(one(&lines, "waiting")["span"], series);
    for event in ["found", "edge", "waits", "ended"] {
        for line in of(&lines, event) {
            assert_eq!(line["span"], json!({ "name": "upload", "key": KEY, "upload_id": id }), "{line}");
            assert_eq!(line["spans"][0], series, "{line}");
        }
    }
    one(&lines, "found");
    assert!(!of(&lines, "edge").is_empty(), "{lines:#?}");
    let waits = of(&lines, "waits");
    let waits: Vec<_> = waits.into_iter().map(|line| numbers(line, ["offset", "wait_ms"])).collect();
    assert!(waits.last().is_some_and(|[offset, wait]| *offset == data.len() as u64 && *wait <= 1000), "{waits:?}");
    assert_eq!(numbers(one(&lines, "ended"), ["bytes"]), [data.len() as u64]);
    assert_eq!(one(&lines, "done")["span"], series);
}
