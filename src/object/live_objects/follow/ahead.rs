//! What is known of a recording ahead of the cursor, and what of it is being fetched.

use std::collections::VecDeque;
use std::future::pending;

use crate::object::live_objects::index::{Index, Place};
use crate::object::live_objects::piece::{Came, Piece};
use crate::object::reading::Reading;
use crate::protocol::live_objects::{Head, Page};
use crate::store::StoreError;

use super::Asking;
use super::given::Given;
use super::source::Source;

/// See the module.
pub(super) struct Ahead {
    chunk_size: u64,
    queue_size: usize,
    pub(super) index: Index,
    /// Up to where all will be wanted, where that is less than everything.
    pub(super) sure: Option<u64>,
    /// Objects under way, in order; the first has the cursor, or leads to it.
    pub(super) pieces: VecDeque<Piece>,
    /// A page is being looked for.
    searching: Option<Asking<Option<(u32, Page)>>>,
}

impl Ahead {
    /// Of a recording with this head.
    pub(super) fn new(reading: &Reading, head: Head) -> Self {
        let (chunk_size, queue_size) = (reading.chunk_size, reading.queue_size);
        Self { chunk_size, queue_size, index: Index::new(head), sure: None, pieces: VecDeque::new(), searching: None }
    }

    /// Fetches what is known to be there, several at a time, or looks for what comes next.
    pub(super) fn widen(&mut self, source: &Source, given: &Given) {
        let width = if self.sure.is_some_and(|sure| given.cursor() >= sure) { 1 } else { self.queue_size };
        while self.pieces.len() < width {
            let frontier = self.pieces.back().map_or(Some(given.cursor()), Piece::end);
            let Some(frontier) = frontier else { return };
            let (store, names, id) = (&source.store, &source.names, &source.id);
            let piece = match self.index.place(frontier) {
                Place::In(entry) => Piece::known(store, names, id, entry, frontier, self.chunk_size),
                Place::InPage => {
                    if self.searching.is_none() {
                        self.searching = Some(source.search(self.index.search(frontier)));
                    }
                    return;
                }
                Place::Beyond if self.pieces.is_empty() => {
                    let head = self.index.head();
                    let name = given.next_name(head.run().run, head.edge());
                    Piece::look(store, names, id, name, given.cursor(), head.part_size, self.chunk_size)
                }
                Place::Beyond => return,
            };
            self.pieces.push_back(piece);
        }
    }

    /// What comes of the first piece, or of the search for a page; for ever waited for where neither is under way.
    pub(super) async fn next(&mut self) -> Next {
        let piece = async {
            match self.pieces.front_mut() {
                Some(piece) => piece.next().await,
                None => pending().await,
            }
        };
        let page = async {
            match &mut self.searching {
                Some(searching) => searching.await,
                None => pending().await,
            }
        };
        let page = tokio::select! {
            biased;
            came = piece => return Next::Piece(came),
            page = page => page,
        };
        self.searching = None;
        Next::Page(page)
    }

    /// Whether the first piece is there, and its bytes come.
    pub(super) fn comes(&self) -> bool {
        self.pieces.front().is_some_and(|piece| piece.answered.is_some())
    }
}

/// What came.
pub(super) enum Next {
    Piece(Came),
    Page(Result<Option<(u32, Page)>, StoreError>),
}
