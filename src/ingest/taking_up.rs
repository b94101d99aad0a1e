//! A journal that a killed writer has left: read back, and made into what the next one goes on with.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::journal::{FIELDS, Journal, Kind, files, lock};
use crate::mux::State;
use crate::protocol::part::PartSize;
use crate::writer::kept::{self, Content, KeptFile, Label, Remainder};
use crate::writer::spool::{Spool, SpoolSettings};

/// A journal that is older than this is of another recording, as far as anybody who starts a writer now is concerned.
const OLD: Duration = Duration::from_secs(3600);
/// The longest record that makes sense.
const LONGEST: u32 = 64 << 20;

/// What was left.
#[derive(Debug)]
pub struct Left {
    dir: PathBuf,
    lock: File,
    key: String,
    upload_id: String,
    part_size: PartSize,
    number: u32,
    /// Pieces of the object, without a gap.
    pieces: Vec<Extent>,
    /// How many bytes of the object there are.
    taken: u64,
    state: State,
    /// The stream had ended, and was only not stored yet.
    over: bool,
    /// For how long nobody has written to it.
    age: Duration,
}

/// Where a piece is.
#[derive(Debug)]
struct Extent {
    file: usize,
    at: u64,
    offset: u64,
    len: u64,
}

/// What there is to begin with.
#[derive(Debug)]
pub enum Beginning {
    /// A recording of its own, with a journal to be written.
    Fresh(Option<Journal>),
    /// What a writer has left.
    Left(Box<Left>),
}

/// Looks at the journal in `dir`, and takes it for this program. What begins has parts of the size that is `asked` for; `any_age`
/// where an old one is to be gone on with.
///
/// # Errors
/// When the disk refuses it; nothing is lost by going on without.
pub fn look(dir: &Path, asked: PartSize, any_age: bool) -> io::Result<Beginning> {
    let Some(lock) = lock(dir)? else {
        tracing::warn!("another writer of the same object writes {}: this one keeps no journal", dir.display());
        return Ok(Beginning::Fresh(None));
    };
    // Kept here, too, so that nobody else takes it meanwhile.
    let again = lock.try_clone()?;
    let Some(left) = left(dir, lock)? else { return fresh(dir, again, asked) };
    if left.age <= OLD || any_age {
        return Ok(Beginning::Left(Box::new(left)));
    }
    let (minutes, dir) = (left.age.as_secs() / 60, dir.display());
    tracing::warn!(
        "{dir} was left by a writer that was killed {minutes} minutes ago: too long to go on with it by itself"
    );
    left.give_up(asked).map(|journal| Beginning::Fresh(Some(journal)))
}

/// What is in the journal in `dir`, which this program has locked; none where that is nothing to go on with.
pub(super) fn left(dir: &Path, lock: File) -> io::Result<Option<Left>> {
    let paths = files(dir)?;
    let written = paths.last().and_then(|path| fs::metadata(path).ok()?.modified().ok());
    let age = written.map_or(Duration::ZERO, |at| SystemTime::now().duration_since(at).unwrap_or_default());
    let Some(Found { pieces, taken, number, upload: Some((key, upload_id, part_size)), state, over }) = read(&paths)?
    else {
        return Ok(None);
    };
    Ok(Some(Left { dir: dir.to_owned(), lock, key, upload_id, part_size, number, pieces, taken, state, over, age }))
}

fn fresh(dir: &Path, lock: File, part_size: PartSize) -> io::Result<Beginning> {
    Ok(Beginning::Fresh(Some(Journal::new(dir.to_owned(), lock, part_size, (1, 0))?)))
}

impl Left {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The upload.
    #[must_use]
    pub fn upload_id(&self) -> &str {
        &self.upload_id
    }

    /// The size of its parts.
    #[must_use]
    pub fn part_size(&self) -> PartSize {
        self.part_size
    }

    /// Which of the recording's objects it is.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Where the time line is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether the stream had ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// All of it that is whole parts from some part on, and what there is of the last, as a file of what was not stored.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn kept(&self, bucket: &str, spool: &SpoolSettings) -> io::Result<KeptFile> {
        let files: Vec<File> = files(&self.dir)?.iter().map(File::open).collect::<io::Result<_>>()?;
        let (part_size, size) = (self.part_size, self.part_size.get());
        let first = self.pieces.first().map_or(self.taken, |piece| piece.offset);
        let spool = Spool::new(spool, size, 0);
        let (mut parts, mut start) = (Vec::new(), first.next_multiple_of(size));
        while start < self.taken {
            let end = self.taken.min(start + size);
            let body = self.stretch(&files, start, end)?;
            let number = part_size.part_at(start).ok_or_else(|| io::Error::other("it has too many parts"))?;
            parts.push((number, Content::Disk(std::sync::Arc::new(spool.put_at_last(&body)?))));
            start = end;
        }
        let label =
            Label { bucket: bucket.to_owned(), key: self.key.clone(), upload_id: self.upload_id.clone(), part_size };
        let written = kept::write(&label, &Remainder { parts, taken: self.taken }, &spool)?;
        let opened = KeptFile::open(&written.path).map_err(io::Error::other);
        // It is needed as long as it is open; the journal outlasts it.
        fs::remove_file(&written.path)?;
        opened
    }

    fn stretch(&self, files: &[File], start: u64, end: u64) -> io::Result<Bytes> {
        let mut body = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        for piece in self.pieces.iter().filter(|piece| piece.offset < end && piece.offset + piece.len > start) {
            let (from, to) = (piece.offset.max(start), (piece.offset + piece.len).min(end));
            let place = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
            let room = body.get_mut(place(from)..place(to)).unwrap_or_default();
            let file = files.get(piece.file).ok_or(io::ErrorKind::NotFound)?;
            file.read_exact_at(room, piece.at + (from - piece.offset))?;
        }
        Ok(body.into())
    }

    /// Goes on with the journal.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn go_on(self) -> io::Result<Journal> {
        Journal::new(self.dir, self.lock, self.part_size, (self.number, self.taken))
    }

    /// Begins one in its place, of an upload with parts of this size: what it was of is gone.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn give_up(self, part_size: PartSize) -> io::Result<Journal> {
        Journal::new(self.dir, self.lock, part_size, (1, 0))
    }

    /// Takes it away: what it was of is gone.
    pub fn remove(self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!("{} stays: {error}", self.dir.display());
        }
    }

    /// After a long time nobody comes back: what there is is all of it.
    pub(super) fn over_if_old(mut self) -> Self {
        self.over |= self.age > OLD;
        self
    }
}

#[derive(Debug, Default)]
struct Found {
    pieces: Vec<Extent>,
    taken: u64,
    number: u32,
    upload: Option<(String, String, PartSize)>,
    state: State,
    over: bool,
}

/// Reads all records up to the first that is not whole; none if there is no piece.
fn read(paths: &[PathBuf]) -> io::Result<Option<Found>> {
    let (mut found, mut uploads) = (Found::default(), Vec::new());
    for (file, path) in paths.iter().enumerate() {
        let (mut reader, mut at) = (BufReader::with_capacity(1 << 20, File::open(path)?), 0);
        while let Some(record) = next(&mut reader, at)? {
            at = record.end;
            match record.kind {
                kind if kind == Kind::Piece as u8 => {
                    let Some(state) = State::read(&record.state) else { break };
                    let follows = record.number == found.number && record.offset == found.taken;
                    if !follows {
                        // Another object, or the first piece that has not been taken away.
                        found.pieces.clear();
                    }
                    found.pieces.push(Extent { file, at: record.bytes_at, offset: record.offset, len: record.len });
                    (found.number, found.taken, found.state) = (record.number, record.offset + record.len, state);
                    found.over = false;
                }
                kind if kind == Kind::Upload as u8 => {
                    let value: Value = serde_json::from_slice(&record.state).unwrap_or_default();
                    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
                    let size = value.get("part_size").and_then(Value::as_u64).and_then(|size| PartSize::new(size).ok());
                    let upload = text("key").zip(text("upload_id")).zip(size);
                    uploads.extend(upload.map(|((key, id), size)| (record.number, (key, id, size))));
                }
                kind if kind == Kind::Over as u8 => found.over = true,
                _ => break,
            }
        }
    }
    found.upload = uploads.into_iter().rfind(|(number, _)| *number == found.number).map(|(_, upload)| upload);
    Ok(Some(found).filter(|found| !found.pieces.is_empty()))
}

/// A record that was read.
struct Whole {
    kind: u8,
    number: u32,
    offset: u64,
    state: Vec<u8>,
    /// Where its bytes are in the file, and how many.
    bytes_at: u64,
    len: u64,
    /// Where the next begins.
    end: u64,
}

/// The record at `at`; none where there is no whole one.
fn next(reader: &mut BufReader<File>, at: u64) -> io::Result<Option<Whole>> {
    let mut fields = [0; 4 + FIELDS];
    if !fill(reader, &mut fields)? {
        return Ok(None);
    }
    let number = |from: usize| {
        fields.get(from..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_be_bytes(*four))
    };
    let (length, of_object, state_len) = (number(0), number(5), number(17));
    let offset = fields.get(9..).and_then(|rest| rest.first_chunk()).map_or(0, |eight| u64::from_be_bytes(*eight));
    let head = u32::try_from(FIELDS).unwrap_or(0) + state_len.min(LONGEST);
    let Some(len) = length.checked_sub(head).filter(|_| length <= LONGEST) else { return Ok(None) };
    let mut state = vec![0; usize::try_from(state_len).unwrap_or(0)];
    if !fill(reader, &mut state)? {
        return Ok(None);
    }
    reader.seek_relative(i64::from(len))?;
    let mut last = [0; 4];
    if !fill(reader, &mut last)? || u32::from_be_bytes(last) != length {
        return Ok(None);
    }
    let bytes_at = at + 4 + u64::from(head);
    let (len, end) = (u64::from(len), at + 8 + u64::from(length));
    Ok(Some(Whole { kind: fields[4], number: of_object, offset, state, bytes_at, len, end }))
}

/// Reads all of `room`; false at the end.
fn fill(reader: &mut impl Read, room: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::mux::Piece;
    use crate::object::tap::{End, Opening, Tap};

    const PART: u64 = 5_000_000;

    fn part_size() -> PartSize {
        PartSize::new(PART).expect("in range")
    }

    fn piece(number: u8, len: usize) -> Piece {
        Piece { bytes: vec![number; len].into(), begins: number == 0, after: State::default() }
    }

    fn opening(upload_id: &str, readable: watch::Receiver<u64>) -> Opening<'_> {
        Opening { key: "k", upload_id, readable, fresh: true, beside: None }
    }

    fn begin(dir: &Path) -> Journal {
        match look(dir, part_size(), false).expect("a disk") {
            Beginning::Fresh(Some(journal)) => journal,
            other => panic!("{other:?}"),
        }
    }

    fn left(dir: &Path) -> Box<Left> {
        match look(dir, part_size(), false).expect("a disk") {
            Beginning::Left(left) => left,
            other @ Beginning::Fresh(_) => panic!("{other:?}"),
        }
    }

    fn kept(dir: &Path, left: &Left) -> KeptFile {
        left.kept("b", &SpoolSettings { dir: dir.to_owned(), make_dir: false, limit: 0 }).expect("a disk")
    }

    #[test]
    fn what_was_noted_is_there_again_up_to_the_last_whole_piece_and_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("j");
        let journal = begin(&at);
        // Somebody else writes here now.
        assert!(matches!(look(&at, part_size(), false), Ok(Beginning::Fresh(None))));
        let (_stored, readable) = watch::channel(0);
        journal.note(&piece(0, 700), false);
        journal.listener(1).begin(&opening("u1", readable));
        journal.note(&piece(1, 6_000_000), false);
        journal.note(&piece(2, 1000), false);
        drop(journal);
        // Killed in the middle of the last record.
        let file = File::options().write(true).open(at.join("0000000001")).expect("a file");
        file.set_len(file.metadata().expect("a size").len() - 500).expect("cut");
        let found = left(&at);
        assert_eq!((found.key(), found.upload_id(), found.number(), found.taken), ("k", "u1", 1, 6_000_700));
        assert!(!found.is_over());
        let file = kept(dir.path(), &found);
        assert_eq!((file.taken, file.is_whole()), (6_000_700, true));
        let mut room = [9; 1400];
        file.read_at(&mut room, 0).expect("bytes");
        assert_eq!((room[0], room[699], room[700], room[1399]), (0, 0, 1, 1));
        // Going on it is there a second time, with what came then.
        let journal = found.go_on().expect("a disk");
        let (_stored, readable) = watch::channel(0);
        journal.listener(1).begin(&opening("u1", readable));
        journal.note(&piece(3, 50), false);
        journal.over();
        drop(journal);
        let found = left(&at);
        assert_eq!((found.taken, found.is_over()), (6_000_750, true));
        found.give_up(part_size()).expect("a disk").remove();
        assert!(!at.exists());
    }

    #[test]
    fn what_is_stored_is_taken_away_and_the_rest_is_enough() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("j");
        let journal = begin(&at);
        let (stored, readable) = watch::channel(0);
        let listener = journal.listener(1);
        listener.begin(&opening("u1", readable));
        let mut taken = 0u64;
        for number in 0..20 {
            journal.note(&piece(number, 3_000_000), false);
            taken += 3_000_000;
            // A part and a half are always on their way.
            stored.send_replace(taken.saturating_sub(PART * 3 / 2));
        }
        assert!(files(&at).expect("files").len() <= 4);
        // Another object begins; the one before is complete.
        journal.note(&piece(0, 100), true);
        let (_second, readable) = watch::channel(0);
        listener.begin(&opening("u2", readable));
        listener.ended("u1", End::Completed { bytes: 1 });
        drop((journal, listener));
        let found = left(&at);
        assert_eq!((found.upload_id(), found.number(), found.taken), ("u2", 2, 100));
        assert_eq!(kept(dir.path(), &found).taken, 100);
    }

    #[test]
    fn of_what_is_stored_in_whole_parts_nothing_is_needed() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("j");
        let journal = begin(&at);
        let (stored, readable) = watch::channel(0);
        journal.listener(1).begin(&opening("u1", readable));
        for number in 0..20 {
            journal.note(&piece(number, 3_000_000), false);
            stored.send_replace(u64::from(number) * 3_000_000 / PART * PART);
        }
        drop(journal);
        let found = left(&at);
        let file = kept(dir.path(), &found);
        let numbers: Vec<_> = file.parts().map(|(number, _)| number.get()).collect();
        assert_eq!((file.taken, numbers.last()), (60_000_000, Some(&12)));
        // Whatever readers have, part 12 at least is not whole in the store.
        assert!(numbers.len() >= 2 && numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{numbers:?}");
    }

    #[test]
    fn objects_that_the_stream_does_not_know_of_end_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("j");
        let journal = begin(&at);
        journal.note(&piece(0, 10), false);
        let listener = journal.listener(1);
        for id in ["u1", "u2"] {
            listener.begin(&opening(id, watch::channel(0).1));
        }
        journal.note(&piece(1, 10), false);
        assert!(!at.exists());
    }
}
