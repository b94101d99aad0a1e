//! Tests of the outbox on a store in memory: parts that fail, wait on disk, and come back.

use tokio::time::Instant;

use super::*;
use crate::protocol::part::PartSize;
use crate::store::Store;
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Reply};
use crate::writer::spool::SpoolSettings;

const PART: usize = 5_000_000;

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).expect("in range")
}

/// An outbox of an upload that is open, with a spool in a directory of its own.
fn outbox(
    store: &Store,
    upload_id: &str,
    concurrency: usize,
    give_up_after: Duration,
    dir: &tempfile::TempDir,
) -> Outbox {
    let part_size = PartSize::new(PART as u64).expect("in range");
    let upload = Upload::known(&store.patient(Retry { give_up_after }), "key", upload_id, part_size);
    let settings = SpoolSettings { dir: dir.path().to_owned(), make_dir: false, limit: 1 << 30 };
    let pool = PartPool::new(concurrency + 2, part_size.as_len());
    Outbox::new(
        upload,
        pool,
        concurrency,
        Some(Spool::new(&settings, part_size.get(), concurrency + 4)),
        Arc::default(),
    )
}

async fn fill(outbox: &mut Outbox, at: u32) {
    let mut buffer = outbox.buffer().await.expect("a buffer");
    buffer.advance(PART);
    outbox.send(number(at), buffer.freeze());
}

/// Within a time in which nothing has to wait.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it does not wait for ever")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_task_is_a_failure_and_its_part_is_not_lost() {
    let (store, shelf) = scripted::store();
    let id = shelf.begin("key", PART as u64);
    let dir = tempfile::tempdir().expect("a directory");
    shelf.script(|asked, _| if asked.part == Some(1) { Reply::Panic } else { Reply::Honest });
    let mut outbox = outbox(&store, &id, 2, Duration::from_secs(3600), &dir);
    soon(fill(&mut outbox, 1)).await;
    let failed = soon(outbox.drain()).await;
    assert!(matches!(failed, Err(OutboxError::Task(_))), "{failed:?}");
    soon(outbox.settle()).await;
    assert_eq!(outbox.remainder().keys().copied().collect::<Vec<_>>(), [number(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_cannot_be_emptied_leaves_the_memory_to_the_next() {
    let (store, shelf) = scripted::store();
    let (id, next_id) = (shelf.begin("key", PART as u64), shelf.begin("key", PART as u64));
    shelf.script(|asked, _| if asked.op == Op::PutPart { Reply::Status(503, "SlowDown") } else { Reply::Honest });
    let dir = tempfile::tempdir().expect("a directory");
    for concurrency in [1, 3] {
        let mut old = outbox(&store, &id, concurrency, Duration::from_secs(3600), &dir);
        for at in 1..=6 {
            soon(fill(&mut old, at)).await;
        }
        let spool = old.spool().map(Spool::another);
        let mut next = outbox(&store, &next_id, concurrency, Duration::from_secs(3600), &dir).sharing(old.shared());
        next.disk = Disk::new(spool);
        let closing = tokio::spawn(async move { old.drain().await.map(|()| old) });
        for at in 1..=12 {
            soon(fill(&mut next, at)).await;
        }
        assert!(!closing.is_finished());
        closing.abort();
        next.stop();
        assert_eq!(next.remainder().len(), 12);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_when_it_is_over_is_not_tried_again() {
    let (store, shelf) = scripted::store();
    let id = shelf.begin("key", PART as u64);
    shelf.script(|asked, _| match asked.part {
        None | Some(2) => Reply::Honest,
        Some(_) => Reply::Status(503, "SlowDown"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = outbox(&store, &id, 3, Duration::from_secs(3600), &dir);
    for at in 1..=3 {
        soon(fill(&mut outbox, at)).await;
    }
    soon(outbox.settle()).await;
    assert_eq!(outbox.remainder().keys().map(|number| number.get()).collect::<Vec<_>>(), [1, 3]);
    assert!(outbox.ledger.size_of(number(2)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_on_disk_are_sent_again_though_parts_behind_them_have_all_the_memory() {
    sent_again(1 << 30).await;
}

/// Those behind them cannot give the memory up.
#[tokio::test(flavor = "multi_thread")]
async fn parts_on_disk_are_sent_again_though_the_disk_is_full() {
    sent_again(PART as u64).await;
}

/// Three outboxes with a part on disk and one in memory each, and a spool of this size each.
async fn sent_again(limit: u64) {
    let (store, shelf) = scripted::store();
    let dir = tempfile::tempdir().expect("a directory");
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = up.clone();
    shelf.script(move |asked, _| match asked.op {
        Op::PutPart if !seen.load(Relaxed) => Reply::Status(500, "InternalError"),
        _ => Reply::Honest,
    });
    let mut outboxes: Vec<Outbox> = Vec::new();
    for _ in 0..3 {
        let id = shelf.begin("key", PART as u64);
        let mut new = outbox(&store, &id, 1, Duration::from_secs(3600), &dir);
        let settings = SpoolSettings { dir: dir.path().to_owned(), make_dir: false, limit };
        new.disk = Disk::new(Some(Spool::new(&settings, PART as u64, 1)));
        if let Some(first) = outboxes.first() {
            new = new.sharing(first.shared());
        }
        // The first fails and goes to disk when there is no buffer left; the second waits in memory.
        soon(fill(&mut new, 1)).await;
        soon(fill(&mut new, 2)).await;
        outboxes.push(new);
    }
    up.store(true, Relaxed);
    let drains = outboxes.iter_mut().map(Outbox::drain);
    for drained in soon(futures_util::future::join_all(drains)).await {
        drained.expect("all is stored");
    }
}

/// How long each attempt at one part was waited for, while the store fails by this script.
async fn waits(stall: Duration, script: impl Fn(usize) -> Reply + Send + 'static, attempts: usize) -> Vec<Duration> {
    let (store, shelf) = scripted::store();
    let store = scripted::with_stall(&store, stall);
    let id = shelf.begin("key", PART as u64);
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (told, start) = (times.clone(), Instant::now());
    shelf.script(move |asked, nth| {
        if asked.op != Op::PutPart {
            return Reply::Honest;
        }
        told.lock().expect("the log").push(start.elapsed());
        script(nth)
    });
    let mut outbox = without_disk(&store, &id);
    fill(&mut outbox, 1).await;
    tokio::time::timeout(Duration::from_secs(3600), outbox.drain()).await.expect("it ends").expect("all is stored");
    let times = times.lock().expect("the log").clone();
    assert_eq!(times.len(), attempts, "{times:?}");
    times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
}

/// An outbox that needs no thread of its own.
fn without_disk(store: &Store, upload_id: &str) -> Outbox {
    let retry = Retry { give_up_after: Duration::from_secs(3600) };
    let part_size = PartSize::new(PART as u64).expect("in range");
    let upload = Upload::known(&store.patient(retry), "key", upload_id, part_size);
    let pool = PartPool::new(4, upload.part_size().as_len());
    Outbox::new(upload, pool, 2, None, Arc::default())
}

#[tokio::test(start_paused = true)]
async fn silence_alone_has_a_part_waited_for_longer() {
    let stall = Duration::from_millis(400);
    let silent = waits(stall, |nth| if nth < 4 { Reply::Silent } else { Reply::Honest }, 5).await;
    // Each wait for an answer is twice the one before; the pause after it is short beside that.
    assert!(silent.windows(2).all(|pair| pair[1] > pair[0] + pair[0] / 3), "{silent:?}");
    assert!(silent[3] >= 8 * stall, "{silent:?}");
    // Six refusals, and then one that says nothing: it is no slow line that was refused.
    let refused = waits(
        stall,
        |nth| match nth {
            0..6 => Reply::Unreachable,
            6 => Reply::Silent,
            _ => Reply::Honest,
        },
        8,
    )
    .await;
    let first = silent[0].max(stall);
    assert!(refused[6] <= first + Duration::from_secs(5), "{refused:?}, where a first silence lasts {first:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_sent_again_and_what_never_will_is_a_failure_at_once() {
    for (reply, ends) in [
        (Reply::Status(503, "SlowDown"), false),
        (Reply::Status(500, "InternalError"), false),
        (Reply::Unreachable, false),
        (Reply::Lost, false),
        (Reply::Status(403, "AccessDenied"), true),
        (Reply::Status(404, "NoSuchUpload"), true),
        (Reply::Status(400, "InvalidArgument"), true),
    ] {
        let (store, shelf) = scripted::store();
        let id = shelf.begin("key", PART as u64);
        let answer = reply.clone();
        shelf.script(move |asked, nth| if asked.op == Op::PutPart && nth < 3 { answer.clone() } else { Reply::Honest });
        let mut outbox = without_disk(&store, &id);
        fill(&mut outbox, 1).await;
        let began = Instant::now();
        let drained = tokio::time::timeout(Duration::from_secs(60), outbox.drain()).await.expect("it ends");
        assert_eq!(drained.is_err(), ends, "{reply:?}: {drained:?}");
        assert_eq!(shelf.count(Op::PutPart), if ends { 1 } else { 4 }, "{reply:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{reply:?}: {:?}", began.elapsed());
    }
}
