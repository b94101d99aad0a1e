//! Encoders that push to a publishing point of Smooth Streaming, by the very commands of its document: `NAME.isml/NAME.ism`, a
//! `stream_id` for each encoder, and no format named.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::encoder::{KEY, Packet, STREAM_KEY, ended, ffmpeg, in_step, packets};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::pusher::application;
use crate::support::run::Run;

/// How pictures and sound are coded, as in the document.
const VIDEO: &str = "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 50 -keyint_min 50 -sc_threshold 0";
const AUDIO: &str = "-c:a aac -ac 2 -b:a 64k";
const PLAYED: [&str; 5] = ["--hls", "--hls-time", "1", "--hls-master", "live/oceans.m3u8"];

fn object(rendition: &str) -> String {
    format!("live/oceans-{rendition}.mp4")
}

/// A writer with an object for each of several pictures, and where the document's paths begin.
fn listening(lab: &Lab, at: &str) -> (Run, String) {
    let writer = lab.writer(&[&[object("{rendition}").as_str(), at][..], &PLAYED].concat());
    let url = application(&writer).trim_end_matches('/').to_owned();
    (writer, url)
}

/// An encoder that pushes, and codes the same once more into a file of its own.
fn push(pace: &str, coded: &str, url: &str, own: &Path) -> Child {
    let inputs =
        format!("{pace} -f lavfi -i testsrc2=size=320x180:rate=25:duration=5 {pace} -f lavfi -i sine=duration=5");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error", "-y"]).args(inputs.split_whitespace());
    // Both go through the same encoders with the same settings.
    command.args(coded.split_whitespace()).args(["-flags", "+global_header"]).arg(url);
    command.args(coded.split_whitespace()).args(["-flags", "+global_header"]).arg(own);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg")
}

fn hashes(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|packet| packet.1.as_str()).collect()
}

/// A rendition has these pictures and this sound, each as in a file of an encoder, and in step.
#[track_caller]
fn compare(lab: &Lab, rendition: &str, tracks: [(&Path, &str); 2]) {
    let bytes = lab.object(&object(rendition)).unwrap_or_else(|| panic!("no {rendition} among {:?}", lab.keys()));
    plays(&bytes);
    let file = lab.dir().join(format!("{rendition}.mp4"));
    std::fs::write(&file, &bytes).expect("a file");
    let mut shift = None;
    for (here, (own, there)) in ["0:v", "0:a"].into_iter().zip(tracks) {
        let (here, there) = (packets(&ffmpeg(), &file, here), packets(&ffmpeg(), own, there));
        assert!(here.len() > 100, "{} packets", here.len());
        assert_eq!(hashes(&here), hashes(&there), "{rendition}");
        for ((here, _), (there, _)) in here.iter().zip(&there) {
            let shift = *shift.get_or_insert(here - there);
            assert!((here - there - shift).abs() < 0.003, "{rendition}: {here} for {there}, and {shift} before");
        }
    }
}

#[track_caller]
fn are_one_stream(lab: &Lab, names: [&str; 2]) {
    let master = String::from_utf8(lab.object("live/oceans.m3u8").expect("a playlist")).expect("text");
    for name in names {
        assert!(master.contains(&format!("\noceans-{name}.m3u8\n")), "{name} in {master}");
    }
    let objects: Vec<_> = lab.keys().into_iter().filter(|key| key.ends_with(".mp4")).collect();
    assert_eq!(objects.len(), 2, "{objects:?}");
}

#[test]
fn one_stream_goes_into_the_object_with_a_key_and_without() {
    for (at, path) in [
        ("http://127.0.0.1:0".to_owned(), "oceans.isml"),
        ("http://127.0.0.1:0/live".to_owned(), "oceans.isml"),
        (format!("http://127.0.0.1:0/live/{STREAM_KEY}"), "s3cretkey.isml"),
    ] {
        let lab = Lab::new();
        let writer = lab.writer(&[KEY, &at]);
        let url = application(&writer);
        let url = format!("{}/{path}/oceans.ism?stream_id=oceans-400k-64k.ismv", url.trim_end_matches('/'));
        let own = lab.dir().join("own.mp4");
        ended(push("", &format!("{AUDIO} {VIDEO} -b:v 400k"), &url, &own));
        writer.wait().code(0).says("the encoder has ended the stream").does_not_say(STREAM_KEY);
        plays(&in_step(&lab, &ffmpeg(), &own, &["0:v", "0:a"]));
    }
}

#[test]
fn several_bit_rates_by_a_post_each_are_renditions_by_the_names_that_the_encoders_gave() {
    for (at, name) in
        [("http://127.0.0.1:0".to_owned(), "oceans"), (format!("http://127.0.0.1:0/live/{STREAM_KEY}"), STREAM_KEY)]
    {
        let lab = Lab::new();
        let (writer, url) = listening(&lab, &at);
        let point = |id: &str| format!("{url}/{name}.isml/oceans.ism?stream_id={id}.ismv");
        let own = |id: &str| lab.dir().join(format!("{id}-own.mp4"));
        let (large, small) = ("oceans-400k-64k", "oceans-200k");
        let encoders = [
            push("-re", &format!("{AUDIO} {VIDEO} -b:v 400k"), &point(large), &own(large)),
            push("-re", &format!("-an {VIDEO} -b:v 200k -s 160x90"), &point(small), &own(small)),
        ];
        encoders.into_iter().for_each(ended);
        writer
            .wait()
            .code(0)
            .says("several pictures")
            .says("the encoder has ended the stream")
            .does_not_say(STREAM_KEY);
        compare(&lab, large, [(&own(large), "0:v"), (&own(large), "0:a")]);
        compare(&lab, small, [(&own(small), "0:v"), (&own(large), "0:a")]);
        are_one_stream(&lab, [large, small]);
    }
}

#[test]
fn several_bit_rates_in_one_post_are_renditions_by_their_sizes() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "http://127.0.0.1:0/live");
    let own = lab.dir().join("own.mp4");
    let coded =
        format!("-map 0:v -map 1:a -map 0:v {AUDIO} {VIDEO} -b:v:0 200k -s:v:0 160x90 -b:v:1 400k -s:v:1 320x180");
    ended(push("", &coded, &format!("{url}/oceans.isml/oceans.ism?stream_id=oceans-200k-64k-400k.ismv"), &own));
    writer.wait().code(0).says("several pictures").says("the encoder has ended the stream");
    compare(&lab, "90p", [(&own, "0:v:0"), (&own, "0:a")]);
    compare(&lab, "180p", [(&own, "0:v:1"), (&own, "0:a")]);
    are_one_stream(&lab, ["90p", "180p"]);
}

#[test]
fn one_encoder_with_a_name_of_its_own_is_a_rendition_of_that_name() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, "http://127.0.0.1:0");
    let own = lab.dir().join("own.mp4");
    ended(push("", &format!("{AUDIO} {VIDEO} -b:v 400k"), &format!("{url}/a.isml/a.ism?stream_id=../400k.ismv"), &own));
    writer.wait().code(0).does_not_say("several pictures");
    compare(&lab, "-400k", [(&own, "0:v"), (&own, "0:a")]);
}
