//! Figures as text that Prometheus reads. Pure.

use std::fmt::{Display, Write};

/// What a figure is, before its lines.
pub fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // A string takes whatever is written into it: the result is of no interest.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A value of it; `labels` are none or all of them, in braces.
pub fn line(out: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(out, "{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_its_head_and_its_lines() {
        let mut out = String::new();
        head(&mut out, "a_total", "counter", "How many.");
        line(&mut out, "a_total", "", 5);
        line(&mut out, "a_total", r#"{kind="b"}"#, 0.5);
        assert_eq!(out, "# HELP a_total How many.\n# TYPE a_total counter\na_total 5\na_total{kind=\"b\"} 0.5\n");
    }
}
