//! Streams that are damaged, or cut up so that reading them will disappoint.

use super::show::*;
use crate::support::lab::Lab;
use crate::support::media::{AAC, FRAGMENTS, H264, make, picture, sound};
use crate::support::run::Launch;

/// Real streams with damaged bytes: no panic, no endless work, and little memory.
#[test]
fn damaged_streams_do_no_harm() {
    let lab = Lab::new();
    let source = make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {FRAGMENTS}"));
    let moofs: Vec<usize> = source.windows(4).enumerate().filter(|(_, w)| w == b"moof").map(|(at, _)| at).collect();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..24 {
        let mut data = source.clone();
        for _ in 0..6 {
            let near = if random.bool() { 0 } else { *random.choice(&moofs).expect("fragments") };
            let at = near + random.usize(0..900);
            data[at] = if random.bool() { 0xff } else { random.u8(..) };
        }
        lab.put(KEY, &data);
        let args = match round % 3 {
            0 => &["--from", "live"][..],
            1 => &["--from", "1", "--to", "2", "--rebase"],
            _ => &["--probe"],
        };
        let outcome = Launch::reader(&lab, &[&[KEY], args].concat()).start().wait();
        assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.state());
        assert!(!outcome.err.contains("panicked") && outcome.count("ERROR") <= 1, "{}", outcome.state());
        assert!(outcome.out.len() <= data.len() + 4096, "{}", outcome.state());
    }
}

/// Every finding about a damaged stream is the same however it is sliced, and none takes long or much memory.
#[test]
fn damaged_real_streams_are_read_the_same_however_sliced() {
    use live_read::media::fmp4::{Found, Scanner};
    let scan = |data: &[u8], slice: usize| -> Vec<Found> {
        let mut scanner = Scanner::new();
        data.chunks(slice).flat_map(|slice| scanner.feed(slice)).collect()
    };
    let small = "-c:v libx264 -preset ultrafast -qp 40 -g 10 -bf 2";
    let mut random = fastrand::Rng::with_seed(11);
    for flags in ["empty_moov+frag_keyframe+default_base_moof", "dash+delay_moov+frag_every_frame", "frag_keyframe"] {
        let source = make(&[picture(2, 0), sound(2)], &format!("{small} {AAC} -b:a 32k -f mp4 -movflags {flags}"));
        let whole = scan(&source, source.len());
        assert_eq!(scan(&source, 1), whole, "{flags}");
        let boxes = [&b"moov"[..], b"moof", b"traf", b"trun", b"tfhd", b"mdat", b"stsd", b"trak"];
        let places: Vec<usize> = source
            .windows(4)
            .enumerate()
            .filter(|(_, window)| boxes.contains(window))
            .map(|(at, _)| at.saturating_sub(4))
            .collect();
        for _ in 0..400 {
            let mut data = source.clone();
            for _ in 0..random.usize(1..5) {
                let at = random.choice(&places).expect("boxes") + random.usize(0..60);
                let any = random.u8(..);
                data[at.min(source.len() - 1)] = *random.choice(&[0, 1, 0x7f, 0xff, any]).expect("a byte");
            }
            let slice = random.usize(1..5000);
            assert_eq!(scan(&data, slice), scan(&data, data.len()), "{flags} in slices of {slice}");
        }
    }
}

#[test]
fn the_writer_warns_of_fragments_that_will_disappoint() {
    let lab = Lab::new();
    let warned = |data: &[u8], count: usize, text: &str| {
        let ended = lab.writer(&[KEY, "--part-size", "5000000"]).end_with(data).code(0).says(text);
        assert_eq!(ended.count("WARN"), count, "{}", ended.state());
    };
    let good = make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {FRAGMENTS}"));
    warned(&good, 0, "is complete");
    let duration = "-f mp4 -movflags empty_moov+default_base_moof -frag_duration 300000";
    warned(&make(&[picture(4, 10), sound(4)], &format!("{H264} {AAC} {duration}")), 1, "add frag_keyframe");
    warned(&make(&[sound(4)], &format!("{AAC} {duration}")), 0, "is complete");
    warned(&make(&[sound(14)], &format!("{AAC} {FRAGMENTS}")), 1, "-frag_duration 1000000");
    let large = "-c:v libx264 -preset ultrafast -qp 16 -g 250";
    warned(&make(&[picture(8, 60)], &format!("{large} {FRAGMENTS}")), 1, "more than a part of 5000000 bytes");
}
