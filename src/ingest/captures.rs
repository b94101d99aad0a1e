//! What real encoders sent, cut and damaged in every way, on its way from the socket's bytes to fragments.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::media::flv;
use crate::media::fmp4::{Found, Scanner};
use crate::mux::{Arrival, Muxer};
use crate::rtmp::{Event, Session};

const CAPTURES: [(&str, &[u8], &[&str]); 4] = [
    ("ffmpeg5", include_bytes!("captures/ffmpeg5.rtmp"), &["H.264", "AAC"]),
    ("ffmpeg9", include_bytes!("captures/ffmpeg9.rtmp"), &["HEVC", "Opus"]),
    ("tracks9", include_bytes!("captures/tracks9.rtmp"), &["H.264", "H.264", "AAC", "AAC"]),
    ("gst", include_bytes!("captures/gst.rtmp"), &["H.264", "AAC"]),
];

/// All that came of the bytes of an encoder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) published: Option<String>,
    ended: bool,
    pub(super) fault: bool,
    events: u64,
    hash: u64,
    codecs: Vec<&'static str>,
    /// The objects of the recording.
    pub(super) objects: Vec<Vec<u8>>,
}

impl Came {
    /// Bytes of the recording.
    pub(super) fn made(&self) -> usize {
        self.objects.iter().map(Vec::len).sum()
    }

    /// Each object is a header and whole fragments, as readers and playlists see it.
    #[track_caller]
    pub(super) fn is_well_formed(&self) {
        for object in &self.objects {
            let found = Scanner::new().feed(object);
            let fine = |found: &Found| matches!(found, Found::Header(_) | Found::Begun(_) | Found::Ended(_));
            assert!(found.iter().all(fine), "{:?}", found.iter().find(|found| !fine(found)));
            let count = |of: fn(&Found) -> bool| found.iter().filter(|found| of(found)).count();
            let (begun, ended) =
                (count(|found| matches!(found, Found::Begun(_))), count(|found| matches!(found, Found::Ended(_))));
            assert_eq!((count(|found| matches!(found, Found::Header(_))), begun), (1, ended));
        }
    }
}

pub(super) fn of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Came {
    let (mut session, mut muxer) = (Session::new(Vec::new()), Muxer::new(Duration::from_secs(1)));
    let (mut came, mut hash) = (Came::default(), DefaultHasher::new());
    'all: for piece in pieces {
        session.feed(piece);
        loop {
            let event = match session.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => {
                    came.fault = true;
                    break 'all;
                }
            };
            came.events += 1;
            let (time, units) = match event {
                Event::Publish(publish) => {
                    publish.name.hash(&mut hash);
                    came.published = Some(format!("{}/{}", publish.app, publish.name));
                    session.accept();
                    continue;
                }
                Event::Metadata(about) => {
                    about.size.hash(&mut hash);
                    muxer.told(about.size, about.video, about.audio);
                    continue;
                }
                Event::Ending => continue,
                Event::End => {
                    came.ended = true;
                    continue;
                }
                Event::Audio(time, body) => {
                    (8, time, &body).hash(&mut hash);
                    (time, flv::audio(&body))
                }
                Event::Video(time, body) => {
                    (9, time, &body).hash(&mut hash);
                    (time, flv::video(&body))
                }
            };
            let arrival = Arrival { elapsed: Duration::from_millis(came.events), at: UNIX_EPOCH };
            for unit in units.unwrap_or_default() {
                came.fault |= muxer.push(unit, time, arrival).is_err();
            }
            take(&mut muxer, &mut came.objects);
        }
        drop(session.answers());
    }
    muxer.finish();
    take(&mut muxer, &mut came.objects);
    (came.hash, came.codecs) = (hash.finish(), muxer.codecs());
    came
}

fn take(muxer: &mut Muxer, objects: &mut Vec<Vec<u8>>) {
    while let Some(piece) = muxer.ready() {
        if piece.begins {
            objects.push(Vec::new());
        }
        objects.last_mut().expect("a header first").extend_from_slice(&piece.bytes);
        muxer.handed_on();
    }
}

#[test]
fn encoders_are_understood_however_their_bytes_are_cut() {
    for (name, capture, codecs) in CAPTURES {
        let whole = of(std::iter::once(capture));
        assert_eq!((whole.published.as_deref(), whole.ended, whole.fault), (Some("live/key"), true, false), "{name}");
        assert_eq!(whole.codecs, codecs, "{name}");
        assert!(whole.events > 30 && whole.made() > 5_000, "{name}: {} and {}", whole.events, whole.made());
        whole.is_well_formed();
        for size in (1..20).chain([127, 128, 129, 1000, 4096]) {
            assert_eq!(of(capture.chunks(size)), whole, "{name} in pieces of {size}");
        }
        for at in 0..capture.len() / 13 {
            let (a, b) = capture.split_at(at * 13);
            assert_eq!(of([a, b].into_iter()), whole, "{name} cut at {at}");
        }
    }
}

/// Numbers that look like chance, and are the same for the same seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap_or(0) % bound.max(1)
    }

    /// Damages bytes, as a rule behind the first of them, and with some of others.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>, behind: usize, others: &[&[u8]]) {
        for _ in 0..=self.below(6) {
            let from = if self.below(10) == 0 { 0 } else { behind.min(bytes.len()) };
            let at = from + self.below(bytes.len() - from);
            let length = self.below(300).min(bytes.len() - at);
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..at + length)),
                2 => {
                    let again = bytes[at..at + length].to_vec();
                    bytes.splice(at..at, again);
                }
                3 => {
                    let other = others[self.below(others.len())];
                    let from = self.below(other.len());
                    bytes.splice(at..at, other[from..(from + length).min(other.len())].iter().copied());
                }
                4 => {
                    for byte in &mut bytes[at..at + length.min(4)] {
                        *byte = [0, 1, 0x7f, 0x80, 0xff][self.below(5)];
                    }
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
    }
}

/// For so many seconds as `FUZZ_SECONDS` says; `make fuzz-rtmp` takes ten minutes.
#[test]
fn damaged_captures_do_no_harm() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seconds, first) = (number("FUZZ_SECONDS", 3), number("FUZZ_SEED", 1));
    let (began, mut seed, mut published, mut made) = (Instant::now(), first, 0u64, 0u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut chance = Chance::of(seed);
        let mut bytes = CAPTURES[chance.below(CAPTURES.len())].1.to_vec();
        chance.damage(&mut bytes, 3073, &CAPTURES.map(|capture| capture.1));
        let size = 1 + chance.below(5000);
        let run = || {
            let came = of(bytes.chunks(size));
            came.is_well_formed();
            came
        };
        let came = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("a panic: FUZZ_SEED={seed} repeats it"));
        published += u64::from(came.published.is_some());
        made += u64::from(came.made() > 0);
        // What is made is what came, and some bytes for each frame.
        assert!(came.made() < 2 * bytes.len() + 100_000, "{} bytes of {}: FUZZ_SEED={seed}", came.made(), bytes.len());
        seed += 1;
    }
    let runs = seed - first;
    println!("{runs} damaged captures, {published} of which published and {made} of which made a recording");
    assert!(runs > 20 && published > runs / 4 && made > runs / 10, "{published} and {made} of {runs}");
}
