//! What others have found when they fuzzed their servers (gortmplib), and samples of enhanced RTMP (Veovera), on the way from a
//! socket's bytes to fragments. None of it is kept here: `scripts/fetch-corpora.sh` fetches it for `make fuzz-rtmp`.

use std::iter::once;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::captures::{Chance, of};
use crate::media::flv;
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::media::fmp4::{Movie, TrackKind};
use crate::rtmp::amf0::{self, Value};
use crate::rtmp::chunk::{self, LARGEST, Message, Reader};

/// All files below a folder of `target/corpora`, or of what `CORPORA` names, of which the path ends like this.
fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpora");
    let (mut folders, mut found) =
        (vec![std::env::var_os("CORPORA").map_or_else(usual, PathBuf::from).join(below)], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("testdata/fuzz") || path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The bytes of a case of Go's fuzzing: `[]byte("…")` in a line, as Go writes strings.
fn bytes_of(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix("[]byte(\"")?.strip_suffix("\")")?.as_bytes();
    let mut bytes = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        let (digits, radix, from) = match kind {
            b'x' => (2, 16, after),
            b'u' => (4, 16, after),
            b'U' => (8, 16, after),
            b'0'..=b'7' => (3, 8, rest),
            _ => {
                let short = [(b'a', 7), (b'b', 8), (b't', 9), (b'n', 10), (b'v', 11), (b'f', 12), (b'r', 13)];
                bytes.push(short.into_iter().find(|(name, _)| *name == kind).map_or(kind, |(_, byte)| byte));
                rest = after;
                continue;
            }
        };
        let (number, after) = from.split_at_checked(digits)?;
        let number = u32::from_str_radix(str::from_utf8(number).ok()?, radix).ok()?;
        if radix == 16 && digits > 2 {
            bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(number).ok()?);
        }
        rest = after;
    }
    Some(bytes)
}

#[test]
fn strings_of_go_are_understood() {
    for (line, wanted) in [
        (r#"[]byte("")"#, Some(&b""[..])),
        (r#"[]byte("0\xff\x00\v\"\\\n\a0")"#, Some(b"0\xff\0\x0b\"\\\n\x070")),
        ("[]byte(\"\\u00e9\\U0001f600\u{e9}\\101\")", Some("é😀éA".as_bytes())),
        (r#"[]byte("\x0")"#, None),
        ("int(7)", None),
    ] {
        assert_eq!(bytes_of(line).as_deref(), wanted, "{line}");
    }
}

/// What gortmplib's fuzzing has found, with where it lies.
fn cases() -> Vec<(PathBuf, Vec<u8>)> {
    let mut cases = Vec::new();
    for path in files("gortmplib", "testdata/fuzz") {
        let text = std::fs::read_to_string(&path).expect("a case");
        assert!(text.starts_with("go test fuzz v1\n"), "{}", path.display());
        cases.extend(text.lines().filter_map(bytes_of).map(|bytes| (path.clone(), bytes)));
    }
    assert!(cases.len() > 50, "{} cases: scripts/fetch-corpora.sh fetches them", cases.len());
    cases
}

/// The tags of an FLV file as messages: kind, time and body.
fn tags(file: &[u8]) -> Vec<Message> {
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let (mut rest, mut found) = (file.get(13..).expect("a header"), Vec::new());
    while let Some((head, after)) = rest.split_at_checked(11) {
        let (body, after) = after.split_at(usize::try_from(number(&head[1..4])).expect("small"));
        let time = number(&[head[7], head[4], head[5], head[6]]);
        found.push(Message { kind: head[0], stream: 1, time, body: Bytes::copy_from_slice(body) });
        rest = &after[4..];
    }
    found
}

/// Samples of enhanced RTMP.
fn samples() -> Vec<(PathBuf, Vec<Message>)> {
    let samples = files("enhanced-rtmp", ".flv");
    assert!(!samples.is_empty(), "no samples: scripts/fetch-corpora.sh fetches them");
    samples.into_iter().map(|path| (path.clone(), tags(&std::fs::read(path).expect("a file")))).collect()
}

fn written(messages: &[Message]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for message in messages {
        chunk::write(&mut out, 4, message, 128);
    }
    out.to_vec()
}

/// All that an encoder says until it publishes.
fn publishing() -> Vec<u8> {
    let app = Value::Object(vec![("app".into(), Value::of("live"))]);
    let commands = [
        &[Value::of("connect"), Value::Number(1.0), app][..],
        &[Value::of("publish"), Value::Number(0.0), Value::Null, Value::of("key")],
    ];
    let message = |values: &&[Value]| {
        let mut body = BytesMut::new();
        amf0::write(&mut body, values);
        Message { kind: 20, stream: 1, time: 0, body: body.freeze() }
    };
    [&[3][..], &[0; 3072], &written(&commands.iter().map(message).collect::<Vec<_>>())].concat()
}

/// The messages that are found in bytes, and whether they could all be read.
fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, bool) {
    let (mut reader, mut input, mut found) = (Reader::new(LARGEST), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match reader.next(&mut input) {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

#[test]
#[ignore = "needs what scripts/fetch-corpora.sh fetches: make fuzz-rtmp"]
fn what_others_found_does_no_harm_however_it_is_cut() {
    let fronts = [vec![], [&[3][..], &[0; 3072]].concat(), publishing()];
    let cases = cases();
    for (path, case) in &cases {
        let name = path.display();
        for at in 0..=case.len() {
            let (a, b) = case.split_at(at);
            assert_eq!(messages([a, b].into_iter()), messages(once(&case[..])), "{name} cut at {at}");
            for part in [a, b] {
                drop(amf0::read(part));
                let body = Bytes::copy_from_slice(part);
                drop((flv::audio(&body), flv::video(&body)));
            }
            for front in &fronts {
                let bytes = [&front[..], case].concat();
                let (a, b) = bytes.split_at(front.len() + at);
                let came = of([a, b].into_iter());
                came.is_well_formed();
                assert_eq!(came, of(once(&bytes[..])), "{name} cut at {at}");
            }
        }
    }
    println!("{} cases of others", cases.len());
}

#[test]
#[ignore = "needs what scripts/fetch-corpora.sh fetches: make fuzz-rtmp"]
fn samples_of_enhanced_rtmp_come_out_as_they_went_in() {
    let mut chance = Chance::of(1);
    for (path, messages) in samples() {
        let name = path.display();
        let bytes = [publishing(), written(&messages)].concat();
        let came = of(once(&bytes[..]));
        assert!(!came.fault && came.objects.len() == 1, "{name}: {} objects", came.objects.len());
        came.is_well_formed();
        for _ in 0..20 {
            let (a, b) = bytes.split_at(chance.below(bytes.len()));
            assert!(of([a, b].into_iter()) == came, "{name} cut at {}", a.len());
        }
        let mut gather = Gather::default();
        gather.feed(&came.objects[0]);
        let (mut movie, mut out) = (None, [Vec::new(), Vec::new()]);
        while let Some(found) = gather.whole().expect("an object") {
            match found {
                Gathered::Header(moov) => movie = Movie::parse(&moov),
                Gathered::Fragment(raw) => {
                    let movie = movie.as_ref().expect("a header first");
                    for track in raw.samples(movie).expect("its samples") {
                        let kind = movie.tracks.iter().find(|known| known.id == track.track).expect("a track").kind;
                        let mut at = track.decode.expect("its time");
                        for sample in track.samples {
                            out[usize::from(kind == TrackKind::Video)]
                                .push((at * 1000 / i64::from(track.timescale), sample.data));
                            at += i64::from(sample.duration);
                        }
                    }
                }
            }
        }
        for (out, kind, how) in [(&out[0], 8, "sound"), (&out[1], 9, "pictures")] {
            // Frames, by what the specification says of these: coded frames behind four letters; of AV1 without the mark between two.
            let coded =
                |message: &&Message| message.kind == kind && message.body[0] & 0x8f == 0x81 && message.body[0] != 0xd1;
            let data = |message: &Message| match message.body.slice(5..) {
                picture if kind == 9 && picture.starts_with(&[0x12, 0]) => picture.slice(2..),
                data => data,
            };
            let sent: Vec<_> =
                messages.iter().filter(coded).map(|message| (i64::from(message.time), data(message))).collect();
            assert!(sent.len() > 100 && sent.len() == out.len(), "{name}: {} of {} {how}", out.len(), sent.len());
            for ((sent_at, sent), (at, data)) in sent.iter().zip(out) {
                assert!(data == sent && (at - sent_at).abs() <= 40, "{name}: {how} of {sent_at} at {at}");
            }
        }
        println!("{name}: {} of sound and {} pictures", out[0].len(), out[1].len());
    }
}

/// For so many seconds as `FUZZ_SECONDS` says.
#[test]
#[ignore = "needs what scripts/fetch-corpora.sh fetches: make fuzz-rtmp"]
fn what_others_found_and_sent_does_no_harm_when_it_is_damaged() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seconds, first) = (number("FUZZ_SECONDS", 3), number("FUZZ_SEED", 1));
    let front = publishing();
    let mut all: Vec<_> = cases().into_iter().map(|(_, case)| case).collect();
    // As much of a sample as has all that is in it, and as many of them as there are cases.
    let begins =
        samples().into_iter().map(|(_, messages)| written(&messages[..messages.len().min(60)])).collect::<Vec<_>>();
    all.extend(begins.iter().cycle().take(all.len()).cloned());
    let others: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let (began, mut seed, mut made) = (Instant::now(), first, 0u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut chance = Chance::of(seed);
        let mut bytes = [&front[..], others[chance.below(others.len())]].concat();
        chance.damage(&mut bytes, front.len(), &others);
        let size = 1 + chance.below(5000);
        let run = || {
            let came = of(bytes.chunks(size));
            came.is_well_formed();
            came.made()
        };
        made += u64::from(std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("FUZZ_SEED={seed} repeats it")) > 0);
        drop(std::panic::catch_unwind(|| amf0::read(&bytes[front.len().min(bytes.len())..])).expect("no panic"));
        seed += 1;
    }
    println!("{} damaged cases and samples, {made} of which made a recording", seed - first);
    assert!(made > (seed - first) / 10, "{made} of {}", seed - first);
}
