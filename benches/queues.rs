//! The two ways of bytes through memory, without a store: input into parts, and pieces into the output.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use live_read::protocol::part::PartSize;
use live_read::reader::sink::Sink;
use live_read::tool::progress::Progress;
use live_read::writer::pool::PartPool;
use live_read::writer::source::Source;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Bytes that go through in one round.
const SIZE: usize = 64 << 20;

/// What comes off the wire in one piece.
const PIECE: usize = 64 << 10;

/// Two workers, as `writer` has.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Reads the source to its end into parts, and gives each back at once, as a store without delay would.
async fn chunk(mut source: Source) -> usize {
    let pool = PartPool::new(6, PartSize::DEFAULT.as_len());
    let mut parts = 0;
    loop {
        let mut buffer = pool.acquire().await.expect("memory");
        while !buffer.is_full() {
            match source.read(buffer.room(usize::MAX)).await.expect("readable") {
                0 => return parts,
                count => buffer.advance(count),
            }
        }
        parts += 1;
        drop(black_box(buffer.freeze()));
    }
}

fn chunker(criterion: &mut Criterion) {
    let runtime = runtime();
    let (_keep, stop) = watch::channel(false);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("input");
    File::create(&path).and_then(|mut file| file.write_all(&vec![7; SIZE])).expect("the input");
    let mut group = criterion.benchmark_group("chunker");
    group.throughput(Throughput::Bytes(SIZE as u64)).sample_size(20);
    group.bench_function("file", |bencher| {
        bencher.iter(|| {
            let source = runtime.block_on(Source::file(&path, None, stop.clone())).expect("opened");
            runtime.block_on(chunk(source))
        });
    });
    group.bench_function("pipe", |bencher| {
        bencher.iter(|| {
            let fifo = dir.path().join("fifo");
            let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
            assert!(made.success());
            let feeding = {
                let (fifo, path) = (fifo.clone(), path.clone());
                std::thread::spawn(move || std::fs::copy(path, fifo).expect("fed"))
            };
            let source = runtime.block_on(Source::file(&fifo, None, stop.clone())).expect("opened");
            let parts = runtime.block_on(async { chunk(source).await });
            feeding.join().expect("fed");
            std::fs::remove_file(&fifo).expect("removed");
            parts
        });
    });
    group.finish();
}

fn queue(criterion: &mut Criterion) {
    let runtime = runtime();
    let piece = Bytes::from(vec![7; PIECE]);
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Bytes(SIZE as u64)).sample_size(20);
    group.bench_function("sink", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut sink = Sink::file(Path::new("/dev/null"), Arc::new(Progress::default())).expect("opened");
                for _ in 0..SIZE / PIECE {
                    sink.write(piece.clone()).await.expect("written");
                }
                sink.finish().await.expect("written");
            });
        });
    });
    group.finish();
}

criterion_group!(benches, chunker, queue);
criterion_main!(benches);
