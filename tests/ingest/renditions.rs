//! Encoders that send several pictures: each has an object and a playlist of its own, and all of them one multivariant playlist.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::PUBLIC_BUCKET;
use crate::support::encoder::{Packet, STREAM_KEY, Words, ended, ffmpeg, new_ffmpeg, packets, publish, url_of};
use crate::support::keys::{add_key, place};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::pusher::{Client, FRAGMENTED, application};
use crate::support::run::{Run, await_that};

/// An object for each of them, with all that makes them one stream for players.
const ARGS: [&str; 5] = ["--hls", "--hls-time", "1", "--hls-master", "live/camera.m3u8"];
/// What an encoder sends that makes its own ladder: two sizes of the same, and sound.
const PICTURES: [(&str, &str); 2] = [("180p", "0:v:0"), ("90p", "0:v:1")];

fn key(rendition: &str) -> String {
    format!("live/camera-{rendition}.mp4")
}

/// A writer that is pushed to, and the URL with its key.
fn listening(lab: &Lab, more: &[&str]) -> (Run, String) {
    let address = format!("http://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&["live/camera-{rendition}.mp4", &address][..], &ARGS, more].concat());
    let url = format!("{}/{STREAM_KEY}", application(&writer));
    (writer, url)
}

/// Pushes two sizes of these pictures in this format of ffmpeg's `tee`, and records the same in a file of its own.
pub(super) fn push(pictures: &str, seconds: u32, format: &str, url: &str, own: &Path) -> Child {
    let inputs = format!(
        "-re -f lavfi -i {pictures}=size=320x180:rate=25:duration={seconds} -re -f lavfi -i sine=duration={seconds}"
    );
    let coded = "-filter_complex [0:v]split[a][b];[b]scale=160:90[c] -map [a] -map [c] -map 1:a -pix_fmt yuv420p \
                 -c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac -flags +global_header";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    command.args(["-f", "tee"]).arg(format!("[{format}]{url}|[f=mp4]{}", own.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

fn hashes(packets: Vec<Packet>) -> Vec<String> {
    packets.into_iter().map(|packet| packet.1).collect()
}

/// The file of an object.
fn file(lab: &Lab, key: &str) -> PathBuf {
    let path = lab.dir().join(key.replace('/', "-"));
    std::fs::write(&path, lab.object(key).unwrap_or_else(|| panic!("no {key} among {:?}", lab.keys())))
        .expect("a file");
    path
}

/// Each object has its pictures and all sound, as in the encoder's own recording, and in step.
pub(super) fn compare(lab: &Lab, own: &Path) {
    for (name, pictures) in PICTURES {
        let object = file(lab, &key(name));
        plays(&lab.object(&key(name)).expect("it is there"));
        let mut shift = None;
        for (here, there) in [("0:v", pictures), ("0:a", "0:a")] {
            let (here, there) = (packets(&ffmpeg(), &object, here), packets(&ffmpeg(), own, there));
            for (here, there) in here.iter().zip(&there) {
                let shift = *shift.get_or_insert(here.0 - there.0);
                assert!((here.0 - there.0 - shift).abs() < 0.003, "{name}: {} for {}", here.0, there.0);
            }
            assert_eq!(hashes(here), hashes(there), "{name}");
        }
    }
}

fn text(lab: &Lab, key: &str) -> String {
    String::from_utf8(lab.object(key).unwrap_or_default()).expect("text")
}

pub(super) fn has_one_header(lab: &Lab, key: &str) {
    let object = lab.object(key).expect("the object");
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1, "{key}");
}

#[test]
fn each_picture_of_a_push_is_an_object_of_its_own_and_all_are_one_multivariant_playlist() {
    // All in one request, and each track by itself.
    for format in [FRAGMENTED, "f=dash:seg_duration=1:method=PUT"] {
        let lab = Lab::new();
        let (writer, url) = listening(&lab, &[]);
        let own = lab.dir().join("own.mp4");
        let url = if format == FRAGMENTED { url } else { format!("{url}/live.mpd") };
        ended(push("testsrc2", 5, format, &url, &own));
        writer
            .wait()
            .code(0)
            .says("sends several pictures")
            .says("the encoder has ended the stream")
            .does_not_say(STREAM_KEY);
        compare(&lab, &own);
        for (name, _) in PICTURES {
            has_one_header(&lab, &key(name));
            let list = text(&lab, &format!("live/camera-{name}.m3u8"));
            assert!(list.contains("#EXT-X-ENDLIST") && list.contains("#EXT-X-PROGRAM-DATE-TIME"), "{list}");
        }
        let master = text(&lab, "live/camera.m3u8");
        for wanted in ["RESOLUTION=320x180", "RESOLUTION=160x90", "\ncamera-180p.m3u8\n", "\ncamera-90p.m3u8\n"] {
            assert!(master.contains(wanted), "{wanted} in {master}");
        }
        assert!(!lab.keys().contains(&key("source")), "{:?}", lab.keys());
    }
}

#[test]
fn so_is_each_of_several_tracks_of_enhanced_rtmp() {
    let Some(newer) = new_ffmpeg() else { return };
    let lab = Lab::new();
    let address = format!("rtmp://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&["live/camera-{rendition}.mp4", &address][..], &ARGS].concat());
    let own = lab.dir().join("own.mp4");
    let inputs = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -f lavfi -i testsrc=size=160x90:rate=25:duration=3 \
                  -f lavfi -i sine=duration=3";
    let coded = "-map 0:v -map 1:v -map 2:a -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -c:a aac";
    ended(publish(&newer, inputs, coded, &url_of(&writer), &own));
    writer.wait().code(0).says("sends several pictures");
    compare(&lab, &own);
}

#[test]
fn players_find_all_pictures_by_the_multivariant_playlist() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--bucket", PUBLIC_BUCKET]);
    let own = lab.dir().join("own.mp4");
    ended(push("testsrc2", 4, FRAGMENTED, &url, &own));
    writer.wait().code(0);
    let master = format!("{}/{}/live/camera.m3u8", lab.endpoint(), PUBLIC_BUCKET);
    let mut widths = Vec::new();
    for picture in ["v:0", "v:1"] {
        let probed = Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", picture, "-count_packets"])
            .args(["-show_entries", "stream=width,nb_read_packets", "-of", "csv=p=0", &master])
            .output()
            .expect("ffprobe");
        let told = String::from_utf8(probed.stdout).expect("text");
        let line = told.lines().find(|line| line.contains(',')).unwrap_or_else(|| {
            panic!("{told} {}", String::from_utf8_lossy(&probed.stderr));
        });
        let (width, packets) = line.split_once(',').expect("two numbers");
        assert_eq!(packets.trim_end_matches(','), "100", "{line}");
        widths.push(width.to_owned());
    }
    widths.sort();
    assert_eq!(widths, ["160", "320"]);
}

#[test]
fn an_encoder_that_comes_back_goes_on_in_the_same_objects() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--max-latency", "300ms"]);
    let own = lab.dir().join("own.mp4");
    let mut first = push("testsrc2", 60, FRAGMENTED, &url, &own);
    await_that("a segment", || text(&lab, "live/camera-90p.m3u8").contains("#EXTINF"));
    first.kill().expect("it is killed");
    first.wait().expect("its end");
    writer.wait_for("the encoder is gone");
    ended(push("testsrc", 3, FRAGMENTED, &url, &own));
    writer.wait().code(0).says("an encoder is back");
    for (name, _) in PICTURES {
        has_one_header(&lab, &key(name));
        plays(&lab.object(&key(name)).expect("the object"));
        let list = text(&lab, &format!("live/camera-{name}.m3u8"));
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{name}: {list}");
    }
}

#[test]
fn the_tracks_of_enhanced_rtmp_are_renditions_too() {
    let lab = Lab::new();
    let capture = include_bytes!("../../src/ingest/captures/tracks9.rtmp");
    let writer = lab.writer(&[&["live/camera-{rendition}.mp4", "rtmp://127.0.0.1:0/live/key"][..], &ARGS].concat());
    let mut encoder = Words::silent(&application(&writer));
    encoder.raw(capture);
    writer.wait().code(0).says("the encoder sends several pictures").says("the encoder has ended the stream");
    let objects: Vec<_> = lab.keys().into_iter().filter(|key| key.ends_with(".mp4")).collect();
    assert_eq!(objects.len(), 2, "{objects:?}");
    for key in objects {
        has_one_header(&lab, &key);
        plays(&lab.object(&key).expect("the object"));
    }
}

#[test]
fn of_many_streams_each_has_its_own_renditions() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "left"), add_key(&place, "right")];
    let template = "live/{stream}/{start}-{rendition}.mp4";
    let master = ["--hls", "--hls-time", "1", "--hls-master", "live/{stream}/all.m3u8"];
    let writer = lab.writer(&[&[template, "http://127.0.0.1:0/live", "--keys", &place][..], &master].concat());
    let url = application(&writer);
    let own = |name: &str| lab.dir().join(format!("{name}.mp4"));
    let encoders = [
        push("testsrc2", 2, FRAGMENTED, &format!("{url}/{}", keys[0]), &own("left")),
        crate::support::pusher::push(2, false, FRAGMENTED, &format!("{url}/{}", keys[1]), &own("right")),
    ];
    encoders.into_iter().for_each(ended);
    let objects = |of: &str| {
        let keys = lab.keys().into_iter().filter(|key| key.starts_with(of) && key.ends_with(".mp4"));
        keys.map(|key| key.rsplit('-').next().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    await_that("all objects", || (objects("live/left/").len(), objects("live/right/").len()) == (2, 1));
    assert_eq!(
        (objects("live/left/"), objects("live/right/")),
        (vec!["180p.mp4".into(), "90p.mp4".into()], vec!["source.mp4".into()])
    );
    writer.signal("TERM");
    writer.wait().code(0).says("left/90p: ").says("2 recordings").does_not_say(&keys[0]);
    let master = text(&lab, "live/left/all.m3u8");
    assert!(master.contains("-180p.m3u8\n") && master.contains("-90p.m3u8\n"), "{master}");
    assert!(text(&lab, "live/right/all.m3u8").contains("-source.m3u8\n"));
}

#[test]
fn without_a_name_for_each_several_pictures_are_refused_with_words() {
    let lab = Lab::new();
    let writer = lab.writer(&["live/camera.mp4", "http://127.0.0.1:0", "rtmp://127.0.0.1:0/live/key"]);
    let url = application(&writer);
    let own = lab.dir().join("own.mp4");
    let fragments = lab.dir().join("fragments.mp4");
    ended(push("testsrc2", 2, FRAGMENTED, &fragments.display().to_string(), &own));
    let (status, answer) = Client::new(&url).ask("POST", "/", "", &std::fs::read(&fragments).expect("a file"));
    assert!(status == 415 && answer.contains("several video tracks") && answer.contains("{rendition}"), "{answer}");
    writer.wait_for("several video tracks");
    let rtmp = writer.wait_for("listening at rtmp://");
    let rtmp = rtmp.split("listening at ").find(|part| part.starts_with("rtmp")).expect("a URL").to_owned();
    let mut encoder = Words::silent(&rtmp);
    encoder.raw(include_bytes!("../../src/ingest/captures/tracks9.rtmp"));
    let told = encoder.hear("{rendition}");
    assert!(told.contains("NetStream.Publish.Rejected"), "{told}");
    // One picture is taken still.
    ended(crate::support::pusher::push(2, false, FRAGMENTED, &url, &own));
    writer.wait().code(0);
    plays(&lab.object("live/camera.mp4").expect("the object"));
}

#[test]
fn names_that_do_not_go_together_are_refused_at_the_start() {
    let lab = Lab::new();
    let url = "http://127.0.0.1:0";
    for (args, says) in [
        (&["{rendition}.mp4", url, "--resume"][..], "--resume"),
        (&["{rendition}.mp4", url, "--hls", "--hls-key", "live.m3u8"], "--hls-key needs {rendition}"),
        (&["live.mp4", url, "--hls", "--hls-master", "all.m3u8"], "--hls-name"),
    ] {
        lab.writer(args).wait().code(2).says(says);
    }
}
