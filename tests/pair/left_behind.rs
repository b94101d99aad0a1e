//! What it means for those who read a key that an upload was left open there: by a writer that died, or by a start whose
//! answer was lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::lab::Lab;
use crate::support::media::{frames, make, picture};
use crate::support::run::Launch;
use crate::support::{PART, bytes};

const KEY: &str = "live/show.mp4";
/// Who may list, and who may not.
const KEYS: [(&str, &str); 2] = [("local", "local-secret"), ("reads", "reads-secret")];

fn lab() -> Lab {
    Lab::with_args(&["--user", "reads:reads-secret:read"])
}

fn recording() -> Vec<u8> {
    let output =
        "-c:v libx264 -preset ultrafast -qp 30 -g 25 -f mp4 -movflags empty_moov+frag_keyframe+default_base_moof";
    make(&[picture(6, 10)], output)
}

#[test]
fn clips_and_a_probe_are_of_the_recording_that_was_finished_later() {
    let source = recording();
    let all = frames(&source, "the recording");
    for died_at in [0, 1000] {
        let lab = lab();
        let dead = lab.ago(Duration::from_secs(3600), || lab.begin(KEY));
        if died_at > 0 {
            lab.part(KEY, &dead, 1, &bytes(1, died_at));
        }
        lab.writer(&[KEY]).end_with(&source).code(0);
        assert_eq!(lab.open(KEY), [dead.as_str()]);
        for (access, secret) in KEYS {
            let read = |args: &[&str]| {
                let reader = Launch::reader(&lab, &[&[KEY, "--timeout", "20"], args].concat()).key(access, secret);
                reader.start().wait().code(0)
            };
            let probed = read(&["--probe", "--json"]);
            let report: Value = serde_json::from_slice(&probed.out).expect("JSON");
            assert_eq!((&report["growing"], &report["bytes"]), (&json!(false), &json!(source.len())), "{report:#}");
            assert_ne!(report["version"], dead);
            let clip = frames(&read(&["--from", "2", "--to", "4"]).out, "the clip");
            let at = all.iter().position(|frame| frame.hash == clip[0].hash);
            assert!(at == Some(50) && clip.len() >= 50, "{at:?} {}", clip.len());
            read(&["--no-wait"]).gave(&source);
        }
    }
}

#[test]
fn a_start_whose_answer_is_lost_keeps_no_reader_that_may_not_list() {
    let lab = lab();
    let data = bytes(2, PART + 5);
    lab.faults(&json!([
        { "operation": "CreateMultipartUpload", "lose_answer": true, "times": 1 },
        { "operation": "CreateMultipartUpload", "status": 503 },
    ]));
    let mut writer = lab.writer(&[KEY, "-s", "5MB"]);
    writer.feed(data.clone());
    // It finds the one whose answer was lost, while the other has not been started.
    let reader = Launch::reader(&lab, &[KEY, "--poll-interval", "20ms"]).key("reads", "reads-secret").start();
    reader.wait_for("while it is written");
    lab.clear_faults();
    writer.wait_for("uploading to");
    reader.wait_output(PART);
    writer.end().code(0);
    reader.wait().code(0).gave(&data);
    assert_eq!(lab.open(KEY).len(), 1, "the one that was left behind");
}
