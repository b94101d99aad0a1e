//! Encoders that push fragments by HTTP: what they send is in the object, and whoever may not is told so.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::encoder::{KEY, STREAM_KEY, ended, ffmpeg, packets};
use crate::support::keys::{TEMPLATE, add_key, objects_of, place};
use crate::support::lab::Lab;
use crate::support::media::plays;
use crate::support::proxy::{Proxy, Weather};
use crate::support::pusher::{FRAGMENTED, application, compare, listening, push, push_of};
use crate::support::run::await_that;
use crate::support::{certificate, present};

#[test]
fn each_frame_that_is_pushed_is_in_the_object_at_its_time() {
    // Fragments of all tracks; and those of Smooth Streaming, each of one track and with times that may be negative.
    for format in [FRAGMENTED, "f=ismv"] {
        let lab = Lab::new();
        let (writer, url) = listening(&lab, &["--hls", "--hls-time", "1"]);
        let own = lab.dir().join("own.mp4");
        ended(push(4, false, format, &url, &own));
        writer.wait().code(0).says("the encoder has ended the stream").says("is complete").does_not_say(STREAM_KEY);
        compare(&lab, &own);
        let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
        assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
    }
}

/// Asks by curl, which trusts this certificate, whether a stream may be sent; what is answered, or nothing.
fn asked(url: &str, trusted: &str) -> Option<String> {
    let (port, by_name) = (url.rsplit(':').next()?.split('/').next()?, url.replace("127.0.0.1", "localhost"));
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert", trusted]);
    let output = curl.args(["-X", "POST", "-w", " %{http_code}", &by_name]).output().expect("curl");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn https_is_taken_on_the_same_port_and_a_renewed_certificate_needs_no_restart() {
    if !present("curl", &["--version"]) {
        return;
    }
    let lab = Lab::new();
    let [chain, key] = certificate(lab.dir(), "one");
    let files = ["--tls-cert", &chain, "--tls-key", &key];
    let (writer, url) = listening(&lab, &files);
    let secure = url.replace("http://", "https://");
    let may = Some("a stream may be sent here\n 200".to_owned());
    assert_eq!([asked(&url, &chain), asked(&secure, &chain)], [may.clone(), may.clone()]);
    let old = lab.dir().join("old.pem").to_str().expect("a path").to_owned();
    std::fs::copy(&chain, &old).expect("a copy");
    let [renewed, its_key] = certificate(lab.dir(), "two");
    std::fs::copy(&its_key, &key).expect("a copy");
    std::fs::copy(&renewed, &chain).expect("a copy");
    await_that("the new one is shown", || asked(&secure, &renewed) == may);
    assert_eq!(asked(&secure, &old), None);
    let own = lab.dir().join("own.mp4");
    ended(push(4, false, FRAGMENTED, &secure, &own));
    writer.wait().code(0).says("(and by TLS, as https://)").says("is complete").does_not_say(STREAM_KEY);
    compare(&lab, &own);
    // With https:// in the URL it is TLS or nothing.
    let address = format!("https://127.0.0.1:0/live/{STREAM_KEY}");
    let writer = lab.writer(&[&[KEY, &address][..], &files].concat());
    let secure = format!("{}/{STREAM_KEY}", application(&writer));
    assert!(secure.starts_with("https://"), "{secure}");
    assert_eq!((asked(&secure, &renewed), asked(&secure.replace("https://", "http://"), &renewed)), (may, None));
    writer.wait_for("it comes without TLS");
}

#[test]
fn an_encoder_that_breaks_off_and_pushes_again_goes_on_in_the_same_object() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--hls", "--hls-time", "1", "--max-latency", "300ms"]);
    let own = lab.dir().join("own.mp4");
    let mut first = push(60, true, FRAGMENTED, &url, &own);
    await_that("a segment", || {
        lab.object("live/camera.m3u8").is_some_and(|list| String::from_utf8_lossy(&list).contains("#EXTINF"))
    });
    first.kill().expect("it is killed");
    first.wait().expect("its end");
    writer.wait_for("the encoder is gone");
    // The same at the same times would be what came already.
    ended(push_of("testsrc", 3, false, FRAGMENTED, &url, &own));
    writer.wait().code(0).says("an encoder is back");
    let object = lab.object(KEY).expect("the object");
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1);
    plays(&object);
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{stream}: {times:?}");
    }
    let list = String::from_utf8(lab.object("live/camera.m3u8").expect("a playlist")).expect("text");
    assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{list}");
}

/// A request with these fields and all of this body, and the status and the answer.
fn request(url: &str, path: &str, method: &str, fields: &str, body: &[u8]) -> (u16, String) {
    let host = url.split('/').nth(2).expect("an authority");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), answer)
}

#[test]
fn whoever_has_not_the_key_or_sends_something_else_is_told_so() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let (good, bearer) = (format!("/live/{STREAM_KEY}"), format!("Authorization: Bearer {STREAM_KEY}\r\n"));
    for (path, method, fields, body, status, says) in [
        ("/live", "POST", "", &b"x"[..], 401, "WWW-Authenticate: Basic"),
        ("/live/other", "POST", "", b"x", 401, "stream key"),
        ("/other/path", "POST", "", b"x", 404, "nothing is published at this path"),
        ("/", "GET", "", b"", 404, "streams are sent to /live/KEY"),
        ("/live/other", "POST", &bearer, b"x", 403, "stream key"),
        (&good, "GET", "", b"", 405, "POST, PUT, DELETE"),
        // Somebody asks whether he may.
        (&good, "POST", "", b"", 200, "may be sent"),
        ("/live", "PUT", &bearer, b"", 200, "may be sent"),
        (&good, "POST", "", b"#EXTM3U\n", 415, "no fragmented MP4"),
        (&good, "POST", "", b"\0\0\0\x10moof\0\0\0\x08traf\0\0\0\x0cmdat1234", 412, "before any header"),
        (&good, "POST", "", b"\0\0\0\x10moov12345678", 415, "no track"),
        (&good, "PUT", "", b"\0\0\0\x18ftypiso61234\0\0\0", 400, "middle"),
    ] {
        let (found, answer) = request(&url, path, method, fields, body);
        let said = answer.to_lowercase().contains(&says.to_lowercase());
        assert!(found == status && said, "{method} {path}: {answer}");
    }
    writer.signal("TERM");
    writer.wait().code(0).does_not_say(STREAM_KEY);
}

#[test]
fn on_this_machine_alone_no_key_is_needed() {
    for (path, at, other) in [("", "", "/other"), ("/ingest/", "/ingest", "/")] {
        let lab = Lab::new();
        let writer = lab.writer(&[KEY, &format!("http://127.0.0.1:0{path}")]);
        let url = application(&writer);
        let (status, answer) = request(&url, other, "POST", "", b"x");
        assert!(status == 404 && answer.contains("streams are sent to /"), "{answer}");
        let own = lab.dir().join("own.mp4");
        let host = url.split('/').nth(2).expect("an authority");
        ended(push(2, false, FRAGMENTED, &format!("http://{host}{at}"), &own));
        writer.wait().code(0).says("the encoder has ended the stream");
        compare(&lab, &own);
    }
    let lab = Lab::new();
    for url in ["http://0.0.0.0:0", "http://:0/live", "https://192.0.2.1/live"] {
        lab.writer(&[KEY, url]).wait().code(2).says("this machine only").says("--keys FILE");
    }
}

#[test]
fn a_password_in_the_url_is_sent_once_it_is_asked_for() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--debug"]);
    let own = lab.dir().join("own.mp4");
    // Without `auth_type` ffmpeg asks first (Expect: 100-continue), and has to be told 401.
    let url = url.replace("http://", &format!("http://encoder:{STREAM_KEY}@")).replace(&format!("/{STREAM_KEY}"), "");
    ended(push(2, false, FRAGMENTED, &url, &own));
    writer.wait().code(0).says("the encoder has ended the stream").does_not_say(STREAM_KEY);
    compare(&lab, &own);
}

#[test]
fn an_encoder_that_tries_again_by_itself_goes_on_in_the_same_object() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &["--hls", "--hls-time", "1", "--max-latency", "300ms"]);
    let path = url.split_once("/live").expect("a path").1.to_owned();
    let proxy = Proxy::before(url.split_once("/live").expect("a path").0);
    let url = format!("{}/live{path}", proxy.endpoint());
    let inputs = "-re -f lavfi -i testsrc2=size=320x180:rate=25:duration=8 -re -f lavfi -i sine=duration=8";
    let coded =
        "-map 0:v -map 1:a -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -c:a aac -flags +global_header";
    let again = "-f fifo -fifo_format mp4 -attempt_recovery 1 -recover_any_error 1 -recovery_wait_time 0.3 \
                 -restart_with_keyframe 1 -format_opts movflags=+frag_keyframe+empty_moov+default_base_moof";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error"]).args(inputs.split_whitespace()).args(coded.split_whitespace());
    command.args(again.split_whitespace()).arg(&url);
    let encoder = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ffmpeg");
    let list = || String::from_utf8(lab.object("live/camera.m3u8").unwrap_or_default()).expect("text");
    await_that("a segment", || list().contains("#EXTINF"));
    proxy.set(Weather::Refuse);
    writer.wait_for("the encoder is gone");
    proxy.set(Weather::Fine);
    ended(encoder);
    writer.wait().code(0).says("an encoder is back").says("the encoder has ended the stream");
    let object = lab.object(KEY).expect("the object");
    assert_eq!(object.windows(4).filter(|window| window == b"moov").count(), 1);
    plays(&object);
    let file = lab.dir().join("object.mp4");
    std::fs::write(&file, &object).expect("a file");
    for stream in ["0:v", "0:a"] {
        let mut times: Vec<_> = packets(&ffmpeg(), &file, stream).into_iter().map(|packet| packet.0).collect();
        assert!(times.len() > 80, "{} packets of {stream}", times.len());
        times.sort_by(f64::total_cmp);
        assert!(times.windows(2).all(|two| two[1] - two[0] < 0.25), "{stream}: {times:?}");
    }
    assert_eq!(list().matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{}", list());
}

#[test]
fn many_streams_are_pushed_by_their_own_keys() {
    let lab = Lab::new();
    let place = place(&lab);
    let keys = [add_key(&place, "left"), add_key(&place, "right")];
    let writer = lab.writer(&[TEMPLATE, "http://127.0.0.1:0/live", "--keys", &place]);
    let url = application(&writer);
    let own = |name: &str| lab.dir().join(format!("{name}.mp4"));
    // By the path, and by a password.
    let password = url.replace("http://", &format!("http://encoder:{}@", keys[1]));
    let encoders = [
        push(2, false, FRAGMENTED, &format!("{url}/{}", keys[0]), &own("left")),
        push(2, false, &format!("{FRAGMENTED}:auth_type=basic"), &format!("{password}/right"), &own("right")),
    ];
    encoders.into_iter().for_each(ended);
    for name in ["left", "right"] {
        await_that("the object", || objects_of(&lab, name).len() == 1);
        plays(&lab.object(&objects_of(&lab, name)[0]).expect("the object"));
    }
    writer.signal("TERM");
    writer.wait().code(0).says("2 recordings").does_not_say(&keys[0]).does_not_say(&keys[1]);
}
