//! Part buffers: as many as may exist at once, filled once, sent without a copy, and used again.
//!
//! The pool *is* the memory bound. A buffer is acquired before its bytes are read and goes back when the last reference
//! to them is dropped, which is when the store has the part. A fresh 5 MiB allocation costs more than a thousand page
//! faults, so buffers are kept. Where one program writes many streams, their pools keep them together: what one has sent,
//! another fills. And they have a bound together: each pool always has its [`OWN`] buffers, and all further ones are out of a
//! number for all of them, so that a slow store does not take all that each of many streams could use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Buffers that a pool has whatever others do: one that is filled, and one on its way.
pub const OWN: usize = 2;

/// Buffers that are not in use, of one pool or of those that have been given the same.
#[derive(Debug, Clone, Default)]
pub struct Idle {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    /// How many all pools may use together beside their own.
    further: Option<Arc<Semaphore>>,
}

/// A fixed number of buffers of one part each; the memory is taken as a buffer is first filled.
#[derive(Debug, Clone)]
pub struct PartPool {
    permits: Arc<Semaphore>,
    /// Those that it need not ask others for.
    own: Arc<Semaphore>,
    idle: Idle,
    /// How many wait for a buffer that others have to make room for.
    wanting: Arc<watch::Sender<usize>>,
    /// What is lent at the moment.
    lent: Arc<Mutex<Weak<OwnedSemaphorePermit>>>,
    count: usize,
    part_len: usize,
}

impl Idle {
    /// Of pools that use at most so many buffers together beside their own.
    #[must_use]
    pub fn of_several(further: usize) -> Self {
        Self { further: Some(Arc::new(Semaphore::new(further))), ..Self::default() }
    }

    /// One of this size.
    fn take(&self, part_len: usize) -> Option<Vec<u8>> {
        let mut idle = self.lock();
        let at = idle.iter().rposition(|bytes| bytes.capacity() == part_len)?;
        Some(idle.swap_remove(at))
    }

    /// Keeps one if there are fewer than `most`; else its memory goes back to the system.
    fn keep(&self, bytes: Vec<u8>, most: usize) {
        let mut idle = self.lock();
        if idle.len() < most {
            idle.push(bytes);
        }
    }

    /// Gives the memory of so many back to the system.
    fn give_back(&self, count: usize) {
        let mut idle = self.lock();
        let kept = idle.len().saturating_sub(count);
        idle.truncate(kept);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of some buffers, for copies of what is in the others, until all clones of this are dropped.
#[derive(Debug, Clone)]
pub struct Lent(#[expect(dead_code, reason = "holding it is all")] Arc<OwnedSemaphorePermit>);

/// Counts one that waits, until it is dropped.
struct Wanting<'a>(&'a watch::Sender<usize>);

impl<'a> Wanting<'a> {
    fn new(wanting: &'a watch::Sender<usize>) -> Self {
        wanting.send_modify(|count| *count += 1);
        Self(wanting)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The system gave no memory for a part.
#[derive(Debug, thiserror::Error)]
#[error("no memory for a part of {0} bytes; choose a smaller --part-size or --concurrency")]
pub struct NoMemory(usize);

impl PartPool {
    /// A pool of `count` buffers that hold `part_len` bytes each.
    #[must_use]
    pub fn new(count: usize, part_len: usize) -> Self {
        Self::with(Idle::default(), count, part_len)
    }

    /// The same, whose buffers are kept together with those of others.
    #[must_use]
    pub fn with(idle: Idle, count: usize, part_len: usize) -> Self {
        let own = if idle.further.is_some() { OWN.min(count) } else { count };
        Self {
            permits: Arc::new(Semaphore::new(count)),
            own: Arc::new(Semaphore::new(own)),
            idle,
            wanting: Arc::new(watch::channel(0).0),
            lent: Arc::default(),
            count,
            part_len,
        }
    }

    /// Another pool, of `count` buffers of the same size.
    #[must_use]
    pub fn another(&self, count: usize) -> Self {
        Self::with(self.idle.clone(), count, self.part_len)
    }

    /// Lends the memory of `count` buffers, but for the last two, if they are not in use. To whoever asks while some is lent
    /// already, that is lent, too: an object that ends and the next one that begins.
    #[must_use]
    pub fn lend(&self, count: usize) -> Option<Lent> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permit) = lent.upgrade() {
            return Some(Lent(permit));
        }
        let count = u32::try_from(count.min(self.count.saturating_sub(2))).ok().filter(|count| *count > 0)?;
        let permit = Arc::new(self.permits.clone().try_acquire_many_owned(count).ok()?);
        *lent = Arc::downgrade(&permit);
        self.idle.give_back(count as usize);
        Some(Lent(permit))
    }

    /// Waits for a buffer to fill with input, or with a part to be sent again, which no other part may keep from it. While it
    /// waits, [`wanted`](Self::wanted) tells others to give up theirs.
    ///
    /// # Errors
    /// [`NoMemory`] when the system refuses the memory.
    pub async fn acquire_at_need(&self) -> Result<PartBuffer, NoMemory> {
        let _wanting = Wanting::new(&self.wanting);
        self.acquire().await
    }

    /// Waits until somebody waits for a buffer [at need](Self::acquire_at_need).
    pub async fn wanted(&self) {
        // The sender lives as long as the pool.
        drop(self.wanting.subscribe().wait_for(|wanting| *wanting > 0).await);
    }

    /// Whether somebody waits for a buffer [at need](Self::acquire_at_need).
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        *self.wanting.borrow() > 0
    }

    /// Waits for a buffer that is not in use; it comes empty.
    ///
    /// # Errors
    /// [`NoMemory`] when the system refuses the memory.
    pub async fn acquire(&self) -> Result<PartBuffer, NoMemory> {
        let refused = |_| NoMemory(self.part_len);
        // The semaphore is never closed.
        let permit = self.permits.clone().acquire_owned().await.map_err(refused)?;
        let own = self.own.clone().acquire_owned();
        let place = match self.idle.further.clone() {
            None => own.await,
            Some(further) => tokio::select! {
                biased;
                own = own => own,
                further = further.acquire_owned() => further,
            },
        };
        self.buffer([permit, place.map_err(refused)?])
    }

    /// A buffer, if one is not in use and there is memory for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<PartBuffer> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let further = || self.idle.further.clone()?.try_acquire_owned().ok();
        let place = self.own.clone().try_acquire_owned().ok().or_else(further)?;
        self.buffer([permit, place]).ok()
    }

    fn buffer(&self, permits: [OwnedSemaphorePermit; 2]) -> Result<PartBuffer, NoMemory> {
        let bytes = if let Some(bytes) = self.idle.take(self.part_len) {
            bytes
        } else {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(self.part_len).map_err(|_| NoMemory(self.part_len))?;
            bytes
        };
        let PartPool { idle, count, part_len, .. } = self.clone();
        Ok(PartBuffer { bytes, filled: 0, part_len, idle, count, _permits: permits })
    }
}

/// A part on its way from the input to the store.
#[derive(Debug)]
pub struct PartBuffer {
    /// As long as it has been used: memory that nobody has touched costs nothing.
    bytes: Vec<u8>,
    filled: usize,
    part_len: usize,
    /// Where it goes back to, where so many are kept.
    idle: Idle,
    count: usize,
    /// That of the pool, and that of all pools.
    _permits: [OwnedSemaphorePermit; 2],
}

impl PartBuffer {
    /// Room for `most` bytes, or for as many as the part lacks; empty when it is full.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled.saturating_add(most).min(self.part_len);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }

    /// How many bytes the part lacks.
    #[must_use]
    pub fn lacks(&self) -> usize {
        self.part_len - self.filled
    }

    /// Takes `count` bytes of [`room`](Self::room) as filled.
    pub fn advance(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }

    /// Whether the part is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled == self.part_len
    }

    /// Whether nothing has been filled in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The bytes filled in so far.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// The same, to be changed.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.filled).unwrap_or_default()
    }

    /// How many bytes it holds when it is full.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.part_len
    }

    /// Takes only the first `count` bytes as filled.
    pub fn truncate(&mut self, count: usize) {
        self.filled = self.filled.min(count);
    }

    /// The bytes, to be shared without copying; the buffer goes back to its pool when the last of them is dropped.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PartBuffer {
    fn as_ref(&self) -> &[u8] {
        self.filled()
    }
}

impl Drop for PartBuffer {
    fn drop(&mut self) {
        self.idle.keep(std::mem::take(&mut self.bytes), self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_buffers_than_the_bound_and_each_is_used_again() {
        let pool = PartPool::new(2, 8);
        let first = pool.acquire().await.expect("memory");
        let mut second = pool.acquire().await.expect("memory");
        second.room(3).copy_from_slice(b"abc");
        second.advance(3);
        let bytes = second.freeze();
        let copy = bytes.clone();
        let mut third = polled(pool.acquire());
        assert!(third.is_pending(), "a third buffer while two are out");
        drop(bytes);
        assert!(third.is_pending(), "a reference is left");
        assert_eq!(&copy[..], b"abc");
        drop(copy);
        let third = third.ready().expect("memory");
        assert!(third.is_empty());
        drop(first);
        assert_eq!(pool.idle.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_buffer_takes_memory_as_it_is_filled() {
        let pool = PartPool::new(1, 100);
        let mut buffer = pool.acquire().await.expect("memory");
        assert_eq!((buffer.bytes.len(), buffer.capacity(), buffer.lacks()), (0, 100, 100));
        buffer.room(30).fill(1);
        buffer.advance(30);
        assert_eq!((buffer.bytes.len(), buffer.lacks(), buffer.is_full()), (30, 70, false));
        assert_eq!(buffer.room(1000).len(), 70);
        buffer.advance(70);
        assert!(buffer.is_full() && buffer.room(1).is_empty() && buffer.filled().starts_with(&[1; 30]));
    }

    #[tokio::test]
    async fn pools_that_keep_their_buffers_together_fill_those_of_each_other_and_keep_no_more_than_one_may_have() {
        let idle = Idle::default();
        let pools = [0, 1, 2].map(|_| PartPool::with(idle.clone(), 2, 8));
        drop(pools[0].try_acquire().expect("free"));
        let second = pools[1].try_acquire().expect("free");
        assert!(idle.lock().is_empty(), "that of the first");
        let others: Vec<_> = pools.iter().map(|pool| pool.try_acquire().expect("free")).collect();
        assert!(pools[1].try_acquire().is_none(), "each has its bound");
        drop((second, others));
        assert_eq!(idle.lock().len(), 2);
        let larger = PartPool::with(idle.clone(), 2, 16).try_acquire().expect("free");
        assert_eq!((larger.capacity(), idle.lock().len()), (16, 2), "of another size");
    }

    #[tokio::test]
    async fn several_pools_have_a_bound_together_and_none_waits_for_another_with_its_own() {
        let idle = Idle::of_several(3);
        let pools = [0, 1, 2].map(|_| PartPool::with(idle.clone(), 6, 8));
        let mut greedy: Vec<_> = std::iter::from_fn(|| pools[0].try_acquire()).collect();
        assert_eq!(greedy.len(), OWN + 3);
        // The others have theirs all the same, and no more.
        let others: Vec<_> =
            pools[1..].iter().flat_map(|pool| std::iter::from_fn(|| pool.try_acquire()).take(6)).collect();
        assert_eq!(others.len(), 2 * OWN);
        let mut waiting = polled(pools[1].acquire());
        assert!(waiting.is_pending());
        // What comes free of those for all is for whoever waits; the own ones are not.
        greedy.remove(0);
        assert!(waiting.is_pending());
        greedy.pop();
        let third = waiting.ready().expect("memory");
        assert!(pools[2].try_acquire().is_none() && pools[0].try_acquire().is_some());
        drop((third, others, greedy));
        assert_eq!(idle.further.as_ref().map(|further| further.available_permits()), Some(3));
        // Alone, a pool has all that it may.
        let alone = PartPool::new(6, 8);
        assert_eq!(std::iter::from_fn(|| alone.try_acquire()).collect::<Vec<_>>().len(), 6);
    }

    #[tokio::test]
    async fn what_is_lent_counts_among_the_buffers_until_nobody_has_it() {
        let pool = PartPool::new(6, 8);
        let taken: Vec<_> = (0..4).map(|_| pool.try_acquire().expect("free")).collect();
        drop(taken);
        let lent = pool.lend(2).expect("free");
        assert_eq!(pool.idle.lock().len(), 2, "two are given back to the system");
        let next = pool.clone().lend(2).expect("the same");
        drop(lent);
        let taken: Vec<_> = (0..4).map(|_| pool.try_acquire().expect("free")).collect();
        assert!(pool.try_acquire().is_none(), "it is lent");
        drop(next);
        assert!(pool.try_acquire().is_some());
        drop(taken);
        assert!(PartPool::new(2, 8).lend(2).is_none(), "what is needed to go on is never lent");
    }

    /// A future polled by hand.
    struct Polled<F: Future>(std::pin::Pin<Box<F>>);

    fn polled<F: Future>(future: F) -> Polled<F> {
        Polled(Box::pin(future))
    }

    impl<F: Future> Polled<F> {
        fn is_pending(&mut self) -> bool {
            let waker = std::task::Waker::noop();
            self.0.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending()
        }

        fn ready(mut self) -> F::Output {
            let waker = std::task::Waker::noop();
            match self.0.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
                std::task::Poll::Ready(output) => output,
                std::task::Poll::Pending => panic!("not ready"),
            }
        }
    }
}
