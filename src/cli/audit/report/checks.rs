//! What the chain of the records proves, as the report tells it.

use std::path::Path;

use jiff::Timestamp;

use crate::audit::signing::PublicKey;
use crate::cli::audit::verify::shown::{facts, finding, headline};
use crate::cli::audit::verify::{KeySource, Trusted, look, unsigned_seconds};
use crate::cli::audit::{Failure, Source};
use crate::report::{Verdict, VerdictState};
use crate::trail::verify::{self, Options, State};

/// What the log is held against.
pub(super) struct Checks<'a> {
    source: &'a Source,
    policy: &'a Path,
    keys: Vec<PublicKey>,
    key_source: KeySource,
    /// Why a key that is there cannot be used.
    no_key: Option<String>,
    options: Options,
}

impl<'a> Checks<'a> {
    /// Without a key that can be used, the report is written all the same, and says so; one that was asked
    /// for has to be there.
    pub(super) fn of(trusted: &Trusted, source: &'a Source, policy: &'a Path) -> Result<Self, Failure> {
        let (keys, key_source, no_key) = match trusted.keys(source, policy) {
            Ok((keys, key_source)) => (keys, key_source, None),
            Err(Failure::Failed(why)) if trusted.public_key.is_empty() => (Vec::new(), KeySource::None, Some(why)),
            Err(failure) => return Err(failure),
        };
        let options = Options {
            witnesses: trusted.witnesses()?,
            unsigned_seconds_max: unsigned_seconds(None, source, policy),
            ..Options::at(Timestamp::now())
        };
        Ok(Self { source, policy, keys, key_source, no_key, options })
    }

    /// Verifies the whole log.
    pub(super) fn verdict(&self) -> Result<Verdict, Failure> {
        let verdict = look(self.source, self.policy, &self.keys, &self.options, true)?;
        Ok(self.told(&verdict))
    }

    fn told(&self, verdict: &verify::Verdict) -> Verdict {
        let state = match verdict.state {
            State::Proven => VerdictState::Proved,
            State::Warning if self.keys.is_empty() => VerdictState::Unverified,
            State::Warning => VerdictState::Partial,
            State::Unreadable => VerdictState::Unverified,
            State::Tampered | State::BadSignature | State::Truncated => VerdictState::Broken,
        };
        let mut words = capital(headline(verdict).1);
        if verdict.state == State::Warning && self.keys.is_empty() {
            words = match &self.no_key {
                Some(why) => format!("The public key cannot be used ({why}), so no signature was checked."),
                None => "There is no public key here, so no signature was checked.".to_owned(),
            };
            if verdict.records > 0 {
                words.push_str(" The records follow each other, which whoever changes them can bring about, too.");
            }
            words.push_str(" --public-key names a key.");
        } else if let Some(first) = verdict.first_finding() {
            words = format!("{words} {}", finding(first));
        }
        if state == VerdictState::Proved && self.key_source == KeySource::BesideLog {
            words.push_str(" The public key is from beside the log: one from elsewhere proves more.");
        }
        let mut details: Vec<String> = facts(verdict, self.key_source)
            .into_iter()
            .map(|(name, text)| if name.is_empty() { capital(&text) } else { format!("{}: {text}", capital(name)) })
            .collect();
        details.extend(verdict.findings.iter().map(|found| format!("Wrong: {}", finding(found))));
        let kept = u64::try_from(verdict.findings.len()).unwrap_or(u64::MAX);
        let more = verdict.findings_total.saturating_sub(kept);
        if more > 0 {
            details.push(format!("Wrong: {more} more places"));
        }
        Verdict { state, headline: words, details }
    }
}

/// The same as the beginning of a sentence.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
