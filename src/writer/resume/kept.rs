//! `writer --resume --kept`: what an upload holds, and what was kept of it because it could not be stored. Nothing is changed
//! here.

use std::io;

use md5::{Digest, Md5};

use super::{Ongoing, READ, ResumeError, ShortPart};
use crate::object::live::Upload;
use crate::protocol::part::PartNumber;
use crate::store::{ETag, StoredPart};
use crate::writer::kept::KeptFile;
use crate::writer::ledger::{Ledger, md5_of};

/// Puts what an upload holds and what was kept of it together. Both have to make up all that was taken, without a gap.
pub(super) fn together(upload: Upload, parts: Vec<StoredPart>, kept: &KeptFile) -> Result<Ongoing, ResumeError> {
    let (path, part_size) = (&kept.path, upload.part_size());
    let refused = |why: String| ResumeError::NotOfIt {
        path: path.clone(),
        object: upload.object(),
        id: upload.id().to_owned(),
        why,
    };
    if part_size != kept.label.part_size {
        return Err(refused(format!("its parts have {} bytes, those of the upload {part_size}", kept.label.part_size)));
    }
    let last = kept.last();
    let highest = parts.last().map(|part| part.number);
    // Parts behind the end of all that was taken are left from an earlier run, and have to be overwritten.
    let stale = highest.filter(|highest| Some(*highest) > last);
    let (mut ledger, mut tail, mut due) = (Ledger::default(), None, Some(PartNumber::FIRST));
    for part in parts.into_iter().filter(|part| Some(part.number) <= last) {
        let (number, start) = (part.number, part_size.start_of(part.number));
        while due.is_some_and(|due| due < number && kept.size_of(due).is_some()) {
            due = due.and_then(PartNumber::next);
        }
        if due != Some(number) {
            break;
        }
        due = number.next();
        let ends = (kept.taken - start).min(part_size.get());
        let Some(size) = kept.size_of(number) else {
            if part.size != ends {
                let why = format!("part {number} has {} bytes there, where {ends} were stored", part.size);
                return Err(refused(why));
            }
            ledger.note(number, ETag(part.etag.clone()), part.size);
            tail = (part.size < part_size.get()).then_some(ShortPart { part, start });
            continue;
        };
        // The part is in both: its upload succeeded after all, or an early tail part is its beginning.
        let unread = |cause| ResumeError::Read { path: path.clone(), cause };
        let known = md5_of(&part.etag).filter(|_| part.size <= size);
        let same = known.map(|md5| digest_kept(kept, start, part.size).map(|digest| digest == md5)).transpose();
        match same.map_err(unread)? {
            Some(true) if part.size == size => ledger.note(number, ETag(part.etag), part.size),
            Some(false) => return Err(refused(format!("part {number} has other bytes there"))),
            _ if part.size > size => return Err(refused(format!("part {number} is longer there"))),
            _ => {}
        }
    }
    while due.is_some_and(|due| kept.size_of(due).is_some()) {
        due = due.and_then(PartNumber::next);
    }
    match due.filter(|due| Some(*due) <= last) {
        Some(missing) => Err(refused(format!("part {missing} is in neither"))),
        None => Ok(Ongoing { upload, ledger, tail, highest, stale, readable: None }),
    }
}

/// MD5 of a stretch of the object as it was kept.
fn digest_kept(kept: &KeptFile, start: u64, size: u64) -> io::Result<[u8; 16]> {
    let (mut hash, mut room) = (Md5::new(), vec![0; READ]);
    let (mut at, end) = (start, start + size);
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..length).unwrap_or_default();
        let count = kept.read_at(room, at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hash.update(room.get(..count).unwrap_or_default());
        at += count as u64;
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::tests::upload;
    use super::*;
    use crate::protocol::part::PartSize;
    use crate::writer::kept::{self, Content, Label, Remainder};
    use crate::writer::spool::{Spool, SpoolSettings};

    const PART: u64 = 5_000_000;

    fn number(number: u32) -> PartNumber {
        PartNumber::new(number).expect("in range")
    }

    fn listed(at: u32, size: u64, etag: &str) -> StoredPart {
        StoredPart { number: number(at), size, etag: etag.to_owned() }
    }

    /// A file that holds these parts of zeros.
    fn keep(dir: &tempfile::TempDir, parts: &[(u32, u64)], taken: u64) -> KeptFile {
        let part_size = PartSize::new(PART).expect("in range");
        let text = str::to_owned;
        let label = Label { bucket: text("b"), key: text("k"), upload_id: text("u"), part_size };
        let body = |len: u64| Content::Memory(Bytes::from(vec![0; usize::try_from(len).expect("small")]));
        let parts = parts.iter().map(|&(at, len)| (number(at), body(len))).collect();
        let spool = Spool::new(&SpoolSettings { dir: dir.path().to_owned(), make_dir: false, limit: 0 }, PART, 0);
        let written = kept::write(&label, &Remainder { parts, taken }, &spool).expect("it is written");
        KeptFile::open(&written.path).expect("it can be read")
    }

    fn put(kept: &KeptFile, parts: Vec<StoredPart>) -> Result<Ongoing, ResumeError> {
        together(upload(PART), parts, kept)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// Each part is stored, kept, both, or missing; behind them there may be parts of an earlier run.
        #[test]
        fn together_they_have_to_be_whole(
            states in proptest::collection::vec(prop_oneof![9 => 1..4u8, 1 => Just(0u8)], 1..6), last_len in 1..=PART, behind in 0..3u32,
        ) {
            let dir = tempfile::tempdir().expect("a directory");
            let count = u32::try_from(states.len()).expect("small");
            let len = |at| if at == count { last_len } else { PART };
            let with = |bit: u8| -> Vec<u32> { (1..).zip(&states).filter(|(_, state)| *state & bit != 0).map(|(at, _)| at).collect() };
            let (stored, in_file) = (with(1), with(2));
            let taken = u64::from(count - 1) * PART + last_len;
            let kept = keep(&dir, &in_file.iter().map(|at| (*at, len(*at))).collect::<Vec<_>>(), taken);
            let stale = (1..=behind).map(|more| listed(count + more, PART, "stale"));
            let held = put(&kept, stored.iter().map(|at| listed(*at, len(*at), "e")).chain(stale).collect());
            let Ok(held) = held else {
                prop_assert!(states.contains(&0));
                return Ok(());
            };
            prop_assert!(!states.contains(&0));
            // What is in the file is sent again, unless it is known to be there.
            let in_ledger: Vec<u32> = (1..=count + behind).filter(|at| held.ledger.size_of(number(*at)).is_some()).collect();
            let stored_only: Vec<u32> = stored.iter().copied().filter(|at| !in_file.contains(at)).collect();
            prop_assert_eq!(in_ledger, stored_only);
            let tail = (last_len < PART && states.last() == Some(&1)).then_some(count);
            prop_assert_eq!(held.tail.map(|tail| tail.part.number.get()), tail);
            prop_assert_eq!(held.stale.map(PartNumber::get), (behind > 0).then_some(count + behind));
        }
    }

    #[test]
    fn a_part_that_arrived_after_all_is_known_by_its_bytes() {
        // What the upload lists; the parts that need not be sent, or what is wrong.
        type Case<'a> = (Vec<StoredPart>, Result<&'a [u32], &'a str>);
        let dir = tempfile::tempdir().expect("a directory");
        let kept = keep(&dir, &[(1, PART), (2, 700)], PART + 700);
        let md5 = |len: usize| hex::encode(Md5::digest(vec![0; len]));
        let whole = md5(5_000_000);
        let cases: [Case<'_>; 6] = [
            (vec![], Ok(&[])),
            (vec![listed(1, PART, &whole), listed(2, 700, &md5(700))], Ok(&[1, 2])),
            (vec![listed(2, 300, &md5(300))], Ok(&[])),
            (vec![listed(1, PART, &md5(1))], Err("part 1 has other bytes")),
            (vec![listed(2, 300, &md5(301))], Err("part 2 has other bytes")),
            (vec![listed(2, 701, &md5(701))], Err("part 2 is longer")),
        ];
        for (parts, want) in cases {
            match (put(&kept, parts.clone()), want) {
                (Ok(held), Ok(want)) => {
                    let known: Vec<u32> = (1..3).filter(|at| held.ledger.size_of(number(*at)).is_some()).collect();
                    assert_eq!(known, want, "{parts:?}");
                }
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{parts:?}: {error}"),
                (held, _) => panic!("{parts:?}: {held:?}"),
            }
        }
    }
}
