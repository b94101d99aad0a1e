//! Writers that are killed under a stream, and started again: the same object goes on, and it decodes.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::encoder::{KEY, STREAM_KEY, Words, camera, ended, ffmpeg, packets, url_of};
use crate::support::lab::Lab;
use crate::support::media::{extent, plays};
use crate::support::run::Run;

/// A writer that is started with the same command each time.
struct Again {
    address: String,
    spool: String,
    more: &'static [&'static str],
}

impl Again {
    fn new(lab: &Lab, more: &'static [&'static str]) -> Self {
        // A port that was free a moment ago: the next writer has to find it again.
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = format!("rtmp://127.0.0.1:{port}/live/{STREAM_KEY}");
        Self { address, spool: lab.dir().join("spool").display().to_string(), more }
    }

    fn start(&self, lab: &Lab) -> (Run, String) {
        std::fs::create_dir_all(&self.spool).expect("a directory");
        let words = [&[KEY, &self.address, "--spool-dir", &self.spool, "--debug"], self.more].concat();
        let writer = lab.writer(&words);
        let url = url_of(&writer);
        (writer, url)
    }

    /// Nothing is left of it on disk.
    fn left_nothing(&self) {
        let left: Vec<_> =
            std::fs::read_dir(&self.spool).expect("a directory").map(|entry| entry.expect("one").path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// One header.
#[track_caller]
fn has_one_header(object: &[u8]) {
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1);
}

#[test]
fn a_writer_that_is_killed_under_a_stream_goes_on_in_the_same_object() {
    let lab = Lab::new();
    let again = Again::new(&lab, &["--fragment", "200ms", "--max-latency", "300ms", "--hls", "--hls-time", "1"]);
    for time in 0..3 {
        let (writer, url) = again.start(&lab);
        if time > 0 {
            writer.wait_for("was killed: going on behind the");
        }
        let mut encoder = camera(if time == 2 { 2 } else { 30 }, &url);
        if time == 2 {
            ended(encoder);
            writer.wait().code(0).does_not_say(STREAM_KEY);
            break;
        }
        writer.wait_for(["an encoder publishes", "an encoder is back"][time]);
        // Long enough for something to be stored, in the middle of a fragment.
        let id = lab.wait_open(KEY);
        lab.wait_parts(KEY, &id, 1);
        std::thread::sleep(Duration::from_millis(1500));
        writer.signal("KILL");
        writer.wait();
        // It cannot go on without somebody who listens.
        encoder.wait().expect("its end");
    }
    assert!(lab.all_open().is_empty());
    let object = lab.object(KEY).expect("the object");
    has_one_header(&object);
    plays(&object);
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        assert!(times.len() > 75, "{} packets of {stream}", times.len());
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{stream}: {times:?}");
    }
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    let lasts = list.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok());
    let (lasts, (_, whole)) = (lasts.sum::<f64>(), extent(&object));
    assert!(list.contains("#EXT-X-ENDLIST") && (lasts - whole).abs() < 0.5, "{lasts} s of {whole}: {list}");
    again.left_nothing();
}

#[test]
fn what_was_handed_on_before_the_kill_is_in_the_object_although_nothing_of_it_was_stored() {
    let lab = Lab::new();
    let again = Again::new(&lab, &[]);
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(5);
    // By then all before it has been taken.
    drop(words);
    writer.wait_for("the encoder is gone");
    writer.signal("KILL");
    writer.wait();
    let (writer, url) = again.start(&lab);
    writer.wait_for("was killed: going on behind the");
    // Other settings are another object, as ever.
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    writer.wait().code(0);
    let object = lab.object(KEY).expect("the object");
    has_one_header(&object);
    for time in (0..5000u32).step_by(100) {
        let frame = [&[0x65][..], &time.to_be_bytes()[1..]].concat();
        assert!(object.windows(4).any(|window| window == frame), "the picture at {time} ms");
    }
    again.left_nothing();
}

#[test]
fn an_upload_that_is_gone_by_then_is_not_gone_on_with() {
    let lab = Lab::new();
    let again = Again::new(&lab, &[]);
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(2);
    drop(words);
    writer.wait_for("the encoder is gone");
    writer.signal("KILL");
    writer.wait();
    lab.abort(KEY, &lab.wait_open(KEY));
    let (writer, url) = again.start(&lab);
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    writer.wait().code(0).says("its upload is over by now");
    has_one_header(&lab.object(KEY).expect("the object"));
    again.left_nothing();
}
