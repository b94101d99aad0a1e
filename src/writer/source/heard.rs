//! An input to which somebody listens as it is taken. It is what it would be without: whoever listens makes nobody wait.

use std::fmt;

use super::{Source, SourceError};

/// Hears the bytes that were taken, in order, and once at the end that nothing more comes. It does not wait for anything.
pub type Ear = Box<dyn FnMut(Option<&[u8]>) + Send + Sync>;

/// See the module.
pub struct Heard {
    source: Box<Source>,
    ear: Ear,
    /// The end has been told.
    over: bool,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Heard {
    pub(super) fn new(source: Source, ear: Ear) -> Self {
        Self { source: Box::new(source), ear, over: false }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        let read = Box::pin(self.source.read(room)).await;
        match &read {
            Ok(count) if *count > 0 => (self.ear)(room.get(..*count)),
            _ if std::mem::replace(&mut self.over, true) => {}
            // What failed does not go on.
            _ => (self.ear)(None),
        }
        read
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn all_that_is_taken_is_heard_and_once_the_end() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"abcdefg").expect("written");
        let stop = tokio::sync::watch::channel(false).1;
        let source = Source::file(file.path(), None, stop).await.expect("it opens");
        let heard = Arc::<Mutex<Vec<Option<Vec<u8>>>>>::default();
        let ear = {
            let heard = heard.clone();
            Box::new(move |bytes: Option<&[u8]>| heard.lock().expect("alive").push(bytes.map(<[u8]>::to_vec)))
        };
        let mut source = source.heard_by(ear);
        assert!(source.whole_file().is_some() && source.can_be_read_again() && !source.is_fed());
        let (mut room, mut taken) = ([0; 4], Vec::new());
        for _ in 0..4 {
            let count = source.read(&mut room).await.expect("it reads");
            taken.extend_from_slice(&room[..count]);
        }
        assert_eq!(taken, b"abcdefg");
        assert_eq!(*heard.lock().expect("alive"), [Some(b"abcd".to_vec()), Some(b"efg".to_vec()), None]);
    }
}
