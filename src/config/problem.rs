//! What is wrong with the policy files: each problem with its place, its words and its remedy.

use std::fmt;
use std::sync::Arc;

/// Whether a problem keeps the server from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The files do not say what to do, or say something that must not be done.
    Error,
    /// The files can be used, and probably do not mean what they say.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// What a problem concerns: the texts of the policy files, or something that they name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// What the files say, or that they cannot be read.
    #[default]
    Text,
    /// Who can read and change the files that decide.
    Owners,
    /// The account that serves.
    Account,
    /// A certificate or its key.
    Certificate,
    /// The directory of the audit log.
    Audit,
    /// The key that signs the audit log.
    AuditKey,
    /// The directory of the operational log.
    Log,
    /// A user's home.
    Home,
}

/// A position in a file, with the line as it can be shown: control characters replaced, and what
/// follows a `password` key left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// The line's text, or the part of a very long line around the column.
    pub(super) excerpt: String,
    /// Characters in front of the caret within the excerpt.
    pub(super) indent: usize,
    /// Characters that the carets underline; at least 1.
    pub(super) width: usize,
}

/// One thing wrong with a policy file, or with a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it keeps the server from starting.
    pub severity: Severity,
    /// What it concerns.
    pub subject: Subject,
    /// The file, as the operator named it; `--set` where an override is meant.
    pub file: Arc<str>,
    /// Where in the file; none where the file as a whole is meant.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, message, .. } = self;
        match &self.position {
            None => write!(f, "{file}: {severity}: {message}")?,
            Some(at) => {
                writeln!(f, "{file}:{}:{}: {severity}: {message}", at.line, at.column)?;
                writeln!(f, "{:>5} | {}", at.line, at.excerpt)?;
                write!(f, "      | {:indent$}{}", "", "^".repeat(at.width), indent = at.indent)?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n   help: {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, errors and warnings, in the order of the files.
#[derive(Clone, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// The problems, in the order of the files.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// The problems as a list.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        let errors = self.0.iter().filter(|p| p.severity == Severity::Error).count();
        let warnings = self.0.len().saturating_sub(errors);
        write!(f, "{}", Count { errors, warnings })
    }
}

impl std::error::Error for Problems {}

/// `2 errors, 1 warning`.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// How many errors.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let Self { errors, warnings } = *self;
        write!(f, "{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings))
    }
}
