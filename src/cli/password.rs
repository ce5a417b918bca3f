//! Where a new password comes from: standard input, a prompt, or chance. Never an argument, which
//! everybody on the machine could read.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};

use rand::seq::IndexedRandom;
use zeroize::Zeroizing;

use super::Failure;
use crate::auth::{hash, strength};
use crate::config::Passwords;
use crate::identity::{Secret, Username};

/// Longest first line that is read from standard input, in bytes.
const LINE_BYTES_MAX: usize = 1024;
/// Letters and digits that nobody confuses; passwords of these need no quotes in any shell.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// Four groups of six: 24 characters, about 140 bits.
const GROUPS: usize = 4;
const GROUP_CHARACTERS: usize = 6;
/// Most tries to meet odd rules (a banned word by chance, no digit) before giving up.
const TRIES_MAX: usize = 100;

/// Where the password comes from; a prompt unless said otherwise.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Origin {
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "generate")]
    password_stdin: bool,
    /// Make a password up and show it once.
    #[arg(long)]
    generate: bool,
}

/// A password that met the rules, hashed.
#[derive(Debug)]
pub(super) struct New {
    /// The hash for users.toml.
    pub(super) hash: String,
    /// The password, where it was made up and has to be shown.
    pub(super) generated: Option<Zeroizing<String>>,
}

impl Origin {
    /// Gets a password for the user that is none of the former ones, and hashes it.
    pub(super) fn obtain(self, user: &Username, rules: &Passwords, former: &[String]) -> Result<New, Failure> {
        if self.generate {
            return generate(user, rules);
        }
        let password = if self.password_stdin { from_stdin()? } else { from_prompt(user)? };
        let weaknesses = strength::weaknesses(&password, user.as_str(), rules);
        if !weaknesses.is_empty() {
            let lines: Vec<String> = weaknesses.iter().map(ToString::to_string).collect();
            return Err(Failure::Failed(format!(
                "this password will not do:
  {}
--generate makes one that will",
                lines.join(
                    "
  "
                )
            )));
        }
        if rules.history > 0 && is_one_of(former, &password) {
            let message = "this password will not do: it is the present one or one of the last; choose another";
            return Err(Failure::Failed(message.to_owned()));
        }
        Ok(New { hash: hashed(&password, rules)?, generated: None })
    }
}

fn is_one_of(hashes: &[String], password: &str) -> bool {
    let (mut workspace, secret) = (hash::Workspace::default(), Secret::new(password.as_bytes().to_vec()));
    hashes.iter().any(|hash| workspace.matches(hash, &secret))
}

/// Makes a password up that meets the rules, and hashes it.
pub(super) fn generate(user: &Username, rules: &Passwords) -> Result<New, Failure> {
    for _ in 0..TRIES_MAX {
        let password = random(rules.characters_min);
        if strength::weaknesses(&password, user.as_str(), rules).is_empty() {
            return Ok(New { hash: hashed(&password, rules)?, generated: Some(password) });
        }
    }
    Err(Failure::Failed("no password made by chance meets the rules of [passwords]: set one by hand".to_owned()))
}

/// Random characters of [`ALPHABET`] in groups with `-` between, at least so many characters.
fn random(characters_min: usize) -> Zeroizing<String> {
    let mut rng = rand::rng();
    let groups = GROUPS.max(characters_min.div_ceil(GROUP_CHARACTERS));
    let mut password = Zeroizing::new(String::with_capacity(groups.saturating_mul(GROUP_CHARACTERS.saturating_add(1))));
    for group in 0..groups {
        if group > 0 {
            password.push('-');
        }
        let chosen = std::iter::repeat_with(|| ALPHABET.choose(&mut rng)).take(GROUP_CHARACTERS);
        password.extend(chosen.flatten().map(|byte| char::from(*byte)));
    }
    password
}

fn hashed(password: &str, rules: &Passwords) -> Result<String, Failure> {
    let secret = Secret::new(password.as_bytes().to_vec());
    hash::make(&secret, rules.argon2).map_err(|error| Failure::Failed(format!("hashing failed: {error}")))
}

fn from_stdin() -> Result<Zeroizing<String>, Failure> {
    first_line(io::stdin().lock())
}

/// The first line without its end, within bounds.
fn first_line(reader: impl Read) -> Result<Zeroizing<String>, Failure> {
    let most = LINE_BYTES_MAX.saturating_add(1);
    let mut line = Zeroizing::new(Vec::with_capacity(most));
    let mut bounded = BufReader::new(reader.take(u64::try_from(most).unwrap_or(u64::MAX)));
    bounded.read_until(b'\n', &mut line).map_err(|error| Failure::io("standard input", &error))?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(Failure::Failed(format!("standard input has a line of more than {LINE_BYTES_MAX} bytes")));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err(Failure::Failed("standard input has no password: write it on the first line".to_owned()));
    }
    let text = std::str::from_utf8(&line).map(str::to_owned);
    text.map(Zeroizing::new).map_err(|_| Failure::Failed("the password is no UTF-8 text".to_owned()))
}

fn from_prompt(user: &Username) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        let message = "no terminal to ask for the password: use --password-stdin or --generate";
        return Err(Failure::Failed(message.to_owned()));
    }
    // Ctrl-C raises SIGINT before the terminal echoes again, which would leave it mute: with the
    // signal caught, asking ends with an error instead, and in order.
    let caught = |error: io::Error| Failure::io("catching Ctrl-C", &error);
    let signals = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(caught)?;
    let entered = signals.enter();
    let _interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(caught)?;
    drop(entered);
    let ask = |prompt: String| {
        let answer = rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Failure::Failed("interrupted: nothing was changed".to_owned()),
            _ => Failure::io("asking for the password", &error),
        });
        answer.map(Zeroizing::new)
    };
    let first = ask(format!("New password for {user}: "))?;
    let second = ask("The same again: ".to_owned())?;
    if *first == *second {
        Ok(first)
    } else {
        Err(Failure::Failed("the two passwords differ: nothing was changed".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Argon2Cost, PasswordProfile};

    #[test]
    fn generated_passwords_meet_every_profile_and_need_no_quotes() {
        let argon2 = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        for (profile, characters_min) in [(PasswordProfile::Pci, 12), (PasswordProfile::Strict, 40)] {
            let banned = Vec::new();
            let (checks_parallel, history) = (1, 0);
            let rules = Passwords { profile, characters_min, score_min: 4, banned, argon2, checks_parallel, history };
            let user = Username::parse("demo").unwrap();
            let made = generate(&user, &rules).unwrap();
            let password = made.generated.unwrap();
            assert!(password.len() >= characters_min.max(20));
            assert!(password.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{password:?}");
            assert!(hash::Workspace::default().matches(&made.hash, &Secret::new(password.as_bytes().to_vec())));
        }
    }

    #[test]
    fn the_first_line_is_the_password() {
        let line = |text: &[u8]| first_line(text).map(|line| line.to_string()).map_err(|failure| failure.to_string());
        assert_eq!(line(b"secret words\r\nmore").unwrap(), "secret words");
        assert_eq!(line(b"secret words").unwrap(), "secret words");
        assert!(line(b"\n").unwrap_err().contains("no password"));
        assert!(line(b"a\xff\n").unwrap_err().contains("UTF-8"));
        assert!(line(&[b'x'; 2000]).unwrap_err().contains("more than 1024"));
    }
}
