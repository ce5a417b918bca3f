//! Rules about paths: what is allowed and denied there, and what may be uploaded.

use std::sync::Arc;

use super::grant::RuleSource;
use super::path_pattern::PathPattern;
use super::permission::PermissionSet;
use crate::proto::pattern::Pattern;

/// One rule of a user or a group about the paths that its pattern means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// The paths.
    pub pattern: PathPattern,
    /// What it allows there.
    pub allow: PermissionSet,
    /// What it denies there.
    pub deny: PermissionSet,
    /// What it asks of uploads.
    pub upload: UploadTerms,
    /// Whose rule it is, such as `user alice` or `group partners`.
    pub holder: Arc<str>,
    /// Where it stands.
    pub source: RuleSource,
}

/// What a rule asks of the files that are uploaded to its paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadTerms {
    /// Most bytes of one file.
    pub file_bytes_max: Option<u64>,
    /// Patterns of which a file's name has to match one; none where every name will do.
    pub names_allowed: Vec<NamePattern>,
    /// Patterns of which a file's name must match none.
    pub names_forbidden: Vec<NamePattern>,
}

impl UploadTerms {
    /// Whether names decide nothing.
    pub fn takes_every_name(&self) -> bool {
        self.names_allowed.is_empty() && self.names_forbidden.is_empty()
    }
}

/// A pattern of file names. Upper and lower case are the same to it, as they are to the programs
/// that such rules are meant to keep files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: String,
    pattern: Option<Pattern>,
}

impl NamePattern {
    /// Reads a pattern; one without wildcards means the one name. None where no name could match.
    pub fn parse(text: &str) -> Option<Self> {
        let possible = !text.is_empty() && !text.contains('/') && !text.chars().any(char::is_control);
        let lower = text.to_lowercase();
        possible.then(|| Self { text: text.to_owned(), pattern: Pattern::parse(&lower) })
    }

    /// Whether it means the name.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match &self.pattern {
            Some(pattern) => pattern.matches(&name),
            None => self.text.to_lowercase() == name,
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_in_upper_and_lower_case() {
        let pattern = NamePattern::parse("*.Exe").unwrap();
        assert!(pattern.matches("setup.EXE") && !pattern.matches("setup.exe.txt"));
        assert!(NamePattern::parse("Thumbs.db").unwrap().matches("thumbs.DB"));
        assert!(NamePattern::parse("").is_none() && NamePattern::parse("a/b").is_none());
    }
}
