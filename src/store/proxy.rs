//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl has them.

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;

use super::endpoint::{has_port_that_could_be, shown};
use crate::message::secrets;

/// The proxy for one scheme.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// Its address, without a password.
    pub(super) shown: String,
    config: ProxyConfig,
}

/// A proxy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable} names the proxy {shown:?}, which cannot be used: {reason}. It looks like http://proxy.example:3128"
)]
pub struct ProxyError {
    variable: &'static str,
    shown: String,
    reason: &'static str,
}

impl Proxy {
    /// The proxy for `http` (`plain`) or `https`, as the environment has it.
    ///
    /// # Errors
    /// When a proxy is named that cannot be used: going past it might not be what its owner allows.
    pub(super) fn of(plain: bool, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ProxyError> {
        // In a CGI program HTTP_PROXY comes from whoever sends the request.
        let names: &[&'static str] = match (plain, environment("REQUEST_METHOD").is_some()) {
            (true, true) => return Ok(None),
            (true, false) => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
            (false, _) => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let found = names.iter().find_map(|name| Some((*name, environment(name).filter(|value| !value.is_empty())?)));
        let Some((variable, value)) = found else { return Ok(None) };
        let value = if value.contains("://") { value } else { format!("http://{value}") };
        let refuse = |reason| ProxyError { variable, shown: shown(&value), reason };
        let uri: Uri = value.parse().map_err(|_| refuse("it is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refuse("only proxies that are asked by http or https are known"));
        }
        if plain && uri.scheme_str() == Some("https") {
            return Err(refuse("an http endpoint needs a proxy that is asked by http"));
        }
        if !uri.authority().is_some_and(has_port_that_could_be) {
            return Err(refuse("it names no host, or a port that is not a number from 1 to 65535"));
        }
        learn(&uri);
        let config = if plain { ProxyConfig::http(uri) } else { ProxyConfig::https(uri) };
        let config = config.map_err(|_| refuse("it names no host"))?;
        let spared = ["no_proxy", "NO_PROXY"].iter().find_map(|name| environment(name)).unwrap_or_default();
        Ok(Some(Self { variable, shown: shown(&value), config: config.no_proxy(spared) }))
    }

    /// For the client.
    pub(super) fn config(&self) -> ProxyConfig {
        self.config.clone()
    }
}

/// Keeps the proxy's password out of messages.
fn learn(proxy: &Uri) {
    let authority = proxy.authority().map_or("", http::uri::Authority::as_str);
    let Some((user, _)) = authority.rsplit_once('@') else { return };
    secrets::learn(user);
    if let Some((_, password)) = user.split_once(':') {
        secrets::learn(password);
    }
    secrets::learn(&aws_smithy_types::base64::encode(user));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(plain: bool, variables: &[(&str, &str)]) -> Result<Option<(&'static str, String)>, String> {
        let value =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let proxy = Proxy::of(plain, value).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| (proxy.variable, proxy.shown)))
    }

    #[test]
    fn the_variable_for_the_scheme_counts_then_the_one_for_all() {
        let both = [("HTTP_PROXY", "http://plain:1"), ("HTTPS_PROXY", "http://tls:2"), ("ALL_PROXY", "http://all:3")];
        assert_eq!(of(true, &both), Ok(Some(("HTTP_PROXY", "http://plain:1".to_owned()))));
        assert_eq!(of(false, &both), Ok(Some(("HTTPS_PROXY", "http://tls:2".to_owned()))));
        assert_eq!(of(false, &both[2..]), Ok(Some(("ALL_PROXY", "http://all:3".to_owned()))));
        assert_eq!(of(true, &both[1..2]), Ok(None));
        assert_eq!(
            of(false, &[("HTTPS_PROXY", ""), ("all_proxy", "p:1")]),
            Ok(Some(("all_proxy", "http://p:1".to_owned())))
        );
        assert_eq!(of(true, &[("http_proxy", "http://p:1"), ("REQUEST_METHOD", "GET")]), Ok(None));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
        for value in [
            "socks5://u:secret@p:1",
            "http://u:secret@p:1x",
            "http://u:secret@p:99999",
            "http://u:secret@",
            "://u:secret@p",
            "http://u:sec ret@p",
        ] {
            let error = of(false, &[("HTTPS_PROXY", value)]).expect_err(value);
            assert!(error.contains("HTTPS_PROXY") && !error.contains("sec"), "{error}");
        }
        assert!(of(true, &[("HTTP_PROXY", "https://p:1")]).is_err());
    }

    #[test]
    fn its_password_is_not_shown() {
        let found =
            of(false, &[("HTTPS_PROXY", "http://user:pass-of-proxy@p:3128")]).expect("a proxy").expect("a proxy");
        assert_eq!(found.1, "http://***@p:3128");
        let encoded = aws_smithy_types::base64::encode("user:pass-of-proxy");
        assert_eq!(secrets::scrub(&format!("pass-of-proxy {encoded}")), "*** ***");
    }
}
