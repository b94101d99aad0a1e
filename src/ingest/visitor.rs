//! Who wants to publish, and by which way he came.

use std::net::SocketAddr;

use super::address::Address;
use crate::keys::terms::Protocol;
use crate::rtmp::session::{Publish, Urls};

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) peer: SocketAddr,
    /// The application of the URL, and what is spoken there.
    pub(super) app: String,
    pub(super) protocol: Protocol,
    /// What it calls itself.
    pub(super) encoder: String,
    /// What stands in the URL behind a `?`, without a stream key.
    pub(super) query: String,
    /// What it says of where it comes from.
    pub(super) urls: Urls,
}

impl Visitor {
    /// Who comes so. A key is none of what may be told of him, where it is one of ours.
    pub(super) fn new(address: &Address, peer: SocketAddr, publish: &Publish, has_key: bool) -> Self {
        let query = address.name_in(&publish.app, &publish.name).map(|(_, query)| query).unwrap_or_default();
        let is_told = |pair: &&str| !has_key || !pair.starts_with("key=");
        Self {
            peer,
            app: address.app().to_owned(),
            protocol: address.protocol(),
            encoder: publish.encoder.clone(),
            query: query.split('&').filter(is_told).collect::<Vec<_>>().join("&"),
            urls: publish.urls.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_told_of() {
        let address = Address::of_many("rtmp://:0/live").expect("a URL");
        let visitor = |name: &str, has_key| {
            let publish = Publish { app: "live".into(), name: name.into(), encoder: "e".into(), urls: Urls::default() };
            Visitor::new(&address, "192.0.2.7:1".parse().expect("an address"), &publish, has_key).query
        };
        assert_eq!(visitor("lr_x?a=b&c", true), "a=b&c");
        assert_eq!(visitor("cam?a=b&key=lr_x&c=d", true), "a=b&c=d");
        assert_eq!(visitor("cam?a=b&key=lr_x&c=d", false), "a=b&key=lr_x&c=d");
        assert_eq!(visitor("lr_x", true), "");
    }
}
