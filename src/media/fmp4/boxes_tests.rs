//! Boxes walked in every slicing, whole, damaged and broken off.

use proptest::prelude::*;

use super::*;

fn plain(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &kind, body].concat()
}

fn long(kind: [u8; 4], size: u64, body: &[u8]) -> Vec<u8> {
    [&1u32.to_be_bytes()[..], &kind, &size.to_be_bytes(), body].concat()
}

fn wish(head: &BoxHead) -> Wish {
    match &head.kind.0 {
        b"moov" | b"moof" | b"traf" => Wish::Enter,
        b"ftyp" | b"tfhd" | b"uuid" => Wish::Keep(16),
        b"free" => Wish::Keep(usize::MAX),
        _ => Wish::Skip,
    }
}

fn walk(data: &[u8], slice: usize) -> Vec<Event> {
    let mut walker = BoxWalker::new(wish);
    let events = data.chunks(slice.max(1)).flat_map(|part| walker.feed(part).collect::<Vec<_>>()).collect();
    assert_eq!(walker.offset(), data.len() as u64);
    events
}

fn starts(events: &[Event]) -> Vec<(String, u64, u8, Option<u64>, u8)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Start(h) => Some((h.kind.to_string(), h.offset, h.header_len, h.size, h.depth)),
            _ => None,
        })
        .collect()
}

fn off(events: &[Event]) -> Option<(u64, OffReason)> {
    events.iter().find_map(|event| match event {
        Event::Off { offset, reason } => Some((*offset, *reason)),
        _ => None,
    })
}

#[test]
fn every_kind_of_header_at_every_slicing() {
    let data = [
        plain(*b"ftyp", b"isom\0\0\x02\0isomiso6mp41"),
        plain(*b"moov", &[plain(*b"mvhd", &[7; 100]), plain(*b"mvex", &[]), vec![0; 4]].concat()),
        plain(*b"uuid", &[9; 20]),
        plain(*b"free", &[]),
        long(*b"mdat", 16 + 50, &[0xff; 50]),
        plain(*b"moof", &plain(*b"traf", &plain(*b"tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]))),
        [&0u32.to_be_bytes()[..], b"mdat", &[0; 99]].concat(),
    ]
    .concat();
    let whole = walk(&data, data.len());
    let at = |s: &str, o, h, n, d| (s.to_owned(), o, h, n, d);
    assert_eq!(
        starts(&whole),
        [
            at("ftyp", 0, 8, Some(28), 0),
            at("moov", 28, 8, Some(128), 0),
            at("mvhd", 36, 8, Some(108), 1),
            at("mvex", 144, 8, Some(8), 1),
            at("uuid", 156, 8, Some(28), 0),
            at("free", 184, 8, Some(8), 0),
            at("mdat", 192, 16, Some(66), 0),
            at("moof", 258, 8, Some(32), 0),
            at("traf", 266, 8, Some(24), 1),
            at("tfhd", 274, 8, Some(16), 2),
            at("mdat", 290, 8, None, 0),
        ]
    );
    let kept: Vec<_> = whole
        .iter()
        .filter_map(|event| match event {
            Event::Kept(head, bytes) => Some((head.kind.to_string(), bytes.to_vec())),
            _ => None,
        })
        .collect();
    assert_eq!(
        kept,
        [
            ("ftyp".to_owned(), b"isom\0\0\x02\0isomiso6".to_vec()),
            ("uuid".to_owned(), vec![9; 16]),
            ("free".to_owned(), vec![]),
            ("tfhd".to_owned(), vec![0, 2, 0, 0, 0, 0, 0, 1]),
        ]
    );
    for slice in 1..data.len() {
        assert_eq!(walk(&data, slice), whole, "slices of {slice}");
    }
    for cut in 0..=data.len() {
        let mut walker = BoxWalker::new(wish);
        let (a, b) = data.split_at(cut);
        let mut events: Vec<_> = walker.feed(a).collect();
        events.extend(walker.feed(b));
        assert_eq!(events, whole, "cut at {cut}");
    }
}

#[test]
fn invalid_streams_turn_it_off_with_a_reason() {
    let ftyp = plain(*b"ftyp", b"isom");
    let after = |tail: &[u8]| off(&walk(&[&ftyp[..], tail].concat(), 5));
    assert_eq!(off(&walk(b"GET / HTTP/1.1\r\n", 3)), Some((0, OffReason::UnknownStart)));
    assert_eq!(off(&walk(&[0x47; 188], 7)), Some((0, OffReason::UnknownStart)));
    assert_eq!(off(&walk(&[0; 64], 64)), Some((0, OffReason::UnknownStart)));
    assert_eq!(after(&[0; 64]), Some((12, OffReason::Zeros)));
    assert_eq!(after(b"\0\0\0\x10fr\x01efffffff"), Some((12, OffReason::BadType)));
    assert_eq!(after(b"\0\0\0\x07free"), Some((12, OffReason::TooShort)));
    assert_eq!(after(b"\0\0\0\x10uuid"), Some((12, OffReason::TooShort)));
    assert_eq!(after(&long(*b"mdat", 15, b"")), Some((12, OffReason::TooShort)));
    assert_eq!(after(&long(*b"mdat", u64::MAX, b"")), Some((12, OffReason::TooLong)));
    assert_eq!(after(&plain(*b"moov", b"\0\0\0\x11mvhd\0\0\0\0\0\0\0\0")), Some((20, OffReason::Overrun)));
    assert_eq!(after(&plain(*b"moov", b"\0\0\0\0mvhd\0\0\0\0\0\0\0\0")), Some((20, OffReason::TooShort)));
    assert_eq!(after(&long(*b"mdat", 0, &[0; 99])), None, "a size that is filled in later");
}

#[test]
fn a_dropped_iterator_still_takes_all_bytes() {
    let data = [plain(*b"ftyp", b"isom"), plain(*b"free", &[1; 30]), plain(*b"mdat", &[0; 9])].concat();
    let mut walker = BoxWalker::default();
    let first = walker.feed(&data).next();
    assert!(matches!(first, Some(Event::Start(BoxHead { kind: FourCc::FTYP, .. }))));
    assert_eq!(walker.offset(), data.len() as u64);
    let next = walker.feed(&plain(*b"moov", &[])).next();
    let Some(Event::Start(head)) = next else { panic!("{next:?}") };
    assert_eq!((head.kind, head.offset), (FourCc::MOOV, data.len() as u64));
}

#[test]
fn kept_bytes_and_depth_are_bounded() {
    let free = long(*b"free", 1 << 40, &[5; KEEP_MAX * 2]);
    let events = walk(&free, 1000);
    let Some(Event::Kept(_, bytes)) = events.get(1) else { panic!("{events:?}") };
    assert_eq!(bytes.len(), KEEP_MAX);

    let nested = (0..50).fold(Vec::new(), |inner, _| plain(*b"moov", &inner));
    let events = walk(&nested, 64);
    assert_eq!(events.len(), DEPTH_MAX + 1);
    assert_eq!(off(&events), None);
}

/// Boxes with mostly sane headers, so that walks get past the first one.
fn some_stream() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![
        *b"ftyp", *b"moov", *b"moof", *b"traf", *b"tfhd", *b"mvex", *b"free", *b"uuid", *b"mdat", *b"sidx",
    ]);
    let size = prop_oneof![8 => 0u32..200, 1 => any::<u32>(), 1 => Just(1u32)];
    let piece = (size, kind, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(size, kind, body)| [&size.to_be_bytes()[..], &kind, &body].concat());
    let fitting = prop::collection::vec(any::<u8>(), 0..40).prop_map(|body| plain(*b"moov", &body));
    prop::collection::vec(prop_oneof![piece, fitting], 0..12).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn slicing_never_matters(data in some_stream(), cuts in prop::collection::vec(0usize..400, 0..8)) {
        let whole = walk(&data, data.len());
        prop_assert!(whole.len() <= data.len() / 8 * 2 + 1);
        prop_assert_eq!(&walk(&data, 1), &whole);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
        cuts.push(data.len());
        cuts.sort_unstable();
        let (mut walker, mut events, mut from) = (BoxWalker::new(wish), Vec::new(), 0);
        for cut in cuts {
            events.extend(walker.feed(&data[from..cut]));
            from = cut;
        }
        prop_assert_eq!(&events, &whole);
        prop_assert_eq!(walker.is_off(), off(&whole).is_some());
    }

    #[test]
    fn random_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..600), slice in 1usize..40) {
        walk(&[plain(*b"ftyp", b"isom"), data.clone()].concat(), slice);
        walk(&data, slice);
    }

    #[test]
    fn boxes_are_where_they_say(data in some_stream()) {
        for event in walk(&data, 13) {
            if let Event::Start(head) = event {
                let at = usize::try_from(head.offset).unwrap();
                prop_assert_eq!(data.get(at + 4..at + 8), Some(&head.kind.0[..]));
                prop_assert!(usize::from(head.depth) <= DEPTH_MAX);
            }
        }
    }
}
