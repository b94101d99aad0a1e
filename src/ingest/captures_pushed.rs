//! What real encoders push, cut and damaged in every way, on its way from the bytes of a body to fragments.

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::captures::Chance;
use crate::media::fmp4::Found;
use crate::media::fmp4::fragments::Scanner;
use crate::media::fmp4::gather::{Gather, Gathered};
use crate::mux::Arrival;
use crate::mux::push::Push;

const CAPTURES: [(&str, &[u8]); 2] =
    [("mp4", include_bytes!("captures/pushed.mp4")), ("ismv", include_bytes!("captures/pushed.ismv"))];

/// What came of a body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    is_last: bool,
    is_whole: bool,
    fault: bool,
    early: u64,
    /// Bytes of the recording.
    made: Vec<u8>,
}

/// A body that comes in pieces, from a source of this name.
fn of<'a>(push: &mut Push, source: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Came {
    let (mut gather, mut came, mut count) = (Gather::default(), Came::default(), 0);
    'all: for piece in pieces {
        gather.feed(piece);
        loop {
            let taken = match gather.whole() {
                Ok(Some(Gathered::Header(moov))) => push.header(source, &moov).map(drop),
                Ok(Some(Gathered::Fragment(raw))) => {
                    count += 1;
                    came.early += u64::from(push.is_early(source, &raw));
                    push.fragment(source, &raw, Arrival { elapsed: Duration::from_millis(count), at: UNIX_EPOCH })
                }
                Ok(None) => break,
                Err(_) => {
                    came.fault = true;
                    break 'all;
                }
            };
            came.fault |= taken.is_err();
        }
    }
    push.leave();
    while let Some(piece) = push.ready() {
        came.made.extend_from_slice(&piece.bytes);
        push.handed_on();
    }
    (came.is_last, came.is_whole) = (gather.is_last(), gather.is_whole());
    came
}

#[test]
fn pushed_fragments_are_understood_however_their_bytes_are_cut() {
    for (name, capture) in CAPTURES {
        let whole = of(&mut Push::default(), "", std::iter::once(capture));
        assert_eq!((whole.is_last, whole.is_whole, whole.fault), (true, true, false), "{name}");
        let found = Scanner::new().feed(&whole.made);
        let fragments = found.iter().filter(|found| matches!(found, Found::Ended(_))).count();
        assert!(fragments >= 3 && !found.iter().any(|found| matches!(found, Found::Off(_))), "{name}: {fragments}");
        for size in (1..20).chain([127, 128, 129, 1000, 4096]) {
            assert_eq!(of(&mut Push::default(), "", capture.chunks(size)), whole, "{name} in pieces of {size}");
        }
        for at in 0..capture.len() / 13 {
            let (a, b) = capture.split_at(at * 13);
            assert_eq!(of(&mut Push::default(), "", [a, b].into_iter()), whole, "{name} cut at {at}");
        }
    }
}

/// For so many seconds as `FUZZ_SECONDS` says.
#[test]
fn damaged_pushes_do_no_harm() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seconds, first) = (number("FUZZ_SECONDS", 3), number("FUZZ_SEED", 1));
    let (began, mut seed, mut made) = (Instant::now(), first, 0u64);
    let mut push = Push::default();
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut chance = Chance::of(seed);
        if chance.below(3) == 0 {
            push = Push::default();
        }
        let mut bytes = CAPTURES[chance.below(CAPTURES.len())].1.to_vec();
        // A header that is damaged is refused as a rule.
        let behind = if chance.below(3) == 0 { 0 } else { 1400 };
        chance.damage(&mut bytes, behind, &CAPTURES.map(|capture| capture.1));
        let (size, source) = (1 + chance.below(5000), ["", "video", "audio"][chance.below(3)]);
        let run = || of(&mut push, source, bytes.chunks(size));
        let run = std::panic::AssertUnwindSafe(run);
        let came = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("a panic: FUZZ_SEED={seed} repeats it"));
        made += u64::from(!came.made.is_empty());
        // What is made is what came, what waited, and some bytes for each sample.
        assert!(came.made.len() < 40 * bytes.len() + 4_000_000, "{} bytes: FUZZ_SEED={seed}", came.made.len());
        seed += 1;
    }
    let runs = seed - first;
    println!("{runs} damaged bodies, {made} of which made a recording");
    assert!(runs > 20 && made > runs / 10, "{made} of {runs}");
}
