//! Room for what has come of requests and is not whole yet: so many bytes for all requests of a stream together.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes under way for one stream.
const MOST: usize = 48 << 20;

/// What the requests of a stream share.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// What one of them has of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Room,
    bytes: usize,
}

impl Room {
    pub(super) fn share(&self) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Takes so many bytes in place of those that it had; false if there is no room for them.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes <= before {
            self.room.0.fetch_sub(before - bytes, Relaxed);
            return true;
        }
        let more = bytes - before;
        self.room.0.fetch_add(more, Relaxed) + more <= MOST
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_is_not_there_for_another_until_it_is_given_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.share(), room.share());
        assert!(one.hold(MOST - 10) && other.hold(10) && !other.hold(11));
        assert!(one.hold(MOST - 11) && other.hold(11));
        drop(one);
        assert!(other.hold(MOST) && other.hold(0));
        assert_eq!(room.0.load(Relaxed), 0);
    }
}
