//! How live objects end, on the store in memory: what is deleted and what is not, kills at every step, and going on.

use std::time::Duration;

use tokio::time::sleep;

use super::tests::{KEY, PART, SECOND, Scene, head, is_object, names, points_to, recording};
use super::*;
use crate::protocol::live_objects::{Prefix, State};
use crate::store::retry::Retry;
use crate::store::scripted::{self, Op, Reply};
use crate::store::{Kind, Patient};

#[tokio::test(start_paused = true)]
async fn what_a_store_refuses_to_delete_is_told_of_and_the_object_is_whole() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    scene.flow(100_000, 20, SECOND).await;
    let (store, shelf) = (scene.store.clone(), scene.shelf.clone());
    shelf.script(|asked, _| match asked.op {
        Op::Delete | Op::DeleteMany => Reply::Status(403, "AccessDenied"),
        _ => Reply::Honest,
    });
    let left = scene.end().await;
    assert!(left.objects >= 10, "{left:?}");
    assert_eq!(left.example.map(|error| error.kind), Some(Kind::Denied));
    assert!(left.folder.contains("_live/a/live.mp4/"), "{}", left.folder);
    // Each is not asked for by itself.
    assert!(shelf.count(Op::Delete) + shelf.count(Op::DeleteMany) < 10);
    assert_eq!(head(&store, 7).await.map(|head| head.state), Some(State::Complete));
    // The next start may.
    shelf.script(|_, _| Reply::Honest);
    sleep(Duration::from_secs(200)).await;
    clean(&store, &names(), KEY, None, None).await.expect("it is seen");
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn as_long_as_some_are_deleted_the_others_are_tried_again() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    scene.flow(1_000, 600, SECOND).await;
    let shelf = scene.shelf.clone();
    shelf.fail_to_delete_half();
    assert!(scene.end().await.is_nothing());
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn without_lists_and_without_bulk_deletes_nothing_is_left_either() {
    let mut scene = Scene::begin(When::After(SECOND / 2)).await;
    scene.flow(1_000, 400, SECOND).await;
    let shelf = scene.shelf.clone();
    shelf.script(|asked, _| match asked.op {
        Op::DeleteMany => Reply::Status(501, "NotImplemented"),
        Op::Objects | Op::Versions | Op::Uploads => Reply::Status(403, "AccessDenied"),
        _ => Reply::Honest,
    });
    assert!(scene.end().await.is_nothing());
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn twelve_thousand_live_objects_are_deleted_page_by_page() {
    for may_list in [true, false] {
        let (store, shelf) = scripted::store();
        let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
        let scene = Scene::begin_in(store.clone(), shelf.clone(), When::After(SECOND), 7).await;
        let (names, mine) = (names(), recording(7));
        let mut head = head(&store, 7).await.expect("a head");
        drop(scene);
        for number in 0..12_000_u64 {
            shelf.lay(&names.object(&mine, 0, number * 3), "abc");
            if let Some((number, page)) = head.push(3) {
                shelf.lay(&names.page(&mine, number), page.to_bytes());
            }
        }
        assert_eq!(head.pages, 46);
        shelf.script(move |asked, _| match asked.op {
            Op::Objects | Op::Versions if !may_list => Reply::Status(403, "AccessDenied"),
            _ => Reply::Honest,
        });
        assert!(Sweep::new(&store, names, mine).run(Some(&head), &[], false).await.is_nothing());
        assert!(shelf.keys().is_empty(), "{:?}", shelf.keys().first());
        let requests = shelf.count(Op::DeleteMany);
        assert!((13..=14).contains(&requests), "{requests} requests to delete");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_inside_of_a_success_are_tried_again_and_told_of() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    scene.flow(1_000, 5, SECOND).await;
    let shelf = scene.shelf.clone();
    shelf.script(|asked, nth| match asked.op {
        Op::DeleteMany if nth < 2 => {
            let body = "<?xml version=\"1.0\"?><DeleteResult><Error><Key>x</Key><Code>InternalError</Code></Error></DeleteResult>";
            Reply::Raw(200, Vec::new(), body.into())
        }
        _ => Reply::Honest,
    });
    assert!(scene.end().await.is_nothing());
    assert_eq!((shelf.keys(), shelf.count(Op::DeleteMany)), (vec![KEY.to_owned()], 3));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_keeps_versions_keeps_none_of_them() {
    let (store, shelf) = scripted::store();
    shelf.keep_versions();
    let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
    let mut scene = Scene::begin_in(store, shelf.clone(), When::After(SECOND), 7).await;
    scene.flow(1_000, 20, SECOND).await;
    assert!(shelf.versions("_live/") > 12);
    assert!(scene.end().await.is_nothing());
    assert_eq!((shelf.versions("_live/"), shelf.keys()), (0, vec![KEY.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn wherever_a_writer_is_killed_the_next_start_leaves_nothing() {
    for step in 0..6 {
        let mut scene = Scene::begin(When::After(SECOND)).await;
        let (store, shelf) = (scene.store.clone(), scene.shelf.clone());
        let id = scene.upload.id().to_owned();
        // Begun; some input; the end marked; complete; the head written, nothing deleted; half deleted.
        if step >= 1 {
            scene.flow(10_000, 300, SECOND).await;
        }
        if step >= 2 {
            scene.finish().await;
        }
        if step >= 3 {
            scene.complete().await;
        }
        if step >= 4 {
            shelf.script(move |asked, nth| match asked.op {
                Op::DeleteMany => Reply::Status(501, "NotImplemented"),
                Op::Delete if step == 4 || nth > 20 => Reply::Status(403, "AccessDenied"),
                _ => Reply::Honest,
            });
            let size = scene.input.len() as u64;
            let _ = scene.live.clone().completed(size, std::future::ready(true)).await;
            shelf.script(|_, _| Reply::Honest);
        }
        drop(scene);
        sleep(Duration::from_secs(10)).await;
        if step < 3 {
            // It can be gone on with, so that it is left alone.
            let found = clean(&store, &names(), KEY, None, None).await.expect("it is seen");
            assert!(matches!(&found[..], [Found { stale: Stale::Open(open), .. }] if *open == id), "{step} {found:?}");
            shelf.abort(&id);
        }
        sleep(Duration::from_secs(200)).await;
        let next = Scene::begin_in(store.clone(), shelf.clone(), When::After(SECOND), 8).await;
        let found = clean(&store, &names(), KEY, Some(&recording(8)), None).await.expect("it is seen");
        assert!(
            matches!(&found[..], [Found { stale: Stale::Swept(left), .. }] if left.is_nothing()),
            "{step} {found:?}"
        );
        assert_eq!(points_to(&store).await, Some(recording(8)), "{step}");
        let rest: Vec<_> = shelf.keys().into_iter().filter(|key| key.starts_with("_live/")).collect();
        assert_eq!(rest, [names().head(&recording(8)), names().pointer()], "{step}");
        assert!(next.live.aborted().await.is_nothing());
        assert!(!shelf.keys().iter().any(|key| key.starts_with("_live/")), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_last_head_of_a_killed_writer_does_not_tell_of_is_found_without_a_list() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    let (store, shelf) = (scene.store.clone(), scene.shelf.clone());
    scene.flow(10_000, 23, SECOND).await;
    scene.finish().await;
    scene.complete().await;
    let told = head(&store, 7).await.expect("a head").edge();
    assert!(told < scene.input.len() as u64, "the head is older than the end");
    drop(scene);
    shelf.script(|asked, _| match asked.op {
        Op::Objects | Op::Versions | Op::Uploads => Reply::Status(403, "AccessDenied"),
        _ => Reply::Honest,
    });
    sleep(Duration::from_secs(200)).await;
    clean(&store, &names(), KEY, None, None).await.expect("it is seen");
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn a_pointer_that_is_left_alone_in_a_bucket_that_keeps_versions_goes_with_all_of_them() {
    let (store, shelf) = scripted::store();
    shelf.keep_versions();
    let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
    let mut scene = Scene::begin_in(store.clone(), shelf.clone(), When::After(SECOND), 7).await;
    scene.flow(1_000, 5, SECOND).await;
    // Its writer is killed between the deletion of the head and that of the pointer.
    let pointer = names().pointer();
    shelf.script(move |asked, _| match asked.op {
        Op::Delete | Op::DeleteMany if asked.key == pointer => Reply::Status(403, "AccessDenied"),
        _ => Reply::Honest,
    });
    assert_eq!(scene.end().await.objects, 1);
    shelf.script(|_, _| Reply::Honest);
    assert!(head(&store, 7).await.is_none() && shelf.versions("_live/") > 0);
    sleep(Duration::from_secs(200)).await;
    clean_all(&store, &names(), KEY, None).await.expect("it is seen");
    assert_eq!((shelf.versions("_live/"), shelf.keys()), (0, vec![KEY.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_others_is_not_touched() {
    let (store, shelf) = scripted::store();
    let store = store.patient(Retry { give_up_after: Duration::from_secs(60) });
    let mut scene = Scene::begin_in(store.clone(), shelf.clone(), When::After(SECOND), 7).await;
    // A recording of a key below this one, another file among them, and a recording of this key whose writer is alive.
    let below = Names::new(&Prefix::default(), &format!("{KEY}/b.mp4")).expect("short enough");
    let foreign = [below.pointer(), below.head(&recording(9)), below.object(&recording(9), 0, 0)];
    for key in &foreign {
        shelf.lay(key, "x");
    }
    shelf.lay(&format!("{}notes.txt", names().recording(&recording(7))), "x");
    let mut other = Scene::begin_in(store.clone(), shelf.clone(), When::After(SECOND), 8).await;
    scene.flow(1_000, 20, SECOND).await;
    other.flow(1_000, 20, SECOND).await;
    assert_eq!(points_to(&store).await, Some(recording(8)), "the later one keeps the pointer");
    let found = clean_all_but(&store, 8).await;
    assert!(matches!(found[..], [Found { stale: Stale::Open(_), .. }]), "{found:?}");
    assert!(scene.end().await.is_nothing());
    assert_eq!(points_to(&store).await, Some(recording(8)));
    assert!(foreign.iter().all(|key| shelf.object(key).is_some()));
    assert!(head(&store, 8).await.is_some() && head(&store, 7).await.is_none());
    // Where the pointer goes missing, it comes back.
    store.once().delete(&crate::store::Version { key: names().pointer(), version: None }).await.expect("deleted");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(points_to(&store).await, Some(recording(8)));
    assert!(other.end().await.is_nothing());
    assert!(foreign.iter().all(|key| shelf.object(key).is_some()));
}

async fn clean_all_but(store: &Patient, number: u32) -> Vec<Found> {
    clean(store, &names(), KEY, Some(&recording(number)), None).await.expect("it is seen")
}

/// Kills the writer after `steps` of input, and goes on with it from where its live objects end.
async fn killed_and_gone_on_with(when: When, steps: usize, lose: usize) {
    let mut scene = Scene::begin(when).await;
    let (store, shelf) = (scene.store.clone(), scene.shelf.clone());
    // Some of what is on its way when the writer dies is stored, and some is not.
    shelf.script(move |asked, nth| match asked.op {
        Op::Put if is_object(&asked.key) && nth % 5 == lose => Reply::Late(SECOND * 3),
        _ => Reply::Honest,
    });
    scene.flow(300_000, steps, SECOND / 3).await;
    let (upload, input, parts) = (scene.upload.clone(), scene.input.clone(), scene.parts.clone());
    scene.live.over.send_replace(true);
    for task in scene.live.tasks.lock().await.drain(..) {
        task.abort();
    }
    drop(scene.live);
    shelf.script(|_, _| Reply::Honest);
    let head = find(&store, &names(), upload.id()).await.expect("it is seen").expect("it is there");
    let live = go_on(&upload, names(), head, when, true).await.expect("answered").expect("it can be gone on with");
    assert!(live.edge() >= parts.len() as u64 * PART, "a part is stored whose bytes cannot be read: {}", live.edge());
    assert!(live.edge() <= input.len() as u64);
    // The file is read again from the first part that is missing.
    let mut scene = Scene { store, shelf, upload, live, input, parts };
    let from = usize::try_from(scene.parts.len() as u64 * PART).expect("small");
    for (index, bytes) in scene.input[from..].chunks(100_000).enumerate() {
        scene.live.took((from + index * 100_000) as u64, bytes);
    }
    scene.flow(300_000, 20, SECOND / 3).await;
    assert!(scene.finish().await);
    let mut read = Vec::new();
    let head = loop {
        sleep(BEAT).await;
        let head = scene.head().await;
        if head.edge() == scene.input.len() as u64 {
            break head;
        }
    };
    assert_eq!(head.run().run, 1);
    for entry in head.page.entries() {
        let name = names().object(&recording(7), entry.run, entry.offset);
        let small = scene.store.get_small(&name, PART).await.expect("answered").expect("what is told of is there");
        assert_eq!(small.bytes.len() as u64, entry.length);
        read.extend_from_slice(&small.bytes);
    }
    assert!(read == scene.input, "readers would read something else");
    let shelf = scene.shelf.clone();
    assert!(scene.end().await.is_nothing());
    assert_eq!(shelf.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn a_killed_writer_is_gone_on_with_where_its_live_objects_end() {
    for (steps, lose) in [(0, 0), (3, 1), (10, 0), (18, 1), (18, 2), (26, 4)] {
        killed_and_gone_on_with(When::After(SECOND), steps, lose).await;
    }
    for steps in [4, 17, 18] {
        killed_and_gone_on_with(When::PartIsFull, steps, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_has_completed_takes_its_own_things_away() {
    let mut scene = Scene::begin(When::After(SECOND)).await;
    let (store, shelf) = (scene.store.clone(), scene.shelf.clone());
    scene.flow(10_000, 20, SECOND).await;
    scene.finish().await;
    scene.complete().await;
    // The upload is over, but its head is written still, or was a moment ago.
    let left_alone = |found: &[Found]| matches!(found, [Found { stale: Stale::LeftAlone, .. }]);
    assert!(left_alone(&clean_all_but(&store, 8).await));
    let size = scene.input.len() as u64;
    let players = async {
        sleep(SECOND * 60).await;
        true
    };
    let ending = tokio::spawn(scene.live.clone().completed(size, players));
    sleep(SECOND * 50).await;
    assert!(left_alone(&clean_all_but(&store, 8).await), "players of the playlist still need them");
    assert!(ending.await.expect("it ends").is_nothing());
    assert!(clean_all_but(&store, 8).await.is_empty());
    assert_eq!(shelf.keys(), [KEY]);
}
