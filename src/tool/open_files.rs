//! How many files and connections the system lets this program have open: shells and services begin with few, and allow more to
//! whoever asks.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Has the system allow so many.
///
/// # Errors
/// How many there may be, where it does not let us.
pub fn allow(wanted: u64) -> Result<(), u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return Ok(()) };
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    limit.current = Some(allowed);
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) if allowed == wanted => Ok(()),
        Ok(()) => Err(allowed),
        Err(_) => Err(current),
    }
}
