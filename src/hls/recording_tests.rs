//! The tests of the recording.

use super::*;

/// The table in docs/hls.md.
#[test]
fn the_target_duration_allows_for_bursts() {
    let decided = |megabits: u64, part_size: u64, filled: Option<u64>, max_latency: Option<u64>| {
        let mut recording = Recording::new(Duration::from_secs(2));
        let segment = Segment { object: 0, first: 0, len: megabits * 250_000, micros: 2_020_000, date: None };
        recording.timeline.segments.push(segment);
        recording.decide(part_size, filled.map(Duration::from_secs), max_latency.map(Duration::from_secs))
    };
    assert_eq!(decided(12, 5 << 20, None, None), 5);
    assert_eq!(decided(6, 5 << 20, Some(8), None), 9);
    assert_eq!(decided(1, 5 << 20, None, None), 51);
    assert_eq!(decided(6, 5 << 20, None, Some(1)), 3);
    // An encoder that does not keep up.
    assert_eq!(decided(6, 5 << 20, Some(20), None), 24);
    assert_eq!(decided(100, 5 << 20, None, None), 3);
}

/// An object of so many segments as it is recorded, and how many bytes of it have come in by then.
fn record(recording: &mut Recording, id: &str, segments: u32) -> (watch::Sender<u64>, Vec<u64>) {
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture};
    let (tell, readable) = watch::channel(0);
    recording.begin_object(id.to_owned(), format!("{id}.mp4"), readable, false, None);
    let mut scanner = crate::media::fmp4::Scanner::new();
    let mut ends = Vec::new();
    for found in scanner.feed(&header()) {
        recording.take(&found, None).expect("it can be played");
    }
    for number in 0..segments {
        for found in scanner.feed(&[moof(&[picture(number * 12, true)]), mdat(200)].concat()) {
            recording.take(&found, None).expect("it can be played");
        }
        ends.push(scanner.offset());
    }
    (tell, ends)
}

/// Objects and numbers of segments in the order in which they are listed.
fn listed(recording: &Recording) -> Vec<(String, usize)> {
    let timeline = &recording.timeline;
    let segments: Vec<Segment> = timeline.segments.iter().collect();
    let runs = segments.chunk_by(|one, next| one.object == next.object);
    runs.map(|run| (timeline.objects[run[0].object].uri.clone(), run.len())).collect()
}

#[test]
fn the_next_object_is_listed_while_the_one_before_is_being_completed() {
    let mut recording = Recording::new(Duration::from_millis(100));
    let (first, ends) = record(&mut recording, "one", 3);
    first.send_replace(ends[2]);
    let (second, ends) = record(&mut recording, "two", 3);
    second.send_replace(ends[1]);
    assert!(recording.list());
    assert_eq!(listed(&recording), [("one.mp4".to_owned(), 3), ("two.mp4".to_owned(), 2)]);
    assert!(!recording.is_complete() && recording.left_out().is_none());
    // Each is completed in its time, in whatever order.
    for id in ["two", "one"] {
        assert!(!recording.is_complete());
        recording.complete(id);
    }
    assert!(recording.is_complete() && !recording.is_behind());
}

#[test]
fn segments_keep_their_order_whatever_is_readable_first() {
    let mut recording = Recording::new(Duration::from_millis(100));
    let (first, ends) = record(&mut recording, "one", 3);
    first.send_replace(ends[0]);
    let (second, later) = record(&mut recording, "two", 3);
    second.send_replace(later[2]);
    assert!(recording.list());
    assert_eq!(listed(&recording), [("one.mp4".to_owned(), 1)]);
    first.send_replace(ends[2]);
    assert!(recording.list());
    assert_eq!(listed(&recording), [("one.mp4".to_owned(), 3), ("two.mp4".to_owned(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn what_will_never_be_readable_is_left_out_and_told_of() {
    let mut recording = Recording::new(Duration::from_millis(100));
    let (first, ends) = record(&mut recording, "one", 3);
    first.send_replace(ends[1]);
    let (second, later) = record(&mut recording, "two", 3);
    second.send_replace(later[2]);
    assert!(recording.list());
    assert_eq!(listed(&recording), [("one.mp4".to_owned(), 2)]);
    // Its writer has given it up.
    drop(first);
    recording.changed().await;
    assert!(recording.list());
    assert_eq!(listed(&recording), [("one.mp4".to_owned(), 2), ("two.mp4".to_owned(), 3)]);
    assert_eq!(recording.left_out(), Some(("one".to_owned(), 120_000)));
    assert_eq!(recording.left_out(), None);
    recording.complete("two");
    assert!(!recording.is_complete(), "one of them is not");
}
