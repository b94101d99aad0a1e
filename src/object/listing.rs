//! What is in a bucket, for people and programs: what grows and what is finished, as one list by rising keys.

use serde::Serialize;

use crate::store::{OpenUpload, Page, Patient, StoreError, Stored};

/// What becomes of an object at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It grows, and can be watched.
    Live,
    /// It is finished.
    Recorded,
    /// It is being uploaded, and cannot be read before that is done.
    Uploading,
}

/// One object in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// What becomes of it.
    pub state: State,
    /// Bytes that can be read now.
    pub size: Option<u64>,
    /// When it was begun, or finished, in seconds since 1970.
    pub since: Option<i64>,
    /// Whole seconds that it plays, where somebody has looked into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Its newest open upload.
    #[serde(skip)]
    pub upload_id: Option<String>,
}

/// A page of what there is of the keys that begin with `prefix` and come after `after`, by two requests: `most` of them at most.
/// `only_open`: nothing but what is being uploaded, by one.
///
/// # Errors
/// [`StoreError`]; [`Kind::Denied`](crate::store::Kind::Denied) where these credentials may not list.
pub(crate) async fn page(
    store: &Patient,
    prefix: &str,
    after: &str,
    most: u16,
    only_open: bool,
) -> Result<Page<Entry>, StoreError> {
    let stored = async {
        if only_open {
            return Ok(Page { entries: Vec::new(), next: None });
        }
        store.stored_after(prefix, after, most).await
    };
    let (stored, open) = tokio::try_join!(stored, store.open_after(prefix, after, most))?;
    Ok(merged(stored, open, most.into()))
}

/// The two lists as one, of `most` keys at most. What has an open upload is given as [`State::Uploading`], with the size of
/// the finished object that it hides.
fn merged(stored: Page<Stored>, open: Page<(String, OpenUpload)>, most: usize) -> Page<Entry> {
    // Beyond the end of a page of one list the other one tells only half.
    let known_to = [&stored.next, &open.next].into_iter().flatten().min().cloned();
    let is_known = |key: &str| known_to.as_deref().is_none_or(|end| key <= end);
    let mut entries: Vec<Entry> = Vec::new();
    let mut stored = stored.entries.into_iter().filter(|entry| is_known(&entry.key)).peekable();
    let recorded = |stored: Stored| {
        let Stored { key, size, modified: since } = stored;
        Entry { key, state: State::Recorded, size: Some(size), since, duration: None, upload_id: None }
    };
    for (key, upload) in open.entries.into_iter().filter(|(key, _)| is_known(key)) {
        while let Some(before) = stored.next_if(|stored| stored.key < key) {
            entries.push(recorded(before));
        }
        let hidden = stored.next_if(|stored| stored.key == key).map(|stored| stored.size);
        match entries.last_mut() {
            // The newest upload of a key is what it stands for.
            Some(last) if last.key == key && last.since > upload.started => {}
            Some(last) if last.key == key => (last.since, last.upload_id) = (upload.started, Some(upload.id)),
            _ => {
                let (since, upload_id) = (upload.started, Some(upload.id));
                entries.push(Entry { key, state: State::Uploading, size: hidden, since, duration: None, upload_id });
            }
        }
    }
    entries.extend(stored.map(recorded));
    let is_more = entries.len() > most;
    entries.truncate(most);
    let next = if is_more { entries.last().map(|last| last.key.clone()) } else { known_to };
    Page { entries, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(keys: &[&str], next: Option<&str>) -> Page<Stored> {
        let entry = |key: &&str| Stored { key: (*key).to_owned(), size: 7, modified: Some(5) };
        Page { entries: keys.iter().map(entry).collect(), next: next.map(str::to_owned) }
    }

    fn open(keys: &[(&str, i64)], next: Option<&str>) -> Page<(String, OpenUpload)> {
        let entry = |(key, started): &(&str, i64)| {
            ((*key).to_owned(), OpenUpload { id: format!("{key}{started}"), started: Some(*started) })
        };
        Page { entries: keys.iter().map(entry).collect(), next: next.map(str::to_owned) }
    }

    /// Each key, `!` after what is open, and after a blank where the list goes on.
    fn shown(page: &Page<Entry>) -> String {
        let entry = |entry: &Entry| format!("{}{}", entry.key, if entry.state == State::Recorded { "" } else { "!" });
        let keys: Vec<_> = page.entries.iter().map(entry).collect();
        format!("{} {}", keys.concat(), page.next.as_deref().unwrap_or("-"))
    }

    #[test]
    fn both_lists_are_one_by_rising_keys_and_no_key_comes_twice_or_is_left_out() {
        for (stored, open, most, wanted) in [
            (stored(&[], None), open(&[], None), 9, " -"),
            (stored(&["a", "c"], None), open(&[("b", 1)], None), 9, "ab!c -"),
            (stored(&["a", "b"], None), open(&[("b", 1), ("b", 2)], None), 9, "ab! -"),
            (stored(&["a", "c"], None), open(&[("b", 1), ("d", 1)], None), 3, "ab!c c"),
            (stored(&["a", "b"], Some("b")), open(&[("c", 1)], None), 9, "ab b"),
            (stored(&["a", "z"], None), open(&[("b", 1), ("c", 1)], Some("c")), 9, "ab!c! c"),
            (stored(&["a", "b"], Some("b")), open(&[("a", 1)], Some("a")), 9, "a! a"),
            (stored(&[], None), open(&[("a", 1)], None), 1, "a! -"),
        ] {
            let merged = merged(stored, open, most);
            assert_eq!(shown(&merged), wanted, "{merged:?}");
        }
        let both = merged(stored(&["b"], None), open(&[("b", 1), ("b", 9), ("b", 3)], None), 9);
        let (key, upload_id) = ("b".to_owned(), Some("b9".to_owned()));
        let wanted = Entry { key, state: State::Uploading, size: Some(7), since: Some(9), duration: None, upload_id };
        assert_eq!(both.entries, [wanted]);
    }
}
