//! The heads of requests in what a client of HTTP/1 sends. A line of one that ends in LF alone is made into none: what is in
//! front of a gateway may read another request there than the gateway does (RFC 9112, 2.2). Pure.

/// A field whose line is longer than this says no length.
const LONGEST: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    place: Place,
    /// The beginning of the line that is coming, and how long it is so far.
    line: Vec<u8>,
    length: usize,
    /// The byte before is CR.
    returned: bool,
    /// A line of the head has come.
    begun: bool,
    /// What is told of the body.
    body: Place,
}

/// Where the next byte lies.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    /// In a body that has so many bytes more.
    Body(u64),
    /// Nothing that is looked at: after such a request the connection is closed.
    Beyond,
    /// In no request.
    Spoilt,
}

impl Heads {
    /// Whether one was refused: nothing more is read.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.place == Place::Spoilt
    }

    /// Takes what came next; spoils the end of a line that no head may have, so that whoever reads it refuses it.
    pub(crate) fn look(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.place {
                Place::Beyond | Place::Spoilt => return,
                Place::Body(left) => {
                    let passed = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.place = if passed as u64 == left { Place::Head } else { Place::Body(left - passed as u64) };
                    rest = rest.get_mut(passed..).unwrap_or_default();
                }
                Place::Head => {
                    let Some((byte, more)) = rest.split_first_mut() else { return };
                    if !self.takes(*byte) {
                        *byte = 0;
                        self.place = Place::Spoilt;
                    }
                    rest = more;
                }
            }
        }
    }

    /// Takes a byte of a head; false where none may have it.
    fn takes(&mut self, byte: u8) -> bool {
        let returned = std::mem::replace(&mut self.returned, byte == b'\r');
        if byte != b'\n' {
            self.length += 1;
            if self.line.len() < LONGEST {
                self.line.push(byte);
            }
            return true;
        }
        let is_read = returned && self.ends();
        self.line.clear();
        self.length = 0;
        is_read
    }

    /// A line ends, CR at its end; false where it cannot be read.
    fn ends(&mut self) -> bool {
        if self.length == 1 {
            // Before a request empty lines are passed over.
            if std::mem::take(&mut self.begun) {
                self.place = std::mem::take(&mut self.body);
            }
            return true;
        }
        self.begun = true;
        let Some(colon) = self.line.iter().position(|byte| *byte == b':') else { return true };
        let (name, value) = self.line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.body = Place::Beyond;
        } else if name.eq_ignore_ascii_case(b"content-length") && self.body != Place::Beyond {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            let Some(length) = length.filter(|_| self.length <= LONGEST) else { return false };
            self.body = if length == 0 { Place::Head } else { Place::Body(length) };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of bytes that come in pieces of this size.
    fn read(sent: &str, piece: usize) -> String {
        let (mut heads, mut bytes) = (Heads::default(), sent.as_bytes().to_vec());
        bytes.chunks_mut(piece).for_each(|piece| heads.look(piece));
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn lines_of_heads_end_in_both_and_bodies_in_what_they_like() {
        let head = "GET / HTTP/1.1\r\nhost: a\r\n";
        for (sent, is_spoilt) in [
            (format!("{head}\r\n"), false),
            (format!("\r\n{head}\r\n{head}\r\n"), false),
            (format!("{head}Content-Length: 3\r\n\r\n\n\n\n{head}\r\n"), false),
            (format!("{head}content-length:0\r\n\r\n{head}\r\n"), false),
            (format!("{head}transfer-encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n"), false),
            (format!("{head}x:\n\r\n"), true),
            (format!("{head}\n"), true),
            (format!("\n{head}\r\n"), true),
            ("GET / HTTP/1.1\nhost: a\n\n".to_owned(), true),
            (format!("{head}\r\nGET / HTTP/1.1\n"), true),
            (format!("{head}Content-Length: 3\r\n\r\n\n\n\n\n"), true),
            (format!("{head}content-length: {}3\r\n\r\nabc", "0".repeat(300)), true),
            (format!("{head}x: {}\n", "y".repeat(300)), true),
        ] {
            for piece in [1, 2, 7, sent.len()] {
                let got = read(&sent, piece);
                assert_eq!(got.contains('\0'), is_spoilt, "{sent:?}: {got:?}");
                if is_spoilt {
                    // At the first of them, and nowhere else.
                    assert_eq!(got.replacen('\0', "\n", 1), sent);
                } else {
                    assert_eq!(got, sent);
                }
            }
        }
    }
}
