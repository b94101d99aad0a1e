//! Encoders that say nothing, and those that are kept waiting, on a paused clock.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::ingest::door::Door;
use crate::ingest::recording::{Behind, Recording, Shape};
use crate::ingest::stage::Takeover;
use crate::ingest::stage::{Manners, Stage, Stop};
use crate::ingest::strangers::Strangers;
use crate::rtmp::amf0::{self, Value};
use crate::rtmp::chunk::{self, Message};
use crate::writer::source::{Source, feed};

/// A stage with a queue of so many bytes, and how long it waits for an encoder.
struct Scene {
    source: Source,
    door: Door,
    address: Address,
    stage: JoinHandle<()>,
    /// Nobody asks for an end as long as it is there.
    stop: watch::Sender<Stop>,
}

impl Scene {
    fn new(queue: usize, reconnect: Duration) -> Self {
        let address = Address::parse("rtmp://127.0.0.1:0/live/key").expect("a URL");
        let shape = Shape { fragment: Duration::from_millis(100), renditions: false, max_bitrate: None };
        let manners = Manners { takeover: Takeover::Newest, reconnect, waits: true };
        let (stop, stopped) = watch::channel(Stop::No);
        let ((feeder, source), (stage, door)) = (feed(queue), Stage::new(manners, stopped));
        let stage = tokio::spawn(stage.run(Recording::new(shape, feeder, Behind::default())));
        Self { source: Source::Feed(source), door, address, stage, stop }
    }

    /// An encoder's end of a connection, with what it has said so far.
    async fn connect(&self, said: &[u8]) -> (DuplexStream, JoinHandle<()>) {
        self.connect_by(said, |far| far).await
    }

    /// The same by way of something.
    async fn connect_by<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        said: &[u8],
        by_way_of: impl FnOnce(DuplexStream) -> S,
    ) -> (DuplexStream, JoinHandle<()>) {
        let (mut near, far) = duplex(1 << 20);
        let far = by_way_of(far);
        let peer = "192.0.2.1:1".parse().expect("an address");
        let seat = Arc::<Strangers>::default().seat("192.0.2.1".parse().expect("an address")).expect("a seat");
        let (address, entrance) = (self.address.clone(), Entrance::One(self.door.clone()));
        let by = Instant::now() + TO_PUBLISH;
        let served = tokio::spawn(serve(far, Visit { peer, by, address, entrance, seat }));
        near.write_all(said).await.expect("there is room");
        (near, served)
    }
}

fn message(kind: u8, time: u32, body: impl Into<Bytes>) -> Vec<u8> {
    let mut out = BytesMut::new();
    chunk::write(&mut out, 4, &Message { kind, stream: 1, time, body: body.into() }, 128);
    out.to_vec()
}

/// All that is said up to the wish to publish.
fn publishing() -> Vec<u8> {
    publishing_with(Vec::new())
}

/// The same by somebody who says this of himself, too.
fn publishing_with(about: Vec<(String, Value)>) -> Vec<u8> {
    let text = |text: &str| Value::String(text.to_owned());
    let command = |values: &[Value]| {
        let mut body = BytesMut::new();
        amf0::write(&mut body, values);
        message(20, 0, body.freeze())
    };
    let about = std::iter::once(("app".to_owned(), text("live"))).chain(about).collect();
    let connect = command(&[text("connect"), Value::Number(1.0), Value::Object(about)]);
    let publish = command(&[text("publish"), Value::Number(0.0), Value::Null, text("key")]);
    [&[3][..], &[0; 3072], &connect, &publish].concat()
}

/// Sound of so many milliseconds.
fn sound(from: u32, lasts: u32) -> Vec<u8> {
    let frame = |time| message(8, time, [&[0xaf, 1][..], &[7; 200]].concat());
    let config = message(8, from, Bytes::from_static(&[0xaf, 0, 0x11, 0x90]));
    [config, (from..from + lasts).step_by(21).flat_map(frame).collect()].concat()
}

/// Reads to the end of what is made.
async fn all(mut source: Source) -> usize {
    let (mut room, mut bytes) = ([0; 4096], 0);
    while let Ok(count @ 1..) = source.read(&mut room).await {
        bytes += count;
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn an_encoder_that_falls_silent_is_gone_after_ten_seconds_and_waited_for() {
    let scene = Scene::new(1 << 20, Duration::from_secs(60));
    let began = Instant::now();
    let (near, served) = scene.connect(&[publishing(), sound(0, 3000)].concat()).await;
    served.await.expect("it ends");
    let silence = began.elapsed();
    assert!((SILENCE..SILENCE + Duration::from_secs(2)).contains(&silence), "{silence:?}");
    drop(near);
    // Back at the last moment, and then never again.
    tokio::time::sleep(Duration::from_secs(50)).await;
    let (near, served) = scene.connect(&[publishing(), sound(0, 3000)].concat()).await;
    // Long enough to be heard out.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(near);
    served.await.expect("it ends");
    let gone = Instant::now();
    let bytes = all(scene.source).await;
    assert!((59..62).contains(&gone.elapsed().as_secs()), "{:?}", gone.elapsed());
    assert!(bytes > 2 * 3000 / 21 * 200, "{bytes} bytes");
    scene.stage.await.expect("it ends");
}

/// Reads until this is said.
async fn hears(near: &mut DuplexStream, wanted: &str) {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(wanted) {
        let count = near.read_buf(&mut heard).await.expect("a connection");
        assert!(count > 0, "nothing of {wanted} in {}", heard.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn encoders_take_each_others_place_every_two_seconds_at_most() {
    let scene = Scene::new(1 << 20, Duration::from_secs(60));
    let said = [publishing(), sound(0, 100)].concat();
    let (mut live, _served) = scene.connect(&said).await;
    hears(&mut live, "NetStream.Publish.Start").await;
    // One after the other, each as soon as it may; and then after a while, which is waited for no more.
    for (pause, wanted) in [(0, 2000), (0, 2000), (500, 1500), (1900, 100), (5000, 0)] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let came = Instant::now();
        let (mut next, _served) = scene.connect(&said).await;
        hears(&mut live, "another encoder has taken over").await;
        let waited = u64::try_from(came.elapsed().as_millis()).expect("small");
        assert!((wanted..wanted + 50).contains(&waited), "{waited} ms after {pause}");
        hears(&mut next, "NetStream.Publish.Start").await;
        live = next;
    }
}

#[tokio::test(start_paused = true)]
async fn who_understands_it_is_asked_to_come_again_when_the_program_ends_and_not_when_his_stream_does() {
    let comes_back = || vec![("capsEx".to_owned(), Value::Number(1.0))];
    for (stop, about, asked) in
        [(Stop::Closing, comes_back(), true), (Stop::Over, comes_back(), false), (Stop::Closing, Vec::new(), false)]
    {
        let scene = Scene::new(1 << 20, Duration::from_secs(60));
        let (mut near, served) = scene.connect(&[publishing_with(about), sound(0, 3000)].concat()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.stop.send_replace(stop);
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.expect("all that is said");
        drop(near);
        served.await.expect("it ends");
        scene.stage.await.expect("it ends");
        assert_eq!(String::from_utf8_lossy(&heard).contains("Connect.ReconnectRequest"), asked, "{stop:?}");
    }
}

/// A socket at which the program makes a mistake, after so many bytes.
struct Treacherous {
    stream: DuplexStream,
    left: usize,
}

impl AsyncRead for Treacherous {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        assert!(self.left > 0, "a mistake, made by a test");
        let before = buf.filled().len();
        let polled = std::pin::Pin::new(&mut self.stream).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Treacherous {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_mistake_of_the_program_with_one_encoder_is_a_break_and_the_recording_goes_on() {
    let scene = Scene::new(1 << 20, Duration::from_secs(60));
    let said = [publishing(), sound(0, 3000)].concat();
    let left = said.len();
    let (near, served) = scene.connect_by(&said, |stream| Treacherous { stream, left }).await;
    // It ends, although what was to be done for it is gone.
    drop(served.await);
    drop(near);
    assert!(!scene.stage.is_finished());
    let (near, served) = scene.connect(&[publishing(), sound(0, 3000)].concat()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(near);
    served.await.expect("it ends");
    let bytes = all(scene.source).await;
    // All but the fragment that was being made then.
    assert!(bytes > (2 * 3000 - 200) / 21 * 200, "{bytes} bytes");
    scene.stage.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_publish_is_sent_away_after_ten_seconds() {
    let scene = Scene::new(1 << 20, Duration::from_secs(60));
    for said in [&[][..], &[3], &publishing()[..3073]] {
        let began = Instant::now();
        let (_near, served) = scene.connect(said).await;
        served.await.expect("it ends");
        assert_eq!(began.elapsed().as_secs(), TO_PUBLISH.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn an_encoder_that_is_kept_waiting_is_not_taken_for_a_silent_one() {
    let mut scene = Scene::new(10_000, Duration::from_secs(1));
    let (near, served) = scene.connect(&[publishing(), sound(0, 5000)].concat()).await;
    // Nobody reads for a minute: the queue is full, and the encoder waits.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!served.is_finished());
    let mut room = [0; 4096];
    assert!(scene.source.read(&mut room).await.is_ok_and(|count| count > 0));
    // Another takes over although the queue is full, and nothing is lost.
    let (second, taken) = scene.connect(&[publishing(), sound(0, 5000)].concat()).await;
    let reading = tokio::spawn(all(scene.source));
    drop((near, second));
    served.await.expect("it ends");
    taken.await.expect("it ends");
    let bytes = reading.await.expect("bytes");
    assert!(bytes > 5000 / 21 * 200, "{bytes} bytes");
}
