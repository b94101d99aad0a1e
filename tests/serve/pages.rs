//! Pages of `reader --serve`, without a browser: what they say, what they may load, and the figures for Prometheus.

use super::scene::{Gateway, KEY};
use crate::support::lab::Lab;
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, bytes};

#[test]
fn the_front_page_is_a_list_of_what_is_live_and_what_is_recorded() {
    let lab = Lab::new();
    let id = lab.begin(KEY);
    lab.part(KEY, &id, 1, &bytes(1, PART));
    for key in ["old/<b>one</b>.mp4", "notes.txt", "_live/hidden"] {
        lab.put(key, b"hello");
    }
    let gateway = Gateway::start(&lab, &["-b", BUCKET, "-b", PUBLIC_BUCKET]);
    let page = gateway.get("/", &[]);
    assert_eq!((page.status, page.header("content-type").as_deref()), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body).expect("text");
    let (live, recorded) = text.split_once(">Recorded<").expect("two lists");
    assert!(live.contains("href=\"play/shows/match.mp4\"") && !recorded.contains(KEY), "{text}");
    assert!(recorded.contains("href=\"play/old/%3Cb%3Eone%3C/b%3E.mp4\""), "{text}");
    assert!(recorded.contains("href=\"watch?v=notes.txt\"") && recorded.contains("&lt;b&gt;one&lt;/b&gt;"), "{text}");
    assert!(!text.contains("_live") && !text.contains("<b>") && !text.contains("style="), "{text}");
    let other = gateway.get("/?bucket=public-bucket", &[]);
    assert!(String::from_utf8_lossy(&other.body).contains("There is nothing here."));
    assert_eq!(gateway.get("/?bucket=none", &[]).status, 403);
    // Everything that it names beside itself is there.
    for name in ["page/front.css", "page/front.js", "page/icon.svg", "docs"] {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
        assert_eq!(gateway.get(&format!("/{name}"), &[]).status, 200, "{name}");
    }
}

#[test]
fn the_player_is_in_the_program() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let page = gateway.get("/play/shows/match.mp4", &[]);
    assert_eq!(page.status, 200);
    let text = String::from_utf8(page.body).expect("text");
    assert!(text.contains("<meta name=\"live-read-src\" content=\"../../hls/shows/match.mp4/index.m3u8\">"), "{text}");
    for (name, kind) in [
        ("hls.light.min.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let asset = gateway.get(&format!("/page/{name}"), &[]);
        assert_eq!((asset.status, asset.header("content-type").as_deref()), (200, Some(kind)), "{name}");
        let tag = asset.header("etag").expect("a tag");
        assert_eq!(gateway.get(&format!("/page/{name}"), &[("if-none-match", &tag)]).status, 304, "{name}");
        assert!(gateway.ask("HEAD", &format!("/page/{name}"), &[]).body.is_empty());
    }
    for (path, status) in [
        ("/page/", 404),
        ("/page/../Cargo.toml", 404),
        ("/page/nothing.js", 404),
        ("/play/a/../b", 400),
        ("/play/_live/x", 404),
        ("/play/a?bucket=other", 403),
    ] {
        assert_eq!(gateway.get(path, &[]).status, status, "{path}");
    }
}

#[test]
fn the_interface_describes_itself_and_loads_nothing_from_elsewhere() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &[]);
    let document = gateway.json("/openapi.json", &[]);
    assert_eq!(document["openapi"], "3.1.0");
    let page = gateway.get("/docs", &[]);
    let text = String::from_utf8(page.body).expect("text");
    for path in document["paths"].as_object().expect("paths").keys() {
        assert!(text.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(!text.contains("://") && !text.contains("<script"), "{text}");
}

#[test]
fn figures_count_what_happened_and_name_nobody() {
    let lab = Lab::new();
    let data = bytes(2, 300_000);
    lab.put(KEY, &data);
    let gateway = Gateway::start(&lab, &[]);
    for _ in 0..3 {
        assert_eq!(gateway.get(&format!("/watch?v={KEY}"), &[]).body.len(), data.len());
    }
    gateway.get("/watch?v=nothing-of-this-name", &[]);
    let answer = gateway.get("/metrics", &[]);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let text = String::from_utf8(answer.body).expect("text");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse::<u64>().expect("a number")
    };
    assert_eq!(value("live_read_answers_total{route=\"/watch\",status=\"2xx\"}"), 3);
    assert_eq!(value("live_read_answers_total{route=\"/watch\",status=\"4xx\"}"), 1);
    assert!(value("live_read_sent_bytes_total ") >= 900_000);
    assert!(value("live_read_memory_bytes ") >= 300_000 && value("live_read_connections ") >= 1);
    assert!(value("live_read_store_requests_total{kind=\"read\"}") >= 2);
    assert!(!text.contains("shows") && !text.contains("127.0.0.1"), "{text}");
}
