//! What an earlier writer took and could not store, and after it what goes on.

use std::io;

use super::{Source, SourceError};
use crate::writer::kept::KeptFile;

/// A file that was kept, and what comes after it.
#[derive(Debug)]
pub struct Kept {
    file: KeptFile,
    /// Offset in the object of the next byte to give.
    at: u64,
    /// For an object of its own: gaps are left out.
    close_gaps: bool,
    then: Box<Source>,
}

impl Kept {
    pub(super) fn new(file: KeptFile, close_gaps: bool, then: Source) -> Self {
        Self { file, at: 0, close_gaps, then: Box::new(then) }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        if self.close_gaps {
            self.at = self.file.next_from(self.at).unwrap_or(self.file.taken);
        }
        let (file, at) = (&self.file, self.at);
        let read = tokio::task::block_in_place(|| match file.read_at(room, at) {
            // The end of it would be taken for the end of the input.
            Ok(0) if at < file.taken => Err(io::Error::other(format!("the bytes from {at} on are not in it"))),
            read => read,
        });
        let count = read.map_err(|cause| SourceError::Read { input: file.path.display().to_string(), cause })?;
        self.at += count as u64;
        if count > 0 {
            return Ok(count);
        }
        Box::pin(self.then.read(room)).await
    }

    pub(super) fn go_on_at(&mut self, offset: u64) {
        if !self.close_gaps {
            self.at = self.file.goes_on_at(offset);
        }
    }

    pub(super) fn file(&self) -> &KeptFile {
        &self.file
    }

    pub(super) fn then(&self) -> &Source {
        &self.then
    }

    pub(super) fn then_mut(&mut self) -> &mut Source {
        &mut self.then
    }
}
