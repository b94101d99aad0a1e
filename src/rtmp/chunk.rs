//! Messages out of chunks (5.3), whatever order encoders put them in, and into chunks.

use bytes::{Buf, Bytes, BytesMut};

use super::kind;

/// The most chunk streams of one connection; encoders use five.
pub const STREAMS: usize = 32;
/// The most messages under way at once.
pub const PARTIAL: usize = 4;
/// The largest chunk, and the largest message.
pub const LARGEST: usize = 16 << 20;
/// A frame as encoders send them has at most so many bytes.
const ORDINARY: usize = 256 << 10;
/// Bytes of a chunk until the other side says otherwise.
const USUAL: usize = 128;
/// Says that four bytes of time follow.
const EXTENDED: u32 = 0x00ff_ffff;
/// A first timestamp below this may be meant as the time between messages, too: see [`ChunkStream::begin`].
const SMALL_TIME: u32 = 1000;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is: see the module's kinds.
    pub kind: u8,
    /// The message stream that it belongs to.
    pub stream: u32,
    /// Milliseconds, modulo 2^32.
    pub time: u32,
    /// What it says.
    pub body: Bytes,
}

/// Why chunks cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// More chunk streams than anybody needs.
    #[error("it uses more than {STREAMS} chunk streams")]
    Streams,
    /// More messages at once than anybody needs.
    #[error("it has more than {PARTIAL} messages under way at once")]
    Partial,
    /// A header that refers to one that never was.
    #[error("a chunk of stream {0} refers to a header that was never sent")]
    NoHeader(u32),
    /// A message, or all that are under way, larger than allowed.
    #[error("it sends a message of {0} bytes, more than is taken")]
    Large(usize),
    /// A chunk size that is none.
    #[error("it asks for chunks of {0} bytes")]
    ChunkSize(u32),
}

/// What a chunk stream has in mind.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    kind: u8,
    message_stream: u32,
    length: usize,
    time: u32,
    /// What the next message of the same header adds to the time.
    delta: u32,
    /// The extended time of the newest header, if it has one.
    extended: Option<u32>,
    /// A message has begun and is not whole.
    under_way: bool,
    body: BytesMut,
}

/// A chunk's header, as it was read.
#[derive(Debug, Clone, Copy)]
struct Head {
    format: u8,
    id: u32,
    /// The time field, or the extended time in its place.
    time: u32,
    extended: bool,
    length: usize,
    kind: u8,
    message_stream: u32,
    /// Bytes that it takes.
    size: usize,
}

/// Puts messages together.
#[derive(Debug)]
pub struct Reader {
    streams: Vec<ChunkStream>,
    chunk_size: usize,
    /// The chunk whose bytes are coming: the place of its stream, and how many are missing.
    coming: Option<(usize, usize)>,
    /// Bytes of all messages under way.
    held: usize,
    /// The largest message, and the most bytes of all that are under way.
    most: usize,
    /// Messages that were begun and never ended.
    abandoned: u64,
}

fn u24(bytes: &[u8]) -> u32 {
    bytes.iter().take(3).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

impl Head {
    /// Reads a header; `None` if it is not whole.
    fn read(input: &[u8]) -> Option<Self> {
        let first = *input.first()?;
        let (format, low) = (first >> 6, u32::from(first & 0x3f));
        let (id, at) = match low {
            0 => (64 + u32::from(*input.get(1)?), 2),
            1 => (64 + u32::from(*input.get(1)?) + 256 * u32::from(*input.get(2)?), 3),
            _ => (low, 1),
        };
        let fields: usize = match format {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        let mut head =
            Self { format, id, time: 0, extended: false, length: 0, kind: 0, message_stream: 0, size: at + fields };
        let fields = input.get(at..at + fields)?;
        head.time = u24(fields);
        if let Some(rest) = fields.get(3..7) {
            head.length = usize::try_from(u24(rest)).unwrap_or(usize::MAX);
            head.kind = *rest.get(3)?;
        }
        if let Some(stream) = fields.get(7..11).and_then(|stream| stream.first_chunk()) {
            head.message_stream = u32::from_le_bytes(*stream);
        }
        if format < 3 && head.time == EXTENDED {
            (head.time, head.extended) = (u32_at(input, head.size)?, true);
            head.size += 4;
        }
        Some(head)
    }
}

impl ChunkStream {
    /// Begins a message with this header, which may leave out what stays as it was.
    ///
    /// After a full header the same header again (format 3) stands for as much time as that one's time says (5.3.1.2.4), and
    /// ffmpeg goes by that. Where the time is large others mean no time at all: it is then taken so.
    fn begin(&mut self, head: &Head) {
        match head.format {
            0 => (self.time, self.delta) = (head.time, if head.time < SMALL_TIME { head.time } else { 0 }),
            1 | 2 => {
                self.delta = head.time;
                self.time = self.time.wrapping_add(head.time);
            }
            _ => self.time = self.time.wrapping_add(self.delta),
        }
        if head.format < 2 {
            (self.length, self.kind) = (head.length, head.kind);
        }
        if head.format == 0 {
            self.message_stream = head.message_stream;
        }
        if head.format < 3 {
            self.extended = head.extended.then_some(head.time);
        }
        self.under_way = true;
    }

    /// Whether a chunk without fields begins with an extended time, though the specification wants one wherever the header
    /// that it refers to had one: some encoders leave it out. `None` if that cannot be told yet.
    fn repeats_time(&self, after: &[u8]) -> Option<bool> {
        let Some(extended) = self.extended else { return Some(false) };
        let candidates = [extended, self.time, self.time.wrapping_add(self.delta)];
        let seen = after.get(..4).unwrap_or(after);
        let fits = candidates.iter().any(|time| time.to_be_bytes().starts_with(seen));
        if fits && seen.len() < 4 { None } else { Some(fits) }
    }
}

impl Reader {
    /// Takes messages of at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { streams: Vec::new(), chunk_size: USUAL, coming: None, held: 0, most, abandoned: 0 }
    }

    /// From here on takes messages of at most so many bytes.
    pub fn allow(&mut self, most: usize) {
        self.most = most.min(LARGEST);
    }

    /// Messages that were begun and never ended.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// The next message in `input`, from which all is taken that is understood; `None` if more has to come. What is about
    /// chunks themselves is done here.
    ///
    /// # Errors
    /// [`ChunkError`]; nothing can be read after it.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ChunkError> {
        loop {
            let (at, missing) = match self.coming {
                Some(coming) => coming,
                None => match self.header(input)? {
                    Some(coming) => coming,
                    None => return Ok(None),
                },
            };
            let missing = self.fill(at, missing, input);
            if self.held > self.most {
                return Err(ChunkError::Large(self.held));
            }
            if missing > 0 {
                self.coming = Some((at, missing));
                return Ok(None);
            }
            self.coming = None;
            let Some(message) = self.whole(at) else { continue };
            match message.kind {
                kind::SET_CHUNK_SIZE => self.set_chunk_size(&message.body)?,
                kind::ABORT => self.abort(&message.body),
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads a chunk's header: the place of its stream, and how many bytes follow.
    fn header(&mut self, input: &mut BytesMut) -> Result<Option<(usize, usize)>, ChunkError> {
        let Some(mut head) = Head::read(input) else { return Ok(None) };
        let known = self.streams.iter().position(|stream| stream.id == head.id);
        let at = match known {
            Some(at) => at,
            // Some begin with the second format, which lacks only the message stream.
            None if head.format > 1 => return Err(ChunkError::NoHeader(head.id)),
            None => self.add(head.id)?,
        };
        let most = self.most;
        let Some(stream) = self.streams.get_mut(at) else { return Ok(None) };
        if head.format == 3 {
            match stream.repeats_time(input.get(head.size..).unwrap_or_default()) {
                Some(true) => head.size += 4,
                Some(false) => {}
                None => return Ok(None),
            }
        }
        input.advance(head.size);
        if head.format < 3 && stream.under_way {
            self.held -= stream.body.len();
            stream.body = BytesMut::new();
            stream.under_way = false;
            self.abandoned += 1;
        }
        if !stream.under_way {
            stream.begin(&head);
            if stream.length > most {
                return Err(ChunkError::Large(stream.length));
            }
            if self.streams.iter().filter(|stream| stream.under_way).count() > PARTIAL {
                return Err(ChunkError::Partial);
            }
        }
        let missing = self.streams.get(at).map_or(0, |stream| stream.length.saturating_sub(stream.body.len()));
        Ok(Some((at, missing.min(self.chunk_size))))
    }

    fn add(&mut self, id: u32) -> Result<usize, ChunkError> {
        if self.streams.len() >= STREAMS {
            return Err(ChunkError::Streams);
        }
        self.streams.push(ChunkStream {
            id,
            kind: 0,
            message_stream: 0,
            length: 0,
            time: 0,
            delta: 0,
            extended: None,
            under_way: false,
            body: BytesMut::new(),
        });
        Ok(self.streams.len() - 1)
    }

    /// Moves bytes of a chunk into its message; how many are still missing.
    fn fill(&mut self, at: usize, missing: usize, input: &mut BytesMut) -> usize {
        let Some(stream) = self.streams.get_mut(at) else { return 0 };
        let count = missing.min(input.len());
        // Of a message as encoders send them room for all of it, which then has no bytes too many; of a larger one twice as much
        // as has come, and never more than the message has.
        let left = stream.length.saturating_sub(stream.body.len());
        let room = if stream.length <= ORDINARY { left } else { count.max(stream.body.len()).min(left) };
        stream.body.reserve(room);
        stream.body.extend_from_slice(input.get(..count).unwrap_or_default());
        input.advance(count);
        self.held += count;
        missing - count
    }

    /// The message of a stream, if all of it is there.
    fn whole(&mut self, at: usize) -> Option<Message> {
        let stream = self.streams.get_mut(at).filter(|stream| stream.body.len() >= stream.length)?;
        stream.under_way = false;
        self.held -= stream.body.len();
        let body = std::mem::take(&mut stream.body).freeze();
        Some(Message { kind: stream.kind, stream: stream.message_stream, time: stream.time, body })
    }

    fn set_chunk_size(&mut self, body: &[u8]) -> Result<(), ChunkError> {
        let size = u32_at(body, 0).unwrap_or(0);
        match usize::try_from(size) {
            Ok(size) if (1..=0x7fff_ffff).contains(&size) => {
                self.chunk_size = size.min(LARGEST);
                Ok(())
            }
            _ => Err(ChunkError::ChunkSize(size)),
        }
    }

    fn abort(&mut self, body: &[u8]) {
        let id = u32_at(body, 0);
        let Some(stream) = self.streams.iter_mut().find(|stream| Some(stream.id) == id && stream.under_way) else {
            return;
        };
        self.held -= stream.body.len();
        stream.body = BytesMut::new();
        stream.under_way = false;
        self.abandoned += 1;
    }
}

/// Writes a message in chunks of at most `chunk_size` bytes, with a full header.
pub fn write(out: &mut BytesMut, chunk_stream: u8, message: &Message, chunk_size: usize) {
    let length = u32::try_from(message.body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let extended = message.time >= EXTENDED;
    let time = message.time.min(EXTENDED).to_be_bytes();
    for (at, chunk) in message.body.chunks(chunk_size.max(1)).enumerate() {
        out.extend_from_slice(&[chunk_stream & 0x3f | if at == 0 { 0 } else { 0xc0 }]);
        if at == 0 {
            out.extend_from_slice(time.get(1..).unwrap_or_default());
            out.extend_from_slice(length.get(1..).unwrap_or_default());
            out.extend_from_slice(&[message.kind]);
            out.extend_from_slice(&message.stream.to_le_bytes());
        }
        if extended {
            out.extend_from_slice(&message.time.to_be_bytes());
        }
        out.extend_from_slice(chunk);
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
