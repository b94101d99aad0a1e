//! A reader's looks, simulated against arrivals of all sorts.

use super::*;

const POLL: Duration = Duration::from_secs(1);
const ROUND_TRIP: Duration = Duration::from_millis(2);

/// Plays a reader against arrivals at the ends of `gaps`; returns the delay of each and the looks made for it.
fn play(gaps: &[f64]) -> Vec<(Duration, u32)> {
    play_from(Rhythm::new(POLL, false), Instant::now(), gaps)
}

fn play_from(mut rhythm: Rhythm, start: Instant, gaps: &[f64]) -> Vec<(Duration, u32)> {
    let (mut now, mut arrival, mut sent) = (start, start, start);
    let mut results = Vec::new();
    for gap in gaps {
        arrival += Duration::from_secs_f64(*gap);
        if arrival < sent {
            // The last answer held this one too.
            results.push((now - arrival, 0));
            continue;
        }
        let mut looks = 0;
        loop {
            now += rhythm.wait(now);
            looks += 1;
            sent = now;
            now += ROUND_TRIP;
            if sent >= arrival {
                rhythm.arrived(sent, now, false);
                results.push((now - arrival, looks));
                break;
            }
            rhythm.missed(sent);
            if rhythm.suspects_end(now) {
                looks += 1;
                now += ROUND_TRIP;
            }
        }
    }
    results
}

/// The 95th percentile of the delays, and the mean number of looks, after the first `warm_up` arrivals.
fn summary(results: &[(Duration, u32)], warm_up: usize) -> (Duration, f64) {
    let settled = &results[warm_up..];
    let mut delays: Vec<Duration> = settled.iter().map(|(delay, _)| *delay).collect();
    delays.sort_unstable();
    let looks: u32 = settled.iter().map(|(_, looks)| looks).sum();
    (delays[delays.len() * 95 / 100], f64::from(looks) / f64::from(u32::try_from(settled.len()).expect("few")))
}

/// Gaps of `mean` seconds that differ by up to `spread` of it, evenly.
fn varied(seed: u64, mean: f64, spread: f64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..400).map(|_| mean * (1.0 - spread / 2.0 + spread * random.f64())).collect()
}

#[test]
fn a_steady_source_is_met_at_once_and_by_few_looks() {
    for (mean, looks_at_most) in [(7.0, 4.0), (1.0, 3.0), (42.0, 5.0)] {
        // Each arrival is up to 20 ms late, whatever the one before was.
        let mut random = fastrand::Rng::with_seed(1);
        let mut late = 0.0;
        let gaps: Vec<f64> = (0..400)
            .map(|_| {
                let before = std::mem::replace(&mut late, random.f64() * 0.02);
                mean + late - before
            })
            .collect();
        let (delay, looks) = summary(&play(&gaps), 20);
        assert!(delay <= Duration::from_millis(45), "{mean}: {delay:?}");
        assert!(looks <= looks_at_most, "{mean}: {looks}");
    }
}

#[test]
fn gaps_in_two_groups_are_met_at_both() {
    let gaps: Vec<f64> = (0..200).map(|i| if i % 3 == 0 { 8.0 } else { 6.0 }).collect();
    let (delay, looks) = summary(&play(&gaps), 20);
    assert!(delay <= Duration::from_millis(150), "{delay:?}");
    assert!(looks <= 5.2, "{looks}");
}

#[test]
fn gaps_that_vary_by_a_fifth_are_met_sooner_than_by_polling() {
    let of_each: Vec<_> = (0..9).map(|seed| summary(&play(&varied(seed, 7.0, 0.2)), 20)).collect();
    let mut delays: Vec<_> = of_each.iter().map(|(delay, _)| *delay).collect();
    delays.sort_unstable();
    let looks: f64 = of_each.iter().map(|(_, looks)| looks).sum::<f64>() / 9.0;
    assert!(delays[4] <= Duration::from_millis(290), "{delays:?}");
    assert!(delays[8] <= Duration::from_millis(400), "{delays:?}");
    assert!(looks <= 6.4, "{looks}");
}

#[test]
fn a_change_of_bitrate_is_followed() {
    for (before, after) in [(7.0, 5.0), (5.0, 7.0)] {
        let gaps: Vec<f64> = (0..120).map(|i| if i < 60 { before } else { after }).collect();
        let results = play(&gaps);
        let settled = results[100..].iter().map(|(delay, _)| *delay).max().expect("some");
        assert!(settled <= Duration::from_millis(400), "{before} to {after}: {settled:?}");
    }
}

#[test]
fn a_source_faster_than_the_poll_interval_is_met_in_time() {
    let (delay, looks) = summary(&play(&varied(3, 0.84, 0.005)), 20);
    assert!(delay <= Duration::from_millis(60), "{delay:?}");
    assert!(looks <= 3.0, "{looks}");
}

#[test]
fn without_a_rhythm_no_wait_is_longer_than_the_poll_interval() {
    let mut random = fastrand::Rng::with_seed(7);
    let gaps: Vec<f64> = (0..100).map(|_| random.f64() * 0.9).collect();
    for (delay, _) in play(&gaps) {
        // An arrival just after a look waits for the next one, and for the question after the end before it.
        assert!(delay <= POLL + 3 * ROUND_TRIP, "{delay:?}");
    }
}

#[test]
fn a_poll_interval_that_was_asked_for_holds_in_any_rhythm() {
    for longest in [Duration::from_millis(1), Duration::from_millis(100), POLL] {
        let mut rhythm = Rhythm::new(longest, true);
        let mut now = Instant::now();
        for _ in 0..5 {
            now += Duration::from_secs(7);
            rhythm.missed(now - Duration::from_millis(50));
            rhythm.arrived(now, now, false);
            for millis in (0..10_000).step_by(10) {
                let wait = rhythm.wait(now + Duration::from_millis(millis));
                assert!(wait <= longest, "{wait:?} after {millis} ms");
            }
        }
    }
}

#[test]
fn a_writer_that_stopped_is_asked_after_at_the_poll_interval() {
    let mut rhythm = Rhythm::new(POLL, false);
    let mut now = Instant::now();
    for _ in 0..5 {
        now += Duration::from_secs(3);
        rhythm.missed(now - Duration::from_millis(50));
        rhythm.arrived(now, now, false);
    }
    now += Duration::from_secs(60);
    rhythm.missed(now);
    assert_eq!(rhythm.wait(now), POLL);
    assert!(rhythm.suspects_end(now));
}

#[test]
fn a_short_tail_makes_it_look_sooner_unless_tails_are_usual() {
    let mut rhythm = Rhythm::new(POLL, false);
    let now = Instant::now();
    rhythm.arrived(now, now, false);
    rhythm.arrived(now, now, true);
    assert!(rhythm.suspects_end(now));
    assert_eq!(rhythm.wait(now), AFTER_TAIL);
    rhythm.missed(now);
    assert_eq!(rhythm.wait(now), 4 * AFTER_TAIL);
    rhythm.arrived(now, now, true);
    assert!(rhythm.wait(now) > AFTER_TAIL);
}
#[test]
fn the_third_part_is_met_in_time_already() {
    for jitter in [0.02, 0.1] {
        let (mut third, mut looks, mut parts) = (Vec::new(), 0, 0_u32);
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            // The reader comes at any time, and each arrival is up to that much late, whatever the one before was.
            let mut late = 0.0;
            let mut gaps = vec![0.2 + 6.6 * random.f64()];
            gaps.extend((0..9).map(|_| {
                let before = std::mem::replace(&mut late, random.f64() * jitter);
                6.667 + late - before
            }));
            let mut rhythm = Rhythm::new(POLL, false);
            let start = Instant::now();
            rhythm.missed(start);
            let results = play_from(rhythm, start, &gaps);
            third.push(results[2].0);
            looks += results[2..].iter().map(|(_, looks)| looks).sum::<u32>();
            parts += 8;
        }
        third.sort_unstable();
        let (delay, looks) = (third[third.len() * 95 / 100], f64::from(looks) / f64::from(parts));
        assert!(delay <= Duration::from_millis(155), "{delay:?}");
        assert!(looks <= 6.0, "{looks}");
    }
}
