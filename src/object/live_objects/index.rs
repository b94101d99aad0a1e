//! Where live objects lie: what the head says, and the index page that is being gone through. One page is kept, whatever the
//! length of the recording.

use crate::object::live_objects::ask;
use crate::protocol::live_objects::{Entry, Head, Names, Page, RecordingId};
use crate::store::{Patient, StoreError};

/// See the module.
#[derive(Debug)]
pub(crate) struct Index {
    head: Head,
    page: Option<(u32, Page)>,
}

/// Where a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this live object.
    In(Entry),
    /// In one that a page has to tell.
    InPage,
    /// Behind all that is known of.
    Beyond,
}

/// What a search for a page needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    offset: u64,
    /// Pages from the first to the one after the last that may have it, and the offsets where those begin.
    pages: (u32, u32),
    offsets: (u64, u64),
}

impl Index {
    pub(crate) fn new(head: Head) -> Self {
        Self { head, page: None }
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Takes a newer head.
    pub(crate) fn renew(&mut self, head: Head) {
        self.head = head;
    }

    /// Takes a page.
    pub(crate) fn learn(&mut self, number: u32, page: Page) {
        self.page = Some((number, page));
    }

    /// Where the byte at `offset` is.
    pub(crate) fn place(&self, offset: u64) -> Place {
        if offset >= self.head.edge() {
            return Place::Beyond;
        }
        let pages = [Some(&self.head.page), self.page.as_ref().map(|(_, page)| page)];
        let entry = pages.into_iter().flatten().find_map(|page| page.at(offset));
        entry.map_or(Place::InPage, Place::In)
    }

    /// How to find the page that has the byte at `offset`.
    pub(crate) fn search(&self, offset: u64) -> Search {
        let mut search = Search { offset, pages: (0, self.head.pages), offsets: (0, self.head.page.from()) };
        if let Some((number, page)) = &self.page {
            search.seen(*number, page);
        }
        search
    }
}

impl Search {
    /// The page to look into next; none where no page can have it.
    fn next(&self) -> Option<u32> {
        let ((low, high), (from, to)) = (self.pages, self.offsets);
        if low >= high || !(from..to).contains(&self.offset) {
            return None;
        }
        // Where live objects are about as long as each other, this is the right one, or the next.
        let (pages, bytes) = (u128::from(high - low), u128::from(to - from));
        let ahead = u128::from(self.offset - from) * pages / bytes;
        Some(low.saturating_add(u32::try_from(ahead).unwrap_or(0)).min(high - 1))
    }

    fn seen(&mut self, number: u32, page: &Page) {
        if self.offset < page.from() {
            (self.pages.1, self.offsets.1) = (self.pages.1.min(number), self.offsets.1.min(page.from()));
        } else {
            (self.pages.0, self.offsets.0) = (self.pages.0.max(number + 1), self.offsets.0.max(page.end()));
        }
    }

    /// Finds it; none where it is not there any more, or nowhere.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses or is away for long.
    pub(crate) async fn run(
        mut self,
        store: &Patient,
        names: &Names,
        id: &RecordingId,
    ) -> Result<Option<(u32, Page)>, StoreError> {
        while let Some(number) = self.next() {
            let Some(page) = ask::page(store, names, id, number).await? else { return Ok(None) };
            if page.at(self.offset).is_some() {
                return Ok(Some((number, page)));
            }
            self.seen(number, &page);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::part::PartSize;

    /// A head behind objects of these lengths, and its pages.
    fn head(lengths: impl IntoIterator<Item = u64>) -> (Head, Vec<Page>) {
        let mut head = Head::new(RecordingId::new(1, 2), "upload".to_owned(), PartSize::DEFAULT);
        let pages = lengths.into_iter().filter_map(|length| head.push(length)).map(|(_, page)| page).collect();
        (head, pages)
    }

    /// The page that has a byte, and how many were looked into.
    fn find(index: &Index, pages: &[Page], offset: u64) -> (Option<u32>, u32) {
        let mut search = index.search(offset);
        let mut looks = 0;
        loop {
            let Some(number) = search.next() else { return (None, looks) };
            looks += 1;
            let page = &pages[usize::try_from(number).expect("small")];
            if page.at(offset).is_some() {
                return (Some(number), looks);
            }
            search.seen(number, page);
        }
    }

    #[test]
    fn what_is_young_is_in_the_head_and_what_is_old_in_pages() {
        let (head, pages) = head((0..600).map(|_| 10));
        let mut index = Index::new(head);
        assert_eq!(index.place(5_999), Place::In(Entry { run: 0, offset: 5_990, length: 10 }));
        assert_eq!(index.place(6_000), Place::Beyond);
        assert_eq!(index.place(5_119), Place::InPage);
        assert_eq!(find(&index, &pages, 5_119), (Some(1), 1));
        index.learn(1, pages[1].clone());
        assert_eq!(index.place(5_119), Place::In(Entry { run: 0, offset: 5_110, length: 10 }));
        assert_eq!(index.place(2_559), Place::InPage);
        assert_eq!(find(&index, &pages, 2_559), (Some(0), 1));
    }

    #[test]
    fn a_page_after_the_other_is_found_at_once() {
        let (head, pages) = head((0..12_000).map(|number| 1 + number % 7_000));
        let mut index = Index::new(head);
        let mut offset = 0;
        for (number, page) in (0..).zip(&pages) {
            assert!(find(&index, &pages, offset).1 <= 6, "page {number}");
            index.learn(number, page.clone());
            offset = page.end();
        }
        assert_eq!(offset, index.head().page.from());
    }

    proptest! {
        #[test]
        fn every_byte_is_found(lengths in proptest::collection::vec(1..=9u64, 1..3_000), at in 0.0..1.0f64) {
            let (head, pages) = head(lengths.iter().flat_map(|length| [*length, *length * *length * *length]));
            let index = Index::new(head);
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let offset = (index.head().edge() as f64 * at) as u64;
            match index.place(offset) {
                Place::In(entry) => prop_assert!((entry.offset..entry.end()).contains(&offset)),
                Place::InPage => {
                    let (found, looks) = find(&index, &pages, offset);
                    let page = &pages[usize::try_from(found.expect("found")).expect("small")];
                    prop_assert!(page.at(offset).is_some() && looks <= 24);
                }
                Place::Beyond => prop_assert!(offset >= index.head().edge()),
            }
        }
    }
}
