//! `[findings]`: when something in the audit log is worth a look.

use std::path::Path;
use std::time::Duration;

use super::findings::Findings;
use super::keys;
use super::problem::Problems;
use super::section::Section;
use super::{Thresholds, running};

/// `[findings]`.
pub(super) fn thresholds(section: &Section<'_>, findings: &mut Findings) -> Thresholds {
    let mut number = |number| section.number(number, findings);
    Thresholds {
        guess_failures: number(&keys::GUESS_FAILURES),
        guess_quiet: Duration::from_secs(number(&keys::GUESS_QUIET_MINUTES).saturating_mul(60)),
        success_after_failures: number(&keys::SUCCESS_AFTER_FAILURES),
        slips: number(&keys::SLIPS),
        spray_users: number(&keys::SPRAY_USERS),
        learning_days: number(&keys::LEARNING_DAYS),
        roaming_networks: number(&keys::ROAMING_NETWORKS),
        unusual_hours: number(&keys::UNUSUAL_HOURS),
        volume_factor: number(&keys::VOLUME_FACTOR),
        volume_bytes_min: number(&keys::VOLUME_BYTES_MIN),
        mass_changes: number(&keys::MASS_CHANGES),
        mass_suffix_changes: number(&keys::MASS_SUFFIX_CHANGES),
        mass_time: Duration::from_secs(number(&keys::MASS_SECONDS)),
        data_refusals: number(&keys::DATA_REFUSALS),
        resume_failures: number(&keys::RESUME_FAILURES),
        clear_text_attempts: number(&keys::CLEAR_TEXT_ATTEMPTS),
        unused_days: number(&keys::UNUSED_DAYS),
        ending_days: number(&keys::ENDING_DAYS),
    }
}

/// The thresholds of `server.toml`, whatever else is wrong with the files.
///
/// # Errors
/// What keeps the file from being understood that far.
pub(crate) fn of_policy(directory: &Path) -> Result<Thresholds, Problems> {
    let read = |section: &Section<'_>, _: &Path, findings: &mut Findings| Some(thresholds(section, findings));
    Ok(running::alone(directory, "findings", read)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_is_the_default_of_the_settings() {
        let mut findings = Findings::default();
        let file = findings.source("server.toml", "");
        let table = super::super::tree::parse("", file, &mut findings).unwrap();
        let section = Section::root(&table, file, "server", &mut findings).open("findings", &mut findings);
        assert_eq!(thresholds(&section, &mut findings), Thresholds::default());
    }
}
