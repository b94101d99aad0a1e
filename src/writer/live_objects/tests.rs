//! The live objects of whole uploads, on the store in memory and its paused clock: what readers find, and what is left.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::*;
use crate::object::live::Upload;
use crate::protocol::live_objects::{Met, Prefix, State};
use crate::protocol::part::{PartNumber, PartSize};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Reply, Shelf};
use crate::store::{Beginning, ETag, Patient};

pub(super) const PART: u64 = 5_000_000;
pub(super) const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const KEY: &str = "a/live.mp4";

pub(super) fn names() -> Names {
    Names::new(&Prefix::default(), KEY).expect("short enough")
}

pub(super) fn recording(number: u32) -> RecordingId {
    RecordingId::new(1_767_225_600, number)
}

/// An upload with live objects beside it, and what it was given.
pub(super) struct Scene {
    pub(super) store: Patient,
    pub(super) shelf: Shelf,
    pub(super) upload: Upload,
    pub(super) live: LiveObjects,
    pub(super) input: Vec<u8>,
    pub(super) parts: Vec<(PartNumber, ETag)>,
}

impl Scene {
    pub(super) async fn begin(when: When) -> Self {
        let (store, shelf) = scripted::store();
        let store = store.patient(Retry { give_up_after: Duration::from_secs(3600) });
        Self::begin_in(store, shelf, when, 7).await
    }

    pub(super) async fn begin_in(store: Patient, shelf: Shelf, when: When, number: u32) -> Self {
        let size = PartSize::new(PART).expect("a part size");
        let mine = recording(number);
        let beginning = Beginning { content_type: Some("video/mp4"), objects: Some(&mine), ..Beginning::default() };
        let upload = Upload::begin(&store, KEY, size, beginning).await.expect("it begins");
        let mut head = Head::new(recording(number), upload.id().to_owned(), size);
        head.content_type = Some("video/mp4".to_owned());
        let live = LiveObjects::begin(&upload, names(), head, when).await.expect("the store takes both");
        Self { store, shelf, upload, live, input: Vec::new(), parts: Vec::new() }
    }

    /// The next bytes of the input. A part that is full with them is sent, until it is stored.
    async fn take(&mut self, count: usize) {
        let from = self.input.len();
        self.input.extend((from..from + count).map(|at| u8::try_from((at / 7 + at / 1_003) % 251).expect("small")));
        self.live.took(from as u64, &self.input[from..]);
        while (self.parts.len() as u64 + 1) * PART <= self.input.len() as u64 {
            self.part().await;
        }
    }

    /// Sends the next part.
    async fn part(&mut self) {
        let number = PartNumber::new(u32::try_from(self.parts.len()).expect("few") + 1).expect("few");
        let start = usize::try_from(self.upload.part_size().start_of(number)).expect("small");
        let end = self.input.len().min(start + usize::try_from(PART).expect("small"));
        let body = Bytes::copy_from_slice(&self.input[start..end]);
        let retry = Retry { give_up_after: Duration::from_secs(7200) };
        let put = retry.run(|_| self.live.put_part(&self.upload, number, body.clone(), PATIENCE)).await;
        self.parts.push((number, put.expect("it is stored")));
    }

    /// Some input at a steady rate.
    pub(super) async fn flow(&mut self, count: usize, times: usize, every: Duration) {
        for _ in 0..times {
            self.take(count).await;
            sleep(every).await;
        }
    }

    /// Sends the last part and waits for the last live objects.
    pub(super) async fn finish(&mut self) -> bool {
        if self.parts.len() as u64 * PART < self.input.len() as u64 {
            self.part().await;
        }
        self.live.finish(self.input.len() as u64).await
    }

    pub(super) async fn complete(&self) {
        self.upload.complete(&self.parts).await.expect("it completes");
        assert!(self.shelf.object(KEY).expect("an object") == self.input, "the object differs from the input");
    }

    /// The rest, in order.
    pub(super) async fn end(mut self) -> Left {
        self.finish().await;
        self.complete().await;
        let size = self.input.len() as u64;
        self.live.completed(size, std::future::ready(true)).await
    }

    pub(super) async fn head(&self) -> Head {
        head(&self.store, 7).await.expect("there is a head")
    }

    /// What a reader gets who only asks for the next name, and whether it met the end.
    async fn read(&self) -> (Vec<u8>, bool) {
        let mut read = Vec::new();
        loop {
            let name = names().object(&recording(7), 0, read.len() as u64);
            let Ok(Some(small)) = self.store.get_small(&name, PART).await else { return (read, false) };
            match small.marks.met(read.len() as u64, small.bytes.len() as u64) {
                Met::Bytes(_) => read.extend_from_slice(&small.bytes),
                Met::End => return (read, true),
                Met::NotYet => return (read, false),
            }
        }
    }

    /// Bytes sent as parts or live objects.
    fn sent(&self) -> usize {
        let sends = |op| matches!(op, Op::Put | Op::PutPart);
        self.shelf.asked().iter().filter(|asked| sends(asked.op)).map(|asked| asked.body.len()).sum()
    }
}

pub(super) async fn head(store: &Patient, number: u32) -> Option<Head> {
    let small = store.get_small(&names().head(&recording(number)), 1 << 16).await.expect("answered")?;
    Some(Head::parse(&small.bytes).expect("a head"))
}

pub(super) async fn points_to(store: &Patient) -> Option<RecordingId> {
    let small = store.get_small(&names().pointer(), 1 << 16).await.expect("answered")?;
    Some(Pointer::parse(&small.bytes).expect("a pointer").recording)
}

pub(super) fn is_object(key: &str) -> bool {
    key.contains("/0/0")
}

#[tokio::test(start_paused = true)]
async fn every_byte_can_be_read_when_it_is_old_enough_and_nothing_is_left_at_the_end() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    assert_eq!(points_to(&scene.store).await, Some(recording(7)));
    for step in 0..60_usize {
        scene.flow(25_000, 1, SECOND / 4).await;
        let old_enough = step.saturating_sub(3) / 4 * 4 * 25_000;
        assert!(scene.live.edge() >= old_enough as u64, "{step}: {}", scene.live.edge());
    }
    sleep(BEAT).await;
    let head = scene.head().await;
    assert_eq!((head.state, head.edge()), (State::Open, scene.input.len() as u64));
    // A second each: more is not asked of the store.
    assert!(scene.shelf.asked().iter().filter(|asked| is_object(&asked.key)).count() <= 16);
    assert!(scene.finish().await);
    assert!(scene.read().await == (scene.input.clone(), true));
    scene.complete().await;
    let (store, shelf, size) = (scene.store, scene.shelf, scene.input.len() as u64);
    assert!(scene.live.completed(size, std::future::ready(true)).await.is_nothing());
    assert_eq!((shelf.keys(), shelf.open(KEY).len()), (vec![KEY.to_owned()], 0));
    let object = store.head(KEY, None).await.expect("answered").expect("it is there");
    assert_eq!(object.objects, Some(recording(7)));
    let lists =
        shelf.asked().iter().filter(|asked| matches!(asked.op, Op::Objects | Op::Versions | Op::Uploads)).count();
    assert!(lists <= 1, "lists are for the end");
}

#[tokio::test(start_paused = true)]
async fn a_live_object_that_is_a_whole_part_is_sent_once() {
    let mut scene = Scene::begin(When::PartIsFull).await;
    scene.flow(1_000_000, 22, SECOND).await;
    assert_eq!(scene.live.edge(), 4 * PART);
    assert_eq!((scene.shelf.count(Op::CopyPart), scene.shelf.count(Op::PutPart)), (4, 0));
    assert!(scene.finish().await);
    assert!(scene.read().await == (scene.input.clone(), true));
    // The last part twice, the others once, and the documents.
    let sent = scene.sent();
    assert!((24_000_000..24_010_000).contains(&sent), "{sent}");
    let shelf = scene.shelf.clone();
    assert!(scene.end().await.is_nothing());
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_copies_no_parts_is_sent_them() {
    for (reply, copies) in
        [(Reply::Status(501, "NotImplemented"), 1), (Reply::Status(503, "SlowDown"), 3), (Reply::Lost, 3)]
    {
        let mut scene = Scene::begin(When::PartIsFull).await;
        let answer = reply.clone();
        scene.shelf.script(move |asked, _| if asked.op == Op::CopyPart { answer.clone() } else { Reply::Honest });
        scene.flow(1_000_000, 21, SECOND).await;
        assert_eq!((scene.shelf.count(Op::CopyPart), scene.shelf.count(Op::PutPart)), (copies, 4), "{reply:?}");
        assert!(scene.finish().await);
        assert!(scene.read().await == (scene.input.clone(), true));
        assert!(scene.end().await.is_nothing());
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_lags_objects_grow_and_four_are_on_their_way() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    scene.shelf.script(|asked, _| if is_object(&asked.key) { Reply::Late(SECOND * 12) } else { Reply::Honest });
    let mut most = 0;
    for _ in 0..240 {
        scene.flow(20_000, 1, SECOND / 4).await;
        most = most.max(scene.live.shared.state().cutter.held());
    }
    let count = scene.shelf.asked().iter().filter(|asked| is_object(&asked.key)).count();
    // A minute in rounds of twelve seconds.
    assert!((16..=24).contains(&count), "{count}");
    assert!(most <= 2 * PART, "{most}");
    scene.shelf.script(|_, _| Reply::Honest);
    sleep(SECOND * 13).await;
    assert!(scene.finish().await);
    assert!(scene.read().await == (scene.input.clone(), true));
    assert!(scene.end().await.is_nothing());
}

#[tokio::test(start_paused = true)]
async fn what_came_while_the_store_was_away_is_made_up_for_out_of_the_parts() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    scene.flow(100_000, 10, SECOND / 4).await;
    let began = Instant::now();
    scene.shelf.script(move |_, _| match began.elapsed() {
        away if away < Duration::from_secs(150) => Reply::Status(503, "SlowDown"),
        _ => Reply::Honest,
    });
    // The input goes on, and its parts wait.
    let from = scene.input.len();
    scene.input.extend((0..23_000_000).map(|at| u8::try_from(at % 249).expect("small")));
    for (index, bytes) in scene.input[from..].chunks(200_000).enumerate() {
        scene.live.took((from + index * 200_000) as u64, bytes);
        sleep(SECOND).await;
        assert!(scene.live.shared.state().cutter.held() <= 2 * PART);
    }
    assert_eq!(scene.live.given_up(), None);
    while (scene.parts.len() as u64) < scene.input.len() as u64 / PART {
        scene.part().await;
    }
    sleep(SECOND * 20).await;
    scene.flow(100_000, 40, SECOND / 4).await;
    assert_eq!(scene.live.given_up(), None);
    assert!(scene.finish().await);
    assert!(scene.read().await == (scene.input.clone(), true));
    assert!(scene.end().await.is_nothing());
}

#[tokio::test(start_paused = true)]
async fn live_objects_that_fail_while_parts_do_not_are_given_up_and_the_upload_goes_on() {
    let causes = [(Reply::Status(403, "AccessDenied"), GIVE_UP), (Reply::Status(503, "SlowDown"), GIVE_UP * 2)];
    for when in [When::After(SECOND), When::PartIsFull] {
        for (reply, within) in causes.clone() {
            let mut scene = Scene::begin(when).await;
            scene.flow(250_000, 22, SECOND).await;
            scene.shelf.script(move |asked, _| if is_object(&asked.key) { reply.clone() } else { Reply::Honest });
            let began = Instant::now();
            while scene.live.given_up().is_none() {
                scene.flow(250_000, 1, SECOND).await;
                assert!(began.elapsed() <= within, "{when:?} {:?}", began.elapsed());
            }
            sleep(SECOND * 2).await;
            assert_eq!(scene.head().await.state, State::GivenUp);
            sleep(SECOND * 5).await;
            assert_eq!(scene.live.shared.state().cutter.held(), 0);
            scene.flow(250_000, 4, SECOND).await;
            assert!(!scene.finish().await);
            scene.shelf.script(|_, _| Reply::Honest);
            let shelf = scene.shelf.clone();
            assert!(scene.end().await.is_nothing());
            assert_eq!(shelf.keys(), [KEY]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_is_written_twice_in_a_second_and_none_but_head_and_pointer_with_other_bytes() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    let mut written: HashMap<String, Instant> = HashMap::new();
    let refused = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = refused.clone();
    scene.shelf.script(move |asked, nth| {
        if asked.op != Op::Put {
            return Reply::Honest;
        }
        let before = written.insert(asked.key.clone(), Instant::now());
        if before.is_some_and(|before| before.elapsed() < SECOND) && !is_object(&asked.key) {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Reply::Status(429, "SlowDown");
        }
        match nth % 9 {
            3 => Reply::Lost,
            5 => Reply::Torn(1),
            7 => Reply::Status(500, "InternalError"),
            _ => Reply::Honest,
        }
    });
    scene.flow(10_000, 200, SECOND / 4).await;
    sleep(SECOND * 10).await;
    assert!(scene.finish().await);
    assert!(scene.read().await == (scene.input.clone(), true));
    let mut bodies: HashMap<String, Bytes> = HashMap::new();
    for asked in scene.shelf.asked().into_iter().filter(|asked| asked.op == Op::Put && is_object(&asked.key)) {
        let before = bodies.insert(asked.key.clone(), asked.body.clone());
        assert!(before.is_none_or(|before| before == asked.body), "{} is written anew", asked.key);
    }
    assert!(scene.end().await.is_nothing());
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn pages_are_stored_before_the_head_that_counts_them() {
    let mut scene = Scene::begin(When::After(SECOND / 4)).await;
    for _ in 0..120 {
        scene.flow(100, 5, SECOND / 2).await;
        let head = scene.head().await;
        for page in 0..head.pages {
            let page = scene.store.get_small(&names().page(&recording(7), page), 1 << 16).await.expect("answered");
            assert!(page.is_some(), "{} of {}", scene.input.len(), head.pages);
        }
    }
    assert_eq!(scene.head().await.pages, 2);
    let shelf = scene.shelf.clone();
    assert!(scene.end().await.is_nothing());
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn live_objects_are_segments_where_there_are_some() {
    use crate::media::fmp4::Scanner;
    use crate::media::fmp4::fragments::tests::{header, mdat, moof, picture};
    let mut scene = Scene::begin(When::AtSegment(SECOND / 2)).await;
    let (mut scanner, mut ends) = (Scanner::new(), Vec::new());
    let mut feed = async |scene: &mut Scene, bytes: Vec<u8>| {
        let from = scene.input.len() as u64;
        scene.input.extend(&bytes);
        // What is found is told of when all before it has been taken, and nothing behind it.
        scene.live.took(from, &bytes);
        for found in scanner.feed(&bytes) {
            scene.live.saw(&found);
        }
        sleep(SECOND / 10).await;
        scene.input.len() as u64
    };
    let first = feed(&mut scene, header()).await;
    // Fragments of 120 ms, a key frame in each fifth.
    for number in 0..30 {
        let end = feed(&mut scene, [moof(&[picture(number * 12, number % 5 == 0)]), mdat(5_000)].concat()).await;
        ends.push(end);
    }
    let end = scene.input.len() as u64 + 100;
    feed(&mut scene, vec![0; 100]).await;
    scene.part().await;
    assert!(scene.finish().await);
    let offsets: Vec<u64> = scene
        .shelf
        .keys()
        .iter()
        .filter_map(|key| match names().parse(key) {
            Some(crate::protocol::live_objects::Name::Object(_, _, offset)) => Some(offset),
            _ => None,
        })
        .collect();
    // The header, the segments, what is no segment, and the mark of the end.
    let wanted = [vec![0, first], ends.iter().skip(4).step_by(5).copied().collect(), vec![end]].concat();
    assert_eq!(offsets, wanted);
    assert!(scene.read().await == (scene.input.clone(), true));
    assert!(scene.end().await.is_nothing());
}
