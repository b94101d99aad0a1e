//! The input of an upload that has live objects (`--resume`): where they end, the input goes on.
//!
//! ```text
//! parts         |-------- 1 --------|-------- 2 --------|
//! live objects  |---|---|---|---|---|---|---|---|---|---|---|---|
//! a stream                                              [again  ] goes on here: what is in no part is had out of them
//! ```
//!
//! Readers have seen all that is in live objects, so a stream goes on behind that, and loses no more than was in none. A file
//! has everything: parts that reach beyond its live objects are sent again, so that these are made, too.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Ongoing;
use crate::object::live_objects::Recording;
use crate::object::live_objects::ranges::Looks;
use crate::store::{Kind, Patient, StoreError};
use crate::writer::live_objects::{Again, Recorder};
use crate::writer::source::{Pieces, Source};

/// How much is had at once.
const PIECE: u64 = 1 << 20;

/// Goes on with the live objects of what is `held`, if it has some, and gives the input that goes with that.
pub async fn with_live_objects(live: &Recorder, held: &mut Ongoing, source: Source) -> Source {
    let (upload, part_size) = (held.upload.clone(), held.upload.part_size());
    let input = match (source.kept(), source.can_be_read_again()) {
        (Some(_), _) => Again::Kept,
        (None, true) => Again::File,
        (None, false) => Again::Stream,
    };
    let in_parts = held.ledger.readable(part_size);
    let Some(recording) = live.go_on(&upload, in_parts, input).await else { return source };
    let edge = recording.head.edge();
    match input {
        Again::Kept => source,
        Again::File => {
            held.ledger.keep_up_to(edge, part_size);
            source
        }
        Again::Stream => {
            // The short part is in live objects, too.
            let from = in_parts - held.tail.take().map_or(0, |tail| tail.part.size);
            held.ledger.keep_up_to(from, part_size);
            held.readable = Some(edge);
            if edge == from { source } else { source.after(again(upload.store(), upload.key(), recording, from)) }
        }
    }
}

/// Reads what lies in live objects from byte `from` on, a little ahead.
fn again(store: &Patient, key: &str, recording: Recording, mut from: u64) -> Pieces {
    let (store, key, edge) = (store.clone(), key.to_owned(), recording.head.edge());
    let (send, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut looks = Looks::new(&store, &key, recording);
        while from < edge {
            let piece = match looks.read(from, edge.min(from + PIECE)).await {
                Ok(Some(piece)) if !piece.is_empty() => Ok(Bytes::from(piece)),
                Ok(_) => {
                    let cause = format!("bytes {from} to {edge} are not in its live objects any more");
                    Err(StoreError::local("reading what was taken before", store.object(&key), Kind::Refused, cause))
                }
                Err(error) => Err(error),
            };
            from += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let over = piece.is_err();
            if send.send(piece).await.is_err() || over {
                return;
            }
        }
    });
    pieces
}
