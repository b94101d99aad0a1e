//! `--stats` of both tools, and what their last lines tell.

use crate::support::lab::Lab;
use crate::support::{PART, bytes};
use serde_json::Value;

const KEY: &str = "live/stream.mp4";

fn lines(lab: &Lab, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(lab.dir().join(name)).expect("the file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn both_tools_write_what_they_did_and_what_they_asked_for() {
    let lab = Lab::new();
    let data = bytes(1, 2 * PART + 5);
    let mut writer = lab.writer(&[KEY, "-s", "5000000", "--stats", "writer.jsonl"]);
    let reader = lab.reader(&[KEY, "--stats", "reader.jsonl"]);
    writer.write(&data[..PART]);
    reader.wait_output(PART);
    writer.end_with(&data[PART..]).code(0).says("requests: 3 uploads");
    reader.wait().code(0).gave(&data).says("; requests: ");

    let (written, read) = (lines(&lab, "writer.jsonl"), lines(&lab, "reader.jsonl"));
    for lines in [&written, &read] {
        assert!(lines.len() >= 2, "a line at the start and one at the end");
        for pair in lines.windows(2) {
            assert!(pair[0]["elapsed"].as_f64() <= pair[1]["elapsed"].as_f64() && pair[0]["last"] == false);
        }
    }
    let (written, read) = (written.last().expect("a line"), read.last().expect("a line"));
    for name in ["bytes_taken", "bytes_stored", "bytes_uploaded"] {
        assert_eq!(written[name].as_u64(), Some(data.len() as u64), "{name} of {written}");
    }
    assert_eq!((&written["parts_stored"], &written["requests"]["uploads"]), (&3.into(), &3.into()), "{written}");
    assert_eq!((&read["bytes_written"], &read["bytes_behind"]), (&data.len().into(), &0.into()), "{read}");
    assert_eq!((&written["last"], &read["last"]), (&true.into(), &true.into()));
    // The store has counted the same reads.
    let reads = ["GetObject", "HeadObject"].iter().flat_map(|operation| [(true, operation), (false, operation)]);
    let count = |(live, operation): (bool, &&str)| {
        ["200", "206", "404", "416"].map(|status| lab.count(live, operation, status)).iter().sum::<u64>()
    };
    let reads = reads.map(count).sum::<u64>();
    // One look of the writer's own is among them.
    let told = read["requests"]["reads"].as_u64().unwrap_or(0) + written["requests"]["reads"].as_u64().unwrap_or(0);
    assert_eq!(told, reads, "{read} {}", lab.requests());
}

#[test]
fn a_reader_that_is_ended_by_a_signal_leaves_its_last_line() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(2, PART));
    let reader = lab.reader(&[KEY, "--stats", "reader.jsonl"]);
    reader.wait_output(PART);
    reader.signal("TERM");
    reader.wait().code(143);
    let lines = lines(&lab, "reader.jsonl");
    let last = lines.last().expect("a line");
    assert_eq!((&last["last"], &last["bytes_read"]), (&true.into(), &PART.into()), "{last}");
}

#[test]
fn a_file_that_cannot_be_made_is_an_error_before_anything_is_done() {
    let lab = Lab::new();
    lab.writer(&[KEY, "--stats", "no/such/directory"]).end_with(b"x").code(1).says("--stats");
    lab.reader(&[KEY, "--stats", "no/such/directory"]).wait().code(1).says("--stats");
    assert_eq!(lab.all_open(), vec![]);
}
