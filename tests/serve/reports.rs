//! Playlists of low latency of several renditions from `reader --serve`: each tells how far the others are.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::renditions::{MASTER, beside};
use super::scene::Gateway;
use crate::support::lab::Lab;
use crate::support::media::FRAGMENTS;
use crate::support::run::await_some;

/// Pictures at the pace of the clock, in fragments of half a second, until it is killed.
fn camera(size: &str) -> Child {
    let input = format!("-re -f lavfi -i testsrc2=size={size}:rate=20:duration=120");
    let coded = "-c:v libx264 -preset ultrafast -tune zerolatency -g 20 -pix_fmt yuv420p";
    let mut command = Command::new("ffmpeg");
    command.args("-hide_banner -nostdin -v error".split(' ')).args(input.split(' ')).args(coded.split(' '));
    command.args(FRAGMENTS.split(' ')).args(["-frag_duration", "500000", "pipe:1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("ffmpeg")
}

/// The newest segment and the newest part that a playlist lists.
fn newest(text: &str) -> Option<(u64, u64)> {
    let segments = text.matches("#EXTINF").count() as u64;
    let parts = |text: &str| text.matches("#EXT-X-PART:").count() as u64;
    let open = text.rsplit_once(".m4s\n#EXT-X-PART:").filter(|(_, rest)| !rest.contains("#EXTINF"));
    match open {
        Some((_, rest)) => Some((segments, parts(rest))),
        None => {
            let before = text.rsplit_once("#EXTINF")?.0;
            let last = before.rsplit_once(".m4s\n").map_or(before, |(_, last)| last);
            Some((segments.checked_sub(1)?, parts(last).checked_sub(1)?))
        }
    }
}

#[test]
fn playlists_of_low_latency_say_how_far_the_other_renditions_are() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let feeders: Vec<_> = [("high", "320x180"), ("low", "160x90")]
        .into_iter()
        .map(|(name, size)| {
            let key = format!("shows/{name}.mp4");
            let args = [&key[..], "--max-latency", "500ms", "--hls", "--hls-master", MASTER, "--hls-name", name];
            let (mut writer, mut camera) = (lab.writer(&args), camera(size));
            let mut stream = camera.stdout.take().expect("a pipe");
            let feeder = std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    writer.write(&buffer[..count]);
                }
                writer.end()
            });
            (camera, feeder)
        })
        .collect();
    let of = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    let paths = await_some("both of them", || {
        let answer = gateway.get("/hls/shows/all.m3u8", &[]);
        Some(of(&answer.text())).filter(|paths| answer.status == 200 && paths.len() == 2)
    });
    let paths: Vec<_> = paths.iter().map(|path| beside("/hls/shows/all.m3u8", path)).collect();
    let list = |path: &str| {
        let answer = gateway.get(path, &[]);
        (answer.status == 200).then(|| answer.text())
    };
    // Both are watched, and what is said of one in the other's playlist lies between what it had before and has afterwards.
    let (before, report, after) = await_some("a report", || {
        let before = newest(&list(&paths[1]).filter(|text| text.contains("#EXT-X-PART:"))?)?;
        let text = list(&paths[0])?;
        let report = text.lines().find_map(|line| line.strip_prefix("#EXT-X-RENDITION-REPORT:"))?.to_owned();
        assert_eq!(text.matches("RENDITION-REPORT").count(), 1, "{text}");
        Some((before, report, newest(&list(&paths[1])?)?))
    });
    let (uri, rest) = report.strip_prefix("URI=\"").and_then(|rest| rest.split_once('"')).expect("a place");
    assert_eq!(beside(&paths[0], uri), paths[1]);
    let (segment, part) =
        rest.strip_prefix(",LAST-MSN=").and_then(|rest| rest.split_once(",LAST-PART=")).expect("both");
    let told: (u64, u64) = (segment.parse().expect("a number"), part.parse().expect("a number"));
    assert!((before..=after).contains(&told), "{before:?} {told:?} {after:?}");
    // Whoever asks for what comes next there is answered with that.
    let next = gateway.get(&format!("{}?_HLS_msn={segment}&_HLS_part={part}", paths[1]), &[]);
    assert!(next.status == 200 && newest(&next.text()) >= Some(told), "{}", next.text());
    // It is none of what is played without parts.
    for (mut camera, feeder) in feeders {
        camera.kill().expect("it runs");
        camera.wait().expect("ffmpeg");
        feeder.join().expect("a writer").code(0);
    }
    let ended = await_some("the end", || list(&paths[0]).filter(|text| text.ends_with("#EXT-X-ENDLIST\n")));
    assert!(!ended.contains("RENDITION-REPORT"), "{ended}");
}
