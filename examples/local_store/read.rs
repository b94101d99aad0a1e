//! Bytes from part files to a response body: large blocks, and the next one is read while the last is on its way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::disk::PartFile;

/// Large enough that the cost of a system call and of a change of threads does not show.
const BLOCK: u64 = 512 * 1024;

/// A stretch of a part.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The part; it stays on the disk for as long as this does.
    pub file: Arc<PartFile>,
    /// First byte in the part.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

struct Blocks {
    segments: VecDeque<Segment>,
    open: Option<(File, u64, Segment)>,
}

impl Blocks {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some((mut file, left, segment)) = self.open.take() {
                let want = left.min(BLOCK);
                let mut block = Vec::with_capacity(usize::try_from(want).unwrap_or(0));
                file.by_ref().take(want).read_to_end(&mut block)?;
                if (block.len() as u64) < want {
                    let message = format!("{} is shorter than it was", segment.file.path().display());
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
                if left > want {
                    self.open = Some((file, left - want, segment));
                }
                return Ok(Some(block.into()));
            }
            let Some(segment) = self.segments.pop_front() else {
                return Ok(None);
            };
            if segment.len > 0 {
                let mut file = File::open(segment.file.path())?;
                if segment.offset > 0 {
                    file.seek(SeekFrom::Start(segment.offset))?;
                }
                self.open = Some((file, segment.len, segment));
            }
        }
    }

    fn spawn(mut self) -> Pending {
        spawn_blocking(move || {
            let block = self.next();
            (self, block)
        })
    }
}

type Pending = JoinHandle<(Blocks, io::Result<Option<Bytes>>)>;

/// The bytes of the segments, one after the other.
pub fn stream(segments: Vec<Segment>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let first = Blocks { segments: segments.into(), open: None }.spawn();
    unfold(Some(first), |pending| async {
        let (blocks, block) = match pending?.await {
            Ok(done) => done,
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        match block {
            Ok(Some(block)) => {
                let more = blocks.open.is_some() || !blocks.segments.is_empty();
                Some((Ok(block), more.then(|| blocks.spawn())))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!("reading a part: {error}");
                Some((Err(error), None))
            }
        }
    })
}
