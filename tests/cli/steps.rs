//! `scripts/step.sh`: what a step of a make target shows of itself.

use std::process::{Command, Output};

fn step(name: &str, script: &str, verbose: bool) -> Output {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/step.sh"));
    command.args([name, "sh", "-c", script]).env_remove("VERBOSE");
    if verbose {
        command.env("VERBOSE", "1");
    }
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_step_that_went_well_is_one_line_and_our_own_warnings() {
    let output = step(
        "test: went well",
        "echo 'WARNING: of others'; echo 'install-deps: WARNING: no browser'; echo more >&2",
        false,
    );
    assert!(output.status.success());
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "install-deps: WARNING: no browser", "{said}");
    assert!(lines[1].starts_with("test: went well: ") && lines.len() == 2, "{said}");
}

#[test]
fn a_step_that_failed_shows_its_end_and_keeps_its_exit_code() {
    let output = step("test: failed", "for i in $(seq 100); do echo line $i; done; exit 7", false);
    assert_eq!(output.status.code(), Some(7));
    let said = said(&output);
    assert!(said.contains("test: failed: failed after") && said.contains("target/steps/test--failed.log"), "{said}");
    assert!(said.contains("line 100\n") && !said.contains("line 1\n"), "{said}");
}

#[test]
fn a_step_says_everything_at_once_if_asked() {
    let output = step("test: verbose", "echo noise; exit 3", true);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(3), "noise\n"));
}
