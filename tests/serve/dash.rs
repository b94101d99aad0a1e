//! DASH from `reader --serve`: manifests that any gateway makes, tracks by themselves whose samples are the object's, and ffmpeg,
//! which plays them live and over the end.

use std::collections::HashSet;
use std::process::Child;

use super::scene::{GOOD, Gateway, Growing, KEY, ffmpeg, guarded, lines, link, packets};
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, thumbnails, tone};
use crate::support::run::{assert_same, await_some, await_that};

/// A manifest.
fn manifest(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/dash+xml"));
    answer.text()
}

fn of_key() -> String {
    format!("/dash/{KEY}/manifest.mpd")
}

/// The value of an attribute.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value)
}

/// The tracks of a manifest: what each is called, its header, and its segments.
fn tracks(text: &str) -> Vec<(String, String, Vec<String>)> {
    let mut tracks = Vec::new();
    for set in text.split("<AdaptationSet ").skip(1) {
        let id = value(set, "Representation id").or_else(|| value(set, "id")).expect("an id").to_owned();
        let of = |name| value(set, name).expect("a template").replace("$RepresentationID$", &id);
        let (mut next, mut segments) = (0u64, Vec::new());
        for span in set.split("<S").skip(1).filter(|span| span.starts_with([' ', '/'])) {
            let number = |name| value(span, name).map(|number| number.parse::<u64>().expect("a number"));
            next = number("t").unwrap_or(next);
            for _ in 0..=number("r").unwrap_or(0) {
                segments.push(of("media").replace("$Time$", &next.to_string()));
                next += number("d").expect("a duration");
            }
        }
        tracks.push((id.clone(), of("initialization"), segments));
    }
    tracks
}

/// Fetches what a manifest names.
fn fetch(gateway: &Gateway, name: &str) -> Vec<u8> {
    let answer = gateway.get(&format!("/dash/{KEY}/{name}"), &[]);
    assert_eq!(answer.status, 200, "{name}: {} {}", answer.head, answer.text());
    assert!(answer.whole, "{name}");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string()));
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    answer.body
}

/// A track with all its segments, as a file of its own.
fn whole(gateway: &Gateway, (_, header, segments): &(String, String, Vec<String>)) -> Vec<u8> {
    [header].into_iter().chain(segments).map(|name| fetch(gateway, name)).collect::<Vec<_>>().concat()
}

fn player(url: &str) -> Child {
    ffmpeg(url, &["-map", "0:v", "-f", "framehash", "-hash", "murmur3", "-"]).spawn().expect("ffmpeg")
}

/// The same of so many pictures: what was live once, ffmpeg 5 never takes for finished.
fn player_of(url: &str, pictures: usize) -> Child {
    let pictures = pictures.to_string();
    ffmpeg(url, &["-map", "0:v", "-frames:v", &pictures, "-f", "framehash", "-hash", "murmur3", "-"])
        .spawn()
        .expect("ffmpeg")
}

fn hashes(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.rsplit(',').next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn each_track_by_itself_has_the_packets_of_the_object_with_their_times() {
    // Pictures in another order than they are shown in, and sound in fragments with them.
    let shapes = [
        (FRAGMENTS.to_owned(), format!("{H264} -bf 2")),
        (format!("{FRAGMENTS} -frag_duration 300000"), H264.to_owned()),
        ("-f mp4 -movflags frag_keyframe+empty_moov+delay_moov+default_base_moof".to_owned(), format!("{H264} -bf 2")),
        (
            FRAGMENTS.to_owned(),
            "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error -g 25".to_owned(),
        ),
    ];
    let lab = Lab::new();
    for (fragments, coded) in shapes {
        let data = make(&[picture(9, 10), tone(9)], &format!("{coded} {AAC} {fragments}"));
        lab.put(KEY, &data);
        let gateway = Gateway::start(&lab, &[]);
        let text = manifest(&gateway, &of_key());
        assert!(
            text.contains(" type=\"static\" mediaPresentationDuration=\"PT9.") && !text.contains("Location"),
            "{text}"
        );
        let tracks = tracks(&text);
        assert_eq!(tracks.len(), 2, "{text}");
        for track in &tracks {
            assert!(track.2.len() >= 4, "{text}");
            let alone = whole(&gateway, track);
            let stream = if track.0 == "1" { "0:v" } else { "0:a" };
            assert_eq!(packets(&alone, stream), packets(&data, stream), "{coded} {fragments}: {stream}");
            assert!(alone.len() < data.len());
        }
        let sum: usize = tracks.iter().map(|track| whole(&gateway, track).len()).sum();
        assert!(sum < data.len() + data.len() / 50 + 20_000, "{sum} bytes of {}", data.len());
        // What HEAD tells, a range, and what the client has.
        let name = format!("/dash/{KEY}/{}", tracks[0].2[1]);
        let all = gateway.get(&name, &[]);
        let tag = all.header("etag").expect("a tag");
        let head = gateway.ask("HEAD", &name, &[]);
        assert_eq!((head.status, head.header("content-length")), (200, Some(all.body.len().to_string())));
        assert_eq!(gateway.get(&name, &[("if-none-match", &tag)]).status, 304);
        for (from, to) in [(0, 9), (100, all.body.len() - 1), (all.body.len() / 2, all.body.len() / 2 + 5_000)] {
            let to = to.min(all.body.len() - 1);
            let range = gateway.get(&name, &[("range", &format!("bytes={from}-{to}"))]);
            assert_eq!(range.status, 206, "{}", range.head);
            assert_same(&range.body, &all.body[from..=to], "a range");
        }
    }
}

#[test]
fn ffmpeg_plays_a_growing_object_over_its_end_and_then_all_of_it_at_the_same_url() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--access-log"]);
    let mut growing = Growing::begin(&lab);
    let live = manifest(&gateway, &of_key());
    assert!(live.contains(" type=\"dynamic\" availabilityStartTime=\""), "{live}");
    let update = live.split_once("<Location>").and_then(|(_, rest)| rest.split_once("</Location>")).expect("a place").0;
    let update = format!("/dash/{KEY}/{update}");
    let now = value(&live, "value").filter(|_| live.contains("urn:mpeg:dash:utc:http-iso:2014"));
    let clock = live.rsplit_once(" value=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a clock").0;
    assert!(now.is_some());
    let clock = gateway.get(&format!("/dash/{KEY}/{clock}"), &[]);
    assert_eq!((clock.status, clock.header("cache-control").as_deref()), (200, Some("no-store")));
    assert!(clock.text().starts_with("20") && clock.text().ends_with('Z'), "{}", clock.text());
    let url = gateway.url(&of_key());
    let all = hashes(&shown(&growing.data));
    // The last ones a decoder keeps until there is an end.
    let until = all.len() - 50;
    let joined = player_of(&url, until);
    // Another gateway lists the same, and gives the same bytes.
    let other = Gateway::start(&lab, &[]);
    assert_eq!(tracks(&manifest(&other, &of_key())), tracks(&live));
    for track in tracks(&live) {
        assert_same(&whole(&other, &track), &whole(&gateway, &track), "a track from another gateway");
    }
    await_that("the player plays", || gateway.run.messages().matches("\"route\":\"/dash/\"").count() >= 12);
    growing.complete();
    let ended = await_some("the end", || {
        let text = manifest(&gateway, &of_key());
        text.contains(" type=\"static\"").then_some(text)
    });
    assert!(manifest(&gateway, &update).contains(" type=\"static\""));
    for (before, after) in tracks(&live).iter().zip(tracks(&ended)) {
        assert!(after.2.starts_with(&before.2), "{live}\n{ended}");
    }
    // It begins a minute before the newest segment, which is at the beginning, and goes on over the end.
    // After a new manifest ffmpeg 5 may read its newest segment again, whose pictures it then leaves out but for one.
    let (mut joined, mut seen) = (hashes(&lines(joined)), HashSet::new());
    joined.retain(|picture| seen.insert(picture.clone()));
    assert!(joined.len() + 5 >= until, "{} pictures of {until}", joined.len());
    assert_eq!(joined, all[..joined.len()]);
    assert_eq!(hashes(&lines(player(&url))), all);
    let fresh = Gateway::start(&lab, &[]);
    assert_eq!(tracks(&manifest(&fresh, &of_key())), tracks(&ended));
    assert_eq!(fresh.get(&of_key(), &[]).header("cache-control").as_deref(), Some("max-age=60"));
}

/// What ffmpeg shows of the pictures of a file.
fn shown(bytes: &[u8]) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("write the file");
    lines(player(&file.path().display().to_string()))
}

#[test]
fn another_header_begins_another_period_with_tracks_of_its_own() {
    let coded = |size: &str| format!("{H264} -s {size} {AAC} {FRAGMENTS} -flush_packets 1");
    let one = make(&[picture(5, 10), tone(5)], &coded("160x90"));
    let two = make(&[picture(5, 10), tone(5)], &coded("320x180"));
    let lab = Lab::new();
    // The second in the middle of the object, without the index at the end of the first.
    let end = (0..one.len() - 4).rev().find(|at| &one[*at..at + 4] == b"mfra").map_or(one.len(), |at| at - 4);
    lab.put(KEY, &[&one[..end], &two].concat());
    let gateway = Gateway::start(&lab, &[]);
    let text = manifest(&gateway, &of_key());
    assert_eq!(text.matches("<Period ").count(), 2, "{text}");
    assert!(text.contains("width=\"160\"") && text.contains("width=\"320\""), "{text}");
    let tracks = tracks(&text);
    assert_eq!(tracks.len(), 4, "{text}");
    for (track, (data, stream)) in tracks.iter().zip([(&one, "0:v"), (&one, "0:a"), (&two, "0:v"), (&two, "0:a")]) {
        assert_eq!(packets(&whole(&gateway, track), stream), packets(data, stream), "{}", track.1);
    }
}

#[test]
fn what_is_not_there_is_told_so_and_what_comes_is_waited_for() {
    let coded = format!("-c:v libx264 -preset ultrafast -g 20 -f mp4 -movflags {GOOD}");
    let data = make(&[thumbnails(60)], &coded);
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    let half = data.len() / 2;
    lab.part(KEY, &id, 1, &data[..half]);
    let text = manifest(&gateway, &of_key());
    let all = tracks(&text);
    let [(_, header, segments)] = &all[..] else { panic!("{text}") };
    let folder = header.rsplit_once('/').expect("a folder").0;
    let newest = segments.last().expect("a segment").rsplit_once('/').expect("a name").1;
    let newest: u64 = newest.strip_suffix(".m4s").expect("an ending").parse().expect("a time");
    let length = newest / (segments.len() as u64 - 1);
    for (name, status) in [
        (format!("{folder}/{}.m4s", newest + 1), 404),
        (format!("{folder}/{}.m4s", newest + 100 * length), 404),
        (format!("{folder}/x.m4s"), 404),
        (folder.replace("/0-1", "/0-2/init.mp4"), 404),
        (folder.replace("/0-1", "/7-1/init.mp4"), 404),
        (folder.replace("/0-1", ""), 404),
    ] {
        let answer = gateway.get(&format!("/dash/{KEY}/{name}"), &[]);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    // The next one is held back until it is there.
    let next = gateway.view(&format!("/dash/{KEY}/{folder}/{}.m4s", newest + length), &[]);
    assert!(gateway.get("/dash/nothing/manifest.mpd", &[]).status == 404);
    let zipped = gateway.get(&of_key(), &[("accept-encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    let etag = lab.part(KEY, &id, 1, &data);
    let next = next.join().expect("an answer");
    assert_eq!(next.status, 200, "{} {}", next.head, String::from_utf8_lossy(&next.body));
    lab.complete(KEY, &id, &[etag]);
    await_that("it has ended", || manifest(&gateway, &of_key()).contains("type=\"static\""));
    lab.put("text", &b"any text at all".repeat(1000));
    assert_eq!(gateway.get("/dash/text/manifest.mpd", &[]).status, 415);
}

#[test]
fn with_tokens_all_of_it_needs_one_or_a_link_and_is_for_nobody_else_to_keep() {
    let lab = Lab::new();
    let (gateway, file) = guarded(&lab, &[]);
    let token = ("authorization", "Bearer viewer-token-0123456789");
    let answer = gateway.get(&of_key(), &[token]);
    assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some("private, max-age=60")));
    let text = answer.text();
    let link = link(&lab, &file, KEY, &["--expires", "1h"]);
    let root = link.strip_suffix(&format!("/play/{KEY}")).expect("the player");
    assert_eq!(gateway.get(&format!("{root}{}", of_key()), &[]).text(), text);
    for (_, header, segments) in tracks(&text) {
        for name in [&header, &segments[1]] {
            let path = format!("/dash/{KEY}/{name}");
            let answer = gateway.get(&path, &[token]);
            let keep = "private, max-age=31536000, immutable";
            assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some(keep)), "{path}");
            assert_same(&gateway.get(&format!("{root}{path}"), &[]).body, &answer.body, "by a link");
            let other = path.replace(KEY, "secret.mp4");
            for (path, headers, status) in [
                (path.clone(), &[][..], 401),
                (path.clone(), &[("authorization", "Bearer viewer-token-9876543210")], 401),
                (path, &[("authorization", "Bearer other-token-0123456789")], 403),
                (format!("{root}{other}"), &[], 403),
            ] {
                assert_eq!(gateway.get(&path, headers).status, status, "{path} {headers:?}");
            }
        }
    }
    assert_eq!(gateway.get(&format!("{root}/dash/secret.mp4/manifest.mpd"), &[]).status, 403);
    assert_eq!(gateway.get(&of_key(), &[]).status, 401);
}
