//! Completions for shells, and the manual page, both made from the command line itself.

use std::io::{self, Write};

use clap::{Args, Command, FromArgMatches};
use clap_complete::Shell;

/// What prints about the tool, and does nothing else.
#[derive(Debug, Clone, Copy, Args)]
pub struct ManualArgs {
    /// Print what a shell needs to complete this command line, and exit
    #[arg(long, value_name = "SHELL", value_enum, exclusive = true, help_heading = "About")]
    pub completions: Option<Shell>,

    /// Print the manual page, and exit
    #[arg(long, exclusive = true, help_heading = "About")]
    pub man: bool,
}

/// Prints what was asked for, if any of it was: whether there is nothing else to be done.
///
/// # Errors
/// What the system says of standard output.
pub fn answer(command: &Command) -> io::Result<bool> {
    // What stands in the environment is no company: these options stand alone, where the others want a key.
    let alone = command.clone().mut_args(|option| option.env(None::<&str>)).try_get_matches();
    let Some(asked) = alone.ok().and_then(|typed| ManualArgs::from_arg_matches(&typed).ok()) else { return Ok(false) };
    let text = asked.text(command.clone())?;
    text.map_or(Ok(false), |text| print(&text).map(|()| true))
}

impl ManualArgs {
    /// The text that was asked for, if any was.
    fn text(self, mut command: Command) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, &mut text);
        } else if self.man {
            clap_mangen::Man::new(command).render(&mut text)?;
        } else {
            return Ok(None);
        }
        Ok(Some(text))
    }
}

/// Writes it to standard output. Somebody who has read enough is no failure.
fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, ValueEnum};

    use super::*;
    use crate::cli::reader::args::ReaderArgs;
    use crate::cli::writer::args::WriterArgs;

    fn text(command: &Command, typed: &[&str]) -> String {
        let found = command.clone().try_get_matches_from(typed).expect("nothing else is needed");
        let asked = ManualArgs::from_arg_matches(&found).expect("they are known");
        let text = asked.text(command.clone()).expect("it is written").expect("it was asked for");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn every_option_is_in_the_manual_page_and_in_each_shells_completions() {
        for command in [WriterArgs::command(), ReaderArgs::command()] {
            let shown = command.get_opts().filter(|option| !option.is_hide_set());
            let options: Vec<String> =
                shown.filter_map(|option| option.get_long()).map(|name| format!("--{name}")).collect();
            assert!(options.len() > 20, "{options:?}");
            let page = text(&command, &["tool", "--man"]).replace('\\', "");
            assert!(page.contains(".TH ") && page.contains("SYNOPSIS"), "{page}");
            for option in &options {
                assert!(page.contains(option), "the manual page does not have {option}");
            }
            for shell in Shell::value_variants() {
                let script = text(&command, &["tool", "--completions", &shell.to_string()]);
                for option in &options {
                    // Fish names them without the dashes.
                    let name = option.trim_start_matches("--");
                    assert!(script.contains(name), "{shell} cannot complete {option}");
                }
            }
        }
    }

    #[test]
    fn they_stand_alone() {
        assert!(WriterArgs::try_parse_from(["writer", "--man", "live.mp4"]).is_err());
        assert!(ReaderArgs::try_parse_from(["reader", "--completions", "cmd.exe"]).is_err());
        assert!(ReaderArgs::try_parse_from(["reader"]).is_err());
    }
}
