//! A public bucket, a stream, a writer with `--hls`, and what a player would find.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::support::lab::Lab;
use crate::support::media::{AAC, make, shown, tone, video};
use crate::support::playlist::Playlist;
use crate::support::run::{Launch, Run, assert_same};
use crate::support::s3::LIVE;
use crate::support::{PUBLIC_BUCKET, http};

pub const KEY: &str = "live/match.mp4";
pub const LIST: &str = "live/match.m3u8";
pub const DVR: &str = "live/match.dvr.m3u8";
pub const PART_SIZE: [&str; 2] = ["--part-size", "5000000"];
pub const GOOD: &str = "empty_moov+frag_keyframe+default_base_moof";
/// Of [`STREAM`].
pub const SECONDS: u32 = 12;

/// A fragmented MP4 with a key frame each second, of about two parts in three seconds.
pub static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| video(SECONDS, GOOD));

/// Four seconds of sound alone, a fragment each second.
pub fn sound() -> Vec<u8> {
    let fragments = "-f mp4 -frag_duration 1000000 -movflags empty_moov+default_base_moof";
    make(&[tone(4)], &format!("{AAC} {fragments}"))
}

pub static FRAMES: LazyLock<String> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &*STREAM).expect("write the stream");
    shown(file.path().to_str().expect("a path"))
});

pub fn writer(lab: &Lab, more: &[&str]) -> Run {
    launch(lab, &[&[KEY, "--hls"][..], &PART_SIZE, more].concat())
}

pub fn launch(lab: &Lab, args: &[&str]) -> Run {
    Launch::writer(lab, args).env("BUCKET_NAME", PUBLIC_BUCKET).start()
}

pub fn path(key: &str) -> String {
    format!("/{PUBLIC_BUCKET}/{key}")
}

/// An object of the public bucket, if it is there.
pub fn get(lab: &Lab, key: &str) -> Option<Vec<u8>> {
    let (status, body) = http(lab.endpoint(), "GET", &path(key), &[], &[]);
    (status == 200).then_some(body)
}

pub fn list(lab: &Lab, key: &str) -> Option<Playlist> {
    get(lab, key).map(|body| Playlist::read(std::str::from_utf8(&body).expect("UTF-8")))
}

/// Reads a stretch of what a playlist refers to; the object may be open.
pub fn range(lab: &Lab, uri: &str, first: u64, len: u64) -> (u16, Vec<u8>) {
    let range = format!("bytes={first}-{}", first + len - 1);
    http(lab.endpoint(), "GET", &path(&format!("live/{uri}")), &[(LIVE, "true"), ("range", &range)], &[])
}

/// All versions of a playlist that were written, the oldest first, each with its time in seconds.
pub fn versions(lab: &Lab, key: &str) -> Vec<Playlist> {
    let client = lab.client();
    let listed = lab.run(client.list_object_versions().bucket(PUBLIC_BUCKET).prefix(key).send());
    let listed = listed.expect("the versions");
    let ids: Vec<String> = listed
        .versions()
        .iter()
        .filter(|version| version.key() == Some(key))
        .map(|version| version.version_id().expect("an id").to_owned())
        .collect();
    let read = |id: &String| {
        let (status, body) = http(lab.endpoint(), "GET", &format!("{}?versionId={id}", path(key)), &[], &[]);
        assert_eq!(status, 200);
        Playlist::read(std::str::from_utf8(&body).expect("UTF-8"))
    };
    ids.iter().rev().map(read).collect()
}

/// When each version was written, in seconds.
pub fn times(lab: &Lab, key: &str) -> Vec<f64> {
    let request = lab.client().list_object_versions().bucket(PUBLIC_BUCKET).prefix(key).send();
    let listed = lab.run(request).expect("the versions");
    let versions = listed.versions().iter().rev().filter(|version| version.key() == Some(key));
    versions.map(|version| version.last_modified().expect("a time").as_secs_f64()).collect()
}

/// No version came sooner than half a target duration after the one before, but for the last one (6.2.1).
#[track_caller]
pub fn all_paced(lab: &Lab, key: &str) {
    let times = times(lab, key);
    for ((pair, version), next) in times.windows(2).zip(versions(lab, key)).zip(versions(lab, key).iter().skip(1)) {
        let least = version.target as f64 / 2.0 - 0.05;
        assert!(next.ended || pair[1] - pair[0] >= least, "{} s between two versions", pair[1] - pair[0]);
    }
}

/// Each version keeps the rules, and so does each step from one to the next; gives the versions.
#[track_caller]
pub fn all_valid(lab: &Lab, key: &str) -> Vec<Playlist> {
    let versions = versions(lab, key);
    for pair in versions.windows(2) {
        pair[0].may_become(&pair[1]);
    }
    versions
}

/// What the segments hold, one after the other, each object with its header in front.
pub fn joined(lab: &Lab, playlist: &Playlist) -> Vec<u8> {
    let mut all = Vec::new();
    let mut map = None;
    for segment in &playlist.segments {
        if map.as_ref() != Some(&segment.map) {
            let (uri, first, len) = &segment.map;
            all.extend(range(lab, uri, *first, *len).1);
            map = Some(segment.map.clone());
        }
        let (status, bytes) = range(lab, &segment.uri, segment.first, segment.len);
        assert_eq!((status, bytes.len() as u64), (206, segment.len));
        all.extend(bytes);
    }
    all
}

/// All of the stream without the `mfra` in the end, which is no media.
pub fn media(stream: &[u8]) -> &[u8] {
    let end = stream.windows(4).rposition(|window| window == b"mfra").map_or(stream.len(), |at| at - 4);
    &stream[..end]
}

/// Feeds the writer at the speed of the stream, and looks at each version of the playlist meanwhile.
pub fn feed_live(lab: &Lab, writer: &mut Run, stream: &[u8], seconds: f64) -> usize {
    let began = Instant::now();
    let (mut fed, mut listed) = (0, 0);
    while fed < stream.len() {
        let due = (stream.len() as f64 * (began.elapsed().as_secs_f64() / seconds).min(1.0)) as usize;
        writer.write(&stream[fed..due.max(fed)]);
        fed = due.max(fed);
        listed = look(lab, listed);
        std::thread::sleep(Duration::from_millis(20));
    }
    listed
}

/// All that the playlist lists beyond `listed` segments can be read at this moment; how many it lists.
pub fn look(lab: &Lab, listed: usize) -> usize {
    let Some(playlist) = list(lab, LIST) else { return listed };
    let count = playlist.sequence as usize + playlist.segments.len();
    for segment in playlist.segments.iter().skip(listed.saturating_sub(playlist.sequence as usize)) {
        let (uri, first, len) = &segment.map;
        assert_eq!(range(lab, uri, *first, *len).1.len() as u64, *len, "the header");
        let (status, bytes) = range(lab, &segment.uri, segment.first, segment.len);
        assert_eq!((status, bytes.len() as u64), (206, segment.len), "listed, but not there: {segment:?}");
        assert!(bytes.windows(4).take(64).any(|window| window == b"moof"), "no fragment begins here");
    }
    count.max(listed)
}

/// What a player shows of the playlist.
pub fn played(lab: &Lab) -> String {
    shown(&format!("{}{}", lab.endpoint(), path(LIST)))
}

/// It has ended, shows all of the stream, and plays like it.
#[track_caller]
pub fn shows_all(lab: &Lab, playlist: &Playlist) {
    assert!(playlist.ended);
    assert_same(&joined(lab, playlist), media(&STREAM), "the segments");
    let played = played(lab);
    assert!(played == *FRAMES, "{} frames instead of {}", played.lines().count(), FRAMES.lines().count());
}

pub fn delete(lab: &Lab, key: &str) -> (u16, ()) {
    lab.run(lab.client().delete_object().bucket(PUBLIC_BUCKET).key(key).send()).expect("delete");
    (204, ())
}
