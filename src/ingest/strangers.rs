//! Who is connected and has not shown a key yet: how many of them there may be, and how often one may guess.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rate;

/// Connections without a key, from one address ...
const STRANGERS_EACH: usize = 64;
/// ... and over all.
pub(super) const STRANGERS: usize = 1024;

/// So many wrong keys in so long, and for so long no key is right.
const GUESSES: u32 = 10;
const GUESSING: Duration = Duration::from_secs(60);
/// The most addresses that are remembered for wrong keys.
const REMEMBERED: usize = 4096;

/// Who is here and has not shown a key.
#[derive(Debug)]
pub(super) struct Strangers {
    here: Mutex<HashMap<IpAddr, usize>>,
    /// Wrong keys by the address that they came from.
    wrong: Mutex<Rate<IpAddr>>,
}

/// A stranger's place; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    strangers: Arc<Strangers>,
    of: IpAddr,
    taken: AtomicBool,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { here: Mutex::default(), wrong: Mutex::new(Rate::new(GUESSES, GUESSING, REMEMBERED)) }
    }
}

impl Strangers {
    pub(super) fn seat(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let of = household(ip);
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if here.values().sum::<usize>() >= STRANGERS {
            return None;
        }
        let count = here.entry(of).or_default();
        if *count >= STRANGERS_EACH {
            return None;
        }
        *count += 1;
        Some(Seat { strangers: self.clone(), of, taken: AtomicBool::new(true) })
    }
}

impl Seat {
    /// Whether a key that is `right` opens the door: where too many wrong ones came from this address a moment ago, none does,
    /// so that whoever guesses cannot tell.
    pub(super) fn opens(&self, right: bool) -> bool {
        let (mut wrong, now) = (self.wrong(), Instant::now());
        let barred = wrong.is_over(&self.of, now);
        // Where there is no room, so many guess at once that one more is no matter.
        if !right && !barred && wrong.has_room_for(&self.of, now) {
            // The minute begins with the first, and once more with the one that was too many.
            wrong.count(self.of, now);
        }
        right && !barred
    }

    /// Whether no key would open the door.
    pub(super) fn is_barred(&self) -> bool {
        self.wrong().is_over(&self.of, Instant::now())
    }

    fn wrong(&self) -> MutexGuard<'_, Rate<IpAddr>> {
        self.strangers.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Gives the place up: he is no stranger any more. Wrong keys of his are counted all the same.
    pub(super) fn give_up(&self) {
        if !self.taken.swap(false, Relaxed) {
            return;
        }
        let mut here = self.strangers.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.of);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The address, of IPv6 without its last half, which everybody has for himself.
fn household(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_too_often_is_not_let_in_for_a_minute_and_others_are() {
        let strangers = Arc::new(Strangers::default());
        let seat = |text: &str| strangers.seat(text.parse().expect("an address")).expect("a seat");
        let (guesser, other) = (seat("192.0.2.1"), seat("192.0.2.2"));
        for _ in 1..GUESSES {
            assert!(!guesser.opens(false));
        }
        // One mistake is none, nor are nine.
        assert!(guesser.opens(true) && other.opens(true));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!guesser.opens(false));
        assert!(!guesser.opens(true) && other.opens(true));
        // To go on guessing makes it no longer.
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!guesser.opens(false) && !guesser.opens(true));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(guesser.opens(true) && !guesser.opens(false) && guesser.opens(true));
        // Slowly one may err for ever.
        for _ in 0..3 * GUESSES {
            tokio::time::advance(Duration::from_secs(10)).await;
            assert!(!guesser.opens(false) && guesser.opens(true));
        }
    }

    #[test]
    fn the_memory_of_wrong_keys_is_bounded() {
        let strangers = Arc::new(Strangers::default());
        for host in 0..2 * REMEMBERED {
            let ip = IpAddr::from([
                10,
                0,
                u8::try_from(host / 250).expect("small"),
                u8::try_from(host % 250).expect("small"),
            ]);
            assert!(!strangers.seat(ip).expect("a seat").opens(false));
        }
        assert_eq!(strangers.wrong.lock().unwrap().len(), REMEMBERED);
    }

    #[test]
    fn nobody_takes_all_seats() {
        let strangers = Arc::new(Strangers::default());
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut seats: Vec<_> = (0..STRANGERS_EACH).map(|_| strangers.seat(ip("192.0.2.1")).expect("a seat")).collect();
        assert!(strangers.seat(ip("192.0.2.1")).is_none() && strangers.seat(ip("::ffff:192.0.2.1")).is_none());
        let other = strangers.seat(ip("192.0.2.2")).expect("a seat for somebody else");
        drop(seats.pop());
        seats.push(strangers.seat(ip("192.0.2.1")).expect("the seat that was given up"));
        for host in 0..STRANGERS_EACH {
            seats.push(strangers.seat(ip(&format!("2001:db8::{host:x}"))).expect("a seat"));
        }
        assert!(strangers.seat(ip("2001:db8::ffff")).is_none(), "one household");
        for net in 0.. {
            match strangers.seat(ip(&format!("10.0.{}.{}", net / 250, net % 250))) {
                Some(seat) => seats.push(seat),
                None => break,
            }
        }
        assert_eq!(seats.len() + 1, STRANGERS);
        drop((seats, other));
        assert!(strangers.here.lock().unwrap().is_empty());
    }
}
