//! What a follower of live objects has given: up to where, of which run, and the newest bytes of it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::object::live_objects::piece::Piece;

/// What is kept of the newest bytes, to be compared with KEY.
const KEPT: usize = 4 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The next byte that is wanted.
    cursor: u64,
    /// The run of the newest byte.
    run: Option<u32>,
    /// A run, and the offset at which one of its objects begins, or will.
    chain: Option<(u32, u64)>,
    newest: VecDeque<u8>,
}

impl Given {
    /// Begins at a byte instead of the first; what was read before is of this run.
    pub(super) fn go_on_at(&mut self, cursor: u64, run: u32) {
        self.cursor = cursor;
        self.run = (cursor > 0).then_some(run);
    }

    /// The next byte that is wanted.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The run of the newest byte.
    pub(super) fn run(&self) -> Option<u32> {
        self.run
    }

    /// The run and the offset that the name of the next object of this run has; `edge` is up to where objects are known of.
    pub(super) fn next_name(&self, run: u32, edge: u64) -> (u32, u64) {
        let chain = self.chain.filter(|(of, offset)| *of == run && *offset <= self.cursor);
        chain.unwrap_or((run, edge.min(self.cursor)))
    }

    /// These bytes of this piece are given.
    pub(super) fn take(&mut self, piece: Option<&Piece>, bytes: &[u8]) {
        if let Some(piece) = piece {
            (self.run, self.chain) = (Some(piece.run), Some((piece.run, piece.offset)));
        }
        self.cursor += bytes.len() as u64;
        let bytes = bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default();
        let surplus = (self.newest.len() + bytes.len()).saturating_sub(KEPT);
        self.newest.drain(..surplus);
        self.newest.extend(bytes);
    }

    /// This piece was given to its end.
    pub(super) fn whole(&mut self, piece: &Piece) {
        self.chain = piece.end().map(|end| (piece.run, end));
    }

    /// The newest bytes.
    pub(super) fn take_newest(&mut self) -> Bytes {
        Bytes::from(Vec::from(std::mem::take(&mut self.newest)))
    }
}
