//! Texts from outside, made harmless: which characters never reach a log as they are, and how a
//! text is cut to a bound.

use std::fmt::Write as _;

/// Longest text of a record, in bytes before escaping.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Longest user name of a record, in bytes: claimed names are often a slip of the password.
pub const USER_BYTES_MAX: usize = 64;

/// A text that was cut, and what it takes to recognise the whole one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cut {
    /// The field whose text was cut.
    pub field: &'static str,
    /// How many bytes the whole text has.
    pub bytes: u64,
    /// BLAKE3 of the whole text, hexadecimal.
    pub blake3: String,
}

/// Whether a character could end a line, drive a terminal, or disguise the text around it on a
/// screen: controls, line and paragraph separators, bidirectional and invisible formatting.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text up to `bytes_max`, ending at a character; a text that was cut is noted in `cuts`.
pub(super) fn bounded<'a>(field: &'static str, text: &'a str, bytes_max: usize, cuts: &mut Vec<Cut>) -> &'a str {
    if text.len() <= bytes_max {
        return text;
    }
    let blake3 = blake3::hash(text.as_bytes()).to_hex().to_string();
    cuts.push(Cut { field, bytes: u64::try_from(text.len()).unwrap_or(u64::MAX), blake3 });
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

/// Appends the text to `line` with every harmful character written as `\u{…}`.
pub fn push_escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        if is_harmful(c) {
            // Writing into a `String` cannot fail.
            let _ = write!(line, "{}", c.escape_unicode());
        } else {
            line.push(c);
        }
    }
}

/// The text as one word of a POSIX shell, for command lines that are printed to be pasted: bare where
/// that is safe, in single quotes otherwise. Control characters are replaced, because a terminal would
/// act on them.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let printable: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("'{}'", printable.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_noted() {
        let mut cuts = Vec::new();
        assert_eq!(bounded("a", "short", 5, &mut cuts), "short");
        assert!(cuts.is_empty());
        assert_eq!(bounded("a", "äöü", 3, &mut cuts), "ä");
        assert_eq!(cuts.first().map(|cut| (cut.field, cut.bytes)), Some(("a", 6)));
        assert_eq!(cuts[0].blake3, blake3::hash("äöü".as_bytes()).to_hex().as_str());
    }

    proptest! {
        #[test]
        fn nothing_harmful_survives_escaping(text in any::<String>()) {
            let mut line = String::new();
            push_escaped(&mut line, &text);
            prop_assert!(!line.chars().any(is_harmful));
        }
    }
}
