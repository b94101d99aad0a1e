//! Bytes of the object that an earlier writer took of a stream, had out of the store again, and after them what goes on.

use std::io;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::{Source, SourceError};
use crate::store::StoreError;

/// What is had again, piece by piece, from the byte on that is wanted first.
pub type Pieces = mpsc::Receiver<Result<Bytes, StoreError>>;

/// See the module.
#[derive(Debug)]
pub struct Again {
    pieces: Pieces,
    /// What came of them and is not given yet.
    piece: Bytes,
    then: Box<Source>,
}

impl Again {
    pub(super) fn new(pieces: Pieces, then: Source) -> Self {
        Self { pieces, piece: Bytes::new(), then: Box::new(then) }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        while self.piece.is_empty() {
            self.piece = match self.pieces.recv().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    let input = "what an earlier run has taken".to_owned();
                    return Err(SourceError::Read { input, cause: io::Error::other(error.to_string()) });
                }
                None => return Box::pin(self.then.read(room)).await,
            };
        }
        let count = room.len().min(self.piece.len());
        if let Some(room) = room.get_mut(..count) {
            self.piece.copy_to_slice(room);
        }
        Ok(count)
    }

    pub(super) fn then(&self) -> &Source {
        &self.then
    }

    pub(super) fn then_mut(&mut self) -> &mut Source {
        &mut self.then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_had_again_comes_first_and_its_failure_is_no_end() {
        let stop = || tokio::sync::watch::channel(false).1;
        let nothing = || Source::nothing(stop()).expect("it opens");
        let (send, pieces) = mpsc::channel(2);
        let mut source = nothing().after(pieces);
        for piece in [&b"ab"[..], b"c"] {
            send.send(Ok(Bytes::from_static(piece))).await.expect("room");
        }
        drop(send);
        let (mut room, mut read) = ([0; 1], Vec::new());
        while source.read(&mut room).await.expect("it reads") == 1 {
            read.push(room[0]);
        }
        assert_eq!(read, b"abc");
        let (send, pieces) = mpsc::channel(1);
        let mut source = nothing().after(pieces);
        let gone = StoreError::local("reading", "s3://b/k".to_owned(), crate::store::Kind::NoKey, "gone");
        send.send(Err(gone)).await.expect("room");
        drop(send);
        assert!(source.read(&mut room).await.is_err());
    }
}
