//! Records of a journal, read back one by one.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::journal::FIELDS;

/// The longest record that makes sense.
const LONGEST: u32 = 64 << 20;

/// A record that was read.
pub(super) struct Noted {
    pub(super) kind: u8,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) state: Vec<u8>,
    /// Where its bytes are in the file, and how many.
    pub(super) bytes_at: u64,
    pub(super) len: u64,
    /// Where the next begins.
    pub(super) end: u64,
}

impl Noted {
    /// Its bytes, out of the file that it is in.
    pub(super) fn bytes(&self, path: &Path) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(usize::MAX)];
        File::open(path)?.read_exact_at(&mut bytes, self.bytes_at)?;
        Ok(bytes.into())
    }
}

/// The record at `at`; none where there is no whole one.
pub(super) fn next(reader: &mut BufReader<File>, at: u64) -> io::Result<Option<Noted>> {
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
    Ok(Some(Noted { kind: fields[4], number: of_object, offset, state, bytes_at, len, end }))
}

/// Reads all of `room`; false at the end.
fn fill(reader: &mut impl Read, room: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
