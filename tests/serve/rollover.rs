//! The objects of `writer --rollover` as one HLS playlist of `reader --serve`: live over the change of objects and afterwards,
//! the same from every gateway, and by a signed link as far as that allows it.

use super::scene::{GOOD, Gateway, KEY, ends, link, player, shown, tokens};
use crate::support::lab::Lab;
use crate::support::media::{frames, make, thumbnails, video};
use crate::support::run::{Run, assert_same, await_some, await_that};

/// Objects of two segments, of two seconds each.
const ROLLOVER: [&str; 5] = [KEY, "--part-size", "5000000", "--rollover", "25MB"];

/// The key of the `number`th object.
fn key(number: usize) -> String {
    if number == 1 { KEY.to_owned() } else { format!("shows/match-{number:04}.mp4") }
}

fn objects(lab: &Lab) -> Vec<Vec<u8>> {
    (1..).map_while(|number| lab.object(&key(number))).collect()
}

/// A playlist, as soon as it can be made.
fn list(gateway: &Gateway, path: &str) -> String {
    await_some("a playlist", || {
        let answer = gateway.get(path, &[]);
        assert!(matches!(answer.status, 200 | 503), "{path}: {} {}", answer.head, answer.text());
        (answer.status == 200).then(|| answer.text())
    })
}

/// The media playlist that leads to, below `root`.
fn media_of(gateway: &Gateway, root: &str) -> String {
    let text = list(gateway, &format!("{root}/hls/{KEY}/index.m3u8"));
    let uri = text.lines().find(|line| line.ends_with("/media.m3u8")).unwrap_or_else(|| panic!("{text}"));
    format!("{root}/hls/{KEY}/{uri}")
}

/// What a playlist lists, each object's header and segments by themselves.
fn stretches(text: &str) -> Vec<Vec<String>> {
    let mut objects: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("#EXT-X-MAP:URI=\"").and_then(|uri| uri.strip_suffix('"')) {
            Some(header) => objects.push(vec![header.to_owned()]),
            None if !line.starts_with('#') => objects.last_mut().expect("a header").push(line.to_owned()),
            None => {}
        }
    }
    objects
}

/// Segments, in order, with what is said of each.
fn segments(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let of = |pair: &[&str]| pair[0].starts_with("#EXTINF").then(|| pair.join(" "));
    lines.windows(2).filter_map(of).collect()
}

fn fetch(gateway: &Gateway, media: &str, name: &str) -> Vec<u8> {
    let folder = media.rsplit_once('/').expect("a folder").0;
    let answer = gateway.get(&format!("{folder}/{name}"), &[]);
    assert_eq!(answer.status, 200, "{name}: {}", answer.head);
    assert!(answer.whole, "{name}");
    answer.body
}

/// Each object is its header and its segments, but for an index at the end of the last.
fn holds_all(gateway: &Gateway, media: &str, objects: &[Vec<u8>]) {
    let listed = stretches(&list(gateway, media));
    assert_eq!(listed.len(), objects.len());
    for (number, (names, object)) in (1..).zip(listed.iter().zip(objects)) {
        let bytes = names.iter().map(|name| fetch(gateway, media, name)).collect::<Vec<_>>().concat();
        let rest = object.len() - bytes.len();
        assert!(rest == 0 || (number == objects.len() && rest < 5_000), "{rest} bytes of object {number} are left out");
        assert_same(&bytes, &object[..bytes.len()], &format!("object {number}"));
    }
}

fn pictures(data: &[u8]) -> Vec<String> {
    frames(data, "the source").into_iter().map(|frame| frame.hash).collect()
}

/// Writes as much of `data` as it takes for the playlist to tell of the object with this number.
fn write_until(gateway: &Gateway, media: &str, number: usize, run: &mut Run, data: &mut &[u8]) -> String {
    await_some("the next object", || {
        let text = list(gateway, media);
        assert!(!text.contains("ENDLIST"), "{text}");
        if stretches(&text).len() >= number {
            return Some(text);
        }
        // A quarter of a part; where all of it has been written it is only waited for.
        let (some, rest) = data.split_at(data.len().min(1_250_000));
        run.write(some);
        *data = rest;
        None
    })
}

#[test]
fn objects_of_a_rollover_are_one_playlist_live_over_each_change_and_afterwards_at_the_same_url() {
    let lab = Lab::new();
    let (gateway, other) = (Gateway::start(&lab, &["--access-log"]), Gateway::start(&lab, &[]));
    let data = video(14, GOOD);
    let mut run = lab.writer(&ROLLOVER);
    let mut rest = &data[20_000_000..];
    run.write(&data[..20_000_000]);
    await_that("something can be read", || gateway.get(&format!("/hls/{KEY}/index.m3u8"), &[]).status == 200);
    let media = media_of(&gateway, "");
    let first = write_until(&gateway, &media, 1, &mut run, &mut rest);
    let url = gateway.url(&format!("/hls/{KEY}/index.m3u8"));
    let joined = player(&url);
    let log = || gateway.run.messages();
    await_that("the player plays", || log().matches("\"route\":\"/hls/\"").count() >= 6);
    let mut before = first;
    for number in [2, 3] {
        let text = write_until(&gateway, &media, number, &mut run, &mut rest);
        assert!(segments(&text).starts_with(&segments(&before)), "{before}\n{text}");
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), number - 1, "{text}");
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:0\n") && text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"), "{text}");
        assert!(!text.contains("DISCONTINUITY-SEQUENCE"), "{text}");
        assert!(stretches(&text)[number - 1][0].starts_with(&format!("{number}@")), "{text}");
        // By another gateway the same are under the same numbers.
        let same = await_some("as much by the other gateway", || {
            let same = segments(&list(&other, &media));
            (same.len() >= segments(&text).len()).then_some(same)
        });
        assert!(same.starts_with(&segments(&text)), "{text}\n{same:?}");
        before = text;
    }
    run.write(rest);
    run.end().code(0).says("objects");
    let objects = objects(&lab);
    assert!(objects.len() >= 3, "{} objects", objects.len());
    let ended = await_some("the end of the list", || {
        let text = list(&gateway, &media);
        assert!(segments(&text).starts_with(&segments(&before)), "{before}\n{text}");
        text.ends_with("#EXT-X-ENDLIST\n").then_some(text)
    });
    assert_eq!(stretches(&ended).len(), objects.len(), "{ended}");
    assert!(segments(&ended).len() > objects.len(), "{ended}");
    let all = pictures(&data);
    let seen = shown(joined);
    assert!(seen.len() > 100 && all.ends_with(&seen), "{} frames of {}", seen.len(), all.len());
    assert_eq!(shown(player(&url)), all);
    holds_all(&gateway, &media, &objects);
    // A gateway that comes afterwards finds the same, and looks for it once.
    let fresh = Gateway::start(&lab, &[]);
    let found = list(&fresh, &media);
    assert_eq!(segments(&found), segments(&ended));
    assert!(found.ends_with("#EXT-X-ENDLIST\n"), "{found}");
    let asked = lab.count_all();
    let stills = media.replace("media.m3u8", "iframes.m3u8");
    let looked = list(&fresh, &stills);
    assert!((0..5).all(|_| list(&fresh, &media) == found));
    assert_eq!(lab.count_all(), asked, "requests for what is known");
    // A picture for each segment, those of later objects among them.
    let listed = stretches(&looked);
    assert_eq!(listed.concat().len(), stretches(&found).concat().len());
    let still = [fetch(&fresh, &media, &listed[1][0]), fetch(&fresh, &media, &listed[1][1])].concat();
    assert_eq!(pictures(&still), pictures(&objects[1])[..1]);
    // The second object by itself, and what is of one object.
    let alone = list(&fresh, &format!("/hls/{}/index.m3u8", key(2)));
    let uri = alone.lines().find(|line| line.ends_with("/media.m3u8")).expect("a playlist");
    let alone = list(&fresh, &format!("/hls/{}/{uri}", key(2)));
    assert!(stretches(&alone).len() == 1 && alone.ends_with("#EXT-X-ENDLIST\n"), "{alone}");
    let whole = fresh.get(&format!("/watch?v={KEY}"), &[]);
    assert_same(&whole.body, &objects[0], "what is watched is one object");
}

/// An object of a recording that is written part by part, of one part that becomes longer, as with `--max-latency`.
struct Piece<'a> {
    lab: &'a Lab,
    key: String,
    id: String,
    etag: String,
}

impl<'a> Piece<'a> {
    fn begin(lab: &'a Lab, number: usize) -> Self {
        let key = key(number);
        let id = lab.begin_piece(&key, "the recording");
        Self { lab, key, id, etag: String::new() }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.etag = self.lab.part(&self.key, &self.id, 1, bytes);
    }

    fn complete(self) {
        self.lab.complete(&self.key, &self.id, &[self.etag]);
    }
}

#[test]
fn parts_go_on_over_the_change_of_objects() {
    let coded = format!("-c:v libx264 -preset ultrafast -g 20 -f mp4 -movflags {GOOD} -frag_duration 500000");
    let data = make(&[thumbnails(200)], &coded);
    let (header, ends) = (header(&data), ends(&data));
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let mut first = Piece::begin(&lab, 1);
    first.write(&data[..ends[12]]);
    let media = media_of(&gateway, "");
    // At the pace of an encoder: parts are listed where it is steady.
    let mut there = 12;
    let look = || gateway.ask("HEAD", &format!("/watch?v={KEY}"), &[("range", "bytes=0-")]).header("content-range");
    let text = await_some("parts are listed", || {
        there += 1;
        assert!(there < 200, "no parts were listed");
        std::thread::sleep(std::time::Duration::from_millis(150));
        first.write(&data[..ends[there]]);
        await_that("it is here", || look() == Some(format!("bytes 0-{}/*", ends[there] - 1)));
        Some(list(&gateway, &media)).filter(|text| text.contains("#EXT-X-PART:"))
    });
    let control = |text: &str| {
        let told =
            ["#EXT-X-TARGETDURATION", "#EXT-X-PART-INF"].map(|tag| text.lines().find(|line| line.starts_with(tag)));
        told.map(|line| line.unwrap_or_else(|| panic!("{text}")).to_owned())
    };
    let promised = control(&text);
    // Up to before a key frame; then the next object begins, and this one is complete.
    let end = (there + 1..).find(|place| (place + 1) % 4 == 0).expect("a whole segment");
    first.write(&data[..ends[end]]);
    let listed = (end + 1) / 4;
    let begins = ends[end];
    let next = |fragments: usize| [&data[..header], &data[begins..ends[end + fragments]]].concat();
    let mut second = Piece::begin(&lab, 2);
    second.write(&next(0));
    first.complete();
    let text = await_some("the next object", || {
        Some(list(&gateway, &media)).filter(|text| text.contains("#EXT-X-MAP:URI=\"2@"))
    });
    assert_eq!((segments(&text).len(), control(&text)), (listed, promised.clone()), "{text}");
    assert!(text.contains("CAN-BLOCK-RELOAD=YES") && text.contains("#EXT-X-PART:"), "{text}");
    let hint = |text: &str| {
        let hint = text.lines().last().and_then(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""));
        hint.and_then(|hint| hint.strip_suffix('"')).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let announced = hint(&text);
    assert!(announced.starts_with("2@") && announced.ends_with(&format!("/{header}-.m4s")), "{text}");
    let folder = media.rsplit_once('/').expect("a folder").0.to_owned();
    let announced = gateway.view(&format!("{folder}/{announced}"), &[]);
    let part = gateway.view(&format!("{media}?_HLS_msn={listed}&_HLS_part=0"), &[]);
    second.write(&next(1));
    let announced = announced.join().expect("an answer");
    assert_eq!(announced.status, 200, "{}", announced.head);
    assert_same(&announced.body, &data[begins..ends[end + 1]], "what was announced");
    let part = part.join().expect("an answer").text();
    let newest = part.rsplit_once("#EXT-X-MAP:").expect("the next object").1;
    assert_eq!((segments(&part).len(), newest.matches("#EXT-X-PART:").count()), (listed, 1), "{part}");
    // Held back until the first segment of it is there.
    let segment = gateway.view(&format!("{media}?_HLS_msn={listed}"), &[]);
    second.write(&next(9));
    let segment = segment.join().expect("an answer").text();
    assert!(segments(&segment).len() > listed && control(&segment) == promised, "{segment}");
    second.complete();
    let ended = await_some("the end", || Some(list(&gateway, &media)).filter(|text| text.contains("ENDLIST")));
    assert_eq!(stretches(&ended).len(), 2, "{ended}");
    assert_eq!(control_of(&ended), promised[0]);
    holds_all(&gateway, &media, &objects(&lab));
}

/// The target duration.
fn control_of(text: &str) -> String {
    text.lines().find(|line| line.starts_with("#EXT-X-TARGETDURATION")).expect("a target duration").to_owned()
}

#[test]
fn a_link_for_the_first_object_plays_all_of_them_and_nothing_else() {
    let lab = Lab::new();
    let data = video(8, GOOD);
    lab.writer(&ROLLOVER).end_with(&data).code(0);
    let objects = objects(&lab);
    assert!(objects.len() > 1, "{} objects", objects.len());
    // What has the next name and is of no recording.
    let other = lab.put(&key(objects.len() + 1), &objects[0]);
    let file = tokens(&lab, "tokens", "watch viewer-token-0123456789\n");
    let gateway = Gateway::start(&lab, &["--auth", &file]);
    let one = link(&lab, &file, KEY, &["--expires", "1h"]);
    let root = one.strip_suffix(&format!("/play/{KEY}")).expect("the player").to_owned();
    let media = media_of(&gateway, &root);
    let text = list(&gateway, &media);
    assert!(stretches(&text).len() == objects.len() && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    holds_all(&gateway, &media, &objects);
    assert_eq!(shown(player(&gateway.url(&format!("{root}/hls/{KEY}/index.m3u8")))), pictures(&data));
    // Any gateway can tell, whatever it is asked for first.
    let fresh = Gateway::start(&lab, &["--auth", &file]);
    let second = &stretches(&text)[1];
    fetch(&fresh, &media, &second[1]);
    let (of, place) = second[1].split_once('/').expect("a folder");
    let version = of.strip_prefix("2@").expect("the second object");
    let folder = media.rsplit_once('/').expect("a folder").0.to_owned();
    let number = objects.len() + 1;
    for gateway in [&gateway, &fresh] {
        for path in [
            format!("{folder}/{number}@{other}/{place}"),
            format!("{folder}/2@{other}/{place}"),
            format!("{folder}/9999@{other}/{place}"),
            format!("{root}/hls/{}/index.m3u8", key(2)),
            format!("{root}/hls/{}/{version}/{place}", key(2)),
            format!("{root}/watch?v={}", key(2)),
            format!("{root}/hls/secret.mp4/{version}/2@{version}/{place}"),
        ] {
            assert_eq!(gateway.get(&path, &[]).status, 403, "{path}");
        }
        // Without a link it is 401, and by a token whatever there is.
        let path = format!("/hls/{KEY}/{}/{}", folder.rsplit_once('/').expect("a version").1, second[1]);
        assert_eq!(gateway.get(&path, &[]).status, 401);
        assert_eq!(gateway.get(&path, &[("authorization", "Bearer viewer-token-0123456789")]).status, 200);
    }
    // A link for all of them, and one for the second alone.
    let all = link(&lab, &file, "shows/*", &["--expires", "1h"]);
    let media = media_of(&gateway, all.strip_suffix('/').expect("a folder"));
    holds_all(&gateway, &media, &objects);
    let two = link(&lab, &file, &key(2), &["--expires", "1h"]);
    let two = two.strip_suffix(&format!("/play/{}", key(2))).expect("the player");
    assert_eq!(gateway.get(&format!("{two}/hls/{KEY}/index.m3u8"), &[]).status, 403);
    assert_eq!(gateway.get(&format!("{}/{}", folder.replace(&root, two), second[1]), &[]).status, 403);
}

#[test]
fn what_a_store_without_live_read_holds_goes_on_in_the_next_object_too() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let (gateway, other) = (Gateway::start(&lab, &[]), Gateway::start(&lab, &[]));
    let data = video(12, GOOD);
    let mut run = lab.writer(&[&ROLLOVER[..], &["--live", "objects"]].concat());
    let mut rest = &data[20_000_000..];
    run.write(&data[..20_000_000]);
    await_that("something can be read", || gateway.get(&format!("/hls/{KEY}/index.m3u8"), &[]).status == 200);
    let media = media_of(&gateway, "");
    let first = write_until(&gateway, &media, 1, &mut run, &mut rest);
    let second = write_until(&gateway, &media, 2, &mut run, &mut rest);
    assert!(segments(&second).starts_with(&segments(&first)), "{first}\n{second}");
    // While it is recorded, from the store's two kinds of objects.
    stretches(&second).concat().iter().for_each(|name| assert!(!fetch(&other, &media, name).is_empty()));
    run.write(rest);
    run.end().code(0);
    let ended = await_some("the end", || Some(list(&gateway, &media)).filter(|text| text.contains("ENDLIST")));
    assert!(segments(&ended).starts_with(&segments(&second)), "{second}\n{ended}");
    holds_all(&gateway, &media, &objects(&lab));
    // By a gateway that has not seen it live: under the names that it knows, and under those that were told before.
    let fresh = Gateway::start(&lab, &[]);
    stretches(&second).concat().iter().for_each(|name| assert!(!fetch(&fresh, &media, name).is_empty()));
    holds_all(&fresh, &media, &objects(&lab));
    let place = |line: &String| line.rsplit(['/', ' ']).next().map(str::to_owned);
    let places = |text: &str| segments(text).iter().map(place).collect::<Vec<_>>();
    assert_eq!(places(&list(&fresh, &media)), places(&ended));
}

#[test]
fn a_rendition_that_went_on_in_other_objects_is_listed_from_its_first() {
    let lab = Lab::new();
    let data = video(8, GOOD);
    let master = ["--hls", "--hls-master", "shows/all.m3u8", "--hls-name", "one"];
    lab.writer(&[&ROLLOVER[..], &master].concat()).end_with(&data).code(0);
    let gateway = Gateway::start(&lab, &[]);
    let all = list(&gateway, "/hls/shows/all.m3u8");
    let uri = all.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("{all}"));
    assert!(uri.starts_with("match.mp4/"), "{all}");
    holds_all(&gateway, &format!("/hls/shows/{uri}"), &objects(&lab));
}

#[test]
fn an_object_that_is_none_of_several_costs_one_look_at_itself_when_it_is_complete() {
    let lab = Lab::new();
    let data = make(&[thumbnails(20)], &format!("-c:v libx264 -preset ultrafast -g 10 -f mp4 -movflags {GOOD}"));
    lab.put(KEY, &data);
    lab.put(&key(2), &data);
    let gateway = Gateway::start(&lab, &[]);
    let media = media_of(&gateway, "");
    let (all, heads) = (lab.count_all(), lab.count(false, "HeadObject", "200"));
    let text = list(&gateway, &media);
    assert!(text.ends_with("#EXT-X-ENDLIST\n") && stretches(&text).len() == 1, "{text}");
    assert_eq!((lab.count_all(), lab.count(false, "HeadObject", "200")), (all + 1, heads + 1));
    assert!((0..5).all(|_| list(&gateway, &media) == text));
    assert_eq!(lab.count_all(), all + 1, "it is kept");
}

#[test]
fn a_next_object_that_is_aborted_is_the_end() {
    let lab = Lab::new();
    let data = make(&[thumbnails(20)], &format!("-c:v libx264 -preset ultrafast -g 10 -f mp4 -movflags {GOOD}"));
    let mut first = Piece::begin(&lab, 1);
    first.write(&data);
    let second = Piece::begin(&lab, 2);
    first.complete();
    let gateway = Gateway::start(&lab, &[]);
    let media = media_of(&gateway, "");
    // Nothing can be read of it, and it may go on.
    let text = list(&gateway, &media);
    assert!(stretches(&text).len() == 1 && !text.contains("ENDLIST"), "{text}");
    lab.abort(&key(2), &second.id);
    await_that("the end", || list(&gateway, &media).ends_with("#EXT-X-ENDLIST\n"));
    let fresh = Gateway::start(&lab, &[]);
    assert_eq!(segments(&list(&fresh, &media)), segments(&text));
}

/// Where the header of a recording ends.
fn header(data: &[u8]) -> usize {
    let mut at = 0;
    while &data[at + 4..at + 8] != b"moof" {
        at += u32::from_be_bytes(data[at..at + 4].try_into().expect("four bytes")) as usize;
    }
    at
}
