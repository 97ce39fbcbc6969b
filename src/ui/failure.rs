//! The one renderer of failures.

use serde::Serialize;

use super::Style;
use crate::error::{Failure, FailureKind};

/// A failure for people: what happened, why, and what helps.
#[must_use]
pub fn render_failure(failure: &Failure, style: Style) -> String {
    if matches!(failure.kind, FailureKind::Child(_)) {
        return String::new();
    }
    let mut causes = failure.error.chain();
    let mut text = format!("{} {}\n", style.bad("error:"), first_line(causes.next()));
    for cause in causes {
        text += &format!("  {} {}\n", style.faint("because:"), cause.to_string().replace('\n', "\n           "));
    }
    for hint in &failure.hints {
        text += &format!("{} {}\n", style.attention("hint:"), hint.replace('\n', "\n      "));
    }
    text
}

fn first_line(error: Option<&(dyn std::error::Error + 'static)>) -> String {
    error.map(ToString::to_string).unwrap_or_default()
}

/// A failure as the last line of `--events json`.
#[must_use]
pub fn render_failure_json(failure: &Failure) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        event: &'static str,
        exit_code: u8,
        error: String,
        causes: Vec<String>,
        hints: &'a [String],
    }
    if matches!(failure.kind, FailureKind::Child(_)) {
        return String::new();
    }
    let mut chain = failure.error.chain();
    let line = Line {
        event: "failed",
        exit_code: failure.kind.exit_code(),
        error: first_line(chain.next()),
        causes: chain.map(ToString::to_string).collect(),
        hints: &failure.hints,
    };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        let error = anyhow::Error::new(std::io::Error::other("disk on fire")).context("cannot write the record");
        Failure::new(FailureKind::Failed, error).hint("put it out")
    }

    #[test]
    fn a_failure_says_what_why_and_what_helps() {
        insta::assert_snapshot!(render_failure(&failure(), Style::new(false)), @r"
        error: cannot write the record
          because: disk on fire
        hint: put it out
        ");
        insta::assert_snapshot!(
            render_failure_json(&failure()),
            @r#"{"event":"failed","exitCode":1,"error":"cannot write the record","causes":["disk on fire"],"hints":["put it out"]}"#
        );
    }

    #[test]
    fn a_childs_exit_code_is_no_failure_of_ours() {
        let failure = Failure::new(FailureKind::Child(7), anyhow::anyhow!("exit code 7"));
        assert_eq!(render_failure(&failure, Style::new(false)), "");
    }
}
