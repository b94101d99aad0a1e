//! Who is connected and has not shown a key yet, and how many of them there may be.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections without a key, from one address ...
const STRANGERS_EACH: usize = 64;
/// ... and over all.
const STRANGERS: usize = 1024;

/// Who is here and has not shown a key.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<HashMap<IpAddr, usize>>);

/// A stranger's place; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    strangers: Arc<Strangers>,
    of: IpAddr,
}

impl Strangers {
    pub(super) fn seat(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let of = household(ip);
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if here.values().sum::<usize>() >= STRANGERS {
            return None;
        }
        let count = here.entry(of).or_default();
        if *count >= STRANGERS_EACH {
            return None;
        }
        *count += 1;
        Some(Seat { strangers: self.clone(), of })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut here = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.of);
            }
        }
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
        assert!(strangers.0.lock().unwrap().is_empty());
    }
}
