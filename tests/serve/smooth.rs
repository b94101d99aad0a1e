//! Smooth Streaming from `reader --serve`: manifests and fragments as ffmpeg's own muxer makes them, their samples those of the
//! object, and a player that goes by nothing but what each fragment names.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use md5::{Digest, Md5};

use super::scene::{GOOD, Gateway, Growing, KEY, guarded, link, packets};
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, sound, thumbnails, tone};
use crate::support::run::{assert_same, await_some, await_that};

const TOKEN: (&str, &str) = ("authorization", "Bearer viewer-token-0123456789");

/// What the box with those that follow begins with.
const TFRF: &[u8] = b"\xd4\x80\x7e\xf2\xca\x39\x46\x95";

fn of_key() -> String {
    format!("/{KEY}.isml/Manifest")
}

fn manifest(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/vnd.ms-sstr+xml"));
    answer.text()
}

/// The attributes of each element of this name.
fn elements(text: &str, name: &str) -> Vec<HashMap<String, String>> {
    let of = |element: &str| {
        let inside = element.split_once('>').expect("an end").0;
        let pairs = inside.split("\" ").filter_map(|pair| pair.split_once("=\""));
        pairs
            .map(|(name, value)| (name.trim().to_owned(), value.trim_end_matches(['"', '/', ' ']).to_owned()))
            .collect()
    };
    text.split(&format!("<{name} ")).skip(1).map(of).collect()
}

/// A stream of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stream {
    name: String,
    timescale: u64,
    /// Where its fragments are, but for the time.
    url: String,
    /// When each begins and how long it lasts.
    chunks: Vec<(u64, u64)>,
    level: HashMap<String, String>,
}

impl Stream {
    fn path(&self, time: u64) -> String {
        format!("/{KEY}.isml/{}", self.url.replace("{start time}", &time.to_string()))
    }
}

fn streams(text: &str) -> Vec<Stream> {
    let of = |(element, stream): (&str, HashMap<String, String>)| {
        let level = elements(element, "QualityLevel").remove(0);
        let mut due = 0;
        let chunk = |chunk: HashMap<String, String>| {
            let begins = chunk.get("t").map_or(due, |begins| begins.parse().expect("a time"));
            let lasts = chunk["d"].parse::<u64>().expect("a duration");
            due = begins + lasts;
            (begins, lasts)
        };
        Stream {
            name: stream["Type"].clone(),
            timescale: stream.get("TimeScale").map_or(10_000_000, |scale| scale.parse().expect("a number")),
            url: stream["Url"].replace("{bitrate}", &level["Bitrate"]),
            chunks: elements(element, "c").into_iter().map(chunk).collect(),
            level,
        }
    };
    text.split("<StreamIndex").skip(1).zip(elements(text, "StreamIndex")).map(of).collect()
}

/// Fetches what never changes.
fn fetch(gateway: &Gateway, path: &str) -> Vec<u8> {
    // What is held back for long is to be asked for again.
    let answer = await_some("a fragment", || Some(gateway.get(path, &[])).filter(|answer| answer.status != 503));
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, answer.text());
    assert!(answer.whole, "{path}");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string()));
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    answer.body
}

/// The contents of the first box of a kind.
fn boxed<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let mut rest = bytes;
    loop {
        let size = u32::from_be_bytes(*rest.first_chunk().expect("a box")) as usize;
        if &rest[4..8] == kind {
            return &rest[8..size];
        }
        rest = &rest[size..];
    }
}

/// What a fragment tells of when it begins and how long it lasts, and the same of the next.
fn times(fragment: &[u8]) -> ((u64, u64), Option<(u64, u64)>) {
    let after = |id: &[u8]| {
        let at = fragment.windows(id.len()).position(|window| window == id)?;
        Some(&fragment[at + 16 + 4..])
    };
    let number = |bytes: &[u8]| u64::from_be_bytes(*bytes.first_chunk().expect("a number"));
    let time = |bytes: &[u8]| (number(bytes), number(&bytes[8..]));
    let own = time(after(b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6").expect("a time"));
    // Their last one has none.
    let next = after(TFRF).filter(|next| next[0] > 0).map(|next| time(&next[1..]));
    (own, next)
}

/// All fragments of a stream from one on, as a player comes by them that goes by nothing but what each names.
fn follow(gateway: &Gateway, stream: &Stream, from: (u64, u64)) -> Vec<Vec<u8>> {
    let (mut fragments, mut due) = (Vec::new(), Some(from));
    while let Some(time) = due {
        let fragment = fetch(gateway, &stream.path(time.0));
        let (own, next) = times(&fragment);
        assert_eq!(own, time, "{}", stream.name);
        assert!(fragment.windows(8).any(|window| window == TFRF), "{} at {}", stream.name, time.0);
        due = next;
        fragments.push(fragment);
    }
    fragments
}

/// When each sample of a fragment is shown, and its bytes; by the standard, as ffmpeg has times of its own where some are shown
/// before they are decoded.
fn samples(fragment: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let traf = boxed(boxed(fragment, b"moof"), b"traf");
    let (tfhd, tfdt, trun) = (boxed(traf, b"tfhd"), boxed(traf, b"tfdt"), boxed(traf, b"trun"));
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().expect("a number"));
    let (of_all, flags) = (word(tfhd, 0), word(trun, 0));
    let duration = (of_all & 0x08 != 0).then(|| word(tfhd, if of_all & 0x02 == 0 { 8 } else { 12 }));
    let mut decoded = i64::from_be_bytes(*tfdt[4..].first_chunk().expect("a time"));
    let mut place = word(trun, 8) as usize;
    let mut at = if flags & 0x004 == 0 { 12 } else { 16 };
    let mut samples = Vec::new();
    for _ in 0..word(trun, 4) {
        let mut next = |flag: u32| {
            let is_there = flags & flag != 0;
            at += if is_there { 4 } else { 0 };
            is_there.then(|| word(trun, at - 4))
        };
        let lasts = next(0x100).or(duration).expect("a duration");
        let size = next(0x200).expect("a size") as usize;
        next(0x400);
        let later = next(0x800).unwrap_or(0);
        let later = if trun[0] == 1 { i64::from(later.cast_signed()) } else { later.into() };
        samples.push((decoded + later, fragment[place..place + size].to_vec()));
        (decoded, place) = (decoded + i64::from(lasts), place + size);
    }
    assert_eq!(place, fragment.len());
    samples
}

/// When each packet of a file is shown, and its hash.
fn shown(bytes: &[u8], stream: &str) -> Vec<(i64, String)> {
    let of = |line: String| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[2].parse().expect("a time"), fields[5].to_owned())
    };
    packets(bytes, stream).into_iter().map(of).collect()
}

#[test]
fn each_track_has_the_packets_of_the_object_in_step_with_the_others() {
    // Pictures in another order than they are shown in, with an edit list or with times before 0, and sound with them or apart.
    let shapes = [
        (FRAGMENTS.to_owned(), format!("{H264} -bf 2")),
        (format!("{FRAGMENTS} -frag_duration 300000"), H264.to_owned()),
        ("-f mp4 -movflags frag_keyframe+empty_moov+delay_moov+default_base_moof".to_owned(), format!("{H264} -bf 2")),
        (
            "-f mp4 -movflags frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets".to_owned(),
            format!("{H264} -bf 2"),
        ),
    ];
    let lab = Lab::new();
    for (fragments, coded) in shapes {
        let data = make(&[picture(9, 10), tone(9)], &format!("{coded} {AAC} {fragments}"));
        lab.put(KEY, &data);
        let gateway = Gateway::start(&lab, &[]);
        let text = manifest(&gateway, &of_key());
        assert!(text.contains(" Duration=\"9") && !text.contains("IsLive"), "{text}");
        let streams = streams(&text);
        let names: Vec<_> = streams.iter().map(|stream| &stream.name[..]).collect();
        assert_eq!(names, ["video", "audio"], "{text}");
        assert!(streams.iter().any(|stream| stream.chunks[0].0 == 0), "{text}");
        let mut leads = Vec::new();
        for (stream, id) in streams.iter().zip(["0:v", "0:a"]) {
            assert!(stream.chunks.len() >= 4, "{text}");
            let all = follow(&gateway, stream, stream.chunks[0]);
            assert_eq!(all.iter().map(|fragment| times(fragment).0).collect::<Vec<_>>(), stream.chunks);
            let hash = |(at, bytes): (i64, Vec<u8>)| (at, hex::encode(Md5::digest(bytes)));
            let ours: Vec<_> = all.iter().flat_map(|fragment| samples(fragment)).map(hash).collect();
            let theirs = shown(&data, id);
            assert_eq!(ours.len(), theirs.len());
            let by = ours[0].0 - theirs[0].0;
            let moved: Vec<_> = theirs.into_iter().map(|(at, hash)| (at + by, hash)).collect();
            assert_eq!(ours, moved, "{coded} {fragments}: {id}");
            leads.push(by as f64 / stream.timescale as f64);
            // When the first is shown is when players are told that it begins.
            let earliest = ours.iter().map(|(at, _)| *at).min().expect("packets");
            assert_eq!(u64::try_from(earliest), Ok(stream.chunks[0].0), "{coded} {fragments}: {id}");
        }
        // Of what is shown before it is decoded ffmpeg has times of its own.
        let apart = if fragments.contains("negative") { 0.1 } else { 1.0 / streams[0].timescale as f64 };
        assert!((leads[0] - leads[1]).abs() <= apart, "{coded} {fragments}: {leads:?}");
        // The same without the samples, a range, what the client has, and what is not of one certain version.
        let path = streams[0].path(streams[0].chunks[1].0);
        let all = fetch(&gateway, &path);
        let moof = fetch(&gateway, &path.replace("/Fragments(", "/FragmentInfo("));
        assert_eq!(moof.len() as u64, u64::from(u32::from_be_bytes(*moof.first_chunk().expect("a size"))));
        assert_eq!(moof, all[..moof.len()]);
        assert_eq!(boxed(&all, b"mdat").len(), all.len() - moof.len() - 8);
        let range = gateway.get(&path, &[("range", "bytes=100-2999")]);
        assert_eq!((range.status, &range.body[..]), (206, &all[100..3_000]));
        let tag = gateway.ask("HEAD", &path, &[]).header("etag").expect("a tag");
        assert_eq!(gateway.get(&path, &[("if-none-match", &tag)]).status, 304);
        let (_, newest) = path.split_once("/QualityLevels").expect("a level");
        let newest = gateway.get(&format!("/{KEY}.ism/QualityLevels{newest}"), &[]);
        assert_eq!((newest.status, newest.header("cache-control").as_deref()), (200, Some("max-age=1")));
        assert_same(&newest.body, &all, "of the newest version");
    }
}

#[test]
fn manifest_and_samples_are_those_of_another_muxer() {
    let data = make(&[picture(8, 10), tone(8)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let lab = Lab::new();
    lab.put(KEY, &data);
    let gateway = Gateway::start(&lab, &[]);
    let ours = streams(&manifest(&gateway, &of_key()));
    let folder = lab.dir().join("smooth");
    let file = lab.dir().join("source.mp4");
    std::fs::write(&file, &data).expect("a file");
    let mut muxer = Command::new("ffmpeg");
    muxer.args(["-hide_banner", "-nostdin", "-v", "error", "-i"]).arg(&file).args([
        "-c",
        "copy",
        "-f",
        "smoothstreaming",
    ]);
    muxer.args(["-min_frag_duration", "1990000", "-window_size", "0"]).arg(&folder);
    assert!(muxer.stdin(Stdio::null()).status().expect("ffmpeg").success());
    let theirs = streams(&std::fs::read_to_string(folder.join("Manifest")).expect("a manifest"));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for (name, value) in theirs.level.iter().filter(|(name, _)| *name != "Bitrate") {
            assert_eq!(ours.level.get(name), Some(value), "{name} of {}", ours.name);
        }
        let samples: Vec<_> = ours
            .chunks
            .iter()
            .flat_map(|(time, _)| boxed(&fetch(&gateway, &ours.path(*time)), b"mdat").to_vec())
            .collect();
        // Their manifest tells no times: what there is is in the names of the files.
        let level = theirs.url.split_once('/').expect("a level").0;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder.join(level)).expect("a folder") {
            let entry = entry.expect("a file");
            let name = entry.file_name().into_string().expect("a name");
            let time = name.strip_prefix(&format!("Fragments({}=", ours.name)).and_then(|time| time.strip_suffix(')'));
            if let Some(time) = time {
                files.push((time.parse::<u64>().expect("a time"), std::fs::read(entry.path()).expect("a file")));
            }
        }
        files.sort_unstable();
        let other: Vec<_> = files.iter().flat_map(|(_, file)| boxed(file, b"mdat").to_vec()).collect();
        assert_same(&samples, &other, &ours.name);
        if ours.name == "video" {
            let first = files[0].0;
            let scaled = |ticks: u64| ticks * 10_000_000 / ours.timescale;
            assert_eq!(ours.chunks.len(), files.len());
            for ((begins, lasts), (time, file)) in ours.chunks.iter().zip(&files) {
                // They count in ticks of their own.
                let (begins, lasts) = (scaled(begins - ours.chunks[0].0), scaled(*lasts));
                assert!(begins.abs_diff(time - first) <= 1, "{begins} {time}");
                let (own, _) = times(file);
                assert!(own.0 == *time && own.1.abs_diff(lasts) <= 1, "{own:?} {lasts}");
            }
        }
    }
}

#[test]
fn who_watches_what_grows_goes_on_over_its_end_and_others_find_all_of_it_at_the_same_url() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &["--access-log"]);
    let mut growing = Growing::begin(&lab);
    let live = manifest(&gateway, &of_key());
    for part in [" Duration=\"0\" ", " IsLive=\"TRUE\" ", " LookAheadFragmentCount=\"1\" ", " DVRWindowLength=\"0\""] {
        assert!(live.contains(part), "{part}\n{live}");
    }
    let before = streams(&live);
    assert!(before.len() == 2 && before.iter().all(|stream| !stream.chunks.is_empty()), "{live}");
    // What is told of can be had at once, with what follows it; the next is held back until that is so.
    let other = Gateway::start(&lab, &[]);
    assert_eq!(streams(&manifest(&other, &of_key())), before);
    for stream in &before {
        for chunk in &stream.chunks {
            let fragment = fetch(&gateway, &stream.path(chunk.0));
            let (own, next) = times(&fragment);
            assert!(own == *chunk && next.is_some());
            assert_same(&fetch(&other, &stream.path(chunk.0)), &fragment, "from another gateway");
        }
    }
    let windowed = streams(&manifest(&gateway, &format!("{}?dvr=1s", of_key())));
    for (short, all) in windowed.iter().zip(&before) {
        assert_eq!(short.chunks[..], all.chunks[all.chunks.len() - 1..]);
    }
    // A viewer who joins at the newest fragment, one from the beginning, each of both tracks.
    let joined = std::thread::scope(|scope| {
        let (gateway, begin) = (&gateway, |first: bool| {
            let place = |stream: &Stream| if first { stream.chunks.first() } else { stream.chunks.last() }.copied();
            before.iter().map(|stream| (stream.clone(), place(stream).expect("a chunk"))).collect::<Vec<_>>()
        });
        let viewers: Vec<_> = [true, false].into_iter().flat_map(begin).collect();
        let count = viewers.len();
        let viewers: Vec<_> = viewers
            .into_iter()
            .map(|(stream, from)| scope.spawn(move || (stream.name.clone(), follow(gateway, &stream, from))))
            .collect();
        let whole = || gateway.run.messages().matches("\"route\":\"/*.isml/\"").count();
        await_that("they watch", || whole() >= count * 2);
        growing.complete();
        viewers.into_iter().map(|viewer| viewer.join().expect("a viewer")).collect::<Vec<_>>()
    });
    let ended = await_some("the end", || {
        let text = manifest(&gateway, &of_key());
        (!text.contains("IsLive")).then_some(text)
    });
    let after = streams(&ended);
    let duration: u64 = elements(&ended, "SmoothStreamingMedia")[0]["Duration"].parse().expect("a duration");
    assert!((119_000_000..122_000_000).contains(&duration), "{ended}");
    for (stream, before) in after.iter().zip(&before) {
        assert!(stream.chunks.starts_with(&before.chunks) && stream.level == before.level, "{live}\n{ended}");
        let all = follow(&gateway, stream, stream.chunks[0]);
        assert_eq!(all.len(), stream.chunks.len());
        for (_, watched) in joined.iter().filter(|(name, _)| *name == stream.name) {
            let tail = &all[all.len() - watched.len()..];
            assert_same(&watched.concat(), &tail.concat(), "what a viewer has seen");
            assert!(watched.len() + before.chunks.len() > all.len());
        }
    }
    // Whoever comes later finds the same, from any gateway.
    let fresh = Gateway::start(&lab, &[]);
    assert_eq!(manifest(&fresh, &of_key()), ended);
    assert_eq!(fresh.get(&of_key(), &[]).header("cache-control").as_deref(), Some("max-age=60"));
    let path = after[0].path(after[0].chunks[3].0);
    assert_same(&fetch(&fresh, &path), &fetch(&gateway, &path), "from a fresh gateway");
}

#[test]
fn an_upload_of_the_same_key_changes_nothing_for_who_has_a_manifest() {
    let lab = Lab::new();
    let of = |size: &str| make(&[picture(5, 10), tone(5)], &format!("{H264} -s {size} {AAC} {FRAGMENTS}"));
    let (one, two) = (of("160x90"), of("320x180"));
    lab.put(KEY, &one);
    let gateway = Gateway::start(&lab, &[]);
    let first = streams(&manifest(&gateway, &of_key()));
    let path = first[0].path(first[0].chunks[1].0);
    let before = fetch(&gateway, &path);
    lab.put(KEY, &two);
    let second = await_some("the other", || {
        let text = manifest(&gateway, &of_key());
        text.contains("MaxWidth=\"320\"").then(|| streams(&text))
    });
    assert_ne!(second[0].url, first[0].url);
    assert_same(&fetch(&gateway, &path), &before, "of the first upload");
    let packets = |stream: &Stream| {
        stream.chunks.iter().map(|(time, _)| boxed(&fetch(&gateway, &stream.path(*time)), b"mdat").len()).sum::<usize>()
    };
    assert!(packets(&first[0]) < packets(&second[0]));
}

#[test]
fn what_is_not_there_is_told_so_and_what_comes_is_waited_for() {
    let coded = format!("-c:v libx264 -preset ultrafast -g 20 -f mp4 -movflags {GOOD}");
    let data = make(&[thumbnails(60)], &coded);
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &data[..data.len() / 2]);
    let text = manifest(&gateway, &of_key());
    let [stream] = &streams(&text)[..] else { panic!("{text}") };
    let (newest, length) = *stream.chunks.last().expect("a fragment");
    let path = stream.path(newest);
    let rate = format!("({})", stream.level["Bitrate"]);
    for (path, status) in [
        (stream.path(newest + 1), 404),
        (stream.path(newest + 100 * length), 412),
        (stream.path(u64::MAX), 412),
        (path.replace("video=", "audio="), 404),
        (path.replace("video=", "="), 404),
        (path.replace(&rate, "(1)"), 404),
        (path.replace(&rate, "(18446744073709551615)"), 404),
        (path.replace(&rate, "(-1)"), 404),
        (path.replace(&rate, "(99999999999999999999999)"), 404),
        (path.replace(&format!("={newest}"), &format!("={newest}9999999999999999999999")), 404),
        (path.replace(&format!("={newest}"), "=x"), 404),
        (path.replace(KEY, "nothing"), 404),
        (path.replace(KEY, "_live/nothing"), 404),
        (path.replace(KEY, ".."), 400),
        (path.replace(KEY, "a/%2e%2e/b"), 400),
        (path.replace(KEY, "a%0d%0ab"), 400),
        ("/.isml/Manifest".to_owned(), 400),
        ("/%ff.isml/Manifest".to_owned(), 400),
        (format!("{}?bucket=other", of_key()), 403),
        (format!("{}?dvr=long", of_key()), 400),
        (format!("/{KEY}.isml"), 404),
        (format!("/{KEY}/Manifest"), 404),
    ] {
        let answer = gateway.get(&path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
    }
    assert_eq!(gateway.ask("POST", &of_key(), &[]).status, 405);
    let held = gateway.view(&stream.path(newest + length), &[]);
    let zipped = gateway.get(&of_key(), &[("accept-encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    let etag = lab.part(KEY, &id, 1, &data);
    let held = held.join().expect("an answer");
    assert_eq!(held.status, 200, "{} {}", held.head, String::from_utf8_lossy(&held.body));
    assert_eq!(times(&held.body).0, (newest + length, length));
    lab.complete(KEY, &id, &[etag]);
    await_that("it has ended", || !manifest(&gateway, &of_key()).contains("IsLive"));
    assert_eq!(gateway.get(&stream.path(u64::MAX), &[]).status, 404);
    lab.put("text", &b"any text at all".repeat(1000));
    assert_eq!(gateway.get("/text.isml/Manifest", &[]).status, 415);
    // Another codec is left out; where there is no other that is told.
    let coded = format!("-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error -g 25 {FRAGMENTS}");
    lab.put("hevc.mp4", &make(&[picture(5, 10), tone(5)], &format!("{coded} {AAC}")));
    let sound_alone = manifest(&gateway, "/hevc.mp4.isml/Manifest");
    assert_eq!(streams(&sound_alone).iter().map(|stream| &stream.name[..]).collect::<Vec<_>>(), ["audio"]);
    lab.put("opus.mp4", &make(&[sound(5)], &format!("-c:a libopus {FRAGMENTS} -frag_duration 500000")));
    let refused = gateway.get("/opus.mp4.isml/Manifest", &[]);
    assert!(refused.status == 415 && refused.text().contains("H.264 and AAC"), "{}", refused.text());
}

#[test]
fn with_tokens_all_of_it_needs_one_or_a_link_and_other_sites_are_let_in_by_name() {
    let lab = Lab::new();
    let (gateway, file) = guarded(&lab, &["--allow-origin", "https://tv.example", "--access-log"]);
    let answer = gateway.get(&of_key(), &[TOKEN, ("origin", "https://tv.example")]);
    assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some("private, max-age=60")));
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://tv.example"));
    let foreign = gateway.get(&of_key(), &[TOKEN, ("origin", "https://evil.example")]);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let link = link(&lab, &file, KEY, &["--expires", "1h"]);
    let root = link.strip_suffix(&format!("/play/{KEY}")).expect("the player");
    assert_eq!(gateway.get(&format!("{root}{}", of_key()), &[]).text(), answer.text());
    for stream in streams(&answer.text()) {
        let path = stream.path(stream.chunks[1].0);
        let fragment = gateway.get(&path, &[TOKEN]);
        let keep = "private, max-age=31536000, immutable";
        assert_eq!((fragment.status, fragment.header("cache-control").as_deref()), (200, Some(keep)));
        assert_same(&gateway.get(&format!("{root}{path}"), &[]).body, &fragment.body, "by a link");
        for (path, headers, status) in [
            (path.clone(), &[][..], 401),
            (path.clone(), &[("authorization", "Bearer viewer-token-9876543210")], 401),
            (path.clone(), &[("authorization", "Bearer other-token-0123456789")], 403),
            (format!("{root}{}", path.replace(KEY, "secret.mp4")), &[], 403),
        ] {
            assert_eq!(gateway.get(&path, headers).status, status, "{path} {headers:?}");
        }
    }
    assert_eq!(gateway.get(&of_key(), &[]).status, 401);
    assert_eq!(gateway.get(&format!("{root}/secret.mp4.isml/Manifest"), &[]).status, 403);
    let token = root.strip_prefix("/s/").expect("a token").to_owned();
    let log = gateway.end("TERM").code(143).err;
    assert!(log.contains("\"route\":\"/*.isml/\"") && !log.contains(&token[20..60]), "{log}");
}
