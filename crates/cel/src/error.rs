//! Mistakes in the text of an expression, with their place, printed as Kubernetes prints them.

use std::fmt;

/// One mistake at a byte offset of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    pub at: usize,
    pub message: String,
}

/// Everything that is wrong with one expression, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues {
    pub source: String,
    pub issues: Vec<Issue>,
}

impl Issues {
    pub(crate) fn new(source: &str, mut issues: Vec<Issue>) -> Issues {
        issues.sort_by_key(|issue| issue.at);
        issues.dedup();
        Issues { source: source.into(), issues }
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            let at = issue.at.min(self.source.len());
            let before = &self.source.as_bytes()[..at];
            let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = String::from_utf8_lossy(&before[line_start..]).chars().count();
            let text = self.source[line_start..].lines().next().unwrap_or_default();
            if index > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "ERROR: <input>:{line}:{}: {}\n | {text}\n | {:.<column$}^",
                column + 1,
                issue.message,
                ""
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}
