//! A question on the terminal before something is changed that cannot be had back.

use std::io::{self, IsTerminal};

use crate::message::stderr::{PATIENCE, outlet};
use crate::tool::exit::Exit;

/// Asks unless `yes`: how to end if the answer is no, or nobody can be asked. `untouched` says what has not been done then.
pub(crate) async fn refused(yes: bool, question: &str, untouched: &str) -> Option<Exit> {
    if yes {
        return None;
    }
    if !io::stdin().is_terminal() {
        tracing::error!("nobody can be asked, because standard input is not a terminal: {untouched}; give --yes");
        return Some(Exit::Usage);
    }
    if asked(question).await {
        return None;
    }
    tracing::warn!("{untouched}");
    Some(Exit::Failed)
}

/// Asks on the terminal; anything but yes is no.
async fn asked(question: &str) -> bool {
    // What the question is about is said before it.
    outlet().settle(PATIENCE);
    eprint!("{question} [y/N] ");
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    is_yes(&line.await.ok().and_then(Result::ok).unwrap_or_default())
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_yes_is_no() {
        for (line, yes) in
            [("y\n", true), (" YES \n", true), ("\n", false), ("", false), ("n\n", false), ("yeah\n", false)]
        {
            assert_eq!(is_yes(line), yes, "{line:?}");
        }
    }
}
