//! What real encoders send, and that it is in the object: each frame, with its time, beside the encoder's own recording.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::encoder::{
    KEY, STREAM_KEY, camera, ended, ffmpeg, in_step, listening, new_ffmpeg, publish, url_of,
};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::run::await_that;
use crate::support::{certificate, present};

const PICTURE: &str = "-f lavfi -i testsrc2=size=322x182:rate=25:duration=3";
const SOUND: &str = "-f lavfi -i sine=duration=3:sample_rate=44100";
const B_FRAMES: &str = "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 3 -g 25";

/// Publishes, and compares what became of it with the encoder's own recording.
#[track_caller]
fn compare(ffmpeg: &Path, inputs: &str, coded: &str, streams: &[&str]) -> Vec<u8> {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let own = lab.dir().join("own.mp4");
    ended(publish(ffmpeg, inputs, coded, &url, &own));
    writer.wait().code(0).says("the encoder has ended the stream").says("is complete").does_not_say(STREAM_KEY);
    in_step(&lab, ffmpeg, &own, streams)
}

#[test]
fn each_frame_of_h264_and_aac_is_in_the_object_at_its_time() {
    for coded in [format!("{B_FRAMES} -c:a aac"), format!("{B_FRAMES} -r 30000/1001 -ar 48000 -ac 1 -c:a aac")] {
        plays(&compare(
            &ffmpeg(),
            &format!("{PICTURE} {SOUND}"),
            &format!("-map 0:v -map 1:a {coded}"),
            &["0:v", "0:a"],
        ));
    }
}

#[test]
fn sound_alone_and_pictures_alone_are_recorded() {
    plays(&compare(&ffmpeg(), PICTURE, &format!("-map 0:v {B_FRAMES}"), &["0:v"]));
    plays(&compare(&ffmpeg(), SOUND, "-map 0:a -c:a aac", &["0:a"]));
}

#[test]
fn the_codecs_of_enhanced_rtmp_are_recorded() {
    let Some(ffmpeg) = new_ffmpeg() else { return };
    let both = format!("{PICTURE} {SOUND} -map 0:v -map 1:a -pix_fmt yuv420p");
    for coded in [
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25:bframes=2 -c:a aac",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -c:a aac",
        "-c:v libx264 -preset ultrafast -g 25 -c:a libopus -ar 48000",
    ] {
        compare(&ffmpeg, &both, coded, &["0:v", "0:a"]);
    }
    // AV1 without the marks between pictures, as ffmpeg itself records it.
    let own = "-c:v libsvtav1 -preset 10 -g 25 -c:a aac";
    compare(&ffmpeg, &both, own, &["0:v", "0:a"]);
}

#[test]
fn a_playlist_and_a_reader_follow_while_it_is_published() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--hls", "--hls-time", "1", "--max-latency", "300ms", "--fragment", "200ms"]);
    let encoder = camera(6, &url);
    let reader = lab.reader(&[KEY, "--from", "live"]);
    reader.wait_output(20_000);
    await_that("a playlist with a segment", || {
        lab.object("live/camera.m3u8").is_some_and(|list| String::from_utf8_lossy(&list).contains("#EXTINF"))
    });
    ended(encoder);
    writer.wait().code(0);
    plays(&reader.wait().code(0).out);
    plays(&lab.object(KEY).expect("the object"));
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    assert!(list.contains("#EXT-X-ENDLIST") && list.contains("#EXT-X-PROGRAM-DATE-TIME"), "{list}");
    assert_eq!(list.matches("#EXTINF").count(), 6, "{list}");
}

#[test]
fn it_goes_into_several_objects_as_any_input() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--rollover", "2s", "--live", "off"]);
    ended(camera(5, &url));
    writer.wait().code(0);
    for key in ["live/camera.mp4", "live/camera-0002.mp4"] {
        plays(&lab.object(key).expect(key));
    }
}

#[test]
fn it_is_live_on_a_store_without_live_read() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--live", "objects", "--max-latency", "500ms"]);
    let encoder = camera(4, &url);
    let reader = lab.reader(&[KEY, "--live", "objects"]);
    reader.wait_output(20_000);
    ended(encoder);
    writer.wait().code(0);
    let object = lab.object(KEY).expect("the object");
    plays(&object);
    reader.wait().code(0).gave(&object);
}

#[test]
fn an_address_that_is_taken_is_a_failure_and_a_bad_url_wrong_usage() {
    let lab = Lab::new();
    let (_writer, url) = listening(&lab, &[]);
    let second = lab.writer(&["another.mp4", &url]).wait();
    second.code(1).says("cannot listen at rtmp://127.0.0.1").does_not_say(STREAM_KEY);
    for bad in [&["rtmp://127.0.0.1/s3cretkey"][..], &["srt://127.0.0.1/live/s3cretkey"], &["-", "--reconnect", "5s"]] {
        lab.writer(&[&["another.mp4"][..], bad].concat()).wait().code(2).does_not_say(STREAM_KEY);
    }
}

#[test]
fn rtmps_is_taken_on_the_same_port() {
    let lab = Lab::new();
    let [cert, key] = certificate(lab.dir(), "cert");
    let files = ["--tls-cert", &cert, "--tls-key", &key];
    for secure in [false, true] {
        let (writer, url) = listening(&lab, &files);
        let url = if secure { url.replace("rtmp://", "rtmps://") } else { url };
        ended(camera(1, &url));
        writer.wait().code(0);
        plays(&lab.object(KEY).expect("the object"));
    }
    // Without a certificate there is no TLS, and with rtmps:// nothing else.
    let address = format!("rtmps://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&[KEY, &address][..], &files].concat());
    let url = url_of(&writer).replace("rtmps://", "rtmp://");
    assert!(!camera(1, &url).wait().expect("ffmpeg").success());
    writer.wait_for("it comes without TLS");
}

#[test]
fn gstreamer_publishes() {
    published_by("rtmp2sink");
}

#[test]
fn librtmp_publishes() {
    // GStreamer's older sink is made of it, as many encoders are.
    published_by("rtmpsink");
}

/// By GStreamer, out of a file that is coded already: so it needs no encoder of its own, and each frame is known.
#[track_caller]
fn published_by(sink: &str) {
    if !present("gst-inspect-1.0", &["--exists", sink]) {
        return;
    }
    let lab = Lab::new();
    let own = lab.dir().join("own.flv");
    let mut coding = Command::new("ffmpeg");
    coding.args(["-hide_banner", "-v", "error"]).args(PICTURE.split_whitespace());
    // GStreamer counts from what comes first: with sound in front no time of decoding is before that.
    coding.args(["-itsoffset", "-0.2"]).args(SOUND.split_whitespace()).args(["-map", "0:v", "-map", "1:a"]);
    coding.args(B_FRAMES.split_whitespace()).args(["-c:a", "aac", "-f", "flv"]).arg(&own);
    assert!(coding.status().expect("ffmpeg").success());
    let (writer, url) = listening(&lab, &[]);
    let line = format!(
        "filesrc location={} ! flvdemux name=file flvmux name=mux streamable=true ! {sink} location={url} \
         file.video ! queue ! mux.video file.audio ! queue ! mux.audio",
        own.display()
    );
    let mut gst = Command::new("gst-launch-1.0");
    let gst = gst.arg("-q").args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    ended(gst.expect("gst-launch-1.0"));
    writer.wait().code(0).says("the encoder has ended the stream").does_not_say(STREAM_KEY);
    plays(&in_step(&lab, &ffmpeg(), &own, &["0:v", "0:a"]));
}
