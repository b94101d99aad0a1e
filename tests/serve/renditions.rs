//! Several renditions of one program from `reader --serve`: one manifest of DASH and one of Smooth Streaming, in which each has the
//! samples of its object, live and afterwards; and what becomes of those that do not agree with the others.

use std::collections::BTreeMap;

use super::scene::{Gateway, ffmpeg, lines, link, packets, tokens};
use super::xml::{Element, parse};
use crate::support::BUCKET;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, tone};
use crate::support::run::{Run, assert_same, await_some, await_that};

pub(super) const MASTER: &str = "shows/all.m3u8";
const DASH: &str = "/dash/shows/all.m3u8/manifest.mpd";
const SMOOTH: &str = "/shows/all.isml/Manifest";

/// Writers of one program, each of which is fed a rendition.
struct Program<'a> {
    lab: &'a Lab,
    writers: Vec<(String, Run)>,
}

impl<'a> Program<'a> {
    fn begin(lab: &'a Lab, names: &[&str]) -> Self {
        let writer = |name: &&str| {
            let key = format!("shows/{name}.mp4");
            let args = [&key[..], "--max-latency", "300ms", "--hls", "--hls-master", MASTER, "--hls-name", name];
            ((*name).to_owned(), lab.writer(&args))
        };
        Self { lab, writers: names.iter().map(writer).collect() }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) {
        let (_, writer) = self.writers.iter_mut().find(|(known, _)| known == name).expect("a writer");
        writer.write(bytes);
    }

    /// All that was written is there; the objects.
    fn end(self) -> BTreeMap<String, Vec<u8>> {
        let lab = self.lab;
        for (name, _) in &self.writers {
            let told = format!("{MASTER}.renditions/{name}");
            await_that("it is told of", || lab.keys().contains(&told));
        }
        let ended = |(name, writer): (String, Run)| {
            writer.end().code(0);
            let object = lab.object(&format!("shows/{name}.mp4")).expect("an object");
            (name, object)
        };
        self.writers.into_iter().map(ended).collect()
    }
}

/// A rendition of the same pictures, in which ticks are of a length of its own and pictures come in an order of their own.
fn rendition(seconds: u32, size: &str, more: &str) -> Vec<u8> {
    make(&[picture(seconds, 10), tone(seconds)], &format!("{H264} -s {size} {more} {AAC} {FRAGMENTS}"))
}

const HIGH: &str = "-bf 2";
const LOW: &str = "-bf 2 -video_track_timescale 90000";

#[track_caller]
fn document(gateway: &Gateway, path: &str) -> Element {
    let answer = gateway.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, answer.text());
    parse(&answer.text())
}

/// The path of what is named beside `from`.
pub(super) fn beside(from: &str, name: &str) -> String {
    let mut folders: Vec<&str> = from.rsplit_once('/').expect("a folder").0.split('/').collect();
    for part in name.split('/') {
        match part {
            ".." => assert!(folders.pop().is_some(), "{name} beside {from}"),
            part => folders.push(part),
        }
    }
    folders.join("/")
}

#[track_caller]
fn fetch(gateway: &Gateway, path: &str) -> Vec<u8> {
    // What is held back for long is to be asked for again.
    let answer = await_some("a segment", || Some(gateway.get(path, &[])).filter(|answer| answer.status != 503));
    assert_eq!(answer.status, 200, "{path}: {} {}", answer.head, String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"), "{path}");
    assert!(answer.whole, "{path}");
    answer.body
}

/// A representation of DASH: the object that it is of, its header, and where its segments are.
#[derive(Debug, PartialEq, Eq)]
struct Track {
    key: String,
    header: String,
    segments: Vec<String>,
}

/// Those of a set.
fn tracks(from: &str, set: &Element) -> Vec<Track> {
    assert_eq!(set.get("segmentAlignment"), "true");
    let of = |representation: &&Element| {
        let template = representation.one("SegmentTemplate");
        let (mut next, mut segments) = (0, Vec::new());
        for span in template.one("SegmentTimeline").all("S") {
            next = span.attributes.get("t").map_or(next, |at| at.parse().expect("a time"));
            for _ in 0..=span.attributes.get("r").map_or(0, |more| more.parse().expect("a number")) {
                segments.push(beside(from, &template.get("media").replace("$Time$", &next.to_string())));
                next += span.number("d");
            }
        }
        let header = beside(from, template.get("initialization"));
        let key = header.strip_prefix("/dash/shows/").and_then(|rest| rest.split_once(".mp4/")).expect("a key").0;
        Track { key: key.to_owned(), header, segments }
    };
    set.all("Representation").iter().map(of).collect()
}

/// The sets of a period by what is in them.
fn sets(from: &str, period: &Element) -> Vec<(String, Vec<Track>)> {
    let of = |set: &&Element| (set.get("contentType").to_owned(), tracks(from, set));
    period.all("AdaptationSet").iter().map(of).collect()
}

fn whole(gateway: &Gateway, track: &Track) -> Vec<u8> {
    [&track.header].into_iter().chain(&track.segments).map(|path| fetch(gateway, path)).collect::<Vec<_>>().concat()
}

/// A stream of Smooth Streaming: its rates, when its fragments begin, and where they are.
struct Stream {
    rates: Vec<u64>,
    begins: Vec<u64>,
    url: String,
}

impl Stream {
    fn path(&self, rate: u64, time: u64) -> String {
        let named = self.url.replace("{bitrate}", &rate.to_string()).replace("{start time}", &time.to_string());
        beside(SMOOTH, &named)
    }
}

fn streams(document: &Element) -> Vec<(String, Stream)> {
    let of = |index: &&Element| {
        let rates: Vec<_> = index.all("QualityLevel").iter().map(|level| level.number("Bitrate")).collect();
        let begins: Vec<_> = index.all("c").iter().map(|chunk| chunk.number("t")).collect();
        assert_eq!((index.number("QualityLevels"), index.number("Chunks")), (rates.len() as u64, begins.len() as u64));
        (index.get("Name").to_owned(), Stream { rates, begins, url: index.get("Url").to_owned() })
    };
    document.all("StreamIndex").iter().map(of).collect()
}

/// A hash of each picture of a file.
fn pictures(bytes: &[u8]) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("write the file");
    let path = file.path().display().to_string();
    let shown = ffmpeg(&path, &["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"]).spawn();
    let hash = |line: &String| line.rsplit(',').next().unwrap_or_default().trim().to_owned();
    lines(shown.expect("ffmpeg")).iter().map(hash).collect()
}

#[test]
fn renditions_are_one_manifest_while_they_are_recorded_and_afterwards() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let sources = [("high", rendition(20, "320x180", HIGH)), ("low", rendition(20, "160x90", LOW))];
    let mut program = Program::begin(&lab, &["high", "low"]);
    for (name, data) in &sources {
        program.write(name, &data[..data.len() / 2]);
    }
    let live = await_some("both of them", || {
        let answer = gateway.get(DASH, &[]);
        (answer.status == 200 && answer.text().matches("<Representation ").count() == 3).then(|| parse(&answer.text()))
    });
    assert_eq!(live.get("type"), "dynamic");
    let before = sets(DASH, live.one("Period"));
    let shape = |sets: &[(String, Vec<Track>)]| {
        sets.iter().map(|(kind, tracks)| format!("{kind} {}", tracks.len())).collect::<Vec<_>>()
    };
    assert_eq!(shape(&before), ["video 2", "audio 1"]);
    let segments =
        |sets: &[(String, Vec<Track>)]| sets[0].1.iter().map(|track| track.segments.len()).collect::<Vec<_>>();
    assert!(segments(&before).iter().all(|count| *count > 2), "{before:?}");
    for track in &before[0].1 {
        fetch(&gateway, &track.header);
        fetch(&gateway, &track.segments[1]);
    }
    // Whoever has it goes on with these recordings, and by the clock of the gateway.
    let pinned = beside(DASH, &live.one("Location").text);
    let again = document(&gateway, &pinned);
    assert_eq!(again.one("Location"), live.one("Location"));
    let clock = gateway.get(&beside(DASH, live.one("UTCTiming").get("value")), &[]);
    assert_eq!(clock.status, 200);
    // The same of Smooth Streaming.
    let smooth = await_some("a manifest of both", || {
        let document = document(&gateway, SMOOTH);
        streams(&document).iter().any(|(_, stream)| stream.rates.len() == 2).then_some(document)
    });
    assert_eq!((smooth.get("IsLive"), smooth.get("LookAheadFragmentCount")), ("TRUE", "1"));
    let early = streams(&smooth);
    assert_eq!(
        early.iter().map(|(name, stream)| (&name[..], stream.rates.len())).collect::<Vec<_>>(),
        [("video", 2), ("audio", 1)]
    );
    let (_, video) = &early[0];
    let first: Vec<_> = video.rates.iter().map(|rate| fetch(&gateway, &video.path(*rate, video.begins[1]))).collect();
    assert_ne!(first[0], first[1]);
    // The newest that is told of is there at each rate.
    for rate in &video.rates {
        fetch(&gateway, &video.path(*rate, *video.begins.last().expect("a fragment")));
    }
    for (name, data) in &sources {
        program.write(name, &data[data.len() / 2..]);
    }
    let objects = program.end();

    // Afterwards, by the same address, and from another gateway, too.
    let fresh = Gateway::start(&lab, &[]);
    let over = await_some("its end", || {
        let document = document(&gateway, DASH);
        (document.get("type") == "static").then_some(document)
    });
    assert_eq!(document(&fresh, DASH).all("Period"), over.all("Period"));
    assert_eq!(document(&gateway, &pinned).get("type"), "static");
    assert!(over.get("mediaPresentationDuration").starts_with("PT20."), "{over:?}");
    let after = sets(DASH, over.one("Period"));
    assert_eq!(shape(&after), ["video 2", "audio 1"]);
    for (before, after) in before[0].1.iter().zip(&after[0].1) {
        assert!(before.header == after.header && after.segments.starts_with(&before.segments));
    }
    let mut dash = BTreeMap::new();
    for track in &after[0].1 {
        let alone = whole(&gateway, track);
        assert_eq!(packets(&alone, "0:v"), packets(&objects[&track.key], "0:v"), "{}", track.key);
        dash.insert(track.key.clone(), (fetch(&gateway, &track.header), pictures(&alone)));
    }
    assert_eq!(dash.keys().collect::<Vec<_>>(), ["high", "low"]);
    let sound = &after[1].1[0];
    assert_eq!(packets(&whole(&gateway, sound), "0:a"), packets(&objects[&sound.key], "0:a"));

    let ended = await_some("its end", || {
        let document = document(&gateway, SMOOTH);
        (!document.attributes.contains_key("IsLive")).then_some(document)
    });
    assert!((199_000_000..202_000_000).contains(&ended.number("Duration")), "{ended:?}");
    let late = streams(&ended);
    let (_, now) = &late[0];
    assert!(now.rates == video.rates && now.begins.starts_with(&video.begins), "{ended:?}");
    assert_eq!(now.begins.len(), 10);
    let levels = ended.all("StreamIndex")[0].all("QualityLevel");
    for ((rate, level), early) in now.rates.iter().zip(levels).zip(first) {
        let key = if level.get("MaxWidth") == "320" { "high" } else { "low" };
        let all: Vec<_> = now.begins.iter().map(|time| fetch(&gateway, &now.path(*rate, *time))).collect();
        assert_same(&all[1], &early, "what it was while it was recorded");
        assert_same(&fetch(&fresh, &now.path(*rate, now.begins[3])), &all[3], "from another gateway");
        // Behind the header of the same track each decodes as in the object.
        let (header, shown) = &dash[key];
        let film = [header].into_iter().chain(&all).cloned().collect::<Vec<_>>().concat();
        let ours = pictures(&film);
        assert_eq!((ours.len(), &ours), (500, shown), "{key}");
    }
    // Times are those of the first rendition, to a tick.
    assert_eq!(now.begins.windows(2).map(|two| two[1] - two[0]).collect::<Vec<_>>(), [2 * 12_800; 9]);
    let (_, heard) = &late[1];
    assert!(heard.begins.iter().all(|time| !fetch(&gateway, &heard.path(heard.rates[0], *time)).is_empty()));
    // Another rate than those, another rendition's rate, and what has no version.
    for (rate, status) in [(now.rates[0] + 16, 404), (now.rates[1] + 1, 404), (1, 404)] {
        assert_eq!(gateway.get(&now.path(rate, now.begins[0]), &[]).status, status, "{rate}");
    }
    let newest = format!("/shows/all.isml/QualityLevels({})/Fragments(video={})", now.rates[1], now.begins[3]);
    let answer = gateway.get(&newest, &[]);
    assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some("max-age=1")));
    assert_same(&answer.body, &fetch(&gateway, &now.path(now.rates[1], now.begins[3])), "of what there is now");
}

/// The same without so many of its fragments, from one on.
fn without(bytes: &[u8], from: usize, count: usize) -> Vec<u8> {
    let (mut out, mut rest, mut fragments) = (Vec::new(), bytes, 0);
    while rest.len() >= 8 {
        let size = u32::from_be_bytes(*rest.first_chunk().expect("a size")) as usize;
        fragments += usize::from(&rest[4..8] == b"moof");
        if !(from..from + count).contains(&fragments) {
            out.extend_from_slice(&rest[..size]);
        }
        rest = &rest[size..];
    }
    out
}

#[test]
fn one_that_begins_later_has_a_gap_ends_earlier_or_is_cut_elsewhere_harms_no_other() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let low = rendition(12, "160x90", "-video_track_timescale 90000");
    let sources = [
        ("high", rendition(12, "320x180", "")),
        ("late", without(&rendition(12, "96x54", ""), 1, 4)),
        ("gap", without(&low, 5, 2)),
        ("early", rendition(6, "128x72", "")),
        ("other", rendition(12, "64x36", "-g 20")),
    ];
    let mut program = Program::begin(&lab, &["high", "late", "gap", "early", "other"]);
    for (name, data) in &sources {
        program.write(name, data);
    }
    let objects = program.end();
    let over = await_some("its end", || {
        let document = document(&gateway, DASH);
        (document.get("type") == "static").then_some(document)
    });
    let told: Vec<_> = over
        .all("Period")
        .iter()
        .map(|period| {
            let sets = sets(DASH, period);
            assert_eq!(sets.iter().map(|(kind, _)| &kind[..]).collect::<Vec<_>>(), ["video", "audio"], "{period:?}");
            assert_eq!(sets[1].1.len(), 1, "{period:?}");
            let mut keys: Vec<_> = sets[0].1.iter().map(|track| track.key.clone()).collect();
            keys.sort_unstable();
            let start = period.get("start").strip_prefix("PT").and_then(|start| start.strip_suffix('S'));
            let start: f64 = start.and_then(|start| start.parse().ok()).expect("seconds");
            format!("{start:.0} {}", keys.join(" "))
        })
        .collect();
    let want = ["0 early gap high", "4 early high late", "6 gap high late"];
    assert_eq!(told, want, "{over:?}");
    // All of the first is there, whatever became of the others, and of each other one what is told of.
    let mut bytes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for period in over.all("Period") {
        for track in &sets(DASH, period)[0].1 {
            let known = bytes.entry(track.key.clone()).or_insert_with(|| fetch(&gateway, &track.header));
            known.extend(track.segments.iter().flat_map(|path| fetch(&gateway, path)));
        }
    }
    for (key, count) in [("high", 300), ("late", 200), ("gap", 250), ("early", 150)] {
        let all = packets(&bytes[key], "0:v");
        assert_eq!((all.len(), &all), (count, &packets(&objects[key], "0:v")), "{key}");
    }
    // There each fragment has to be there at each rate.
    let smooth = streams(&document(&gateway, SMOOTH));
    let (_, video) = &smooth[0];
    assert_eq!((video.rates.len(), video.begins.len()), (1, 6), "{:?}", video.rates);
}

#[test]
fn pictures_of_one_object_with_the_same_times_are_one_at_several_rates() {
    let lab = Lab::new();
    let sizes = "-map 0:v -map 0:v -map 1:a -s:v:0 320x180 -s:v:1 160x90";
    let data = make(&[picture(7, 10), tone(7)], &format!("{sizes} {H264} {AAC} {FRAGMENTS}"));
    lab.put("shows/two.mp4", &data);
    let gateway = Gateway::start(&lab, &[]);
    let path = "/dash/shows/two.mp4/manifest.mpd";
    let period = document(&gateway, path);
    let sets = period.one("Period").all("AdaptationSet");
    assert_eq!(sets.iter().map(|set| set.all("Representation").len()).collect::<Vec<_>>(), [2, 1], "{period:?}");
    let smooth = "/shows/two.mp4.isml/Manifest";
    let streams = streams(&document(&gateway, smooth));
    let shape: Vec<_> = streams.iter().map(|(name, stream)| (&name[..], stream.rates.len())).collect();
    assert_eq!(shape, [("video", 2), ("audio", 1)]);
    let (_, video) = &streams[0];
    let of = |rate: &u64| {
        let named = |time: &u64| {
            let named = video.url.replace("{bitrate}", &rate.to_string()).replace("{start time}", &time.to_string());
            fetch(&gateway, &beside(smooth, &named))
        };
        video.begins.iter().map(named).collect::<Vec<_>>()
    };
    for (number, rate) in video.rates.iter().enumerate() {
        let set = sets[0].all("Representation")[number];
        let header = set.one("SegmentTemplate").get("initialization").replace("$RepresentationID$", set.get("id"));
        let film = [vec![fetch(&gateway, &beside(path, &header))], of(rate)].concat().concat();
        let alone = make_alone(&data, number);
        assert_eq!(pictures(&film), pictures(&alone), "{number}");
    }
}

/// One of several pictures by itself.
fn make_alone(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("write the file");
    let input = ["-i".to_owned(), file.path().display().to_string()].to_vec();
    make(&[input], &format!("-map 0:v:{number} -c copy {FRAGMENTS}"))
}

#[test]
fn a_link_leads_to_those_that_it_allows_and_to_no_other() {
    let lab = Lab::new();
    let mut program = Program::begin(&lab, &["high", "low"]);
    for (name, size) in [("high", "320x180"), ("low", "160x90")] {
        program.write(name, &rendition(5, size, ""));
    }
    program.end();
    lab.put("secret.mp4", &rendition(5, "64x36", ""));
    let file = tokens(&lab, "tokens", "watch viewer-token-0123456789\n");
    let gateway = Gateway::start(&lab, &["--auth", &file]);
    let token = ("authorization", "Bearer viewer-token-0123456789");
    let root = link(&lab, &file, "shows/*", &["--expires", "1h"]);
    let root = root.trim_end_matches('/');
    for path in [DASH, SMOOTH] {
        assert_eq!(gateway.get(path, &[]).status, 401, "{path}");
        let answer = gateway.get(path, &[token]);
        assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some("private, max-age=60")));
        assert_eq!(gateway.get(&format!("{root}{path}"), &[]).text(), answer.text());
    }
    let secret = gateway.get("/dash/secret.mp4/manifest.mpd", &[token]).text();
    let version =
        secret.split_once("initialization=\"").and_then(|(_, rest)| rest.split_once('/')).expect("a version").0;
    let set = format!("%2Fsecret.mp4@{version}");
    for (path, with_token) in [
        (format!("/dash/shows/all.m3u8/{set}.mpd"), 200),
        (format!("/shows/all.isml/{set}/QualityLevels(16)/Fragments(video=0)"), 404),
    ] {
        assert_eq!(gateway.get(&path, &[token]).status, with_token, "{path}");
        assert_eq!(gateway.get(&format!("{root}{path}"), &[]).status, 403, "{path}");
    }
    // Who knows nothing of Smooth Streaming is sent to HLS, by the same link.
    for (path, place) in [
        ("/shows/all.isml/all.m3u8", "../../hls/shows/all.m3u8"),
        ("/shows/high.mp4.isml/high.mp4.m3u8?bucket=tv", "../../hls/shows/high.mp4/index.m3u8?bucket=tv"),
    ] {
        let [path, place] = [path, place].map(|text| text.replace("bucket=tv", &format!("bucket={BUCKET}")));
        let answer = gateway.get(&format!("{root}{path}"), &[]);
        let found = (answer.status, answer.header("location"), answer.header("cache-control"));
        assert_eq!(found, (302, Some(place.clone()), Some("no-store".to_owned())), "{}", answer.text());
        let led = beside(&format!("{root}{path}"), &place);
        let list = gateway.get(&led, &[]);
        assert!(list.status == 200 && list.text().starts_with("#EXTM3U"), "{led}: {}", list.text());
    }
    for path in
        ["/shows/nothing.isml/nothing.m3u8", "/dash/shows/nothing.m3u8/manifest.mpd", "/shows/nothing.isml/Manifest"]
    {
        assert_eq!(gateway.get(path, &[token]).status, 404, "{path}");
    }
}
