//! Looks through the past of a long recording in many places at once: each stretch from the first fragment that is found in it,
//! from `moof` to `moof`, to the first of the next stretch. What is found is what one walk would have found; where it is not sure
//! to be, one walk goes on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::media::fmp4::fragments::find_moof;
use crate::media::fmp4::{Found, Movie, Scanner};
use crate::serve::recording::Broken;

/// Stretches that are looked through at once.
const WIDTH: u64 = 16;

/// The least and the most that a stretch is long.
pub(crate) const SHORTEST: u64 = 16 << 20;
const LONGEST: u64 = 128 << 20;

/// What is read at once in search of a `moof`, and once one is known: it, and the header of the `mdat` after it.
const SEARCH: u64 = 256 << 10;
const LOOK: u64 = 16 << 10;

/// What was found, and where the last whole fragment of it ends.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    pub(crate) found: Vec<Found>,
    pub(crate) end: Option<u64>,
}

/// What was found of one stretch.
struct Part {
    /// Where its first `moof` is; none for the first stretch, and where there is none.
    moof: Option<u64>,
    found: Vec<Found>,
    /// Where the first `moof` of the next stretch is, where this one leads to it.
    next: Option<u64>,
}

/// How long stretches are, where it is worth to look at several from `from` to `to`.
fn step(from: u64, to: u64) -> Option<u64> {
    let length = to.saturating_sub(from);
    (length >= 4 * SHORTEST).then(|| (length / WIDTH).clamp(SHORTEST, LONGEST))
}

/// Finds the fragments from `from`, where one ends, on towards `to`: as far as many looks at once reach; nothing where that is
/// not worth it.
///
/// # Errors
/// [`Broken`].
pub(crate) async fn survey<F, Reading>(movie: &Arc<Movie>, from: u64, to: u64, read: F) -> Result<Surveyed, Broken>
where
    F: Fn(u64, u64) -> Reading,
    Reading: Future<Output = Result<Bytes, Broken>>,
{
    match step(from, to) {
        Some(step) => by_steps(movie, from, to, step, read).await,
        None => Ok(Surveyed::default()),
    }
}

async fn by_steps<F, Reading>(movie: &Arc<Movie>, from: u64, to: u64, step: u64, read: F) -> Result<Surveyed, Broken>
where
    F: Fn(u64, u64) -> Reading,
    Reading: Future<Output = Result<Bytes, Broken>>,
{
    let bounds: Vec<_> = (0..WIDTH).map(|number| from + number * step).take_while(|first| *first < to).collect();
    let looks = bounds.iter().map(|first| look(movie, *first, *first == from, (*first + step).min(to), to, &read));
    let mut parts = join_all(looks).await.into_iter();
    let mut all = Surveyed::default();
    let first = parts.next().transpose()?;
    let mut next = first.as_ref().and_then(|part| part.next);
    all.add(first.map(|part| part.found).unwrap_or_default());
    for (part, first) in parts.zip(bounds.iter().skip(1)) {
        let part = part?;
        // A fragment longer than a stretch: there is none in it.
        if part.moof.is_none() && next.is_some_and(|next| next >= first + step) {
            continue;
        }
        if part.moof.is_none() || part.moof != next {
            break;
        }
        next = part.next;
        // That it begins has been told by the stretch before, with all that belongs to it.
        if !all.add(part.found.into_iter().skip(1).collect()) {
            break;
        }
    }
    all.cut();
    Ok(all)
}

impl Surveyed {
    /// Adds what follows; false where something is in it that one walk has to look at.
    fn add(&mut self, found: Vec<Found>) -> bool {
        for found in found {
            if !matches!(found, Found::Begun(_) | Found::Ended(_)) {
                return false;
            }
            self.found.push(found);
        }
        true
    }

    /// Leaves out a fragment whose end is not known.
    fn cut(&mut self) {
        while let Some(last) = self.found.last() {
            if let Found::Ended(last) = last {
                self.end = last.end;
                return;
            }
            self.found.pop();
        }
    }
}

/// Looks through one stretch; `exact`: a box begins at `first`.
async fn look<F, Reading>(
    movie: &Arc<Movie>,
    first: u64,
    exact: bool,
    end: u64,
    to: u64,
    read: &F,
) -> Result<Part, Broken>
where
    F: Fn(u64, u64) -> Reading,
    Reading: Future<Output = Result<Bytes, Broken>>,
{
    let moof = if exact { None } else { search(movie, first, end, to, read).await? };
    let mut part = Part { moof, found: Vec::new(), next: None };
    let Some(begin) = moof.or(exact.then_some(first)) else { return Ok(part) };
    let mut scanner = Scanner::starting_at(Arc::clone(movie), begin);
    while scanner.offset() < to && !scanner.is_off() {
        let at = scanner.offset();
        let found = if let Some((_, found)) = scanner.pass_over(to) {
            found
        } else {
            let bytes = read(at, (at + LOOK).min(to)).await?;
            if bytes.is_empty() {
                break;
            }
            scanner.feed(&bytes)
        };
        for found in found {
            if let Found::Begun(fragment) = &found
                && fragment.moof >= end
            {
                part.next = Some(fragment.moof);
                part.found.push(found);
                return Ok(part);
            }
            part.found.push(found);
        }
    }
    Ok(part)
}

/// The first `moof` that begins in a stretch.
async fn search<F, Reading>(movie: &Arc<Movie>, first: u64, end: u64, to: u64, read: &F) -> Result<Option<u64>, Broken>
where
    F: Fn(u64, u64) -> Reading,
    Reading: Future<Output = Result<Bytes, Broken>>,
{
    let (mut at, mut window) = (first, SEARCH);
    while at < end {
        let mut bytes: Vec<u8> = Vec::new();
        // All of it: one that begins near its end may otherwise not be known for one.
        while (bytes.len() as u64) < window {
            let (from, until) = (at + bytes.len() as u64, (at + window).min(to));
            let more = if from < until { read(from, until).await? } else { Bytes::new() };
            if more.is_empty() {
                break;
            }
            bytes.extend_from_slice(&more);
        }
        if let Some(moof) = find_moof(&bytes, at, movie) {
            return Ok(Some(moof).filter(|moof| *moof < end));
        }
        if (bytes.len() as u64) < window {
            break;
        }
        // One may begin in what was read and not be all there.
        let name = bytes.windows(4).position(|name| name == b"moof");
        match name.and_then(|name| name.checked_sub(4)) {
            Some(begins) if begins > 0 => (at, window) = (at + begins as u64, SEARCH),
            Some(_) if window < 16 * SEARCH => window *= 4,
            Some(_) => (at, window) = (at + 8, SEARCH),
            None => (at, window) = (at + bytes.len() as u64 - 7, SEARCH),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::stream;
    use super::*;
    use crate::media::fmp4::fragments::tests::header;

    fn slices(bytes: &[u8]) -> impl Fn(u64, u64) -> std::future::Ready<Result<Bytes, Broken>> {
        move |first, end| {
            let place = |at: u64| usize::try_from(at).expect("a place").min(bytes.len());
            // No more than so much at once, as a store may give it.
            let end = place(end).min(place(first) + 5_000);
            std::future::ready(Ok(Bytes::copy_from_slice(&bytes[place(first)..end])))
        }
    }

    #[tokio::test]
    async fn many_looks_find_what_one_walk_finds() {
        let bytes = stream(2_000, 9);
        let movie = Arc::new(Movie::parse(&header()).expect("a movie"));
        let from = header().len() as u64;
        let mut walk = Scanner::starting_at(Arc::clone(&movie), from);
        let one: Vec<_> = walk.feed(&bytes[header().len()..]);
        let ends = |found: &[Found]| {
            let end = |found: &Found| if let Found::Ended(fragment) = found { fragment.end } else { None };
            found.iter().filter_map(end).collect::<Vec<_>>()
        };
        let begins = |found: &[Found]| {
            let begun = |found: &Found| if let Found::Begun(fragment) = found { Some(fragment.clone()) } else { None };
            found.iter().filter_map(begun).collect::<Vec<_>>()
        };
        for step in [3_000, 10_007, 77_777] {
            let to = bytes.len() as u64;
            let many = by_steps(&movie, from, to, step, slices(&bytes)).await.expect("it can be read");
            let count = many.found.len();
            assert!(count > 20 && count % 2 == 0, "{count}");
            assert_eq!(ends(&many.found), ends(&one)[..count / 2]);
            assert_eq!(begins(&many.found), begins(&one)[..count / 2]);
            assert_eq!(many.end, ends(&many.found).last().copied());
            assert!(many.end.is_some_and(|end| end >= (from + WIDTH * step).min(to)), "{:?} of {to}", many.end);
        }
    }

    #[tokio::test]
    async fn what_is_not_sure_is_left_to_one_walk() {
        let (one, movie) = (stream(400, 9), Arc::new(Movie::parse(&header()).expect("a movie")));
        // Another header in the middle.
        let bytes = [&one[..], &one[..]].concat();
        let from = header().len() as u64;
        let many = by_steps(&movie, from, bytes.len() as u64, 9_000, slices(&bytes)).await.expect("it can be read");
        assert_eq!(many.end, Some(one.len() as u64));
        assert!(survey(&movie, from, bytes.len() as u64, slices(&bytes)).await.expect("nothing").found.is_empty());
        assert_eq!((step(0, 1 << 30), step(0, 1 << 40)), (Some(64 << 20), Some(LONGEST)));
    }
}
