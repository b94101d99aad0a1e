//! Whoever can reach the port of the publishing point can send anything: nothing of it costs much, and the stream beside it goes on.

use std::io::Write;
use std::net::TcpStream;

use crate::support::encoder::{KEY, STREAM_KEY};
use crate::support::lab::Lab;
use crate::support::pusher::{Client, compare, listening, tracks};

#[test]
fn a_push_goes_on_beside_whatever_others_send() {
    let lab = Lab::new();
    let (writer, url) = listening(&lab, &[]);
    let own = lab.dir().join("own.mp4");
    let (pictures, sound) = tracks(&lab, 4, &own);
    let path = |name: &str| format!("/live/{STREAM_KEY}/{name}");
    let mut client = Client::new(&url);
    let mut put = |name: &str, body: &[u8]| {
        let (status, answer) = client.ask("PUT", &path(name), "", body);
        assert_eq!(status, 201, "{name}: {answer}");
    };
    put("video/init.mp4", &pictures.0);
    put("audio/init.mp4", &sound.0);
    put("video/0.m4s", &pictures.1[0]);
    put("audio/0.m4s", &sound.1[0]);
    let before = writer.peak_memory();
    let host = url.split('/').nth(2).expect("an authority");
    let connect = || TcpStream::connect(host).expect("a connection");
    // Without the key: no HTTP, heads without end, many fields, bodies of any length, and who says nothing, or goes.
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", path("video/1.m4s"));
    let strangers: [Vec<u8>; 6] = [
        b"\x03\0\0\0\0rtmp".repeat(1000),
        b"POST / HTTP/1.1\r\nHost: ".iter().copied().chain(std::iter::repeat_n(b'x', 300_000)).collect(),
        [b"POST / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(10_000)].concat(),
        b"POST /live/other HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n\0\0\0\x08moov".to_vec(),
        b"POST /live/other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        Vec::new(),
    ];
    let mut silent = Vec::new();
    for bytes in &strangers {
        for _ in 0..2 {
            let mut stream = connect();
            // It may be closed already.
            drop(stream.write_all(bytes));
            silent.push(stream);
        }
    }
    drop(silent);
    // With it: boxes that claim anything, for the same source and for others; bodies that never come.
    let box_of = |size: u32, kind: &[u8; 4]| [&size.to_be_bytes()[..], kind].concat();
    let claims: Vec<Vec<u8>> = vec![
        box_of(0, b"moov"),
        box_of(u32::MAX, b"moov"),
        box_of(15 << 20, b"moof"),
        [box_of(1, b"mdat"), vec![0x7f; 8]].concat(),
        [&pictures.0[..100], &pictures.1[1]].concat(),
        pictures.1[1].iter().map(|byte| byte ^ 1).collect(),
        [&pictures.1[1][..200], &[0xff; 2000]].concat(),
    ];
    let mut open = Vec::new();
    for claim in &claims {
        for name in ["x/1.m4s", "y/init.mp4"] {
            let mut stream = connect();
            let length = format!("Content-Length: {}\r\n\r\n", 16 << 20);
            let head = head.replace("video/1.m4s", name) + &length;
            drop(stream.write_all(&[head.as_bytes(), claim].concat()));
            open.push(stream);
        }
    }
    for at in 1..pictures.1.len().max(sound.1.len()) {
        for (name, track) in [("video", &pictures), ("audio", &sound)] {
            if let Some(fragment) = track.1.get(at) {
                put(&format!("{name}/{at}.m4s"), fragment);
            }
        }
    }
    let (status, answer) = client.ask("DELETE", &format!("/live/{STREAM_KEY}"), "", b"");
    assert_eq!(status, 200, "{answer}");
    let grown = writer.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    drop(open);
    writer.wait().code(0).does_not_say("panicked").does_not_say(STREAM_KEY);
    assert!(lab.object(KEY).is_some());
    compare(&lab, &own);
}
