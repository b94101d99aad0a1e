//! Many short lives of an object, each with a death or a race in it: the writer is killed at a random moment, or just before
//! or after one of its requests; it goes on, is cancelled, or is followed by another recording of the key; readers come early
//! or late, are slow, are killed and go on. By Live Read and by live objects, on stores with all kinds of quirks.
//!
//! After each life: readers have a clean beginning of one input, and all of it where it was completed; the object is the
//! input; nothing is left of it, neither an upload nor anything below `_live/`, not even as an older version.
//!
//! `make kills N=1000 SEED=1`; the life with the seed S alone: `make kills N=1 SEED=S`. A few belong to the tests.

mod life;
mod onlooker;
mod race;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::support::lab::Lab;

/// A store is thrown away with its data after so many lives.
const LIVES_OF_A_STORE: usize = 40;

/// What was seen of all lives.
#[derive(Debug, Default)]
pub struct Totals {
    lives: AtomicUsize,
    live_read: AtomicUsize,
    /// Writers.
    pub kills: AtomicUsize,
    pub resumes: AtomicUsize,
    /// Streams that could not be gone on with.
    pub refused: AtomicUsize,
    pub aborts: AtomicUsize,
    /// Another recording of the key after a kill.
    pub next: AtomicUsize,
    pub races: AtomicUsize,
    pub readers: AtomicUsize,
    pub reader_kills: AtomicUsize,
    /// Readers that could not have all, of what was cancelled, replaced, or gone on with elsewhere, and said so.
    pub cut_short: AtomicUsize,
    pub bytes: AtomicUsize,
}

impl Totals {
    pub fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_few_lives_with_a_death_or_a_race_in_each() {
    lives(24, 1, 6);
}

#[test]
#[ignore = "takes as long as KILLS says: make kills N=1000"]
fn many_lives() {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, usual| set(name).map_or(usual, |text| text.parse().expect("a number"));
    let seed = number("KILLS_SEED", fastrand::u64(..1_000_000));
    let lives_wanted = usize::try_from(number("KILLS", 1_000)).expect("a number");
    lives(lives_wanted, seed, usize::try_from(number("KILLS_AT_ONCE", 6)).expect("a number"));
}

/// The lives with the seeds from `first` on, so many at once.
fn lives(count: usize, first: u64, at_once: usize) {
    let say = |text: String| drop(writeln!(std::io::stderr(), "{text}"));
    say(format!("{count} lives from seed {first} on: make kills N={count} SEED={first}"));
    let (began, totals, next) = (Instant::now(), Totals::default(), AtomicU64::new(first));
    let (failures, end) = (Mutex::new(Vec::new()), first + count as u64);
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
            scope.spawn(|| {
                let mut labs = [None, None];
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end || failures.lock().is_ok_and(|failures| failures.len() >= 5) {
                        return;
                    }
                    let live_read = seed % 4 == 0;
                    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let (lab, uses) = labs[usize::from(live_read)].get_or_insert_with(|| (new_lab(live_read), 0));
                        *uses += 1;
                        live(lab, seed, live_read, &totals);
                        *uses
                    }));
                    if !matches!(lived, Ok(uses) if uses < LIVES_OF_A_STORE) {
                        labs[usize::from(live_read)] = None;
                    }
                    if lived.is_err() {
                        say(format!("the life with seed {seed} failed: make kills N=1 SEED={seed}"));
                        failures.lock().expect("the failures").push(seed);
                    }
                    Totals::count(&totals.lives);
                    if totals.lives.load(Relaxed) % 100 == 0 {
                        say(format!("after {:.0} s: {totals:?}", began.elapsed().as_secs_f64()));
                    }
                }
            });
        }
    });
    say(format!("{totals:?} in {:.0} s", began.elapsed().as_secs_f64()));
    let failures = failures.into_inner().expect("the failures");
    assert!(failures.is_empty(), "the lives with these seeds failed: {failures:?}");
}

fn new_lab(live_read: bool) -> Lab {
    if live_read { Lab::new() } else { Lab::with_args(&["--no-live-read"]) }
}

fn live(lab: &Lab, seed: u64, live_read: bool, totals: &Totals) {
    let life = life::Life::new(lab, seed, live_read, totals);
    if live_read {
        Totals::count(&totals.live_read);
    }
    if seed % 8 >= 6 {
        Totals::count(&totals.races);
        race::run(life);
    } else {
        life.run();
    }
}
