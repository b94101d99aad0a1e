//! The tests of the cutter.

use proptest::prelude::*;

use super::*;

const PART: u64 = 1_000;
const SECOND: Duration = Duration::from_secs(1);

fn cutter(when: When) -> (Cutter, Instant) {
    (Cutter::new(PART, when, 0), Instant::now())
}

fn bytes(from: u64, count: usize) -> Vec<u8> {
    (from..).take(count).map(|offset| u8::try_from(offset % 251).expect("small")).collect()
}

/// Takes `count` bytes of the input that goes on.
fn take(cutter: &mut Cutter, count: usize, now: Instant) {
    cutter.take(cutter.end, &bytes(cutter.end, count), now);
}

#[allow(clippy::unnecessary_wraps, reason = "it is what next gives")]
fn cut(offset: u64, count: usize) -> Option<Cut> {
    Some(Cut { offset, bytes: bytes(offset, count).into() })
}

#[test]
fn it_is_cut_when_the_oldest_byte_is_old_enough() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    assert_eq!((cutter.due(), cutter.next(now + SECOND)), (None, None));
    take(&mut cutter, 10, now);
    take(&mut cutter, 5, now + SECOND / 2);
    assert_eq!((cutter.due(), cutter.next(now + SECOND / 2)), (Some(now + SECOND), None));
    assert_eq!(cutter.next(now + SECOND), cut(0, 15));
    assert_eq!((cutter.next(now + SECOND), cutter.held()), (None, 15));
    take(&mut cutter, 3, now + SECOND * 2);
    assert_eq!(cutter.due(), Some(now + SECOND * 3));
    cutter.landed(15);
    cutter.close();
    assert_eq!((cutter.next(now), cutter.held()), (cut(15, 3), 3));
}

#[test]
fn what_waits_while_none_can_go_out_goes_as_one_up_to_a_part() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    for _ in 0..13 {
        take(&mut cutter, 100, now);
    }
    assert_eq!(cutter.next(now), cut(0, 1_000));
    assert_eq!(cutter.next(now), None);
    assert_eq!((cutter.due(), cutter.next(now + SECOND)), (None, None));
    cutter.landed(1_000);
    assert_eq!(cutter.next(now + SECOND), cut(1_000, 300));
}

#[test]
fn with_segments_it_is_cut_where_they_end_and_nowhere_else() {
    let (mut cutter, now) = cutter(When::AtSegment(SECOND));
    take(&mut cutter, 100, now);
    cutter.fragment_ends(60);
    assert_eq!((cutter.due(), cutter.next(now + SECOND * 9)), (None, None));
    cutter.segment_ends(90);
    // What has ended already ends nothing more.
    cutter.segment_ends(90);
    assert_eq!((cutter.next(now), cutter.next(now + SECOND * 9)), (cut(0, 90), None));
    // A segment that fits into no live object is cut at a fragment, if one ends in it.
    take(&mut cutter, 600, now);
    cutter.fragment_ends(650);
    take(&mut cutter, 500, now);
    assert_eq!((cutter.next(now), cutter.next(now)), (cut(90, 560), None));
    // What comes last is no part of a segment.
    cutter.fragment_ends(1_190);
    cutter.close();
    assert_eq!((cutter.next(now), cutter.next(now), cutter.next(now)), (cut(650, 540), cut(1_190, 10), None));
}

#[test]
fn input_without_segments_waits_as_long_as_one() {
    let (mut cutter, now) = cutter(When::AtSegment(SECOND));
    take(&mut cutter, 100, now);
    cutter.has_no_segments();
    assert_eq!((cutter.due(), cutter.next(now + SECOND)), (Some(now + SECOND), cut(0, 100)));
}

#[test]
fn there_is_room_for_a_part_or_there_is_not() {
    let (mut cutter, now) = cutter(When::AtSegment(SECOND));
    for (count, room) in [(1_000, true), (1, false)] {
        take(&mut cutter, count, now);
        assert_eq!(cutter.has_room(), room);
    }
    assert_eq!(cutter.next(now), cut(0, 1_000));
    assert!(!cutter.has_room());
    cutter.landed(1_000);
    assert!(cutter.has_room());
}

#[test]
fn whole_parts_are_all_left_to_the_parts() {
    let (mut cutter, now) = cutter(When::PartIsFull);
    take(&mut cutter, 1_500, now);
    cutter.close();
    assert_eq!((cutter.held(), cutter.due(), cutter.next(now + SECOND)), (0, None, None));
    assert_eq!(cutter.left_in(&(0..1_000)), vec![0..1_000]);
    cutter.filled(&(0..1_000));
    assert_eq!(cutter.left_in(&(0..1_000)), []);
    assert_eq!(cutter.left_in(&(1_000..1_500)), vec![1_000..1_500]);
}

#[test]
fn full_parts_that_do_not_fit_are_left_to_the_parts() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    take(&mut cutter, 2_500, now);
    assert_eq!((cutter.held(), cutter.left_in(&(0..3_000))), (1_500, vec![1_000..2_000]));
    assert_eq!((cutter.next(now), cutter.next(now + SECOND)), (cut(0, 1_000), None));
    take(&mut cutter, 700, now);
    assert_eq!((cutter.held(), cutter.left_in(&(0..4_000))), (1_200, vec![1_000..3_000]));
    cutter.filled(&(2_100..2_200));
    assert_eq!(cutter.left_in(&(0..9_000)), vec![1_000..2_100, 2_200..3_000]);
}

#[test]
fn what_trickles_in_behind_a_burst_is_cut_in_time() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    take(&mut cutter, 4_200, now);
    assert_eq!(cutter.next(now), cut(0, 1_000));
    take(&mut cutter, 77, now + SECOND / 2);
    cutter.landed(1_000);
    assert_eq!((cutter.due(), cutter.next(now + SECOND)), (Some(now + SECOND), cut(4_000, 277)));
    assert_eq!(cutter.left_in(&(0..u64::MAX)), vec![1_000..4_000]);
}

#[test]
fn a_full_part_is_not_kept_by_what_waits_for_its_turn() {
    let (mut cutter, now) = cutter(When::After(SECOND * 3));
    take(&mut cutter, 1_600, now);
    assert_eq!(cutter.next(now), cut(0, 1_000));
    take(&mut cutter, 500, now);
    cutter.part_waits(2_000);
    assert_eq!((cutter.next(now), cutter.left_in(&(0..9_000))), (None, vec![1_000..2_000]));
}

#[test]
fn given_up_it_holds_nothing_and_wants_nothing() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    take(&mut cutter, 2_500, now);
    let _ = cutter.next(now);
    cutter.give_up();
    assert_eq!((cutter.held(), cutter.next(now + SECOND)), (1_000, None));
    cutter.landed(1_000);
    take(&mut cutter, 5_000, now);
    assert_eq!((cutter.held(), cutter.due()), (0, None));
}

#[test]
fn what_an_earlier_run_has_stored_is_not_cut_again() {
    let now = Instant::now();
    let mut cutter = Cutter::new(PART, When::After(SECOND), 1_300);
    for (offset, count) in [(1_000, 100), (1_100, 250), (1_350, 50)] {
        cutter.take(offset, &bytes(offset, count), now);
    }
    assert_eq!(cutter.next(now + SECOND), cut(1_300, 100));
}

#[test]
fn a_part_does_not_wait_for_long() {
    for (time, cuts) in [(SECOND, false), (SECOND * 3, true)] {
        let (mut cutter, now) = cutter(When::After(time));
        take(&mut cutter, 500, now);
        cutter.part_waits(0);
        assert_eq!(cutter.next(now), None);
        cutter.part_waits(500);
        assert_eq!(cutter.next(now).is_some(), cuts);
    }
}

#[test]
fn a_jump_cuts_what_waits_before_it() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    take(&mut cutter, 10, now);
    cutter.take(3_000, &bytes(3_000, 5), now + SECOND / 2);
    assert_eq!(cutter.next(now), cut(0, 10));
    assert_eq!(cutter.due(), Some(now + SECOND * 3 / 2));
    assert_eq!(cutter.next(now + SECOND * 2), cut(3_000, 5));
}

#[test]
fn a_buffer_is_not_copied_again_while_there_is_another() {
    let (mut cutter, now) = cutter(When::After(SECOND));
    let at = |memory: &[u8]| memory.as_ptr();
    take(&mut cutter, 500, now);
    let memory = at(&cutter.waiting);
    let first = cutter.next(now + SECOND).expect("due");
    assert_eq!(at(&first.bytes), memory);
    take(&mut cutter, 400, now + SECOND);
    let memory = at(&cutter.waiting);
    let second = cutter.next(now + SECOND * 2);
    assert_ne!(at(&second.as_ref().expect("due").bytes), memory, "the first is on its way still");
    assert_eq!(second, cut(500, 400));
    cutter.landed(900);
    drop((first, second));
    take(&mut cutter, 500, now + SECOND * 2);
    let third = cutter.next(now + SECOND * 3);
    assert_eq!(third.as_ref().map(|cut| (cut.offset, at(&cut.bytes))), Some((900, memory)));
    take(&mut cutter, 100, now + SECOND * 3);
    let memory = at(&cutter.waiting);
    cutter.close();
    assert_eq!(cutter.next(now).map(|cut| at(&cut.bytes)), Some(memory), "nothing comes behind it");
}

#[test]
fn a_short_segment_does_not_keep_a_whole_buffer() {
    let (mut cutter, now) = cutter(When::AtSegment(SECOND));
    for (count, kept) in [(100, false), (500, true)] {
        take(&mut cutter, count, now);
        let memory = cutter.waiting.as_ptr();
        cutter.segment_ends(cutter.end);
        assert_eq!(cutter.next(now).expect("cut").bytes.as_ptr() == memory, kept, "{count}");
    }
}

proptest! {
    /// Whatever comes and however the store lags: each byte is either cut once or left to the parts, in order and
    /// unchanged, and the bound holds.
    #[test]
    fn no_byte_is_lost_or_cut_twice(
        steps in proptest::collection::vec((0..4u8, 1..700usize), 1..200),
        fragments: bool,
    ) {
        let when = if fragments { When::AtSegment(SECOND) } else { When::After(SECOND) };
        let (mut cutter, mut now) = cutter(when);
        let (mut seen, mut flying) = (Vec::new(), VecDeque::new());
        for (step, count) in steps {
            match step {
                0 => now += SECOND / 3,
                1 => if let Some(cut) = cutter.next(now) {
                    prop_assert!(cut.bytes.len() as u64 <= PART);
                    prop_assert_eq!(&cut.bytes[..], &bytes(cut.offset, cut.bytes.len())[..]);
                    flying.push_back(cut);
                },
                2 => if let Some(cut) = flying.pop_front() {
                    cutter.landed(cut.bytes.len() as u64);
                    seen.push(cut.offset..cut.end());
                },
                _ => {
                    take(&mut cutter, count, now);
                    cutter.fragment_ends(cutter.end - count as u64 / 3);
                    if count % 5 == 0 {
                        cutter.segment_ends(cutter.end - count as u64 / 3);
                    }
                }
            }
            prop_assert!(cutter.held() <= PART * Cutter::MOST_PARTS);
        }
        cutter.close();
        while let Some(cut) = cutter.next(now) {
            flying.push_back(cut);
        }
        seen.extend(flying.iter().map(|cut| cut.offset..cut.end()));
        seen.extend(cutter.left_in(&(0..u64::MAX)));
        seen.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in seen {
            prop_assert_eq!(range.start, end);
            end = range.end;
        }
        prop_assert_eq!(end, cutter.end);
    }
}
