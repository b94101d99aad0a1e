//! The pair on stores without Live Read: on the local one with the quirks of others, and on stores by others.

use std::time::{Duration, Instant};

use crate::support::independent::Independent;
use crate::support::lab::Lab;
use crate::support::run::{Launch, Run, assert_same};
use crate::support::{BUCKET, PART, bytes};

const KEY: &str = "live/stream.mp4";

/// The end of an upload is to be seen within two seconds; this is what a slow machine may take, and far from the half minute
/// between two lists.
const SOON: Duration = Duration::from_secs(8);

/// Writes into `writer` beside two readers, of which one was there before, and ends it.
fn watch(reader: impl Fn() -> Run, writer: impl FnOnce() -> Run, data: &[u8]) {
    let before = reader();
    before.wait_for("waiting for an upload");
    let mut writer = writer();
    writer.wait_for("readers will see nothing before the upload is complete");
    let beside = reader();
    let (first, rest) = data.split_at(PART + PART / 2);
    writer.write(first);
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
                watch(reader, || lab.writer(&[KEY, "-s", "5000000"]), &data);
                assert_same(&lab.object(KEY).expect("the object"), &data, "the object");
            });
        }
    });
}

/// The pair on a store of another make: byte for byte, while readers wait and afterwards.
fn copies(store: &Independent) {
    let data = bytes(2, 2 * PART + 77);
    let (reader, writer) = (|| store.reader(&[KEY]).start(), || store.writer(&[KEY]).start());
    watch(reader, writer, &data);
    store.reader(&[KEY, "--no-wait"]).start().wait().code(0).gave(&data);
    let object = store.client().get_object().bucket(BUCKET).key(KEY);
    let object = store.runtime().block_on(async { object.send().await.expect("the object").body.collect().await });
    assert_same(&object.expect("its bytes").to_vec(), &data, "the object");
}

#[test]
fn on_moto() {
    if let Some(store) = Independent::moto() {
        copies(&store);
    }
}

#[test]
fn on_s3rver() {
    if let Some(store) = Independent::s3rver() {
        copies(&store);
    }
}

#[test]
fn on_ceph() {
    if let Some(store) = Independent::ceph() {
        copies(&store);
    }
}
