//! Whole uploads with live objects beside them, on the store in memory.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::object::tap::Taps;
use crate::protocol::live_objects::MAX_DOCUMENT;
use crate::protocol::live_objects::Pointer;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Shelf};
use crate::tool::progress::Progress;
use crate::writer::plan::Plan;
use crate::writer::pool::Idle;
use crate::writer::source::Source;
use crate::writer::spool::SpoolSettings;
use crate::writer::upload::{Ended, write};

fn input(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at / 5 + at / 997) % 251).expect("small")).collect()
}

fn plan(settings: Option<Settings>, part_size: u64) -> Plan {
    let live = settings.map(Recorder::new);
    Plan {
        key: "a/live.mp4".to_owned(),
        part_size: PartSize::new(part_size).expect("a part size"),
        concurrency: 2,
        idle: Idle::default(),
        content_type: Some("video/mp4".to_owned()),
        spool: SpoolSettings { dir: std::env::temp_dir(), make_dir: false, limit: 0 },
        at_once: tokio::sync::watch::channel(false).1,
        taps: live.iter().map(|live| Arc::new(live.clone()) as Arc<dyn Tap>).collect::<Taps>(),
        tail: None,
        live_read: true,
        live,
    }
}

fn settings(when: When) -> Settings {
    let wanted = Wanted::WithoutLiveRead { presumed: LiveRead::Off };
    Settings { prefix: Prefix::default(), when, wanted }
}

/// Uploads `input`.
async fn run(plan: &Plan, store: &Patient, input: &[u8]) -> Ended {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(input).expect("written");
    let stop = tokio::sync::watch::channel(false).1;
    let mut source = Source::file(file.path(), None, stop).await.expect("it opens");
    let progress = Arc::new(Progress::default());
    Box::pin(write(store, plan, None, &mut source, &progress)).await.expect("it completes")
}

fn store() -> (Patient, Shelf) {
    let (store, shelf) = scripted::store();
    (store.patient(Retry { give_up_after: Duration::from_secs(60) }), shelf)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_upload_has_live_objects_and_leaves_none() {
    for (when, input_size) in
        [(When::PartIsFull, 12_000_000), (When::After(Duration::from_millis(50)), 12_000_000), (When::PartIsFull, 0)]
    {
        let (store, shelf) = store();
        shelf.without_live_read();
        let (plan, input) = (plan(Some(settings(when)), 5_000_000), input(input_size));
        let ended = run(&plan, &store, &input).await;
        assert_eq!(ended == Ended::Empty, input.is_empty());
        if input.is_empty() {
            assert!(shelf.keys().is_empty() && shelf.open("a/live.mp4").is_empty(), "{:?}", shelf.keys());
            continue;
        }
        assert!(shelf.object("a/live.mp4").expect("an object") == input);
        assert_eq!(shelf.keys(), ["a/live.mp4"]);
        // Parts that are full before the store has said that it has no Live Read are sent, too.
        let copies = shelf.count(Op::CopyPart);
        assert!(copies <= 2, "{copies}");
        let marked = |asked: &scripted::Asked| asked.headers.iter().any(|(name, _)| name.ends_with("live-read-end"));
        let asked = shelf.asked();
        let mark = asked.iter().position(marked).expect("the end is marked");
        let complete = asked.iter().position(|asked| asked.op == Op::Complete).expect("it is completed");
        assert!(mark < complete && !asked[..complete].iter().any(|asked| asked.op == Op::DeleteMany));
        let put_part = asked.iter().rposition(|asked| asked.op == Op::PutPart).expect("the last part");
        assert!(put_part < mark, "readers look at the key before all parts are stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_live_read_there_are_no_live_objects_unless_they_are_wanted() {
    for wanted in [Wanted::WithoutLiveRead { presumed: LiveRead::Off }, Wanted::Always] {
        let (store, shelf) = store();
        let input = input(6_000_000);
        run(&plan(Some(Settings { wanted, ..settings(When::PartIsFull) }), 5_000_000), &store, &input).await;
        assert_eq!(shelf.keys(), ["a/live.mp4"]);
        let puts = shelf.asked().iter().filter(|asked| asked.op == Op::Put).count();
        assert_eq!(puts == 0, wanted != Wanted::Always);
        assert_eq!(shelf.count(Op::PutPart), if wanted == Wanted::Always { 1 } else { 2 });
    }
    let (store, shelf) = store();
    run(&plan(None, 5_000_000), &store, &input(6_000_000)).await;
    assert_eq!((shelf.count(Op::Put), shelf.count(Op::Objects)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_lists_the_next_start_takes_away_what_the_pointer_led_to() {
    let (store, shelf) = store();
    shelf.without_live_read();
    shelf.script(|asked, _| match asked.op {
        Op::Objects | Op::Versions | Op::Uploads => scripted::Reply::Status(403, "AccessDenied"),
        _ => scripted::Reply::Honest,
    });
    let begin = async || {
        let live = Recorder::new(settings(When::PartIsFull));
        let size = PartSize::new(5_000_000).expect("a part size");
        let upload = live.begin(&store, "a/live.mp4", size, Beginning::default()).await.expect("it begins");
        let made = live.of(upload.id()).expect("live objects");
        made.input_begins();
        assert!(made.shared.are_made().await);
        (live, upload)
    };
    let (killed, first) = begin().await;
    killed.ended(first.id(), End::Unfinished);
    killed.tidied().await;
    shelf.abort(first.id());
    tokio::time::sleep(Duration::from_secs(200)).await;
    let (live, second) = begin().await;
    live.tidied().await;
    assert_eq!(shelf.keys().len(), 2, "its own head and pointer: {:?}", shelf.keys());
    live.aborted(second.id());
    live.tidied().await;
    assert!(shelf.keys().is_empty(), "{:?}", shelf.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_too_long_is_uploaded_without() {
    let (store, shelf) = store();
    shelf.without_live_read();
    let key = "k".repeat(1_000);
    let plan = Plan { key: key.clone(), ..plan(Some(settings(When::PartIsFull)), 5_000_000) };
    run(&plan, &store, &input(100)).await;
    assert_eq!((shelf.keys(), shelf.count(Op::Put)), (vec![key], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_behind_its_live_objects_and_where_it_cannot_readers_are_told() {
    let (store, shelf) = store();
    shelf.without_live_read();
    let (plan, input) = (plan(Some(settings(When::PartIsFull)), 5_000_000), input(5_000_000));
    let live = plan.live.as_ref().expect("live");
    let upload = live.begin(&store, "a/live.mp4", plan.part_size, Beginning::default()).await.expect("it begins");
    let first = live.of(upload.id()).expect("live objects");
    first.input_begins();
    first.took(0, &input);
    let patience = Duration::from_secs(9);
    let part = first.put_part(&upload, crate::protocol::part::PartNumber::FIRST, input.clone().into(), patience);
    part.await.expect("it is stored");
    // More is read by readers than the part that is kept.
    first.took(5_000_000, &input[..1_000]);
    first.shared.post(5_000_000, bytes::Bytes::copy_from_slice(&input[..1_000]), patience).await.expect("stored");
    live.ended(upload.id(), End::Unfinished);
    live.tidied().await;
    let names = Names::new(&Prefix::default(), "a/live.mp4").expect("short");
    // It has what is in live objects, and goes on behind them.
    let recording = live.go_on(&upload, 5_000_000, Again::Stream).await.expect("they are gone on with");
    assert_eq!(recording.head.run(), Run { run: 1, from: 5_001_000, same_input: false });
    live.ended(upload.id(), End::Unfinished);
    live.tidied().await;
    // More is in parts than in live objects: nobody can put that there.
    assert_eq!(live.go_on(&upload, 6_000_000, Again::Stream).await, None);
    assert!(live.of(upload.id()).is_some_and(|live| live.given_up().is_some()));
    live.ended(upload.id(), End::Unfinished);
    live.tidied().await;
    let pointer = store.get_small(&names.pointer(), MAX_DOCUMENT).await.expect("answered").expect("a pointer");
    let recording = Pointer::parse(&pointer.bytes).expect("a pointer").recording;
    let head = store.get_small(&names.head(&recording), MAX_DOCUMENT).await.expect("answered").expect("a head");
    let head = Head::parse(&head.bytes).expect("a head");
    assert_eq!((head.state, head.edge()), (HeadState::GivenUp, 5_001_000));
    assert_eq!(head.run(), Run { run: 2, from: 5_001_000, same_input: false });
    // Of a file they go on.
    let mut open = head;
    open.state = HeadState::Open;
    open.runs.pop();
    LiveObjects::begin(&upload, names, open, When::PartIsFull).await.expect("written").left_open().await;
    let recording = live.go_on(&upload, 6_000_000, Again::File).await.expect("they are gone on with");
    assert_eq!((recording.head.edge(), recording.head.run().same_input), (5_001_000, true));
}
