//! Where an MPEG transport stream can be joined (ISO/IEC 13818-1): the tables that describe its program, and a packet
//! with a random-access point.
//!
//! Pure. The tables are copied from the stream itself, so that a player has them at once, whatever the stream's own rhythm
//! of repeating them is.

/// Bytes of a packet.
pub const PACKET: usize = 188;
/// Bytes from the start of a stream that tell whether it is a transport stream, and as a rule have its tables.
pub const SNIFF: usize = 16 * PACKET;

/// What every packet begins with.
const SYNC: u8 = 0x47;
/// The packet identifier of the program association table.
const PAT: u16 = 0;
/// Packets with no payload, which are stuffing.
const NULL: u16 = 0x1fff;

/// Whether these first bytes are those of a transport stream.
#[must_use]
pub fn is_transport_stream(beginning: &[u8]) -> bool {
    (0..3).all(|packet| beginning.get(packet * PACKET) == Some(&SYNC))
}

/// Where a stream can be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The program's tables, a packet each.
    pub tables: Vec<u8>,
    /// Where the packet with the random-access point begins, in bytes from the start of what was searched.
    pub at: usize,
}

/// One packet.
#[derive(Debug, Clone, Copy)]
struct Packet<'a> {
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    fn byte(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn pid(self) -> u16 {
        u16::from_be_bytes([self.byte(1) & 0x1f, self.byte(2)])
    }

    /// Whether a table or a frame begins in it.
    fn begins(self) -> bool {
        self.byte(1) & 0x40 != 0
    }

    fn has_adaptation(self) -> bool {
        self.byte(3) & 0x20 != 0 && self.byte(4) > 0
    }

    fn is_random_access(self) -> bool {
        self.has_adaptation() && self.byte(5) & 0x40 != 0
    }

    fn payload(self) -> &'a [u8] {
        let skip = match self.byte(3) & 0x30 {
            0x10 => 4,
            0x30 => 5 + usize::from(self.byte(4)),
            _ => PACKET,
        };
        self.bytes.get(skip..).unwrap_or_default()
    }

    /// The section that begins in it, from its table id to before its checksum, as far as it is in this packet.
    fn section(self) -> Option<&'a [u8]> {
        let payload = self.payload();
        let section = payload.get(1 + usize::from(*payload.first()?)..)?;
        let length = usize::from(u16::from_be_bytes([section.get(1)? & 0x0f, *section.get(2)?]));
        Some(section.get(..(3 + length).saturating_sub(4)).unwrap_or(section))
    }
}

/// What the tables say.
#[derive(Debug, Default)]
struct Program<'a> {
    pat: Option<Packet<'a>>,
    pmt: Option<Packet<'a>>,
    pmt_pid: Option<u16>,
    /// The stream to go by: the first with pictures, else the first.
    main: Option<u16>,
}

impl<'a> Program<'a> {
    fn take(&mut self, packet: Packet<'a>) {
        if !packet.begins() {
            return;
        }
        if packet.pid() == PAT {
            let Some(section) = packet.section() else { return };
            // Program 0 is the network, not a program.
            let program =
                section.get(8..).unwrap_or_default().chunks_exact(4).find(|entry| !matches!(entry, [0, 0, ..]));
            if let Some(&[_, _, high, low]) = program {
                self.pmt_pid = Some(u16::from_be_bytes([high & 0x1f, low]));
                self.pat = Some(packet);
            }
        } else if Some(packet.pid()) == self.pmt_pid
            && let Some(main) = packet.section().and_then(main_stream)
        {
            self.main = Some(main);
            self.pmt = Some(packet);
        }
    }
}

/// The packet identifier of the first stream with pictures in a program map table, else of the first stream.
fn main_stream(section: &[u8]) -> Option<u16> {
    let info = usize::from(u16::from_be_bytes([section.get(10)? & 0x0f, *section.get(11)?]));
    let mut rest = section.get(12 + info..)?;
    let mut first = None;
    while let [kind, high, low, info_high, info_low, ..] = *rest {
        let pid = u16::from_be_bytes([high & 0x1f, low]);
        // MPEG-1, MPEG-2, MPEG-4, H.264, HEVC, VVC, AVS.
        if matches!(kind, 0x01 | 0x02 | 0x10 | 0x1b | 0x24 | 0x33 | 0x42) {
            return Some(pid);
        }
        first.get_or_insert(pid);
        rest = rest.get(5 + usize::from(u16::from_be_bytes([info_high & 0x0f, info_low]))..)?;
    }
    first
}

/// The newest place in `bytes` where the stream can be joined, if one is in it. `beginning` has the tables where `bytes` do
/// not repeat them.
#[must_use]
pub fn newest_entrance(beginning: &[u8], bytes: &[u8]) -> Option<Entrance> {
    let aligned = (0..PACKET).find(|at| bytes.get(*at) == Some(&SYNC) && bytes.get(at + PACKET) == Some(&SYNC))?;
    let mut program = Program::default();
    for packet in packets(beginning) {
        program.take(packet);
    }
    let mut found = None;
    for (index, packet) in packets(bytes.get(aligned..)?).enumerate() {
        program.take(packet);
        let main = program.main.is_some_and(|main| packet.pid() == main && main != NULL);
        if main
            && packet.begins()
            && packet.is_random_access()
            && let (Some(pat), Some(pmt)) = (program.pat, program.pmt)
        {
            found = Some(Entrance { tables: [pat.bytes, pmt.bytes].concat(), at: aligned + index * PACKET });
        }
    }
    found
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.chunks_exact(PACKET).take_while(|bytes| bytes.first() == Some(&SYNC)).map(|bytes| Packet { bytes })
}
