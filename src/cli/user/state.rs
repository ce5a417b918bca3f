//! `portcullis user enable`, `disable` and `remove`.

use std::path::Path;

use super::super::{Failure, say};
use super::{TAKES_EFFECT, edit, username};
use crate::identity::Username;

/// Let a disabled user log in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis user enable alice")]
pub(super) struct Enable {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
}

/// Keep a user from logging in; nothing else of it changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis user disable alice")]
pub(super) struct Disable {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
}

/// Remove a user. Its files stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis user remove alice")]
pub(super) struct Remove {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
}

/// What a change that takes something away has to say.
const STILL_SERVED: &str =
    "A server that is running lets the user in until its policy is read again: portcullis reload, or SIGHUP.";

/// Enables the user.
pub(super) fn enable(arguments: &Enable, policy: &Path) -> Result<(), Failure> {
    set_enabled(&arguments.name, true, policy)?;
    say(format!("{} may log in. {TAKES_EFFECT}", arguments.name))
}

/// Disables the user.
pub(super) fn disable(arguments: &Disable, policy: &Path) -> Result<(), Failure> {
    set_enabled(&arguments.name, false, policy)?;
    say(format!("{} may not log in. {STILL_SERVED}", arguments.name))
}

fn set_enabled(name: &Username, enabled: bool, policy: &Path) -> Result<(), Failure> {
    edit::edit(policy, |document| {
        edit::set(edit::user(document, name)?, "enabled", enabled.into());
        Ok(())
    })
}

/// Removes the user from users.toml.
pub(super) fn remove(arguments: &Remove, policy: &Path) -> Result<(), Failure> {
    let name = &arguments.name;
    let mut home = None;
    edit::edit(policy, |document| {
        home = edit::user(document, name)?.get("home").and_then(|home| home.as_str()).map(str::to_owned);
        edit::remove(document, name)
    })?;
    let files = home.map(|home| format!(" The files in {} stay.", home.escape_debug())).unwrap_or_default();
    say(format!("Removed {name}.{files} {STILL_SERVED}"))
}
