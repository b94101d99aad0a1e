//! The pair on stores without Live Read: on the local one with the quirks of others, and on stores by others.

use std::time::{Duration, Instant};

use crate::support::independent::Independent;
use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same};
use crate::support::{BUCKET, PART, bytes};

const KEY: &str = "live/stream.mp4";

/// The smallest part of most stores.
const FULL_PART: usize = 5 << 20;

/// The end of an upload is to be seen within two seconds; this is what a slow machine may take, and far from the half minute
/// between two lists.
const SOON: Duration = Duration::from_secs(8);

/// How an upload is to be read live: not at all, or as it is without a word.
const NOT_LIVE: (&[&str], &str) = (&["--live", "b2"], "readers will see nothing before the upload is complete");
const LIVE: (&[&str], &str) = (&["--max-latency", "200ms"], "no Live Read here: readers can follow by live objects");

/// Writes into `writer`, which says this at its start, beside two readers, of which one was there before, and ends it. Where it
/// is read live they have the first half before there is a second.
fn watch(reader: impl Fn() -> Run, writer: impl FnOnce() -> Run, (options, says): (&[&str], &str), data: &[u8]) {
    let before = reader();
    before.wait_for("waiting for an upload");
    let mut writer = writer();
    writer.wait_for(says);
    let beside = reader();
    let (first, rest) = data.split_at(PART + PART / 2);
    writer.write(first);
    if options == LIVE.0 {
        for reader in [&before, &beside] {
            reader.wait_output(first.len());
        }
    }
    writer.write(rest);
    writer.end().code(0);
    let ended = Instant::now();
    for reader in [before, beside] {
        reader.wait().code(0).gave(data);
    }
    assert!(ended.elapsed() < SOON, "the end was seen after {:?}", ended.elapsed());
}

#[test]
fn readers_see_the_end_at_once_where_nothing_can_be_read_live() {
    let rows: [&[&str]; 5] = [
        &[],
        &["unversioned"],
        &["unversioned", "no-list"],
        &["unversioned", "no-conditions", "no-part-copy", "put-kills-upload", "append-ignored"],
        &["unversioned", "same-key-429"],
    ];
    std::thread::scope(|scope| {
        for quirks in rows {
            scope.spawn(move || {
                let lab = Lab::with_args(&["--no-live-read"]);
                lab.quirks(quirks);
                let data = bytes(1, 2 * PART + 77);
                // As people start it, with the pace of its own.
                let env = lab.env();
                let reader = || {
                    let launch = Launch::bare_reader(&[KEY]).cwd(lab.dir());
                    env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start()
                };
                watch(reader, || lab.writer(&[&[KEY, "-s", "5000000"], NOT_LIVE.0].concat()), NOT_LIVE, &data);
                assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
            });
        }
    });
}

/// The pair on a store of another make: byte for byte, while readers wait and afterwards.
fn copies(store: &Independent) {
    let data = bytes(2, 2 * FULL_PART + 77);
    for (key, how) in [(KEY, NOT_LIVE), ("live/other.mp4", LIVE)] {
        let writer = || store.writer(&[&[key], how.0].concat()).start();
        watch(|| store.reader(&[key]).start(), writer, how, &data);
    }
    // Others may have live objects there at the same time.
    let listed = store.client().list_objects_v2().bucket(BUCKET).prefix("_live/live/");
    let listed = store.runtime().block_on(listed.send()).expect("a list");
    assert_eq!(listed.contents().len(), 0, "{:?}", listed.contents());
    store.reader(&[KEY, "--no-wait"]).start().wait().code(0).gave(&data);
    let object = store.client().get_object().bucket(BUCKET).key(KEY);
    let object = store.runtime().block_on(async { object.send().await.expect("the object").body.collect().await });
    assert_same(&object.expect("its bytes").to_vec(), &data, "the object");
}

/// An upload with one part that was left open; its id.
fn left_open(store: &Independent, key: &str, part: &[u8]) -> String {
    let client = store.client();
    store.runtime().block_on(async {
        let begun = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.expect("an upload");
        let id = begun.upload_id().expect("its id").to_owned();
        let put = client.upload_part().bucket(BUCKET).key(key).upload_id(&id).part_number(1);
        put.body(part.to_vec().into()).send().await.expect("a part");
        id
    })
}

/// An upload that was left open is gone on with, and one is cancelled.
fn goes_on(store: &Independent) {
    let data = bytes(3, 2 * FULL_PART + 77);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &data).expect("its bytes");
    left_open(store, "resumed", &data[..FULL_PART]);
    let path = file.path().display().to_string();
    let run = store.writer(&["resumed", &path, "--no-follow", "--resume"]).start().wait().code(0);
    run.says("it keeps 1 part");
    store.reader(&["resumed", "--no-wait"]).start().wait().code(0).gave(&data);
    let id = left_open(store, "cancelled", b"data");
    store.writer(&["cancelled", "--abort", "--yes"]).start().wait().code(0).says(&format!("cancelled the upload {id}"));
}

#[test]
fn on_moto() {
    if let Some(store) = Independent::moto() {
        copies(&store);
        goes_on(&store);
    }
}

#[test]
fn on_s3rver() {
    if let Some(store) = Independent::s3rver() {
        copies(&store);
        // It lists no uploads and cancels none.
        for errand in [&["--resume"][..], &["--abort", "--yes"]] {
            let run = store.writer(&[&[KEY], errand].concat()).start().end();
            run.failed_with_one_message("s3://bucket/live/stream.mp4").says("501 NotImplemented");
        }
        let check = store.writer(&["--check"]).start().wait().code(1);
        check.says("the store has no list of open uploads").says("by live objects below");
    }
}

#[test]
fn on_ceph() {
    if let Some(store) = Independent::ceph() {
        copies(&store);
        goes_on(&store);
    }
}
