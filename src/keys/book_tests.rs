//! A book of streams in a file: also where several programs have it open.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn book() -> (tempfile::TempDir, Book, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys.db").display().to_string();
    let book = Book::at(&path).expect("a book");
    (dir, book, path)
}

#[tokio::test]
async fn a_key_is_good_from_the_moment_it_is_made_until_it_is_revoked() {
    let (_dir, book, path) = book();
    assert_eq!(book.open().await.expect("a file"), 0);
    let (stream, key) = book.create("cam", Wish::default()).await.expect("a stream");
    let permit = book.permit(key.reveal()).await.expect("an answer").expect("a good key");
    assert_eq!((permit.id.as_str(), permit.stream.as_str(), &permit.object), (stream.id.as_str(), "cam", &None));
    assert!(book.list().await.expect("a list")[0].last_used.is_some());
    for wrong in ["", "cam", "lr_", &key.reveal()[..24], &format!("{} ", key.reveal()), &stream.keys[0].hash] {
        assert_eq!(book.permit(wrong).await.expect("an answer"), None, "{wrong}");
    }
    // In the file there is no key, and it is its owner's.
    let bytes = std::fs::read(&path).expect("the file");
    assert!(!bytes.windows(10).any(|window| window == &key.reveal().as_bytes()[3..13]));
    assert_eq!(std::fs::metadata(&path).expect("the file").mode() & 0o777, 0o600);
    book.revoke(&stream.id).await.expect("a stream");
    assert_eq!(book.permit(key.reveal()).await.expect("an answer"), None);
    assert!(matches!(book.revoke(&stream.id).await, Err(KeysError::NoStream(_))));
}

#[tokio::test]
async fn a_key_can_be_exchanged_while_the_old_one_is_good() {
    let (_dir, book, _) = book();
    let (stream, first) = book.create("cam", Wish::default()).await.expect("a stream");
    let exists = book.create("cam", Wish::default()).await.expect_err("one of that name");
    assert!(exists.to_string().contains(&format!("--rotate-key {}", stream.id)), "{exists}");
    let (_, second) = book.rotate(&stream.id, None, Some(Duration::from_secs(60))).await.expect("a key");
    let permits =
        |streams: &[Stream], permit: &Option<Permit>| permit.as_ref().is_some_and(|p| p.held(streams).is_some());
    let (one, two) =
        (book.permit(first.reveal()).await.expect("one"), book.permit(second.reveal()).await.expect("two"));
    let streams = book.list().await.expect("a list");
    assert!(permits(&streams, &one) && permits(&streams, &two));
    let (stream, third) = book.rotate(&stream.id, None, Some(Duration::ZERO)).await.expect("a key");
    assert_eq!(book.permit(first.reveal()).await.expect("an answer"), None);
    assert_eq!(book.permit(second.reveal()).await.expect("an answer"), None);
    let third = book.permit(third.reveal()).await.expect("an answer").expect("good");
    assert!(matches!(book.revoke_key(&stream.id, "other").await, Err(KeysError::NoKey { .. })));
    let stream = book.revoke_key(&stream.id, &third.key).await.expect("a key");
    assert_eq!(third.held(&[stream]), None);
    assert!(matches!(book.rotate("nobody", None, None).await, Err(KeysError::NoStream(_))));
}

#[tokio::test]
async fn several_programs_share_a_file() {
    let (_dir, book, path) = book();
    book.open().await.expect("a file");
    let mut known = Known::default();
    assert_eq!(book.news(&mut known).await.expect("an answer").expect("the first").len(), 0);
    assert!(book.news(&mut known).await.expect("an answer").is_none());
    // Each has a lock of its own, as another process has.
    let others: Vec<_> = (0..6)
        .map(|number| {
            let other = Book::at(&path).expect("a book");
            tokio::spawn(async move {
                for round in 0..4 {
                    let (_, key) =
                        other.create(&format!("cam-{number}-{round}"), Wish::default()).await.expect("a stream");
                    assert!(other.permit(key.reveal()).await.expect("an answer").is_some());
                }
            })
        })
        .collect();
    for other in others {
        other.await.expect("no panic");
    }
    assert_eq!(book.news(&mut known).await.expect("an answer").expect("something new").len(), 24);
}

#[tokio::test]
async fn what_is_no_file_of_keys_is_named_and_left_alone() {
    let (dir, book, path) = book();
    let missing = book.list().await.expect_err("no file").to_string();
    assert!(missing.contains(&path) && missing.contains("--add-key"), "{missing}");
    std::fs::write(&path, "something else, which is not empty").expect("a file");
    assert!(book.open().await.is_err());
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "something else, which is not empty");
    let open = dir.path().join("open.db");
    std::fs::write(&open, "").expect("a file");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o666)).expect("a mode");
    let refused = Book::at(&open.display().to_string()).expect("a book").open().await.expect_err("open to all");
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
    assert!(Book::at(&dir.path().display().to_string()).expect("a book").open().await.is_err());
    assert!(Book::at("redis://").is_err());
    let unfit = book.create("../x", Wish::default()).await.expect_err("a bad name");
    assert!(matches!(unfit, KeysError::Unfit(_)));
    let wish = Wish { object: Some("{x}".to_owned()), ..Wish::default() };
    assert!(matches!(book.create("x", wish).await, Err(KeysError::Unfit(_))));
}

#[tokio::test]
async fn terms_are_kept_and_whoever_is_disabled_does_not_hold_any_more() {
    let (_dir, book, _) = book();
    let terms = Terms { max_bitrate: Some(8_000_000), max_duration: Some(60), ..Terms::default() };
    let (stream, key) = book.create("cam", Wish { terms: terms.clone(), ..Wish::default() }).await.expect("a stream");
    let permit = book.permit(key.reveal()).await.expect("an answer").expect("a good key");
    assert_eq!(permit.terms, terms);
    let streams = book.list().await.expect("a list");
    assert!(permit.held(&streams).is_some_and(|held| held.terms == terms));
    let change = Change { enabled: Some(false), ..Change::default() };
    let changed = book.change(&stream.id, change.clone()).await.expect("a stream");
    assert_eq!((&changed.terms, changed.keys.len()), (&Terms { enabled: false, ..terms }, 1));
    let streams = book.list().await.expect("a list");
    assert_eq!((&streams[0].terms, permit.held(&streams)), (&changed.terms, None));
    // The key is good: it is told with what it may do.
    assert!(book.permit(key.reveal()).await.expect("an answer").is_some_and(|permit| !permit.terms.enabled));
    assert!(matches!(book.change("nobody", change).await, Err(KeysError::NoStream(_))));
    for bad in [
        Change { max_bitrate: Some(Some(1)), ..Change::default() },
        Change { object: Some(Some("x.mp4".to_owned())), ..Change::default() },
    ] {
        assert!(matches!(book.change(&stream.id, bad).await, Err(KeysError::Unfit(_))));
    }
}

#[tokio::test]
async fn where_others_know_what_may_be_published_any_name_is_asked_about() {
    let book = Book::of_others();
    let permit = book.permit("any name/at all").await.expect("an answer").expect("a permit");
    assert_eq!((permit.stream.as_str(), permit.key.as_str()), ("any name/at all", ""));
    assert_eq!(book.permit("").await.expect("an answer"), None);
    assert!(book.news(&mut Known::default()).await.expect("an answer").is_none());
    assert!(matches!(book.create("cam", Wish::default()).await, Err(KeysError::Unfit(_))));
    assert!(book.list().await.is_err_and(|error| error.to_string().contains("--keys")));
}
