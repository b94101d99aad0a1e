//! Where the live objects of an upload are, as a playlist refers to them. Pure.

use std::fmt::Write;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNames {
    /// The reference to the folder of the recording, with a slash at its end.
    folder: String,
    /// What stands behind the offset in a name, such as `.mp4`.
    extension: String,
    /// Offsets from which on a run counts, and the run.
    runs: Vec<(u64, u32)>,
}

/// Digits of an offset.
const DIGITS: usize = 16;

impl LiveNames {
    /// Below `folder`, a reference with a slash at its end; `first` is how the one of offset 0 is called there. `runs` are
    /// offsets from which on a run counts, and its number.
    #[must_use]
    pub fn new(folder: String, first: &str, runs: Vec<(u64, u32)>) -> Self {
        let extension = first.get(DIGITS..).unwrap_or_default().to_owned();
        Self { folder, extension, runs }
    }

    /// Whether they are of the same recording.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.folder == other.folder
    }

    /// The run that has this offset.
    #[must_use]
    pub fn run_of(&self, offset: u64) -> u32 {
        self.runs.iter().rev().find(|(from, _)| *from <= offset).map_or(0, |(_, run)| *run)
    }

    /// Writes the reference to the live object of this offset.
    pub fn put(&self, out: &mut String, offset: u64) {
        // A string takes whatever is written into it.
        let _ = write!(out, "{}{}/{offset:0DIGITS$}{}", self.folder, self.run_of(offset), self.extension);
    }

    /// Writes a reference to what is never there: players that do not know of gaps find nothing there, and go on with the next.
    pub fn put_gap(&self, out: &mut String, offset: u64) {
        let _ = write!(out, "{}gap/{offset:0DIGITS$}{}", self.folder, self.extension);
    }

    /// Whether a reference is such a one of the same recording.
    #[must_use]
    pub fn is_gap(&self, uri: &str, offset: u64) -> bool {
        let mut gap = String::new();
        self.put_gap(&mut gap, offset);
        gap == uri
    }

    /// Reads the reference to a live object; the names know its run, and that alone. None for one that was not made here.
    #[must_use]
    pub fn read(uri: &str) -> Option<(Self, u64)> {
        let (above, file) = uri.rsplit_once('/')?;
        let (folder, run) = above.rsplit_once('/')?;
        let (digits, extension) = file.split_at_checked(DIGITS)?;
        let offset = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
        let names = Self {
            folder: format!("{folder}/"),
            extension: extension.to_owned(),
            runs: vec![(offset, run.parse().ok()?)],
        };
        Some((names, offset))
    }

    /// Takes over what others know of the same recording.
    pub fn learn(&mut self, others: &Self) {
        for (from, run) in &others.runs {
            if self.run_of(*from) != *run {
                self.runs.push((*from, *run));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_was_made() {
        let folder = "../_live/a/b%20c.mp4/20261121T143349Z-9f3c2a7b/".to_owned();
        let names = LiveNames::new(folder.clone(), "0000000000000000.mp4", vec![(0, 0), (700, 3)]);
        let mut read: Option<LiveNames> = None;
        for (offset, file) in
            [(0, "0/0000000000000000.mp4"), (699, "0/0000000000000699.mp4"), (700, "3/0000000000000700.mp4")]
        {
            let mut uri = String::new();
            names.put(&mut uri, offset);
            assert_eq!(uri, format!("{folder}{file}"));
            let (one, at) = LiveNames::read(&uri).expect("it was made here");
            assert_eq!(at, offset);
            match &mut read {
                Some(read) => read.learn(&one),
                None => read = Some(one),
            }
        }
        assert_eq!(read, Some(names));
        for other in
            ["live.mp4", "a/0/live.mp4", "a/x/0000000000000000.mp4", "a/0/000000000000000é.mp4", "a/0/00000000000000é0"]
        {
            assert_eq!(LiveNames::read(other), None, "{other}");
        }
    }
}
