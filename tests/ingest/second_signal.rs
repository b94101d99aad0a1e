//! Writers that two signals end under a stream: what they had taken and not stored is there for the next one, which goes on with
//! it in the same objects.

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;

use crate::support::encoder::{KEY, STREAM_KEY, camera, ended, ffmpeg, packets, url_of};
use crate::support::keys::{TEMPLATE, add_key, objects_of, place};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::pusher::{FRAGMENTED, application, push_of};
use crate::support::run::{Run, await_that};

/// A port that was free a moment ago, where the next writer can listen, too.
fn address(scheme: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    format!("{scheme}://127.0.0.1:{port}/live")
}

/// Ends it by two signals while the store takes nothing more.
#[track_caller]
fn end_at_once(lab: &Lab, writer: Run, says: &[&str]) {
    let slow = |operation: &str| json!({ "operation": operation, "delay_ms": 60_000 });
    lab.faults(&json!([slow("UploadPart"), slow("CompleteMultipartUpload")]));
    writer.signal("TERM");
    writer.wait_for("Once more ends at once");
    writer.signal("TERM");
    let mut ended = writer.wait().code(128 + 15).says("The upload is left open: the same command").says("--abort");
    for text in says {
        ended = ended.says(text);
    }
    ended.does_not_say("--kept").does_not_say(STREAM_KEY);
    lab.faults(&json!([]));
}

/// An object with one header, in which times go on.
#[track_caller]
fn goes_on(lab: &Lab, key: &str, least: usize) {
    let object = lab.object(key).unwrap_or_else(|| panic!("no {key} among {:?}", lab.keys()));
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1, "{key}");
    plays(&object);
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        assert!(times.len() > least, "{key}: {} packets of {stream}", times.len());
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{key}: {stream}: {times:?}");
    }
}

fn left_nothing(spool: &Path) {
    let left: Vec<_> = std::fs::read_dir(spool).expect("a directory").map(|entry| entry.expect("one").path()).collect();
    assert!(left.iter().all(|path| std::fs::read_dir(path).is_ok_and(|mut dir| dir.next().is_none())), "{left:?}");
}

const LIVE: [&str; 6] = ["--fragment", "200ms", "--hls", "--hls-time", "1", "--debug"];

#[test]
fn after_two_signals_the_same_command_goes_on_in_the_same_object() {
    let (lab, address) = (Lab::new(), format!("{}/{STREAM_KEY}", address("rtmp")));
    let spool = lab.dir().join("spool");
    std::fs::create_dir(&spool).expect("a directory");
    let words = [KEY, &address, "--spool-dir", &spool.display().to_string(), "--max-latency", "300ms"];
    let start = || lab.writer(&[&words[..], &LIVE].concat());
    let writer = start();
    let mut encoder = camera(60, &url_of(&writer));
    await_that("a segment", || {
        lab.object("live/camera.m3u8").is_some_and(|list| String::from_utf8_lossy(&list).contains("#EXTINF"))
    });
    let id = lab.wait_open(KEY);
    end_at_once(&lab, writer, &[&id]);
    encoder.wait().expect("its end");
    assert_eq!(lab.open(KEY), std::slice::from_ref(&id));
    let writer = start();
    writer.wait_for("going on behind the");
    ended(camera(2, &url_of(&writer)));
    writer.wait().code(0).says("an encoder is back").does_not_say(STREAM_KEY);
    assert_eq!(lab.all_open(), vec![]);
    goes_on(&lab, KEY, 60);
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    assert!(list.contains("#EXT-X-ENDLIST") && list.matches("#EXT-X-DISCONTINUITY\n").count() == 1, "{list}");
    left_nothing(&spool);
}

#[test]
fn so_do_many_streams_and_those_of_several_objects() {
    let (lab, address) = (Lab::new(), address("http"));
    let (place, spool) = (place(&lab), lab.dir().join("spool"));
    std::fs::create_dir(&spool).expect("a directory");
    let keys = [add_key(&place, "left"), add_key(&place, "right")];
    let template = TEMPLATE.replace(".mp4", "-{rendition}.mp4");
    let words = [&template, &address, "--keys", &place, "--spool-dir", &spool.display().to_string()];
    let start = || lab.writer(&[&words[..], &["--max-latency", "300ms"], &LIVE].concat());
    let writer = start();
    let url = application(&writer);
    let push = |pictures: &str, seconds| {
        let own = |name: &str| lab.dir().join(format!("{name}-{pictures}.mp4"));
        let urls = keys.each_ref().map(|key| format!("{url}/{key}"));
        [
            super::renditions::push(pictures, seconds, FRAGMENTED, &urls[0], &own("left")),
            push_of(pictures, seconds, true, FRAGMENTED, &urls[1], &own("right")),
        ]
    };
    let encoders = push("testsrc2", 60);
    let lists = |name: &str| {
        let of = format!("live/{name}/");
        let keys = lab.keys().into_iter().filter(|key| key.starts_with(&of) && key.ends_with(".m3u8"));
        keys.filter(|key| String::from_utf8_lossy(&lab.object(key).unwrap_or_default()).contains("#EXTINF")).count()
    };
    await_that("a segment of each", || (lists("left"), lists("right")) == (2, 1));
    end_at_once(&lab, writer, &["2 recordings of this run could not be completed"]);
    for mut encoder in encoders {
        // It cannot go on without somebody who listens.
        drop((encoder.kill(), encoder.wait()));
    }
    let mut open: Vec<_> = lab.all_open();
    open.sort();
    assert_eq!(open.len(), 3, "{open:?}");
    let writer = start();
    application(&writer);
    // What comes now differs from what has come: the same at the same times would be that.
    push("testsrc", 2).into_iter().for_each(ended);
    await_that("all objects", || lab.all_open().is_empty());
    writer.signal("TERM");
    writer.wait().code(0).says("an encoder is back");
    let mut found: Vec<_> = [objects_of(&lab, "left"), objects_of(&lab, "right")].concat();
    found.sort();
    assert_eq!(found, open.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    for key in found {
        goes_on(&lab, &key, 60);
    }
}

#[test]
fn the_ladder_of_one_stream_is_gone_on_with_too() {
    let (lab, address) = (Lab::new(), format!("{}/{STREAM_KEY}", address("rtmp")));
    let spool = lab.dir().join("spool");
    std::fs::create_dir(&spool).expect("a directory");
    let words = ["live/camera-{rendition}.mp4", &address, "--spool-dir", &spool.display().to_string()];
    let more = ["--max-latency", "300ms", "--ladder", "90p"];
    let start = || lab.writer(&[&words[..], &more, &LIVE].concat());
    let writer = start();
    let mut encoder = camera(60, &url_of(&writer));
    let names = ["90p", "source"].map(|name| format!("live/camera-{name}.mp4"));
    for name in &names {
        let list = name.replace(".mp4", ".m3u8");
        await_that("a segment", || {
            lab.object(&list).is_some_and(|list| String::from_utf8_lossy(&list).contains("#EXTINF"))
        });
    }
    let open = |lab: &Lab| {
        let mut open = lab.all_open();
        open.sort();
        open
    };
    let before = open(&lab);
    end_at_once(&lab, writer, &[]);
    encoder.wait().expect("its end");
    assert_eq!(open(&lab), before);
    assert_eq!(before.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), names);
    let writer = start();
    ended(camera(3, &url_of(&writer)));
    writer.wait().code(0).says("an encoder is back");
    assert_eq!(lab.all_open(), vec![]);
    goes_on(&lab, &names[1], 80);
    let rung = lab.dir().join("rung.mp4");
    std::fs::write(&rung, lab.object(&names[0]).expect("the rung")).expect("a file");
    assert!(packets(&ffmpeg(), &rung, "0:v").len() > 60);
    left_nothing(&spool);
}
