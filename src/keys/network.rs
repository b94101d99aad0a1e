//! Addresses that belong together: `192.0.2.0/24`, `2001:db8::/32`, or a single one. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is one of them; one of IPv4 also where it is written as IPv6.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        read.map(Self)
            .map_err(|_| format!("{text:?} is no address such as 192.0.2.7, and no network such as 192.0.2.0/24"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_in_its_network_and_in_no_other() {
        for (network, address, has) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.77/24", "192.0.2.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:ffff::1", false),
        ] {
            let read: Network = network.parse().expect(network);
            assert_eq!(read.has(address.parse().expect(address)), has, "{network} {address}");
            assert_eq!(read.to_string().parse(), Ok(read), "{network}");
        }
        for bad in ["", "/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/+1", "192.0.2", "::/129", "a/8"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(text in "[0-9a-f.:/]{0,24}", address: u128) {
            if let Ok(network) = text.parse::<Network>() {
                let _ = network.has(IpAddr::from(std::net::Ipv6Addr::from_bits(address)));
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }
    }
}
