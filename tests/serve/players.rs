//! Players before `reader --serve`: ffmpeg plays what grows, from its beginning and from its newest key frame, to its end.

use super::scene::{GOOD, Gateway, KEY, player, shown};
use crate::support::PART;
use crate::support::lab::Lab;
use crate::support::media::{frames, video};
use crate::support::run::{assert_same, await_that};

#[test]
fn ffmpeg_plays_what_grows_to_its_end_from_its_beginning_and_from_its_newest_key_frame() {
    let data = video(8, GOOD);
    assert!(data.len() > 3 * PART, "{} bytes", data.len());
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    // Whoever comes first waits for the first fragment.
    let early = player(&gateway.url(&format!("/live/{KEY}")));
    let mut etags: Vec<_> =
        (1..).zip(data.chunks(PART)).take(2).map(|(number, part)| lab.part(KEY, &id, number, part)).collect();
    let whole = player(&gateway.url(&format!("/watch?v={KEY}")));
    let joined = player(&gateway.url(&format!("/live/{KEY}")));
    let back = player(&gateway.url(&format!("/live/{KEY}?back=3s")));
    let edge = Some(format!("bytes 0-{}/*", 2 * PART - 1));
    let look = || gateway.ask("HEAD", &format!("/watch?v={KEY}"), &[("range", "bytes=0-")]).header("content-range");
    await_that("all of it is here", || look() == edge);
    let mut raw = gateway.begin("GET", &format!("/live/{KEY}"), &[]);
    raw.read_body(1);
    let mut others: Vec<_> = (0..20).map(|_| gateway.begin("GET", &format!("/live/{KEY}"), &[])).collect();
    others.iter_mut().for_each(|other| other.read_body(1));
    await_that("it is followed", || lab.count(true, "GetObject", "416") > 0);
    for (number, part) in (1..).zip(data.chunks(PART)).skip(2) {
        etags.push(lab.part(KEY, &id, number, part));
    }
    lab.complete(KEY, &id, &etags);
    let all: Vec<_> = frames(&data, "the source").into_iter().map(|frame| frame.hash).collect();
    assert_eq!(shown(whole), all);
    let ends_with = |shown: Vec<String>, least: usize, most: usize, what: &str| {
        assert!(shown.len() >= least && shown.len() <= most, "{} frames of {} by {what}", shown.len(), all.len());
        assert_eq!(shown, all[all.len() - shown.len()..], "{what}");
        shown.len()
    };
    // So much of it could be read when they came.
    let begun = data[..2 * PART].windows(4).filter(|window| window == b"moof").count();
    let newest = all.len() - (begun - 1) * 25;
    // A player takes its time to ask: there may be more by then.
    ends_with(shown(joined), 25, newest, "joined");
    ends_with(shown(back), 3 * 25, newest + 5 * 25, "three seconds before");
    ends_with(shown(early), 25, all.len(), "who came first");
    raw.read_to_end();
    let raw = raw.answer("GET");
    assert!(raw.whole && raw.status == 200, "{}", raw.head);
    let raw_frames = frames(&raw.body, "joined").into_iter().map(|frame| frame.hash).collect();
    ends_with(raw_frames, newest, newest, "joined at the newest key frame");
    assert_eq!(raw.header("content-type").as_deref(), Some("video/mp4"));
    for mut other in others {
        other.read_to_end();
        assert_same(&other.answer("GET").body, &raw.body, "who joined at the same place");
    }
}

#[test]
fn what_is_no_fragmented_mp4_cannot_be_joined_and_is_told_so() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    lab.put("text", &b"any text at all".repeat(1000));
    let text = gateway.get("/live/text", &[]);
    assert_eq!(text.status, 415);
    assert!(String::from_utf8_lossy(&text.body).contains("/watch"), "{}", String::from_utf8_lossy(&text.body));
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &vec![b'x'; 100_000]);
    assert_eq!(gateway.get(&format!("/live/{KEY}"), &[]).status, 415);
    assert_eq!(gateway.get("/live/nothing", &[]).status, 404);
    assert_eq!(gateway.get("/live/text?back=never", &[]).status, 400);
}
