//! HTTP_PROXY and HTTPS_PROXY: requests go through the proxy that a company asks for, or it is said why not.

use crate::support::Store;
use crate::support::forward::Forward;
use crate::support::lab::Lab;
use crate::support::run::Launch;

const KEY: &str = "live/stream.mp4";

/// A name that only the proxy knows.
const STORE: &str = "store.example.test";

fn through(lab: &Store, scheme: &str, variable: &str, proxy: &str) -> Launch {
    let launch = Launch::writer(lab, &[KEY, "--path-style", "--retry-timeout", "1ms"]).no_env("NO_PROXY");
    launch.env("AWS_ENDPOINT_URL", format!("{scheme}://{STORE}")).env(variable, proxy)
}

#[test]
fn an_http_proxy_is_asked_for_the_whole_address() {
    let lab = Lab::new();
    let forward = Forward::to(lab.endpoint());
    let proxy = format!("http://user:pass-of-proxy@{}", forward.address());
    let run = through(&lab, "http", "HTTP_PROXY", &proxy).start().end_with(b"data").code(0);
    run.says(forward.address()).says("HTTP_PROXY").does_not_say("pass-of-proxy");
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
    let heads = forward.heads();
    assert!(heads.iter().all(|head| head.contains(&format!(" http://{STORE}/"))), "{heads:?}");
    let basic = "proxy-authorization: basic dxnlcjpwyxnzlw9mlxbyb3h5";
    assert!(heads.iter().all(|head| head.contains(basic)), "{heads:?}");
}

#[test]
fn an_https_proxy_is_asked_for_a_tunnel() {
    let store = Store::with_tls(&[]);
    let forward = Forward::to(store.endpoint());
    let proxy = format!("http://user:pass-of-proxy@{}", forward.address());
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let run = through(&store, "https", variable, &proxy).start().end_with(b"data").code(0);
        run.says(variable).does_not_say("pass-of-proxy");
    }
    let reader = Launch::reader(&store, &[KEY, "--no-wait", "--path-style"]).no_env("NO_PROXY");
    let reader = reader.env("AWS_ENDPOINT_URL", format!("https://{STORE}")).env("HTTPS_PROXY", &proxy);
    reader.start().end().code(0).gave(b"data");
    let heads = forward.heads();
    assert!(heads.len() >= 4, "{heads:?}");
    for head in heads {
        assert!(head.starts_with(&format!("connect {STORE}:443 http/1.1\r\n")), "{head}");
        assert!(head.contains("proxy-authorization: basic "), "{head}");
    }
}

#[test]
fn no_proxy_and_this_machine_are_reached_directly() {
    let lab = Lab::new();
    let nowhere = "http://127.0.0.1:9";
    // This machine, whatever NO_PROXY says.
    let here = Launch::writer(&lab, &[KEY]).no_env("NO_PROXY").env("HTTP_PROXY", nowhere).env("ALL_PROXY", nowhere);
    here.start().end_with(b"data").code(0).does_not_say("PROXY");
    // A name that is spared is looked up, and there is none.
    let forward = Forward::to(lab.endpoint());
    let proxy = format!("http://{}", forward.address());
    let spared = through(&lab, "http", "HTTP_PROXY", &proxy).env("NO_PROXY", ".example.test");
    spared.start().end_with(b"data").code(1);
    assert_eq!(forward.heads(), [""; 0]);
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_failure_at_once() {
    let lab = Lab::new();
    for proxy in ["socks5://user:pass-of-proxy@127.0.0.1:9", "http://user:pass-of-proxy@127.0.0.1:99999x"] {
        let run = through(&lab, "https", "HTTPS_PROXY", proxy).start().end_with(b"data").code(1);
        run.says("HTTPS_PROXY").says("http://proxy.example:3128").does_not_say("pass-of-proxy");
    }
}
