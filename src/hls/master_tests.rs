//! Several writers of one multivariant playlist, on a store in memory and a paused clock.

use super::super::rendition::tests::rendition;
use super::*;
use crate::store::scripted::{self, Op, Reply, Shelf};

const MASTER: &str = "live.m3u8";

fn ladder() -> Vec<Rendition> {
    let picture = |name: &str, bandwidth, height| rendition(name, bandwidth, Some((height * 16 / 9, height)), true);
    vec![
        picture("720p", 3_000_000, 720),
        picture("480p", 1_500_000, 480),
        picture("360p", 800_000, 360),
        rendition("english", 130_000, None, true),
    ]
}

fn written(shelf: &Shelf) -> String {
    String::from_utf8_lossy(&shelf.object(MASTER).unwrap_or_default()).into_owned()
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_at_the_same_moment_is_in_it() {
    for seed in 0..30 {
        let (store, shelf) = scripted::store();
        let mut random = fastrand::Rng::with_seed(seed);
        // Each answer takes its own time, so that they overtake each other.
        shelf.script(move |_, _| Reply::Late(Duration::from_millis(random.u64(0..400))));
        let all = ladder();
        let joins = all.iter().map(|mine| join(&store, MASTER, mine));
        for joined in futures_util::future::join_all(joins).await {
            joined.expect("it joins");
        }
        assert_eq!(written(&shelf), text(&all), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_day_and_what_nobody_can_read_are_left_out() {
    let (store, shelf) = scripted::store();
    let put = |name: &str, body: Vec<u8>| {
        let id = shelf.begin(&format!("{MASTER}.renditions/{name}"), 5_000_000);
        shelf.put(&id, 1, body);
        shelf.complete(&id);
    };
    let mut all = ladder();
    let mine = Rendition { began: 1_000, ..all.remove(0) };
    let [same_event, still_on, before] = &mut all[..] else { panic!("three more") };
    same_event.ended = Some(1_000);
    still_on.ended = None;
    before.ended = Some(999);
    for other in [&*same_event, &*still_on, &*before] {
        put(&other.name, other.to_json().expect("it is in range").into());
    }
    put("720p", Rendition { bandwidth: 1, ..mine.clone() }.to_json().expect("it is in range").into());
    put("broken", b"{\"name\": \"broken\"".to_vec());
    put("endless", vec![b' '; 1 << 20]);
    join(&store, MASTER, &mine).await.expect("it joins");
    assert_eq!(written(&shelf), text(&[mine, same_event.clone(), still_on.clone()]));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_never_will_is_told() {
    for op in [Op::Put, Op::Get, Op::Objects] {
        for (reply, passes) in [
            (Reply::Status(503, "SlowDown"), true),
            (Reply::Unreachable, true),
            (Reply::Lost, true),
            (Reply::Status(403, "AccessDenied"), false),
        ] {
            let (store, shelf) = scripted::store();
            let (mine, answer) = (ladder().remove(0), reply.clone());
            shelf.script(move |asked, nth| if asked.op == op && nth < 3 { answer.clone() } else { Reply::Honest });
            let joined = tokio::time::timeout(Duration::from_secs(120), join(&store, MASTER, &mine)).await;
            let joined = joined.expect("it ends");
            if passes {
                joined.unwrap_or_else(|error| panic!("{op:?} {reply:?}: {error}"));
                assert_eq!(written(&shelf), text(&[mine]), "{op:?} {reply:?}");
            } else {
                assert!(matches!(joined, Err(JoinError::Store(_))), "{op:?} {reply:?}: {joined:?}");
            }
        }
    }
}
