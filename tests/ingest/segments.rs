//! Encoders that push a request for each segment, or each track by itself: all of it is in one object, in order and in step.

use std::path::PathBuf;

use super::killed::upload_is_noted;
use crate::support::encoder::{KEY, STREAM_KEY, ended};
use crate::support::lab::Lab;
use crate::support::pusher::{Client, compare, listening, push, tracks};
use crate::support::run::Run;

/// A lab, a writer that is pushed to, and the URL with its key.
fn scene(more: &[&str]) -> (Lab, Run, String, PathBuf) {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, more);
    let own = lab.dir().join("own.mp4");
    (lab, writer, url, own)
}

fn has_one_header(lab: &Lab) {
    let object = lab.object(KEY).expect("the object");
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1);
}

#[test]
fn what_ffmpeg_pushes_as_dash_or_hls_is_one_object() {
    let dash = "f=dash:seg_duration=1:method=PUT";
    for (format, list) in [
        (format!("{dash}:http_persistent=0"), "live.mpd"),
        (format!("{dash}:http_persistent=1:streaming=1"), "live.mpd"),
        ("f=hls:hls_time=1:hls_segment_type=fmp4:hls_playlist_type=event:method=PUT".to_owned(), "live.m3u8"),
    ] {
        let (lab, writer, url, own) = scene(&[]);
        ended(push(4, true, &format, &format!("{url}/{list}"), &own));
        writer.wait().code(0).says("the encoder has ended the stream").does_not_say(STREAM_KEY);
        compare(&lab, &own);
        has_one_header(&lab);
    }
}

#[test]
fn each_track_by_itself_in_requests_of_one_fragment_is_joined_and_what_comes_again_is_dropped() {
    let (lab, writer, url, own) = scene(&["--hls", "--hls-time", "1"]);
    let (pictures, sound) = tracks(&lab, 4, &own);
    let of = |name: &str| format!("/live/{STREAM_KEY}.isml/Streams({name})");
    let (video, audio) = (of("video"), of("audio"));
    let mut clients = [Client::new(&url), Client::new(&url)];
    let mut post = |at: usize, path: &str, body: &[u8]| {
        let (status, answer) = clients[at].ask("POST", path, "", body);
        assert_eq!(status, 200, "{answer}");
    };
    post(0, &video, &pictures.0);
    post(1, &audio, &sound.0);
    for at in 0..pictures.1.len().max(sound.1.len()) {
        for (client, path, track) in [(0, &video, &pictures), (1, &audio, &sound)] {
            for back in (0..=at.min(2)).rev() {
                if back == 2 {
                    // After an error the header comes again, and with it what may have been lost.
                    post(client, path, &track.0);
                }
                if let Some(fragment) = track.1.get(at - back) {
                    post(client, path, fragment);
                }
            }
        }
    }
    // A probe, and the end of all of it.
    post(0, &video, b"");
    let (status, answer) = clients[1].ask("DELETE", &format!("/live/{STREAM_KEY}.isml"), "", b"");
    assert_eq!(status, 200, "{answer}");
    writer.wait().code(0).says("the encoder has ended the stream");
    compare(&lab, &own);
    has_one_header(&lab);
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    assert!(list.contains("#EXT-X-ENDLIST") && !list.contains("#EXT-X-DISCONTINUITY"), "{list}");
}

#[test]
fn segments_that_overtake_each_other_are_put_in_order() {
    let (lab, writer, url, own) = scene(&[]);
    let (pictures, sound) = tracks(&lab, 5, &own);
    let path = |name: &str| format!("/live/{STREAM_KEY}/{name}");
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&url)).collect();
    for (name, header) in [("video/init.mp4", &pictures.0), ("audio/init.mp4", &sound.0)] {
        let (status, answer) = clients[0].ask("PUT", &path(name), "", header);
        assert_eq!(status, 201, "{answer}");
    }
    let last = pictures.1.len().max(sound.1.len());
    for (client, name, track) in [(0, "video", &pictures), (1, "audio", &sound)] {
        let (status, answer) = clients[client].ask("PUT", &path(&format!("{name}/0.m4s")), "", &track.1[0]);
        assert_eq!(status, 201, "{answer}");
    }
    for (name, track) in [("video", &pictures), ("audio", &sound)] {
        for first in (1..last).step_by(2) {
            // The second is there before the first.
            let two: Vec<_> = [first + 1, first].into_iter().filter(|at| *at < track.1.len()).collect();
            for (client, at) in two.iter().enumerate() {
                clients[client].send("PUT", &path(&format!("{name}/{at}.m4s")), "", &track.1[*at]);
            }
            for (client, _) in two.iter().enumerate() {
                assert_eq!(clients[client].answer().0, 201);
            }
        }
    }
    let list = b"#EXTM3U\n#EXT-X-ENDLIST\n";
    assert_eq!(clients[2].ask("PUT", &path("video/live.m3u8"), "", list).0, 201);
    writer.wait().code(0).says("the encoder has ended the stream");
    compare(&lab, &own);
    has_one_header(&lab);
}

#[test]
fn a_segment_that_never_came_leaves_a_gap_and_one_without_a_header_is_refused() {
    let (lab, writer, url, own) = scene(&[]);
    let (pictures, _) = tracks(&lab, 4, &own);
    let path = |name: &str| format!("/live/{STREAM_KEY}/{name}");
    let mut client = Client::new(&url);
    let (status, answer) = client.ask("PUT", &path("7.m4s"), "", &pictures.1[0]);
    assert!(status == 412 && answer.contains("before any header"), "{answer}");
    let mut client = Client::new(&url);
    // Files are called anything.
    for (name, body) in [("init.mp4", &pictures.0), ("cam0.m4s", &pictures.1[0]), ("cam3.m4s", &pictures.1[3])] {
        let (status, answer) = client.ask("POST", &path(name), "", body);
        assert_eq!(status, 200, "{name}: {answer}");
    }
    assert_eq!(client.ask("DELETE", &path("cam0.m4s"), "", b"").0, 200);
    assert_eq!(client.ask("POST", &format!("/live/{STREAM_KEY}?close"), "", b"").0, 200);
    writer.wait().code(0);
    let object = lab.object(KEY).expect("the object");
    let (from, to) = crate::support::media::extent(&object);
    assert!((to - from - 4.0).abs() < 0.2, "{from} to {to}");
}

#[test]
fn of_two_that_push_the_same_the_second_takes_over_or_is_refused() {
    for (more, first_is, second_is) in [(&[][..], 409, 200), (&["--takeover", "refuse"], 200, 409)] {
        let (lab, writer, url, own) = scene(more);
        let (pictures, _) = tracks(&lab, 3, &own);
        let path = format!("/live/{STREAM_KEY}");
        let (mut first, mut second) = (Client::new(&url), Client::new(&url));
        first.begin(&path);
        first.chunk(&pictures.0);
        first.chunk(&pictures.1[0]);
        writer.wait_for("an encoder publishes");
        let whole = [&pictures.0[..], &pictures.1.concat()].concat();
        assert_eq!(second.ask("POST", &path, "", &whole).0, second_is);
        if first_is == 200 {
            first.chunk(&pictures.1[1..].concat());
            first.chunk(b"");
        }
        assert_eq!(first.answer().0, first_is);
        writer.wait().code(0);
        crate::support::media::plays(&lab.object(KEY).expect("the object"));
    }
}

#[test]
fn a_writer_that_is_killed_under_a_push_goes_on_in_the_same_object() {
    let lab = Lab::new();
    let own = lab.dir().join("own.mp4");
    let (pictures, sound) = tracks(&lab, 6, &own);
    let spool = lab.dir().join("spool");
    std::fs::create_dir_all(&spool).expect("a directory");
    let more = ["--spool-dir", spool.to_str().expect("text"), "--part-size", "5MiB"];
    for (time, range) in [0..2, 2..4, 4..pictures.1.len()].into_iter().enumerate() {
        let (writer, url) = listening(&lab, &more);
        if time > 0 {
            writer.wait_for("was killed: going on behind the");
        }
        let mut client = Client::new(&url);
        for (name, track) in [("video", &pictures), ("audio", &sound)] {
            assert_eq!(client.ask("PUT", &format!("/live/{STREAM_KEY}/{name}/init.mp4"), "", &track.0).0, 201);
        }
        for at in range {
            for (name, track) in [("video", &pictures), ("audio", &sound)] {
                if let Some(fragment) = track.1.get(at) {
                    let path = format!("/live/{STREAM_KEY}/{name}/{at}.m4s");
                    assert_eq!(client.ask("PUT", &path, "", fragment).0, 201);
                }
            }
        }
        if time < 2 {
            upload_is_noted(&spool);
            writer.signal("KILL");
            writer.wait();
        } else {
            if let Some(last) = sound.1.get(pictures.1.len()) {
                assert_eq!(client.ask("PUT", &format!("/live/{STREAM_KEY}/audio/9.m4s"), "", last).0, 201);
            }
            assert_eq!(client.ask("DELETE", &format!("/live/{STREAM_KEY}"), "", b"").0, 200);
            writer.wait().code(0);
        }
    }
    has_one_header(&lab);
    let object = lab.object(KEY).expect("the object");
    crate::support::media::plays(&object);
    let (from, to) = crate::support::media::extent(&object);
    assert!((to - from - 6.0).abs() < 0.3, "{from} to {to}");
}
