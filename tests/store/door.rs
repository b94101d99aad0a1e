//! The door to the store, asked in this process, before a server that lies: what an answer is taken for, and how much of
//! it is read.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use live_read::protocol::part::{PartNumber, PartSize};
use live_read::store::retry::Retry;
use live_read::store::{Access, Beginning, Connection, Fetched, Head, Kind, OpenUpload, Piece, Store, StoreError};

use crate::support::liar::{Answer, Asked, Liar, Op, Then};
use crate::support::recording::{Recording, upload, uploads_list};

const KEY: &str = "stream.mp4";
const CREATED: &str =
    "<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>";

async fn connect(endpoint: &str) -> Store {
    let connection = Connection {
        bucket: "b".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        path_style: true,
        access: Access::Anonymous,
        stall_timeout: Some(Duration::from_secs(2)),
        retry: Retry { give_up_after: Duration::ZERO },
    };
    Store::connect(&connection).await.expect("a store").0
}

async fn before(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Store, Liar) {
    let liar = Liar::start(script);
    (connect(liar.endpoint()).await, liar)
}

/// A store that answers everything like this, before (`false`) or after a store has answered properly.
async fn always(answer: Answer, proven: bool) -> Store {
    let honest = Recording::finished(vec![1]);
    let told = answer.clone();
    let (store, _) = before(move |asked| if asked.key == "proof" { honest.answer(asked) } else { told.clone() }).await;
    if proven {
        store.head("proof", None).await.expect("an honest answer");
    }
    store
}

async fn lists(store: &Store) -> Result<Vec<OpenUpload>, StoreError> {
    store.open_uploads(KEY).await
}

async fn creates(store: &Store) -> Result<String, StoreError> {
    store.create_upload(KEY, Beginning { live_read: Some(PartSize::DEFAULT), ..Beginning::default() }).await
}

async fn completes(store: &Store) -> Result<(), StoreError> {
    let part = (PartNumber::FIRST, live_read::store::ETag("e".to_owned()));
    store.complete_upload(KEY, "u1", &[part]).await
}

async fn puts(store: &Store) -> Result<(), StoreError> {
    let (body, patience) = (Bytes::from_static(b"x"), Duration::from_secs(5));
    store.put_part(KEY, "u1", PartNumber::FIRST, body, patience).await.map(drop)
}

async fn reads(store: &Store) -> Result<Fetched, StoreError> {
    store.fetch(KEY, Some("v1"), Piece::Range { first: 0, last: 99 }, true).await
}

async fn looks(store: &Store) -> Result<Option<Head>, StoreError> {
    store.head(KEY, Some("v1")).await
}

#[tokio::test]
async fn a_document_that_is_cut_is_none() {
    let list = uploads_list(&upload(KEY, "v1"));
    let (created, completed) = (Answer::xml(200, CREATED), Answer::xml(200, COMPLETED));
    for at in [0, 1, 50, 90, 110] {
        for undelimited in [false, true] {
            let cut = |answer: &Answer| {
                let answer = answer.clone().cut(at);
                if undelimited { answer.without_length() } else { answer }
            };
            let listed = lists(&always(cut(&list), false).await).await;
            let begun = creates(&always(cut(&created), false).await).await;
            let ended = completes(&always(cut(&completed), false).await).await;
            for error in [listed.err(), begun.err(), ended.err()] {
                let error = error.unwrap_or_else(|| panic!("cut after {at} bytes, it was taken for whole"));
                assert_eq!(error.kind, Kind::Passing, "{at}: {error}");
            }
        }
    }
    assert_eq!(lists(&always(list.without_length(), false).await).await.expect("all of it").len(), 1);
}

#[tokio::test]
async fn a_code_that_is_cut_is_not_another_code() {
    for at in [60, 70, 75, 80] {
        let answer = Answer::error(404, "NoSuchBucket", "There is none.").without_length().cut(at);
        let error = lists(&always(answer, false).await).await.expect_err("an error");
        assert_eq!(error.kind, Kind::Passing, "{at}: {error}");
    }
}

#[tokio::test]
async fn an_error_inside_of_a_success_is_an_error() {
    for (code, kind) in [("InternalError", Kind::Passing), ("NoSuchUpload", Kind::NoUpload)] {
        let store = always(Answer::error(200, code, "Please try again."), false).await;
        assert_eq!(completes(&store).await.expect_err(code).kind, kind);
        assert_eq!(lists(&store).await.expect_err(code).kind, kind);
    }
    // What a store sends while it takes its time does not hide what comes after it.
    for (text, kind) in [(COMPLETED, None), ("<Error><Code>InternalError</Code></Error>", Some(Kind::Passing))] {
        let late = Answer::new(200).body(format!("{}<?xml version=\"1.0\"?>\n\n{text}", " \n".repeat(100)));
        assert_eq!(completes(&always(late, false).await).await.err().map(|error| error.kind), kind, "{text}");
    }
}

#[tokio::test]
async fn what_may_pass_is_passing_at_every_operation() {
    for status in [409, 425, 429, 500, 501, 502, 503, 507, 509, 520, 525, 530, 599] {
        let store = always(Answer::new(status), false).await;
        let errors = [
            lists(&store).await.err(),
            creates(&store).await.err(),
            puts(&store).await.err(),
            completes(&store).await.err(),
        ];
        let more = [reads(&store).await.err(), looks(&store).await.err()];
        for error in errors.into_iter().chain(more) {
            let error = error.unwrap_or_else(|| panic!("{status} was taken for a success"));
            assert_eq!(error.kind, Kind::Passing, "{error}");
        }
    }
}

#[tokio::test]
async fn bodies_without_an_end_are_not_read_to_it() {
    let flood =
        |status| Answer::xml(status, "<Error><Code>").then(Then::Endless(vec![b'x'; 1 << 16])).declares(1 << 40);
    for status in [500, 416, 403, 200] {
        let (store, liar) = before(move |_| flood(status)).await;
        let error = lists(&store).await.expect_err("no list");
        if status == 416 {
            assert!(matches!(reads(&store).await, Ok(Fetched::NotYet)));
        }
        let expected = match status {
            200 => Kind::Refused,
            403 => Kind::Denied,
            416 => Kind::Refused,
            _ => Kind::Passing,
        };
        assert_eq!(error.kind, expected, "{error}");
        // What the systems on both sides have buffered is counted too.
        assert!(liar.sent() < 64 << 20, "{} bytes of {status}", liar.sent());
    }
}

#[tokio::test]
async fn a_long_list_takes_no_longer_than_it_is_long() {
    let mut took = Vec::new();
    for count in [10_000, 100_000] {
        let entries: String = (0..count).map(|number| upload(KEY, &format!("u{number:06}"))).collect();
        let store = always(uploads_list(&entries), false).await;
        let mut times = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(lists(&store).await.expect("a list").len(), count);
            times.push(began.elapsed());
        }
        took.push(times.into_iter().min().unwrap_or_default());
    }
    // Comparing each entry with each takes a hundred times as long for ten times as many.
    assert!(took[1] < took[0] * 40, "{took:?}");
}

#[tokio::test]
async fn what_is_no_store_is_named_and_passes_only_where_a_store_has_answered_before() {
    for (proven, kind) in [(false, Kind::Setup), (true, Kind::Passing)] {
        let portal = always(Answer::html(200), proven).await;
        let errors = [
            lists(&portal).await.err(),
            creates(&portal).await.err(),
            puts(&portal).await.err(),
            completes(&portal).await.err(),
            reads(&portal).await.err(),
            looks(&portal).await.err(),
            portal.get_small(KEY, 1000).await.err(),
        ];
        for error in errors {
            let error = error.expect("a page is no answer");
            assert_eq!(error.kind, kind, "{error}");
            let text = error.to_string();
            assert!(text.contains("200, text/html") && text.contains("AWS_ENDPOINT_URL"), "{text}");
        }
        for status in [301, 302, 307, 308] {
            let there = "http://user:secret@portal.example/login?token=secret";
            let error = lists(&always(Answer::html(status).header("location", there), proven).await).await;
            let error = error.expect_err("nothing is followed");
            assert_eq!(error.kind, kind, "{error}");
            let text = error.to_string();
            assert!(text.contains("http://portal.example/login") && text.contains(&status.to_string()), "{text}");
            assert!(!text.contains("secret") && text.contains("log in"), "{text}");
        }
    }
}

#[tokio::test]
async fn another_region_is_named_with_its_setting() {
    let moved = Answer::error(301, "PermanentRedirect", "Elsewhere.").header("x-amz-bucket-region", "eu-central-1");
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message>\
                <Region>eu-central-1</Region></Error>";
    for answer in [moved, Answer::xml(400, body)] {
        let error = lists(&always(answer, true).await).await.expect_err("another region");
        assert_eq!(error.kind, Kind::WrongRegion);
        assert!(error.to_string().contains("Set AWS_REGION=eu-central-1"), "{error}");
    }
}

#[tokio::test]
async fn words_of_the_store_stay_on_one_short_line() {
    let forged = "no&#10;2026-01-31T12:00:00Z  INFO stored&#27;[2J&#13;";
    let error = lists(&always(Answer::error(403, "AccessDenied", forged), false).await).await.expect_err("refused");
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    let long = "A".repeat(500_000);
    let error = lists(&always(Answer::error(403, "AccessDenied", &long), false).await).await.expect_err("refused");
    assert!(error.to_string().len() < 1000 && error.kind == Kind::Denied);
}

#[tokio::test]
async fn a_400_is_an_absence_only_where_it_is_about_the_version_id() {
    for (code, absent) in [("InvalidArgument", true), ("ExpiredToken", false), ("InvalidRequest", false)] {
        let (store, _liar) = before(move |asked| match asked.op {
            // A HEAD has no code.
            Op::HeadObject => Answer::new(400),
            _ => Answer::error(400, code, "No."),
        })
        .await;
        assert_eq!(matches!(reads(&store).await, Ok(Fetched::Absent)), absent, "{code}");
        assert_eq!(matches!(looks(&store).await, Ok(None)), absent, "{code}");
        assert_eq!(reads(&store).await.is_err(), !absent);
    }
    let expired = always(Answer::error(400, "ExpiredToken", "No."), false).await;
    assert_eq!(looks(&expired).await.expect_err("expired").kind, Kind::Expired);
}

#[tokio::test]
async fn a_head_without_a_length_is_not_an_empty_object() {
    let object = Recording::finished(vec![7; 1234]);
    for head in [Answer::new(200).without_length(), Answer::new(200)] {
        let (recording, told) = (object.clone(), head.clone());
        let (store, _liar) = before(move |asked| match asked.op {
            Op::HeadObject => told.clone(),
            _ => recording.answer(asked),
        })
        .await;
        match looks(&store).await {
            // Two answers that differ are none.
            Err(error) => assert_eq!(error.kind, Kind::Passing, "{error}"),
            Ok(found) => assert_eq!(found.expect("an object").size, 1234),
        }
    }
    let unsaid = always(Answer::new(200).without_length(), false).await;
    let error = looks(&unsaid).await.expect_err("no size");
    assert!(error.kind == Kind::Passing && error.to_string().contains("how long it is"), "{error}");
    let huge = always(Answer::new(200).declares(i64::MAX as u64), false).await;
    assert_eq!(looks(&huge).await.expect_err("no such size").kind, Kind::Passing);
    let (empty, _liar) = before(|asked| match asked.op {
        Op::HeadObject => Answer::new(200),
        _ => Answer::error(416, "InvalidRange", "Empty."),
    })
    .await;
    assert_eq!(looks(&empty).await.expect("an answer").map(|head| head.size), Some(0));
}

#[tokio::test]
async fn numbers_of_the_store_are_within_what_there_can_be() {
    for stated in ["18446744073709551615", "9223372036854775808", "1", "-1", "x"] {
        let object = Recording::open(vec![7; 200]);
        let (store, _liar) =
            before(move |asked| object.answer(asked).header("x-backblaze-live-read-part-size", stated)).await;
        let Ok(Fetched::Data(body)) = reads(&store).await else { panic!("data") };
        assert_eq!(body.part_size, None, "{stated}");
        assert_eq!((body.version.as_deref(), body.etag.as_deref()), (Some("v1"), Some("e1")));
    }
    let range = "bytes 0-18446744073709551614/*";
    let store = always(Answer::new(206).header("content-range", range).body("x"), false).await;
    assert!(matches!(reads(&store).await, Ok(Fetched::Data(body)) if body.range.is_none()));
    let parts =
        "<ListPartsResult><Part><PartNumber>1</PartNumber><Size>9223372036854775807</Size></Part></ListPartsResult>";
    let store = always(Answer::xml(200, parts), false).await;
    assert!(store.parts(KEY, "u1").await.is_err());
    for id in ["a&#13;&#10;X-Evil: 1", "&#27;]0;owned&#7;", &"u".repeat(70_000)] {
        let created = CREATED.replace("u1", id);
        assert!(creates(&always(Answer::xml(200, &created), false).await).await.is_err(), "{id:.20}");
        let listed = lists(&always(uploads_list(&upload(KEY, id)), false).await).await;
        assert!(listed.is_ok_and(|uploads| uploads.is_empty()), "{id:.20}");
    }
}

#[tokio::test]
async fn a_small_object_comes_whole_or_not_at_all() {
    let whole = || Answer::new(200).header("etag", "\"e1\"").body("#EXTM3U\n");
    let small = async |answer: Answer| always(answer, false).await.get_small(KEY, 100).await;
    let read = small(whole()).await.expect("an answer").expect("an object");
    assert_eq!((&read.bytes[..], read.etag.as_deref()), (&b"#EXTM3U\n"[..], Some("e1")));
    let chunked = |body: &str| whole().header("transfer-encoding", "chunked").body(body).without_length();
    let read = small(chunked("8\r\n#EXTM3U\n\r\n0\r\n\r\n")).await.expect("an answer").expect("an object");
    assert_eq!(&read.bytes[..], b"#EXTM3U\n");
    assert!(small(Answer::error(404, "NoSuchKey", "None.")).await.expect("an answer").is_none());
    assert_eq!(small(whole().body("x".repeat(101))).await.expect_err("too long").kind, Kind::Refused);
    for bad in [
        whole().cut(3),
        whole().without_length(),
        whole().declares(20).then(Then::Silence),
        chunked("8\r\n#EXTM3U\n\r\n"),
    ] {
        assert_eq!(small(bad.clone()).await.expect_err("not whole").kind, Kind::Passing, "{bad:?}");
    }
    let (endless, liar) = before(move |_| {
        let head = Answer::new(200).header("transfer-encoding", "chunked").without_length();
        head.then(Then::Endless([b"10000\r\n", &[b'#'; 1 << 16][..], b"\r\n"].concat()))
    })
    .await;
    assert_eq!(endless.get_small(KEY, 100_000).await.expect_err("endless").kind, Kind::Refused);
    assert!(liar.sent() < 32 << 20, "{}", liar.sent());
}

/// A port that says this to everybody, and the store that is said to be there.
async fn saying(scheme: &str, words: &'static [u8]) -> Store {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            // The client may hang up meanwhile.
            drop(client.read(&mut [0; 4096]).and_then(|_| client.write_all(words)));
        }
    });
    connect(&format!("{scheme}://{address}")).await
}

#[tokio::test]
async fn tls_to_a_port_without_it_and_the_other_way_round_are_settings_and_not_the_network() {
    let plain = saying("https", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    // An alert of TLS, "unexpected message", as an answer to HTTP.
    let secure = saying("http", b"\x15\x03\x01\x00\x02\x02\x0a").await;
    for (store, words) in [(plain, "does not speak TLS"), (secure, "does not speak HTTP")] {
        let error = lists(&store).await.expect_err(words);
        assert_eq!(error.kind, Kind::Setup, "{error}");
        assert!(error.to_string().contains(words) && error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
    }
}

#[tokio::test]
async fn a_date_that_is_none_spoils_no_answer() {
    let object = Recording::finished(vec![7; 200]);
    let (store, _liar) =
        before(move |asked| object.answer(asked).header("last-modified", "Thu, 99 Foo 99999 99:99:99 GMT")).await;
    assert!(matches!(reads(&store).await, Ok(Fetched::Data(body)) if body.modified.is_none()));
    assert_eq!(looks(&store).await.expect("an answer").map(|head| (head.size, head.modified)), Some((200, None)));
}
