//! Whether standard output leads anywhere.

use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};

/// Whether standard output was probably closed when the program started (`>&-`).
///
/// Rust puts `/dev/null`, opened for reading and writing, in its place before any code of the program runs. A shell's
/// `>/dev/null` opens it for writing alone; but some programs start others with just what Rust does, so this is no proof.
#[must_use]
pub fn stdout_seems_closed() -> bool {
    seems_closed(std::io::stdout())
}

fn seems_closed(output: impl AsFd) -> bool {
    let (Ok(output_stat), Ok(null), Ok(flags)) = (fstat(&output), stat("/dev/null"), fcntl_getfl(&output)) else {
        return false;
    };
    FileType::from_raw_mode(output_stat.st_mode) == FileType::CharacterDevice
        && output_stat.st_rdev == null.st_rdev
        && flags.contains(OFlags::RDWR)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_a_shell_opens_is_not_taken_for_closed() {
        let open = |read, path: &str| File::options().read(read).write(true).open(path).expect("a device");
        assert!(seems_closed(open(true, "/dev/null")));
        assert!(!seems_closed(open(false, "/dev/null")));
        assert!(!seems_closed(open(true, "/dev/zero")));
        assert!(!seems_closed(std::io::pipe().expect("a pipe").1));
    }
}
