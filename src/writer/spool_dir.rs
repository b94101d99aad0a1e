//! Which directory input waits in, and is kept in, where none is named: one on disk. `/tmp` is memory on many systems, and
//! an outage must not fill that.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::human::sizes::show_bytes;
use crate::writer::source::Source;
use crate::writer::spool::SpoolSettings;

/// The name of the tools' own directory.
const OWN: &str = "live-read";

/// What a directory is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A disk, as far as can be told.
    Disk,
    /// Memory: tmpfs or ramfs.
    Memory,
}

/// A directory, and what it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolDir {
    /// The directory; it may not be there yet.
    pub path: PathBuf,
    /// What it is on.
    pub medium: Medium,
    /// Whether it is the tools' own, to be made where it is not there.
    pub own: bool,
}

/// The directory that was `given`, else the first of the usual ones that can be written and is on disk.
#[must_use]
pub fn choose(given: Option<PathBuf>) -> SpoolDir {
    if let Some(path) = given {
        let medium = look(&path).unwrap_or(Medium::Disk);
        return SpoolDir { path, medium, own: false };
    }
    first_on_disk(usual(|name| std::env::var_os(name)), std::env::temp_dir(), look)
}

/// Where input of `source` may wait and is kept; warns where that is memory.
#[must_use]
pub fn settings(given: Option<PathBuf>, limit: u64, source: &Source) -> SpoolSettings {
    let SpoolDir { path: dir, medium, own: make_dir } = choose(given);
    if medium == Medium::Memory && limit > 0 && source.cannot_wait() {
        tracing::warn!(
            "{} is in memory, and input waits there while the store is away: choose a directory on disk with --spool-dir, or \
             a lower --spool-limit (now {})",
            dir.display(),
            show_bytes(limit)
        );
    }
    SpoolSettings { dir, make_dir, limit }
}

/// The state directory of the user, its cache directory, and the one for large temporary files.
fn usual(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    // A relative path in these variables is to be ignored, says their specification.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("HOME");
    let of_user = |name, below: &str| absolute(name).or_else(|| home.as_ref().map(|home| home.join(below)));
    let mut usual: Vec<PathBuf> = [of_user("XDG_STATE_HOME", ".local/state"), of_user("XDG_CACHE_HOME", ".cache")]
        .into_iter()
        .flatten()
        .map(|path| path.join(OWN))
        .collect();
    usual.push(PathBuf::from("/var/tmp"));
    usual
}

fn first_on_disk(usual: Vec<PathBuf>, last: PathBuf, look: impl Fn(&Path) -> Option<Medium>) -> SpoolDir {
    let on_disk = usual.into_iter().chain([last.clone()]).find(|path| look(path) == Some(Medium::Disk));
    match on_disk {
        Some(path) => SpoolDir { own: path.ends_with(OWN), path, medium: Medium::Disk },
        None => SpoolDir { medium: look(&last).unwrap_or(Medium::Disk), path: last, own: false },
    }
}

/// What a directory is on, or would be on once it is made; `None` if it can neither be written nor made.
fn look(path: &Path) -> Option<Medium> {
    let there = path.ancestors().find(|path| path.exists())?;
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let may_write = there.is_dir() && access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    may_write.then(|| medium(there))
}

#[cfg(target_os = "linux")]
fn medium(path: &Path) -> Medium {
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of 32 bits in a wider field")]
    let kind = rustix::fs::statfs(path).map(|found| found.f_type as u32);
    if matches!(kind, Ok(TMPFS | RAMFS)) { Medium::Memory } else { Medium::Disk }
}

#[cfg(not(target_os = "linux"))]
fn medium(_: &Path) -> Medium {
    Medium::Disk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual_with(set: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value));
        usual(value).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_usual_ones_are_the_users_and_the_systems() {
        let of_home = ["/h/.local/state/live-read", "/h/.cache/live-read", "/var/tmp"];
        assert_eq!(usual_with(&[("HOME", "/h")]), of_home);
        assert_eq!(usual_with(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]), of_home);
        let set = [("XDG_STATE_HOME", "/s"), ("XDG_CACHE_HOME", "/c")];
        assert_eq!(usual_with(&set), ["/s/live-read", "/c/live-read", "/var/tmp"]);
        assert_eq!(usual_with(&[]), ["/var/tmp"]);
    }

    #[test]
    fn the_first_on_disk_is_taken_and_memory_only_where_there_is_nothing_else() {
        let (disk, memory) = (Some(Medium::Disk), Some(Medium::Memory));
        // What /a, /b and the last one, /t, are on; what is chosen.
        let cases = [
            ([disk, disk, disk], "/a", Medium::Disk),
            ([memory, disk, disk], "/b", Medium::Disk),
            ([None, memory, disk], "/t", Medium::Disk),
            ([memory, None, memory], "/t", Medium::Memory),
            ([None, None, None], "/t", Medium::Disk),
        ];
        for (found, path, medium) in cases {
            let look = |path: &Path| found[["/a", "/b", "/t"].iter().position(|name| path == Path::new(name)).unwrap()];
            let chosen = first_on_disk(vec!["/a".into(), "/b".into()], "/t".into(), look);
            assert_eq!(chosen, SpoolDir { path: path.into(), medium, own: false }, "{found:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_directory_in_memory_is_told_from_one_that_cannot_be_written() {
        assert_eq!(look(Path::new("/dev/null/nothing/at/all")), None);
        // What the system says of it, which is something else in many a container; it may not be writable either.
        let system = std::process::Command::new("stat").args(["-f", "-c", "%T", "/dev/shm"]).output();
        let is_memory = system.is_ok_and(|said| said.stdout == b"tmpfs\n");
        if is_memory && tempfile::tempfile_in("/dev/shm").is_ok() {
            assert_eq!(choose(Some("/dev/shm/not/made/yet".into())).medium, Medium::Memory);
        }
    }
}
