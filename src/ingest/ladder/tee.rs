//! Pieces of a stream on their way to the program that makes a ladder of it, as well. Nobody waits for that: where it is too
//! slow, pieces are left out until the next key frame.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::mux::read_back::is_header;
use crate::mux::rung::Timeline;

/// The most bytes that wait for the program.
const MOST: usize = 16 << 20;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Tee {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    work: Option<Work>,
    pipe: Option<Pipe>,
    /// What came behind the header before the program was started for the first time; none later.
    first: Option<Vec<Bytes>>,
    /// The program hears nothing before a key frame.
    waits: bool,
    /// It has been told of that it is too slow.
    told: bool,
    ended: bool,
}

/// What there is to be made a ladder of.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// How many headers there were before.
    pub(super) number: u64,
    pub(super) header: Bytes,
    pub(super) timeline: Arc<Mutex<Timeline>>,
}

/// To the program.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) pieces: mpsc::Sender<Bytes>,
    /// Bytes that it has not taken.
    pub(super) held: Arc<AtomicUsize>,
}

impl Pipe {
    fn send(&self, piece: &Bytes) -> bool {
        if self.held.load(Relaxed) + piece.len() > MOST {
            return false;
        }
        self.held.fetch_add(piece.len(), Relaxed);
        // A program that is gone is seen to be.
        drop(self.pieces.send(piece.clone()));
        true
    }
}

impl Tee {
    /// For a stream that goes on behind this header, before which there were so many.
    pub(super) fn behind((header, number): (Bytes, u64)) -> Self {
        let timeline = Arc::new(Mutex::new(Timeline::of(&header)));
        let work = Some(Work { number, header, timeline });
        let state = State { work, first: Some(Vec::new()), ..State::default() };
        Self { state: state.into(), changed: Notify::default() }
    }

    /// Takes a piece of the stream, which begins with a header.
    pub(super) fn put(&self, piece: &Bytes) {
        let mut state = self.state();
        if is_header(piece) {
            let number = state.work.as_ref().map_or(0, |work| work.number + 1);
            let timeline = Arc::new(Mutex::new(Timeline::of(piece)));
            state.work = Some(Work { number, header: piece.clone(), timeline });
            (state.pipe, state.first) = (None, Some(Vec::new()));
            drop(state);
            return self.changed.notify_waiters();
        }
        let Some(work) = &state.work else { return };
        let key = work.timeline.lock().unwrap_or_else(PoisonError::into_inner).note(piece);
        if let Some(first) = &mut state.first {
            let bytes: usize = first.iter().map(Bytes::len).sum();
            if bytes + piece.len() <= MOST {
                if key || !first.is_empty() {
                    first.push(piece.clone());
                }
                return;
            }
            (state.first, state.waits) = (None, true);
        } else {
            let Some(pipe) = state.pipe.clone().filter(|_| key || !state.waits) else { return };
            state.waits = !pipe.send(piece);
        }
        if state.waits && !std::mem::replace(&mut state.told, true) {
            drop(state);
            tracing::warn!(
                event = "ladder_slow",
                "ffmpeg is too slow for the ladder: some of the stream is left out of its renditions, up to a key frame each \
                 time; the source has all of it. Fewer or smaller rungs, or a faster encoder (--ladder-encoder), take less"
            );
        }
    }

    /// Nothing more comes. What came before the program was started is still to be made.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.ended, state.pipe) = (true, None);
        drop(state);
        self.changed.notify_waiters();
    }

    /// What there is to be done, once there is something after `done`; none at the end.
    pub(super) async fn work(&self, done: Option<u64>) -> Option<Work> {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state();
                let is_left = !state.ended || state.first.is_some();
                if let Some(work) = state.work.as_ref().filter(|work| is_left && done != Some(work.number)) {
                    return Some(work.clone());
                }
                if state.ended {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Waits until another header has come, or nothing more comes.
    pub(super) async fn is_past(&self, number: u64) {
        // Either is one.
        drop(self.work(Some(number)).await);
    }

    /// A program takes pieces, the first of a stream from its first key frame on, another from the next; false where something else is to be done by now.
    pub(super) fn attach(&self, number: u64, pipe: Pipe) -> bool {
        let mut state = self.state();
        let is_left = !state.ended || state.first.is_some();
        let Some(work) = state.work.as_ref().filter(|work| is_left && work.number == number) else { return false };
        if !pipe.send(&work.header) {
            return false;
        }
        let first = state.first.take().unwrap_or_default();
        let waits = !first.iter().all(|piece| pipe.send(piece)) || first.is_empty();
        // After the end that was all.
        (state.pipe, state.waits) = (Some(pipe).filter(|_| !state.ended), waits);
        state.told = false;
        true
    }

    /// Nobody takes any.
    pub(super) fn detach(&self) {
        let mut state = self.state();
        (state.pipe, state.first) = (None, None);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::rung::tests::{header, piece};

    fn pipe() -> (Pipe, mpsc::Receiver<Bytes>) {
        let (pieces, out) = mpsc::channel();
        (Pipe { pieces, held: Arc::default() }, out)
    }

    #[tokio::test]
    async fn a_program_that_is_too_slow_goes_on_at_a_key_frame_and_nobody_waits() {
        let tee = Tee::default();
        tee.put(&header());
        let work = tee.work(None).await.expect("work");
        let (pipe, out) = pipe();
        assert!(!tee.attach(work.number + 1, pipe.clone()) && tee.attach(work.number, pipe.clone()));
        let (key, other) = (piece(0, true, 1 << 20), piece(10, false, 1 << 20));
        // Nothing can be decoded before a key frame.
        tee.put(&other);
        tee.put(&key);
        for _ in 0..100 {
            tee.put(&other);
        }
        let came: Vec<_> = out.try_iter().collect();
        assert!(came.len() > 10 && came.len() < 18, "{}", came.len());
        assert!(came[0] == header() && came[1] == key && came[2] == other);
        pipe.held.store(0, Relaxed);
        tee.put(&other);
        assert_eq!(out.try_iter().count(), 0);
        tee.put(&key);
        tee.put(&other);
        assert_eq!(out.try_iter().collect::<Vec<_>>(), [key, other]);
    }

    #[tokio::test]
    async fn what_comes_before_the_program_is_there_is_kept_for_the_first_and_not_for_another() {
        let tee = Tee::default();
        tee.put(&header());
        let work = tee.work(None).await.expect("work");
        let (key, other) = (piece(0, true, 10), piece(10, false, 10));
        for piece in [&other, &key, &other] {
            tee.put(piece);
        }
        let (first, out) = pipe();
        assert!(tee.attach(work.number, first));
        tee.put(&other);
        assert_eq!(out.try_iter().collect::<Vec<_>>(), [header(), key.clone(), other.clone(), other.clone()]);
        tee.detach();
        tee.put(&key);
        let (second, out) = pipe();
        assert!(tee.attach(work.number, second));
        tee.put(&other);
        tee.put(&key);
        assert_eq!(out.try_iter().collect::<Vec<_>>(), [header(), key]);
    }

    #[tokio::test]
    async fn another_header_and_the_end_close_the_pipe() {
        let tee = Tee::default();
        tee.put(&header());
        let first = tee.work(None).await.expect("work");
        let (one, out) = pipe();
        assert!(tee.attach(first.number, one));
        tee.put(&header());
        tee.is_past(first.number).await;
        assert_eq!(out.iter().count(), 1, "the header, and then it is closed");
        let second = tee.work(Some(first.number)).await.expect("work");
        tee.end();
        assert!(tee.work(Some(second.number)).await.is_none());
    }

    #[tokio::test]
    async fn what_has_ended_before_the_program_is_there_is_still_made_once() {
        let tee = Tee::default();
        tee.put(&header());
        let (key, other) = (piece(0, true, 10), piece(10, false, 10));
        tee.put(&key);
        tee.put(&other);
        tee.end();
        let work = tee.work(None).await.expect("work");
        let (one, out) = pipe();
        assert!(tee.attach(work.number, one));
        assert_eq!(out.iter().collect::<Vec<_>>(), [header(), key, other], "and then it is closed");
        tee.is_past(work.number).await;
        assert!(tee.work(None).await.is_none() && !tee.attach(work.number, pipe().0));
    }

    #[tokio::test]
    async fn what_is_too_much_before_the_program_is_there_is_left_out_up_to_a_key_frame() {
        let tee = Tee::default();
        tee.put(&header());
        let (key, other) = (piece(0, true, 1 << 20), piece(10, false, 1 << 20));
        tee.put(&key);
        for _ in 0..20 {
            tee.put(&other);
        }
        let work = tee.work(None).await.expect("work");
        let (one, out) = pipe();
        assert!(tee.attach(work.number, one));
        for piece in [&other, &key, &other] {
            tee.put(piece);
        }
        tee.end();
        assert_eq!(out.iter().collect::<Vec<_>>(), [header(), key, other]);
    }
}
