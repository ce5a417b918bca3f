//! What limits a user: the options of `user add` for it, and how `user show` and `user list` tell it.

use serde_json::{Value, json};
use toml_edit::{Array, Table};

use crate::policy::account::{Account, AccountLimits};
use crate::policy::hours::Window;

/// What may be stated of a new user.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Options {
    /// A window of the week in which the account works, such as "mon-fri 08:00-18:00"; repeats.
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    hours: Vec<Window>,
    /// Most sessions at the same time.
    #[arg(long, value_name = "N", value_parser = number)]
    sessions: Option<i64>,
    /// Most sessions from one address at the same time.
    #[arg(long, value_name = "N", value_parser = number)]
    sessions_per_address: Option<i64>,
    /// Most files moved at the same time.
    #[arg(long, value_name = "N", value_parser = number)]
    transfers: Option<i64>,
    /// Bytes a second of all uploads together.
    #[arg(long, value_name = "N", value_parser = number)]
    upload_bytes_per_second: Option<i64>,
    /// Bytes a second of all downloads and listings together.
    #[arg(long, value_name = "N", value_parser = number)]
    download_bytes_per_second: Option<i64>,
}

impl Options {
    /// Writes what was stated into the user's table.
    pub(super) fn write(&self, table: &mut Table) {
        if !self.hours.is_empty() {
            let windows = self.hours.iter().map(ToString::to_string).collect::<Array>();
            table.insert("hours", toml_edit::value(windows));
        }
        for (key, stated) in [
            ("sessions", self.sessions),
            ("sessions-per-address", self.sessions_per_address),
            ("transfers", self.transfers),
            ("upload-bytes-per-second", self.upload_bytes_per_second),
            ("download-bytes-per-second", self.download_bytes_per_second),
        ] {
            if let Some(number) = stated {
                table.insert(key, toml_edit::value(number));
            }
        }
    }
}

fn window(text: &str) -> Result<Window, String> {
    Window::parse(text).map_err(|error| error.to_string())
}

/// A number above 0; which are too large, the check of the files says.
pub(super) fn number(text: &str) -> Result<i64, String> {
    let number = text.replace('_', "").parse().ok().filter(|number: &i64| *number > 0);
    number.ok_or_else(|| "a whole number above 0, such as 10_000_000; without the option there is no limit".to_owned())
}

/// The windows as they can be written; none where the account always works.
pub(super) fn hours(account: &Account) -> Option<Vec<String>> {
    account.terms.hours.as_ref().map(|hours| hours.windows.iter().map(ToString::to_string).collect())
}

/// The limits in words, where there are any.
pub(super) fn lines(limits: &AccountLimits) -> Option<String> {
    let parts = [
        (limits.sessions, "sessions"),
        (limits.sessions_per_address, "sessions per address"),
        (limits.transfers, "transfers"),
        (limits.upload_bytes_per_second, "bytes a second up"),
        (limits.download_bytes_per_second, "bytes a second down"),
    ];
    let stated: Vec<String> = parts.iter().filter_map(|(most, what)| Some(format!("{} {what}", (*most)?))).collect();
    (!stated.is_empty()).then(|| stated.join(", "))
}

/// The limits as JSON.
pub(super) fn as_json(limits: &AccountLimits) -> Value {
    json!({
        "sessions": limits.sessions,
        "sessions_per_address": limits.sessions_per_address,
        "transfers": limits.transfers,
        "upload_bytes_per_second": limits.upload_bytes_per_second,
        "download_bytes_per_second": limits.download_bytes_per_second,
    })
}
