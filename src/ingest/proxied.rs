//! Who is behind a proxy: nginx, HAProxy or a load balancer that is trusted says so first, by the PROXY protocol
//! (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::keys::network::Network;

/// How its second version begins.
const SECOND: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of its first version, and what we take of the second.
const LINE: usize = 107;
const BINARY: usize = 2048;

/// Addresses of proxies, from which every connection begins with who is behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl FromStr for Proxies {
    type Err = String;

    /// Of addresses and networks, with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|word| word.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl Proxies {
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(ip))
    }
}

/// Takes from the beginning of a connection who is behind `proxy`, and nothing else; the proxy itself where it comes for itself, as
/// those do that look whether somebody listens.
pub(super) async fn behind(stream: &mut (impl AsyncRead + Unpin), proxy: SocketAddr) -> io::Result<SocketAddr> {
    let mut head = vec![0; SECOND.len()];
    stream.read_exact(&mut head).await?;
    if head == SECOND {
        head.resize(16, 0);
        stream.read_exact(&mut head[SECOND.len()..]).await?;
        let more = usize::from(u16::from_be_bytes([head[14], head[15]]));
        if more > BINARY {
            return Err(unfit());
        }
        head.resize(16 + more, 0);
        stream.read_exact(&mut head[16..]).await?;
    } else if head.starts_with(b"PROXY ") {
        while !head.ends_with(b"\n") {
            if head.len() == LINE {
                return Err(unfit());
            }
            // What comes behind the line is not ours.
            head.push(stream.read_u8().await?);
        }
    } else {
        return Err(unfit());
    }
    let (header, _) = ProxyHeader::parse(&head, ParseConfig::default()).map_err(|_| unfit())?;
    Ok(header.proxied_address().map_or(proxy, |address| address.source))
}

fn unfit() -> io::Error {
    io::Error::other("it comes from a trusted proxy, which does not say by the PROXY protocol who is behind it")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Result<SocketAddr, io::ErrorKind>, Vec<u8>) {
        let mut rest = bytes;
        let read = behind(&mut rest, "127.0.0.1:9".parse().expect("an address")).await;
        (read.map_err(|error| error.kind()), rest.to_vec())
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_end_and_no_further() {
        let mut second = [&SECOND[..], &[0x21, 0x11, 0, 12 + 4, 192, 0, 2, 7, 127, 0, 0, 1, 0xc0, 0, 7, 0x8f]].concat();
        second.extend([4, 0, 1, 9]);
        let second_6 = [&SECOND[..], &[0x21, 0x21, 0, 36], &[0x20; 16], &[1; 16], &[0, 1, 0, 2]].concat();
        let local = [&SECOND[..], &[0x20, 0, 0, 0]].concat();
        let source = "2020:2020:2020:2020:2020:2020:2020:2020";
        for (head, peer) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 49152 1935\r\n".to_vec(), "192.0.2.7:49152".to_owned()),
            (b"PROXY TCP6 2001:db8::7 ::1 49152 1935\r\n".to_vec(), "[2001:db8::7]:49152".to_owned()),
            (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:9".to_owned()),
            (second, "192.0.2.7:49152".to_owned()),
            (second_6, format!("[{source}]:1")),
            (local, "127.0.0.1:9".to_owned()),
        ] {
            let (read, rest) = read(&[&head[..], b"\x03rest"].concat()).await;
            assert_eq!((read, &rest[..]), (Ok(peer.parse().expect("an address")), &b"\x03rest"[..]), "{head:?}");
        }
    }

    #[tokio::test]
    async fn what_is_something_else_is_refused_and_what_is_cut_ends() {
        let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        let large = [&SECOND[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        for bad in [
            &b"\x03RTMP handshake"[..],
            b"POST /live/key HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 192.0.2.7 nobody 1 2\r\n",
            b"PROXY TCP9 192.0.2.7 127.0.0.1 1 2\r\n",
            &long,
            &large,
        ] {
            assert_eq!(read(bad).await.0, Err(io::ErrorKind::Other), "{bad:?}");
        }
        for cut in [&b""[..], b"PROXY", b"PROXY TCP4 192.0.2.7", &large[..14]] {
            assert_eq!(read(cut).await.0, Err(io::ErrorKind::UnexpectedEof), "{cut:?}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies: Proxies = "127.0.0.1, 10.0.0.0/8,::1".parse().expect("proxies");
        let has = |ip: &str| proxies.has(ip.parse().expect("an address"));
        assert!(has("127.0.0.1") && has("10.1.2.3") && has("::1") && has("::ffff:10.1.2.3"));
        assert!(!has("127.0.0.2") && !has("11.0.0.1") && !has("::2"));
        assert!(!Proxies::default().has([127, 0, 0, 1].into()));
        for bad in ["", "localhost", "10.0.0.0/40", "127.0.0.1,"] {
            assert!(bad.parse::<Proxies>().is_err(), "{bad}");
        }
    }
}
