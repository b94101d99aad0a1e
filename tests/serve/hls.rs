//! HLS from `reader --serve`: playlists that every gateway makes alike, segments that are the object's bytes, and ffmpeg, which
//! plays them live and over the end.

use std::io::Read;
use std::process::{Command, Stdio};

use super::scene::{GOOD, Gateway, Growing, KEY, ends, player, shown};
use crate::support::lab::Lab;
use crate::support::media::{camera, frames, make, thumbnails};
use crate::support::run::{assert_same, await_some, await_that};

/// The URL of the media playlist that that of KEY leads to.
fn media_of(gateway: &Gateway) -> String {
    let index = gateway.get(&format!("/hls/{KEY}/index.m3u8"), &[]);
    assert_eq!(index.status, 200, "{} {}", index.head, index.text());
    let text = index.text();
    let uri = text.lines().find(|line| line.ends_with("/media.m3u8")).unwrap_or_else(|| panic!("{text}"));
    format!("/hls/{KEY}/{uri}")
}

/// A playlist.
fn list(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/vnd.apple.mpegurl"));
    answer.text()
}

/// What a playlist lists, with the header first; parts are left out.
fn stretches(text: &str) -> Vec<String> {
    let header = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"'));
    header.into_iter().chain(text.lines().filter(|line| !line.starts_with('#'))).map(str::to_owned).collect()
}

/// Fetches a stretch beside a playlist, and holds it against the object's bytes.
fn fetch(gateway: &Gateway, media: &str, name: &str, object: &[u8]) -> Vec<u8> {
    let beside = media.rsplit_once('/').expect("a folder").0;
    let answer = gateway.get(&format!("{beside}/{name}"), &[]);
    assert_eq!(answer.status, 200, "{name}: {}", answer.head);
    assert!(answer.whole, "{name}");
    let (first, length) = name.split_once('.').expect("an ending").0.split_once('-').expect("a place");
    let (first, length): (usize, usize) = (first.parse().expect("an offset"), length.parse().expect("a length"));
    assert_eq!(answer.header("content-length"), Some(length.to_string()));
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    assert_same(&answer.body, &object[first..first + length], name);
    answer.body
}

/// All that a playlist lists, one after the other.
fn fetch_all(gateway: &Gateway, media: &str, object: &[u8]) -> Vec<u8> {
    let text = list(gateway, media);
    stretches(&text).iter().map(|name| fetch(gateway, media, name, object)).collect::<Vec<_>>().concat()
}

fn pictures(data: &[u8]) -> Vec<String> {
    frames(data, "the source").into_iter().map(|frame| frame.hash).collect()
}

#[test]
fn ffmpeg_plays_a_growing_object_over_its_end_and_then_all_of_it_at_the_same_url() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--access-log"]);
    let mut growing = Growing::begin(&lab);
    let media = media_of(&gateway);
    let live = list(&gateway, &media);
    assert!(live.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && !live.contains("ENDLIST"), "{live}");
    let url = gateway.url(&format!("/hls/{KEY}/index.m3u8"));
    let joined = player(&url);
    // Another gateway, and one in whose place another comes, make the same list and give the same bytes.
    let other = Gateway::start(&lab, &[]);
    assert_eq!(stretches(&list(&other, &media)), stretches(&live));
    for name in stretches(&live) {
        fetch(&other, &media, &name, &growing.data);
    }
    // It has fetched a segment while there was no end.
    await_that("the player plays", || gateway.run.messages().matches("\"route\":\"/hls/\"").count() >= 6);
    growing.complete();
    let ended = await_some("the end of the list", || {
        let text = list(&gateway, &media);
        text.ends_with("#EXT-X-ENDLIST\n").then_some(text)
    });
    assert!(stretches(&ended).starts_with(&stretches(&live)), "{live}\n{ended}");
    let all = pictures(&growing.data);
    let seen = shown(joined);
    assert!(seen.len() > 100 && all.ends_with(&seen), "{} frames of {}", seen.len(), all.len());
    assert_eq!(shown(player(&url)), all);
    assert_same(
        &fetch_all(&gateway, &media, &growing.data),
        &growing.data[..growing.data.len() - tail(&growing.data)],
        "all segments",
    );
    let fresh = Gateway::start(&lab, &[]);
    assert_eq!(stretches(&list(&fresh, &media)), stretches(&ended));
    let answer = fresh.get(&media, &[]);
    assert_eq!(answer.header("cache-control").as_deref(), Some("max-age=60"));
    // Each segment begins with a picture that can be had alone.
    let stills = media.replace("media.m3u8", "iframes.m3u8");
    let listed = stretches(&list(&fresh, &stills));
    assert_eq!(listed.len(), stretches(&ended).len());
    let folder = media.rsplit_once('/').expect("a folder").0;
    let header = fetch(&fresh, &media, &listed[0], &growing.data);
    let still = fresh.get(&format!("{folder}/{}", listed[3]), &[]);
    assert_eq!((still.status, still.header("content-length")), (200, Some(still.body.len().to_string())));
    let alone = pictures(&[&header[..], &still.body].concat());
    assert_eq!(alone, [all[2 * 50].clone()], "the third segment's");
    let looked: Vec<_> = all.iter().step_by(50).cloned().collect();
    assert_eq!(shown(player(&fresh.url(&stills))), looked);
}

/// How many bytes after the last fragment belong to none (`mfra`).
fn tail(data: &[u8]) -> usize {
    let length = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = 0;
    while &data[at + 4..at + 8] != b"mfra" {
        at += length(at);
        if at >= data.len() {
            return 0;
        }
    }
    data.len() - at
}

#[test]
fn parts_are_announced_held_back_and_the_bytes_of_the_object() {
    let coded = format!("-c:v libx264 -preset ultrafast -g 20 -f mp4 -movflags {GOOD} -frag_duration 500000");
    let data = make(&[thumbnails(200)], &coded);
    let ends = ends(&data);
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    // As with --max-latency: the one part becomes longer by a fragment each time.
    let mut there = 0;
    let mut etag = String::new();
    let mut grow = |count: usize| {
        there = (there + count).min(ends.len());
        etag = lab.part(KEY, &id, 1, &data[..ends[there - 1]]);
        (there, etag.clone())
    };
    // Three segments and a little.
    grow(13);
    let media = media_of(&gateway);
    let look = || gateway.ask("HEAD", &format!("/watch?v={KEY}"), &[("range", "bytes=0-")]).header("content-range");
    // At the pace of an encoder: parts are listed where it is steady.
    let text = await_some("parts are listed", || {
        let (count, _) = grow(1);
        assert!(count < 300, "no parts were listed");
        std::thread::sleep(std::time::Duration::from_millis(150));
        await_that("it is here", || look() == Some(format!("bytes 0-{}/*", ends[count - 1] - 1)));
        let text = list(&gateway, &media);
        text.contains("#EXT-X-PART:").then_some(text)
    });
    for tag in ["CAN-BLOCK-RELOAD=YES", "PART-HOLD-BACK=", "CAN-SKIP-UNTIL=", "#EXT-X-PART-INF:PART-TARGET=0.55"] {
        assert!(text.contains(tag), "{tag}: {text}");
    }
    let tag = |gateway: &Gateway| gateway.ask("HEAD", &format!("/watch?v={KEY}"), &[]).header("etag").expect("a tag");
    let growing = tag(&gateway);
    let all_is_there = format!("bytes 0-{}/*", ends[grow(1).0 - 1] - 1);
    await_that("all of it is here", || look() == Some(all_is_there.clone()));
    // What comes next is held back until it is there.
    let hint_of = |text: &str| {
        let hint = text.lines().last().and_then(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""));
        hint.and_then(|hint| hint.strip_suffix('"')).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let segments_of = |text: &str| text.lines().filter(|line| line.starts_with("#EXTINF")).count();
    let next_end = ends[grow(0).0 - 1];
    let text = await_some("the newest part is listed", || {
        let text = list(&gateway, &media);
        (hint_of(&text) == format!("{next_end}-.m4s")).then_some(text)
    });
    let (hint, segments) = (hint_of(&text), segments_of(&text));
    let folder = media.rsplit_once('/').expect("a folder").0.to_owned();
    let announced = gateway.view(&format!("{folder}/{hint}"), &[]);
    let segment = gateway.view(&format!("{media}?_HLS_msn={segments}"), &[]);
    let part = gateway.view(&format!("{media}?_HLS_msn={}&_HLS_part=1", segments + 1), &[]);
    // Too far away, and what makes no sense.
    for (query, status) in [
        (format!("_HLS_msn={}", segments + 100), 400),
        ("_HLS_part=0".to_owned(), 400),
        ("_HLS_msn=abc".to_owned(), 400),
        ("_HLS_msn=0&_HLS_part=99".to_owned(), 200),
    ] {
        assert_eq!(gateway.get(&format!("{media}?{query}"), &[]).status, status, "{query}");
    }
    // The rest of the segment, the next one, and what comes after it.
    (0..10).for_each(|_| drop(grow(1)));
    let announced = announced.join().expect("an answer");
    assert_eq!(announced.status, 200, "{}", announced.head);
    let at = ends.iter().position(|end| *end == next_end).expect("it ends there");
    assert_same(&announced.body, &data[next_end..ends[at + 1]], "what was announced");
    assert_eq!(announced.header("content-length"), Some(announced.body.len().to_string()));
    let segment = segment.join().expect("an answer").text();
    assert!(segments_of(&segment) > segments, "{segment}");
    let part = part.join().expect("an answer").text();
    let open = part.lines().rev().take_while(|line| !line.starts_with("#EXTINF") && !line.ends_with(".m4s"));
    let is_there =
        segments_of(&part) > segments + 1 || open.filter(|line| line.starts_with("#EXT-X-PART:")).count() > 1;
    assert!(is_there, "{part}");
    for name in part.lines().filter_map(|line| line.strip_prefix("#EXT-X-PART:")?.split('"').nth(1)) {
        fetch(&gateway, &media, name, &data);
    }
    etag = lab.part(KEY, &id, 1, &data);
    lab.complete(KEY, &id, &[etag]);
    await_that("it has ended", || list(&gateway, &media).ends_with("#EXT-X-ENDLIST\n"));
    assert_eq!(tag(&Gateway::start(&lab, &[])), growing, "it is called as while it grew, also by another gateway");
    let over = list(&gateway, &format!("{media}?_HLS_msn=9999"));
    assert!(!over.contains("PART") && !over.contains("HINT"), "{over}");
    assert_same(&fetch_all(&gateway, &media, &data), &data[..data.len() - tail(&data)], "all segments");
}

#[test]
fn a_long_list_is_sent_compressed_and_as_updates() {
    let coded = format!("-c:v libx264 -preset ultrafast -g 10 -f mp4 -movflags {GOOD}");
    let data = make(&[thumbnails(200)], &coded);
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    let media = media_of(&gateway);
    let whole = list(&gateway, &media);
    let update = list(&gateway, &format!("{media}?_HLS_skip=YES"));
    let skipped = update.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
    let skipped: usize = skipped.unwrap_or_else(|| panic!("{update}")).parse().expect("a number");
    assert!(skipped >= 20 && update.contains("#EXT-X-VERSION:9\n"), "{update}");
    let segments =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(segments(&update), segments(&whole)[skipped..]);
    let zipped = gateway.get(&media, &[("accept-encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    assert!(zipped.body.len() * 2 < whole.len(), "{} of {}", zipped.body.len(), whole.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, whole);
    let tag = zipped.header("etag").expect("a tag");
    assert_eq!(gateway.get(&media, &[("if-none-match", &tag)]).status, 304);
    let head = gateway.ask("HEAD", &media, &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some(whole.len().to_string())));
    // Not before there is more, and not after the gateway's end.
    let held = gateway.view(&format!("{media}?_HLS_msn={}", segments(&whole).len()), &[]);
    assert_eq!(gateway.get(&media, &[]).status, 200);
    gateway.end("TERM").code(143);
    let answer = held.join().expect("an answer");
    assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")), "{}", answer.head);
}

#[test]
fn what_cannot_be_played_is_refused_with_a_sentence() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    lab.put("text", &b"any text at all".repeat(1000));
    let plain = {
        let file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=duration=1", "-c:v", "libx264"]);
        assert!(command.arg(file.path()).stdin(Stdio::null()).status().expect("ffmpeg").success());
        std::fs::read(file.path()).expect("the file")
    };
    lab.put("plain.mp4", &plain);
    for key in ["text", "plain.mp4"] {
        let answer = gateway.get(&format!("/hls/{key}/index.m3u8"), &[]);
        assert_eq!(answer.status, 415, "{key}: {}", answer.text());
        assert!(answer.text().len() > 20 && answer.header("cache-control").as_deref() == Some("no-store"));
    }
    for path in [
        "/hls/nothing/index.m3u8",
        "/hls/live.m3u8",
        "/hls/text/nonsense/media.m3u8",
        "/hls/text/x",
        "/hls/_live/x/index.m3u8",
        "/hls/text/nonsense/0-10.m4s",
    ] {
        assert_eq!(gateway.get(path, &[]).status, 404, "{path}");
    }
    let data = make(&[thumbnails(8)], &format!("-c:v libx264 -preset ultrafast -g 10 -f mp4 -movflags {GOOD}"));
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data);
    let media = media_of(&gateway);
    let folder = media.rsplit_once('/').expect("a folder").0;
    assert_eq!(gateway.get(&format!("{folder}/0-99999999999.m4s"), &[]).status, 404);
    assert_eq!(gateway.get(&format!("{folder}/1-.m4s"), &[]).status, 404);
    let ranged = gateway.get(&format!("{folder}/100-1000.m4s"), &[("range", "bytes=10-19")]);
    assert_eq!((ranged.status, ranged.header("content-range").as_deref()), (206, Some("bytes 10-19/1000")));
    assert_same(&ranged.body, &data[110..120], "a range of a segment");
    // It is aborted: whoever is held back hears of it, and there is nothing any more.
    let segments = list(&gateway, &media).matches("#EXTINF").count();
    let held = gateway.view(&format!("{media}?_HLS_msn={segments}"), &[]);
    lab.abort(KEY, &id);
    assert_eq!(held.join().expect("an answer").status, 503);
    await_that("it is gone", || gateway.get(&media, &[]).status == 404);
}

#[test]
fn the_renditions_that_writers_tell_of_are_one_playlist() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    for (name, size) in [("low", "160x90"), ("high", "320x180")] {
        let coded = format!("-c:v libx264 -preset ultrafast -g 25 -s {size} -f mp4 -movflags {GOOD}");
        let data = make(&[thumbnails(6)], &coded);
        let key = format!("shows/{name}.mp4");
        let master = ["--hls", "--hls-master", "shows/all.m3u8", "--hls-name", name];
        lab.writer(&[&[key.as_str()], &master[..]].concat()).end_with(&data).code(0);
    }
    let all = list(&gateway, "/hls/shows/all.m3u8");
    let uris: Vec<_> = all.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(uris.len(), 2, "{all}");
    assert!(all.contains("RESOLUTION=160x90") && all.contains("RESOLUTION=320x180"), "{all}");
    for (name, uri) in ["low", "high"].iter().zip(uris) {
        assert!(uri.starts_with(&format!("{name}.mp4/")), "{all}");
        let media = format!("/hls/shows/{uri}");
        let object = lab.object(&format!("shows/{name}.mp4")).expect("an object");
        assert_same(&fetch_all(&gateway, &media, &object), &object[..object.len() - tail(&object)], name);
    }
}

#[test]
fn what_a_store_without_live_read_holds_is_played_too() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let gateway = Gateway::start(&lab, &[]);
    let mut camera = camera(10);
    let mut writer = lab.writer(&[KEY, "--live", "objects", "--max-latency", "500ms"]);
    let mut stream = camera.stdout.take().expect("a pipe");
    let feeder = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            writer.write(&buffer[..count]);
            all.extend_from_slice(&buffer[..count]);
        }
        writer.end().code(0);
        all
    });
    await_that("something is there", || gateway.get(&format!("/hls/{KEY}/index.m3u8"), &[]).status == 200);
    let media = media_of(&gateway);
    let live = stretches(&list(&gateway, &media));
    let data = feeder.join().expect("the writer");
    camera.wait().expect("ffmpeg");
    for name in &live {
        fetch(&gateway, &media, name, &data);
    }
    await_that("it has ended", || list(&gateway, &media).ends_with("#EXT-X-ENDLIST\n"));
    let fresh = Gateway::start(&lab, &[]);
    assert_eq!(stretches(&list(&fresh, &media)), stretches(&list(&gateway, &media)));
    assert_same(&fetch_all(&fresh, &media, &data), &data[..data.len() - tail(&data)], "all segments");
}
