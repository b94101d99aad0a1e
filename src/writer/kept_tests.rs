//! Tests of what is kept of an input: round trips through a file, for any mixture of stored and waiting parts.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::store::ETag;
use crate::writer::spool::SpoolSettings;

const PART: u64 = 5_000_000;

fn label() -> Label {
    Label {
        bucket: "bucket".to_owned(),
        key: "live/stream.mp4".to_owned(),
        upload_id: "4_za?b".to_owned(),
        part_size: PartSize::new(PART).expect("in range"),
    }
}

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).expect("in range")
}

/// A spool whose slots hold full parts; the files are sparse, since most bytes are zero.
fn spool(dir: &Path) -> Spool {
    Spool::new(&SpoolSettings { dir: dir.to_owned(), make_dir: false, limit: u64::MAX }, PART, 0)
}

/// A part that differs from every other in its first, and in its last bytes.
fn part(number: u32, len: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(len).expect("small")];
    let mark = number.to_be_bytes();
    for (at, byte) in mark.iter().enumerate() {
        let last = bytes.len() - 1;
        bytes[at.min(last)] = *byte;
        bytes[last - at.min(last)] = *byte;
    }
    bytes.into()
}

fn read(kept: &KeptFile, mut offset: u64, len: u64, step: usize) -> Vec<u8> {
    let (mut all, end) = (Vec::new(), offset + len);
    let mut room = vec![0; step];
    while offset < end {
        let count = kept.read_at(&mut room, offset).expect("readable");
        assert!(count > 0, "nothing at {offset}");
        all.extend_from_slice(&room[..count]);
        offset += count as u64;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever was stored, whatever waited where, and whatever the spool held before.
    #[test]
    fn what_is_kept_comes_back_at_its_place(
        states in proptest::collection::vec(0..3u8, 1..7), last_len in 1..=PART, left in proptest::collection::vec(any::<bool>(), 4),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = spool(dir.path());
        // Some parts have come and gone, so that slots are not in order.
        let before: Vec<_> = left.iter().map(|_| spool.put(&part(99, PART)).expect("room")).collect();
        let stay: Vec<_> = before.into_iter().zip(&left).filter_map(|(slot, stays)| stays.then_some(slot)).collect();
        let count = u32::try_from(states.len()).expect("small");
        let mut want = BTreeMap::new();
        let mut remainder = Remainder { parts: Vec::new(), taken: u64::from(count - 1) * PART + last_len };
        for (at, state) in (1..).zip(&states) {
            let body = part(at, if at == count { last_len } else { PART });
            let content = match state {
                0 => continue,
                1 => Content::Memory(body.clone()),
                _ => Content::Disk(Arc::new(spool.put(&body).expect("room"))),
            };
            want.insert(at, body);
            remainder.parts.push((number(at), content));
        }
        let written = write(&label(), &remainder, &spool).expect("it is written");
        drop((stay, remainder.parts, spool));
        let kept = KeptFile::open(&written.path).expect("it can be read");
        prop_assert_eq!(&kept.label, &label());
        prop_assert_eq!(kept.taken, remainder.taken);
        prop_assert_eq!(kept.bytes(), written.bytes);
        prop_assert_eq!(kept.is_whole(), want.len() == states.len());
        for at in 1..=count {
            let start = u64::from(at - 1) * PART;
            let Some(body) = want.get(&at) else {
                prop_assert_eq!(kept.read_at(&mut [0; 8], start).expect("no failure"), 0);
                continue;
            };
            prop_assert_eq!(kept.size_of(number(at)), Some(body.len() as u64));
            prop_assert!(read(&kept, start, body.len() as u64, 1 << 20) == body[..]);
            let more = body.len() > 1 || want.range(at + 1..).next().is_some();
            prop_assert_eq!(kept.next_from(start + 1).is_some_and(|next| next > start), more);
        }
        prop_assert_eq!(kept.read_at(&mut [0; 8], remainder.taken).expect("no failure"), 0);
    }

    /// A file that was cut, or is something else, is never taken for one.
    #[test]
    fn no_part_of_such_a_file_is_taken_for_all_of_it(cut in 0.0..1.0f64, other in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().expect("a directory");
        let remainder = Remainder { parts: vec![(number(3), Content::Memory(part(3, 1000)))], taken: 2 * PART + 1000 };
        let path = write(&label(), &remainder, &spool(dir.path())).expect("it is written").path;
        let whole = fs::read(&path).expect("the file");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let cut = (whole.len() as f64 * cut) as usize;
        for bytes in [&whole[..cut], &whole[cut + 1..], &other] {
            fs::write(&path, bytes).expect("write");
            let refused = matches!(KeptFile::open(&path), Err(KeptError::Foreign { .. }));
            prop_assert!(refused, "{} bytes", bytes.len());
        }
    }
}

proptest! {
    /// Whatever arrived, whatever waits for others, and wherever the input was cut off: what is stored and what is left make
    /// up all that was taken.
    #[test]
    fn nothing_is_left_out_of_what_is_left(
        states in proptest::collection::vec(0..3u8, 0..8), filling in 0..3 * PART, last_len in 1..=PART, ended in any::<bool>(), early in any::<bool>(),
    ) {
        let size = PartSize::new(PART).expect("in range");
        let count = u32::try_from(states.len()).expect("small");
        // Once the input has ended, the last part that was sent may be short, and nothing comes after it.
        let filling = if ended { 0 } else { filling };
        let len = |at: u32| if ended && at == count { last_len } else { PART };
        let (mut ledger, mut sent, mut rest) = (Ledger::default(), BTreeMap::new(), Rest::default());
        for (at, state) in (1..).zip(&states) {
            match state {
                0 => ledger.note(number(at), ETag(String::new()), len(at)),
                1 if rest.held_back.is_none() => rest.held_back = Some((number(at), part(at, len(at)))),
                _ => drop(sent.insert(number(at), Content::Memory(part(at, len(at))))),
            }
        }
        rest.due = Some(number(count + 1));
        rest.filling = vec![7; usize::try_from(filling).expect("small")].into();
        if early && filling > 0 {
            // All of the first part, or its beginning, went ahead.
            ledger.note(number(count + 1), ETag(String::new()), filling.min(PART) / 2 + filling.min(PART) % 2);
        }
        let remainder = rest.behind(sent, &ledger, size);
        let taken = if count == 0 { 0 } else { u64::from(count - 1) * PART + len(count) } + filling;
        prop_assert_eq!(remainder.taken, taken);
        let left: BTreeMap<u32, u64> = remainder.parts.iter().map(|(number, content)| (number.get(), content.len())).collect();
        let mut at = 0;
        for number_of in 1.. {
            if at == taken {
                break;
            }
            let whole = PART.min(taken - at);
            let stored = ledger.size_of(number(number_of)) == Some(whole);
            prop_assert_eq!(left.get(&number_of).copied(), Some(whole).filter(|_| !stored), "part {}", number_of);
            at += whole;
        }
        prop_assert!(left.keys().all(|number_of| u64::from(number_of - 1) * PART < taken));
    }
}

#[test]
fn no_file_is_written_over_and_nobody_else_may_read_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let remainder = Remainder { parts: vec![(number(1), Content::Memory(part(1, 10)))], taken: 10 };
    let paths: Vec<_> =
        (0..3).map(|_| write(&label(), &remainder, &spool(dir.path())).expect("it is written").path).collect();
    let names: Vec<_> = paths.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
    assert_eq!(
        names,
        ["live-stream.mp4.4_za-b.kept", "live-stream.mp4.4_za-b.2.kept", "live-stream.mp4.4_za-b.3.kept"]
    );
    assert_eq!(existing(dir.path(), "live/stream.mp4", "4_za?b").as_ref(), paths.last());
    assert_eq!(existing(dir.path(), "live/stream.mp4", "4_zb"), None);
    for path in &paths {
        assert_eq!(fs::metadata(path).expect("the file").permissions().mode() & 0o777, 0o600);
    }
    let other = dir.path().join("copy");
    copy(&File::open(&paths[0]).expect("the file"), &other).expect("a copy");
    assert_eq!(fs::read(&other).expect("the copy"), fs::read(&paths[0]).expect("the file"));
    assert_eq!(fs::metadata(&other).expect("the copy").permissions().mode() & 0o777, 0o600);
    assert!(copy(&File::open(&paths[0]).expect("the file"), &other).is_err());
}

#[test]
fn an_index_that_makes_no_sense_is_refused() {
    let index = |taken: u64, parts: Value| json!({ "data": 4 * PART, "bucket": "b", "key": "k", "upload_id": "u", "part_size": PART, "taken": taken, "parts": parts });
    let good = |taken, parts| understand(&index(taken, parts), 4 * PART).is_some();
    assert!(good(2 * PART + 7, json!([[1, 0, PART], [3, PART, 7]])));
    for (taken, parts) in [
        // Not rising; short in the middle; beyond the data; beyond what was taken; empty; too long; no such number.
        (2 * PART, json!([[2, 0, PART], [1, PART, PART]])),
        (2 * PART, json!([[1, 0, 7], [2, PART, PART]])),
        (PART, json!([[1, 3 * PART + 1, PART]])),
        (PART, json!([[2, 0, PART]])),
        (0, json!([[1, 0, 0]])),
        (2 * PART, json!([[1, 0, 2 * PART]])),
        (PART, json!([[0, 0, PART]])),
        (u64::MAX, json!([[10_000, u64::MAX, PART]])),
        (PART, json!([["1", 0, PART]])),
    ] {
        assert!(!good(taken, parts.clone()), "{taken} {parts}");
    }
}
