//! Live objects on stores by others: a whole upload in this process, read by name alone while it is written.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use live_read::object::tap::{Tap, Taps};
use live_read::protocol::live_objects::{DocumentError, MAX_DOCUMENT, Met, Names, Pointer, Prefix};
use live_read::protocol::part::PartSize;
use live_read::store::live_check::LiveRead;
use live_read::store::retry::Retry;
use live_read::store::{Access, Connection, Patient, Store};
use live_read::tool::progress::Progress;
use live_read::writer::live_objects::{Recorder, Settings, Wanted, When};
use live_read::writer::plan::Plan;
use live_read::writer::pool::Idle;
use live_read::writer::source::Source;
use live_read::writer::spool::SpoolSettings;
use live_read::writer::upload::{Ended, write};
use tokio::sync::watch;

use crate::support::independent::Independent;
use crate::support::run::assert_same;
use crate::support::{BUCKET, bytes};

const KEY: &str = "live/a stream+ü.mp4";

async fn connect(endpoint: &str) -> Patient {
    let retry = Retry { give_up_after: Duration::from_secs(60) };
    let connection = Connection {
        bucket: BUCKET.to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        path_style: true,
        access: Access::Anonymous,
        stall_timeout: None,
        retry,
    };
    Store::connect(&connection).await.expect("a store").0.patient(retry)
}

fn plan(when: When) -> Plan {
    let wanted = Wanted::WithoutLiveRead { presumed: LiveRead::Off };
    let live = Recorder::new(Settings { prefix: Prefix::default(), when, wanted });
    let taps: Taps = [Arc::new(live.clone()) as Arc<dyn Tap>].into_iter().collect();
    Plan {
        key: KEY.to_owned(),
        part_size: PartSize::DEFAULT,
        idle: Idle::default(),
        concurrency: 3,
        content_type: Some("video/mp4".to_owned()),
        spool: SpoolSettings { dir: std::env::temp_dir(), make_dir: false, limit: 0 },
        at_once: watch::channel(false).1,
        taps,
        tail: None,
        live_read: true,
        live: Some(live),
    }
}

/// Reads by the next name alone until the end mark, and what else there is from the key once that is of the recording.
async fn read(store: &Patient) -> Vec<u8> {
    let names = Names::new(&Prefix::default(), KEY).expect("a short key");
    let pause = || tokio::time::sleep(Duration::from_millis(20));
    let recording = loop {
        let pointer = store.get_small(&names.pointer(), MAX_DOCUMENT).await.expect("answered");
        match pointer.map(|pointer| Pointer::parse(&pointer.bytes)) {
            // A store of plain files may show one that is just being written.
            None | Some(Err(DocumentError::Malformed(_))) => pause().await,
            Some(pointer) => break pointer.expect("a pointer").recording,
        }
    };
    let (mut read, mut complete) = (Vec::new(), false);
    loop {
        let offset = read.len() as u64;
        let small = store.get_small(&names.object(&recording, 0, offset), 1 << 26).await.expect("answered");
        match small.as_ref().map(|small| small.marks.met(offset, small.bytes.len() as u64)) {
            Some(Met::Bytes(_)) => read.extend_from_slice(&small.expect("it is there").bytes),
            Some(Met::End) => return read,
            _ => {
                // What came between the two requests is there at the next look.
                assert!(!complete, "all was there before the end was met: {offset} bytes were read");
                complete = store.head(KEY, None).await.expect("answered").is_some();
                pause().await;
            }
        }
    }
}

/// Lets everybody in: this process has no credentials of its own.
fn open_to_all(independent: &Independent) {
    let all = format!("arn:aws:s3:::{BUCKET}");
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [all, format!("{all}/*")] }],
    });
    let request = independent.client().put_bucket_policy().bucket(BUCKET).policy(policy.to_string());
    // Stores without policies let everybody in anyway.
    drop(independent.runtime().block_on(request.send()));
}

fn records(independent: &Independent) {
    open_to_all(independent);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let data = bytes(3, 3 * (5 << 20) + 77);
    for when in [When::PartIsFull, When::After(Duration::from_millis(100))] {
        runtime.block_on(async {
            let store = connect(&independent.endpoint).await;
            let (stop, stops) = watch::channel(false);
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let follow = Some(Duration::from_secs(3600));
            let mut source = Source::file(file.path(), follow, stops).await.expect("it opens");
            let (reader, plan) = (store.clone(), plan(when));
            let reader = tokio::spawn(async move { read(&reader).await });
            let fed = data.clone();
            let feed = tokio::spawn(async move {
                for some in fed.chunks(500_000) {
                    file.write_all(some).expect("written");
                    tokio::time::sleep(Duration::from_millis(60)).await;
                }
                stop.send_replace(true);
                file
            });
            let progress = Arc::new(Progress::default());
            let ended = Box::pin(write(&store, &plan, None, &mut source, &progress)).await.expect("it completes");
            assert!(matches!(ended, Ended::Completed { bytes, .. } if bytes == data.len() as u64), "{ended:?}");
            drop(feed.await);
            assert_same(&reader.await.expect("it ends"), &data, "what was read live");
            let object = store.get_small(KEY, 1 << 26).await.expect("answered").expect("the object");
            assert_same(&object.bytes, &data, "the object");
            assert!(object.marks.objects.is_some(), "the object does not name its recording");
            let left = store.objects("").await.expect("listed");
            assert_eq!(left, [KEY], "{when:?}");
            let object = live_read::store::Version { key: KEY.to_owned(), version: None };
            store.once().delete(&object).await.expect("deleted");
        });
    }
}

#[test]
fn on_moto() {
    if let Some(store) = Independent::moto() {
        records(&store);
    }
}

#[test]
fn on_s3rver() {
    if let Some(store) = Independent::s3rver() {
        records(&store);
    }
}
