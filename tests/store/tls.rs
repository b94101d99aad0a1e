//! The tools over TLS, as with every real store: the local store with a certificate of its own.

use serde_json::json;

use crate::support::lab::Lab;
use crate::support::proxy::Weather;
use crate::support::run::{Launch, assert_same};
use crate::support::scene::{KEY, Scene};
use crate::support::{PART, bytes, present, s3};

#[test]
fn the_pair_copies_every_byte_by_either_hash_of_the_parts() {
    for (hash, by_md5) in [("md5", true), ("sha256", false)] {
        let store = Lab::with_tls();
        let data = bytes(1, 2 * PART + 12_345);
        let reader = Launch::reader(&store, &[KEY]).start();
        reader.wait_for("waiting for an upload");
        let writer = Launch::writer(&store, &[KEY, "-s", "5000000"]).env("LIVE_READ_PART_HASH", hash).start();
        writer.end_with(&data).code(0);
        reader.wait().code(0).gave(&data);
        let log = store.request_log();
        let parts = log.iter().filter(|line| line["operation"] == "UploadPart").collect::<Vec<_>>();
        assert!(parts.len() == 3 && parts.iter().all(|part| part["content_md5"] == by_md5), "{hash}: {parts:?}");
        assert_same(&store.object(KEY).expect("the object"), &data, hash);
    }
}

#[test]
fn a_part_that_was_changed_on_the_way_is_refused_by_its_md5() {
    // TLS keeps the bytes from being changed on the way, so this asks the store: what it was told is not what it got.
    let store = Lab::with_tls();
    let client = store.client();
    let refused = store.run(async {
        let id = s3::start(&client, KEY).await;
        let request = client.upload_part().bucket(crate::support::BUCKET).key(KEY).upload_id(id).part_number(1);
        let request = request.content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").body(b"data".to_vec().into());
        s3::code(request.customize().disable_payload_signing().send().await)
    });
    assert_eq!(refused, (400, "BadDigest".to_owned()));
}

#[test]
fn connections_that_are_cut_or_reset_are_gone_on_with() {
    for weather in [Weather::Cut(3_000_000), Weather::Reset(3_000_000)] {
        let scene = Scene::with_tls();
        let data = bytes(2, 2 * PART + 777);
        let (reader, copy) = scene.reader(&["--chunk-size", "5000000"]);
        scene.network.set(weather);
        let (writer, feeder) = scene.writer(&["--stall-timeout", "2s"], &data);
        scene.network.wait_struck(2);
        scene.network.set(Weather::Fine);
        drop(feeder.join().expect("the feeder"));
        writer.end().code(0);
        let log = reader.end().code(0).err;
        assert_same(&std::fs::read(copy).expect("the copy"), &data, &log);
        assert_same(&scene.object(), &data, "the object");
    }
}

#[test]
fn answers_that_are_cut_inside_of_tls_are_asked_for_again() {
    let store = Lab::with_tls();
    let data = bytes(3, PART + 5);
    // Not that of the start: then two uploads are open, and which of them the reader takes is another matter.
    let lost = ["UploadPart", "CompleteMultipartUpload", "HeadObject"];
    let lost = lost.map(|operation| json!({"operation": operation, "times": 1, "lose_answer": true}));
    let mut rules = vec![json!({"operation": "GetObject", "times": 2, "cut_after": 100_000})];
    rules.extend(lost);
    store.faults(&json!(rules));
    let reader = Launch::reader(&store, &[KEY]).start();
    // Who asks first while a recording is completed cannot tell it from one that was there before.
    reader.wait_for("waiting for an upload");
    Launch::writer(&store, &[KEY, "-s", "5000000"]).start().end_with(&data).code(0);
    reader.wait().code(0).gave(&data);
    assert!(store.acted(0) == 2, "the bodies were cut");
}

#[test]
fn a_store_that_starts_again_is_still_trusted() {
    let mut store = Lab::with_tls();
    let data = bytes(4, 1_000);
    let mut writer = Launch::writer(&store, &[KEY]).start();
    writer.wait_for("upload id");
    writer.write(&data);
    store.restart();
    writer.end().code(0);
    assert_same(&store.object(KEY).expect("the object"), &data, "the object");
}

#[test]
fn a_store_whose_authority_is_not_known_is_not_talked_to() {
    let store = Lab::with_tls();
    store.clear_requests();
    // At once: no other attempt would find another certificate.
    let writer = Launch::writer(&store, &[KEY]).no_env("AWS_CA_BUNDLE").start();
    writer.end_with(b"data").failed_with_one_message("AWS_CA_BUNDLE").says("certificate");
    let reader = Launch::reader(&store, &[KEY]).no_env("AWS_CA_BUNDLE").start();
    reader.wait().failed_with_one_message("AWS_CA_BUNDLE").says("certificate");
    assert_eq!(store.requests()["bytes_in"], 0);
    let reader = Launch::reader(&store, &[KEY]).env("AWS_CA_BUNDLE", store.dir().join("data").join("tls.json")).start();
    reader.wait().failed_with_one_message("AWS_CA_BUNDLE");
}

#[test]
fn stock_clients_trust_the_authority_too() {
    let store = Lab::with_tls();
    let authority = store.authority().expect("of TLS");
    if present("curl", &["--version"]) {
        let mut curl = store.command("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]).arg(&authority).arg(store.endpoint());
        let output = curl.output().expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text, "403", "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(std::fs::read_to_string(authority).expect("the file").starts_with("-----BEGIN CERTIFICATE-----"));
}
