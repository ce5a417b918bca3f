//! `portcullis user passwd`.

use std::path::Path;

use super::super::password::Origin;
use super::super::{Failure, say, today};
use super::add::toml_date;
use super::former::Former;
use super::{TAKES_EFFECT, edit, username};
use crate::identity::Username;

/// Set a user's password.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis user passwd alice
  portcullis user passwd alice --generate --temporary
  printf '%s\\n' \"$PASSWORD\" | portcullis user passwd alice --password-stdin")]
pub(super) struct Arguments {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
    #[command(flatten)]
    origin: Origin,
    /// Have the user change it with SITE PSWD before anything else.
    #[arg(long)]
    temporary: bool,
}

/// Sets the password, and the day it was set.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let name = &arguments.name;
    let (judged, mut document) = edit::look(policy)?;
    edit::user(&mut document, name)?;
    let former = Former::of(&judged, &mut document, name)?;
    if arguments.temporary && !former.may_change {
        return Err(Failure::Failed(format!("--temporary would keep {name} out: {}", super::CANNOT_CHANGE)));
    }
    let new = arguments.origin.obtain(name, &judged.passwords, &former.hashes)?;
    edit::edit(policy, |document| {
        // Others may have set one while this one was asked for: theirs is a former one, too.
        let (judged, mut present) = edit::look(policy)?;
        let kept = Former::of(&judged, &mut present, name)?.kept(judged.passwords.history);
        let user = edit::user(document, name)?;
        edit::set(user, "password", new.hash.as_str().into());
        edit::set(user, "password-set", toml_date(today())?);
        if arguments.temporary {
            edit::set(user, "password-temporary", true.into());
        } else {
            edit::unset(user, "password-temporary");
        }
        if kept.is_empty() {
            edit::unset(user, "password-history");
        } else {
            edit::set(user, "password-history", kept.into());
        }
        Ok(())
    })?;
    if arguments.temporary {
        say(format!("{name} has to change it at the first login: SITE PSWD old new."))?;
    }
    say(format!("{name} has a new password. {TAKES_EFFECT} Until then the old one counts."))?;
    match &new.generated {
        Some(password) => say(format!("password: {}\nIt is shown this once; only its hash is stored.", &**password)),
        None => Ok(()),
    }
}
