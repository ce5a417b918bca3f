//! Texts as words of a POSIX shell, for command lines that are printed to be pasted.

pub(crate) use crate::audit::text::shell_word as word;

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
