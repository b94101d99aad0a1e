//! A journal that a killed writer has left: read back, and made into what the next one goes on with.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::journal::{Journal, Kind, files, lock};
use super::records::next;
use crate::mux::State;
use crate::protocol::part::PartSize;
use crate::writer::kept::{self, Content, KeptFile, Label, Remainder};
use crate::writer::spool::{Spool, SpoolSettings};

/// A journal that is older than this is of another recording, as far as anybody who starts a writer now is concerned.
pub(super) const OLD: Duration = Duration::from_secs(3600);

/// What was left.
#[derive(Debug)]
pub struct Left {
    dir: PathBuf,
    lock: File,
    /// Its upload, once that has begun.
    upload: Option<Known>,
    part_size: PartSize,
    number: u32,
    /// Pieces of the object, without a gap.
    pieces: Vec<Extent>,
    /// How many bytes of the object there are.
    taken: u64,
    state: Vec<u8>,
    /// What was noted and handed to nobody: where that begins.
    surplus: Option<(PathBuf, u64)>,
    /// The stream had ended, and was only not stored yet.
    over: bool,
    /// For how long nobody has written to it.
    age: Duration,
}

/// An upload that pieces go into.
#[derive(Debug)]
struct Known {
    key: String,
    id: String,
    part_size: PartSize,
    /// What the rendition is called, where there are several.
    called: Option<String>,
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
    if any_age || !is_too_old(dir, left.age) {
        return Ok(Beginning::Left(Box::new(left)));
    }
    left.give_up(asked).map(|journal| Beginning::Fresh(Some(journal)))
}

/// What is in the journal in `dir`, which this program has locked; none where that is nothing to go on with.
pub(super) fn left(dir: &Path, lock: File) -> io::Result<Option<Left>> {
    let whole = Whole { to: None, is_state: |state| State::read(state).is_some() };
    Ok(left_of(dir, lock, PartSize::DEFAULT, &whole)?.filter(Left::has_upload))
}

/// What is in the journal in `dir`, as far as it counts; none where no piece is. What begins has parts of the size that is
/// `asked` for.
pub(super) fn left_of(dir: &Path, lock: File, asked: PartSize, whole: &Whole) -> io::Result<Option<Left>> {
    let paths = files(dir)?;
    let Some(Found { pieces, taken, number, upload, state, surplus, over }) = read(&paths, whole)? else {
        return Ok(None);
    };
    let part_size = upload.as_ref().map_or(asked, |upload| upload.part_size);
    let (dir, age) = (dir.to_owned(), age(&paths));
    Ok(Some(Left { dir, lock, upload, part_size, number, pieces, taken, state, surplus, over, age }))
}

/// For how long nobody has written to the newest of these files.
pub(super) fn age(files: &[PathBuf]) -> Duration {
    let written = files.last().and_then(|path| fs::metadata(path).ok()?.modified().ok());
    written.map_or(Duration::ZERO, |at| SystemTime::now().duration_since(at).unwrap_or_default())
}

/// Whether a journal is too old to be gone on with by itself, which is told.
pub(super) fn is_too_old(dir: &Path, age: Duration) -> bool {
    if age > OLD {
        let (minutes, dir) = (age.as_secs() / 60, dir.display());
        tracing::warn!(
            "{dir} was left by a writer that was killed {minutes} minutes ago: too long to go on with it by itself"
        );
    }
    age > OLD
}

/// What of a journal counts.
pub(super) struct Whole {
    /// Up to which object, and where in it; all where that is not known.
    pub(super) to: Option<(u32, u64)>,
    /// Whether this is where whoever made a piece is behind it.
    pub(super) is_state: fn(&[u8]) -> bool,
}

fn fresh(dir: &Path, lock: File, part_size: PartSize) -> io::Result<Beginning> {
    Ok(Beginning::Fresh(Some(Journal::new(dir.to_owned(), lock, part_size, (1, 0))?)))
}

impl Left {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        self.upload.as_ref().map_or("", |upload| &upload.key)
    }

    /// The upload.
    #[must_use]
    pub fn upload_id(&self) -> &str {
        self.upload.as_ref().map_or("", |upload| &upload.id)
    }

    /// Whether the upload had begun.
    #[must_use]
    pub fn has_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// Whether all of the recording is here, from the first byte on.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.number == 1 && self.pieces.first().is_some_and(|piece| piece.offset == 0)
    }

    /// What the rendition is called that it is of, where there are several.
    #[must_use]
    pub fn called(&self) -> Option<&str> {
        self.upload.as_ref()?.called.as_deref()
    }

    /// How many bytes of the object there are, and which it is.
    pub(super) fn reached(&self) -> (u32, u64) {
        (self.number, self.taken)
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
    pub fn state(&self) -> State {
        State::read(&self.state).unwrap_or_default()
    }

    /// Where whoever made it was, as text.
    pub(super) fn text(&self) -> &[u8] {
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
        let (key, upload_id) = (self.key().to_owned(), self.upload_id().to_owned());
        let label = Label { bucket: bucket.to_owned(), key, upload_id, part_size };
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
        if let Some((path, at)) = &self.surplus {
            // What comes now would be taken for what follows on it.
            File::options().write(true).open(path)?.set_len(*at)?;
        }
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
    upload: Option<Known>,
    state: Vec<u8>,
    surplus: Option<(PathBuf, u64)>,
    over: bool,
}

/// Reads all records up to the first that is not whole, without pieces that do not count; none if there is no piece.
fn read(paths: &[PathBuf], whole: &Whole) -> io::Result<Option<Found>> {
    let (mut found, mut uploads) = (Found::default(), Vec::new());
    for (file, path) in paths.iter().enumerate() {
        let (mut reader, mut at) = (BufReader::with_capacity(1 << 20, File::open(path)?), 0);
        while let Some(record) = next(&mut reader, at)? {
            let begins = std::mem::replace(&mut at, record.end);
            match record.kind {
                kind if kind == Kind::Piece as u8 => {
                    if whole.to.is_some_and(|to| (record.number, record.offset + record.len) > to) {
                        found.surplus.get_or_insert((path.clone(), begins));
                        continue;
                    }
                    if !(whole.is_state)(&record.state) {
                        break;
                    }
                    let follows = record.number == found.number && record.offset == found.taken;
                    if !follows {
                        // Another object, or the first piece that has not been taken away.
                        found.pieces.clear();
                    }
                    found.pieces.push(Extent { file, at: record.bytes_at, offset: record.offset, len: record.len });
                    (found.number, found.taken, found.state) =
                        (record.number, record.offset + record.len, record.state);
                    found.over = false;
                }
                kind if kind == Kind::Upload as u8 => {
                    let value: Value = serde_json::from_slice(&record.state).unwrap_or_default();
                    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
                    let size = value.get("part_size").and_then(Value::as_u64).and_then(|size| PartSize::new(size).ok());
                    let upload = text("key").zip(text("upload_id")).zip(size);
                    let called = text("rendition");
                    let known = upload.map(|((key, id), part_size)| Known { key, id, part_size, called });
                    uploads.extend(known.map(|known| (record.number, known)));
                }
                kind if kind == Kind::Over as u8 => found.over = true,
                _ => break,
            }
        }
    }
    found.upload = uploads.into_iter().rfind(|(number, _)| *number == found.number).map(|(_, upload)| upload);
    Ok(Some(found).filter(|found| !found.pieces.is_empty()))
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::ingest::journal::Record;
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
    fn a_journal_of_a_writer_that_knew_of_no_renditions_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("j");
        drop(begin(&at));
        let upload = format!(r#"{{"key":"k","upload_id":"u1","part_size":{PART}}}"#);
        let (state, bytes) = (State::default().write(), vec![7; 900]);
        let record = |kind, state: &str, bytes: &[u8]| {
            Record { kind, number: 1, offset: 0, state: state.as_bytes(), bytes }.encode()
        };
        let all = [record(Kind::Upload, &upload, &[]), record(Kind::Piece, &state, &bytes)].concat();
        fs::write(at.join("0000000001"), all).expect("a disk");
        let found = left(&at);
        assert_eq!((found.key(), found.upload_id(), found.taken, found.called()), ("k", "u1", 900, None));
        assert_eq!(kept(dir.path(), &found).taken, 900);
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
