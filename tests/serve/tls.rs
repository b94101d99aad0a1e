//! `reader --serve` with a certificate: the same answers over TLS, by HTTP/1.1 and HTTP/2, and a renewed certificate.

use std::path::Path;
use std::process::Command;

use super::scene::KEY;
use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same, await_some, await_that};
use crate::support::{PART, bytes, certificate, present};

#[test]
fn the_same_is_served_over_tls_and_a_renewed_certificate_needs_no_restart() {
    if !present("curl", &["--version"]) {
        return;
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    let [chain, key] = certificate(dir.path(), "one");
    let data = bytes(40, 2 * PART);
    let mut run = Launch::reader(&lab, &["--serve", "127.0.0.1:0", "--tls-cert", &chain, "--tls-key", &key]).start();
    let line = await_some("the address", || {
        let text = String::from_utf8(run.output()).expect("text");
        assert!(run.is_running() || text.ends_with('\n'), "{}", run.messages());
        text.ends_with('\n').then_some(text)
    });
    let port = line.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    assert!(line.starts_with("https://127.0.0.1:"), "{line}");
    let url = format!("https://localhost:{port}/watch?v={KEY}");
    let curl = |trusted: &str, version: &str, file: &Path| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert", trusted]);
        curl.args([version, "-w", "%{http_version}", "-o"]).arg(file).arg(&url);
        curl
    };
    let id = lab.begin(KEY);
    let first = lab.part(KEY, &id, 1, &data[..PART]);
    let looks = || lab.count(true, "GetObject", "416");
    let (one, two) = (dir.path().join("one.mp4"), dir.path().join("two.mp4"));
    let viewers = [("--http1.1", &one), ("--http2", &two)].map(|(version, file)| {
        let mut curl = curl(&chain, version, file);
        (version, file, curl.stdout(std::process::Stdio::piped()).spawn().expect("curl"))
    });
    await_that("both are at the edge", || {
        // The last few bytes wait in curl.
        let there = |file: &Path| std::fs::metadata(file).is_ok_and(|file| file.len() > PART as u64 - 100_000);
        there(&one) && there(&two) && looks() > 1
    });
    let etags = [first, lab.part(KEY, &id, 2, &data[PART..])];
    lab.complete(KEY, &id, &etags);
    for (version, file, viewer) in viewers {
        let ended = viewer.wait_with_output().expect("curl");
        assert!(ended.status.success(), "{version}");
        let spoken = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert_eq!(spoken, if version == "--http2" { "2" } else { "1.1" });
        assert_same(&std::fs::read(file).expect("a file"), &data, version);
    }
    // Who speaks no TLS gets no answer.
    let plain = Command::new("curl").args(["-sS", "--noproxy", "*", &url.replace("https", "http")]).output();
    assert!(!plain.expect("curl").status.success());
    // Another certificate in the same place is shown to who comes next.
    let [renewed, its_key] = certificate(dir.path(), "two");
    let other = dir.path().join("old.pem");
    std::fs::copy(&chain, &other).expect("a copy");
    std::fs::copy(&its_key, &key).expect("a copy");
    std::fs::copy(&renewed, &chain).expect("a copy");
    await_that("the new one is shown", || curl(&renewed, "--http2", &one).status().is_ok_and(|ended| ended.success()));
    let old = curl(other.to_str().expect("a path"), "--http2", &one).output().expect("curl");
    assert!(!old.status.success());
    run.signal("TERM");
    run.wait().code(143);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    let [chain, key] = certificate(dir.path(), "one");
    let [_, other] = certificate(dir.path(), "two");
    for (chain, key) in [("/nonexistent", key.as_str()), (&chain, "/nonexistent"), (&key, &key), (&chain, &other)] {
        let args = ["--serve", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key];
        let ended = Launch::reader(&lab, &args).start().wait().code(1);
        assert!(ended.err.contains("certificate"), "{chain} {key}: {}", ended.err);
    }
}
