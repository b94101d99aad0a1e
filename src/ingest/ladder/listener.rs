//! Hears an input that is copied as it is, and gives its ladder what that can be made of. The copy waits for none of it, and
//! whatever the input is, it is nothing to the copy.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::tee::Tee;
use crate::mux::Arrival;
use crate::mux::foreign::{Foreign, ForeignError};

/// See the [module](self). The ladder ends with it.
#[derive(Debug)]
pub struct Listener {
    tee: Arc<Tee>,
    /// None once nothing more can be made of it.
    foreign: Option<Foreign>,
    began: Instant,
    /// Something has come.
    heard: bool,
    /// How many pieces were made of it.
    pieces: u64,
}

impl Listener {
    pub(super) fn new(tee: Arc<Tee>) -> Self {
        Self { tee, foreign: Some(Foreign::default()), began: Instant::now(), heard: false, pieces: 0 }
    }

    /// Hears what was taken, or that nothing more comes.
    pub fn hear(&mut self, bytes: Option<&[u8]>) {
        let Some(foreign) = &mut self.foreign else { return };
        let Some(bytes) = bytes else {
            // Of what is nothing at all something else is said.
            if self.heard && !foreign.has_begun() {
                self.over(ForeignError::NotFragmented);
            }
            return self.tee.end();
        };
        self.heard = true;
        foreign.feed(bytes);
        loop {
            let now = Arrival { elapsed: self.began.elapsed(), at: SystemTime::now() };
            match foreign.piece(now) {
                Ok(Some(piece)) => {
                    self.pieces += 1;
                    self.tee.put(&piece);
                }
                Ok(None) => return,
                Err(why) => return self.over(why),
            }
        }
    }

    fn over(&mut self, why: ForeignError) {
        self.foreign = None;
        // Of a header alone nothing can be made.
        let from = if self.pieces > 1 { "from here on this input" } else { "this input" };
        tracing::warn!(event = "no_ladder", "{from} has no ladder, only its source, which is all there: {why}");
        if self.pieces <= 1 {
            self.tee.detach();
        }
        self.tee.end();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tee.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_stream_ends_the_ladder_and_nothing_else() {
        for (input, ends) in [(&b"G@\0\x10\0\0\xb0\r"[..], true), (b"\0\0\0\x10ftyp", false), (b"", false)] {
            let tee = Arc::<Tee>::default();
            let mut listener = Listener::new(tee.clone());
            if !input.is_empty() {
                listener.hear(Some(input));
            }
            assert_eq!(listener.foreign.is_none(), ends, "{input:?}");
            listener.hear(Some(&[0; 100]));
            listener.hear(None);
            listener.hear(None);
            assert!(tee.work(None).await.is_none(), "{input:?}");
        }
    }
}
