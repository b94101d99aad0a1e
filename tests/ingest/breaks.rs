//! Encoders that break off, come back, take over, or may not publish: and one object in the end.

use std::time::Duration;

use live_read::protocol::key::numbered;

use crate::support::encoder::{KEY, STREAM_KEY, Words, camera, camera_of, ended, ffmpeg, listening, packets};
use crate::support::lab::Lab;
use crate::support::media::{extent, plays, width_of};
use crate::support::run::{Outcome, await_that};

/// How many headers are in it.
fn headers(object: &[u8]) -> usize {
    object.windows(4).filter(|window| window == b"moov").count()
}

/// Its end, with the object; the key is seen nowhere.
#[track_caller]
fn end(lab: &Lab, outcome: Outcome) -> Vec<u8> {
    outcome.code(0).does_not_say(STREAM_KEY);
    lab.object(KEY).expect("the object")
}

#[test]
fn an_encoder_that_is_killed_and_comes_back_goes_on_in_the_same_object() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug", "--fragment", "200ms", "--hls", "--hls-time", "1"]);
    for time in 0..3 {
        let mut encoder = camera(if time == 2 { 2 } else { 30 }, &url);
        if time == 2 {
            ended(encoder);
            break;
        }
        writer.wait_for(["an encoder publishes", "an encoder is back"][time]);
        std::thread::sleep(Duration::from_millis(1500));
        encoder.kill().expect("kill");
        encoder.wait().expect("its end");
        await_that("the break", || writer.messages().matches("the encoder is gone").count() == time + 1);
    }
    let object = end(&lab, writer.wait());
    assert_eq!(headers(&object), 1);
    plays(&object);
    // One playlist over all of it, to its end.
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    let lasts = list.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok());
    let (lasts, (_, whole)) = (lasts.sum::<f64>(), extent(&object));
    assert!(list.contains("#EXT-X-ENDLIST") && (lasts - whole).abs() < 0.3, "{lasts} s of {whole}: {list}");
    // It tells where an encoder went on, and when that was.
    assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:").count(), 2, "{list}");
    assert_eq!(list.matches("#EXT-X-MAP").count(), 1, "{list}");
    // Whatever the encoders' clocks said, times go on, with less than a quarter of a second between.
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        assert!(times.len() > 50, "{} packets of {stream}", times.len());
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{stream}: {times:?}");
    }
}

#[test]
fn an_encoder_that_stays_away_ends_the_recording_and_what_it_sent_is_there() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--reconnect", "300ms"]);
    let mut words = Words::accepted(&url);
    words.stream(3);
    drop(words);
    let outcome = writer.wait().says("the encoder is gone").says("the recording is over");
    let object = end(&lab, outcome);
    for time in [0u32, 2900] {
        let frame = [&[0x65][..], &time.to_be_bytes()[1..]].concat();
        assert!(object.windows(4).any(|window| window == frame), "the picture at {time} ms");
    }
}

#[test]
fn the_newest_encoder_takes_over_and_with_refuse_the_first_one_stays() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let mut first = Words::accepted(&url);
    first.stream(2);
    let mut second = Words::publishing(&url, "live", STREAM_KEY);
    first.hear("another encoder has taken over");
    second.hear("NetStream.Publish.Start");
    second.stream(2);
    second.end();
    second.hear("NetStream.Unpublish.Success");
    let object = end(&lab, writer.wait().says("takes over"));
    assert_eq!(headers(&object), 1);

    let (writer, url) = listening(&lab, &["--takeover", "refuse"]);
    let mut first = Words::accepted(&url);
    let mut second = Words::publishing(&url, "live", STREAM_KEY);
    second.hear("NetStream.Publish.Denied");
    second.is_closed_within(5);
    first.stream(1);
    first.end();
    end(&lab, writer.wait());
}

#[test]
fn who_has_not_the_key_is_told_so_and_nobody_can_play() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug"]);
    for (app, key) in [("live", "guess"), ("other", STREAM_KEY), ("live", ""), ("live", "s3cretke")] {
        let mut words = Words::publishing(&url, app, key);
        words.hear("NetStream.Publish.BadName");
        words.is_closed_within(5);
    }
    // A real one ends with what it is told.
    let output = camera(5, &url.replace(STREAM_KEY, "guess")).wait_with_output().expect("ffmpeg");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("check the URL's application and the stream key"));
    let player = std::process::Command::new("ffmpeg").args(["-v", "error", "-i", &url, "-f", "null", "-"]).output();
    let player = player.expect("ffmpeg");
    assert!(!player.status.success() && String::from_utf8_lossy(&player.stderr).contains("nothing to be played here"));
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    end(&lab, writer.wait().says("was turned away").says("it wants to play"));
}

#[test]
fn a_codec_that_is_not_taken_is_named_and_the_right_one_may_follow() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let mut words = Words::accepted(&url);
    words.message(8, 0, b"\x2fmp3");
    words.hear("MP3 is not taken");
    writer.wait_for("MP3 is not taken");
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    end(&lab, writer.wait());
}

#[test]
fn pictures_with_start_codes_are_left_out_with_one_warning() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let mut words = Words::accepted(&url);
    words.stream(1);
    for time in [1000, 1040] {
        words.message(9, time, b"\x17\x01\0\0\0\0\0\0\x01\x65annex b");
    }
    words.frames(2000, 3000);
    words.end();
    let outcome = writer.wait();
    assert_eq!(outcome.err.matches("start codes (Annex B)").count(), 1, "{}", outcome.err);
    let object = end(&lab, outcome);
    let holds = |bytes: &[u8]| object.windows(bytes.len()).any(|window| window == bytes);
    assert!(
        !holds(b"annex b") && holds(&[0, 0, 0, 4, 0x65, 0, 0x0b, 0x54]),
        "the picture at 2900 ms and none of theirs"
    );
}

/// The object that goes on after `number - 1` others.
#[track_caller]
fn object(lab: &Lab, number: u32) -> Vec<u8> {
    lab.object(&numbered(KEY, number)).unwrap_or_else(|| panic!("no object {number}"))
}

#[test]
fn other_settings_go_on_in_another_object_and_each_has_one_header() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug"]);
    let (other, usual) = ([0x12, 0x10], [0x11, 0x90]);
    let mut words = Words::accepted(&url);
    words.stream(2);
    drop(words);
    writer.wait_for("the encoder is gone");
    // At the beginning, and then in the middle of a connection, where only what changes is told.
    let mut words = Words::accepted(&url);
    words.stream_as(2, other);
    words.message(8, 2000, &[&[0xaf, 0][..], &usual].concat());
    words.frames(2000, 4000);
    drop(words);
    await_that("the second break", || writer.messages().matches("the encoder is gone").count() == 2);
    // The same again is nothing new.
    let mut words = Words::accepted(&url);
    words.stream(2);
    words.end();
    let outcome = writer.wait().code(0).says("sends with other settings than before").says("all is in 3 objects");
    outcome.does_not_say(STREAM_KEY);
    for (number, config) in [(1, usual), (2, other), (3, usual)] {
        let object = object(&lab, number);
        // Descriptor 5, of two bytes: what AAC is set up with.
        let found = object.windows(2).any(|window| window == config);
        assert!(headers(&object) == 1 && found, "object {number}: {} headers", headers(&object));
    }
    assert!(lab.object(&numbered(KEY, 4)).is_none());
}

#[test]
fn a_camera_that_comes_back_with_another_resolution_goes_on_in_the_next_object_and_the_playlist_over_both() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug", "--hls", "--hls-time", "1"]);
    let mut encoder = camera(30, &url);
    writer.wait_for("an encoder publishes");
    std::thread::sleep(Duration::from_millis(1500));
    encoder.kill().expect("kill");
    encoder.wait().expect("its end");
    writer.wait_for("the encoder is gone");
    ended(camera_of("160x90", 2, &url));
    writer.wait().code(0).says("all is in 2 objects");
    let mut whole = 0.0;
    for (number, width) in [(1, 320), (2, 160)] {
        let object = object(&lab, number);
        assert_eq!(headers(&object), 1, "object {number}");
        plays(&object);
        let (start, lasts) = extent(&object);
        // Each plays from its own beginning.
        assert!(start < 0.2, "object {number} begins at {start}");
        assert_eq!(width_of(&object), width, "object {number}");
        whole += lasts;
    }
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    let lasts = list.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok());
    let lasts: f64 = lasts.sum();
    assert!(list.contains("#EXT-X-ENDLIST") && (lasts - whole).abs() < 0.5, "{lasts} s of {whole}: {list}");
    assert_eq!((list.matches("#EXT-X-MAP").count(), list.matches("#EXT-X-DISCONTINUITY\n").count()), (2, 1), "{list}");
}

#[test]
fn after_ten_wrong_keys_no_key_is_right_for_a_while() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    for guess in 0..10 {
        Words::publishing(&url, "live", &format!("guess{guess}")).hear("NetStream.Publish.BadName");
    }
    Words::publishing(&url, "live", STREAM_KEY).hear("NetStream.Publish.BadName");
    writer.signal("INT");
    writer.wait().code(0).does_not_say(STREAM_KEY);
}

#[test]
fn behind_a_trusted_proxy_everybody_has_an_address_of_his_own() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--trusted-proxies", "127.0.0.1", "--debug"]);
    let behind = |ip: &str, key: &str| {
        Words::publishing_behind(&url, &format!("PROXY TCP4 {ip} 127.0.0.1 49152 1935\r\n"), "live", key)
    };
    for guess in 0..10 {
        behind("192.0.2.1", &format!("guess{guess}")).hear("NetStream.Publish.BadName");
    }
    behind("192.0.2.1", STREAM_KEY).hear("NetStream.Publish.BadName");
    // A proxy that is trusted always says for whom it comes.
    Words::publishing(&url, "live", STREAM_KEY).is_closed_within(5);
    writer.wait_for("does not say by the PROXY protocol");
    let mut words = behind("192.0.2.2", STREAM_KEY);
    words.hear("NetStream.Publish.Start");
    words.stream(1);
    words.end();
    end(&lab, writer.wait().says("an encoder publishes: 192.0.2.2:49152").says("192.0.2.1:49152 was turned away"));
}

#[test]
fn nobody_who_is_not_trusted_says_who_he_is() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--trusted-proxies", "192.0.2.0/24"]);
    let mut words = Words::publishing_behind(&url, "PROXY TCP4 192.0.2.2 127.0.0.1 1 2\r\n", "live", STREAM_KEY);
    words.is_closed_within(5);
    let mut words = Words::accepted(&url);
    words.stream(1);
    words.end();
    end(&lab, writer.wait().says("an encoder publishes: 127.0.0.1:"));
}

#[test]
fn a_signal_ends_the_recording_with_all_that_came() {
    let lab = Lab::new();
    for publishes in [true, false] {
        let (writer, url) = listening(&lab, &["--max-latency", "100ms"]);
        let mut words = publishes.then(|| Words::accepted(&url));
        if let Some(words) = &mut words {
            words.stream(3);
            let reader = lab.reader(&[KEY]);
            reader.wait_output(1000);
        }
        writer.signal("INT");
        let outcome = writer.wait().code(0);
        if publishes {
            plays_to(&lab.object(KEY).expect("the object"), 2900);
        } else {
            outcome.says("was not made");
        }
    }
}

/// The picture of that moment is in it.
#[track_caller]
fn plays_to(object: &[u8], time: u32) {
    let frame = [&[0x65][..], &time.to_be_bytes()[1..]].concat();
    assert!(object.windows(4).any(|window| window == frame), "the picture at {time} ms");
}
