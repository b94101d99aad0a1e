//! `reader --from live`: joining a recording that still grows.

use super::show::*;
use crate::support::PART;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, frames, make, packets, picture, sound};

#[test]
fn joined_live_it_begins_with_the_newest_key_frame_and_goes_on_to_the_end() {
    let source = long();
    let all = frames(&source, "the source");
    for flags in [&[][..], &["--by", "part"]] {
        let lab = Lab::new();
        let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
        let readable = 3 * PART;
        writer.write(&source[..readable + 1000]);
        let id = lab.wait_open(KEY);
        lab.wait_parts(KEY, &id, 3);
        lab.clear_requests();
        let live = lab.reader(&[&[KEY, "--from", "live", "--debug"], flags].concat());
        live.wait_for("found the place");
        assert!(requests(&live.messages()) <= 6, "{}", live.messages());
        assert_eq!(lab.count(false, "ListParts", "200"), 0);
        let early = lab.reader(&[KEY, "--from", "live-5s"]);
        early.wait_for("beginning at");
        writer.write(&source[readable + 1000..]);
        writer.end().code(0);
        // What could be read at that time.
        let prefix = &source[..readable];
        let begun = prefix.windows(4).filter(|window| window == b"moof").count();
        let live = live.wait().code(0);
        let joined = frames(&live.out, "the live join");
        let at = place(&all, &joined, "the live join");
        assert_eq!(at + joined.len(), all.len(), "it goes on to the end");
        assert_eq!(at, (begun - 1) * 25, "{} key frames could be read", begun);
        packets(&live.out, "the live join");
        let early = early.wait().code(0);
        let earlier = place(&all, &frames(&early.out, "five seconds before"), "five seconds before");
        assert!(earlier + 5 * 25 <= at + 25 && earlier + 7 * 25 > at, "{earlier} and {at}");
    }
}

#[test]
fn a_clip_that_ends_in_the_future_waits_for_it() {
    let lab = Lab::new();
    let source = long();
    let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
    writer.write(&source[..PART + 10]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let reader = lab.reader(&[KEY, "clip.mp4", "--from", "00:03", "--to", "00:00:16"]);
    reader.wait_for("beginning at 00:00:03");
    lab.wait_for_edge();
    writer.write(&source[PART + 10..source.len() - 1000]);
    // The upload is still open.
    reader.wait().code(0).says("the excerpt ended");
    let clip = std::fs::read(lab.dir().join("clip.mp4")).expect("the clip");
    covers(&frames(&source, "source"), &frames(&clip, "clip"), 3.0, 16.0, (0.0, 1.1), "the clip");
    let beyond = lab.reader(&[KEY, "--from", "20:00"]).wait();
    beyond.failed_with_one_message(OBJECT).says("long so far").gave(b"");
    writer.end().code(0);
}

#[test]
fn a_transport_stream_is_joined_live() {
    let lab = Lab::new();
    let output = format!("-c:v libx264 -preset ultrafast -qp 24 -g 25 -bf 2 {AAC} -f mpegts");
    let source = make(&[picture(20, 40), sound(20)], &output);
    let mut writer = lab.writer(&[KEY, "--part-size", "5000000"]);
    writer.write(&source[..PART + 10]);
    let id = lab.wait_open(KEY);
    lab.wait_parts(KEY, &id, 1);
    let live = lab.reader(&[KEY, "--from", "live", "--debug"]);
    live.wait_for("found the place");
    assert!(requests(&live.messages()) <= 4, "{}", live.messages());
    writer.write(&source[PART + 10..]);
    writer.end().code(0);
    let live = live.wait().code(0);
    let (all, joined) = (frames(&source, "the source"), frames(&live.out, "the live join"));
    let at = place(&all, &joined, "the live join");
    assert!(at > 0 && at.is_multiple_of(25) && at + joined.len() == all.len(), "{at}");
    for args in [&["--from", "1"][..], &["--to", "1"], &["--probe"], &["--from", "live-1s"]] {
        let refused = lab.reader(&[&[KEY], args].concat()).wait();
        refused.failed_with_one_message(OBJECT).says("transport stream").gave(b"");
    }
}

/// Smooth Streaming has no `tfdt`.
#[test]
fn fragments_without_times_can_be_joined_live_alone() {
    let lab = Lab::new();
    let source = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} -f ismv -movflags empty_moov+frag_keyframe"));
    store(&lab, &source);
    let live = lab.reader(&[KEY, "--from", "live"]).wait().code(0);
    let joined = frames(&live.out, "the live join");
    assert_eq!(place(&frames(&source, "the source"), &joined, "the live join"), 125);
    lab.reader(&[KEY, "--from", "1"]).wait().failed_with_one_message(OBJECT).says("no tfdt").gave(b"");
}

#[test]
fn joining_live_waits_for_the_first_fragment_and_refuses_what_has_none() {
    for data in [b"any text at all".repeat(1000), make(&[sound(1)], "-c:a aac -f adts")] {
        let lab = Lab::new();
        let id = lab.begin(KEY);
        let live = lab.reader(&[KEY, "--from", "live"]);
        live.wait_for("no fragment yet");
        lab.part(KEY, &id, 1, &data);
        live.wait().failed_with_one_message(OBJECT).says("does not begin with an MP4 box").gave(b"");
    }
    let lab = Lab::new();
    lab.begin(KEY);
    let live = lab.reader(&[KEY, "--from", "live", "--timeout", "0.3"]).wait();
    live.failed_with_one_message(OBJECT).says("--timeout").gave(b"");
}

#[test]
fn a_recording_that_has_just_begun_is_joined_at_its_start() {
    let lab = Lab::new();
    let source = make(&[picture(6, 10), sound(6)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let id = lab.begin(KEY);
    let live = lab.reader(&[KEY, "--from", "live"]);
    live.wait_for("no fragment yet");
    let etag = lab.part(KEY, &id, 1, &source);
    lab.complete(KEY, &id, &[etag]);
    live.wait().code(0).gave(&source);
}
