//! When to look for the next live object, and when to ask whether it is over.
//!
//! A look brings one live object, or none. Between two that keep to a beat one look in vain is worth its price: it shows
//! that the next was not there yet. More looks than about two for each object are not, so they are never closer than a
//! twelfth of the beat.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::object::rhythm::Rhythm;

/// Two looks for one live object are so far apart: this share of the beat, within limits.
const SHARE: u32 = 12;
const CLOSEST: Duration = Duration::from_millis(15);
const FARTHEST: Duration = Duration::from_millis(60);
/// The same where they are so far apart that the end costs more looks than they do: a look or two more bring each sooner.
const FARTHEST_SLOW: Duration = Duration::from_millis(25);

/// The longest wait: the end is to be noticed within a second and a half, however long a part takes to fill.
const LONGEST: Duration = Duration::from_millis(1400);

/// Between two questions whether it is over, where what had been due came late all the same.
const SPACING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The same once nothing has come for so many times as long as usual, within limits: the longer is two beats of the head.
const SILENT_TIMES: u32 = 2;
const SILENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
const IN_SILENCE: Duration = Duration::from_secs(3);

/// From this beat on the time in which nothing is due is spent on looks at the head.
const SLOW: Duration = Duration::from_secs(2);

/// So many live objects in a row that were there at the first look after a wait may be more than keep the beat.
const EARLY: u32 = 3;

/// How many live objects' lengths are remembered.
const LENGTHS: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace {
    rhythm: Rhythm,
    longest: Duration,
    /// Whether the look under way followed a wait, and whether a look in vain did.
    waited: bool,
    missed: bool,
    /// How long the newest live objects are, in bytes.
    lengths: VecDeque<u64>,
    /// Live objects in a row that were there without a wait.
    at_once: u32,
    /// The same after a wait, but no look in vain.
    early: u32,
    /// When the newest came, and how long the longer ones of late were in coming.
    came: Instant,
    gap: Option<Duration>,
    /// When it was last asked whether it is over, and how long after that it is again.
    asked: Option<Instant>,
    spacing: Duration,
}

impl Pace {
    /// `beat`: how far live objects are apart, where their writer has said so.
    pub(crate) fn new(poll_interval: Duration, strict: bool, beat: Option<Duration>) -> Self {
        let longest = if strict { poll_interval } else { poll_interval.max(LONGEST) };
        let rhythm = Rhythm::new(poll_interval, strict);
        Self {
            rhythm: if let Some(beat) = beat { rhythm.expecting(beat) } else { rhythm },
            longest,
            waited: false,
            missed: false,
            lengths: VecDeque::new(),
            at_once: 0,
            early: 0,
            came: Instant::now(),
            gap: None,
            asked: None,
            spacing: SPACING.0,
        }
    }

    /// How many live objects in a row were there without a wait.
    pub(crate) fn at_once(&self) -> u32 {
        self.at_once
    }

    /// Notes the length of a live object that was cut by the time. Whether it is so much shorter than those before that it may
    /// be the last: the end of the input cuts as well. What comes in turns of long and short, as with key frames, is not.
    pub(crate) fn is_short(&mut self, length: u64) -> bool {
        let short = self.lengths.iter().min().is_some_and(|shortest| length < shortest / 2);
        self.lengths.push_back(length);
        if self.lengths.len() > LENGTHS {
            self.lengths.pop_front();
        }
        short
    }

    /// A look, sent at `sent` and answered at `answered`, brought a live object; `last` says that it looks like the last.
    /// How long to wait before the next look; none where the next may be there already.
    pub(crate) fn came(&mut self, sent: Instant, answered: Instant, last: bool) -> Option<Duration> {
        if self.asked.is_some_and(|asked| asked > self.came) {
            // It was not over.
            self.spacing = (self.spacing * 2).min(SPACING.1);
        }
        let gap = answered.saturating_duration_since(self.came);
        self.gap = Some(self.gap.map_or(gap, |before| gap.max(before * 7 / 8)));
        self.came = answered;
        let (waited, missed) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.missed));
        if !waited {
            self.at_once = self.at_once.saturating_add(1);
            self.rhythm.lost_track();
            return None;
        }
        self.at_once = 0;
        self.rhythm.arrived(sent, answered, last);
        self.early = if missed { 0 } else { self.early + 1 };
        if self.early >= EARLY {
            // It may have been there for long, and the next with it.
            self.early = 0;
            return None;
        }
        // The rhythm would begin with a look that is most likely in vain.
        Some((self.wait(Instant::now()) + self.closest() / 2).min(self.longest))
    }

    /// What is known to be there was read: how it came says nothing of when the next will.
    pub(crate) fn caught_up(&mut self) {
        self.came = Instant::now();
        (self.waited, self.missed) = (false, false);
        self.rhythm.lost_track();
    }

    /// A look that was sent at `sent` found nothing; how long to wait before the next.
    pub(crate) fn missed(&mut self, sent: Instant) -> Duration {
        self.rhythm.missed(sent);
        (self.missed, self.at_once) = (true, 0);
        self.wait(Instant::now()).max(self.closest()).min(self.longest)
    }

    /// How far two looks for one live object are apart, at least.
    fn closest(&self) -> Duration {
        let farthest = |gap| if gap < SLOW { FARTHEST } else { FARTHEST_SLOW };
        self.rhythm.usual_gap().map_or(CLOSEST, |gap| (gap / SHARE).clamp(CLOSEST, farthest(gap)))
    }

    fn wait(&mut self, now: Instant) -> Duration {
        self.waited = true;
        self.rhythm.wait(now).min(self.longest)
    }

    /// Whether it is time to ask whether it is over.
    pub(crate) fn suspects_end(&self, now: Instant) -> bool {
        let long = self.gap.map_or(SILENCE.1, |gap| gap * SILENT_TIMES);
        let silent = now.saturating_duration_since(self.came) >= long.clamp(SILENCE.0, SILENCE.1);
        let spacing = if silent { IN_SILENCE } else { self.spacing };
        let spaced = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= spacing);
        spaced && (silent || self.rhythm.suspects_end(now))
    }

    /// Whether it is not even known yet how fast live objects come, so that a miss says little about the end; but not for long.
    pub(crate) fn knows_no_beat(&self, now: Instant) -> bool {
        self.rhythm.usual_gap().is_none() && now.saturating_duration_since(self.came) < SILENCE.1
    }

    /// It was asked.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Whether nothing is due for a while, so that the head tells more than another look.
    pub(crate) fn is_quiet(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.came);
        self.rhythm.usual_gap().is_some_and(|gap| gap >= SLOW && since < gap.mul_f64(0.8)) && !self.suspects_end(now)
    }

    /// How long to wait after a look at the head.
    pub(crate) fn after_quiet(&mut self) -> Duration {
        self.wait(Instant::now()).max(CLOSEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays objects that come at these times (in ms); the looks that each took, how late each was seen, and how often it was asked
    /// whether it is over.
    async fn play(times: impl IntoIterator<Item = u64>) -> (Vec<u32>, Vec<Duration>, u32) {
        play_at(None, times).await
    }

    /// The same where the writer has said how far they are apart.
    async fn play_at(beat: Option<Duration>, times: impl IntoIterator<Item = u64>) -> (Vec<u32>, Vec<Duration>, u32) {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(1), false, beat);
        let (mut looks, mut late, mut asked) = (Vec::new(), Vec::new(), 0);
        for time in times {
            let due = start + Duration::from_millis(time);
            let mut count = 0;
            loop {
                count += 1;
                let sent = Instant::now();
                tokio::time::advance(Duration::from_millis(2)).await;
                if pace.is_quiet(sent) {
                    let wait = pace.after_quiet();
                    tokio::time::advance(wait).await;
                    continue;
                }
                if sent >= due {
                    late.push(sent - due);
                    if let Some(wait) = pace.came(sent, Instant::now(), false) {
                        tokio::time::advance(wait).await;
                    }
                    break;
                }
                let wait = pace.missed(sent);
                if pace.suspects_end(Instant::now()) {
                    pace.asked(Instant::now());
                    asked += 1;
                }
                tokio::time::advance(wait).await;
            }
            looks.push(count);
        }
        (looks, late, asked)
    }

    /// Of what came once the beat was known: looks for each, and the 95th percentile of lateness.
    fn figures(looks: &[u32], late: &[Duration]) -> (f64, Duration) {
        let mut late = late[20..].to_vec();
        late.sort();
        let looks = &looks[20..];
        let count = u32::try_from(looks.len()).expect("few");
        (f64::from(looks.iter().sum::<u32>()) / f64::from(count), late[late.len() * 95 / 100])
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_takes_about_two_looks_for_each_and_no_questions() {
        for (beat, jitter) in [(1_000, 0), (1_000, 30), (500, 20), (250, 10)] {
            let noise = |number: u64| number.wrapping_mul(2_654_435_761) % 97 * jitter / 97;
            let (looks, late, asked) = play((0..300).map(|number| 5_000 + number * beat + noise(number))).await;
            let (each, p95) = figures(&looks, &late);
            println!("beat {beat} ms, jitter {jitter} ms: {each:.2} looks each, p95 {p95:?}, asked {asked}");
            assert!(each <= 2.5, "{each} looks each at {beat} ms");
            assert!(p95 <= Duration::from_millis(beat / 12 + 25), "{p95:?} at {beat} ms");
            assert!(asked <= 12, "{asked} questions at {beat} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_seen_soon_where_the_beat_is_told() {
        for (offset, beat) in [(1_020, 1_000), (1_480, 1_000), (510, 500), (3_010, 250)] {
            let times = (0..60).map(|number| offset + number * beat);
            let (_, late, _) = play_at(Some(Duration::from_millis(beat)), times).await;
            // In ever longer waits, where the first is long in coming.
            let most = Duration::from_millis(beat * if offset > 2 * beat { 3 } else { 2 } / 8);
            assert!(late[..3].iter().all(|late| *late <= most), "{:?} of {most:?}, beat {beat} ms", &late[..3]);
        }
    }

    #[test]
    fn what_is_shorter_than_half_of_those_before_may_be_the_last() {
        let mut pace = Pace::new(Duration::from_secs(1), false, Some(Duration::from_secs(1)));
        assert!(!pace.is_short(3), "there was none before");
        for number in 0..40 {
            assert!(!pace.is_short(700_000 + number * 2_000));
        }
        assert!(!pace.is_short(400_000));
        assert!(pace.is_short(150_000));
        // With key frames in every second one.
        let mut pace = Pace::new(Duration::from_secs(1), false, Some(Duration::from_secs(1)));
        for _ in 0..20 {
            assert!(!pace.is_short(900_000));
            pace.is_short(100_000);
        }
        assert!(!pace.is_short(100_000));
        assert!(pace.is_short(40_000));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_between_slow_parts_is_looked_for_each_second() {
        let (looks, late, _) = play((0..60).map(|number| 7_000 + number * 7_000)).await;
        let (each, p95) = figures(&looks, &late);
        println!("{each:.2} looks each, p95 {p95:?}");
        assert!((5.0..=7.0).contains(&each), "{each}");
        assert!(p95 <= Duration::from_millis(40), "{p95:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_irregularly_is_asked_about_ever_less_often() {
        let noise = |number: u64| number.wrapping_mul(2_654_435_761) % 1_500;
        let (_, _, asked) = play((0..600).map(|number| number * 2_000 + noise(number))).await;
        assert!(asked <= 2 * 20 + 10, "{asked} questions in 20 minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_irregularly_is_asked_about_soon_once_it_is_silent() {
        let mut pace = Pace::new(Duration::from_secs(1), false, None);
        for number in 0..60u64 {
            tokio::time::advance(Duration::from_millis(300 + number.wrapping_mul(2_654_435_761) % 900)).await;
            if pace.suspects_end(Instant::now()) {
                pace.asked(Instant::now());
            }
            pace.waited = true;
            pace.came(Instant::now(), Instant::now(), false);
        }
        pace.spacing = SPACING.1;
        pace.asked(Instant::now());
        tokio::time::advance(IN_SILENCE).await;
        assert!(pace.suspects_end(Instant::now()), "beat {:?}", pace.gap);
    }

    #[tokio::test(start_paused = true)]
    async fn what_falls_silent_is_asked_about_soon_and_again() {
        let mut pace = Pace::new(Duration::from_secs(1), false, None);
        let first = Instant::now();
        assert!(pace.suspects_end(first), "nothing is known");
        pace.asked(first);
        assert!(!pace.suspects_end(first));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pace.suspects_end(Instant::now()));
    }
}
