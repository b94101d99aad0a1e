//! Signed links of `reader --serve --link`: what they lead to, and until when.

use std::process::Command;

use aws_sdk_s3::primitives::ByteStream;

use super::scene::{Gateway, KEY, link, tokens as file};
use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same, await_that};
use crate::support::{BUCKET, PART, PUBLIC_BUCKET, bytes, present};

const TOKENS: &str = "watch viewer-token-0123456789\n";

#[test]
fn a_link_plays_its_key_without_a_token_and_nothing_else() {
    let lab = Lab::new();
    let data = bytes(30, 100_000);
    for key in [KEY, "shows/other.mp4", "secret.mp4"] {
        lab.put(key, &data);
    }
    let tokens = file(&lab, "tokens", TOKENS);
    let gateway = Gateway::start(&lab, &["--auth", &tokens]);
    let one = link(&lab, &tokens, KEY, &["--expires", "1h"]);
    assert!(one.starts_with("/s/") && one.ends_with("/play/shows/match.mp4"), "{one}");
    let root = one.strip_suffix("/play/shows/match.mp4").expect("the player").to_owned();
    let page = gateway.get(&one, &[]);
    assert_eq!(page.status, 200);
    // All that the page names beside itself can be had by the same link.
    let text = String::from_utf8(page.body).expect("text");
    let named: Vec<_> = text.split("\"../../").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.len() > 14, "{named:?}");
    for name in named.iter().filter(|name| name.starts_with("page/") || name.starts_with("watch")) {
        assert_eq!(gateway.get(&format!("{root}/{name}"), &[]).status, 200, "{name}");
    }
    assert_same(&gateway.get(&format!("{root}/watch?v={KEY}"), &[]).body, &data, "by a link");
    let range = gateway.get(&format!("{root}/watch?v={KEY}"), &[("range", "bytes=5-9")]);
    assert_eq!((range.status, range.body), (206, data[5..10].to_vec()));
    for path in [
        "watch?v=secret.mp4",
        "watch?v=shows/other.mp4",
        "live/secret.mp4",
        "play/secret.mp4",
        "buckets",
        "buckets/bucket/objects",
        "metrics",
        "watch?v=shows/match.mp4x",
    ] {
        assert_eq!(gateway.get(&format!("{root}/{path}"), &[]).status, 403, "{path}");
    }
    assert_eq!(gateway.put(&format!("{root}/buckets/bucket/objects/{KEY}"), &[], b"x").status, 403);
    let all = link(&lab, &tokens, "shows/*", &["--expires", "1h", "--base-url", "https://tv.example/"]);
    let all = all.strip_prefix("https://tv.example").expect("a whole URL");
    for (path, status) in [
        ("", 200),
        ("watch?v=shows/match.mp4", 200),
        ("watch?v=shows/other.mp4", 200),
        ("watch?v=secret.mp4", 403),
        ("watch?v=shows/../secret.mp4", 400),
        ("buckets/bucket/objects", 403),
    ] {
        assert_eq!(gateway.get(&format!("{all}{path}"), &[]).status, status, "{path}");
    }
    let front = String::from_utf8(gateway.get(all, &[]).body).expect("text");
    assert!(front.contains("shows/other.mp4") && !front.contains("secret.mp4"), "{front}");
    let front = String::from_utf8(gateway.get(&format!("{root}/?prefix=secret"), &[]).body).expect("text");
    assert!(!front.contains("secret.mp4") && !front.contains("other.mp4"), "{front}");
    // Links of other files, and links that were changed.
    let others = file(&lab, "others", "watch viewer-token-9876543210\n");
    let other = link(&lab, &others, KEY, &["--expires", "1h"]);
    assert_eq!(gateway.get(&other, &[]).status, 403);
    let mut letters: Vec<char> = root.chars().collect();
    letters[10] = if letters[10] == 'A' { 'B' } else { 'A' };
    let changed: String = letters.into_iter().collect();
    assert_eq!(gateway.get(&format!("{changed}/watch?v={KEY}"), &[]).status, 403);
    let with_token = [("authorization", "Bearer viewer-token-0123456789")];
    assert_eq!(gateway.get(&format!("{changed}/watch?v={KEY}"), &with_token).status, 403);
    // Without tokens there are no links.
    assert_eq!(Gateway::start(&lab, &[]).get(&one, &[]).status, 403);
}

#[test]
fn a_link_leads_to_its_own_bucket_whichever_the_gateway_has_first() {
    let lab = Lab::new();
    lab.put(KEY, b"the first bucket's");
    let other = lab.client().put_object().bucket(PUBLIC_BUCKET).key(KEY).body(ByteStream::from_static(b"the other's"));
    lab.run(other.send()).expect("it is put");
    let tokens = file(&lab, "tokens", TOKENS);
    let gateway = Gateway::start(&lab, &["--auth", &tokens, "-b", BUCKET, "-b", PUBLIC_BUCKET]);
    let other = format!("s3://{PUBLIC_BUCKET}/{KEY}");
    for (wanted, body) in [(KEY, "the first bucket's"), (other.as_str(), "the other's")] {
        let link = link(&lab, &tokens, wanted, &["--expires", "1h"]);
        let page = gateway.get(&link, &[]);
        assert_eq!(page.status, 200, "{link}");
        // What the page names beside itself, and what somebody types.
        let text = page.text();
        let named =
            text.split("name=\"live-read-file\" content=\"../../").nth(1).and_then(|rest| rest.split('"').next());
        let root = link.split("/play/").next().expect("a root");
        for path in [named.expect("a file").replace("&amp;", "&"), format!("watch?v={KEY}")] {
            assert_eq!(gateway.get(&format!("{root}/{path}"), &[]).text(), body, "{wanted}: {path}");
        }
        let elsewhere = if wanted == KEY { PUBLIC_BUCKET } else { BUCKET };
        assert_eq!(gateway.get(&format!("{root}/watch?v={KEY}&bucket={elsewhere}"), &[]).status, 403);
    }
}

#[test]
fn a_link_ends_with_its_time() {
    let lab = Lab::new();
    lab.put(KEY, b"hello");
    let tokens = file(&lab, "tokens", TOKENS);
    let gateway = Gateway::start(&lab, &["--auth", &tokens]);
    let soon = link(&lab, &tokens, KEY, &["--expires", "1s"]);
    await_that("it is over", || gateway.get(&soon, &[]).status == 403);
    let refused = gateway.get(&soon, &[]);
    assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"));
}

#[test]
fn what_grows_is_watched_by_a_link_and_no_log_has_it() {
    let lab = Lab::new();
    let data = bytes(31, PART);
    let id = lab.begin(KEY);
    let tokens = file(&lab, "tokens", TOKENS);
    let more = ["--serve", "127.0.0.1:0", "--auth", &tokens, "--access-log", "--debug", "--debug-sdk"];
    let gateway = Gateway::of(Launch::reader(&lab, &more).env("RUST_LOG", "trace"));
    let one = link(&lab, &tokens, KEY, &["--expires", "1h"]);
    let (root, _) = one.split_once("/play/").expect("the player");
    let etags = [lab.part(KEY, &id, 1, &data)];
    let viewer = gateway.view(&format!("{root}/watch?v={KEY}"), &[]);
    let by_http_2 = |path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--http2-prior-knowledge", "-o", "/dev/null"]).arg(gateway.url(path)).output()
    };
    if present("curl", &["--version"]) {
        drop(by_http_2(&one));
        drop(by_http_2(&format!("{root}/nothing")));
    }
    lab.wait_for_edge();
    lab.complete(KEY, &id, &etags);
    let answer = viewer.join().expect("a viewer");
    assert!(answer.whole, "{}", answer.head);
    assert_same(&answer.body, &data, "by a link");
    assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
    await_that("a line of it", || gateway.run.messages().contains("\"route\":\"/watch\""));
    let token = root.strip_prefix("/s/").expect("a token");
    let log = gateway.end("TERM").code(143).err;
    assert!(!log.contains(&token[20..60]), "{:?}", log.lines().find(|line| line.contains(&token[20..60])));
}

#[test]
fn wrong_usage_of_links_is_told_and_no_secret_with_it() {
    let lab = Lab::new();
    let tokens = file(&lab, "tokens", TOKENS);
    let short = file(&lab, "short", "watch viewer-token-0123456789\nkey hidden\n");
    for (args, code, says) in [
        (&["--serve", "--link", KEY, "--expires", "1h"][..], 2, "--auth"),
        (&["--serve", "--link", KEY, "--auth", &tokens], 2, "--expires"),
        (&[KEY, "--link", KEY, "--auth", &tokens, "--expires", "1h"], 2, "--serve"),
        (&["--serve", "--link", KEY, "--auth", &tokens, "--expires", "100000h"], 2, "--expires"),
        (&["--serve", "--link", "", "--auth", &tokens, "--expires", "1h"], 2, "--link"),
        (&["--serve", "--link", KEY, "--auth", &short, "--expires", "1h"], 2, "line 2"),
        (&["--serve", "--link", KEY, "--auth", "/nonexistent", "--expires", "1h"], 1, "--auth"),
    ] {
        let ended = Launch::reader(&lab, args).start().wait().code(code);
        assert!(ended.err.contains(says), "{args:?}: {}", ended.err);
        assert!(!ended.err.contains("hidden") && !ended.err.contains("viewer-token"), "{args:?}: {}", ended.err);
    }
}
