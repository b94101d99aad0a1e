//! The handshake in its simple form (5.2), which all encoders take: version, 1536 bytes each way, and an echo.

use bytes::{Buf, BytesMut};

use super::fault::Fault;

/// Bytes of each of the packets but the first.
const PACKET: usize = 1536;
/// All that the client sends.
pub(super) const FROM_CLIENT: usize = 1 + 2 * PACKET;
/// RTMP without its own encryption.
const VERSION: u8 = 3;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// C0 and C1 are awaited.
    Hello,
    /// C2 is awaited.
    Echo,
    /// Chunks follow.
    Done,
}

impl Handshake {
    /// Takes what there is of it from `input`; `random` is the server's own packet.
    pub(super) fn step(&mut self, input: &mut BytesMut, random: &[u8], out: &mut BytesMut) -> Result<(), Fault> {
        if *self == Self::Hello {
            if let Some(version) = input.first().filter(|version| **version != VERSION) {
                return Err(Fault::Version(*version));
            }
            let Some(c1) = input.get(1..=PACKET) else { return Ok(()) };
            out.extend_from_slice(&[VERSION]);
            // Time zero, then zeros: the form without a digest.
            out.extend_from_slice(&[0; 8]);
            let random = random.iter().copied().chain(std::iter::repeat(0)).take(PACKET - 8);
            out.extend(random);
            out.extend_from_slice(c1);
            input.advance(1 + PACKET);
            *self = Self::Echo;
        }
        if *self == Self::Echo && input.len() >= PACKET {
            // What it says is looked at by nobody; encoders do not agree on it.
            input.advance(PACKET);
            *self = Self::Done;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_once_the_hello_is_whole_and_is_done_with_the_echo() {
        let (mut handshake, mut input, mut out) = (Handshake::Hello, BytesMut::new(), BytesMut::new());
        let hello: Vec<u8> = std::iter::once(3).chain((0..PACKET).map(|at| u8::try_from(at % 251).unwrap())).collect();
        for byte in &hello {
            assert!(out.is_empty());
            input.extend_from_slice(&[*byte]);
            handshake.step(&mut input, &[7; 2000], &mut out).unwrap();
        }
        assert_eq!(out.len(), FROM_CLIENT);
        assert_eq!((out[0], &out[1..9], out[9]), (3, &[0; 8][..], 7));
        assert_eq!(out[1 + PACKET..], hello[1..]);
        input.extend_from_slice(&[9; PACKET + 2]);
        handshake.step(&mut input, &[], &mut out).unwrap();
        assert_eq!((handshake, &input[..]), (Handshake::Done, &[9, 9][..]));
    }

    #[test]
    fn another_version_is_no_rtmp() {
        for version in [0, 6, b'G', 0x16] {
            let mut input = BytesMut::from(&[version][..]);
            let step = Handshake::Hello.step(&mut input, &[], &mut BytesMut::new());
            assert!(matches!(step, Err(Fault::Version(found)) if found == version));
        }
    }
}
