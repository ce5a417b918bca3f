//! The numbers of `server.toml`: `[login]`, `[passwords]` and `[limits]`. All have defaults, in
//! [`super::keys`].

use std::num::NonZeroU32;
use std::time::Duration;

use super::findings::Findings;
use super::keys::{self, Number};
use super::section::Section;
use super::{Argon2Cost, Limits, Login, PasswordProfile, Passwords};

/// Memory below which a hash is cheap to guess (the least that OWASP names, in KiB).
const ARGON2_MEMORY_KIB_SOUND: u32 = 7_168;
/// Least letters of a banned word: shorter ones would ban nearly every password.
const BANNED_CHARACTERS_MIN: usize = 3;

/// What the three profiles set: characters, zxcvbn score, days.
const fn profile_values(profile: PasswordProfile) -> (u64, u64, Option<u64>) {
    match profile {
        PasswordProfile::Strict => (15, 3, Some(180)),
        PasswordProfile::Nist => (15, 3, None),
        PasswordProfile::Pci => (12, 3, Some(90)),
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn count(section: &Section<'_>, number: &Number, findings: &mut Findings) -> usize {
    usize::try_from(section.number(number, findings)).unwrap_or(usize::MAX)
}

fn positive(section: &Section<'_>, number: &Number, findings: &mut Findings) -> NonZeroU32 {
    NonZeroU32::new(narrow(section.number(number, findings))).unwrap_or(NonZeroU32::MIN)
}

fn seconds(section: &Section<'_>, number: &Number, findings: &mut Findings) -> Duration {
    Duration::from_secs(section.number(number, findings))
}

/// `[login]`.
pub(super) fn login(section: &Section<'_>, findings: &mut Findings) -> Login {
    let delay_first = Duration::from_millis(section.number(&keys::DELAY_FIRST_MS, findings));
    let delay_longest = seconds(section, &keys::DELAY_LONGEST_SECONDS, findings);
    if delay_first > delay_longest {
        let place = section.place_of("delay-longest-seconds");
        let message = "the longest delay is shorter than the first";
        findings.error(place, message, "raise `delay-longest-seconds`, or lower `delay-first-ms`");
    }
    Login {
        attempts_per_session: positive(section, &keys::ATTEMPTS_PER_SESSION, findings),
        failures_per_address: positive(section, &keys::FAILURES_PER_ADDRESS, findings),
        failure_forgiven: seconds(section, &keys::FAILURE_FORGIVEN_SECONDS, findings),
        failures_per_user_network: positive(section, &keys::FAILURES_PER_USER_NETWORK, findings),
        failures_per_minute: positive(section, &keys::FAILURES_PER_MINUTE, findings),
        delay_first,
        delay_longest,
        ban: Duration::from_secs(section.number(&keys::BAN_MINUTES, findings).saturating_mul(60)),
        code_reuse: seconds(section, &keys::CODE_REUSE_SECONDS, findings),
    }
}

/// `[passwords]`, and the age in days at which a password no longer logs in.
pub(super) fn passwords(section: &Section<'_>, findings: &mut Findings) -> (Passwords, Option<u16>) {
    let profiles =
        [("strict", PasswordProfile::Strict), ("nist", PasswordProfile::Nist), ("pci", PasswordProfile::Pci)];
    let profile = section.word("profile", &profiles, PasswordProfile::Strict, findings);
    let (characters, score, days) = profile_values(profile);
    let characters = section.number_given(&keys::CHARACTERS_MIN, findings).unwrap_or(characters);
    let score = section.number_given(&keys::SCORE_MIN, findings).unwrap_or(score);
    let days = section.number_given(&keys::AGE_DAYS_MAX, findings).or(days);
    let argon2 = Argon2Cost {
        memory_kib: narrow(section.number(&keys::ARGON2_MEMORY_KIB, findings)),
        iterations: narrow(section.number(&keys::ARGON2_ITERATIONS, findings)),
        parallelism: narrow(section.number(&keys::ARGON2_PARALLELISM, findings)),
    };
    if argon2.memory_kib < ARGON2_MEMORY_KIB_SOUND {
        let message = format!("hashes with less than {ARGON2_MEMORY_KIB_SOUND} KiB are cheap to guess");
        findings.warning(section.place_of("argon2-memory-kib"), message, "leave the key out for 19456");
    }
    let passwords = Passwords {
        profile,
        characters_min: usize::try_from(characters).unwrap_or(usize::MAX),
        score_min: u8::try_from(score).unwrap_or(4),
        banned: banned(section, findings),
        argon2,
        checks_parallel: count(section, &keys::CHECKS_PARALLEL, findings),
        history: count(section, &keys::HISTORY, findings),
    };
    (passwords, days.map(|days| u16::try_from(days).unwrap_or(u16::MAX)))
}

/// Days before a password's end from which logins warn of it.
pub(super) fn password_warning_days(section: &Section<'_>, findings: &mut Findings) -> u16 {
    u16::try_from(section.number(&keys::AGE_WARNING_DAYS, findings)).unwrap_or(u16::MAX)
}

fn banned(section: &Section<'_>, findings: &mut Findings) -> Vec<String> {
    let mut words = Vec::new();
    for text in section.texts("banned", findings).unwrap_or_default() {
        if text.text.chars().count() < BANNED_CHARACTERS_MIN {
            let help = format!("a banned word has at least {BANNED_CHARACTERS_MIN} characters");
            findings.error(text.place, "this would ban nearly every password", help);
        }
        words.push(text.text.to_lowercase());
    }
    words
}

/// `[limits]`.
pub(super) fn limits(section: &Section<'_>, findings: &mut Findings) -> Limits {
    Limits {
        sessions: count(section, &keys::SESSIONS, findings),
        sessions_per_address: count(section, &keys::SESSIONS_PER_ADDRESS, findings),
        handshakes: count(section, &keys::HANDSHAKES, findings),
        line_bytes: count(section, &keys::LINE_BYTES, findings),
        commands_per_second: positive(section, &keys::COMMANDS_PER_SECOND, findings),
        failed_commands: narrow(section.number(&keys::FAILED_COMMANDS, findings)),
        login_time: seconds(section, &keys::LOGIN_SECONDS, findings),
        handshake_time: seconds(section, &keys::HANDSHAKE_SECONDS, findings),
        idle_time: seconds(section, &keys::IDLE_SECONDS, findings),
        data_connect_time: seconds(section, &keys::DATA_CONNECT_SECONDS, findings),
        stall_time: seconds(section, &keys::STALL_SECONDS, findings),
        drain_time: seconds(section, &keys::DRAIN_SECONDS, findings),
        hashes_parallel: count(section, &keys::HASHES_PARALLEL, findings),
        hash_time: seconds(section, &keys::HASH_SECONDS, findings),
        hash_wait_time: seconds(section, &keys::HASH_WAIT_SECONDS, findings),
        transfers: section.number_given(&keys::TRANSFERS, findings),
        transfers_per_address: section.number_given(&keys::TRANSFERS_PER_ADDRESS, findings),
        upload_bytes_per_second: section.number_given(&keys::UPLOAD_BYTES_PER_SECOND, findings),
        download_bytes_per_second: section.number_given(&keys::DOWNLOAD_BYTES_PER_SECOND, findings),
    }
}
