//! `[findings]`: from where on something in the audit log is worth a look.

use std::time::Duration;

/// When `audit findings` and the report speak up. The defaults suit a small company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failed logins of one source, or for one user, that are guessing.
    pub guess_failures: u64,
    /// Time without a failure after which guesses are no longer of one series.
    pub guess_quiet: Duration,
    /// Failed logins behind which a success of the same source is a guess that was right.
    pub success_after_failures: u64,
    /// Failures of a user that a success soon after explains as a slip.
    pub slips: u64,
    /// Users whose passwords are tried from one source, or from many, that are spraying.
    pub spray_users: u64,
    /// Days on which a user has to be seen before something is unusual for that user.
    pub learning_days: u64,
    /// Networks from which a user comes so often anew that another one says nothing.
    pub roaming_networks: u64,
    /// How many hours a login lies away from any hour at which the user was ever seen.
    pub unusual_hours: u64,
    /// How many times the largest of the user's earlier days a day's downloads are.
    pub volume_factor: u64,
    /// Bytes a day below which no volume is unusual.
    pub volume_bytes_min: u64,
    /// Deletes, renames and overwrites of one user within [`Self::mass_time`] that are a mass change.
    pub mass_changes: u64,
    /// Renames or uploads to the same new suffix within that time that look like ransomware.
    pub mass_suffix_changes: u64,
    /// The time for both.
    pub mass_time: Duration,
    /// Refused data connections of one source in a day.
    pub data_refusals: u64,
    /// Data connections of one user and program, without TLS resumption, that are a program which
    /// cannot resume.
    pub resume_failures: u64,
    /// Commands in clear text of one source, which has not logged in, in a day.
    pub clear_text_attempts: u64,
    /// Days without a login after which an account is unused.
    pub unused_days: u64,
    /// Days before the end of a certificate, an exception or an account from which it is said.
    pub ending_days: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            guess_failures: 10,
            guess_quiet: Duration::from_hours(1),
            success_after_failures: 8,
            slips: 3,
            spray_users: 8,
            learning_days: 14,
            roaming_networks: 8,
            unusual_hours: 3,
            volume_factor: 3,
            volume_bytes_min: 100 * 1024 * 1024,
            mass_changes: 200,
            mass_suffix_changes: 30,
            mass_time: Duration::from_mins(5),
            data_refusals: 10,
            resume_failures: 5,
            clear_text_attempts: 5,
            unused_days: 90,
            ending_days: 30,
        }
    }
}
