//! What is noted of several pictures, killed at any place, and gone on with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::ingest::journal::lock;
use crate::ingest::taking_up::Left;
use crate::ingest::taking_up_several::{Apart, left};
use crate::mux::{Arrival, Muxer};
use crate::object::tap::{Opening, Tap};
use crate::rtmp::{Event, Session};
use crate::writer::spool::SpoolSettings;

const PART: u64 = 5_000_000;

/// How long a fragment is.
const LASTS: Duration = Duration::from_millis(200);

/// Pieces of a recording with two pictures, as a real encoder sent it.
fn pieces() -> Vec<Piece> {
    let all = made(Muxer::new(LASTS));
    assert!(all.len() > 4 && all[0].begins, "{}", all.len());
    all
}

/// What is made of what the encoder sent.
fn made(mut muxer: Muxer) -> Vec<Piece> {
    let mut session = Session::new(Vec::new());
    session.feed(include_bytes!("captures/tracks9.rtmp"));
    let mut count = 0;
    while let Ok(Some(event)) = session.next_event() {
        count += 1;
        let arrival = Arrival { elapsed: Duration::from_millis(count), at: std::time::UNIX_EPOCH };
        let (time, units) = match event {
            Event::Publish(_) => {
                session.accept();
                continue;
            }
            Event::Audio(time, body) => (time, crate::media::flv::audio(&body)),
            Event::Video(time, body) => (time, crate::media::flv::video(&body)),
            _ => continue,
        };
        for unit in units.expect("what is taken") {
            muxer.push(unit, time, arrival).expect("what is taken");
        }
    }
    muxer.finish();
    let mut all = Vec::new();
    while let Some(piece) = muxer.ready() {
        all.push(piece);
        muxer.handed_on();
    }
    all
}

/// What becomes of these in each object.
fn objects(pieces: &[Piece]) -> BTreeMap<String, Vec<u8>> {
    let (mut split, mut objects) = (Split::default(), BTreeMap::<String, Vec<u8>>::new());
    for cut in pieces.iter().flat_map(|piece| split.take(&piece.bytes)) {
        objects.entry(cut.rendition.to_string()).or_default().extend_from_slice(&cut.bytes);
    }
    objects
}

fn part_size() -> PartSize {
    PartSize::new(PART).expect("in range")
}

fn begin(dir: &Path) -> Several {
    let lock = lock(dir).expect("a disk").expect("nobody else");
    Several::new(dir.to_owned(), lock, part_size()).expect("a disk")
}

/// A journal in a directory of its own, with these in it.
fn journal_of(pieces: &[Piece]) -> (TempDir, PathBuf, Several) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("j");
    let several = begin(&at);
    for piece in pieces {
        several.note(piece);
    }
    (dir, at, several)
}

fn apart(dir: &Path) -> Apart {
    let lock = lock(dir).expect("a disk").expect("nobody else");
    left(dir, lock, part_size()).expect("a disk").expect("something").apart()
}

fn bytes(dir: &Path, left: &Left) -> Vec<u8> {
    let spool = SpoolSettings { dir: dir.to_owned(), make_dir: false, limit: 0 };
    let file = left.kept("b", &spool).expect("a disk");
    let mut all = vec![0; usize::try_from(file.taken).expect("small")];
    let mut at = 0;
    while at < all.len() {
        at += file.read_at(&mut all[at..], at as u64).expect("bytes");
    }
    all
}

#[test]
fn killed_at_any_byte_all_renditions_go_on_together_and_none_has_more_than_was_handed_on() {
    let pieces = pieces();
    let whole = objects(&pieces);
    assert_eq!(whole.len(), 2);
    // So many pieces are handed on; and of the next some of its renditions are noted.
    for (handed_on, noted) in [(1, 0), (2, 1), (3, 0), (3, 1), (pieces.len() - 1, 1)] {
        let (dir, at, several) = journal_of(&pieces[..handed_on]);
        let cuts = several.lock().split.clone().take(&pieces[handed_on].bytes);
        for cut in &cuts[..noted] {
            assert!(several.rendition(&cut.rendition).expect("it is there").note_bytes(&cut.bytes, "", false));
        }
        drop(several);
        let Apart { renditions, behind, rest, .. } = apart(&at);
        assert!(!behind.over && behind.header.1 == 0 && behind.state == pieces[handed_on - 1].after);
        let before = objects(&pieces[..handed_on]);
        let mut journals = BTreeMap::new();
        for (name, left) in renditions {
            let left = left.expect("it is not over");
            assert!(left.is_whole() && !left.has_upload());
            assert_eq!(bytes(dir.path(), &left), before[&name], "{name} behind {handed_on} pieces");
            journals.insert(name, left.go_on().expect("a disk"));
        }
        let again = rest.go_on(&behind.split, journals);
        for piece in &pieces[handed_on..] {
            again.note(piece);
        }
        again.over();
        drop(again);
        let Apart { renditions, behind, .. } = apart(&at);
        assert!(behind.over);
        for (name, left) in renditions {
            assert_eq!(bytes(dir.path(), &left.expect("it is not over")), whole[&name], "{name}: {handed_on} {noted}");
        }
    }
}

#[test]
fn an_encoder_that_comes_back_goes_on_in_all_objects_behind_what_there_is() {
    let pieces = pieces();
    let (dir, at, several) = journal_of(&pieces);
    drop(several);
    let Apart { renditions, behind, rest, .. } = apart(&at);
    let journals =
        renditions.into_iter().map(|(name, left)| (name, left.expect("it is there").go_on().expect("a disk")));
    let again = rest.go_on(&behind.split, journals.collect());
    let more = made(Muxer::going_on(LASTS, behind.state));
    assert!(more.len() + 1 >= pieces.len() && !more.iter().any(|piece| piece.begins));
    for piece in &more {
        again.note(piece);
    }
    drop(again);
    let all = [pieces, more].concat();
    let Apart { renditions, behind, .. } = apart(&at);
    assert!(!behind.over);
    for (name, left) in renditions {
        assert_eq!(bytes(dir.path(), &left.expect("it is there")), objects(&all)[&name], "{name}");
    }
}

#[test]
fn what_one_rendition_lacks_ends_all_with_what_there_is_of_each() {
    let pieces = pieces();
    let (dir, at, several) = journal_of(&pieces);
    let names: Vec<String> = several.lock().renditions.keys().cloned().collect();
    drop(several);
    // As after a power cut.
    let path = at.join(RENDITIONS).join(&names[0]).join("0000000001");
    let file = File::options().write(true).open(&path).expect("a file");
    file.set_len(file.metadata().expect("a size").len() - 1).expect("cut");
    let Apart { mut renditions, behind, .. } = apart(&at);
    assert!(behind.over);
    let whole = objects(&pieces);
    let (cut, other) = (renditions.remove(&names[0]).flatten(), renditions.remove(&names[1]).flatten());
    let cut = bytes(dir.path(), &cut.expect("it is there"));
    assert!(cut.len() < whole[&names[0]].len() && whole[&names[0]].starts_with(&cut));
    assert_eq!(bytes(dir.path(), &other.expect("it is there")), whole[&names[1]]);
}

#[test]
fn a_rendition_that_had_ended_stays_so_and_the_others_go_on() {
    let pieces = pieces();
    let (_dir, at, several) = journal_of(&pieces[..1]);
    let names: Vec<String> = several.lock().renditions.keys().cloned().collect();
    several.rendition(&names[0]).expect("it is there").remove();
    several.note(&pieces[1]);
    let rung = several.rung("90p").expect("a disk");
    rung.called("90p-2");
    rung.listener(1).begin(&Opening {
        key: "k",
        upload_id: "u",
        readable: watch::channel(0).1,
        fresh: true,
        beside: None,
    });
    drop((several, rung));
    let Apart { renditions, rungs, behind, .. } = apart(&at);
    assert!(!behind.over && rungs.is_empty(), "nothing came of it");
    assert!(renditions[&names[0]].is_none() && renditions[&names[1]].is_some());
}

#[test]
fn each_is_taken_away_as_its_own_upload_goes_on_and_what_it_is_called_is_told() {
    let pieces = pieces();
    let (_dir, at, several) = journal_of(&pieces[..1]);
    let journal = several.lock().renditions.values().next().expect("one").clone();
    journal.called("other");
    let (stored, readable) = watch::channel(0);
    let listener = journal.listener(1);
    listener.begin(&Opening { key: "k", upload_id: "u", readable, fresh: true, beside: None });
    while journal.reached().1 < 8 * PART {
        for piece in &pieces[1..] {
            several.note(piece);
        }
        stored.send_replace(journal.reached().1 / PART * PART);
    }
    let name = several.lock().renditions.keys().next().expect("one").clone();
    let (own, of_it) = (files(&at).expect("files"), files(&at.join(RENDITIONS).join(name)).expect("files"));
    assert!(own.len() == 1 && !own[0].ends_with("0000000001"), "{own:?} has not been begun anew");
    assert!(of_it.len() <= 3 && !of_it[0].ends_with("0000000001"), "{of_it:?} has what is stored");
    drop((several, journal, listener));
    let Apart { renditions, behind, .. } = apart(&at);
    assert!(!behind.over);
    let left = renditions.into_values().flatten().find(Left::has_upload).expect("the one that has begun");
    assert_eq!((left.called(), left.upload_id(), left.key()), (Some("other"), "u", "k"));
}
