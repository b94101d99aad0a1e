//! Ladders as tests look at them: the ffmpeg that makes one, and its renditions beside their source.

use std::path::PathBuf;
use std::process::Command;

use super::encoder::{ffmpeg, packets};
use super::lab::Lab;
use super::media::plays;
use super::playlist::Playlist;
use super::run::Run;

/// The template of objects.
pub const KEY: &str = "live/camera-{rendition}.mp4";
/// Playlists of all.
pub const HLS: [&str; 5] = ["--hls", "--hls-time", "1", "--hls-master", "live/camera.m3u8"];
/// A ladder, of which the first rung is too large for what the tests send.
pub const LADDER: [&str; 2] = ["--ladder", "720p,180p:300k,90p:100k"];
/// How pictures are coded that have key frames at odd times, and sound.
pub const CODED: &str =
    "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 2 -g 25 -force_key_frames 0.52,1.2,2.44,3.6 -c:a aac";

/// The object of a rendition.
pub fn key(rendition: &str) -> String {
    format!("live/camera-{rendition}.mp4")
}

/// Arguments of pictures of this size, and sound, at the pace of the clock.
pub fn paced(size: &str, seconds: u32) -> Vec<String> {
    let inputs = format!(
        "-re -f lavfi -i testsrc2=size={size}:rate=25:duration={seconds} -re -f lavfi -i sine=duration={seconds}"
    );
    inputs.split_whitespace().map(str::to_owned).collect()
}

/// The ffmpeg that a writer has started.
pub fn ffmpeg_of(writer: &Run) -> Option<u32> {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once(") ")?;
        let parent = rest.split(' ').nth(1)?.parse::<u32>().ok()?;
        let is_it = name.ends_with("(ffmpeg") && parent == writer.pid() && !rest.starts_with('Z');
        is_it.then_some(pid)
    };
    let entries = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(of)
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill").success());
}

/// A rendition as a file, which plays.
pub fn file(lab: &Lab, rendition: &str) -> PathBuf {
    let path = lab.dir().join(format!("{rendition}.mp4"));
    let object = lab.object(&key(rendition)).unwrap_or_else(|| panic!("no {rendition} among {:?}", lab.keys()));
    plays(&object);
    std::fs::write(&path, object).expect("a file");
    path
}

/// When each picture is shown, in order, and whether it is a key frame.
pub fn pictures(lab: &Lab, rendition: &str) -> Vec<(f64, bool)> {
    times(lab, rendition, "pts")
}

/// Fails where a picture of the source is missing. That is asked of the times of decoding: a recording may be ended between a
/// picture and those that are shown before it.
#[track_caller]
pub fn source_has_all(lab: &Lab) {
    let times = times(lab, "source", "dts");
    let gaps: Vec<_> = times.windows(2).filter(|two| two[1].0 - two[0].0 > 0.06).collect();
    assert!(times.len() > 25 && gaps.is_empty(), "gaps in {} pictures: {gaps:?}", times.len());
}

/// The times of one kind of all pictures, in order, and whether each is a key frame.
fn times(lab: &Lab, rendition: &str, kind: &str) -> Vec<(f64, bool)> {
    let entries = format!("packet={kind}_time,flags");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", &entries, "-of", "csv=p=0"]);
    let output = command.arg(file(lab, rendition)).output().expect("ffprobe");
    let text = String::from_utf8(output.stdout).expect("text");
    let one = |line: &str| {
        let (time, flags) = line.split_once(',').expect("two fields");
        (time.parse::<f64>().expect("a time"), flags.starts_with('K'))
    };
    let mut all: Vec<_> = text.lines().map(one).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

/// When its key frames are shown.
pub fn keys(pictures: &[(f64, bool)]) -> Vec<f64> {
    pictures.iter().filter(|picture| picture.1).map(|picture| picture.0).collect()
}

/// An object as text, empty where there is none.
pub fn text(lab: &Lab, key: &str) -> String {
    String::from_utf8(lab.object(key).unwrap_or_default()).expect("text")
}

/// The playlist of a rendition.
pub fn list(lab: &Lab, rendition: &str) -> Option<Playlist> {
    let text = text(lab, &format!("live/camera-{rendition}.m3u8"));
    (!text.is_empty()).then(|| Playlist::read(&text))
}

/// How many segments are in it.
pub fn segments(lab: &Lab, rendition: &str) -> usize {
    list(lab, rendition).map_or(0, |list| list.segments.len())
}

/// The values of a tag, in order.
pub fn tags(lab: &Lab, rendition: &str, tag: &str) -> Vec<String> {
    let text = text(lab, &format!("live/camera-{rendition}.m3u8"));
    text.lines().filter_map(|line| line.strip_prefix(tag)).map(str::to_owned).collect()
}

/// Of a time such as `2026-11-22T03:15:00.250Z`.
fn second_of_day(date: &str) -> f64 {
    let field =
        |from: usize, to: usize| date.get(from..to).and_then(|field| field.parse::<f64>().ok()).expect("a time");
    field(11, 13) * 3600.0 + field(14, 16) * 60.0 + field(17, 23)
}

/// The renditions 180p and 90p have pictures, key frames, times, sound and segments of the source, and all are in one playlist.
#[track_caller]
pub fn are_in_step(lab: &Lab, what: &str) {
    objects_are_in_step(lab, what);
    playlists_are_in_step(lab, what);
}

/// They have its pictures, key frames, times and sound.
#[track_caller]
pub fn objects_are_in_step(lab: &Lab, what: &str) {
    let source = pictures(lab, "source");
    let sound = packets(&ffmpeg(), &file(lab, "source"), "0:a");
    assert!(keys(&source).len() >= 6, "{source:?}");
    for name in ["180p", "90p"] {
        let here = pictures(lab, name);
        assert_eq!(here.len(), source.len(), "{what} {name}");
        for (here, source) in here.iter().zip(&source) {
            assert!((here.0 - source.0).abs() < 0.002 && here.1 == source.1, "{what} {name}: {here:?} for {source:?}");
        }
        let heard = packets(&ffmpeg(), &file(lab, name), "0:a");
        // What comes before the first picture may be left out.
        let mut pairs = heard.iter().rev().zip(sound.iter().rev());
        let same = pairs.all(|(here, there)| here.1 == there.1 && (here.0 - there.0).abs() < 0.002);
        assert!(same && heard.len() + 3 > sound.len(), "{what} {name}: {} of {} sounds", heard.len(), sound.len());
    }
}

/// They have its segments and its time of day, and all are in one playlist.
#[track_caller]
pub fn playlists_are_in_step(lab: &Lab, what: &str) {
    let lengths = |name: &str| {
        let tags = tags(lab, name, "#EXTINF:").into_iter();
        tags.map(|text| text.trim_end_matches(',').parse::<f64>().expect("a length")).collect::<Vec<_>>()
    };
    let dates = tags(lab, "source", "#EXT-X-PROGRAM-DATE-TIME:");
    assert!(!dates.is_empty(), "{what}");
    for name in ["180p", "90p"] {
        let (here, there) = (lengths(name), lengths("source"));
        assert_eq!(here.len(), there.len(), "{what} {name}");
        let near = here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 0.1);
        assert!(near, "{what} {name}: {here:?} for {there:?}");
        let here = tags(lab, name, "#EXT-X-PROGRAM-DATE-TIME:");
        let near = |(here, there): (&String, &String)| {
            let apart = (second_of_day(here) - second_of_day(there)).rem_euclid(86_400.0);
            apart.min(86_400.0 - apart) < 0.5
        };
        assert_eq!(here.len(), dates.len(), "{what} {name}");
        assert!(here.iter().zip(&dates).all(near), "{what} {name}: {here:?} for {dates:?}");
    }
    let master = text(lab, "live/camera.m3u8");
    for wanted in ["camera-source.m3u8", "camera-180p.m3u8", "camera-90p.m3u8", "RESOLUTION=160x90"] {
        assert!(master.contains(wanted), "{wanted} in {master}");
    }
}
