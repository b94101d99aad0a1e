//! `reader` on stores without Live Read, where the test plays the writer and puts live objects.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use live_read::protocol::live_objects::{
    END_METADATA, EndMark, Head, LENGTH_METADATA, Names, OBJECTS_METADATA, Pointer, Prefix, RecordingId, State,
};
use live_read::protocol::part::PartSize;

use tokio::runtime::{Builder, Runtime};

use super::show::{KEY, long, place};
use crate::support::independent::Independent;
use crate::support::lab::Lab;
use crate::support::media::frames;
use crate::support::run::await_that;
use crate::support::{BUCKET, bytes};

/// The writer's side of one recording.
struct Maker {
    client: Client,
    runtime: Runtime,
    key: String,
    names: Names,
    id: RecordingId,
    head: Head,
    upload: String,
    data: Vec<u8>,
}

impl Maker {
    fn begin(client: Client, key: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let names = Names::new(&Prefix::default(), key).expect("names");
        let id = RecordingId::new(1_795_271_629, 7);
        let created = client.create_multipart_upload().bucket(BUCKET).key(key).metadata(OBJECTS_METADATA, id.as_str());
        let upload = runtime.block_on(created.send()).expect("it is started").upload_id.expect("an id");
        let mut head = Head::new(id.clone(), upload.clone(), PartSize::DEFAULT);
        head.max_latency = Some(1_000);
        let key = key.to_owned();
        let maker = Self { client, runtime, key, names, id, head, upload, data: Vec::new() };
        maker.beat();
        maker.put(&maker.names.pointer(), &Pointer::new(maker.id.clone()).to_bytes(), None);
        maker
    }

    fn put(&self, key: &str, body: &[u8], metadata: Option<(&str, String)>) {
        let mut put = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.to_vec()));
        if let Some((name, value)) = metadata {
            put = put.metadata(name, value);
        }
        self.runtime.block_on(put.send()).expect("it is written");
    }

    fn beat(&self) {
        self.put(&self.names.head(&self.id), &self.head.to_bytes(), None);
    }

    fn object(&mut self, body: &[u8]) {
        let name = self.names.object(&self.id, self.head.run().run, self.head.edge());
        self.put(&name, body, Some((LENGTH_METADATA, body.len().to_string())));
        assert!(self.head.push(body.len() as u64).is_none(), "a page is full");
        self.data.extend_from_slice(body);
    }

    fn complete(&self) {
        let mark = EndMark(self.head.edge());
        let name = self.names.object(&self.id, self.head.run().run, mark.0);
        self.put(&name, mark.body().as_bytes(), Some((END_METADATA, mark.metadata())));
        let parts = (1..).zip(self.data.chunks(5 << 20)).map(|(number, part)| {
            let put = self.client.upload_part().bucket(BUCKET).key(&self.key).upload_id(&self.upload);
            let put = put.part_number(number).body(ByteStream::from(part.to_vec()));
            let tag = self.runtime.block_on(put.send()).expect("a part").e_tag.expect("its tag");
            CompletedPart::builder().part_number(number).e_tag(tag).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let complete = self.client.complete_multipart_upload().bucket(BUCKET).key(&self.key).upload_id(&self.upload);
        let done = self.runtime.block_on(complete.multipart_upload(parts).send());
        // moto gives its answer a root of another name, which this client cannot read.
        let accepted =
            |error: &SdkError<_, HttpResponse>| error.raw_response().is_some_and(|raw| raw.status().is_success());
        assert!(done.as_ref().map_or_else(accepted, |_| true), "it is not complete: {done:?}");
    }

    fn clean(&mut self) {
        self.head.state = State::Complete;
        self.beat();
        let listed = self.client.list_objects_v2().bucket(BUCKET).prefix(self.names.folder()).send();
        for object in self.runtime.block_on(listed).expect("a list").contents() {
            let key = object.key().expect("a key");
            self.runtime.block_on(self.client.delete_object().bucket(BUCKET).key(key).send()).expect("it is deleted");
        }
    }
}

fn no_lists(lab: &Lab) {
    let lists = ["ListMultipartUploads", "ListParts", "ListObjectsV2", "ListObjects"];
    for operation in lists {
        assert_eq!(lab.count(false, operation, "200") + lab.count(false, operation, "403"), 0, "{operation}");
    }
}

#[test]
fn bytes_come_out_before_the_upload_is_complete_and_the_end_follows_soon() {
    for quirks in [&[][..], &["unversioned", "torn-put", "torn-complete"], &["denied-missing"]] {
        let lab = Lab::with_args(&["--no-live-read", "--user", "reads:reads-secret:read"]);
        lab.quirks(quirks);
        let reader = lab.reader(&[KEY, "--live", "objects", "--poll-interval", "0.2"]);
        reader.wait_for("waiting for a recording");
        let mut maker = Maker::begin(lab.client(), KEY);
        let data = bytes(3, 900_000);
        for (number, piece) in (1..).zip(data.chunks(100_000)) {
            maker.object(piece);
            reader.wait_output(number * 100_000);
        }
        no_lists(&lab);
        let ended = Instant::now();
        maker.complete();
        let reader = reader.wait().code(0).gave(&data);
        assert!(ended.elapsed() <= Duration::from_millis(1_500), "{quirks:?}: {:?}", ended.elapsed());
        reader.says("by its live objects");
        no_lists(&lab);
    }
}

#[test]
fn by_itself_it_finds_live_objects_where_there_is_no_live_read() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let waits = lab.reader(&[KEY]);
    waits.wait_for("waiting for an upload");
    let mut maker = Maker::begin(lab.client(), KEY);
    let data = bytes(4, 250_000);
    maker.object(&data[..100_000]);
    waits.wait_output(100_000);
    let late = lab.reader(&[KEY, "--no-wait"]);
    let pinned = lab.reader(&[KEY, "--upload-id", maker.id.as_str()]);
    for reader in [&late, &pinned] {
        reader.wait_output(100_000);
    }
    maker.object(&data[100_000..]);
    maker.complete();
    maker.clean();
    for reader in [waits, late, pinned] {
        reader.wait().code(0).gave(&data);
    }
}

#[test]
fn a_killed_reader_goes_on_after_what_its_file_holds() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let mut maker = Maker::begin(lab.client(), KEY);
    let data = bytes(5, 400_000);
    maker.object(&data[..150_000]);
    let file = lab.dir().join("copy.mp4");
    let holds = || std::fs::metadata(&file).map_or(0, |file| file.len());
    let first = lab.reader(&[KEY, "copy.mp4"]);
    await_that("the first object in the file", || holds() == 150_000);
    drop(first);
    maker.object(&data[150_000..300_000]);
    maker.beat();
    for mode in ["auto", "objects"] {
        let again = lab.reader(&[KEY, "copy.mp4", "--resume", "--live", mode]);
        again.wait_for("going on from there");
        await_that("the second object in the file", || holds() == 300_000);
        drop(again);
    }
    let last = lab.reader(&[KEY, "copy.mp4", "--resume"]);
    last.wait_for("going on from there");
    maker.object(&data[300_000..]);
    maker.complete();
    maker.clean();
    last.wait().code(0);
    assert!(std::fs::read(&file).expect("the file") == data, "other bytes");
}

#[test]
fn it_joins_live_by_a_few_requests_and_goes_on_over_the_end() {
    let source = long();
    let all = frames(&source, "the source");
    for mode in ["objects", "auto"] {
        let lab = Lab::with_args(&["--no-live-read"]);
        let mut maker = Maker::begin(lab.client(), KEY);
        let middle = source.len() / 2;
        for piece in source[..middle].chunks(1_000_000) {
            maker.object(piece);
        }
        maker.beat();
        lab.clear_requests();
        let live = lab.reader(&[KEY, "--from", "live", "--live", mode, "--debug"]);
        live.wait_for("found the place");
        if mode == "objects" {
            assert!(lab.count_all() <= 8, "{} requests", lab.count_all());
        }
        let probe = lab.reader(&[KEY, "--probe", "--live", mode]).wait().code(0);
        assert!(String::from_utf8_lossy(&probe.out).contains("open: its upload is not complete"));
        for piece in source[middle..].chunks(1_000_000) {
            maker.object(piece);
        }
        maker.complete();
        maker.clean();
        let live = live.wait().code(0);
        let joined = frames(&live.out, "the live join");
        let at = place(&all, &joined, "the live join");
        assert_eq!(at + joined.len(), all.len(), "it goes on to the end");
        assert!(at > all.len() / 3, "{at} of {}", all.len());
    }
}

#[test]
fn it_goes_over_into_the_next_object_of_a_rollover() {
    for mode in ["objects", "auto"] {
        let lab = Lab::with_args(&["--no-live-read"]);
        let mut first = Maker::begin(lab.client(), KEY);
        let reader = lab.reader(&[KEY, "--follow-rollover", "--live", mode]);
        first.object(b"one ");
        reader.wait_output(4);
        let second_key = live_read::protocol::key::numbered(KEY, 2);
        let mut second = Maker::begin(lab.client(), &second_key);
        second.id = RecordingId::new(second.id.started() + 5, 9);
        second.head = Head::new(second.id.clone(), second.upload.clone(), PartSize::DEFAULT);
        second.beat();
        second.put(&second.names.pointer(), &Pointer::new(second.id.clone()).to_bytes(), None);
        second.object(b"two ");
        first.complete();
        first.clean();
        reader.wait_output(8);
        second.object(b"three");
        reader.wait_output(13);
        // KEY names the recording that its upload was started with.
        let client = lab.client();
        let key = &second_key;
        let put = client.put_object().bucket(BUCKET).key(key).metadata(OBJECTS_METADATA, second.id.as_str());
        lab.run(put.body(ByteStream::from_static(b"two three")).send()).expect("it is complete");
        second.clean();
        reader.wait().code(0).gave(b"one two three").says("in 2 objects");
    }
}

#[test]
fn a_writer_that_falls_silent_is_waited_for_as_long_as_was_asked() {
    let lab = Lab::with_args(&["--no-live-read"]);
    let mut maker = Maker::begin(lab.client(), KEY);
    maker.object(b"bytes");
    let late = lab.reader(&[KEY, "--live", "objects", "--timeout", "2"]).wait();
    late.code(1).says("nothing new has come for 2 s").gave(b"bytes");
}

/// Readers of each kind beside a writer, on a store of another make.
fn is_read_on(store: &Independent) {
    let waits = store.reader(&[KEY, "--live", "objects"]).start();
    waits.wait_for("waiting for a recording");
    let mut maker = Maker::begin(store.client(), KEY);
    let data = bytes(6, 1_000_000);
    let mut late = None;
    for (number, piece) in (1..).zip(data.chunks(100_000)) {
        maker.object(piece);
        waits.wait_output(number * 100_000);
        if number == 5 {
            late = Some(store.reader(&[KEY]).start());
        }
    }
    let ended = Instant::now();
    maker.complete();
    maker.clean();
    waits.wait().code(0).gave(&data);
    assert!(ended.elapsed() <= Duration::from_secs(4), "{:?}", ended.elapsed());
    late.expect("a second reader").wait().code(0).gave(&data);
}

#[test]
fn on_moto() {
    if let Some(store) = Independent::moto() {
        is_read_on(&store);
    }
}

#[test]
fn on_s3rver() {
    if let Some(store) = Independent::s3rver() {
        is_read_on(&store);
    }
}

#[test]
fn on_ceph() {
    if let Some(store) = Independent::ceph() {
        is_read_on(&store);
    }
}
