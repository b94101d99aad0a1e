//! Boxes as they are written: a size that is filled in when the box is closed, and big-endian numbers.

use bytes::BytesMut;

/// What is written, box inside box.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: BytesMut,
}

impl Writer {
    /// A box with these contents.
    pub(crate) fn boxed(&mut self, kind: [u8; 4], contents: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(0);
        self.raw(&kind);
        contents(self);
        let size = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.put_u32(start, size);
    }

    /// A box with a version and flags.
    pub(crate) fn full(&mut self, kind: [u8; 4], version: u8, flags: u32, contents: impl FnOnce(&mut Self)) {
        self.boxed(kind, |writer| {
            writer.u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
            contents(writer);
        });
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        self.bytes.extend(std::iter::repeat_n(0, count));
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// Numbers in a row.
    pub(crate) fn words(&mut self, words: &[u32]) {
        for word in words {
            self.u32(*word);
        }
    }

    /// Puts a number where another was.
    pub(crate) fn put_u32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }
}
