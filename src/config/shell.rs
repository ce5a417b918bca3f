//! Texts as words of a POSIX shell, for command lines that are printed to be pasted.

/// The text as one shell word: bare where that is safe, in single quotes otherwise. Control
/// characters are replaced, because a terminal would act on them.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let printable: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("'{}'", printable.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(word("/srv/files"), "/srv/files");
        assert_eq!(word("/srv/my files"), "'/srv/my files'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("$(x)"), "'$(x)'");
        assert_eq!(word(""), "''");
        assert_eq!(word("a\u{1b}[2J"), "'a?[2J'");
    }
}
