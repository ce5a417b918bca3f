//! Whether a new password is good enough: length, guessability, banned words.

use std::fmt;

use zeroize::Zeroizing;

use crate::settings::{PasswordProfile, Passwords};

/// Longest password accepted, in bytes: it has to fit a `PASS` line of any configuration.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// A rule that a new password breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Fewer characters than the least, which is named.
    Short {
        /// Characters it has.
        characters: usize,
        /// Characters it needs.
        least: usize,
    },
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    Long,
    /// A control character, which no client could send.
    Control,
    /// Contains the name of the user.
    Name,
    /// Contains a banned word, which is named.
    Banned(String),
    /// The `pci` profile asks for letters and digits.
    LettersAndDigits,
    /// Guessed too soon by zxcvbn, with its reason where it has one.
    Guessable {
        /// The score it has, 0 to 4.
        score: u8,
        /// The score it needs.
        least: u8,
        /// What makes it guessable.
        reason: Option<String>,
    },
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { characters, least } => {
                write!(f, "it has {characters} characters and needs {least}: add words")
            }
            Self::Long => write!(f, "it has more than {PASSWORD_BYTES_MAX} bytes: shorten it"),
            Self::Control => f.write_str("it has a control character, which clients cannot send: remove it"),
            Self::Name => f.write_str("it contains the name of the user: leave the name out"),
            Self::Banned(word) => write!(f, "it contains the banned word `{word}`: choose another"),
            Self::LettersAndDigits => f.write_str("profile pci asks for letters and digits: add what is missing"),
            Self::Guessable { score, least, reason } => {
                write!(f, "it is too easy to guess (score {score} of 4, and {least} is needed)")?;
                if let Some(reason) = reason {
                    write!(f, ": {reason}")?;
                }
                f.write_str("; use several unrelated words")
            }
        }
    }
}

/// Judges a new password of the user by the rules; no weakness means that it will do.
pub fn weaknesses(password: &str, user: &str, rules: &Passwords) -> Vec<Weakness> {
    let mut found = Vec::new();
    let characters = password.chars().count();
    if characters < rules.characters_min {
        found.push(Weakness::Short { characters, least: rules.characters_min });
    }
    if password.len() > PASSWORD_BYTES_MAX {
        // Nothing more is worth the time that a long text takes.
        return vec![Weakness::Long];
    }
    if password.chars().any(char::is_control) {
        found.push(Weakness::Control);
    }
    let lower = Zeroizing::new(password.to_lowercase());
    if contains(&lower, &user.to_lowercase()) {
        found.push(Weakness::Name);
    }
    if let Some(word) = rules.banned.iter().find(|word| contains(&lower, word)) {
        found.push(Weakness::Banned(word.clone()));
    }
    let mixed = password.chars().any(char::is_alphabetic) && password.chars().any(char::is_numeric);
    if rules.profile == PasswordProfile::Pci && !mixed {
        found.push(Weakness::LettersAndDigits);
    }
    let mut known: Vec<&str> = rules.banned.iter().map(String::as_str).collect();
    known.extend([user, "portcullis"]);
    let estimate = zxcvbn::zxcvbn(password, &known);
    let score = u8::from(estimate.score());
    if score < rules.score_min {
        let reason = estimate.feedback().and_then(zxcvbn::feedback::Feedback::warning).map(|w| w.to_string());
        let reason = reason.map(|reason| reason.trim_end_matches('.').to_owned());
        found.push(Weakness::Guessable { score, least: rules.score_min, reason });
    }
    found
}

/// Names of one or two letters are in many passwords by chance.
fn contains(password: &str, word: &str) -> bool {
    word.chars().count() >= 3 && password.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Argon2Cost;

    fn rules(profile: PasswordProfile, characters_min: usize) -> Passwords {
        let argon2 = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        let banned = vec!["acme".to_owned()];
        Passwords { profile, characters_min, score_min: 3, banned, argon2, checks_parallel: 1, history: 0 }
    }

    #[test]
    fn each_rule_finds_its_weakness() {
        let strict = rules(PasswordProfile::Strict, 15);
        let found = |password: &str| weaknesses(password, "alice", &strict);
        assert_eq!(found("orbit lantern walnut quarry"), []);
        assert!(found("orbit lantern").contains(&Weakness::Short { characters: 13, least: 15 }));
        assert!(found("orbit lantern ALICE quarry").contains(&Weakness::Name));
        assert!(found("orbit lantern Acme2 quarry").contains(&Weakness::Banned("acme".into())));
        assert!(found("orbit lantern walnut\u{0}quarry").contains(&Weakness::Control));
        assert_eq!(found(&"x".repeat(257)), [Weakness::Long]);
        assert!(matches!(found("aaaaaaaaaaaaaaaaaaaa").as_slice(), [Weakness::Guessable { .. }]));
    }

    #[test]
    fn pci_asks_for_letters_and_digits() {
        let pci = rules(PasswordProfile::Pci, 12);
        assert_eq!(weaknesses("orbit lantern walnut", "bob", &pci), [Weakness::LettersAndDigits]);
        assert_eq!(weaknesses("orbit lantern 7 walnut", "bob", &pci), []);
    }

    #[test]
    fn a_weakness_says_how_to_mend_it() {
        let short = Weakness::Short { characters: 3, least: 15 };
        assert_eq!(short.to_string(), "it has 3 characters and needs 15: add words");
    }
}
