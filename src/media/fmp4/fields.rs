//! Boxes and big-endian numbers in bytes that are all there. No read can go past the end, and no count in the bytes
//! costs anything by itself.

use super::boxes::FourCc;

/// A big-endian `u8` at `at`.
pub(super) fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// A big-endian `u16` at `at`.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A big-endian `u32` at `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A big-endian `u64` at `at`.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// One box in a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inner<'a> {
    pub(super) kind: FourCc,
    /// Where its contents begin, in bytes from the start of the slice.
    pub(super) at: usize,
    /// Its contents.
    pub(super) body: &'a [u8],
}

/// The boxes in a slice, one after another; ends early where one does not fit.
#[derive(Debug, Clone)]
pub(super) struct Boxes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Boxes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether the boxes fill the slice up to a remainder that is too short for another.
    pub(super) fn fit(mut self) -> bool {
        while self.next().is_some() {}
        self.bytes.len().saturating_sub(self.at) < 8
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Inner<'a>;

    fn next(&mut self) -> Option<Inner<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let kind = FourCc(*rest.get(4..)?.first_chunk()?);
        let (header, size) = match word(rest, 0)? {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(long(rest, 8)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        // A box is at least as long as its header, so each step makes some way.
        let body = rest.get(header..size)?;
        let at = self.at.checked_add(header)?;
        self.at = self.at.checked_add(size)?;
        Some(Inner { kind, at, body })
    }
}

/// The contents of the first box of this kind.
pub(super) fn find(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    Boxes::new(bytes).find(|inner| inner.kind.0 == kind).map(|inner| inner.body)
}
