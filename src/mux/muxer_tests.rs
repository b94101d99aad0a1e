//! Streams of encoders and what becomes of them, seen by the scanner that readers go by.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::media::flv::Codec;
use crate::media::fmp4::{Found, Fragment, Header, Run, Scanner, TrackKind};

const VIDEO: TrackId = TrackId { kind: Kind::Video, number: 0 };
const AUDIO: TrackId = TrackId { kind: Kind::Audio, number: 0 };

fn at(milliseconds: u64) -> Arrival {
    let since = Duration::from_millis(milliseconds);
    Arrival { elapsed: since, at: UNIX_EPOCH + since }
}

fn avc() -> Bytes {
    let record = "0164000cffe1001b6764000cacd941519e226c044000000300400000030283c50a658001000468ef8fcbfdf8f800";
    hex::decode(record).unwrap().into()
}

fn unit(track: TrackId, content: Content) -> Unit {
    Unit { track, codec: if track.kind == Kind::Video { Codec::Avc } else { Codec::Aac }, content }
}

fn configs() -> [Unit; 2] {
    [unit(VIDEO, Content::Config(avc())), unit(AUDIO, Content::Config(Bytes::from_static(&[0x11, 0x90])))]
}

fn frame(track: TrackId, key: bool, shown_after: i32, data: &[u8]) -> Unit {
    unit(track, Content::Frame { key, shown_after, data: Bytes::copy_from_slice(data) })
}

/// So many milliseconds of 25 pictures a second with a key frame each second, and of sound that is told in whole
/// milliseconds, beginning at some time of the encoder.
fn stream(from: u32, lasts: u32) -> Vec<(u32, Unit)> {
    let pictures = (0..lasts / 40).map(|n| (n * 40, frame(VIDEO, n % 25 == 0, 80, format!("v{n:04}").as_bytes())));
    let sounds = (0..lasts * 48 / 1024).map(|n| (n * 1024 / 48, frame(AUDIO, true, 0, format!("a{n:05}").as_bytes())));
    let mut all: Vec<_> = pictures.chain(sounds).collect();
    all.sort_by_key(|(time, _)| *time);
    all.into_iter().map(|(time, unit)| (from.wrapping_add(time), unit)).collect()
}

/// What was made, as the scanner sees it.
#[derive(Debug, Default)]
struct Made {
    bytes: Vec<u8>,
    header: Option<Header>,
    headers: usize,
    fragments: Vec<Fragment>,
}

impl Made {
    fn take(&mut self, muxer: &mut Muxer) {
        while let Some(piece) = muxer.ready() {
            self.bytes.extend_from_slice(&piece.bytes);
            muxer.handed_on();
        }
    }

    fn look(mut self) -> Self {
        for found in Scanner::new().feed(&self.bytes) {
            match found {
                Found::Header(header) => {
                    self.headers += 1;
                    self.header = Some((*header).clone());
                }
                Found::Begun(fragment) => self.fragments.push(fragment),
                Found::Ended(_) => {}
                other => panic!("{other:?}"),
            }
        }
        self
    }

    fn runs(&self, track: u32) -> Vec<Run> {
        self.fragments.iter().flat_map(|fragment| &fragment.runs).filter(|run| run.track == track).copied().collect()
    }

    /// Each run begins where the one before it ends, but for as much.
    #[track_caller]
    fn is_without_gaps(&self, track: u32, but: u64) {
        let mut end = None;
        for run in self.runs(track) {
            let start = run.decode;
            if let Some(end) = end {
                assert!(start.abs_diff(end) <= but, "track {track}: {start} after {end}");
            }
            end = Some(start + run.duration);
        }
    }

    fn holds(&self, data: &str) -> bool {
        self.bytes.windows(data.len()).any(|window| window == data.as_bytes())
    }
}

/// All that is ready, object by object.
fn objects(muxer: &mut Muxer) -> Vec<Made> {
    let mut objects: Vec<Made> = Vec::new();
    while let Some(piece) = muxer.ready() {
        if piece.begins {
            objects.push(Made::default());
        }
        objects.last_mut().expect("a header first").bytes.extend_from_slice(&piece.bytes);
        muxer.handed_on();
    }
    objects.into_iter().map(Made::look).collect()
}

fn push(muxer: &mut Muxer, units: &[(u32, Unit)], came: u64) {
    let first = units.first().map_or(0, |(time, _)| *time);
    for (time, unit) in units {
        muxer.push(unit.clone(), *time, at(came + u64::from(time.wrapping_sub(first)))).expect("taken");
    }
}

fn made(units: &[(u32, Unit)], fragment: u64) -> Made {
    let mut muxer = Muxer::new(Duration::from_millis(fragment));
    for config in configs() {
        muxer.push(config, units[0].0, at(0)).expect("taken");
    }
    push(&mut muxer, units, 0);
    muxer.finish();
    let mut made = Made::default();
    made.take(&mut muxer);
    made.look()
}

#[test]
fn fragments_end_at_key_frames_and_after_a_time() {
    for from in [0, 3_600_000, u32::MAX - 1500] {
        for (lasts, wanted) in [(1000, 4), (10_000, 4), (400, 12), (200, 20)] {
            let made = made(&stream(from, 4000), lasts);
            assert_eq!(made.fragments.len(), wanted, "{lasts} from {from}");
            let keys = made.fragments.iter().filter(|fragment| fragment.runs[0].sync).count();
            assert_eq!(keys, 4, "key frames are first");
            let header = made.header.as_ref().expect("a header");
            let kinds: Vec<_> = header.movie.tracks.iter().map(|track| (track.kind, track.timescale)).collect();
            assert_eq!(kinds, [(TrackKind::Video, 1000), (TrackKind::Audio, 48_000)]);
            assert!(made.bytes.windows(avc().len()).any(|window| window == &avc()[..]), "the record, byte for byte");
            made.is_without_gaps(1, 0);
            made.is_without_gaps(2, 0);
            assert_eq!(made.runs(1)[0].decode, 0);
            let samples: u64 = made.runs(2).iter().map(|run| run.duration).sum();
            assert_eq!(samples, u64::from(4000u32 * 48 / 1024) * 1024, "sound is counted by its samples");
            assert!((0..100).all(|n| made.holds(&format!("v{n:04}"))));
            // The time of day at each key frame: when it came, and where it is.
            let times: Vec<_> = made.fragments.iter().filter_map(|fragment| fragment.wall.as_ref()).collect();
            let wanted: Vec<_> = (0..4).map(|n| (at(n * 1000).ntp(), n * 1000)).collect();
            assert_eq!(times.iter().map(|wall| (wall.ntp, wall.media_time)).collect::<Vec<_>>(), wanted);
        }
    }
}

#[test]
fn one_kind_alone_makes_a_recording() {
    for (kind, scale) in [(Kind::Video, 1000), (Kind::Audio, 48_000)] {
        let units: Vec<_> = stream(0, 4000).into_iter().filter(|(_, unit)| unit.track.kind == kind).collect();
        let mut muxer = Muxer::new(Duration::from_secs(1));
        let [video, audio] = configs();
        let own = if kind == Kind::Video { video } else { audio };
        muxer.push(own, 0, at(0)).unwrap();
        let (early, late) = units.split_at(units.iter().position(|(time, _)| *time >= 1000).unwrap());
        push(&mut muxer, early, 0);
        assert!(!muxer.has_begun(), "the other kind may come");
        push(&mut muxer, late, 1000);
        assert!(muxer.has_begun());
        muxer.finish();
        let mut made = Made::default();
        made.take(&mut muxer);
        let made = made.look();
        assert_eq!(made.header.as_ref().unwrap().movie.tracks[0].timescale, scale);
        assert_eq!(made.fragments.len(), 4);
        made.is_without_gaps(1, 0);
    }
    // Told that there is nothing else, it need not wait.
    let mut muxer = Muxer::new(Duration::from_secs(1));
    muxer.told(None, None, Some(false));
    push(&mut muxer, &[(0, configs()[0].clone()), (0, frame(VIDEO, true, 0, b"v"))], 0);
    assert!(muxer.has_begun());
}

#[test]
fn a_track_that_begins_later_is_in_the_next_object_and_no_picture_is_lost() {
    let of = |kind, from, lasts| -> Vec<_> {
        stream(from, lasts).into_iter().filter(|(_, unit)| unit.track.kind == kind).collect()
    };
    let [video, audio] = configs();
    // Sound is switched on in the middle between two key frames; and pictures between two of sound.
    for (first, own, other, lasts) in
        [(Kind::Video, &video, &audio, [5000, 3000]), (Kind::Audio, &audio, &video, [4480, 3520])]
    {
        let mut muxer = Muxer::new(Duration::from_secs(1)).of_one_picture();
        push(&mut muxer, &[(0, own.clone())], 0);
        push(&mut muxer, &of(first, 0, 4480), 0);
        // It says what it may send; only when it sends it there is something of it.
        push(&mut muxer, &[(4480, other.clone())], 4480);
        let rest: Vec<_> = match first {
            Kind::Video => stream(0, 8000).into_iter().filter(|(time, _)| *time >= 4480).collect(),
            Kind::Audio => stream(4480, 3520),
        };
        push(&mut muxer, &rest, 4480);
        // Another picture has no room here.
        let another = TrackId { kind: Kind::Video, number: 1 };
        push(&mut muxer, &[(8000, unit(another, Content::Config(avc())))], 8000);
        muxer.finish();
        let counts = muxer.counts();
        assert_eq!((counts.changes, counts.late), (1, Some(another)));
        let objects = objects(&mut muxer);
        let tracks: Vec<_> =
            objects.iter().map(|object| object.header.as_ref().expect("a header").movie.tracks.len()).collect();
        assert_eq!(tracks, [1, 2]);
        let lengths: Vec<_> = objects
            .iter()
            .map(|object| {
                let header = object.header.as_ref().expect("a header");
                let scale = u64::from(header.movie.tracks[0].timescale);
                object.is_without_gaps(1, 0);
                object.runs(1).iter().map(|run| run.duration).sum::<u64>() * 1000 / scale
            })
            .collect();
        for (length, wanted) in lengths.iter().zip(lasts) {
            assert!(length.abs_diff(wanted) < 60, "{lengths:?} for {lasts:?}");
        }
        if first == Kind::Video {
            for number in 0..200 {
                assert!(objects.iter().any(|object| object.holds(&format!("v{number:04}"))), "picture {number}");
            }
        }
        // With times of its own.
        assert_eq!(objects[1].runs(1)[0].decode, 0);
    }
    // What is only announced begins nothing.
    let mut muxer = Muxer::new(Duration::from_secs(1));
    push(&mut muxer, &[(0, video)], 0);
    push(&mut muxer, &of(Kind::Video, 0, 4000), 0);
    push(&mut muxer, &[(4000, audio)], 4000);
    push(&mut muxer, &of(Kind::Video, 4000, 4000), 4000);
    muxer.finish();
    assert_eq!((muxer.counts().changes, objects(&mut muxer).len()), (0, 1));
}

#[test]
fn an_encoder_that_comes_back_goes_on_where_the_recording_is() {
    let mut muxer = Muxer::new(Duration::from_secs(1));
    let mut made = Made::default();
    for (from, came) in [(0, 0), (0, 9_000), (777_000, 20_000)] {
        let units: Vec<_> = configs().map(|config| (from, config)).into_iter().chain(stream(from, 2400)).collect();
        push(&mut muxer, &units, came);
        muxer.leave();
        made.take(&mut muxer);
    }
    let made = made.look();
    assert_eq!((made.headers, made.fragments.len()), (1, 9));
    // Nothing that came is lost, and nothing lies between: sound may end a little before or after the picture.
    made.is_without_gaps(1, 40);
    made.is_without_gaps(2, 48 * 40);
    let first: Vec<_> = made.runs(1).iter().map(|run| run.decode / 100).collect();
    assert_eq!(first, [0, 10, 20, 24, 34, 44, 48, 58, 68]);
    assert!(made.runs(1).iter().step_by(3).all(|run| run.sync));
    assert_eq!(made.runs(1).iter().map(|run| run.duration).sum::<u64>(), 7200);
}

#[test]
fn with_other_settings_another_object_begins() {
    let mut muxer = Muxer::new(Duration::from_secs(1));
    let units: Vec<_> = configs().map(|config| (0, config)).into_iter().chain(stream(0, 2000)).collect();
    push(&mut muxer, &units, 0);
    // Repeated they are nothing new.
    push(&mut muxer, &configs().map(|config| (2000, config)), 2000);
    let other = unit(AUDIO, Content::Config(Bytes::from_static(&[0x12, 0x10])));
    // In the middle only what has changed is told.
    push(&mut muxer, &[(2000, other.clone())], 2000);
    push(&mut muxer, &stream(2000, 2000), 2000);
    muxer.leave();
    // And at the beginning all of it: first as it was, then as it was before that.
    let [video, sound] = configs();
    push(&mut muxer, &[(0, video.clone()), (0, other)], 5000);
    push(&mut muxer, &stream(0, 2000), 5000);
    muxer.leave();
    push(&mut muxer, &[(0, video), (0, sound)], 8000);
    push(&mut muxer, &stream(0, 2000), 8000);
    muxer.finish();
    assert_eq!(muxer.counts().changes, 2);
    let objects = objects(&mut muxer);
    let lengths = objects.iter().map(|object| object.runs(1).iter().map(|run| run.duration).sum::<u64>());
    assert_eq!(lengths.collect::<Vec<_>>(), [2000, 4000, 2000]);
    for object in &objects {
        let header = object.header.as_ref().expect("a header");
        assert_eq!((object.headers, object.runs(1)[0].decode, header.movie.tracks.len()), (1, 0, 2));
        object.is_without_gaps(1, 40);
    }
    // Where an encoder goes on it says so, and nowhere else.
    let anew: Vec<Vec<_>> =
        objects.iter().map(|object| object.fragments.iter().map(|fragment| fragment.anew).collect()).collect();
    assert_eq!(anew, [vec![false; 2], vec![false, false, true, false], vec![false; 2]]);
}

#[test]
fn frames_of_which_nothing_can_be_made_are_counted() {
    let mut muxer = Muxer::new(Duration::from_secs(1));
    push(&mut muxer, &[(0, frame(VIDEO, true, 0, b"no config"))], 0);
    push(&mut muxer, &configs().map(|config| (0, config)), 0);
    push(&mut muxer, &[(0, frame(VIDEO, false, 0, b"no key frame"))], 0);
    push(&mut muxer, &[(40, frame(VIDEO, true, 0, b"good")), (80, frame(VIDEO, false, 0, b"good too"))], 40);
    muxer.leave();
    let units: Vec<_> = configs().map(|config| (0, config)).into_iter().chain(stream(0, 500).split_off(1)).collect();
    push(&mut muxer, &units, 100);
    muxer.finish();
    assert_eq!(muxer.counts().dropped, 2 + 11);
    let mut made = Made::default();
    made.take(&mut muxer);
    assert!(made.holds("good too") && !made.holds("no key") && !made.holds("no config") && !made.holds("v0001"));
}

#[test]
fn pictures_with_start_codes_are_left_out_and_counted() {
    let start_codes = |time: u32| [&[0, 0, 0, 1, 0x65][..], &time.to_be_bytes(), b"annex b"].concat();
    let mut muxer = Muxer::new(Duration::from_secs(1));
    // Before it is known which tracks there are, and afterwards.
    push(&mut muxer, &configs().map(|config| (0, config)), 0);
    push(&mut muxer, &[(0, frame(VIDEO, true, 0, &start_codes(0)))], 0);
    assert_eq!((muxer.counts().start_codes, muxer.has_begun()), (1, false));
    push(&mut muxer, &stream(0, 2000), 0);
    push(&mut muxer, &[(2000, frame(VIDEO, true, 0, &start_codes(1)))], 2000);
    push(&mut muxer, &stream(2040, 1000), 2040);
    muxer.finish();
    assert_eq!((muxer.counts().start_codes, muxer.counts().dropped), (2, 0));
    let mut made = Made::default();
    made.take(&mut muxer);
    let made = made.look();
    assert!(made.holds("v0000") && made.holds("v0049") && !made.holds("annex b"));
}

#[test]
fn what_is_odd_about_times_does_not_stop_it() {
    let video = |times: &[u32]| -> Vec<(u32, Unit)> {
        times.iter().enumerate().map(|(n, time)| (*time, frame(VIDEO, n == 0, 0, b"frame"))).collect()
    };
    for (times, starts) in [
        // Two at the same time, one that goes back a little, and a second that never was.
        (&[0, 40, 40, 80][..], &[0, 40, 41, 80][..]),
        (&[0, 40, 20, 80], &[0, 40, 41, 80]),
        (&[0, 40, 5040, 5080], &[0, 40, 5040, 5080]),
    ] {
        let mut muxer = Muxer::new(Duration::from_secs(60));
        muxer.told(None, None, Some(false));
        muxer.push(configs()[0].clone(), 0, at(0)).unwrap();
        for (time, unit) in video(times) {
            muxer.push(unit, time, at(u64::from(time))).unwrap();
        }
        let found: Vec<_> = muxer.tracks[0].samples.iter().map(|sample| sample.at).collect();
        assert_eq!(found, starts, "{times:?}");
    }
    // Sound whose times are all over the place within the tolerance is as long as its samples.
    let sounds: Vec<_> = (0..200u32).map(|n| (n * 1024 / 48 + n * 7 % 30, frame(AUDIO, true, 0, b"sound"))).collect();
    let mut muxer = Muxer::new(Duration::from_secs(60));
    muxer.told(None, Some(false), None);
    muxer.push(configs()[1].clone(), 0, at(0)).unwrap();
    push(&mut muxer, &sounds, 0);
    let samples = &muxer.tracks[0].samples;
    assert!(samples.iter().zip(0i64..).all(|(sample, n)| sample.at == n * 1024));
}

#[test]
fn several_tracks_are_in_one_header() {
    let second = TrackId { number: 1, ..VIDEO };
    let mut muxer = Muxer::new(Duration::from_secs(1));
    let [video, audio] = configs();
    push(&mut muxer, &[(0, video.clone()), (0, Unit { track: second, ..video }), (0, audio)], 0);
    for (time, unit) in stream(0, 2000) {
        let copy = (unit.track == VIDEO).then(|| Unit { track: second, ..unit.clone() });
        push(&mut muxer, &[(time, unit)], u64::from(time));
        push(&mut muxer, &copy.map(|copy| (time, copy)).into_iter().collect::<Vec<_>>(), u64::from(time));
    }
    muxer.finish();
    let mut made = Made::default();
    made.take(&mut muxer);
    let made = made.look();
    assert_eq!((made.header.as_ref().unwrap().movie.tracks.len(), made.fragments.len()), (3, 2));
    assert!(made.fragments.iter().all(|fragment| fragment.runs.len() == 3 && fragment.runs.iter().all(|run| run.sync)));
}

#[test]
fn a_fragment_that_is_too_large_ends() {
    let mut muxer = Muxer::new(Duration::from_secs(60));
    muxer.told(None, None, Some(false));
    muxer.push(configs()[0].clone(), 0, at(0)).unwrap();
    let large = vec![0; 5 << 20];
    for n in 0..6 {
        muxer.push(frame(VIDEO, n == 0, 0, &large), n * 40, at(0)).unwrap();
    }
    assert_eq!(muxer.ready.len(), 1 + 2);
    // All at the same moment, and next to nothing each.
    for n in 0..3 * FRAMES_MAX {
        muxer.push(frame(AUDIO, true, 0, b"x"), 240, at(0)).unwrap();
        muxer.push(frame(VIDEO, false, 0, &[u8::from(n % 2 == 0)]), 240, at(0)).unwrap();
    }
    assert_eq!(muxer.ready.len(), 1 + 2 + 3);
}

proptest! {
    #[test]
    fn no_frames_make_it_fail(
        frames in prop::collection::vec((any::<bool>(), any::<bool>(), prop_oneof![any::<u32>(), 0u32..3000], any::<i32>(), any::<u8>()), 0..80),
        came in prop::collection::vec(0u64..50_000, 80),
    ) {
        let mut muxer = Muxer::new(Duration::from_millis(500));
        for (n, (video, key, time, shown_after, what)) in frames.into_iter().enumerate() {
            let arrival = Arrival { at: SystemTime::UNIX_EPOCH, ..at(came[n]) };
            let track = TrackId { kind: if video { Kind::Video } else { Kind::Audio }, number: what / 100 };
            let content = match what % 8 {
                0 => configs()[usize::from(!video)].content.clone(),
                _ => Content::Frame { key, shown_after: shown_after >> 8, data: Bytes::from(vec![what; 9]) },
            };
            if what == 255 {
                muxer.leave();
            }
            drop(muxer.push(unit(track, content), time, arrival));
        }
        muxer.finish();
        // The scanner understands all of it.
        for made in objects(&mut muxer) {
            prop_assert_eq!(made.headers, 1);
            for track in 1..=4 {
                let starts: Vec<_> = made.runs(track).iter().map(|run| run.decode).collect();
                prop_assert!(starts.is_sorted(), "{starts:?}");
            }
        }
    }
}
